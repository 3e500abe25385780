/** The speaker's side: plays the replies, and reports what of them was heard. */

import { Playhead } from "./playhead.js";

export class Player extends EventTarget {
  /** @param {AudioContext} context @param {number} rate of the reply audio, Hz */
  constructor(context, rate) {
    super();
    this.context = context;
    this.rate = rate;
    this.head = new Playhead(context, rate);
    this.health = { underruns: 0, target: 0 };
    this.connection = 0;
    this.node = new AudioWorkletNode(context, "playback", {
      numberOfInputs: 0, outputChannelCount: [1], processorOptions: { rate },
    });
    this.volume = new GainNode(context);
    this.analyser = new AnalyserNode(context, { fftSize: 1024, smoothingTimeConstant: 0.75 });
    this.node.connect(this.volume).connect(this.analyser).connect(context.destination);
    this.node.port.onmessage = ({ data }) => this.told(data);
  }

  play(turn, start, pcm) {
    this.node.port.postMessage({ do: "push", with: [turn, start, pcm] }, [pcm.buffer]);
  }

  end(turn) { this.ask("end", turn); }
  pause(turn) { this.ask("pause", turn); }
  resume(turn) { this.ask("resume", turn); }
  flush(turn) { this.ask("flush", turn); }

  /** Forget everything, for a new connection; what the worklet still says of the old one is not heeded. */
  reset() {
    this.connection++;
    this.node.port.postMessage({ do: "reset", connection: this.connection });
    this.head.segments = [];
  }

  setVolume(level) { this.volume.gain.setTargetAtTime(level, this.context.currentTime, 0.02); }

  close() {
    this.node.port.onmessage = null;
    this.node.disconnect();
    this.volume.disconnect();
    this.analyser.disconnect();
  }

  ask(what, ...args) { this.node.port.postMessage({ do: what, with: args }); }

  told({ segment, tick, connection }) {
    if (connection !== this.connection) return;
    if (segment) {
      this.head.add(segment);
      this.dispatchEvent(new CustomEvent("segment", { detail: segment }));
      if (segment.why === "flushed") this.report(segment.turn, this.ms(segment), true);
      else if (segment.step === 0) this.reportWhenHeard(segment);
    } else if (tick) {
      this.health = tick;
      const now = this.head.at();
      if (now?.playing) this.report(now.turn, now.ms, false);
    }
  }

  /** What was rendered last is heard only when it has left the device. */
  reportWhenHeard(segment) {
    const wait = ((segment.frame - this.head.frame()) / this.context.sampleRate) * 1000;
    const { connection } = this;
    setTimeout(() => {
      if (connection === this.connection) this.report(segment.turn, this.ms(segment), false);
    }, Math.max(0, wait));
  }

  ms(segment) { return (segment.sample / this.rate) * 1000; }

  report(turn, ms, stopped) {
    this.dispatchEvent(new CustomEvent("played", { detail: { turn, ms: Math.round(ms * 1000) / 1000, stopped } }));
  }
}
