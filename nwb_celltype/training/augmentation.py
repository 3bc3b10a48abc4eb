"""Variants of labelled units: as another amplifier, a shorter recording or a noisier average would have shown them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, filtfilt, lfilter

from nwb_celltype.classifier.inputs import Matrix, read_blocks
from nwb_celltype.features import from_counts
from nwb_celltype.labels import LabelledUnits

HIGH_PASS_HZ = (60.0, 700.0)
"""Corners of the first-order high-pass filters, causal or zero-phase, of half of the variants of a waveform."""
LOW_PASS_HZ = (2500.0, 9000.0)
"""Corners of the first-order low-pass filters of 30 % of the variants of a waveform."""
NOISE = (0.003, 0.04)
"""Standard deviation of the added noise, relative to the main peak."""
STRETCH_SD = 0.04
"""Standard deviation of the natural logarithm of the factor by which time is stretched."""
INTERVALS_LEFT = (30.0, 2000.0)
"""Expected inter-spike intervals below 100 ms of a thinned train. The range does not depend on the class, so that a
short recording of any class looks as likely as one of units that hardly fire."""

_PADDING = 60
_THINNED_SHARE = 0.9

Generator = np.random.Generator
Array = NDArray[np.float64]


def variants(labelled: LabelledUnits, n_variants: int, rng: Generator) -> dict[str, Matrix]:
    """Compute the blocks of each unit as recorded (variant 0) and of its variants.

    Parameters
    ----------
    labelled : LabelledUnits
    n_variants : int
    rng : numpy.random.Generator

    Returns
    -------
    dict of str to (n_variants, n_units, n_columns) float32 array
        By the names of `nwb_celltype.classifier.inputs.BLOCKS`.
    """
    recorded = read_blocks(labelled.features)
    stacks = [recorded]
    isi, acg = labelled.features["isi_counts"].values, labelled.features["acg_counts"].values
    for _ in range(n_variants - 1):
        recordings = zip(labelled.waveforms, labelled.sampling_rate_hz, strict=True)
        changed = [_vary_waveform(wave, rate, rng) for wave, rate in recordings]
        thinned = [thin_counts(i, a, rng) for i, a in zip(isi, acg, strict=True)]
        features = from_counts(
            [waveform for waveform, _ in changed],
            np.array([rate for _, rate in changed], dtype=np.float64),
            np.array([i for i, _ in thinned], dtype=np.int64).reshape(isi.shape),
            np.array([a for _, a in thinned], dtype=np.int64).reshape(acg.shape),
        )
        blocks = read_blocks(features)
        # A variant that cannot be described any more is replaced by the unit as recorded, and one that the unit
        # as recorded does not have is not made up.
        for name, block in blocks.items():
            keep = np.isfinite(block + recorded[name]).all(axis=1, keepdims=True)
            blocks[name] = np.where(keep, block, recorded[name])
        stacks.append(blocks)
    return {name: np.stack([blocks[name] for blocks in stacks]) for name in recorded}


def vary_waveform(waveform: Array, rate_hz: float, rng: Generator) -> tuple[Array, float]:
    """Filter, stretch and blur a mean waveform at random.

    Parameters
    ----------
    waveform : (n_samples,) array, any unit
    rate_hz : float, hertz
    rng : numpy.random.Generator

    Returns
    -------
    waveform : (n_samples,) array, largest value about 1
    rate_hz : float, hertz
        Time is stretched by stating another rate.
    """
    wave = waveform - np.median(waveform[: max(5, len(waveform) // 8)])
    wave = wave / (np.abs(wave).max() + 1e-12)
    if rng.random() < 0.5:
        wave = filtered(wave, "high", _log_uniform(HIGH_PASS_HZ, rng), rate_hz, is_causal=rng.random() < 0.5)
    if rng.random() < 0.3:
        wave = filtered(wave, "low", _log_uniform(LOW_PASS_HZ, rng), rate_hz, is_causal=rng.random() < 0.5)
    wave = wave + rng.normal(size=len(wave)) * _log_uniform(NOISE, rng)
    return wave, rate_hz * float(np.exp(rng.normal() * STRETCH_SD))


def thin_counts(
    isi_counts: NDArray[np.integer], acg_counts: NDArray[np.integer], rng: Generator
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Keep each interval and each pair with the same probability, as if the recording had been shorter.

    Parameters
    ----------
    isi_counts : (100,) array
    acg_counts : (201,) array, symmetric
    rng : numpy.random.Generator

    Returns
    -------
    isi_counts, acg_counts : arrays of the same shapes
        Unchanged for one of ten trains, and for trains with hardly any interval to spare.
    """
    total = int(isi_counts.sum())
    if total <= INTERVALS_LEFT[0] or rng.random() >= _THINNED_SHARE:
        return isi_counts, acg_counts
    kept = min(_log_uniform(INTERVALS_LEFT, rng) / total, 1.0)
    lag = rng.binomial(acg_counts[len(acg_counts) // 2 + 1 :], kept)
    return rng.binomial(isi_counts, kept), np.concatenate([lag[::-1], [0], lag])


def _vary_waveform(waveform: Array | None, rate_hz: float, rng: Generator) -> tuple[Array | None, float]:
    is_known = np.isfinite(rate_hz) and rate_hz > 0
    if waveform is None or not is_known or not np.isfinite(waveform).all() or len(waveform) < 8:
        return None, rate_hz
    return vary_waveform(np.asarray(waveform, dtype=np.float64), rate_hz, rng)


def filtered(wave: Array, kind: str, corner_hz: float, rate_hz: float, *, is_causal: bool) -> Array:
    """First-order Butterworth filter of a mean waveform, whose ends are held; `kind` is ``high`` or ``low``."""
    b, a = butter(1, min(corner_hz / (rate_hz / 2), 0.9), kind)
    padded = np.pad(wave, _PADDING, mode="edge")
    filtered = lfilter(b, a, padded) if is_causal else filtfilt(b, a, padded)
    return np.asarray(filtered[_PADDING:-_PADDING])


def _log_uniform(between: tuple[float, float], rng: Generator) -> float:
    low, high = between
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
