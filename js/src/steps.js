// step.onnx, step after step: the states of the model go from one to the next.

export class ModelSteps {
  constructor(ort, session, settings, style) {
    Object.assign(this, { ort, session, settings, style });
    this.reset();
  }

  reset() {
    const zeros = ([name, shape]) => [name, this.tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)];
    this.states = Object.fromEntries(Object.entries(this.settings.states).map(zeros));
  }

  tensor(values, shape) {
    return new this.ort.Tensor("float32", values, shape);
  }

  // Faces of as many frames as the mask has, settings.delay_frames later: {neutral, face}, Float32Arrays side by side.
  // samples: of whole frames. mask: 0 for frames that are none. emotion: rows of weights, side by side, of the delayed
  // frames: a row of zeros and, where there is an emotion, its row.
  async step(samples, mask, emotion, rows) {
    const { emotions, blendshapes } = this.settings;
    this.fitRows(rows);
    const outputs = await this.session.run({
      samples: this.tensor(samples, [samples.length]),
      mask: this.tensor(mask, [mask.length]),
      emotion: this.tensor(emotion, [rows, mask.length, emotions.length]),
      style: this.tensor(this.style, [this.style.length]),
      ...Object.fromEntries(Object.entries(this.states).map(([name, state]) => [`past_${name}`, state])),
    });
    for (const name of Object.keys(this.states)) this.states[name] = outputs[`next_${name}`];
    const size = mask.length * blendshapes.length;
    return { neutral: outputs.neutral.data, face: outputs.coefficients.data.subarray((rows - 1) * size) };
  }

  // Until now the rows of the decoder were alike.
  fitRows(rows) {
    const { dims, data } = this.states.decoder;
    if (dims[0] === rows) return;
    const first = data.subarray(0, data.length / dims[0]);
    const values = new Float32Array(rows * first.length);
    for (let row = 0; row < rows; row++) values.set(first, row * first.length);
    this.states.decoder = this.tensor(values, [rows, ...dims.slice(1)]);
  }
}
