// Plays a clip with the sound as the clock. Runs as js_on_load of a gr.HTML component, which provides `element`,
// `props` and `watch`. props: value = null or {audio, names, fps, frames, figure} of bilabial.player.player_data
// (figure null: no curves),
// three and head_address of player_props, names of all 52 coefficients, beside: selector of another plot over time.

const part = (name) => element.querySelector(`.bilabial-${name}`);
const [audio, canvas, message, plot, cursor] = ["audio", "canvas", "message", "curves", "cursor"].map(part);
let head = null; // a Head once it is loaded
let clip = null; // {names, fps, frames: Uint16Array}
let drawnTime = -1;

const seek = (time) => (audio.currentTime = time);
const say = (text) => (message.textContent = text);

function decodeFrames(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Uint16Array(bytes.buffer);
}

// The coefficients at a time, between two frames; the last one holds.
function valuesAt(time) {
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
  if (moved && clip && head) head.pose(clip.names, valuesAt(time));
  if (head?.changed) {
    head.render();
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
    three = await importThree(props.three);
  } catch (error) {
    return say(`The 3D head is not shown because three.js could not be loaded (${error.message}); sound and curves work.`);
  }
  try {
    const loaded = new Head(three, canvas);
    const response = await fetch(props.head_address);
    if (!response.ok) throw new Error(`the head's file: ${response.status}`);
    await loaded.load(await response.arrayBuffer(), props.names);
    head = loaded;
    head.resize();
    head.look("front");
    say("");
  } catch (error) {
    say(`The 3D head is not shown because this browser could not draw it (${error.message}); sound and curves work.`);
  }
  drawnTime = -1;
}

async function swapAvatar(file) {
  try {
    const missing = await head.load(await file.arrayBuffer(), props.names);
    const found = props.names.length - missing.length;
    say(`${file.name}: ${found} of ${props.names.length} coefficients found${missing.length ? `; not found: ${missing.join(", ")}` : ""}.`);
  } catch (error) {
    say(`${file.name} cannot be used as an avatar: ${error.message}.`);
  }
  drawnTime = -1;
}

element.querySelectorAll("[data-view]").forEach((button) => (button.onclick = () => head?.look(button.dataset.view)));
part("rate").onchange = (event) => (audio.playbackRate = Number(event.target.value));
part("loop").onchange = (event) => (audio.loop = event.target.checked);
part("avatar").onchange = (event) => head && event.target.files[0] && swapAvatar(event.target.files[0]);
audio.onloadeddata = () => (audio.playbackRate = Number(part("rate").value));
watch("value", show);
show();
loadHead();
follow();
