"""What is no unit of the kinds that a model knows stands out, and the units themselves do not."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_celltype.classifier import Model
from nwb_celltype.classifier.novelty import stranger_score
from nwb_celltype.features import from_counts
from nwb_celltype.features.counts import count_train
from nwb_celltype.labels import LabelledUnits
from nwb_celltype.training.pool import GRID_MS, GRID_RATE_HZ, make_pool, on_grid
from nwb_celltype.training.strangers import (
    grow_stranger_forests,
    merged_counts,
    merged_waveform,
    noise_waveform,
    refractory_poisson,
)

from .synthetic import RATE_HZ, make_spikes


def area(strangers: np.ndarray, own: np.ndarray) -> float:  # type: ignore[type-arg]
    """Probability that a stranger has the higher score, of those that can be described."""
    strangers, own = (scores[~np.isnan(scores)] for scores in (strangers, own))
    assert len(strangers) > 20
    return float((strangers[:, None] > own[None]).mean() + (strangers[:, None] == own[None]).mean() / 2)


def test_merged_counts_are_those_of_merged_trains() -> None:
    rng = np.random.default_rng(0)
    seconds = 2000.0
    trains = []
    for dead, mean in ((0.008, 0.040), (0.003, 0.020)):
        gaps = dead + rng.gamma(2, (mean - dead) / 2, int(1.2 * seconds / mean))
        times = np.cumsum(gaps)
        trains.append(times[times < seconds])
    one, other = (count_train(train) for train in trains)
    together = count_train(np.sort(np.concatenate(trains)))
    n = float(together.isi_counts.sum())
    (isi, acg), share = merged_counts(
        (one.isi_counts, one.acg_counts), (other.isi_counts, other.acg_counts), rng, n_intervals=n
    )
    assert share == pytest.approx(1 / 3, abs=0.03)
    np.testing.assert_array_equal(acg, acg[::-1])
    assert isi.sum() == pytest.approx(n, rel=0.02)
    assert np.abs(np.cumsum(isi) - np.cumsum(together.isi_counts)).max() / n < 0.02
    for lags in (slice(102, 104), slice(105, 115), slice(115, 140), slice(160, 200)):
        assert acg[lags].sum() == pytest.approx(together.acg_counts[lags].sum(), rel=0.1)


def test_waveforms_come_to_one_grid() -> None:
    fine = -50 * np.exp(-((np.arange(-40, 60) / 40 / 0.2) ** 2))
    grid = on_grid(fine, 40_000.0)
    np.testing.assert_allclose(grid, -np.exp(-((GRID_MS / 0.2) ** 2)), atol=0.02)
    for wave, rate in ((None, 3e4), (np.full(75, np.nan), 3e4), (np.zeros(75), 3e4), (fine[:5], 3e4), (fine, np.nan)):
        assert np.isnan(on_grid(wave, rate)).all()
    merged = merged_waveform(grid, grid, 0.5, np.random.default_rng(0))
    assert np.abs(merged).argmax() in (29, 30, 31)


def test_strangers_stand_out(model: Model, learnt: LabelledUnits, unseen: LabelledUnits) -> None:
    rng = np.random.default_rng(5)
    counts = [count_train(refractory_poisson(rng)) for _ in range(40)]
    noise = from_counts(
        [noise_waveform(rng) for _ in counts],
        GRID_RATE_HZ,
        np.array([c.isi_counts for c in counts]),
        np.array([c.acg_counts for c in counts]),
    )
    trains = [np.sort(np.concatenate([make_spikes("fast", rng), make_spikes("regular", rng)])) for _ in range(40)]
    merged = [count_train(train[train < 8]) for train in trains]
    merges = from_counts(
        [None] * 40, None, np.array([c.isi_counts for c in merged]), np.array([c.acg_counts for c in merged])
    )
    for subset in (("waveform",), ("train",), ("waveform", "train")):
        own = model.predict(unseen.features, modalities=subset).ood_score
        assert area(model.predict(noise, modalities=subset).ood_score, own) > 0.9
        assert (own > model.ood_threshold).mean() <= 0.25
    own = model.predict(unseen.features, modalities=["train"]).ood_score
    assert area(model.predict(merges).ood_score, own) > 0.9
    assert ((own >= 0) & (own <= 1)).all()


def test_scores_keep_their_order_and_their_limit() -> None:
    p = np.linspace(0, 1, 11)
    for limit in (0.2, 0.5, 0.9):
        score = stranger_score(p, limit)
        assert (np.diff(score) > 0).all()
        assert stranger_score(np.array([limit]), limit)[0] == pytest.approx(0.5)


def test_the_same_seed_makes_the_same_strangers(learnt: LabelledUnits) -> None:
    pool = make_pool([learnt], n_variants=2)
    modalities = {"waveform": ("waveform",), "train": ("acg",)}
    subsets = [("train",), ("waveform", "train")]
    once, again = (grow_stranger_forests(pool, modalities, subsets, 10, 4) for _ in range(2))
    assert once.keys() == again.keys()
    for name, array in once.items():
        np.testing.assert_array_equal(array, again[name])
    assert RATE_HZ == GRID_RATE_HZ
