// A study: pair after pair, one choice each, in an order and on sides that the server has drawn.

import { themed } from "/theme.js";

const at = (id) => document.getElementById(id);
const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "same" };

let session = null;
let trial = null;
let since = 0;

async function ask(method, path, body = undefined) {
  const answer = await fetch(path, {
    method, body: body && JSON.stringify(body), headers: body ? { "content-type": "application/json" } : {},
  }).catch(() => { throw new Error("The server does not answer."); });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.detail);
  return told;
}

function enable(yes) { for (const side of ["left", "right", "same"]) at(`choose-${side}`).disabled = !yes; }

async function show(next) {
  trial = next;
  const over = next.trial >= next.trials;
  at("trial").hidden = over;
  at("end").hidden = !over;
  at("count").textContent = over ? "" : `${next.trial + 1} of ${next.trials}`;
  at("progress").value = next.trial / next.trials;
  if (over) return;
  enable(false);
  await Promise.all(["left", "right"].map((side) => {
    at(side).src = `/api/study/sessions/${session}/trials/${next.trial}/${side}.png`;
    return at(side).decode().catch(() => { throw new Error("A picture cannot be shown."); });
  }));
  since = performance.now(); // both are seen from now on
  enable(true);
}

async function trying(work) {
  at("status").textContent = "";
  try { await work(); } catch (error) { at("status").textContent = error.message; enable(true); }
}

async function choose(chosen) {
  if (!trial || at("choose-left").disabled) return;
  enable(false);
  const seconds = Math.min(86400, (performance.now() - since) / 1000);
  await trying(async () => show(await ask("POST", `/api/study/sessions/${session}/trials/${trial.trial}`, { chosen, seconds })));
}

themed(at("theme"));
at("start").addEventListener("submit", (event) => {
  event.preventDefault();
  trying(async () => {
    ({ session } = await ask("POST", "/api/study/sessions", { participant: at("participant").value }));
    at("start").hidden = true;
    await show(await ask("GET", `/api/study/sessions/${session}`));
  });
});
for (const side of ["left", "right", "same"]) at(`choose-${side}`).addEventListener("click", () => choose(side));
document.addEventListener("keydown", (event) => {
  if (KEYS[event.key] && !at("trial").hidden) { event.preventDefault(); choose(KEYS[event.key]); }
});
