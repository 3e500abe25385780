/** What the user chose, kept in this browser. Credentials are never among it. */

const KEY = "voiceloop.settings";

const DEFAULTS = {
  stack: "", voices: {}, persona: "", own: "", mode: "chat+voice", theme: "", greet: true,
  microphone: "", speaker: "", micLevel: 1, volume: 1, latencyMs: 0,
};

function stored() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    // only what is known, and of the same kind: an older page may have written something else
    return Object.fromEntries(Object.entries(kept).filter(([key, value]) => typeof value === typeof DEFAULTS[key]));
  } catch {
    return {};
  }
}

const values = { ...DEFAULTS, ...stored() };

/** Reads and writes like an object; each write is kept. */
export const settings = new Proxy(values, {
  set(target, key, value) {
    target[key] = value;
    try {
      localStorage.setItem(KEY, JSON.stringify(target));
    } catch {
      // private windows may refuse; the choice then lasts as long as the page
    }
    return true;
  },
});
