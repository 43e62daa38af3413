// A picture with what is drawn over it: regions by hand, by pointer or by keys, and the shapes of an answer.

import { cornerElements, pathOf, shapeElement, svg, tagElement } from "./shapes.js";

const STEP = { plain: 0.02, shift: 0.1, alt: 0.002 };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const inside = (value) => Math.min(1, Math.max(0, value));
const near = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);

export class Stage {
  // picture: of the server; number: of the picture, from 0; on: what is called with a region, a look, or a removal.
  constructor(picture, number, on) {
    this.picture = picture;
    this.on = on;
    this.tool = "look";
    this.draft = [];
    this.cursor = [0.5, 0.5];
    this.size = [picture.width, picture.height];
    this.element = this.build(number);
  }

  build(number) {
    const figure = document.createElement("figure");
    const frame = document.createElement("div");
    frame.className = "frame";
    const image = new Image();
    image.src = this.picture.url;
    image.alt = "";
    const name = `picture ${number + 1}, ${this.picture.name}`;
    const box = `0 0 ${this.size[0]} ${this.size[1]}`;
    this.svg = svg("svg", { viewBox: box, role: "group", "aria-label": name, preserveAspectRatio: "none" });
    this.layers = ["answer", "corners", "regions", "draft"].map((id) => svg("g", { "data-layer": id }));
    this.svg.append(...this.layers);
    [this.answers, this.corners, this.regions, this.drafts] = this.layers;
    frame.append(image, this.svg);
    const caption = document.createElement("figcaption");
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "remove";
    remove.setAttribute("aria-label", `remove ${name}`);
    remove.onclick = () => this.on.remove();
    caption.append(`${number + 1} · ${this.picture.name} · ${this.size.join(" × ")}`, remove);
    figure.append(frame, caption);
    this.listen();
    return figure;
  }

  listen() {
    const view = this.svg;
    view.addEventListener("pointerdown", (event) => this.press(event));
    view.addEventListener("pointermove", (event) => this.move(event));
    view.addEventListener("pointerup", (event) => this.release(event));
    view.addEventListener("pointercancel", () => this.give([]));
    view.addEventListener("keydown", (event) => this.key(event));
    view.addEventListener("focus", () => this.redraw());
    view.addEventListener("blur", () => this.redraw());
    for (const kind of ["pointerover", "focusin"]) view.addEventListener(kind, (event) => this.look(event));
    view.addEventListener("pointerleave", () => this.on.look(null));
  }

  setTool(tool) {
    this.tool = tool;
    this.draft = [];
    const draws = tool !== "look";
    this.svg.classList.toggle("draws", draws);
    // A picture that is drawn on is reached by the Tab key.
    if (draws) this.svg.setAttribute("tabindex", 0);
    else this.svg.removeAttribute("tabindex");
    this.redraw();
  }

  look(event) {
    const of = event.target.closest?.("[data-shape]");
    if (of) this.on.look(Number(of.dataset.shape), of.dataset.point === undefined ? null : Number(of.dataset.point));
  }

  at(event) {
    const { left, top, width, height } = this.svg.getBoundingClientRect();
    return [inside((event.clientX - left) / width), inside((event.clientY - top) / height)];
  }

  press(event) {
    if (this.tool === "look" || event.button) return;
    event.preventDefault();
    this.svg.focus({ preventScroll: true });
    this.svg.setPointerCapture(event.pointerId);
    this.pressed = true;
    this.cursor = this.at(event);
    this.draft = [this.cursor];
    this.redraw();
  }

  move(event) {
    if (!this.pressed) return;
    this.cursor = this.at(event);
    if (this.tool === "box") this.draft = [this.draft[0], this.cursor];
    else if (this.tool === "point") this.draft = [this.cursor];
    else if (near(this.draft.at(-1), this.cursor) > 0.008) this.draft.push(this.cursor);
    this.redraw();
  }

  release() {
    if (!this.pressed) return;
    this.pressed = false;
    this.finish();
  }

  // Arrows move the cross, Enter sets a point, Escape gives up; a mask is closed by Enter at its last point.
  key(event) {
    if (this.tool === "look" || event.target !== this.svg) return;
    if (event.key in ARROWS) {
      const step = event.shiftKey ? STEP.shift : event.altKey ? STEP.alt : STEP.plain;
      this.cursor = this.cursor.map((value, axis) => inside(value + step * ARROWS[event.key][axis]));
    } else if (event.key === "Enter" || event.key === " ") this.set();
    else if (event.key === "Backspace") this.draft.pop();
    else if (event.key === "Escape") this.draft = [];
    else return;
    event.preventDefault();
    this.redraw();
  }

  set() {
    const closes = this.tool === "mask" && this.draft.length > 2 && near(this.draft.at(-1), this.cursor) < 1e-6;
    if (closes) return this.finish();
    this.draft.push(this.cursor);
    if (this.tool === "point" || (this.tool === "box" && this.draft.length === 2)) this.finish();
  }

  finish() {
    const points = this.draft;
    const whole = { point: points.length === 1, box: points.length === 2, mask: points.length > 2 }[this.tool];
    const thin = this.tool === "box" && whole && near(...points) < 0.005;
    this.give(whole && !thin ? points : []);
  }

  give(points) {
    this.draft = [];
    this.pressed = false;
    if (points.length) this.on.region({ kind: this.tool, points });
    this.redraw();
  }

  redraw() {
    const parts = [];
    const shown = this.tool === "box" && this.draft.length === 1 ? [this.draft[0], this.cursor] : this.draft;
    if (shown.length) {
      const kind = this.tool === "mask" ? "open" : this.tool;
      parts.push(svg("path", { class: "shape drawn", d: pathOf(kind, shown, this.size) }));
    }
    if (this.tool !== "look" && document.activeElement === this.svg) {
      const [x, y] = [this.cursor[0] * this.size[0], this.cursor[1] * this.size[1]];
      const arm = Math.max(...this.size) / 30;
      const d = `M${x - arm} ${y}H${x + arm}M${x} ${y - arm}V${y + arm}`;
      parts.push(svg("path", { class: "cursor light", d }), svg("path", { class: "cursor", d }));
    }
    this.drafts.replaceChildren(...parts);
  }

  // Regions by hand that lie on this picture: [number from 1, region] pairs.
  showRegions(numbered) {
    const parts = numbered.flatMap(([number, region]) => {
      const path = svg("path", { class: "shape drawn", d: pathOf(region.kind, region.points, this.size) });
      if (region.kind === "point") path.classList.add("dot");
      return [path, tagElement(`#${number}`, region.points[0], this.size)];
    });
    this.regions.replaceChildren(...parts);
  }

  // Shapes of an answer that lie on this picture: [index in the answer, shape] pairs.
  showAnswer(indexed, tagged) {
    this.shapes = new Map(indexed);
    this.corners.replaceChildren();
    this.answers.replaceChildren(...indexed.map(([index, shape]) => shapeElement(shape, index, this.size, tagged)));
  }

  // The shape that is looked at, and the point of it; null for none.
  activate(index, point, spreads) {
    const shape = this.shapes?.get(index);
    for (const group of this.answers.children) {
      const active = Number(group.dataset.shape) === index;
      for (const path of group.querySelectorAll(".shape")) path.classList.toggle("active", active);
    }
    if (this.active !== index) {
      this.corners.replaceChildren(...(shape ? cornerElements(shape, index, this.size, spreads) : []));
      this.active = index;
    }
    for (const part of this.corners.children) {
      const of = part.dataset.of ?? part.dataset.point;
      const chosen = point !== null && of !== undefined && Number(of) === point;
      if (part.dataset.of !== undefined) part.setAttribute("display", chosen ? "inline" : "none");
      else part.classList.toggle("active", chosen);
    }
  }
}
