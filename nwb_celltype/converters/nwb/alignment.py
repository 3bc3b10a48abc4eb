"""How every stream's clock was brought to the session clock: a table, and the same in words."""

from __future__ import annotations

from typing import Any

import numpy as np

from nwb_celltype.converters.clocks import Clock, ClockFit
from nwb_celltype.converters.records import SourceSession

_TABLE = "clock_alignment"


def all_clocks(session: SourceSession) -> tuple[Clock, ...]:
    """Clocks of all streams, the session clock first, each stream once."""
    clocks = [clock for r in session.recordings for clock in (r.clock, r.lfp_clock) if clock is not None]
    by_stream: dict[str, Clock] = {}
    for clock in (*clocks, *session.clocks):
        by_stream.setdefault(clock.stream, clock)
    return tuple(by_stream.values())


def write_alignment(nwbfile: Any, session: SourceSession) -> None:
    """Add the table ``clock_alignment`` to ``processing/ecephys`` where there is more than one stream."""
    from hdmf.common import DynamicTable, VectorData  # type: ignore[import-untyped,unused-ignore]

    clocks = all_clocks(session)
    module = nwbfile.processing.get("ecephys")
    if len(clocks) < 2 or (module is not None and _TABLE in module.data_interfaces):
        return
    fits = [clock.fit for clock in clocks]
    numbers = {
        "n_edges": "Pairs of sync edges that the fit uses.",
        "n_unmatched": "Sync edges of either stream without a partner.",
        "drift_ppm": "How much faster the stream's clock ran than the session clock, parts per million.",
        "residual_us_median": "Median distance of the sync edges from the fit, microseconds.",
        "residual_us_max": "Largest distance of a sync edge from the fit, microseconds.",
        "n_jumps": "Places where the offset between the clocks changed at once: samples were lost.",
        "longest_gap_s": "Longest time without a matched edge, seconds.",
    }
    columns: dict[str, tuple[str, Any]] = {
        "stream": ("Stream of the acquisition system.", [clock.stream for clock in clocks]),
        "reference": ("Stream whose sync edges it was matched to.", [fit.reference if fit else "" for fit in fits]),
        "method": ("How samples of the stream became seconds of the session.", [_method(c, clocks[0]) for c in clocks]),
    }
    for name, description in numbers.items():
        values = np.array([getattr(fit, name) if fit else np.nan for fit in fits], dtype=np.float64)
        if np.isfinite(values).any():
            columns[name] = (description, values)
    if module is None:
        module = nwbfile.create_processing_module(name="ecephys", description="Extracellular electrophysiology.")
    made = [VectorData(name=name, description=text, data=data) for name, (text, data) in columns.items()]
    description = "How the clocks of all streams were aligned; spikes, pulses and traces are on that of the first."
    module.add(DynamicTable(name=_TABLE, description=description, columns=made, colnames=list(columns)))


def alignment_sentences(session: SourceSession) -> tuple[str, ...]:
    """State the clock of every stream in a sentence each."""
    clocks = all_clocks(session)
    if not clocks:
        return ()
    said = [
        f"Session clock: stream {clocks[0].stream}, 0 s is when its sample counter was 0 "
        f"(the file begins at sample {clocks[0].first_sample})."
    ]
    for clock in clocks[1:]:
        fit = clock.fit
        if fit is None:
            said.append(f"Stream {clock.stream}: {_method(clock, clocks[0])}.")
            continue
        said.append(
            f"Stream {clock.stream}: aligned to {fit.reference} by {fit.n_edges} sync edges "
            f"({fit.n_unmatched} unmatched), drift {fit.drift_ppm:.3f} ppm, residual median "
            f"{fit.residual_us_median:.1f} and at most {fit.residual_us_max:.1f} microseconds{_jumps(fit)}."
        )
    return tuple(said)


def _jumps(fit: ClockFit) -> str:
    return f"; its offset jumps at {fit.n_jumps} places, where samples were lost" if fit.n_jumps else ""


def _method(clock: Clock, first: Clock) -> str:
    if clock is first:
        return "session clock"
    if clock.fit is not None:
        return "sync edges, piecewise linear"
    if clock.how:
        return clock.how
    if not clock.is_nominal:
        return "times that the source states, piecewise linear"
    return "nominal sampling rate, not aligned by sync edges"
