"""Strangers made up from the training units and from chance: merged units, noise, and other kinds of cells.

A model learns from them what its own units do not look like. No recorded unit of another kind is among them, so a
stranger that was recorded is as new to the model as one that a user brings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, filtfilt, lfilter

from nwb_celltype.classifier.forest import grow
from nwb_celltype.classifier.inputs import BLOCKS, Matrix, has_modality, joined, read_blocks
from nwb_celltype.features import from_counts
from nwb_celltype.features.counts import MAX_LAG_MS, count_train
from nwb_celltype.features.trains import rate_below_100_ms
from nwb_celltype.training.pool import GRID_MS, GRID_RATE_HZ, Pool

TREES = 60
"""Trees in the forest of each combination of modalities, fewer for models with fewer strangers of a kind than 250."""
ORDINARY_WAVEFORMS = 0.8
"""Share of the strangers with two modalities that wear the waveform of a training unit: those of other brain areas are
often of an ordinary shape, and the train must tell."""
ORDINARY_TRAINS = 0.16
"""Share with the train of a training unit."""

_MIN_LEAF = 10
_FULL = 250
_COLUMNS_ASKED = 0.3
_N_VARIANTS = 6
_SEED_OF_CHANCE = 2025

Array = NDArray[np.float64]
Counts = tuple[NDArray[np.integer], NDArray[np.integer]]
Generator = np.random.Generator
Blocks = dict[str, Matrix]


def grow_stranger_forests(
    pool: Pool, modalities: Mapping[str, Sequence[str]], subsets: Sequence[tuple[str, ...]], n_a_kind: int, seed: int
) -> dict[str, NDArray[Any]]:
    """Grow a forest for each combination of modalities that tells strangers from the units of a pool.

    Parameters
    ----------
    pool : Pool
    modalities : mapping of str to sequence of str
        Blocks of each modality.
    subsets : sequence of tuples of str
        Combinations of modalities.
    n_a_kind : int
        Strangers of each of the three kinds.
    seed : int

    Returns
    -------
    dict of str to array
        Arrays of `nwb_celltype.classifier.forest.Forest`, named ``strangers.`` and the modalities joined with ``+``;
        the second class is that of the strangers.
    """
    rng = np.random.default_rng([seed, 77])
    strange = _strangers(pool, n_a_kind, rng)
    trees = int(np.ceil(TREES * min(1.0, n_a_kind / _FULL)))
    tensors: dict[str, NDArray[Any]] = {}
    for subset in subsets:
        names = [block for name in subset for block in modalities[name]]
        own = np.flatnonzero(has_modality(pool.recorded, names))
        other = np.flatnonzero(has_modality(strange, names))
        shown = {name: block[:_N_VARIANTS, own] for name, block in pool.blocks.items()}
        taken = {name: block[other] for name, block in strange.items()}
        if len(subset) > 1 and len(own):
            taken = _dress(taken, shown, modalities, rng)
        ours = joined(shown, names).reshape(-1, sum(pool.blocks[name].shape[-1] for name in names))
        labels = np.tile(pool.labels[own], len(ours) // max(len(own), 1))
        weights = 1.0 / np.maximum(np.bincount(labels, minlength=len(pool.classes)), 1)[labels]
        columns = np.concatenate([ours, joined(taken, names)])
        if len(columns) == 0:
            columns = np.zeros((1, ours.shape[1]), dtype=np.float32)
        is_stranger = np.repeat([0, 1], [len(ours), len(columns) - len(ours)])
        weight = np.concatenate([weights / weights.mean() if len(weights) else weights, np.ones(is_stranger.sum())])
        forest = grow(
            columns, is_stranger, 2, trees=trees, min_leaf=_MIN_LEAF, seed=seed, weights=weight,
            columns_asked=_COLUMNS_ASKED,
        )  # fmt: skip
        tensors |= forest.tensors(f"strangers.{'+'.join(subset)}")
    return tensors


def merged_counts(one: Counts, other: Counts, rng: Generator, *, n_intervals: float) -> tuple[Counts, float]:
    """Counts of two independent units that were taken for one, drawn from what is expected of them.

    Parameters
    ----------
    one, other : pairs of (100,) and (201,) integer arrays
        Interval and pair counts in 1 ms bins.
    rng : numpy.random.Generator
    n_intervals : float
        Intervals below 100 ms that are expected.

    Returns
    -------
    counts : pair of arrays of the same shapes
    share : float
        Of the spikes that come from the first unit.
    """
    rates = [float(rate_below_100_ms(isi[None], acg[None])[0]) for isi, acg in (one, other)]
    total = sum(rates)
    alone = [_survival(isi, rate) for (isi, _), rate in zip((one, other), rates, strict=True)]
    ahead = [_forward_survival(s, rate) for s, rate in zip(alone, rates, strict=True)]
    survival = (rates[0] * alone[0] * ahead[1] + rates[1] * alone[1] * ahead[0]) / total
    density = np.clip(-np.diff(survival), 0, None)
    n_spikes = n_intervals / max(float(density.sum()), 1e-3)
    lags = [acg[MAX_LAG_MS + 1 :] / max(float(acg[MAX_LAG_MS + 61 :].mean()), 0.02) for _, acg in (one, other)]
    ratio = (rates[0] ** 2 * lags[0] + rates[1] ** 2 * lags[1] + 2 * rates[0] * rates[1]) / total**2
    isi = rng.poisson(n_spikes * density)
    lag = rng.poisson(n_spikes * total * 1e-3 * ratio)
    return (isi, np.concatenate([lag[::-1], [0], lag])), rates[0] / total


def merged_waveform(one: Array, other: Array, share: float, rng: Generator) -> Array:
    """Mean waveform of two units that were taken for one, of slightly different amplitude and moment of the peak."""
    shift_ms, amplitude = rng.normal() * 0.03, float(np.exp(rng.normal() * 0.3))
    return np.asarray(share * one + (1 - share) * amplitude * np.interp(GRID_MS - shift_ms, GRID_MS, other))


def noise_waveform(rng: Generator) -> Array:
    """Band-passed noise around its largest value, or anywhere."""
    low, high = _log_uniform(150, 800, rng), _log_uniform(1500, 8000, rng)
    b, a = butter(int(rng.integers(1, 4)), [low / (GRID_RATE_HZ / 2), high / (GRID_RATE_HZ / 2)], "band")
    noise = filtfilt(b, a, rng.normal(size=400))
    at = 100 + int(np.argmax(np.abs(noise[100:300]))) if rng.random() < 0.5 else int(rng.integers(100, 300))
    return np.asarray(noise[at - 30 : at + 45])


def refractory_poisson(rng: Generator) -> Array:
    """Spike times (s) of threshold crossings: nothing but a dead time of 0.5 to 4 ms is regular about them."""
    dead_s = rng.uniform(0.5, 4) * 1e-3
    rate_hz = min(_log_uniform(0.5, 200, rng), 0.8 / dead_s)
    return np.cumsum(dead_s + rng.exponential(1 / rate_hz - dead_s, int(_log_uniform(100, 6000, rng))))


def _strangers(pool: Pool, n: int, rng: Generator) -> Blocks:
    """Blocks of `n` strangers of each kind."""
    has_wave: NDArray[np.bool_] = np.asarray(np.isfinite(pool.waveforms).all(axis=1))
    has_train: NDArray[np.bool_] = np.asarray((pool.isi_counts.sum(axis=1) > 0) & (pool.acg_counts.sum(axis=1) > 0))
    waves: list[Array | None] = []
    counts: list[Counts] = []
    both = np.flatnonzero(has_wave & has_train)
    rows = both if len(both) > 1 else np.arange(len(pool))
    silent = (np.zeros(100, dtype=np.int64), np.zeros(2 * MAX_LAG_MS + 1, dtype=np.int64))
    for _ in range(n):
        a, b = rng.choice(rows, 2, replace=False)
        train: Counts = silent
        share = 0.5
        if has_train[a] and has_train[b]:
            pairs = [(pool.isi_counts[k], pool.acg_counts[k]) for k in (a, b)]
            train, share = merged_counts(pairs[0], pairs[1], rng, n_intervals=_log_uniform(100, 8000, rng))
        counts.append(train)
        is_seen = has_wave[a] and has_wave[b]
        waves.append(merged_waveform(pool.waveforms[a], pool.waveforms[b], share, rng) if is_seen else None)
    merged = _describe(waves, counts)
    made_up = _made_up(n, _SEED_OF_CHANCE)
    scrambled = [_scrambled(pool.waveforms[k], rng) if has_wave[k] else None for k in rng.choice(rows, n)]
    shuffled = _describe(scrambled, [silent] * n)
    # Two of five noise waveforms have the spectrum of a training unit, and none of its phases.
    swapped = (np.arange(n) % 5 < 2) & has_modality(shuffled, ["waveform"])
    for name in ("waveform", "waveform_turned", "waveform_statistics"):
        made_up[name][:n][swapped] = shuffled[name][swapped]
    return {name: np.concatenate([merged[name], made_up[name]]) for name in BLOCKS}


def _made_up(n: int, seed: int) -> Blocks:
    """Blocks of `n` noise clusters and of `n` cells of no particular kind; the same ones each time."""
    return {name: block.copy() for name, block in _made_up_once(n, seed).items()}


@lru_cache(maxsize=4)
def _made_up_once(n: int, seed: int) -> Blocks:
    rng = np.random.default_rng(seed)
    makers: tuple[tuple[Callable[[Generator], Array], Callable[[Generator], Array]], ...] = (
        (noise_waveform, refractory_poisson),
        (_any_waveform, _any_train),
    )
    waves: list[Array | None] = []
    counts: list[Counts] = []
    for make_wave, make_train in makers:
        for _ in range(n):
            waves.append(make_wave(rng))
            counted = count_train(make_train(rng))
            counts.append((counted.isi_counts, counted.acg_counts))
    return _describe(waves, counts)


def _describe(waves: Sequence[Array | None], counts: Sequence[Counts]) -> Blocks:
    isi = np.array([one for one, _ in counts], dtype=np.int64)
    acg = np.array([one for _, one in counts], dtype=np.int64)
    return read_blocks(from_counts(list(waves), GRID_RATE_HZ, isi, acg))


def _dress(
    strange: Blocks, own: Mapping[str, Matrix], modalities: Mapping[str, Sequence[str]], rng: Generator
) -> Blocks:
    """Give some strangers the waveform, others the train, of a unit of the pool."""
    n = len(next(iter(strange.values())))
    n_variants, n_own = next(iter(own.values())).shape[:2]
    variant, row, lot = rng.integers(0, n_variants, n), rng.integers(0, n_own, n), rng.random(n)
    worn = {"waveform": lot < ORDINARY_WAVEFORMS, "train": lot >= 1 - ORDINARY_TRAINS}
    dressed = dict(strange)
    for modality, mask in worn.items():
        for name in modalities.get(modality, ()):
            dressed[name] = np.where(mask[:, None], own[name][variant, row], strange[name])
    return dressed


def _survival(isi_counts: NDArray[np.integer], rate_hz: float) -> Array:
    """(101,) probability that an interval is at least 0, 1, ..., 100 ms long."""
    longer = np.exp(-0.1 * rate_hz)
    reached = np.concatenate([[0.0], np.cumsum(isi_counts) / max(int(isi_counts.sum()), 1)])
    return np.asarray(1 - (1 - longer) * reached)


def _forward_survival(survival: Array, rate_hz: float) -> Array:
    """(101,) probability that a unit is silent for 0, 1, ..., 100 ms from any moment on."""
    area = np.concatenate([[0.0], np.cumsum((survival[1:] + survival[:-1]) / 2)])
    return np.asarray(np.clip(1 - rate_hz * 1e-3 * area, 0, 1))


def _scrambled(wave: Array, rng: Generator) -> Array:
    """The same spectrum, other phases."""
    spectrum = np.fft.rfft(wave)
    noise = np.fft.irfft(spectrum * np.exp(2j * np.pi * rng.random(len(spectrum))), len(wave))
    return np.roll(noise, 30 - int(np.argmax(np.abs(noise))))


def _any_waveform(rng: Generator) -> Array:
    """A spike of no particular cell: a peak and one to three waves before or after it, at times filtered."""
    t = GRID_MS
    sign = 1.0 if rng.random() < 0.2 else -1.0
    wave = sign * np.exp(-0.5 * (t / _log_uniform(0.05, 0.3, rng)) ** 2)
    for _ in range(int(rng.integers(1, 4))):
        centre = rng.choice([-1, 1], p=[0.3, 0.7]) * _log_uniform(0.15, 1.5, rng)
        wave = wave - sign * rng.uniform(-0.3, 1) * np.exp(-0.5 * ((t - centre) / _log_uniform(0.08, 0.6, rng)) ** 2)
    if rng.random() < 0.5:
        b, a = butter(1, _log_uniform(60, 700, rng) / (GRID_RATE_HZ / 2), "high")
        wave = lfilter(b, a, np.pad(wave, 60, mode="edge"))[60:-60]
    return np.asarray(wave + rng.normal(size=len(t)) * _log_uniform(0.002, 0.03, rng) * np.abs(wave).max())


def _any_train(rng: Generator) -> Array:
    """Spike times (s) of no particular cell: regular, irregular or bursting, often modulated slowly or by a rhythm."""
    n, kind = int(_log_uniform(150, 5000, rng)), int(rng.integers(4))
    dead_s, rate_hz = rng.uniform(0.5, 5) * 1e-3, _log_uniform(0.3, 150, rng)
    mean_s = max(1 / rate_hz - dead_s, 0.3e-3)
    if kind == 0:
        shape = _log_uniform(0.3, 30, rng)
        gaps = rng.gamma(shape, mean_s / shape, n)
    elif kind == 1:
        sd = rng.uniform(0.3, 2)
        gaps = np.exp(rng.normal(size=n) * sd - sd * sd / 2) * mean_s
    else:
        short_s = _log_uniform(1.5, 15, rng) * 1e-3
        in_burst = rng.random(n) < rng.uniform(0.05, 0.8)
        gaps = np.where(in_burst, rng.gamma(3, short_s / 3, n), rng.gamma(_log_uniform(0.5, 4, rng), mean_s, n))
    if kind == 3 or rng.random() < 0.4:
        gaps = _modulated(gaps, _log_uniform(0.2, 12, rng), rng.uniform(0, 0.95))
    return np.cumsum(dead_s + np.clip(gaps, 0, None))


def _modulated(gaps: Array, frequency_hz: float, depth: float) -> Array:
    """Stretch and squeeze time by a rhythm; left as it is where that would take more than 200,000 cycles."""
    times = np.cumsum(gaps)
    cycles = float(times[-1] * frequency_hz)
    if cycles > 2e5:
        return gaps
    grid = np.linspace(0, times[-1], max(20 * int(cycles) + 10, 10))
    warped = grid - depth / (2 * np.pi * frequency_hz) * np.cos(2 * np.pi * frequency_hz * grid)
    return np.diff(np.interp(times, np.sort(warped), grid), prepend=0)


def _log_uniform(low: float, high: float, rng: Generator) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
