// Live: the microphone's sound goes to the model in small pieces, and the faces that come back are drawn a little
// later, as late as the model, the network and the drawing need. Where this browser cannot run the model, the server does.

import { Microphone, Timeline } from "../../../../js/src/index.js";
import { BrowserFaces, ServerFaces } from "./faces.js";
import { everyFrame } from "./frames.js";
import { t } from "./i18n.js";

const LIVE_HZ = 16000; // what the model hears
const PIECE_SECONDS = 0.04; // a step of the model costs much the same for one frame and for two
const KEPT_SECONDS = 2; // of the latest sound, which the server hears again when it goes on

const TOO_SLOW = "This browser is too slow for the model.";
const NOT_STARTED = "The model could not be started in this browser.";
const ON_SERVER = "The server computes the face.";

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];

class LiveSession {
  // player: draws the face. server: the functions of bilabial.app.sessions, for browsers that cannot run the model.
  constructor(player, server) {
    Object.assign(this, { player, server });
  }

  faces = null; // of faces.js
  numSamples = 0; // since the start
  recent = []; // the latest pieces
  timeline = null; // of the latest faces
  measured = []; // ms

  // Asks for the microphone and for faces; throws what stands in the way.
  async start() {
    if (!navigator.mediaDevices) throw new DOMException("", "SecurityError");
    if (!window.AudioWorkletNode) throw new DOMException("", "NotSupportedError");
    const audio = { channelCount: 1, echoCancellation: false };
    this.media = await navigator.mediaDevices.getUserMedia({ audio });
    if (this.ended) return; // it was stopped while the browser asked
    const track = this.media.getAudioTracks()[0];
    track.onended = () => this.end(t("The microphone was disconnected."));
    this.latency = track.getSettings().latency ?? 0; // s
    try {
      await this.use((wanted) => BrowserFaces.open(this.player.props.live, wanted));
    } catch (error) {
      await this.useServer(NOT_STARTED, error);
    }
    if (this.ended) return;
    await this.listen();
    everyFrame(() => this.draw());
  }

  // Faces that open() gives for what is asked now, and for what was asked meanwhile.
  async use(open) {
    const wanted = asked();
    const faces = await open(wanted);
    if (this.ended) return faces.stop();
    const { emotion, intensity } = asked();
    if (JSON.stringify([emotion, intensity]) !== JSON.stringify([wanted.emotion, wanted.intensity])) await faces.setEmotion(emotion, intensity);
    this.style = JSON.stringify(wanted.style);
    const start = (this.numSamples - this.recent.reduce((sum, piece) => sum + piece.length, 0)) / LIVE_HZ;
    this.timeline = new Timeline(faces.fps, { start, before: this.timeline });
    this.inTime = this.numSamples; // when faces were in time for the last time
    this.gotAt = this.numSamples; // when the latest ones came
    this.faces = faces;
    this.sound = faces.connect((values) => this.receive(faces, values), (error) => this.fail(faces, error));
    this.microphone?.forward(this.sound);
    for (const piece of this.recent) faces.feed?.(piece);
    this.onfaces?.(faces);
  }

  // why: what the browser could not. It hears the latest sound again, so that the face goes on without a gap.
  async useServer(why, error) {
    console.info(`live mode runs on the server: ${error?.message ?? why}`);
    this.faces = null;
    try {
      await this.use((wanted) => ServerFaces.open(this.server, wanted));
      if (!this.ended) this.player.say(`${t(why)} ${t(ON_SERVER)}`);
    } catch (error) {
      this.end(`${t(why)} ${error.message}`);
    }
  }

  // What cannot go on is replaced by the server; the server's errors end the session.
  fail(faces, error) {
    if (faces !== this.faces || this.ended) return;
    if (faces.place === "server") return this.end(error?.message ?? t("The server or the network is too slow for live mode."));
    faces.stop();
    this.useServer(error ? "The model stopped in this browser." : TOO_SLOW, error);
  }

  async listen() {
    const worklet = this.player.props.live.microphone;
    const onerror = () => this.end(t("The microphone stopped."));
    const given = { media: this.media, pieceSeconds: PIECE_SECONDS, port: this.sound, worklet, onerror };
    const microphone = await Microphone.open((piece) => this.take(piece), given);
    if (this.ended) return microphone.close();
    this.microphone = microphone;
  }

  take(piece) {
    if (this.ended) return;
    this.numSamples += piece.length;
    this.timeline.received(this.numSamples / LIVE_HZ, performance.now() / 1000 - this.latency);
    this.recent.push(piece);
    this.recent.splice(0, this.recent.length - KEPT_SECONDS / PIECE_SECONDS);
    this.onlevel?.(Math.sqrt(piece.reduce((sum, sample) => sum + sample * sample, 0) / piece.length));
    if (!this.faces) return;
    this.faces.feed?.(piece);
    this.watch();
  }

  // Notices when faces stay too far behind the sound, or stay away: no event tells that a thread is gone.
  watch() {
    const { faces, numSamples } = this;
    const behind = numSamples / LIVE_HZ - this.timeline.newest - faces.delaySeconds;
    if (behind <= faces.maxBehindSeconds) this.inTime = numSamples;
    else if (numSamples - this.inTime > faces.patienceSeconds * LIVE_HZ) {
      const silent = faces.place === "browser" && this.gotAt <= this.inTime;
      this.fail(faces, silent ? new Error("no faces came any more") : undefined);
    }
  }

  receive(faces, values) {
    if (faces !== this.faces) return;
    this.gotAt = this.numSamples;
    this.timeline.receive({ count: values.length / faces.names.length, values });
  }

  // Draws the face of now, and measures how long ago its sound was captured.
  draw() {
    const { canvas, element, head } = this.player;
    if (!element.isConnected) this.end("");
    if (this.ended) return false;
    const { drawn } = this.timeline;
    const face = this.faces && this.timeline.at(performance.now() / 1000);
    if (!face) return;
    const { head: turns, names, place } = this.faces;
    const [values, angles] = [Array.from(face.values), turns?.at(face.time)];
    if (face.time !== drawn || !this.measured.length) head?.pose(names, values, angles);
    if (head?.changed) head.render(true);
    const delay = 1000 * (this.timeline.soundTime(performance.now() / 1000) - face.time);
    this.measured.push(delay);
    this.measured.splice(0, this.measured.length - 60);
    this.ondelay?.(median(this.measured), place);
    canvas.dispatchEvent(new CustomEvent("bilabial-live", { detail: { time: face.time, delay, place, values, angles } }));
  }

  // reason: a message, or nothing when it was stopped on purpose
  end(reason = "") {
    if (this.ended) return;
    this.ended = true;
    this.media?.getTracks().forEach((track) => track.stop());
    this.microphone?.close();
    this.faces?.stop();
    this.onend?.(reason);
  }
}

const REFUSALS = {
  SecurityError: "Live mode needs the microphone, which browsers give only to pages over https or on this computer.",
  NotSupportedError: "This browser is too old for live mode: it has no AudioWorklet.",
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
  function ondelay(delay, place) {
    if (performance.now() - shown < 500) return;
    shown = performance.now();
    const text = place === "browser" ? "{delay} ms behind" : "{delay} ms behind, on the server";
    part("delay").textContent = t(text, { delay: Math.round(delay) });
    Object.assign(canvas.dataset, { delay: Math.round(delay), live: place });
  }

  async function start() {
    if (!player.head) return player.say(t("The 3D head is still loading."));
    audio.pause();
    player.endPreview();
    player.say("");
    showRunning(true);
    part("delay").textContent = t("Loading the model");
    const onfaces = () => (part("delay").textContent = t("Listening"));
    const onlevel = (level) => (part("level").value = 1 + Math.log10(Math.max(level, 1e-3)) / 3); // -60 to 0 dB
    const session = Object.assign(new LiveSession(player, server), { onend, onlevel, ondelay, onfaces });
    player.live = session;
    player.drawControls();
    try {
      await session.start();
    } catch (error) {
      session.end(t(REFUSALS[error.name] ?? error.message));
    }
    if (session.ended) session.media?.getTracks().forEach((track) => track.stop()); // it was stopped meanwhile
  }

  function change() {
    const session = player.live;
    if (!session?.faces) return;
    const { emotion, intensity, style } = asked();
    const { faces } = session;
    faces.setEmotion(emotion, intensity).catch((error) => faces === session.faces && player.say(error.message));
    player.say(JSON.stringify(style) === session.style ? "" : t("The new style applies to the next live session."));
  }

  button.hidden = false;
  button.onclick = () => (player.live ? player.live.end() : start());
  audio.addEventListener("play", () => player.live?.end());
  window.addEventListener("pagehide", () => player.live?.end());
  window.addEventListener("bilabial-asked", change);
}
