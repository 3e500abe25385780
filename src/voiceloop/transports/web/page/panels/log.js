/** The debug log: what went over the connection and what the player did; shown on demand, exported as JSON. */

import { at, make } from "../dom.js";

const KEPT = 3000, SHOWN = 200;
const SECRET = "(not shown)";

export class Log {
  constructor() {
    this.entries = [];
    this.box = at("log-lines");
    at("log").addEventListener("toggle", () => this.redraw());
    at("log-export").addEventListener("click", () => this.export());
    at("log-clear").addEventListener("click", () => {
      this.entries = [];
      this.redraw();
    });
  }

  /** @param {"in" | "out" | "page" | "audio"} from @param {object} data */
  add(from, data) {
    const entry = { clock: Math.round(performance.now()), from, ...without(data) }; // ms, of this page
    this.entries.push(entry);
    if (this.entries.length > KEPT) this.entries.shift();
    if (at("log").open) this.line(entry);
  }

  redraw() {
    this.box.replaceChildren();
    if (at("log").open) this.entries.slice(-SHOWN).forEach((entry) => this.line(entry));
  }

  line({ clock, from, type, ...rest }) {
    const text = `${(clock / 1000).toFixed(2).padStart(8)}  ${from.padEnd(5)} ${type ?? ""} ${JSON.stringify(rest)}`;
    this.box.append(make("li", { text: text.length > 300 ? `${text.slice(0, 300)}…` : text, class: from }));
    while (this.box.childElementCount > SHOWN) this.box.firstElementChild.remove();
    this.box.scrollTop = this.box.scrollHeight;
  }

  export() {
    const about = { browser: navigator.userAgent, made: new Date().toISOString(), entries: this.entries };
    const address = URL.createObjectURL(new Blob([JSON.stringify(about, null, 1)], { type: "application/json" }));
    const link = make("a", { href: address, download: "voiceloop-log.json" });
    link.click();
    URL.revokeObjectURL(address);
  }
}

/** The same without credentials and pictures. */
function without(data) {
  return { ...data, ...(data.keys && { keys: SECRET }), ...(data.images && { images: data.images.length }) };
}
