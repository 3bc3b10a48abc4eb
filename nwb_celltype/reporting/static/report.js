// The page comes to life: data are unpacked, sections drawn, filters, keys and the address bar wired together.
"use strict";
(async () => {
  const { Drawing: D, Panels: P, Summary, Overview, UnitTable, UnitView } = window;
  const at = (id) => document.getElementById(id);

  async function inflate(id) {
    const node = at(id);
    const bytes = P.bytesOf(node.textContent);
    node.remove();
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }
  function trouble(sentence) {
    at("trouble").textContent = sentence;
    at("trouble").hidden = false;
  }
  window.addEventListener("unhandledrejection", (event) => trouble(`The page could not be drawn: ${event.reason?.message ?? event.reason}`));
  if (!window.DecompressionStream) return trouble("This browser is too old for the page: any of 2023 or later shows it.");
  const payload = JSON.parse(await inflate("payload"));
  if (payload.format !== 1) return trouble(`This page cannot read data of format ${payload.format}.`);

  const units = new Map(payload.units.map((u) => [u.key, u]));
  const state = { file: null, open: null, search: "", label: "", answer: "", reason: "", confidence: 0 };
  const files = () => (state.file === null ? payload.files : [payload.files[state.file]]);
  const chosen = () => (state.file === null ? payload.units : payload.units.filter((u) => u.file === state.file));
  let isDrawnWithPlotly = false;

  // --- summary
  function bySize(counts) {
    return [...counts].sort((a, b) => b[1] - a[1]);
  }
  function tally(get) {
    const counts = new Map();
    for (const unit of chosen()) {
      const key = get(unit);
      if (key !== null && key !== "") counts.set(key, (counts.get(key) || 0) + 1);
    }
    return counts;
  }
  function drawSummary() {
    const shown = chosen();
    at("headline").replaceChildren(Summary.headline(shown, files(), payload.model));
    const counts = tally((u) => u.label);
    const order = payload.classes.map((c) => c.label);
    const known = order.filter((label, i) => i < order.length - 1 || counts.has(label));
    const others = [...counts.keys()].filter((label) => !order.includes(label));
    at("counts").replaceChildren(Summary.bars([...known, ...others].map((label) => {
      const cls = P.classOf(payload, label);
      return { key: label, name: label, title: [cls.name, cls.definition].filter(Boolean).join(". "), n: counts.get(label) || 0, colour: cls.colour };
    }).filter((row) => row.n > 0 || order.length < 9), shown.length, (label) => choose({ label })));
    const reasons = bySize(tally((u) => (u.is_abstained ? u.reason ?? "other" : null)));
    at("reasons").replaceChildren(reasons.length
      ? Summary.bars(reasons.map(([key, n]) => ({ key, n, name: D.words(key), title: D.words(key) })), shown.length, (reason) => choose({ reason }))
      : D.html("p", { class: "sub", text: "Every unit has a class." }));
    Summary.coverageChart(at("coverage"), files(), shown, Math.max(at("coverage").clientWidth, 220));
    Summary.verdict(at("verdict"), files());
    Summary.notes(at("notes"), files());
    Summary.provenanceCards(at("provenance-cards"), files());
  }

  // --- figures
  const probeFile = () => state.file ?? Number(at("probe-file").value || 0);
  function drawFigures() {
    if (!isDrawnWithPlotly) return;
    const shown = table.rows();
    const selected = units.get(state.open);
    const mapped = Overview.drawMap(at("map"), payload, shown, selected);
    at("map").parentElement.hidden = !mapped;
    const placed = Overview.drawProbe(at("probe"), payload, probeFile(), shown, payload.units, selected?.file === probeFile() ? selected : null);
    for (const id of ["map", "probe"]) {
      if (!at(id).on || at(id).dataset.opens) continue;
      at(id).dataset.opens = "units";
      at(id).on("plotly_click", (event) => {
        const key = event.points.map((p) => p.customdata).find((k) => typeof k === "string");
        if (key) open(key);
      });
    }
    at("probe").hidden = !placed;
    at("probe-note").textContent = placed ? "Units at their channel; units of one site stand side by side." : "The file says nothing about where its units are.";
  }
  function legend() {
    const training = payload.map?.training;
    const labels = new Set([...payload.units.map((u) => u.label), ...(training?.label ?? [])]);
    at("legend").replaceChildren(...payload.classes.filter((c) => labels.has(c.label)).map((c) => D.html("li", { title: c.name }, D.html("span", { class: "dot", colour: c.colour }), c.label)));
    const method = payload.map?.method ?? "";
    at("map-note").textContent = `${method ? `${method[0].toUpperCase()}${method.slice(1)}. ` : ""}${training ? `Faint: ${D.count(training.label.length)} training units. ` : ""}Filled: classified; open: unclassified; cross: out of distribution.`;
  }
  let pending = 0;
  function drawFiguresSoon(wait = 120) {
    clearTimeout(pending);
    pending = setTimeout(drawFigures, wait);
  }
  let marking = 0;
  function markSoon() { // while a key is held, the panels come first
    clearTimeout(marking);
    marking = setTimeout(() => {
      if (!isDrawnWithPlotly) return;
      const unit = units.get(state.open);
      Overview.mark(at("map"), unit?.map);
      Overview.mark(at("probe"), unit?.file === probeFile() ? Overview.placeOnProbe(unit) : null);
    }, 60);
  }

  // --- filters
  function passes(unit, text) {
    return (state.file === null || unit.file === state.file) &&
      (!state.label || unit.label === state.label) &&
      (!state.answer || unit.is_abstained === (state.answer === "abstained")) &&
      (!state.reason || unit.reason === state.reason) &&
      (state.confidence === 0 || (unit.confidence ?? -1) >= state.confidence) &&
      state.search.split(/\s+/).every((word) => text.includes(word));
  }
  function applyFilters() {
    const rows = table.show(passes);
    at("shown").textContent = `${D.count(rows.length)} of ${D.count(payload.units.length)} shown`;
    drawFiguresSoon();
  }
  function readFilters() {
    state.search = at("search").value.trim().toLowerCase();
    state.label = at("by-class").value;
    state.answer = at("by-answer").value;
    state.reason = at("by-reason").value;
    state.confidence = Number(at("by-confidence").value);
    at("by-confidence-value").textContent = D.fixed(state.confidence, 2);
    applyFilters();
  }
  function choose({ label = "", reason = "" }) { // from a bar of the summary: that filter alone
    for (const id of ["search", "by-answer"]) at(id).value = "";
    at("by-confidence").value = 0;
    at("by-class").value = label;
    at("by-reason").value = reason;
    readFilters();
    at("units").scrollIntoView({ block: "start" });
  }
  const option = (value, text) => D.html("option", { value, text });
  function fillFilters() {
    const labels = [...new Set(payload.units.map((u) => u.label))];
    const order = payload.classes.map((c) => c.label);
    labels.sort((a, b) => order.indexOf(a) - order.indexOf(b));
    at("by-class").append(option("", "all"), ...labels.map((label) => option(label, label)));
    const reasons = [...new Set(payload.units.map((u) => u.reason).filter(Boolean))].sort();
    at("by-reason").append(option("", "all"), ...reasons.map((reason) => option(reason, D.words(reason))));
    if (payload.files.length > 1) {
      at("file").append(option("", `all ${payload.files.length} files`), ...payload.files.map((f, i) => option(i, f.name)));
      at("probe-file").append(...payload.files.map((f, i) => option(i, f.name)));
      at("file-choice").hidden = at("probe-choice").hidden = false;
    }
  }

  // --- the open unit
  function keepInSight(change) { // opening narrows the page: what was under the eye stays there
    const seen = (section) => {
      const box = section.getBoundingClientRect();
      return Math.min(box.bottom, window.innerHeight) - Math.max(box.top, 0);
    };
    const anchor = [...document.querySelectorAll("main > section")].sort((a, b) => seen(b) - seen(a))[0];
    const before = anchor.getBoundingClientRect().top;
    change();
    window.scrollBy(0, anchor.getBoundingClientRect().top - before);
  }
  let addressing = 0;
  function open(key, { history = "push" } = {}) {
    const unit = units.get(key);
    if (!unit) return trouble(`No unit ${key} in this report.`);
    at("trouble").hidden = true;
    const isFirst = state.open === null;
    state.open = key;
    const hash = `#unit=${encodeURIComponent(key)}`;
    clearTimeout(addressing);
    const write = () => location.hash !== hash && window.history[history === "push" ? "pushState" : "replaceState"](null, "", hash);
    if (history === "push") write();
    else addressing = setTimeout(write, 150); // browsers allow few changes a second, and a key may be held
    const change = () => {
      document.body.classList.add("has-unit");
      view.show(unit, table.place(key), table.rows().length);
    };
    if (isFirst) keepInSight(change);
    else change();
    table.select(key);
    if (isFirst) fit();
    else if (state.file === null && payload.files.length > 1 && probeFile() !== unit.file) {
      at("probe-file").value = unit.file;
      drawFiguresSoon();
    } else markSoon();
  }
  function close() {
    if (state.open === null) return;
    clearTimeout(addressing);
    const isInside = at("unit").contains(document.activeElement);
    state.open = null;
    keepInSight(() => {
      document.body.classList.remove("has-unit");
      view.hide();
    });
    table.select(null);
    window.history.pushState(null, "", location.pathname + location.search);
    if (isInside) at("table-scroll").focus({ preventScroll: true });
    fit();
  }
  function walk(step) {
    const key = table.neighbour(step);
    if (key && key !== state.open) open(key, { history: state.open === null ? "push" : "replace" });
  }
  function followAddress() {
    const match = /^#unit=(.+)$/.exec(location.hash);
    if (match) open(decodeURIComponent(match[1]), { history: "replace" });
    else if (state.open !== null) close();
  }
  let fitted = 0;
  function fit() {
    if (window.matchMedia("print").matches) return;
    const width = at("summary").clientWidth;
    if (width === fitted) return drawFiguresSoon(0);
    fitted = width;
    Summary.coverageChart(at("coverage"), files(), chosen(), Math.max(at("coverage").clientWidth, 220));
    drawFiguresSoon(0);
  }

  // --- printing: light, every row, figures as wide as the paper
  function print(isPrinting) {
    table.whole(isPrinting);
    if (isDrawnWithPlotly) drawFigures();
  }

  // --- start
  const table = UnitTable.create(at("table-scroll"), payload, open);
  const view = UnitView.create(at("unit"), payload, { walk, close });
  at("byline").textContent = [payload.software, payload.created?.slice(0, 16).replace("T", " "), payload.files.length === 1 ? payload.files[0].name : `${payload.files.length} files`].filter(Boolean).join("  \u00b7  ");
  fillFilters();
  drawSummary();
  Summary.modelCards(at("model-cards"), payload.model, 340);
  legend();
  applyFilters();

  at("filters").addEventListener("input", readFilters);
  at("filters").addEventListener("reset", () => setTimeout(() => {
    table.unsort();
    readFilters();
  }));
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  at("file").addEventListener("change", (event) => {
    state.file = event.target.value === "" ? null : Number(event.target.value);
    at("probe-choice").hidden = state.file !== null;
    drawSummary();
    applyFilters();
  });
  at("probe-file").addEventListener("change", drawFigures);
  window.addEventListener("hashchange", followAddress);
  window.addEventListener("popstate", followAddress);
  window.addEventListener("resize", fit);
  window.addEventListener("beforeprint", () => print(true));
  window.addEventListener("afterprint", () => print(false));
  window.matchMedia("print").addEventListener("change", (event) => print(event.matches));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawFigures);

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const field = event.target.closest?.("input, select, textarea");
    const isText = field?.type === "search";
    const steps = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 };
    if (event.key === "Escape") {
      if (isText && field.value) at("search").value = "";
      else if (field) field.blur();
      else close();
      if (isText) readFilters();
    } else if (event.key === "/" && !field) {
      event.preventDefault();
      at("search").focus();
      at("search").select();
    } else if (event.key === "Enter" && (isText || event.target === at("table-scroll"))) {
      event.preventDefault();
      if (state.open === null || table.place(state.open) < 0) walk(1);
    } else if (event.key in steps) {
      const isArrow = event.key.startsWith("Arrow");
      if (field && !(isText && isArrow)) return;
      if (isArrow && state.open === null && !isText && event.target !== at("table-scroll")) return; // the page scrolls
      event.preventDefault();
      walk(steps[event.key]);
    }
  });
  followAddress();
  document.body.dataset.ready = "table";
  performance.mark("table");

  // Plotly last: until it is there, the table works already.
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const script = document.createElement("script");
  script.textContent = await inflate("plotly");
  document.head.append(script);
  isDrawnWithPlotly = true;
  performance.mark("plotly");
  drawFigures();
  document.body.dataset.ready = "figures";
  performance.mark("figures");
})();
