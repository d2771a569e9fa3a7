// Where the faces of live mode come from: the model in this browser, or a session on the server. Both have open(),
// place, names, fps, head (HeadMotion), delaySeconds, maxBehindSeconds (of sound they may be late, for patienceSeconds), connect(onvalues: takes
// coefficients of the frames that became certain, onerror), setEmotion(emotion, intensity) and stop(). Mono sound at 16 kHz
// goes, piece by piece, to what connect() gives: a MessagePort, or null, then to feed(piece).

import { BilabialStream, HeadMotion } from "../../../../js/src/index.js";
import { decode } from "./frames.js";
import { isChinese, t } from "./i18n.js";
import { fileAddress } from "./packages.js";

const MODEL_FPS = 50; // the model's own rate
const MAX_LOADING_MS = 60000; // then the server does it
const REQUEST_SAMPLES = 1600; // of sound that the server gets at least, 0.1 s

let runtime; // a promise of {runtime, wasmPaths}: onnxruntime-web, loaded once

async function loadRuntime(source) {
  const addresses = Object.keys(source.modules).map((path) => fileAddress(source, path));
  const [runtime, mjs, wasm] = await Promise.all(addresses);
  return { runtime, wasmPaths: { mjs, wasm } };
}

// What the promise gives; after some time an error, and `late` gets what comes then.
function within(milliseconds, promise, late) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => (reject(new Error("timeout")), promise.then(late, () => {})), milliseconds);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

export class BrowserFaces {
  place = "browser";
  patienceSeconds = 4;

  // files: {model, worker, runtime, max_behind_seconds} of the page's props
  static open(files, asked) {
    return within(MAX_LOADING_MS, this.load(files, asked), (faces) => faces.stop());
  }

  static async load(files, { emotion, intensity, style }) {
    if ((await fetch(`${files.model}bilabial.json`)).status !== 200) throw new Error("the server has no ONNX files");
    runtime ??= loadRuntime(files.runtime);
    runtime.catch(() => (runtime = undefined));
    const { model, worker } = files;
    const options = { model, worker, ...(await runtime), emotion, intensity, style, fps: MODEL_FPS };
    return new BrowserFaces(await BilabialStream.create(options), files.max_behind_seconds);
  }

  constructor(stream, maxBehindSeconds) {
    const { names, fps, head, delaySeconds } = stream;
    Object.assign(this, { stream, maxBehindSeconds, names, fps, head, delaySeconds });
  }

  // The port leads to the model's thread: sound does not wait until the head is drawn.
  connect(onvalues, onerror) {
    const { port1, port2 } = new MessageChannel();
    this.stream.connect(port1, ({ values }) => onvalues(values), onerror).catch(onerror);
    return port2;
  }

  setEmotion(emotion, intensity) {
    return this.stream.setEmotion(emotion, intensity);
  }

  stop() {
    this.stream.close();
  }
}

const encoded = (bytes) => btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ""));

export class ServerFaces {
  place = "server";
  maxBehindSeconds = 8; // of no more sound may a request be
  patienceSeconds = 0;
  waiting = []; // samples that the server has not got
  busy = false;

  // server: the functions of bilabial.app.sessions
  static async open(server, asked) {
    const faces = new ServerFaces();
    faces.server = server;
    const { key, names, fps, head, delay_seconds: delaySeconds } = await faces.ask("start", asked);
    return Object.assign(faces, { key, names, fps, head: new HeadMotion(head), delaySeconds });
  }

  connect(onvalues, onerror) {
    Object.assign(this, { onvalues, onerror });
    return null;
  }

  // One request at a time, with all that was heard since the last one.
  async feed(piece) {
    this.waiting.push(...piece);
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.waiting.length >= REQUEST_SAMPLES && !this.stopped) this.onvalues(await this.valuesOf(this.waiting.splice(0)));
    } catch (error) {
      if (!this.stopped) this.onerror(error);
    }
    this.busy = false;
  }

  async valuesOf(samples) {
    const sound = Int16Array.from(samples, (sample) => 32767 * Math.min(Math.max(sample, -1), 1));
    const { frames } = await this.ask("feed", { key: this.key, sound: encoded(new Uint8Array(sound.buffer)) });
    return Float32Array.from(decode(frames, Uint16Array), (number) => number / 65535);
  }

  setEmotion(emotion, intensity) {
    return this.ask("set_emotion", { key: this.key, emotion, intensity });
  }

  // Makes room for another visitor.
  stop() {
    this.stopped = true;
    this.ask("stop", { key: this.key }).catch(() => {}); // it ends by itself
  }

  async ask(what, asked) {
    const answer = await this.server[`live_${what}`](asked).catch((error) => {
      if (!(error instanceof TypeError)) throw error; // browsers call a failed fetch so
    });
    if (!answer) throw new Error(t("The connection to the server was lost."));
    if (answer.error) throw new Error(isChinese ? answer.chinese : answer.error);
    return answer;
  }
}
