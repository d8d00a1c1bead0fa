// The page: photographs in, a hole and edges painted, completions out.

import { Api } from "/api.js";
import { Comparison } from "/compare.js";
import { Layer } from "/layers.js";
import { sideOf } from "/pair.js";
import { themed } from "/theme.js";
import { COLOURS, View } from "/view.js";

const SHOWN = 2048; // pixels of the photograph on screen
const TABS = ["hole", "edges", "results"];

const at = (id) => document.getElementById(id);
const api = new Api();
const comparison = new Comparison(api, say, goOn);
const view = new View(at("canvas"), { changed, zoomed });

let about = null;
let tab = "hole";
let stem = "photograph"; // of the file's name, for downloads; it is not sent
let present = null; // the photograph's file, which is sent again to a server that has forgotten the visit
let sent = { mask: null, edges: null }; // versions that the server has
let busy = false;
const tools = { hole: "brush", edges: "pen" };
const sizes = { hole: 40, edges: 2 };

// -------------------------------------------------------------------------------------------------------- what is told

function say(sentence, wrong = false) {
  at("status").textContent = sentence;
  at("status").classList.toggle("wrong", wrong);
}

async function trying(work) {
  try {
    return await work();
  } catch (error) {
    if (isForgotten(error)) api.visit = null;
    say(error.message, true);
    return undefined;
  }
}

function isForgotten(error) { return error.status === 404 && /visit/.test(error.message); }

// Does it, and once more in another visit where the server has forgotten this one, or was started anew.
async function remembered(work) {
  try {
    return await work();
  } catch (error) {
    if (!isForgotten(error)) throw error;
    api.visit = null;
    return work();
  }
}

// Begins another visit with the same photograph, where there is none any more.
async function beThere() {
  if (api.visit) return;
  await api.open();
  await api.putPhotograph(present);
  sent = { mask: null, edges: null };
}

function percent(share) { return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`; }

// ---------------------------------------------------------------------------------------------------------- photographs

async function openPhotograph(file) {
  if (file.size > about.most_bytes) {
    say(`The file has ${(file.size / 2 ** 20).toFixed(0)} MB; ${(about.most_bytes / 2 ** 20).toFixed(0)} MB are the most here.`, true);
    return;
  }
  if (busy) await trying(() => api.cancel());
  say("Reading the photograph…");
  await trying(async () => {
    const { width, height, remarks } = await remembered(async () => {
      if (!api.visit) await api.open();
      return api.putPhotograph(file);
    });
    const photograph = await api.photograph(SHOWN);
    present = file;
    stem = (file.name ?? "photograph").replace(/\.[^.]*$/, "") || "photograph";
    view.mask = new Layer(width, height, COLOURS.hole);
    view.edges = null;
    sent = { mask: null, edges: null };
    at("empty").hidden = true;
    comparison.set([], width, height);
    downloads([]);
    choose("hole");
    view.show(photograph, width, height);
    for (const [name, most] of [["x", width - 1], ["y", height - 1], ["width", width], ["height", height]])
      at("numbers").elements[name].max = most;
    sizes.hole = Math.max(2, Math.round(Math.max(width, height) / 16));
    pickTool("brush");
    changed();
    say([`${width} × ${height} pixels. Paint what is to be filled.`, ...remarks].join(" "));
  });
}

// Another hole in what a method has made of the first one.
async function goOn(result) {
  await trying(async () => {
    const picture = await api.result(result);
    await openPhotograph(new File([picture], `${stem}.png`, { type: "image/png" }));
  });
}

async function loadMask(file) {
  await trying(async () => {
    const { hole_ratio, remarks } = await remembered(async () => {
      await beThere();
      return api.putMask(file, at("mask-colour").value);
    });
    view.mask.add({ kind: "bitmap", bitmap: await api.maskLayer() });
    choose("hole");
    changed();
    say([`A mask with a hole of ${percent(hole_ratio)}.`, ...remarks].join(" "));
  });
}

async function pictureCame(file) {
  if (!file) return;
  if (!view.mask?.edited) return openPhotograph(file);
  at("replace").returnValue = "";
  at("replace").showModal();
  at("replace").onclose = () => {
    if (at("replace").returnValue === "photograph") openPhotograph(file);
    if (at("replace").returnValue === "mask") loadMask(file);
  };
}

function pictureOf(items) { return [...(items ?? [])].find((file) => file.type.startsWith("image/")) ?? items?.[0]; }

// -------------------------------------------------------------------------------------------------------------- editing

function changed() {
  const { mask, edges } = view;
  at("undo").disabled = at("clear").disabled = !mask?.edited;
  at("redo").disabled = !mask?.undone.length;
  at("edge-undo").disabled = at("edge-reset").disabled = !edges?.edited;
  at("edge-redo").disabled = !edges?.undone.length;
  at("edge-clear").disabled = !edges;
  const share = mask ? mask.share() : 0;
  at("hole-text").textContent = mask ? (mask.edited ? `The hole is about ${percent(share)} of the photograph.` : "There is no hole yet.") : "";
  at("find-edges").disabled = busy || !mask?.edited || !edgeMethods().length;
  at("edges-text").textContent = edgesText();
  ready();
  view.draw();
}

function edgesText() {
  if (!edgeMethods().length) return "None of the methods here knows edges.";
  if (!view.mask?.edited) return "Paint a hole first.";
  if (!view.edges) return "";
  const stale = view.edges.of !== view.mask.version ? " The hole has changed since: show the edges again to see them anew." : "";
  return (view.edges.edited
    ? "Your edges are used in the hole by every method that knows edges."
    : "Cyan: what the method draws into the hole. White: known edges around it.") + stale;
}

function ready() {
  const chosen = chosenMethods().length;
  at("complete").disabled = busy || !view.mask?.edited || !chosen;
}

function edgeMethods() { return (about?.methods ?? []).filter((one) => one.draws_edges); }

function chosenMethods() { return [...document.querySelectorAll("#methods input:checked")].map((box) => box.value); }

function pickTool(name) {
  const edges = tab === "edges";
  tools[edges ? "edges" : "hole"] = name;
  for (const one of ["brush", "rectangle", "eraser", "pen", "rubber"]) {
    const button = at(`tool-${one}`), picked = one === tools[["pen", "rubber"].includes(one) ? "edges" : "hole"];
    button.setAttribute("aria-checked", String(picked));
    button.tabIndex = picked ? 0 : -1;
  }
  const size = sizes[edges ? "edges" : "hole"];
  view.tool = { kind: name === "rectangle" ? "rectangle" : "stroke", erase: name === "eraser" || name === "rubber", size };
  showSizes();
  view.draw();
}

// The slider for the hole's brush goes from 1 pixel to a third of the photograph, evenly in factors.
function largest() { return Math.max(64, (view.width ? Math.max(view.width, view.height) : 768) / 3); }

function showSizes() {
  at("size").value = (100 * Math.log(sizes.hole)) / Math.log(largest());
  at("size-text").textContent = `${sizes.hole} px`;
  at("edge-size").value = sizes.edges;
  at("edge-size-text").textContent = `${sizes.edges} px`;
}

function resize(factor) {
  const key = tab === "edges" ? "edges" : "hole", most = key === "edges" ? 40 : largest();
  const next = Math.round(sizes[key] * factor);
  sizes[key] = Math.min(Math.round(most), Math.max(1, next === sizes[key] ? next + Math.sign(factor - 1) : next));
  pickTool(tools[key]);
}

function undo() { view.layer?.undo(); changed(); }
function redo() { view.layer?.redo(); changed(); }
function step(layer, made) { if (layer) { layer.add(made); changed(); } }

function zoomed(scale) { at("zoom-text").textContent = `${(100 * scale * (window.devicePixelRatio || 1)).toFixed(0)} %`; }

function choose(name) {
  if (at(`tab-${name}`).disabled) return;
  tab = name;
  for (const one of TABS) {
    at(`tab-${one}`).setAttribute("aria-selected", String(one === name));
    at(`tab-${one}`).tabIndex = one === name ? 0 : -1;
    at(`panel-${one}`).hidden = one !== name;
  }
  at("editor").hidden = name === "results" || !view.mask;
  at("comparison").hidden = name !== "results" || !view.mask;
  document.querySelector(".stage").classList.toggle("tall", !at("comparison").hidden && comparison.results.length > 0);
  if (name === "results") comparison.show(comparison.view);
  else {
    view.mode = name;
    pickTool(tools[name]);
    if (name === "edges" && !view.edges) findEdges(); // whoever comes here wants to see them
  }
}

// ------------------------------------------------------------------------------------------------------------ computing

async function sendMask() {
  if (sent.mask === view.mask.version) return;
  const version = view.mask.version;
  const { hole_ratio } = await api.putMask(await view.mask.png());
  if (!hole_ratio) throw new Error("There is no hole: paint what is to be filled.");
  sent.mask = version;
}

async function sendEdges() {
  const own = view.edges?.edited ? view.edges : null;
  if (!own) {
    if (sent.edges !== null) await api.forgetEdges();
    sent.edges = null;
  } else if (sent.edges !== own.version) {
    const version = own.version;
    await api.putEdges(await own.png());
    sent.edges = version;
  }
}

function told(job) {
  at("progress").hidden = false;
  at("progress").value = job.share;
  if (job.state === "waiting") say(job.place === 1 ? "One job comes before yours." : job.place ? `${job.place} jobs come before yours.` : "Waiting…");
  else if (job.state === "running") say(`${job.method || "Starting"}… ${job.seconds.toFixed(0)} s`);
}

async function computing(order, before) {
  busy = true;
  at("cancel").hidden = false;
  changed();
  try {
    return await trying(async () => {
      say("Sending…");
      await remembered(async () => {
        await beThere();
        await before();
      });
      return api.run(order, told);
    });
  } finally {
    busy = false;
    at("cancel").hidden = at("progress").hidden = true;
    changed();
  }
}

async function complete() {
  if (at("complete").disabled) return;
  const order = { kind: "complete", methods: chosenMethods(), blend: at("blend").checked };
  const job = await computing(order, async () => {
    await sendMask();
    await sendEdges();
  });
  if (job === null) say("Cancelled.");
  if (!job) return;
  comparison.set(job.results, view.width, view.height);
  downloads(job.results);
  choose("results");
  document.querySelector(".top").scrollIntoView(); // on a narrow screen the results are above
  say(`Completed with ${job.results.length === 1 ? "one method" : `${job.results.length} methods`}.`);
}

async function findEdges() {
  if (busy || !view.mask?.edited || !edgeMethods().length) return;
  const job = await computing({ kind: "edges", methods: [at("edges-method").value], blend: false }, sendMask);
  if (job === null) say("Cancelled.");
  if (!job) return;
  await trying(async () => {
    const base = await api.resultLayer(job.results[0].result);
    view.edges ??= new Layer(view.width, view.height);
    const own = view.edges.done;
    view.edges.setBase(base);
    view.edges.of = view.mask.version;
    for (const one of own) view.edges.add(one);
    choose("edges");
    changed();
    say(`Edges in ${job.results[0].seconds.toFixed(2)} s. Draw or erase, then complete.`);
  });
}

function downloads(results) {
  const link = (text, more, href, name) => {
    const a = document.createElement("a"), span = document.createElement("span");
    a.href = href;
    a.download = name;
    a.textContent = text;
    span.textContent = more;
    a.append(span);
    return a;
  };
  const safe = (text) => text.replace(/[^\w.-]+/g, "_");
  const links = results.map((one) => link(one.method, "PNG", api.resultUrl(one.result), `${stem}-${safe(one.method)}.png`));
  if (results.length) {
    links.push(link("the mask", "PNG", api.maskUrl, `${stem}-mask.png`));
    if (sent.edges !== null) links.push(link("the edges", "PNG", api.edgesUrl, `${stem}-edges.png`));
    links.push(link("the case, for the command line", "ZIP", api.caseUrl, `${stem}-case.zip`));
    const title = document.createElement("b");
    title.textContent = "Download";
    links.unshift(title);
  }
  at("downloads").replaceChildren(...links);
}

// -------------------------------------------------------------------------------------------------------------- wiring

function on(id, name, does) { at(id).addEventListener(name, does); }

function wire() {
  themed(at("theme"));
  on("help", "click", () => at("keys").showModal());
  for (const id of ["open", "choose"]) on(id, "click", () => at("file").click());
  on("file", "change", () => { pictureCame(at("file").files[0]); at("file").value = ""; });
  on("load-mask", "click", () => at("mask-file").click());
  on("mask-file", "change", () => { if (view.mask && at("mask-file").files[0]) loadMask(at("mask-file").files[0]); at("mask-file").value = ""; });
  for (const name of TABS) on(`tab-${name}`, "click", () => choose(name));
  for (const group of document.querySelectorAll(".tabs, .tools")) group.addEventListener("keydown", arrows);
  for (const name of ["brush", "rectangle", "eraser", "pen", "rubber"]) on(`tool-${name}`, "click", () => pickTool(name));
  on("size", "input", () => { sizes.hole = Math.max(1, Math.round(Math.exp((at("size").value / 100) * Math.log(largest())))); pickTool(tools.hole); });
  on("edge-size", "input", () => { sizes.edges = Number(at("edge-size").value); pickTool(tools.edges); });
  on("undo", "click", undo); on("redo", "click", redo);
  on("edge-undo", "click", undo); on("edge-redo", "click", redo);
  on("clear", "click", () => step(view.mask, { kind: "clear" }));
  on("invert", "click", () => step(view.mask, { kind: "invert" }));
  on("edge-clear", "click", () => step(view.edges, { kind: "clear" }));
  on("edge-reset", "click", () => { view.edges.setBase(view.edges.base); changed(); });
  on("numbers", "submit", (event) => {
    event.preventDefault();
    const { x, y, width, height } = Object.fromEntries([...new FormData(at("numbers"))].map(([key, value]) => [key, Number(value)]));
    step(view.mask, { kind: "rectangle", erase: false, x, y, width, height });
  });
  on("see-photograph", "change", () => { view.seePhotograph = at("see-photograph").checked; view.draw(); });
  on("find-edges", "click", findEdges);
  on("complete", "click", complete);
  on("cancel", "click", () => trying(() => api.cancel()));
  on("zoom-in", "click", () => view.zoom(1.4)); on("zoom-out", "click", () => view.zoom(1 / 1.4)); on("zoom-fit", "click", () => view.fit());
  document.addEventListener("paste", (event) => {
    const file = pictureOf(event.clipboardData?.files);
    if (file) { event.preventDefault(); pictureCame(file); }
  });
  const stage = document.querySelector(".stage");
  document.addEventListener("dragover", (event) => { event.preventDefault(); stage.classList.add("drop"); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) stage.classList.remove("drop"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("drop");
    pictureCame(pictureOf(event.dataTransfer?.files));
  });
  document.addEventListener("keydown", pressed);
  document.addEventListener("keyup", released);
  window.addEventListener("pagehide", () => api.leave());
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

const KEYS = {
  o: () => at("file").click(), "?": () => at("keys").showModal(),
  1: () => choose("hole"), 2: () => choose("edges"), 3: () => choose("results"),
  b: () => pickTool(tab === "edges" ? "pen" : "brush"), e: () => pickTool(tab === "edges" ? "rubber" : "eraser"),
  r: () => { if (tab === "hole") pickTool("rectangle"); },
  i: () => { if (tab === "hole") step(view.mask, { kind: "invert" }); },
  "[": () => resize(1 / 1.25), "]": () => resize(1.25),
  "+": () => view.zoom(1.4), "=": () => view.zoom(1.4), "-": () => view.zoom(1 / 1.4), 0: () => view.fit(),
  enter: complete, escape: () => trying(() => api.cancel()),
};

// Among tabs, or tools: the next one that there is, and it is chosen.
function arrows(event) {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!by || event.altKey || event.ctrlKey || event.metaKey) return;
  const buttons = [...event.currentTarget.querySelectorAll("button:not(:disabled)")];
  const next = buttons[(buttons.indexOf(event.target) + by + buttons.length) % buttons.length];
  next.click();
  next.focus();
  event.preventDefault();
  event.stopPropagation();
}

function pressed(event) {
  if (document.querySelector("dialog[open]")) return;
  const inField = event.target.closest("input, select, textarea, summary");
  const key = event.key.toLowerCase();
  if (view.painting) { // until the stroke is over
    if (" zy".includes(key)) event.preventDefault();
    return;
  }
  if ((event.ctrlKey || event.metaKey) && (key === "z" || key === "y") && !event.target.closest("input[type=number]")) {
    event.preventDefault();
    if (tab === "results") return;
    if (key === "y" || event.shiftKey) redo(); else undo();
    return;
  }
  if (inField || event.ctrlKey || event.metaKey || event.altKey) return;
  if (key === " " && tab !== "results" && !event.target.closest("button")) { event.preventDefault(); view.hold(true); return; }
  if (key === "enter" && event.target.closest("button, a")) return; // it presses that
  if (key === "h") { view.alone = true; view.draw(); return; }
  const side = sideOf(event);
  if (side) comparison.choose(side); else KEYS[key]?.();
}

function released(event) {
  if (event.key === " ") view.hold(false);
  if (event.key.toLowerCase() === "h") { view.alone = false; view.draw(); }
}

async function start() {
  wire();
  showSizes();
  about = await trying(() => api.about());
  if (!about) return;
  const millions = (about.most_pixels / 1e6).toFixed(0), bytes = (about.most_bytes / 2 ** 20).toFixed(0);
  const kept = about.keeps ? "The owner of this server keeps what is completed." : "Nothing is kept after your visit.";
  at("limits").textContent = `Up to ${millions} million pixels and ${bytes} MB. It is completed in full size, on the server's ${about.device === "cpu" ? "processor" : "GPU"}. ${kept}`;
  for (const one of about.methods) {
    const label = document.createElement("label"), box = document.createElement("input"), text = document.createElement("span");
    label.className = "check";
    box.type = "checkbox";
    box.value = one.method;
    box.checked = true;
    box.addEventListener("change", ready);
    text.textContent = one.method;
    const small = document.createElement("small");
    small.textContent = [one.draws_edges ? "along edges, which you can edit" : "", one.remark].filter(Boolean).join("; ");
    if (small.textContent) text.append(small);
    label.append(box, text);
    at("methods").append(label);
  }
  at("edges-method").replaceChildren(...edgeMethods().map((one) => new Option(one.method, one.method)));
  at("tab-edges").disabled = !edgeMethods().length;
  at("tab-edges").title = edgeMethods().length ? "" : "None of the methods here knows edges";
  changed();
  say("");
  document.documentElement.dataset.ready = "true";
}

start();
