/** Draws a mouth shape: lips, teeth, tongue, and the jaw and chin that go with it. */

const n = (value) => value.toFixed(2);

/** @param {(id: string) => SVGElement} part finds a part of the drawing by its name */
export function drawMouth(part, m) {
  const up = -m.o * 0.36, down = m.o * 0.64;
  const x = m.w * (0.5 + 0.28 * m.round), corner = -m.smile;
  // the closed mouth's seam sags a little between its corners
  const sag = Math.max(0, 2.6 - m.o * 0.6), roof = up * 1.32 + sag, floor = down * 1.32 + sag;
  const over = `C${n(x)} ${n(roof)} ${n(-x)} ${n(roof)} ${n(-m.w)} ${n(corner)}`; // right to left
  const under = `C${n(-x)} ${n(floor)} ${n(x)} ${n(floor)} ${n(m.w)} ${n(corner)}`; // left to right

  const wide = m.w + 3.5 + 2.5 * m.round, bow = 6.8 - 2.5 * m.round, peak = up - m.top, base = down + m.low;
  const side = wide * (0.52 + 0.2 * m.round);
  const topEdge =
    `M${n(-wide)} ${n(corner)}C${n(-side)} ${n(peak * 0.92)} ${n(-bow * 1.7)} ${n(peak)} ${n(-bow)} ${n(peak)}` +
    `Q0 ${n(peak + 3.4 - m.round)} ${n(bow)} ${n(peak)}` +
    `C${n(bow * 1.7)} ${n(peak)} ${n(side)} ${n(peak * 0.92)} ${n(wide)} ${n(corner)}`;
  const lowEdge =
    `C${n(side)} ${n(base * 1.14)} ${n(bow * 1.9)} ${n(base)} 0 ${n(base)}` +
    `C${n(-bow * 1.9)} ${n(base)} ${n(-side)} ${n(base * 1.14)} ${n(-wide)} ${n(corner)}Z`;

  part("lip-top").setAttribute("d", `${topEdge}L${n(m.w)} ${n(corner)}${over}Z`);
  part("lip-low").setAttribute("d", `M${n(-wide)} ${n(corner)}L${n(-m.w)} ${n(corner)}${under}L${n(wide)} ${n(corner)}${lowEdge}`);
  part("opening").setAttribute("d", `M${n(-m.w)} ${n(corner)}${under}${over}Z`);
  part("seam").setAttribute("d", m.o < 2.5 ? `M${n(-m.w)} ${n(corner)}C${n(-x)} ${n(sag)} ${n(x)} ${n(sag)} ${n(m.w)} ${n(corner)}` : "");
  part("shine").setAttribute("d", `M${n(-bow)} ${n(down + m.low * 0.5)}Q0 ${n(down + m.low * 0.72)} ${n(bow)} ${n(down + m.low * 0.5)}`);

  part("teeth-top").setAttribute("y", n(up - 6));
  part("teeth-top").setAttribute("height", n(Math.max(0, 6 + Math.min(7, m.o * 0.5) * m.teeth)));
  part("teeth-low").setAttribute("y", n(down - Math.min(3.4, m.o * 0.3) * m.bite + (m.bite < 0.05 ? 9 : 0)));
  part("tongue").setAttribute("cy", n(down + 7 - m.tongue * Math.min(9, m.o * 0.62)));

  const chin = m.o * 0.5, cheek = (m.w - 22) * 0.16 - m.round * 0.6;
  const [left, right] = [160 - cheek, 320 + cheek];
  part("jaw").setAttribute("d",
    `M${n(left)} 210C156 138 194 104 240 104C286 104 324 138 ${n(right)} 210` +
    `C${n(right + 1)} ${n(254 + chin * 0.2)} 309 ${n(292 + chin * 0.5)} 283 ${n(324 + chin * 0.9)}` +
    `C${n(268)} ${n(342 + chin)} 255 ${n(349 + chin)} 240 ${n(349 + chin)}` +
    `C225 ${n(349 + chin)} 212 ${n(342 + chin)} 197 ${n(324 + chin * 0.9)}` +
    `C171 ${n(292 + chin * 0.5)} ${n(left - 1)} ${n(254 + chin * 0.2)} ${n(left)} 210Z`);
  part("chin").setAttribute("transform", `translate(0 ${n(chin * 0.8)})`);
  for (const [name, sign] of [["fold-left", -1], ["fold-right", 1]]) {
    const lift = Math.max(0, m.smile) * 0.06 + Math.max(0, m.w - 22) * 0.05;
    part(name).setAttribute("opacity", n(Math.min(0.22, lift * 0.6)));
    part(name).setAttribute("transform", `translate(${n(sign * (m.w - 22) * 0.5)} ${n(-m.smile * 0.4)})`);
  }
}
