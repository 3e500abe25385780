/**
 * Which mouth shape belongs to a moment of the audio.
 *
 * Lips do not jump: a shape begins before its sound and blends into its neighbours over some 65 ms each way.
 */

import { shapeOf } from "./shapes.js";

const REACH = 65; // ms over which shapes blend, each way
const LEAD = 12; // ms by which lips run ahead of the sound
const STEPS = 6;

export class Lips {
  constructor() {
    this.turns = new Map(); // turn -> [{code, ms, end}] in order of ms
  }

  /** Take a viseme: from `ms` of the turn's audio on, until the next one or `end` (null: not known). */
  add(turn, code, ms, end) {
    if (!this.turns.has(turn)) this.turns.set(turn, []);
    const list = this.turns.get(turn);
    let at = list.length;
    while (at && list[at - 1].ms > ms) at--;
    list.splice(at, 0, { code, ms, end });
    for (const old of this.turns.keys()) if (old < turn - 3) this.turns.delete(old);
  }

  clear() { this.turns.clear(); }

  /** The symbol in force at `ms` of `turn`. */
  codeAt(turn, ms) {
    const list = this.turns.get(turn) ?? [];
    let low = 0, high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle].ms <= ms) low = middle + 1; else high = middle;
    }
    const found = list[low - 1];
    if (!found) return "sil";
    const over = found.end !== null && low === list.length && ms > found.end + REACH;
    return over ? "sil" : found.code;
  }

  /** The blended shape at `ms` of `turn`. */
  shapeAt(turn, ms) {
    const sum = {};
    let weights = 0;
    for (let step = -STEPS; step <= STEPS; step++) {
      const shape = shapeOf(this.codeAt(turn, ms + LEAD + (step / STEPS) * REACH));
      const weight = shape.force * (1 + Math.cos((step / (STEPS + 1)) * Math.PI));
      weights += weight;
      for (const key in shape) sum[key] = (sum[key] ?? 0) + shape[key] * weight;
    }
    for (const key in sum) sum[key] /= weights;
    return sum;
  }
}
