"""What must not matter does not: the zero of time, the scale of the voltage, the order of units, unobserved time."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import nwb_celltype as nct
from nwb_celltype.features import compute
from nwb_celltype.features.counts import count_train
from nwb_celltype.features.waveforms import WaveformShape, describe_waveform

from .waveforms import Float, sampled

FS = 30_000
quick = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

# Intervals in ticks of a 30 kHz clock: bursts, ties on bin edges (15 ticks are half a millisecond), silences.
intervals = st.lists(
    st.one_of(st.integers(0, 120), st.integers(1, 300).map(lambda k: 15 * k), st.integers(3_000, 60_000)),
    min_size=12,
    max_size=150,
)
trains = intervals.map(lambda ticks: np.cumsum(ticks).astype(np.int64))
# Sums of a few bumps, sampled: any waveform that a spike could have, and many that none has.
waveforms = arrays(np.float64, st.integers(8, 90), elements=st.floats(-500, 500, width=32))


def features_of(*times: Float, **more: Any) -> xr.Dataset:
    return compute(nct.Units.from_arrays(times, **more))


def assert_same_train(one: xr.Dataset, other: xr.Dataset) -> None:
    for name in ("isi_counts", "acg_counts", "isi_histogram", "acg", "acg_statistics", "train_reason"):
        np.testing.assert_array_equal(one[name].values, other[name].values)
    one_statistics, other_statistics = (f["train_statistics"].values for f in (one, other))
    np.testing.assert_allclose(one_statistics, other_statistics, rtol=1e-5, atol=1e-8)


@quick
@given(trains, st.integers(0, 10**9))
def test_the_zero_of_time(ticks: np.ndarray[Any, np.dtype[np.int64]], shift: int) -> None:
    assert_same_train(features_of(ticks / FS), features_of((ticks + shift) / FS))


@quick
@given(trains, st.integers(1, 10), st.floats(0.15, 1e4))
def test_unobserved_time_between_two_intervals(
    ticks: np.ndarray[Any, np.dtype[np.int64]], where: int, gap_s: float
) -> None:
    cut = int(ticks[where])
    times = ticks / FS
    late = ticks > cut
    start, stop = float(times[0]), float(times[-1]) + 1.0
    if not late.any():
        return
    second = float(times[late][0])
    one = features_of(times, obs_intervals=[[[start, cut / FS], [second, stop]]])
    apart = np.where(late, times + gap_s, times)
    first_late = float(apart[late][0])
    other = features_of(apart, obs_intervals=[[[first_late, stop + gap_s], [start, cut / FS]]])
    assert_same_train(one, other)


@quick
@given(trains, st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_a_thinned_train_is_described_or_refused(
    ticks: np.ndarray[Any, np.dtype[np.int64]], seed: int, share: float
) -> None:
    times = ticks[np.random.default_rng(seed).random(len(ticks)) < share] / FS
    features = features_of(times)
    described = features["train_reason"].item() == ""
    for name in ("isi_histogram", "acg", "acg_statistics"):
        assert np.isfinite(features[name].values).all() == described
    assert features["isi_counts"].values.sum() <= max(len(times) - 1, 0)


@quick
@given(trains)
def test_counts_are_symmetric_and_bounded(ticks: np.ndarray[Any, np.dtype[np.int64]]) -> None:
    counts = count_train(ticks / FS)
    assert (counts.acg_counts == counts.acg_counts[::-1]).all()
    assert counts.isi_counts.sum() <= counts.n_spikes - 1
    assert counts.acg_counts.sum() <= counts.n_spikes * (counts.n_spikes - 1)
    assert counts.n_spikes + counts.n_duplicates == len(ticks)


@quick
@given(trains)
def test_a_repeated_spike_changes_no_count(ticks: np.ndarray[Any, np.dtype[np.int64]]) -> None:
    once, twice = count_train(np.unique(ticks) / FS), count_train(np.repeat(np.unique(ticks), 2) / FS)
    assert (once.isi_counts == twice.isi_counts).all()
    assert (once.acg_counts == twice.acg_counts).all()


@quick
@given(st.permutations(range(4)))
def test_the_order_of_units(order: list[int]) -> None:
    rng = np.random.default_rng(0)
    times = [np.cumsum(rng.exponential(0.02, n)) for n in (300, 5, 500, 40)]
    waves = [sampled(FS), None, -sampled(FS), np.zeros(60)]
    straight = features_of(*times, waveform_mean=waves, waveform_rate_hz=FS)
    turned = features_of(
        *(times[k] for k in order), unit_ids=order, waveform_mean=[waves[k] for k in order], waveform_rate_hz=FS
    )
    xr.testing.assert_identical(turned.sortby("unit"), straight)


@quick
@given(waveforms, st.sampled_from([25_000, 30_000, 40_000]))
def test_any_waveform_is_described_or_refused(waveform: Float, rate_hz: int) -> None:
    shape = describe_waveform(waveform, rate_hz)
    if isinstance(shape, str):
        assert shape
        return
    assert np.isfinite(shape.waveform).all()
    assert np.isfinite(shape.statistics).all()
    assert shape.waveform[32] == shape.polarity
    assert abs(shape.polarity) == 1


@quick
@given(waveforms, st.integers(-60, 60))
def test_the_scale_of_the_voltage(waveform: Float, exponent: int) -> None:
    one, other = describe_waveform(waveform, FS), describe_waveform(waveform * 2.0**exponent, FS)
    if isinstance(one, WaveformShape):
        assert isinstance(other, WaveformShape)
        np.testing.assert_array_equal(one.waveform, other.waveform)
        np.testing.assert_array_equal(one.statistics, other.statistics)
        assert one.polarity == other.polarity
    else:
        assert one == other


@quick
@given(waveforms)
def test_the_sign_of_the_voltage(waveform: Float) -> None:
    one, other = describe_waveform(waveform, FS), describe_waveform(-waveform, FS)
    if isinstance(one, WaveformShape):
        assert isinstance(other, WaveformShape)
        assert one.polarity == -other.polarity
        np.testing.assert_array_equal(one.waveform, -other.waveform)
        np.testing.assert_array_equal(one.statistics[1:], other.statistics[1:])
    else:
        assert one == other


@quick
@given(st.floats(0, 1), st.sampled_from([25_000, 30_000, 40_000]))
def test_where_the_samples_fall(phase: float, rate_hz: int) -> None:
    one, other = describe_waveform(sampled(rate_hz), rate_hz), describe_waveform(sampled(rate_hz, phase=phase), rate_hz)
    assert isinstance(one, WaveformShape)
    assert isinstance(other, WaveformShape)
    np.testing.assert_allclose(one.waveform, other.waveform, atol=0.012)
