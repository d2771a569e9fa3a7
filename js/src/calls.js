// The methods that BilabialStream has in a page and in Node. A subclass defines call(method, ...arguments of FaceStream).

export class StreamCalls {
  feed(samples) {
    return this.call("feed", samples);
  }

  finish() {
    return this.call("finish");
  }

  reset(keepLevel = false) {
    return this.call("reset", keepLevel);
  }

  setEmotion(emotion, intensity = 1) {
    return this.call("setEmotion", emotion, intensity);
  }
}
