// A microphone as mono samples at 16 kHz, unprocessed: no echo cancelling, no automatic gain.

const PIECE_SECONDS = 0.04;

export class Microphone {
  // Asks for the microphone; onsamples takes Float32Arrays. Throws what getUserMedia throws.
  static async open(onsamples, pieceSeconds = PIECE_SECONDS) {
    if (!navigator.mediaDevices) throw new Error("browsers give the microphone only to pages over https or on this computer");
    const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const media = await navigator.mediaDevices.getUserMedia({ audio });
    const microphone = new Microphone(media);
    try {
      await microphone.#start(onsamples, pieceSeconds);
    } catch (error) {
      microphone.close();
      throw error;
    }
    return microphone;
  }

  constructor(media) {
    this.media = media;
    const { sampleRate } = media.getAudioTracks()[0].getSettings();
    this.context = new AudioContext(sampleRate ? { sampleRate } : {}); // Firefox connects no other rate
  }

  async #start(onsamples, pieceSeconds) {
    await this.context.audioWorklet.addModule(new URL("./microphone-worklet.js", import.meta.url));
    const processorOptions = { pieceSamples: Math.round(16000 * pieceSeconds) };
    this.node = new AudioWorkletNode(this.context, "bilabial-microphone", { numberOfOutputs: 0, processorOptions });
    this.node.port.onmessage = ({ data }) => onsamples(data);
    this.context.createMediaStreamSource(this.media).connect(this.node);
    await this.context.resume();
  }

  close() {
    this.media.getTracks().forEach((track) => track.stop());
    if (this.node) this.node.port.onmessage = null;
    this.context.close();
  }
}
