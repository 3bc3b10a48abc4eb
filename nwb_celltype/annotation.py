"""Units and a model, or units and a table of labels, become an annotation: pure, nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import UsageError
from nwb_celltype.quality import Judgement, Scope, Verdict, judge
from nwb_celltype.runs import Method
from nwb_celltype.taxonomy import CEREBELLUM, UNCLASSIFIED, Taxonomy, free_taxonomy

if TYPE_CHECKING:
    import xarray as xr

    from nwb_celltype.classifier import Model
    from nwb_celltype.features.dataset import Progress
    from nwb_celltype.units import Units

SOFTWARE_URL = "https://github.com/nwb-celltype/nwb-celltype"
CONFIDENCE_IS = "largest calibrated probability"


@dataclass(frozen=True, eq=False)
class Annotation:
    """What one method says about each unit; a row a unit.

    Attributes
    ----------
    unit_ids : (n,) int64 array
    cell_type : (n,) array of str
        A label of `taxonomy`, or ``unclassified`` exactly where `is_abstained`.
    is_abstained : (n,) bool array
    reason, reason_detail : (n,) arrays of str
        Why the method abstained: a word of a closed list, and a sentence.
    probability : (n, k) float32 array or None
        Columns in the order of ``taxonomy.labels``; NaN rows where nothing could be computed.
    confidence, ood_score : (n,) float32 array or None
    taxonomy : Taxonomy
    method : Method
    verdict : Verdict or None
        Can the recording be typed?
    evidence : tuple of tuples of mappings, or None
        Pieces of evidence for each unit.
    """

    unit_ids: NDArray[np.int64]
    cell_type: NDArray[np.str_]
    is_abstained: NDArray[np.bool_]
    reason: NDArray[np.str_]
    reason_detail: NDArray[np.str_]
    taxonomy: Taxonomy
    method: Method
    description: str
    run_name: str
    probability: NDArray[np.float32] | None = None
    confidence: NDArray[np.float32] | None = None
    ood_score: NDArray[np.float32] | None = None
    cell_id: NDArray[np.str_] | None = None
    split: NDArray[np.str_] | None = None
    evidence: tuple[tuple[Mapping[str, Any], ...], ...] | None = None
    verdict: Verdict | None = None
    confidence_threshold: float | None = None
    input_sha256: str = ""
    supersedes: str = ""
    created: str = ""

    def __len__(self) -> int:
        return len(self.unit_ids)


def annotate_units(
    units: Units,
    model: str | Path | Model = "cerebellum",
    *,
    threshold: float | None = None,
    features: xr.Dataset | None = None,
    progress: Progress | None = None,
) -> Annotation:
    """Say what cell each unit is, or why not.

    Parameters
    ----------
    units : Units
    model : str, Path or Model
        Name of a shipped model, path of a model folder, or a loaded model.
    threshold : float, optional
        Least calibrated top probability of an answer, between 0 and 1; the model's own by default.
    features : xarray.Dataset, optional
        From `nwb_celltype.features.compute`, when they are at hand already.
    progress : callable, optional
        Called after each unit with a task, the units done and the number of units.

    Returns
    -------
    Annotation

    Raises
    ------
    UsageError
        If there is no such model or the threshold is no probability.
    InputError
        If the model's files are damaged, or were made for another version of the features.

    Examples
    --------
    >>> import numpy as np
    >>> import nwb_celltype as nct
    >>> rng = np.random.default_rng(0)
    >>> train = np.cumsum(0.004 + rng.gamma(4, 0.002, 5000))
    >>> units = nct.Units.from_arrays(spike_times=[train], region=["CA1"])
    >>> annotation = nct.annotate_units(units)
    >>> annotation.cell_type.tolist(), annotation.reason.tolist()
    (['unclassified'], ['region'])
    """
    from nwb_celltype.classifier import load_model
    from nwb_celltype.features import compute

    loaded = load_model(model) if isinstance(model, str | Path) else model
    card = loaded.card
    limit = loaded.default_threshold if threshold is None else float(threshold)
    if not 0 <= limit <= 1:
        message = f"The threshold is a probability between 0 and 1, not {threshold}."
        raise UsageError(message)
    features = compute(units, progress=progress) if features is None else features
    prediction = loaded.predict(features)
    judgement = judge(units, scope_of(card), observed_seconds(features), features["acg_counts"].values)
    reason, detail = _reasons(judgement, features, prediction, loaded.ood_threshold, limit)
    abstained = reason != ""
    taxonomy = taxonomy_of(loaded.classes)
    best = np.nanargmax(np.nan_to_num(prediction.probability, nan=-1.0), axis=1)
    answer = np.where(abstained, UNCLASSIFIED, np.array(loaded.classes)[best])
    return Annotation(
        unit_ids=np.asarray(units.unit_ids, dtype=np.int64),
        cell_type=answer.astype(str),
        is_abstained=abstained,
        reason=reason.astype(str),
        reason_detail=detail.astype(str),
        taxonomy=taxonomy,
        method=_method_of(loaded, limit),
        description=f"Cell types by the model {card['name']} {card['version']}.",
        run_name=f"{card['name']}_{card['version']}",
        probability=prediction.probability.astype(np.float32),
        confidence=prediction.confidence.astype(np.float32),
        ood_score=prediction.ood_score.astype(np.float32),
        verdict=judgement.verdict,
        confidence_threshold=limit,
        input_sha256=units.sha256(),
        created=now(),
    )


def now() -> str:
    """Return the present moment, ISO 8601 with time zone."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def scope_of(card: Mapping[str, Any]) -> Scope:
    """What a model was made for, as its card says under ``applies_to``."""
    stated = card.get("applies_to", {})
    default = Scope()
    return Scope(
        species=tuple(stated.get("species", ())),
        tissue=str(stated.get("tissue", "")),
        min_sampling_rate_hz=float(stated.get("min_sampling_rate_hz", default.min_sampling_rate_hz)),
        min_duration_s=float(stated.get("min_duration_s", default.min_duration_s)),
    )


def taxonomy_of(classes: Sequence[str]) -> Taxonomy:
    """Return the taxonomy of these classes in this order: ours if it knows them all, else one without definitions."""
    if all(label in CEREBELLUM for label in classes):
        return CEREBELLUM.subset(classes)
    free = free_taxonomy(classes)
    return free.subset(classes)


def observed_seconds(features: xr.Dataset) -> float | None:
    """Longest observed time of a unit in seconds; `None` where no unit has a spike train."""
    statistics = features["train_statistics"]
    n = statistics.sel(statistic="n_spikes").values
    rate = statistics.sel(statistic="spikes_per_observed_second").values
    seconds = np.divide(n, rate, out=np.full(len(n), np.nan), where=np.nan_to_num(rate) > 0)
    return float(np.nanmax(seconds)) if np.isfinite(seconds).any() else None


def _reasons(
    judgement: Judgement, features: xr.Dataset, prediction: Any, ood_threshold: float, limit: float
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Decide, unit by unit, why there is no answer; the first reason that holds is the one given."""
    reason = judgement.reason.astype(object)
    detail = judgement.reason_detail.astype(object)
    waveform_reasons, train_reasons = features["waveform_reason"].values, features["train_reason"].values
    problems = features["train_problem"].values
    for k in range(len(reason)):
        if reason[k]:
            continue
        no_waveform, no_train = str(waveform_reasons[k]), str(train_reasons[k])
        if problems[k] == "invalid":
            reason[k], detail[k] = "invalid_data", f"{_sentence(no_train)} Correct the units table."
        elif np.isnan(prediction.confidence[k]):
            reason[k] = "too_few_spikes" if problems[k] == "few" else "no_modality"
            detail[k] = f"{_sentence(no_waveform)} {_sentence(no_train)}".strip()
        elif prediction.ood_score[k] > ood_threshold:
            reason[k] = "out_of_distribution"
            detail[k] = (
                f"Unlike every unit that the model was made from: score {prediction.ood_score[k]:.2f}, "
                f"limit {ood_threshold:.2f}."
            )
        elif prediction.confidence[k] < limit:
            reason[k] = "low_confidence"
            detail[k] = f"The best class has a probability of {prediction.confidence[k]:.2f}, below {limit:.2f}."
        elif no_waveform or no_train:
            used = "spike times" if no_waveform else "the waveform"
            detail[k] = f"Answered from {used} alone: {no_waveform or no_train}."
    return reason, detail


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith('?') else '.'}" if text else ""


def _method_of(model: Model, limit: float) -> Method:
    from nwb_celltype import __version__

    card = model.card
    training = "; ".join(f"{d['name']} (sha256 {d['sha256']}, {d['licence']})" for d in card.get("training_data", ()))
    return Method(
        "classifier",
        {
            "software": "nwb-celltype",
            "software_version": __version__,
            "software_url": SOFTWARE_URL,
            "model_name": card["name"],
            "model_version": card["version"],
            "model_licence": card["licence"],
            "weights_sha256": model.weights_sha256,
            "feature_spec_version": card["feature_spec_version"],
            "training_data": training,
            "parameters": {"threshold": limit, "ood_threshold": model.ood_threshold},
            "confidence_definition": CONFIDENCE_IS,
            "references": list(card.get("references", ())),
        },
    )
