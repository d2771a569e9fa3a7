// The page: a microphone or a file speaks, the head follows. Nothing leaves the browser.

import { BilabialStream, Microphone, Timeline } from "bilabial";
import { Head } from "./head/head.js";

const part = (id) => document.getElementById(id);
const RATE = 16000;
const say = (text) => (part("message").textContent = text);
const seconds = () => performance.now() / 1000;

let stream; // a BilabialStream
let microphone = null;
let timeline = null; // of the microphone
let clip = null; // {fps, values} of a file
let head = null;
let drawnTime = null; // s

async function newStream() {
  const options = { style: part("style").value || null, motion: part("motion").checked };
  const created = await BilabialStream.create({ model: "./model", precision: "int8", ...options });
  stream?.close();
  stream = created;
  await stream.setEmotion(emotion());
}

function emotion() {
  const shares = [...part("emotions").querySelectorAll("input")].map((slider) => [slider.name, slider.valueAsNumber]);
  return Object.fromEntries(shares.filter(([, share]) => share > 0));
}

function offerEmotions() {
  for (const name of stream.emotions.slice(1)) {
    const label = document.createElement("label");
    const slider = Object.assign(document.createElement("input"), { type: "range", min: 0, max: 1, step: 0.05, value: 0, name });
    label.append(name, slider);
    slider.addEventListener("input", () => stream.setEmotion(emotion()));
    part("emotions").append(label);
  }
  part("style").append(...stream.styles.map((name) => new Option(name, name)));
}

async function startMicrophone() {
  part("sound").pause();
  clip = null;
  await newStream();
  const current = (timeline = new Timeline(stream.fps));
  let numReceived = 0;
  const { port1, port2 } = new MessageChannel(); // the model gets the sound also while the head is drawn
  await stream.connect(port1, (frames) => current.receive(frames), fail);
  const onsamples = (samples) => current.received((numReceived += samples.length) / RATE, seconds());
  microphone = await Microphone.open(onsamples, { port: port2, onerror: fail });
  part("microphone").setAttribute("aria-pressed", true);
  part("microphone").textContent = "Stop";
  say("Speak");
}

function stopMicrophone() {
  microphone?.close();
  microphone = timeline = null;
  part("microphone").setAttribute("aria-pressed", false);
  part("microphone").textContent = "Microphone";
  head?.pose(stream.names, stream.names.map(() => 0));
  say("");
}

// Live mode ends with a sentence.
function fail(error) {
  stopMicrophone();
  say(error.message);
}

async function animate(file) {
  stopMicrophone();
  say("Animating");
  const context = new OfflineAudioContext(1, 1, RATE); // it resamples
  const sound = await context.decodeAudioData(await file.arrayBuffer());
  const channels = Array.from({ length: sound.numberOfChannels }, (_, k) => sound.getChannelData(k));
  const mono = channels[0].map((_, k) => channels.reduce((sum, channel) => sum + channel[k], 0) / channels.length);
  await newStream();
  const parts = [];
  for (let start = 0; start < mono.length; start += RATE) parts.push(await stream.feed(mono.slice(start, start + RATE)));
  parts.push(await stream.finish());
  clip = { fps: stream.fps, values: parts.flatMap(({ values }) => Array.from(values)) };
  part("sound").src = URL.createObjectURL(file);
  part("sound").hidden = false;
  say("");
  await part("sound").play();
}

// The face of now: {time, delay, values}, or null.
function now() {
  if (timeline) return timeline.at(seconds());
  if (!clip) return null;
  const width = stream.names.length;
  const last = clip.values.length / width - 1;
  const time = part("sound").currentTime;
  const position = Math.min(time * clip.fps, last);
  const [before, after] = [Math.floor(position), Math.min(Math.floor(position) + 1, last)];
  const values = stream.names.map((_, k) => {
    const [a, b] = [clip.values[before * width + k], clip.values[after * width + k]];
    return a + (b - a) * (position - before);
  });
  return { time, delay: 0, values };
}

function draw() {
  const face = now();
  if (face && (timeline || face.time !== drawnTime)) {
    head.pose(stream.names, face.values, stream.head?.at(face.time));
    drawnTime = face.time;
    if (timeline) say(`${Math.round(1000 * face.delay)} ms after you`);
  }
  if (head.changed) head.render(Boolean(timeline) || !part("sound").paused);
  if (face) part("head").dispatchEvent(new CustomEvent("bilabial-drawn", { detail: face }));
  requestAnimationFrame(draw);
}

async function show(file) {
  try {
    await head.load(await file.arrayBuffer(), stream.names);
  } catch (error) {
    say(`${file.name}: ${error.message}`);
  }
}

const attempt = (action) => (event) => action(event).catch(fail);

part("microphone").addEventListener("click", attempt(async () => (microphone ? stopMicrophone() : startMicrophone())));
part("file").addEventListener("change", attempt(async ({ target }) => target.files.length && animate(target.files[0])));
for (const id of ["style", "motion"]) part(id).addEventListener("change", attempt(async () => microphone && (stopMicrophone(), startMicrophone())));
part("head").addEventListener("dragover", (event) => event.preventDefault());
part("head").addEventListener("drop", attempt(async (event) => (event.preventDefault(), show(event.dataTransfer.files[0]))));

navigator.serviceWorker?.register("offline.js").catch(() => {}); // pages without https work without it
try {
  const files = await (await fetch("head/files.json")).json();
  head = new Head(part("head"), files);
  new ResizeObserver(([{ contentRect }]) => head.resize(contentRect.width, contentRect.height)).observe(part("head"));
  const [glb] = await Promise.all([fetch("head/head.glb").then((answer) => answer.arrayBuffer()), newStream()]);
  offerEmotions();
  await head.load(glb, stream.names);
  for (const control of document.querySelectorAll("main :disabled")) control.disabled = false;
  say("");
  requestAnimationFrame(draw);
} catch (error) {
  say(error.message);
}
