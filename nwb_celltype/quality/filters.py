"""What a file says about the filter of its signals, and what that means for the shape of mean waveforms."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from nwb_celltype.quality.words import UNSTATED

CONTRACT_HZ = 300.0
"""High-pass, first order and causal, behind the waveforms that models of the cerebellum are made from."""

_NUMBER = r"(\d+(?:\.\d+)?)\s*(k\s*hz|k\b|hz)?"
_BEFORE = re.compile(_NUMBER + r"\s*-?\s*(?:(?:first|second|third|fourth|\d\w\w)[- ]order\s*)?high[- ]?pass")
_AFTER = re.compile(r"(?:high[- ]?pass(?:ed)?|\bhpf?\b|low[- ]?cut(?:off)?|freq_min)[^\d,;.]{0,30}" + _NUMBER)
_RANGE = re.compile(_NUMBER + r"\s*(?:-|–|—|to|and|\.\.)\s*" + _NUMBER)
_CATGT = re.compile(r"-?ap(?:filter=\w+,(\d+),|hipass=)(\d+(?:\.\d+)?)")
_NEVER_HIGH_PASSED = re.compile(
    r"full[- ]band|wide[- ]?band|broad[- ]?band|unfiltered|not filtered|no filter|high[- ]?pass filter off|"
    r"^raw( (data|signal|voltage)s?)?$"
)
_NON_CAUSAL = re.compile(
    r"zero[- ]?phase|filtfilt|\ba-?causal|non[- ]?causal|anti[- ]?causal|forward[- ]?(?:and|/|,)?[- ]?(?:back|reverse)|"
    r"bi-?directional|both directions|linear[- ]phase|spikeinterface: .*(?:bandpass|highpass|\bfilter)"
)
_CAUSAL = re.compile(r"(?<!-)(?<!non )(?<!anti )(?<!a)\bcausal|single[- ]pass|minimum[- ]phase|hardware|analog")
_ORDER = re.compile(
    r"\b(\d)(?:st|nd|rd|th)?[- ]?(?:order|pole)|(?:\b|_)order\s*[:=]?\s*(\d+)|"
    r"\b(first|second|third|fourth|fifth|sixth)[- ]order"
)
_ORDER_WORDS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6}
_OPEN_BELOW_HZ = 60.0
_WELL_ABOVE_HZ = 600.0
_STEEP_ORDER = 3
# From here on waveforms do more harm than good, measured by benchmarks/quality_rules.py; a first-order filter that is
# causal leaves enough of them.
_HOPELESS_HZ = 1000.0
_LONGEST = 80


@dataclass(frozen=True)
class Filter:
    """One description of a filter, as far as it can be understood.

    Attributes
    ----------
    text : str
    high_pass_hz : float or None
        Corner of the high-pass; 0 where the text says that there is none, None where it does not say.
    order : int or None
    is_causal : bool or None
        None where the text does not say.
    """

    text: str
    high_pass_hz: float | None = None
    order: int | None = None
    is_causal: bool | None = None

    @property
    def distorts(self) -> bool:
        """Whether spike trains alone are better than what this filter leaves of the waveforms, as far as is known."""
        is_gentle = self.order == 1 and self.is_causal is True
        return self.high_pass_hz is not None and self.high_pass_hz >= _HOPELESS_HZ and not is_gentle


def read_filter(text: str) -> Filter:
    """Read a description of a filter.

    Parameters
    ----------
    text : str
        As files write it in the column ``filtering``.

    Returns
    -------
    Filter

    Examples
    --------
    >>> read_filter("Bandpass filtered 300-6K Hz").high_pass_hz, read_filter("0.3 to 6 kHz").high_pass_hz
    (300.0, 300.0)
    >>> found = read_filter("Butterworth, third order, high-pass 600 Hz, zero-phase")
    >>> found.high_pass_hz, found.order, found.is_causal
    (600.0, 3, False)
    """
    lowered = re.sub(r"\s+", " ", text).strip().lower()
    catgt = _CATGT.search(lowered)
    is_causal = None if catgt else True if _CAUSAL.search(lowered) else None
    if _NON_CAUSAL.search(lowered):
        is_causal = False
    order = int(catgt[1]) if catgt and catgt[1] else None
    if order is None and (found := _ORDER.search(lowered)):
        word = found[1] or found[2]
        order = int(word) if word else _ORDER_WORDS[found[3]]
    return Filter(text, _corner(lowered), order, is_causal)


def filter_sentences(texts: Iterable[str]) -> list[str]:
    """Say, in sentences, how the filters of a recording differ from what the models of the cerebellum expect.

    Parameters
    ----------
    texts : iterable of str
        Distinct descriptions; those that say nothing are skipped.

    Returns
    -------
    list of str
        Empty where there is nothing to say.

    Examples
    --------
    >>> filter_sentences(["300 Hz high-pass"])
    []
    >>> filter_sentences(["Wideband, as digitized."])[0][:32]
    'The signals were not high-passed'
    """
    stated = [text for text in texts if text.strip().lower() not in UNSTATED]
    return list(dict.fromkeys(sentence for text in stated for sentence in _sentences(read_filter(text))))


def _sentences(found: Filter) -> list[str]:
    text = found.text.strip()
    said = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    contract = f"the model was made from {CONTRACT_HZ:g} Hz, first order, causal"
    corner = found.high_pass_hz
    sentences = []
    if corner is None:
        sentences.append(f"The corner of the high-pass filter is not stated ({said!r}); {contract}.")
    elif corner < _OPEN_BELOW_HZ:
        kind = "were not high-passed" if corner == 0 else f"were high-passed at {corner:g} Hz only"
        sentences.append(f"The signals {kind} ({said!r}), which keeps slow parts of the waveform; {contract}.")
    elif found.distorts:
        return [
            f"The high-pass is {corner:g} Hz ({said!r}), which leaves too little of the waveform; only spike times are "
            "used."
        ]
    elif corner >= _WELL_ABOVE_HZ:
        sentences.append(f"The high-pass is {corner:g} Hz ({said!r}), which distorts the waveform; {contract}.")
    if found.is_causal is False and corner != 0:
        sentences.append(f"The filter is not causal ({said!r}); {contract}.")
    elif found.order is not None and found.order >= _STEEP_ORDER and corner != 0:
        sentences.append(f"The filter is of order {found.order} ({said!r}); {contract}.")
    return sentences


def _corner(lowered: str) -> float | None:
    """Corner of the high-pass in hertz; 0 where there is none, None where nothing is said."""
    if "spikeinterface:" in lowered and not re.search(r"filter|pass", lowered):  # referenced, not filtered
        return None
    if found := _CATGT.search(lowered):
        return float(found[2])
    for pattern in (_BEFORE, _AFTER):
        if found := pattern.search(lowered):
            return _hertz(found[1], found[2])
    if found := _RANGE.search(lowered):
        # "0.3-6 kHz" shares its unit, "300-6K Hz" and "0.5 Hz to 10 kHz" do not.
        shared = found[4] if found[2] is None and float(found[1]) < float(found[3]) else found[2]
        return _hertz(found[1], shared)
    return 0.0 if _NEVER_HIGH_PASSED.search(lowered) else None


def _hertz(number: str, unit: str | None) -> float:
    return float(number) * (1000 if unit is not None and unit.startswith("k") else 1)
