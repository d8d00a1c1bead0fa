// Results: side by side, under a slider, or blind.

import { clearPair, showPair } from "/pair.js";

const LONGEST = 2048; // pixels that are shown of a result; it is downloaded whole

const WAITING = "waiting"; // for a pair that was asked for

const at = (id) => document.getElementById(id);

export class Comparison {
  view = "grid";
  results = [];
  #pair = null;
  #since = 0;

  constructor(api, say, goOn) {
    this.goOn = goOn;
    this.api = api;
    this.say = say;
    for (const view of ["grid", "slider", "blind"]) at(`view-${view}`).addEventListener("click", () => this.show(view));
    at("slider-at").addEventListener("input", () => this.#place());
    for (const side of ["left", "right"]) at(`slider-${side}`).addEventListener("change", () => this.#pick());
    for (const side of ["left", "right", "same"]) at(`choose-${side}`).addEventListener("click", () => this.choose(side));
    at("blind-again").addEventListener("click", () => this.#draw());
    at("slider-over").addEventListener("load", () => this.#place());
    new ResizeObserver(() => this.#place()).observe(at("pile"));
    new ResizeObserver(() => this.#arrange()).observe(at("grid"));
  }

  // Names of pictures: "" is the photograph, others are results.
  set(results, width, height) {
    this.results = results;
    this.width = width;
    this.height = height;
    at("comparison").style.setProperty("--ratio", `${width} / ${height}`);
    this.#forget();
    if (results.length < 2 && this.view === "blind") this.view = "grid"; // nothing to choose from
    for (const [side, chosen] of [["left", ""], ["right", results.at(0)?.result ?? ""]]) {
      const select = at(`slider-${side}`);
      select.replaceChildren(new Option("photograph", ""), ...results.map((one) => new Option(one.method, one.result)));
      select.value = chosen;
    }
    this.show(this.view);
  }

  url(result) { return result ? this.api.resultUrl(result, LONGEST) : this.api.photographUrl(LONGEST); }

  show(view) {
    const there = this.results.length > 0;
    this.view = view;
    at("no-results").hidden = there;
    document.querySelector(".views").hidden = !there;
    for (const one of ["grid", "slider", "blind"]) {
      at(one).hidden = !there || one !== view;
      at(`view-${one}`).setAttribute("aria-pressed", String(one === view));
    }
    at("view-blind").disabled = this.results.length < 2;
    if (!there) return;
    if (view === "grid") this.#grid();
    if (view === "slider") this.#pick();
    if (view === "blind" && !this.#pair) this.#draw();
  }

  #grid() {
    this.#arrange();
    // as many notes below each, seen or not: then all pictures are of one size
    const most = Math.max(...this.results.map((one) => one.notes.length));
    const padded = (notes) => [...notes, ...Array(most - notes.length).fill(null)];
    at("grid").replaceChildren(
      withRoom(figure("photograph", "", this.url(""), padded([]))),
      ...this.results.map((one) => {
        const made = figure(one.method, `${one.seconds.toFixed(one.seconds < 10 ? 2 : 0)} s`, this.url(one.result), padded(one.notes));
        made.querySelector("button").addEventListener("click", () => {
          at("slider-right").value = one.result;
          this.show("slider");
        });
        const further = document.createElement("button");
        further.textContent = "Go on with this";
        further.title = "Make it the photograph, to fill another hole";
        further.addEventListener("click", () => this.goOn(one.result));
        made.append(further);
        return made;
      }),
    );
  }

  // As many columns as let the pictures be largest.
  #arrange() {
    const { clientWidth: width, clientHeight: height } = at("comparison"), count = this.results.length + 1;
    if (!width || !this.width) return;
    let best = [0, 1];
    for (let columns = 1; columns <= count; columns++) {
      const rows = Math.ceil(count / columns);
      const size = Math.min((width / columns - 30) / this.width, (height / rows - 110) / this.height);
      if (size > best[0]) best = [size, columns];
    }
    at("grid").style.setProperty("--columns", best[1]);
  }

  #pick() {
    at("slider-over").src = this.url(at("slider-left").value);
    at("slider-under").src = this.url(at("slider-right").value);
    this.#place();
  }

  // The slider spans the picture, not the letterbox beside it.
  #place() {
    const pile = at("pile"), box = pile.getBoundingClientRect();
    if (!box.width || !this.width) return;
    const width = Math.min(box.width, (box.height * this.width) / this.height);
    pile.style.setProperty("--left", `${(box.width - width) / 2}px`);
    pile.style.setProperty("--width", `${width}px`);
    pile.style.setProperty("--at", `${(width * at("slider-at").value) / 100}px`);
  }

  async #draw() {
    const results = this.results, images = ["left", "right"].map((side) => at(`blind-${side}`));
    this.#forget();
    this.#pair = WAITING;
    try {
      const pair = await this.api.drawPair();
      if (this.results !== results) return; // there are others by now
      const since = await showPair(images, ["left", "right"].map((side) => this.api.pairUrl(pair, side)));
      if (this.results !== results) return;
      this.#pair = pair;
      this.#since = since;
      this.#ask(true);
    } catch (error) {
      if (this.results !== results) return;
      this.#forget();
      at("blind-again").hidden = false;
      this.say(error.message, true);
    }
  }

  // No pair is shown, and none can be chosen from.
  #forget() {
    this.#pair = null;
    clearPair([at("blind-left"), at("blind-right")]);
    at("blind-told").textContent = "";
    this.#ask(false);
    at("blind-again").hidden = true;
  }

  #ask(asking) {
    for (const side of ["left", "right", "same"]) at(`choose-${side}`).disabled = !asking;
    at("blind-again").hidden = asking;
  }

  async choose(chosen) {
    if (this.view !== "blind" || !this.#pair || this.#pair === WAITING || at("choose-left").disabled) return;
    this.#ask(false);
    try {
      const told = await this.api.choose(this.#pair, chosen, (performance.now() - this.#since) / 1000);
      const better = chosen === "same" ? "no difference" : `better: ${told[chosen]}`;
      at("blind-told").textContent = `Left: ${told.left}. Right: ${told.right}. You said: ${better}.`;
      at("choices").href = this.api.choicesUrl;
      at("blind-log").hidden = false;
    } catch (error) {
      this.say(error.message, true);
      this.#ask(true);
    }
  }
}

// As much room below as a result's button takes, so that all pictures are of one size.
function withRoom(made) {
  const room = document.createElement("button");
  room.className = "room";
  room.disabled = true;
  room.textContent = "–";
  made.append(room);
  return made;
}

// A long note is folded behind its first clause: the pictures are what is looked at.
function folded(note) {
  const end = note === null ? -1 : note.search(/[,:;] /);
  const made = document.createElement(end < 0 ? "small" : "details"), summary = document.createElement("summary");
  if (note === null) {
    made.className = "room";
    made.textContent = "–";
  } else if (end < 0) made.textContent = note;
  else {
    summary.textContent = `${note.slice(0, end + 1)} …`;
    made.append(summary, note.slice(end + 2));
  }
  return made;
}

function figure(name, more, source, notes) {
  const made = document.createElement("figure"), caption = document.createElement("figcaption");
  const button = document.createElement("button"), image = document.createElement("img");
  const label = document.createElement("b"), right = document.createElement("span");
  button.className = "picture";
  button.title = "Under the slider";
  image.src = source;
  image.alt = name;
  label.textContent = name;
  right.textContent = more;
  button.append(image);
  caption.append(label, right);
  made.append(button, caption);
  made.append(...notes.map(folded));
  return made;
}
