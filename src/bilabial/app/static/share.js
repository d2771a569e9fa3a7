// Settings in the page's address: a link that opens the page as it is now.

import { t } from "./i18n.js";
import { page } from "./page.js";

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const isMixture = (value, names) =>
  value !== null && typeof value === "object" && Object.entries(value).every(([name, share]) => names.includes(name) && isNumber(share) && share >= 0);
const ACCEPTS = {
  number: (value, { low, high }) => isNumber(value) && value >= low && value <= high,
  choice: (value, { choices }) => choices.includes(value),
  choices: (value, { choices }) => Array.isArray(value) && value.every((one) => choices.includes(one)),
  text: (value, { length }) => typeof value === "string" && value.length <= length,
  schedule: (value, { choices }) =>
    Array.isArray(value) && value.length > 0 && value.length <= 1000 &&
    value.every((entry, k) => Array.isArray(entry) && isNumber(entry[0]) && (k ? entry[0] > value[k - 1][0] : entry[0] === 0) && isMixture(entry[1], choices)),
};

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

// The values of the controls as the address says. settings: [{name, kind, default, ...limits}, ...], the controls' order.
export function readLink(settings, values) {
  const query = new URLSearchParams(location.search);
  const linked = settings.filter(({ name }) => query.has(name));
  const refused = [];
  const read = settings.map((setting, k) => {
    if (!linked.includes(setting)) return values[k];
    const value = parse(query.get(setting.name));
    if (ACCEPTS[setting.kind](value, setting)) return value;
    refused.push(setting.name);
    return values[k];
  });
  page.linked = linked.length > refused.length;
  if (refused.length) page.status.keepNote(t("This link has settings that are not valid and were ignored: {names}.", { names: refused.join(", ") }));
  return read;
}

// Copies a link with every setting that is not the default.
export async function copyLink(settings, values) {
  const address = new URL(location.href);
  settings.forEach((setting, k) => {
    const [value, usual] = [values[k], setting.default].map((one) => JSON.stringify(one));
    if (value === usual) address.searchParams.delete(setting.name);
    else address.searchParams.set(setting.name, value);
  });
  history.replaceState(null, "", address);
  const button = document.querySelector("#share");
  const text = button.textContent;
  try {
    await navigator.clipboard.writeText(address.href);
    button.textContent = t("Link copied");
  } catch {
    button.textContent = t("The link is in the address bar");
  }
  setTimeout(() => (button.textContent = text), 2000);
}

// A page that was opened by a link shows the example with the link's settings.
export function generateIfLinked() {
  if (page.linked) document.querySelector("#generate").click();
}
