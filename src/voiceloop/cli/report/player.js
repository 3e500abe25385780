// The sound, the two waveforms and the way through them.
function clockText(seconds) {
  const tenths = Math.round(seconds * 10);
  return `${Math.floor(tenths / 600)}:${String(Math.floor((tenths % 600) / 10)).padStart(2, "0")}.${tenths % 10}`;
}

function loadSound() {
  const text = atob(document.getElementById("sound").textContent), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const audio = new Audio(URL.createObjectURL(new Blob([bytes], { type: "audio/wav" })));
  audio.id = "audio";
  audio.preload = "auto";
  audio.preservesPitch = true;
  document.body.append(audio);
  return audio;
}

function makePlayer(data) {
  const at = (id) => document.getElementById(id);
  const audio = loadSound(), wave = at("wave"), canvas = at("canvas"), play = at("play");
  const colours = {};
  const loudest = Math.max(25, ...data.peaks.user, ...data.peaks.assistant);
  let pending = null, stale = true;

  // A seek takes a moment; until it is done the page shows where it goes.
  const time = () => (pending === null ? audio.currentTime : pending);
  function seek(seconds) {
    pending = Math.min(data.duration, Math.max(0, seconds));
    audio.currentTime = pending;
    stale = true;
  }
  audio.addEventListener("seeked", () => { pending = null; });

  function toggle() {
    if (!audio.paused) { audio.pause(); return; }
    if (time() > data.duration - 0.05) seek(0);
    audio.play();
  }
  function showState() {
    play.setAttribute("aria-label", audio.paused ? "Play" : "Pause");
    play.classList.toggle("playing", !audio.paused);
  }
  for (const name of ["play", "pause", "ended"]) audio.addEventListener(name, showState);
  play.addEventListener("click", toggle);
  at("speed").addEventListener("click", () => {
    audio.playbackRate = audio.playbackRate === 1 ? 0.5 : 1;
    at("speed").textContent = audio.playbackRate === 1 ? "1×" : "½×";
    at("speed").setAttribute("aria-label", `Speed: ${audio.playbackRate === 1 ? "normal" : "half"}`);
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " " && !["BUTTON", "SUMMARY"].includes(event.target.tagName)) toggle();
    else if (event.key === "ArrowLeft") seek(time() - 2);
    else if (event.key === "ArrowRight") seek(time() + 2);
    else if (event.key === "Home") seek(0);
    else if (event.key === "End") seek(data.duration);
    else return;
    event.preventDefault();
  });
  function seekTo(event) {
    const box = wave.getBoundingClientRect();
    seek(((event.clientX - box.left) / box.width) * data.duration);
  }
  wave.addEventListener("pointerdown", (event) => { wave.setPointerCapture(event.pointerId); seekTo(event); });
  wave.addEventListener("pointermove", (event) => { if (wave.hasPointerCapture(event.pointerId)) seekTo(event); });

  for (const mark of data.marks) {
    const line = document.createElement("span");
    line.className = mark.kind;
    line.title = `${mark.kind} at ${clockText(mark.at)}`;
    line.style.left = `${(100 * mark.at) / data.duration}%`;
    at("marks").append(line);
  }
  wave.setAttribute("aria-valuemax", data.duration.toFixed(1));
  at("whole").textContent = `of ${clockText(data.duration)}`;

  function refresh() {
    for (const side of ["user", "assistant"]) {
      const style = getComputedStyle(document.querySelector(`.lanes .${side}`));
      colours[side] = style.color;
      colours[`${side}-pale`] = style.outlineColor;
    }
    stale = true;
  }
  new ResizeObserver(refresh).observe(wave);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);

  function bars(pen, peaks, side, middle, width, height, now) {
    const pitch = width < 500 ? 3 : 4, count = Math.floor(width / pitch);
    for (let bar = 0; bar < count; bar++) {
      const from = Math.floor((bar * peaks.length) / count), to = Math.max(from + 1, Math.floor(((bar + 1) * peaks.length) / count));
      const peak = Math.max(...peaks.slice(from, to)), tall = Math.max(1.5, (peak / loudest) * height);
      pen.fillStyle = colours[(bar + 0.5) / count <= now ? side : `${side}-pale`];
      pen.beginPath();
      pen.roundRect(bar * pitch, middle - tall / 2, pitch - 1.4, tall, 1.3);
      pen.fill();
    }
  }

  let shown = -1;
  function draw() {
    const now = time();
    if (!stale && now === shown) return now;
    stale = false;
    shown = now;
    const width = wave.clientWidth, height = wave.clientHeight, scale = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const pen = canvas.getContext("2d"), part = now / data.duration;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    bars(pen, data.peaks.user, "user", height * 0.25, width, height * 0.46, part);
    bars(pen, data.peaks.assistant, "assistant", height * 0.75, width, height * 0.46, part);
    at("head-line").style.left = `${100 * part}%`;
    at("now").textContent = clockText(now);
    wave.setAttribute("aria-valuenow", now.toFixed(1));
    wave.setAttribute("aria-valuetext", `${now.toFixed(1)} of ${data.duration.toFixed(1)} seconds`);
    return now;
  }
  refresh();
  return { audio, seek, draw, refresh, playing: () => !audio.paused };
}
