"""Labels given by people, rules or experiments become an annotation."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nwb_celltype import taxonomy as vocabulary
from nwb_celltype.annotation import SOFTWARE_URL, Annotation, now
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.label_table import LabelRow, read_label_table
from nwb_celltype.runs import Method
from nwb_celltype.taxonomy import UNCLASSIFIED, Taxonomy, free_taxonomy
from nwb_celltype.units import Units

SourceType = Literal["ground_truth", "expert", "rule"]
TaxonomyName = Literal["auto", "cerebellum", "forebrain", "free"]

_TAXONOMIES = {"cerebellum": vocabulary.CEREBELLUM, "forebrain": vocabulary.FOREBRAIN}


def annotate_from_table(
    units: Units,
    labels: str | Path | Sequence[LabelRow],
    *,
    source_type: SourceType = "expert",
    by: str | None = None,
    taxonomy: TaxonomyName = "auto",
    run_name: str | None = None,
) -> Annotation:
    """Turn a table of labels into an annotation of these units.

    Parameters
    ----------
    units : Units
    labels : path or sequence of LabelRow
    source_type : {'expert', 'rule', 'ground_truth'}
        Where the labels come from.
    by : str, optional
        Who labelled (name or ORCID), or for a rule its name; the table's ``annotator`` column by default. Where neither
        says so, the run says that nobody is named.
    taxonomy : {'auto', 'cerebellum', 'forebrain', 'free'}
        Whose words the labels are; 'auto' takes the first that knows them all, 'free' takes them as they are.
    run_name : str, optional

    Returns
    -------
    Annotation

    Raises
    ------
    InputError
        If the table names units that do not exist.
    UsageError
        If a label is unknown, or several annotators are named.
    """
    rows = read_label_table(labels) if isinstance(labels, str | Path) else list(labels)
    known = {int(i) for i in units.unit_ids}
    missing = [row for row in rows if row.unit_id not in known]
    if missing:
        shown = ", ".join(f"{row.unit_id} (line {row.line})" for row in missing[:5])
        message = f"{len(missing)} units of the table are not in {units.session.path or 'the units'}: {shown}."
        raise InputError(message)
    who = (by or "").strip() or _only_annotator(rows)
    first: dict[int, int] = {}
    for row in rows:
        if first.setdefault(row.unit_id, row.line) != row.line:
            message = f"Lines {first[row.unit_id]} and {row.line} of the table: unit {row.unit_id} is labelled twice."
            raise InputError(message)
    classes, answers = _classes([row.cell_type for row in rows], taxonomy)
    abstained = np.array([a is None for a in answers], dtype=bool)
    has_confidence = any(row.confidence is not None for row in rows)
    confidence = np.array([np.nan if row.confidence is None else row.confidence for row in rows], dtype=np.float32)
    evidence = tuple((row.evidence,) if row.evidence else () for row in rows)
    fields: dict[str, Any] = {"software": "nwb-celltype"} if not who else {_role(source_type): who}
    if has_confidence:
        fields["confidence_definition"] = "as given in the table of labels"
    fields["parameters"] = {"written_by": f"nwb-celltype, {SOFTWARE_URL}"}
    base = re.sub(r"[^A-Za-z0-9]+", "_", who).strip("_").lower() or "unnamed"
    by_whom = f"by {who}" if who else "nobody is named"
    return Annotation(
        unit_ids=np.array([row.unit_id for row in rows], dtype=np.int64),
        cell_type=np.array([UNCLASSIFIED if a is None else a for a in answers]),
        is_abstained=abstained,
        reason=np.where(abstained, "not_labelled", "").astype(str),
        reason_detail=np.full(len(rows), "", dtype=str),
        taxonomy=classes,
        method=Method(source_type, fields),
        description=f"Cell types from a table of labels ({source_type.replace('_', ' ')}, {by_whom}).",
        run_name=run_name or f"{source_type}_{base}",
        confidence=confidence if has_confidence else None,
        cell_id=np.array([row.cell_id for row in rows]) if any(row.cell_id for row in rows) else None,
        split=np.array([row.split or "none" for row in rows]) if any(row.split for row in rows) else None,
        evidence=evidence if any(evidence) else None,
        input_sha256=units.select([row.unit_id for row in rows]).sha256(),
        created=now(),
    )


def _role(source_type: SourceType) -> str:
    return "software" if source_type == "rule" else "person"


def _only_annotator(rows: Sequence[LabelRow]) -> str:
    names = sorted({row.annotator for row in rows if row.annotator})
    if len(names) > 1:
        message = (
            f"The table holds labels of {len(names)} annotators ({', '.join(names[:4])}); "
            "a run is one annotator's, so split it, or name the group with --by."
        )
        raise UsageError(message)
    return names[0] if names else ""


def _classes(labels: Sequence[str], name: TaxonomyName) -> tuple[Taxonomy, list[str | None]]:
    """Find the taxonomy that knows every label, and each label in its words (`None`: no label)."""
    if name == "free":
        given = [None if vocabulary.means_no_label(label) else label for label in labels]
        if not any(given):
            message = "The table holds no label at all; with --taxonomy free the labels are the classes."
            raise UsageError(message)
        return free_taxonomy(label for label in given if label is not None), given
    wanted = [name] if name in _TAXONOMIES else list(_TAXONOMIES)
    problem = ""
    for candidate in wanted:
        taxonomy = _TAXONOMIES[candidate]
        answers = [_in_words_of(taxonomy, label) for label in labels]
        unknown = sorted({label for label, a in zip(labels, answers, strict=True) if a == ""})
        if not unknown:
            return taxonomy, [a or None for a in answers]
        if not problem:
            near = difflib.get_close_matches(unknown[0], taxonomy.labels, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            problem = (
                f"Label {unknown[0]!r} is not one of {', '.join(taxonomy.labels)} nor a known name of one.{hint} "
                "Use --taxonomy free to take labels as they are."
            )
    raise UsageError(problem)


def _in_words_of(taxonomy: Taxonomy, label: str) -> str | None:
    """Return the taxonomy's own label; `None` for "no label", empty for one that it does not know."""
    if vocabulary.means_no_label(label):
        return None
    if label in taxonomy:
        return label
    for name in vocabulary.vocabularies():
        try:
            mapped = vocabulary.map_label(label, name)
        except UsageError:
            continue
        if mapped in taxonomy:
            return mapped
    return ""
