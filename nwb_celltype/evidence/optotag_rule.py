"""The rule that calls a unit optotagged: stated limits, and for every unit the sentence why or why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from nwb_celltype.evidence.optotag import OptotagResponse

REFERENCES = (
    "doi:10.1371/journal.pone.0006099",  # Lima et al. 2009: tagging by short-latency responses to light
    "doi:10.1038/nature10754",  # Cohen et al. 2012: evoked and spontaneous waveforms correlate above 0.9
    "doi:10.1038/nature12176",  # Kvitsiani et al. 2013: SALT, 10 ms windows, p < 0.01
    "doi:10.1016/j.cell.2025.01.041",  # Beau et al. 2025: direct responses outlast synaptic blockers, cerebellum
)

_MANY = 0.1
"""A share of pulses with a spike at an edge of light that is worth saying."""


@dataclass(frozen=True)
class UnitResponse:
    """Response of one unit to one stimulation under one set of blockers.

    Attributes
    ----------
    stimulation, tags, blocker : str
    response : OptotagResponse
    waveform_correlation : float
        Evoked with spontaneous mean waveform; NaN when they were not compared.
    notes : tuple of str
        Which pulses were left out, a sentence each.
    """

    stimulation: str
    tags: str
    blocker: str
    response: OptotagResponse
    waveform_correlation: float = np.nan
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class OptotagVerdict:
    """Whether the rule holds for one unit and one stimulation.

    Attributes
    ----------
    holds : bool
    was_tested : bool
    sentence : str
        Why, or why not.
    """

    holds: bool
    was_tested: bool
    sentence: str


@dataclass(frozen=True)
class OptotagRule:
    """Limits that a direct response to light must keep.

    Where pulses were given under synaptic blockers, the response under them decides; light excites other cells too,
    and only with blockers is an indirect response excluded. Without any, the latency must be shorter.

    Attributes
    ----------
    salt_p : float
        SALT p below this (0.01: Kvitsiani et al. 2013).
    min_excess : float
        Light makes the unit fire on at least this fraction of the pulses, chance taken off (ours).
    max_latency_ms : float
        Median latency with blockers (10 ms: the window of Kvitsiani et al. 2013).
    max_latency_without_blockers_ms : float
        Median latency where no blockers were used; 5 ms, so that most responses through a synapse are later (ours).
    max_jitter_ms : float
        Largest jitter (ours).
    min_jitter_ms : float
        A response that varies less is no spike but a transient of light or of the electronics (ours).
    min_waveform_correlation : float
        Correlation of the evoked with the spontaneous mean waveform, where it is known (0.9: Cohen et al. 2012; 0.85 is
        used as well).
    min_persisting : float
        With blockers the response keeps at least this fraction of its size without (ours).
    max_onset_artefact : float
        Above this fraction of pulses with a spike right at the onset, waveforms must have been compared (ours). Spikes
        right after the end are counted and said: direct responses to short pulses lie there.
    needs_blockers, needs_waveforms : bool
        Whether a unit without them is refused.

    References
    ----------
    Lima et al. 2009, doi:10.1371/journal.pone.0006099; Cohen et al. 2012, doi:10.1038/nature10754; Kvitsiani et al.
    2013, doi:10.1038/nature12176; Beau et al. 2025, doi:10.1016/j.cell.2025.01.041.

    Examples
    --------
    >>> seen = OptotagResponse(200, 0.8, 0.05, 0.79, 158.0, latency_ms=7.5, jitter_ms=1.0, salt_p=0.0,
    ...                        onset_artefact=0.0)
    >>> OptotagRule().judge([UnitResponse("laser", "MLI", "", seen)]).sentence
    'Not tagged by laser: the latency of 7.5 ms is above 5 ms, the limit without blockers.'
    >>> OptotagRule().judge([UnitResponse("laser", "MLI", "gabazine, NBQX", seen)]).holds
    True
    """

    salt_p: float = 0.01
    min_excess: float = 0.1
    max_latency_ms: float = 10.0
    max_latency_without_blockers_ms: float = 5.0
    max_jitter_ms: float = 3.0
    min_jitter_ms: float = 0.05
    min_waveform_correlation: float = 0.9
    min_persisting: float = 0.5
    max_onset_artefact: float = 0.1
    needs_blockers: bool = False
    needs_waveforms: bool = False

    name: ClassVar[str] = "optotag"
    version: ClassVar[str] = "2"

    def parameters(self) -> dict[str, Any]:
        """Name, version and limits, as they go into a run."""
        return {"rule": self.name, "rule_version": self.version, **asdict(self)}

    def judge(self, responses: Sequence[UnitResponse]) -> OptotagVerdict:
        """Judge one unit by its responses to one stimulation, one for each set of blockers.

        Parameters
        ----------
        responses : sequence of UnitResponse

        Returns
        -------
        OptotagVerdict
        """
        tested = [each for each in responses if not each.response.problem]
        if not tested:
            problems = "; ".join(dict.fromkeys(each.response.problem for each in responses)) or "there are no pulses"
            return OptotagVerdict(holds=False, was_tested=False, sentence=f"Not tested: {problems}.")
        plain = next((each for each in tested if not each.blocker), None)
        blocked = max(
            (each for each in tested if each.blocker),
            key=lambda each: (each.blocker.count(","), each.response.n_pulses, each.blocker),
            default=None,
        )
        decisive = blocked or plain or tested[0]
        failures = self._failures(decisive)
        if blocked is not None and plain is not None:
            failures += self._persistence(plain.response, blocked.response)
        if self.needs_blockers and blocked is None:
            failures.append("no pulses were given under synaptic blockers")
        if failures:
            sentence = f"Not tagged by {decisive.stimulation}: {'; '.join(failures)}."
            return OptotagVerdict(holds=False, was_tested=True, sentence=sentence)
        return OptotagVerdict(holds=True, was_tested=True, sentence=_success(decisive))

    def _failures(self, unit: UnitResponse) -> list[str]:
        seen, said = unit.response, []
        latest = self.max_latency_ms if unit.blocker else self.max_latency_without_blockers_ms
        if not seen.salt_p < self.salt_p:
            said.append(f"SALT p is {seen.salt_p:.2g}, not below {self.salt_p:g}")
        if not seen.excess >= self.min_excess:
            said.append(f"light makes it fire on {seen.excess:.0%} of pulses, below {self.min_excess:.0%}")
        if seen.is_end_masked and said:
            said.append(
                f"spikes right after the end of {seen.end_artefact:.0%} of pulses all but coincide, as artefacts do, "
                "and are not counted"
            )
        if np.isnan(seen.latency_ms):
            said.append("there are no more spikes after light than chance explains")
            return said
        if seen.latency_ms > latest:
            limit = "the limit with blockers" if unit.blocker else "the limit without blockers"
            said.append(f"the latency of {seen.latency_ms:.1f} ms is above {latest:g} ms, {limit}")
        if seen.jitter_ms > self.max_jitter_ms:
            said.append(f"the jitter of {seen.jitter_ms:.1f} ms is above {self.max_jitter_ms:g} ms")
        if seen.jitter_ms < self.min_jitter_ms:
            said.append(f"the latency varies by {seen.jitter_ms:.3f} ms alone, as artefacts of light do")
        r = unit.waveform_correlation
        if np.isnan(r) and self.needs_waveforms:
            said.append("evoked and spontaneous waveforms were not compared")
        elif r < self.min_waveform_correlation:
            limit = f"{self.min_waveform_correlation:g}"
            at_end = (
                f", and spikes lie right after the end of {seen.end_artefact:.0%} of pulses, as artefacts of light do"
            )
            is_at_end = seen.end_artefact > self.max_onset_artefact and not seen.is_end_masked
            said.append(
                f"evoked and spontaneous waveforms correlate by {r:.2f}, below {limit}{at_end if is_at_end else ''}"
            )
        if seen.onset_artefact > self.max_onset_artefact and np.isnan(r):
            said.append(
                f"spikes lie right at the onset of {seen.onset_artefact:.0%} of pulses, as artefacts of light do, and "
                "waveforms were not compared"
            )
        return said

    def _persistence(self, plain: OptotagResponse, blocked: OptotagResponse) -> list[str]:
        if not plain.excess > 0 or not blocked.excess < self.min_persisting * plain.excess:
            return []
        return [f"synaptic blockers take the response from {plain.excess:.0%} to {blocked.excess:.0%} of pulses"]


def response_sentence(unit: UnitResponse) -> str:
    """Numbers of a response that have no column of their own."""
    seen = unit.response
    said = (
        f"{unit.stimulation}: {seen.reliability:.0%} of pulses followed by a spike, {seen.chance:.0%} by chance "
        f"({seen.excess:.0%} evoked), {seen.baseline_rate_hz:.3g} spikes/s before light"
    )
    if seen.onset_artefact > _MANY:
        said += f"; {seen.onset_artefact:.0%} of pulses have a spike right at their onset, which is not counted"
    if seen.is_end_masked:
        said += (
            f"; {seen.end_artefact:.0%} of pulses have a spike right after their end, always at the same time, which "
            "is not counted"
        )
    elif seen.end_artefact > _MANY:
        said += (
            f"; {seen.end_artefact:.0%} of pulses have a spike right after their end, where artefacts of light may be"
        )
    return " ".join([said + ".", *unit.notes])


def _success(unit: UnitResponse) -> str:
    seen = unit.response
    at_end = ""
    if seen.end_artefact > _MANY and not seen.is_end_masked and np.isnan(unit.waveform_correlation):
        at_end = f", and spikes lie right after the end of {seen.end_artefact:.0%} of pulses, where artefacts may be"
    with_what = f"with {unit.blocker} in the bath" if unit.blocker else "without synaptic blockers"
    waveforms = (
        "waveforms were not compared"
        if np.isnan(unit.waveform_correlation)
        else f"evoked and spontaneous waveforms correlate by {unit.waveform_correlation:.2f}"
    )
    return (
        f"Light ({unit.stimulation}) makes it fire on {seen.excess:.0%} of {seen.n_pulses} pulses {with_what}: latency "
        f"{seen.latency_ms:.1f} ms, jitter {seen.jitter_ms:.1f} ms, SALT p {seen.salt_p:.2g}; {waveforms}{at_end}."
    )
