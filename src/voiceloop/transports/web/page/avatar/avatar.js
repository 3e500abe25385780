/** The assistant's face: a drawing, moved by mouth shapes and postures. */

import { drawMouth } from "./mouth.js";
import { Pose } from "./pose.js";
import { SHAPES } from "./shapes.js";

const n = (value) => value.toFixed(2);
const EYES = [["left", 203, 1], ["right", 277, -1]]; // name, middle, side of the nose

/** Load the drawing into `home`. */
export async function loadAvatar(home) {
  const answer = await fetch(new URL("avatar.svg", import.meta.url));
  const drawing = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
  drawing.setAttribute("class", "avatar");
  home.replaceChildren(document.importNode(drawing, true));
  return new Avatar(home.firstElementChild);
}

export class Avatar {
  constructor(drawing) {
    this.drawing = drawing;
    const parts = new Map([...drawing.querySelectorAll("[id]")].map((element) => [element.id, element]));
    this.part = (name) => parts.get(name);
    this.pose = new Pose(matchMedia("(prefers-reduced-motion: reduce)").matches);
    this.mouth = { ...SHAPES.sil };
    this.draw(0, { state: "off", shape: null, code: "sil", energy: 0 });
  }

  /**
   * Draw one moment.
   * @param {number} stamp ms of the page
   * @param {{state: string, shape: object | null, code: string, energy: number}} moment `shape`: the mouth, null: at rest
   */
  draw(stamp, { state, shape, code, energy }) {
    const pose = this.pose.step(stamp, state, energy);
    const rest = { ...SHAPES.sil, smile: 2.6 + pose.smile * 2.5, w: 23 + pose.smile * 2.4, top: 6.9 };
    const aim = shape ? { ...shape, smile: shape.smile + 1.3 * (1 - shape.round) } : rest; // it speaks kindly
    // While it speaks the shape is exact; at rest the mouth settles.
    const pace = shape ? 1 : 0.2;
    for (const key in this.mouth) this.mouth[key] += (aim[key] - this.mouth[key]) * pace;
    drawMouth(this.part, this.mouth);
    this.hold(pose);
    for (const eye of EYES) this.eye(...eye, pose);
    this.drawing.dataset.viseme = code;
    this.drawing.dataset.state = state;
  }

  /** Head, neck and shoulders; what is nearer moves further, which gives the flat drawing depth. */
  hold(pose) {
    const move = (name, x, y) => this.part(name).setAttribute("transform", `translate(${n(x)} ${n(y)})`);
    this.part("head").setAttribute("transform", `translate(0 ${n(pose.nod * 0.7 - pose.breath * 0.6)}) rotate(${n(pose.tilt)} 240 400)`);
    move("features", pose.turn * 0.9, pose.nod * 0.8);
    move("fringe", pose.turn * 0.45, pose.nod * 0.35);
    move("hair-back", -pose.turn * 0.5, -pose.nod * 0.2);
    move("body", pose.tilt * 0.25, -pose.breath * 1.1);
    for (const [name, , side] of EYES) {
      const lift = pose.brows + (side < 0 ? pose.raise : -pose.raise * 0.3);
      this.part(`brow-${name}`).setAttribute("transform", `translate(0 ${n(-lift)})`);
    }
  }

  eye(name, x, side, pose) {
    const open = Math.max(0, Math.min(1.12, pose.lids));
    const [inner, outer] = [x + side * 19, x - side * 21];
    const y = 224 + (1 - open) * 5, top = 224 - 17.5 * open + (1 - open) * 7, low = 224 + 11.5 * Math.min(1, 0.45 + open * 0.55);
    const upper = `C${n(outer + side * 8)} ${n(top)} ${n(inner - side * 9)} ${n(top - 1)} ${n(inner)} ${n(y + 2.5)}`;
    const lower = `C${n(inner - side * 9)} ${n(low)} ${n(outer + side * 10)} ${n(low + 0.5)} ${n(outer)} ${n(y)}`;
    this.part(`eye-${name}-shape`).setAttribute("d", `M${n(outer)} ${n(y)}${upper}${lower}Z`);
    // lashes: a crescent that tapers to the nose and ends in a small wing
    this.part(`lash-${name}`).setAttribute("d",
      `M${n(outer - side * 5)} ${n(y - 4.5 * open)}C${n(outer + side * 5)} ${n(top - 4.5)} ${n(inner - side * 9)} ${n(top - 4)} ${n(inner + side)} ${n(y + 3)}` +
      `C${n(inner - side * 9)} ${n(top + 0.5)} ${n(outer + side * 8)} ${n(top + 1)} ${n(outer)} ${n(y + 1)}Z`);
    this.part(`crease-${name}`).setAttribute("d",
      `M${n(outer - side)} ${n(214 + (1 - open) * 3)}C${n(outer + side * 9)} ${n(203 + (1 - open) * 5)} ${n(inner - side * 10)} ${n(202 + (1 - open) * 5)} ${n(inner)} ${n(217)}`);
    this.part(`under-${name}`).setAttribute("d", `M${n(outer + side * 4)} ${n(low - 4)}Q${n(x)} ${n(low + 2.5)} ${n(inner - side * 5)} ${n(low - 3)}`);
    this.part(`iris-${name}`).setAttribute("transform", `translate(${n(pose.gazeX * 0.9)} ${n(pose.gazeY * 0.75)})`);
  }
}
