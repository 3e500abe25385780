/** Version 1 of voiceloop's WebSocket protocol: the binary frames. */

export const VERSION = 1;
const HEADER = 12, INPUT = 1, REPLY = 2;

/** A frame of the microphone: `start` is how many samples this connection sent before it. */
export function inputFrame(start, pcm) {
  const frame = new ArrayBuffer(HEADER + pcm.byteLength);
  const view = new DataView(frame);
  view.setUint8(0, INPUT);
  view.setUint8(1, VERSION);
  view.setUint32(8, start, true);
  new Int16Array(frame, HEADER).set(pcm);
  return frame;
}

/** @param {ArrayBuffer} frame @returns {{turn: number, start: number, pcm: Int16Array}} Throws on what is no reply audio. */
export function replyFrame(frame) {
  const view = new DataView(frame);
  if (frame.byteLength < HEADER || view.getUint8(0) !== REPLY || view.getUint8(1) !== VERSION) {
    throw new Error("a binary message is no audio of version 1");
  }
  return { turn: view.getUint32(4, true), start: view.getUint32(8, true), pcm: new Int16Array(frame.slice(HEADER)) };
}
