"""Autocorrelograms by firing rate: the reference maps bit by bit, and what must hold for any train."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.features import acg_3d, log_acg_3d


def test_reference_trains(vectors):
    v = vectors("acg3d_ref")
    offsets = v["offsets"]
    for i in range(len(offsets) - 1):
        acg = acg_3d(v["spikes"][offsets[i] : offsets[i + 1]] / 30_000)
        np.testing.assert_array_equal(acg, v["acg_linear"][i])
        np.testing.assert_allclose(log_acg_3d(acg), v["acg_log"][i], rtol=0, atol=1e-15)


def test_edge_cases(vectors):
    v = vectors("acg3d_edge_cases")
    names = sorted({key.split("/")[0] for key in v})
    assert len(names) == 16
    for name in names:
        # The reference takes whole samples for a millisecond: 24.4 kHz then lies on a grid of 25 kHz.
        grid_hz = math.ceil(float(v[f"{name}/fs"]) / 1000) * 1000
        acg = acg_3d(v[f"{name}/spikes"] / grid_hz, window_ms=int(v[f"{name}/win"]))
        np.testing.assert_array_equal(acg, v[f"{name}/acg"], err_msg=name)
        np.testing.assert_allclose(log_acg_3d(acg), v[f"{name}/log"], rtol=0, atol=1e-15, err_msg=name)


def test_trains_with_many_equal_rates(vectors):
    v = vectors("phy_ref")
    offsets = v["filtered_offsets"]
    for i in range(len(offsets) - 1):
        acg = acg_3d(v["filtered_spikes"][offsets[i] : offsets[i + 1]] / 30_000)
        np.testing.assert_array_equal(acg.astype(np.float32), v["acg_linear"][i])


def slow_acg(bins, half):
    """The definition, word by word, with exact sums; only for trains without ties."""
    from fractions import Fraction

    n, end = len(bins), int(bins[-1]) + 1
    rate = [Fraction(0)] * end
    middles = [int(bins[i] + (bins[i + 1] - bins[i]) // 2) for i in range(n - 1)]
    for a, b in pairwise(middles):
        rate[a:b] = [Fraction(1, b - a)] * (b - a)
    rates = []
    for at in bins:
        window = rate[max(at - 125, 0) : at + 125]
        rates.append(sum(window, Fraction(0)) / len(window))
    ranked = sorted(rates)
    edges = []
    for k in range(1, 11):
        rank, rest = divmod((n - 1) * k, 11)
        edges.append(ranked[rank] + (ranked[min(rank + 1, n - 1)] - ranked[rank]) * Fraction(rest, 11))
    acg, triggers = np.zeros((10, 2 * half + 1)), np.zeros(10)
    present = set(int(b) for b in bins)
    for at, own in zip(bins.tolist(), rates, strict=True):
        if at - half < 0 or at + half + 1 >= end:
            continue
        row = next((k for k in range(10) if edges[k] >= own), 9)
        triggers[row] += 1
        acg[row] += [at + lag in present and lag != 0 for lag in range(-half, half + 1)]
    return acg / np.maximum(triggers, 1)[:, None]


def test_the_definition_word_by_word():
    rng = np.random.default_rng(3)
    bins = np.cumsum(rng.integers(2, 90, 202))  # 201 is no multiple of 11, so no rank is whole
    np.testing.assert_allclose(acg_3d((bins + 0.5) / 1e3, window_ms=100), slow_acg(bins, 50), atol=1e-12)


def test_regular_firing_fills_one_row():
    acg = acg_3d(np.arange(0, 60, 0.1))
    assert acg[1:].sum() == 0
    assert set(np.flatnonzero(acg[0]) - 1000) == {k for k in range(-1000, 1001, 100) if k}


@pytest.mark.parametrize("times", [[], [1.0], [1.0, 2.0], [0.5, 0.5, 0.5]])
def test_too_few_spikes_are_an_empty_map(times):
    acg = acg_3d(np.array(times))
    assert acg.shape == (10, 2001)
    assert not acg.any()


def test_gaps_are_not_bridged():
    rng = np.random.default_rng(0)
    first = np.cumsum(rng.gamma(4, 0.01, 1500))
    second = 1000 + np.cumsum(rng.gamma(4, 0.01, 1500))
    observed = np.array([[0.0, first[-1] + 0.5], [1000.0, second[-1] + 0.5]])
    apart = acg_3d(np.concatenate([first, second]), observed)
    moved = acg_3d(np.concatenate([first, second + 500]), observed + np.array([[0], [500]]))
    np.testing.assert_array_equal(apart, moved)
    assert not np.array_equal(apart, acg_3d(np.concatenate([first, second])))


def test_spikes_outside_do_not_count():
    times = np.cumsum(np.random.default_rng(2).gamma(4, 0.01, 2000))
    observed = np.array([[5.0, 40.0]])
    inside = times[(times >= 5) & (times <= 40)]
    np.testing.assert_array_equal(acg_3d(times, observed), acg_3d(inside, observed))


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 7, 250, 86_400_000]))
@settings(max_examples=15, deadline=None)
def test_whole_milliseconds_later_is_the_same(seed, shift_ms):
    rng = np.random.default_rng(seed)
    samples = 30 * 2000 + np.cumsum(rng.integers(30, 3000, 600))  # 2 s late: the first second has no triggers
    early = acg_3d(samples / 30_000, np.array([[1.0, 100.0]]))
    late = acg_3d((samples + 30 * shift_ms) / 30_000, np.array([[1.0, 100.0]]) + shift_ms / 1e3)
    np.testing.assert_array_equal(early, late)
    assert early.min() >= 0
    assert early.max() <= 1


@pytest.mark.parametrize("times", [[2.0, 1.0], [-1.0, 1.0], [0.0, np.nan]])
def test_wrong_times_are_refused(times):
    with pytest.raises(InputError, match="ascending order"):
        acg_3d(np.array(times))


def test_an_odd_window_is_refused():
    with pytest.raises(UsageError, match="even"):
        acg_3d(np.arange(5.0), window_ms=201)
