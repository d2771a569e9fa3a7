// Blinks, gaze and breath: a minute of them that bilabial.json carries, repeated from any moment on.

export class Life {
  // start: seconds into the minute; null = anywhere
  constructor({ blendshapes, life }, start = null) {
    const bytes = Uint8Array.from(atob(life.values), (letter) => letter.charCodeAt(0));
    this.values = new Uint16Array(bytes.buffer);
    this.fps = life.fps;
    this.columns = life.names.map((name) => blendshapes.indexOf(name));
    this.count = this.values.length / this.columns.length;
    this.start = (start ?? Math.random() * (this.count / this.fps)) * this.fps; // frames
    this.lids = ["Left", "Right"].map((side) => ["eyeWide", "eyeBlink"].map((name) => blendshapes.indexOf(name + side)));
  }

  // Over a face of a time, in place; the lips' distance stays.
  apply(face, seconds, lips) {
    const distance = lips.distance(face);
    const position = (this.start + seconds * this.fps) % this.count;
    const before = Math.floor(position);
    const after = (before + 1) % this.count;
    const width = this.columns.length;
    const moved = new Map();
    this.columns.forEach((column, k) => {
      const [a, b] = [before, after].map((frame) => this.values[frame * width + k] / 65535);
      const value = a + (b - a) * (position - before);
      moved.set(column, value);
      face[column] = 1 - (1 - face[column]) * (1 - value);
    });
    for (const [wide, blink] of this.lids) face[wide] *= 1 - (moved.get(blink) ?? 0); // a lid that closes is not wide
    return lips.set(face, distance);
  }
}
