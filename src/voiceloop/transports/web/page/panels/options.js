/** The settings: assistant, sound, credentials. */

import { access } from "../access.js";
import { Sound } from "../audio/sound.js";
import { at, offer } from "../dom.js";
import { settings } from "../settings.js";

const OWN = { id: "own", label: "My own", instructions: "" };

/** @param {import("../conversation.js").Conversation} talk @param {{stacks: object[], personas: object[]}} catalogue */
export function bindOptions(talk, catalogue) {
  const dialog = at("settings");
  at("open-settings").addEventListener("click", () => {
    listDevices();
    dialog.showModal();
  });
  at("change-stack").addEventListener("click", () => {
    at("open-settings").click();
    at("stack").focus();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  bindAssistant(talk, catalogue);
  bindSound(talk);
  bindKeys(talk);
  at("password").hidden = !catalogue.secret;
}

// ---------------------------------------------------------------- assistant

function bindAssistant(talk, { stacks, personas }) {
  const known = [...personas, OWN];
  if (!stacks.some(({ id }) => id === settings.stack)) settings.stack = stacks[0]?.id ?? "";
  if (!known.some(({ id }) => id === settings.persona)) settings.persona = personas[0]?.id ?? "own";
  offer(at("stack"), stacks.map(({ id, label }) => ({ value: id, label })), settings.stack);
  offer(at("persona"), known.map(({ id, label }) => ({ value: id, label })), settings.persona);
  at("own").value = settings.own;
  at("greet").checked = settings.greet;
  const showStack = () => {
    const { label = "", about = "", voices = [], keys = "optional" } = stacks.find(({ id }) => id === settings.stack) ?? {};
    at("stack-about").textContent = about;
    at("runs-on").textContent = label;
    at("runs-on-about").textContent = about;
    at("keys-needed").hidden = keys !== "required";
    at("keys-needed").textContent = `${label} needs them.`;
    at("keys").hidden = keys === "none";
    offer(at("voice"), [{ value: "", label: "The usual one" }, ...voices], settings.voices[settings.stack] ?? "");
  };
  const showOwn = () => { at("own-label").hidden = at("apply-own").hidden = settings.persona !== "own"; };
  showStack();
  showOwn();

  at("stack").addEventListener("change", ({ target }) => {
    settings.stack = target.value;
    showStack();
    talk.restart(); // another provider is another connection; the conversation goes on
  });
  at("voice").addEventListener("change", ({ target }) => {
    settings.voices = { ...settings.voices, [settings.stack]: target.value };
    if (target.value) talk.update({ voice: target.value });
    else talk.restart();
  });
  at("persona").addEventListener("change", ({ target }) => {
    settings.persona = target.value;
    showOwn();
    const { instructions } = known.find(({ id }) => id === target.value);
    if (instructions) talk.update({ instructions });
    else if (target.value !== "own") talk.restart();
    else if (settings.own) talk.update({ instructions: settings.own });
  });
  at("apply-own").addEventListener("click", () => {
    settings.own = at("own").value.trim();
    if (settings.own) talk.update({ instructions: settings.own });
  });
  at("greet").addEventListener("change", ({ target }) => { settings.greet = target.checked; });
}

// ---------------------------------------------------------------- sound

function bindSound(talk) {
  at("microphone").addEventListener("change", async ({ target }) => {
    settings.microphone = target.value;
    if (!talk.recording) return;
    talk.microphone.stop();
    await talk.listen();
  });
  at("speaker").disabled = !Sound.chooses;
  at("speaker").addEventListener("change", ({ target }) => {
    settings.speaker = target.value;
    warnOfEcho();
    talk.useSpeaker(target.value);
  });
  bindRange("mic-level", "micLevel", talk, (value) => `${Math.round(value * 100)} %`);
  bindRange("volume", "volume", talk, (value) => `${Math.round(value * 100)} %`);
  bindRange("latency", "latencyMs", talk, (value) => `${value} ms`);
  navigator.mediaDevices?.addEventListener("devicechange", listDevices);
  listDevices();
}

function bindRange(id, key, talk, words) {
  const range = at(id), show = () => { at(`${id}-shown`).textContent = words(settings[key]); };
  range.value = settings[key];
  show();
  range.addEventListener("input", () => {
    settings[key] = Number(range.value);
    show();
    talk.applySound();
  });
}

async function listDevices() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  const fill = (id, kind, usual, chosen) => {
    const named = devices.filter((device) => device.kind === kind && device.label && !["", "default"].includes(device.deviceId));
    offer(at(id), [{ value: "", label: usual }, ...named.map(({ deviceId, label }) => ({ value: deviceId, label }))], chosen);
  };
  fill("microphone", "audioinput", "The default one", settings.microphone);
  fill("speaker", "audiooutput", Sound.chooses ? "The default one" : "This browser uses the default one", settings.speaker);
  warnOfEcho();
}

function warnOfEcho() { at("speaker-help").hidden = settings.speaker === ""; }

// ---------------------------------------------------------------- credentials

function bindKeys(talk) {
  const fields = { access_key: "access-key", secret_key: "secret-key", session_token: "session-token", region: "region" };
  const clear = () => [...Object.values(fields), "server-secret"].forEach((id) => { at(id).value = ""; });
  const state = (text) => { at("keys-state").textContent = text; };
  clear(); // browsers like to fill forms in again
  at("keys").addEventListener("submit", (event) => {
    event.preventDefault();
    const given = Object.fromEntries(Object.entries(fields).map(([key, id]) => [key, at(id).value.trim() || null]));
    if (!given.access_key !== !given.secret_key) return state("Both keys are needed.");
    access.keys = given.access_key ? given : null;
    clear();
    state("In use, until you reload or forget them.");
    talk.restart();
  });
  at("password").addEventListener("submit", (event) => {
    event.preventDefault();
    access.secret = at("server-secret").value;
    at("server-secret").value = "";
    talk.restart();
    at("settings").close();
  });
  at("forget-keys").addEventListener("click", () => {
    access.keys = null;
    access.secret = "";
    clear();
    state("Forgotten.");
  });
}
