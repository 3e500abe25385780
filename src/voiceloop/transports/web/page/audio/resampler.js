/**
 * Change of sample rate, streaming: a windowed sinc, tabled, read at fractional positions.
 * Used in both worklets, so it knows nothing of the Web Audio API.
 */

const STEPS = 256; // positions of the kernel between two samples

/** A table of the kernel: `taps` zero crossings each side, cut at `cutoff` (1: half the input's rate). */
function kernel(taps, cutoff) {
  const reach = taps / cutoff;
  const table = new Float32Array(Math.ceil(reach * STEPS) + 2);
  for (let i = 0; i < table.length; i++) {
    const x = i / STEPS;
    if (x >= reach) break;
    const t = Math.PI * x * cutoff;
    const sinc = t === 0 ? 1 : Math.sin(t) / t;
    const window = 0.5 + 0.5 * Math.cos((Math.PI * x) / reach);
    table[i] = sinc * window * cutoff;
  }
  level(table);
  return { table, reach };
}

/** Make the weights sum to 1 at every position between two samples: a constant stays one. */
function level(table) {
  for (let phase = 0; phase <= STEPS / 2; phase++) {
    const used = new Set();
    for (let i = phase; i < table.length; i += STEPS) used.add(i);
    for (let i = STEPS - phase; i < table.length; i += STEPS) used.add(i);
    let sum = 0;
    for (const i of used) sum += table[i] * (phase === 0 && i > 0 ? 2 : phase === STEPS / 2 ? 2 : 1);
    for (const i of used) table[i] /= sum;
  }
}

/** Reads a signal between its samples. */
export class Interpolator {
  /**
   * @param {number} from rate of the signal, Hz
   * @param {number} to rate at which it is read, Hz; what lies above half of it is filtered out
   */
  constructor(from, to) {
    const cutoff = to < from ? (to / from) * 0.94 : 1;
    ({ table: this.table, reach: this.reach } = kernel(8, cutoff));
    this.margin = Math.ceil(this.reach) + 1;
  }

  /** The value at `position` (fractional) of `signal`; beyond its ends is silence. */
  at(signal, position) {
    const first = Math.max(0, Math.ceil(position - this.reach));
    const last = Math.min(signal.length - 1, Math.floor(position + this.reach));
    let sum = 0;
    for (let i = first; i <= last; i++) {
      const x = Math.abs(position - i) * STEPS;
      const whole = x | 0;
      const low = this.table[whole];
      sum += signal[i] * (low + (this.table[whole + 1] - low) * (x - whole));
    }
    return sum;
  }
}

/** Turns blocks of any size at one rate into blocks at another. */
export class Resampler {
  constructor(from, to) {
    this.step = from / to;
    this.read = new Interpolator(from, to);
    this.kept = new Float32Array(0);
    this.position = 0; // of the next output sample, in `kept`
  }

  /** @param {Float32Array} block @returns {Float32Array} as many samples as can be told by now */
  push(block) {
    const signal = new Float32Array(this.kept.length + block.length);
    signal.set(this.kept);
    signal.set(block, this.kept.length);
    const end = signal.length - this.read.margin;
    const count = Math.max(0, Math.ceil((end - this.position) / this.step));
    const out = new Float32Array(count);
    for (let i = 0; i < count; i++) out[i] = this.read.at(signal, this.position + i * this.step);
    this.position += count * this.step;
    const drop = Math.max(0, Math.min(signal.length, Math.floor(this.position) - this.read.margin));
    this.kept = signal.subarray(drop);
    this.position -= drop;
    return out;
  }
}

/** Float samples as signed 16-bit ones. */
export function toPcm16(samples) {
  const pcm = new Int16Array(samples.length);
  for (let i = 0; i < samples.length; i++) {
    const value = Math.max(-1, Math.min(1, samples[i]));
    pcm[i] = Math.round(value * (value < 0 ? 32768 : 32767));
  }
  return pcm;
}
