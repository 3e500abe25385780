/** One message at a time that the user should see, with what can be done about it. */

import { at, make } from "../dom.js";

let timer = 0, ticks = 0;

/** @param {string} text @param {{kind?: "info" | "warning" | "error", actions?: [string, () => void][], seconds?: number, id?: string, count?: number}} how `count`: in how many seconds it is tried again */
export function tell(text, { kind = "info", actions = [], seconds = 0, id = "", count = 0 } = {}) {
  clearTimeout(timer);
  clearInterval(ticks);
  const banner = at("banner");
  banner.dataset.kind = kind;
  banner.dataset.id = id;
  banner.setAttribute("role", kind === "info" ? "status" : "alert");
  const buttons = [...actions, ["Dismiss", () => {}]].map(([label, act]) => {
    const button = make("button", { type: "button", class: label === "Dismiss" ? "quiet" : "", text: label });
    button.addEventListener("click", () => {
      hush();
      act();
    });
    return button;
  });
  banner.replaceChildren(make("p", { text }, ...(count ? [counted(count)] : [])), make("div", { class: "actions" }, ...buttons));
  banner.hidden = false;
  if (seconds) timer = setTimeout(hush, seconds * 1000);
}

/** Seconds that go by before the eyes alone: to hear each of them would be too much. */
function counted(seconds) {
  const until = performance.now() + seconds * 1000, shown = make("span", { "aria-hidden": "true" });
  const show = () => { shown.textContent = ` Trying again in ${Math.max(1, Math.ceil((until - performance.now()) / 1000))} s.`; };
  show();
  ticks = setInterval(show, 250);
  return shown;
}

/** Take the message away; with `id`, only if it is that one. */
export function hush(id) {
  if (id && at("banner").dataset.id !== id) return;
  clearInterval(ticks);
  at("banner").hidden = true;
}
