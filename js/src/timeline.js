// Which face belongs on the screen now: sound comes at its own pace, faces come a little later, and what is drawn
// should neither jump nor wait longer than it must.

const NUM_LAGS = 50;
const FASTER = 0.25; // how much time runs faster while the delay shrinks
const SLOWER = 0.5;

export class Timeline {
  frames = []; // the latest ones
  count = 0; // of all so far
  offsets = []; // s from the sound's clock to ours, as each of the latest pieces says
  lags = []; // s between now and the newest frame
  delay = null; // s between now and what is drawn

  constructor(fps) {
    this.fps = fps;
  }

  // A piece of sound ended at `seconds` of its own clock. now: s of ours.
  received(seconds, now) {
    this.offsets.push(now - seconds);
    if (this.offsets.length > NUM_LAGS) this.offsets.shift();
  }

  // Frames {count, values} came.
  receive({ count, values }, now) {
    const width = values.length / count;
    for (let k = 0; k < count; k++) this.frames.push(values.subarray(k * width, (k + 1) * width));
    this.count += count;
    if (this.frames.length > 10 * this.fps) this.frames.splice(0, this.frames.length - 10 * this.fps);
    if (!count || !this.offsets.length) return;
    this.lags.push(this.soundTime(now) - (this.count - 1) / this.fps);
    if (this.lags.length > NUM_LAGS) this.lags.shift();
  }

  // Seconds of sound until now; the quickest piece says best when it was captured.
  soundTime(now) {
    return now - Math.min(...this.offsets);
  }

  // The face to draw: {time, delay, values}, or null while there is none. Times never go back.
  at(now) {
    if (!this.frames.length) return null;
    const wanted = Math.max(...this.lags) + 1 / this.fps;
    const passed = now - (this.asked ?? now);
    this.delay ??= wanted;
    this.delay += Math.min(Math.max(wanted - this.delay, -FASTER * passed), SLOWER * passed);
    this.asked = now;
    const newest = (this.count - 1) / this.fps;
    const time = Math.max(this.drawn ?? 0, Math.min(this.soundTime(now) - this.delay, newest));
    this.drawn = time;
    const position = Math.max(time * this.fps - (this.count - this.frames.length), 0);
    const before = Math.min(Math.floor(position), this.frames.length - 1);
    const after = Math.min(before + 1, this.frames.length - 1);
    const weight = position - before;
    const values = this.frames[before].map((value, k) => value * (1 - weight) + this.frames[after][k] * weight);
    return { time, delay: this.soundTime(now) - time, values };
  }
}
