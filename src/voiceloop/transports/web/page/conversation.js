/**
 * One conversation: the connection, the sound in and out, and what each event does to them and to the panels.
 *
 * Events: "changed" (something that the controls show), "trouble" ({text, kind, id, action} for the user).
 */

import { Microphone, whyNoMicrophone } from "./audio/microphone.js";
import { Player } from "./audio/player.js";
import { Sound } from "./audio/sound.js";
import { Lips } from "./avatar/lips.js";
import { plain } from "./dom.js";
import { Link } from "./link.js";
import { settings } from "./settings.js";

const LONGEST_THOUGHT = 20_000; // ms: no answer will come
const NO_WORDS = 4000; // ms after speech: it held no words, or they would have come
const START = 1500; // ms in which a browser starts the sound, if it will
const NO_SOUND = "The browser has not started the sound. It may want a click first, or there is no loudspeaker.";
const TAIL = 160; // ms in which the last frames reach the connection after push-to-talk was released

export class Conversation extends EventTarget {
  /** @param {{transcript: object, statistics: object, log: object}} panels @param {object} access see access.js */
  constructor(panels, access) {
    super();
    Object.assign(this, panels);
    this.access = access;
    this.lips = new Lips();
    this.link = new Link(() => this.wishes(), () => this.address());
    this.sound = this.player = this.microphone = null;
    this.wantsRecording = true;
    this.held = this.userSpeaks = false;
    this.blind = false; // whether the assistant is known to see no pictures
    this.asked = []; // {to, answered}: changes that the server has not answered yet, in order
    this.thinksUntil = 0; // till when an answer is awaited, 0: none is
    this.link.conversation = sessionStorage.getItem("voiceloop.conversation");
    this.link.addEventListener("state", ({ detail }) => this.linked(detail));
    this.link.addEventListener("message", ({ detail }) => this.take(detail));
    this.link.addEventListener("audio", ({ detail }) => this.player?.play(detail.turn, detail.start, detail.pcm));
    this.link.addEventListener("sent", ({ detail }) => this.log.add("out", detail));
  }

  get connected() { return this.link.state === "ready"; }
  get recording() { return this.microphone?.recording ?? false; }
  get pushes() { return settings.mode === "push"; }
  get hears() { return settings.mode !== "chat"; }

  /** off, idle, listening, thinking or speaking: what the face shows. */
  get doing() {
    if (!this.connected) return "off";
    if (this.player?.head.at()?.playing) return "speaking";
    if (this.userSpeaks || this.held) return "listening";
    return performance.now() < this.thinksUntil ? "thinking" : "idle";
  }

  /** An answer is awaited, `ms` more at least. */
  think(ms = LONGEST_THOUGHT) { this.thinksUntil = Math.max(this.thinksUntil, performance.now() + ms); }

  // ------------------------------------------------------------ what the user does

  /** To be called in a click, or browsers will not let it sound. */
  connect() {
    this.sound = new Sound();
    this.sound.context.onstatechange = () => this.soundStopped();
    this.wantsRecording = true;
    if (settings.speaker) this.useSpeaker(settings.speaker);
    this.link.open();
  }

  disconnect() { this.link.close(); }

  /** Telephones stop the sound for a call, or while the page is in the background. */
  soundStopped(text = "The browser has stopped the sound.") {
    const context = this.sound?.context;
    if (!context || !["suspended", "interrupted"].includes(context.state)) return;
    this.trouble(text, { id: "sound", actions: [["Go on", () => context.resume()]] });
  }

  /** Forget what was said, and begin another conversation. */
  fresh() {
    this.link.conversation = null;
    sessionStorage.removeItem("voiceloop.conversation");
    this.transcript.clear();
    this.statistics.reset();
    if (this.sound) this.link.restart();
    this.changed();
  }

  /** In a click: begin, or go on with other settings. */
  begin() {
    if (this.sound) this.link.restart();
    else this.connect();
  }

  /** Go on with other settings; in a click, also after a failure. */
  restart() {
    if (this.sound) this.link.restart();
    else if (this.link.failed) this.connect();
  }

  type(text) {
    if (!this.link.send({ type: "text", text })) return false;
    this.transcript.typed(text);
    this.think();
    return true;
  }

  /** Show the assistant a picture, which it may speak of later. */
  show(picture) {
    if (!this.link.send({ type: "text", text: "", images: [picture], reply: false })) return;
    this.transcript.pictured();
    if (this.blind) this.unseen();
  }

  interrupt() { this.link.send({ type: "interrupt" }); }

  /** Start or stop recording; the conversation goes on either way. */
  async record(on) {
    this.wantsRecording = on;
    if (!on && this.recording) {
      this.microphone.stop();
      this.link.send({ type: "end_turn" });
      this.userSpeaks = false;
    }
    await this.listen();
  }

  /** Push-to-talk: pressed or released. */
  hold(down) {
    if (down === this.held || !this.connected || !this.pushes) return;
    this.held = down;
    if (down) {
      if (this.doing === "speaking") this.interrupt();
      this.microphone?.open(true);
    } else {
      this.think(NO_WORDS);
      setTimeout(() => {
        if (this.held) return;
        this.microphone?.open(false);
        this.link.send({ type: "end_turn" });
      }, TAIL);
    }
    this.changed();
  }

  /** @param {string} mode chat+voice, voice, chat or push */
  async setMode(mode) {
    const before = settings.mode, pushed = this.pushes;
    settings.mode = mode;
    const answered = (outcome) => {
      if (outcome !== "refused") return;
      settings.mode = before;
      this.listen();
    };
    if (pushed !== this.pushes) this.restart();
    else this.ask({ type: "mode", mode: this.wireMode }, answered);
    await this.listen();
  }

  /** @param {object} changes of the running session @param {(outcome: string) => void} answered */
  update(changes, answered) { this.ask({ type: "update", ...changes }, answered); }

  ask(message, answered) {
    if (this.link.send(message)) this.asked.push({ to: message.type, answered });
  }

  async useSpeaker(id) {
    try {
      await this.sound?.speaker(id);
    } catch (error) {
      this.trouble(`That speaker cannot be used (${error.name}). The default one goes on.`, { id: "speaker" });
    }
  }

  applySound() {
    this.microphone?.setLevel(settings.micLevel);
    this.player?.setVolume(settings.volume);
    if (this.player) this.player.head.extraMs = settings.latencyMs;
  }

  // ------------------------------------------------------------ the connection

  get wireMode() { return this.pushes ? "chat+voice" : settings.mode; }

  /** Where the socket is, once what comes of it can be played. */
  async address() {
    try {
      await this.sound?.ready;
    } catch {
      throw new Error("The sound could not be loaded. Reload this page.");
    }
    return this.access.address();
  }

  wishes() {
    const own = settings.persona === "own";
    return {
      stack: settings.stack || null,
      persona: own ? null : settings.persona || null,
      instructions: own ? settings.own || null : null,
      voice: settings.voices[settings.stack] || null,
      mode: this.wireMode,
      turns: this.pushes ? "manual" : "auto",
      greet: settings.greet && this.link.conversation === null,
      ...(this.access.keys && { keys: this.access.keys }),
    };
  }

  linked(detail) {
    this.log.add("page", { type: "link", ...detail });
    if (detail.state !== "ready") {
      this.statistics.stop();
      this.asked = [];
    }
    if (detail.state === "waiting") this.silence();
    if (detail.state === "closed") this.release();
    if (detail.state === "waiting" || detail.state === "closed") this.transcript.cutOff();
    this.dispatchEvent(new CustomEvent("link", { detail }));
    this.changed();
  }

  /** The connection is gone, for now: what was to be played belongs to nobody. */
  silence() {
    this.player?.reset();
    this.lips.clear();
    this.userSpeaks = this.held = false;
    this.thinksUntil = 0;
  }

  release() {
    this.silence();
    this.microphone?.close();
    this.player?.close();
    if (this.sound) this.sound.context.onstatechange = null;
    this.sound?.close();
    this.sound = this.player = this.microphone = null;
  }

  async ready(message) {
    const goesOn = sessionStorage.getItem("voiceloop.conversation") !== null;
    sessionStorage.setItem("voiceloop.conversation", message.conversation);
    this.silence();
    this.transcript.resume(message.history ?? [], message.resumed, goesOn);
    this.statistics.start();
    const sound = this.sound;
    await sound.ready;
    if (sound !== this.sound || !this.connected) return;
    this.makePlayer(message.output.rate);
    this.makeMicrophone(message.input.rate);
    this.applySound();
    await this.listen();
    setTimeout(() => sound === this.sound && this.soundStopped(NO_SOUND), START);
  }

  makePlayer(rate) {
    if (this.player?.rate === rate) return;
    this.player?.close();
    this.player = new Player(this.sound.context, rate);
    this.player.addEventListener("played", ({ detail }) => this.link.send({ type: "played", ...detail }));
    this.player.addEventListener("segment", ({ detail }) => {
      if (detail.why === "playing") this.thinksUntil = 0;
      this.log.add("audio", { type: detail.why, ...detail });
    });
  }

  makeMicrophone(rate) {
    if (this.microphone) return;
    this.microphone = new Microphone(this.sound.context, rate);
    this.microphone.addEventListener("frame", ({ detail }) => this.link.audio(detail));
    this.microphone.addEventListener("lost", () => {
      this.trouble("The microphone is gone. Plug it in again, and press Record.", { id: "microphone" });
      this.changed();
    });
  }

  /** Open or close the microphone, as the mode and the user want it. */
  async listen() {
    if (!this.microphone) return;
    const wanted = this.hears && this.wantsRecording && this.sound !== null;
    try {
      if (wanted && !this.recording) await this.microphone.start(settings.microphone);
      else if (!wanted) this.microphone.stop();
      this.microphone?.open(!this.pushes || this.held);
      if (this.microphone?.cancelsEcho === false) {
        this.trouble("This browser does not cancel echo for this microphone. Use headphones, or the assistant hears itself.", { id: "echo" });
      }
    } catch (error) {
      this.wantsRecording = false;
      this.log.add("page", { type: "microphone", error: error.name });
      this.trouble(`${whyNoMicrophone(error)} You can write meanwhile.`, { id: "microphone" });
    }
    this.changed();
  }

  // ------------------------------------------------------------ what the server says

  take(message) {
    this.log.add("in", message);
    const act = this[`on${message.type}`];
    if (message.type === "ready") this.ready(message);
    else if (message.type === "answer") this.answered(message);
    else if (act) act.call(this, message);
  }

  answered({ to, outcome, text }) {
    const place = this.asked.findIndex((one) => one.to === to);
    const [change] = place < 0 ? [] : this.asked.splice(place, 1);
    change?.answered(outcome);
    if (outcome === "refused") {
      this.trouble(change ? `${plain(text)} It stays as it was.` : text, { id: "refused" });
      this.changed();
    }
    this.dispatchEvent(new CustomEvent("answer", { detail: { to, outcome } }));
  }

  onUserSpeechStarted() {
    this.userSpeaks = true;
    this.thinksUntil = 0;
  }

  onUserSpeechEnded() {
    this.userSpeaks = false;
    this.think(NO_WORDS);
  }

  onTranscript(event) {
    if (event.final) {
      this.userSpeaks = false;
      if (event.text) this.think();
      else this.thinksUntil = 0;
    }
    this.transcript.partial(event);
  }

  onTranscriptRevised(event) { this.transcript.revised(event); }
  onTurnStarted() { this.think(); }
  onReplyText(event) { this.transcript.reply(event); }
  onWord(event) { this.transcript.word(event); }
  onViseme({ turn, code, ms, end_ms: end }) { this.lips.add(turn, code, ms, end); }
  onPaused({ turn }) { this.player?.pause(turn); }
  onResumed({ turn }) { this.player?.resume(turn); }

  onInterrupted(event) {
    this.player?.flush(event.turn);
    this.transcript.interrupted(event);
  }

  onTurnEnded(event) {
    this.thinksUntil = 0;
    this.player?.end(event.turn);
    this.transcript.ended(event);
    this.statistics.ended(event);
    this.changed();
  }

  onToolCalled(event) {
    this.think();
    this.transcript.tool(event);
  }

  onToolReturned(event) { this.transcript.toolReturned(event); }
  onUsage(event) { this.statistics.usage(event); }
  onTurnMetrics(event) { this.statistics.turn(event); }
  onNotice({ code, text }) {
    if (code === "not-recognized" || code === "speech-ignored") this.thinksUntil = 0;
    if (code === "images-ignored") this.unseen();
    else this.trouble(code === "reply-failed" ? plain(text) : text, { kind: "info", seconds: 8 });
  }

  /** What the camera shows is not looked at. */
  unseen() {
    this.transcript.unseen();
    this.dispatchEvent(new Event("unseen"));
    this.trouble("This assistant cannot see pictures. What the camera shows is ignored.", { id: "unseen" });
  }

  onConnectionState({ state, detail }) {
    if (state === "degraded" || state === "recovering") this.trouble(plain(detail) || "The assistant's provider has trouble.", { seconds: 8 });
  }

  onSessionEnded({ reason, error }) {
    if (reason === "failed") this.trouble(plain(error) || "The session failed.", { kind: "error" });
  }

  trouble(text, { kind = "warning", id = "", seconds = 0, actions = [] } = {}) {
    this.log.add("page", { type: "trouble", id });
    this.dispatchEvent(new CustomEvent("trouble", { detail: { text, kind, id, seconds, actions } }));
  }

  changed() { this.dispatchEvent(new Event("changed")); }
}
