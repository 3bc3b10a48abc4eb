"""The hand-made statistics of trains and waveforms, against the outputs of the tool that the tables were made with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nwb_celltype as nct
from nwb_celltype.features.statistics import TRAIN_STATISTICS, train_statistics
from nwb_celltype.features.unit_statistics import (
    ACG_RATIOS,
    INTERVAL_STATISTICS,
    SHAPE_STATISTICS,
    SPATIAL_STATISTICS,
    UNIT_STATISTICS,
    acg_ratios,
    measure_window,
    shape_statistics,
)

from .waveforms import sampled

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "reference" / "vectors"
# The original counts these times in hundredths of ms or in interpolated points, and slopes by sample.
TO_OURS = {
    "repolarisation_t": 0.01,
    "depolarisation_t": 0.01,
    "onset_t": 0.01,
    "trough_t": 1 / 3000,
    "peak_t": 1 / 3000,
    "tau_recovery": 100.0,
    "repolarisation_slope": 0.3,
    "depolarisation_slope": 30.0,
}


def vectors(name: str) -> dict[str, np.ndarray]:
    path = VECTORS / name
    if not path.is_file():
        pytest.skip(f"the reference outputs ({name}) are not on this machine")
    with np.load(path) as file:
        return {key: file[key] for key in file.files if "/kw" not in key and "exception" not in key}


def test_trains_as_the_original() -> None:
    reference, spikes = vectors("unit_statistics_ref.npz"), vectors("acg3d_ref.npz")
    names = [str(name) for name in reference["train_names"]]
    for k, expected in enumerate(reference["train_statistics"]):
        train = spikes["spikes"][spikes["offsets"][k] : spikes["offsets"][k + 1]] / 30_000
        ours = dict(zip(TRAIN_STATISTICS, train_statistics([train], float(np.ptp(train))), strict=True))
        ours |= dict(zip(ACG_RATIOS, acg_ratios([train], ours["mfr"]), strict=True))
        found = np.array([ours[name] for name in names])
        np.testing.assert_allclose(found, expected, rtol=5e-4, atol=1e-9, err_msg=str(names))


# What the original says of these rows follows from no definition: it fails on 5; 11 is upside down and 17 and 18 have
# no peak beyond 0.8 standard deviations, where its choice of one is its own; the onset of 6 is 1.5 ms before the
# trough.
ODD = {5: set(SHAPE_STATISTICS), 6: {"onset_t"}, 11: set(SHAPE_STATISTICS), 17: {"tau_recovery"}, 18: {"tau_recovery"}}


def test_waveforms_as_the_original() -> None:
    reference, raw = vectors("unit_statistics_ref.npz"), vectors("waveform_ref.npz")["phy_raw"]
    names = [str(name) for name in reference["waveform_names"]]
    assert len(raw) == 20
    n_compared = 0
    for k, (waveform, expected) in enumerate(zip(raw, reference["waveform_statistics"], strict=True)):
        ours = dict(zip(SHAPE_STATISTICS, measure_window(waveform, 30_000.0), strict=True))
        for name, value in zip(names, expected, strict=True):
            if name in ODD.get(k, ()) or (k in ODD and name == "multiplicative_a_recovery"):
                continue
            # Time constants come from a fit; ours and the original's stop at different points.
            close = 0.02 if name in ("tau_recovery", "multiplicative_a_recovery") else 3e-3
            assert ours[name] == pytest.approx(value * TO_OURS.get(name, 1.0), rel=close, abs=1e-6), (k, name)
            n_compared += 1
    assert n_compared > 270


def test_an_upside_down_waveform_is_measured_upside_down() -> None:
    t = np.arange(-30, 60) / 30
    waveform = -80 * np.exp(-((t / 0.1) ** 2)) + 5 * np.exp(-(((t - 0.5) / 0.2) ** 2))
    down = dict(zip(SHAPE_STATISTICS, shape_statistics(waveform, 30_000), strict=True))
    up = dict(zip(SHAPE_STATISTICS, shape_statistics(-waveform, 30_000), strict=True))
    assert down["trough_voltage"] == pytest.approx(-80, rel=0.01)
    assert up["trough_voltage"] == pytest.approx(80, rel=0.01)
    for name in ("trough_50_width", "depolarisation_t", "onset_t", "trough_t", "wvf_width", "peak_trough_ratio"):
        assert up[name] == pytest.approx(down[name], rel=1e-6), name
    assert down["repolarisation_t"] < 0 < up["repolarisation_t"]


@pytest.mark.parametrize("rate_hz", [25_000, 40_000])
def test_the_sampling_rate_hardly_matters(rate_hz: int) -> None:
    names = list(SHAPE_STATISTICS)
    here, there = (shape_statistics(80 * sampled(rate), rate) for rate in (30_000, rate_hz))
    for name in ("trough_50_width", "peak_trough_ratio", "wvf_width", "depolarisation_t", "repolarisation_slope"):
        assert here[names.index(name)] == pytest.approx(there[names.index(name)], rel=0.1), name


def test_amplitude_is_in_the_voltages_alone() -> None:
    small, large = (
        dict(zip(SHAPE_STATISTICS, shape_statistics(a * sampled(30_000), 30_000), strict=True)) for a in (1, 9)
    )
    for name, unit in SHAPE_STATISTICS.items():
        assert large[name] == pytest.approx(small[name] * (9 if unit == "uV" else 1), rel=1e-6), name


@pytest.mark.parametrize("waveform", [np.zeros(90), np.full(90, np.nan), np.array([0.0, 1.0]), None])
def test_what_is_no_waveform_has_no_statistics(waveform: np.ndarray | None) -> None:
    assert np.isnan(shape_statistics(waveform, 30_000)).all()


def test_gaps_are_not_bridged() -> None:
    rng = np.random.default_rng(0)
    pieces = [start + np.cumsum(rng.gamma(3, 0.005, 400)) for start in (0.0, 100.0)]
    apart = acg_ratios(pieces, 60.0)
    glued = acg_ratios([np.concatenate([pieces[0], pieces[1] - 100 + pieces[0][-1] + 0.001])], 60.0)
    assert (apart != glued).any()
    assert np.isnan(acg_ratios([np.array([0.0, 1.0, 2.0])], 1.0)).all()


def test_compute_puts_them_beside_the_other_features() -> None:
    rng = np.random.default_rng(1)
    trains = [np.cumsum(0.003 + rng.gamma(4, 0.004, 3000)), np.empty(0)]
    units = nct.Units.from_arrays(
        trains, waveform_mean=[80 * sampled(30_000), -60 * sampled(30_000)], waveform_rate_hz=30_000
    )
    features = nct.features.compute(units)
    table = features["unit_statistics"]
    assert table.coords["unit_statistic"].values.tolist() == list(UNIT_STATISTICS)
    assert features["unit_statistic_unit"].sel(unit_statistic="wvf_width").item() == "ms"
    intervals = table.sel(unit_statistic=list(INTERVAL_STATISTICS)).values
    np.testing.assert_array_equal(
        intervals, features["train_statistics"].sel(statistic=list(INTERVAL_STATISTICS)).values
    )
    assert np.isfinite(intervals[0]).all()
    assert np.isnan(intervals[1]).all()
    assert np.isfinite(table.sel(unit_statistic=list(SHAPE_STATISTICS)).values).all()
    assert np.isnan(table.sel(unit_statistic=list(SPATIAL_STATISTICS)).values).all()
    assert features["species"].values.tolist() == ["", ""]
