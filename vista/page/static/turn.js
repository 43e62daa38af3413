// A question and its answer in the list: every bracket of the text is linked to its shape, every number to its point.

import { colorOf } from "./shapes.js";

const element = (name, className, text = "") => {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.textContent = text;
  return made;
};

export class Turn {
  // question: as it is sent; on: what is called with a look at a shape, and to copy.
  constructor(question, on) {
    this.question = question;
    this.on = on;
    this.told = { prompt: "", text: "", shapes: [], spreads: [] };
    this.element = element("li", "turn");
    this.prompt = element("p", "prompt", question.words || question.task);
    this.answer = element("p", "answer", "...");
    this.measures = element("p", "quiet");
    this.measures.setAttribute("role", "status"); // said once the answer is whole
    this.readout = element("p", "quiet");
    this.buttons = element("div", "row");
    this.element.append(this.prompt, this.answer, this.measures, this.readout, this.buttons);
    for (const kind of ["pointerover", "focusin"]) this.answer.addEventListener(kind, (event) => this.look(event));
    this.answer.addEventListener("keydown", (event) => this.step(event));
    this.element.addEventListener("click", () => on.show());
  }

  // What the server has told last.
  show(told) {
    const was = document.activeElement?.dataset?.shape;
    this.told = { ...this.told, ...told };
    const { prompt, text, shapes } = this.told;
    this.prompt.textContent = prompt || this.prompt.textContent;
    const parts = [];
    let end = 0;
    shapes.forEach((shape, index) => {
      parts.push(text.slice(end, shape.start), this.bracket(shape, index));
      end = shape.end;
    });
    this.answer.replaceChildren(...parts, text.slice(end) || (told.done && !text ? "(nothing)" : ""));
    if (was !== undefined) this.answer.querySelector(`.shape-text[data-shape="${was}"]`)?.focus();
    if (told.done) this.end();
  }

  bracket(shape, index) {
    const span = element("span", "shape-text");
    span.style.borderColor = colorOf(index);
    Object.assign(span.dataset, { shape: index });
    span.tabIndex = 0;
    span.setAttribute("role", "button");
    let end = shape.start;
    shape.numbers.forEach(([from, to], k) => {
      const number = element("span", "number", this.told.text.slice(from, to));
      Object.assign(number.dataset, { shape: index, point: k >> 1, axis: k % 2 });
      span.append(this.told.text.slice(end, from), number);
      end = to;
    });
    span.append(this.told.text.slice(end, shape.end));
    return span;
  }

  end() {
    const { confidence, spreads, malformed, seconds } = this.told;
    const parts = [`mean probability of the words ${confidence.toFixed(2)}`];
    if (spreads.length) {
      const mean = spreads.reduce((sum, spread) => sum + spread, 0) / spreads.length;
      parts.push(`mean spread of the coordinates ± ${mean.toFixed(1)} of ${this.on.bins} bins`);
    }
    if (malformed) parts.push("malformed: not the form that the task asks for");
    parts.push(`${seconds.toFixed(1)} s`);
    this.measures.textContent = parts.join(" · ");
    const text = element("button", "", "Copy as text");
    const coco = element("button", "", "Copy as COCO JSON");
    text.onclick = () => this.on.copy(this.told.text);
    coco.onclick = () => this.on.coco({ ...this.question, text: this.told.text });
    text.type = coco.type = "button";
    this.buttons.replaceChildren(text, coco);
  }

  look(event) {
    const of = event.target.closest("[data-shape]");
    if (!of) return this.on.look(null);
    const point = of.dataset.point === undefined ? null : Number(of.dataset.point);
    this.on.look(Number(of.dataset.shape), point);
  }

  // In a bracket that has the focus, the arrows go from point to point.
  step(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const index = Number(event.target.dataset.shape);
    if (!by || Number.isNaN(index)) return;
    event.preventDefault();
    const count = this.told.shapes[index].points.length;
    this.on.look(index, ((this.point ?? (by > 0 ? -1 : 0)) + by + count) % count);
  }

  // The spreads of a shape's points as shares of the picture's sides.
  spreadsOf(index) {
    const { shapes, spreads } = this.told;
    const before = shapes.slice(0, index).reduce((sum, shape) => sum + shape.numbers.length, 0);
    const share = (k) => (spreads[before + k] ?? 0) / this.on.bins;
    return (shapes[index]?.points ?? []).map((_, point) => [share(2 * point), share(2 * point + 1)]);
  }

  activate(index, point) {
    this.point = point;
    for (const span of this.answer.querySelectorAll(".shape-text")) {
      span.classList.toggle("active", Number(span.dataset.shape) === index);
    }
    for (const number of this.answer.querySelectorAll(".number")) {
      const { shape, point: own } = number.dataset;
      number.classList.toggle("active", Number(shape) === index && point !== null && Number(own) === point);
    }
    this.readout.textContent = point === null || index === null ? "" : this.described(index, point);
  }

  described(index, point) {
    const { shapes, text } = this.told;
    const [x, y] = [2 * point, 2 * point + 1].map((k) => text.slice(...(shapes[index].numbers[k] ?? [0, 0])));
    const spread = this.spreadsOf(index)[point].map((share) => (share * this.on.bins).toFixed(1));
    return `point ${point + 1}: x ${x} ± ${spread[0]}, y ${y} ± ${spread[1]} bins`;
  }
}
