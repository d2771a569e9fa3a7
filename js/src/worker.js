// Runs a stream where drawing does not wait for it. Messages {id, method, given} are answered in their order with
// {id, result} or {id, error}; sound from a connected port with {frames, error}.

import { FaceStream } from "./stream.js";

let stream;

const methods = {
  async start({ model, precision, runtime, wasmPaths, options }) {
    const [ort, answer] = await Promise.all([import(runtime), fetch(new URL("bilabial.json", model))]);
    if (!answer.ok) throw new Error(`${answer.url} could not be fetched (${answer.status})`);
    const settings = await answer.json();
    if (!settings.precisions.includes(precision)) {
      throw new RangeError(`precision must be one of ${settings.precisions.join(", ")}, got ${precision}`);
    }
    if (wasmPaths) ort.env.wasm.wasmPaths = wasmPaths;
    ort.env.wasm.numThreads = 1; // a step is too small to be shared
    const file = new URL(precision === "fp32" ? "step.onnx" : `step.${precision}.onnx`, model).href;
    const session = await ort.InferenceSession.create(file, { executionProviders: ["wasm"] });
    stream = new FaceStream(ort, session, settings, options);
    const { blendshapes, emotions, styles } = settings;
    return { names: blendshapes, emotions, styles: Object.keys(styles), fps: stream.fps, delaySeconds: stream.delaySeconds };
  },
  feed: (samples) => stream.feed(samples),
  finish: () => stream.finish(),
  reset: (keepLevel) => stream.reset(keepLevel),
  setEmotion: (emotion, intensity) => stream.setEmotion(emotion, intensity),
};

let previous = Promise.resolve();
const waiting = []; // pieces of sound from a port

// Pieces that came while others were computed are fed together.
async function feedWaiting() {
  const pieces = waiting.splice(0);
  const samples = new Float32Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let filled = 0;
  for (const piece of pieces) {
    samples.set(piece, filled);
    filled += piece.length;
  }
  try {
    const frames = await stream.feed(samples);
    postMessage({ frames }, [frames.values.buffer]);
  } catch (error) {
    postMessage({ frames: null, error: error.message });
  }
}

methods.connect = (port) => {
  port.onmessage = ({ data }) => {
    if (waiting.push(data) === 1) previous = previous.then(feedWaiting);
  };
};

onmessage = ({ data: { id, method, given } }) => {
  previous = previous.then(async () => {
    try {
      const result = await methods[method](...given);
      postMessage({ id, result }, result?.values ? [result.values.buffer] : []);
    } catch (error) {
      postMessage({ id, error: error.message });
    }
  });
};
