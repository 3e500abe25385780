// The page: everything follows the sound's clock.
const data = JSON.parse(document.getElementById("data").textContent);
for (const note of data.notes) document.getElementById("notes").append(element("li", "", note));
const player = makePlayer(data), drawFace = makeFace(data.visemes), follow = makeTranscript(data, player);
showTotals(data);
showWaterfall(data);

const root = document.documentElement, theme = document.getElementById("theme");
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
const nameTheme = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
theme.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  nameTheme();
  player.refresh();
});
nameTheme();

const inside = (spans, now) => spans.some(([start, end]) => start <= now && now < end);
function stateAt(now) {
  if (inside(data.spans.user, now)) return "listening";
  if (inside(data.spans.assistant, now)) return "speaking";
  const asked = Math.max(-1, ...data.spans.user.map((span) => span[1]).filter((end) => end <= now));
  const answered = data.spans.assistant.some(([start]) => asked <= start && start <= now);
  const coming = data.spans.assistant.some(([start]) => start > now);
  return asked >= 0 && !answered && coming ? "thinking" : "quiet";
}

const state = document.getElementById("state"), shape = document.getElementById("shape");
function frame(stamp) {
  const now = player.draw(), what = stateAt(now), begun = now > 0 || player.playing();
  const code = drawFace(now, stamp, player.playing() && what === "speaking");
  const word = begun ? what : "ready";
  if (state.textContent !== word) { state.textContent = word; state.dataset.state = word; }
  const label = code === "sil" ? "" : `viseme ${code}`;
  if (shape.textContent !== label) shape.textContent = label;
  follow(now, stamp);
  requestAnimationFrame(frame);
}
requestAnimationFrame(frame);
root.dataset.ready = "1";
