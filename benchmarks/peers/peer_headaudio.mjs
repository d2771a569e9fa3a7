// HeadAudio without a browser: node peer_headaudio.mjs JOB RESULT PACKAGE_FOLDER
//
// HeadAudio's own node, worklet and model run; only the few globals of a browser's audio thread are stood in
// for: a pair of ports that deliver at once, a registry of processors, and fetch for a local file. Sound
// arrives in blocks of 128 samples, the animation loop ticks 60 times a second. The audio context runs at the
// model's own 16 kHz: on our clips that closes lips better than the same sound at 48 kHz. All parameters are
// HeadAudio's defaults.

import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [jobPath, resultPath, packageFolder] = process.argv.slice(2);
const FPS = 60;
const REPEATS = 3; // as in job.py
const BLOCK = 128; // samples, the render quantum of Web Audio

const processors = {};
let farPort = null; // handed to the processor that is being built

function ports() {
  const [near, far] = [{ onmessage: null }, { onmessage: null }];
  near.postMessage = (data) => far.onmessage?.({ data });
  far.postMessage = (data) => near.onmessage?.({ data });
  return [near, far];
}

globalThis.sampleRate = 16000;
globalThis.registerProcessor = (name, processor) => { processors[name] = processor; };
globalThis.AudioWorkletProcessor = class {
  constructor() { this.port = farPort; }
};
globalThis.AudioWorkletNode = class {
  constructor(context, name, options) {
    [this.port, farPort] = ports();
    this.processor = new processors[name](options);
    this.values = {};
    for (const { name: key, defaultValue } of processors[name].parameterDescriptors) {
      this.values[key] = new Float32Array([options.parameterData[key] ?? defaultValue]);
    }
  }
};
globalThis.fetch = async (path) => new Response(readFileSync(path));

const moduleOf = (name) => import(pathToFileURL(resolve(packageFolder, "modules", name)).href);
await moduleOf("headworklet.mjs");
const { HeadAudio } = await moduleOf("headaudio.mjs");

// The samples of a 16-bit mono WAV file whose header has the usual 44 bytes.
function readWav(path) {
  const bytes = readFileSync(path);
  const samples = new Float32Array((bytes.length - 44) / 2);
  for (let i = 0; i < samples.length; i++) samples[i] = bytes.readInt16LE(44 + 2 * i) / 32768;
  return samples;
}

async function animate(clip) {
  const samples = readWav(clip.wav);
  const node = new HeadAudio(null, { processorOptions: {}, parameterData: {} });
  await node.loadModel(join(packageFolder, "dist", "model-en-mixed.bin"));
  const weights = Object.fromEntries(node.visemeNames.map((name) => [name, 0]));
  node.onvalue = (name, value) => { weights[name] = value; };
  const curves = { times: [], names: node.visemeNames.map((n) => n.replace("viseme_", "")), values: [] };
  let numDone = 0;
  for (let frame = 0; frame * sampleRate <= samples.length * FPS; frame++) {
    for (; numDone + BLOCK <= (frame / FPS) * sampleRate && numDone + BLOCK <= samples.length; numDone += BLOCK) {
      node.processor.process([[samples.subarray(numDone, numDone + BLOCK)]], [], node.values);
    }
    node.update(1000 / FPS);
    curves.times.push(frame / FPS);
    curves.values.push(node.visemeNames.map((name) => weights[name]));
  }
  return curves;
}

// Peak memory of this process in MB, for the same reason as in job.py from VmHWM where there is one.
function peakMb() {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024;
  } catch {
    return process.resourceUsage().maxRSS / 1024;
  }
}

const clips = JSON.parse(readFileSync(jobPath, "utf8")).clips;
await animate(clips[0]);
const [curves, seconds] = [{}, {}];
for (const clip of clips) {
  seconds[clip.id] = Infinity;
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const start = performance.now();
    curves[clip.id] = await animate(clip);
    seconds[clip.id] = Math.min(seconds[clip.id], (performance.now() - start) / 1000);
  }
}
writeFileSync(resultPath, JSON.stringify({ peak_mb: peakMb(), seconds, curves }));
