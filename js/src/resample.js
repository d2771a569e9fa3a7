// Sound at any rate to another, piece by piece: a sum of sincs under a Kaiser-like window, without what lies above the
// lower rate's half. Output sample m lies at m / to seconds, whatever the sizes of the pieces.

import { BilabialError } from "./errors.js";

const CROSSINGS = 16; // zero crossings of the sinc on either side
const PASSED = 0.94; // share of the lower rate's half that passes
const FINENESS = 256; // table entries between two crossings

const TABLE = Float32Array.from({ length: CROSSINGS * FINENESS + 2 }, (_, k) => {
  const x = k / FINENESS;
  const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
  const turn = (Math.PI * Math.min(x, CROSSINGS)) / CROSSINGS;
  return sinc * (0.42 + 0.5 * Math.cos(turn) + 0.08 * Math.cos(2 * turn)); // Blackman
});

export class Resampler {
  // rates in Hz
  constructor(from, to = 16000) {
    for (const rate of [from, to]) {
      if (rate > 0 && rate < Infinity) continue;
      throw new BilabialError("sampling_rate_range", `a sampling rate must be a positive number of Hz, got ${rate}`);
    }
    Object.assign(this, { ratio: from / to, scale: PASSED * Math.min(1, to / from) });
    this.half = Math.ceil(CROSSINGS / this.scale); // input samples on either side of an output sample
    this.kept = new Float32Array(this.half); // the sound before the first sample is silence
    this.first = -this.half; // number of the first kept sample
    this.count = 0; // output samples so far
  }

  // The output samples that the next input samples decide.
  feed(samples) {
    const sound = new Float32Array(this.kept.length + samples.length);
    sound.set(this.kept);
    sound.set(samples, this.kept.length);
    const end = this.first + sound.length;
    const output = [];
    for (; Math.floor(this.count * this.ratio) + this.half < end; this.count++) output.push(this.at(sound, this.count * this.ratio));
    const needed = Math.floor(this.count * this.ratio) - this.half;
    this.kept = sound.slice(Math.max(0, needed - this.first));
    this.first = end - this.kept.length;
    return Float32Array.from(output);
  }

  // What is left at the end: as many samples as lie before it.
  finish() {
    const total = Math.ceil((this.first + this.kept.length) / this.ratio - 1e-9) - this.count;
    return this.feed(new Float32Array(this.half + Math.ceil(this.ratio))).slice(0, Math.max(total, 0));
  }

  at(sound, position) {
    let sum = 0;
    const start = Math.floor(position) - this.half + 1;
    for (let k = Math.max(start, this.first); k <= Math.floor(position) + this.half; k++) {
      const x = Math.abs(k - position) * this.scale * FINENESS;
      if (x >= CROSSINGS * FINENESS) continue;
      const before = Math.floor(x);
      sum += sound[k - this.first] * (TABLE[before] + (TABLE[before + 1] - TABLE[before]) * (x - before));
    }
    return sum * this.scale;
  }
}
