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

/** Seconds as m:ss. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
