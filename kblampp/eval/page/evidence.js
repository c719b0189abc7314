// The list of questions with its filters, and the question that is chosen.

const page = JSON.parse(byId("data").textContent);
const chosen = { verdict: "", type: "", text: "", number: null };

const isRight = (record) => record.em === 1;
const verdict = (record) =>
  el("span", { class: `verdict ${isRight(record) ? "right" : "wrong"}` }, isRight(record) ? "✓ " : "✗ ");

function isShown(record) {
  if (chosen.verdict && (chosen.verdict === "right") !== isRight(record)) return false;
  if (chosen.type && record.type !== chosen.type) return false;
  return `${record.question}\n${record.said}`.toLowerCase().includes(chosen.text);
}

function drawList() {
  const shown = page.questions.map((record, number) => [record, number]).filter(([record]) => isShown(record));
  byId("count").textContent = `${shown.length} of ${page.questions.length} questions`;
  byId("list").replaceChildren(...shown.map(([record, number]) => el("li", {},
    el("button", { type: "button", "data-number": number, "aria-current": number === chosen.number,
      click: () => choose(number) }, verdict(record), record.question,
      el("span", { class: "quiet" }, ` — ${record.said}`)))));
  return shown;
}

function deltas(causal) {
  return el("table", { class: "deltas" }, el("tbody", {}, causal.deltas.map((it) => el("tr", {},
    el("td", {}, it.id), el("td", { class: "number" }, `${signed(it.delta)} nats`),
    el("td", { class: "quiet" }, it.is_supporting ? "supports" : "does not support",
      it.is_top && ", heaviest")))));
}

function choose(number) {
  chosen.number = number;
  const record = page.questions[number];
  byId("question").replaceChildren(
    el("h2", {}, record.question),
    el("p", { class: "quiet" }, record.type,
      record.question_time && `, about ${inWords(record.question_time)}`, `, ${record.qid}`),
    el("p", { class: "said" }, verdict(record), record.said || "(nothing)"),
    el("p", { class: "quiet" }, `right: ${record.answers.join(" or ")}; Path-F1 ${record.path_f1.toFixed(2)}`),
    ...evidenceOf(record).filter(Boolean),
    ...(record.causal ? [el("h3", {}, "Causal-delta"),
      el("p", { class: "quiet" }, `Change of log p(“${record.causal.text}”) without the fact`),
      deltas(record.causal)] : []));
  for (const button of document.querySelectorAll("#list button")) {
    button.toggleAttribute("aria-current", Number(button.dataset.number) === number);
  }
}

function picker(name, label, options) {
  return el("select", { id: `filter-${name}`, "aria-label": label, change: (event) => {
    chosen[name] = event.target.value;
    drawList();
  } }, options.map(([value, text]) => el("option", { value }, text)));
}

function start() {
  const types = [...new Set(page.questions.map((record) => record.type))].sort();
  byId("filters").append(
    picker("verdict", "Verdict", [["", "right and wrong"], ["right", "right"], ["wrong", "wrong"]]),
    picker("type", "Type", [["", "all types"], ...types.map((type) => [type, type])]),
    el("input", { id: "filter-text", type: "search", placeholder: "words of question or answer",
      "aria-label": "Words", input: (event) => {
        chosen.text = event.target.value.toLowerCase();
        drawList();
      } }),
    el("span", { id: "count", class: "number" }));
  byId("about").textContent = page.about;
  const shown = drawList();
  if (shown.length) choose(shown[0][1]);
}

start();
