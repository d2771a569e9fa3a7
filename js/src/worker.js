// Runs a stream where drawing does not wait for it. Messages {id, method, given} are answered in their order with
// {id, result} or {id, error: {code, message}}; sound from a connected port with {frames, error}.

import { BilabialError, coded } from "./errors.js";
import { described, openStream } from "./model.js";
import { Turns } from "./turns.js";

let turns;

// What of an error goes to the page.
const plain = (error) => ({ code: coded(error).code, message: error.message });

async function start({ runtime, wasmPaths, ...given }) {
  const ort = await import(runtime).catch((error) => {
    throw new BilabialError("runtime_missing", `onnxruntime-web could not be loaded from ${runtime}: ${error.message}`);
  });
  if (wasmPaths) ort.env.wasm.wasmPaths = wasmPaths;
  const stream = await openStream(ort, given);
  turns = new Turns(stream);
  return described(stream);
}

function connect(port) {
  turns.connect(
    port,
    (frames) => postMessage({ frames }, [frames.values.buffer]),
    (error) => postMessage({ frames: null, error: plain(error) }),
  );
}

const own = { start, connect };

onmessage = async ({ data: { id, method, given } }) => {
  try {
    const result = await (method in own ? own[method](...given) : turns.call(method, ...given));
    postMessage({ id, result }, result?.values ? [result.values.buffer] : []);
  } catch (error) {
    postMessage({ id, error: plain(error) });
  }
};
