"""Can this recording, and each of its units, be typed? What is known to be outside is refused, the rest flagged."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import InputError
from nwb_celltype.quality.filters import filter_sentences, read_filter
from nwb_celltype.quality.records import Finding, Judgement, Refuse, Scope, Status, Verdict
from nwb_celltype.quality.regions import cerebellar_part, is_cerebellar_cortex
from nwb_celltype.quality.sorting import (
    MANY_CONTAMINANTS,
    MANY_MISSED,
    REFRACTORY_MS,
    by_chance,
    contamination,
    count_violations,
    fires_in_bursts,
    missed_share,
    quality_of,
)
from nwb_celltype.quality.species import species_of
from nwb_celltype.quality.words import UNSTATED
from nwb_celltype.units import Units

_LONGEST_REGION = 60
_CUTOFF, _AMPLITUDES = "amplitude_cutoff", "spike_amplitudes"
# Of 431 labelled C4 units with enough pairs these limits refuse one, a macaque mossy fibre bouton.
_ENOUGH_PAIRS = 20
_NO_REFRACTORY_PERIOD = 0.7
_NO_FILTER = "The filter is not stated; it shapes the waveform. The model was made from 300 Hz high-pass data."


def judge(
    units: Units,
    scope: Scope,
    duration_s: float | None = None,
    acg_counts: NDArray[np.integer] | None = None,
) -> Judgement:
    """Say whether a recording and each of its units are within a model's scope.

    What is known to be outside is abstained on; what is not stated is flagged, and answered.

    Parameters
    ----------
    units : Units
    scope : Scope
        What the model was made for.
    duration_s : float or None, seconds
        Time from the first to the last spike of the recording, where known.
    acg_counts : (n, 201) array, optional
        Pairs of spikes in 1 ms bins of lag, to find units without a refractory period, or with spikes of other cells.

    Returns
    -------
    Judgement

    Examples
    --------
    >>> import numpy as np
    >>> import nwb_celltype as nct
    >>> units = nct.Units.from_arrays(spike_times=[np.arange(0, 60, 0.02)], region=["CA1"])
    >>> judge(units, Scope()).reason.tolist()
    ['region']
    """
    n = len(units.unit_ids)
    reason = np.full(n, "", dtype=object)
    detail = np.full(n, "", dtype=object)
    caution = np.full(n, "", dtype=object)
    findings: list[Finding] = []

    def refuse(rows: NDArray[np.bool_], word: str, sentences: Sequence[str]) -> None:
        for k in np.flatnonzero(rows):
            if not reason[k]:
                reason[k], detail[k] = word, sentences[int(k)]

    findings += _judge_species(units, scope, refuse)
    findings += _judge_region(units, scope, refuse)
    findings += _judge_quality(units, refuse)
    findings += _judge_refractoriness(acg_counts, refuse)
    findings += _caution(units, acg_counts, reason == "", caution)
    findings += _judge_recording(units, scope, duration_s)
    if n and all(reason):
        status: Status = "not typable"
    else:
        status = "typable with caution" if any(f.topic != "quality" for f in findings) else "typable"
    return Judgement(
        Verdict(status, tuple(findings)),
        reason.astype(str),
        detail.astype(str),
        caution.astype(str),
        _waveform_problem(units, scope),
    )


def _judge_species(units: Units, scope: Scope, refuse: Refuse) -> list[Finding]:
    species = species_of(units.session.species)
    if not scope.species:
        return []
    made_for = " and ".join(scope.species)
    if not species:
        return [Finding("species", "flag", f"The file does not state the species; the model was made from {made_for}.")]
    if species in scope.species:
        return []
    sentence = f"The species is {species}; the model was made from {made_for}."
    refuse(np.ones(len(units.unit_ids), dtype=bool), "species", [sentence] * len(units.unit_ids))
    return [Finding("species", "abstain", sentence)]


def _judge_region(units: Units, scope: Scope, refuse: Refuse) -> list[Finding]:
    if scope.tissue != "cerebellar_cortex":
        return []
    regions = [str(r) for r in units.region]
    inside = [is_cerebellar_cortex(r) for r in regions]
    outside = np.array([i is False for i in inside], dtype=bool)
    refuse(outside, "region", [_outside(r) for r in regions])
    findings = []
    n_unknown = sum(i is None for i in inside)
    if n_unknown:
        sentence = f"The region of {n_unknown} of {len(inside)} units is not stated; cerebellar cortex is assumed."
        findings.append(Finding("region", "flag", sentence))
    if outside.any():
        named = sorted({_short(r) for r, i in zip(regions, inside, strict=True) if i is False})
        shown = ", ".join(named[:5]) + (", ..." if len(named) > 5 else "")
        sentence = f"{outside.sum()} of {len(inside)} units lie outside cerebellar cortex ({shown})."
        findings.append(Finding("region", "abstain", sentence))
    return findings


def _outside(region: str) -> str:
    part = cerebellar_part(region)
    return f"The region is {_short(region)!r}, {f'in the {part}, ' if part else ''}not cerebellar cortex."


def _short(region: str) -> str:
    """Cut a region for a sentence; some files put a whole record into the text."""
    return region if len(region) <= _LONGEST_REGION else f"{region[: _LONGEST_REGION - 3]}..."


def _judge_quality(units: Units, refuse: Refuse) -> list[Finding]:
    n = len(units.unit_ids)
    marked = [quality_of(units.quality, k) for k in range(n)]
    bad = np.array([m is not None for m in marked], dtype=bool)
    refuse(bad, "poor_quality", [f"Column {m[0]!r} calls the unit {m[1]!r}." if m else "" for m in marked])
    if not bad.any():
        return []
    return [Finding("quality", "abstain", f"{bad.sum()} of {n} units are labelled noise or multi-unit activity.")]


def _judge_refractoriness(acg_counts: NDArray[np.integer] | None, refuse: Refuse) -> list[Finding]:
    """Refuse units whose spikes follow one another within 1.5 ms as often as by chance: no single cell does that.

    Burst-firing units do it more often than by chance (mossy fibre boutons of mice: above 1.5 times), and pass.
    """
    if acg_counts is None:
        return []
    near, chance = np.asarray(acg_counts, dtype=np.float64)[:, 101], by_chance(acg_counts)
    share = np.divide(near, chance, out=np.zeros(len(near)), where=chance >= _ENOUGH_PAIRS)
    bad = (share > _NO_REFRACTORY_PERIOD) & ~fires_in_bursts(acg_counts)
    sentences = [
        f"No refractory period: spikes 1 ms apart are {s:.0%} as frequent as spikes 61 to 100 ms apart." for s in share
    ]
    refuse(bad, "poor_quality", sentences)
    if not bad.any():
        return []
    return [Finding("quality", "abstain", f"{bad.sum()} of {len(bad)} units have no refractory period.")]


def _caution(
    units: Units, acg_counts: NDArray[np.integer] | None, answered: NDArray[np.bool_], caution: NDArray[np.object_]
) -> list[Finding]:
    """Flag, and never refuse, units with many spikes of other cells or many missed ones.

    Experts label such units all the same, and the model was made from them.
    """
    n = len(caution)
    findings = []
    share = _contaminations(units, acg_counts, answered)
    if (many := share > MANY_CONTAMINANTS).any():
        for k in np.flatnonzero(many):
            caution[k] = f"An estimated {share[k]:.0%} of its spikes are of other cells (intervals below 0.8 ms)."
        sentence = (
            f"{many.sum()} of {n} units hold an estimated {MANY_CONTAMINANTS:.0%} or more of other cells' spikes."
        )
        findings.append(Finding("quality", "flag", sentence))
    missed = _missed(units, answered)
    if (many := answered & (missed > MANY_MISSED)).any():
        for k in np.flatnonzero(many):
            said = f"An estimated {missed[k]:.0%} of its spikes were missed (amplitude cut-off)."
            caution[k] = f"{caution[k]} {said}".strip()
        sentence = f"{many.sum()} of {n} units lack an estimated {MANY_MISSED:.0%} or more of their spikes."
        findings.append(Finding("quality", "flag", sentence))
    return findings


def _contaminations(
    units: Units, acg_counts: NDArray[np.integer] | None, rows: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(n,) estimated shares of other cells' spikes; 0 where nothing can be said."""
    if acg_counts is None:
        return np.zeros(len(rows))
    told = rows & (by_chance(acg_counts) >= _ENOUGH_PAIRS) & ~fires_in_bursts(acg_counts)
    violations = np.zeros(len(rows), dtype=np.int64)
    for k in np.flatnonzero(told):
        violations[k] = count_violations(units.spike_times[int(k)], REFRACTORY_MS)
    return np.where(told, np.nan_to_num(contamination(violations, acg_counts)), 0.0)


def _missed(units: Units, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) estimated shares of missed spikes: what the file says, else from the amplitudes of spikes; 0 if unknown."""
    share = np.zeros(len(rows))
    if _CUTOFF in units.column_names:
        values = units.column(_CUTOFF)
        return np.nan_to_num(values.astype(np.float64)) if values.dtype.kind == "f" else share
    try:
        read = None if units.scalars is None else units.scalars.vectors(_AMPLITUDES)
    except InputError:  # its index is broken; nothing else needs that column
        return share
    if read is not None:
        for k in np.flatnonzero(rows):
            share[k] = np.nan_to_num(missed_share(read(int(k))))
    return share


def _judge_recording(units: Units, scope: Scope, duration_s: float | None) -> list[Finding]:
    findings = []
    n = len(units.unit_ids)
    rates = units.waveform_rates_hz[np.isfinite(units.waveform_rates_hz)]
    has_waveform = units.waveform_mean.are_present
    if len(rates) and (rate := float(rates.min())) < scope.min_sampling_rate_hz:
        sentence = f"Waveforms are sampled at {rate:g} Hz; the model was made from 30 and 40 kHz."
        findings.append(Finding("sampling_rate", "flag", sentence))
    without = int(np.count_nonzero(~has_waveform))
    if without:
        sentence = f"{without} of {n} units have no mean waveform; only their spike times are used."
        findings.append(Finding("modality", "flag", sentence))
    if units.is_whitened.any():
        sentence = (
            f"{int(units.is_whitened.sum())} of {n} mean waveforms are of whitened data, which changes their shape; "
            "only the spike times of these units are used."
        )
        findings.append(Finding("modality", "flag", sentence))
    if has_waveform.any() and not len(rates):
        sentence = "The sampling rate of the mean waveforms is not stated; only spike times are used."
        findings.append(Finding("modality", "flag", sentence))
    if has_waveform.any() and len(rates):
        findings += [Finding("filter", "flag", sentence) for sentence in _filter_sentences(units, scope)]
    if duration_s is not None and n and duration_s < scope.min_duration_s:
        sentence = f"The spikes span {duration_s:.0f} s; {scope.min_duration_s:g} s or more are wanted."
        findings.append(Finding("duration", "flag", sentence))
    return findings


def _filter_sentences(units: Units, scope: Scope) -> list[str]:
    texts = _filters(units)
    said = [] if texts else [_NO_FILTER]
    if scope.tissue != "cerebellar_cortex":  # the contract is that field's
        return said
    said += filter_sentences(texts)
    templates = sum(text.strip().lower().startswith("template") for text in _sources(units))
    if templates:
        said.append(
            f"{templates} of {len(units)} mean waveforms are the sorter's templates, made from data that the sorter "
            "filtered in its own way."
        )
    return said


def _waveform_problem(units: Units, scope: Scope) -> str:
    """Why the filter forbids the use of the waveforms; empty where some electrodes have a better one."""
    found = [read_filter(text) for text in _filters(units)]
    if scope.tissue != "cerebellar_cortex" or not found or not all(each.distorts for each in found):
        return ""
    return (
        f"the filter (high-pass {min(each.high_pass_hz or 0 for each in found):g} Hz) leaves too little of the waveform"
    )


def _filters(units: Units) -> list[str]:
    """Distinct descriptions of the filters behind the mean waveforms; what these say of themselves goes first."""
    sources = _sources(units)
    own = [re.sub(r"^raw, ", "", text.strip()) for text in sources]
    if own and all("high-passed at" in text for text in own):
        return list(dict.fromkeys(own))
    return [text for text in units.session.filtering if text.strip().lower() not in UNSTATED]


def _sources(units: Units) -> list[str]:
    """What the mean waveforms that are used were made from, where the file says it."""
    if units.waveform_source is None:
        return []
    return [str(text) for text in units.waveform_source[units.waveform_mean.are_present & ~units.is_whitened]]
