/** One message at a time that the user should see, with what can be done about it. */

import { at, make } from "../dom.js";

let timer = 0;

/** @param {string} text @param {{kind?: "info" | "warning" | "error", actions?: [string, () => void][], seconds?: number, id?: string}} how */
export function tell(text, { kind = "info", actions = [], seconds = 0, id = "" } = {}) {
  clearTimeout(timer);
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
  banner.replaceChildren(make("p", { text }), make("div", { class: "actions" }, ...buttons));
  banner.hidden = false;
  if (seconds) timer = setTimeout(hush, seconds * 1000);
}

/** Take the message away; with `id`, only if it is that one. */
export function hush(id) {
  if (id && at("banner").dataset.id !== id) return;
  at("banner").hidden = true;
}
