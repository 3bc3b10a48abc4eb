// The table of units: filtered, sorted, and drawn for the rows in sight alone, so that thousands stay fast.
"use strict";
window.UnitTable = (() => {
  const D = window.Drawing;
  const P = window.Panels;
  const { html } = D;
  const ROW = 34;

  const name = (unit) => String(unit.name ?? unit.id);
  const natural = new Intl.Collator("en", { numeric: true });
  const byText = (get) => (a, b) => natural.compare(get(a) ?? "\uffff", get(b) ?? "\uffff");
  const byNumber = (get) => (a, b) => (get(a) ?? -Infinity) - (get(b) ?? -Infinity);

  function columns(payload) {
    const many = payload.files.length > 1;
    const all = [
      { key: "unit", title: "Unit", width: 76, compare: byText(name), cell: (u) => html("a", { href: `#unit=${encodeURIComponent(u.key)}`, text: name(u), tabindex: -1 }) },
      { key: "file", title: "File", width: 150, wide: true, skip: !many, compare: (a, b) => a.file - b.file, cell: (u) => html("span", { class: "file-name", title: payload.files[u.file].name, text: payload.files[u.file].name }) },
      { key: "class", title: "Class", width: 122, compare: byText((u) => (u.is_abstained ? "\uffff" : u.label)), cell: (u) => html("span", { class: "class-cell" }, html("span", { class: u.is_abstained ? "dot hollow" : "dot", colour: P.colourOf(payload, u.label) }), u.label) },
      { key: "confidence", title: "Confidence", width: 112, first: -1, compare: byNumber((u) => u.confidence), cell: confidence },
      { key: "reason", title: "Why unclassified", width: 160, compare: byText((u) => u.reason), cell: (u) => (u.reason ? badge(u) : "") },
      { key: "ood", title: "Strangeness", hint: "Score for out of distribution: higher is stranger", width: 104, wide: true, number: true, first: -1, compare: byNumber((u) => u.ood_score), cell: (u) => D.fixed(u.ood_score, 2) },
      { key: "layer", title: "Layer, region", width: 132, wide: true, compare: byText((u) => u.layer ?? u.region), cell: (u) => [u.layer, u.region].filter(Boolean).join(", ") },
      { key: "depth", title: "Position (\u00b5m)", width: 112, wide: true, number: true, compare: byNumber((u) => u.y_um), cell: (u) => D.number(u.y_um, 4) },
      { key: "rate", title: "Rate (Hz)", width: 88, wide: true, number: true, first: -1, compare: byNumber((u) => u.rate_hz), cell: (u) => D.number(u.rate_hz) },
      { key: "spikes", title: "Spikes", width: 76, wide: true, number: true, first: -1, compare: byNumber((u) => u.n_spikes), cell: (u) => D.count(u.n_spikes) },
      { key: "cell", title: "Cell", width: 96, wide: true, skip: !payload.units.some((u) => u.cell_id), compare: byText((u) => u.cell_id), cell: (u) => u.cell_id ?? "" },
    ];
    return all.filter((c) => !c.skip);
  }
  function confidence(unit) {
    if (unit.confidence === null) return "\u2013";
    const fill = html("span", { class: "fill plain" });
    fill.style.width = `${100 * unit.confidence}%`;
    return html("span", { class: "meter" }, html("span", { class: "track" }, fill), html("span", { text: D.fixed(unit.confidence, 2) }));
  }
  function badge(unit) {
    const strange = unit.reason === "out_of_distribution";
    return html("span", { class: strange ? "badge stranger" : "badge", title: unit.reason_detail, text: D.words(unit.reason) });
  }

  function create(scroller, payload, open) {
    const table = scroller.querySelector("table");
    const [head, body] = [table.tHead, table.tBodies[0]];
    const cols = columns(payload);
    let rows = payload.units;
    let sort = { key: null, direction: 1 };
    let selected = null;
    let drawnRange = "";
    let isWhole = false; // every row is drawn, for printing

    const texts = new Map(payload.units.map((u) => [u.key, [
      name(u), u.id, u.label, P.classOf(payload, u.label).name, u.layer, u.region, u.cell_id, u.reason && D.words(u.reason), u.reason_detail,
      payload.files[u.file].name, ...Object.values(u.labels || {}),
    ].filter((t) => t !== null && t !== undefined).join("\n").toLowerCase()]));

    const buttons = cols.map((col) => html("button", { type: "button", text: col.title, title: col.hint, onclick: () => sortBy(col) }));
    head.append(html("tr", { "aria-rowindex": 1 }, ...cols.map((col, i) => html("th", { scope: "col", "data-title": col.title, class: cellClass(col), "aria-sort": "none" }, buttons[i]))));
    table.prepend(html("colgroup", {}, ...cols.map((col) => { const c = html("col", { class: cellClass(col) }); c.style.width = `${col.width}px`; return c; })));
    function cellClass(col) {
      return [`c-${col.key}`, col.wide && "wide", col.number && "number"].filter(Boolean).join(" ");
    }

    function sortBy(col) {
      if (sort.key === col.key) sort.direction = -sort.direction;
      else sort = { key: col.key, direction: col.first ?? 1 };
      arrange();
      sayOrder();
      scroller.scrollTop = 0;
      draw(true);
    }
    function unsort() { // the order of the files, from the next `show` on
      sort = { key: null, direction: 1 };
      sayOrder();
    }
    function sayOrder() {
      [...head.rows[0].cells].forEach((th, i) => th.setAttribute("aria-sort", cols[i].key !== sort.key ? "none" : sort.direction > 0 ? "ascending" : "descending"));
    }
    function arrange() {
      const col = cols.find((c) => c.key === sort.key);
      if (col) rows = [...rows].sort((a, b) => sort.direction * col.compare(a, b) || natural.compare(a.key, b.key));
    }

    function show(filter) {
      rows = payload.units.filter((u) => filter(u, texts.get(u.key)));
      arrange();
      table.setAttribute("aria-rowcount", rows.length + 1);
      scroller.scrollTop = 0;
      draw(true);
      return rows;
    }

    const spacer = (height) => { const tr = html("tr", { class: "spacer", "aria-hidden": "true" }, html("td")); tr.style.height = `${height}px`; return tr; };
    function rowOf(unit, index) {
      const strange = unit.reason === "out_of_distribution";
      const tr = html("tr", { "data-key": unit.key, "aria-rowindex": index + 2, "aria-selected": unit.key === selected ? "true" : "false", class: strange ? "stranger" : null });
      for (const col of cols) {
        const td = html("td", { class: cellClass(col) });
        td.append(col.cell(unit));
        tr.append(td);
      }
      return tr;
    }
    function draw(force = false) {
      const height = scroller.clientHeight || 600;
      const first = isWhole ? 0 : Math.max(0, Math.floor(scroller.scrollTop / ROW) - 8);
      const last = isWhole ? rows.length : Math.min(rows.length, first + Math.ceil(height / ROW) + 16);
      const range = `${first} ${last}`;
      if (!force && range === drawnRange) return;
      drawnRange = range;
      const parts = [];
      if (first > 0) parts.push(spacer(first * ROW));
      for (let i = first; i < last; i++) parts.push(rowOf(rows[i], i));
      if (last < rows.length) parts.push(spacer((rows.length - last) * ROW));
      if (!rows.length) parts.push(html("tr", { class: "empty" }, html("td", { text: "No unit passes these filters." })));
      body.replaceChildren(...parts);
    }
    scroller.addEventListener("scroll", () => draw(), { passive: true });
    new ResizeObserver(() => draw()).observe(scroller);
    body.addEventListener("click", (event) => {
      const row = event.target.closest("tr[data-key]");
      if (!row || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      open(row.dataset.key);
    });

    function select(key) {
      selected = key;
      const index = rows.findIndex((u) => u.key === key);
      if (index >= 0) {
        const top = index * ROW;
        const seen = scroller.clientHeight - head.offsetHeight;
        if (top < scroller.scrollTop) scroller.scrollTop = top;
        else if (top + ROW > scroller.scrollTop + seen) scroller.scrollTop = top + ROW - seen;
      }
      draw();
      for (const tr of body.querySelectorAll("tr[data-key]")) tr.setAttribute("aria-selected", tr.dataset.key === key ? "true" : "false");
    }
    function neighbour(step) {
      if (!rows.length) return null;
      const index = rows.findIndex((u) => u.key === selected);
      if (index < 0) return rows[step > 0 ? 0 : rows.length - 1].key;
      return rows[Math.min(Math.max(index + step, 0), rows.length - 1)].key;
    }
    function whole(yes) {
      isWhole = yes;
      draw(true);
    }
    return { show, unsort, select, neighbour, whole, rows: () => rows, place: (key) => rows.findIndex((u) => u.key === key) };
  }
  return { create, badge, name };
})();
