// What is drawn over time: the lips' distance above the sound, and the coefficients as curves or as a heat map.

import { t } from "./i18n.js";
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
const COLOURS = ["#c4606a", "#3b8ea5", "#d9962f", "#5f9e6e", "#8a6fb8", "#a9714b", "#5c7fd0", "#c26fa8"];
const [PREDICTED, CAPTURED] = COLOURS;
const FAINT = "rgba(127, 127, 127, 0.25)";
export const NO_FACE = 65535;

export class Plots {
  constructor(element, clock) {
    const part = (name) => element.querySelector(`.bilabial-${name}`);
    this.area = part("plots");
    this.lips = new Panel(part("lips"), "Time in the lip distance and the sound", clock);
    this.curves = new Panel(part("curves"), "Time in the coefficients", clock);
    this.group = part("group");
    this.group.replaceChildren(...[...Object.keys(GROUPS), HEAT_MAP].map((name) => new Option(t(name), name)));
    this.group.setAttribute("aria-label", t("Coefficients"));
    this.group.onchange = () => this.drawCurves();
  }

  async show(clip) {
    this.clip = clip;
    this.times = Float64Array.from(clip.lips, (_, frame) => frame / clip.fps);
    this.area.hidden = false;
    await Promise.all([this.lips.draw(...lipsFigure(clip, this.times)), this.drawCurves()]);
  }

  drawCurves() {
    const figure = this.group.value === HEAT_MAP ? heatMapFigure : curvesFigure;
    const names = GROUPS[this.group.value];
    return this.curves.draw(...figure(this.clip, this.times, names, this.area.clientWidth));
  }

  move(time) {
    this.lips.move(time);
    this.curves.move(time);
  }
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

// Left and right have one colour; the right is dotted.
function curvesFigure(clip, times, names, width) {
  const shapes = [...new Set(names.map(withoutSide))];
  const data = names.map((name) => ({
    x: times, y: curve(clip, name), name, hovertemplate: "%{y:.2f}",
    line: { width: 1.5, color: COLOURS[shapes.indexOf(withoutSide(name))], dash: /Right$/.test(name) ? "dot" : "solid" },
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
