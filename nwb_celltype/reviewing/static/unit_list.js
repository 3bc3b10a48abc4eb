// The list at the side: quick filters, search, and one line a unit that shows what was said.
"use strict";
window.UnitList = (() => {
  const D = window.Drawing;
  const P = window.Panels;
  const { html } = D;
  const nameOf = (unit) => (unit.name && String(unit.name) !== String(unit.id) ? `${unit.id} (${unit.name})` : String(unit.id));

  const QUICK = [
    { key: "all", name: "All", keeps: () => true },
    { key: "undecided", name: "Undecided", keeps: (u, d) => !d?.verdict },
    { key: "abstained", name: "Unclassified", keeps: (u) => u.is_abstained },
    { key: "disputed", name: "Runs disagree", keeps: (u) => u.isDisputed },
    { key: "low", name: "Low confidence", keeps: (u, d, o) => u.confidence !== null && u.confidence < o.low },
    { key: "pairs", name: "Pairs", keeps: (u) => u.pairs.length > 0 },
    { key: "mine", name: "I disagree", keeps: (u, d) => Boolean(d?.verdict) && (d.verdict === "disagree" || d.verdict === "cannot_tell" || d.label !== u.label) },
    { key: "notes", name: "With a note", keeps: (u, d) => Boolean(d?.note) },
  ];

  function create(parts, payload, actions) {
    const state = { quick: "all", label: "", search: "", low: 0.8 };
    const rows = new Map();
    const counts = new Map();
    let visible = payload.units;
    let chosen = null;

    for (const quick of QUICK) {
      const count = html("span", { class: "n" });
      counts.set(quick.key, count);
      parts.quick.append(html("label", { class: "chip" }, html("input", { type: "radio", name: "quick", value: quick.key, checked: quick.key === "all", onchange: (event) => { state.quick = event.target.value; apply(); } }), html("span", { text: quick.name }), count));
    }
    const labels = [...new Set(payload.units.map((u) => u.label))].sort();
    parts.byClass.append(html("option", { value: "", text: "all" }), ...labels.map((label) => html("option", { value: label, text: label })));
    parts.byClass.addEventListener("change", () => { state.label = parts.byClass.value; apply(); });
    parts.low.addEventListener("input", () => { state.low = Number(parts.low.value); apply(); });
    parts.search.addEventListener("input", () => { state.search = parts.search.value.trim().toLowerCase(); apply(); });
    parts.form.addEventListener("submit", (event) => event.preventDefault());

    for (const unit of payload.units) {
      const mark = html("span", { class: "mark" });
      const said = html("span", { class: "said" });
      const row = html("li", { class: "row", "data-unit": unit.id, onclick: () => actions.open(unit) },
        mark, html("span", { class: "id", text: nameOf(unit), title: `Unit ${nameOf(unit)}` }),
        html("span", { class: unit.is_abstained ? "dot hollow" : "dot", colour: P.colourOf(payload, unit.label), title: unit.label }),
        html("span", { class: "label", text: unit.label }),
        html("span", { class: "confidence", text: unit.confidence === null ? "" : D.fixed(unit.confidence, 2) }), said);
      rows.set(unit.id, { row, mark, said });
      parts.list.append(row);
    }

    const textOf = (unit, decision) => [nameOf(unit), unit.label, unit.reason, unit.reason_detail, unit.layer, unit.region, unit.cell_id, decision?.note, decision?.label].filter(Boolean).join(" ").toLowerCase();
    function apply() {
      const quick = QUICK.find((one) => one.key === state.quick);
      const words = state.search.split(/\s+/).filter(Boolean);
      visible = payload.units.filter((unit) => {
        const decision = actions.decisionOf(unit);
        const keeps = quick.keeps(unit, decision, state) && (!state.label || unit.label === state.label) && (!words.length || words.every((word) => textOf(unit, decision).includes(word)));
        rows.get(unit.id).row.hidden = !keeps;
        return keeps;
      });
      count();
      actions.onFilter(visible);
    }
    function count() {
      for (const quick of QUICK) counts.get(quick.key).textContent = payload.units.filter((u) => quick.keeps(u, actions.decisionOf(u), state)).length;
      parts.shown.textContent = `${visible.length} of ${payload.units.length} shown`;
    }
    // What is said about a unit changed; the filters stay as they were applied until the next walk through them.
    function update(unit) {
      const { mark, said, row } = rows.get(unit.id);
      const decision = actions.decisionOf(unit);
      const differs = decision?.verdict && (decision.verdict === "disagree" || decision.verdict === "cannot_tell" || decision.label !== unit.label);
      mark.textContent = !decision?.verdict ? "" : differs ? "\u2260" : "\u2713";
      mark.title = decision?.verdict ? "decided" : "";
      row.classList.toggle("decided", Boolean(decision?.verdict));
      row.classList.toggle("waiting", actions.isWaiting(unit));
      said.textContent = differs ? (decision.verdict === "disagree" ? "not this" : decision.verdict === "cannot_tell" ? "?" : decision.label) : "";
      if (decision?.note) said.textContent += " \u270e";
    }
    function select(unit) {
      rows.get(chosen?.id)?.row.removeAttribute("aria-current");
      chosen = unit;
      const { row } = rows.get(unit.id);
      row.setAttribute("aria-current", "true");
      row.scrollIntoView({ block: "nearest" });
    }
    return {
      apply, update, select, count, state, visible: () => visible,
      focus: () => parts.quick.querySelector("input:checked").focus(), search: () => parts.search.focus(),
      reset: () => {
        parts.form.reset();
        Object.assign(state, { quick: "all", label: "", search: "", low: 0.8 });
        apply();
      },
    };
  }
  return { create, nameOf };
})();
