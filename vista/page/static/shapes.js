// Shapes in SVG. Points are shares of the picture's sides; the SVG counts its pixels.

// The colours of Okabe and Ito (2008), which colour-blind readers can tell apart; as in `vista/draw.py`.
const COLORS = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"];
export const colorOf = (index) => COLORS[index % COLORS.length];

export function svg(name, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// The path of a shape: a dot for a point, a rectangle for a box, a polygon for a mask, a line while it is written.
export function pathOf(kind, points, [width, height]) {
  const at = points.map(([x, y]) => [x * width, y * height]);
  if (!at.length) return "";
  if (kind === "box" && at.length === 2) {
    const [[x0, y0], [x1, y1]] = at;
    return `M${x0} ${y0}H${x1}V${y1}H${x0}Z`;
  }
  const line = at.map(([x, y]) => `${x} ${y}`).join("L");
  if (kind === "point" || at.length === 1) return `M${line}h0`;
  return kind === "mask" ? `M${line}Z` : `M${line}`;
}

// A shape of an answer: rim, body, and what tells it by name.
export function shapeElement(shape, index, size, tag) {
  const color = colorOf(index);
  const d = pathOf(shape.kind, shape.points, size);
  const label = `${shape.kind} ${index + 1} of the answer, picture ${shape.image + 1}`;
  const group = svg("g", { "data-shape": index, tabindex: 0, role: "img", "aria-label": label });
  const dot = shape.kind === "point" || shape.points.length === 1;
  const line = dot || shape.kind === "open" ? " line" : "";
  const round = dot ? " dot" : "";
  group.append(svg("path", { class: `rim${round}`, d }));
  group.append(svg("path", { class: `shape${line}${round}`, d, stroke: color, fill: color }));
  if (tag && shape.points.length) group.append(tagElement(index + 1, shape.points[0], size));
  return group;
}

// A short text at a point.
export function tagElement(content, [x, y], size) {
  const text = svg("text", { class: "tag", x: x * size[0], y: y * size[1] });
  text.style.fontSize = `${Math.max(...size) / 24}px`;
  text.style.strokeWidth = `${Math.max(...size) / 120}px`;
  text.textContent = content;
  return text;
}

// The corners of a shape that is looked at, each linked to its two numbers; with their spreads where they are known.
export function cornerElements(shape, index, size, spreads) {
  const parts = [];
  shape.points.forEach(([x, y], point) => {
    const [cx, cy] = [x * size[0], y * size[1]];
    const [rx, ry] = spreads[point] ?? [0, 0];
    if (rx || ry) {
      const [across, down] = [rx * size[0], ry * size[1]];
      parts.push(svg("ellipse", { class: "spread", cx, cy, rx: across, ry: down, "data-of": point, display: "none" }));
    }
    const dot = { class: "dot", d: `M${cx} ${cy}h0` };
    parts.push(svg("path", { ...dot, class: "dot under" }));
    parts.push(svg("path", { ...dot, stroke: colorOf(index), "data-shape": index, "data-point": point }));
  });
  return parts;
}
