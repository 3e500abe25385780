/**
 * How the head is held and the eyes look: postures for what the assistant is doing, and small life in all of them.
 *
 * Chance is drawn from an even, repeating spread: it looks as alive as a random one.
 */

const REST = { tilt: 0, turn: 0, nod: 0, brows: 0, raise: 0, lids: 1, gazeX: 0, gazeY: 0, smile: 0.3 };
const POSTURES = {
  off: { ...REST, lids: 0.94, smile: 1.5 },
  idle: { ...REST, smile: 1.4 },
  listening: { ...REST, tilt: 3.2, nod: 2, brows: 2.4, lids: 1.07, smile: 1.3 },
  thinking: { ...REST, tilt: -2.4, turn: 5, nod: -2, brows: 1.5, raise: 3, gazeX: 5.5, gazeY: -5.5, lids: 0.95, smile: -0.2 },
  speaking: { ...REST, brows: 0.6, smile: 0.3 },
};
const BLINK = 200; // ms

export class Pose {
  constructor(calm) {
    this.calm = calm; // the user asked for less motion
    this.state = "off";
    this.now = { ...POSTURES.off };
    this.stamp = 0;
    this.blinkAt = 1500;
    this.glanceAt = 2500;
    this.glance = { x: 0, y: 0 };
  }

  /** Move towards the posture of `state`; `energy` (0 to 1) is how loud the assistant speaks. */
  step(stamp, state, energy) {
    const seconds = Math.min(0.1, (stamp - this.stamp) / 1000);
    this.stamp = stamp;
    const aim = { ...POSTURES[state] };
    if (!this.calm) this.live(aim, stamp, state, energy);
    this.glances(aim, stamp, state);
    for (const key in aim) {
      const pace = key.startsWith("gaze") ? 22 : key === "lids" ? 14 : key === "brows" ? 9 : 4.5;
      this.now[key] += (aim[key] - this.now[key]) * (1 - Math.exp(-pace * seconds));
    }
    return { ...this.now, lids: this.now.lids * this.blink(stamp, state), breath: this.calm ? 0 : Math.sin(stamp / 1500) };
  }

  /** Slow sway, nods while listening, emphasis while speaking. */
  live(aim, stamp, state, energy) {
    const t = stamp / 1000;
    aim.tilt += Math.sin(t * 0.53) * 0.9 + Math.sin(t * 0.31 + 2) * 0.6;
    aim.turn += Math.sin(t * 0.41 + 1) * 2.2;
    if (state === "speaking") {
      aim.tilt += Math.sin(t * 1.7) * 1.5;
      aim.turn += Math.sin(t * 1.13) * 3;
      aim.nod += energy * 4.5 + Math.sin(t * 2.9) * 1.2;
      aim.brows += energy * 5 * (0.5 + 0.5 * Math.sin(t * 1.9));
    } else if (state === "listening") {
      const nodding = Math.sin(t * 0.9) > 0.72;
      if (nodding) aim.nod += 3.5 * Math.sin(t * 7.5);
    }
  }

  /** The eyes leave the user now and then, and come back. */
  glances(aim, stamp, state) {
    if (stamp > this.glanceAt) {
      const away = (this.glance.x === 0 && state !== "listening") || state === "thinking";
      this.glance = away ? { x: spread(stamp, 9) - 4.5, y: spread(stamp * 1.7, 4) - 2 } : { x: 0, y: 0 };
      this.glanceAt = stamp + (away ? 450 + spread(stamp, 500) : 1800 + spread(stamp, 3200));
    }
    aim.gazeX += this.glance.x;
    aim.gazeY += this.glance.y;
  }

  /** How far the lids are open, 1 to 0, for the blink under way. */
  blink(stamp, state) {
    if (stamp > this.blinkAt + BLINK) {
      const twice = spread(stamp * 3.1, 10) < 1.4;
      this.blinkAt = stamp + (twice ? 120 : (state === "listening" ? 2600 : 1900) + spread(stamp, 2900));
    }
    const part = (stamp - this.blinkAt) / BLINK;
    if (part <= 0 || part >= 1) return 1;
    return part < 0.4 ? 1 - part / 0.4 : (part - 0.4) / 0.6;
  }
}

const spread = (seed, width) => ((seed * 0.731) % 1000 / 1000) * width;
