// Headline, settings, and scores as tables: every score with its interval and the ceiling beside it.

const rowsOf = (system, by) => system.groups.filter((row) => row.by === by);

const groupRow = (system, by, group) =>
  system.groups.find((row) => row.by === by && row.group === group) || null;

const ceilingSystem = (systems) => systems.find((system) => system.kind === "ceiling") || null;

function metricNames(systems) {
  const names = new Set();
  for (const system of systems) {
    for (const row of system.groups) Object.keys(row.metrics).forEach((name) => names.add(name));
  }
  const first = ["em", "hits_at_1", "f1", "hit", "coverage", "evidence", "valid_query_rate"];
  const rank = (name) => (first.includes(name) ? first.indexOf(name) : first.length);
  return [...names].sort((a, b) => rank(a) - rank(b));
}

const groupNames = (systems, by) => [
  ...new Set(systems.flatMap((system) => rowsOf(system, by).map((row) => row.group))),
];

function drawHeadline(page) {
  const place = byId("headline");
  place.append(el("h1", {}, page.title));
  const total = page.groups.reduce((sum, group) => sum + group.num_episodes, 0);
  const facts = [plural(total, "episode")];
  const report = page.report;
  if (report) {
    if (Array.isArray(report.questions)) facts.unshift(report.questions.map(String).join(", "));
    facts.push(plural(page.systems.length, "system"));
    if (report.num_samples > 1) facts.push(`${report.num_samples} samples a question`);
    if (report.seed !== undefined) facts.push(`seed ${report.seed}`);
  } else {
    facts.push(plural(page.groups.length, "step"));
  }
  place.append(el("p", { class: "facts" }, facts.join(" · ")));
  if (report && report.settings && Object.keys(report.settings).length) {
    const rows = Object.entries(report.settings).map(([name, value]) =>
      el("tr", {}, el("th", { scope: "row" }, name),
        el("td", {}, typeof value === "string" ? value : JSON.stringify(value))));
    place.append(el("details", {}, el("summary", {}, "Settings"), el("table", { class: "settings" }, rows)));
  }
}

function scoreBar(interval, ceiling) {
  const x = (value) => 100 * Math.min(1, Math.max(0, value));
  const bar = svg("svg", { class: "bar", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "bar-back", x: 0, y: 2, width: 100, height: 4 }),
    svg("rect", { class: "bar-mean", x: 0, y: 2, width: x(interval.mean), height: 4 }),
    svg("rect", { class: "bar-range", x: x(interval.low), y: 3.4, height: 1.2,
      width: Math.max(0.4, x(interval.high) - x(interval.low)) }));
  if (ceiling) bar.append(svg("rect", { class: "bar-ceiling", x: Math.min(98.8, x(ceiling.mean)), y: 0, width: 1.2, height: 8 }));
  return bar;
}

function scoreCell(metric, row, ceilingRow) {
  const interval = row && row.metrics[metric];
  if (!interval) return el("td", { class: "score empty" }, "–");
  const ceiling = ceilingRow && ceilingRow.metrics[metric];
  const cell = el("td", { class: "score" }, el("b", {}, score(metric, interval.mean)));
  if (ceiling && isShare(metric)) cell.append(el("span", { class: "of" }, ` of ${score(metric, ceiling.mean)}`));
  const range = `${score(metric, interval.low)} to ${score(metric, interval.high)}`;
  cell.append(el("span", { class: "range" }, range));
  if (isShare(metric)) cell.append(scoreBar(interval, ceiling));
  return cell;
}

function systemHead(page, system) {
  const index = page.groups.findIndex((group) => group.name === system.name);
  return el("th", { scope: "row" }, el("span", { class: `swatch c${index % NUM_COLOURS}` }), words(system.name));
}

function overallTable(page) {
  const metrics = metricNames(page.systems);
  const ceiling = ceilingSystem(page.systems);
  const table = el("table", { class: "scores" },
    el("thead", {}, el("tr", {}, el("th", {}, "system"), el("th", {}, "questions"),
      metrics.map((name) => el("th", { scope: "col" }, metricWord(name))))));
  const body = el("tbody", {});
  for (const system of page.systems) {
    const row = groupRow(system, "all", "all") || rowsOf(system, "all")[0];
    const ceilingRow = ceiling && ceiling !== system ? groupRow(ceiling, "all", "all") : null;
    body.append(el("tr", { class: system.kind === "model" ? "own" : null }, systemHead(page, system),
      el("td", { class: "number" }, row ? (row.num_questions || 0).toLocaleString("en") : "–"),
      metrics.map((name) => scoreCell(name, row, ceilingRow))));
  }
  table.append(body);
  return el("div", { class: "wide" }, table);
}

function groupTable(page, by, metric) {
  const ceiling = ceilingSystem(page.systems);
  const names = groupNames(page.systems, by);
  const body = el("tbody", {});
  for (const name of names) {
    const rows = page.systems.map((system) => groupRow(system, by, name));
    const counted = rows.find((row) => row && row.num_questions);
    body.append(el("tr", {}, el("th", { scope: "row" }, words(name)),
      el("td", { class: "number" }, counted ? counted.num_questions.toLocaleString("en") : "–"),
      page.systems.map((system, index) =>
        scoreCell(metric, rows[index], ceiling && ceiling !== system ? groupRow(ceiling, by, name) : null))));
  }
  return el("table", { class: "scores" },
    el("thead", {}, el("tr", {}, el("th", {}, by === "hop" ? "hops" : "question type"), el("th", {}, "questions"),
      page.systems.map((system) => el("th", { scope: "col" }, words(system.name))))), body);
}

function drawTables(page) {
  const place = byId("tables");
  if (!page.report) return place.remove();
  const hint = "Shares in percent, with 95% intervals below";
  place.append(el("h2", {}, "Scores"),
    el("p", { class: "hint" }, ceilingSystem(page.systems)
      ? `${hint}; "of" gives the ceiling: what a perfect walk of the graph reaches on the same questions.`
      : `${hint}.`),
    overallTable(page));
  const metrics = metricNames(page.systems);
  for (const [by, title] of [["hop", "By hops"], ["type", "By question type"]]) {
    if (!groupNames(page.systems, by).length || !metrics.length) continue;
    const wide = el("div", { class: "wide" }, groupTable(page, by, metrics[0]));
    const choose = select(`Metric ${words(title)}`, metrics.map((name) => [name, metricWord(name)]), metrics[0],
      (name) => wide.replaceChildren(groupTable(page, by, name)));
    const fold = el("details", { class: "group" }, el("summary", {}, title), choose, wide);
    fold.open = by === "hop";
    place.append(fold);
  }
  return undefined;
}
