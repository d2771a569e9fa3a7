// Speech to ARKit blendshape coefficients in the browser. See README.md.

import { StreamCalls } from "./calls.js";
import { BilabialError } from "./errors.js";
import { folderAddress } from "./model.js";

export { BilabialError } from "./errors.js";
export { HeadMotion } from "./head.js";
export { Microphone } from "./microphone.js";
export { Resampler } from "./resample.js";
export { Timeline } from "./timeline.js";

// Where onnxruntime-web is: as given, or as the page's import map says.
function runtimeAddress(runtime) {
  if (runtime) return new URL(runtime, document.baseURI).href;
  try {
    return import.meta.resolve("onnxruntime-web/wasm");
  } catch {
    const text = 'onnxruntime-web was not found: give its address as runtime, or name "onnxruntime-web/wasm" in an import map';
    throw new BilabialError("runtime_missing", text);
  }
}

const errorOf = ({ code, message }) => new BilabialError(code, message);

export class BilabialStream extends StreamCalls {
  #worker;
  #waiting = new Map();
  #count = 0;
  #over = null; // {code, message}: why there are no more frames
  #hear = () => {};

  // model: address of the folder that `bilabial export onnx` wrote. See index.d.ts for the options.
  static async create({ model, precision = "int8", runtime, wasmPaths, worker, ...options } = {}) {
    const given = { model: folderAddress(model, document.baseURI), precision, runtime: runtimeAddress(runtime), wasmPaths, options };
    // bundlers look for the second of these
    const started = worker ? new Worker(worker, { type: "module" }) : new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    const stream = new BilabialStream(started);
    try {
      stream.describe(await stream.call("start", given));
    } catch (error) {
      stream.close();
      throw error;
    }
    return stream;
  }

  constructor(worker) {
    super();
    this.#worker = worker;
    this.#worker.onmessage = ({ data: { id, result, error, frames } }) => {
      if (id === undefined) return this.#hear(frames, error);
      if (!this.#waiting.has(id)) return;
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) resolve(result);
      else reject(errorOf(error));
    };
    this.#worker.onerror = ({ message }) => {
      this.#worker.terminate(); // what it would compute now is not to be trusted
      const text = message ? `the worker failed: ${message}` : "the worker could not be started: its module was not found, or has errors";
      this.#end({ code: "worker_failed", message: text });
    };
  }

  // Feeds the pieces that a MessagePort sends, an AudioWorklet's for one, while this thread is busy.
  connect(port, onframes, onerror) {
    this.#hear = (frames, error) => (frames ? onframes(frames) : onerror(errorOf(error)));
    return this.call("connect", port);
  }

  close() {
    this.#worker.terminate();
    this.#hear = () => {};
    this.#end({ code: "stream_closed", message: "the stream is closed" });
  }

  call(method, ...given) {
    return new Promise((resolve, reject) => {
      if (this.#over) throw errorOf(this.#over);
      const id = this.#count++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, method, given }, given.filter((one) => one instanceof MessagePort));
    });
  }

  #end(reason) {
    if (this.#over) return;
    this.#over = reason;
    this.#hear(null, reason);
    for (const { reject } of this.#waiting.values()) reject(errorOf(reason));
    this.#waiting.clear();
  }
}
