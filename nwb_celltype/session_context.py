"""What units recorded together say about one another: complex and simple spikes of one Purkinje cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from nwb_celltype.annotation import Annotation
from nwb_celltype.evidence.cell_pairs import pause_sentence
from nwb_celltype.evidence.complex_spikes import REFERENCES, Pair, cs_ss_pairs
from nwb_celltype.evidence.pauses import PauseRule
from nwb_celltype.quality import Finding, Verdict
from nwb_celltype.runs import Method
from nwb_celltype.units import Units

_SEARCHED = frozenset({"PkC_cs", "PkC_ss"})
# Units that no label can be given to, whatever others do.
_OUTSIDE = ("species", "region", "poor_quality", "invalid_data", "no_modality")
_MAX_DISTANCE_UM = 250.0
_PROBE_COLUMNS = ("probe", "probe_name", "probe_id", "electrode_group_name")


def with_context(
    annotation: Annotation, units: Units, *, rule: PauseRule | None = None, max_distance_um: float = _MAX_DISTANCE_UM
) -> Annotation:
    """Add to a classifier's annotation what pairs of complex and simple spikes say.

    The two units of a pair get one `cell_id` and evidence of the kind ``cs_ss_pause``. No label is changed: where the
    model names a unit of a pair otherwise, its `reason_detail` and the verdict say so.

    Parameters
    ----------
    annotation : Annotation
        From `annotate_units`.
    units : Units
        The same units, in the same order.
    rule : PauseRule, optional
    max_distance_um : float
        Between peak channels; pairs whose distance is not known are looked at.

    Returns
    -------
    Annotation
        The same object where the model knows no Purkinje cells, or no two units could be a pair.

    Examples
    --------
    >>> import numpy as np
    >>> import nwb_celltype as nct
    >>> rng = np.random.default_rng(0)
    >>> units = nct.Units.from_arrays([np.sort(rng.uniform(0, 60, 60)), np.sort(rng.uniform(0, 60, 3000))])
    >>> annotation = nct.annotate_units(units)
    >>> with_context(annotation, units).cell_id is None
    True
    """
    if not set(annotation.taxonomy.labels) >= _SEARCHED:
        return annotation
    rule = rule or PauseRule()
    eligible = _may_pair(annotation, units, rule)
    if len(eligible) < 2:
        return annotation
    chosen = units.select(eligible)
    pairs = cs_ss_pairs(chosen, rule=rule, max_distance_um=max_distance_um, groups=_probes(chosen))
    if not pairs:
        return annotation
    return _added(annotation, units, pairs, rule, max_distance_um)


def contradictions(annotation: Annotation, pair: Pair) -> dict[int, tuple[str, str]]:
    """Labels of the units of a pair that say something else than the pause: (label, what the pause says) by unit id.

    Units that the model abstained on contradict nothing.
    """
    found = {}
    for unit_id, expected in ((pair.cs_unit_id, "PkC_cs"), (pair.ss_unit_id, "PkC_ss")):
        row = int(np.flatnonzero(annotation.unit_ids == unit_id)[0])
        if not annotation.is_abstained[row] and annotation.cell_type[row] != expected:
            found[unit_id] = (str(annotation.cell_type[row]), expected)
    return found


def _may_pair(annotation: Annotation, units: Units, rule: PauseRule) -> list[int]:
    """Ids of the units that may be of a pair: inside the model's scope, with enough spikes."""
    inside = ~np.isin(annotation.reason, _OUTSIDE)
    enough = np.asarray(units.spike_times.counts) >= rule.min_complex_spikes
    return [int(units.unit_ids[row]) for row in np.flatnonzero(inside & enough)]


def _probes(units: Units) -> list[str] | None:
    """Probe of each unit where a column says it; positions are those on a probe, so units of two are never paired."""
    for name in _PROBE_COLUMNS:
        if name in units.column_names:
            return [str(value) for value in units.column(name)]
    return None


def _added(
    annotation: Annotation, units: Units, pairs: list[Pair], rule: PauseRule, max_distance_um: float
) -> Annotation:
    n = len(annotation)
    cell_id = np.full(n, "", dtype=object) if annotation.cell_id is None else annotation.cell_id.astype(object)
    evidence: list[tuple[Mapping[str, Any], ...]] = list(annotation.evidence or [()] * n)
    detail = annotation.reason_detail.astype(object)
    against = 0
    for pair in pairs:
        wrong = contradictions(annotation, pair)
        against += bool(wrong)
        for unit_id, other, expected in (
            (pair.cs_unit_id, pair.ss_unit_id, "PkC_cs"),
            (pair.ss_unit_id, pair.cs_unit_id, "PkC_ss"),
        ):
            row = units.row_of(unit_id)
            cell_id[row] = pair.cell_id
            evidence[row] = (*evidence[row], {"kind": "cs_ss_pause", "note": pause_sentence(pair, rule)})
            if unit_id in wrong:
                said = f"Contradicted: the pause between units {pair.cs_unit_id} and {pair.ss_unit_id} says {expected}."
            elif annotation.is_abstained[row]:
                said = f"Its pause with unit {other} says {expected}."
            else:
                continue
            detail[row] = f"{detail[row]} {said}".strip()
    return replace(
        annotation,
        cell_id=cell_id.astype(str),
        evidence=tuple(evidence),
        reason_detail=detail.astype(str),
        verdict=_verdict(annotation.verdict, len(pairs), against),
        method=_method(annotation.method, pairs, rule, max_distance_um),
    )


def _verdict(verdict: Verdict | None, n_pairs: int, against: int) -> Verdict | None:
    if verdict is None or not against:
        return verdict
    sentence = (
        f"{against} of {n_pairs} pairs of complex and simple spikes, found by their pause, "
        f"{'contradicts' if against == 1 else 'contradict'} the labels."
    )
    status = "typable with caution" if verdict.status == "typable" else verdict.status
    return Verdict(status, (*verdict.findings, Finding("context", "flag", sentence)))


def _method(method: Method, pairs: list[Pair], rule: PauseRule, max_distance_um: float) -> Method:
    parameters = dict(method.fields.get("parameters") or {})
    parameters["session_context"] = {
        **rule.parameters(),
        "max_distance_um": max_distance_um,
        "n_pairs_tested": pairs[0].n_pairs_tested,
        "n_pairs": len(pairs),
    }
    references = [*method.fields.get("references", ()), *REFERENCES]
    return Method(method.source_type, {**method.fields, "parameters": parameters, "references": references})
