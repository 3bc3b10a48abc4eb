"""Sums are those of numpy to the last bit, whatever the number of terms."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_celltype.features.interval_sums import (
    middle_value,
    sums_of_deviations,
    sums_of_intervals,
    sums_of_neighbours,
)

SIZES = [1, 2, 7, 8, 9, 15, 16, 17, 100, 127, 128, 129, 135, 136, 250, 256, 257, 264, 300, 520, 1025, 3000]


def intervals(n: int) -> np.ndarray:
    return np.random.default_rng(n).exponential(0.03, n) + 1e-3


@pytest.mark.parametrize("n", SIZES)
def test_sums_of_intervals(n: int) -> None:
    x = intervals(n)
    logs = np.log(x)
    assert sums_of_intervals(x, logs).tolist() == [x.sum(), (1 / x).sum(), logs.sum()]


@pytest.mark.parametrize("n", SIZES)
def test_sums_of_deviations(n: int) -> None:
    x = intervals(n)
    logs = np.log(x)
    off, off_log = x - 0.031, logs + 3.9
    expected = [(off * off).sum(), (off * off * off).sum(), (off_log * off_log).sum()]
    assert sums_of_deviations(x, 0.031, logs, -3.9).tolist() == expected


@pytest.mark.parametrize("n", SIZES)
def test_sums_of_neighbours(n: int) -> None:
    x = intervals(n + 1)
    a, b, logs = x[:-1].copy(), x[1:].copy(), np.log(x)
    cv2, total = np.full(n, np.nan), a + b
    found = sums_of_neighbours(a, b, logs[:-1].copy(), logs[1:].copy(), 3.2, 3.2e-3, cv2).tolist()
    close = 4 * a * b / (total * total)
    local = 1 - close
    np.testing.assert_array_equal(cv2, 2 * np.abs(b - a) / total)
    assert found[:5] == [
        cv2.sum(),
        local.sum(),
        (local * (1 + 3.2 / total)).sum(),
        (local * (1 + 3.2e-3 / total)).sum(),
        np.abs(logs[1:] - logs[:-1]).sum(),
    ]
    assert found[5] == pytest.approx(np.log(close).sum(), rel=1e-12)


def test_very_unlike_neighbours_lose_no_product() -> None:
    """Sixteen factors of 4e-9 are 1e-134; more of them would be 0, and their logarithm not a number."""
    n = 100
    a, b = np.full(n, 1e-3), np.full(n, 1e6)
    found = sums_of_neighbours(a, b, np.log(a), np.log(b), 3.2, 3.2e-3, np.empty(n))
    assert found[5] == pytest.approx(n * np.log(4 * 1e3 / (1e6 + 1e-3) ** 2), rel=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 11, 500])
def test_middle_values_of_any_shape(n: int) -> None:
    rng = np.random.default_rng(n)
    edges = rng.integers(0, 2049, n) / 1024  # on the edges of the bins
    for values in (edges, np.repeat([0.0, 2.0], [n, n + 1]), np.r_[np.zeros(n), 2.0], rng.beta(0.1, 0.1, n) * 2):
        assert middle_value(values) == np.median(values)
