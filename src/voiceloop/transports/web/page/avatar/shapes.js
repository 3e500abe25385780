/**
 * The mouth for each symbol of Amazon Polly's viseme alphabet.
 *
 * w: half the width; o: how far it is open; round: 0 spread to 1 rounded; top, low: thickness of the lips;
 * teeth, bite: upper and lower teeth seen; tongue: how high it lies; smile: lift of the corners;
 * force: how strongly the shape holds against its neighbours (closed lips always win).
 */

const shape = (w, o, round, top, low, teeth, bite, tongue, smile, force) =>
  Object.freeze({ w, o, round, top, low, teeth, bite, tongue, smile, force });

const E_OPEN = shape(24.5, 15, 0.2, 5.4, 7, 0.85, 0.1, 0.35, 1.5, 1.2);
const I_SPREAD = shape(27.5, 6.5, 0, 4.8, 6.2, 1, 0.5, 0.3, 3.2, 1.2);
const U_TIGHT = shape(10.5, 7.5, 1, 8.2, 9.4, 0, 0, 0.1, -0.4, 1.8);
const O_MID = shape(14.5, 14, 0.95, 7.4, 8.8, 0.1, 0, 0.15, -0.3, 1.6);

export const SHAPES = Object.freeze({
  sil: shape(22.5, 0, 0.1, 5.8, 7.6, 0, 0, 0, 3.4, 0.7),
  p: shape(20.5, 0, 0.15, 3.8, 5, 0, 0, 0, 1, 4),
  B: shape(20, 2.2, 0.3, 4.6, 5.8, 0, 0, 0, 0.8, 2.4),
  t: shape(22, 7.5, 0.15, 5.2, 6.6, 0.8, 0.3, 0.8, 1.3, 1.2),
  S: shape(15, 8.5, 0.65, 7.4, 8.4, 0.9, 0.8, 0, 0, 1.7),
  T: shape(22, 8.5, 0.15, 5, 6.4, 0.55, 0, 1.25, 1, 2),
  f: shape(21.5, 5, 0.1, 5, 3.8, 1.5, 0, 0, 0.8, 3.4),
  k: shape(22, 9.5, 0.2, 5.4, 7, 0.5, 0, 0.45, 0.8, 1),
  x: shape(20, 9, 0.3, 5.6, 7.2, 0.4, 0, 0.4, 0.4, 1),
  J: shape(25.5, 7, 0.05, 5, 6.2, 0.9, 0.3, 0.9, 2.6, 1.2),
  r: shape(17, 8.5, 0.55, 6.6, 7.8, 0.5, 0.2, 0.35, 0, 1.3),
  s: shape(25, 5.5, 0.05, 4.9, 6, 1.1, 1, 0, 2.2, 1.6),
  i: I_SPREAD,
  "i:": shape(28.5, 6, 0, 4.7, 6, 1, 0.6, 0.3, 3.6, 1.4),
  u: U_TIGHT,
  "@": shape(22, 10.5, 0.25, 5.5, 7, 0.5, 0, 0.3, 0.8, 1),
  a: shape(22.5, 21, 0.4, 5.7, 7.6, 0.75, 0.1, 0.25, 0.8, 1.4),
  e: shape(26, 11.5, 0.1, 5.1, 6.6, 0.9, 0.1, 0.4, 2.2, 1.2),
  E: E_OPEN,
  "E:": shape(25, 17, 0.15, 5.2, 6.8, 0.85, 0.1, 0.35, 1.6, 1.3),
  o: O_MID,
  O: shape(17, 18.5, 0.8, 6.8, 8.4, 0.35, 0, 0.2, 0, 1.5),
  0: shape(15, 11.5, 0.9, 7.2, 8.6, 0.15, 0, 0.25, 0, 1.5),
});

/** The shape of `code`; one that is not known counts as the neutral vowel. */
export const shapeOf = (code) => SHAPES[code] ?? SHAPES["@"];
