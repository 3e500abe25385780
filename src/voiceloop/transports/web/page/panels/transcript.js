/** What was said: partial words as they come, the reply as it is spoken, and struck through what nobody heard. */

import { at, clock, make } from "../dom.js";

const ANNOUNCED = 6; // utterances; one may be over before another was read out

export class Transcript {
  constructor() {
    this.list = at("transcript");
    this.entries = []; // {role, text, kept, element, ...}, in order; kept: what the server has of it
    this.turns = new Map();
    this.utterances = new Map();
    this.began = null; // when the first connection stood, ms
    this.pinned = true;
    this.watchScrolling();
  }

  /**
   * A new connection: utterances and turns count from 1 again. `history` is what the server has of the conversation,
   * replies as far as they were heard; what the cut connection left open is closed by it, what is missing is added.
   * `goesOn`: whether the page asked for the conversation before.
   */
  resume(history, resumed, goesOn) {
    this.turns.clear();
    this.utterances.clear();
    this.began ??= performance.now();
    if (goesOn && !resumed) this.part();
    const told = history.filter(({ text }) => text);
    const missing = told.slice(this.entries.filter((entry) => entry.kept).length);
    for (const entry of this.entries.filter((one) => !one.settled)) {
      const same = missing[0]?.role === entry.role;
      this.interrupt(entry);
      this.close(entry, same ? missing.shift().text : entry.text);
    }
    for (const { role, text } of missing) this.close(this.add(role, "before"), text);
    this.follow();
  }

  /** The server knows nothing of what was said: what follows is another conversation. */
  part() {
    for (const entry of this.entries.filter((one) => !one.settled)) this.close(entry, entry.text);
    this.entries = [];
    at("welcome").hidden = true;
    this.list.append(make("li", { class: "part", text: "The server no longer has this conversation. A new one begins." }));
  }

  /** The connection is gone: replies that it carried will not be finished. */
  cutOff() {
    for (const entry of this.entries.filter((one) => !one.settled)) this.interrupt(entry);
    this.follow();
  }

  interrupt(entry) {
    if (entry.role === "assistant") this.outcome(entry, "interrupted");
  }

  /** What became of a reply. */
  outcome(entry, text) {
    entry.element.querySelector(".outcome")?.remove();
    entry.element.append(make("p", { class: "outcome", text }));
  }

  /** Settle an entry by what is `kept` of it. */
  close(entry, kept) {
    entry.text ||= kept;
    entry.cut = entry.text.startsWith(kept) && kept.length < entry.text.length ? kept.length : null;
    entry.done = entry.settled = true;
    entry.kept = kept;
    if (entry.text) this.show(entry);
    else this.remove(entry);
  }

  clear() {
    this.entries = [];
    this.list.replaceChildren();
    at("welcome").hidden = false;
  }

  partial({ utterance, text, final, stable_chars: stable }) {
    const entry = this.ofUtterance(utterance, text);
    if (final) this.settle(entry, text);
    else this.fill(entry, { solid: text.slice(0, stable), faint: text.slice(stable) });
    this.follow();
  }

  revised({ utterance, text }) {
    this.settle(this.ofUtterance(utterance, text), text);
  }

  typed(text) {
    const entry = this.add("user", "typed");
    this.settle(entry, text);
    this.follow();
  }

  reply({ turn, text, start }) {
    const entry = this.ofTurn(turn);
    entry.text = entry.text.slice(0, start) + text;
    this.show(entry);
    this.follow();
  }

  word({ turn, ms, start, end }) { this.ofTurn(turn).words.push({ ms, start, end }); }

  /** The turn was cut; `heard` is the listener's part so far. */
  interrupted({ turn, heard }) {
    const entry = this.turns.get(turn);
    if (!entry) return;
    entry.cut = heard.text.length;
    this.show(entry);
  }

  /** The turn is over: its last word on what was said and heard. */
  ended({ turn, said, heard, reason }) {
    const entry = this.turns.get(turn);
    if (!entry) return;
    this.turns.delete(turn);
    entry.text = said || entry.text;
    if (!entry.text) return this.remove(entry);
    entry.cut = reason === "completed" ? null : heard.text.length;
    entry.done = entry.settled = true;
    entry.kept = heard.text;
    this.show(entry);
    const note = { interrupted: "interrupted", dropped: "not spoken", failed: "failed" }[reason];
    if (note) this.outcome(entry, note);
    this.follow();
    this.announce(`Assistant: ${heard.text || entry.text}`);
  }

  tool({ call, name, arguments: given }) {
    const words = Object.entries(given).map(([key, value]) => `${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`);
    const item = make("li", { class: "tool", data: { call } },
      make("b", { text: name }), ` ${words.join(", ")} `, make("span", { class: "result", text: "…" }));
    this.list.append(item);
    this.follow();
  }

  toolReturned({ call, result, error, ms }) {
    const item = [...this.list.querySelectorAll(".tool")].find((one) => one.dataset.call === call);
    if (!item) return;
    item.classList.toggle("failed", error);
    item.querySelector(".result").textContent = `→ ${result.length > 160 ? `${result.slice(0, 160)}…` : result} (${Math.round(ms)} ms)`;
    this.follow();
  }

  /** A picture was shown; those in a row are one line. */
  pictured() {
    at("welcome").hidden = true;
    let item = this.list.lastElementChild;
    if (!item?.classList.contains("picture")) {
      item = make("li", { class: "tool picture", data: { count: 0 } });
      this.list.append(item);
    }
    const count = ++item.dataset.count;
    item.textContent = count === 1 ? "You showed a picture" : `You showed ${count} pictures`;
    this.follow();
  }

  /** The assistant did not look at the last pictures. */
  unseen() {
    const item = [...this.list.querySelectorAll(".picture")].at(-1);
    if (item && !item.querySelector(".result")) item.append(" ", make("span", { class: "result", text: "(not seen)" }));
    item?.classList.add("failed");
  }

  /** Mark how far the assistant has spoken: `ms` of `turn`. */
  spoken(turn, ms) {
    const entry = this.turns.get(turn);
    if (!entry?.words.length) return;
    let reached = 0;
    for (const word of entry.words) if (word.ms <= ms) reached = Math.max(reached, word.end);
    if (reached === entry.reached) return;
    entry.reached = reached;
    this.show(entry);
  }

  // ------------------------------------------------------------ inside

  ofUtterance(number, text) {
    if (!this.utterances.has(number)) this.utterances.set(number, this.add("user", text ? "" : "…"));
    return this.utterances.get(number);
  }

  ofTurn(turn) {
    if (!this.turns.has(turn)) this.turns.set(turn, this.add("assistant", ""));
    return this.turns.get(turn);
  }

  add(role, how) {
    at("welcome").hidden = true;
    const when = make("time", { text: clock((performance.now() - this.began) / 1000) });
    const who = make("p", { class: "who" }, make("span", { text: role === "user" ? "You" : "Assistant" }));
    if (how !== "before") who.append(when);
    if (how === "typed") who.append(make("span", { text: "typed" }));
    const words = make("p", { class: "words", dir: "auto" });
    const element = make("li", { class: role }, who, words);
    this.list.append(element);
    const entry = { role, text: "", element, box: words, words: [], reached: 0, cut: null, done: false, settled: false, kept: "" };
    this.entries.push(entry);
    return entry;
  }

  settle(entry, text) {
    if (!text) return this.remove(entry);
    entry.text = entry.kept = text;
    entry.settled = true;
    this.fill(entry, { solid: text });
    this.announce(`You: ${text}`);
  }

  /** For screen readers: whole utterances, since partial ones would drown them. */
  announce(text) {
    at("said").append(make("p", { text }));
    while (at("said").childElementCount > ANNOUNCED) at("said").firstElementChild.remove();
  }

  remove(entry) {
    entry.element.remove();
    this.entries = this.entries.filter((one) => one !== entry);
  }

  show(entry) {
    const { text, cut, reached, done, words } = entry;
    if (cut !== null) this.fill(entry, { solid: text.slice(0, cut), struck: text.slice(cut) });
    else if (done || !words.length) this.fill(entry, { solid: text });
    else this.fill(entry, { solid: text.slice(0, reached), faint: text.slice(reached) });
  }

  fill(entry, { solid = "", faint = "", struck = "" }) {
    const parts = [solid];
    if (faint) parts.push(make("span", { class: "faint", text: faint }));
    if (struck.trim()) parts.push(make("del", { text: struck }));
    entry.box.replaceChildren(...parts);
  }

  /** Keep the newest words in sight, unless the user scrolled back. */
  follow() {
    if (this.pinned) this.list.scrollTop = this.list.scrollHeight;
  }

  /** Whether the end is in sight tells whether the user scrolled back; a change of size tells nothing. */
  watchScrolling() {
    const list = this.list;
    let height = 0;
    list.addEventListener("scroll", () => {
      if (list.clientHeight === height) this.pinned = list.scrollHeight - list.scrollTop - height < 60;
    });
    new ResizeObserver(() => {
      height = list.clientHeight;
      this.follow();
    }).observe(list);
  }
}
