// Mono at 16 kHz in pieces, of a microphone at the device's rate, to the node's port and to a port that it sent.

import { Resampler } from "./resample.js";

class MicrophoneProcessor extends AudioWorkletProcessor {
  constructor({ processorOptions: { pieceSamples } }) {
    super();
    this.resampler = new Resampler(sampleRate);
    this.piece = new Float32Array(pieceSamples);
    this.filled = 0;
    this.port.onmessage = ({ data: { port } }) => Object.assign(this, { forwarded: port, started: true });
  }

  process([channels]) {
    if (!this.started || !channels.length) return true; // both ports get the same first sample
    const mono = channels[0].map((_, k) => channels.reduce((sum, channel) => sum + channel[k], 0) / channels.length);
    for (const sample of this.resampler.feed(mono)) {
      this.piece[this.filled++] = sample;
      if (this.filled < this.piece.length) continue;
      this.port.postMessage(this.piece);
      this.forwarded?.postMessage(this.piece);
      this.filled = 0;
    }
    return true;
  }
}

registerProcessor("bilabial-microphone", MicrophoneProcessor);
