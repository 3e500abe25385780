/** The page: puts its parts together, and draws. */

import { access } from "./access.js";
import { loadAvatar } from "./avatar/avatar.js";
import { Conversation } from "./conversation.js";
import { at } from "./dom.js";
import { hush, tell } from "./panels/banner.js";
import { bindCamera } from "./panels/camera.js";
import { bindControls, showDoing } from "./panels/controls.js";
import { Log } from "./panels/log.js";
import { bindOptions } from "./panels/options.js";
import { Statistics } from "./panels/statistics.js";
import { Transcript } from "./panels/transcript.js";
import { Visualizer } from "./panels/visualizer.js";
import { settings } from "./settings.js";

const NOTHING = { stacks: [], personas: [], secret: false };

/** What the server offers: stacks with their voices, and personas, each with `id` and `label`. */
async function loadCatalogue() {
  try {
    const answer = await fetch("api/settings");
    const offered = await answer.json();
    const named = (item) => (typeof item === "string" ? { id: item, label: item } : { ...item, id: item.id ?? item.name, label: item.label ?? item.id ?? item.name });
    const stacks = (offered.stacks ?? offered.providers ?? []).map(named);
    for (const stack of stacks) stack.voices = (stack.voices ?? []).map(named);
    return { stacks, personas: (offered.personas ?? []).map(named), secret: offered.secret ?? false };
  } catch {
    tell("The server does not answer. Is it running? Reload this page once it is.", { kind: "error" });
    return NOTHING;
  }
}

/** Dark or light: the device's choice, until the user makes their own. */
function bindTheme() {
  const device = matchMedia("(prefers-color-scheme: dark)");
  const show = () => {
    if (settings.theme) document.documentElement.dataset.theme = settings.theme;
    const dark = settings.theme ? settings.theme === "dark" : device.matches;
    for (const name of ["aria-label", "title"]) at("theme").setAttribute(name, dark ? "Use light colours" : "Use dark colours");
    return dark;
  };
  at("theme").addEventListener("click", () => {
    settings.theme = show() ? "light" : "dark";
    show();
  });
  device.addEventListener("change", show);
  show();
}

/** What the user should know of the connection and of the microphone. */
function bindMessages(talk) {
  talk.addEventListener("trouble", ({ detail: { text, ...how } }) => tell(text, how));
  talk.addEventListener("link", ({ detail: { state, text, seconds, failed, code } }) => {
    if (state === "ready" || state === "connecting") hush("link");
    else if (state === "waiting") {
      tell(text || "The connection is lost.", { kind: "warning", id: "link", count: seconds, actions: [["Try now", () => talk.link.open()]] });
    } else if (state === "closed" && failed) {
      const actions = [["Connect", () => talk.connect()]];
      if (["unauthorized", "refused", "failed"].includes(code)) actions.unshift(["Settings", () => at("open-settings").click()]);
      tell(text, { kind: "error", id: "link", actions });
    } else if (state === "closed" && text) tell(text, { id: "link" });
  });
  addEventListener("online", () => talk.link.state === "waiting" && talk.link.open());
}

/** How loud it is, 0 to 1. */
function loudness(analyser, samples) {
  if (!analyser) return 0;
  analyser.getFloatTimeDomainData(samples);
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return Math.min(1, Math.sqrt(sum / samples.length) * 5);
}

const CALM = 30; // ms between pictures while nobody speaks: drawing takes from what recognizers on this machine need

function animate(talk, avatar) {
  const visualizer = new Visualizer(at("visualizer"));
  const samples = new Float32Array(512);
  let energy = 0, drawn = 0;
  const frame = (stamp) => {
    requestAnimationFrame(frame);
    const head = talk.player?.head.at();
    if (!head?.playing && stamp - drawn < CALM) return;
    drawn = stamp;
    const playing = head?.playing ?? false;
    energy += (loudness(playing ? talk.player.analyser : null, samples) - energy) * 0.15;
    avatar?.draw(stamp, {
      state: talk.doing, energy,
      shape: playing ? talk.lips.shapeAt(head.turn, head.ms) : null,
      code: playing ? talk.lips.codeAt(head.turn, head.ms) : "sil",
    });
    if (playing) talk.transcript.spoken(head.turn, head.ms);
    visualizer.draw(talk.recording ? talk.microphone.analyser : null, playing ? talk.player.analyser : null);
    showDoing(talk.doing);
  };
  requestAnimationFrame(frame);
}

async function main() {
  bindTheme();
  const log = new Log(), statistics = new Statistics();
  const talk = new Conversation({ transcript: new Transcript(), statistics, log }, access);
  globalThis.voiceloop = talk; // for the browser's console
  bindMessages(talk);
  const [avatar, catalogue] = await Promise.all([loadAvatar(at("avatar")).catch(() => null), loadCatalogue()]);
  bindOptions(talk, catalogue);
  bindControls(talk);
  bindCamera(talk);
  setInterval(() => {
    const { free = false } = catalogue.stacks.find(({ id }) => id === settings.stack) ?? {};
    statistics.show({ rtt: talk.link.rtt, health: talk.player?.health ?? {}, free });
  }, 500);
  animate(talk, avatar);
  document.documentElement.dataset.loaded = "true";
}

main();
