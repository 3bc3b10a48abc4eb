// The unit that is open: who it is, what it was called and why, and its panels.
"use strict";
window.UnitView = (() => {
  const D = window.Drawing;
  const P = window.Panels;
  const { html } = D;

  function head(unit, payload) {
    const cls = P.classOf(payload, unit.label);
    const top = html("div", { class: "unit-class", colour: cls.colour },
      html("span", { class: unit.is_abstained ? "dot big hollow" : "dot big", colour: cls.colour }),
      html("div", {}, html("b", { text: unit.label }), html("span", { class: "sub", text: cls.name && cls.name.toLowerCase() !== unit.label.toLowerCase() ? cls.name : "" })),
    );
    if (unit.confidence !== null) top.append(html("div", { class: "figure-big" }, html("b", { text: D.fixed(unit.confidence, 2) }), html("span", { class: "sub", text: "confidence" })));
    const node = html("div", { class: "unit-head" }, top);
    if (unit.is_abstained) {
      const best = P.mostProbable(unit, payload);
      node.append(html("p", { class: unit.reason === "out_of_distribution" ? "why stranger" : "why" },
        html("b", { text: `Unclassified: ${D.words(unit.reason ?? "no reason given")}. ` }), unit.reason_detail ?? "",
        best ? html("span", { class: "best-guess", text: ` Most probable: ${best.label}, ${D.fixed(best.probability, 2)}.` }) : null));
    } else if (unit.reason_detail) node.append(html("p", { class: "why", text: unit.reason_detail }));
    return node;
  }

  function fact(name, value) {
    return value === null || value === undefined || value === "" ? null : html("span", { class: "fact" }, html("span", { class: "fact-name", text: name }), " ", value);
  }
  function facts(unit, payload) {
    const node = html("div", { class: "unit-facts" });
    const partner = unit.partner && payload.units.find((u) => u.key === unit.partner);
    const link = partner && html("a", { href: `#unit=${encodeURIComponent(partner.key)}`, class: "partner" }, html("span", { class: "dot", colour: P.colourOf(payload, partner.label) }), `unit ${window.UnitTable.name(partner)} (${partner.label})`);
    const rows = [
      fact("same cell as", link || null), fact("cell", unit.cell_id),
      fact("file", payload.files.length > 1 ? html("span", { class: "file-name", text: payload.files[unit.file].name }) : null),
      fact("rate", unit.rate_hz === null ? null : `${D.number(unit.rate_hz)} Hz`), fact("spikes", unit.n_spikes === null ? null : D.count(unit.n_spikes)),
      fact("layer", unit.layer), fact("region", unit.region), fact("position", unit.y_um === null ? null : `${D.number(unit.y_um, 4)} \u00b5m`),
      fact("strangeness", unit.ood_score === null ? null : D.fixed(unit.ood_score, 2)),
    ];
    for (const [key, value] of Object.entries(unit.quality || {}))
      if (value !== null) rows.push(fact(D.words(key), typeof value === "number" ? D.number(value) : String(value)));
    const shown = payload.files[unit.file].run?.name;
    for (const [run, label] of Object.entries(unit.labels || {}))
      if (run !== shown) rows.push(fact(run, html("span", {}, html("span", { class: "dot", colour: P.colourOf(payload, label) }), label, label !== unit.label && label !== "unclassified" ? html("span", { class: "badge", text: "differs" }) : null)));
    node.append(...rows.filter(Boolean));
    return node;
  }

  function create(aside, payload, actions) {
    const title = html("h2", {});
    const place = html("span", { class: "sub" });
    const button = (text, label, act) => html("button", { type: "button", class: "icon", "aria-label": label, title: label, onclick: act, text });
    const bar = html("div", { class: "unit-bar" }, title, place, html("span", { class: "grow" }),
      button("\u2191", "Previous unit (k)", () => actions.walk(-1)), button("\u2193", "Next unit (j)", () => actions.walk(1)), button("\u2715", "Close (Esc)", actions.close));
    const top = html("div", {});
    const panels = html("div", { class: "panel-area" });
    aside.append(bar, top, panels);
    let current = null;
    let width = 0;

    function show(unit, position, total) {
      current = unit;
      aside.hidden = false;
      aside.dataset.key = unit.key;
      title.textContent = `Unit ${window.UnitTable.name(unit)}`;
      place.textContent = position < 0 ? "not among those shown" : `${position + 1} of ${total}`;
      top.replaceChildren(head(unit, payload), facts(unit, payload));
      P.draw(panels, unit, payload);
      width = panels.clientWidth;
    }
    function hide() {
      current = null;
      aside.hidden = true;
      P.clear(panels);
    }
    new ResizeObserver(() => {
      if (current && Math.abs(panels.clientWidth - width) > 8 && !window.matchMedia("print").matches) {
        width = panels.clientWidth;
        P.draw(panels, current, payload);
      }
    }).observe(panels);
    return { show, hide };
  }
  return { create, head, facts };
})();
