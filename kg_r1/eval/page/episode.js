// One episode: its question, its turns, what it earned, and its walk.

const MAX_UNFOLDED = 320;

function drawEpisode(page, list, row) {
  const { episode, question } = row;
  const step = (by, text, label) => el("button", { type: "button", "aria-label": label, click: () => list.go(by) }, text);
  const place = byId("episode");
  place.replaceChildren();
  fill(place, {}, [
    el("div", { class: "bar-row" }, step(-1, "‹ previous (k)", "previous episode"), step(1, "next (j) ›", "next episode"),
      el("a", { class: "permalink", href: list.link(row.index) }, "link to this episode")),
    el("h3", {}, question.question),
    el("ul", { class: "chips" }, chips(page, row).map(([className, text]) => el("li", { class: className }, text))),
    summary(row), others(list, row),
    el("div", { class: "turns" }, episode.turns.map((turn, index) => drawTurn(page, episode, turn, index))),
    earned(page, episode),
    el("h4", {}, "Walked path"), drawGraph(page, episode), graphLegend(),
    el("h4", {}, "The question's own path"), drawPlan(question),
    prompt(page, episode)]);
  place.scrollTop = 0;
}

function chips(page, row) {
  const { episode, question } = row;
  const [numPrompt, numGenerated, numTool] = episode.tokens;
  return [
    [`verdict ${row.verdict}`, `${VERDICT_MARKS[row.verdict]} ${row.verdict}`],
    ["", words(row.group) + (episode.sample ? `, sample ${episode.sample}` : "")],
    ["", row.hops], ["", words(row.type)],
    [episode.status === "answered" ? "" : "warn", words(episode.status)],
    ["", `reward ${episode.total.toFixed(2)}`],
    ["", `${numGenerated} tokens written, ${numTool} observed, ${numPrompt} of prompt`],
    ["quiet", question.question_id],
  ];
}

function summary(row) {
  const { episode, question } = row;
  const named = new Set((episode.answers || []).filter(([, isRight]) => isRight).map(([name]) => keyOf(name)));
  const gold = question.gold.map((aliases) => {
    const isNamed = aliases.some((alias) => named.has(keyOf(alias)));
    const more = aliases.slice(1, 4).join(" = ") + (aliases.length > 4 ? " = …" : "");
    return el("li", { class: isNamed ? "right" : null, title: aliases.join(" = ") }, isNamed ? "✓ " : "", aliases[0], more ? el("span", { class: "quiet" }, ` = ${more}`) : "");
  });
  const answers = episode.answers === null ? [el("li", { class: "quiet" }, "no answer")]
    : episode.answers.length ? episode.answers.map(([name, isRight]) => el("li", { class: isRight ? "right" : "wrong" }, isRight ? "✓ " : "✗ ", name))
      : [el("li", { class: "quiet" }, "empty answer")];
  return el("dl", { class: "summary" },
    el("dt", {}, "Topic"), el("dd", {}, el("ul", { class: "names" }, question.topic_entities.map((name) => el("li", {}, name)))),
    el("dt", {}, "Gold"), el("dd", {}, cutList(gold)),
    el("dt", {}, "Answer"), el("dd", {}, cutList(answers)));
}

function cutList(items) {
  const names = el("ul", { class: "names" }, items.slice(0, 12));
  if (items.length <= 12) return names;
  return el("div", {}, names, el("details", {}, el("summary", {}, `${items.length - 12} more`), el("ul", { class: "names" }, items.slice(12))));
}

// The same question in other systems, samples or steps.
function others(list, row) {
  const same = list.rows.filter((other) => other.episode.question === row.episode.question && other !== row);
  if (!same.length) return null;
  return el("p", { class: "others" }, "Same question: ", same.slice(0, 40).map((other) => [
    el("a", { href: list.link(other.index) }, el("span", { class: `mark ${other.verdict}` }, VERDICT_MARKS[other.verdict]),
      ` ${words(other.group)}${other.episode.sample ? ` #${other.episode.sample}` : ""}`), " "]).flat());
}

function drawTurn(page, episode, turn, index) {
  const text = page.texts[turn.text];
  const earnedHere = episode.turn_rewards[index];
  const badges = [
    turn.kind === "malformed" && ["bad", "malformed"], turn.kind !== "malformed" && turn.problem && ["warn", "not well formed"],
    turn.is_repeated && ["warn", "repeated"], turn.error && ["bad", turn.error.code || "error"],
  ].filter(Boolean);
  const figures = [`${turn.tokens[0]} + ${turn.tokens[1]} tokens`, turn.kg_s && `${turn.kg_s.toFixed(2)} s`,
    earnedHere !== undefined && `reward ${signed(earnedHere)}`].filter(Boolean);
  const thought = turn.think ?? (/<think>([\s\S]*?)<\/think>/.exec(text) || [])[1];
  return el("article", { class: `turn ${turn.kind}` },
    el("header", {}, el("b", {}, `Turn ${index + 1}: ${turn.kind}`), badges.map(([className, word]) => el("span", { class: `badge ${className}` }, words(word))),
      el("span", { class: "figures-line" }, figures.join(" · "))),
    thought && thought.trim() ? folded(thought.trim(), "thought") : null,
    action(turn, text),
    turn.problem && !(page.texts[turn.observation] || "").includes(turn.problem) ? el("p", { class: "problem" }, turn.problem) : null,
    observation(page, turn),
    turn.kind === "search" && !turn.error && turn.items === undefined ? el("p", { class: "hint" }, "This search was not sent.") : null);
}

function action(turn, text) {
  if (turn.query) {
    const values = Object.entries(turn.query.arguments).map(([name, value], index) =>
      [index ? ", " : "", el("span", { class: "argument" }, `${name}=`), JSON.stringify(value)]).flat();
    return el("div", { class: "query" }, el("b", {}, turn.query.action), "(", values, ")");
  }
  const answer = turn.kind === "answer" && /<answer>([\s\S]*?)<\/answer>[^<]*$/.exec(text);
  if (answer) return el("div", { class: "final" }, "Answer: ", el("b", {}, answer[1].trim() || "(empty)"));
  return folded(text, "raw");
}

function folded(text, className) {
  if (text.length <= MAX_UNFOLDED) return el("div", { class: className }, text);
  return el("details", { class: className }, el("summary", {}, `${text.slice(0, MAX_UNFOLDED - 60)}…`), el("div", {}, text));
}

function observation(page, turn) {
  const parts = [];
  if (turn.observation !== undefined) {
    const text = page.texts[turn.observation];
    // Behind the tag of the result stand the line about the last turn, and the tag that begins the next turn.
    const match = /^\s*<information>([\s\S]*)<\/information>\s*([\s\S]*?)(?:<think>)?$/.exec(text) ||
      /<tool_response>\s*([\s\S]*?)\s*(Last turn: .*)?\s*<\/tool_response>/.exec(text);
    const [body, after] = match ? [match[1].trim(), (match[2] || "").trim()] : [text.trim(), ""];
    const isError = turn.error || turn.kind === "malformed";
    if (body) parts.push(folded(body, isError ? "result error" : "result"));
    if (after) parts.push(el("p", { class: "hint" }, after));
  }
  if (turn.error && turn.error.message) parts.push(folded(String(turn.error.message), "result error"));
  if (turn.items !== undefined && turn.num_items > 5) parts.push(listing(page, turn));
  return parts;
}

function listing(page, turn) {
  const items = page.lists[turn.items];
  const right = new Set(turn.gold || []);
  const missing = turn.num_items - items.length;
  return el("details", { class: "listing" },
    el("summary", {}, `all ${plural(turn.num_items, "item")} of the result${right.size ? `, ${right.size} gold` : ""}`),
    el("ul", { class: "names" }, items.map((name, index) => el("li", { class: right.has(index) ? "right" : null }, name))),
    missing ? el("p", { class: "hint" }, `${plural(missing, "item")} left out of this page.`) : null);
}

function earned(page, episode) {
  const total = [["reward", episode.total], ["outcome", episode.outcome],
    ...page.part_names.map((name, index) => [`part: ${words(name)}`, episode.parts[index]])];
  const column = (rows) => el("table", { class: "small" }, rows
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "number" }, Number.isInteger(value) ? value : value.toFixed(3)))));
  const metrics = page.metric_names.map((name, index) => [metricWord(name), episode.metrics[index]]);
  const half = Math.ceil(metrics.length / 2);
  return [el("h4", {}, "Outcome"), el("div", { class: "columns" }, column(total), column(metrics.slice(0, half)), column(metrics.slice(half)))];
}

function prompt(page, episode) {
  const text = page.groups[episode.group].prompt_prefix + page.texts[episode.prompt];
  return text.trim() ? el("details", { class: "prompt" }, el("summary", {}, "Prompt"), el("pre", {}, text)) : null;
}
