"""How far runs agree about the same units: tables, Cohen's and Fleiss' kappa, the units in dispute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.runs import Run, read_runs
from nwb_celltype.taxonomy import UNCLASSIFIED

_NOT_JUDGED = "not_labelled"

ABSTENTIONS = (
    "A unit counts for kappa where both runs name a class. Units that a run leaves unclassified are counted apart, and "
    "in the kappa with unclassified as a class of its own. Units that a run does not hold, or that its author has not "
    "looked at (reason 'not_labelled'), count for nothing."
)
"""How units without a class are handled; stands with every result."""


@dataclass(frozen=True, eq=False)
class PairAgreement:
    """Two runs beside each other.

    Attributes
    ----------
    first, second : str
        Names of the runs.
    n_judged : int
        Units that both judged, abstentions included.
    n_labelled : int
        Units that both gave a class.
    n_same : int
        Of these, those with the same class.
    n_first_only, n_second_only, n_neither : int
        Units that one of them, or both, left unclassified.
    kappa : float or None
        Cohen's kappa over the units that both gave a class; None where chance alone decides or there are no units.
    kappa_with_unclassified : float or None
        Over all judged units, unclassified being a class of its own.
    labels : tuple of str
        Rows and columns of `table`.
    table : (k, k) int64 array
        Units by the label of the first run (rows) and of the second (columns).
    """

    first: str
    second: str
    n_judged: int
    n_labelled: int
    n_same: int
    n_first_only: int
    n_second_only: int
    n_neither: int
    kappa: float | None
    kappa_with_unclassified: float | None
    labels: tuple[str, ...]
    table: NDArray[np.int64]

    @property
    def share(self) -> float | None:
        """Share of the units with a class from both that have the same."""
        return self.n_same / self.n_labelled if self.n_labelled else None


@dataclass(frozen=True)
class DisputedUnit:
    """A unit that runs give different classes; `labels` is by run, empty where a run did not judge it."""

    unit: int
    labels: dict[str, str]


@dataclass(frozen=True, eq=False)
class Agreement:
    """Two or more runs beside each other.

    Attributes
    ----------
    runs : tuple of Run
    pairs : tuple of PairAgreement
        Every two of the runs.
    fleiss_kappa : float or None
        Over the units that all runs gave a class; None with fewer than three runs, or without such units.
    n_fleiss : int
        Those units.
    disputed : tuple of DisputedUnit
        Units with at least two different classes.
    notes : tuple of str
    """

    runs: tuple[Run, ...]
    pairs: tuple[PairAgreement, ...]
    fleiss_kappa: float | None
    n_fleiss: int
    disputed: tuple[DisputedUnit, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain types."""
        return {
            "runs": [
                {"name": r.name, "source_type": r.method.source_type, "who": r.method.who, "created": r.created}
                for r in self.runs
            ],
            "pairs": [
                {
                    "first": p.first,
                    "second": p.second,
                    "n_judged": p.n_judged,
                    "n_labelled": p.n_labelled,
                    "n_same": p.n_same,
                    "share": p.share,
                    "kappa": p.kappa,
                    "kappa_with_unclassified": p.kappa_with_unclassified,
                    "n_first_only": p.n_first_only,
                    "n_second_only": p.n_second_only,
                    "n_neither": p.n_neither,
                    "labels": list(p.labels),
                    "table": p.table.tolist(),
                }
                for p in self.pairs
            ],
            "fleiss_kappa": self.fleiss_kappa,
            "n_fleiss": self.n_fleiss,
            "disputed": [{"unit_id": each.unit, "labels": each.labels} for each in self.disputed],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        blocks = [_pair_text(pair) for pair in self.pairs]
        if len(self.runs) > 2:
            value = "not defined" if self.fleiss_kappa is None else f"{self.fleiss_kappa:.3f}"
            blocks.append(f"All {len(self.runs)} runs: Fleiss' kappa {value}, over {self.n_fleiss} units.")
        blocks.append(_dispute_text(self.disputed, [run.name for run in self.runs]))
        return "\n\n".join([*blocks, "\n".join(self.notes)])


def measure_agreement(
    runs: str | Path | Sequence[Run], names: Sequence[str] | None = None, *, units_table: str | None = None
) -> Agreement:
    """Compare what runs say about the same units.

    Parameters
    ----------
    runs : str, Path, or sequence of Run
        A file, or runs that were read already.
    names : sequence of str, optional
        The runs to compare; by default all that no other run supersedes.
    units_table : str, optional
        HDF5 path of the units table, where a file has runs about several.

    Returns
    -------
    Agreement

    Raises
    ------
    UsageError
        If there is no such run, one is named twice, or runs are about different units tables.
    InputError
        If a file cannot be read, or there are fewer than two runs.

    Examples
    --------
    >>> found = measure_agreement("session.nwb", ["cerebellum_3", "expert_jane_doe"])  # doctest: +SKIP
    >>> round(found.pairs[0].kappa, 2), [each.unit for each in found.disputed]  # doctest: +SKIP
    (0.81, [9, 21])
    """
    where = str(runs) if isinstance(runs, str | Path) else "the runs"
    chosen = _chosen(read_runs(runs) if isinstance(runs, str | Path) else list(runs), names, units_table, where)
    answers = [_answers(run) for run in chosen]
    pairs = tuple(_pair(chosen[i], answers[i], chosen[j], answers[j]) for i, j in combinations(range(len(chosen)), 2))
    every = sorted(set().union(*answers))
    complete = [unit for unit in every if all(each.get(unit, UNCLASSIFIED) != UNCLASSIFIED for each in answers)]
    disputed = []
    for unit in every:
        said = {run.name: each.get(unit, "") for run, each in zip(chosen, answers, strict=True)}
        if len(set(said.values()) - {"", UNCLASSIFIED}) > 1:
            disputed.append(DisputedUnit(unit, said))
    kappa = None
    if len(chosen) > 2 and complete:
        kappa = fleiss_kappa([[each[unit] for each in answers] for unit in complete])
    return Agreement(
        runs=tuple(chosen),
        pairs=pairs,
        fleiss_kappa=kappa,
        n_fleiss=len(complete) if len(chosen) > 2 else 0,
        disputed=tuple(disputed),
        notes=(ABSTENTIONS, *_notes(chosen)),
    )


def not_superseded(runs: Sequence[Run]) -> list[Run]:
    """Leave out the runs that another one names as superseded, such as earlier savings of a review."""
    replaced = {run.supersedes for run in runs if run.supersedes != run.name}
    return [run for run in runs if run.name not in replaced]


def cohens_kappa(first: ArrayLike, second: ArrayLike) -> float | None:
    """Cohen's kappa of two lists of labels.

    Parameters
    ----------
    first, second : (n,) arrays of str

    Returns
    -------
    float or None
        1 for perfect agreement, 0 for what chance gives; None without units, or where both give one and the same class
        to all units, so that chance explains everything.

    Examples
    --------
    >>> cohens_kappa(["a", "a", "b", "b"], ["a", "a", "b", "a"])
    0.5
    """
    one, other = np.asarray(first, dtype=str), np.asarray(second, dtype=str)
    if not len(one):
        return None
    labels = sorted({*one.tolist(), *other.tolist()})
    by_chance = sum(float((one == label).mean() * (other == label).mean()) for label in labels)
    if by_chance >= 1:
        return None
    return float(((one == other).mean() - by_chance) / (1 - by_chance))


def fleiss_kappa(answers: Sequence[Sequence[str]]) -> float | None:
    """Fleiss' kappa: agreement of several raters beyond chance.

    Parameters
    ----------
    answers : sequence of sequences of str
        For each unit what each rater says; as many raters for every unit.

    Returns
    -------
    float or None
        None where all give one and the same class to all units.

    Examples
    --------
    >>> fleiss_kappa([["a", "a", "a"], ["b", "b", "b"]])
    1.0
    """
    labels = sorted({label for row in answers for label in row})
    counts = np.array([[row.count(label) for label in labels] for row in map(list, answers)], dtype=np.float64)
    n_raters = counts[0].sum()
    within = float((counts * (counts - 1)).sum(axis=1).mean() / (n_raters * (n_raters - 1)))
    by_chance = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return None if by_chance >= 1 else (within - by_chance) / (1 - by_chance)


def _chosen(runs: list[Run], names: Sequence[str] | None, units_table: str | None, where: str) -> list[Run]:
    if units_table is not None:
        wanted = "/" + units_table.strip("/")
        runs = [run for run in runs if run.units_path in ("", wanted)]
    if names:
        by_name = {run.name: run for run in runs}
        unknown = [name for name in names if name not in by_name]
        if unknown:
            message = f"{where} has no run {unknown[0]!r}; it has {', '.join(by_name) or 'none'}."
            raise UsageError(message)
        if len(set(names)) < len(names):
            message = "A run was named twice; name different ones."
            raise UsageError(message)
        runs = [by_name[name] for name in names]
    else:
        runs = not_superseded(runs)
    if len(runs) < 2:
        message = f"Two runs are needed to compare, and {where} has {len(runs) or 'none'}."
        raise (UsageError if names else InputError)(message)
    tables = sorted({run.units_path for run in runs})
    if len(tables) > 1:
        message = f"The runs are about different units tables ({', '.join(tables)}); name one with --units-table."
        raise UsageError(message)
    return runs


def _answers(run: Run) -> dict[int, str]:
    """Label of each unit that the run judged."""
    rows = zip(run.unit_ids.tolist(), run.cell_type.tolist(), run.reason.tolist(), strict=True)
    return {unit: label for unit, label, reason in rows if not (label == UNCLASSIFIED and reason == _NOT_JUDGED)}


def _pair(one: Run, first: dict[int, str], other: Run, second: dict[int, str]) -> PairAgreement:
    judged = sorted(first.keys() & second.keys())
    a, b = np.array([first[u] for u in judged], dtype=str), np.array([second[u] for u in judged], dtype=str)
    has_a, has_b = a != UNCLASSIFIED, b != UNCLASSIFIED
    both = has_a & has_b
    met = {*a.tolist(), *b.tolist()}
    order = dict.fromkeys([*one.classes, *other.classes, *sorted(met - {UNCLASSIFIED}), UNCLASSIFIED])
    labels = tuple(label for label in order if label in met)
    row = {label: k for k, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for x, y in zip(a.tolist(), b.tolist(), strict=True):
        table[row[x], row[y]] += 1
    return PairAgreement(
        first=one.name,
        second=other.name,
        n_judged=len(judged),
        n_labelled=int(both.sum()),
        n_same=int((a == b)[both].sum()),
        n_first_only=int((has_a & ~has_b).sum()),
        n_second_only=int((~has_a & has_b).sum()),
        n_neither=int((~has_a & ~has_b).sum()),
        kappa=cohens_kappa(a[both], b[both]),
        kappa_with_unclassified=cohens_kappa(a, b),
        labels=labels,
        table=table,
    )


def _notes(runs: Sequence[Run]) -> list[str]:
    notes = []
    digests = {run.input_sha256 for run in runs if run.input_sha256 and len(run) == len(runs[0])}
    if len(digests) > 1:
        notes.append("CAUTION: the runs were not made from the same data; units may have been sorted anew in between.")
    for run in runs:
        alone = sorted(set(run.classes) - set().union(*(other.classes for other in runs if other is not run)))
        if alone:
            notes.append(f"Only {run.name} knows {', '.join(alone)}; the others could not have said so.")
    return notes


def _pair_text(pair: PairAgreement) -> str:
    def kappa(value: float | None) -> str:
        return "not defined" if value is None else f"{value:.3f}"

    lines = [f"{pair.first} (rows) and {pair.second} (columns)"]
    share = "" if pair.share is None else f", the same for {pair.n_same} ({100 * pair.share:.1f} %)"
    lines.append(
        f"Cohen's kappa {kappa(pair.kappa)}: both name a class for {pair.n_labelled} of {pair.n_judged} units{share}."
    )
    lines.append(
        f"Only {pair.first} names one for {pair.n_first_only}, only {pair.second} for {pair.n_second_only}, neither "
        f"for {pair.n_neither}; with unclassified as a class, kappa is {kappa(pair.kappa_with_unclassified)}."
    )
    rows = [["", *pair.labels], *([label, *map(str, row)] for label, row in zip(pair.labels, pair.table, strict=True))]
    return "\n".join([*lines, "", *_laid_out(rows)])


def _dispute_text(disputed: Sequence[DisputedUnit], names: Sequence[str]) -> str:
    if not disputed:
        return "No unit is in dispute."
    rows = [["unit", *names], *([str(each.unit), *(each.labels[n] or "-" for n in names)] for each in disputed)]
    n = len(disputed)
    return "\n".join([f"{n} unit{'s are' if n > 1 else ' is'} in dispute:", "", *_laid_out(rows)])


def _laid_out(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
