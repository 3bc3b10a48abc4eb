// The map of the embedding and the probe, by Plotly: they are to be zoomed into, and saved as pictures.
"use strict";
window.Overview = (() => {
  const D = window.Drawing;
  const P = window.Panels;
  // Plotly reads some markup in its texts (links too), so that what files say is escaped.
  const plain = (text) => String(text ?? "").replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const SYMBOLS = { typed: "circle", stranger: "x-thin", abstained: "circle-open" };
  const stateOf = (unit) => (unit.reason === "out_of_distribution" ? "stranger" : unit.is_abstained ? "abstained" : "typed");
  const numbers = (a) => Array.from(a);

  function theme() {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(name).trim();
    return { ink: read("--ink"), muted: read("--muted"), line: read("--line"), card: read("--card"), band: read("--band"), faint: read("--faint") };
  }
  function layout(colours, extra) {
    return {
      font: { family: "system-ui, sans-serif", size: 12, color: colours.muted },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest", dragmode: "zoom", showlegend: false,
      hoverlabel: { bgcolor: colours.card, bordercolor: colours.line, font: { color: colours.ink } },
      ...extra,
    };
  }
  const config = (name) => ({
    displaylogo: false, responsive: false, displayModeBar: "hover",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
    toImageButtonOptions: { format: "svg", filename: name },
  });

  function hover(unit) {
    const rows = [`<b>unit ${plain(unit.name ?? unit.id)}</b>`, plain(unit.label) + (unit.confidence === null ? "" : `, confidence ${D.fixed(unit.confidence, 2)}`)];
    if (unit.reason) rows.push(plain(D.words(unit.reason)));
    if (unit.layer) rows.push(`layer ${plain(unit.layer)}`);
    return rows.join("<br>");
  }
  // One trace a class and state, so that their symbols differ; x and y by function.
  function unitTraces(units, payload, place, colours, size) {
    const groups = new Map();
    for (const unit of units) {
      const at = place(unit);
      if (!at) continue;
      const key = `${stateOf(unit)} ${unit.label}`;
      if (!groups.has(key)) groups.set(key, { state: stateOf(unit), label: unit.label, x: [], y: [], text: [], customdata: [] });
      const group = groups.get(key);
      group.x.push(at[0]);
      group.y.push(at[1]);
      group.text.push(hover(unit));
      group.customdata.push(unit.key);
    }
    const order = { abstained: 0, stranger: 1, typed: 2 };
    return [...groups.values()].sort((a, b) => order[a.state] - order[b.state]).map((g) => ({
      type: "scatter", mode: "markers", x: g.x, y: g.y, text: g.text, customdata: g.customdata, hoverinfo: "text", name: plain(g.label),
      marker: {
        symbol: SYMBOLS[g.state], size: g.state === "typed" ? size : size - 1, color: P.colourOf(payload, g.label), opacity: 1,
        line: g.state === "typed" ? { width: 1, color: colours.card } : { width: g.state === "stranger" ? 2 : 1.5, color: g.state === "stranger" ? colours.ink : P.colourOf(payload, g.label) },
      },
    }));
  }
  // The ring around the open unit is a shape and the last of them: Plotly moves one without drawing its points again.
  const ring = (at, colours) => ({
    type: "circle", xsizemode: "pixel", ysizemode: "pixel", xanchor: at?.[0] ?? 0, yanchor: at?.[1] ?? 0, x0: -10, x1: 10, y0: -10, y1: 10,
    line: { width: 2.5, color: colours.ink }, visible: Boolean(at),
  });

  function drawMap(element, payload, units, selected) {
    if (!payload.map) return false;
    const colours = theme();
    const training = payload.map.training;
    const traces = [];
    if (training) {
      const [x, y] = [P.unpack(training.x), P.unpack(training.y)];
      const byLabel = Map.groupBy ? Map.groupBy(training.label.keys(), (i) => training.label[i]) : grouped(training.label);
      for (const [label, rows] of byLabel)
        traces.push({
          type: "scatter", mode: "markers", x: rows.map((i) => x[i]), y: rows.map((i) => y[i]), hoverinfo: "text", name: plain(label),
          text: rows.map((i) => `training unit: ${plain(label)}${training.lab[i] ? `<br>lab: ${plain(training.lab[i])}` : ""}`),
          marker: { size: 5, color: P.colourOf(payload, label), opacity: 0.3 },
        });
    }
    traces.push(...unitTraces(units, payload, (u) => u.map, colours, 9));
    const axis = { showgrid: false, zeroline: false, showline: false, ticks: "", showticklabels: false, title: { standoff: 4, font: { size: 12 } } };
    const [titleX, titleY] = payload.map.axes.map((t) => ({ text: plain(t), standoff: 4, font: { size: 12 } }));
    window.Plotly.react(element, traces, layout(colours, {
      width: element.clientWidth, height: 440, margin: { l: 26, r: 6, t: 6, b: 26 }, uirevision: "map", shapes: [ring(selected?.map, colours)],
      xaxis: { ...axis, title: titleX }, yaxis: { ...axis, title: titleY },
    }), config("map"));
    return true;
  }
  function grouped(labels) {
    const out = new Map();
    labels.forEach((label, i) => (out.get(label) || out.set(label, []).get(label)).push(i));
    return out;
  }

  // Shanks: sites whose x are further apart than 100 um are on different ones.
  function shanks(xs) {
    const sorted = [...new Set(xs)].sort((a, b) => a - b);
    const out = [];
    for (const x of sorted) {
      if (out.length && x - out.at(-1).to <= 100) out.at(-1).to = x;
      else out.push({ from: x, to: x });
    }
    return out;
  }
  // Units of one site stand beside each other: each goes to the nearest free place in its row.
  function swarm(units, width, height, domain) {
    const pitch = 11;
    const toPixel = D.linear(domain.y[0], domain.y[1], height, 0);
    const scale = (domain.x[1] - domain.x[0]) / width;
    const taken = [];
    const places = new Map();
    for (const unit of [...units].sort((a, b) => a.y_um - b.y_um)) {
      const py = toPixel(unit.y_um);
      const near = taken.filter((t) => Math.abs(t.py - py) < pitch);
      let x = unit.x_um;
      for (let step = 0; step < 60; step++) {
        const shift = Math.ceil(step / 2) * (step % 2 ? 1 : -1) * 4 * scale;
        x = unit.x_um + shift;
        if (near.every((t) => Math.hypot((t.x - x) / scale, t.py - py) >= pitch)) break;
      }
      taken.push({ x, py });
      places.set(unit.key, [x, unit.y_um]);
    }
    return places;
  }
  // Neighbours in depth with one layer make a band; where layers alternate (folds), so do the bands.
  function bands(units, shank) {
    const rows = units.filter((u) => u.layer && u.x_um >= shank.from - 50 && u.x_um <= shank.to + 50).sort((a, b) => a.y_um - b.y_um);
    const runs = [];
    for (const unit of rows) {
      const last = runs.at(-1);
      if (last && (last.layer === unit.layer || last.to === unit.y_um)) last.to = unit.y_um;
      else runs.push({ layer: unit.layer, from: last ? (last.to + unit.y_um) / 2 : unit.y_um, to: unit.y_um });
    }
    runs.forEach((run, i) => (run.to = runs[i + 1]?.from ?? run.to));
    return runs;
  }

  let lastPlaces = new Map();
  function drawProbe(element, payload, file, units, everyUnit, selected) {
    const placed = everyUnit.filter((u) => u.file === file && u.y_um !== null).map((u) => ({ ...u, x_um: u.x_um ?? 0 }));
    const sites = payload.files[file].probe;
    if (!placed.length) return false;
    const colours = theme();
    const width = element.clientWidth;
    const height = 440;
    const real = (values) => (values || []).filter((v) => v !== null);
    const allX = [...real(sites?.x_um), ...placed.map((u) => u.x_um)];
    const allY = [...real(sites?.y_um), ...placed.map((u) => u.y_um)];
    const limits = (values, pad) => values.reduce(([a, b], v) => [Math.min(a, v - pad), Math.max(b, v + pad)], [Infinity, -Infinity]);
    const groups = shanks(allX);
    const spanX = groups.at(-1).to - groups[0].from;
    const domain = { x: limits(allX, Math.max(spanX * 0.2, 60)), y: limits(allY, 40) };
    lastPlaces = swarm(placed, width - 70, height - 52, domain);
    const wanted = new Set(units.map((u) => u.key));
    const shapes = [];
    const annotations = [];
    const names = [...new Set(placed.map((u) => u.layer).filter(Boolean))].sort();
    for (const shank of groups) {
      const [x0, x1] = groups.length > 1 ? [shank.from - 45, shank.to + 45] : domain.x;
      for (const band of bands(placed, shank)) {
        shapes.push({ type: "rect", layer: "below", x0, x1, y0: band.from, y1: band.to, line: { width: 0 }, fillcolor: colours.band, opacity: [0.25, 0.6, 1][names.indexOf(band.layer) % 3] });
        const tall = (Math.abs(band.to - band.from) / (domain.y[1] - domain.y[0])) * height;
        if (tall > 13) annotations.push({ x: x1, y: (band.from + band.to) / 2, text: plain(band.layer), showarrow: false, xanchor: "right", font: { size: 10, color: colours.muted } });
      }
    }
    const traces = [];
    if (sites)
      traces.push({ type: "scatter", mode: "markers", x: sites.x_um, y: sites.y_um, hoverinfo: "skip", marker: { symbol: "square", size: 3.5, color: colours.faint } });
    const front = placed.filter((u) => wanted.has(u.key));
    traces.push(...unitTraces(front, payload, (u) => lastPlaces.get(u.key), colours, 9));
    shapes.push(ring(selected && lastPlaces.get(selected.key), colours));
    window.Plotly.react(element, traces, layout(colours, {
      width, height, margin: { l: 52, r: 8, t: 6, b: 40 }, shapes, annotations, uirevision: `probe ${file}`,
      xaxis: { range: domain.x, showgrid: false, zeroline: false, title: { text: "across (\u00b5m)", standoff: 6 }, nticks: 4 },
      yaxis: { range: domain.y, gridcolor: colours.line, zeroline: false, title: { text: "along the probe (\u00b5m)", standoff: 6 } },
    }), config("probe"));
    return true;
  }

  function mark(element, at) {
    if (element.layout) window.Plotly.relayout(element, { [`shapes[${element.layout.shapes.length - 1}]`]: ring(at, theme()) });
  }
  const placeOnProbe = (unit) => lastPlaces.get(unit.key);

  return { drawMap, drawProbe, mark, placeOnProbe };
})();
