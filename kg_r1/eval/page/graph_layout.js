// Where the nodes of a walk stand: columns by distance from the start, and labels that keep clear of each other.

const NODE_HEIGHT = 28;
const SET_HEIGHT = 44;
const NOTE_HEIGHT = 15;
const ROW_GAP = 24;
const MAX_NODE_WIDTH = 168;
const MAX_LABEL_WIDTH = 170;

const turnList = (turns) => [...new Set(turns)].filter(Boolean).join(", ");

const edgeLabel = (edge) => (edge.kind === "member" ? "" : `${turnList(edge.turns)}· ${edge.label}`);

// The end of a dotted relation name says more than its beginning.
function fittedLabel(edge) {
  const parts = edge.label.split(".");
  let text = edgeLabel(edge);
  for (let from = 1; from < parts.length && textWidth(text, 11) > MAX_LABEL_WIDTH; from += 1) {
    text = edgeLabel({ ...edge, label: `…${parts.slice(from).join(".")}` });
  }
  return fitted(text, MAX_LABEL_WIDTH, 11);
}

const noteText = (note) => `${turnList(note.turns)}· ${note.text}`;

function measure(node) {
  node.shown = fitted(node.label, MAX_NODE_WIDTH - 20);
  node.preview = node.kind === "set" ? fitted(node.names.slice(0, 12).join(", "), MAX_NODE_WIDTH - 20, 10) : "";
  node.width = Math.max(44, textWidth(node.shown) + 22, node.preview ? textWidth(node.preview, 10) + 20 : 0);
  node.height = node.kind === "set" ? SET_HEIGHT : NODE_HEIGHT;
  node.shownNotes = node.notes.map((note) => ({ ...note, shown: fitted(noteText(note), 230, 10) }));
  node.boxHeight = node.height + node.notes.length * NOTE_HEIGHT;
  node.boxWidth = Math.max(node.width, ...node.shownNotes.map((note) => textWidth(note.shown, 10) + 4));
}

// Gives every node x, y (its middle), width and height, every edge a path and a place for its label.
function layOut(graph) {
  const nodes = [...graph.nodes.values()];
  nodes.forEach(measure);
  const layers = [];
  for (const node of nodes) (layers[node.layer] = layers[node.layer] || []).push(node);
  const columns = layers.filter(Boolean);
  columns.forEach((column, index) => column.forEach((node) => { node.column = index; }));
  orderColumns(graph, columns);
  const tallest = Math.max(...columns.map(columnHeight));
  let x = 14;
  columns.forEach((column, index) => {
    const width = Math.max(...column.map((node) => node.boxWidth));
    let y = 16 + (tallest - columnHeight(column)) / 2;
    for (const node of column) {
      node.x = x + node.width / 2;
      node.y = y + node.height / 2;
      y += node.boxHeight + ROW_GAP;
    }
    x += width + gapAfter(graph, index);
  });
  placeEdges(graph);
  const right = [...nodes.map((node) => node.x - node.width / 2 + node.boxWidth), ...graph.edges.map((edge) => edge.reach)];
  const low = [...nodes.map((node) => node.y - node.height / 2 + node.boxHeight), ...graph.edges.map((edge) => edge.depth)];
  return { width: Math.ceil(Math.max(...right) + 14), height: Math.ceil(Math.max(...low) + 14) };
}

const columnHeight = (column) => column.reduce((sum, node) => sum + node.boxHeight + ROW_GAP, -ROW_GAP);

// Each column in the order of what its nodes hang on in the columns before it.
function orderColumns(graph, columns) {
  columns.forEach((column, index) => {
    if (index === 0) return;
    const place = (node) => {
      const before = graph.edges
        .filter((edge) => edge.from === node.key || edge.to === node.key)
        .map((edge) => graph.nodes.get(edge.from === node.key ? edge.to : edge.from))
        .filter((other) => other.column < index)
        .map((other) => columns[other.column].indexOf(other));
      return before.length ? before.reduce((sum, one) => sum + one, 0) / before.length : column.length;
    };
    const places = new Map(column.map((node, rank) => [node, [place(node), node.kind === "set" ? 1 : 0, rank]]));
    column.sort((a, b) => {
      const [one, two] = [places.get(a), places.get(b)];
      return one[0] - two[0] || one[1] - two[1] || one[2] - two[2];
    });
  });
}

function gapAfter(graph, index) {
  const crossing = graph.edges.filter((edge) => {
    const [one, two] = [graph.nodes.get(edge.from).column, graph.nodes.get(edge.to).column].sort((a, b) => a - b);
    return (one <= index && index < two) || (one === index && two === index);
  });
  return 46 + Math.max(24, ...crossing.map((edge) => textWidth(fittedLabel(edge), 11)));
}

function placeEdges(graph) {
  const pairs = new Map();
  const taken = [...graph.nodes.values()].map((node) => ({
    x: node.x - node.width / 2, y: node.y - node.height / 2, width: node.boxWidth, height: node.boxHeight }));
  for (const edge of graph.edges) {
    const pair = [edge.from, edge.to].sort().join("\n");
    const rank = pairs.get(pair) || 0;
    pairs.set(pair, rank + 1);
    const points = clearest(graph, edge, rank);
    edge.path = `M${points[0]}C${points[1]} ${points[2]} ${points[3]}`;
    edge.shown = fittedLabel(edge);
    edge.at = labelPlace(points, edge.shown, graph.nodes.get(edge.from).column < graph.nodes.get(edge.to).column, taken);
    const far = [0.1, 0.25, 0.5, 0.75, 0.9].map((share) => along(points, share));
    edge.reach = Math.max(...far.map((point) => point[0]), edge.shown ? edge.at[0] + textWidth(edge.shown, 11) / 2 : 0);
    edge.depth = Math.max(...far.map((point) => point[1]));
  }
}

// Of the ways below and above the straight line, the one that hides least behind other nodes.
function clearest(graph, edge, rank) {
  const [from, to] = [graph.nodes.get(edge.from), graph.nodes.get(edge.to)];
  const others = [...graph.nodes.values()].filter((node) => node !== from && node !== to);
  const hidden = (points) => [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9].filter((share) => {
    const [x, y] = along(points, share);
    return others.some((node) => Math.abs(x - node.x) < node.width / 2 + 6 && Math.abs(y - node.y) < node.height / 2 + 6);
  }).length;
  const [below, above] = [1, -1].map((sign) => controlPoints(from, to, rank, sign));
  return hidden(above) < hidden(below) ? above : below;
}

// A cubic from the arrow's start to its end; later arrows between the same two nodes run beside the first.
function controlPoints(from, to, rank, way) {
  const shift = rank ? way * (rank % 2 ? 10 : -10) * Math.ceil(rank / 2) : 0;
  const side = (node, sign) => [node.x + (sign * node.width) / 2, node.y + Math.max(-node.height / 2 + 4, Math.min(node.height / 2 - 4, shift))];
  if (from === to) {
    const [x, y] = side(from, 1);
    return [[x, y - 6], [x + 60, y - 34], [x + 60, y + 34], [x, y + 6]];
  }
  if (from.column === to.column) {
    const [start, end] = [side(from, 1), side(to, 1)];
    const out = Math.max(start[0], end[0]) + 46 + 16 * rank;
    return [start, [out, start[1]], [out, end[1]], end];
  }
  const sign = from.column < to.column ? 1 : -1;
  const [start, end] = [side(from, sign), side(to, -sign)];
  const span = Math.abs(from.column - to.column);
  const bend = (end[0] - start[0]) * 0.45;
  // An arrow past other columns swings out, so that it does not hide behind their nodes.
  const drop = span > 1 ? way * 40 * (span - 1) : shift * 2;
  return [start, [start[0] + bend, start[1] + drop], [end[0] - bend, end[1] + drop], end];
}

function along(points, share) {
  const rest = 1 - share;
  const weights = [rest ** 3, 3 * rest ** 2 * share, 3 * rest * share ** 2, share ** 3];
  return [0, 1].map((axis) => points.reduce((sum, point, index) => sum + weights[index] * point[axis], 0));
}

// A point on the path where the label covers no node and no other label; else the one that covers least.
function labelPlace(points, text, isForward, taken) {
  if (!text) return along(points, 0.5);
  const width = textWidth(text, 11) + 4;
  const shares = [0.5, 0.58, 0.42, 0.66, 0.34, 0.74, 0.26].map((share) => (isForward ? share : 1 - share));
  let best = null;
  for (const share of shares) {
    const [x, y] = along(points, share);
    const box = { x: x - width / 2, y: y - 8, width, height: 16 };
    const overlap = taken.reduce((sum, other) => sum + overlapArea(box, other), 0);
    if (!best || overlap < best.overlap) best = { overlap, at: [x, y], box };
    if (!overlap) break;
  }
  taken.push(best.box);
  return best.at;
}

function overlapArea(one, two) {
  const width = Math.min(one.x + one.width, two.x + two.width) - Math.max(one.x, two.x);
  const height = Math.min(one.y + one.height, two.y + two.height) - Math.max(one.y, two.y);
  return width > 0 && height > 0 ? width * height : 0;
}
