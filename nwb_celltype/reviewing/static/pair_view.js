// Two units of one cell side by side, with the cross-correlogram that says so.
"use strict";
window.PairView = (() => {
  const D = window.Drawing;
  const P = window.Panels;
  const { svg, html } = D;
  const HEIGHT = 190;

  function correlogram(pair, units, payload, width) {
    const [reference, target] = [units.get(pair.reference), units.get(pair.target)];
    const title = `Spikes of unit ${pair.target} around those of unit ${pair.reference}`;
    if (!pair.rate_hz) {
      const empty = D.canvas(width, HEIGHT, `${title}: no sound spike times`);
      empty.append(svg("text", { class: "missing", x: width / 2, y: HEIGHT / 2, "text-anchor": "middle", text: "No sound spike times." }));
      return D.figure(title, empty);
    }
    const [left, right, top, bottom] = [48, width - 10, 8, HEIGHT - 32];
    const edges = D.edgesAround(pair.lag_ms);
    const most = Math.max(...pair.rate_hz, target?.rate_hz || 0) * 1.05 || 1;
    const x = D.linear(edges[0], edges.at(-1), left, right);
    const y = D.linear(0, most, bottom, top);
    const root = D.canvas(width, HEIGHT, `${title}, up to ${D.number(most)} spikes per second`, (px) => {
      const i = D.nearest(pair.lag_ms, x.invert(px));
      return `${D.number(pair.lag_ms[i])} ms: ${D.number(pair.rate_hz[i])} spikes/s`;
    });
    const area = svg("path", { class: "bars", d: D.outline(edges.map(x), pair.rate_hz.map(y), bottom) });
    area.style.fill = P.colourOf(payload, target?.label ?? "unclassified");
    root.append(area);
    if (target?.rate_hz) root.append(svg("path", { class: "guide", d: `M${left} ${y(target.rate_hz)}H${right}` }));
    const zero = svg("path", { class: "zero", d: `M${x(0)} ${top}V${bottom}` });
    zero.style.stroke = P.colourOf(payload, reference?.label ?? "unclassified");
    root.append(zero, D.axisY(y, D.ticks(0, most, 3), left, { title: "spikes/s" }), D.axisX(x, D.ticks(-50, 50, 4), bottom, { title: `ms from a spike of unit ${pair.reference}; dashed: mean rate` }));
    return D.figure(title, root, "ccg");
  }

  // `full` gives a unit with its panels, or null while it is on its way.
  function draw(element, pair, shown, units, payload, actions) {
    const isPurkinje = [pair.reference, pair.target].some((id) => Object.values(units.get(id)?.labels ?? {}).some((label) => label.startsWith("PkC")));
    const width = Math.min(Math.max(element.clientWidth * 0.46, 300), 560);
    const text = html("div", { class: "pair-words" },
      html("h3", { text: `Cell ${pair.cell_id}` }),
      html("p", { class: "sub", text: `Linked by ${pair.runs.join(", ")}.${isPurkinje ? " In one Purkinje cell the simple spikes fall silent for some ten milliseconds after each complex spike." : ""}` }),
      html("div", { class: "mates" }, ...[pair.reference, pair.target].map((id) => mate(units.get(id), id === shown.id, payload, actions))));
    const head = html("div", { class: "pair-head" }, correlogram(pair, units, payload, width), text);
    const sides = html("div", { class: "sides" });
    element.replaceChildren(head, sides);
    // the same unit on the same side, whichever of the two is looked at
    for (const unit of [pair.reference, pair.target].map((id) => units.get(id)).filter(Boolean)) {
      const area = html("div", { class: unit === shown ? "side-panels shown" : "side-panels" });
      sides.append(html("section", { "aria-label": `Unit ${unit.id}` }, html("h3", { text: `Unit ${window.UnitList.nameOf(unit)}` }), area));
      const whole = actions.full(unit);
      if (whole) P.draw(area, whole, payload);
      else area.append(html("p", { class: "sub", text: "Loading \u2026" }));
    }
  }
  function mate(unit, isShown, payload, actions) {
    if (!unit) return html("p", { class: "sub", text: "The other unit is not in the run." });
    const decision = actions.decisionOf(unit);
    const said = decision?.verdict ? `you: ${decision.verdict === "disagree" ? "not this" : decision.verdict === "cannot_tell" ? "cannot tell" : decision.label}` : "undecided";
    return html("button", { type: "button", class: isShown ? "mate shown" : "mate", disabled: isShown, colour: P.colourOf(payload, unit.label), onclick: () => actions.open(unit), title: isShown ? "" : "Go to this unit (o)" },
      html("b", { text: `Unit ${unit.id}` }), html("span", { class: "dot", colour: P.colourOf(payload, unit.label) }), html("span", { text: unit.label }), html("span", { class: "sub", text: said }));
  }
  return { draw };
})();
