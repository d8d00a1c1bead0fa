// The canvas on screen: where the photograph lies, what the pointer does, and what is drawn.

import { canvasOf, tinted } from "/layers.js";

export const COLOURS = { hole: "#d6457a", edge: "#19d3f3", known: "#ffffff" };

export class View {
  photograph = null; // a bitmap, perhaps smaller than the photograph
  mask = null;
  edges = null;
  mode = "hole"; // or edges
  tool = { kind: "stroke", erase: false, size: 40 };
  seePhotograph = true;
  alone = false; // the photograph without layers
  scale = 1; // CSS pixels a pixel of the photograph
  x = 0;
  y = 0; // of the photograph's corner, in CSS pixels

  #pointers = new Map();
  #stroke = null; // what the pointer paints: its layer, and its step there
  #moving = null;
  #space = false;
  #cursor = null;
  #lastPoint = null;
  #asked = false;
  #cache = {};
  #fitted = true;

  constructor(canvas, { changed, zoomed }) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.changed = changed;
    this.zoomed = zoomed;
    for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel", "pointerleave", "wheel"])
      canvas.addEventListener(name, (event) => this[`on_${name}`](event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    new ResizeObserver(() => this.#resized()).observe(canvas);
  }

  get layer() { return this.mode === "edges" ? this.edges : this.mask; }

  // Whether the pointer paints. A stroke ends where something else is done to its layer, or another one is shown.
  get painting() {
    const { layer, step } = this.#stroke ?? {};
    return Boolean(layer) && layer === this.layer && layer.done.at(-1) === step;
  }

  #begin(step) {
    this.layer.add(step);
    this.#stroke = { layer: this.layer, step };
  }

  show(photograph, width, height) {
    this.photograph = photograph;
    this.width = width;
    this.height = height;
    this.#cache = {};
    this.#lastPoint = null;
    this.fit();
  }

  // -------------------------------------------------------------------------------------------- where the photograph is

  #resized() {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(this.canvas.clientWidth * ratio), height = Math.round(this.canvas.clientHeight * ratio);
    if (!width || !height) return;
    this.canvas.width = width;
    this.canvas.height = height;
    if (this.#fitted) this.fit();
    this.draw();
  }

  fit() {
    if (!this.photograph || !this.canvas.clientWidth) return;
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight], rim = 14;
    this.scale = Math.min((width - 2 * rim) / this.width, (height - 2 * rim) / this.height, 8);
    this.x = (width - this.width * this.scale) / 2;
    this.y = (height - this.height * this.scale) / 2;
    this.#fitted = true;
    this.zoomed(this.scale);
    this.draw();
  }

  zoom(factor, at = null) {
    if (!this.photograph) return;
    const [x, y] = at ?? [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2];
    const scale = Math.min(32, Math.max(0.02, this.scale * factor));
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.#fitted = false;
    this.zoomed(scale);
    this.draw();
  }

  #at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #inPhotograph([x, y]) { return [(x - this.x) / this.scale, (y - this.y) / this.scale]; }

  hold(space) {
    this.#space = space;
    this.canvas.classList.toggle("moving", space);
  }

  // ------------------------------------------------------------------------------------------------------- the pointer

  on_wheel(event) {
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) this.zoom(Math.exp(-event.deltaY / 300), this.#at(event));
    else {
      this.x -= event.deltaX;
      this.y -= event.deltaY;
      this.#fitted = false;
      this.draw();
    }
  }

  on_pointerdown(event) {
    if (!this.photograph) return;
    document.activeElement?.blur(); // or the next key would press the button that was used last
    this.canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, this.#at(event));
    if (this.#pointers.size === 2) { // two fingers move and zoom; what the first had begun is none of it
      if (this.painting) this.layer.dropLast();
      this.#stroke = null;
      this.#moving = "two";
    } else if (this.#space || event.button === 1) {
      this.#moving = "one";
    } else if (event.button === 0 && this.layer) {
      const point = this.#inPhotograph(this.#at(event)), { kind, erase, size } = this.tool;
      if (kind === "rectangle") {
        this.#corner = point;
        this.#begin(this.#rectangle(point));
      } else {
        const straight = event.shiftKey && this.#lastPoint;
        this.#begin({ kind, erase, size, points: straight ? [this.#lastPoint, point] : [point] });
        this.#lastPoint = point;
      }
    }
    this.draw();
  }

  #corner = null;

  #rectangle([x, y]) {
    const [left, right] = [this.#corner[0], x].sort((a, b) => a - b).map((side) => Math.round(Math.min(Math.max(side, 0), this.width)));
    const [top, bottom] = [this.#corner[1], y].sort((a, b) => a - b).map((side) => Math.round(Math.min(Math.max(side, 0), this.height)));
    return { kind: "rectangle", erase: this.tool.erase, x: left, y: top, width: right - left, height: bottom - top };
  }

  on_pointermove(event) {
    if (!this.photograph) return;
    const at = this.#at(event), before = this.#pointers.get(event.pointerId);
    this.#cursor = event.pointerType === "touch" ? null : at;
    if (this.#moving === "two" && before && this.#pointers.size === 2) {
      const other = [...this.#pointers].find(([id]) => id !== event.pointerId)[1];
      const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
      const middle = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
      const [from, to] = [middle(before, other), middle(at, other)];
      this.x += to[0] - from[0];
      this.y += to[1] - from[1];
      this.zoom(apart(at, other) / Math.max(1, apart(before, other)), to);
    } else if (this.#moving === "one" && before) {
      this.x += at[0] - before[0];
      this.y += at[1] - before[1];
      this.#fitted = false;
    } else if (this.painting && before) {
      const events = event.getCoalescedEvents?.() ?? [];
      for (const one of events.length ? events : [event]) {
        const point = this.#inPhotograph(this.#at(one));
        if (this.#stroke.step.kind === "rectangle") this.layer.replaceLast((this.#stroke.step = this.#rectangle(point)));
        else this.layer.extend((this.#lastPoint = point));
      }
    }
    if (before) this.#pointers.set(event.pointerId, at);
    this.draw();
  }

  on_pointerup(event) {
    this.#pointers.delete(event.pointerId);
    if (this.#stroke) {
      const { kind, width, height } = this.#stroke.step;
      if (this.painting && kind === "rectangle" && !(width && height)) this.layer.dropLast();
      this.#stroke = null;
      this.changed();
    }
    if (!this.#pointers.size) this.#moving = null;
    this.draw();
  }

  on_pointercancel(event) { this.on_pointerup(event); }

  on_pointerleave() {
    this.#cursor = null;
    this.draw();
  }

  // -------------------------------------------------------------------------------------------------- what is drawn

  draw() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      this.#paint();
    });
  }

  #layers() {
    const key = [this.mode, this.mask?.version, this.edges?.version, this.edges?.base].map((part) => (part && part.width ? "base" : part)).join();
    if (this.#cache.key !== key) {
      const drawing = this.mode === "edges", same = this.#cache.dark && this.#cache.of === this.mask.version;
      const dark = drawing ? (same ? this.#cache.dark : tinted(this.mask, "#000")) : null;
      this.#cache = { key, dark, of: this.mask.version, hole: dark ?? this.mask.canvas };
      if (drawing && this.edges) {
        this.#cache.edges = tinted(this.edges, COLOURS.edge, this.mask);
        this.#cache.known = this.#outside();
      }
    }
    return this.#cache;
  }

  // The known edges around the hole, as the method found them.
  #outside() {
    const canvas = canvasOf(this.mask.canvas.width, this.mask.canvas.height), context = canvas.getContext("2d");
    if (this.edges.base) context.drawImage(this.edges.base, 0, 0, canvas.width, canvas.height);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = COLOURS.known;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.globalCompositeOperation = "destination-out";
    context.drawImage(this.mask.canvas, 0, 0);
    return canvas;
  }

  #paint() {
    const { context, canvas } = this, ratio = window.devicePixelRatio || 1;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!this.photograph) return;
    const step = this.scale * ratio;
    context.setTransform(step, 0, 0, step, this.x * ratio, this.y * ratio);
    context.imageSmoothingEnabled = this.scale < 3;
    context.imageSmoothingQuality = "high";
    const whole = [0, 0, this.width, this.height];
    const drawing = this.mode === "edges" && !this.alone;
    if (drawing) {
      context.fillStyle = "#101418";
      context.fillRect(...whole);
      context.globalAlpha = this.seePhotograph ? 0.45 : 0;
    }
    context.drawImage(this.photograph, ...whole);
    context.globalAlpha = 1;
    if (!this.alone && this.mask) {
      const { hole, edges, known } = this.#layers();
      context.globalAlpha = drawing ? 0.75 : 0.6;
      context.drawImage(hole, ...whole);
      context.globalAlpha = 1;
      if (known) context.drawImage(known, ...whole);
      if (edges) context.drawImage(edges, ...whole);
    }
    this.#paintCursor(ratio);
  }

  #paintCursor(ratio) {
    if (!this.#cursor || this.#space) return;
    const { context } = this, [x, y] = this.#cursor;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const [colour, width] of [["#000c", 3], ["#fff", 1.25]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      const size = this.tool.kind === "rectangle" ? 0 : (this.tool.size * this.scale) / 2;
      if (size > 4) context.arc(x, y, size, 0, 7);
      else {
        context.moveTo(x - 8, y); context.lineTo(x + 8, y);
        context.moveTo(x, y - 8); context.lineTo(x, y + 8);
      }
      context.stroke();
    }
  }
}
