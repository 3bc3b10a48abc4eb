"""Cell types and layers of the C4 database: what is ground truth, what an expert said, and on what evidence."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from nwb_celltype.converters.c4.layout import DEPOSIT, LABS, PAPER, known_lab
from nwb_celltype.converters.c4.neurons import Neuron
from nwb_celltype.converters.records import LeftOut, PriorLabels
from nwb_celltype.errors import UsageError
from nwb_celltype.taxonomy import layer_of, map_label, means_no_label

_NOT_CORTEX = "notcortex"
_VOCABULARIES = ("c4", "cerebellum_text")
_LABEL_FIELDS = ("ground_truth_label", "expert_label")


@dataclass(eq=False)
class _Run:
    rows: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    evidence: list[tuple[Mapping[str, str], ...]] = field(default_factory=list)


@dataclass(frozen=True)
class Layered:
    """Layer of one neuron: label of the layer, and whether it is stated to lie outside the cerebellar cortex."""

    label: str
    is_outside: bool


def prior_labels(neurons: Sequence[Neuron], source: str) -> tuple[tuple[PriorLabels, ...], tuple[LeftOut, ...]]:
    """Runs of the labels that the database gives; a neuron that it calls unlabelled is in none.

    Labels of mice are ground truth by their field. What a macaque file calls ground truth without a source of it is
    what an expert said, as the database has no other labels of macaques.

    Parameters
    ----------
    neurons : sequence of Neuron
        In the order of the units.
    source : str
        File and recording.

    Returns
    -------
    runs : tuple of PriorLabels
    left_out : tuple of LeftOut
        Labels and sources that are not known here.
    """
    truth, expert = _Run(), _Run()
    left_out: list[LeftOut] = []
    for row, neuron in enumerate(neurons):
        for name in _LABEL_FIELDS:
            label = _class_of(neuron, name, left_out)
            if label:
                _file(truth, expert, row, neuron, name, label, left_out)
    labs = sorted({neuron.lab for neuron in neurons if neuron.lab})
    person = ", ".join(f"{lab.capitalize()} lab" for lab in labs) or "Authors of the C4 database"
    kinds: tuple[tuple[_Run, Literal["ground_truth", "expert"], str], ...] = (
        (truth, "ground_truth", "Cell types that the C4 database calls ground truth (ground_truth_label)."),
        (expert, "expert", "Cell types by experts in the C4 database (expert_label)."),
    )
    runs = tuple(
        PriorLabels(
            source=source,
            source_type=kind,
            unit_rows=np.array(run.rows, dtype=np.int64),
            labels=tuple(run.labels),
            person=person,
            evidence=tuple(run.evidence),
            description=text,
            run_name=f"c4_database_{kind}",
            references=(PAPER, DEPOSIT),
        )
        for run, kind, text in kinds
        if run.rows
    )
    return runs, tuple(left_out)


def layer_of_neuron(neuron: Neuron, left_out: list[LeftOut]) -> Layered:
    """Find the layer that a neuron states: the word of a person before that of Phyllum.

    Words that name no layer go into `left_out`, but for those that say that it is not known.
    """
    found: list[str] = []
    is_outside = False
    for name, text in (("human_layer", neuron.human_layer), ("phyllum_layer", neuron.phyllum_layer)):
        if means_no_label(text):
            continue
        layer = layer_of(text)
        if layer is not None:
            found.append(layer.label)
        elif re.sub(r"[^a-z]", "", text.lower()) == _NOT_CORTEX:
            is_outside = True
        else:
            left_out.append(
                LeftOut(f"field {name} of neuron {neuron.name}", f"{text!r} is no layer that is known here")
            )
    return Layered(found[0] if found else "", is_outside and not found)


def subtype_of(neuron: Neuron) -> str:
    """``A`` or ``B`` of a molecular layer interneuron, the text as it stands where it is neither, ``""`` without one.

    The database writes a cluster that ends with 1 for type A and with 2 for type B.
    """
    text = neuron.mli_cluster
    if means_no_label(text):
        named = re.fullmatch(r"mli[_ -]?([ab])", (neuron.ground_truth_label or neuron.expert_label).lower())
        return named[1].upper() if named else ""
    return {"1": "A", "2": "B", "A": "A", "B": "B"}.get(text[-1].upper(), text)


def _file(truth: _Run, expert: _Run, row: int, neuron: Neuron, name: str, label: str, left_out: list[LeftOut]) -> None:
    """Put a label into the run that it belongs to."""
    is_macaque = LABS.get(known_lab(neuron.lab)) == "macaque"
    if name == "ground_truth_label" and (neuron.ground_truth_source or not is_macaque):
        _put(truth, row, label, _identified_by(neuron, left_out))
    elif row not in expert.rows:
        _put(expert, row, label, ({"kind": "expert", "note": "Label of an expert in the C4 database."},))
    elif expert.labels[-1] != label:
        said = f"{label}, beside the ground_truth_label {expert.labels[-1]} without a source"
        left_out.append(LeftOut(f"field {name} of neuron {neuron.name}", said))


def _put(run: _Run, row: int, label: str, evidence: tuple[Mapping[str, str], ...]) -> None:
    run.rows.append(row)
    run.labels.append(label)
    run.evidence.append(evidence)


def _class_of(neuron: Neuron, name: str, left_out: list[LeftOut]) -> str:
    """Label in the words of the taxonomy; ``""`` without one, and for a text that it does not know."""
    text = neuron.expert_label if name == "expert_label" else neuron.ground_truth_label
    reason = ""
    for vocabulary in _VOCABULARIES:
        try:
            return map_label(text, vocabulary) or ""
        except UsageError as error:
            reason = reason or str(error)
    left_out.append(LeftOut(f"field {name} of neuron {neuron.name}", reason.rstrip(".")))
    return ""


def _identified_by(neuron: Neuron, left_out: list[LeftOut]) -> tuple[Mapping[str, str], ...]:
    """Evidence behind a ground-truth label; the database gives a word for it, and no numbers."""
    found: list[Mapping[str, str]] = []
    for word in re.split(r"[,;+&/|]", neuron.ground_truth_source):
        key = re.sub(r"[^a-z]", "", word.lower())
        kind = next((kind for kind, is_meant in _SOURCES.items() if is_meant(key)), "")
        if kind:
            found.append({"kind": kind, "note": f"The C4 database states the source {word.strip()!r} and no numbers."})
        elif not means_no_label(word):
            reason = f"{word.strip()!r} is no source of ground truth that is known here"
            left_out.append(LeftOut(f"field ground_truth_source of neuron {neuron.name}", reason))
    return tuple(found)


_SOURCES: Mapping[str, Callable[[str], bool]] = {
    "optotag": lambda key: key.startswith(("opto", "phototag")),
    "cs_ss_pause": lambda key: key in {"csxss", "ssxcs", "csss", "sscs", "cssspause"},
}
