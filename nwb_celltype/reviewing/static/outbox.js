// What the page has said and the server has not yet confirmed. It lies in the browser's storage, one entry an event, so
// that a reload, a closed tab or a killed server loses nothing; the server takes each event once, however often it is sent.
"use strict";
window.Outbox = (() => {
  const ORPHAN_MS = 4000; // after this another tab sends what its own tab did not

  function open(reviewId, tab) {
    const prefix = `nwb-celltype-review/${reviewId}/`;
    const memory = new Map();
    let order = 0;
    let isKept = true; // whether the browser stores things at all

    function stored() {
      const found = [];
      try {
        for (let i = 0; i < localStorage.length; i++) {
          const key = localStorage.key(i);
          if (key?.startsWith(prefix)) found.push(JSON.parse(localStorage.getItem(key)));
        }
      } catch {
        isKept = false;
      }
      return found.filter((event) => event && typeof event.id === "string");
    }
    function put(event) {
      const full = { ...event, order: Date.now() * 1000 + (order++ % 1000) };
      memory.set(full.id, full);
      try {
        localStorage.setItem(prefix + full.id, JSON.stringify(full));
      } catch {
        isKept = false;
      }
      return full;
    }
    function remove(id) {
      memory.delete(id);
      try {
        localStorage.removeItem(prefix + id);
      } catch {
        isKept = false;
      }
    }
    // This tab's own events at once, those of a tab that does not send them after a while.
    function waiting() {
      const now = Date.now();
      for (const event of stored())
        if (!memory.has(event.id) && (event.tab === tab || now - event.order / 1000 > ORPHAN_MS)) memory.set(event.id, event);
      return [...memory.values()].sort((a, b) => a.order - b.order);
    }
    return { put, remove, waiting, size: () => memory.size, isKept: () => isKept };
  }

  // The same rules as on the server: what was taken back does not count, the last word does.
  function active(events) {
    const gone = new Set();
    const kept = [];
    for (let i = events.length - 1; i >= 0; i--) {
      const event = events[i];
      if (gone.has(event.id)) continue;
      kept.push(event);
      if (event.kind === "undo") gone.add(event.undoes);
    }
    return kept.reverse();
  }
  function fold(events, digests) {
    const found = new Map();
    for (const event of active(events)) {
      if (event.kind !== "decide" && event.kind !== "note") continue;
      const before = found.get(event.unit) || { verdict: "", label: "", note: "", event: "", made: "", digest: "" };
      if (event.kind === "decide")
        found.set(event.unit, { ...before, verdict: event.verdict, label: event.label, run: event.run, runLabel: event.run_label ?? "", made: event.made, event: event.id, tab: event.tab, digest: event.unit_sha256 });
      else found.set(event.unit, { ...before, note: event.note || "", made: before.made || event.made, digest: before.digest || event.unit_sha256 });
    }
    for (const [unit, one] of found) if ((!one.verdict && !one.note) || (one.digest && digests[unit] !== one.digest)) found.delete(unit);
    return found;
  }
  return { open, active, fold };
})();
