"""Train statistics agree with the published tool's, and with what can be worked out by hand."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from nwb_celltype.features.statistics import TRAIN_STATISTICS, train_statistics

VECTORS = Path(__file__).resolve().parents[2].parent / "shared" / "reference" / "vectors"
NAMES = list(TRAIN_STATISTICS)
N_TRAINS = 8

needs_vectors = pytest.mark.skipif(
    not (VECTORS / "unit_statistics_ref.npz").exists(), reason="the reference vectors are not beside this checkout"
)


def measure(times: NDArray[np.floating], observed_s: float | None = None) -> dict[str, float]:
    observed_s = float(times[-1] - times[0]) if observed_s is None else observed_s
    return dict(zip(NAMES, train_statistics([times.astype(np.float64)], observed_s).tolist(), strict=True))


@cache
def reference() -> tuple[list[NDArray[np.int32]], list[dict[str, float]]]:
    with np.load(VECTORS / "acg3d_ref.npz") as trains, np.load(VECTORS / "unit_statistics_ref.npz") as vectors:
        spikes, offsets = trains["spikes"], trains["offsets"]
        names = vectors["train_names"].tolist()
        rows = [dict(zip(names, row, strict=True)) for row in vectors["train_statistics"].tolist()]
    return [spikes[a:b] for a, b in pairwise(offsets)], rows


@needs_vectors
@pytest.mark.parametrize("train", range(N_TRAINS))
def test_statistics_are_those_of_the_published_tool(train: int) -> None:
    trains, rows = reference()
    ours = measure(trains[train] / 30_000)
    shared = [name for name in rows[train] if name in ours and name != "entropy"]
    assert len(shared) == 16
    for name in shared:
        assert ours[name] == pytest.approx(rows[train][name], rel=1e-9), name


@needs_vectors
@pytest.mark.parametrize("train", range(N_TRAINS))
def test_entropy_counts_every_interval(train: int) -> None:
    """The published tool's outermost edges can be a rounding error inside the intervals, whose ends it then loses."""
    trains, rows = reference()
    ours = measure(trains[train] / 30_000)["entropy"]
    isi = np.diff(trains[train]) / 30_000
    kept = isi[(isi >= 1e-3) & (isi <= np.quantile(isi, 0.98))]
    counts, _ = np.histogram(kept, bins=np.logspace(np.log10(kept.min()), np.log10(kept.max()), 200))
    p = gaussian_filter1d(counts / counts.sum(), 2)
    assert -np.sum(p[p > 0] * np.log2(p[p > 0])) == pytest.approx(rows[train]["entropy"], rel=1e-9)
    assert ours == pytest.approx(rows[train]["entropy"], rel=1e-9 if counts.sum() == len(kept) else 1e-4)


def test_names_and_units() -> None:
    assert NAMES == [
        "mfr", "mifr", "med_isi", "mode_isi", "prct5ISI", "entropy", "CV2_mean", "CV2_median", "CV", "IR", "Lv", "LvR",
        "LvR_shinomoto", "LcV", "SI", "SKW", "std_isi", "burst_idx", "n_spikes", "spikes_per_observed_second",
    ]  # fmt: skip
    assert set(TRAIN_STATISTICS.values()) == {"Hz", "s", "bit", "1"}


def test_a_metronome_is_regular() -> None:
    values = measure(np.arange(0, 10, 0.02))
    assert values["mfr"] == pytest.approx(50)
    assert values["mode_isi"] == pytest.approx(0.02)
    for name in ("entropy", "CV", "CV2_mean", "CV2_median", "IR", "Lv", "LvR", "LvR_shinomoto", "SI", "SKW", "std_isi"):
        assert values[name] == pytest.approx(0, abs=1e-9), name


def test_alternating_intervals_by_hand() -> None:
    values = measure(np.cumsum(np.tile([0.01, 0.03], 200)))
    assert values["mfr"] == pytest.approx(50, rel=1e-2)
    assert values["CV2_mean"] == pytest.approx(1.0)
    assert values["IR"] == pytest.approx(np.log(3))
    assert values["Lv"] == pytest.approx(3 * (1 - 4 * 3 / 16))
    assert values["LvR"] == pytest.approx(0.75 * (1 + 4 * 0.8 / 0.04))
    assert values["LvR_shinomoto"] == pytest.approx(0.75 * (1 + 4 * 0.8e-3 / 0.04))
    assert values["SI"] == pytest.approx(-0.5 * np.log10(0.75))


def test_a_poisson_train_has_no_order() -> None:
    values = measure(np.cumsum(np.random.default_rng(0).exponential(2.0, 20_000)))
    assert values["CV2_mean"] == pytest.approx(1, abs=0.03)
    assert values["Lv"] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("n_spikes", range(11))
def test_too_few_intervals_give_nan_but_a_number_of_spikes(n_spikes: int) -> None:
    values = measure(np.arange(n_spikes) * 0.05, observed_s=10.0)
    assert values.pop("n_spikes") == n_spikes
    assert values.pop("spikes_per_observed_second") == pytest.approx(n_spikes / 10)
    assert np.isnan(list(values.values())).all()


def test_rates_tell_silence_from_intervals() -> None:
    times = np.concatenate([np.arange(0, 10, 0.02), np.arange(90, 100, 0.02)])
    values = measure(times, observed_s=100.0)
    assert values["mfr"] == pytest.approx(50)
    assert values["spikes_per_observed_second"] == pytest.approx(10)
    assert np.isnan(measure(times, observed_s=0.0)["spikes_per_observed_second"])


def test_a_gap_between_pieces_is_no_interval() -> None:
    first, second = np.arange(0, 10, 0.02), np.arange(90, 100, 0.02)
    values = dict(zip(NAMES, train_statistics([first, second], 20.0), strict=True))
    assert values["std_isi"] == pytest.approx(0, abs=1e-9)
    assert values["spikes_per_observed_second"] == pytest.approx(50)
    assert np.isnan(train_statistics([], 0.0)[NAMES.index("mfr")])


def test_intervals_of_two_pieces_are_no_neighbours() -> None:
    pieces = [np.arange(0, 10, 0.02), np.arange(20, 30, 0.05)]
    values = dict(zip(NAMES, train_statistics(pieces, 20.0), strict=True))
    assert values["CV"] > 0.3
    for name in ("CV2_mean", "IR", "Lv", "SI"):
        assert values[name] == pytest.approx(0, abs=1e-9), name


def test_refractory_violations_and_the_longest_intervals_are_left_out() -> None:
    times = np.cumsum(np.concatenate([np.tile([0.02, 0.021], 200), [0.0005, 5.0]]))
    values = measure(times)
    assert values["mfr"] == pytest.approx(1 / 0.0205, rel=1e-2)
    assert values["std_isi"] < 0.001


def test_an_interval_of_exactly_1_ms_is_kept_wherever_it_lies() -> None:
    ticks = np.cumsum(np.tile([30, 600], 200))
    for shift in (0, 1, 12_345, 10_000_001):
        assert measure((ticks + shift) / 30_000)["CV2_mean"] == pytest.approx(2 * 570 / 630)


def test_ten_intervals_are_enough_and_nine_are_not() -> None:
    assert np.isfinite(list(measure(np.arange(11) * 0.05).values())).all()
    uneven = np.cumsum([0.0, *np.linspace(0.01, 0.05, 10)])  # the longest is left out
    assert np.isnan(measure(uneven)["mfr"])
    assert np.isfinite(measure(np.append(uneven, uneven[-1] + 0.02))["mfr"])


def test_a_spike_recorded_twice_is_no_interval() -> None:
    times = np.cumsum(np.random.default_rng(1).gamma(3, 0.01, 300) + 0.002)
    once, twice = measure(times), measure(np.sort(np.append(times, times[::3])))
    assert twice.pop("n_spikes") == once.pop("n_spikes") + 100
    del once["spikes_per_observed_second"], twice["spikes_per_observed_second"]
    assert twice == once


def test_the_most_frequent_interval_may_be_the_longest() -> None:
    values = measure(np.cumsum([0.0, *[0.01] * 20, *[0.03] * 80]))
    assert values["mode_isi"] == pytest.approx(0.01 + 0.02 * 198 / 199)


def test_stretches_of_two_intervals_have_neighbours() -> None:
    pieces = [start + np.array([0.0, 0.01, 0.04]) for start in np.arange(30.0)]
    values = dict(zip(NAMES, train_statistics(pieces, 30.0), strict=True))
    assert values["CV2_mean"] == pytest.approx(1.0)
    assert values["IR"] == pytest.approx(np.log(3))
