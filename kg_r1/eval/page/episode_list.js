// The list of episodes: filters, order, pages of rows, and which episode is chosen.

const PAGE_ROWS = 100;

const metricOf = (page, episode, name) => episode.metrics[page.metric_names.indexOf(name)];

function verdict(page, episode) {
  if (metricOf(page, episode, "em") >= 1) return "right";
  return metricOf(page, episode, "hit") > 0 ? "partly" : "wrong";
}

const VERDICT_MARKS = { right: "✓", partly: "◐", wrong: "✗" };
const VERDICT_WORDS = { right: "right (EM)", partly: "partly (a right answer, not EM)", wrong: "wrong" };

const answerText = (episode) =>
  episode.answers === null ? "" : episode.answers.map(([name]) => name).join(" | ");

class EpisodeList {
  constructor(page, onChoose) {
    this.page = page;
    this.onChoose = onChoose;
    this.rows = page.episodes.map((episode, index) => {
      const question = page.questions[episode.question];
      return {
        index, episode, question,
        group: page.groups[episode.group].name,
        hops: question.hops,
        type: question.question_type || "none",
        status: episode.status,
        verdict: verdict(page, episode),
        turns: episode.turns.length,
        reward: episode.total,
        text: `${question.question}\n${answerText(episode)}\n${question.question_id}`.toLowerCase(),
      };
    });
    this.filters = { group: "", status: "", hops: "", type: "", verdict: "", low: "", high: "", text: "" };
    this.order = { by: "index", down: false };
    this.from = 0;
    this.chosen = null;
    this.shown = this.rows;
  }

  options(name, all) {
    const counts = new Map();
    for (const row of this.rows) counts.set(row[name], (counts.get(row[name]) || 0) + 1);
    const values = [...counts.keys()];
    if (name !== "group") values.sort((a, b) => String(a).localeCompare(String(b)));
    return [["", all], ...values.map((value) => [value, `${words(value)} (${counts.get(value).toLocaleString("en")})`])];
  }

  drawFilters() {
    const form = byId("filters");
    form.addEventListener("submit", (event) => event.preventDefault());
    const set = (name) => (value) => { this.filters[name] = value; this.refresh(); };
    const labels = [["group", `every ${this.page.by}`], ["status", "every status"], ["hops", "every hop count"],
      ["type", "every question type"], ["verdict", "right or wrong"]];
    for (const [name, all] of labels) {
      const box = select(name, this.options(name, all), "", set(name));
      box.id = `filter-${name}`;
      form.append(box);
    }
    const field = (name, type, label) => el("input", { id: `filter-${name}`, type, step: "any", placeholder: label,
      "aria-label": label, input: (event) => set(name)(event.target.value) });
    form.append(field("low", "number", "reward from"), field("high", "number", "reward to"),
      field("text", "search", "search in question and answer"),
      el("button", { type: "button", id: "clear", click: () => this.clear() }, "clear"),
      el("output", { id: "count", "aria-live": "polite" }));
  }

  clear() {
    for (const name of Object.keys(this.filters)) {
      this.filters[name] = "";
      byId(`filter-${name}`).value = "";
    }
    this.refresh();
  }

  refresh() {
    const wanted = this.filters;
    const text = wanted.text.trim().toLowerCase();
    const low = wanted.low === "" ? -Infinity : Number(wanted.low);
    const high = wanted.high === "" ? Infinity : Number(wanted.high);
    this.shown = this.rows.filter((row) =>
      ["group", "status", "hops", "type", "verdict"].every((name) => !wanted[name] || row[name] === wanted[name])
      && row.reward >= low && row.reward <= high && (!text || row.text.includes(text)));
    const { by, down } = this.order;
    const value = { index: (row) => row.index, group: (row) => row.episode.group, question: (row) => row.question.question, verdict: (row) => "rpw".indexOf(row.verdict[0]) }[by]
      || ((row) => row[by]);
    const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    this.shown.sort((a, b) => (down ? -1 : 1) * compare(value(a), value(b)) || a.index - b.index);
    this.from = 0;
    byId("count").textContent = `${this.shown.length.toLocaleString("en")} of ${plural(this.rows.length, "episode")}`;
    this.draw();
  }

  sortBy(name) {
    this.order = { by: name, down: this.order.by === name && !this.order.down };
    this.refresh();
    const again = document.querySelector(`#list button[data-sort="${name}"]`);
    if (again) again.focus();
  }

  head(name, label) {
    const { by, down } = this.order;
    const state = by === name ? (down ? "descending" : "ascending") : "none";
    return el("th", { scope: "col", class: `col-${name}`, "aria-sort": state },
      el("button", { type: "button", "data-sort": name, click: () => this.sortBy(name) }, label, by === name ? (down ? " ▾" : " ▴") : ""));
  }

  draw() {
    const rows = this.shown.slice(this.from, this.from + PAGE_ROWS);
    const body = el("tbody", {}, rows.map((row) => this.rowElement(row)));
    const table = el("table", { class: "episodes" },
      el("thead", {}, el("tr", {}, this.head("verdict", "✓"), this.head("group", this.page.by), this.head("question", "question and answer"),
        this.head("hops", "hops"), this.head("status", "status"), this.head("turns", "turns"), this.head("reward", "reward"))), body);
    const last = Math.min(this.from + PAGE_ROWS, this.shown.length);
    const turn = (label, by, enabled) => el("button", { type: "button", disabled: !enabled, click: () => { this.from += by; this.draw(); } }, label);
    byId("list").replaceChildren(el("div", { class: "rows", tabindex: "0", "aria-label": "Episodes; j and k go to the next and the previous one" },
      this.shown.length ? table : el("p", { class: "hint" }, "No episode passes these filters.")),
    el("div", { class: "pages" }, turn("‹ earlier rows", -PAGE_ROWS, this.from > 0),
      el("span", {}, this.shown.length ? `${this.from + 1} to ${last}` : ""), turn("later rows ›", PAGE_ROWS, last < this.shown.length)));
    this.mark();
  }

  rowElement(row) {
    const choose = () => this.choose(row.index);
    return el("tr", { "data-index": row.index, click: choose },
      el("td", { class: `mark ${row.verdict}`, title: VERDICT_WORDS[row.verdict] }, VERDICT_MARKS[row.verdict]),
      el("td", {}, words(row.group), row.episode.sample ? ` #${row.episode.sample}` : ""),
      el("td", { class: "question" }, el("a", { href: this.link(row.index) }, row.question.question),
        el("div", { class: "answer" }, row.episode.answers === null ? "no answer" : answerText(row.episode) || "empty answer")),
      el("td", {}, row.hops), el("td", {}, words(row.status)), el("td", { class: "number" }, row.turns),
      el("td", { class: "number" }, row.reward.toFixed(2)));
  }

  link(index) {
    return `#${encodeURIComponent(this.rows[index].episode.id)}`;
  }

  // Shown at once: the address follows in an event of its own, and the next key must find this episode chosen.
  choose(index) {
    this.show(index);
    const target = this.link(index);
    if (location.hash !== target) location.replace(target);
  }

  show(index) {
    this.chosen = index;
    const place = this.shown.findIndex((row) => row.index === index);
    if (place >= 0 && (place < this.from || place >= this.from + PAGE_ROWS)) {
      this.from = place - (place % PAGE_ROWS);
      this.draw();
    }
    this.mark();
    this.onChoose(this.rows[index]);
  }

  fromHash() {
    if (this.chosen !== null && this.link(this.chosen) === location.hash) return true;
    let id = "";
    try { id = decodeURIComponent(location.hash.slice(1)); } catch (error) { if (!(error instanceof URIError)) throw error; }
    const row = id && this.rows.find((one) => one.episode.id === id);
    if (row) this.show(row.index);
    return Boolean(row);
  }

  // The next (1) or previous (-1) episode in the order of the list.
  go(by) {
    if (!this.shown.length) return;
    const place = this.shown.findIndex((row) => row.index === this.chosen);
    const next = place < 0 ? 0 : Math.min(this.shown.length - 1, Math.max(0, place + by));
    this.choose(this.shown[next].index);
  }

  mark() {
    for (const row of document.querySelectorAll("#list tr[data-index]")) {
      const isChosen = Number(row.dataset.index) === this.chosen;
      if (isChosen) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
      if (isChosen) {
        const box = row.closest(".rows");
        if (row.offsetTop < box.scrollTop + 34) box.scrollTop = row.offsetTop - 34;
        else if (row.offsetTop + row.offsetHeight > box.scrollTop + box.clientHeight) box.scrollTop = row.offsetTop + row.offsetHeight - box.clientHeight;
      }
    }
  }
}
