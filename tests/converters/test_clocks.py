"""The session clock: nominal, of the same device, and fitted by sync edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nwb_celltype.converters.clocks import Clock, fit_clock, nominal_clock, same_device_clock
from nwb_celltype.errors import InputError

HOURS_S = 2 * 3600.0
PROBE_HZ = 30000.0


@dataclass(frozen=True)
class Planted:
    """A second clock with a known course: its nominal seconds at true times.

    Constant drift, a slow wobble, and the approach to a working temperature.
    """

    ppm: float = 50.0
    wobble_ppm: float = 2.0
    wobble_s: float = 1200.0
    warm_ppm: float = 5.0
    offset_s: float = 0.13
    rate_hz: float = 25000.0
    first_sample: int = 1_234_567

    def samples(self, true_s: np.ndarray) -> np.ndarray:
        w = 2 * np.pi / self.wobble_s
        drift = self.ppm * true_s + self.wobble_ppm / w * (1 - np.cos(w * true_s))
        drift = drift + self.warm_ppm * 1500 * (1 - np.exp(-true_s / 1500))
        return (true_s + drift * 1e-6 - self.offset_s) * self.rate_hz - self.first_sample


def recorded(rng, times, to_samples, *, missing, glitches, span=(0.0, HOURS_S)):
    """First samples after the edges that one stream kept, with glitches strewn in."""
    kept = times[rng.random(len(times)) >= missing]
    seen = np.concatenate([kept, rng.uniform(*span, int(glitches * len(kept)))])
    seen = np.sort(seen[(seen >= span[0]) & (seen <= span[1])])
    return np.ceil(to_samples(seen)).astype(np.int64)


def fitted(planted: Planted, seed: int, *, missing=0.0, glitches=0.0, span=(0.0, HOURS_S), silent=None) -> Clock:
    rng = np.random.default_rng(seed)
    rises = np.arange(0, HOURS_S - 1) + rng.uniform(0, 1)
    # The generator has a quartz of its own, so that the edges do not keep one phase in the probe's samples.
    rises = rises * (1 + rng.uniform(5e-6, 2e-5))
    if silent is not None:
        rises = rises[(rises < silent[0]) | (rises > silent[1])]
    trains = []
    for edges in (rises, rises + 0.5):
        stream = recorded(rng, edges, planted.samples, missing=missing, glitches=glitches, span=span)
        probe = recorded(rng, edges, lambda t: t * PROBE_HZ, missing=missing, glitches=glitches) / PROBE_HZ
        trains.append((stream, probe))
    return fit_clock(
        *trains[0],
        falling=trains[1],
        stream="nidq",
        reference="imec0",
        sampling_rate_hz=planted.rate_hz,
        first_sample=planted.first_sample,
        reference_rate_hz=PROBE_HZ,
    )


def errors_us(clock: Clock, planted: Planted, times: np.ndarray) -> np.ndarray:
    return np.abs(clock.seconds(planted.samples(times)) - times) * 1e6


@settings(deadline=None, max_examples=25)
@given(
    ppm=st.floats(-400, 400),
    wobble_ppm=st.floats(0, 3),
    wobble_s=st.floats(900, 3600),
    warm_ppm=st.floats(-10, 10),
    offset_s=st.floats(-0.45, 0.45),
    missing=st.floats(0, 0.3),
    glitches=st.floats(0, 0.3),
    seed=st.integers(0, 2**32 - 1),
)
@example(50.0, 2.0, 1200.0, 5.0, 0.13, 0.3, 0.3, 0)
@example(-400.0, 3.0, 900.0, -10.0, 0.45, 0.3, 0.0, 1)
def test_two_hours_within_a_sample_everywhere(ppm, wobble_ppm, wobble_s, warm_ppm, offset_s, missing, glitches, seed):
    planted = Planted(ppm, wobble_ppm, wobble_s, warm_ppm, offset_s)
    clock = fitted(planted, seed, missing=missing, glitches=glitches)
    times = np.random.default_rng(seed).uniform(0, HOURS_S, 20_000)
    ends = np.concatenate([np.linspace(0, 5, 50), np.linspace(HOURS_S - 5, HOURS_S, 50)])
    assert errors_us(clock, planted, np.concatenate([times, ends])).max() <= 1e6 / planted.rate_hz
    assert clock.fit is not None
    assert clock.fit.drift_ppm == pytest.approx(ppm, abs=abs(warm_ppm) + 2 * wobble_ppm + 0.1)
    assert clock.fit.n_jumps == 0


def test_single_edges_do_not_enter():
    # Quantised edges scatter by up to a sample; the fit stays within a quarter of one.
    planted = Planted(warm_ppm=0.0, wobble_ppm=0.5)
    clock = fitted(planted, 3)
    errors = errors_us(clock, planted, np.linspace(0, HOURS_S, 5000))
    assert errors.max() < 10
    assert clock.fit is not None
    assert clock.fit.residual_us_max > 20
    assert 5 < clock.fit.residual_us_median < 20


def test_positive_drift_is_a_stream_that_runs_fast():
    fast = fit_clock(np.arange(60) * 25001, np.arange(60), stream="a", reference="b", sampling_rate_hz=25000)
    slow = fit_clock(np.arange(60) * 24999, np.arange(60), stream="a", reference="b", sampling_rate_hz=25000)
    assert fast.fit is not None
    assert slow.fit is not None
    assert fast.fit.drift_ppm == pytest.approx(40)
    assert slow.fit.drift_ppm == pytest.approx(-40)
    assert (fast.fit.n_edges, fast.fit.n_unmatched) == (60, 0)
    assert float(np.diff(fast.seconds([0, 25001]))[0]) == pytest.approx(1)


def test_counts_in_32_bits_do_not_run_over():
    late = Clock("imec0.ap", 30000.0, first_sample=500_000_000)
    assert late.seconds(np.array([2_000_000_000], dtype=np.int32)).tolist() == [2_500_000_000 / 30000]


def test_a_stream_that_starts_later_and_ends_earlier():
    planted = Planted()
    clock = fitted(planted, 5, span=(1800.0, 5400.0))
    assert errors_us(clock, planted, np.linspace(1800, 5400, 5000)).max() <= 40
    assert clock.fit is not None
    assert clock.fit.n_edges == pytest.approx(7200, abs=4)
    assert clock.fit.n_unmatched <= 4


def test_a_gap_is_bridged_and_reported():
    planted = Planted(wobble_ppm=0.0)
    clock = fitted(planted, 6, silent=(3000.0, 3600.0))
    assert errors_us(clock, planted, np.linspace(0, HOURS_S, 5000)).max() <= 40
    assert clock.fit is not None
    assert clock.fit.longest_gap_s == pytest.approx(600, abs=2)


def test_lost_samples_are_a_jump_and_not_a_drift():
    edges = np.arange(3600)
    samples = edges * 25001 - np.where(edges > 1000, 750, 0)
    clock = fit_clock(samples, edges, stream="a", reference="b", sampling_rate_hz=25000)
    assert clock.fit is not None
    assert clock.fit.n_jumps == 1
    assert clock.fit.residual_us_max < 1
    away = np.abs(edges - 1000) > 3
    np.testing.assert_allclose(clock.seconds(samples)[away], edges[away], atol=1e-6)


@pytest.mark.parametrize("period_s", [0.01, 0.2, 1.0, 5.0, 60.0])
def test_any_period(period_s):
    edges = np.arange(400) * period_s
    clock = fit_clock(
        np.ceil(edges * 25000 * (1 - 80e-6) + 0.2 * period_s * 25000),
        edges,
        stream="a",
        reference="b",
        sampling_rate_hz=25000,
        period_s=period_s,
    )
    assert clock.fit is not None
    assert clock.fit.n_edges == 400
    assert clock.fit.drift_ppm == pytest.approx(-80, abs=4)


def test_streams_whose_counts_do_not_begin_together():
    edges = np.arange(100.0)
    options = {"stream": "a", "reference": "b", "sampling_rate_hz": 1000.0, "first_sample": 7}
    clock = fit_clock(edges * 1000 - 7, edges + 12.3, expected_offset_s=12.2, **options)
    assert clock.seconds(50 * 1000 - 7) == pytest.approx(62.3)
    assert clock.samples(62.3) == pytest.approx(50 * 1000 - 7)


def test_the_first_seconds_are_matched_too_when_only_later_ones_are_sure():
    rng = np.random.default_rng(0)
    edges = np.arange(400.0)
    seen = np.concatenate([edges[:2], [12.0], rng.uniform(0, 20, 18), edges[20:]])
    clock = fit_clock(np.sort(seen) * 1000, edges + 0.2, stream="a", reference="b", sampling_rate_hz=1000)
    assert clock.fit is not None
    assert clock.fit.n_edges >= 383
    assert clock.seconds(0) == pytest.approx(0.2, abs=1e-6)


def test_too_few_edges():
    with pytest.raises(InputError, match=r"nidq has 3 edges on its sync line and imec0 has 60; at least 4.*own clock"):
        fit_clock(np.arange(3) * 25000, np.arange(60), stream="nidq", reference="imec0", sampling_rate_hz=25000)


@pytest.mark.parametrize("seed", range(4))
def test_edges_that_have_nothing_in_common(seed):
    rng = np.random.default_rng(seed)
    waves = {
        "random": np.sort(rng.uniform(0, 1800, 1800)),
        "other period": np.arange(1800) * (0.9 + 0.02 * seed),
        "ten": np.sort(rng.uniform(0, 30, 10)),
    }
    for wave in waves.values():
        with pytest.raises(InputError, match=r"do not agree on one offset within half a period \(0\.5 s\)"):
            fit_clock(wave * 25000, np.arange(1800), stream="a", reference="b", sampling_rate_hz=25000)


def test_streams_that_did_not_record_together():
    with pytest.raises(InputError, match="0 of them fit together"):
        fit_clock(np.arange(60) * 1000, np.arange(100, 160), stream="a", reference="b", sampling_rate_hz=1000)


def test_times_that_are_not_numbers():
    with pytest.raises(InputError, match="finite times"):
        fit_clock([0, np.nan, 2, 3], np.arange(4), stream="a", reference="b", sampling_rate_hz=1.0)


@settings(max_examples=50)
@given(st.integers(0, 2**40), st.integers(0, 2**35), st.sampled_from([30000.0, 29999.954, 11574.074074, 30000.390476]))
def test_the_reference_is_exact(sample, first, rate):
    clock = nominal_clock("imec0.ap", rate, first)
    assert float(clock.seconds(sample)) == (first + sample) / rate
    assert float(clock.seconds(np.array([sample], dtype=np.uint64))[0]) == (first + sample) / rate
    assert round(float(clock.samples(clock.seconds(sample)))) == sample


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 100))
def test_inverse_and_order(seed):
    clock = fitted(Planted(), seed, missing=0.2, glitches=0.2)
    samples = np.sort(np.random.default_rng(seed).integers(-(10**7), 2 * 10**8, 5000))
    seconds = clock.seconds(samples)
    assert np.all(np.diff(seconds) >= 0)
    assert np.all(np.diff(clock.seconds(np.arange(seed * 1000, seed * 1000 + 5000))) > 0)
    np.testing.assert_allclose(clock.samples(seconds), samples, atol=1e-5)
    assert np.isnan(clock.seconds(np.nan))


def test_bands_of_one_probe_share_its_clock():
    ap = fit_clock(np.arange(60) * 30001, np.arange(60), stream="ap", reference="b", sampling_rate_hz=30000.12)
    for known in (ap, nominal_clock("ap", 30000.12, 24)):
        lf = same_device_clock(known, stream="lf", sampling_rate_hz=2500.0, first_sample=known.first_sample // 12 + 5)
        np.testing.assert_allclose(lf.seconds([0, 9000]), known.seconds([60, 108060]), rtol=0, atol=1e-9)
        assert lf.sampling_rate_hz == 30000.12 / 12
        back = same_device_clock(lf, stream="ap", sampling_rate_hz=30000.0, first_sample=known.first_sample)
        np.testing.assert_allclose(back.seconds([0, 10**6]), known.seconds([0, 10**6]), rtol=0, atol=1e-9)
    assert lf.fit is None
    other = same_device_clock(nominal_clock("a", 30000.0), stream="b", sampling_rate_hz=20000.0, first_sample=0)
    assert other.sampling_rate_hz == 20000.0


@pytest.mark.parametrize("rate", [0.0, -1.0, np.nan, np.inf])
def test_a_rate_must_be_positive(rate):
    with pytest.raises(InputError, match="must be positive"):
        nominal_clock("nidq", rate)


def test_knots_must_ascend():
    with pytest.raises(InputError, match="do not ascend"):
        Clock("a", 1.0, 0, np.array([0.0, 2.0]), np.array([1.0, 1.0]))
