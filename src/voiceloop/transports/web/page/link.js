/**
 * The connection to the server: opens it, keeps it alive, and comes back with the same conversation when it is lost.
 *
 * Events: "state" (connecting, ready, waiting, closed; with `text` for people and `seconds` to wait), "message",
 * "audio", "sent".
 */

import { plain } from "./dom.js";
import { VERSION, inputFrame, replyFrame } from "./wire.js";

const PING = 10_000; // ms
const WAITS = [0.5, 1, 2, 4, 8, 8, 8, 8, 8, 8]; // s between tries
const STANDS = 10_000; // ms after which a connection is not one more try
const FINAL = new Set(["bad-message", "bad-frame", "unauthorized", "too-fast", "refused", "too-large"]);
const STOPS = new Set([1001, 1012]); // close codes: going away, service restart
const MOST_BUFFERED = 320_000; // bytes: ten seconds of speech that the network did not take

export class Link extends EventTarget {
  /** @param {() => object} settings what to send with `start` @param {() => Promise<string>} address of the socket */
  constructor(settings, address) {
    super();
    this.settings = settings;
    this.address = address;
    this.conversation = null;
    this.socket = null;
    this.state = "closed";
    this.error = null; // the server's last word
    this.tries = 0;
    this.stood = false; // whether it has been ready since the user opened it
    this.samples = 0;
    this.rtt = null;
    this.timers = { ping: 0, retry: 0, stands: 0 };
  }

  open() {
    this.tries = 0;
    this.stood = false;
    this.connect();
  }

  /** Leave, and come back at once with the same conversation and other settings. */
  restart() {
    this.drop();
    this.open();
  }

  close(text = "") {
    clearTimeout(this.timers.retry);
    this.drop();
    this.become("closed", text);
  }

  /** Send a message; false if there is no connection to take it. */
  send(message) {
    if (!this.takes) return false;
    this.put(message);
    return true;
  }

  /** Whether what is sent goes out: a socket may be closing before it says so. */
  get takes() { return this.state === "ready" && this.socket.readyState === WebSocket.OPEN; }

  audio(pcm) {
    if (!this.takes) return;
    if (this.socket.bufferedAmount > MOST_BUFFERED) return this.lost({ code: 0, reason: "the network is too slow" });
    this.socket.send(inputFrame(this.samples, pcm));
    this.samples += pcm.length;
  }

  async connect() {
    clearTimeout(this.timers.retry);
    this.become("connecting");
    this.error = null;
    let url;
    try {
      url = await this.address();
    } catch (error) {
      if (error instanceof TypeError) return this.lost({ code: 1006, reason: "" }); // fetch: nobody there
      return this.become("closed", error.message, { failed: true, code: error.code ?? "" });
    }
    if (this.state !== "connecting" || this.socket) return;
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.samples = 0;
    socket.onopen = () => this.put({ type: "start", version: VERSION, conversation: this.conversation, ...this.settings() });
    socket.onmessage = ({ data }) => this.receive(data);
    socket.onclose = (event) => this.lost(event);
  }

  put(message) {
    this.socket.send(JSON.stringify(message));
    this.dispatchEvent(new CustomEvent("sent", { detail: message }));
  }

  receive(data) {
    if (typeof data !== "string") return this.dispatchEvent(new CustomEvent("audio", { detail: replyFrame(data) }));
    const message = JSON.parse(data);
    if (message.type === "ready") this.ready(message);
    else if (message.type === "pong") this.rtt = performance.now() - message.n;
    else if (message.type === "error") this.error = message;
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
  }

  ready(message) {
    this.conversation = message.conversation;
    this.stood = true;
    this.timers.stands = setTimeout(() => { this.tries = 0; }, STANDS);
    this.become("ready");
    const ping = () => this.send({ type: "ping", n: Math.floor(performance.now()) });
    this.timers.ping = setInterval(ping, PING);
    ping();
  }

  /** The socket is gone, by whichever side. */
  lost({ code, reason }) {
    const told = this.error?.code ?? reason;
    const text = this.words(told, code);
    this.drop();
    const hopeless = FINAL.has(told) || (told === "failed" && !this.stood);
    const final = code === 1000 || code === 4409 || hopeless || this.tries >= WAITS.length;
    if (final) return this.become("closed", text || "The server cannot be reached.", { failed: code !== 1000, code: told });
    const seconds = WAITS[this.tries++] * (0.8 + 0.4 * Math.random());
    this.timers.retry = setTimeout(() => this.connect(), seconds * 1000);
    this.become("waiting", text, { seconds });
  }

  /** What people are told of an end. */
  words(told, code) {
    if (told === "unauthorized") return "This server asks for a password.";
    if (told === "draining" || STOPS.has(code)) return "The server stops.";
    if (told === "failed") return plain(this.error?.text);
    return this.error?.text ?? (code === 1000 ? "The conversation has ended." : "");
  }

  drop() {
    clearInterval(this.timers.ping);
    clearTimeout(this.timers.stands);
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }

  become(state, text = "", more = {}) {
    this.state = state;
    this.failed = more.failed ?? false;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, text, ...more } }));
  }
}
