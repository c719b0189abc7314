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

const share = (value) => (value > 0 && value < 0.0005 ? "<.001" : value.toFixed(3));

const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);

const shortened = (text, length) => {
  const letters = [...text];
  return letters.length <= length ? text : letters.slice(0, length - 1).join("") + "…";
};

// A span of dates in words; years alone where it fills them.
function inWords(window) {
  if (!window) return "always";
  const [start, end] = window;
  const whole = (!start || start.endsWith("-01-01")) && (!end || end.endsWith("-12-31"));
  const side = (day) => (day ? (whole ? day.slice(0, 4) : day) : "");
  return side(start) === side(end) ? side(start) : `${side(start)} – ${side(end)}`;
}
