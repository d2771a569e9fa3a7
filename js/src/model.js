// A folder of `bilabial export onnx` as a FaceStream, and what stands in the way in a sentence.

import { BilabialError } from "./errors.js";
import { FaceStream } from "./stream.js";

// A module with one SIMD instruction.
const SIMD = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11);

// Bytes at an address.
export async function fetched(address) {
  const answer = await fetch(address).catch((error) => {
    throw new BilabialError("model_missing", `${address} could not be fetched: ${error.message}`);
  });
  if (!answer.ok) throw new BilabialError("model_missing", `${address} could not be fetched (${answer.status})`);
  return new Uint8Array(await answer.arrayBuffer());
}

async function settingsAt(address, read) {
  const text = new TextDecoder().decode(await read(address));
  let settings = null;
  try {
    settings = JSON.parse(text);
  } catch {
    // another file
  }
  if (Array.isArray(settings?.precisions)) return settings;
  throw new BilabialError("model_format", `${address} is not of a model: model must be the address of a folder that \`bilabial export onnx\` wrote`);
}

// ort: onnxruntime-web's module. model: address of the folder, which ends in a slash. read: gives the bytes at an
// address. options: of FaceStream.
export async function openStream(ort, { model, precision, read = fetched, options }) {
  if (!globalThis.WebAssembly?.validate(SIMD)) {
    throw new BilabialError("no_simd", "the model needs WebAssembly with SIMD, which this browser does not have");
  }
  const settings = await settingsAt(new URL("bilabial.json", model).href, read);
  if (!settings.precisions.includes(precision)) {
    throw new BilabialError("precision_name", `precision must be one of ${settings.precisions.join(", ")}, got ${precision}`);
  }
  ort.env.wasm.numThreads = 1; // a step is too small to be shared
  const file = new URL(precision === "fp32" ? "step.onnx" : `step.${precision}.onnx`, model).href;
  const graph = await read(file);
  const session = await ort.InferenceSession.create(graph, { executionProviders: ["wasm"] }).catch((error) => {
    throw new BilabialError("model_format", `${file} could not be loaded: ${error.message}`);
  });
  return new FaceStream(ort, session, settings, options);
}

// What a stream tells of itself.
export function described(stream) {
  const { blendshapes, emotions, life, styles } = stream.settings;
  const head = (stream.life && life.head) ?? null; // files of earlier versions have none
  return { names: blendshapes, emotions, styles: Object.keys(styles), fps: stream.fps, delaySeconds: stream.delaySeconds, head };
}

// The address of a folder, from its name or URL.
export function folderAddress(model, base) {
  if (typeof model !== "string" && !(model instanceof URL)) {
    throw new BilabialError("model_address", `model must be the address of a folder that \`bilabial export onnx\` wrote, got ${model}`);
  }
  return new URL(`${model}/`.replace(/\/\/$/, "/"), base).href;
}
