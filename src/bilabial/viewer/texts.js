// The page's own texts in the language of the browser, as gr.I18n chooses it: English, or Chinese from props.texts.

const isChinese = navigator.language.toLowerCase().startsWith("zh");

// values: what stands in the text's {braces}
function t(english, values = {}) {
  const text = (isChinese && props.texts?.[english]) || english;
  return text.replace(/{(\w+)}/g, (all, name) => values[name] ?? all);
}

// Calls draw(now) before every picture of the browser until it returns false. An error in it is told on the console, each
// one once, and ends nothing.
function everyPicture(draw) {
  const told = new Set();
  const next = (now) => {
    try {
      if (draw(now) === false) return;
    } catch (error) {
      if (!told.has(error.message)) console.error(error);
      told.add(error.message);
    }
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
}

// Translates what player.html says, to eyes and to screen readers.
function translate(root) {
  root.lang = isChinese ? "zh" : "en";
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const english = walker.currentNode.data.trim();
    if (english) walker.currentNode.data = walker.currentNode.data.replace(english, t(english));
  }
  for (const name of ["aria-label", "title"]) {
    root.querySelectorAll(`[${name}]`).forEach((node) => node.setAttribute(name, t(node.getAttribute(name))));
  }
}
