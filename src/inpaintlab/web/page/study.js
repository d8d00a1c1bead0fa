// A study: pair after pair, one choice each, in an order and on sides that the server has drawn.

import { clearPair, showPair, sideOf } from "/pair.js";
import { themed } from "/theme.js";

const at = (id) => document.getElementById(id);
const IMAGES = [at("left"), at("right")];
const KEPT = "inpaintlab-study"; // of this tab, so that a reload goes on where it was

let session = null;
let trial = null;
let since = 0;

function keep(name) {
  session = name;
  try {
    if (name) sessionStorage.setItem(KEPT, name); else sessionStorage.removeItem(KEPT);
  } catch { /* then until a reload */ }
}

function kept() {
  try { return sessionStorage.getItem(KEPT); } catch { return null; }
}

async function ask(method, path, body = undefined) {
  const answer = await fetch(path, {
    method, body: body && JSON.stringify(body), headers: body ? { "content-type": "application/json" } : {},
  }).catch(() => { throw new Error("The server does not answer. Choose again in a moment."); });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(told.detail ?? `The server answers ${answer.status}.`), { status: answer.status });
  return told;
}

function enable(yes) { for (const side of ["left", "right", "same"]) at(`choose-${side}`).disabled = !yes; }

async function goOn() { await show(await ask("GET", `/api/study/sessions/${session}`)); }

async function show(next) {
  trial = next;
  const over = next.trial >= next.trials;
  at("start").hidden = true;
  at("trial").hidden = over;
  at("end").hidden = !over;
  at("count").textContent = over ? "" : `${next.trial + 1} of ${next.trials}`;
  at("progress").value = next.trial / next.trials;
  if (over) return keep(null);
  enable(false);
  at("trial").style.setProperty("--ratio", `${next.width} / ${next.height}`); // the buttons stay where they are meanwhile
  try {
    since = await showPair(IMAGES, ["left", "right"].map((side) => `/api/study/sessions/${session}/trials/${next.trial}/${side}.png`));
  } catch (error) {
    clearPair(IMAGES);
    throw new Error(`${error.message} Reload the page to go on.`);
  }
  enable(true);
}

async function trying(work) {
  at("status").textContent = "";
  try { await work(); } catch (error) {
    at("status").textContent = error.message;
    if (error.status === 404) keep(null); // the server has forgotten the session
  }
}

async function choose(chosen) {
  if (!trial || at("choose-left").disabled) return;
  enable(false);
  const seconds = Math.min(86400, (performance.now() - since) / 1000);
  await trying(async () => {
    let next;
    try {
      next = await ask("POST", `/api/study/sessions/${session}/trials/${trial.trial}`, { chosen, seconds });
    } catch (error) {
      if (error.status === 409) return goOn(); // it was made already, and its answer was lost
      enable(true); // the pair is still shown
      throw error;
    }
    return show(next);
  });
}

themed(at("theme"));
at("start").addEventListener("submit", (event) => {
  event.preventDefault();
  const begin = event.submitter;
  if (begin) begin.disabled = true; // one session, however often it is pressed
  trying(async () => {
    keep((await ask("POST", "/api/study/sessions", { participant: at("participant").value })).session);
    await goOn();
  }).finally(() => { if (begin) begin.disabled = false; });
});
for (const side of ["left", "right", "same"]) at(`choose-${side}`).addEventListener("click", () => choose(side));
document.addEventListener("keydown", (event) => {
  const side = sideOf(event);
  if (at("trial").hidden || !side) return;
  event.preventDefault();
  choose(side);
});
if (kept()) {
  session = kept();
  trying(goOn);
}
