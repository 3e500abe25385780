// The totals and the latency waterfall.
const PARTS = {
  model: ["The model's own", "the end of the turn, thinking and voice; it does not tell them apart"],
  endpointing: ["Silence", "waiting to be sure that the user has finished"],
  first_token: ["Thinking", "to the first word of the answer"],
  first_clause: ["First clause", "until there is enough to speak"],
  synthesis: ["Voice", "to the first sound made"],
  delivery: ["Delivery", "until it leaves the session"],
};
const inMs = (value) => `${Math.round(value).toLocaleString("en")} ms`;

function showTotals(data) {
  const totals = data.totals, box = document.getElementById("totals");
  const timing = (value) => (value === null ? "not measured" : inMs(value));
  const late = totals.late === 0 ? "none of them late" : `${totals.late} of them late`;
  const shapes = totals.visemes ? [totals.visemes.toLocaleString("en"), late] : ["none", "this voice tells none"];
  const work = totals.owns_turns
    ? ["The model's own", totals.voice_to_voice === null ? "not measured" : "all of it",
      "end of the turn, thinking and voice"]
    : ["Of that, computing", timing(totals.work), "median, without the silence waited for"];
  const tiles = [
    ["Turns", totals.turns, ""],
    ["Interruptions", totals.interruptions, "what was not heard is struck out"],
    ["Voice to voice", timing(totals.voice_to_voice), "median, end of speech to first sound"],
    work,
    ["Mouth shapes", ...shapes],
    ["Tool calls", totals.tools, ""],
  ];
  for (const [name, value, hint] of tiles) {
    const tile = element("div");
    const figure = element("dd", typeof value === "string" && !/^\d/.test(value) ? "absent" : "", String(value));
    tile.append(element("dt", "", name), figure);
    if (hint && !(name === "Interruptions" && !value)) tile.append(element("dd", "hint", hint));
    box.append(tile);
  }
}

function showWaterfall(data) {
  const box = document.getElementById("waterfall"), legend = document.getElementById("legend");
  if (!data.waterfall.length) {
    box.append(element("p", "none", "No answer in this conversation was timed."));
    return;
  }
  for (const part of Object.keys(data.waterfall[0].parts)) {
    const [name, what] = PARTS[part];
    const item = element("li");
    item.append(element("i", part), element("b", "", name), ` ${what}`);
    legend.append(item);
  }
  const longest = Math.max(...data.waterfall.map((row) => row.total), 1);
  for (const row of data.waterfall) {
    const line = element("div", "row"), name = element("p", "asked");
    name.append(element("span", "turn", `Turn ${row.turn}`), row.asked ? ` ${row.asked}` : "");
    line.append(name);
    if (!row.measured) {
      line.append(element("p", "none", "not measured: time was simulated"));
      box.append(line);
      continue;
    }
    const bar = element("div", "bar");
    bar.setAttribute("role", "img");
    bar.setAttribute("aria-label", `Turn ${row.turn}: ${inMs(row.total)}. ` +
      Object.entries(row.parts).map(([part, ms]) => `${PARTS[part][0]} ${inMs(ms)}`).join(", "));
    for (const [part, ms] of Object.entries(row.parts)) {
      const width = (100 * Math.max(0, ms)) / longest, piece = element("span", part, width > 9 ? Math.round(ms) : "");
      piece.style.width = `${width}%`;
      piece.title = `${PARTS[part][0]}: ${inMs(ms)}`;
      piece.dataset.ms = ms;
      bar.append(piece);
    }
    line.append(bar, element("p", "sum", inMs(row.total)));
    box.append(line);
  }
}
