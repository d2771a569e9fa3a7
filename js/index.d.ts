/** Speech to the 52 ARKit blendshape coefficients, in the browser and in Node. */

/** One of the model's emotions, or shares of several: {happy: 0.7, surprised: 0.3}. */
export type Emotion = string | Record<string, number>;

/** Codes stay while messages may change. "internal": a fault of this package or of onnxruntime-web. */
export type ErrorCode =
  | "emotion_kind" | "emotion_name" | "emotion_share" | "fps_range" | "intensity_range" | "internal" | "level_range"
  | "media_silent" | "microphone_failed" | "microphone_insecure" | "microphone_lost" | "model_address" | "model_format"
  | "model_missing" | "motion_start" | "no_simd" | "piece_range" | "precision_name" | "runtime_missing" | "samples_finite"
  | "samples_kind" | "sampling_rate_range" | "stream_closed" | "stream_finished" | "style_amount" | "style_kind"
  | "style_name" | "worker_failed";

export class BilabialError extends Error {
  readonly code: ErrorCode;
}

export interface StreamOptions {
  /** Address of the folder that `bilabial export onnx` wrote; in Node also its path. */
  model: string | URL;
  /** Bits of the stored weights: which of its files is loaded. Default "int8". */
  precision?: "fp32" | "fp16" | "int8";
  /** Address of onnxruntime-web's module. Default: where the page's import map has "onnxruntime-web/wasm", in Node the package. */
  runtime?: string | URL;
  /** Whole addresses of its ort-wasm-simd-threaded.mjs and .wasm. Default: those beside `runtime`. */
  wasmPaths?: { mjs: string; wasm: string };
  /** Address of the worker's module, where a bundler moved it. Default: worker.js of this package. Node needs none. */
  worker?: string | URL;
  emotion?: Emotion;
  /** 0 (neutral) to 1.5. */
  intensity?: number;
  /** A style by name, or a mixture {name: amount 0..1.5}; null = the default. */
  style?: string | Record<string, number> | null;
  /** Frames per second, 1 to 240. Default 30. */
  fps?: number;
  /** Blinks, gaze, breath, turns and nods. Default true. */
  motion?: boolean;
  /** Where in their minute they begin, in seconds; left out: anywhere. */
  motionStart?: number;
  /** How loud the speaker is, in dB below full scale; null = follow it. */
  levelDb?: number | null;
}

export interface Frames {
  /** Number of the first frame; frame n is at n / fps seconds of the sound. */
  first: number;
  count: number;
  /** count times names.length coefficients in 0..1. */
  values: Float32Array;
}

/** A face that speaks along, computed in a Worker; in Node in the thread of the caller. Its calls reject with a BilabialError. */
export class BilabialStream {
  static create(options: StreamOptions): Promise<BilabialStream>;
  /** Columns of the frames, ARKit's names. */
  readonly names: string[];
  readonly emotions: string[];
  readonly styles: string[];
  readonly fps: number;
  /** Null without motion, and with a model that was exported before there was one. */
  readonly head: HeadMotion | null;
  /** A frame comes when at most so much sound after its time was fed. */
  readonly delaySeconds: number;
  /** The next samples, mono at 16 kHz in -1..1; gives the frames that became certain. */
  feed(samples: Float32Array): Promise<Frames>;
  /** Feeds the pieces that a port sends, an AudioWorklet's for one, also while this thread is busy. */
  connect(port: MessagePort, onframes: (frames: Frames) => void, onerror: (error: BilabialError) => void): Promise<void>;
  /** The frames that were waiting for more sound. */
  finish(): Promise<Frames>;
  /** Begins again at time 0. keepLevel: the same speaker goes on. */
  reset(keepLevel?: boolean): Promise<void>;
  /** From the next frame on; the change takes a second. */
  setEmotion(emotion: Emotion, intensity?: number): Promise<void>;
  close(): void;
}

/** Turns and nods of a head that speaks; nods do not know the syllables. It begins at rest, and repeats each minute. */
export class HeadMotion {
  /** Degrees of [yaw to the subject's left, pitch up, roll to the subject's right] at so many seconds of the sound. */
  at(seconds: number): [number, number, number];
}

export interface MicrophoneOptions {
  /** Sound to take instead of asking for the microphone; close() stops its tracks. */
  media?: MediaStream;
  /** Length of the pieces. Default 0.04. */
  pieceSeconds?: number;
  /** Gets the pieces too, from the audio thread, while this thread is busy: the other end of what connect() got. */
  port?: MessagePort | null;
  /** Address of the AudioWorklet's module, where a bundler moved it. Default: microphone-worklet.js of this package. */
  worklet?: string | URL;
  /** Told once when no more sound will come: the microphone was disconnected, or the audio thread failed. */
  onerror?: (error: BilabialError) => void;
}

/** A microphone as mono samples at 16 kHz. open() rejects with a BilabialError, or with what getUserMedia throws. */
export class Microphone {
  static open(onsamples: (samples: Float32Array) => void, options?: MicrophoneOptions): Promise<Microphone>;
  readonly media: MediaStream;
  /** Pieces go to this port instead of the one before; null: to none. */
  forward(port: MessagePort | null): void;
  close(): void;
}

/** Sound at one rate to another, piece by piece. */
export class Resampler {
  constructor(from: number, to?: number);
  feed(samples: Float32Array): Float32Array;
  finish(): Float32Array;
}

/** Which face belongs on the screen now. Times in seconds; `now` of one clock of the caller's. */
export class Timeline {
  /** start: seconds of the sound at which the frames begin. before: a timeline whose sound and drawing go on with new frames. */
  constructor(fps: number, options?: { start?: number; before?: Timeline | null });
  /** A piece of sound ended at so many seconds of the sound. */
  received(seconds: number, now: number): void;
  receive(frames: Pick<Frames, "count" | "values">): void;
  /** Null while there is no face later than what was drawn. */
  at(now: number): { time: number; delay: number; values: Float32Array } | null;
}
