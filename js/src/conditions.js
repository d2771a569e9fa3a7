// Emotions and styles by name, as in hub/expression_bilabial.py and runtime/settings.py.

import { BilabialError } from "./errors.js";

const MAX_STYLE_AMOUNT = 1.5;

function checkRange(code, what, value, most) {
  if (typeof value !== "number" || !(value >= 0 && value <= most)) {
    throw new BilabialError(code, `${what} must be a number from 0 to ${most}, got ${JSON.stringify(value)}`);
  }
}

function checkName(what, name, names) {
  if (!names.includes(name)) throw new BilabialError(`${what}_name`, `${what} must be one of ${names.join(", ")}, got ${JSON.stringify(name)}`);
}

// Pairs (name, number) of what a user gives as a name or a mixture {name: number}.
function mixture(what, given) {
  if (typeof given === "string") return [[given, 1]];
  if (typeof given === "object" && given !== null && !Array.isArray(given)) return Object.entries(given);
  throw new BilabialError(`${what}_kind`, `${what} must be a name or a mixture {name: number}, got ${JSON.stringify(given)}`);
}

// Weights (E) of a name or a mixture {name: share}, times an intensity; neutral is all zeros.
export function emotionWeights(settings, emotion, intensity = 1) {
  checkRange("intensity_range", "intensity", intensity, settings.constants.emotion.max_intensity);
  const weights = settings.emotions.map(() => 0);
  for (const [name, share] of mixture("emotion", emotion)) {
    checkName("emotion", name, settings.emotions);
    checkRange("emotion_share", `share of ${name}`, share, Number.MAX_VALUE);
    weights[settings.emotions.indexOf(name)] = share;
  }
  const total = Math.max(1, weights.reduce((a, b) => a + b));
  return weights.map((weight, k) => (k === 0 ? 0 : (weight / total) * intensity));
}

// How far one emotion has become the next, 0..1, so long after it began to.
export function transition(seconds, { emotion }) {
  const passed = Math.min(Math.max(seconds / emotion.transition_seconds, 0), 1);
  return passed - Math.sin(2 * Math.PI * passed) / (2 * Math.PI);
}

// A whole style vector of a name, of a mixture {name: amount 0..1.5}, or null = the default.
export function styleVector(settings, style) {
  const named = (name) => {
    const { modulation, offset, gain } = settings.styles[name];
    return [...modulation, ...offset, ...gain.map(Math.log)];
  };
  const names = Object.keys(settings.styles);
  const usual = named(names[0]);
  const vector = Float32Array.from(usual);
  for (const [name, amount] of mixture("style", style ?? {})) {
    checkName("style", name, names);
    checkRange("style_amount", `amount of ${name}`, amount, MAX_STYLE_AMOUNT);
    named(name).forEach((value, k) => (vector[k] += amount * (value - usual[k])));
  }
  return vector;
}
