// Plays a clip with the sound as the clock. Runs as js_on_load of a gr.HTML component, which provides `element`,
// `props` and `watch`. props: value = null or {audio, names, fps, frames, figure} of bilabial.player.player_data
// (figure null: no curves),
// three, mediabunny, head_address and texts of player_props, names of all 52 coefficients, beside: selector of another plot over time.

const part = (name) => element.querySelector(`.bilabial-${name}`);
const [stage, audio, canvas, message] = ["stage", "audio", "canvas", "message"].map(part);
const [plot, cursor, recordButton] = ["curves", "cursor", "record"].map(part);
let head = null; // a Head once it is loaded
let clip = null; // {names, fps, frames: Uint16Array}
let drawnTime = -1;
let recording = null; // AbortController of the video that is being made

const seek = (time) => (audio.currentTime = time);
const say = (text) => (message.textContent = text);

function decodeFrames(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Uint16Array(bytes.buffer);
}

// The coefficients of a clip at a time, between two frames; the last one holds.
function valuesAt(clip, time) {
  const count = clip.names.length;
  const last = clip.frames.length / count - 1;
  const position = Math.min(Math.max(time * clip.fps, 0), last);
  const [before, after] = [Math.floor(position), Math.ceil(position)];
  const weight = position - before;
  const value = (frame, k) => clip.frames[frame * count + k] / 65535;
  return clip.names.map((_, k) => value(before, k) * (1 - weight) + value(after, k) * weight);
}

function follow() {
  if (!element.isConnected) return;
  const time = audio.currentTime;
  const beside = props.beside && document.querySelector(props.beside); // the page may draw it anew at any time
  const adopted = beside?._fullLayout && !beside.bilabialCursor?.isConnected;
  if (adopted) adopt(beside, seek);
  const moved = adopted || time !== drawnTime;
  if (moved && clip) moveCursor(cursor, plot, time);
  if (moved && beside?.bilabialCursor) moveCursor(beside.bilabialCursor, beside, time);
  if (moved && clip && head) head.pose(clip.names, valuesAt(clip, time));
  const moving = !audio.paused || head?.held;
  if (head && (head.changed || head.moving !== moving)) {
    head.render(moving);
    canvas.dataset.time = time.toFixed(4);
  }
  drawnTime = time;
  requestAnimationFrame(follow);
}

async function show() {
  if (!props.value) return;
  const { names, fps, frames, figure } = props.value;
  clip = { names, fps, frames: decodeFrames(frames) };
  canvas.dataset.clips = Number(canvas.dataset.clips ?? 0) + 1; // shown so far
  audio.src = props.value.audio;
  audio.playbackRate = Number(part("rate").value);
  drawnTime = -1;
  if (!figure) return;
  await drawCurves(plot, figure, seek);
  plot.on("plotly_afterplot", () => (drawnTime = -1)); // a resize or a legend click moves the axis
  drawnTime = -1;
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
    say(t("{file} cannot be used as an avatar: {reason}.", { file: file.name, reason: error.message }));
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
  const recorded = clip;
  return {
    ...recorded,
    numFrames: recorded.frames.length / recorded.names.length,
    mediabunny: await importModules(props.mediabunny, ["mediabunny.min.mjs"]),
    sound: await (await fetch(audio.src)).arrayBuffer(),
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
canvas.onkeydown = (event) => {
  if (!(event.key in KEYS) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  KEYS[event.key]();
};
element.querySelectorAll("[data-view]").forEach((button) => (button.onclick = () => head?.look(button.dataset.view)));
part("rate").onchange = (event) => (audio.playbackRate = Number(event.target.value));
part("loop").onchange = (event) => (audio.loop = event.target.checked);
part("avatar").onchange = (event) => head && event.target.files[0] && swapAvatar(event.target.files[0]);
recordButton.onclick = () => (recording ? recording.abort() : makeVideo());
audio.onloadeddata = () => (audio.playbackRate = Number(part("rate").value));
new ResizeObserver(() => head?.resize(stage.clientWidth, stage.clientHeight)).observe(stage);
watch("value", show);
show();
loadHead();
follow();
