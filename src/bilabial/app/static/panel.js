// A plot over time with a cursor at the playback position: a click or a drag seeks, arrow keys move by one frame.

import { t } from "./i18n.js";

export class Panel {
  // target: where plotly draws, alone in its parent. label: English. clock: {seek(seconds), step(frames), end()}.
  constructor(target, label, clock) {
    this.target = target;
    this.clock = clock;
    this.time = 0;
    this.cursor = document.createElement("div");
    this.cursor.className = "bilabial-cursor";
    target.parentElement.append(this.cursor);
    const spoken = { tabindex: 0, role: "slider", "aria-label": t(label), "aria-valuemin": 0 };
    for (const [name, value] of Object.entries(spoken)) target.setAttribute(name, value);
    target.onclick = (event) => this.covers(event) && this.seekTo(event);
    target.onpointerdown = (event) => this.covers(event) && target.setPointerCapture(event.pointerId);
    target.onpointermove = (event) => target.hasPointerCapture(event.pointerId) && this.seekTo(event);
    target.onkeydown = (event) => this.press(event);
  }

  async draw(data, layout) {
    const first = !this.target._fullLayout;
    await Plotly.react(this.target, data, layout, { responsive: true, displayModeBar: false });
    if (first) this.target.on("plotly_afterplot", () => this.move(this.time)); // a resize moves the axis
    this.target.setAttribute("aria-valuemax", this.clock.end().toFixed(2));
    this.move(this.time);
  }

  move(time) {
    this.time = time;
    const { xaxis, _size } = this.target._fullLayout ?? {};
    if (!xaxis) return;
    Object.assign(this.cursor.style, { display: "block", top: `${_size.t}px`, height: `${_size.h}px` });
    this.cursor.style.transform = `translateX(${xaxis._offset + xaxis.d2p(time)}px)`;
    this.target.setAttribute("aria-valuenow", time.toFixed(2));
  }

  // Where in the target, and whether that is between the axes and not in the legend.
  covers(event) {
    const { _size } = this.target._fullLayout ?? {};
    const box = this.target.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    return _size && x >= _size.l && x <= _size.l + _size.w && y >= _size.t && y <= _size.t + _size.h;
  }

  seekTo(event) {
    const { xaxis } = this.target._fullLayout;
    const time = xaxis.p2d(event.clientX - this.target.getBoundingClientRect().left - xaxis._offset);
    this.clock.seek(Math.min(Math.max(time, 0), this.clock.end()));
  }

  press(event) {
    const { step, seek, end } = this.clock;
    const act = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), Home: () => seek(0), End: () => seek(end()) }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }
}
