// How far the runs of the file agree: tables, kappa, and the units in dispute.
"use strict";
window.AgreementView = (() => {
  const D = window.Drawing;
  const P = window.Panels;
  const { html } = D;
  const kappa = (value) => (value === null ? "not defined" : D.fixed(value, 3));

  function create(element, payload, ask, open) {
    let chosen = null;
    let met = null;
    async function show() {
      element.replaceChildren(html("p", { class: "sub", text: "Comparing \u2026" }));
      const runs = await ask("api/runs");
      // a run that was saved meanwhile stands for the one that it supersedes
      const fresh = runs.filter((run) => !run.is_superseded && !(met?.has(run.name))).map((run) => run.name);
      const kept = [...(chosen ?? [])].filter((name) => runs.some((run) => run.name === name && !run.is_superseded));
      chosen = new Set([...kept, ...fresh]);
      met = new Set(runs.map((run) => run.name));
      for (const run of runs) if (chosen.size < 2) chosen.add(run.name);
      const boxes = html("fieldset", { class: "runs" }, html("legend", { text: "Runs to compare" }), ...runs.map((run) =>
        html("label", {}, html("input", { type: "checkbox", checked: chosen.has(run.name), value: run.name, onchange: (event) => {
          if (event.target.checked) chosen.add(run.name);
          else chosen.delete(run.name);
          compare(result);
        } }), html("b", { text: run.name }), html("span", { class: "sub", text: ` ${D.words(run.source_type)}, ${run.who}${run.is_superseded ? ", superseded" : ""}` }))));
      const result = html("div", { class: "result" });
      element.replaceChildren(html("h2", { text: "Agreement" }), boxes, result);
      await compare(result);
    }
    async function compare(result) {
      if (chosen.size < 2) {
        result.replaceChildren(html("p", { text: "Two runs are needed to compare. Decisions count here once they are saved." }));
        return;
      }
      let found;
      try {
        found = await ask("api/agreement", { runs: [...chosen] });
      } catch (error) {
        result.replaceChildren(html("p", { class: "trouble", text: error.message }));
        return;
      }
      const fleiss = found.runs.length > 2 ? html("p", { class: "headline", text: `Fleiss\u2019 kappa of all ${found.runs.length} runs: ${kappa(found.fleiss_kappa)}, over ${found.n_fleiss} units.` }) : null;
      result.replaceChildren(...[fleiss, html("div", { class: "pairs" }, ...found.pairs.map(pairCard)), disputes(found), html("ul", { class: "sub notes" }, ...found.notes.map((text) => html("li", { text })))].filter(Boolean));
    }
    function pairCard(pair) {
      const most = Math.max(1, ...pair.table.flat());
      const shade = (n, isSame) => {
        const cell = html("td", { class: isSame ? "same" : n ? "other" : "none", text: n || "\u00b7" });
        if (n) cell.style.setProperty("--share", `${Math.round(12 + (60 * n) / most)}%`);
        return cell;
      };
      const head = (label) => html("span", {}, html("span", { class: "dot", colour: P.colourOf(payload, label) }), ` ${label}`);
      return html("section", { class: "card" },
        html("h3", {}, html("span", { text: pair.first }), html("span", { class: "sub", text: " and " }), html("span", { text: pair.second })),
        html("p", { class: "headline", text: `Cohen\u2019s kappa ${kappa(pair.kappa)}` }),
        html("p", { class: "sub", text: `Both name a class for ${pair.n_labelled} of ${pair.n_judged} units${pair.share === null ? "" : `, the same for ${pair.n_same} (${D.percent(pair.share)})`}. Only ${pair.first}: ${pair.n_first_only}; only ${pair.second}: ${pair.n_second_only}; neither: ${pair.n_neither}. With unclassified as a class: ${kappa(pair.kappa_with_unclassified)}.` }),
        html("div", { class: "scroll" }, html("table", { class: "confusion" },
          html("thead", {}, html("tr", {}, html("th", { class: "corner", text: `rows: ${pair.first}, columns: ${pair.second}` }), ...pair.labels.map((label) => html("th", { scope: "col" }, head(label))))),
          html("tbody", {}, ...pair.labels.map((label, i) => html("tr", {}, html("th", { scope: "row" }, head(label)), ...pair.table[i].map((n, j) => shade(n, i === j))))))));
    }
    function disputes(found) {
      if (!found.disputed.length) return html("p", { text: "No unit is in dispute." });
      const names = found.runs.map((run) => run.name);
      return html("section", { class: "card" }, html("h3", { text: `Units in dispute: ${found.disputed.length}` }),
        html("div", { class: "scroll" }, html("table", { class: "disputes" }, html("thead", {}, html("tr", {}, html("th", { text: "Unit" }), ...names.map((name) => html("th", { text: name })))),
          html("tbody", {}, ...found.disputed.map((row) => html("tr", {}, html("td", {}, html("button", { type: "button", class: "link", text: String(row.unit_id), onclick: () => open(row.unit_id) })),
            ...names.map((name) => html("td", {}, row.labels[name] ? html("span", { class: "dot", colour: P.colourOf(payload, row.labels[name]) }) : null, ` ${row.labels[name] || "\u2013"}`))))))));
    }
    return { show };
  }
  return { create };
})();
