// The face. Each of the 17 visemes of Polly's alphabet is a mouth shape; between them the mouth moves as lips do:
// a shape begins before its sound, and closed lips win over their neighbours.
//
// w: half the mouth's width; o: how far it is open; round: 0 spread to 1 rounded; top, low: lip thickness;
// teeth, bite: upper and lower teeth seen; tongue: how high it lies; pull: closeness to its neighbours' shapes.
const SHAPES = {
  sil: { w: 22, o: 0, round: 0.1, top: 5.5, low: 6.5, teeth: 0, bite: 0, tongue: 0, smile: 4, force: 0.7 },
  p: { w: 20.5, o: 0, round: 0.15, top: 3.6, low: 4.5, teeth: 0, bite: 0, tongue: 0, smile: 1, force: 4 },
  t: { w: 22, o: 7.5, round: 0.15, top: 5.2, low: 6, teeth: 0.8, bite: 0.3, tongue: 0.8, smile: 1.3, force: 1.2 },
  S: { w: 15, o: 8.5, round: 0.65, top: 7.5, low: 8, teeth: 0.9, bite: 0.8, tongue: 0, smile: 0, force: 1.7 },
  T: { w: 22, o: 8.5, round: 0.15, top: 5, low: 6, teeth: 0.55, bite: 0, tongue: 1.25, smile: 1, force: 2 },
  f: { w: 21.5, o: 5, round: 0.1, top: 5, low: 3.5, teeth: 1.5, bite: 0, tongue: 0, smile: 0.8, force: 3.4 },
  k: { w: 22, o: 9.5, round: 0.2, top: 5.4, low: 6.5, teeth: 0.5, bite: 0, tongue: 0.45, smile: 0.8, force: 1 },
  i: { w: 27.5, o: 6.5, round: 0, top: 4.6, low: 5.5, teeth: 1, bite: 0.5, tongue: 0.3, smile: 3.4, force: 1.2 },
  r: { w: 17, o: 8.5, round: 0.55, top: 6.6, low: 7.5, teeth: 0.5, bite: 0.2, tongue: 0.35, smile: 0, force: 1.3 },
  s: { w: 25, o: 5.5, round: 0.05, top: 4.8, low: 5.5, teeth: 1.1, bite: 1, tongue: 0, smile: 2.2, force: 1.6 },
  u: { w: 10, o: 7.5, round: 1, top: 8.4, low: 9, teeth: 0, bite: 0, tongue: 0.1, smile: -0.4, force: 1.8 },
  "@": { w: 22, o: 11, round: 0.25, top: 5.4, low: 6.5, teeth: 0.5, bite: 0, tongue: 0.3, smile: 0.8, force: 1 },
  a: { w: 22, o: 21.5, round: 0.4, top: 5.6, low: 7, teeth: 0.75, bite: 0.1, tongue: 0.25, smile: 0.8, force: 1.4 },
  e: { w: 26, o: 12, round: 0.1, top: 5, low: 6, teeth: 0.9, bite: 0.1, tongue: 0.4, smile: 2.2, force: 1.2 },
  E: { w: 24.5, o: 15.5, round: 0.2, top: 5.2, low: 6, teeth: 0.85, bite: 0.1, tongue: 0.35, smile: 1.5, force: 1.2 },
  o: { w: 14, o: 14.5, round: 0.95, top: 7.6, low: 8.5, teeth: 0.1, bite: 0, tongue: 0.15, smile: -0.3, force: 1.6 },
  O: { w: 17, o: 19, round: 0.8, top: 7, low: 8, teeth: 0.35, bite: 0, tongue: 0.2, smile: 0, force: 1.5 },
};
const REACH = 0.065; // s over which shapes blend
const LEAD = 0.015; // s by which the lips run ahead of the sound

function lastAtOrBefore(items, time, key) {
  let low = 0, high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(items[middle]) <= time) low = middle + 1; else high = middle;
  }
  return low - 1;
}

function visemeAt(visemes, time) {
  const found = lastAtOrBefore(visemes, time, (v) => v[0]);
  const code = found < 0 ? "sil" : visemes[found][1];
  return code in SHAPES ? code : "@";
}

function mouthAt(visemes, time) {
  const sum = {}, middle = time + LEAD;
  let weights = 0;
  for (let step = -5; step <= 5; step++) {
    const shape = SHAPES[visemeAt(visemes, middle + (step / 5) * REACH)];
    const weight = shape.force * (1 + Math.cos((step / 6) * Math.PI));
    weights += weight;
    for (const key in shape) sum[key] = (sum[key] || 0) + shape[key] * weight;
  }
  for (const key in sum) sum[key] /= weights;
  return sum;
}

function makeFace(visemes) {
  const at = (id) => document.getElementById(id);
  const n = (value) => value.toFixed(2);
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let blinkAt = 1800, glance = 0, drawn = "";

  function mouth(m) {
    const up = -m.o * 0.36, down = m.o * 0.64, x = m.w * (0.5 + 0.28 * m.round), corner = -m.smile;
    const inner = `M${n(-m.w)} ${n(corner)}C${n(-x)} ${n(up * 1.32)} ${n(x)} ${n(up * 1.32)} ${n(m.w)} ${n(corner)}` +
      `C${n(x)} ${n(down * 1.32)} ${n(-x)} ${n(down * 1.32)} ${n(-m.w)} ${n(corner)}Z`;
    const wide = m.w + 3 + 2.5 * m.round, bow = 6.5 - 2.5 * m.round, peak = up - m.top, base = down + m.low;
    const side = wide * (0.52 + 0.2 * m.round);
    const lips = `M${n(-wide)} ${n(corner)}C${n(-side)} ${n(peak * 0.9)} ${n(-bow * 1.7)} ${n(peak)} ${n(-bow)} ${n(peak)}` +
      `Q0 ${n(peak + 3.2 - m.round)} ${n(bow)} ${n(peak)}C${n(bow * 1.7)} ${n(peak)} ${n(side)} ${n(peak * 0.9)} ${n(wide)} ${n(corner)}` +
      `C${n(side)} ${n(base * 1.12)} ${n(bow * 1.6)} ${n(base)} 0 ${n(base)}C${n(-bow * 1.6)} ${n(base)} ${n(-side)} ${n(base * 1.12)} ${n(-wide)} ${n(corner)}Z`;
    if (lips + inner === drawn) return;
    drawn = lips + inner;
    at("lips").setAttribute("d", lips);
    at("opening-path").setAttribute("d", inner);
    const seam = m.o < 3 ? `M${n(-m.w)} ${n(corner)}Q0 ${n(1.5 + m.smile * 0.6)} ${n(m.w)} ${n(corner)}` : "";
    at("seam").setAttribute("d", seam);
    at("teeth-top").setAttribute("y", n(up - 6));
    at("teeth-top").setAttribute("height", n(Math.max(0, 6 + Math.min(7, m.o * 0.5) * m.teeth)));
    at("teeth-low").setAttribute("y", n(down - Math.min(3.4, m.o * 0.3) * m.bite + (m.bite < 0.05 ? 9 : 0)));
    at("tongue").setAttribute("cy", n(down + 7 - m.tongue * Math.min(9, m.o * 0.62)));
    const chin = m.o * 0.36, cheek = (m.w - 22) * 0.12;
    at("jaw").setAttribute("d", `M${n(67 - cheek)} 104C66 64 92 46 120 46C148 46 174 64 ${n(173 + cheek)} 104` +
      `C${n(174 + cheek)} ${n(138 + chin * 0.4)} 152 ${n(184 + chin)} 120 ${n(184 + chin)}C88 ${n(184 + chin)} ${n(66 - cheek)} ${n(138 + chin * 0.4)} ${n(67 - cheek)} 104Z`);
  }

  function eyes(stamp) {
    if (!calm && stamp > blinkAt + 190) {
      // Chance is of no use here: an even spread looks as alive and repeats in tests.
      blinkAt = stamp + 2200 + ((stamp * 7.31) % 2600);
      glance = ((stamp * 0.37) % 3) - 1.5;
    }
    const part = Math.min(1, Math.max(0, (stamp - blinkAt) / 190));
    const open = calm ? 1 : 1 - Math.sin(part * Math.PI) ** 0.8;
    for (const [side, x] of [["left", 98], ["right", 142]]) {
      const height = Math.max(0.3, 8 * open), lid = 110 + (1 - open) * 3.4;
      at(`lid-${side}`).setAttribute("ry", n(height));
      at(`lid-${side}`).setAttribute("cy", n(lid));
      at(`lash-${side}`).setAttribute("d", `M${x - 11.5} ${n(lid + 0.5)}Q${x} ${n(lid - height * 1.95 + (1 - open) * 4)} ${x + 11.5} ${n(lid + 0.5)}`);
    }
    at("face").dataset.blink = open < 0.5 ? "1" : "0";
    for (const iris of document.querySelectorAll(".iris")) iris.setAttribute("transform", `translate(${n(glance * 0.6)} 0)`);
  }

  return function draw(time, stamp, speaking) {
    const shape = mouthAt(visemes, time), code = visemeAt(visemes, time);
    mouth(shape);
    eyes(stamp);
    if (!calm) {
      const nod = Math.sin(stamp / 1900) * 1.1 + (speaking ? Math.sin(time * 4.1) * 1.2 : 0);
      at("head").setAttribute("transform", `rotate(${n(Math.sin(stamp / 2700) * 0.9 + (speaking ? Math.sin(time * 2.3) : 0))} 120 200) translate(0 ${n(nod * 0.6)})`);
      at("brows").setAttribute("transform", `translate(0 ${n(-shape.o * 0.07)})`);
    }
    if (at("face").dataset.viseme !== code) at("face").dataset.viseme = code;
    return code;
  };
}
