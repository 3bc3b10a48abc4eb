"""Log-time histograms and statistics of 1 ms counts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import brentq

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


def test_edges_are_part_of_the_feature_spec() -> None:
    """Features of other bins are other features, for which no shipped model was made."""
    assert ISI_EDGES_MS.tolist() == [1, 2, 3, 4, 5, 7, 9, 11, 15, 20, 26, 34, 44, 58, 76, 100]
    assert LAG_EDGES_MS.tolist() == [
        *(1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 26, 32, 38, 46, 56, 68, 83, 100),
    ]


@pytest.mark.parametrize("most", [1, 4, 40, 4000])
def test_histograms_bin_by_bin(most: int) -> None:
    rng = np.random.default_rng(most)
    isi, acg = rng.integers(0, most, (2, 100), endpoint=True), rng.integers(0, most, (2, 201), endpoint=True)
    acg[1, 161:] = 0  # no plateau: all is worth as much as three pairs
    histogram, ratio = isi_histogram(isi), acg_log_ratio(acg)
    for row in range(2):
        for k, (a, b) in enumerate(pairwise(ISI_EDGES_MS)):
            assert histogram[row, k] == pytest.approx(sum(isi[row, a:b]) / sum(isi[row]))
        plateau = sum(acg[row, 161:]) / 40 + 1e-3
        for k, (a, b) in enumerate(pairwise(LAG_EDGES_MS)):
            expected = plateau * (b - a)
            pseudo = min(max(3 / expected, 0.02), 3)
            found = sum(acg[row, 100 + a : 100 + b]) / expected
            assert ratio[row, k] == pytest.approx(np.log((found + pseudo) / (1 + pseudo)))


def test_rates_solve_their_equation() -> None:
    rng = np.random.default_rng(0)
    for n_intervals, most in ((0, 0), (2000, 3), (2000, 30), (2000, 300), (50, 900)):
        isi, acg = np.zeros((1, 100), dtype=int), rng.integers(0, most, (1, 201), endpoint=True)
        isi[0, 7] = n_intervals
        f = 1e3 * (acg[0, 161:].mean() + 0.02) / (n_intervals + 1)
        rate = brentq(lambda r, f=f: r / (1 - np.exp(-0.1 * r)) - f, 1e-6, 1e6) if f > 10 else 0.0
        assert rate_below_100_ms(isi, acg)[0] == pytest.approx(np.clip(rate, 0.2, 500), rel=1e-4)


def described_slowly(isi: NDArray[np.float64], acg: NDArray[np.float64]) -> dict[str, float]:
    """Statistics of one train's counts, each as it is defined."""
    lag = acg[101:]  # 1 to 100 ms
    plateau = lag[60:].mean()
    smooth = gaussian_filter1d(lag.astype(float), 1 if plateau > 20 else 4, mode="nearest")
    ratio = {ms: (smooth[ms - 1] + 0.05) / (plateau + 0.05) for ms in range(1, 101)}
    rate = float(rate_below_100_ms(isi[None], acg[None])[0])
    values = {"log_rate": np.log(rate)}
    above = {}
    for level in (0.2, 0.5, 0.9):
        above[level] = next((ms for ms in ratio if ratio[ms] > level), 100)
        values[f"log_lag_above_{level}"] = np.log(above[level])
    peak = max(ratio, key=lambda ms: ratio[ms])
    values |= {"log_peak_lag": np.log(peak), "log_peak": np.log(ratio[peak] + 0.1)}
    for a, b in ((1, 3), (1, 6), (4, 10), (11, 25), (26, 50)):
        mean = sum(ratio[ms] for ms in range(a, b + 1)) / (b - a + 1)
        values[f"log_mean_{a}_{b}_ms"] = np.log(mean + 0.05)
    p = isi / isi.sum()
    reached = np.cumsum(p)
    quantiles = {q: float(np.interp(q / 100, reached, np.arange(1, 101))) for q in (5, 25, 50, 75, 95)}
    values |= {f"log_isi_q{q:02}": np.log(value) for q, value in quantiles.items()}
    centre = [k + 0.5 for k in range(100)]
    mean = sum(p[k] * centre[k] for k in range(100))
    variance = sum(p[k] * (centre[k] - mean) ** 2 for k in range(100))
    density = gaussian_filter1d(p, 1 if isi.sum() > 500 else 3, mode="nearest")
    mode = int(np.argmax(density))
    shape = np.array(list(ratio.values()))
    power = np.abs(np.fft.rfft(shape - shape.mean())) ** 2 / 100
    return values | {
        "isi_cv": variance**0.5 / mean,
        "isi_entropy": -sum(x * np.log(x) for x in p if x > 0),
        "log_isi_mode": np.log(centre[mode]),
        "log_isi_mean": np.log(mean),
        "log_median_isi_times_rate": np.log(quantiles[50] * rate / 1000 + 0.05),
        "log_half_lag_times_rate": np.log(above[0.5] * rate / 1000 + 0.005),
        "log_mode_height_times_mean": np.log(density[mode] * mean + 0.01),
        "log_oscillation": np.log(power[2:20].mean() + 1e-4),
    }


def by_hand(isi: dict[int, int], acg: dict[int, int]) -> Counts:
    counts = np.zeros((1, 100), dtype=int), np.zeros((1, 201), dtype=int)
    for k, n in isi.items():
        counts[0][0, k] = n
    for k, n in acg.items():
        counts[1][0, [100 - k, 100 + k]] = n
    return counts


DESCRIBED = {
    "fast": counts_of(poisson(120, 6_000)),
    "slow": counts_of(poisson(6, 300)),
    "bursting": counts_of(np.cumsum(np.random.default_rng(3).choice([0.004, 0.09], 2_000))),
    "one interval": by_hand({5: 1}, {5: 1}),
    "two": by_hand({0: 3, 99: 1}, {1: 3, 99: 1}),
    # 20 pairs a millisecond, and 500 intervals, are still few; more are many.
    "few": by_hand({10: 250, 30: 250}, {k: 20 for k in range(20, 101)}),
    "many": by_hand({10: 250, 30: 251}, {k: 20 + (k == 80) for k in range(20, 101)}),
    "only early": by_hand({2: 40}, {2: 40}),
}


@pytest.mark.parametrize("name", DESCRIBED)
def test_statistics_one_by_one(name: str) -> None:
    isi, acg = DESCRIBED[name]
    assert named((isi, acg)) == pytest.approx(described_slowly(isi[0], acg[0]), rel=1e-9, abs=1e-9)


def test_pairs_without_intervals_are_not_described() -> None:
    assert np.isnan(acg_statistics(*by_hand({}, {5: 3}))).all()


def test_one_interval_is_all_there_is() -> None:
    assert isi_histogram(by_hand({5: 1}, {})[0]).max() == 1


def test_pairs_at_no_lag_are_no_pairs() -> None:
    plain = by_hand({5: 3}, {5: 3})
    centred = plain[0], plain[1].copy()
    centred[1][0, 100] = 50
    assert named(centred) == named(plain)
