// Turns and nods of a head that speaks: a minute of them that bilabial.json carries, again and again. Nods do not know the
// syllables.

export class HeadMotion {
  // fps: of the rotations. values: base64 of little-endian int16, three a frame, in steps of step_degrees.
  constructor({ fps, step_degrees: degrees, values }) {
    const bytes = Uint8Array.from(atob(values), (letter) => letter.charCodeAt(0));
    Object.assign(this, { fps, degrees, steps: new Int16Array(bytes.buffer) });
  }

  // [yaw to the subject's left, pitch up, roll to the subject's right] at a time, degrees.
  at(seconds) {
    const { degrees, fps, steps } = this;
    const count = steps.length / 3;
    const position = (seconds * fps) % count;
    const before = Math.floor(position);
    const after = (before + 1) % count;
    const weight = position - before;
    return [0, 1, 2].map((axis) => degrees * (steps[3 * before + axis] * (1 - weight) + steps[3 * after + axis] * weight));
  }
}
