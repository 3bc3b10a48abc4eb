"""Verdicts on many recordings, grouped by what they say."""

from __future__ import annotations

from nwb_celltype.batch.verdicts import verdict_lines

RATE = "The sampling rate of the mean waveforms is not stated; only spike times are used."
FILTER = "The filter is not stated; it shapes the waveform. The model was made from 300 Hz high-pass data."


def test_what_is_the_same_is_said_once() -> None:
    said = verdict_lines(
        [
            f"typable with caution: {RATE} The spikes span 2.5 s; 30 s or more are wanted.",
            f"typable with caution: The region of 1 of 3 units is not stated; cerebellum is assumed. {RATE}",
            f"typable with caution: {RATE} The spikes span 23 s; 30 s or more are wanted. {FILTER}",
            "typable with caution: The region of 12 of 30 units is not stated; cerebellum is assumed.",
            "typable: 5 of 13 units are labelled noise.",
            "typable",
            "not typable: The species is human.",
        ]
    )
    assert said == [
        "1 file not typable: The species is human.",
        f"3 files typable with caution: {RATE}",
        "2 files typable with caution: The spikes span 2.5 to 23 s; 30 s or more are wanted.",
        "2 files typable with caution: The region of 13 of 33 units is not stated; cerebellum is assumed.",
        f"1 file typable with caution: {FILTER}",
        "2 files typable",
    ]
    assert verdict_lines([]) == []
