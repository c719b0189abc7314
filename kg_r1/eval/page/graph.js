// Drawing a walk and, for comparison, the question's own path as lines of hops.

const MAX_SHRUNK_WIDTH = 950; // wider graphs would become unreadable; they scroll

const arrowHead = (id, className) =>
  svg("marker", { id, viewBox: "0 0 8 8", refX: 7.5, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto-start-reverse", markerUnits: "userSpaceOnUse" },
    svg("path", { class: className, d: "M0 0.5L8 4L0 7.5z" }));

function drawGraph(page, episode) {
  const graph = new WalkGraph(page, episode);
  if (!graph.nodes.size) return el("p", { class: "hint" }, "There is nothing to draw.");
  const { width, height } = layOut(graph);
  const label = `Walked path: ${graph.nodes.size} nodes, ${graph.edges.length} arrows`;
  const picture = svg("svg", { class: width < MAX_SHRUNK_WIDTH ? "graph shrinks" : "graph", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    svg("defs", {}, arrowHead("head-relation", "head"), arrowHead("head-custom", "head custom")));
  for (const edge of graph.edges) {
    picture.append(svg("path", { class: `edge ${edge.kind}`, d: edge.path, "data-from": graph.nodes.get(edge.from).label,
      "data-to": graph.nodes.get(edge.to).label, "marker-end": edge.kind === "member" ? null : `url(#head-${edge.kind})` },
    svg("title", {}, `${graph.nodes.get(edge.from).label} → ${edge.label || "one of them"} → ${graph.nodes.get(edge.to).label}`)));
  }
  for (const node of graph.nodes.values()) picture.append(drawNode(node));
  for (const edge of graph.edges) {
    if (!edge.shown) continue;
    const half = textWidth(edge.shown, 11) / 2 + 2;
    picture.append(svg("rect", { class: "edge-back", x: edge.at[0] - half, y: edge.at[1] - 8, width: 2 * half, height: 16 }),
      svg("text", { class: "edge-label", x: edge.at[0], y: edge.at[1] + 4, "text-anchor": "middle" }, edge.shown, svg("title", {}, edgeLabel(edge))));
  }
  return el("div", { class: "wide canvas", tabindex: "0" }, picture);
}

function drawNode(node) {
  const classes = ["node", node.kind, node.isTopic && "topic", node.isGold && "gold", node.isAnswer && "answered",
    !node.isTopic && !node.isFound && "unseen"].filter(Boolean).join(" ");
  const [left, top] = [node.x - node.width / 2, node.y - node.height / 2];
  const told = node.kind === "set" ? node.names.slice(0, 60).join(" | ") : node.label;
  const drawn = svg("g", { class: classes, "data-label": node.label }, svg("title", {}, told));
  if (node.isAnswer) drawn.append(svg("rect", { class: "ring", x: left - 3.5, y: top - 3.5, width: node.width + 7, height: node.height + 7, rx: 15 }));
  drawn.append(svg("rect", { class: "box", x: left, y: top, width: node.width, height: node.height, rx: node.kind === "set" ? 5 : 12 }),
    svg("text", { x: node.x, y: node.kind === "set" ? top + 18 : node.y + 4, "text-anchor": "middle" }, node.shown));
  if (node.preview) drawn.append(svg("text", { class: "preview", x: node.x, y: top + 34, "text-anchor": "middle" }, node.preview));
  node.shownNotes.forEach((note, index) => {
    drawn.append(svg("text", { class: note.isFailure ? "note failed" : "note", x: left + 2, y: top + node.height + 13 + index * NOTE_HEIGHT },
      note.shown, svg("title", {}, noteText(note))));
  });
  return drawn;
}

function graphLegend() {
  return el("ul", { class: "legend" },
    [["key topic", "topic"], ["key found", "found"], ["key gold", "gold"], ["key answered", "answered"], ["key unseen", "searched, never found"]]
      .map(([className, text]) => el("li", {}, el("span", { class: className }), text)),
    el("li", {}, "number before a label: turn"));
}

// The chains of a question's path: where each starts, its hops, and what is taken out at the end.
function planChains(question) {
  const topic = (index) => question.topic_entities[Number(index)] ?? `topic ${index}`;
  const chains = [{ topic: topic(0), hops: [], without: [] }];
  for (const [direction, relation] of question.path) {
    const chain = chains[chains.length - 1];
    if (direction === "intersect") chains.push({ topic: topic(relation), hops: [], without: [] });
    else if (direction === "without") chain.without.push(topic(relation));
    else chain.hops.push({ direction, relation });
  }
  return chains;
}

function drawPlan(question) {
  if (!question.path || !question.path.length) return el("p", { class: "hint" }, "The question names no path.");
  const chains = planChains(question);
  // Each of several chains ends in a set of which the gold answers are but a part.
  const end = chains.length > 1 ? "?" : question.gold.map((aliases) => aliases[0]).join(", ");
  const lines = chains.map((chain, index) => planLine(chain, index > 0, end));
  const width = Math.max(...lines.map((line) => line.width)) + 14;
  const picture = svg("svg", { class: "graph plan", width, height: lines.length * 46 + 6, role: "img", "aria-label": "The question's own path" },
    svg("defs", {}, arrowHead("head-plan", "head")));
  lines.forEach((line, index) => picture.append(svg("g", { transform: `translate(0 ${index * 46})` }, line.parts)));
  return el("div", { class: "wide canvas", tabindex: "0" }, picture);
}

function planLine(chain, isFurther, end) {
  const parts = [];
  let x = 14;
  if (isFurther) {
    parts.push(svg("text", { class: "join", x, y: 28 }, "∩"));
  }
  x += 20;
  const box = (className, text) => {
    const shown = fitted(text, MAX_NODE_WIDTH - 20);
    const width = Math.max(28, textWidth(shown) + 20);
    parts.push(svg("g", { class: `node ${className}` }, svg("title", {}, text),
      svg("rect", { class: "box", x, y: 10, width, height: NODE_HEIGHT, rx: 12 }),
      svg("text", { x: x + width / 2, y: 28, "text-anchor": "middle" }, shown)));
    x += width;
  };
  box("topic", chain.topic);
  chain.hops.forEach((hop, index) => {
    const shown = fitted(hop.relation, MAX_LABEL_WIDTH, 11);
    const length = textWidth(shown, 11) + 34;
    const ends = hop.direction === "head" ? [x + length - 3, x + 3] : [x + 3, x + length - 3];
    parts.push(svg("path", { class: "edge relation", d: `M${ends[0]} 24H${ends[1]}`, "marker-end": "url(#head-plan)" }),
      svg("text", { class: "edge-label", x: x + length / 2, y: 17, "text-anchor": "middle" }, shown, svg("title", {}, `${hop.direction}s by ${hop.relation}`)));
    x += length;
    const isLast = index === chain.hops.length - 1;
    box(isLast && end !== "?" ? "gold" : "found", isLast ? end : "?");
  });
  for (const name of chain.without) {
    const text = `without ${fitted(name, 120)}`;
    parts.push(svg("text", { class: "note", x: x + 8, y: 28 }, text));
    x += textWidth(text, 11) + 16;
  }
  return { parts, width: x };
}
