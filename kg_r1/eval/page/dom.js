// Elements and numbers. Text from the data becomes text nodes or attribute values here, never markup.

const SVG_SPACE = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS(SVG_SPACE, tag), attributes, children);

const byId = (id) => document.getElementById(id);

const pen = document.createElement("canvas").getContext("2d");

function textWidth(text, size = 12) {
  pen.font = `${size}px system-ui, sans-serif`;
  return pen.measureText(text).width;
}

// The text itself, or as much of it as is at most `width` pixels wide.
function fitted(text, width, size = 12) {
  if (textWidth(text, size) <= width) return text;
  const letters = [...text.slice(0, 400)];
  let low = 0;
  let high = letters.length;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (textWidth(letters.slice(0, middle).join("") + "…", size) <= width) low = middle;
    else high = middle - 1;
  }
  return letters.slice(0, low).join("") + "…";
}

const plural = (count, one, many = one + "s") => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

// Shares are shown in percent; counts, tokens and rewards as they are.
const isShare = (metric) => !/^(num_|reward)|tokens$|seconds$|_s$/.test(metric);

function score(metric, value) {
  if (value === null || value === undefined) return "–";
  if (isShare(metric)) return (100 * value).toFixed(1);
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2);
}

const METRIC_WORDS = { em: "EM", hits_at_1: "Hits@1", f1: "F1" };

const metricWord = (name) => METRIC_WORDS[name] || words(name.replace(/^num_/, ""));

const words = (name) => name.replaceAll("_", " ");

const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(value).toFixed(2);

// A select with options [value, label].
function select(label, options, chosen, onChange) {
  const box = el("select", { "aria-label": label, change: () => onChange(box.value) });
  for (const [value, text] of options) {
    box.append(el("option", { value, selected: value === chosen }, text));
  }
  return box;
}
