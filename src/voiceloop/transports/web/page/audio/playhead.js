/**
 * Where the listener is: which sample of which turn leaves the loudspeaker at this moment.
 *
 * The worklet says what it rendered, in frames of the output; the device says, by getOutputTimestamp(), which frame
 * is leaving it. What lies behind the device, such as a Bluetooth link, only the user knows: `extraMs`.
 */

const KEPT = 200; // segments

export class Playhead {
  /** @param {AudioContext} context @param {number} rate of the reply audio, Hz */
  constructor(context, rate) {
    this.context = context;
    this.rate = rate;
    this.extraMs = 0;
    this.segments = [];
  }

  add(segment) {
    this.segments.push(segment);
    if (this.segments.length > KEPT) this.segments.shift();
  }

  /** The frame of the output that is heard now. */
  frame(now = performance.now()) {
    const context = this.context;
    const stamp = context.getOutputTimestamp?.() ?? {};
    let heard = stamp.contextTime + (now - stamp.performanceTime) / 1000;
    // Some browsers answer 0 until sound flows; a device never plays what is not yet rendered.
    if (!stamp.contextTime) heard = context.currentTime - (context.outputLatency || context.baseLatency || 0);
    return (Math.min(heard, context.currentTime) - this.extraMs / 1000) * context.sampleRate;
  }

  /**
   * What is heard at `frame`, by default now.
   * @returns {{turn: number, sample: number, ms: number, playing: boolean, why: string} | null}
   */
  at(frame = this.frame()) {
    for (let i = this.segments.length - 1; i >= 0; i--) {
      const segment = this.segments[i];
      if (segment.frame > frame) continue;
      const end = this.segments[i + 1];
      let sample = segment.sample + (frame - segment.frame) * segment.step;
      if (end && end.turn === segment.turn) sample = Math.min(sample, end.sample);
      return { turn: segment.turn, sample, ms: (sample / this.rate) * 1000, playing: segment.step > 0, why: segment.why };
    }
    return null;
  }

  /** How far `turn` has been played by `frame`, in ms; null if it never began. */
  reached(turn, frame = this.frame()) {
    const now = this.at(frame);
    if (now?.turn === turn) return now.ms;
    for (let i = this.segments.length - 1; i >= 0; i--) {
      const segment = this.segments[i];
      if (segment.turn === turn && segment.frame <= frame) return (segment.sample / this.rate) * 1000;
    }
    return null;
  }
}
