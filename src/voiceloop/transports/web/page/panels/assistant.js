/** What the assistant runs on, its voice, and who it is. What the server refuses is taken back. */

import { access } from "../access.js";
import { at, make, offer, sentences } from "../dom.js";
import { settings } from "../settings.js";

const OWN = { id: "own", label: "My own", instructions: "" };
const entry = ({ id, label }) => ({ value: id, label });

/** The first sentence, and the rest on demand. */
function told(about) {
  const [first, rest] = sentences(about);
  return rest ? [first, make("details", { class: "more" }, make("summary", { text: "More" }), rest)] : [first];
}

export class Assistant {
  /** @param {import("../conversation.js").Conversation} talk @param {{stacks: object[], personas: object[]}} catalogue */
  constructor(talk, { stacks, personas }) {
    this.talk = talk;
    this.stacks = stacks;
    this.personas = [...personas, OWN];
    this.forgetWhatIsNotOffered();
    this.held = this.choices; // what the running session has
    this.awaited = 0; // answers of the server
    this.left = null; // the stack that the conversation had until now, while another one is tried
    this.refused = null; // the stack that needs keys
    this.bind();
    this.show();
  }

  get stack() { return this.stacks.find(({ id }) => id === settings.stack) ?? {}; }
  get persona() { return this.personas.find(({ id }) => id === settings.persona) ?? OWN; }
  get choices() { return { persona: settings.persona, own: settings.own, voices: settings.voices }; }

  /** The voice where the user chose none: the persona's, or else the stack's. */
  get usualVoice() { return this.persona.voices?.[settings.stack] ?? this.stack.voice ?? ""; }

  forgetWhatIsNotOffered() {
    const { stacks, personas } = this;
    if (!stacks.some(({ id }) => id === settings.stack)) settings.stack = stacks[0]?.id ?? "";
    if (!personas.some(({ id }) => id === settings.persona)) settings.persona = personas[0].id;
    const known = ([stack, voice]) => {
      const { voices = [] } = stacks.find(({ id }) => id === stack) ?? {};
      return !voices.length || voices.some(({ id }) => id === voice);
    };
    settings.voices = Object.fromEntries(Object.entries(settings.voices).filter(known));
  }

  bind() {
    const change = (id, act) => at(id).addEventListener("change", ({ target }) => act(target.value));
    offer(at("stack"), this.stacks.map(entry), settings.stack);
    offer(at("persona"), this.personas.map(entry), settings.persona);
    change("stack", (id) => this.chooseStack(id));
    change("voice", (voice) => this.choose({ voices: { ...settings.voices, [settings.stack]: voice } }, "voice"));
    change("persona", (id) => this.choosePersona(id));
    at("apply-own").addEventListener("click", () => this.choose({ own: at("own").value.trim() }, "instructions"));
    at("greet").checked = settings.greet;
    at("greet").addEventListener("change", ({ target }) => { settings.greet = target.checked; });
    this.talk.addEventListener("link", ({ detail }) => this.linked(detail));
  }

  /** Make the fields tell what was chosen. */
  show() {
    const { label = "", about = "", voices = [], keys = "optional", personas = true } = this.stack;
    const usual = voices.find(({ id }) => id === this.usualVoice)?.label ?? this.usualVoice;
    const whose = this.persona.voices?.[settings.stack] ? "The persona's" : "The usual one";
    at("stack").value = settings.stack;
    at("persona").value = settings.persona;
    at("own").value = settings.own;
    offer(at("voice"), [{ value: "", label: usual ? `${whose}: ${usual}` : whose }, ...voices.map(entry)], settings.voices[settings.stack] ?? "");
    for (const id of ["stack-about", "runs-on-about"]) at(id).replaceChildren(...told(about));
    at("runs-on").textContent = label;
    at("stacks").replaceChildren(...this.stacks.map((one) => this.card(one)));
    // fixed rules follow no instructions, and have no eyes
    this.talk.blind = at("persona").disabled = at("own").disabled = at("apply-own").disabled = !personas;
    at("persona-help").hidden = personas;
    at("own-label").hidden = at("apply-own").hidden = settings.persona !== "own";
    const needy = this.refused ?? (keys === "required" ? this.stack : null);
    at("keys-needed").hidden = needy === null || access.keys !== null;
    at("keys-needed").textContent = `${needy?.label} needs your AWS keys. Give them here, and it begins.`;
    at("keys").hidden = keys === "none" && needy === null && !this.stacks.some((one) => one.keys !== "none");
    this.talk.changed();
  }

  card({ id, label, about, keys, free }) {
    const need = keys === "required" ? "needs your AWS keys" : free ? "free" : "";
    const card = make("button", { type: "button", "aria-pressed": String(id === settings.stack) },
      make("b", { text: label }), make("i", { text: need }), make("span", { text: sentences(about)[0] }));
    card.addEventListener("click", () => id !== settings.stack && this.chooseStack(id));
    return make("div", {}, card, ...told(about).slice(1));
  }

  // ------------------------------------------------------------ another stack

  chooseStack(id) {
    const wanted = this.stacks.find((one) => one.id === id);
    if (wanted.keys === "required" && !access.keys) return this.askForKeys(wanted);
    this.refused = null;
    this.left = this.talk.connected ? settings.stack : null;
    settings.stack = id;
    this.show();
    this.talk.restart(); // another provider is another connection; the conversation goes on
  }

  askForKeys(wanted) {
    this.refused = wanted;
    this.show();
    at("open-settings").click();
    at("access-key").focus();
  }

  /** There are keys: go on with them. Returns whether they were waited for: then it begins. */
  keysGiven() {
    const waited = this.refused !== null || this.stack.keys === "required";
    if (this.refused) this.chooseStack(this.refused.id);
    else this.talk.restart();
    if (waited && !this.talk.sound) this.talk.connect();
    this.show();
    return waited;
  }

  linked({ state, text, failed, code }) {
    if (state === "ready") {
      this.left = null;
      this.held = this.choices;
      this.awaited = 0;
    } else if (state === "closed") {
      if (failed && code !== "unauthorized" && this.left !== null) this.goBack(text);
      this.left = null;
    }
  }

  /** The stack that was chosen cannot be had: the conversation goes on with the one before. */
  goBack(why) {
    this.refused = this.stack.keys === "none" ? null : this.stack;
    settings.stack = this.left;
    this.show();
    this.talk.trouble(`${why} The conversation goes on with: ${this.stack.label}.`, { kind: "error", id: "refused" });
    this.talk.connect();
  }

  // ------------------------------------------------------------ another voice or persona

  choosePersona(id) {
    const { voices, instructions } = this.personas.find((one) => one.id === id);
    // a voice of its own comes with it
    const chosen = voices?.[settings.stack] ? { ...settings.voices, [settings.stack]: "" } : settings.voices;
    this.choose({ persona: id, voices: chosen }, instructions || id === "own" ? "instructions" : "");
  }

  /** Take `changes` of the settings over, and tell the running session; `what` it is told, "": it is made anew. */
  choose(changes, what) {
    const voiceBefore = this.voice;
    Object.assign(settings, changes);
    const wanted = this.choices, instructions = this.persona.instructions || settings.own;
    this.show();
    if (!this.talk.connected) return;
    const told = {
      ...(what === "instructions" && instructions && { instructions }),
      ...(this.voice !== voiceBefore && { voice: this.voice }),
    };
    if (!what || told.voice === "") this.talk.restart();
    else if (Object.keys(told).length) this.ask(told, wanted);
  }

  get voice() { return settings.voices[settings.stack] || this.usualVoice; }

  ask(told, wanted) {
    this.awaited++;
    this.talk.update(told, (outcome) => {
      this.awaited--;
      if (outcome !== "refused") this.held = wanted;
      if (this.awaited) return;
      Object.assign(settings, this.held);
      this.show();
    });
  }
}
