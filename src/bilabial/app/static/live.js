// Live: the microphone's sound goes to the server in small pieces, and the faces that come back are drawn a little
// later, as late as the network and the model need.

import { aroundPosition, decode, everyFrame } from "./frames.js";
import { isChinese, t } from "./i18n.js";

const LIVE_HZ = 16000; // what the model hears
const PIECE_SECONDS = 0.1;
const MAX_WAITING_SECONDS = 5; // of sound that the server has not taken
const NUM_LAGS = 20; // of the latest answers, that decide how late faces are drawn
const FASTER = 0.25; // how much time runs faster or slower while the delay shrinks or grows
const SLOWER = 0.5;

// Mono at 16 kHz, also where the browser gives only the device's rate: each sample is the mean of those it stands for.
const MICROPHONE = `registerProcessor("bilabial-microphone", class extends AudioWorkletProcessor {
  piece = new Float32Array(${LIVE_HZ * PIECE_SECONDS}); filled = 0; sum = 0; count = 0; left = sampleRate / ${LIVE_HZ};
  process([channels]) {
    for (let k = 0; k < (channels[0]?.length ?? 0); k++) {
      this.sum += channels.reduce((sum, channel) => sum + channel[k], 0) / channels.length;
      this.count++;
      if (--this.left >= 0.5) continue;
      this.piece[this.filled++] = this.sum / this.count;
      this.sum = this.count = 0;
      this.left += sampleRate / ${LIVE_HZ};
      if (this.filled < this.piece.length) continue;
      this.port.postMessage(this.piece.slice());
      this.filled = 0;
    }
    return true;
  }
});`;

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
const encoded = (bytes) => btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ""));

class LiveSession {
  // player: draws the face. server: the functions of bilabial.app.sessions.
  constructor(player, server) {
    Object.assign(this, { player, server });
  }

  pieces = []; // Float32Arrays that wait for the server
  numSamples = 0; // samples
  offsets = []; // ms from the start of the sound's clock to performance.now(), as each of the latest pieces says
  frames = []; // Float32Arrays of 52, the latest ones
  numFrames = 0;
  lags = []; // s between now and the newest frame, as each of the latest answers came
  delay = null; // s between now and what is drawn
  drawn = -1; // s, time of the face that is drawn
  measured = []; // ms

  // Asks for the microphone and for a session; throws what stands in the way.
  async start(asked) {
    if (!navigator.mediaDevices) throw new DOMException("", "SecurityError");
    const audio = { channelCount: 1, echoCancellation: false };
    this.microphone = await navigator.mediaDevices.getUserMedia({ audio });
    if (this.ended) return; // it was stopped while the browser asked
    const track = this.microphone.getAudioTracks()[0];
    track.onended = () => this.end(t("The microphone was disconnected."));
    this.latency = 1000 * (track.getSettings().latency ?? 0);
    Object.assign(this, await this.ask("start", asked));
    if (this.ended) return this.leave();
    await this.listen();
    this.send().catch((error) => this.end(error.message));
    everyFrame((now) => this.draw(now));
  }

  async listen() {
    let source;
    try {
      this.context = new AudioContext({ sampleRate: LIVE_HZ });
      source = this.context.createMediaStreamSource(this.microphone);
    } catch {
      await this.context?.close();
      this.context = new AudioContext(); // Firefox connects a microphone at the device's rate only
      source = this.context.createMediaStreamSource(this.microphone);
    }
    const address = URL.createObjectURL(new Blob([MICROPHONE], { type: "text/javascript" }));
    await this.context.audioWorklet.addModule(address).finally(() => URL.revokeObjectURL(address));
    const node = new AudioWorkletNode(this.context, "bilabial-microphone", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => this.take(data);
    source.connect(node);
    await this.context.resume();
  }

  take(piece) {
    this.numSamples += piece.length;
    this.offsets.push(performance.now() - (1000 * this.numSamples) / LIVE_HZ);
    this.offsets.splice(0, this.offsets.length - 50);
    this.pieces.push(piece);
    if (this.pieces.length * PIECE_SECONDS > MAX_WAITING_SECONDS) this.end(t("The server or the network is too slow for live mode."));
    this.wake?.();
    this.onlevel?.(Math.sqrt(piece.reduce((sum, sample) => sum + sample * sample, 0) / piece.length));
  }

  // Seconds of sound until now. The quickest piece says best when sound is captured.
  now() {
    return (performance.now() - Math.min(...this.offsets) + this.latency) / 1000;
  }

  async send() {
    while (!this.ended) {
      if (!this.pieces.length) await new Promise((resolve) => (this.wake = resolve));
      const samples = this.pieces.splice(0).flatMap((piece) => Array.from(piece));
      const sound = Int16Array.from(samples, (sample) => 32767 * Math.min(Math.max(sample, -1), 1));
      if (samples.length) this.receive(await this.ask("feed", { key: this.key, sound: encoded(new Uint8Array(sound.buffer)) }));
    }
  }

  receive({ frames }) {
    if (this.numFrames) this.lags.push(this.now() - (this.numFrames - 1) / this.fps);
    this.lags.splice(0, this.lags.length - NUM_LAGS);
    const numbers = decode(frames, Uint16Array);
    for (let k = 0; k < numbers.length; k += this.names.length) {
      this.frames.push(Float32Array.from(numbers.subarray(k, k + this.names.length), (number) => number / 65535));
      this.numFrames++;
    }
    this.frames.splice(0, this.frames.length - 10 * this.fps);
  }

  draw(now) {
    if (!this.player.element.isConnected) this.end("");
    if (this.ended) return false;
    if (this.lags.length) {
      const wanted = this.lags.toSorted((a, b) => b - a)[Math.min(1, this.lags.length - 1)]; // one late answer is chance
      const passed = (now - this.drawnAt) / 1000 || 0;
      this.delay ??= wanted;
      this.delay += Math.min(Math.max(wanted - this.delay, -FASTER * passed), SLOWER * passed);
      this.drawnAt = now;
      this.pose(Math.max(this.drawn, Math.min(this.now() - this.delay, (this.numFrames - 1) / this.fps)));
    }
  }

  // Draws the face of a time, and measures how long ago its sound was captured.
  pose(time) {
    const first = this.numFrames - this.frames.length;
    const [before, after, weight] = aroundPosition(time * this.fps - first, this.frames.length);
    const values = Array.from(this.frames[before], (value, k) => value * (1 - weight) + this.frames[after][k] * weight);
    const { canvas, head } = this.player;
    if (time !== this.drawn) head?.pose(this.names, values);
    if (head?.changed) head.render(true);
    this.drawn = time;
    const delay = 1000 * (this.now() - time);
    this.measured.push(delay);
    this.measured.splice(0, this.measured.length - 60);
    this.ondelay?.(median(this.measured));
    canvas.dispatchEvent(new CustomEvent("bilabial-live", { detail: { time, delay, values } }));
  }

  async ask(what, asked) {
    const answer = await this.server[`live_${what}`](asked).catch((error) => {
      if (!(error instanceof TypeError)) throw error; // browsers call a failed fetch so
    });
    if (!answer) throw new Error(t("The connection to the server was lost."));
    if (answer.error) throw new Error(isChinese ? answer.chinese : answer.error);
    return answer;
  }

  // reason: a message, or nothing when it was stopped on purpose
  end(reason = "") {
    if (this.ended) return;
    this.ended = true;
    this.microphone?.getTracks().forEach((track) => track.stop());
    this.context?.close();
    this.wake?.();
    if (this.key) this.leave();
    this.onend?.(reason);
  }

  // Makes room for another visitor.
  leave() {
    this.ask("stop", { key: this.key }).catch(() => {}); // it ends by itself
  }
}

const REFUSALS = {
  SecurityError: "Live mode needs the microphone, which browsers give only to pages over https or on this computer.",
  NotAllowedError: "The microphone was refused. Allow it for this page in your browser, then press Live again.",
  NotFoundError: "No microphone was found.",
  NotReadableError: "The microphone cannot be used; another program may have it.",
};

// Settings of the page: {emotion, intensity, style}.
const asked = () => window.bilabialAsked ?? { emotion: "neutral", intensity: 1, style: {} };

// The Live button of the player.
export function mountLive(player, server) {
  const { audio, canvas, part } = player;
  const button = part("live");

  function showRunning(running) {
    part("heard").hidden = !running;
    button.setAttribute("aria-pressed", running);
    button.textContent = t(running ? "Stop" : "Live");
  }

  function onend(reason) {
    player.live = null;
    showRunning(false);
    player.say(reason);
    player.rest();
    player.drawControls();
  }

  let shown = 0; // ms, when the delay was last shown
  function ondelay(delay) {
    if (performance.now() - shown < 500) return;
    shown = performance.now();
    part("delay").textContent = t("{delay} ms behind", { delay: Math.round(delay) });
    canvas.dataset.delay = Math.round(delay);
  }

  async function start() {
    if (!player.head) return player.say(t("The 3D head is still loading."));
    audio.pause();
    player.endPreview();
    player.say("");
    showRunning(true);
    part("delay").textContent = t("Listening");
    const onlevel = (level) => (part("level").value = 1 + Math.log10(Math.max(level, 1e-3)) / 3); // -60 to 0 dB
    const session = Object.assign(new LiveSession(player, server), { onend, onlevel, ondelay, style: JSON.stringify(asked().style) });
    player.live = session;
    player.drawControls();
    try {
      await session.start(asked());
    } catch (error) {
      session.end(t(REFUSALS[error.name] ?? error.message));
    }
    if (session.ended) session.microphone?.getTracks().forEach((track) => track.stop()); // it was stopped meanwhile
  }

  function change() {
    const session = player.live;
    if (!session?.key) return;
    const { emotion, intensity, style } = asked();
    session.ask("set_emotion", { key: session.key, emotion, intensity }).catch((error) => player.say(error.message));
    player.say(JSON.stringify(style) === session.style ? "" : t("The new style applies to the next live session."));
  }

  button.hidden = false;
  button.onclick = () => (player.live ? player.live.end() : start());
  audio.addEventListener("play", () => player.live?.end());
  window.addEventListener("pagehide", () => player.live?.end());
  window.addEventListener("bilabial-asked", change);
}
