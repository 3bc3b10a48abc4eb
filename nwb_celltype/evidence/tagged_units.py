"""Units and pulses become an annotation run of the optotag rule, with the evidence of every unit tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nwb_celltype import taxonomy as vocabulary
from nwb_celltype.annotation import SOFTWARE_URL, Annotation, now
from nwb_celltype.errors import UsageError
from nwb_celltype.evidence.optotag import is_ascending, tagging_response, waveform_correlation
from nwb_celltype.evidence.optotag_rule import (
    REFERENCES,
    OptotagRule,
    OptotagVerdict,
    UnitResponse,
    response_sentence,
)
from nwb_celltype.evidence.pulse_sets import PulseSet, choose_pulses
from nwb_celltype.evidence.pulses import OptotagWindows, Stimulation
from nwb_celltype.quality import is_cerebellar_cortex
from nwb_celltype.runs import Method
from nwb_celltype.taxonomy import UNCLASSIFIED, Taxonomy, free_taxonomy
from nwb_celltype.units import Units

Evidence = tuple[Mapping[str, Any], ...]

NO_TAGS = "Nobody says which cells carry the opsin."
"""Why no unit has a label, where no stimulation has `tags`."""


@dataclass(frozen=True, eq=False)
class EvokedWaveforms:
    """Mean waveforms of the evoked and of the spontaneous spikes of one unit, on the same samples and channels.

    `blocker` says under which blockers the pulses were given, as `Stimulation.blocker_at` does, ``""`` for none.
    """

    unit_id: int
    stimulation: str
    evoked: ArrayLike
    spontaneous: ArrayLike
    blocker: str = ""


def measured_responses(
    units: Units,
    stimulations: Sequence[Stimulation],
    *,
    waveforms: Sequence[EvokedWaveforms] = (),
    windows: OptotagWindows | None = None,
    start_s: float | None = None,
) -> tuple[tuple[UnitResponse, ...], ...]:
    """Measure how every unit responds to every light, with and without blockers.

    Parameters
    ----------
    units : Units
    stimulations : sequence of Stimulation
        Pulses of each disturb the baselines of the others.
    waveforms : sequence of EvokedWaveforms, optional
        For the correlation of evoked and spontaneous waveforms.
    windows : OptotagWindows, optional
    start_s : float, optional
        When the recording began; the first spike of all units by default.

    Returns
    -------
    tuple of tuples of UnitResponse
        For each unit, one for each stimulation and set of blockers.

    Raises
    ------
    UsageError
        If two stimulations have one name, or waveforms name an unknown unit, stimulation or set of blockers.
    """
    windows = windows or OptotagWindows()
    return _responses(units, _pulse_sets(units, stimulations, windows, start_s), waveforms, windows)


def _pulse_sets(
    units: Units, stimulations: Sequence[Stimulation], windows: OptotagWindows, start_s: float | None
) -> list[PulseSet]:
    names = [each.name for each in stimulations]
    if len(set(names)) < len(names):
        message = f"Two stimulations have the same name among {', '.join(names)}; name each once."
        raise UsageError(message)
    if start_s is None:
        trains = (np.asarray(units.spike_times[i], dtype=np.float64) for i in range(len(units)))
        start_s = float(min((train[0] for train in trains if len(train) and is_ascending(train)), default=0.0))
    return [
        pulses
        for each in stimulations
        for pulses in choose_pulses(
            each, windows, start_s=start_s, others=[other for other in stimulations if other is not each]
        )
    ]


def _responses(
    units: Units, pulse_sets: Sequence[PulseSet], waveforms: Sequence[EvokedWaveforms], windows: OptotagWindows
) -> tuple[tuple[UnitResponse, ...], ...]:
    correlations = _correlations(units, pulse_sets, waveforms)
    trains = (np.asarray(units.spike_times[i], dtype=np.float64) for i in range(len(units)))
    return tuple(
        tuple(
            UnitResponse(
                pulses.name,
                pulses.tags,
                pulses.blocker,
                tagging_response(train, pulses, windows),
                correlations.get((int(unit_id), pulses.name, pulses.blocker), np.nan),
                pulses.notes,
            )
            for pulses in pulse_sets
        )
        for unit_id, train in zip(units.unit_ids, trains, strict=True)
    )


def response_evidence(responses: Sequence[UnitResponse]) -> Evidence:
    """Evidence of one unit, a mapping for each response that was tested, in the words of the extension.

    Examples
    --------
    >>> from nwb_celltype.evidence import OptotagResponse
    >>> seen = OptotagResponse(200, 0.8, 0.05, 0.79, 158.0, 3.2, 0.6, 0.0, 0.03, 0.0, 0.0, 5.0)
    >>> row = response_evidence([UnitResponse("laser", "MLI", "gabazine", seen)])[0]
    >>> row["kind"], row["latency_ms"], row["reliability"], row["blocker"], row["n_pulses"]
    ('optotag', 3.2, 0.8, 'gabazine', 200)
    """
    rows = []
    for each in responses:
        seen = each.response
        if seen.problem:
            continue
        row: dict[str, Any] = {
            "kind": "optotag",
            "latency_ms": seen.latency_ms,
            "jitter_ms": seen.jitter_ms,
            "reliability": seen.reliability,
            "salt_p": seen.salt_p,
            "waveform_correlation": each.waveform_correlation,
            "blocker": each.blocker,
            "n_pulses": seen.n_pulses,
            "note": response_sentence(each),
        }
        rows.append({key: value for key, value in row.items() if value == value and value != ""})
    return tuple(rows)


def identified(
    units: Units,
    stimulations: Sequence[Stimulation],
    *,
    waveforms: Sequence[EvokedWaveforms] = (),
    rule: OptotagRule | None = None,
    windows: OptotagWindows | None = None,
    start_s: float | None = None,
    run_name: str = "optotag_rule",
) -> Annotation:
    """Propose a label for every unit that responds to light as cells with the opsin do.

    The run is a rule's, never ground truth: a person's own table of labels says that (`join_evidence`). Every unit
    that was tested carries its evidence, whether the rule holds for it or not; those for which it does not hold are
    abstained as ``not_labelled``, with the sentence why.

    Parameters
    ----------
    units : Units
    stimulations : sequence of Stimulation
        Each with the label of the cells that carry the opsin, in `tags`; one without gives evidence but no labels, and
        if none has any, all units are abstained.
    waveforms : sequence of EvokedWaveforms, optional
    rule : OptotagRule, optional
    windows : OptotagWindows, optional
    start_s : float, optional
        When the recording began; the first spike of all units by default.
    run_name : str

    Returns
    -------
    Annotation

    Raises
    ------
    UsageError
        If there are no stimulations, two have one name, or waveforms name an unknown unit, stimulation or set of
        blockers.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> onsets = np.arange(1.0, 201.0)
    >>> tagged = np.sort(np.concatenate([onsets + rng.normal(0.003, 3e-4, 200), rng.uniform(0, 200, 2000)]))
    >>> units = Units.from_arrays([tagged, np.sort(rng.uniform(0, 200, 2000))])
    >>> run = identified(units, [Stimulation("laser", onsets, 0.005, tags="MLI")])
    >>> run.cell_type.tolist(), run.reason.tolist(), run.method.source_type
    (['MLI', 'unclassified'], ['', 'not_labelled'], 'rule')
    """
    rule, windows = rule or OptotagRule(), windows or OptotagWindows()
    tags = [each.tags for each in stimulations if not vocabulary.means_no_label(each.tags)]
    if not stimulations:
        message = "There are no stimulations, so that nothing can be said of any unit."
        raise UsageError(message)
    classes, word = classes_of(tags) if tags else (_classes_without_tags(units), {})
    pulse_sets = _pulse_sets(units, stimulations, windows, start_s)
    responses = _responses(units, pulse_sets, waveforms, windows)
    answers = [_answer(each, rule, word) for each in responses]
    labels = np.array([answer[0] for answer in answers], dtype=str)
    evidence = tuple(response_evidence(each) for each in responses)
    return Annotation(
        unit_ids=np.asarray(units.unit_ids, dtype=np.int64),
        cell_type=labels,
        is_abstained=labels == UNCLASSIFIED,
        reason=np.array([answer[1] for answer in answers], dtype=str),
        reason_detail=np.array([answer[2] for answer in answers], dtype=str),
        taxonomy=classes,
        method=_method(rule, windows, stimulations, pulse_sets),
        description=_description(pulse_sets, has_tags=bool(tags)),
        run_name=run_name,
        evidence=evidence if any(evidence) else None,
        input_sha256=units.sha256(),
        created=now(),
    )


def classes_of(tags: Sequence[str]) -> tuple[Taxonomy, dict[str, str]]:
    """Taxonomy that knows every tag, and each tag in its words; the tags as they are where none does.

    Examples
    --------
    >>> classes_of(["molecular layer interneuron"])[1]
    {'molecular layer interneuron': 'MLI'}
    """
    for candidate in (vocabulary.CEREBELLUM, vocabulary.FOREBRAIN):
        words = {tag: _in_words_of(candidate, tag) for tag in tags}
        if all(words.values()):
            return candidate, words
    return free_taxonomy(tags), {tag: tag for tag in tags}


def _in_words_of(taxonomy: Taxonomy, tag: str) -> str:
    if tag in taxonomy:
        return tag
    for name in vocabulary.vocabularies():
        try:
            mapped = vocabulary.map_label(tag, name)
        except UsageError:  # this vocabulary does not know it
            continue
        if mapped in taxonomy:
            return str(mapped)
    return ""


def _classes_without_tags(units: Units) -> Taxonomy:
    """Classes of a run that labels nothing: those of the cerebellar cortex where the units may lie in it."""
    if not len(units) or any(is_cerebellar_cortex(str(region)) is not False for region in units.region):
        return vocabulary.CEREBELLUM
    return free_taxonomy(["carries the opsin"])


def _answer(responses: Sequence[UnitResponse], rule: OptotagRule, word: Mapping[str, str]) -> tuple[str, str, str]:
    """Label, reason and sentence of one unit."""
    verdicts: dict[str, OptotagVerdict] = {}
    tags: dict[str, str] = {}
    for each in responses:
        if each.stimulation not in verdicts:
            own = [other for other in responses if other.stimulation == each.stimulation]
            verdicts[each.stimulation] = rule.judge(own)
            tags[each.stimulation] = word.get(each.tags, "")
    said = " ".join(dict.fromkeys(verdict.sentence for verdict in verdicts.values()))
    nobody = "" if word else f" {NO_TAGS}"
    held = [name for name, verdict in verdicts.items() if verdict.holds]
    labels = sorted({tags[name] for name in held} - {""})
    if len(labels) == 1:
        return labels[0], "", " ".join(verdicts[name].sentence for name in held if tags[name])
    if len(labels) > 1:
        return UNCLASSIFIED, "other", f"Responds to the light for {' and for '.join(labels)}. {said}"
    if held:
        return UNCLASSIFIED, "not_labelled", f"{said}{nobody or f' {NO_TAGS}'}"
    if any(verdict.was_tested for verdict in verdicts.values()):
        return UNCLASSIFIED, "not_labelled", f"{said}{nobody}"
    problems = {each.response.problem for each in responses}
    if any("not ascending" in problem for problem in problems):
        return UNCLASSIFIED, "invalid_data", f"{said} Correct the units table."
    if any("no spikes" in problem or "silent" in problem for problem in problems):
        return UNCLASSIFIED, "too_few_spikes", said
    return UNCLASSIFIED, "other", said


def _description(pulse_sets: Sequence[PulseSet], *, has_tags: bool) -> str:
    """What the run is, and of how many pulses it speaks."""
    what = "Cell types proposed by a rule from responses to light; not ground truth."
    if not has_tags:
        what = f"Responses to light. {NO_TAGS} So no unit has a label."
    said = [f"{_title(pulses)}: {note}" for pulses in pulse_sets for note in pulses.notes]
    return " ".join([what, *said])


def _title(pulses: PulseSet) -> str:
    return f"{pulses.name} with {pulses.blocker}" if pulses.blocker else pulses.name


def _method(
    rule: OptotagRule, windows: OptotagWindows, stimulations: Sequence[Stimulation], pulse_sets: Sequence[PulseSet]
) -> Method:
    from nwb_celltype import __version__

    lights = [
        {
            "name": each.name,
            "tags": each.tags,
            "blockers": sorted({period.name for period in each.blockers}),
            "pulses": [_counts(pulses) for pulses in pulse_sets if pulses.name == each.name],
        }
        for each in stimulations
    ]
    return Method(
        "rule",
        {
            "software": "nwb-celltype",
            "software_version": __version__,
            "software_url": SOFTWARE_URL,
            "parameters": {**rule.parameters(), "windows": asdict(windows), "stimulations": lights},
            "references": list(REFERENCES),
        },
    )


def _counts(pulses: PulseSet) -> dict[str, Any]:
    """How many pulses were given, measured and tested, as it goes into a run."""
    return {
        "blocker": pulses.blocker,
        "given": pulses.n_given,
        "measured": len(pulses),
        "tested_by_salt": len(pulses.salt_pulses),
        "baseline_windows": pulses.n_baseline_windows,
        "left_out": list(pulses.notes),
        "problem": pulses.problem,
    }


def _correlations(
    units: Units, pulse_sets: Sequence[PulseSet], waveforms: Sequence[EvokedWaveforms]
) -> dict[tuple[int, str, str], float]:
    names = {(pulses.name, pulses.blocker) for pulses in pulse_sets}
    known = {int(unit_id) for unit_id in units.unit_ids}
    found = {}
    for each in waveforms:
        if each.unit_id not in known or (each.stimulation, each.blocker) not in names:
            under = f" under {each.blocker}" if each.blocker else ""
            message = (
                f"Evoked waveforms are given for unit {each.unit_id} and stimulation {each.stimulation!r}{under}; no "
                "such."
            )
            raise UsageError(message)
        found[int(each.unit_id), each.stimulation, each.blocker] = waveform_correlation(each.evoked, each.spontaneous)
    return found
