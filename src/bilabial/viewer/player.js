// Plays a clip with the sound as the clock. Runs as js_on_load of a gr.HTML component, which provides `element`,
// `props` and `watch`. props: value = null or what bilabial.player.player_data gives; three, mediabunny, head_address
// and texts of player_props, names of all 52 coefficients, autoplay: whether the page may play a
// new clip at once.

const part = (name) => element.querySelector(`.bilabial-${name}`);
const [stage, audio, canvas, message, recordButton] = ["stage", "audio", "canvas", "message", "record"].map(part);
let head = null; // a Head once it is loaded
let clip = null; // a decoded value
let drawnTime = -1;
let speaking = false; // live mode draws the face
let recording = null; // AbortController of the video that is being made
let mediabunny = null; // once it is loaded
let chosenAvatar = null; // a file that was chosen before the head was there

const plots = new Plots(element, {
  seek: (seconds) => (audio.currentTime = seconds),
  step: (frames) => {
    const frame = Math.round(audio.currentTime * clip.fps) + frames;
    audio.currentTime = Math.min(Math.max(frame, 0), clip.lips.length - 1) / clip.fps;
  },
  end: () => clip.seconds,
});
const say = (text) => (message.textContent = text);

function decode(text, type) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new type(bytes.buffer);
}

// The value with its arrays: frames (0..65535, frame by frame), lips and captured.lips (mm, null = no face), peaks
// (0..255); and how long it lasts.
function decodeClip(value) {
  const millimetres = (text) => Array.from(decode(text, Uint16Array), (steps) => (steps === NO_FACE ? null : steps / 100));
  const lips = millimetres(value.lips);
  return {
    ...value,
    frames: decode(value.frames, Uint16Array),
    lips,
    captured: value.captured && { ...value.captured, lips: millimetres(value.captured.lips) },
    peaks: decode(value.peaks, Uint8Array),
    seconds: lips.length / value.fps,
  };
}

// The numbers of the frames before and after a position among `count`, and the weight of the latter; beyond the ends,
// where also rounding leads, the end holds.
function aroundPosition(position, count) {
  const within = Math.min(Math.max(position, 0), count - 1);
  return [Math.floor(within), Math.ceil(within), within % 1];
}

// The coefficients of a clip at a time, between two frames; the last one holds.
function valuesAt(clip, time) {
  const count = clip.names.length;
  const [before, after, weight] = aroundPosition(time * clip.fps, clip.frames.length / count);
  const value = (frame, k) => clip.frames[frame * count + k] / 65535;
  return clip.names.map((_, k) => value(before, k) * (1 - weight) + value(after, k) * weight);
}

function follow() {
  if (!element.isConnected) return false;
  const time = audio.currentTime;
  const moved = time !== drawnTime;
  if (moved && clip) plots.move(time);
  if (moved && clip && head) head.pose(clip.names, valuesAt(clip, time));
  const moving = !audio.paused || speaking || head?.held;
  if (head && (head.changed || head.moving !== moving)) {
    head.render(moving);
    canvas.dataset.time = time.toFixed(4);
  }
  drawnTime = time;
}

async function show() {
  if (!props.value) return;
  clip = decodeClip(props.value);
  canvas.dataset.clips = Number(canvas.dataset.clips ?? 0) + 1; // shown so far
  audio.src = props.value.audio;
  audio.playbackRate = Number(part("rate").value);
  drawnTime = -1;
  if (head && !recording) say(""); // what was said of an avatar has been read
  if (part("autoplay")?.checked) audio.play().catch(() => {}); // where the browser lets it
  if (await plotlyLoaded()) await plots.show(clip);
}

// Whether there is plotly; a page that carries it may still be fetching it.
async function plotlyLoaded() {
  const script = document.querySelector("script[src*=plotly]");
  if (!window.Plotly && script) await new Promise((resolve) => script.addEventListener("load", resolve));
  return Boolean(window.Plotly);
}

async function loadHead() {
  let three;
  try {
    three = await importModules(props.three, THREE_PARTS);
  } catch (error) {
    const reason = { reason: error.message };
    return say(t("The 3D head is not shown because three.js could not be loaded ({reason}); sound and curves work.", reason));
  }
  try {
    const loaded = new Head(three, canvas);
    const response = await fetch(props.head_address);
    if (!response.ok) throw new Error(`the head's file: ${response.status}`);
    await loaded.load(await response.arrayBuffer(), props.names);
    head = loaded;
    head.resize(stage.clientWidth, stage.clientHeight);
    head.look("front");
    say("");
    if (chosenAvatar) await swapAvatar(chosenAvatar);
  } catch (error) {
    const reason = { reason: error.message };
    say(t("The 3D head is not shown because this browser could not draw it ({reason}); sound and curves work.", reason));
  }
  drawnTime = -1;
}

async function swapAvatar(file) {
  try {
    const missing = await head.load(await file.arrayBuffer(), props.names);
    const values = { file: file.name, found: props.names.length - missing.length, count: props.names.length };
    const found = t("{file}: {found} of {count} coefficients found", values);
    say(missing.length ? `${found}; ${t("not found: {names}", { names: missing.join(", ") })}.` : `${found}.`);
  } catch (error) {
    say(t("{file} cannot be used as an avatar: {reason}.", { file: file.name, reason: error.message.replace(/\.$/, "") }));
  }
  drawnTime = -1;
}

async function makeVideo() {
  if (!clip || !head) return say(t("There is no talking head to record yet."));
  if (!encodesVideo()) return say(t("This browser cannot make an MP4 here: it needs WebCodecs, on a page with HTTPS."));
  recording = new AbortController();
  say(t("The video is being made; the page can be used meanwhile."));
  try {
    save(await recordVideo(await scene(recording.signal)), "bilabial.mp4");
    say(t("The video is made: bilabial.mp4."));
  } catch (error) {
    const reason = { reason: error.message };
    say(error.name === "AbortError" ? t("No video was made.") : t("The video could not be made ({reason}).", reason));
  }
  recording = null;
  recordButton.textContent = t("MP4 video");
}

// What recordVideo takes: this clip, this head, this moment's camera.
async function scene(signal) {
  const [recorded, viewpoint] = [clip, head.viewpoint]; // before anything is waited for
  mediabunny ??= await importModules(props.mediabunny, ["mediabunny.min.mjs"]);
  return {
    ...recorded,
    viewpoint,
    numFrames: recorded.frames.length / recorded.names.length,
    mediabunny,
    sound: await (await fetch(recorded.audio)).arrayBuffer(),
    head,
    pose: (head, time) => head.pose(recorded.names, valuesAt(recorded, time)),
    background: ["--middle", "--corner"].map((name) => getComputedStyle(stage).getPropertyValue(name)),
    signal,
    progress: (share) => (recordButton.textContent = t("Cancel ({percent} %)", { percent: Math.floor(100 * share) })),
  };
}

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

const playOrPause = () => (audio.paused ? audio.play() : audio.pause());
const STEP = Math.PI / 36; // radians that an arrow key turns
const KEYS = {
  " ": () => audio.src && playOrPause(),
  ArrowLeft: () => head?.turn(-STEP, 0),
  ArrowRight: () => head?.turn(STEP, 0),
  ArrowUp: () => head?.turn(0, STEP),
  ArrowDown: () => head?.turn(0, -STEP),
  "+": () => head?.zoom(1.1),
  "=": () => head?.zoom(1.1), // + without shift
  "-": () => head?.zoom(1 / 1.1),
};

translate(element);
if (!props.autoplay) part("autoplay").closest("label").remove();
canvas.onkeydown = (event) => {
  if (!(event.key in KEYS) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  KEYS[event.key]();
};
element.querySelectorAll("[data-view]").forEach((button) => (button.onclick = () => head?.look(button.dataset.view)));
part("rate").onchange = (event) => (audio.playbackRate = Number(event.target.value));
part("loop").onchange = (event) => (audio.loop = event.target.checked);
part("avatar").onclick = (event) => (event.target.value = ""); // the same file again, exported anew
part("avatar").onchange = ({ target: { files } }) => (head && files[0] ? swapAvatar(files[0]) : (chosenAvatar = files[0]));
recordButton.onclick = () => (recording ? recording.abort() : makeVideo());
audio.onloadeddata = () => (audio.playbackRate = Number(part("rate").value));
new ResizeObserver(() => head?.resize(stage.clientWidth, stage.clientHeight)).observe(stage);
watch("value", show);
show();
loadHead();
everyPicture(follow);
