/** Stills of the camera for the assistant: one on demand, or one every five seconds. Off until the user turns it on. */

import { at } from "../dom.js";
import { hush } from "./banner.js";

const EVERY = 5000; // ms
const WIDE = 640, QUALITY = 0.7;

/** @param {import("../conversation.js").Conversation} talk */
export function bindCamera(talk) {
  const video = at("camera-view");
  let stream = null, timer = 0;

  async function start() {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: WIDE } } });
      video.srcObject = stream;
      await video.play();
      hush("camera");
    } catch (error) {
      stop();
      talk.trouble(`The camera did not start (${error.name}). Allow it for this page, or plug one in.`, { id: "camera" });
    }
    show();
  }

  function stop() {
    stream?.getTracks().forEach((track) => track.stop());
    stream = video.srcObject = null;
    at("camera-often").checked = false;
    clearInterval(timer);
    show();
  }

  function show() {
    at("camera").setAttribute("aria-pressed", String(stream !== null));
    at("camera-box").hidden = stream === null;
    at("look").disabled = at("camera-often").disabled = !talk.connected;
  }

  function look() {
    if (!stream || !video.videoWidth) return;
    const canvas = document.createElement("canvas");
    canvas.width = Math.min(WIDE, video.videoWidth);
    canvas.height = Math.round((canvas.width * video.videoHeight) / video.videoWidth);
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    const [, data] = canvas.toDataURL("image/jpeg", QUALITY).split(",");
    talk.show({ media_type: "image/jpeg", data });
  }

  at("camera").addEventListener("click", () => (stream ? stop() : start()));
  at("look").addEventListener("click", look);
  at("camera-often").addEventListener("change", ({ target }) => {
    clearInterval(timer);
    if (!target.checked) return;
    look();
    timer = setInterval(look, EVERY);
  });
  talk.addEventListener("changed", show);
  talk.addEventListener("link", ({ detail }) => detail.state === "closed" && stop());
  talk.addEventListener("answer", ({ detail }) => {
    if (detail.to !== "text" || detail.outcome !== "refused" || !stream) return;
    talk.unseen();
  });
  talk.addEventListener("unseen", () => {
    at("camera-often").checked = false; // a model without eyes
    clearInterval(timer);
  });
  show();
}
