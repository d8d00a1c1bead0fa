// A layer that is painted in the photograph's own pixels: a list of what was done, which can be undone, and which is
// drawn at any scale. On screen it is drawn smaller; what is sent is drawn in full size.

const LARGEST = 2048; // pixels of the longer side on screen

export function workingScale(width, height) { return Math.min(1, LARGEST / Math.max(width, height)); }

export function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width));
  canvas.height = Math.max(1, Math.round(height));
  return canvas;
}

export class Layer {
  base = null; // a bitmap that lies below all that is painted
  done = [];
  undone = [];
  version = 0; // of what it shows

  // `ink` is the colour on screen; what is sent is white.
  constructor(width, height, ink = "#fff") {
    this.ink = ink;
    this.width = width;
    this.height = height;
    this.scale = workingScale(width, height);
    this.canvas = canvasOf(width * this.scale, height * this.scale);
    this.context = this.canvas.getContext("2d");
  }

  get edited() { return this.done.length > 0; }

  setBase(bitmap) {
    this.base = bitmap;
    this.done = [];
    this.undone = [];
    this.#redraw();
  }

  add(step) {
    this.done.push(step);
    this.undone = [];
    this.#draw(this.context, this.scale, step, this.ink);
    this.version++;
  }

  // The stroke that is being painted: more points of the last step.
  extend(point) {
    const step = this.done.at(-1), last = step.points.at(-1);
    step.points.push(point);
    this.#draw(this.context, this.scale, { ...step, points: [last, point] }, this.ink);
    this.version++;
  }

  // The rectangle that is being dragged.
  replaceLast(step) {
    this.done[this.done.length - 1] = step;
    this.#redraw();
  }

  dropLast() { this.done.pop(); this.#redraw(); }

  undo() {
    if (!this.done.length) return;
    this.undone.push(this.done.pop());
    this.#redraw();
  }

  redo() {
    if (!this.undone.length) return;
    this.done.push(this.undone.pop());
    this.#redraw();
  }

  #redraw() {
    this.#all(this.context, this.scale, this.ink);
    this.version++;
  }

  #all(context, scale, ink) {
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalCompositeOperation = "source-over";
    context.clearRect(0, 0, context.canvas.width, context.canvas.height);
    if (this.base) context.drawImage(this.base, 0, 0, context.canvas.width, context.canvas.height);
    for (const step of this.done) this.#draw(context, scale, step, ink);
  }

  #draw(context, scale, step, ink) {
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.globalCompositeOperation = step.erase ? "destination-out" : "source-over";
    context.fillStyle = context.strokeStyle = ink;
    if (step.kind === "stroke") {
      context.lineCap = context.lineJoin = "round";
      // thinner than a pixel of the screen it would fade away there
      context.lineWidth = Math.max(step.size, scale < 1 ? 1 / scale : 0);
      context.beginPath();
      context.moveTo(...step.points[0]);
      for (const point of step.points.slice(step.points.length > 1 ? 1 : 0)) context.lineTo(...point);
      context.stroke();
    } else if (step.kind === "rectangle") {
      context.fillRect(step.x, step.y, step.width, step.height);
    } else if (step.kind === "bitmap") {
      context.clearRect(0, 0, this.width, this.height);
      context.drawImage(step.bitmap, 0, 0, this.width, this.height);
      context.globalCompositeOperation = "source-in";
      context.fillRect(0, 0, this.width, this.height);
    } else if (step.kind === "clear") {
      context.clearRect(0, 0, this.width, this.height);
    } else if (step.kind === "invert") {
      context.globalCompositeOperation = "xor";
      context.fillRect(0, 0, this.width, this.height);
    }
    context.globalCompositeOperation = "source-over";
  }

  // A PNG in full size, white on black.
  async png() {
    const painted = canvasOf(this.width, this.height);
    this.#all(painted.getContext("2d"), 1, "#fff");
    const canvas = canvasOf(this.width, this.height), context = canvas.getContext("2d");
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(painted, 0, 0);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
    if (!blob) throw new Error("This browser cannot hold a picture of that size; send a smaller photograph.");
    return blob;
  }

  // The share that is painted, of the picture on screen.
  share() {
    const small = canvasOf(Math.min(256, this.canvas.width), Math.min(256, this.canvas.height));
    const context = small.getContext("2d", { willReadFrequently: true });
    context.drawImage(this.canvas, 0, 0, small.width, small.height);
    const { data } = context.getImageData(0, 0, small.width, small.height);
    let sum = 0;
    for (let at = 3; at < data.length; at += 4) sum += data[at];
    return sum / 255 / (small.width * small.height);
  }
}

// A layer in one colour, within another one if that is given.
export function tinted(layer, colour, within = null) {
  const canvas = canvasOf(layer.canvas.width, layer.canvas.height), context = canvas.getContext("2d");
  context.drawImage(layer.canvas, 0, 0);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = colour;
  context.fillRect(0, 0, canvas.width, canvas.height);
  if (within) {
    context.globalCompositeOperation = "destination-in";
    context.drawImage(within.canvas, 0, 0);
  }
  return canvas;
}
