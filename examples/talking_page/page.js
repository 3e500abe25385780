import { Microphone, whyNoMicrophone } from "./assistant/audio/microphone.js";
import { Player } from "./assistant/audio/player.js";
import { Sound } from "./assistant/audio/sound.js";
import { loadAvatar } from "./assistant/avatar/avatar.js";
import { Lips } from "./assistant/avatar/lips.js";
import { Link } from "./assistant/link.js";

const button = document.querySelector("#talk");
const face = await loadAvatar(document.querySelector("#face"));
const lips = new Lips();
const address = new URL("assistant/ws", location.href.replace(/^http/, "ws"));
const link = new Link(() => ({ greet: !link.conversation }), async () => address);
let sound, player, microphone;

function write(who, text) {
  const line = document.createElement("li");
  line.className = who;
  line.textContent = text;
  document.querySelector("#words").append(line);
}

// Browsers let a page sound only after a click.
button.onclick = async () => {
  button.disabled = true;
  sound ??= new Sound();
  await sound.ready;
  link.open();
};

async function ready({ input, output }) {
  player?.close();
  player = new Player(sound.context, output.rate);
  player.addEventListener("played", ({ detail }) => link.send({ type: "played", ...detail }));
  if (microphone) return;
  microphone = new Microphone(sound.context, input.rate);
  microphone.addEventListener("frame", ({ detail }) => link.audio(detail));
  await microphone.start().catch((error) => write("trouble", whyNoMicrophone(error)));
  microphone.open(true);
}

const on = {
  ready,
  Transcript: ({ final, text }) => final && text && write("you", text),
  Viseme: ({ turn, code, ms, end_ms }) => lips.add(turn, code, ms, end_ms),
  Paused: ({ turn }) => player.pause(turn), // perhaps an interruption
  Resumed: ({ turn }) => player.resume(turn), // it was none
  Interrupted: ({ turn }) => player.flush(turn), // it was one
  TurnEnded: ({ turn, said, heard }) => {
    player.end(turn);
    write("assistant", heard ? heard.text : said);
  },
};
link.addEventListener("message", ({ detail }) => on[detail.type]?.(detail));
link.addEventListener("audio", ({ detail: { turn, start, pcm } }) => player.play(turn, start, pcm));
link.addEventListener("state", ({ detail: { state, text } }) => {
  if (text) write("trouble", text);
  button.disabled = state !== "closed";
});

function draw(stamp) {
  const head = player?.head.at(); // what leaves the loudspeaker now
  const speaks = head?.playing ?? false;
  face.draw(stamp, {
    state: speaks ? "speaking" : link.state === "ready" ? "listening" : "off",
    shape: speaks ? lips.shapeAt(head.turn, head.ms) : null,
    code: speaks ? lips.codeAt(head.turn, head.ms) : "sil",
    energy: speaks ? 0.4 : 0,
  });
  requestAnimationFrame(draw);
}
requestAnimationFrame(draw);
