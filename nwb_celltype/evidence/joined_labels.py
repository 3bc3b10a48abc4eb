"""A person's own labels, with what was measured beside them: the person's label wins, and conflicts are said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from nwb_celltype.annotation import Annotation
from nwb_celltype.errors import UsageError
from nwb_celltype.evidence.tagged_units import NO_TAGS

_LATENCY_TOLERANCE_MS = 1.0
_NUMBERS = ("latency_ms", "jitter_ms", "reliability", "salt_p", "waveform_correlation")


def join_evidence(own: Annotation, proposed: Annotation) -> Annotation:
    """Add measured evidence to a run of somebody's own labels.

    Labels, abstentions, confidence and source type stay as that person gave them, whatever a rule proposes; so a run
    is ground truth only if the person's table says so. The person's own evidence comes first, then what was measured.
    Where the two do not agree, the note of the first measured piece says so. Parameters of each rule that was joined
    go into the run's, under ``evidence_measured_by`` and the name of the rule.

    Parameters
    ----------
    own : Annotation
        From `nwb_celltype.labelling.annotate_from_table`.
    proposed : Annotation
        A run of a rule, with evidence: `identified` or `purkinje_cells`.

    Returns
    -------
    Annotation
        Rows of `own`, in its order; units that it does not name are left out.

    Raises
    ------
    UsageError
        If `proposed` is itself no rule's.

    Examples
    --------
    >>> import numpy as np
    >>> from nwb_celltype.evidence import Stimulation, identified
    >>> from nwb_celltype.label_table import LabelRow
    >>> from nwb_celltype.labelling import annotate_from_table
    >>> from nwb_celltype.units import Units
    >>> onsets = np.arange(1.0, 201.0)
    >>> units = Units.from_arrays([np.sort(np.random.default_rng(0).uniform(0, 200, 2000))])
    >>> rows = [LabelRow(2, 0, "MLI", None, "", "", "", {})]
    >>> own = annotate_from_table(units, rows, source_type="ground_truth", by="our lab")
    >>> joined = join_evidence(own, identified(units, [Stimulation("laser", onsets, 0.005, tags="MLI")]))
    >>> joined.cell_type.tolist(), joined.evidence[0][0]["note"].split(".")[0]
    (['MLI'], 'Labelled MLI by our lab; the rule does not confirm it')
    """
    if proposed.method.source_type != "rule":
        message = f"Only a rule's evidence can be joined; run {proposed.run_name!r} is {proposed.method.source_type}."
        raise UsageError(message)
    row_of = {int(unit_id): k for k, unit_id in enumerate(proposed.unit_ids)}
    joined = []
    for k, unit_id in enumerate(own.unit_ids):
        stated = list(own.evidence[k]) if own.evidence is not None else []
        row = row_of.get(int(unit_id))
        measured = list(proposed.evidence[row]) if proposed.evidence is not None and row is not None else []
        if measured and row is not None:
            said = _conflicts(own, k, proposed, row, stated, measured)
            if said:
                measured[0] = {**measured[0], "note": f"{said} {measured[0].get('note', '')}".strip()}
        joined.append((*stated, *measured))
    fields = dict(own.method.fields)
    parameters = dict(fields.get("parameters") or {})
    rule = dict(proposed.method.fields.get("parameters") or {})
    measured_by = dict(parameters.get("evidence_measured_by") or {})
    parameters["evidence_measured_by"] = {**measured_by, str(rule.get("rule", proposed.run_name)): rule}
    fields["parameters"] = parameters
    fields["references"] = list(
        dict.fromkeys([*fields.get("references", ()), *proposed.method.fields.get("references", ())])
    )
    return replace(
        own,
        method=replace(own.method, fields=fields),
        cell_id=_cell_ids(own, proposed, row_of),
        evidence=tuple(joined) if any(joined) else None,
    )


def _conflicts(
    own: Annotation,
    k: int,
    proposed: Annotation,
    row: int,
    stated: list[Mapping[str, Any]],
    measured: list[Mapping[str, Any]],
) -> str:
    """Sentences on what the person and the measurement say differently."""
    who = str(own.method.fields.get("person") or own.method.fields.get("software") or "the table of labels")
    said = []
    if not own.is_abstained[k]:
        label, rule_label = str(own.cell_type[k]), str(proposed.cell_type[row])
        if proposed.is_abstained[row]:
            why = str(proposed.reason_detail[row]).rstrip(".")
            # nobody said whose opsin it is: no conflict, the rule labels nothing
            verb = "cannot" if NO_TAGS.rstrip(".") in why else "does not"
            said.append(f"Labelled {label} by {who}; the rule {verb} confirm it. {why}.")
        elif rule_label != label:
            said.append(f"Labelled {label} by {who}; the rule would say {rule_label}.")
    elif not proposed.is_abstained[row]:
        said.append(f"Left without a label by {who}; the rule would say {proposed.cell_type[row]}.")
    for piece in stated:
        for other in measured:
            if piece.get("kind") == other.get("kind") and piece.get("blocker", "") == other.get("blocker", ""):
                said += [
                    _difference(key, piece[key], other[key], who) for key in _NUMBERS if key in piece and key in other
                ]
    return " ".join(sentence for sentence in said if sentence)


def _difference(key: str, stated: float, measured: float, who: str) -> str:
    limits = {"latency_ms": _LATENCY_TOLERANCE_MS, "jitter_ms": _LATENCY_TOLERANCE_MS}
    if np.isnan(stated) or np.isnan(measured) or abs(stated - measured) <= limits.get(key, 0.1):
        return ""
    return f"{who} states {key} {stated:g}, measured is {measured:.3g}."


def _cell_ids(own: Annotation, proposed: Annotation, row_of: Mapping[int, int]) -> Any:
    """The person's cell ids; where there are none at all, the rule's for units that both label alike."""
    if own.cell_id is not None or proposed.cell_id is None:
        return own.cell_id
    ids = []
    for unit_id, label in zip(own.unit_ids.tolist(), own.cell_type.tolist(), strict=True):
        row = row_of.get(int(unit_id))
        agrees = row is not None and str(proposed.cell_type[row]) == label
        ids.append(str(proposed.cell_id[row]) if agrees else "")
    ids = [i if ids.count(i) > 1 else "" for i in ids]  # a cell of which only one unit is left names nothing
    return np.array(ids, dtype=str) if any(ids) else None
