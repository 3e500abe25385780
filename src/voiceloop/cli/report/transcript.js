// The transcript, which follows the sound word by word. All text is set as text, never as markup.
function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function makeTranscript(data, player) {
  const list = document.getElementById("transcript"), words = [], lines = [];

  function spoken(line) {
    const body = element("p", "words");
    let struck = null;
    for (const word of line.words) {
      const span = element("span", "word", word.text);
      if (word.start !== null) {
        span.dataset.start = word.start;
        words.push({ span, start: word.start, end: word.end });
        span.addEventListener("click", () => player.seek(word.start));
      }
      if (word.heard) body.append(span, " ");
      else {
        if (!struck) body.append((struck = element("del")));
        struck.append(span, " ");
      }
    }
    return body;
  }

  function toolCard(line) {
    const card = element("div", line.error ? "call-card failed" : "call-card"), call = element("p", "call-text");
    call.append(element("span", "name", line.name), "(");
    Object.entries(line.arguments).forEach(([name, value], index) => {
      if (index) call.append(", ");
      call.append(element("span", "key", name), " = ", element("span", "value", value));
    });
    call.append(")");
    card.append(call);
    if (line.result !== null) card.append(element("p", "result", line.result));
    const took = line.ms === null ? "no result" : line.ms < 1 ? "under 1 ms" : `${Math.round(line.ms)} ms`;
    card.append(element("p", "took", `${line.error ? "failed, " : ""}${took}`));
    return card;
  }

  const titles = { user: "User", assistant: "Assistant", tool: "Tool" };
  for (const line of data.lines) {
    const item = element("li", line.who), label = element("p", "who", titles[line.who]);
    const when = element("button", "when", clockText(line.start));
    when.type = "button";
    when.setAttribute("aria-label", `Play from ${clockText(line.start)}`);
    when.addEventListener("click", () => player.seek(line.start));
    label.append(when);
    item.append(label, line.who === "tool" ? toolCard(line) : spoken(line));
    if (line.outcome && line.outcome !== "completed") {
      const kept = line.basis === "estimated" ? "; where it was cut is an estimate" : "";
      const text = { interrupted: "interrupted: the rest was not heard", dropped: "never played", failed: "failed" }[line.outcome];
      item.append(element("p", "outcome", text + kept));
    }
    list.append(item);
    lines.push({ item, line });
  }
  words.sort((a, b) => a.start - b.start);

  let reading = -Infinity, current = null;
  for (const name of ["wheel", "touchmove", "pointerdown"]) list.addEventListener(name, () => { reading = performance.now(); }, { passive: true });

  return function follow(now, stamp) {
    for (const { span, start, end } of words) {
      const state = now < start ? "" : now < end ? "now" : "past";
      if (span.dataset.state !== state) span.dataset.state = state;
    }
    let latest = null;
    for (const { item, line } of lines) {
      item.classList.toggle("future", line.start > now + 0.05);
      if (line.start <= now) latest = item;
    }
    if (latest !== current) {
      current?.removeAttribute("aria-current");
      latest?.setAttribute("aria-current", "true");
      current = latest;
      // Someone who is reading elsewhere is left alone for a while.
      if (stamp - reading > 4000) {
        const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
        const top = latest ? latest.offsetTop - list.offsetTop - list.clientHeight * 0.35 : 0;
        list.scrollTo({ top, behavior: calm ? "auto" : "smooth" });
      }
    }
  };
}
