// Speech to ARKit blendshape coefficients in the browser. See README.md.

export { Microphone } from "./microphone.js";
export { Resampler } from "./resample.js";
export { Timeline } from "./timeline.js";

export class BilabialStream {
  #worker;
  #waiting = new Map();
  #count = 0;
  #hear = () => {};

  // model: address of the folder that `bilabial export onnx` wrote. See index.d.ts for the options.
  static async create({ model, precision = "int8", runtime, wasmPaths, worker, ...options }) {
    const stream = new BilabialStream(worker ?? new URL("./worker.js", import.meta.url));
    const given = {
      model: new URL(`${model}/`.replace(/\/\/$/, "/"), document.baseURI).href,
      precision,
      runtime: new URL(runtime ?? import.meta.resolve("onnxruntime-web/wasm"), document.baseURI).href,
      wasmPaths,
      options,
    };
    try {
      Object.assign(stream, await stream.#call("start", given));
    } catch (error) {
      stream.close();
      throw error;
    }
    return stream;
  }

  constructor(worker) {
    this.#worker = new Worker(worker, { type: "module" });
    this.#worker.onmessage = ({ data: { id, result, error, frames } }) => {
      if (id === undefined) return this.#hear(frames, error);
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) resolve(result);
      else reject(new Error(error));
    };
    this.#worker.onerror = (event) => this.#end(event.message ?? "the worker could not be started");
  }

  feed(samples) {
    return this.#call("feed", samples);
  }

  // Feeds the pieces that a MessagePort sends, an AudioWorklet's for one, while this thread is busy.
  connect(port, onframes, onerror) {
    this.#hear = (frames, error) => (frames ? onframes(frames) : onerror(new Error(error)));
    return this.#call("connect", port);
  }

  finish() {
    return this.#call("finish");
  }

  reset(keepLevel = false) {
    return this.#call("reset", keepLevel);
  }

  setEmotion(emotion, intensity = 1) {
    return this.#call("setEmotion", emotion, intensity);
  }

  close() {
    this.#worker.terminate();
    this.#end("the stream was closed");
  }

  #call(method, ...given) {
    return new Promise((resolve, reject) => {
      const id = this.#count++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, method, given }, given.filter((one) => one instanceof MessagePort));
    });
  }

  #end(reason) {
    for (const { reject } of this.#waiting.values()) reject(new Error(reason));
    this.#waiting.clear();
  }
}
