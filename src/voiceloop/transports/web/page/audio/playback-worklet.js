/** Plays a PlayQueue; tells each change of what is being played, and ticks ten times a second while it plays. */

import { PlayQueue } from "./play-queue.js";

class Playback extends AudioWorkletProcessor {
  constructor(options) {
    super();
    const { rate } = options.processorOptions;
    this.queue = new PlayQueue(rate, sampleRate, (segment) => this.tell({ segment }));
    this.connection = 0; // which one the turns belong to: each counts them from 1
    this.nextTick = 0;
    this.port.onmessage = ({ data }) => {
      if (data.connection !== undefined) this.connection = data.connection;
      this.queue[data.do](...(data.with ?? []));
    };
  }

  process(_inputs, [output]) {
    this.queue.render(output[0], currentFrame);
    for (let i = 1; i < output.length; i++) output[i].set(output[0]);
    if (this.queue.state === "playing" && currentFrame >= this.nextTick) {
      this.nextTick = currentFrame + sampleRate / 10;
      this.tell({ tick: { underruns: this.queue.underruns, target: this.queue.target } });
    }
    return true;
  }

  tell(message) { this.port.postMessage({ ...message, connection: this.connection }); }
}

registerProcessor("playback", Playback);
