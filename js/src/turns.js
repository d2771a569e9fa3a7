// Calls of a FaceStream, one after the other, and the sound of a MessagePort between them.

export class Turns {
  constructor(stream) {
    this.stream = stream;
    this.previous = Promise.resolve();
  }

  // What the stream's method gives when its turn has come.
  call(method, ...given) {
    const result = this.previous.then(() => this.stream[method](...given));
    this.previous = result.catch(() => {});
    return result;
  }

  // Pieces that come while others are computed are fed together.
  connect(port, onframes, onerror) {
    const waiting = [];
    const feed = () => {
      const pieces = waiting.splice(0);
      const samples = new Float32Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
      let filled = 0;
      for (const piece of pieces) {
        samples.set(piece, filled);
        filled += piece.length;
      }
      return this.stream.feed(samples);
    };
    port.onmessage = ({ data }) => {
      if (waiting.push(data) > 1) return;
      const result = this.previous.then(feed);
      this.previous = result.then(onframes, onerror);
    };
  }
}
