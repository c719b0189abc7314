// Plots of all episodes, drawn as SVG. Colours come from the style sheet by class, so that both themes work.

const NUM_COLOURS = 8;
const SCORES = ["em", "hits_at_1", "f1"];
const STATUSES = ["answered", "max_turns", "max_tokens", "prompt_too_long", "kg_unavailable", "policy_aborted",
  "crashed"];

const colour = (page, name) => `c${Math.max(0, page.groups.findIndex((group) => group.name === name)) % NUM_COLOURS}`;

function legend(entries) {
  return el("ul", { class: "legend" }, entries.map(([className, text]) =>
    el("li", {}, el("span", { class: `swatch ${className}` }), text)));
}

const figure = (title, ...children) => el("figure", {}, el("figcaption", {}, title), children);

function scorePlot(page, metric) {
  const ceiling = ceilingSystem(page.systems);
  const drawn = page.systems.filter((system) => system !== ceiling);
  const hops = groupNames(page.systems, "hop");
  const left = 36;
  const top = 10;
  const height = 190;
  const bar = Math.max(5, Math.min(16, 150 / Math.max(1, drawn.length)));
  const band = Math.max(drawn.length * bar + 22, 70);
  const width = left + hops.length * band + 6;
  const y = (value) => top + height * (1 - value);
  const plot = svg("svg", { class: "plot", width, height: top + height + 26, role: "img", "aria-label": `${metricWord(metric)} by hops` },
    [0, 0.25, 0.5, 0.75, 1].map((value) => [
      svg("line", { class: "grid", x1: left, x2: width, y1: y(value), y2: y(value) }),
      svg("text", { class: "tick", x: left - 6, y: y(value) + 4, "text-anchor": "end" }, 100 * value)]).flat());
  hops.forEach((hop, place) => {
    const start = left + place * band + (band - drawn.length * bar) / 2;
    drawn.forEach((system, index) => {
      const row = groupRow(system, "hop", hop);
      const interval = row && row.metrics[metric];
      if (!interval) return;
      const x = start + index * bar;
      const middle = x + bar / 2;
      plot.append(svg("rect", { class: `fill ${colour(page, system.name)}`, x: x + 1, y: y(interval.mean), width: bar - 2, height: Math.max(1, y(0) - y(interval.mean)) },
        svg("title", {}, `${system.name}, ${hop}: ${score(metric, interval.mean)}` + (interval.low === null ? "" : ` (${score(metric, interval.low)} to ${score(metric, interval.high)})`))));
      if (interval.low === null) return;
      plot.append(svg("path", { class: "whisker", d: `M${middle} ${y(interval.low)}V${y(interval.high)}M${middle - 3} ${y(interval.low)}h6M${middle - 3} ${y(interval.high)}h6` }));
    });
    const row = ceiling && groupRow(ceiling, "hop", hop);
    const best = row && row.metrics[metric];
    if (best) {
      plot.append(svg("line", { class: "ceiling", x1: left + place * band + 4, x2: left + (place + 1) * band - 4, y1: y(best.mean), y2: y(best.mean) },
        svg("title", {}, `ceiling, ${hop}: ${score(metric, best.mean)}`)));
    }
    plot.append(svg("text", { class: "tick", x: left + (place + 0.5) * band, y: top + height + 18, "text-anchor": "middle" }, fitted(hop, band, 11)));
  });
  return figure(metricWord(metric), el("div", { class: "wide" }, plot));
}

function statusPlot(page) {
  const rows = page.systems.map((system) => [system, groupRow(system, "all", "all")]).filter(([, row]) => row && row.statuses);
  if (!rows.length) return null;
  const names = [...new Set([...STATUSES, ...rows.flatMap(([, row]) => Object.keys(row.statuses))])]
    .filter((name) => rows.some(([, row]) => row.statuses[name] > 0));
  const shade = (name) => `s${(STATUSES.indexOf(name) + 7) % 7}`;
  const left = Math.min(150, Math.max(...rows.map(([system]) => textWidth(words(system.name)))) + 14);
  const width = left + 330;
  const plot = svg("svg", { class: "plot", width, height: rows.length * 26 + 4, role: "img", "aria-label": "How episodes ended" });
  rows.forEach(([system, row], index) => {
    const y = index * 26 + 4;
    let x = left;
    plot.append(svg("text", { class: "tick name", x: left - 8, y: y + 14, "text-anchor": "end" }, fitted(words(system.name), left - 10)));
    for (const name of names) {
      const share = row.statuses[name] || 0;
      const part = 320 * share;
      if (!share) continue;
      plot.append(svg("rect", { class: `fill ${shade(name)}`, x, y, width: part, height: 19 }, svg("title", {}, `${words(name)}: ${(100 * share).toFixed(1)}%`)));
      if (part > 34) plot.append(svg("text", { class: "inside", x: x + part / 2, y: y + 14, "text-anchor": "middle" }, `${Math.round(100 * share)}%`));
      x += part;
    }
  });
  return figure("How episodes ended", legend(names.map((name) => [shade(name), words(name)])), plot);
}

function histogramPlot(page, name, title) {
  const { width: bin, counts } = page.histograms[name];
  const groups = page.groups.filter((group) => counts[group.name]);
  if (!groups.length) return null;
  const first = name === "turns" && groups.every((group) => !counts[group.name][0]) ? 1 : 0;
  const bins = Math.max(...groups.map((group) => counts[group.name].length)) - first;
  const step = Math.max(5, Math.min(26, 230 / bins));
  const high = 62;
  const width = Math.max(140, bins * step + 20);
  const plots = groups.map((group) => {
    const column = counts[group.name].slice(first);
    const most = Math.max(...column);
    const plot = svg("svg", { class: "plot", width, height: high + 34, role: "img", "aria-label": `${title}, ${group.name}` },
      svg("text", { class: "tick name", x: 8, y: 11 }, fitted(words(group.name), width - 10)));
    column.forEach((count, index) => {
      const from = (index + first) * bin;
      const label = bin === 1 ? `${from}` : `${from} to ${from + bin - 1}`;
      const tall = (high - 20) * (most ? count / most : 0);
      plot.append(svg("rect", { class: `fill ${colour(page, group.name)}`, x: 8 + index * step, y: high - tall, width: step - 1, height: tall }, svg("title", {}, `${label}: ${plural(count, "episode")}`)));
    });
    plot.append(svg("line", { class: "grid", x1: 8, x2: 8 + bins * step, y1: high + 0.5, y2: high + 0.5 }));
    const every = Math.ceil(bins / Math.max(1, Math.floor((bins * step) / 40)));
    for (let index = 0; index < bins; index += every) {
      plot.append(svg("text", { class: "tick", x: 8 + index * step + (bin === 1 ? step / 2 : 0), y: high + 14, "text-anchor": bin === 1 ? "middle" : "start" }, (index + first) * bin));
    }
    return plot;
  });
  return figure(title, el("div", { class: "multiples" }, plots));
}

function passPlot(page, metric) {
  const lines = page.systems.map((system) => {
    const row = groupRow(system, "all", "all");
    const column = (row && row.pass_at_k && row.pass_at_k[metric]) || {};
    const points = Object.entries(column).map(([k, value]) => [Number(k), typeof value === "number" ? value : value.mean]);
    return [system, points.filter(([, value]) => Number.isFinite(value)).sort((a, b) => a[0] - b[0])];
  }).filter(([, points]) => points.length > 1);
  if (!lines.length) return null;
  const ks = [...new Set(lines.flatMap(([, points]) => points.map(([k]) => k)))].sort((a, b) => a - b);
  const x = (k) => 42 + (ks.indexOf(k) * 230) / Math.max(1, ks.length - 1);
  const y = (value) => 10 + 190 * (1 - value);
  const plot = svg("svg", { class: "plot", width: 300, height: 236, role: "img", "aria-label": `pass@k, ${metricWord(metric)}` },
    [0, 0.25, 0.5, 0.75, 1].map((value) => [
      svg("line", { class: "grid", x1: 36, x2: 290, y1: y(value), y2: y(value) }),
      svg("text", { class: "tick", x: 30, y: y(value) + 4, "text-anchor": "end" }, 100 * value)]).flat(),
    ks.map((k) => svg("text", { class: "tick", x: x(k), y: 218, "text-anchor": "middle" }, k)),
    svg("text", { class: "tick", x: 160, y: 233, "text-anchor": "middle" }, "samples k"));
  for (const [system, points] of lines) {
    plot.append(svg("path", { class: `line ${colour(page, system.name)}`, d: "M" + points.map(([k, value]) => `${x(k)} ${y(value)}`).join("L") }));
    for (const [k, value] of points) {
      plot.append(svg("circle", { class: `fill ${colour(page, system.name)}`, cx: x(k), cy: y(value), r: 3.5 }, svg("title", {}, `${system.name}, k = ${k}: ${(100 * value).toFixed(1)}`)));
    }
  }
  return figure(`pass@k, ${metricWord(metric)}`, plot);
}

function drawPlots(page) {
  const place = byId("plots");
  const ceiling = ceilingSystem(page.systems);
  const names = page.systems.filter((system) => system !== ceiling).map((system) => [colour(page, system.name), words(system.name)]);
  if (ceiling) names.push(["ceiling-key", `${words(ceiling.name)} (ceiling)`]);
  const metrics = SCORES.filter((name) => page.systems.some((system) => rowsOf(system, "hop").some((row) => row.metrics[name])));
  if (metrics.length) {
    place.append(el("h2", {}, "Scores by hops, in percent"), legend(names), el("div", { class: "figures" }, metrics.map((name) => scorePlot(page, name))));
  }
  const passes = [...new Set(page.systems.flatMap((system) => system.groups.flatMap((row) => Object.keys(row.pass_at_k || {}))))];
  const passPlots = passes.map((name) => passPlot(page, name)).filter(Boolean);
  if (passPlots.length) place.append(el("h2", {}, "At least one right in k samples, in percent"), legend(names.filter(([key]) => key !== "ceiling-key")), el("div", { class: "figures" }, passPlots));
  place.append(el("h2", {}, "How episodes went"), el("div", { class: "figures" },
    statusPlot(page), histogramPlot(page, "turns", "Turns an episode"), histogramPlot(page, "tokens", "Tokens the model wrote in an episode")));
}
