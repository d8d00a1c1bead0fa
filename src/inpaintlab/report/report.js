"use strict";
// What the page does beyond showing: sort tables, switch metrics, draw the scatter plot, choose images.
// Without it every table, plot and first choice of images is there already.
(() => {
  const page = JSON.parse(document.getElementById("numbers").textContent);
  const everyBin = "all bins";
  const byId = (id) => document.getElementById(id);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // --- numbers ------------------------------------------------------------------------------------------------------

  const rowsOf = (metric) => Object.keys(page.metrics[metric].rows).map(Number);

  function valueOf(metric, row, image) {
    const column = page.metrics[metric]?.rows[row];
    return column === undefined || column[image] === null ? NaN : Number(column[image]);
  }

  function inWords(metric, row, image) {
    const meaning = page.metrics[metric];
    if (meaning?.rows[row] === undefined) return "";
    const value = valueOf(metric, row, image);
    if (Number.isNaN(value)) return "undefined";
    const number = Number.isFinite(value) ? value.toFixed(meaning.decimals) : value > 0 ? "∞" : "-∞";
    return `${number} ${meaning.unit}`.trim();
  }

  const describe = (image) => `bin ${page.bins[image]} · ${page.holes[image].toFixed(1)} % hole`;

  const imagesIn = (bin) => [...page.names.keys()].filter((image) => bin === everyBin || page.bins[image] === bin);

  // --- controls -----------------------------------------------------------------------------------------------------

  function fill(select, entries, chosen) {
    const before = select.value;
    select.replaceChildren(...entries.map(([value, text]) => new Option(text, value)));
    const values = entries.map(([value]) => String(value));
    select.value = [before, String(chosen), values[0]].find((value) => values.includes(value));
  }

  const methodChoices = (metric) => rowsOf(metric).map((row) => [row, page.methods[row]]);
  const metricChoices = (fewest) => Object.keys(page.metrics)
    .filter((metric) => rowsOf(metric).length >= fewest).map((metric) => [metric, metric]);
  const binChoices = () => [everyBin, ...new Set(page.bins)].map((bin) => [bin, bin]);

  // --- tables -------------------------------------------------------------------------------------------------------

  // A list: what decides first, then what decides between those that are equal there.
  function sortValue(row, column) {
    const cell = row.cells[column];
    if (column === 0) return [cell.textContent.trim().toLowerCase()];
    return cell.dataset.value === "" ? null : cell.dataset.value.split(" ").map(Number);
  }

  function compare(one, other) {
    const place = one.findIndex((value, i) => value !== other[i]);
    return place < 0 ? 0 : (one[place] > other[place]) - (one[place] < other[place]);
  }

  function sortTable(table, column, descending) {
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((one, other) => {
      const [a, b] = [sortValue(one, column), sortValue(other, column)];
      if (a === null || b === null) return (a === null) - (b === null); // what has no value stays below
      return compare(a, b);
    });
    if (descending) {
      const known = rows.filter((row) => sortValue(row, column) !== null).reverse();
      rows.splice(0, known.length, ...known);
    }
    body.append(...rows);
    all("thead th", table).forEach((head, i) => {
      if (i === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  }

  // All tables have the same columns: one click sorts them all, each by its own numbers, the better end first.
  function sortTables(heads, column) {
    const before = heads[column].getAttribute("aria-sort");
    all("table.sortable").forEach((table) => {
      const isScore = column > 0 && !table.tHead.rows[0].cells[column].classList.contains("cost");
      const bestFirst = isScore && table.dataset.higher === "1";
      sortTable(table, column, before === null ? bestFirst : before === "ascending");
    });
    const direction = heads[column].getAttribute("aria-sort");
    byId("sorted").textContent = `sorted by ${heads[column].firstChild.firstChild.textContent}, ${direction}`;
  }

  function setUpTables() {
    all("table.sortable").forEach((table) => {
      const heads = [...table.tHead.rows[0].cells];
      heads.forEach((head, column) => {
        const button = document.createElement("button");
        button.type = "button";
        button.append(head.firstChild);
        button.addEventListener("click", () => sortTables(heads, column));
        head.prepend(button);
      });
    });
    const metrics = all(".metric");
    const select = byId("table-metric");
    const showChosen = () => metrics.forEach((metric) => { metric.hidden = metric.dataset.metric !== select.value; });
    fill(select, metrics.map((metric) => [metric.dataset.metric, metric.querySelector("caption").textContent]));
    select.addEventListener("change", showChosen);
    select.closest(".controls").hidden = false;
    showChosen();
  }

  // --- cases --------------------------------------------------------------------------------------------------------

  // Every case whose pictures are in the page, shown or kept in a template, which costs nothing until it is needed.
  const kept = new Map();
  all(".case").forEach((element) => kept.set(Number(element.dataset.image), element));
  all("#galleries template").forEach((template) => {
    const element = template.content.firstElementChild;
    kept.set(Number(element.dataset.image), element);
  });

  function caseOf(image, metric, rows) {
    const original = kept.get(image);
    if (original === undefined) return caseInWords(image, metric, rows);
    const element = document.importNode(original, true);
    all("figure[data-method]", element).forEach((figure) => {
      const row = Number(figure.dataset.method);
      if (!rows.includes(row)) figure.remove();
      else if (figure.className === "completed") figure.querySelector("b").textContent = inWords(metric, row, image);
      else if (figure.className === "raw") figure.querySelector("b").textContent = inWords(`${metric}_raw`, row, image);
    });
    element.querySelector(".pictures").style.setProperty("--n", all("figure", element).length);
    return element;
  }

  function caseInWords(image, metric, rows) {
    const element = document.createElement("article");
    element.className = "case";
    element.dataset.image = image;
    const head = element.appendChild(document.createElement("h4"));
    head.append(`${page.names[image]} `);
    head.appendChild(document.createElement("span")).textContent = `· ${describe(image)}`;
    const words = element.appendChild(document.createElement("p"));
    words.className = "soft";
    words.textContent = `This page does not hold its pictures; each result folder does: completed/${page.files[image]}`;
    const list = element.appendChild(document.createElement("ul"));
    list.className = "values";
    rows.filter((row) => inWords(metric, row, image) !== "").forEach((row) => {
      list.appendChild(document.createElement("li")).textContent = `${page.methods[row]}: ${inWords(metric, row, image)}`;
    });
    return element;
  }

  // --- galleries ----------------------------------------------------------------------------------------------------

  // An image without a value is the worst of all.
  function worstFirst(images, metric, row) {
    const sign = page.metrics[metric].higher ? 1 : -1;
    const score = (image) => {
      const value = valueOf(metric, row, image);
      return Number.isNaN(value) ? null : sign * value;
    };
    return [...images].sort((one, other) => {
      const [a, b] = [score(one), score(other)];
      if (a === null || b === null) return (a !== null) - (b !== null);
      return (a > b) - (a < b);
    });
  }

  function mostDifferent(images, metric, row, other) {
    // Infinite where one of the two is exact, 0 where both are.
    const gap = (image) => {
      const [a, b] = [valueOf(metric, row, image), valueOf(metric, other, image)];
      return a === b ? 0 : Math.abs(a - b);
    };
    const known = images.filter((image) => !Number.isNaN(gap(image)));
    return known.sort((one, two) => (gap(two) > gap(one)) - (gap(two) < gap(one)));
  }

  const galleryKinds = {
    worst: (images, { metric, row }) => worstFirst(images, metric, row),
    best: (images, { metric, row }) => worstFirst(images, metric, row).reverse(),
    "most different": (images, { metric, row, other }) => mostDifferent(images, metric, row, other),
    random: (images) => {
      const among = new Set(images);
      return page.shuffled.filter((image) => among.has(image));
    },
  };

  function setUpGalleries() {
    if (!byId("galleries")) return;
    const part = (name) => byId(`gallery-${name}`);
    let shown = page.shown;

    const draw = () => {
      const metric = part("metric").value;
      const choice = { metric, row: Number(part("method").value), other: Number(part("other").value) };
      const images = galleryKinds[part("kind").value](imagesIn(part("bin").value), choice);
      const rows = [...page.methods.keys()];
      byId("cases").replaceChildren(...images.slice(0, shown).map((image) => caseOf(image, metric, rows)));
      byId("more").hidden = shown >= images.length;
    };
    const choose = () => {
      fill(part("method"), methodChoices(part("metric").value), page.leader);
      fill(part("other"), methodChoices(part("metric").value), page.other);
      part("method").closest("label").hidden = part("kind").value === "random";
      byId("against").hidden = part("kind").value !== "most different";
      shown = page.shown;
      draw();
    };

    const kinds = Object.keys(galleryKinds).filter((kind) => kind !== "most different" || page.methods.length > 1);
    fill(part("kind"), kinds.map((kind) => [kind, kind]));
    fill(part("metric"), metricChoices(1), page.metric);
    fill(part("bin"), binChoices());
    all("select", byId("choice")).forEach((select) => select.addEventListener("change", choose));
    byId("more").firstElementChild.addEventListener("click", () => {
      shown += page.shown;
      draw();
    });
    byId("choice").hidden = false;
    choose();
  }

  // --- scatter plot -------------------------------------------------------------------------------------------------

  function svg(name, attributes, parent) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
    return parent.appendChild(element);
  }

  function ticks(low, high) {
    const rough = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
    const first = Math.ceil(low / step);
    const count = Math.floor(high / step) - first + 1;
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    return Array.from({ length: count }, (_, i) => [(first + i) * step, ((first + i) * step).toFixed(digits)]);
  }

  function range(values) {
    let [low, high] = [Math.min(...values), Math.max(...values)];
    if (low === high) [low, high] = [low - (Math.abs(low) || 1) / 10, high + (Math.abs(high) || 1) / 10];
    const margin = (high - low) / 30;
    return [low - margin, high + margin];
  }

  function drawAxes(chart, choice, inner, place) {
    const unit = page.metrics[choice.metric].unit;
    svg("rect", { x: inner.left, y: inner.top, width: inner.size, height: inner.size }, chart);
    place.ticks.forEach(([value, text]) => {
      const [x, y] = [place.x(value), place.y(value)];
      svg("line", { x1: x, x2: x, y1: inner.top, y2: inner.top + inner.size }, chart);
      svg("line", { x1: inner.left, x2: inner.left + inner.size, y1: y, y2: y }, chart);
      svg("text", { x, y: inner.top + inner.size + 16, "text-anchor": "middle" }, chart).textContent = text;
      svg("text", { x: inner.left - 6, y: y + 4, "text-anchor": "end" }, chart).textContent = text;
    });
    const [low, high] = place.range;
    const ends = { x1: place.x(low), y1: place.y(low), x2: place.x(high), y2: place.y(high) };
    svg("line", { class: "diagonal", ...ends }, chart);
    const middle = inner.left + inner.size / 2;
    const label = (row) => `${page.methods[row]}${unit && `, ${unit}`}`;
    svg("text", { x: middle, y: inner.top + inner.size + 36, "text-anchor": "middle" }, chart).textContent = label(choice.x);
    const turned = { x: 0, y: 0, "text-anchor": "middle", transform: `translate(13 ${inner.top + inner.size / 2}) rotate(-90)` };
    svg("text", turned, chart).textContent = label(choice.y);
  }

  function drawScatter(box, choice) {
    const side = Math.max(280, Math.min(576, box.clientWidth));
    const inner = { left: 64, top: 8, size: side - 72 };
    const height = inner.top + inner.size + 44;
    const values = imagesIn(choice.bin).map((image) => ({
      image, x: valueOf(choice.metric, choice.x, image), y: valueOf(choice.metric, choice.y, image),
    }));
    const points = values.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y));
    const chart = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const name = `${choice.metric} of every image: ${page.methods[choice.x]} across, ${page.methods[choice.y]} upwards`;
    const attributes = { viewBox: `0 0 ${side} ${height}`, tabindex: 0, role: "application", "aria-label": name };
    Object.entries(attributes).forEach(([key, value]) => chart.setAttribute(key, value));
    if (points.length) {
      const [low, high] = range(points.flatMap(({ x, y }) => [x, y]));
      const place = {
        range: [low, high],
        ticks: ticks(low, high),
        x: (value) => inner.left + inner.size * (value - low) / (high - low),
        y: (value) => inner.top + inner.size * (high - value) / (high - low),
      };
      drawAxes(chart, choice, inner, place);
      points.forEach((point) => {
        Object.assign(point, { left: place.x(point.x), top: place.y(point.y) });
        svg("circle", { class: "point", cx: point.left.toFixed(1), cy: point.top.toFixed(1), r: 4, "data-image": point.image }, chart);
      });
    }
    box.replaceChildren(chart);
    return { chart, side, points, hidden: values.length - points.length };
  }

  function nearest(drawn, event) {
    const frame = drawn.chart.getBoundingClientRect();
    const scale = drawn.side / frame.width;
    const [left, top] = [(event.clientX - frame.left) * scale, (event.clientY - frame.top) * scale];
    const distance = (point) => Math.hypot(point.left - left, point.top - top);
    const found = drawn.points.reduce((best, point) => (best && distance(best) <= distance(point) ? best : point), null);
    return found && distance(found) <= 14 ? found : null;
  }

  function setUpScatter() {
    if (!byId("scatter") || !metricChoices(2).length) return;
    const part = (name) => byId(`scatter-${name}`);
    let [drawn, choice, selected, width] = [null, null, null, 0];

    const tell = (point) => {
      const value = (row) => `${page.methods[row]}: ${inWords(choice.metric, row, point.image)}`;
      const told = point
        ? [page.names[point.image], describe(point.image), value(choice.x), value(choice.y)]
        : [`${drawn.points.length} images`];
      if (drawn.hidden) told.push(`not drawn, because a value is infinite or undefined: ${drawn.hidden}`);
      byId("readout").textContent = told.join(" · ");
    };
    const select = (point) => {
      selected = point;
      all(".ring", drawn.chart).forEach((ring) => ring.remove());
      if (point) svg("circle", { class: "ring", cx: point.left, cy: point.top, r: 7 }, drawn.chart);
      const rows = [...new Set([choice.x, choice.y])];
      byId("pair").replaceChildren(...(point ? [caseOf(point.image, choice.metric, rows)] : []));
      tell(point);
    };
    // Left and right go through the points as they stand from left to right.
    const step = (event) => {
      const direction = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (!direction || !drawn.points.length) return;
      event.preventDefault();
      const order = [...drawn.points].sort((one, other) => one.x - other.x);
      const start = direction > 0 ? -1 : order.length;
      const next = (selected ? order.indexOf(selected) : start) + direction;
      select(order[Math.max(0, Math.min(order.length - 1, next))]);
    };
    const draw = () => {
      width = byId("chart").clientWidth;
      const metric = part("metric").value;
      choice = { metric, x: Number(part("x").value), y: Number(part("y").value), bin: part("bin").value };
      const before = selected?.image;
      drawn = drawScatter(byId("chart"), choice);
      drawn.chart.addEventListener("pointermove", (event) => tell(nearest(drawn, event) ?? selected));
      drawn.chart.addEventListener("pointerleave", () => tell(selected));
      drawn.chart.addEventListener("click", (event) => select(nearest(drawn, event)));
      drawn.chart.addEventListener("keydown", step);
      select(drawn.points.find((point) => point.image === before) ?? null);
    };
    const choose = () => {
      fill(part("x"), methodChoices(part("metric").value), page.other);
      fill(part("y"), methodChoices(part("metric").value), page.leader);
      draw();
    };

    byId("scatter").hidden = false;
    fill(part("metric"), metricChoices(2), page.metric);
    fill(part("bin"), binChoices());
    all("select", byId("scatter")).forEach((control) => control.addEventListener("change", choose));
    window.addEventListener("resize", () => { if (byId("chart").clientWidth !== width) draw(); });
    choose();
  }

  setUpTables();
  setUpScatter();
  setUpGalleries();
})();
