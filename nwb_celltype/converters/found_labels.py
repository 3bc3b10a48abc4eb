"""Labels that another program or a person left beside the units: each source becomes a run of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nwb_celltype.annotation import Annotation
from nwb_celltype.converters.records import Float, Integer, PriorLabels, SourceSession
from nwb_celltype.errors import UsageError
from nwb_celltype.label_table import LabelRow
from nwb_celltype.labelling import annotate_from_table
from nwb_celltype.runs import Method
from nwb_celltype.taxonomy import CEREBELLUM, Taxonomy
from nwb_celltype.units import Units

_C4_CLASSES = ("PkC_ss", "PkC_cs", "MLI", "GoC", "MFB")


def found_runs(units: Units, session: SourceSession) -> Iterator[Annotation]:
    """Runs of all labels that the session's sources hold.

    Parameters
    ----------
    units : Units
        As read back from the file.
    session : SourceSession

    Yields
    ------
    Annotation
        A person's labels as an expert's or as ground truth, as the source says; a program's as a classifier's or, where
        it kept no probabilities, as a rule's, which never goes before those of a person or a model.
    """
    first_row = 0
    for recording in session.recordings:
        if recording.sorting is None:
            continue
        for prior in recording.sorting.prior_labels:
            yield _run(units, prior, units.unit_ids[first_row + prior.unit_rows])
        first_row += len(recording.sorting)


def _run(units: Units, prior: PriorLabels, unit_ids: Integer) -> Annotation:
    rows = [
        LabelRow(line, int(unit_id), label, None, "", "", "", {})
        for line, (unit_id, label) in enumerate(zip(unit_ids, prior.labels, strict=True), start=1)
    ]
    base = _in_known_words(units, rows, prior)
    fields: dict[str, Any] = {"parameters": {"found_in": prior.source}}
    stated = {"software": prior.software, "software_version": prior.software_version, "person": prior.person}
    fields |= {key: text for key, text in stated.items() if text}
    if not (prior.person or prior.software):
        fields["software"] = "nwb-celltype"  # only the program that wrote them is known
    if prior.references:
        fields["references"] = list(prior.references)
    whose = prior.person or prior.software or "nobody is named"
    base = replace(
        base,
        description=prior.description or f"Cell types found in {prior.source} ({whose}).",
        run_name=prior.run_name or _run_name(prior),
        cell_id=np.array(prior.cell_ids) if any(prior.cell_ids) else None,
        evidence=prior.evidence if any(prior.evidence) else None,
    )
    if prior.source_type != "classifier":
        confidence = None if prior.confidence is None else prior.confidence.astype(np.float32)
        if confidence is not None:
            fields["confidence_definition"] = prior.confidence_definition or "as found beside the units"
        return replace(base, method=Method(prior.source_type, fields), confidence=confidence)
    return _of_program(base, prior, fields)


def _of_program(base: Annotation, prior: PriorLabels, fields: dict[str, Any]) -> Annotation:
    if prior.confidence is None or not _are_probabilities(prior.confidence[~base.is_abstained]):
        # A classifier's run needs probabilities. As a rule's, the labels never go before those of a person or a model.
        said = "not stated for every unit as a number from 0 to 1, so the labels are kept as those of a rule"
        fields["parameters"]["probability"] = said
        return replace(base, method=Method("rule", fields))
    said = "the program kept the largest probability only; the rest is spread evenly over the others"
    fields["parameters"]["probability"] = said
    if prior.confidence_definition:
        fields["confidence_definition"] = prior.confidence_definition
    known = set(base.cell_type[~base.is_abstained]) <= set(_C4_CLASSES)
    classes = base.taxonomy.subset(_C4_CLASSES) if known and base.taxonomy is CEREBELLUM else base.taxonomy
    return replace(
        base,
        taxonomy=classes,
        method=Method("classifier", fields),
        confidence=prior.confidence.astype(np.float32),
        probability=_spread(base, classes, prior.confidence),
    )


def _run_name(prior: PriorLabels) -> str:
    if prior.software.startswith("C4"):
        return "c4_found_beside_sorting"
    return f"{prior.source_type}_found_beside_sorting"


def _in_known_words(units: Units, rows: Sequence[LabelRow], prior: PriorLabels) -> Annotation:
    """Labels in the words of a taxonomy that knows them all, else as they were found."""
    try:
        return annotate_from_table(units, rows, source_type="expert", by=prior.person or None)
    except UsageError:
        return annotate_from_table(units, rows, source_type="expert", by=prior.person or None, taxonomy="free")


def _are_probabilities(values: Float) -> bool:
    return bool(np.all(np.isfinite(values) & (values >= 0) & (values <= 1)))


def _spread(base: Annotation, classes: Taxonomy, confidence: Float) -> np.ndarray:
    """Give the label the probability that was kept, and the others equal shares of the rest."""
    labels = list(classes.labels)
    probability = np.repeat(((1 - confidence) / max(len(labels) - 1, 1))[:, None], len(labels), axis=1)
    for k, label in enumerate(base.cell_type):
        if label in labels:
            probability[k, labels.index(label)] = confidence[k]
        else:
            probability[k] = np.nan
    return probability.astype(np.float32)
