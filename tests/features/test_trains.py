"""Log-time histograms and statistics of 1 ms counts."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nwb_celltype.features.counts import count_train
from nwb_celltype.features.trains import (
    ACG_STATISTICS,
    ISI_EDGES_MS,
    LAG_EDGES_MS,
    acg_log_ratio,
    acg_statistics,
    isi_histogram,
    rate_below_100_ms,
)

Counts = tuple[NDArray[np.int64], NDArray[np.int64]]


def counts_of(times: NDArray[np.float64]) -> Counts:
    counts = count_train(times)
    return counts.isi_counts[None], counts.acg_counts[None]


def poisson(rate_hz: float, n: int = 40_000) -> NDArray[np.float64]:
    return np.cumsum(np.random.default_rng(0).exponential(1 / rate_hz, n))


def named(counts: Counts) -> dict[str, float]:
    return dict(zip(ACG_STATISTICS, acg_statistics(*counts)[0].tolist(), strict=True))


def test_edges_are_edges_of_1_ms_bins() -> None:
    for edges in (ISI_EDGES_MS, LAG_EDGES_MS):
        assert edges.dtype.kind == "i"
        assert (edges[0], edges[-1]) == (1, 100)
        assert (np.diff(edges) > 0).all()


def test_histogram_is_a_share_of_all_intervals() -> None:
    isi = np.random.default_rng(0).integers(0, 50, (3, 100))
    histogram = isi_histogram(isi)
    assert histogram.shape == (3, len(ISI_EDGES_MS) - 1)
    np.testing.assert_allclose(histogram.sum(axis=1), 1 - isi[:, 0] / isi.sum(axis=1))
    np.testing.assert_allclose(histogram, isi_histogram(isi * 7))
    assert np.isnan(isi_histogram(np.zeros((1, 100), dtype=int))).all()


def test_log_ratio_of_a_train_without_memory_is_flat() -> None:
    assert np.abs(acg_log_ratio(counts_of(poisson(40))[1])).max() < 0.1


def test_log_ratio_shows_a_refractory_period() -> None:
    rng = np.random.default_rng(0)
    ratio = acg_log_ratio(counts_of(np.cumsum(rng.exponential(0.02, 40_000) + 0.005))[1])[0]
    assert (ratio[:4] < -2).all()
    assert np.abs(ratio[6:]).max() < 0.3


def test_little_evidence_gives_a_flatter_curve() -> None:
    acg = np.zeros((1, 201), dtype=int)
    acg[0, 103] = acg[0, 97] = 1
    few, many = acg.copy(), acg * 1000
    few[0, [30, 170]], many[0, [30, 170]] = 1, 1000
    assert np.abs(acg_log_ratio(few)).max() < np.abs(acg_log_ratio(many)).max()
    assert np.isfinite(acg_log_ratio(np.zeros((1, 201), dtype=int))).all()


@pytest.mark.parametrize("rate_hz", [5, 20, 80, 200])
def test_rate_of_a_train_without_memory(rate_hz: float) -> None:
    assert rate_below_100_ms(*counts_of(poisson(rate_hz)))[0] == pytest.approx(
        rate_hz, rel=0.25 if rate_hz < 10 else 0.05
    )


def test_statistics_of_a_regular_train() -> None:
    jitter = np.random.default_rng(0).normal(0, 0.0005, 20_000)
    values = named(counts_of(np.cumsum(0.0202 + jitter)))
    assert np.exp(values["log_isi_q50"]) == pytest.approx(20.2, abs=0.5)
    assert np.exp(values["log_isi_mean"]) == pytest.approx(20.2, abs=0.5)
    assert np.exp(values["log_isi_mode"]) == pytest.approx(20.2, abs=1.1)
    assert np.exp(values["log_peak_lag"]) == pytest.approx(20.2, abs=1.6)
    assert np.exp(values["log_rate"]) == pytest.approx(1000 / 20.2, rel=0.1)
    assert values["isi_cv"] < 0.1


def test_order_of_quantiles_and_crossings() -> None:
    values = named(counts_of(poisson(60)))
    quantiles = [values[f"log_isi_q{q}"] for q in ("05", "25", "50", "75", "95")]
    assert quantiles == sorted(quantiles)
    crossings = [values[f"log_lag_above_{level}"] for level in (0.2, 0.5, 0.9)]
    assert crossings == sorted(crossings)


def test_statistics_are_finite_or_all_nan() -> None:
    isi = np.zeros((4, 100), dtype=int)
    acg = np.zeros((4, 201), dtype=int)
    isi[1, 5], acg[1, [95, 105]] = 1, 1  # as little as can be
    isi[2, 0], acg[2, 200] = 5, 5  # everything at the ends
    isi[3, 50] = 3  # intervals without pairs
    rows = acg_statistics(isi, acg)
    assert rows.shape == (4, len(ACG_STATISTICS)) == (4, 24)
    assert np.isnan(rows[[0, 3]]).all()
    assert np.isfinite(rows[[1, 2]]).all()


def test_a_longer_recording_of_the_same_train_says_the_same() -> None:
    isi, acg = counts_of(poisson(40))
    one, ten = named((isi, acg)), named((isi * 10, acg * 10))
    assert one == pytest.approx(ten, abs=0.01)
