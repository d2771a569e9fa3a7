// Runs a stream where drawing does not wait for it. Messages {id, method, arguments} are answered in their order with
// {id, result} or {id, error}.

import { FaceStream } from "./stream.js";

let stream;

const methods = {
  async start({ model, precision, runtime, options }) {
    const [ort, answer] = await Promise.all([import(runtime), fetch(new URL("bilabial.json", model))]);
    if (!answer.ok) throw new Error(`${answer.url} could not be fetched (${answer.status})`);
    const settings = await answer.json();
    if (!settings.precisions.includes(precision)) {
      throw new RangeError(`precision must be one of ${settings.precisions.join(", ")}, got ${precision}`);
    }
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
