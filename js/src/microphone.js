// A microphone, or another MediaStream with sound, as mono samples at 16 kHz. The microphone comes unprocessed: no echo
// cancelling, no automatic gain.

import { BilabialError } from "./errors.js";

const RATE = 16000; // Hz
const PIECE_SECONDS = 0.04;
const UNPROCESSED = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };

// At the rate of the device: no browser resamples, and Firefox connects no other rate.
function sourceOf(media) {
  const { sampleRate } = media.getAudioTracks()[0].getSettings();
  let context;
  try {
    context = new AudioContext({ sampleRate });
    return context.createMediaStreamSource(media);
  } catch {
    context?.close();
    return new AudioContext().createMediaStreamSource(media); // the browser does not use the rate that it states
  }
}

export class Microphone {
  // onsamples takes Float32Arrays. See index.d.ts for the options. Throws what getUserMedia throws.
  static async open(onsamples, { media, pieceSeconds = PIECE_SECONDS, port = null, worklet, onerror } = {}) {
    if (!(pieceSeconds * RATE >= 1 && pieceSeconds <= 10)) {
      throw new BilabialError("piece_range", `pieceSeconds must be a number from one sample to 10 s, got ${pieceSeconds}`);
    }
    if (!media && !globalThis.navigator?.mediaDevices) {
      throw new BilabialError("microphone_insecure", "browsers give the microphone only to pages over https or on this computer");
    }
    const microphone = new Microphone(media ?? (await navigator.mediaDevices.getUserMedia({ audio: UNPROCESSED })), onerror);
    try {
      await microphone.#start(onsamples, pieceSeconds, port, worklet ?? new URL("./microphone-worklet.js", import.meta.url));
    } catch (error) {
      microphone.close();
      throw error;
    }
    return microphone;
  }

  constructor(media, onerror = console.error) {
    Object.assign(this, { media, onerror });
  }

  async #start(onsamples, pieceSeconds, port, worklet) {
    if (!this.media.getAudioTracks().length) throw new BilabialError("media_silent", "the MediaStream has no sound");
    const source = sourceOf(this.media);
    this.context = source.context;
    await this.context.audioWorklet.addModule(worklet);
    const processorOptions = { pieceSamples: Math.round(RATE * pieceSeconds) };
    this.node = new AudioWorkletNode(this.context, "bilabial-microphone", { numberOfOutputs: 0, processorOptions });
    this.node.port.onmessage = ({ data }) => onsamples(data);
    this.node.onprocessorerror = () => this.#fail("microphone_failed", "the audio thread failed");
    for (const track of this.media.getAudioTracks()) {
      track.addEventListener("ended", () => this.#fail("microphone_lost", "the microphone was disconnected"));
    }
    this.forward(port); // sound begins with it
    source.connect(this.node);
    await this.context.resume();
  }

  // Pieces go to a MessagePort too, from the audio thread, while this thread is busy; null: no longer.
  forward(port) {
    this.node.port.postMessage({ port }, port ? [port] : []);
  }

  // No more sound will come; a track that close() stops says nothing.
  #fail(code, message) {
    this.close();
    this.onerror(new BilabialError(code, message));
  }

  close() {
    this.media.getTracks().forEach((track) => track.stop());
    if (this.node) this.node.port.onmessage = null;
    this.context?.close();
    this.context = null; // closed once
  }
}
