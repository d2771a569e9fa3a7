// Mono at 16 kHz in pieces, of a microphone at the device's rate.

import { Resampler } from "./resample.js";

class MicrophoneProcessor extends AudioWorkletProcessor {
  constructor({ processorOptions: { pieceSamples } }) {
    super();
    this.resampler = new Resampler(sampleRate);
    this.piece = new Float32Array(pieceSamples);
    this.filled = 0;
  }

  process([channels]) {
    if (!channels.length) return true;
    const mono = channels[0].map((_, k) => channels.reduce((sum, channel) => sum + channel[k], 0) / channels.length);
    for (const sample of this.resampler.feed(mono)) {
      this.piece[this.filled++] = sample;
      if (this.filled < this.piece.length) continue;
      this.port.postMessage(this.piece.slice());
      this.filled = 0;
    }
    return true;
  }
}

registerProcessor("bilabial-microphone", MicrophoneProcessor);
