// What the page is doing: waiting for input, busy with time left, done, or what went wrong.

import { setTexts, t } from "./i18n.js";
import { page } from "./page.js";

const IDLE = { state: "idle" };

class Status {
  kept = []; // notes that stay

  constructor(element) {
    const part = (name) => element.querySelector(`.bilabial-${name}`);
    [this.text, this.progress, this.notes] = ["status-text", "progress", "notes"].map(part);
    this.set(IDLE);
  }

  // value: {state: "idle"}, {state: "busy", text, share, seconds_left}, {state: "error", text} or
  // {state: "done", seconds, took, notes, example} (bilabial.app.handlers).
  set(value) {
    clearInterval(this.timer);
    this.value = value ?? IDLE;
    this.since = performance.now();
    this.text.dataset.state = this.value.state;
    this.text.setAttribute("role", this.value.state === "error" ? "alert" : "status");
    const notes = [...this.kept, ...(this.value.notes ?? [])];
    this.notes.replaceChildren(...notes.map((note) => Object.assign(document.createElement("li"), { textContent: note })));
    this.notes.hidden = !this.notes.children.length;
    this.progress.hidden = this.value.state !== "busy";
    page.player?.setBusy(this.value.state === "busy");
    this.draw();
    if (this.value.state === "busy") this.timer = setInterval(() => this.draw(), 500);
  }

  keepNote(note) {
    this.kept.push(note);
    this.set(this.value);
  }

  draw() {
    const { state, text, share = 0, seconds_left: estimate, seconds, took, example } = this.value;
    if (state === "busy") {
      const passed = (performance.now() - this.since) / 1000;
      const left = estimate === undefined ? undefined : Math.max(estimate - passed, 0);
      const done = estimate ? Math.min(passed / estimate, 1) : 0;
      this.progress.value = share + (1 - share) * 0.9 * done;
      this.write(left > 0.5 ? t("{step}, about {seconds} s left", { step: t(text), seconds: Math.ceil(left) }) : `${t(text)}…`);
    } else if (state === "done") {
      const times = { seconds: seconds.toFixed(1), took: took.toFixed(1) };
      const sentence = example ? t("Animated the example ({seconds} s) in {took} s. Add your own speech to replace it.", times) : t("Animated {seconds} s of speech in {took} s.", times);
      this.write(sentence);
    } else this.write(state === "error" ? text : t("Add speech or keep the example, choose an emotion, then press Generate."));
  }

  // The same sentence is not read aloud twice.
  write(sentence) {
    if (this.text.textContent !== sentence) this.text.textContent = sentence;
  }
}

export function mountStatus({ element, props, watch }) {
  setTexts(props.texts);
  page.status = new Status(element);
  watch("value", () => page.status.set(props.value));
}

// The button was pressed; what comes next comes from the server.
export function startWaiting() {
  page.status?.set({ state: "busy", text: "Waiting for the server" });
}

// The server refused or was lost; Gradio has said why.
export function stopWaiting() {
  page.status?.set({ state: "error", text: t("Nothing was generated. Check the message at the top of the page and try again.") });
}
