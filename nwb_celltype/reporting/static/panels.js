// One unit's panels. Drawn as SVG by hand and not by Plotly, because the expert walks units with a key: one Plotly figure
// with subplots took 55 ms a unit (95th percentile 136) on two busy cores; a whole step with these, table and all, takes
// 14 ms of processor time.
"use strict";
window.Panels = (() => {
  const D = window.Drawing;
  const { svg, html } = D;
  let HEIGHT = 152; // of a drawing; `draw` sets it by the room there is
  const TYPES = { i16: Int16Array, u8: Uint8Array, f32: Float32Array };

  function bytesOf(base64) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64); // browsers since 2025
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }
  // P -> numbers. Raw values are little endian, as every machine that runs a browser is.
  function unpack(packed) {
    const raw = new TYPES[packed.d](bytesOf(packed.b).buffer);
    const out = new Float64Array(raw.length);
    const scale = packed.s ?? 1;
    const offset = packed.o ?? 0;
    for (let i = 0; i < raw.length; i++) out[i] = raw[i] * scale + offset;
    return out;
  }
  const maybe = (packed) => (packed ? unpack(packed) : null);
  const largest = (values) => values.reduce((most, v) => (Number.isFinite(v) && Math.abs(v) > most ? Math.abs(v) : most), 0);

  const classes = new WeakMap(); // payload -> label -> class
  function classOf(payload, label) {
    if (!classes.has(payload)) classes.set(payload, new Map(payload.classes.map((c) => [c.label, c])));
    return classes.get(payload).get(label) || { label, name: label, colour: payload.classes.at(-1).colour };
  }
  const colourOf = (payload, label) => classOf(payload, label).colour;

  // The likeliest class, also of a unit that was abstained on.
  function mostProbable(unit, payload) {
    if (!unit.probability || unit.probability.every((p) => p === null)) return null;
    let best = 0;
    unit.probability.forEach((p, i) => (p > unit.probability[best] ? (best = i) : 0));
    return { label: payload.classes[best].label, probability: unit.probability[best] };
  }

  // A panel that cannot be drawn takes no room: it is named below the others, with the reason.
  const missing = (title, why) => ({ title, why });

  function waveformPanel(unit, payload, width) {
    const title = "Waveform across channels";
    const wave = unit.waveform;
    if (!wave || !wave.channels.length) return missing(title, "no mean waveform");
    const channels = wave.channels.map((c) => ({ x: c.x_um ?? 0, y: c.y_um ?? 0, values: unpack(c.values) }));
    const distinct = (key) => [...new Set(channels.map((c) => Math.round(c[key])))].sort((a, b) => a - b);
    const [columns, rows] = [distinct("x"), distinct("y")];
    const [left, right, top, bottom] = [6, width - 46, 6, HEIGHT - 20];
    const traceWidth = Math.min(((right - left) / columns.length) * (columns.length > 1 ? 1.15 : 1), right - left);
    const rowHeight = (bottom - top) / rows.length;
    const most = largest(channels.flatMap((c) => Array.from(c.values))) || 1;
    const gain = Math.min(rowHeight * 1.5, (bottom - top) * 0.55) / most;
    const x = D.linear(columns[0], columns.at(-1), left, right - traceWidth);
    const reach = (row, sign) => gain * largest(channels.filter((c) => Math.round(c.y) === row).flatMap((c) => Array.from(c.values, (v) => Math.max(sign * v, 0))));
    const y = D.linear(rows[0], rows.at(-1), bottom - Math.max(reach(rows[0], -1), rowHeight / 2), top + Math.max(reach(rows.at(-1), 1), rowHeight / 2));
    const duration = wave.n * wave.dt_ms;
    const root = D.canvas(width, HEIGHT, `${title}: ${channels.length} channels, largest ${D.number(most)} ${unitOf(wave)}`);
    const order = channels.map((_, i) => i).sort((a, b) => (a === wave.peak) - (b === wave.peak)); // peak in front
    for (const i of order) {
      const { values } = channels[i];
      const start = columns.length > 1 ? x(Math.round(channels[i].x)) : left;
      const middle = rows.length > 1 ? y(Math.round(channels[i].y)) : (top + bottom) / 2;
      const xs = Array.from(values, (_, k) => start + (k / (values.length - 1 || 1)) * traceWidth * 0.96);
      const trace = svg("path", { d: D.line(xs, Array.from(values, (v) => middle - v * gain)), class: i === wave.peak ? "trace peak" : "trace" });
      if (i === wave.peak) trace.style.stroke = colourOf(payload, unit.label);
      root.append(trace);
    }
    const bar = D.niceStep(most / 2.2);
    const barHeight = bar * gain;
    const barWidth = (1 / duration) * traceWidth * 0.96;
    root.append(
      svg("path", { class: "scale", d: `M${right + 8} ${bottom - barHeight}V${bottom}` }),
      svg("text", { class: "tick", x: right + 12, y: bottom - barHeight / 2 + 3, text: D.number(bar) }),
      svg("text", { class: "tick", x: right + 12, y: bottom - barHeight / 2 + 14, text: unitOf(wave) }),
    );
    if (duration >= 1)
      root.append(
        svg("path", { class: "scale", d: `M${left} ${HEIGHT - 12}h${barWidth.toFixed(1)}` }),
        svg("text", { class: "tick", x: left + barWidth + 4, y: HEIGHT - 8, text: "1 ms" }),
      );
    return D.figure(title, root);
  }
  const unitOf = (wave) => (wave.scale_unit === "uV" ? "\u00b5V" : wave.scale_unit);

  // Contributions below a curve: up speaks for the class, down against it.
  function strip(root, edges, values, top, height) {
    const most = largest(values) || 1;
    const middle = top + height / 2;
    const pixels = Array.from(values, (v) => middle - (v / most) * (height / 2 - 1));
    root.append(
      svg("path", { class: "towards", d: D.outline(edges, pixels.map((p) => Math.min(p, middle)), middle) }),
      svg("path", { class: "against", d: D.outline(edges, pixels.map((p) => Math.max(p, middle)), middle) }),
      svg("path", { class: "base", d: `M${edges[0]} ${middle}H${edges.at(-1)}` }),
      svg("text", { class: "tick", x: edges[0] - 5, y: top + 8, "text-anchor": "end", text: "for" }),
      svg("text", { class: "tick", x: edges[0] - 5, y: top + height, "text-anchor": "end", text: "against" }),
    );
  }

  function peakPanel(unit, payload, width) {
    const title = "Peak channel and contributions";
    const wave = unit.waveform;
    if (!wave || !wave.channels[wave.peak]) return missing(title, "no mean waveform");
    const values = unpack(wave.channels[wave.peak].values);
    const times = Array.from(values, (_, i) => wave.t0_ms + i * wave.dt_ms);
    const moved = maybe(unit.explanation?.waveform);
    const lags = moved ? payload.axes.waveform_explained_ms : null;
    const [left, right, top] = [44, width - 8, 6];
    const bottom = moved ? HEIGHT - 66 : HEIGHT - 32;
    let [from, to] = [times[0], times.at(-1)];
    if (lags) [from, to] = [Math.max(from, lags[0] - 0.4), Math.min(to, lags.at(-1) + 0.4)];
    const x = D.linear(from, to, left, right);
    const inside = times.map((t, i) => (t >= from - 1e-9 && t <= to + 1e-9 ? i : -1)).filter((i) => i >= 0);
    const seen = inside.map((i) => values[i]).filter(Number.isFinite);
    const y = D.linear(Math.min(0, ...seen), Math.max(0, ...seen), bottom, top);
    const root = D.canvas(width, HEIGHT, `${title}: ${D.number(Math.min(...seen))} to ${D.number(Math.max(...seen))} ${unitOf(wave)}`, (px) => {
      const i = D.nearest(times, x.invert(px));
      const word = lags && px >= x(lags[0]) - 2 ? `, contribution ${D.number(moved[D.nearest(lags, times[i])], 2)}` : "";
      return `${D.fixed(times[i], 2)} ms: ${D.number(values[i])} ${unitOf(wave)}${word}`;
    });
    root.append(svg("path", { class: "base", d: `M${left} ${y(0)}H${right}M${x(0)} ${top}V${bottom}` }));
    const trace = svg("path", { class: "trace peak", d: D.line(inside.map((i) => x(times[i])), inside.map((i) => y(values[i]))) });
    trace.style.stroke = colourOf(payload, unit.label);
    root.append(trace, D.axisY(y, D.ticks(...y.domain, 3), left, { title: unitOf(wave) }));
    if (moved) strip(root, D.edgesAround(lags).map((t) => Math.min(Math.max(x(t), left), right)), moved, bottom + 3, 28);
    root.append(D.axisX(x, D.ticks(from, to, 5), HEIGHT - 32, { title: "ms from the peak" }));
    return D.figure(title, root);
  }

  function acgPanel(unit, payload, width) {
    const title = "Autocorrelogram and contributions";
    const values = maybe(unit.acg);
    if (!values) return missing(title, "not computed");
    const axis = payload.axes.acg_ms;
    const edges = axis.length === values.length ? D.edgesAround(axis) : axis;
    const moved = maybe(unit.explanation?.acg);
    const [left, right, top] = [44, width - 8, 6];
    const bottom = moved ? HEIGHT - 66 : HEIGHT - 32;
    const x = D.linear(edges[0], edges.at(-1), left, right);
    const y = D.linear(0, Math.max(largest(values), unit.rate_hz || 0) * 1.04 || 1, bottom, top);
    const centres = axis.length === values.length ? axis : edges.slice(1).map((e, i) => (e + edges[i]) / 2);
    const root = D.canvas(width, HEIGHT, `${title}: up to ${D.number(largest(values))} spikes per second`, (px) => {
      const i = D.nearest(centres, x.invert(px));
      return `${D.number(centres[i])} ms: ${D.number(values[i])} spikes/s`;
    });
    const area = svg("path", { class: "bars", d: D.outline(edges.map(x), Array.from(values, y), bottom) });
    area.style.fill = colourOf(payload, unit.label);
    root.append(area);
    if (unit.rate_hz) root.append(svg("path", { class: "guide", d: `M${left} ${y(unit.rate_hz)}H${right}` }));
    root.append(D.axisY(y, D.ticks(0, y.domain[1], 3), left, { title: "spikes/s" }));
    if (moved) {
      const lags = payload.axes.acg_explained_ms;
      const bounds = lags.length === moved.length ? D.edgesAround(lags) : lags;
      strip(root, bounds.map((t) => Math.min(Math.max(x(t), left), right)), moved, bottom + 3, 28);
    }
    root.append(D.axisX(x, D.ticks(edges[0], edges.at(-1), 4), HEIGHT - 32, { title: "lag (ms); dashed: mean rate" }));
    return D.figure(title, root);
  }

  function isiPanel(unit, payload, width) {
    const title = "Inter-spike intervals";
    const values = maybe(unit.isi);
    if (!values) return missing(title, "not computed");
    const edges = payload.axes.isi_ms;
    const [left, right, top, bottom] = [44, width - 8, 6, HEIGHT - 32];
    const first = edges[0] > 0 ? edges[0] : edges[1];
    const isLog = edges.length > 3 && edges[0] >= 0 && edges.at(-1) - edges.at(-2) > 1.5 * (edges[2] - edges[1]);
    const x = isLog ? D.logarithmic(first, edges.at(-1), left, right) : D.linear(edges[0], edges.at(-1), left, right);
    const y = D.linear(0, largest(values) * 1.04 || 1, bottom, top);
    const pixels = edges.map((e) => Math.max(x(e), left));
    const total = values.reduce((a, b) => a + b, 0) || 1;
    const root = D.canvas(width, HEIGHT, `${title} of ${D.count(unit.n_spikes)} spikes`, (px) => {
      let i = pixels.findIndex((p) => p > px) - 1;
      if (i < 0) i = px < left ? 0 : values.length - 1;
      return `${D.number(edges[i], 2)} to ${D.number(edges[i + 1], 2)} ms: ${D.fixed((100 * values[i]) / total, 1)} %`;
    });
    const area = svg("path", { class: "bars", d: D.outline(pixels, Array.from(values, y), bottom) });
    area.style.fill = colourOf(payload, unit.label);
    const marks = isLog ? D.decades(first, edges.at(-1)) : D.ticks(edges[0], edges.at(-1), 5);
    root.append(area, D.axisX(x, marks, bottom, { title: isLog ? "interval (ms, log scale)" : "interval (ms)" }));
    const share = D.linear(0, y.domain[1] / total, bottom, top);
    root.append(D.axisY(share, D.ticks(0, share.domain[1], 2), left, { format: (v) => `${D.number(100 * v, 2)}%`, title: "intervals" }));
    return D.figure(title, root);
  }

  // viridis by nine of its colours: even to the eye, and to eyes that see few colours.
  const VIRIDIS = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37]];
  const LOOK_UP = Uint8Array.from({ length: 768 }, (_, k) => {
    const place = (Math.floor(k / 3) / 255) * (VIRIDIS.length - 1);
    const low = Math.min(Math.floor(place), VIRIDIS.length - 2);
    return VIRIDIS[low][k % 3] + (place - low) * (VIRIDIS[low + 1][k % 3] - VIRIDIS[low][k % 3]);
  });
  function heat(values, columns, rows) {
    const most = largest(values) || 1;
    const picture = html("canvas", { width: columns, height: rows });
    const context = picture.getContext("2d");
    const image = context.createImageData(columns, rows);
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        const at = ((rows - 1 - row) * columns + column) * 4; // slowest firing at the bottom
        const colour = 3 * Math.round((Math.max(values[row * columns + column], 0) / most) * 255);
        image.data.set([LOOK_UP[colour], LOOK_UP[colour + 1], LOOK_UP[colour + 2], 255], at);
      }
    context.putImageData(image, 0, 0);
    return picture.toDataURL();
  }

  function acg3dPanel(unit, payload, width) {
    const title = "3D autocorrelogram";
    if (!unit.acg_3d) return missing(title, "not computed");
    const values = unpack(unit.acg_3d.values);
    const rates = unit.acg_3d.rates_hz;
    const rows = rates.length;
    const columns = values.length / rows;
    const lags = payload.axes.acg_3d_ms;
    const [left, right, top, bottom] = [44, width - 8, 6, HEIGHT - 32];
    const cell = (right - left) / columns;
    const place = (lag) => { // lags may be spaced by their logarithm, so a column is found and not computed
      const i = D.nearest(lags, lag);
      const j = Math.min(Math.max(lag < lags[i] ? i - 1 : i, 0), lags.length - 2);
      return left + cell * (j + 0.5 + (lag - lags[j]) / (lags[j + 1] - lags[j] || 1));
    };
    const root = D.canvas(width, HEIGHT, `${title}: ${rows} rows by firing rate, ${columns} lags`, (px, py) => {
      const column = Math.min(Math.max(Math.floor((px - left) / cell), 0), columns - 1);
      const row = Math.min(Math.max(Math.floor(((bottom - py) / (bottom - top)) * rows), 0), rows - 1);
      return `at ${D.number(rates[row])} Hz, lag ${D.number(lags[column])} ms: ${D.number(values[row * columns + column])}`;
    });
    root.append(svg("image", { x: left, y: top, width: right - left, height: bottom - top, preserveAspectRatio: "none", class: "heat", href: heat(values, columns, rows) }));
    const even = Math.abs(lags[1] - lags[0] - (lags.at(-1) - lags.at(-2))) < 1e-6 * Math.abs(lags.at(-1) - lags[0]) + 1e-9;
    const marks = even
      ? D.ticks(lags[0], lags.at(-1), 4)
      : [-1000, -100, -10, -1, 0, 1, 10, 100, 1000].filter((t) => t >= lags[0] && t <= lags.at(-1));
    const x = Object.assign(place, { domain: [lags[0], lags.at(-1)] });
    root.append(D.axisX(x, marks, bottom, { title: "lag (ms); bright: more spikes" }));
    const y = D.linear(0, rows, bottom, top);
    const band = Object.assign((row) => y(row + 0.5), { domain: [-0.5, rows - 0.5] });
    const shown = rows > 1 ? [0, Math.floor((rows - 1) / 2), rows - 1] : [0];
    root.append(D.axisY(band, shown, left, { format: (row) => D.number(rates[row], 2), title: "rate (Hz)" }));
    return D.figure(title, root);
  }

  function probabilityPanel(unit, payload, width) {
    const title = "Class probabilities";
    if (!unit.probability || unit.probability.every((p) => p === null)) return missing(title, "none in the run");
    const all = unit.probability.map((p, i) => ({ p: p ?? 0, label: payload.classes[i].label }));
    const kept = new Set([...all].sort((a, b) => b.p - a.p).slice(0, 8).map((row) => row.label));
    const rows = all.filter((row) => kept.has(row.label)); // of many classes the likeliest, in the order of all
    const best = mostProbable(unit, payload);
    const threshold = payload.files[unit.file]?.run?.threshold ?? null;
    const name = Math.min(130, 14 + 6.6 * Math.max(...rows.map((r) => r.label.length)));
    const [left, right, bottom] = [name + 12, width - 42, HEIGHT - 20];
    const step = Math.min((bottom - 4) / rows.length, 26);
    const x = D.linear(0, 1, left, right);
    const text = rows.map((r) => `${r.label} ${D.fixed(r.p, 2)}`).join(", ");
    const root = D.canvas(width, HEIGHT, `${title}: ${text}`);
    root.append(svg("path", { class: "base", d: `M${left} 2V${bottom}` }));
    rows.forEach((row, i) => {
      const middle = 4 + step * (i + 0.5);
      const bar = svg("rect", { x: left, y: middle - step * 0.32, width: Math.max(x(row.p) - left, 0.5), height: step * 0.64, rx: 1.5 });
      bar.style.fill = colourOf(payload, row.label);
      root.append(
        bar,
        svg("text", { class: row.label === best.label ? "name best" : "name", x: left - 6, y: middle + 4, "text-anchor": "end", text: row.label }, svg("title", { text: classOf(payload, row.label).name || row.label })),
        svg("text", { class: "name value", x: width - 2, y: middle + 4, "text-anchor": "end", text: D.fixed(row.p, 2) }),
      );
      if (row.label === best.label && unit.spread !== null) {
        const [low, high] = [x(Math.max(row.p - unit.spread, 0)), x(Math.min(row.p + unit.spread, 1))];
        root.append(svg("path", { class: "whisker", d: `M${low} ${middle}H${high}M${low} ${middle - 4}v8M${high} ${middle - 4}v8` }));
      }
    });
    if (threshold !== null) root.append(svg("path", { class: "guide", d: `M${x(threshold)} 2V${bottom}` }));
    const whisker = unit.spread === null ? "" : "whisker: \u00b11 s.d. of the ensemble";
    const guide = threshold === null ? "" : `dashed: threshold ${D.fixed(threshold, 2)}`;
    root.append(svg("text", { class: "tick", x: width - 2, y: HEIGHT - 5, "text-anchor": "end", text: [guide, whisker].filter(Boolean).join("; ") }));
    return D.figure(title, root);
  }

  function explanationPanel(unit, payload, width) {
    const title = "Why";
    const why = unit.explanation;
    if (!why) return missing("Explanation", "not computed");
    const rows = Object.entries(why.modalities || {}).map(([label, value]) => ({ label: D.words(label), value, strong: true }));
    const room = Math.max(7 - rows.length, 0);
    const statistics = [...(why.statistics || [])].filter((s) => s.value !== null).sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
    for (const s of statistics.slice(0, room)) rows.push({ label: D.words(s.name), value: s.value, strong: false });
    const limit = largest(rows.map((r) => r.value)) || 1;
    const [left, right, bottom] = [Math.min(150, width * 0.45), width - 44, HEIGHT - 20];
    const step = Math.min((bottom - 4) / Math.max(rows.length, 1), 24);
    const x = D.linear(-limit, limit, left, right);
    const root = D.canvas(width, HEIGHT, `${title} ${why.label}: ${rows.map((r) => `${r.label} ${D.number(r.value, 2)}`).join(", ")}`);
    root.append(svg("path", { class: "base", d: `M${x(0)} 2V${bottom}` }));
    rows.forEach((row, i) => {
      const middle = 4 + step * (i + 0.5);
      const [from, to] = [Math.min(x(0), x(row.value)), Math.max(x(0), x(row.value))];
      const full = row.label.length > 22 ? `${row.label.slice(0, 21)}\u2026` : row.label;
      root.append(
        svg("rect", { class: row.value >= 0 ? "towards" : "against", x: from, y: middle - step * 0.3, width: Math.max(to - from, 0.5), height: step * 0.6, rx: 1.5 }),
        svg("text", { class: row.strong ? "name best" : "name", x: left - 6, y: middle + 4, "text-anchor": "end", text: full }, svg("title", { text: row.label })),
        svg("text", { class: "name value", x: width - 2, y: middle + 4, "text-anchor": "end", text: D.fixed(row.value, 2) }),
      );
    });
    root.append(svg("text", { class: "tick", x: left, y: HEIGHT - 5, text: "against" }), svg("text", { class: "tick", x: right, y: HEIGHT - 5, "text-anchor": "end", text: "for" }));
    return D.figure(`${title} ${why.label}: change of probability`, root);
  }

  function neighbourPanel(unit, payload, width) {
    const title = "Nearest training units";
    if (!unit.neighbours?.length) return missing(title, "none known");
    const list = html("ol", { class: "neighbours" });
    for (const near of unit.neighbours)
      list.append(
        html(
          "li", {},
          html("span", { class: "dot", colour: colourOf(payload, near.label) }),
          html("b", { text: near.label }),
          html("span", { class: "lab", text: near.lab ?? "" }),
          html("span", { class: "distance", text: near.distance === null ? "" : D.fixed(near.distance, 2) }),
        ),
      );
    const shown = unit.is_abstained ? mostProbable(unit, payload)?.label : unit.label;
    const agree = unit.neighbours.filter((n) => n.label === shown).length;
    const figure = html("figure", { class: "panel" }, html("figcaption", {}, html("span", { text: title })), list);
    if (shown) figure.append(html("p", { class: "note", text: `${agree} of ${unit.neighbours.length} are ${shown}. Right: distance in the embedding.` }));
    return figure;
  }

  const ORDER = [waveformPanel, probabilityPanel, peakPanel, acgPanel, isiPanel, acg3dPanel, explanationPanel, neighbourPanel];

  // Draw one unit's panels into `element`; what stood there goes.
  function draw(element, unit, payload) {
    const total = element.clientWidth || 680;
    const columns = total >= 1240 ? 4 : total >= 960 ? 3 : total >= 540 ? 2 : 1;
    const width = Math.floor((total - 16 * (columns - 1)) / columns);
    const rows = Math.ceil(ORDER.length / columns);
    HEIGHT = Math.round(Math.min(Math.max((window.innerHeight - 220) / rows - 34, 152), 230, Math.max(width * 0.7, 152)));
    const grid = html("div", { class: "panels" });
    grid.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    const drawn = ORDER.map((panel) => panel(unit, payload, width));
    grid.append(...drawn.filter((panel) => panel instanceof Node));
    const absent = drawn.filter((panel) => !(panel instanceof Node));
    element.replaceChildren(grid);
    if (absent.length)
      element.append(html("p", { class: "absent" }, "Not there: ", absent.map((p) => `${p.title.toLowerCase()} (${p.why})`).join("; "), "."));
  }
  const clear = (element) => element.replaceChildren();

  return { unpack, bytesOf, draw, clear, classOf, colourOf, mostProbable };
})();
