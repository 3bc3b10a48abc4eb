// What the page says before any single unit: counts, reasons, coverage, verdict, model card, provenance.
"use strict";
window.Summary = (() => {
  const D = window.Drawing;
  const { html, svg } = D;

  function bars(rows, total, pick) {
    const list = html("ul", { class: "bars-list" });
    for (const row of rows) {
      const fill = html("span", { class: row.colour ? "fill" : "fill plain", colour: row.colour });
      fill.style.width = `${(100 * row.n) / Math.max(...rows.map((r) => r.n), 1)}%`;
      const inner = [
        html("span", { class: "bar-name", title: row.title }, row.colour ? html("span", { class: "dot", colour: row.colour }) : null, row.name),
        html("span", { class: "track" }, fill),
        html("span", { class: "bar-n" }, D.count(row.n), html("small", { text: D.percent(row.n / (total || 1)) })),
      ];
      list.append(html("li", {}, html("button", { type: "button", title: row.title, onclick: () => pick(row.key), "aria-label": `${row.name}: ${row.n}. Show them in the table` }, ...inner)));
    }
    return list;
  }

  function headline(units, files, model) {
    const typed = units.filter((u) => !u.is_abstained).length;
    const strange = units.filter((u) => u.reason === "out_of_distribution").length;
    const thresholds = new Set(files.map((f) => f.run?.threshold).filter((t) => t !== null && t !== undefined));
    const node = document.createDocumentFragment();
    node.append(html("b", { text: `${D.count(typed)} of ${D.count(units.length)} unit${units.length === 1 ? "" : "s"}` }), ` ${typed === 1 ? "has" : "have"} a class`);
    if (model) node.append(" from the model ", html("b", { text: [model.name, model.version].filter(Boolean).join(" ") }));
    if (thresholds.size === 1) node.append(` at a confidence of ${D.fixed([...thresholds][0], 2)} or more`);
    node.append(typed < units.length ? `; ${D.count(units.length - typed)} ${units.length - typed === 1 ? "is" : "are"} left unclassified` : "");
    if (strange) node.append(", ", html("span", { class: "badge stranger", text: `${strange} unlike the training units` }));
    node.append(".");
    return node;
  }

  function coverageChart(element, files, units, width) {
    const points = new Map();
    for (const file of files)
      for (const row of file.coverage || []) points.set(row.threshold, (points.get(row.threshold) || 0) + row.n);
    const rows = [...points].map(([threshold, n]) => ({ threshold, n, share: n / (units.length || 1) })).sort((a, b) => a.threshold - b.threshold);
    if (!rows.length) return element.replaceChildren(html("p", { class: "sub", text: "The run has no confidences." }));
    const shipped = files[0].run?.threshold ?? null;
    const [left, right, top, bottom, height] = [44, width - 12, 8, 118, 150];
    const x = D.linear(rows[0].threshold, rows.at(-1).threshold, left, right);
    const y = D.linear(0, 1, bottom, top);
    const say = (row) => `${D.fixed(row.threshold, 2)}: ${D.count(row.n)} units, ${D.percent(row.share)}`;
    const root = D.canvas(width, height, `Coverage. ${rows.map(say).join("; ")}`, (px) => say(rows[D.nearest(rows.map((r) => r.threshold), x.invert(px))]));
    const line = D.line(rows.map((r) => x(r.threshold)), rows.map((r) => y(r.share)));
    root.append(svg("path", { class: "area", d: `${line}V${bottom}H${left}Z` }), svg("path", { class: "curve", d: line }));
    for (const row of rows) root.append(svg("circle", { class: "point", cx: x(row.threshold), cy: y(row.share), r: 2.6 }));
    if (shipped !== null && shipped >= rows[0].threshold && shipped <= rows.at(-1).threshold) {
      const at = rows[D.nearest(rows.map((r) => r.threshold), shipped)];
      const late = x(shipped) > (left + right) / 2;
      root.append(
        svg("path", { class: "guide", d: `M${x(shipped)} ${top}V${bottom}` }),
        svg("circle", { class: "point chosen", cx: x(at.threshold), cy: y(at.share), r: 4.5 }),
        svg("text", { class: "name best", x: x(shipped) + (late ? -6 : 6), y: at.share < 0.6 ? top + 8 : bottom - 8, "text-anchor": late ? "end" : "start", text: `${D.percent(at.share)} at ${D.fixed(shipped, 2)}` }),
      );
    }
    root.append(D.axisY(y, [0, 0.5, 1], left, { format: D.percent }), D.axisX(x, D.ticks(...x.domain, 5), bottom, { title: "least confidence" }));
    element.replaceChildren(D.figure("", root, "bare"));
  }

  const STATUS = { typable: "Yes", "typable with caution": "Yes, with caution", "not typable": "No" };
  const EFFECT = { flag: "flagged", abstain: "abstained on" };
  // Of several files, each status and each finding once, with the files that it is about.
  function collect(rows, keyOf) {
    const found = new Map();
    for (const [file, row] of rows) {
      const key = keyOf(row);
      if (!found.has(key)) found.set(key, { row, names: [] });
      found.get(key).names.push(file.name);
    }
    return [...found.values()];
  }
  const where = (names, files) =>
    files.length === 1 ? "" : names.length === files.length ? `all ${files.length} files` : names.length > 3 ? `${names.length} files` : names.join(", ");
  function verdict(element, files) {
    element.replaceChildren();
    const told = files.filter((f) => f.verdict);
    if (told.length < files.length) element.append(html("p", { class: "sub", text: files.length === 1 ? "The run does not say." : `The run of ${files.length - told.length} files does not say.` }));
    for (const { row: status, names } of collect(told.map((f) => [f, f.verdict.status]), (s) => s))
      element.append(html("p", {}, html("span", { class: `badge status-${D.words(status).replaceAll(" ", "-")}`, text: STATUS[status] || D.words(status) }), html("span", { class: "effect", text: where(names, files) })));
    const list = html("ul", { class: "findings" });
    const findings = told.flatMap((f) => f.verdict.findings.map((finding) => [f, finding]));
    for (const { row: f, names } of collect(findings, (f) => [f.about, f.effect, f.sentence].join("\n")))
      list.append(html("li", {}, html("b", { text: D.words(f.about) }), html("span", { class: "effect", text: [f.effect && (EFFECT[f.effect] || D.words(f.effect)), where(names, files)].filter(Boolean).join("; ") }), html("span", { text: f.sentence })));
    element.append(list);
  }

  function prose(text) {
    const node = document.createDocumentFragment();
    let list = null;
    for (const line of String(text).split("\n").map((l) => l.trim())) {
      if (/^[-*] /.test(line)) {
        if (!list) node.append((list = html("ul")));
        list.append(html("li", { text: line.slice(2) }));
      } else {
        list = null;
        if (line) node.append(html("p", { text: line }));
      }
    }
    return node;
  }

  function reliabilityChart(rows, width) {
    const [left, top, bottom, height] = [44, 8, 158, 192];
    const right = Math.min(width - 12, left + 260);
    const x = D.linear(0, 1, left, right);
    const y = D.linear(0, 1, bottom, top);
    const say = (r) => `confidence ${D.fixed(r.confidence, 2)}: right in ${D.percent(r.accuracy)} of ${D.count(r.n)}`;
    const root = D.canvas(width, height, `Calibration. ${rows.map(say).join("; ")}`, (px) => say(rows[D.nearest(rows.map((r) => r.confidence), x.invert(px))]));
    const most = Math.max(...rows.map((r) => r.n));
    root.append(svg("path", { class: "guide", d: `M${x(0)} ${y(0)}L${x(1)} ${y(1)}` }), svg("path", { class: "curve", d: D.line(rows.map((r) => x(r.confidence)), rows.map((r) => y(r.accuracy))) }));
    for (const r of rows) root.append(svg("circle", { class: "point", cx: x(r.confidence), cy: y(r.accuracy), r: 2.5 + 4 * Math.sqrt(r.n / most) }));
    root.append(D.axisX(x, [0, 0.5, 1], bottom, { title: "confidence said" }), D.axisY(y, [0, 0.5, 1], left, { title: "share right", format: (v) => D.number(v) }));
    return D.figure("", root, "bare");
  }

  function modelCards(element, model, width) {
    element.replaceChildren();
    if (!model) return element.append(html("p", { class: "sub", text: "These labels come from no model." }));
    element.append(
      html("div", { class: "card" }, html("h3", { text: [model.name, model.version].filter(Boolean).join(" ") }), html("p", {}, "Licence of the weights: ", html("b", { text: model.licence ?? "not stated" }), ".")),
    );
    if (model.reliability?.length) {
      const rows = model.reliability.filter((r) => r.confidence !== null && r.accuracy !== null).sort((a, b) => a.confidence - b.confidence);
      element.firstChild.append(html("h4", { text: "Calibration" }), html("p", { class: "sub", text: "On the dashed line, a confidence of 0.8 is right in 80 of 100 units. Larger points: more units." }), reliabilityChart(rows, width));
    }
    for (const section of model.sections || []) element.append(html("div", { class: "card" }, html("h3", { text: section.heading }), prose(section.text)));
  }

  function facts(rows) {
    const list = html("dl", { class: "facts" });
    for (const [name, value, isCode] of rows) {
      if (value === null || value === undefined || value === "") continue;
      const text = typeof value === "object" ? JSON.stringify(value) : String(value);
      list.append(html("dt", { text: D.words(name) }), html("dd", {}, html(isCode ? "code" : "span", { text })));
    }
    return list;
  }
  function provenanceCards(element, files) {
    element.replaceChildren();
    for (const file of files) {
      const card = html("div", { class: "card" }, html("h3", { class: "file-name", text: file.name }));
      card.append(facts([["session", file.session_id], ["subject", file.subject_id], ["species", file.species], ["start", file.start_time], ["identifier", file.identifier, true], ["units table", file.units_path, true]]));
      if (file.run) {
        const { parameters, weights_sha256, input_sha256, ...run } = file.run;
        card.append(html("h4", { text: "Run" }), facts([...Object.entries(run), ["SHA-256 of the weights", weights_sha256, true], ["SHA-256 of the input", input_sha256, true]]));
        if (parameters && Object.keys(parameters).length) card.append(html("h4", { text: "Parameters" }), facts(Object.entries(parameters)));
      }
      if (file.runs?.length > 1) {
        card.append(html("h4", { text: "All runs of the file" }));
        card.append(facts(file.runs.map((r) => [r.name, [D.words(r.source_type), r.who, r.created].filter(Boolean).join(", ")])));
      }
      element.append(card);
    }
  }

  function notes(element, files) {
    const rows = collect(files.flatMap((f) => (f.notes || []).map((note) => [f, note])), (note) => note);
    element.replaceChildren(...rows.map(({ row, names }) => html("li", {}, row, html("span", { class: "effect", text: where(names, files) }))));
    if (!rows.length) element.append(html("li", { class: "sub", text: "Nothing." }));
  }

  return { bars, headline, coverageChart, verdict, modelCards, provenanceCards, notes, facts };
})();
