// Gradio's Audio refuses files that the browser does not call audio, among them films and audio-only WebM, whose sound is
// wanted here. Files with one of the SUFFIXES are handed to it as audio, by the dialog as by dragging.
() => {
  const suffixes = SUFFIXES;
  const wanted = (file) => suffixes.some((suffix) => file.name.toLowerCase().endsWith(suffix));
  const asAudio = (file) => (wanted(file) ? new File([file], file.name, { type: "audio/webm" }) : file);
  const speech = (event) => event.target.closest?.("#speech");

  // Gradio names these buttons otherwise than they read.
  const rename = () =>
    document.querySelectorAll("button:is(.upload-container, .playback)[aria-label]").forEach((button) => {
      button.title = button.getAttribute("aria-label");
      button.removeAttribute("aria-label");
    });
  new MutationObserver(rename).observe(document.body, { childList: true, subtree: true, attributeFilter: ["aria-label"] });

  function give(input, files) {
    const transfer = new DataTransfer();
    files.forEach((file) => transfer.items.add(asAudio(file)));
    input.files = transfer.files;
  }

  // The dialog offers them too.
  document.addEventListener(
    "click",
    (event) => {
      const input = speech(event)?.querySelector("input[type=file]");
      if (input) input.accept = ["audio/*", ...suffixes].join(",");
    },
    true,
  );
  document.addEventListener("change", (event) => speech(event) && event.target.type === "file" && give(event.target, [...event.target.files]), true);
  document.addEventListener(
    "drop",
    (event) => {
      const files = [...(event.dataTransfer?.files ?? [])];
      const input = speech(event)?.querySelector("input[type=file]");
      if (!input || !files.some(wanted)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      give(input, files);
      input.dispatchEvent(new Event("change", { bubbles: true }));
    },
    true,
  );
}
