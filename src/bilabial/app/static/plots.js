// What is drawn over time: the lips' distance above the sound, and the coefficients as curves or as a heat map.

import { setTexts, t, translate } from "./i18n.js";
import { page } from "./page.js";
import { Panel } from "./panel.js";

const GROUPS = {
  "Jaw and lips": [
    "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRollLower", "mouthRollUpper", "mouthShrugLower",
    "mouthShrugUpper",
  ],
  "Lips raised, lowered and pressed": [
    "mouthUpperUpLeft", "mouthUpperUpRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft",
    "mouthPressRight",
  ],
  "Mouth corners and cheeks": [
    "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight",
    "mouthStretchLeft", "mouthStretchRight", "cheekSquintLeft", "cheekSquintRight", "cheekPuff",
  ],
  "Brows and nose": [
    "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "browDownLeft", "browDownRight", "noseSneerLeft",
    "noseSneerRight",
  ],
  "Eyelids": [
    "eyeBlinkLeft", "eyeBlinkRight", "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight",
  ],
  "Gaze": [
    "eyeLookUpLeft", "eyeLookUpRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight",
    "eyeLookOutLeft", "eyeLookOutRight",
  ],
  "Jaw and mouth sideways, tongue": [
    "jawForward", "jawLeft", "jawRight", "mouthLeft", "mouthRight", "tongueOut",
  ],
};
const HEAT_MAP = "All 52 as a heat map";
const COLORS = ["#c4606a", "#3b8ea5", "#d9962f", "#5f9e6e", "#8a6fb8", "#a9714b", "#5c7fd0", "#c26fa8"];
const [PREDICTED, CAPTURED] = COLORS;
const FAINT = "rgba(127, 127, 127, 0.25)";
export const NO_FACE = 65535;

// The plots' library is larger than all else on the page: it is fetched once the head is drawn.
let fetched = null;
function loadPlotly(address) {
  fetched ??= new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src: address, onload: resolve, onerror: reject });
    document.head.append(script);
  });
  return fetched;
}

export class Plots {
  // element: of plots.html. plotly: address of its script.
  constructor(element, plotly) {
    Object.assign(this, { element, plotly });
    const part = (name) => element.querySelector(`.bilabial-${name}`);
    const player = () => page.player;
    const clock = { seek: (seconds) => player().seek(seconds), step: (frames) => player().step(frames), end: () => player().end() };
    translate(element);
    this.lips = new Panel(part("lips"), "Time in the lip distance and the audio", clock);
    this.curves = new Panel(part("curves"), "Time in the blendshape curves", clock);
    this.group = part("group");
    this.group.replaceChildren(...[...Object.keys(GROUPS), HEAT_MAP].map((name) => new Option(t(name), name)));
    this.group.setAttribute("aria-label", t("Blendshapes"));
    this.group.onchange = () => this.draw();
    this.tabs = [...element.querySelectorAll("[role=tab]")];
    this.tabs.forEach((tab, k) => {
      tab.onclick = () => this.open(k);
      tab.onkeydown = ({ key }) => ["ArrowLeft", "ArrowRight"].includes(key) && this.open(1 - k, true);
    });
  }

  open(number, focus = false) {
    this.tabs.forEach((tab, k) => {
      tab.setAttribute("aria-selected", k === number);
      tab.tabIndex = k === number ? 0 : -1;
      this.element.querySelector(`#${tab.getAttribute("aria-controls")}`).hidden = k !== number;
    });
    if (focus) this.tabs[number].focus();
    return this.draw();
  }

  show(clip) {
    this.clip = clip;
    this.times = Float64Array.from(clip.lips, (_, frame) => frame / clip.fps);
    return this.draw();
  }

  // Draws the open plot; the other one when it is opened.
  async draw() {
    const { clip, times, group } = this;
    if (!clip) return;
    await page.player.loaded;
    await loadPlotly(this.plotly);
    if (this.tabs[0].getAttribute("aria-selected") === "true") await this.lips.draw(...lipsFigure(clip, times));
    else {
      const figure = group.value === HEAT_MAP ? heatMapFigure : curvesFigure;
      await this.curves.draw(...figure(clip, times, GROUPS[group.value], this.element.clientWidth));
    }
    this.element.dataset.clips = page.player.canvas.dataset.clips ?? 0; // drawn so far
  }

  move(time) {
    this.lips.move(time);
    this.curves.move(time);
  }
}

// props: plotly = address of its script.
export function mountPlots({ element, props }) {
  setTexts(props.texts);
  page.plots = new Plots(element, props.plotly);
  if (page.player?.clip) page.plots.show(page.player.clip);
}

function lipsFigure({ lips, closed, captured, peaks, peaks_hz, seconds }, times) {
  const top = [...lips, ...(captured?.lips ?? [])].reduce((a, b) => Math.max(a, b), 10.9) * 1.1;
  const line = (y, name, color) => ({ x: times, y, name, line: { color, width: 2 }, hovertemplate: "%{y:.1f} mm" });
  const shade = {
    x: closed.flatMap(([start, end]) => [start, start, end, end, null]),
    y: closed.flatMap(() => [0, top, top, 0, null]),
    mode: "lines", line: { width: 0 }, fill: "toself", fillcolor: "rgba(196, 96, 106, 0.2)", hoverinfo: "skip", showlegend: false,
  };
  const data = [shade, line(lips, t("predicted"), PREDICTED), soundTrace(peaks, peaks_hz)];
  if (captured) data.push(line(captured.lips, capturedName(captured), CAPTURED));
  const sum = closed.reduce((total, [start, end]) => total + end - start, 0);
  const title = t("Closed for {closed} of {all} s (shaded)").replace("{closed}", sum.toFixed(2)).replace("{all}", seconds.toFixed(2));
  const layout = timeLayout(seconds, 340, { l: 48, r: 12, t: captured ? 76 : 36, b: 40 });
  Object.assign(layout.xaxis, { anchor: "y2" });
  Object.assign(layout, {
    title: { text: title, x: 0, xref: "paper", xanchor: "left", y: 1, yanchor: "top", pad: { t: 12 }, font: { size: 14 } },
    legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom" },
    showlegend: Boolean(captured),
    yaxis: { ...layout.yaxis, domain: [0.27, 1], range: [0, top], title: { text: t("lip distance (mm)"), standoff: 8 } },
    yaxis2: { domain: [0, 0.2], range: [-1, 1], visible: false, fixedrange: true },
    hovermode: "x unified",
  });
  return [data, layout];
}

function capturedName({ r, offset_ms }) {
  const moved = -Math.round(offset_ms); // lips that were late come earlier
  const text = moved ? t("captured: r = {r}, moved by {ms} ms") : t("captured: r = {r}");
  return text.replace("{r}", r.toFixed(2)).replace("{ms}", `${moved > 0 ? "+" : ""}${moved}`);
}

function soundTrace(peaks, hz) {
  const x = Array.from(peaks, (_, k) => (k + 0.5) / hz);
  const y = Array.from(peaks, (peak) => peak / 255);
  return {
    x: [...x, ...x.slice().reverse()], y: [...y, ...y.map((height) => -height).reverse()], yaxis: "y2",
    mode: "lines", line: { width: 0 }, fill: "toself", fillcolor: "rgba(127, 127, 127, 0.6)", hoverinfo: "skip", showlegend: false,
  };
}

const withoutSide = (name) => name.replace(/(Left|Right)$/, "");

// Left and right have one color; the right is dotted.
function curvesFigure(clip, times, names, width) {
  const shapes = [...new Set(names.map(withoutSide))];
  const data = names.map((name) => ({
    x: times, y: curve(clip, name), name, hovertemplate: "%{y:.2f}",
    line: { width: 1.5, color: COLORS[shapes.indexOf(withoutSide(name))], dash: /Right$/.test(name) ? "dot" : "solid" },
  }));
  const highest = data.flatMap(({ y }) => Array.from(y)).reduce((a, b) => Math.max(a, b), 0.3);
  const rows = Math.ceil(names.length / Math.max(1, Math.floor((width - 60) / 160))); // of the legend
  const layout = timeLayout(clip.seconds, 330 + 18 * rows, { l: 48, r: 12, t: 12, b: 40 });
  Object.assign(layout.yaxis, { range: [0, Math.min(1, highest) * 1.05] });
  Object.assign(layout, { legend: { orientation: "h", x: 0, y: -0.2, yanchor: "top", font: { size: 11 } }, showlegend: true });
  return [data, layout];
}

function heatMapFigure(clip, times) {
  const names = Object.values(GROUPS).flat();
  const data = [{
    type: "heatmap", x: times, y: names, z: names.map((name) => curve(clip, name)), zmin: 0, zmax: 1,
    colorscale: isDark() // most coefficients stay below 0.5
      ? [[0, "#1d2027"], [0.12, "#54323d"], [0.45, "#d4706f"], [1, "#ffe9df"]]
      : [[0, "#f6f4f1"], [0.12, "#eec9bd"], [0.45, "#c4606a"], [1, "#4a0f2a"]],
    showscale: false, hovertemplate: "%{y} %{x:.2f} s: %{z:.2f}<extra></extra>",
  }];
  const layout = timeLayout(clip.seconds, 52 * 12 + 60, { l: 128, r: 12, t: 12, b: 40 });
  Object.assign(layout.yaxis, { autorange: "reversed", tickfont: { size: 10 }, dtick: 1, showgrid: false });
  return [data, layout];
}

function curve({ names, frames }, name) {
  const [column, count] = [names.indexOf(name), names.length];
  return Float32Array.from({ length: frames.length / count }, (_, frame) => frames[frame * count + column] / 65535);
}

const isDark = () => Boolean(document.querySelector(".dark"));

function timeLayout(seconds, height, margin) {
  const axis = { gridcolor: FAINT, zerolinecolor: FAINT, fixedrange: true };
  return {
    height, margin, paper_bgcolor: "rgba(0, 0, 0, 0)", plot_bgcolor: "rgba(127, 127, 127, 0.08)", dragmode: false,
    font: { color: isDark() ? "#ddd" : "#333", size: 12 },
    hoverlabel: { bgcolor: isDark() ? "#23262e" : "#fff", font: { color: isDark() ? "#ddd" : "#333" } },
    xaxis: { ...axis, range: [0, seconds], title: { text: t("time (s)"), standoff: 4 } },
    yaxis: { ...axis },
  };
}
