// The server's HTTP interface (docs/serve.md), as the page uses it. Every error is one sentence.

export class Api {
  visit = null;

  async about() { return (await this.#ask("GET", "/api/about")).json(); }

  async open() {
    this.visit = (await (await this.#ask("POST", "/api/visits")).json()).visit;
  }

  // The browser sends this while the page goes away: nothing is kept after the visit.
  leave() {
    if (this.visit) fetch(this.#path(""), { method: "DELETE", keepalive: true });
    this.visit = null;
  }

  #path(rest) { return `/api/visits/${this.visit}${rest}`; }

  async putPhotograph(file) { return (await this.#ask("PUT", this.#path("/photograph"), file)).json(); }
  async putMask(file, hole = "white") { return (await this.#ask("PUT", this.#path(`/mask?hole=${hole}`), file)).json(); }
  async putEdges(file) { await this.#ask("PUT", this.#path("/edges"), file); }
  async forgetEdges() { await this.#ask("DELETE", this.#path("/edges")); }

  async photograph(longest) { return this.#bitmap(`/photograph?longest=${longest}`); }
  async maskLayer() { return this.#bitmap("/mask.png?transparent=true"); }
  async resultLayer(result) { return this.#bitmap(`/results/${result}.png?transparent=true`); }

  async result(result) { return (await this.#ask("GET", this.resultUrl(result))).blob(); }

  photographUrl(longest) { return this.#path(`/photograph?longest=${longest}`); }
  resultUrl(result, longest = null) { return this.#path(`/results/${result}.png${longest ? `?longest=${longest}` : ""}`); }
  get maskUrl() { return this.#path("/mask.png"); }
  get edgesUrl() { return this.#path("/edges.png"); }
  get caseUrl() { return this.#path("/case.zip"); }
  get choicesUrl() { return this.#path("/choices.csv"); }
  pairUrl(pair, side) { return this.#path(`/pairs/${pair}/${side}.png`); }

  async drawPair() { return (await this.#json("POST", this.#path("/pairs"), {})).pair; }
  async choose(pair, chosen, seconds) { return this.#json("POST", this.#path(`/pairs/${pair}`), { chosen, seconds }); }

  // Runs a job to its end; `told` hears of its progress. Throws what it failed of; gives null where it was cancelled.
  async run(order, told) {
    let job = await this.#json("POST", this.#path("/jobs"), order);
    this.job = job.job;
    try {
      for (;;) {
        told(job);
        if (job.state === "done") return job;
        if (job.state === "cancelled") return null;
        if (job.state === "failed") throw new Error(job.error);
        await new Promise((go) => setTimeout(go, 250));
        job = await (await this.#ask("GET", this.#path(`/jobs/${job.job}`))).json();
      }
    } finally {
      this.job = null;
    }
  }

  async cancel() { if (this.job) await this.#ask("DELETE", this.#path(`/jobs/${this.job}`)); }

  async #bitmap(rest) { return createImageBitmap(await (await this.#ask("GET", this.#path(rest))).blob()); }

  async #json(method, path, body) {
    return (await this.#ask(method, path, JSON.stringify(body), { "content-type": "application/json" })).json();
  }

  async #ask(method, path, body = undefined, headers = {}) {
    let answer;
    try {
      answer = await fetch(path, { method, body, headers });
    } catch {
      throw new Error("The server does not answer. Does inpaintlab serve still run?");
    }
    if (answer.ok) return answer;
    let sentence = `The server answers ${answer.status}.`;
    try { sentence = (await answer.json()).detail ?? sentence; } catch { /* no sentence */ }
    throw Object.assign(new Error(sentence), { status: answer.status });
  }
}
