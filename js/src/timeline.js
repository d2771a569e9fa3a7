// Which face belongs on the screen now: sound comes at its own pace, faces come a little later, and what is drawn
// should neither jump nor wait longer than it must.

const CLOCK_PIECES = 125; // the quickest of the latest pieces says best when sound was captured
const LAG_SECONDS = 2; // pictures of so long decide how late faces are drawn
const IN_TIME = 0.95; // share of these pictures whose face was there
const KEPT_SECONDS = 10; // of faces
const FASTER = 0.25; // how much time runs faster while the delay shrinks
const SLOWER = 0.5;

export class Timeline {
  frames = []; // the latest ones
  count = 0; // of all so far
  lags = []; // {at, lag}: s between the sound of now and the newest frame, for each picture
  delay = null; // s between the sound of now and what is drawn

  // start: s of the sound that the first frame belongs to. before: a timeline whose sound and drawing go on.
  constructor(fps, { start = 0, before = null } = {}) {
    Object.assign(this, { fps, start, offsets: before?.offsets ?? [], drawn: before?.drawn ?? start });
  }

  // A piece of sound ended at `seconds` of its own clock. now: s of ours.
  received(seconds, now) {
    this.offsets.push(now - seconds);
    if (this.offsets.length > CLOCK_PIECES) this.offsets.shift();
  }

  // Frames {count, values} came.
  receive({ count, values }) {
    const width = values.length / count;
    for (let k = 0; k < count; k++) this.frames.push(values.subarray(k * width, (k + 1) * width));
    this.count += count;
    this.frames.splice(0, this.frames.length - KEPT_SECONDS * this.fps);
  }

  // s of sound until now
  soundTime(now) {
    return now - Math.min(...this.offsets);
  }

  // s, time of the newest frame
  get newest() {
    return this.start + (this.count - 1) / this.fps;
  }

  // The face to draw: {time, delay, values}, or null while there is none later than what was drawn. Times never go back.
  at(now) {
    if (!this.count || !this.offsets.length || this.newest < this.drawn) return null;
    const sound = this.soundTime(now);
    this.lags = this.lags.filter(({ at }) => now - at < LAG_SECONDS);
    this.lags.push({ at: now, lag: sound - this.newest });
    const lags = this.lags.map(({ lag }) => lag).sort((a, b) => a - b);
    const wanted = lags[Math.floor(IN_TIME * (lags.length - 1))];
    const passed = now - (this.asked ?? now);
    this.asked = now;
    this.delay ??= wanted;
    this.delay += Math.min(Math.max(wanted - this.delay, -FASTER * passed), SLOWER * passed);
    this.drawn = Math.max(this.drawn, Math.min(sound - this.delay, this.newest));
    const position = (this.drawn - this.newest) * this.fps + this.frames.length - 1;
    const before = Math.min(Math.max(Math.floor(position), 0), this.frames.length - 1);
    const after = Math.min(before + 1, this.frames.length - 1);
    const weight = Math.min(Math.max(position - before, 0), 1);
    const values = this.frames[before].map((value, k) => value * (1 - weight) + this.frames[after][k] * weight);
    return { time: this.drawn, delay: sound - this.drawn, values };
  }
}
