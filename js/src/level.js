// Speech level, and frames without speech, as in streaming.py and hub/level_bilabial.py.

// As numpy.percentile: linear between the sorted values.
export function percentile(values, percent) {
  const sorted = Float64Array.from(values).sort();
  const position = ((sorted.length - 1) * percent) / 100;
  const before = Math.floor(position);
  const after = Math.min(before + 1, sorted.length - 1);
  return sorted[before] + (sorted[after] - sorted[before]) * (position - before);
}

export const meanSquare = (samples, count = samples.length) =>
  samples.reduce((sum, sample) => sum + sample * sample, 0) / count;

// Running estimate of the speech level; it starts at a usual level and never jumps.
export class SpeakerLevel {
  recent = []; // dB of the latest frames

  constructor({ level, stream }, framesPerSecond) {
    Object.assign(this, { level, stream, db: level.speech_level_db });
    this.capacity = Math.round(stream.level_seconds * framesPerSecond);
    this.share = 1 / (stream.level_follows_seconds * framesPerSecond);
  }

  // The level, in dB, after the next frame of samples as recorded.
  update(frame) {
    this.recent.push(10 * Math.log10(Math.max(meanSquare(frame), 1e-12)));
    if (this.recent.length > this.capacity) this.recent.shift();
    const [soft, loud] = [percentile(this.recent, 10), percentile(this.recent, 95)];
    const { faintest_level_db, speech_over_noise_db, loud_range_db } = this.level;
    const least = Math.max(faintest_level_db, soft + speech_over_noise_db, loud - loud_range_db);
    if (this.recent.at(-1) < least) return this.db; // in a pause it stays
    const speech = this.recent.filter((db) => db >= least).map((db) => 10 ** (Math.min(db, loud) / 10));
    const missing = 10 * Math.log10(speech.reduce((a, b) => a + b) / speech.length) - this.db;
    const most = this.stream.max_level_change_db;
    this.db += Math.min(Math.max(missing * this.share, -most), most);
    return this.db;
  }
}

// Degree of rest of the mouth, 0 to 1, in frame `index` of consecutive frames whose levels (dB, of leveled
// speech) are given: `quiet_share`.
export function shareAtRest(levels, index, frameSeconds, restSeconds, lookaheadSeconds, { level, rest }) {
  const last = levels.length - 1;
  const [before, most] = rest.steady_frames;
  const after = Math.min(most, Math.floor(lookaheadSeconds / frameSeconds));
  const sounds = (k) => {
    const around = Array.from({ length: before + after + 1 }, (_, n) => levels[Math.min(Math.max(k - before + n, 0), last)]);
    const steady = Math.min(percentile(around, 20) + rest.steady_db, level.speech_level_db - rest.steady_range_db);
    return levels[k] >= Math.max(steady, level.speech_level_db - rest.quiet_range_db);
  };
  let [since, until] = [0, 0];
  while (since <= index && !sounds(index - since)) since++;
  while (index + until <= last && !sounds(index + until)) until++;
  since = since > index ? Infinity : since * frameSeconds;
  until = index + until > last ? Infinity : until * frameSeconds;
  const known = Math.min(rest.rest_known_seconds, lookaheadSeconds);
  const longer = since + Math.min(until, known) - (restSeconds + known);
  const closing = Math.min(Math.max(longer / rest.rest_fade_seconds + 0.5, 0), 1);
  const opening = Math.min(until / Math.min(rest.rest_lead_seconds, lookaheadSeconds), 1);
  return Math.min(closing ** 2 * (3 - 2 * closing), opening); // eased
}
