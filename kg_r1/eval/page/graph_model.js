// The walked path of an episode as nodes and arrows, before anything is placed.
//
// A tail search of X draws X -> found, a head search found -> X: arrows run as the graph's triples do.

const MAX_SINGLE = 3; // results up to this size are drawn entity by entity
const MAX_PICKED = 5; // of larger ones, this many that matter; the rest is one node
const LISTINGS = ["get_relations", "get_head_relations", "get_tail_relations", "get_conditional_relations"];
const WALKS = { get_tail_entities: "tail", get_head_entities: "head" };
const HANDLE = /^#\s*(\d{1,6})(?:\s+except\s.*)?$/s;
const MARK = /(?:<information>|<tool_response>\n)#(\d{1,6}): /; // the handle that an observation gave its result

const keyOf = (name) => String(name).trim().toLowerCase();

// A query argument as a list of texts.
const valuesOf = (argument) => (Array.isArray(argument) ? argument : [argument]).map(String);

class WalkGraph {
  constructor(page, episode) {
    this.page = page;
    this.question = page.questions[episode.question];
    this.nodes = new Map();
    this.edges = [];
    this.results = new Map(); // handle -> the one node of a topic entity or a result, null where there are several
    this.answers = new Map((episode.answers || []).map(([name, isRight]) => [keyOf(name), isRight]));
    this.goldKeys = new Set(this.question.gold.flat().map(keyOf));
    this.mentioned = this.mentionedNames(episode);
    this.usedHandles = new Set();
    for (const turn of episode.turns) {
      for (const value of Object.values(turn.query ? turn.query.arguments : {})) {
        const match = typeof value === "string" && HANDLE.exec(value.trim());
        if (match) this.usedHandles.add(Number(match[1]));
      }
    }
    this.question.topic_entities.forEach((name, index) => {
      const node = this.entity(name, 0);
      node.isTopic = true;
      this.results.set(index + 1, node);
    });
    episode.turns.forEach((turn, index) => { if (turn.query) this.walk(turn, index + 1); });
  }

  mentionedNames(episode) {
    const names = new Set([...this.answers.keys(), ...this.question.topic_entities.map(keyOf)]);
    for (const turn of episode.turns) {
      const query = turn.query;
      if (query) for (const name of this.sourceNames(query)) names.add(keyOf(name));
    }
    return names;
  }

  entity(name, layer, isGold = false) {
    const key = `entity:${keyOf(name)}`;
    if (!this.nodes.has(key)) {
      const answer = this.answers.get(keyOf(name));
      this.nodes.set(key, { key, kind: "entity", label: String(name), layer, notes: [], isTopic: false, isFound: false,
        isGold: this.goldKeys.has(keyOf(name)), isAnswer: answer !== undefined });
    }
    const node = this.nodes.get(key);
    node.isGold = node.isGold || isGold;
    return node;
  }

  // The texts by which a query names where it starts.
  sourceNames(query) {
    const given = query.arguments;
    if (given.entity_id !== undefined) return valuesOf(given.entity_id);
    const handles = Object.values(given).filter((value) => typeof value === "string" && HANDLE.test(value.trim()));
    return handles.length ? handles : valuesOf(Object.values(given)[0] ?? []);
  }

  sources(query) {
    return this.sourceNames(query).slice(0, 40).flatMap((name) => {
      const match = HANDLE.exec(name.trim());
      const node = match && this.results.get(Number(match[1]));
      return [node || this.named(name)];
    });
  }

  // The number under which a turn's result can be searched again; null where it was given none.
  handleOf(turn) {
    const match = MARK.exec(this.page.texts[turn.observation] || "");
    return match && Number(match[1]);
  }

  // A searched entity: the node it has, a member of a set drawn before, or a name out of nowhere.
  named(name) {
    const known = this.nodes.get(`entity:${keyOf(name)}`);
    if (known) return known;
    const set = [...this.nodes.values()].find((node) => node.kind === "set" && node.members.has(keyOf(name)));
    const node = this.entity(name, set ? set.layer + 1 : 0);
    node.isFound = Boolean(set);
    if (set) this.edge(set, node, "member", "", 0);
    return node;
  }

  walk(turn, number) {
    const { action, arguments: given } = turn.query;
    const sources = [...new Set(this.sources(turn.query))];
    const items = turn.items === undefined ? null : this.page.lists[turn.items];
    const direction = WALKS[action];
    const label = direction ? String(given.relation) : words(action);
    if (LISTINGS.includes(action)) {
      const told = items ? plural(turn.num_items, "relation") : "failed";
      return sources.slice(0, 1).forEach((node) => this.note(node, `${words(action)}: ${told}`, number, !items));
    }
    if (!items || !items.length) {
      const arrow = direction === "head" ? `? ${label} →` : `→ ${label} ?`;
      const told = turn.error ? words(turn.error.code || "error") : items ? "nothing found" : "not sent";
      return sources.slice(0, 1).forEach((node) => this.note(node, `${arrow} ${told}`, number, true));
    }
    const layer = Math.max(0, ...sources.map((node) => node.layer)) + 1;
    const targets = this.resultNodes(turn, items, layer, sources.length > 1);
    for (const source of sources) {
      for (const target of targets) {
        const ends = direction === "head" ? [target, source] : [source, target];
        this.edge(...ends, direction ? "relation" : "custom", label, number);
      }
    }
    const handle = this.handleOf(turn);
    if (handle !== null) this.results.set(handle, targets.length === 1 ? targets[0] : null);
    return undefined;
  }

  resultNodes(turn, items, layer, isJoint) {
    const gold = new Set((turn.gold || []).map((index) => keyOf(items[index])));
    const single = (name) => Object.assign(this.entity(name, layer, gold.has(keyOf(name))), { isFound: true });
    if (items.length === 1) return [single(items[0])];
    const handle = this.handleOf(turn);
    if (isJoint || this.usedHandles.has(handle)) {
      return [this.set(turn, items, layer, gold, this.usedHandles.has(handle) ? `#${handle}: ` : "")];
    }
    if (turn.num_items <= MAX_SINGLE) return items.map(single);
    const matters = (name) => gold.has(keyOf(name)) || this.mentioned.has(keyOf(name));
    const first = (name) => (this.mentioned.has(keyOf(name)) ? 0 : 1);
    const picked = items.filter(matters).sort((a, b) => first(a) - first(b)).slice(0, MAX_PICKED);
    const rest = items.filter((name) => !picked.includes(name));
    const numRest = turn.num_items - picked.length;
    if (numRest === 1 && rest.length === 1) return items.map(single);
    return [...picked.map(single), ...(numRest ? [this.set(turn, rest, layer, gold, "", picked.length, numRest)] : [])];
  }

  set(turn, names, layer, gold, prefix, numPicked = 0, count = turn.num_items) {
    const numGold = names.filter((name) => gold.has(keyOf(name))).length;
    const noun = turn.query.action in WALKS ? (count === 1 ? "entity" : "entities") : count === 1 ? "item" : "items";
    const ordered = [...names].sort((a, b) => gold.has(keyOf(b)) - gold.has(keyOf(a)));
    const signature = `set:${layer}:${prefix}:${names.join("\n").toLowerCase()}`;
    if (!this.nodes.has(signature)) {
      this.nodes.set(signature, { key: signature, kind: "set", layer, notes: [], isFound: true, isGold: numGold > 0,
        isTopic: false, isAnswer: false, members: new Set(names.map(keyOf)), names: ordered,
        label: `${prefix}${count.toLocaleString("en")} ${numPicked ? "more " : ""}${noun}` + (numGold ? `, ${numGold} gold` : "") });
    }
    return this.nodes.get(signature);
  }

  edge(from, to, kind, label, number) {
    const same = this.edges.find((edge) => edge.from === from.key && edge.to === to.key && edge.kind === kind && edge.label === label);
    if (same) same.turns.push(number);
    else this.edges.push({ from: from.key, to: to.key, kind, label, turns: [number] });
  }

  note(node, text, number, isFailure) {
    const same = node.notes.find((note) => note.text === text);
    if (same) same.turns.push(number);
    else node.notes.push({ text, turns: [number], isFailure });
  }
}
