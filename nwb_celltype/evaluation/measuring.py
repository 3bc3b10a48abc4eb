"""Measure a model on labelled units: honestly, without the units it was trained on, and with what it abstains on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.calibration import (
    brier_score,
    decide,
    expected_calibration_error,
    negative_log_likelihood,
    risk_coverage,
)
from nwb_celltype.class_names import match_names
from nwb_celltype.classifier import Model, Prediction, load_model
from nwb_celltype.errors import InputError, NothingToDoError, UsageError
from nwb_celltype.evaluation.scores import (
    ClassScores,
    Scores,
    class_scores,
    most_probable,
    n_recordings,
    resampled_balanced_accuracy,
    score,
    share_interval,
    unit_interval,
)
from nwb_celltype.label_choice import LabelsAre
from nwb_celltype.labels import FeaturesOf, LabelledUnits
from nwb_celltype.training.labelled_rows import respelt
from nwb_celltype.training.pool import read_sources

if TYPE_CHECKING:
    import xarray as xr

    from nwb_celltype.units import Units

_N_BINS = 10
_SHARES = (0.5, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model said about each unit that it was measured on.

    Attributes
    ----------
    keys : tuple of n (source, unit id, hash of the row)
        Tell units apart, also between evaluations of two models on the same data.
    groups : (n,) array of str
        Recording or subject; empty where unknown.
    truth, answer : (n,) arrays of str
        `answer` is the most probable class, abstention ignored; empty where nothing could be said.
    is_answered : (n,) bool array
        Whether the model answers, at the threshold of the evaluation.
    probability : (n, k) array
    confidence, ood_score : (n,) array
    """

    keys: tuple[tuple[str, int, str], ...]
    groups: NDArray[np.str_]
    truth: NDArray[np.str_]
    answer: NDArray[np.str_]
    is_answered: NDArray[np.bool_]
    probability: NDArray[np.float64]
    confidence: NDArray[np.float64]
    ood_score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """(n,) mask of the units whose most probable class is the true one."""
        return np.asarray(self.answer == self.truth)


@dataclass(frozen=True)
class Figures:
    """How a model does on the units that have some modalities, seeing no others.

    Attributes
    ----------
    scores : Scores
    interval : (float, float)
        95 % bootstrap interval of the balanced accuracy; units are resampled within classes.
    coverage, accuracy_kept, ece : float
    """

    scores: Scores
    interval: tuple[float, float]
    coverage: float
    accuracy_kept: float
    ece: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How a model does on labelled units that it was not trained on.

    Attributes
    ----------
    model, version, weights_sha256 : str
    scores : Scores
        Of the most probable class of every unit, abstention ignored; a unit that cannot be described counts as wrong.
    interval : (float, float)
        95 % bootstrap interval of the balanced accuracy; units are resampled within classes.
    recording_interval : (float, float) or None
        The same when whole recordings (or subjects) are drawn; `None` where fewer than two are known.
    coverage, accuracy_kept : float
        Share of units that the model answers, and accuracy among them (NaN if there are none).
    ece, nll, brier : float
        Of the calibrated probabilities.
    threshold : float
    per_class : mapping of str to ClassScores
    classes : tuple of str
    confusion : (k, k) integer array
        True classes in rows, answers in columns; units that cannot be described are missing.
    risk_coverage : mapping of str to float
        Accuracy among the most confident 50, 70, 80, 90 and 100 % of the units that can be described.
    left_out : mapping of str to int
        Rows not measured on: ``unlabeled``, ``unknown_class``, ``training_rows``.
    by_modality : mapping of str to Figures
        From each modality alone, and from all together, on the units that have them.
    n_repeated : int
        Rows that an earlier file of the data has already; counted once.
    repeated : tuple of str
        Files that were given twice.
    answers : Answers
    """

    model: str
    version: str
    weights_sha256: str
    scores: Scores
    interval: tuple[float, float]
    recording_interval: tuple[float, float] | None
    coverage: float
    accuracy_kept: float
    ece: float
    nll: float
    brier: float
    threshold: float
    per_class: Mapping[str, ClassScores]
    classes: tuple[str, ...]
    confusion: NDArray[np.integer]
    risk_coverage: Mapping[str, float]
    left_out: Mapping[str, int]
    by_modality: Mapping[str, Figures]
    answers: Answers
    n_repeated: int = 0
    repeated: tuple[str, ...] = field(default=())

    def reliability(self, n_bins: int = _N_BINS) -> list[dict[str, float | int]]:
        """Confidence against accuracy, in equally wide bins of confidence that hold units."""
        said = self.answers.answer != ""
        confidence, right = self.answers.confidence[said], self.answers.is_right[said]
        bins = np.clip((confidence * n_bins).astype(int), 0, n_bins - 1)
        rows: list[dict[str, float | int]] = []
        for k in np.unique(bins):
            mine = bins == k
            hits, n = int(right[mine].sum()), int(mine.sum())
            low, high = share_interval(hits, n)
            rows.append(
                {
                    "from": k / n_bins,
                    "to": (k + 1) / n_bins,
                    "n": n,
                    "confidence": float(confidence[mine].mean()),
                    "accuracy": hits / n,
                    "low": low,
                    "high": high,
                }
            )
        return rows

    def curve(self) -> list[dict[str, float | int]]:
        """Coverage and accuracy at every threshold that makes a difference, the most confident units first."""
        said = self.answers.answer != ""
        codes = self._codes()[said]
        if not len(codes):
            return []
        curve = risk_coverage(self.answers.probability[said], codes)
        last = np.append(curve.threshold[1:] < curve.threshold[:-1], True)
        rows = zip(curve.threshold[last], curve.coverage[last], curve.accuracy[last], strict=True)
        return [
            {
                "threshold": float(t),
                "coverage": float(c) * float(said.mean()),
                "accuracy": float(a),
                "risk": 1 - float(a),
            }
            for t, c, a in rows
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values; what is not defined is `None`."""
        hits = {name: int((self.answers.is_right & (self.answers.truth == name)).sum()) for name in self.classes}
        return {
            "model": self.model,
            "version": self.version,
            "weights_sha256": self.weights_sha256,
            "balanced_accuracy": self.scores.balanced_accuracy,
            "balanced_accuracy_interval": list(self.interval),
            "balanced_accuracy_interval_over_recordings": None
            if self.recording_interval is None
            else list(self.recording_interval),
            "macro_f1": self.scores.macro_f1,
            "accuracy": self.scores.accuracy,
            "coverage": self.coverage,
            "accuracy_kept": _defined(self.accuracy_kept),
            "ece": _defined(self.ece),
            "nll": _defined(self.nll),
            "brier": _defined(self.brier),
            "threshold": self.threshold,
            "n": self.scores.n,
            "n_recordings": n_recordings(self.answers.groups),
            "n_left_out": sum(self.left_out.values()),
            "left_out": dict(self.left_out),
            "n_repeated": self.n_repeated,
            "repeated": list(self.repeated),
            "per_class": {name: {k: _defined(v) for k, v in vars(one).items()} for name, one in self.per_class.items()},
            "recall_interval": {
                name: [_defined(end) for end in share_interval(hits[name], one.n)]
                for name, one in self.per_class.items()
            },
            "classes": list(self.classes),
            "confusion": self.confusion.tolist(),
            "accuracy_at_coverage": dict(self.risk_coverage),
            "reliability": self.reliability(),
            "by_modality": {
                name: {
                    **{k: _defined(v) for k, v in vars(one.scores).items()},
                    "balanced_accuracy_interval": list(one.interval),
                    "coverage": one.coverage,
                    "accuracy_kept": _defined(one.accuracy_kept),
                    "ece": _defined(one.ece),
                }
                for name, one in self.by_modality.items()
            },
        }

    def _codes(self) -> NDArray[np.intp]:
        return np.asarray((self.answers.truth[:, None] == np.array(self.classes)).argmax(axis=1))


def evaluate(
    model: str | Path | Model,
    data: str | Path | LabelledUnits | Sequence[str | Path | LabelledUnits],
    *,
    threshold: float | None = None,
    labels: str | Path | None = None,
    run: str | None = None,
    labels_are: LabelsAre | None = None,
) -> Evaluation:
    """Measure a model on labelled units; rows that it was trained on are found by their hashes and left out.

    A file that is given twice is counted once, and so is a row that a file before it has.

    Parameters
    ----------
    model : str, Path or Model
        Name of a model that is at hand, path of a model folder, or a loaded model.
    data : path, address or LabelledUnits, or a sequence of them
        ``.npz``, annotated ``.nwb`` files or detached labels, on this machine or by their addresses; see
        `nwb_celltype.labels.read_labelled`. Of a folder or a whole dandiset every file that carries labels.
    threshold : float, optional
        Least calibrated top probability of an answer; the model's own by default.
    labels, run : optional
        Where the labels of an NWB file are, as for `read_labelled`.
    labels_are : {'ground_truth', 'expert'}, optional
        Take ground truth alone, or an expert's labels too; by default the published run of each file, unless that is
        a classifier's.

    Returns
    -------
    Evaluation

    Raises
    ------
    NothingToDoError
        If no row remains; the message says how many were left out, and why.
    InputError
        If a file cannot be read.
    RefusedError
        If the only labels of an NWB file are a classifier's predictions.
    InputError
        If the model needs spike times and some data are counts or statistics, or waveforms and trains and some data
        are statistics.
    UsageError
        If there is no such model or the threshold is no probability.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> nct.evaluate("cerebellum", "labelled_session.nwb").scores.balanced_accuracy  # doctest: +SKIP
    0.87
    """
    loaded = model if isinstance(model, Model) else load_model(model)
    limit = loaded.default_threshold if threshold is None else float(threshold)
    if not 0 <= limit <= 1:
        message = f"The threshold is a probability between 0 and 1, not {threshold}."
        raise UsageError(message)
    sources, repeated, n_repeated = _once(
        read_sources(data, labels=labels, run=run, labels_are=labels_are, features_of=features_for(loaded))
    )
    left_out = {"unlabeled": 0, "unknown_class": 0, "training_rows": 0}
    kept = []
    for stated in sources:
        one = respelt(stated, match_names(loaded.classes, np.unique(stated.cell_type).tolist()))
        known = np.isin(one.cell_type, loaded.classes)
        trained = known & training_overlap(loaded, one)
        left_out["unlabeled"] += int((~one.is_labelled).sum())
        left_out["unknown_class"] += int((one.is_labelled & ~known).sum())
        left_out["training_rows"] += int(trained.sum())
        kept.append(one.take(known & ~trained))
    kept = [one for one in kept if len(one)]
    if not kept:
        message = (
            f"Of {sum(map(len, sources))} units none is left to measure {loaded.card['name']} on: "
            f"{left_out['unlabeled']} have no label, {left_out['unknown_class']} a label that is none of "
            f"{', '.join(loaded.classes)}, and it was trained on {left_out['training_rows']}. Give it other units."
        )
        raise NothingToDoError(message)
    answers, used = _ask(loaded, kept, limit)
    return _measure(
        loaded, answers, limit, left_out, _by_modality(loaded, kept, limit, answers, used), repeated, n_repeated
    )


def features_for(*models: Model) -> FeaturesOf | None:
    """Make a function that computes all that some models need of the units of a recording; `None` for the usual."""
    needy: list[Any] = [model for model in models if model.needed_features]
    if not needy:
        return None

    def compute_all(units: Units) -> xr.Dataset:
        found: xr.Dataset = needy[0].compute_features(units)
        for model in needy[1:]:
            if any(name not in found for name in model.needed_features):
                found = found.merge(model.compute_features(units), compat="override")
        return found

    return compute_all


def training_overlap(model: Model, labelled: LabelledUnits) -> NDArray[np.bool_]:
    """(n,) mask of the rows whose waveform or spike train the model was trained on."""
    return labelled.found_in(model.training_rows or {})


def _once(
    read: Sequence[tuple[str | Path, LabelledUnits]],
) -> tuple[list[LabelledUnits], tuple[str, ...], int]:
    """Sources without what came before: whole files that were given again by name, and rows that are the same."""
    files: set[str] = set()
    rows: set[str] = set()
    kept, repeated, n_repeated = [], [], 0
    for file, one in read:
        place = str(file) if "://" in str(file) or not str(file) else str(Path(file).resolve())
        if place and place in files:
            repeated.append(str(file))
            n_repeated += len(one)
            continue
        files.add(place)
        is_described = (one.part_sha256 != "").any(axis=1)
        again = is_described & np.isin(one.row_sha256, list(rows))
        rows.update(one.row_sha256[is_described].tolist())
        if len(one) and again.all():
            repeated.append(str(file) or one.source or "units in memory")
        n_repeated += int(again.sum())
        kept.append(one.take(~again))
    return kept, tuple(repeated), n_repeated


def _ask(
    model: Model, kept: Sequence[LabelledUnits], threshold: float, modalities: Sequence[str] | None = None
) -> tuple[Answers, NDArray[np.bool_]]:
    """Answers about units of some sources, and (n, m) which modalities they rest on."""
    predictions = [_predict(model, one, modalities) for one in kept]
    probability = np.concatenate([p.probability for p in predictions])
    ood_score = np.concatenate([p.ood_score for p in predictions])
    strange = ood_score if model.tells_strangers else np.zeros(len(ood_score))
    chosen = decide(probability, strange, threshold=threshold, ood_threshold=model.ood_threshold)
    answers = Answers(
        keys=tuple(
            (one.source, int(unit), str(digest))
            for one in kept
            for unit, digest in zip(one.unit_ids, one.row_sha256, strict=True)
        ),
        groups=np.concatenate([one.groups for one in kept]).astype(str),
        truth=np.concatenate([one.cell_type for one in kept]).astype(str),
        answer=most_probable(model.classes, probability),
        is_answered=chosen >= 0,
        probability=probability,
        confidence=np.concatenate([p.confidence for p in predictions]),
        ood_score=ood_score,
    )
    return answers, np.concatenate([p.used for p in predictions])


def _predict(model: Model, one: LabelledUnits, modalities: Sequence[str] | None) -> Prediction:
    lacking = [name for name in model.needed_features if name not in one.features]
    if lacking:
        message = (
            f"{one.source or 'The units in memory'}: {model.card['name']} needs spike times, for autocorrelograms at "
            "several firing rates, and these units have counts or statistics alone. Give it the recording as NWB."
        )
        raise InputError(message)
    predicted = model.predict(one.features, modalities=modalities)
    if modalities is None and one.holds_statistics_alone and not predicted.used.any():
        message = (
            f"{one.source or 'The units in memory'} holds statistics of units, and {model.card['name']} looks at "
            "waveforms and spike trains; give it those, or take a model of statistics, such as cerebellum-statistics."
        )
        raise InputError(message)
    return predicted


def _by_modality(
    model: Model, kept: Sequence[LabelledUnits], threshold: float, answers: Answers, used: NDArray[np.bool_]
) -> dict[str, Figures]:
    names = tuple(model.modalities)
    found = {}
    for i, name in enumerate(names):
        if used[:, i].any() and len(names) > 1:
            alone, _ = _ask(model, kept, threshold, [name])
            if (alone.answer != "").any():  # some models answer from all modalities together, or not at all
                found[name] = _figures(alone, used[:, i])
    whole = np.asarray(used.all(axis=1))
    if whole.any():
        found["+".join(names)] = _figures(answers, whole)
    return found


def _figures(answers: Answers, rows: NDArray[np.bool_]) -> Figures:
    truth, said, right = answers.truth[rows], answers.answer[rows], answers.is_right[rows]
    answered = answers.is_answered[rows]
    gap = _confidence_error(answers.confidence[rows], right) if (said != "").all() else float("nan")
    return Figures(
        scores=score(truth, said),
        interval=unit_interval(truth, right),
        coverage=float(answered.mean()),
        accuracy_kept=float(right[answered].mean()) if answered.any() else float("nan"),
        ece=gap,
    )


def _confidence_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    bins = np.clip((confidence * _N_BINS).astype(int), 0, _N_BINS - 1)
    return float(np.abs(np.bincount(bins, weights=right - confidence, minlength=_N_BINS)).sum() / len(right))


def _measure(
    model: Model,
    answers: Answers,
    threshold: float,
    left_out: Mapping[str, int],
    by_modality: Mapping[str, Figures],
    repeated: tuple[str, ...],
    n_repeated: int,
) -> Evaluation:
    truth, said, right, answered = answers.truth, answers.answer, answers.is_right, answers.is_answered
    described = said != ""
    codes = (truth[:, None] == np.array(model.classes)).argmax(axis=1)
    confusion = np.zeros((len(model.classes),) * 2, dtype=np.int64)
    np.add.at(confusion, (codes[described], answers.probability[described].argmax(axis=1)), 1)
    p, y = answers.probability[described], codes[described]
    curve = risk_coverage(p, y) if len(y) else None
    over_recordings = None
    if n_recordings(answers.groups) >= 2:
        drawn = resampled_balanced_accuracy(truth, right[None], answers.groups)[0]
        low, high = np.percentile(drawn, [2.5, 97.5])
        over_recordings = (float(low), float(high))
    return Evaluation(
        model=str(model.card["name"]),
        version=str(model.card["version"]),
        weights_sha256=model.weights_sha256,
        scores=score(truth, said),
        interval=unit_interval(truth, right),
        recording_interval=over_recordings,
        coverage=float(answered.mean()),
        accuracy_kept=float(right[answered].mean()) if answered.any() else float("nan"),
        ece=expected_calibration_error(p, y) if len(y) else float("nan"),
        nll=negative_log_likelihood(p, y) if len(y) else float("nan"),
        brier=brier_score(p, y) if len(y) else float("nan"),
        threshold=threshold,
        per_class={name: class_scores(truth == name, said == name, answered) for name in model.classes},
        classes=model.classes,
        confusion=confusion,
        risk_coverage={}
        if curve is None
        else {f"{s:.0%}": float(curve.accuracy[max(round(s * len(y)), 1) - 1]) for s in _SHARES},
        left_out=dict(left_out),
        by_modality=by_modality,
        answers=answers,
        repeated=repeated,
        n_repeated=n_repeated,
    )


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value
