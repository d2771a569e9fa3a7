// The page's own texts in the language of the browser, as gr.I18n chooses it: English, or Chinese from a table.

export const isChinese = navigator.language.toLowerCase().startsWith("zh");
let table = {}; // English -> Chinese

export function setTexts(texts) {
  table = texts ?? {};
}

// values: what stands in the text's {braces}
export function t(english, values = {}) {
  const text = (isChinese && table[english]) || english;
  return text.replace(/{(\w+)}/g, (all, name) => values[name] ?? all);
}

// Translates the texts of a template, to eyes and to screen readers.
export function translate(root) {
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
