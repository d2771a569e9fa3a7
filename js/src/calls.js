// The methods that BilabialStream has in a page and in Node. A subclass defines call(method, ...arguments of FaceStream).

import { HeadMotion } from "./head.js";

export class StreamCalls {
  // facts: of described() in model.js
  describe({ head, ...facts }) {
    return Object.assign(this, facts, { head: head && new HeadMotion(head) });
  }

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
