"""Pairs of complex-spike and simple-spike units become an annotation run, one cell id for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nwb_celltype.annotation import SOFTWARE_URL, Annotation, now
from nwb_celltype.errors import UsageError
from nwb_celltype.evidence.complex_spikes import REFERENCES, Pair, cs_ss_pairs
from nwb_celltype.evidence.pauses import PauseRule
from nwb_celltype.runs import Method
from nwb_celltype.taxonomy import CEREBELLUM, UNCLASSIFIED
from nwb_celltype.units import Units

_NO_PAIR = "No other unit forms a pair of complex and simple spikes with it."


def purkinje_cells(
    units: Units,
    pairs: Sequence[Pair] | None = None,
    *,
    rule: PauseRule | None = None,
    max_distance_um: float = 250.0,
    groups: Sequence[str] | None = None,
    run_name: str = "cs_ss_pause_rule",
) -> Annotation:
    """Label the units of Purkinje cells that show the pause of simple spikes after complex spikes.

    Parameters
    ----------
    units : Units
    pairs : sequence of Pair, optional
        From `cs_ss_pairs`; searched for by default.
    rule : PauseRule, optional
        By which the pairs were or are to be found.
    max_distance_um : float
    groups : sequence of str, optional
        As in `cs_ss_pairs`.
    run_name : str

    Returns
    -------
    Annotation
        A rule's run: ``PkC_ss`` and ``PkC_cs`` with one `cell_id` for each pair, all other units abstained.

    Raises
    ------
    UsageError
        If a pair names an unknown unit, or a unit is in two pairs.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> units = Units.from_arrays([np.sort(rng.uniform(0, 60, 60)), np.sort(rng.uniform(0, 60, 3000))])
    >>> purkinje_cells(units).reason.tolist()
    ['not_labelled', 'not_labelled']
    """
    rule = rule or PauseRule()
    if pairs is None:
        pairs = cs_ss_pairs(units, rule=rule, max_distance_um=max_distance_um, groups=groups)
    n = len(units)
    labels = np.full(n, UNCLASSIFIED, dtype="U12")
    details = np.full(n, _NO_PAIR, dtype=object)
    cell_ids = np.full(n, "", dtype=object)
    evidence: list[tuple[Mapping[str, Any], ...]] = [()] * n
    for pair in pairs:
        for unit_id, other, label in (
            (pair.cs_unit_id, pair.ss_unit_id, "PkC_cs"),
            (pair.ss_unit_id, pair.cs_unit_id, "PkC_ss"),
        ):
            row = units.row_of(unit_id)
            if labels[row] != UNCLASSIFIED:
                message = f"Unit {unit_id} is in two pairs; a unit belongs to one Purkinje cell."
                raise UsageError(message)
            labels[row], cell_ids[row] = label, pair.cell_id
            details[row] = f"Paired with unit {other}."
            evidence[row] = ({"kind": "cs_ss_pause", "note": pause_sentence(pair, rule)},)
    abstained = labels == UNCLASSIFIED
    return Annotation(
        unit_ids=np.asarray(units.unit_ids, dtype=np.int64),
        cell_type=labels.astype(str),
        is_abstained=abstained,
        reason=np.where(abstained, "not_labelled", "").astype(str),
        reason_detail=details.astype(str),
        taxonomy=CEREBELLUM,
        method=_method(rule, max_distance_um),
        description="Purkinje cells by the pause of simple spikes after complex spikes, a rule; not ground truth.",
        run_name=run_name,
        cell_id=cell_ids.astype(str) if pairs else None,
        evidence=tuple(evidence) if pairs else None,
        input_sha256=units.sha256(),
        created=now(),
    )


def pause_sentence(pair: Pair, rule: PauseRule) -> str:
    """Numbers of a pause in a sentence."""
    seen = pair.statistics
    apart = "" if np.isnan(pair.distance_um) else f", peak channels {pair.distance_um:.0f} um apart"
    return (
        f"Simple spikes of unit {pair.ss_unit_id} pause after complex spikes of unit {pair.cs_unit_id}: "
        f"{seen.per_12_ms_before:.2f} in the 12 ms before, {seen.per_12_ms_after:.2f} in the 12 ms after; "
        f"{seen.rate_after_hz:.3g} spikes/s from {rule.after_ms[0]:g} to {rule.after_ms[1]:g} ms after, "
        f"{seen.rate_before_hz:.3g} before, {seen.rate_local_hz:.3g} usually; next simple spike after "
        f"{seen.pause_ms:.1f} ms (median); {seen.n_complex_spikes} complex spikes, p {seen.p:.2g}, "
        f"{pair.adjusted_p:.2g} after correction for {pair.n_pairs_tested} pairs tested{apart}."
    )


def _method(rule: PauseRule, max_distance_um: float) -> Method:
    from nwb_celltype import __version__

    return Method(
        "rule",
        {
            "software": "nwb-celltype",
            "software_version": __version__,
            "software_url": SOFTWARE_URL,
            "parameters": {**rule.parameters(), "max_distance_um": max_distance_um},
            "references": list(REFERENCES),
        },
    )
