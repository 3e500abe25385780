/** The page's one AudioContext: at the device's own rate, made in a click, since browsers allow it only there. */

export class Sound {
  constructor() {
    this.context = new AudioContext({ latencyHint: "interactive" });
    this.context.resume();
    const module = (name) => this.context.audioWorklet.addModule(new URL(name, import.meta.url));
    this.ready = Promise.all([module("capture-worklet.js"), module("playback-worklet.js")]);
  }

  /** Whether the user can choose where it sounds. */
  static get chooses() { return "setSinkId" in AudioContext.prototype; }

  async speaker(id) {
    if (Sound.chooses) await this.context.setSinkId(id);
  }

  async close() {
    if (this.context.state !== "closed") await this.context.close();
  }
}
