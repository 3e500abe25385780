/** The settings: the dialog, sound, credentials. */

import { access } from "../access.js";
import { Sound } from "../audio/sound.js";
import { at, offer } from "../dom.js";
import { settings } from "../settings.js";
import { Assistant } from "./assistant.js";

/** @param {import("../conversation.js").Conversation} talk @param {{stacks: object[], personas: object[]}} catalogue */
export function bindOptions(talk, catalogue) {
  const dialog = at("settings");
  at("open-settings").addEventListener("click", () => {
    listDevices();
    if (!dialog.open) dialog.showModal();
  });
  at("change-stack").addEventListener("click", () => {
    at("open-settings").click();
    at("stack").focus();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  const assistant = new Assistant(talk, catalogue);
  bindSound(talk);
  bindKeys(talk, assistant);
  at("password").hidden = !catalogue.secret;
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

function bindKeys(talk, assistant) {
  const fields = { access_key: "access-key", secret_key: "secret-key", session_token: "session-token", region: "region" };
  const clear = () => [...Object.values(fields), "server-secret"].forEach((id) => { at(id).value = ""; });
  const state = (text) => { at("keys-state").textContent = text; };
  clear(); // browsers like to fill forms in again
  at("keys").addEventListener("submit", (event) => {
    event.preventDefault();
    const given = Object.fromEntries(Object.entries(fields).map(([key, id]) => [key, at(id).value.trim() || null]));
    if (!given.access_key || !given.secret_key) return state("Both keys are needed.");
    access.keys = given;
    clear();
    state("In use, until you reload or forget them.");
    if (assistant.keysGiven()) at("settings").close();
  });
  at("password").addEventListener("submit", (event) => {
    event.preventDefault();
    access.secret = at("server-secret").value;
    at("server-secret").value = "";
    at("password-needed").textContent = "";
    talk.begin();
    at("settings").close();
  });
  talk.addEventListener("link", ({ detail: { state, text, code } }) => {
    if (state !== "closed" || code !== "unauthorized") return;
    at("password").hidden = false;
    at("password-needed").textContent = text;
    at("open-settings").click();
    at("server-secret").focus();
  });
  at("forget-keys").addEventListener("click", () => {
    access.keys = null;
    access.secret = "";
    clear();
    state("Forgotten.");
    assistant.show();
  });
}
