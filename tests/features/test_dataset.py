"""Features of many units together: names, units of measure, reasons, and the file they are kept in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import nwb_celltype as nct
from nwb_celltype.errors import InputError
from nwb_celltype.features import FEATURE_SPEC_VERSION, compute, from_counts
from nwb_celltype.features.counts import count_train
from nwb_celltype.features.dataset import MIN_INTERVALS, WHITENED
from nwb_celltype.features.statistics import TRAIN_STATISTICS
from nwb_celltype.features.trains import ACG_STATISTICS, ISI_EDGES_MS, LAG_EDGES_MS
from nwb_celltype.features.waveforms import WAVEFORM_STATISTICS, WAVEFORM_TIME_MS

from .waveforms import Float, sampled

RATE_HZ = 30_000.0
WAVEFORM = ("waveform", "waveform_statistics")
TRAIN = ("isi_histogram", "acg", "acg_statistics")


def train(seed: int = 0, n: int = 500) -> Float:
    return np.cumsum(np.random.default_rng(seed).exponential(0.02, n) + 0.002)


def one_unit(times: Any = None, waveform: Any = None, rate_hz: float | None = RATE_HZ, **more: Any) -> xr.Dataset:
    waveform = 60 * sampled(RATE_HZ) if waveform is None else waveform
    times = train() if times is None else times
    units = nct.Units.from_arrays([times], waveform_mean=[waveform], waveform_rate_hz=rate_hz, **more)
    return compute(units)


@pytest.fixture(scope="module")
def features() -> xr.Dataset:
    """Three units: everything, a waveform without enough spikes, spikes without a waveform."""
    units = nct.Units.from_arrays(
        [train(), [0.1, 0.15], train(1)],
        unit_ids=[12, 7, 40],
        waveform_mean=[60 * sampled(RATE_HZ), -60 * sampled(RATE_HZ), None],
        waveform_rate_hz=RATE_HZ,
    )
    return compute(units)


def test_dimensions_have_names_and_lengths(features: xr.Dataset) -> None:
    assert dict(features.sizes) == {
        "unit": 3, "waveform_time": 81, "waveform_statistic": 19, "isi_time": 15, "lag": 20, "acg_statistic": 24,
        "isi_bin": 100, "acg_bin": 201, "statistic": 20, "unit_statistic": 35,
    }  # fmt: skip
    assert features["unit"].values.tolist() == [12, 7, 40]
    assert features["statistic"].values.tolist() == list(TRAIN_STATISTICS)
    assert features["acg_statistic"].values.tolist() == list(ACG_STATISTICS)
    assert features["waveform_statistic"].values.tolist() == list(WAVEFORM_STATISTICS)


def test_everything_has_a_unit_of_measure(features: xr.Dataset) -> None:
    for name in features.data_vars:
        if not str(name).endswith(("_reason", "_problem")):
            assert features[name].attrs["units"], name
    for name in ("waveform_time", "isi_time", "lag", "isi_bin", "acg_bin"):
        assert features[name].attrs["units"] == "ms", name
    assert features["statistic_unit"].sel(statistic="mfr").item() == "Hz"
    assert features.attrs == {"feature_spec_version": FEATURE_SPEC_VERSION} == {"feature_spec_version": "1"}


def test_a_unit_that_can_be_described_is(features: xr.Dataset) -> None:
    unit = features.sel(unit=12)
    for name in (*WAVEFORM, *TRAIN, "train_statistics"):
        assert np.isfinite(unit[name].values).all(), name
    assert unit["waveform_reason"].item() == unit["train_reason"].item() == ""
    assert unit["polarity"].item() == -1
    np.testing.assert_array_equal(features["waveform_time"].values, WAVEFORM_TIME_MS)
    assert unit["waveform"].sel(waveform_time=0.0).item() == pytest.approx(-1)
    counts = count_train(train().astype(np.float64))
    assert (unit["isi_counts"].values == counts.isi_counts).all()
    assert (unit["acg_counts"].values == counts.acg_counts).all()


def test_one_modality_does_not_need_the_other(features: xr.Dataset) -> None:
    few, spikes_only = features.sel(unit=7), features.sel(unit=40)
    assert few["train_reason"].item() == "too few inter-spike intervals below 100 ms (1, needed: 30)"
    assert few["polarity"].item() == 1
    assert spikes_only["waveform_reason"].item() == "no mean waveform"
    assert spikes_only["polarity"].item() == 0
    for name in TRAIN:
        assert np.isnan(few[name].values).all(), name
        assert np.isfinite(spikes_only[name].values).all(), name
    for name in WAVEFORM:
        assert np.isfinite(few[name].values).all(), name
        assert np.isnan(spikes_only[name].values).all(), name


def test_the_peak_channel_is_described() -> None:
    channels = np.stack([0.2 * sampled(RATE_HZ), -sampled(RATE_HZ), 0.5 * sampled(RATE_HZ)], axis=1)
    features = one_unit(waveform=channels)
    assert features["polarity"].item() == 1
    np.testing.assert_array_equal(features["waveform"].values, one_unit(waveform=-sampled(RATE_HZ))["waveform"].values)


WAVEFORM_REASONS: dict[str, tuple[dict[str, Any], str]] = {
    "no rate": ({"rate_hz": None}, "the sampling rate of the waveforms is unknown"),
    "coarse": ({"rate_hz": 2000.0}, "a waveform sampled at 2000 Hz is too coarse, 5000 Hz are needed"),
    "flat": ({"waveform": np.zeros(60)}, "the waveform is flat"),
    "some NaN": ({"waveform": np.append(sampled(RATE_HZ), np.nan)}, "the waveform contains NaN or infinite values"),
    "all NaN": ({"waveform": np.full(60, np.nan)}, "no mean waveform"),
    "short": ({"waveform": [0.0, -1.0, 0.0]}, "the waveform has 3 samples, at least 8 are needed"),
}


@pytest.mark.parametrize("case", WAVEFORM_REASONS)
def test_why_there_is_no_waveform(case: str) -> None:
    arguments, reason = WAVEFORM_REASONS[case]
    features = one_unit(**arguments)
    assert features["waveform_reason"].item() == reason
    assert np.isnan(features["waveform"].values).all()
    assert features["train_reason"].item() == ""


UNSORTED = train()
UNSORTED[[10, 11]] = UNSORTED[[11, 10]]
TRAIN_REASONS: dict[str, tuple[dict[str, Any], str]] = {
    "none": ({"times": []}, "no spike times"),
    "one": ({"times": [1.0]}, "too few inter-spike intervals below 100 ms (0, needed: 30)"),
    "few": (
        {"times": np.arange(MIN_INTERVALS) * 0.0202}, "too few inter-spike intervals below 100 ms (29, needed: 30)",
    ),
    "slow": ({"times": np.arange(500) * 0.2}, "too few inter-spike intervals below 100 ms (0, needed: 30)"),
    "unsorted": ({"times": UNSORTED}, "spike times are not sorted (first at spike 11)"),
    "NaN": ({"times": np.append(train(), np.nan)}, "spike times contain NaN or infinite values"),
    "infinite": ({"times": np.append(train(), np.inf)}, "spike times contain NaN or infinite values"),
    "samples": ({"times": np.round(train() * RATE_HZ)}, "spike times are whole numbers: samples instead of seconds?"),
    "NaN interval": (
        {"obs_intervals": [[[0.0, np.nan]]]}, "observation intervals contain NaN or infinite values",
    ),
    "reversed interval": (
        {"obs_intervals": [[[0.0, 1.0], [3.0, 2.0]]]}, "an observation interval ends before it starts",
    ),
    "nothing inside": (
        {"obs_intervals": [[[1e4, 2e4]]]}, "too few inter-spike intervals below 100 ms (0, needed: 30)",
    ),
    "all together": ({"times": np.zeros(100)}, "too few inter-spike intervals below 100 ms (0, needed: 30)"),
}  # fmt: skip


@pytest.mark.parametrize("case", TRAIN_REASONS)
def test_why_there_are_no_train_features(case: str) -> None:
    arguments, reason = TRAIN_REASONS[case]
    features = one_unit(**arguments)
    assert features["train_reason"].item() == reason
    for name in TRAIN:
        assert np.isnan(features[name].values).all(), name
    assert features["waveform_reason"].item() == ""


def test_an_interval_of_no_length_is_harmless() -> None:
    features = one_unit(obs_intervals=[[[0.0, 0.0], [0.0, 100.0]]])
    assert features["train_reason"].item() == ""
    np.testing.assert_array_equal(features["isi_counts"].values, one_unit()["isi_counts"].values)


def test_just_enough_intervals() -> None:
    assert one_unit(times=np.arange(MIN_INTERVALS + 1) * 0.0202)["train_reason"].item() == ""


def test_a_slow_unit_keeps_its_statistics() -> None:
    """Complex spikes have hardly an interval below 100 ms; their rate and irregularity are known all the same."""
    times = np.cumsum(np.random.default_rng(0).uniform(0.5, 1.5, 300))
    features = one_unit(times=times)
    assert features["train_reason"].item() != ""
    assert features["train_statistics"].sel(statistic="mfr").item() == pytest.approx(1, abs=0.1)


def test_negative_times_are_refused() -> None:
    """They count from an event, not from the start of the session, so observed time cannot be trusted."""
    shifted = one_unit(times=train() - 5.0)
    assert "spike times are negative (first -" in shifted["train_reason"].item()
    assert shifted["isi_counts"].values.sum() == 0


def test_a_bad_unit_does_not_spoil_its_neighbours() -> None:
    good = one_unit()
    units = nct.Units.from_arrays(
        [UNSORTED, train(), []],
        waveform_mean=[np.zeros(60), 60 * sampled(RATE_HZ), None],
        waveform_rate_hz=RATE_HZ,
    )
    both = compute(units)
    for name in (*WAVEFORM, *TRAIN, "train_statistics"):
        np.testing.assert_array_equal(both[name].values[1], good[name].values[0])


def test_no_units() -> None:
    features = compute(nct.Units.from_arrays([]))
    assert features.sizes["unit"] == 0
    assert features["waveform"].shape == (0, 81)


def test_round_trip_through_netcdf_opens_lazily(features: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "features.nc"
    features.to_netcdf(path, engine="h5netcdf")
    with xr.open_dataset(path, engine="h5netcdf") as opened:
        assert not opened["waveform"].variable._in_memory
        assert not opened["acg_counts"].variable._in_memory
        one = opened["waveform"].sel(unit=12)
        assert one.sizes == {"waveform_time": 81}
        xr.testing.assert_identical(opened.load(), features)


def test_from_counts_agrees_with_compute(features: xr.Dataset) -> None:
    again = from_counts(
        [60 * sampled(RATE_HZ), -60 * sampled(RATE_HZ), None],
        RATE_HZ,
        features["isi_counts"].values,
        features["acg_counts"].values,
        [12, 7, 40],
    )
    for name in (*WAVEFORM, *TRAIN, "polarity", "isi_counts", "acg_counts", "waveform_reason", "train_reason", "unit"):
        xr.testing.assert_identical(again[name], features[name])
    assert np.isnan(again["train_statistics"].values).all()
    assert again.attrs == features.attrs


def test_from_counts_without_counts_or_rate() -> None:
    features = from_counts([sampled(RATE_HZ), sampled(40_000)], np.array([RATE_HZ, np.nan]))
    assert features["unit"].values.tolist() == [0, 1]
    assert features["train_reason"].values.tolist() == ["no spike times"] * 2
    assert features["waveform_reason"].values.tolist() == ["", "the sampling rate of the waveforms is unknown"]
    assert (
        from_counts([sampled(RATE_HZ)], None)["waveform_reason"].item()
        == "the sampling rate of the waveforms is unknown"
    )


def test_rates_may_differ_between_units() -> None:
    features = from_counts([sampled(25_000), sampled(40_000)], np.array([25_000.0, 40_000.0]))
    np.testing.assert_allclose(features["waveform"].values[0], features["waveform"].values[1], atol=0.01)


def test_pairs_missing_beside_intervals_are_a_reason() -> None:
    isi = np.full((1, 100), 3)
    features = from_counts([None], None, isi, np.zeros((1, 201), dtype=int))
    assert features["train_reason"].item() == "the autocorrelogram is empty although there are inter-spike intervals"


def test_from_counts_refuses_what_does_not_fit() -> None:
    isi, acg = np.ones((2, 100), dtype=int), np.ones((2, 201), dtype=int)
    waves = [None, None]
    with pytest.raises(InputError, match="give both, or neither"):
        from_counts(waves, None, isi)
    with pytest.raises(InputError, match=r"`isi_counts` has shape \(2, 99\), expected \(2, 100\)"):
        from_counts(waves, None, isi[:, 1:], acg)
    with pytest.raises(InputError, match=r"`acg_counts` has shape \(1, 201\), expected \(2, 201\)"):
        from_counts(waves, None, isi, acg[1:])
    with pytest.raises(InputError, match="There are 3 unit ids for 2 waveforms"):
        from_counts(waves, None, isi, acg, [1, 2, 3])


def test_input_is_left_alone() -> None:
    isi, acg = np.full((1, 100), 3), np.full((1, 201), 3)
    wave = sampled(RATE_HZ)
    for array in (isi, acg, wave):
        array.flags.writeable = False
    from_counts([wave], RATE_HZ, isi, acg)


def test_coordinates_and_what_they_mean(features: xr.Dataset) -> None:
    np.testing.assert_allclose(features["isi_time"], np.sqrt(ISI_EDGES_MS[:-1] * ISI_EDGES_MS[1:]))
    lower = LAG_EDGES_MS - 0.5
    np.testing.assert_allclose(features["lag"], np.sqrt(lower[:-1] * lower[1:]))
    assert features["isi_bin"].values.tolist() == list(range(100))
    assert features["acg_bin"].values.tolist() == list(range(-100, 101))
    assert features["polarity"].values.tolist() == [-1, 1, 0]
    assert features["train_problem"].values.tolist() == ["", "few", ""]
    assert features["species"].values.tolist() == [""] * 3


def test_kinds_of_problems() -> None:
    units = nct.Units.from_arrays([[], train()[::-1], np.arange(5.0), train()])
    assert compute(units)["train_problem"].values.tolist() == ["absent", "invalid", "few", ""]


def test_whitened_waveforms_are_not_described() -> None:
    wave = 60 * sampled(RATE_HZ)
    units = nct.Units.from_arrays([train(), train(1)], waveform_mean=[wave, wave], waveform_rate_hz=RATE_HZ)
    features = compute(replace(units, waveform_source=np.array(["mean of whitened data", "raw data"])))
    assert features["waveform_reason"].values.tolist() == [WHITENED, ""]
    assert np.isnan(features["waveform"].values[0]).all()
    assert np.isnan(features["unit_statistics"].sel(unit_statistic="trough_voltage").values).tolist() == [True, False]
    assert features["train_reason"].values.tolist() == ["", ""]


def test_one_pair_is_enough_for_an_autocorrelogram() -> None:
    isi, acg = np.full((1, 100), 3), np.zeros((1, 201), dtype=int)
    acg[0, [60, 140]] = 1, 0
    assert from_counts([None], None, isi, acg)["train_reason"].item() == ""
