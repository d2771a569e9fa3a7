// The emotion over time. props: value = [[seconds, {name: share}], ...], the first at 0 and the times rising; emotions: all
// names, neutral first; sound: selector of the audio elements whose length the strip shows (the first that has one), and
// whose time a new entry takes.

import { setTexts, t } from "./i18n.js";

const COLOURS = {
  neutral: "#9aa0a8", calm: "#5fa8a0", happy: "#e8b83a", sad: "#4f78bd", angry: "#cf4a3d",
  fearful: "#7d5ba6", disgusted: "#7a9a3a", surprised: "#e5853c", contempt: "#a0705a",
};
const UNKNOWN_SECONDS = 10; // shown while there is no sound
const APART_SECONDS = 0.1; // between two entries, and one step of an arrow key
const TRANSITION_SECONDS = 1; // as the model changes from one feeling to the next

export function mountEmotion({ element, props }) {
  setTexts(props.texts);
  const part = (name) => element.querySelector(`.emotion-${name}`);
  const others = props.emotions.slice(1);
  let entries = props.value;
  let chosen = 0; // the entry that the names and shares show

  const sounds = () => [...document.querySelectorAll(props.sound)];
  const length = () => Math.max(sounds().map((sound) => sound.duration).find(Number.isFinite) ?? UNKNOWN_SECONDS, entries.at(-1)[0] + 0.5);
  const total = (mixture) => others.reduce((sum, name) => sum + (mixture[name] ?? 0), 0);
  const single = (mixture) => (total(mixture) === 0 ? props.emotions[0] : others.find((name) => mixture[name] === 1 && total(mixture) === 1));
  const named = (mixture) => {
    const shares = others.filter((name) => mixture[name] > 0).map((name) => (mixture[name] === 1 ? t(name) : `${t(name)} ${mixture[name]}`));
    return shares.join(" + ") || t(props.emotions[0]);
  };

  // The colour of a mixture: its parts, and grey for what is left of 1.
  function colour(mixture) {
    const rest = Math.max(0, 1 - total(mixture));
    const weights = [[props.emotions[0], rest], ...others.map((name) => [name, mixture[name] ?? 0])];
    const sum = weights.reduce((all, [, weight]) => all + weight, 0);
    const channel = (at) => Math.round(weights.reduce((all, [name, weight]) => all + weight * parseInt(COLOURS[name].slice(at, at + 2), 16), 0) / sum);
    return `rgb(${channel(1)}, ${channel(3)}, ${channel(5)})`;
  }

  function change(next, index = chosen) {
    entries = next;
    chosen = Math.min(index, entries.length - 1);
    props.value = entries;
    draw();
  }

  const setMixture = (mixture) => change(entries.map((entry, k) => (k === chosen ? [entry[0], mixture] : entry)));

  function move(index, seconds) {
    if (index === 0) return;
    const [low, high] = [entries[index - 1][0] + APART_SECONDS, (entries[index + 1]?.[0] ?? length()) - APART_SECONDS];
    const time = Math.round(Math.min(Math.max(seconds, low), Math.max(low, high)) * 10) / 10;
    change(entries.map((entry, k) => (k === index ? [time, entry[1]] : entry)), index);
  }

  // A new entry holds what was others there, until another feeling is chosen for it.
  function add(seconds) {
    const time = Math.round(Math.max(seconds, APART_SECONDS) * 10) / 10;
    const before = entries.findLastIndex(([start]) => start <= time);
    if (entries.some(([start]) => Math.abs(start - time) < APART_SECONDS / 2)) return change(entries, before);
    change([...entries.slice(0, before + 1), [time, { ...entries[before][1] }], ...entries.slice(before + 1)], before + 1);
  }

  function remove(index) {
    if (index > 0) change(entries.filter((_, k) => k !== index), index - 1);
  }

  function draw() {
    const [seconds, mixture] = entries[chosen];
    for (const input of part("names").querySelectorAll("input")) input.checked = input.value === single(mixture);
    for (const input of part("shares").querySelectorAll("input")) input.value = mixture[input.name] ?? 0;
    const end = length();
    const place = (time) => `${(100 * Math.min(time, end)) / end}%`;
    const stops = entries.flatMap(([time, one], k) => {
      const here = colour(one);
      const from = k ? `${here} ${place(Math.max(time + TRANSITION_SECONDS / 2, 0))}` : `${here} 0%`;
      const next = entries[k + 1];
      return [from, `${here} ${next ? place(Math.max(next[0] - TRANSITION_SECONDS / 2, time)) : "100%"}`];
    });
    const strip = part("strip");
    strip.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
    const focused = strip.contains(document.activeElement);
    strip.replaceChildren(...entries.map(([time, one], k) => marker(k, time, one, place(time), end)));
    if (focused) strip.children[chosen].focus();
    const [first, last] = part("scale").children;
    [first.textContent, last.textContent] = ["0 s", `${end.toFixed(1)} s`];
    part("remove").disabled = chosen === 0;
    part("said").textContent = entries.length > 1 ? `${seconds.toFixed(1)} s: ${named(mixture)}` : "";
  }

  function marker(index, time, mixture, left, end) {
    const button = document.createElement("button");
    const spoken = { role: "slider", "aria-valuemin": 0, "aria-valuemax": end.toFixed(1), "aria-valuenow": time, "aria-label": t("Change of emotion") };
    spoken["aria-valuetext"] = `${time.toFixed(1)} s: ${named(mixture)}`;
    for (const [name, value] of Object.entries(spoken)) button.setAttribute(name, value);
    Object.assign(button, { type: "button", title: spoken["aria-valuetext"] });
    button.classList.toggle("emotion-chosen", index === chosen);
    button.style.left = left;
    button.style.setProperty("--colour", colour(mixture));
    return button;
  }

  function timeAt(event) {
    const box = part("strip").getBoundingClientRect();
    return ((event.clientX - box.left) / box.width) * length();
  }

  function build() {
    part("title").textContent = t("Emotion");
    part("names").setAttribute("aria-label", t("Emotion"));
    part("names").replaceChildren(...props.emotions.map((name) => input("radio", name, "emotion")));
    part("shares").replaceChildren(...others.map((name) => input("range", name, name)));
    part("mixture").querySelector("summary").textContent = t("Mixture");
    part("add").textContent = t("Change of emotion here");
    part("add").title = t("Adds an entry at the time of the player; a click on the strip adds one there.");
    part("remove").textContent = t("Remove");
  }

  function input(type, value, name) {
    const [label, control, text] = ["label", "input", "span"].map((tag) => document.createElement(tag));
    Object.assign(control, type === "radio" ? { type, value, name } : { type, name, min: 0, max: 1, step: 0.05 });
    label.style.setProperty("--colour", COLOURS[value]);
    text.textContent = t(value);
    label.append(...(type === "radio" ? [control, text] : [text, control]));
    return label;
  }

  part("names").onchange = (event) => setMixture(event.target.value === props.emotions[0] ? {} : { [event.target.value]: 1 });
  part("shares").oninput = (event) => {
    const { [event.target.name]: _, ...rest } = entries[chosen][1];
    const share = Number(event.target.value);
    setMixture(share ? { ...rest, [event.target.name]: share } : rest);
  };
  let dragged = null;
  part("strip").onpointerdown = (event) => {
    const index = [...part("strip").children].indexOf(event.target);
    if (index < 0) return add(timeAt(event));
    dragged = index;
    part("strip").setPointerCapture(event.pointerId); // the markers are drawn anew while one is dragged
    change(entries, index);
  };
  part("strip").onpointermove = (event) => dragged !== null && move(dragged, timeAt(event));
  part("strip").onpointerup = part("strip").onpointercancel = () => (dragged = null);
  part("strip").onkeydown = (event) => {
    const index = [...part("strip").children].indexOf(event.target);
    const step = { ArrowLeft: -APART_SECONDS, ArrowRight: APART_SECONDS }[event.key];
    if (index < 0 || !(step || ["Delete", "Backspace", "Enter", " "].includes(event.key))) return;
    event.preventDefault();
    chosen = index;
    if (step) move(index, entries[index][0] + step);
    else if (event.key === "Delete" || event.key === "Backspace") remove(index);
    else change(entries, index);
  };
  part("add").onclick = () => add(sounds().find((sound) => sound.currentTime > 0)?.currentTime ?? length() / 2);
  part("remove").onclick = () => remove(chosen);
  document.addEventListener("loadedmetadata", (event) => element.isConnected && event.target.matches?.(props.sound) && draw(), true);
  build();
  draw();
}
