/** Buttons, modes, the text field and the keyboard, beside the face. */

import { at } from "../dom.js";
import { settings } from "../settings.js";

const DOING = { off: "Waiting for you", idle: "Ready", listening: "Listening", thinking: "Thinking", speaking: "Speaking" };
const HOLD = matchMedia("(pointer: fine)").matches ? "Hold to talk, or hold the space bar" : "Hold to talk";
const HOW = "Press Connect and talk. Your browser asks for the microphone once; you can also write.";
const HOW_TO_GO_ON = "Press Go on: the conversation goes on where it was. Start anew begins another one.";
const DOUBLE = 600; // ms
const LINKS = { closed: "Not connected", connecting: "Connecting…", waiting: "Connection lost" };

/** @param {import("../conversation.js").Conversation} talk */
export function bindControls(talk) {
  bindConnect(talk);
  at("record").addEventListener("click", () => talk.record(!talk.recording));
  at("interrupt").addEventListener("click", () => talk.interrupt());
  at("fresh").addEventListener("click", () => talk.fresh());
  at("chat").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = at("words").value.trim();
    if (text && talk.type(text)) at("words").value = "";
  });
  at("modes").addEventListener("change", ({ target }) => talk.setMode(target.value));
  bindTalkButton(talk);
  bindKeys(talk);
  talk.addEventListener("changed", () => show(talk));
  show(talk);
}

/** What the button does changes under the finger: a second press that came too soon meant what it did before. */
function bindConnect(talk) {
  let since = -DOUBLE;
  at("connect").addEventListener("click", () => {
    if (performance.now() - since < DOUBLE) return;
    since = performance.now();
    if (talk.sound) talk.disconnect();
    else talk.connect();
  });
  talk.addEventListener("link", ({ detail }) => {
    if (detail.state === "ready") since = performance.now();
  });
}

function bindTalkButton(talk) {
  const button = at("talk");
  button.addEventListener("pointerdown", (event) => {
    button.setPointerCapture(event.pointerId);
    talk.hold(true);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(end, () => talk.hold(false));
  button.addEventListener("contextmenu", (event) => event.preventDefault());
}

function bindKeys(talk) {
  const elsewhere = ({ target }) => at("settings").open || target.closest("input, textarea, select, summary, button:not(#talk)");
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !at("settings").open) talk.interrupt();
    if (event.code !== "Space" || !talk.pushes || elsewhere(event)) return;
    event.preventDefault();
    talk.hold(true);
  });
  addEventListener("keyup", (event) => {
    if (event.code !== "Space" || !talk.held) return;
    event.preventDefault();
    talk.hold(false);
  });
  addEventListener("blur", () => talk.hold(false));
}

/** Make the controls tell the truth. */
function show(talk) {
  const { connected, recording } = talk;
  const open = talk.sound !== null, writes = settings.mode !== "voice";
  document.body.dataset.link = talk.link.state;
  if (connected) document.body.dataset.met = "true";
  const goesOn = talk.link.conversation !== null;
  at("welcome-title").textContent = goesOn && !connected ? "Welcome back" : "Say hello";
  at("welcome-how").textContent = connected ? "The assistant listens. You can also write." : goesOn ? HOW_TO_GO_ON : HOW;
  at("fresh").hidden = !goesOn;
  at("status").textContent = connected ? "Connected" : LINKS[talk.link.state];
  at("connect").textContent = open ? (connected ? "Disconnect" : "Cancel") : goesOn ? "Go on" : "Connect";
  const record = at("record");
  record.disabled = !connected || !talk.hears;
  record.setAttribute("aria-pressed", String(recording));
  record.querySelector("span").textContent = recording ? "Stop recording" : "Record";
  at("interrupt").disabled = !connected;
  const mode = at("modes").querySelector(`[value="${settings.mode}"]`);
  if (mode) mode.checked = true;
  at("talk").hidden = !talk.pushes;
  at("talk").disabled = !connected || !recording;
  at("talk").classList.toggle("held", talk.held);
  at("talk").textContent = talk.held ? "Listening: let go to send" : HOLD;
  at("words").disabled = at("send").disabled = !connected || !writes;
  at("words").placeholder = !writes ? "Voice only: choose another mode to write" : connected ? "Write here" : `${goesOn ? "Go on" : "Connect"} to write`;
}

/** The caption under the face; `doing` as in Conversation. */
export function showDoing(doing) {
  if (document.body.dataset.state === doing) return;
  document.body.dataset.state = doing;
  at("doing").textContent = DOING[doing];
}
