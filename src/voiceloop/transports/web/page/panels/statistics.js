/** Live figures: where the time of the last turn went, and what the session used. */

import { at, clock, make } from "../dom.js";

const PARTS = [
  ["endpointing", "end of turn"], ["first_token", "first word"], ["first_clause", "first clause"],
  ["synthesis", "voice"], ["delivery", "delivery"],
];
const TOTALS = [
  ["duration", "Duration"], ["turns", "Replies"], ["interruptions", "Interrupted"], ["tokens", "Tokens in / out"],
  ["characters", "Characters"], ["cost", "Cost"], ["network", "Network"], ["buffer", "Audio held"],
];

export class Statistics {
  constructor() {
    this.reset();
    at("totals").replaceChildren(...TOTALS.map(([id, label]) =>
      make("div", {}, make("dt", { text: label }), make("dd", { id: `total-${id}`, text: "–" }))));
  }

  reset() {
    this.sums = {};
    this.turns = this.interruptions = 0;
    this.began = null;
    this.took = 0; // s, of the connections before this one
  }

  start() { this.began = performance.now(); }

  stop() {
    if (this.began !== null) this.took += (performance.now() - this.began) / 1000;
    this.began = null;
  }

  usage({ amounts }) {
    for (const [unit, amount] of Object.entries(amounts)) this.sums[unit] = (this.sums[unit] ?? 0) + amount;
  }

  ended({ reason }) {
    this.turns++;
    if (reason === "interrupted") this.interruptions++;
  }

  /** Show the waterfall of one answered utterance. */
  turn(metrics) {
    const whole = Math.max(1, metrics.voice_to_voice);
    at("voice-to-voice").textContent = `${Math.round(whole)} ms`;
    at("waterfall").replaceChildren(...PARTS.map(([name]) => {
      const bar = make("span", { class: name, title: `${name}: ${Math.round(metrics[name])} ms` });
      bar.style.flexGrow = String(Math.max(0, metrics[name]));
      return bar;
    }));
    at("waterfall-parts").replaceChildren(...PARTS.map(([name, label]) =>
      make("li", { class: name }, make("span", { text: label }), make("b", { text: `${Math.round(metrics[name])} ms` }))));
    at("waterfall").setAttribute("aria-label", `From the end of your words to the first sound: ${Math.round(whole)} ms`);
  }

  /** @param {{rtt: number | null, health: {underruns: number, target: number}, context: AudioContext | undefined}} now */
  show({ rtt, health, free }) {
    const { sums } = this;
    const seconds = this.took + (this.began === null ? 0 : (performance.now() - this.began) / 1000);
    const put = (id, text) => { at(`total-${id}`).textContent = text; };
    const number = (value) => (value ?? 0).toLocaleString();
    put("duration", clock(seconds));
    put("turns", number(this.turns));
    put("interruptions", number(this.interruptions));
    const counted = sums.input_tokens || sums.output_tokens;
    put("tokens", counted ? `${number(sums.input_tokens)} / ${number(sums.output_tokens)}` : "–");
    put("characters", sums.characters ? number(sums.characters) : "–");
    put("cost", sums.usd !== undefined ? `$${sums.usd.toFixed(4)}` : free ? "free" : "not known");
    put("network", rtt === null ? "–" : `${Math.round(rtt)} ms`);
    put("buffer", health.target ? `${Math.round(health.target * 1000)} ms` : "–");
  }
}
