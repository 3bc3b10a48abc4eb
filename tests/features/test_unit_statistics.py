"""The hand-made statistics of trains and waveforms, against the outputs of the tool that the tables were made with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

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
    ratios_of_counts,
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


# --- by geometry: a waveform of straight lines, 90 samples at 30 kHz, corners at whole samples -----------------------

CORNERS = {0: 0.0, 24: 0.0, 30: -100.0, 36: 0.0, 45: 40.0, 60: 0.0, 89: 0.0}
LINES = np.interp(np.arange(90), list(CORNERS), list(CORNERS.values()))
MS = 1 / 30 * (8999 / 8900)  # a sample; the 9000 points of the grid end at the last sample, not one further


def measured(waveform: np.ndarray, rate_hz: float = 30_000.0) -> dict[str, float]:
    return dict(zip(SHAPE_STATISTICS, measure_window(waveform, rate_hz).tolist(), strict=True))


def test_a_waveform_of_straight_lines() -> None:
    values = measured(LINES)
    expected = {
        "trough_voltage": -100,
        "trough_t": 30 * MS,
        "peak_voltage": 40,
        "peak_t": 45 * MS,
        "wvf_width": 15 * MS,
        "peak_trough_ratio": 0.4,
        "onset_amp": -5,
        "onset_t": 24.3 * MS,  # 5 % of the depth on the way down
        "depolarisation_t": 4.8 * MS,  # from 10 to 90 %
        "trough_50_width": 6 * MS,
        "peak_50_width": (52.5 - 40.5) * MS,
        # A tenth of the rise, in time, lies below its lower level, and a tenth above the upper one.
        "repolarisation_t": -(13.5 - 1.5) * MS,
        "depolarisation_slope": -1 / (6 * MS),
        "repolarisation_slope": 1 / (6 * MS),
    }
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, rel=1e-3, abs=2 / 3000), name  # two points of the grid


def test_twice_the_rate_is_half_the_time() -> None:
    slow, fast = measured(LINES), measured(LINES, 60_000.0)
    for name, unit in SHAPE_STATISTICS.items():
        factor = {"ms": 0.5, "1/ms": 2.0}.get(unit, 1.0)
        close = 0.02 if "recovery" in name else 1e-9  # the fit's time constants lie on a grid
        assert fast[name] == pytest.approx(slow[name] * factor, rel=close), name


def test_voltages_upside_down() -> None:
    down, up = measured(LINES), measured(-LINES)
    assert (up["trough_voltage"], up["peak_voltage"]) == pytest.approx((-40, 0), abs=0.01)  # a trough stays the trough
    alone = np.interp(np.arange(90), [0, 24, 30, 36, 89], [0.0, 0, 100, 0, 0])
    upside_down = measured(alone)
    assert upside_down["trough_voltage"] == pytest.approx(100, rel=0.01)
    assert upside_down["onset_amp"] == pytest.approx(5, rel=0.01)
    assert upside_down["peak_50_width"] == 0
    assert upside_down["depolarisation_slope"] == pytest.approx(1 / (6 * MS), rel=0.01)
    assert down["depolarisation_slope"] < 0 < upside_down["depolarisation_slope"]


def bump(at: float, height: float, width: float = 2.5) -> np.ndarray:
    return np.asarray(height * np.exp(-(((np.arange(90) - at) / width) ** 2) / 2))


@pytest.mark.parametrize(
    ("waveform", "trough", "peak"),
    [
        (bump(30, -90) + bump(45, 60), 30, 45),
        (bump(25, 60) + bump(36, -90) + bump(55, 60), 36, 55),  # a peak before the trough is none
        (bump(30, -90) + bump(45, 50) + bump(60, 70), 30, 45),  # the first peak behind it
        (bump(25, -90) + bump(50, -80) + bump(60, 60), 25, 60),  # the first trough with a peak behind it
        (bump(25, 60) + bump(40, -90), 40, None),  # no peak behind: the next turning point
        (bump(10, -70) + bump(40, -90) + bump(55, 60), 40, 55),  # nothing in the first fifth
        (bump(30, -90) + bump(75, 60) + bump(50, 70), 30, 50),  # nor in the last
        (bump(40, 90), 40, None),  # no trough at all
    ],
)
def test_which_extrema(waveform: np.ndarray, trough: int, peak: int | None) -> None:
    values = measured(waveform)
    assert values["trough_t"] == pytest.approx(trough * MS, abs=0.5 * MS)
    assert values["trough_voltage"] == pytest.approx(waveform[trough], rel=0.02)
    if peak is not None:
        assert values["peak_t"] == pytest.approx(peak * MS, abs=0.5 * MS)
    assert values["peak_t"] > values["trough_t"]


def test_what_is_too_small_or_at_the_ends_is_no_extremum() -> None:
    assert np.isnan(measure_window(bump(5, -90), 30_000.0)).all()
    assert np.isnan(measure_window(bump(84, 90), 30_000.0)).all()
    assert np.isnan(measure_window(np.linspace(-5, 5, 90), 30_000.0)).all()
    assert np.isnan(measure_window(np.full(90, 3.0), 30_000.0)).all()


@pytest.mark.parametrize("tau_ms", [0.25, 0.5, 0.9])
def test_recovery_from_the_peak_is_an_exponential(tau_ms: float) -> None:
    after = np.arange(0, 50) * MS
    waveform = np.r_[
        np.zeros(25), np.linspace(0, -100, 7)[1:], np.linspace(-100, 30, 10)[1:], 30 * np.exp(-after / tau_ms)
    ]
    values = measured(waveform)
    assert values["tau_recovery"] == pytest.approx(tau_ms, rel=0.04)
    assert values["multiplicative_a_recovery"] == pytest.approx(30, rel=0.08)


def test_a_straight_end_is_no_recovery() -> None:
    """The longest time constant stands for a line; a peak at the very end leaves nothing to fit."""
    waveform = np.r_[np.zeros(25), np.linspace(0, -100, 7)[1:], np.linspace(-100, 30, 10)[1:], np.linspace(30, 0, 50)]
    assert measured(waveform)["tau_recovery"] == pytest.approx(30, rel=0.01)
    rising = np.r_[np.zeros(40), np.linspace(0, -100, 7)[1:], np.linspace(-100, 60, 44)[1:]]
    values = measured(rising)
    assert np.isnan([values["tau_recovery"], values["multiplicative_a_recovery"]]).all()
    assert np.isfinite(values["wvf_width"])


# --- the window ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [15_000, 30_000, 60_000])
@pytest.mark.parametrize("at_ms", [0.5, 1.0, 1.4])
def test_the_largest_deviation_comes_1_ms_after_the_start(rate_hz: int, at_ms: float) -> None:
    n = round(3 * rate_hz / 1000)
    t = np.arange(n) * 1e3 / rate_hz - at_ms
    wave = 7 - 80 * np.exp(-((t / 0.15) ** 2) / 2) + 40 * np.exp(-(((t - 0.5) / 0.15) ** 2) / 2)
    values = dict(zip(SHAPE_STATISTICS, shape_statistics(wave, rate_hz), strict=True))
    assert values["trough_t"] == pytest.approx(1.0, abs=0.02)
    assert values["wvf_width"] == pytest.approx(0.5, abs=0.05)


def test_eight_samples_are_enough_and_seven_are_not() -> None:
    wave = np.array([0.0, 0, -60, 10, 30, 10, 0, 0])
    assert np.isfinite(shape_statistics(wave, 10_000)[0])
    assert np.isnan(shape_statistics(wave[:7], 10_000)).all()
    assert np.isnan(shape_statistics(wave, 0.0)).all()
    assert np.isnan(shape_statistics(wave, -1.0)).all()
    assert np.isnan(shape_statistics(wave * 1e11, 10_000)).all()
    assert np.isfinite(shape_statistics(wave * 1e10, 10_000)[0])
    assert np.isnan(shape_statistics(np.stack([wave, wave]), 10_000)).all()


# --- ratios of the fine autocorrelogram ------------------------------------------------------------------------------


def ratios_slowly(counts: np.ndarray, n_spikes: int, mean_rate_hz: float) -> tuple[float, float]:
    rate = np.array([counts[k] / (n_spikes * 2e-4) for k in range(200)])
    smooth = gaussian_filter1d(rate, rate.std() / 10)
    late = smooth[20:]
    peaks = find_peaks(late, height=0.5 * smooth.std(), distance=10)[0]
    return max(smooth[:20]) / mean_rate_hz, max((late[k] for k in peaks), default=mean_rate_hz) / mean_rate_hz


def test_ratios_one_by_one() -> None:
    rng = np.random.default_rng(2)
    waves = (40 + 30 * np.sin(np.arange(512) / 9)).astype(np.int64)
    for counts in (rng.integers(0, 60, 512), waves, waves + 40 * (np.arange(512) < 20), np.repeat([0, 7], [19, 493])):
        for n_spikes in (300, 5_000):
            found = ratios_of_counts(counts, n_spikes, 37.0)
            assert found.tolist() == pytest.approx(ratios_slowly(counts, n_spikes, 37.0), rel=1e-9)


def test_ratios_without_pairs_or_rate() -> None:
    late = np.zeros(512, dtype=np.int64)
    late[200:] = 5  # beyond 40 ms
    assert np.isnan(ratios_of_counts(late, 100, 20.0)).all()
    late[199] = 1
    assert np.isfinite(ratios_of_counts(late, 100, 20.0)).all()
    for rate_hz in (0.0, np.nan):
        assert np.isnan(ratios_of_counts(late, 100, rate_hz)).all()
    falling = np.arange(512)[::-1] * 10
    assert ratios_of_counts(falling, 100, 20.0)[1] == 1.0  # no peak


# --- curved waveforms, point by point --------------------------------------------------------------------------------


def shape_slowly(waveform: np.ndarray, trough: int, peak: int) -> dict[str, float]:
    """Statistics between a trough and a peak near these samples, on the fine grid, each by going along it."""
    n = len(waveform)
    fine = np.interp(np.linspace(0, n - 1, 100 * n), np.arange(n), waveform)
    step = 1 / 3000
    sign = np.sign(fine[100 * trough])
    v = (-sign * fine).tolist()
    low = min(range(100 * (trough - 3), 100 * (trough + 3)), key=lambda k: v[k])
    high = max(range(max(low, 100 * (peak - 3)), min(100 * (peak + 4), 100 * n)), key=lambda k: v[k])
    depth = v[low]

    def last_above(level: float) -> int:
        return next((k for k in range(low - 1, -1, -1) if v[k] >= level), 0)

    def first(of: range, level: float) -> int | None:
        return next((k for k in of if v[k] >= level), None)

    slow, quick = np.percentile(v[low : high + 1], [10, 90])
    crossing = first(range(low, len(v)), 0) or len(v)
    deep = [k for k in range(crossing) if v[k] <= depth / 2]
    tall = [k for k in range(crossing, len(v)) if v[k] >= v[high] / 2] if v[high] > 0 else []
    back = first(range(low, len(v)), depth / 2) or len(v) - 1

    def slope(a: int, b: int) -> float:
        return float(np.polyfit(np.arange(b - a + 1), fine[a : b + 1], 1)[0]) / (np.abs(fine).max() * step)

    return {
        "trough_voltage": fine[low],
        "trough_t": low * step,
        "peak_voltage": fine[high],
        "peak_t": high * step,
        "repolarisation_t": sign * (first(range(low, high + 1), quick) - first(range(low, high + 1), slow)) * step,  # type: ignore[operator]
        "depolarisation_t": (last_above(0.9 * depth) - last_above(0.1 * depth)) * step,
        "peak_50_width": (tall[-1] - tall[0]) * step if tall else 0.0,
        "trough_50_width": (deep[-1] - deep[0]) * step,
        "onset_t": last_above(0.05 * depth) * step,
        "onset_amp": 0.05 * fine[low],
        "wvf_width": (high - low) * step,
        "peak_trough_ratio": abs(fine[high] / fine[low]),
        "repolarisation_slope": slope(low, back),
        "depolarisation_slope": slope(last_above(depth / 2), low),
    }


CURVED = {
    "usual": (bump(30, -90) + bump(45, 60, 5), 30, 45),
    "late peak": (bump(20, -90) + bump(45, 60, 6), 20, 45),
    "late trough": (bump(52, -90) + bump(69, 60, 4), 52, 69),
    "deep from the start": (bump(24, -90, 12) + bump(60, 70, 5) - 3, 24, 60),
    "never back": (np.interp(np.arange(90), [0, 20, 40, 60, 89], [0.0, 0, -90, -70, -80]), 40, 60),
    "wiggles behind": (bump(25, 60) + bump(40, -90) + bump(55, 8) + bump(65, 12), 40, 55),
}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", CURVED)
def test_curved_waveforms_point_by_point(name: str, sign: int) -> None:
    waveform, trough, peak = CURVED[name]
    found = measured(sign * waveform)
    if sign > 0 or (waveform < 1).all():  # upside down, the others have a trough of their own
        for key, value in shape_slowly(sign * waveform, trough, peak).items():
            assert found[key] == pytest.approx(value, rel=1e-6, abs=1e-9), key


def test_the_first_and_last_fifth_hold_no_extremum() -> None:
    assert measured(bump(16, -70) + bump(40, -90) + bump(55, 60))["trough_t"] == pytest.approx(40 * MS, abs=MS)
    assert measured(bump(20, -90) + bump(45, 60))["trough_t"] == pytest.approx(20 * MS, abs=MS)
    assert measured(bump(40, -90) + bump(69, 60))["peak_t"] == pytest.approx(69 * MS, abs=MS)
    assert measured(bump(40, -90) + bump(58, 4) + bump(74, 60))["peak_t"] == pytest.approx(58 * MS, abs=MS)


def test_rounding_is_no_waveform() -> None:
    assert np.isnan(measure_window(1e6 + 1e-6 * LINES, 30_000.0)).all()
    assert np.isfinite(measure_window(LINES - 200, 30_000.0)[0])


def test_a_large_offset_does_not_hide_the_spike() -> None:
    t = np.arange(90) / 30 - 1.4
    wave = 45 - 80 * np.exp(-((t / 0.15) ** 2) / 2) + 40 * np.exp(-(((t - 0.5) / 0.15) ** 2) / 2)
    values = dict(zip(SHAPE_STATISTICS, shape_statistics(wave, 30_000), strict=True))
    assert values["trough_t"] == pytest.approx(1.0, abs=0.02)
    assert values["trough_voltage"] == pytest.approx(-35, rel=0.01)
    assert np.isnan(shape_statistics(np.ones((10, 2)), 30_000)).all()


def test_a_waveform_without_description_has_no_statistics() -> None:
    cut = sampled(30_000)[34:]  # too little before the main peak
    units = nct.Units.from_arrays([np.empty(0)] * 2, waveform_mean=[cut, sampled(30_000)], waveform_rate_hz=30_000)
    shape = nct.features.compute(units)["unit_statistics"].sel(unit_statistic=list(SHAPE_STATISTICS)).values
    assert np.isfinite(shape_statistics(cut, 30_000)[0])
    assert np.isnan(shape[0]).all()
    assert np.isfinite(shape[1]).all()


def test_small_peaks_are_no_oscillation() -> None:
    bins = np.arange(512)
    burst = np.where(bins < 12, 4_000, 20)
    heights = []
    for height in (60, 250, 700, 1_500, 3_000):
        counts = burst + (height * np.exp(-(((bins - 90) / 4) ** 2))).astype(np.int64)
        found = ratios_of_counts(counts, 400_000, 40.0)
        assert found.shape == (2,)
        assert found.tolist() == pytest.approx(ratios_slowly(counts, 400_000, 40.0), rel=1e-9)
        heights.append(found[1])
    assert heights[0] == 1.0
    assert heights[-1] > heights[-2] > 0
    assert ratios_of_counts(np.zeros(512, dtype=np.int64), 10, 5.0).shape == (2,)
