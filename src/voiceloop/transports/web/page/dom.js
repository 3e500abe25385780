/** Small helpers for the page's elements. */

export const at = (id) => document.getElementById(id);

/** A new element with `properties` (class, text, data and attributes) and children. */
export function make(tag, { text, data, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Fill a <select> with `options` ({value, label}); the chosen one stays, if it is still there. */
export function offer(select, options, chosen) {
  select.replaceChildren(...options.map(({ value, label }) => new Option(label, value)));
  if (options.some(({ value }) => value === chosen)) select.value = chosen;
}

const SENTENCE = /^(.+?[.!?])\s+(?=[A-Z])(.+)$/s;

/** The first sentence of a text, and the rest. */
export const sentences = (text) => SENTENCE.exec(text)?.slice(1) ?? [text, ""];

/** A failure in one sentence for people; advice to who runs the server is in the debug log, which has it all. */
export function plain(failure) {
  const [first, rest] = sentences((failure ?? "").replace(/ \(while .*?\)(?=\.|$)/, ""));
  return rest ? `${first} The debug log has more.` : first;
}

/** Seconds as m:ss. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
