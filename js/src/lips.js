// The geometry of the lips, as in hub/lips_bilabial.py. A face is an array of coefficients in the order of
// settings.blendshapes; functions that change one change it in place.

const clip = (value, low, high) => Math.min(Math.max(value, low), high);

export class Lips {
  constructor(settings) {
    const { blendshapes, lip_distance_weights: weights, constants, seal_distance: threshold } = settings;
    const column = (name) => blendshapes.indexOf(name);
    this.constants = constants.lips;
    this.threshold = threshold;
    this.terms = Object.entries(weights).map(([name, weight]) => [column(name), weight]);
    this.movers = this.constants.lip_change.filter((name) => weights[name]).map((name) => [column(name), weights[name]]);
    this.jaw = this.movers.filter(([k]) => k === column("jawOpen"));
    this.tongue = column(this.constants.tongue);
  }

  // Lip units (jawOpen = 1); not clamped it may be below 0.
  distance(face, clamped = true) {
    const distance = this.terms.reduce((sum, [k, weight]) => sum + weight * face[k], 0);
    return clamped ? Math.max(distance, 0) : distance;
  }

  // Lips `missing` further apart, by the coefficients of `order` in 0..1.
  move(face, missing, order) {
    for (const [k, weight] of order) {
      const before = face[k];
      face[k] = clip(before + missing / weight, 0, 1);
      missing -= weight * (face[k] - before);
    }
    return face;
  }

  // Lips `distance` apart, by mouthClose, then by the jaw; those pressed together where 0 is asked for stay so.
  set(face, distance) {
    const now = this.distance(face, false);
    if (distance < this.constants.touching && now < 0) return face;
    return this.move(face, distance - now, this.movers.toReversed());
  }

  // Takes away a share of the lip distance: by the jaw, or so much of it as jawShare says, and what that leaves.
  close(face, share, jawShare = 1) {
    const distance = this.distance(face);
    this.move(face, -jawShare * share * distance, this.jaw);
    if (this.tongue >= 0) face[this.tongue] *= 1 - share;
    return this.set(face, (1 - share) * distance);
  }

  // The face with its lips closed where those of the neutral one are, or nearly are. Changes both.
  match(neutral, face, hasEmotion, opening) {
    if (this.threshold > 0) {
      const share = clip(2 - this.distance(neutral) / this.threshold, 0, 1);
      for (const part of [neutral, face]) this.close(part, share, this.constants.speaking_jaw_share);
    }
    if (!hasEmotion) return face;
    const spoken = this.distance(neutral) * opening;
    const [low, high] = this.constants.emotion_opening.map((bound) => bound * spoken);
    return this.set(face, clip(this.distance(face), low, high));
  }
}
