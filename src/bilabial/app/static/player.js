// Plays a clip with the sound as the clock: the head, the plots and the audio element of player.html.

import { Head } from "./head.js";
import { aroundPosition, decode, everyFrame } from "./frames.js";
import { setTexts, t, translate } from "./i18n.js";
import { mountLive } from "./live.js";
import { importModule } from "./packages.js";
import { page } from "./page.js";
import { NO_FACE } from "./plots.js";
import { encodesVideo, recordVideo } from "./record.js";

const KEY_STEP = Math.PI / 36; // radians that an arrow key turns
const PREVIEW_PAUSE_SECONDS = 0.8; // between two rounds of a clip that plays without sound
const stillness = window.matchMedia("(prefers-reduced-motion: reduce)");

// The value with its arrays: frames (0..65535, frame by frame), lips and captured.lips (mm, null = no face), peaks
// (0..255), head (0.01 degrees, null = not turned); and how long it lasts.
function decodeClip(value) {
  const millimetres = (text) => Array.from(decode(text, Uint16Array), (steps) => (steps === NO_FACE ? null : steps / 100));
  const lips = millimetres(value.lips);
  return {
    ...value,
    frames: decode(value.frames, Uint16Array),
    lips,
    captured: value.captured && { ...value.captured, lips: millimetres(value.captured.lips) },
    peaks: decode(value.peaks, Uint8Array),
    head: value.head && decode(value.head, Int16Array),
    seconds: lips.length / value.fps,
  };
}

// The face of a clip at a time, between two frames; the last one holds: what Head.pose takes.
function faceAt(clip, time) {
  const [before, after, weight] = aroundPosition(time * clip.fps, clip.lips.length);
  const between = (numbers, count, scale) =>
    Array.from({ length: count }, (_, k) => scale * (numbers[before * count + k] * (1 - weight) + numbers[after * count + k] * weight));
  const values = between(clip.frames, clip.names.length, 1 / 65535);
  return [clip.names, values, clip.head ? between(clip.head, 3, 0.01) : undefined];
}

// A head on a canvas. props: those of player_props, names of all 52 coefficients.
async function loadHead(canvas, props) {
  const head = new Head(canvas, props);
  head.coarse = true;
  const response = await fetch(props.head_address);
  if (!response.ok) throw new Error(`the head's file: ${response.status}`);
  await head.load(await response.arrayBuffer(), props.names);
  return head;
}

// The player of the opening view (bilabial/app/opening.py), until the page has one to move it into.
let opening = null;

// Shows the head and the example while the page's own scripts load. element: with player.html in it.
export function openPlayer(element, props) {
  setTexts(props.texts);
  opening = new Player(element, props);
}

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

export class Player {
  head = null; // a Head once it is loaded
  clip = null; // a decoded value
  drawnTime = -1;
  live = null; // the LiveSession that draws the face
  recording = null; // AbortController of the video that is being made
  mediabunny = null; // once it is loaded
  chosenAvatar = null; // a file that was chosen before the head was there
  headless = false; // the head cannot be shown
  awaited = false; // the example comes and will move: no fine picture before
  previewStart = null; // ms of performance.now(): the clip plays without sound, as pages may before a click

  // element: of player.html. props: value = null or what bilabial.app.player.player_data gives, those of player_props,
  // names of all 52 coefficients, autoplay: whether the page may play a new clip at once, example_address: of a value that
  // is shown in the beginning.
  constructor(element, props) {
    Object.assign(this, { element, props });
    const parts = ["stage", "audio", "canvas", "message", "badge", "play"];
    for (const name of parts) this[name] = this.part(name);
    this.recordButton = this.part("record");
    translate(element);
    if (!props.autoplay) this.part("autoplay").closest("label").remove();
    this.offerHeads(this.part("head"));
    this.listen();
    if (props.value) this.show(props.value);
    else if (props.example_address) this.showExample();
    this.loaded = this.loadHead();
    everyFrame(() => this.follow());
  }

  // Goes on in another element, with its own props.
  move(element, props) {
    const old = this.element;
    element.lang = old.lang;
    element.replaceChildren(...old.childNodes);
    Object.assign(this, { element, props });
    old.closest(".bilabial-opening")?.remove();
    this.resize();
  }

  part = (name) => this.element.querySelector(`.bilabial-${name}`);

  listen() {
    const { audio, canvas, element, part } = this;
    canvas.onkeydown = (event) => this.press(event);
    element.querySelectorAll("[data-view]").forEach((button) => (button.onclick = () => this.head?.look(button.dataset.view)));
    part("rate").onchange = (event) => (audio.playbackRate = Number(event.target.value));
    part("loop").onchange = (event) => (audio.loop = event.target.checked);
    part("avatar").onclick = (event) => (event.target.value = ""); // the same file again, exported anew
    part("avatar").onchange = ({ target: { files } }) => (this.head && files[0] ? this.swapAvatar(files[0]) : (this.chosenAvatar = files[0]));
    this.recordButton.onclick = () => (this.recording ? this.recording.abort() : this.makeVideo());
    audio.onloadeddata = () => (audio.playbackRate = Number(part("rate").value));
    for (const event of ["play", "pause", "ended", "seeking"]) audio.addEventListener(event, () => this.endPreview());
    this.play.onclick = () => this.playSound();
    new ResizeObserver(() => this.resize()).observe(this.stage);
  }

  say(text) {
    this.message.textContent = text;
  }

  resize() {
    this.head?.resize(this.stage.clientWidth, this.stage.clientHeight);
    this.head?.render(this.head.moving); // at once: a canvas of a new size, or in a new place, is empty
  }

  // What the plots seek with.
  seek = (seconds) => (this.audio.currentTime = seconds);

  step = (frames) => {
    const frame = Math.round(this.audio.currentTime * this.clip.fps) + frames;
    this.audio.currentTime = Math.min(Math.max(frame, 0), this.clip.lips.length - 1) / this.clip.fps;
  };

  end = () => this.clip.seconds;

  setBusy(busy) {
    this.stage.classList.toggle("bilabial-busy", busy);
  }

  // Plays the clip again and again without sound.
  startPreview() {
    if (stillness.matches) return;
    this.previewStart = performance.now();
    this.canvas.dataset.preview = "";
    this.drawControls();
  }

  endPreview() {
    this.previewStart = null;
    delete this.canvas.dataset.preview;
    this.drawControls();
  }

  drawControls() {
    const { audio, badge, clip, play, previewStart } = this;
    play.hidden = !clip || !audio.paused || Boolean(this.live);
    const text = previewStart === null ? (audio.ended ? "Replay" : "Play") : "Play with sound";
    this.part("play-text").textContent = t(text);
    badge.hidden = previewStart === null || this.headless;
    badge.textContent = t(this.isExample ? "Example, muted" : "Muted");
  }

  playSound() {
    if (this.previewStart !== null) this.audio.currentTime = 0;
    this.audio.play();
  }

  press(event) {
    const { head, audio } = this;
    const act = {
      " ": () => audio.src && (audio.paused ? this.playSound() : audio.pause()),
      ArrowLeft: () => head?.turn(-KEY_STEP, 0),
      ArrowRight: () => head?.turn(KEY_STEP, 0),
      ArrowUp: () => head?.turn(0, KEY_STEP),
      ArrowDown: () => head?.turn(0, -KEY_STEP),
      "+": () => head?.zoom(1.1),
      "=": () => head?.zoom(1.1), // + without shift
      "-": () => head?.zoom(1 / 1.1),
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  }

  follow() {
    const { audio, canvas, clip, head } = this;
    if (!this.element.isConnected) return false;
    const time = this.time;
    const moved = time !== this.drawnTime;
    if (moved && clip) page.plots?.move(time);
    if (moved && clip && head && !this.live) head.pose(...faceAt(clip, time));
    const moving = !audio.paused || Boolean(this.live) || this.previewStart !== null || this.awaited || head?.held;
    if (head && (head.changed || head.moving !== moving)) {
      head.render(moving);
      canvas.dataset.time = time.toFixed(4);
    }
    this.drawnTime = time;
  }

  // Seconds of the clip that are played or previewed.
  get time() {
    if (this.previewStart === null || !this.clip) return this.audio.currentTime;
    const { seconds } = this.clip;
    return Math.min(((performance.now() - this.previewStart) / 1000) % (seconds + PREVIEW_PAUSE_SECONDS), seconds);
  }

  // Show a value, and play it if wanted and allowed by the browser.
  show(value) {
    const { audio, canvas, part } = this;
    this.isExample = false;
    this.put(value);
    canvas.dataset.clips = Number(canvas.dataset.clips ?? 0) + 1; // shown so far
    if (this.head && !this.recording) this.say(""); // what was said of an avatar has been read
    if (part("autoplay")?.checked) audio.play().catch(() => this.startPreview());
    this.stage.scrollIntoView({ block: "nearest" });
  }

  put(value) {
    const { audio, part } = this;
    this.clip = decodeClip(value);
    audio.src = value.audio;
    audio.playbackRate = Number(part("rate").value);
    this.endPreview();
    this.redraw();
    page.plots?.show(this.clip);
  }

  // A page without its example works as well.
  async showExample() {
    this.awaited = !stillness.matches;
    const response = await fetch(this.props.example_address).catch(() => undefined);
    const value = response?.ok ? await response.json() : undefined;
    this.awaited = false;
    if (!value || this.clip) return; // a result came first
    this.isExample = true;
    this.put(value);
    this.startPreview();
  }

  // Redraw the face of the clip.
  redraw() {
    this.drawnTime = -1;
  }

  // The face at rest; that of the clip, where there is one.
  rest() {
    const { names } = this.props;
    if (this.clip) this.redraw();
    else this.head?.pose(names, names.map(() => 0));
  }

  async loadHead() {
    const { canvas, props } = this;
    try {
      this.head = await loadHead(canvas, props);
      this.resize();
      this.head.look("front");
      this.say("");
      if (this.chosenAvatar) await this.swapAvatar(this.chosenAvatar);
    } catch (error) {
      const reason = { reason: error.message };
      this.headless = this.part("views").hidden = true;
      this.say(t("The 3D head could not be loaded or drawn ({reason}); sound and curves work.", reason));
    }
    this.redraw();
    this.drawControls();
  }

  // The heads to choose from; a page that was sent has one.
  offerHeads(select) {
    const { heads } = this.props;
    if (!Object.keys(heads).length) return select.closest("label").remove();
    for (const name of Object.keys(heads)) select.add(new Option(name));
    const bytes = async (address) => {
      const response = await fetch(address);
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      return response.arrayBuffer();
    };
    select.onchange = () => this.head && this.swapAvatar({ name: select.value, arrayBuffer: () => bytes(heads[select.value]) });
  }

  // file: a File, or what has its name and arrayBuffer().
  async swapAvatar(file) {
    const { names } = this.props;
    try {
      const missing = await this.head.load(await file.arrayBuffer(), names);
      const values = { file: file.name, found: names.length - missing.length, count: names.length };
      const found = t("{file}: {found} of {count} coefficients found", values);
      this.say(missing.length ? `${found}; ${t("not found: {names}", { names: missing.join(", ") })}.` : `${found}.`);
    } catch (error) {
      const values = { file: file.name, reason: error.message.replace(/\.$/, "") };
      this.say(t("{file} cannot be used as an avatar: {reason}.", values));
    }
    this.redraw();
  }

  async makeVideo() {
    if (!this.clip || !this.head) return this.say(t("There is no talking head to record yet."));
    if (!encodesVideo()) return this.say(t("This browser cannot make an MP4 here: it needs WebCodecs, on a page with HTTPS."));
    this.recording = new AbortController();
    this.say(t("The video is being made; the page can be used meanwhile."));
    try {
      save(await recordVideo(await this.scene(this.recording.signal)), "bilabial.mp4");
      this.say(t("The video is made: bilabial.mp4."));
    } catch (error) {
      const reason = { reason: error.message };
      this.say(error.name === "AbortError" ? t("No video was made.") : t("The video could not be made ({reason}).", reason));
    }
    this.recording = null;
    this.recordButton.textContent = t("MP4 video");
  }

  // What recordVideo takes: this clip, this head, this moment's camera.
  async scene(signal) {
    const { clip, head, props, recordButton, stage } = this;
    const viewpoint = head.viewpoint; // before anything is waited for
    this.mediabunny ??= await importModule(props.mediabunny, Object.keys(props.mediabunny.modules)[0]);
    return {
      ...clip,
      viewpoint,
      numFrames: clip.frames.length / clip.names.length,
      mediabunny: this.mediabunny,
      sound: await (await fetch(clip.audio)).arrayBuffer(),
      head,
      pose: (head, time) => head.pose(...faceAt(clip, time)),
      background: ["--middle", "--corner"].map((name) => getComputedStyle(stage).getPropertyValue(name)),
      signal,
      progress: (share) => (recordButton.textContent = t("Cancel ({percent} %)", { percent: Math.floor(100 * share) })),
    };
  }
}

// What gr.HTML gives to js_on_load: its element and props, watch, and server where there are server functions.
export function mountPlayer({ element, props, watch, server }) {
  setTexts(props.texts);
  const player = (page.player = opening ?? new Player(element, props));
  if (opening) player.move(element, props);
  opening = null;
  watch("value", () => props.value && player.show(props.value));
  if (server?.live_start) mountLive(player, server);
}

// Moves the player's video button to where other files are saved.
export function mountVideo({ element }) {
  element.replaceChildren(page.player.recordButton);
}
