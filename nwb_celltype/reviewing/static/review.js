// The page comes to life: units are fetched ahead, keys decide, and every decision goes out until the server confirms it.
"use strict";
(async () => {
  const { Drawing: D, Panels: P, Outbox, UnitList, PairView, AgreementView } = window;
  const { html } = D;
  const at = (id) => document.getElementById(id);
  const token = new URLSearchParams(location.search).get("token") ?? "";
  const UNCLASSIFIED = "unclassified";
  const POLL_MS = 1000;
  const CHUNK = 20;

  // --- talking to the server
  class Refused extends Error {}
  async function ask(path, body = undefined) {
    const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    const headers = { "X-Review-Token": token, ...(body === undefined ? {} : { "Content-Type": "application/json" }) };
    const answer = await fetch(path, { ...options, headers, cache: "no-store" });
    if (answer.ok) return answer.json();
    const text = await answer.text();
    let sentence = text.trim();
    try {
      sentence = JSON.parse(text).error ?? sentence;
    } catch { /* plain text */ }
    const error = new Refused(sentence || `The server answers ${answer.status}.`);
    error.status = answer.status;
    throw error;
  }
  function banner(key, sentence, kind = "warn", isClosable = false) {
    let node = document.querySelector(`[data-banner="${key}"]`);
    if (!sentence) return node?.remove();
    if (!node) {
      node = html("p", { class: `banner ${kind}`, "data-banner": key }, html("span", {}));
      if (isClosable) node.append(html("button", { type: "button", class: "quiet", "aria-label": "Close", text: "\u2715", onclick: () => node.remove() }));
      at("banners").append(node);
    }
    if (node.firstChild.textContent !== sentence) node.firstChild.textContent = sentence;
  }
  function toast(sentence, kind = "") {
    const node = html("p", { class: `toast ${kind}`, text: sentence });
    at("toasts").append(node);
    while (at("toasts").children.length > 4) at("toasts").firstChild.remove();
    setTimeout(() => node.remove(), kind === "warn" ? 12000 : 5000);
  }

  let payload;
  try {
    payload = await ask("api/review");
  } catch (error) {
    return banner("start", `The review cannot be shown: ${error.message}`);
  }
  if (payload.format !== 1) return banner("start", `This page cannot read data of format ${payload.format}.`);
  const review = payload.review;
  const units = new Map(payload.units.map((unit, i) => [unit.id, Object.assign(unit, { at: i, pairs: [], isDisputed: false })]));
  for (const unit of payload.units) {
    const said = new Set(Object.values(unit.labels).filter((label) => label !== UNCLASSIFIED));
    unit.isDisputed = said.size > 1;
  }
  for (const pair of payload.pairs) for (const id of [pair.reference, pair.target]) units.get(id)?.pairs.push(pair);
  // in the order of the taxonomy, so that a key means the same class whichever model is looked at
  const classes = review.classes.map((label) => payload.classes.find((c) => c.label === label));
  const run = payload.files[0].run;
  document.title = `Review of ${review.file}`;
  at("title").textContent = review.file;
  at("about").textContent = `${review.by} looks at ${review.run} (${D.words(run.source_type ?? "run")})`;
  payload.files[0].notes.filter((text) => text.startsWith("CAUTION")).forEach((note, i) => banner(`note-${i}`, note, "warn", true));
  if (review.n_damaged) banner("damaged", `The journal has ${review.n_damaged} unreadable line(s), as a killed server leaves them. What the page had confirmed is whole.`, "mild");

  // A reload keeps the name of the tab; a copy of the tab gets a new one, since the name is held by a lock.
  async function ownName() {
    const kept = sessionStorage.getItem("review-tab") ?? crypto.randomUUID();
    const isFree = await new Promise((tell) => {
      navigator.locks.request(`nwb-celltype-review-tab/${kept}`, { ifAvailable: true }, (lock) => {
        tell(Boolean(lock));
        return lock ? new Promise(() => {}) : undefined; // held as long as the page is open
      });
    });
    const name = isFree ? kept : crypto.randomUUID();
    sessionStorage.setItem("review-tab", name);
    return name;
  }

  // --- decisions: those the server has, then those on their way
  const tab = await ownName();
  const outbox = Outbox.open(review.id, tab);
  const known = new Map(); // id -> event of the journal
  let since = 0;
  let server = { id: review.server, isThere: true, isSaved: true, saved: null, isSaving: false, file: { may_save: true } };
  let decisions = new Map();
  const waitingUnits = new Set();
  const everyEvent = () => [...known.values(), ...outbox.waiting().filter((event) => !known.has(event.id))];
  function refold() {
    const waiting = outbox.waiting();
    decisions = Outbox.fold([...known.values(), ...waiting.filter((event) => !known.has(event.id))], review.unit_sha256);
    waitingUnits.clear();
    for (const event of waiting) if (event.unit !== undefined) waitingUnits.add(event.unit);
  }
  const decisionOf = (unit) => decisions.get(unit.id);

  function say(kind, fields, unit) {
    const event = { id: crypto.randomUUID(), kind, tab, made: new Date().toISOString(), unit: unit?.id, unit_sha256: unit ? review.unit_sha256[unit.id] : undefined, ...fields };
    if (kind === "decide") Object.assign(event, { run: review.run, run_label: unit.label, seen: decisionOf(unit)?.event ?? "" });
    outbox.put(event);
    refold();
    if (unit) list.update(unit);
    list.count();
    progress();
    pill();
    flush();
    return event;
  }
  let sending = null;
  function flush() {
    sending ??= send().finally(() => (sending = null));
    return sending;
  }
  async function send() {
    for (let events = outbox.waiting().slice(0, 200); events.length; events = outbox.waiting().slice(0, 200)) {
      let answer;
      try {
        answer = await ask("api/events", { events, since });
      } catch (error) {
        troubled(error);
        return;
      }
      for (const { id, why } of answer.refused) {
        const event = events.find((one) => one.id === id);
        outbox.remove(id);
        toast(`Not recorded${event?.unit === undefined ? "" : ` (unit ${event.unit})`}: ${why}`, "warn");
      }
      take(answer);
      const left = new Set(outbox.waiting().map((event) => event.id));
      if (events.every((event) => left.has(event.id))) return; // what is not confirmed is tried again later, not at once
    }
  }
  function troubled(error) {
    const isRefused = error instanceof Refused;
    server.isThere = isRefused && error.status !== 403;
    const n = outbox.size();
    const kept = n ? ` ${n} decision${n === 1 ? " is" : "s are"} not recorded yet and kept in this browser${outbox.isKept() ? "" : " only while this tab is open"}.` : "";
    if (isRefused && error.status === 403) banner("server", `This address is old: the server was started anew. Open the address that it printed.${kept}`);
    else if (isRefused) banner("server", `${error.message}${kept}`);
    else banner("server", `The server does not answer.${kept} Start nwb-celltype review again; this page goes on by itself.`);
    pill();
  }
  // What the server knows; an event that it has is off this page's hands.
  function take(answer) {
    if (answer.server !== server.id) {
      server.id = answer.server;
      checkSame();
    }
    server.isThere = true;
    banner("server", "");
    const touched = new Set();
    for (const event of answer.events) {
      const isNews = !known.has(event.id);
      if (isNews && event.kind !== "saved") {
        const undone = event.kind === "undo" ? known.get(event.undoes) : null;
        const unit = event.unit ?? undone?.unit;
        if (unit !== undefined) touched.add(unit);
        if (event.tab !== tab && hasStarted) toastOther(event, unit);
        else if (event.replaces) toastReplaced(event);
      }
      known.set(event.id, event);
      outbox.remove(event.id);
    }
    since = answer.n;
    Object.assign(server, { isSaved: answer.is_saved, saved: answer.saved, isSaving: answer.is_saving, file: answer.file });
    banner("file", answer.file.condition === "same" ? "" : answer.file.sentence, answer.file.may_save ? "mild" : "warn");
    refold();
    for (const id of touched) {
      const unit = units.get(id);
      if (!unit) continue;
      list.update(unit);
      if (unit === current) drawDecision();
      else if (current?.pairs.some((pair) => pair.reference === id || pair.target === id)) drawPairSoon();
    }
    if (touched.size) list.count();
    progress();
    pill();
  }
  const words = (event) => (event.verdict === "disagree" ? "not this" : event.verdict === "cannot_tell" ? "cannot tell" : event.label);
  function toastOther(event, unit) {
    const before = decisions.get(unit);
    if (event.kind === "decide") toast(`Another tab: unit ${unit} is now ${words(event)}${before?.verdict ? `, it was ${words(before)}` : ""}.`, before?.verdict ? "warn" : "");
    else if (event.kind === "undo") toast(`Another tab took back what was said about unit ${unit}.`);
  }
  function toastReplaced(event) {
    const before = known.get(event.replaces);
    toast(`Unit ${event.unit}: another tab had just said ${before ? words(before) : "something else"}; yours (${words(event)}) holds now. Press u to take it back.`, "warn");
  }
  async function checkSame() {
    try {
      const fresh = await ask("api/review");
      const isSame = fresh.review.run === review.run && fresh.review.by === review.by && JSON.stringify(fresh.review.unit_sha256) === JSON.stringify(review.unit_sha256);
      if (!isSame) banner("data", "The review was started again with another run, person or data than this page shows. Reload the page.");
      since = 0;
    } catch { /* the next poll says what is wrong */ }
  }
  async function poll() {
    try {
      if (outbox.waiting().length) await flush();
      else take(await ask(`api/state?since=${since}`));
    } catch (error) {
      troubled(error);
    }
    setTimeout(poll, document.hidden ? 4 * POLL_MS : POLL_MS);
  }

  // --- saving
  let isSavingHere = false;
  async function save() {
    if (isSavingHere) return;
    isSavingHere = true;
    pill();
    try {
      await flush();
      if (outbox.size()) return toast("Not saved: some decisions are not recorded yet. They go out by themselves when the server answers; then save again.", "warn");
      const answer = await ask("api/save", { since });
      take(answer);
      toast(answer.is_new ? `Saved as run ${answer.run} in ${answer.file_name}.` : `Nothing new: run ${answer.run} says all this already.`);
    } catch (error) {
      if (error instanceof Refused && error.status !== 403) toast(`Not saved: ${error.message}`, "warn");
      else troubled(error);
    } finally {
      isSavingHere = false;
      pill();
    }
  }
  function pill() {
    const n = outbox.size();
    const node = at("saved");
    const decided = [...decisions.values()].length;
    let [text, kind] = ["No decision yet", "quiet"];
    if (n) [text, kind] = [`${n} not recorded yet`, server.isThere ? "busy" : "bad"];
    else if (!server.isThere) [text, kind] = ["Server does not answer", "bad"];
    else if (isSavingHere || server.isSaving) [text, kind] = ["Saving \u2026", "busy"];
    else if (!server.isSaved) [text, kind] = ["Recorded, not in the file yet", "open"];
    else if (decided && server.saved) [text, kind] = [`In the file: ${server.saved.run}`, "good"];
    node.className = `pill ${kind}`;
    if (node.textContent !== text) node.textContent = text;
    node.title = n ? "Kept in this browser until the server confirms it" : `Journal: ${review.journal}\nFile: ${review.target}`;
    at("save").disabled = isSavingHere;
  }
  function progress() {
    let n = 0;
    for (const unit of payload.units) if (decisionOf(unit)?.verdict) n++;
    const share = payload.units.length ? n / payload.units.length : 0;
    at("progress-fill").style.width = `${100 * share}%`;
    at("progress-text").textContent = `${n} of ${payload.units.length} decided`;
  }

  // --- units with their panels, fetched ahead
  const full = new Map();
  const chunks = new Map();
  function fetchChunk(number) {
    if (number < 0 || number * CHUNK >= payload.units.length) return Promise.resolve();
    if (!chunks.has(number))
      chunks.set(number, ask(`api/units?first=${number * CHUNK}&n=${CHUNK}`).then((found) => {
        for (const unit of found) full.set(unit.id, unit);
      }).catch((error) => {
        chunks.delete(number);
        troubled(error);
      }));
    return chunks.get(number);
  }
  const chunkOf = (unit) => Math.floor(unit.at / CHUNK);
  function fetchAround(unit) {
    const shown = list.visible();
    const place = shown.indexOf(unit);
    for (const one of shown.slice(Math.max(place - 2, 0), place + 12)) fetchChunk(chunkOf(one));
    for (const pair of unit.pairs) for (const id of [pair.reference, pair.target]) if (units.has(id)) fetchChunk(chunkOf(units.get(id)));
  }
  async function fetchRest() {
    for (let number = 0; number * CHUNK < payload.units.length; number++) await fetchChunk(number);
  }

  // --- the unit that is shown
  let current = null;
  let pairIsShown = true;
  async function open(unit, { fromHash = false } = {}) {
    closeNote();
    current = unit;
    if (!fromHash) history.replaceState(null, "", `#unit=${unit.id}`);
    list.select(unit);
    const shown = list.visible();
    const place = shown.indexOf(unit);
    at("unit-name").textContent = `Unit ${UnitList.nameOf(unit)}`;
    at("unit-place").textContent = place < 0 ? "not among those shown" : `${place + 1} of ${shown.length}`;
    drawAnswer();
    drawDecision();
    drawFacts();
    if (!full.has(unit.id)) {
      at("panels").replaceChildren(html("p", { class: "sub", text: "Loading \u2026" }));
      await fetchChunk(chunkOf(unit));
      if (current !== unit) return;
    }
    drawPanels();
    setTimeout(() => current === unit && fetchAround(unit), 0);
  }
  const pairOf = (unit) => (pairIsShown ? unit.pairs[0] : undefined);
  function drawPanels() {
    const whole = full.get(current.id);
    const pair = pairOf(current);
    at("pair").hidden = !pair;
    at("panels").hidden = Boolean(pair);
    if (pair) return drawPair();
    at("pair").replaceChildren();
    if (whole) P.draw(at("panels"), whole, payload);
  }
  async function drawPair() {
    const shown = current;
    const pair = pairOf(shown);
    if (!pair) return;
    const other = units.get(pair.reference === shown.id ? pair.target : pair.reference);
    PairView.draw(at("pair"), pair, shown, units, payload, { full: (unit) => full.get(unit.id), open, decisionOf });
    if (other && !full.has(other.id)) {
      await fetchChunk(chunkOf(other));
      if (current === shown && full.has(other.id)) drawPair();
    }
  }
  let pairTimer = 0;
  function drawPairSoon() {
    clearTimeout(pairTimer);
    pairTimer = setTimeout(drawPair, 50);
  }
  function drawAnswer() {
    const unit = current;
    const cls = P.classOf(payload, unit.label);
    const best = unit.is_abstained ? P.mostProbable(unit, payload) : null;
    at("answer").replaceChildren(
      html("p", { class: "who", text: review.run }),
      html("div", { class: "strip", colour: cls.colour },
        html("span", { class: unit.is_abstained ? "dot big hollow" : "dot big", colour: cls.colour }),
        html("div", { class: "grow" }, html("b", { text: unit.label }), html("span", { class: "sub", text: cls.name.toLowerCase() === unit.label.toLowerCase() ? "" : cls.name })),
        unit.confidence === null ? null : html("div", { class: "number" }, html("b", { text: D.fixed(unit.confidence, 2) }), html("span", { class: "sub", text: "confidence" }))),
      unit.is_abstained || unit.reason_detail
        ? html("p", { class: unit.reason === "out_of_distribution" ? "why stranger" : "why" }, unit.is_abstained ? html("b", { text: `${D.words(unit.reason ?? "no reason given")}. ` }) : null, unit.reason_detail ?? "", best ? ` Most probable: ${best.label}, ${D.fixed(best.probability, 2)}.` : "")
        : "");
  }
  function drawDecision() {
    const decision = decisionOf(current);
    const isDecided = Boolean(decision?.verdict);
    const colour = isDecided ? P.colourOf(payload, decision.label) : "var(--faint)";
    const saying = !isDecided ? "Not decided" : decision.verdict === "disagree" ? "Not this class" : decision.verdict === "cannot_tell" ? "Cannot tell" : decision.label;
    const agrees = isDecided && decision.label === current.label && decision.verdict !== "disagree" && decision.verdict !== "cannot_tell";
    const word = agrees ? "agrees" : current.is_abstained && decision?.verdict === "class" ? "names a class" : "disagrees";
    const about = !isDecided ? "" : `${word}${decision.run && decision.run !== review.run ? ` (looking at ${decision.run})` : ""}, ${new Date(decision.made).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })}`;
    at("decision").replaceChildren(
      html("p", { class: "who", text: review.by }),
      html("div", { class: isDecided ? "strip" : "strip empty", colour },
        html("span", { class: isDecided && decision.label !== UNCLASSIFIED ? "dot big" : "dot big hollow", colour }),
        html("div", { class: "grow" }, html("b", { text: saying }), html("span", { class: "sub", text: about })),
        waitingUnits.has(current.id) ? html("span", { class: "badge", text: "not recorded yet" }) : null),
      decision?.note ? html("p", { class: "why note", text: decision.note }) : "");
    for (const button of at("buttons").querySelectorAll("button[data-label]"))
      button.setAttribute("aria-pressed", String(isDecided && decision.verdict !== "disagree" && decision.verdict !== "cannot_tell" && decision.label === button.dataset.label));
    for (const button of at("buttons").querySelectorAll("button[data-verdict]"))
      button.setAttribute("aria-pressed", String(isDecided && (button.dataset.verdict === "agree" ? agrees : decision.verdict === button.dataset.verdict)));
  }
  function drawFacts() {
    const unit = current;
    const fact = (name, value) => (value === null || value === undefined || value === "" ? null : html("span", { class: "fact" }, html("span", { class: "fact-name", text: name }), " ", value));
    const rows = [
      fact("rate", unit.rate_hz === null ? null : `${D.number(unit.rate_hz)} Hz`), fact("spikes", unit.n_spikes === null ? null : D.count(unit.n_spikes)),
      fact("layer", unit.layer), fact("region", unit.region), fact("depth", unit.y_um === null ? null : `${D.number(unit.y_um, 4)} \u00b5m`),
      fact("strangeness", unit.ood_score === null ? null : D.fixed(unit.ood_score, 2)), unit.is_training_unit ? fact("caution", "the model was trained on this unit") : null,
    ];
    for (const [key, value] of Object.entries(unit.quality || {})) if (value !== null) rows.push(fact(D.words(key), typeof value === "number" ? D.number(value) : String(value)));
    for (const [name, label] of Object.entries(unit.labels || {}))
      if (name !== review.run) rows.push(fact(name, html("span", {}, html("span", { class: "dot", colour: P.colourOf(payload, label) }), label, label !== unit.label && label !== UNCLASSIFIED ? html("span", { class: "badge", text: "differs" }) : null)));
    at("facts").replaceChildren(...rows.filter(Boolean));
  }

  // --- what keys and buttons do
  function walk(step, from = current) {
    const shown = list.visible();
    if (!shown.length) return;
    let place = shown.indexOf(from);
    if (place < 0) place = shown.findIndex((unit) => unit.at > from.at) - (step > 0 ? 1 : 0);
    const next = shown[Math.min(Math.max(place + step, 0), shown.length - 1)];
    if (next !== current) open(next);
  }
  function decide(verdict, label) {
    if (!current) return;
    const unit = current;
    say("decide", { verdict, label }, unit);
    drawDecision();
    if (verdict !== "disagree" && at("go-on").checked) {
      const before = list.visible();
      walk(1, unit);
      if (before.at(-1) === unit) toast("This was the last unit of those shown.");
    } else if (unit.pairs.length && pairIsShown) drawPairSoon();
  }
  const agree = () => decide("agree", current.label);
  const disagree = () => decide("disagree", UNCLASSIFIED);
  const cannotTell = () => decide("cannot_tell", UNCLASSIFIED);
  const name = (label) => decide(label === current.label ? "agree" : "class", label);
  function undo() {
    const acts = Outbox.active(everyEvent()).filter((event) => event.kind === "decide" || event.kind === "note");
    const last = acts.findLast((event) => event.tab === tab) ?? acts.at(-1);
    if (!last) return toast("There is nothing to undo.");
    say("undo", { undoes: last.id });
    after(last, "Taken back");
  }
  function redo() {
    const last = Outbox.active(everyEvent()).findLast((event) => event.tab === tab && event.kind !== "saved");
    if (last?.kind !== "undo") return toast("There is nothing to do again.");
    say("undo", { undoes: last.id });
    after(everyEvent().find((event) => event.id === last.undoes), "Done again");
  }
  function after(event, word) {
    const unit = units.get(event?.unit);
    if (!unit) return;
    list.update(unit);
    toast(`${word}: unit ${unit.id}${event.kind === "note" ? ", note" : ` ${words(event)}`}.`);
    if (unit !== current) open(unit);
    else drawPanelsAfterDecision();
  }
  function drawPanelsAfterDecision() {
    drawDecision();
    if (pairOf(current)) drawPairSoon();
  }
  function openNote() {
    at("note-form").hidden = false;
    at("note").value = decisionOf(current)?.note ?? "";
    at("note").focus();
  }
  function closeNote() {
    if (at("note-form").hidden) return;
    at("note-form").hidden = true;
    at("unit").focus({ preventScroll: true });
  }
  function keepNote() {
    const text = at("note").value.trim();
    if (text !== (decisionOf(current)?.note ?? "")) say("note", { note: text }, current);
    closeNote();
    drawDecision();
  }
  function showView(name) {
    for (const view of ["units", "agreement"]) {
      at(view).hidden = view !== name;
      at(`tab-${view}`).setAttribute("aria-selected", String(view === name));
    }
    if (name === "agreement") agreement.show().catch((error) => toast(error.message, "warn"));
    else if (current) open(current);
  }

  const KEYS = [
    ["j \u2193 \u2192", "next unit"], ["k \u2191 \u2190", "previous unit"], ["a", "agree with the run"], ["d", "disagree, without naming a class"],
    [`1 \u2026 ${Math.min(classes.length, 9)}`, "this class"], ["0", "nobody can tell"], ["n", "note"], ["u", "undo"], ["U", "do again what was undone"],
    ["o", "go to the other unit of the cell"], ["p", "pair side by side, or one unit alone"], ["f", "filters (arrows choose, Esc leaves)"], ["F", "all filters off"],
    ["/", "search"], ["g", "next undecided unit"], ["s", "save into the file"], ["v", "units or agreement"], ["?", "these keys"],
  ];
  const ACTIONS = {
    j: () => walk(1), ArrowDown: () => walk(1), ArrowRight: () => walk(1), k: () => walk(-1), ArrowUp: () => walk(-1), ArrowLeft: () => walk(-1),
    Home: () => walk(-payload.units.length), End: () => walk(payload.units.length),
    a: agree, d: disagree, 0: cannotTell, n: openNote, u: undo, U: redo, s: save, f: () => list.focus(), F: () => list.reset(), "/": () => list.search(),
    o: () => { const pair = current.pairs[0]; const other = pair && units.get(pair.reference === current.id ? pair.target : pair.reference); if (other) open(other); },
    p: () => { pairIsShown = !pairIsShown; drawPanels(); },
    g: () => { const shown = list.visible(); const from = shown.indexOf(current); const next = [...shown.slice(from + 1), ...shown.slice(0, Math.max(from, 0))].find((unit) => !decisionOf(unit)?.verdict); if (next) open(next); else toast("Every unit of those shown is decided."); },
    v: () => showView(at("units").hidden ? "units" : "agreement"), "?": () => at("help").showModal(),
  };
  const ELSEWHERE = new Set(["s", "v", "?"]); // work in the other view too
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || at("help").open) return;
    const target = event.target;
    if (target === at("note")) {
      if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); keepNote(); }
      else if (event.key === "Escape") closeNote();
      return;
    }
    const isText = target.matches?.("input:not([type=checkbox]), select, textarea");
    if (isText) {
      const leaves = event.key === "Escape" || (event.key === "Enter" && target.type !== "radio");
      const isRadioLetter = target.type === "radio" && event.key.length === 1 && event.key !== " ";
      if (leaves || isRadioLetter) target.blur();
      if (!isRadioLetter) return;
    }
    if (event.key === "Enter" || event.key === " ") return; // of a button that has the focus
    const act = ACTIONS[event.key] ?? (/^[1-9]$/.test(event.key) && classes[Number(event.key) - 1] ? () => name(classes[Number(event.key) - 1].label) : null);
    if (!act || (at("units").hidden && !ELSEWHERE.has(event.key))) return;
    event.preventDefault();
    if (event.repeat && !["j", "k", "ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight"].includes(event.key)) return; // a held key decides once
    act();
  });

  // --- start
  const kbd = (text) => html("kbd", { text });
  at("buttons").append(
    html("button", { type: "button", class: "main", "data-verdict": "agree", onclick: () => agree() }, "Agree ", kbd("a")),
    html("button", { type: "button", "data-verdict": "disagree", onclick: () => disagree() }, "Disagree ", kbd("d")),
    ...classes.map((c, i) => html("button", { type: "button", "data-label": c.label, title: [c.name, c.definition].filter(Boolean).join(". "), onclick: () => name(c.label) }, html("span", { class: "dot", colour: c.colour }), ` ${c.label} `, i < 9 ? kbd(String(i + 1)) : "")),
    html("button", { type: "button", "data-verdict": "cannot_tell", onclick: () => cannotTell() }, "Cannot tell ", kbd("0")));
  at("tools").append(
    html("button", { type: "button", class: "quiet", onclick: () => openNote() }, "Note ", kbd("n")),
    html("button", { type: "button", class: "quiet", onclick: () => undo() }, "Undo ", kbd("u")));
  for (const id of ["buttons", "tools"]) at(id).addEventListener("click", (event) => { if (event.detail && document.activeElement?.tagName === "BUTTON") document.activeElement.blur(); }); // keys go on to work after a click
  at("keys").append(...KEYS.flatMap(([keys, what]) => [html("dt", {}, ...keys.split(" ").flatMap((key) => [kbd(key), " "])), html("dd", { text: what })]));
  at("help-where").textContent = `Decisions are recorded in ${review.journal} at once, and saved into ${review.target} with s.`;
  at("help-button").addEventListener("click", () => at("help").showModal());
  at("save").addEventListener("click", save);
  at("previous").addEventListener("click", () => walk(-1));
  at("next").addEventListener("click", () => walk(1));
  at("tab-units").addEventListener("click", () => showView("units"));
  at("tab-agreement").addEventListener("click", () => showView("agreement"));
  try {
    at("go-on").checked = localStorage.getItem("nwb-celltype-review-go-on") !== "no";
    at("go-on").addEventListener("change", () => localStorage.setItem("nwb-celltype-review-go-on", at("go-on").checked ? "yes" : "no"));
  } catch { /* a browser that keeps nothing */ }
  window.addEventListener("beforeunload", (event) => { if (outbox.size() && !outbox.isKept()) event.preventDefault(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) flush(); });

  const list = UnitList.create(
    { list: at("list"), quick: at("quick"), byClass: at("by-class"), low: at("low"), search: at("search"), shown: at("shown"), form: at("filters") },
    payload,
    {
      open: (unit) => { open(unit); at("unit").focus({ preventScroll: true }); }, decisionOf, isWaiting: (unit) => waitingUnits.has(unit.id),
      onFilter: (shown) => {
        if (!hasStarted || !shown.length) return;
        if (shown.includes(current)) at("unit-place").textContent = `${shown.indexOf(current) + 1} of ${shown.length}`;
        else open(shown[0]);
      },
    },
  );
  const agreement = AgreementView.create(at("agreement"), payload, ask, (id) => {
    showView("units");
    if (units.has(id)) open(units.get(id));
  });
  let hasStarted = false;
  refold();
  try {
    take(await ask("api/state?since=0"));
  } catch (error) {
    troubled(error);
  }
  for (const unit of payload.units) list.update(unit);
  list.apply();
  hasStarted = true;
  if (!payload.units.length) banner("empty", "The run names no units.");
  const asked = Number(/^#unit=(-?\d+)$/.exec(location.hash)?.[1] ?? NaN);
  const first = units.get(asked) ?? payload.units.find((unit) => !decisionOf(unit)?.verdict) ?? payload.units[0];
  if (first) await open(first);
  document.documentElement.dataset.ready = "yes";
  window.addEventListener("hashchange", () => {
    const unit = units.get(Number(/^#unit=(-?\d+)$/.exec(location.hash)?.[1] ?? NaN));
    if (unit && unit !== current) open(unit, { fromHash: true });
  });
  let width = 0;
  new ResizeObserver(() => {
    const now = at("unit").clientWidth;
    if (current && Math.abs(now - width) > 8) {
      width = now;
      drawPanels();
    }
  }).observe(at("unit"));
  poll();
  fetchRest();
})();
