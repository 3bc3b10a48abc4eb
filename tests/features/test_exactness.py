"""The quick ways to counts, statistics and 3D-ACGs give what the slow and plain ones give, whatever the train."""

from __future__ import annotations

import os

import numpy as np
import pytest
from numpy.typing import NDArray

import nwb_celltype as nct
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.features import acg_3d, acg_3d_with_rates, acgs_3d, compute
from nwb_celltype.features.counts import sweep_train
from nwb_celltype.features.interval_sums import middle_value
from nwb_celltype.features.statistics import TRAIN_STATISTICS
from nwb_celltype.features.threads import n_processors, over_units
from nwb_celltype.features.train_measures import measure_train

from .references import acg_3d_slowly, count_slowly, fine_counts_slowly, statistics_slowly
from .trains import KINDS, make_train

Float = NDArray[np.float64]

SOAK = pytest.mark.skipif(not os.environ.get("NWB_CELLTYPE_SOAK"), reason="set NWB_CELLTYPE_SOAK=1 for long trains")
N_SPIKES = [pytest.param(60_000, id="short"), pytest.param(10_000_000, id="long", marks=SOAK)]
OBSERVED: dict[str, list[tuple[float, float]] | None] = {  # in fractions of the train's length
    "always": None,
    "two stretches": [(0.05, 0.4), (0.5, 1.1)],
    "unsorted, touching, empty": [(0.6, 0.9), (0.1, 0.3), (0.3, 0.5), (0.95, 0.95)],
    "elsewhere": [(2.0, 3.0)],
}


def observed(name: str, times: Float) -> Float | None:
    given = OBSERVED[name]
    return None if given is None else np.array(given) * (times[-1] if len(times) else 1.0)


def long_train(kind: str, n: int) -> Float:
    """A train of n spikes on a 30 kHz grid, about 40 Hz."""
    rng = np.random.default_rng(7)
    ticks = {
        "random": lambda: rng.exponential(700, n).astype(np.int64) + 45,
        "bursty": lambda: np.where(rng.random(n) < 0.7, rng.integers(40, 150, n), rng.integers(600, 5000, n)),
        "regular": lambda: np.full(n, 750),
        "duplicates": lambda: np.where(rng.random(n) < 0.2, 0, rng.exponential(900, n).astype(np.int64) + 30),
        "drifting": lambda: (rng.gamma(4, 180 * (1.5 + np.sin(np.arange(n) / 3e3)), n)).astype(np.int64) + 60,
    }[kind]()
    return np.asarray(np.cumsum(ticks) / 30_000)


def assert_statistics(times: Float, intervals: Float | None) -> None:
    found = measure_train(times, intervals)
    if found.reason:
        assert len(times) == 0
        return
    isi, acg = count_slowly(times, intervals)
    np.testing.assert_array_equal(found.isi_counts, isi)
    np.testing.assert_array_equal(found.acg_counts, acg)
    sweep = sweep_train(times, intervals)
    np.testing.assert_array_equal(sweep.fine_counts[:200], fine_counts_slowly(times, intervals))
    expected = dict.fromkeys(TRAIN_STATISTICS, np.nan)
    expected |= statistics_slowly(times, intervals, sweep.counts.observed_s)
    for name, value, right in zip(TRAIN_STATISTICS, found.statistics, expected.values(), strict=True):
        np.testing.assert_allclose(value, right, rtol=1e-12, atol=2e-13, err_msg=name)


@pytest.mark.parametrize("name", OBSERVED)
@pytest.mark.parametrize("kind", KINDS)
def test_counts_and_statistics(kind: str, name: str) -> None:
    times = make_train(kind, 30_000, np.random.default_rng(1)) / 30_000
    assert_statistics(times, observed(name, times))


@pytest.mark.parametrize("n", N_SPIKES)
@pytest.mark.parametrize("kind", ["random", "bursty", "regular", "duplicates", "drifting"])
def test_counts_and_statistics_of_long_trains(kind: str, n: int) -> None:
    times = long_train(kind, n)
    assert_statistics(times, None)
    assert_statistics(times, observed("two stretches", times))


@pytest.mark.parametrize("name", OBSERVED)
@pytest.mark.parametrize("kind", KINDS)
def test_acg_3d(kind: str, name: str) -> None:
    times = make_train(kind, 30_000, np.random.default_rng(5)) / 30_000
    intervals = observed(name, times)
    found = acg_3d_with_rates(times, intervals, window_ms=400)
    acg, rates_hz = acg_3d_slowly(times, intervals, window_ms=400)
    np.testing.assert_array_equal(found.acg, acg)
    np.testing.assert_allclose(found.rates_hz, rates_hz, rtol=1e-13)


@pytest.mark.parametrize("n", N_SPIKES)
@pytest.mark.parametrize("kind", ["random", "bursty", "duplicates", "drifting"])
def test_acg_3d_of_long_trains(kind: str, n: int) -> None:
    times = long_train(kind, n)
    lags = np.unique(np.random.default_rng(0).integers(-1000, 1001, 25))
    for intervals in (None, observed("two stretches", times)):
        found = acg_3d_with_rates(times, intervals)
        acg, rates_hz = acg_3d_slowly(times, intervals, lags_ms=lags)
        np.testing.assert_array_equal(found.acg[:, 1000 + lags], acg)
        np.testing.assert_allclose(found.rates_hz, rates_hz, rtol=1e-11)
        assert found.n_triggers.sum() > 0.5 * n


def test_fast_and_slow_firing_are_counted_alike() -> None:
    """Both ways of counting windows serve this train, and bytes run over many times."""
    rng = np.random.default_rng(2)
    ticks = np.cumsum(np.where(np.arange(20_000) // 2_500 % 2, rng.integers(9_000, 40_000, 20_000), 90))
    found, (acg, _) = acg_3d(ticks / 30_000), acg_3d_slowly(ticks / 30_000)
    np.testing.assert_array_equal(found, acg)


@pytest.mark.parametrize("n_rows", [1, 2, 7, 300])
def test_any_number_of_rows(n_rows: int) -> None:
    times = long_train("random", 2_000)
    found = acg_3d_with_rates(times, window_ms=50, n_rows=n_rows)
    acg, rates_hz = acg_3d_slowly(times, window_ms=50, n_rows=n_rows)
    np.testing.assert_array_equal(found.acg, acg)
    np.testing.assert_allclose(found.rates_hz, rates_hz, rtol=1e-13)


def test_rates_of_rows_ascend() -> None:
    found = acg_3d_with_rates(long_train("drifting", 20_000))
    assert (np.diff(found.rates_hz) > 0).all()
    np.testing.assert_array_equal(found.acg, acg_3d(long_train("drifting", 20_000)))
    assert np.isnan(acg_3d_with_rates(np.empty(0)).rates_hz).all()


def test_many_spikes_at_one_instant_take_no_longer() -> None:
    times = np.sort(np.concatenate([long_train("random", 2_000), np.full(300_000, 5.0)]))
    found = sweep_train(times)
    distinct = sweep_train(np.unique(times))
    np.testing.assert_array_equal(found.counts.acg_counts, distinct.counts.acg_counts)
    assert found.counts.n_duplicates == len(times) - len(np.unique(times))
    assert found.fine_counts.max() > 300_000


@pytest.mark.parametrize("n", [1, 2, 3, 8, 9, 127, 128, 129, 1000, 4099])
def test_the_middle_value(n: int) -> None:
    rng = np.random.default_rng(n)
    for values in (rng.uniform(0, 2, n), np.full(n, 2.0), np.zeros(n), rng.integers(0, 3, n) * 1.0):
        assert middle_value(values) == np.median(values)


def test_threads_change_nothing() -> None:
    trains = [long_train(kind, n) for kind in ("random", "bursty") for n in (25_000, 100, 30_000, 21_000)]
    told: list[tuple[str, int, int]] = []
    alone = acgs_3d(trains, window_ms=200, n_threads=1)
    np.testing.assert_array_equal(
        acgs_3d(trains, window_ms=200, n_threads=3, progress=lambda *x: told.append(x)), alone
    )
    assert told == [("3D-ACG", k + 1, 8) for k in range(8)]
    units = nct.Units.from_arrays(trains)
    assert compute(units, n_threads=3).identical(compute(units, n_threads=1))


def test_a_wrong_train_is_named_whatever_the_thread() -> None:
    trains = [long_train("random", 25_000), long_train("random", 25_000)[::-1].copy()]
    for n_threads in (1, 2):
        with pytest.raises(InputError, match="Row 1: Spike times must be"):
            acgs_3d(trains, n_threads=n_threads)
    with pytest.raises(UsageError, match="at least one thread"):
        acgs_3d(trains, n_threads=0)
    with pytest.raises(ValueError, match="shorter"):
        acgs_3d(trains[:1] * 2, [None], n_threads=1)


def test_only_a_few_units_are_read_ahead() -> None:
    n_read = 0

    def trains():  # type: ignore[no-untyped-def]
        nonlocal n_read
        for _ in range(12):
            n_read += 1
            yield np.zeros(1_500_000)

    ahead = []
    for k, row in enumerate(over_units(lambda row, times, _: row, trains(), None, n_threads=2)):
        assert row == k
        ahead.append(n_read - k)
    assert k == 11
    assert max(ahead) <= 6


def test_the_number_of_threads_can_be_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert n_processors() == 1
    for word in ("0", "many", ""):
        monkeypatch.setenv("OMP_NUM_THREADS", word)
        assert n_processors() >= 1
