/**
 * What is to be played, to the sample: the heart of the playback worklet, free of the Web Audio API.
 *
 * A turn's audio is joined without a gap; it starts once `target` of it is here, so that a late packet is not heard,
 * and waits again after it ran dry. Pause, go on and flush fade for a few milliseconds, so that nothing clicks.
 * Every change of what is being played is told as a segment: from `frame` of the output on, `turn` is played from
 * `sample` on, `step` samples a frame (0: it stands still).
 */

import { Interpolator } from "./resampler.js";

const FADE = 0.006; // s
const FIRST_TARGET = 0.06, MOST_TARGET = 0.3, MORE = 0.04; // s of audio held before a turn starts
const PATIENCE = 0.12; // s after which a turn starts with less: it may be that short

export class PlayQueue {
  /**
   * @param {number} rate of the reply audio, Hz
   * @param {number} outputRate of the device, Hz
   * @param {(segment: {frame: number, turn: number, sample: number, step: number, why: string}) => void} tell
   */
  constructor(rate, outputRate, tell) {
    this.rate = rate;
    this.outputRate = outputRate;
    this.step = rate / outputRate;
    this.read = new Interpolator(rate, outputRate);
    this.tell = tell;
    this.target = FIRST_TARGET;
    this.turns = []; // {turn, signal, from, length, ended}
    this.dead = -1; // turns up to this one are never played again
    this.position = 0; // in samples of the first turn
    this.state = "idle"; // idle, filling, playing, paused
    this.wanted = null; // what a fade to silence leads to
    this.gain = 0;
    this.waited = 0; // output frames spent filling
    this.underruns = 0;
    this.dry = false; // nothing is left of the first turn, for now
    this.frame = 0; // of the output, up to which is rendered
    this.last = { turn: -1, sample: 0 }; // what was played last
  }

  /** Take `pcm` (Int16Array), whose first sample is number `start` of `turn`. */
  push(turn, start, pcm) {
    if (turn <= this.dead) return;
    let last = this.turns.at(-1);
    if (!last || last.turn !== turn) {
      last = { turn, signal: new Float32Array(this.rate), from: start, length: start, ended: false };
      this.turns.push(last);
      if (this.turns.length === 1) this.position = start;
    }
    const end = start + pcm.length - last.from;
    if (end > last.signal.length) last.signal = grown(last.signal, end);
    for (let i = 0; i < pcm.length; i++) last.signal[start - last.from + i] = pcm[i] / 32768;
    last.length = Math.max(last.length, start + pcm.length);
    if (this.state === "idle") {
      this.state = "filling";
      this.waited = 0;
    } else if (this.dry && this.turns[0] === last) {
      this.underruns++; // it was a gap in the turn, not its end
      this.target = Math.min(MOST_TARGET, this.target + MORE);
      this.waited = 0;
      this.dry = false;
    }
  }

  /** No more of `turn` will come. */
  end(turn) {
    for (const item of this.turns) if (item.turn === turn) item.ended = true;
  }

  pause(turn) {
    if (this.turns[0]?.turn === turn && this.state !== "paused") this.wanted = "paused";
  }

  resume(turn) {
    if (this.wanted === "paused") this.wanted = null;
    if (this.turns[0]?.turn === turn && this.state === "paused") this.state = "filling";
  }

  /** `turn` and all before it are dead; what is left of them is not played. Always told as a segment. */
  flush(turn) {
    this.dead = Math.max(this.dead, turn);
    const current = this.turns[0];
    this.turns = this.turns.filter((item) => item.turn > turn || item === current);
    this.wanted = "flushed";
    if (current && current.turn <= turn) return;
    this.wanted = null;
    const known = this.last.turn === turn ? this.last : { turn, sample: 0 };
    this.tell({ ...known, frame: this.frame, step: 0, why: "flushed" });
  }

  /** Forget everything, for a new connection: its turns may count from 1 again. */
  reset() {
    this.turns = [];
    this.dead = -1;
    this.state = "idle";
    this.wanted = null;
    this.dry = false;
    this.gain = 0;
    this.last = { turn: -1, sample: 0 };
  }

  /** Fill `out`, whose first frame is number `frame` of the output. */
  render(out, frame) {
    const fade = 1 / (FADE * this.outputRate);
    if (this.wanted === "flushed" && this.state !== "playing") this.stopped(frame);
    for (let i = 0; i < out.length; i++) {
      if (this.state === "filling") this.begin(frame + i);
      if (this.state !== "playing") {
        out[i] = 0;
        continue;
      }
      const item = this.turns[0];
      this.gain = this.wanted ? Math.max(0, this.gain - fade) : Math.min(1, this.gain + fade);
      out[i] = this.read.at(item.signal, this.position - item.from) * this.gain;
      this.position += this.step;
      if (this.wanted && this.gain === 0) this.stopped(frame + i + 1);
      else if (this.position >= item.length) this.ranDry(frame + i + 1);
    }
    this.frame = frame + out.length;
  }

  /** Start, once enough is here. */
  begin(frame) {
    const item = this.turns[0];
    const held = (item.length - this.position) / this.rate;
    this.waited++;
    const late = this.waited >= PATIENCE * this.outputRate;
    if (held <= 0 || (held < this.target && !item.ended && !late)) {
      if (item.ended && held <= 0) this.next(frame, "ended");
      return;
    }
    this.state = "playing";
    this.gain = this.position === item.from ? 1 : 0;
    this.say(frame, this.step, "playing");
  }

  /** A fade to silence is done. */
  stopped(frame) {
    const why = this.wanted;
    this.wanted = null;
    if (why === "paused") {
      this.state = "paused";
      this.say(frame, 0, "paused");
    } else {
      this.next(frame, "flushed");
    }
  }

  /** All that is here of the turn has been played. */
  ranDry(frame) {
    const item = this.turns[0];
    this.position = item.length;
    if (this.wanted) return this.stopped(frame);
    if (item.ended || this.turns.length > 1) return this.next(frame, "ended");
    this.state = "filling";
    this.waited = 0;
    this.dry = true;
    this.say(frame, 0, "dry");
  }

  /** Leave the first turn for the one after it. */
  next(frame, why) {
    this.say(frame, 0, why);
    this.turns.shift();
    this.dry = false;
    this.gain = 0;
    this.waited = 0;
    this.state = this.turns.length ? "filling" : "idle";
    if (this.turns.length) this.position = this.turns[0].from;
  }

  say(frame, step, why) {
    const item = this.turns[0];
    this.last = { turn: item.turn, sample: Math.min(this.position, item.length) };
    this.tell({ ...this.last, frame, step, why });
  }
}

function grown(signal, needed) {
  const more = new Float32Array(Math.max(needed, signal.length * 2));
  more.set(signal);
  return more;
}
