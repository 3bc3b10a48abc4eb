"""What a model was made for, and the verdict on a recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Severity = Literal["flag", "abstain"]
Status = Literal["typable", "typable with caution", "not typable"]
Refuse = Callable[[NDArray[np.bool_], str, Sequence[str]], None]
"""Given a mask of units, the word of a reason and a sentence a unit, says that these units are not typed."""

TOPICS = ("species", "region", "filter", "sampling_rate", "duration", "modality", "quality", "context")
"""What is looked at."""


@dataclass(frozen=True)
class Scope:
    """What a model was made for.

    Attributes
    ----------
    species : tuple of str
        Common names (``mouse``, ``macaque``, ...); a recording known to be of another species is not typed.
    tissue : str
        ``cerebellar_cortex``, or empty for a model that asks nothing of the place.
    min_sampling_rate_hz : float, hertz
        Mean waveforms sampled more coarsely are flagged.
    min_duration_s : float, seconds
        Recordings whose spikes span less are flagged.
    """

    species: tuple[str, ...] = ("mouse", "macaque")
    tissue: str = "cerebellar_cortex"
    min_sampling_rate_hz: float = 20_000.0
    min_duration_s: float = 30.0


@dataclass(frozen=True)
class Finding:
    """One thing about a recording that a reader of its labels should know."""

    topic: str
    severity: Severity
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """Can this recording be typed?

    Attributes
    ----------
    status : {'typable', 'typable with caution', 'not typable'}
    findings : tuple of Finding
    """

    status: Status
    findings: tuple[Finding, ...] = ()

    @property
    def sentence(self) -> str:
        """The verdict on one line."""
        return f"{self.status}: {' '.join(f.sentence for f in self.findings)}" if self.findings else self.status

    def to_json(self) -> dict[str, object]:
        """Return plain types, for ``--json``."""
        findings = [{"topic": f.topic, "severity": f.severity, "sentence": f.sentence} for f in self.findings]
        return {"status": self.status, "findings": findings}


@dataclass(frozen=True, eq=False)
class Judgement:
    """The verdict on a recording and on each of its units.

    Attributes
    ----------
    verdict : Verdict
    reason, reason_detail : (n,) arrays of str
        Why a unit is not typed; empty where nothing speaks against it.
    caution : (n,) array of str
        What a reader of the label of a unit that is typed should know; empty where there is nothing.
    waveform_problem : str
        Why no mean waveform of the recording may be used; empty where they may be.
    """

    verdict: Verdict
    reason: NDArray[np.str_]
    reason_detail: NDArray[np.str_]
    caution: NDArray[np.str_]
    waveform_problem: str = ""
