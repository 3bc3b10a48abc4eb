// Small tools to draw charts as SVG: elements, scales, ticks, paths. Text reaches the page by textContent alone, so that
// nothing a file says can become markup.
"use strict";
window.Drawing = (() => {
  const NAMESPACE = "http://www.w3.org/2000/svg";

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "text") node.textContent = value;
      else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "colour") node.style.setProperty("--colour", value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children) if (child !== null && child !== undefined) node.append(child);
    return node;
  }
  const html = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  const svg = (tag, attributes, ...children) => fill(document.createElementNS(NAMESPACE, tag), attributes, children);

  function linear(from, to, start, end) {
    const span = to - from || 1;
    const scale = (value) => start + ((value - from) / span) * (end - start);
    scale.invert = (pixel) => from + ((pixel - start) / (end - start || 1)) * span;
    scale.domain = [from, to];
    return scale;
  }
  function logarithmic(from, to, start, end) {
    const inner = linear(Math.log(from), Math.log(to), start, end);
    const scale = (value) => inner(Math.log(Math.max(value, from * 1e-3)));
    scale.invert = (pixel) => Math.exp(inner.invert(pixel));
    scale.domain = [from, to];
    return scale;
  }

  // Round numbers between two limits, about as many as asked for.
  function ticks(from, to, count) {
    const step = niceStep((to - from) / Math.max(count, 1));
    const out = [];
    for (let k = Math.ceil(from / step - 1e-9); k * step <= to + step * 1e-9; k++) out.push(k * step);
    return out;
  }
  function niceStep(rough) {
    if (!(rough > 0)) return 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    return power * [1, 2, 5, 10].find((m) => m * power >= rough * 0.999);
  }
  function decades(from, to) {
    const out = [];
    for (let k = Math.ceil(Math.log10(from) - 1e-9); 10 ** k <= to * 1.0001; k++) out.push(10 ** k);
    return out;
  }

  const MINUS = "\u2212";
  function number(value, digits = 3) {
    if (value === null || value === undefined || !Number.isFinite(value)) return "\u2013";
    const size = Math.abs(value);
    const rounded = size >= 1e4 ? Math.round(value).toLocaleString("en-GB") : String(Number(value.toPrecision(digits)));
    return rounded.replace("-", MINUS);
  }
  const fixed = (value, digits) =>
    value === null || value === undefined ? "\u2013" : (Number(value.toFixed(digits)) || 0).toFixed(digits).replace("-", MINUS);
  const percent = (share) => (share === null || share === undefined ? "\u2013" : `${Math.round(100 * share)}\u00a0%`);
  const count = (value) =>
    value === null || value === undefined ? "\u2013" : Math.round(value).toLocaleString("en-GB");

  // The path of a line; a value that is not a number leaves a gap.
  function line(xs, ys) {
    let path = "";
    let pen = "M";
    for (let i = 0; i < ys.length; i++) {
      if (Number.isFinite(ys[i])) {
        path += `${pen}${xs[i].toFixed(1)} ${ys[i].toFixed(1)}`;
        pen = "L";
      } else pen = "M";
    }
    return path;
  }
  // The outline of touching bars between `edges` (one more than `tops`), closed on the base line.
  function outline(edges, tops, base) {
    let path = `M${edges[0].toFixed(1)} ${base.toFixed(1)}`;
    for (let i = 0; i < tops.length; i++) {
      const top = (Number.isFinite(tops[i]) ? tops[i] : base).toFixed(1);
      path += `V${top}H${edges[i + 1].toFixed(1)}`;
    }
    return `${path}V${base.toFixed(1)}Z`;
  }
  function edgesAround(centres) {
    const n = centres.length;
    if (n === 1) return [centres[0] - 0.5, centres[0] + 0.5];
    const edges = [centres[0] - (centres[1] - centres[0]) / 2];
    for (let i = 1; i < n; i++) edges.push((centres[i - 1] + centres[i]) / 2);
    edges.push(centres[n - 1] + (centres[n - 1] - centres[n - 2]) / 2);
    return edges;
  }
  function nearest(sorted, value) {
    let low = 0;
    let high = sorted.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (sorted[middle] > value) high = middle;
      else low = middle;
    }
    return value - sorted[low] <= sorted[high] - value ? low : high;
  }

  function axisX(scale, values, y, { format = number, title = null } = {}) {
    const group = svg("g", { class: "axis" });
    const [left, right] = scale.domain.map(scale);
    group.append(svg("path", { d: `M${left} ${y}H${right}` + values.map((v) => `M${scale(v).toFixed(1)} ${y}v4`).join("") }));
    for (const value of values)
      group.append(svg("text", { x: scale(value), y: y + 14, "text-anchor": "middle", text: format(value) }));
    if (title) group.append(svg("text", { class: "title", x: (left + right) / 2, y: y + 27, "text-anchor": "middle", text: title }));
    return group;
  }
  function axisY(scale, values, x, { format = number, title = null } = {}) {
    const group = svg("g", { class: "axis" });
    const [bottom, top] = scale.domain.map(scale);
    group.append(svg("path", { d: `M${x} ${bottom}V${top}` + values.map((v) => `M${x} ${scale(v).toFixed(1)}h-4`).join("") }));
    for (const value of values)
      group.append(svg("text", { x: x - 6, y: scale(value) + 3.5, "text-anchor": "end", text: format(value) }));
    if (title)
      group.append(
        svg("text", { class: "title", transform: `translate(${x - 34} ${(bottom + top) / 2}) rotate(-90)`, "text-anchor": "middle", text: title }),
      );
    return group;
  }

  // An empty drawing; `read(x, y)` says what lies under the pointer, in a sentence.
  function canvas(width, height, label, read = null) {
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "drawing" });
    root.readout = read;
    return root;
  }
  // A figure with its caption; what the pointer reads stands at the caption's right end.
  function figure(title, drawing, className = "") {
    const output = html("span", { class: "readout", "aria-hidden": "true" });
    const node = html("figure", { class: `panel ${className}` }, html("figcaption", {}, html("span", { text: title }), output), drawing);
    if (drawing.readout) {
      drawing.addEventListener("pointermove", (event) => {
        const box = drawing.getBoundingClientRect();
        const zoom = drawing.viewBox.baseVal.width / box.width;
        output.textContent = drawing.readout((event.clientX - box.left) * zoom, (event.clientY - box.top) * zoom) || "";
      });
      drawing.addEventListener("pointerleave", () => (output.textContent = ""));
    }
    return node;
  }
  const words = (name) => String(name).replaceAll("_", " ");

  return {
    html, svg, linear, logarithmic, ticks, niceStep, decades, number, fixed, percent, count, line, outline, edgesAround,
    nearest, axisX, axisY, canvas, figure, words,
  };
})();
