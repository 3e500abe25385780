/** The microphone at the device's rate, as frames of 20 ms of PCM16 at the rate that the server wants. */

import { Resampler, toPcm16 } from "./resampler.js";

class Capture extends AudioWorkletProcessor {
  constructor(options) {
    super();
    const { rate, frameMs } = options.processorOptions;
    this.resampler = new Resampler(sampleRate, rate);
    this.frame = new Float32Array(Math.round((rate * frameMs) / 1000));
    this.filled = 0;
    this.open = false; // until it is told
    this.port.onmessage = ({ data }) => {
      this.open = data.open;
      if (!data.open) this.filled = 0;
    };
  }

  process([input]) {
    if (!this.open || !input.length) return true;
    for (const sample of this.resampler.push(mono(input))) {
      this.frame[this.filled++] = sample;
      if (this.filled === this.frame.length) this.send();
    }
    return true;
  }

  send() {
    const pcm = toPcm16(this.frame);
    this.filled = 0;
    this.port.postMessage(pcm, [pcm.buffer]);
  }
}

function mono(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((sample, i) => (sample + channels[1][i]) / 2);
}

registerProcessor("capture", Capture);
