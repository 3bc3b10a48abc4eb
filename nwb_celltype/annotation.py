"""Units and a model, or units and a table of labels, become an annotation: pure, nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import UsageError
from nwb_celltype.layers import LAYERS, OUTSIDE, RULED_OUT, Layers, LayerSource, find_layers, rule_out
from nwb_celltype.nested_text import parse_json
from nwb_celltype.priors import PriorSource, choose_prior, effective_prior, reweigh
from nwb_celltype.quality import Finding, Judgement, Scope, Status, Verdict, judge
from nwb_celltype.runs import Method
from nwb_celltype.taxonomy import CEREBELLUM, UNCLASSIFIED, Taxonomy, free_taxonomy

if TYPE_CHECKING:
    import xarray as xr

    from nwb_celltype.classifier import Model, Prediction
    from nwb_celltype.features.dataset import Progress
    from nwb_celltype.units import Units

SOFTWARE_URL = "https://github.com/nwb-celltype/nwb-celltype"
CONFIDENCE_IS = "largest calibrated probability"

_WORTH_SAYING = 0.01
_SAME_SHARE = 1e-3


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
    prior: PriorSource = "uniform",
    layers: LayerSource | None = None,
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
    prior : {'uniform', 'training', 'auto'}, path, or mapping of class to weight
        How common the classes are held to be: all alike, as among the units of training, as this recording suggests,
        or as a file says; see `nwb_celltype.priors`.
    layers : path or mapping of unit id to layer, optional
        Rules out the classes that do not occur in a unit's layer. By default a column of the units table that states
        it, if there is one; ``"ignore"`` uses none; see `nwb_celltype.layers`.
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
        If there is no such model, prior or table of layers, or the threshold is no probability.
    InputError
        If the model's files are damaged, or were made for another version of the features; or if a table of layers or
        weights cannot be read.

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
    placed = find_layers(units, layers)
    if features is None:
        own = getattr(loaded, "compute_features", None)  # of models that need more than the usual features
        features = own(units, layers=_words(units, placed), progress=progress) if own else None
    features = compute(units, progress=progress) if features is None else features
    judgement = judge(units, scope_of(card), observed_seconds(features), features["acg_counts"].values)
    if not loaded.tells_strangers:
        judgement = _warn_of_strangers(judgement, str(card["name"]))
    if placed is not None:
        judgement = _judge_layers(judgement, placed)
    if judgement.waveform_problem:
        others = tuple(name for name in loaded.modalities if name != "waveform")
        prediction = loaded.predict(features, modalities=others)
    else:
        prediction = loaded.predict(features)
    weighed = _weigh(loaded, prediction, judgement, placed, prior)
    reason, detail = _reasons(judgement, features, prediction, weighed, loaded.ood_threshold, limit)
    abstained = reason != ""
    taxonomy = taxonomy_of(loaded.classes)
    best = np.nanargmax(np.nan_to_num(weighed.probability, nan=-1.0), axis=1)
    answer = np.where(abstained, UNCLASSIFIED, np.array(loaded.classes)[best])
    parameters = {"threshold": limit, "ood_threshold": loaded.ood_threshold, **weighed.parameters}
    if placed is not None:
        parameters["layers"] = placed.parameters(units.unit_ids)
    return Annotation(
        unit_ids=np.asarray(units.unit_ids, dtype=np.int64),
        cell_type=answer.astype(str),
        is_abstained=abstained,
        reason=reason.astype(str),
        reason_detail=detail.astype(str),
        taxonomy=taxonomy,
        method=_method_of(loaded, parameters),
        description=f"Cell types by the model {card['name']} {card['version']}.",
        run_name=f"{card['name']}_{card['version']}",
        probability=weighed.probability.astype(np.float32),
        confidence=weighed.confidence.astype(np.float32),
        ood_score=prediction.ood_score.astype(np.float32) if loaded.tells_strangers else None,
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


def same_settings(one: Method, other: Method) -> bool:
    """Whether two methods hold the classes equally common and the units to lie in the same layers.

    Parameters
    ----------
    one, other : Method
        Their ``parameters`` are a mapping, or the JSON text of one as files hold it.
    """
    first, second = _settings(one), _settings(other)
    layers = [dict(each.get("layers") or {}).get("sha256", "") for each in (first, second)]
    if layers[0] != layers[1]:
        return False
    priors = [dict(each.get("prior") or {}) for each in (first, second)]
    shares = [dict(each.get("shares") or {}) for each in priors]
    if priors[0].get("name") != priors[1].get("name") or shares[0].keys() != shares[1].keys():
        return False
    return all(abs(share - shares[1][label]) < _SAME_SHARE for label, share in shares[0].items())


def _settings(method: Method) -> dict[str, Any]:
    stored = method.fields.get("parameters") or {}
    if isinstance(stored, str):
        try:
            stored = parse_json(stored)
        except ValueError:
            return {}
    return dict(stored) if isinstance(stored, Mapping) else {}


def observed_seconds(features: xr.Dataset) -> float | None:
    """Longest observed time of a unit in seconds; `None` where no unit has a spike train."""
    statistics = features["train_statistics"]
    n = statistics.sel(statistic="n_spikes").values
    rate = statistics.sel(statistic="spikes_per_observed_second").values
    seconds = np.divide(n, rate, out=np.full(len(n), np.nan), where=np.nan_to_num(rate) > 0)
    return float(np.nanmax(seconds)) if np.isfinite(seconds).any() else None


def _words(units: Units, layers: Layers | None) -> list[str]:
    """Layer of each unit for a model that has it among its inputs."""
    names = [""] * len(units) if layers is None else layers.names.tolist()
    return [name if name in LAYERS else "unknown" for name in names]


@dataclass(frozen=True, eq=False)
class _Weighed:
    """Probabilities after layers and prior; `note` says of each unit what a layer changed."""

    probability: NDArray[np.float64]
    confidence: NDArray[np.float64]
    note: NDArray[np.object_]
    parameters: Mapping[str, Any]


def _weigh(
    model: Model, prediction: Prediction, judgement: Judgement, layers: Layers | None, prior: PriorSource
) -> _Weighed:
    """Rule out what a layer excludes, then expect the classes as often as the prior says."""
    probability, parameters = prediction.probability, {}
    note = np.full(len(probability), "", dtype=object)
    if layers is not None:
        probability = rule_out(probability, model.classes, layers)
        note = _layer_notes(prediction.probability, model.classes, layers)
    shown = (judgement.reason == "") & ~(prediction.ood_score > model.ood_threshold)
    chosen = choose_prior(prior, model.card, model.classes, probability, shown)
    if chosen is not None:
        probability = reweigh(probability, chosen, effective_prior(model.card, model.classes))
        parameters = {"prior": chosen.parameters(model.classes)}
    if layers is None and chosen is None:
        return _Weighed(probability, prediction.confidence, note, parameters)
    known = np.isfinite(probability).all(axis=1)
    confidence = np.where(known, np.nan_to_num(probability, nan=-1.0).max(axis=1), np.nan)
    return _Weighed(probability, confidence, note, parameters)


def _layer_notes(probability: NDArray[np.float64], classes: Sequence[str], layers: Layers) -> NDArray[np.object_]:
    """Which classes a layer rules out that the model thought possible."""
    notes = np.full(len(probability), "", dtype=object)
    for k, layer in enumerate(layers.names):
        found = [(label, probability[k, i]) for i, label in enumerate(classes) if label in RULED_OUT.get(layer, ())]
        told = ", ".join(f"{label} {p:.2f}" for label, p in found if p >= _WORTH_SAYING)
        if told:
            notes[k] = f"In the {LAYERS[str(layer)]} ruled out ({layers.source}): {told}."
    return notes


def _warn_of_strangers(judgement: Judgement, model: str) -> Judgement:
    """Say that a model gives every unit one of its classes, whatever it is."""
    verdict = judgement.verdict
    sentence = (
        f"{model} does not tell units that are unlike those it was trained on, so no unit has an ood_score: cells of "
        "other kinds, noise and merged units get one of its classes, at times with high confidence."
    )
    status: Status = "typable with caution" if verdict.status == "typable" else verdict.status
    finding = Finding("strangers", "flag", sentence)
    return replace(judgement, verdict=Verdict(status, (*verdict.findings, finding)))


def _judge_layers(judgement: Judgement, layers: Layers) -> Judgement:
    """Refuse the units that lie in no layer of the cerebellar cortex."""
    outside = (layers.names == OUTSIDE) & (judgement.reason == "")
    if not outside.any():
        return judgement
    sentence = f"It lies outside the cerebellar cortex, according to its layer ({layers.source})."
    found = f"{outside.sum()} of {len(outside)} units lie outside the cerebellar cortex, according to their layer."
    reason = np.where(outside, "region", judgement.reason)
    status: Status = "typable with caution" if (reason == "").any() else "not typable"
    verdict = Verdict(status, (*judgement.verdict.findings, Finding("region", "abstain", found)))
    detail = np.where(outside, sentence, judgement.reason_detail)
    return replace(judgement, verdict=verdict, reason=reason, reason_detail=detail)


def _reasons(
    judgement: Judgement,
    features: xr.Dataset,
    prediction: Prediction,
    weighed: _Weighed,
    ood_threshold: float,
    limit: float,
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Decide, unit by unit, why there is no answer; the first reason that holds is the one given."""
    reason = judgement.reason.astype(object)
    detail = judgement.reason_detail.astype(object)
    waveform_reasons, train_reasons = features["waveform_reason"].values, features["train_reason"].values
    problems = features["train_problem"].values
    for k in range(len(reason)):
        if reason[k]:
            continue
        is_filtered_out = bool(judgement.waveform_problem) and not waveform_reasons[k]
        no_waveform, no_train = str(waveform_reasons[k]) or judgement.waveform_problem, str(train_reasons[k])
        if problems[k] == "invalid":
            reason[k], detail[k] = "invalid_data", f"{_sentence(no_train)} Correct the units table."
        elif np.isnan(prediction.confidence[k]):
            reason[k] = "filter" if is_filtered_out else "too_few_spikes" if problems[k] == "few" else "no_modality"
            own = str(features["c4_reason"].values[k]) if "c4_reason" in features else ""
            detail[k] = f"{_sentence(no_waveform)} {_sentence(no_train)}".strip() or _sentence(own)
        elif prediction.ood_score[k] > ood_threshold:
            reason[k] = "out_of_distribution"
            detail[k] = (
                f"Unlike every unit that the model was made from: score {prediction.ood_score[k]:.2f}, "
                f"limit {ood_threshold:.2f}."
            )
        elif np.isnan(weighed.confidence[k]):
            reason[k], detail[k] = "low_confidence", "The layer and the prior together rule out every class."
        elif weighed.confidence[k] < limit:
            reason[k] = "low_confidence"
            detail[k] = f"The best class has a probability of {weighed.confidence[k]:.2f}, below {limit:.2f}."
        else:
            used = "spike times" if no_waveform else "the waveform"
            alone = f"Answered from {used} alone: {no_waveform or no_train}." if no_waveform or no_train else ""
            detail[k] = f"{alone} {judgement.caution[k]}".strip()
        if reason[k] in ("", "low_confidence"):
            detail[k] = f"{detail[k]} {weighed.note[k]}".strip()
    return reason, detail


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith('?') else '.'}" if text else ""


def _method_of(model: Model, parameters: Mapping[str, Any]) -> Method:
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
            "parameters": dict(parameters),
            "confidence_definition": CONFIDENCE_IS,
            "references": list(card.get("references", ())),
        },
    )
