// Speech to ARKit blendshape coefficients in Node, in its own thread. The same names as in the browser.

import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

import { StreamCalls } from "./calls.js";
import { BilabialError, coded } from "./errors.js";
import { described, fetched, folderAddress, openStream } from "./model.js";
import { Turns } from "./turns.js";

export { BilabialError } from "./errors.js";
export { HeadMotion } from "./head.js";
export { Microphone } from "./microphone.js";
export { Resampler } from "./resample.js";
export { Timeline } from "./timeline.js";

const RUNTIME = "onnxruntime-web/wasm";

async function read(address) {
  if (!address.startsWith("file:")) return fetched(address);
  return readFile(new URL(address)).catch((error) => {
    throw new BilabialError("model_missing", `${address} could not be read: ${error.code}`);
  });
}

export class BilabialStream extends StreamCalls {
  #turns;

  // model: folder, or its URL. The options of a worker have no meaning here.
  static async create({ model, precision = "int8", runtime = RUNTIME, wasmPaths, worker, ...options } = {}) {
    const given = { model: folderAddress(model, pathToFileURL("./")), precision, read, options };
    const ort = await import(runtime).catch((error) => {
      throw new BilabialError("runtime_missing", `${runtime} could not be loaded (npm install onnxruntime-web): ${error.message}`);
    });
    if (wasmPaths) ort.env.wasm.wasmPaths = wasmPaths;
    const stream = await openStream(ort, given).catch((error) => {
      throw coded(error);
    });
    return new BilabialStream(new Turns(stream)).describe(described(stream));
  }

  constructor(turns) {
    super();
    this.#turns = turns;
  }

  async connect(port, onframes, onerror) {
    this.#open().connect(port, onframes, (error) => onerror(coded(error)));
  }

  close() {
    this.#turns = null;
  }

  #open() {
    if (!this.#turns) throw new BilabialError("stream_closed", "the stream is closed");
    return this.#turns;
  }

  async call(method, ...given) {
    return this.#open()
      .call(method, ...given)
      .catch((error) => {
        throw coded(error);
      });
  }
}
