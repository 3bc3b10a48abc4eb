"""A waveform's description depends on its shape alone: not on sampling rate, scale or where the samples fall."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from nwb_celltype.features.waveforms import WAVEFORM_STATISTICS, WAVEFORM_TIME_MS, WaveformShape, describe_waveform

from .waveforms import C4, REAL, Float, band_limited, real_waveforms, sampled, spike

RATES_HZ = (25_000, 30_000, 40_000)
IN_MS = ("half_width_ms", "half_width_before_ms", "half_width_after_ms", "peak_after_ms")
VALUES = (
    "peak_after",
    "peak_before",
    "value_at_0.5_ms",
    "value_at_1.0_ms",
    "value_at_1.2_ms",
    "mean_absolute",
    "min_after",
)


def describe(waveform: Float, sampling_rate_hz: float = 30_000) -> WaveformShape:
    shape = describe_waveform(waveform, sampling_rate_hz)
    assert isinstance(shape, WaveformShape), shape
    return shape


def statistic(shape: WaveformShape, name: str) -> float:
    return float(shape.statistics[WAVEFORM_STATISTICS.index(name)])


def test_time_runs_from_minus_0_8_to_1_2_ms() -> None:
    assert WAVEFORM_TIME_MS.shape == (81,)
    assert (WAVEFORM_TIME_MS[0], WAVEFORM_TIME_MS[32], WAVEFORM_TIME_MS[-1]) == (-0.8, 0.0, 1.2)


def test_the_waveform_is_what_was_recorded() -> None:
    fine_ms = np.arange(-100, 100) * 1e-3
    trough_ms = fine_ms[np.argmin(spike(fine_ms))]
    expected = spike(WAVEFORM_TIME_MS + trough_ms) / np.abs(spike(trough_ms))
    np.testing.assert_allclose(describe(sampled(40_000), 40_000).waveform, expected, atol=2e-3)


@pytest.mark.parametrize("phase", [0.0, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("rate_hz", [20_000, *RATES_HZ, 48_000])
def test_a_made_up_spike_is_the_same_at_any_rate(rate_hz: float, phase: float) -> None:
    reference, shape = describe(sampled(200_000), 200_000), describe(sampled(rate_hz, phase=phase), rate_hz)
    tolerance = 0.02 if rate_hz < 25_000 else 0.01
    np.testing.assert_allclose(shape.waveform, reference.waveform, atol=tolerance)
    for name in IN_MS:
        assert statistic(shape, name) == pytest.approx(statistic(reference, name), abs=0.011), name
    for name in VALUES:
        assert statistic(shape, name) == pytest.approx(statistic(reference, name), abs=tolerance), name


@pytest.mark.skipif(not C4.exists(), reason="the C4 waveforms are not beside this checkout")
@pytest.mark.parametrize("name", REAL)
def test_a_real_spike_is_the_same_at_25_30_and_40_khz(name: str) -> None:
    """Of a hundred real units, 95 agree within 4 % of the main peak and 0.01 ms, and half within 1.2 %.

    The rest have two main peaks of nearly one height, or a widest point that is nearly flat.
    """
    spread, widths, values = [], [], []
    for waveform in real_waveforms(name, 100):
        sample = band_limited(waveform, REAL[name], 8_000)
        shapes = [describe(sample(rate_hz), rate_hz) for rate_hz in RATES_HZ]
        spread.append(np.ptp([shape.waveform for shape in shapes], axis=0).max())
        widths.append([np.ptp([statistic(shape, key) for shape in shapes]) for key in IN_MS])
        values.append([np.ptp([statistic(shape, key) for shape in shapes]) for key in VALUES])
    assert len(spread) == 100
    assert np.median(spread) < 0.012
    assert np.quantile(spread, 0.95) < 0.04
    assert np.quantile(widths, 0.95, axis=0).max() <= 0.0101
    assert np.quantile(values, 0.95, axis=0).max() < 0.02


@pytest.mark.parametrize("factor", [2.0**-20, 2.0, 2.0**10])
def test_scale_by_a_power_of_two_changes_no_bit(factor: float) -> None:
    one, other = describe(sampled(30_000)), describe(sampled(30_000) * factor)
    assert (one.waveform == other.waveform).all()
    assert (one.statistics == other.statistics).all()


def test_volts_and_microvolts_give_the_same() -> None:
    microvolts = sampled(30_000) * 83.0
    one, other = describe(microvolts), describe(microvolts * 1e-6)
    np.testing.assert_allclose(one.waveform, other.waveform, rtol=0, atol=1e-12)
    np.testing.assert_allclose(one.statistics, other.statistics, rtol=0, atol=1e-9)


@pytest.mark.parametrize("factor", [1e-15, 1e-9, 1e9, 1e15])
def test_no_scale_is_flat(factor: float) -> None:
    np.testing.assert_allclose(
        describe(sampled(30_000) * factor).waveform, describe(sampled(30_000)).waveform, atol=1e-12
    )


def test_an_offset_is_no_signal() -> None:
    np.testing.assert_allclose(describe(sampled(30_000) + 40).waveform, describe(sampled(30_000)).waveform, atol=1e-12)


def test_polarity_is_recorded_and_not_flipped_away() -> None:
    negative, positive = describe(sampled(30_000)), describe(-sampled(30_000))
    assert (negative.polarity, positive.polarity) == (-1, 1)
    assert (statistic(negative, "polarity"), statistic(positive, "polarity")) == (-1, 1)
    assert (negative.waveform == -positive.waveform).all()
    assert negative.waveform[32] == -1
    assert (negative.statistics[1:] == positive.statistics[1:]).all()


def test_statistics_by_hand() -> None:
    time_ms = np.arange(-40, 60) / 40
    shape = describe(-np.exp(-((time_ms / 0.1) ** 2)) + 0.3 * np.exp(-(((time_ms - 0.5) / 0.15) ** 2)), 40_000)
    half = 0.1 * np.sqrt(np.log(2))
    assert statistic(shape, "half_width_before_ms") == pytest.approx(half, abs=0.006)
    assert statistic(shape, "half_width_ms") == pytest.approx(2 * half, abs=0.011)
    assert statistic(shape, "half_width_ms") == pytest.approx(
        statistic(shape, "half_width_before_ms") + statistic(shape, "half_width_after_ms")
    )
    assert statistic(shape, "peak_after") == pytest.approx(0.3, abs=1e-3)
    assert statistic(shape, "peak_after_ms") == pytest.approx(0.5, abs=0.006)
    assert statistic(shape, "value_at_0.5_ms") == pytest.approx(0.3, abs=1e-3)
    assert statistic(shape, "value_at_1.0_ms") == pytest.approx(0, abs=1e-3)
    assert statistic(shape, "peak_before") == pytest.approx(0, abs=1e-3)
    assert statistic(shape, "log_peak_asymmetry") == pytest.approx(np.log(0.32 / 0.02), abs=0.05)
    assert statistic(shape, "sign_changes") == 1
    assert statistic(shape, "max_slope") > 0 > statistic(shape, "min_slope")


def test_a_wider_spike_is_wider() -> None:
    time_ms = np.arange(-36, 54) / 30
    widths = [statistic(describe(spike(time_ms, width)), "half_width_ms") for width in (0.7, 1.0, 1.5)]
    assert widths[0] < widths[1] < widths[2]


def test_what_a_short_waveform_does_not_show_is_held() -> None:
    shape = describe(sampled(30_000, before_ms=0.5, after_ms=0.8))
    assert (shape.waveform[:12] == shape.waveform[0]).all()
    assert np.isfinite(shape.statistics).all()


REFUSED = {
    "seven samples": (np.arange(7.0), 30_000, "the waveform has 7 samples, at least 8 are needed"),
    "two dimensions": (np.ones((10, 2)), 30_000, "the waveform has 20 samples, at least 8 are needed"),
    "none": (np.empty(0), 30_000, "the waveform has 0 samples, at least 8 are needed"),
    "NaN": (np.append(sampled(30_000), np.nan), 30_000, "the waveform contains NaN or infinite values"),
    "infinite": (np.append(sampled(30_000), np.inf), 30_000, "the waveform contains NaN or infinite values"),
    "coarse": (sampled(30_000), 1_000, "a waveform sampled at 1000 Hz is too coarse, 5000 Hz are needed"),
    "no rate": (sampled(30_000), np.nan, "a waveform sampled at nan Hz is too coarse, 5000 Hz are needed"),
    "zeros": (np.zeros(60), 30_000, "the waveform is flat"),
    "constant": (np.full(60, 17.3), 30_000, "the waveform is flat"),
    "nearly constant": (17.3 + 1e-12 * sampled(30_000), 30_000, "the waveform is flat"),
    "cut before": (
        sampled(30_000)[34:], 30_000,
        "the waveform shows only 0.06 ms before and 1.77 ms after its main peak; 0.2 and 0.4 ms are needed",
    ),
    "cut after": (
        sampled(30_000)[:42], 30_000,
        "the waveform shows only 1.20 ms before and 0.17 ms after its main peak; 0.2 and 0.4 ms are needed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_say_why(case: str) -> None:
    waveform, rate_hz, sentence = REFUSED[case]
    assert describe_waveform(waveform, rate_hz) == sentence


def test_integers_and_single_precision_are_taken() -> None:
    microvolts = np.round(sampled(30_000) * 400)
    reference = describe(microvolts).waveform
    for kind in (np.float32, np.int16):
        np.testing.assert_allclose(describe(microvolts.astype(kind)).waveform, reference, atol=1e-12)


def slow_statistics(wave: Callable[[float], float], polarity: int) -> dict[str, float]:
    """Statistics of a waveform that is a formula, with its main peak of -1 at 0 ms, each as it is defined."""
    grid = [k * 0.005 for k in range(-180, 281)]
    before, after = [t for t in grid if t < -1e-9], [t for t in grid if t > -1e-9]
    left = next((-t for t in reversed(before) if wave(t) > -0.5), 0.9)
    right = next((t for t in after if wave(t) > -0.5), 1.4)
    top, early = max(after, key=wave), max(before, key=wave)
    slopes = [(wave(t + 0.005) - wave(t - 0.005)) / 0.01 for t in grid[1:-1]]
    signs = [np.sign(wave(t)) for t in grid if abs(wave(t)) > 0.05]
    return {
        "polarity": polarity,
        "half_width_ms": left + right,
        "half_width_before_ms": left,
        "half_width_after_ms": right,
        "peak_after_ms": top,
        "peak_after": wave(top),
        "peak_before": wave(early),
        "peak_before_ms": early,
        "log_peak_asymmetry": np.log((max(wave(top), 0) + 0.02) / (max(wave(early), 0) + 0.02)),
        "max_slope": max(slopes),
        "min_slope": min(slopes),
        "value_at_0.5_ms": wave(0.5),
        "value_at_1.0_ms": wave(1.0),
        "value_at_1.2_ms": wave(1.2),
        "fraction_below_quarter": np.mean([wave(t) < -0.25 for t in grid]),
        "mean_absolute": np.mean([abs(wave(t)) for t in grid]),
        "sign_changes": sum(a != b for a, b in pairwise(signs)),
        "min_after": min(wave(t) for t in grid if t > 0.2 + 1e-9),
        "min_before": min(wave(t) for t in grid if t < -0.15 - 1e-9),
    }


def bumps(*parts: tuple[float, float, float]) -> Callable[[float], float]:
    """Sum of bumps: height, place and width in ms."""
    return lambda t: float(sum(height * np.exp(-(((t - at) / width) ** 2) / 2) for height, at, width in parts))


FORMULAS = {
    "a peak on each side": bumps((-1, 0, 0.09), (0.2, -0.5, 0.1), (0.45, 0.6, 0.15)),
    "dips on each side": bumps((-1, 0, 0.09), (-0.3, -0.45, 0.1), (-0.4, 0.9, 0.1)),
    "nothing but a trough": bumps((-1, 0, 0.12)),
    "wide": bumps((-1, 0, 0.2)),
}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", FORMULAS)
def test_statistics_one_by_one(name: str, sign: int) -> None:
    wave = FORMULAS[name]
    time_ms = np.arange(-300, 450) * 0.005  # a sample on each point of the grid on which statistics are measured
    shape = describe(np.array([sign * wave(t) for t in time_ms]) * 55.0, 200_000)
    expected = slow_statistics(wave, -sign)
    found = dict(zip(WAVEFORM_STATISTICS, shape.statistics.tolist(), strict=True))
    for key, value in expected.items():
        slack = 0.0051 if key.endswith("_ms") and "value" not in key else 4e-3
        assert found[key] == pytest.approx(value, abs=slack, rel=2e-3), key


def test_what_is_needed_around_the_peak_is_enough() -> None:
    """0.2 ms before the main peak and 0.4 ms after it: 8 and 16 samples at 40 kHz, and one for where it is cut."""
    wave = -np.exp(-0.5 * ((np.arange(-100, 100) * 0.025) / 0.09) ** 2)
    assert isinstance(describe_waveform(wave[100 - 9 : 100 + 18], 40_000), WaveformShape)
    for cut in (wave[100 - 7 : 160], wave[40 : 100 + 16]):
        assert str(describe_waveform(cut, 40_000)).startswith("the waveform shows only")
    assert isinstance(describe_waveform(np.r_[0, 0, 0, -1.0, 0.5, 0, 0, 0], 5_000), WaveformShape)
    assert describe_waveform(wave[80:140], 4_999) == "a waveform sampled at 4999 Hz is too coarse, 5000 Hz are needed"
    assert describe_waveform(wave[80:140], np.inf) == "a waveform sampled at inf Hz is too coarse, 5000 Hz are needed"


def test_the_baseline_is_what_comes_well_before_the_peak() -> None:
    """A slow hump in the last 0.6 ms before the peak, and what follows, are signal; the level before is not."""
    time_ms = np.arange(-60, 80) * 0.025
    spike_and_hump = -np.exp(-0.5 * (time_ms / 0.09) ** 2) + 0.3 * ((time_ms > -0.6) & (time_ms < -0.3))
    shape = describe(spike_and_hump + 20 + 0.2 * (time_ms > 0.8), 40_000)
    np.testing.assert_allclose(shape.waveform[0], 0, atol=0.01)  # -0.8 ms
    np.testing.assert_allclose(shape.waveform[14], 0.3, atol=0.02)  # -0.45 ms
    np.testing.assert_allclose(shape.waveform[-1], 0.2, atol=0.02)  # 1.2 ms
    # Where the record starts less than 0.6 ms before the peak, the first three samples are the baseline.
    short = describe((spike_and_hump + 20)[60 - 12 :], 40_000)
    assert short.waveform[0] == pytest.approx(0, abs=0.31)


def test_held_ends_are_the_recorded_ends() -> None:
    wave = sampled(40_000, before_ms=0.5, after_ms=0.7) + 0.05
    shape = describe(wave, 40_000)
    assert len(set(shape.waveform[:10].tolist())) == 1
    assert len(set(shape.waveform[-10:].tolist())) == 1
    assert len(set(shape.waveform[20:50].tolist())) == 30


def test_an_artefact_at_the_start_moves_no_baseline() -> None:
    time_ms = np.arange(-60, 80) * 0.025
    wave = -np.exp(-0.5 * (time_ms / 0.09) ** 2) + 12
    spoiled = wave.copy()
    spoiled[:3] += 0.5
    np.testing.assert_allclose(describe(spoiled, 40_000).waveform, describe(wave, 40_000).waveform, atol=1e-9)


def test_a_voltage_that_stays_has_the_width_of_what_is_measured() -> None:
    shape = describe(np.r_[np.zeros(80), -1.0, np.full(60, -0.9)], 40_000)
    assert statistic(shape, "half_width_after_ms") == 1.4
    assert statistic(shape, "peak_after") < 0  # counts as no peak
    asymmetry = np.log(0.02 / (statistic(shape, "peak_before") + 0.02))
    assert statistic(shape, "log_peak_asymmetry") == pytest.approx(asymmetry)
