// What an answer rests on: bars of alpha, time windows, gates, and the path as a graph.

const YEAR = 365.25;
const LINE = 44; // pixels of a node and the gap below it

function alphaBars(facts, refusalAlpha) {
  const bar = (value, kind) =>
    el("td", { class: "bar" }, svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "back", width: 100, height: 10 }),
      svg("rect", { class: kind, width: Math.max(value > 0 ? 0.5 : 0, 100 * value), height: 10 })));
  const rows = facts.map((fact) => el("tr", { class: fact.is_supporting ? "supporting" : null, "data-id": fact.id },
    el("td", { class: "number rank" }, fact.rank + 1),
    bar(fact.alpha, fact.is_supporting ? "right" : "plain"),
    el("td", { class: "number" }, share(fact.alpha)),
    el("td", { class: "fact" },
      el("span", { class: "triple" }, fact.head, el("i", {}, ` ${fact.relation} `), fact.tail),
      fact.is_supporting && el("span", { class: "mark" }, " ✓ supports"),
      el("span", { class: "quiet when" }, inWords(fact.time_window)),
      fact.context && el("span", { class: "quiet context" }, fact.context))));
  const refused = el("tr", { class: "refusal" }, el("td", { class: "number rank" }, "–"), bar(refusalAlpha, "null"),
    el("td", { class: "number" }, share(refusalAlpha)), el("td", { class: "fact" }, "none of them: a refusal"));
  return el("table", { class: "bars" },
    el("thead", {}, el("tr", {}, ...["", "weight", "alpha", "fact"].map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, rows, refused));
}

const dayOf = (text) => Date.parse(text) / 86400000;

// The windows of those facts that have one, under the time that was asked about.
function timeline(facts, asked) {
  const rows = [...(asked ? [{ label: "asked about", window: asked, kind: "asked" }] : []),
    ...facts.filter((fact) => fact.time_window).map((fact) => ({
      label: `${fact.head} ${fact.relation} ${fact.tail}`, window: fact.time_window,
      kind: fact.is_supporting ? "right" : "plain" }))];
  const days = rows.flatMap((row) => row.window).filter(Boolean).map(dayOf);
  if (!days.length) return null;
  const [first, last] = [Math.min(...days) - 2 * YEAR, Math.max(...days) + 2 * YEAR];
  const x = (day) => (600 * (day - first)) / (last - first);
  const picture = svg("svg", { class: "timeline", viewBox: `0 0 600 ${rows.length * 30 + 22}`, role: "img",
    "aria-label": "When each fact holds" });
  const year = (day) => new Date(day * 86400000).getUTCFullYear();
  const step = Math.max(1, Math.ceil((year(last) - year(first)) / 6));
  for (let tick = year(first) + 1; tick <= year(last); tick += step) {
    const at = x(dayOf(`${String(tick).padStart(4, "0")}-01-01`));
    if (at < 16 || at > 584) continue;
    picture.append(svg("line", { class: "grid", x1: at, x2: at, y1: 0, y2: rows.length * 30 }),
      svg("text", { class: "tick", x: at, y: rows.length * 30 + 16, "text-anchor": "middle" }, tick));
  }
  rows.forEach(({ label, window: [start, end], kind }, place) => {
    const from = start ? x(dayOf(start)) : 0;
    const to = end ? x(dayOf(end) + 1) : 600;
    picture.append(svg("rect", { class: `span ${kind}`, x: from, y: place * 30 + 17, height: 8,
      width: Math.max(3, to - from) }, svg("title", {}, `${label}: ${inWords([start, end])}`)),
      svg("text", { class: "label", x: 2, y: place * 30 + 12 }, shortened(`${label}, ${inWords([start, end])}`, 84)));
  });
  return picture;
}

// Entities one under the other, an arrow for each fact.
function pathGraph(chosen) {
  if (!chosen.length) return null;
  const nodes = [chosen[0].head, ...chosen.map((fact) => fact.tail)];
  const height = 2 * LINE * chosen.length + LINE;
  const picture = svg("svg", { class: "path", viewBox: `0 0 320 ${height}`, role: "img",
    "aria-label": chosen.map((fact) => `${fact.head}, ${fact.relation}, ${fact.tail}`).join("; ") });
  chosen.forEach((fact, place) => {
    const top = place * 2 * LINE + 34;
    const bottom = (place + 1) * 2 * LINE;
    const kind = fact.is_supporting ? "right" : "plain";
    picture.append(
      svg("line", { class: `edge ${kind}`, x1: 40, x2: 40, y1: top, y2: bottom - 7, "data-id": fact.id }),
      svg("path", { class: `head ${kind}`, d: `M35 ${bottom - 8} L45 ${bottom - 8} L40 ${bottom} Z` }),
      svg("text", { class: "relation", x: 54, y: (top + bottom) / 2 - 2 },
        shortened(fact.relation, 34), svg("title", {}, fact.relation)),
      svg("text", { class: "tick", x: 54, y: (top + bottom) / 2 + 13 },
        `alpha ${share(fact.alpha)}${fact.is_supporting ? ", supports" : ""}`));
  });
  nodes.forEach((name, place) => {
    const y = place * 2 * LINE;
    picture.append(svg("g", { class: "node", "data-label": name },
      svg("rect", { x: 2, y: y + 2, width: 316, height: 32, rx: 8 }),
      svg("text", { x: 14, y: y + 23 }, shortened(name, 38)), svg("title", {}, name)));
  });
  return picture;
}

function gates(betas) {
  return el("p", { class: "gates" }, "Gate (beta) by layer: ",
    Object.entries(betas).map(([layer, beta]) => el("span", { class: "gate" }, `${layer}: ${beta.toFixed(2)}`)));
}

// All that belongs to one answer, `record` being one of dump_evidence or of the service.
function evidenceOf(record) {
  const byIds = new Map(record.facts.map((fact) => [fact.id, fact]));
  const path = (record.path || []).map((id) => byIds.get(id)).filter(Boolean);
  const others = (record.paths || []).filter((it) => it.facts.length > 1);
  const times = timeline(record.facts.slice(0, 8), record.question_time);
  return [
    el("h3", {}, "Facts by weight"), alphaBars(record.facts, record.refusal_alpha), gates(record.betas),
    times && el("h3", {}, "Time windows"), times,
    record.path && el("h3", {}, "Path"),
    record.path && (pathGraph(path) || el("p", { class: "quiet" }, "None: the refusal weighs most.")),
    others.length > 0 && el("details", {}, el("summary", {}, `Longer paths that were found (${others.length})`),
      el("ul", {}, others.map((it) => el("li", {}, it.facts.map((id) => {
        const fact = byIds.get(id);
        return fact ? `${fact.head} ${fact.relation} ${fact.tail}` : id;
      }).join(" → "), el("span", { class: "quiet" }, ` score ${it.score.toFixed(2)}`))))),
  ];
}
