// The emotion, by name and over time: two components that show one schedule, [[seconds, {name: share}], ...], whose first
// entry is at 0 and whose times rise.

import { setTexts, t } from "./i18n.js";
import { page } from "./page.js";

const COLORS = {
  neutral: "#9aa0a8", calm: "#5fa8a0", happy: "#e8b83a", sad: "#4f78bd", angry: "#cf4a3d",
  fearful: "#7d5ba6", disgusted: "#7a9a3a", surprised: "#e5853c", contempt: "#a0705a",
};
const UNKNOWN_SECONDS = 10; // shown while there is no audio
const APART_SECONDS = 0.1; // between two entries, and one step of an arrow key
const TRANSITION_SECONDS = 1; // in which the model changes from one emotion to the next

class Schedule {
  chosen = 0; // the entry that the names and shares show

  // emotions: all names, neutral first. sound: selector of the audio elements whose length the timeline has (the first that
  // has one), and whose time a new entry takes. onchange: called with the entries.
  constructor(emotions, sound, entries, onchange) {
    Object.assign(this, { emotions, sound, entries, onchange });
    this.others = emotions.slice(1);
    this.views = [];
  }

  get sounds() {
    return [...document.querySelectorAll(this.sound)];
  }

  get length() {
    const seconds = this.sounds.map((sound) => sound.duration).find(Number.isFinite) ?? UNKNOWN_SECONDS;
    return Math.max(seconds, this.entries.at(-1)[0] + 0.5);
  }

  total(mixture) {
    return this.others.reduce((sum, name) => sum + (mixture[name] ?? 0), 0);
  }

  // The only emotion of a mixture, undefined where there are several.
  single(mixture) {
    const total = this.total(mixture);
    return total === 0 ? this.emotions[0] : this.others.find((name) => mixture[name] === 1 && total === 1);
  }

  describe(mixture) {
    const shares = this.others.filter((name) => mixture[name] > 0).map((name) => (mixture[name] === 1 ? t(name) : `${t(name)} ${mixture[name]}`));
    return shares.join(" + ") || t(this.emotions[0]);
  }

  // The color of a mixture: its parts, and grey for what is left of 1.
  color(mixture) {
    const neutral = Math.max(0, 1 - this.total(mixture));
    const weights = [[this.emotions[0], neutral], ...this.others.map((name) => [name, mixture[name] ?? 0])];
    const sum = weights.reduce((all, [, weight]) => all + weight, 0);
    const channel = (at) => Math.round(weights.reduce((all, [name, weight]) => all + weight * parseInt(COLORS[name].slice(at, at + 2), 16), 0) / sum);
    return `rgb(${channel(1)}, ${channel(3)}, ${channel(5)})`;
  }

  draw() {
    this.views.forEach((view) => view.draw());
  }

  // Set the entries from outside.
  set(entries) {
    if (JSON.stringify(entries) === JSON.stringify(this.entries)) return;
    this.entries = entries;
    this.chosen = Math.min(this.chosen, entries.length - 1);
    this.draw();
  }

  change(entries, index = this.chosen) {
    this.entries = entries;
    this.chosen = Math.min(index, entries.length - 1);
    this.onchange(entries);
    this.draw();
  }

  setMixture(mixture) {
    this.change(this.entries.map((entry, k) => (k === this.chosen ? [entry[0], mixture] : entry)));
  }

  move(index, seconds) {
    const { entries } = this;
    if (index === 0) return;
    const [low, high] = [entries[index - 1][0] + APART_SECONDS, (entries[index + 1]?.[0] ?? this.length) - APART_SECONDS];
    const time = Math.round(Math.min(Math.max(seconds, low), Math.max(low, high)) * 10) / 10;
    this.change(entries.map((entry, k) => (k === index ? [time, entry[1]] : entry)), index);
  }

  // A new entry holds the emotion of its time until another is chosen for it.
  add(seconds) {
    const { entries } = this;
    const time = Math.round(Math.max(seconds, APART_SECONDS) * 10) / 10;
    const before = entries.findLastIndex(([start]) => start <= time);
    if (entries.some(([start]) => Math.abs(start - time) < APART_SECONDS / 2)) return this.change(entries, before);
    this.change([...entries.slice(0, before + 1), [time, { ...entries[before][1] }], ...entries.slice(before + 1)], before + 1);
  }

  remove(index) {
    if (index > 0) this.change(this.entries.filter((_, k) => k !== index), index - 1);
  }
}

function input(type, value, name) {
  const [label, control, text] = ["label", "input", "span"].map((tag) => document.createElement(tag));
  Object.assign(control, type === "radio" ? { type, value, name } : { type, name, min: 0, max: 1, step: 0.05 });
  label.style.setProperty("--color", COLORS[value]);
  text.textContent = t(value);
  label.append(...(type === "radio" ? [control, text] : [text, control]));
  return label;
}

// All emotions by name.
class Names {
  constructor(element, schedule) {
    this.schedule = schedule;
    [this.title, this.names, this.hint] = ["title", "names", "hint"].map((name) => element.querySelector(`.emotion-${name}`));
    this.title.textContent = t("Emotion");
    this.names.setAttribute("aria-label", t("Emotion"));
    this.names.replaceChildren(...schedule.emotions.map((name) => input("radio", name, "emotion")));
    this.names.onchange = ({ target: { value } }) => schedule.setMixture(value === schedule.emotions[0] ? {} : { [value]: 1 });
  }

  draw() {
    const { entries, chosen } = this.schedule;
    const [seconds, mixture] = entries[chosen];
    const single = this.schedule.single(mixture);
    for (const input of this.names.querySelectorAll("input")) input.checked = input.value === single;
    this.hint.hidden = entries.length === 1 && Boolean(single);
    const values = { seconds: seconds.toFixed(1), emotion: this.schedule.describe(mixture) };
    this.hint.textContent = entries.length > 1 ? t("From {seconds} s: {emotion}", values) : t("Mixture: {emotion}", values);
  }
}

// Mixtures and changes.
class Timeline {
  dragged = null; // the entry

  constructor(element, schedule) {
    this.schedule = schedule;
    this.element = element;
    const names = ["mixture", "shares", "strip", "scale", "add", "remove", "said"];
    for (const name of names) this[name] = element.querySelector(`.emotion-${name}`);
    this.shares.replaceChildren(...schedule.others.map((name) => input("range", name, name)));
    this.mixture.querySelector("summary").textContent = t("Mixture");
    this.add.textContent = t("Add a change here");
    this.add.title = t("Adds a change at the player's time. Clicking the strip adds one there.");
    this.remove.textContent = t("Remove");
    this.listen();
  }

  listen() {
    const { schedule, shares, strip } = this;
    shares.oninput = ({ target: { name, value } }) => {
      const { [name]: _, ...rest } = schedule.entries[schedule.chosen][1];
      schedule.setMixture(Number(value) ? { ...rest, [name]: Number(value) } : rest);
    };
    strip.onpointerdown = (event) => this.press(event);
    strip.onpointermove = (event) => this.dragged !== null && schedule.move(this.dragged, this.timeAt(event));
    strip.onpointerup = strip.onpointercancel = () => (this.dragged = null);
    strip.onkeydown = (event) => this.type(event);
    this.add.onclick = () => schedule.add(schedule.sounds.find((sound) => sound.currentTime > 0)?.currentTime ?? schedule.length / 2);
    this.remove.onclick = () => schedule.remove(schedule.chosen);
    const redraw = (event) => this.element.isConnected && event.target.matches?.(schedule.sound) && this.draw();
    document.addEventListener("loadedmetadata", redraw, true);
  }

  timeAt(event) {
    const box = this.strip.getBoundingClientRect();
    return ((event.clientX - box.left) / box.width) * this.schedule.length;
  }

  press(event) {
    const index = [...this.strip.children].indexOf(event.target);
    if (index < 0) return this.schedule.add(this.timeAt(event));
    this.dragged = index;
    this.strip.setPointerCapture(event.pointerId); // the markers are drawn anew while one is dragged
    this.schedule.change(this.schedule.entries, index);
  }

  type(event) {
    const { schedule, strip } = this;
    const index = [...strip.children].indexOf(event.target);
    const step = { ArrowLeft: -APART_SECONDS, ArrowRight: APART_SECONDS }[event.key];
    if (index < 0 || !(step || ["Delete", "Backspace", "Enter", " "].includes(event.key))) return;
    event.preventDefault();
    schedule.chosen = index;
    if (step) schedule.move(index, schedule.entries[index][0] + step);
    else if (event.key === "Delete" || event.key === "Backspace") schedule.remove(index);
    else schedule.change(schedule.entries, index);
  }

  draw() {
    const { schedule, strip } = this;
    const { entries, chosen, length } = schedule;
    const [seconds, mixture] = entries[chosen];
    for (const input of this.shares.querySelectorAll("input")) input.value = mixture[input.name] ?? 0;
    const place = (time) => `${(100 * Math.min(time, length)) / length}%`;
    strip.style.background = `linear-gradient(90deg, ${this.stops(place).join(", ")})`;
    const focused = strip.contains(document.activeElement);
    strip.replaceChildren(...entries.map(([time, one], k) => this.marker(k, time, one, place(time))));
    if (focused) strip.children[chosen].focus();
    const [first, last] = this.scale.children;
    [first.textContent, last.textContent] = ["0 s", `${length.toFixed(1)} s`];
    this.remove.disabled = chosen === 0;
    this.said.textContent = entries.length > 1 ? `${seconds.toFixed(1)} s: ${schedule.describe(mixture)}` : "";
  }

  // Of the strip's gradient.
  stops(place) {
    const { entries } = this.schedule;
    return entries.flatMap(([time, mixture], k) => {
      const [color, next] = [this.schedule.color(mixture), entries[k + 1]];
      const from = k ? `${color} ${place(Math.max(time + TRANSITION_SECONDS / 2, 0))}` : `${color} 0%`;
      return [from, `${color} ${next ? place(Math.max(next[0] - TRANSITION_SECONDS / 2, time)) : "100%"}`];
    });
  }

  marker(index, time, mixture, left) {
    const button = document.createElement("button");
    const spoken = { role: "slider", "aria-valuemin": 0, "aria-valuemax": this.schedule.length.toFixed(1), "aria-valuenow": time };
    spoken["aria-label"] = t("Change of emotion");
    spoken["aria-valuetext"] = `${time.toFixed(1)} s: ${this.schedule.describe(mixture)}`;
    for (const [name, value] of Object.entries(spoken)) button.setAttribute(name, value);
    Object.assign(button, { type: "button", title: spoken["aria-valuetext"] });
    button.classList.toggle("emotion-chosen", index === this.schedule.chosen);
    button.style.left = left;
    button.style.setProperty("--color", this.schedule.color(mixture));
    return button;
  }
}

function show(View, element) {
  const view = new View(element, page.emotion);
  page.emotion.views.push(view);
  view.draw();
}

// props: value = the entries; emotions and sound of Schedule.
export function mountEmotion({ element, props, watch }) {
  setTexts(props.texts);
  page.emotion = new Schedule(props.emotions, props.sound, props.value, (entries) => (props.value = entries));
  watch("value", () => page.emotion.set(props.value));
  show(Names, element);
}

export function mountTimeline({ element }) {
  show(Timeline, element);
}
