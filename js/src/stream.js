// A face that speaks along, as FaceStream of streaming.py: pieces of any size give what the whole gives.

import { emotionWeights, styleVector, transition } from "./conditions.js";
import { BilabialError } from "./errors.js";
import { meanSquare, shareAtRest, SpeakerLevel } from "./level.js";
import { Life } from "./life.js";
import { Lips } from "./lips.js";
import { ModelSteps } from "./steps.js";

const joined = (a, b) => {
  const both = new Float32Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
};

export class FaceStream {
  constructor(ort, session, settings, options = {}) {
    const { emotion = "neutral", intensity = 1, style = null, fps = 30, motion = true, motionStart = null, levelDb = null } = options;
    if (!(fps >= 1 && fps <= 240)) throw new BilabialError("fps_range", `fps must be a number from 1 to 240, got ${fps}`);
    if (levelDb !== null && !Number.isFinite(levelDb)) {
      throw new BilabialError("level_range", `levelDb must be a finite number of dB, got ${levelDb}`);
    }
    if (motionStart !== null && !(motionStart >= 0 && motionStart < Infinity)) {
      throw new BilabialError("motion_start", `motionStart must be a number of seconds from 0, got ${motionStart}`);
    }
    const vector = styleVector(settings, style);
    const { blendshapes, constants, frame_hop_samples, rest_seconds, sampling_rate } = settings;
    Object.assign(this, { settings, fps, givenLevel: levelDb, hop: frame_hop_samples });
    this.rate = sampling_rate / frame_hop_samples; // internal frames per second
    this.lips = new Lips(settings);
    this.life = motion ? new Life(settings, motionStart) : null;
    this.steps = new ModelSteps(ort, session, settings, vector);
    const { rest } = constants;
    this.numAhead = Math.ceil(settings.lookahead_seconds * this.rate - 1e-9);
    this.reach = Math.ceil((rest_seconds + rest.rest_fade_seconds) * this.rate - 1e-9) + rest.steady_frames[0] + 1;
    this.numBefore = Math.max(this.reach, settings.num_decoder_frames);
    this.opening = Math.exp(vector[settings.style_size + blendshapes.length + blendshapes.indexOf("jawOpen")]);
    this.emotion = emotionWeights(settings, emotion, intensity);
    this.reset();
  }

  // Begins again at time 0, with the emotion of now.
  reset(keepLevel = false) {
    if (!keepLevel || !this.level) this.level = new SpeakerLevel(this.settings.constants, this.rate);
    this.levelDb = this.givenLevel ?? this.level.db;
    this.rest = new Float32Array(0); // samples of a frame that is not full yet
    this.sound = new Float32Array(0); // leveled samples from frame numStepped on
    this.levels = []; // dB of leveled frames from frame `first` on
    this.weights = []; // of frames from `first` to numDone
    this.first = this.numDone = this.numStepped = this.numSent = this.numReceived = 0; // samples; the others frames
    [this.before, this.changed] = [this.emotion, 0];
    this.last = null; // faces of frame numDone - 1
    this.finished = false;
    this.steps.reset();
  }

  get delaySeconds() {
    return (this.numAhead + 1) / this.rate;
  }

  // As in a schedule, it takes a second from the next frame on.
  setEmotion(emotion, intensity = 1) {
    const wanted = emotionWeights(this.settings, emotion, intensity);
    [this.before, this.emotion, this.changed] = [this.weightsOf(this.numDone), wanted, this.numDone];
  }

  // Hears the next samples at 16 kHz, -1..1; returns the frames that became certain: {first, count, values}, first: the
  // number of the first of them, at first / fps seconds.
  async feed(samples) {
    if (!(samples instanceof Float32Array)) {
      throw new BilabialError("samples_kind", `samples must be a Float32Array in -1..1, got ${samples?.constructor?.name ?? samples}`);
    }
    if (!samples.every(Number.isFinite)) throw new BilabialError("samples_finite", "samples must be finite numbers");
    if (this.finished) throw new BilabialError("stream_finished", "this stream is finished; reset() begins a new one");
    this.numReceived += samples.length;
    const sound = joined(this.rest, samples);
    const full = sound.length - (sound.length % this.hop);
    this.rest = sound.slice(full);
    this.append(sound.subarray(0, full));
    return this.advance(this.first + this.levels.length - this.numAhead + 1);
  }

  // The frames that were waiting for more sound; together ceil(seconds * fps).
  async finish() {
    this.finished = true;
    this.append(this.rest);
    this.rest = new Float32Array(0);
    return this.advance(this.first + this.levels.length);
  }

  // Brings samples from the start of a frame on to the level of training.
  append(samples) {
    const usual = this.settings.constants.level.speech_level_db;
    const leveled = new Float32Array(samples.length);
    for (let start = 0; start < samples.length; start += this.hop) {
      const frame = samples.subarray(start, start + this.hop);
      const before = this.levelDb;
      if (this.givenLevel === null) this.levelDb = this.level.update(frame);
      const step = (this.levelDb - before) / Math.max(frame.length - 1, 1);
      frame.forEach((sample, k) => (leveled[start + k] = sample * 10 ** ((usual - before - step * k) / 20)));
      const power = meanSquare(leveled.subarray(start, start + frame.length), this.hop);
      this.levels.push(10 * Math.log10(Math.max(power, 1e-12)));
    }
    this.sound = joined(this.sound, leveled);
  }

  async advance(numCertain) {
    const first = this.numSent;
    const sent = [];
    while (this.numDone < numCertain) {
      const end = Math.min(numCertain, this.numDone + this.settings.constants.stream.step_frames);
      const faces = await this.decode(end);
      sent.push(...this.handOut(faces, end));
      this.last = faces.at(-1);
      this.numDone = end;
      this.forget(end - this.numBefore);
    }
    const width = this.settings.blendshapes.length;
    const values = new Float32Array(sent.length * width);
    sent.forEach((face, k) => values.set(face, k * width));
    return { first, count: sent.length, values };
  }

  // Faces {neutral, face} of internal frames numDone to `end`, as far at rest as their sound says.
  async decode(end) {
    for (let frame = this.numDone; frame < end; frame++) this.weights.push(this.weightsOf(frame));
    const { blendshapes, constants, delay_frames, emotions, rest_seconds } = this.settings;
    const count = end + delay_frames - this.numStepped;
    const samples = new Float32Array(count * this.hop);
    const sound = this.sound.subarray(0, samples.length);
    samples.set(sound);
    const mask = Float32Array.from({ length: count }, (_, k) => Number(k * this.hop < sound.length));
    const rows = this.isFelt() ? 2 : 1;
    const emotion = new Float32Array(rows * count * emotions.length);
    const delayed = this.weights.slice(-count); // frames before the first are padding
    delayed.forEach((weights, k) => emotion.set(weights, (rows * count - delayed.length + k) * emotions.length));
    const output = await this.steps.step(samples, mask, emotion, rows);
    this.sound = this.sound.slice(sound.length);
    this.numStepped = end + delay_frames;
    const faces = [];
    for (let frame = this.numDone; frame < end; frame++) {
      const start = (count - (end - frame)) * blendshapes.length;
      const pair = [output.neutral, output.face].map((values) => Array.from(values.subarray(start, start + blendshapes.length)));
      if (rest_seconds > 0) {
        const from = Math.max(this.first, frame - this.reach);
        const levels = this.levels.slice(from - this.first, this.finished ? undefined : frame + this.numAhead - this.first);
        const share = shareAtRest(levels, frame - from, 1 / this.rate, rest_seconds, this.settings.lookahead_seconds, constants);
        if (share > 0) pair.forEach((face) => this.lips.close(face, share));
      }
      faces.push(pair);
    }
    return faces;
  }

  // Faces at the asked rate, of internal frames up to the one before `end`.
  handOut(faces, end) {
    const first = this.numDone - (this.last ? 1 : 0);
    const known = this.last ? [this.last, ...faces] : faces;
    let stop = Math.floor(((end - 1) / this.rate) * this.fps + 1e-9) + 1;
    if (this.finished && end * this.hop >= this.numReceived) {
      const exact = (this.numReceived / this.settings.sampling_rate) * this.fps;
      stop = Math.ceil(Math.round(exact * 1e6) / 1e6);
    }
    const sent = [];
    for (; this.numSent < stop; this.numSent++) {
      const position = this.numSent * (this.rate / this.fps) - first;
      const before = Math.min(Math.floor(position), known.length - 1);
      const after = Math.min(before + 1, known.length - 1);
      const weight = Math.min(Math.max(position - before, 0), 1);
      const between = (part) => known[before][part].map((value, k) => value * (1 - weight) + known[after][part][k] * weight);
      const face = this.lips.match(between(0), between(1), this.isFelt(), this.opening);
      sent.push(this.life ? this.life.apply(face, this.numSent / this.fps, this.lips) : face);
    }
    return sent;
  }

  isFelt() {
    return this.weights.some((weights) => weights.some((weight) => weight > 0));
  }

  weightsOf(frame) {
    const share = transition((frame - this.changed) / this.rate, this.settings.constants);
    return this.before.map((weight, k) => Math.max(weight + share * (this.emotion[k] - weight), 0));
  }

  // Lets go of what no later frame needs.
  forget(first) {
    if (first <= this.first) return;
    this.levels.splice(0, first - this.first);
    this.weights.splice(0, first - this.first);
    this.first = first;
  }
}
