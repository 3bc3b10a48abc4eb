"""The session clock: nominal, of the same device, and fitted by sync edges."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nwb_celltype.converters.clocks import Clock, fit_clock, nominal_clock, same_device_clock
from nwb_celltype.converters.spikeglx import read_session
from nwb_celltype.errors import InputError

from .spikeglx.synthetic import ap_samples, ni_header, np1_header, square_wave, words, write_stream

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


def late_file(ppm: float, began_s: float, *, seed: int = 0, apart_s: float = 0.0, **options) -> tuple[Clock, Planted]:
    """A file that begins late: two minutes, unless told, of a stream with a constant drift since both counters began,
    but for a slow wobble and the warming up, where asked for.

    Trains are cut to what the files hold, so the first and the last edge may be in one of them only.
    """
    length_s, missing = options.pop("length_s", 120.0), options.pop("missing", 0.0)
    slow = {"wobble_ppm": options.pop("wobble_ppm", 0.0), "warm_ppm": options.pop("warm_ppm", 0.0)}
    planted = Planted(ppm, **slow, offset_s=apart_s, first_sample=0)
    planted = replace(planted, first_sample=int(np.rint(planted.samples(np.array([began_s]))[0])))
    rng = np.random.default_rng(seed)
    span = (began_s, began_s + length_s)
    # The wave is the generator's: it begins anywhere and has a period of its own.
    numbers = np.arange(np.floor(began_s) - 3, began_s + length_s + 3)
    rises = rng.uniform(0, 1) + numbers * (1 + rng.uniform(-2e-5, 2e-5))
    trains = []
    for edges in (rises, rises + 0.5):
        stream = recorded(rng, edges, planted.samples, missing=missing, glitches=missing, span=span)
        probe = recorded(rng, edges, lambda t: t * PROBE_HZ, missing=missing, glitches=missing, span=span) / PROBE_HZ
        trains.append((stream, probe))
    clock = fit_clock(
        *trains[0],
        falling=trains[1],
        stream="nidq",
        reference="imec0",
        sampling_rate_hz=planted.rate_hz,
        first_sample=planted.first_sample,
        reference_rate_hz=PROBE_HZ,
        **options,
    )
    return clock, planted


@settings(deadline=None, max_examples=60)
@given(
    ppm=st.floats(-200, 200),
    began_s=st.floats(0, 20_000),
    missing=st.floats(0, 0.3),
    seed=st.integers(0, 2**32 - 1),
)
@example(200.0, 5822.0, 0.0, 0)  # 1.16 s apart where the file begins
@example(-200.0, 5822.0, 0.0, 0)
@example(50.0, 14_000.0, 0.0, 0)  # 0.7 s
@example(100.0, 5000.0, 0.3, 1)  # half a period: shows on either side
@example(-200.0, 20_000.0, 0.3, 2)
def test_whole_periods_however_late_the_file_begins(ppm, began_s, missing, seed):
    clock, planted = late_file(ppm, began_s, seed=seed, missing=missing)
    times = np.linspace(began_s, began_s + 120, 500)
    assert errors_us(clock, planted, times).max() <= 1e6 / planted.rate_hz
    assert clock.fit is not None
    assert not clock.fit.is_ambiguous, clock.fit.doubt
    assert 0.1 <= clock.fit.offset_uncertainty_s < 0.5
    if not missing:
        assert clock.fit.n_unmatched <= 4


@settings(deadline=None, max_examples=30)
@given(
    ppm=st.floats(-200, 200),
    began_s=st.floats(0, 20_000),
    wobble_ppm=st.floats(0, 5),
    warm_ppm=st.floats(-10, 10),
    seed=st.integers(0, 2**32 - 1),
)
@example(200.0, 20_000.0, 5.0, 10.0, 0)
def test_whole_periods_with_a_drift_that_changes_slowly(ppm, began_s, wobble_ppm, warm_ppm, seed):
    clock, planted = late_file(ppm, began_s, seed=seed, wobble_ppm=wobble_ppm, warm_ppm=warm_ppm)
    assert errors_us(clock, planted, np.linspace(began_s, began_s + 120, 500)).max() <= 1e6 / planted.rate_hz
    assert clock.fit is not None
    assert not clock.fit.is_ambiguous, clock.fit.doubt


def test_after_many_hours_whole_periods_are_a_guess_and_that_is_told():
    clock, planted = late_file(50.0, 50_000.0)
    assert errors_us(clock, planted, np.linspace(50_000, 50_120, 50)).max() <= 40
    assert clock.fit is not None
    assert clock.fit.is_ambiguous
    assert clock.fit.offset_uncertainty_s == pytest.approx(0.1 + 50_000 * 10.6e-6, abs=0.05)
    assert "not certain which sync edges of nidq and imec0 belong together" in clock.fit.doubt
    assert "wrong by whole periods of the sync wave (1 s)" in clock.fit.doubt


def test_a_file_too_short_to_tell_the_drift_is_a_guess_too():
    short, _ = late_file(50.0, 10_000.0, length_s=2.5)
    longer, _ = late_file(50.0, 10_000.0, length_s=30.0)
    assert short.fit is not None
    assert longer.fit is not None
    assert short.fit.is_ambiguous
    assert not longer.fit.is_ambiguous


def test_a_drift_that_changes_within_the_file_is_not_trusted_for_the_time_before():
    numbers = np.arange(20_000.0, 20_600.0)
    bent = 40e-6 * np.maximum(numbers - 20_300, 0)
    options = {"stream": "a", "reference": "b", "sampling_rate_hz": 25000.0}
    steady = fit_clock(numbers * 25000, numbers, **options)
    changing = fit_clock((numbers + bent) * 25000, numbers, **options)
    assert steady.fit is not None
    assert changing.fit is not None
    assert not steady.fit.is_ambiguous
    assert changing.fit.is_ambiguous
    assert changing.fit.offset_uncertainty_s == pytest.approx(0.1 + 20_000 * 40e-6, rel=0.15)


@pytest.mark.parametrize(("apart_s", "is_told"), [(0.0, False), (0.08, False), (0.3, True), (-0.3, True), (0.7, True)])
def test_counters_that_began_far_apart_are_told(apart_s, is_told):
    clock, planted = late_file(50.0, 5.9, length_s=60.0, apart_s=apart_s)
    assert clock.fit is not None
    assert clock.fit.is_ambiguous == is_told
    if is_told:
        nearest = min(abs(apart_s), 1 - abs(apart_s))
        assert f"nidq and imec0 began {nearest:.3f} s apart" in clock.fit.doubt
    # 0.7 s cannot be told from -0.3 s; the sentence is all there is.
    off_us = 1e6 if abs(apart_s) > 0.5 else 0.0
    assert errors_us(clock, planted, np.linspace(6, 60, 50)) == pytest.approx(off_us, abs=40)


def test_lost_samples_do_not_pass_for_a_drift_before_the_file():
    edges = np.arange(15_000.0, 16_000.0)
    samples = edges * 25001 - np.where(edges > 15_500, 2500, 0)
    clock = fit_clock(samples, edges, stream="a", reference="b", sampling_rate_hz=25000.0)
    assert clock.fit is not None
    assert clock.fit.n_jumps == 1
    assert not clock.fit.is_ambiguous
    assert float(clock.seconds(samples[0])) == pytest.approx(15_000, abs=1e-6)


def test_an_offset_that_is_known_is_kept():
    clock, planted = late_file(200.0, 5822.0, expected_offset_s=-0.1)
    errors = errors_us(clock, planted, np.linspace(5822, 5942, 50))
    np.testing.assert_allclose(errors, 1e6, atol=100)
    assert clock.fit is not None
    assert not clock.fit.is_ambiguous
    assert np.isnan(clock.fit.offset_uncertainty_s)


@pytest.mark.parametrize(
    ("began_s", "ppm", "note"), [(5822.0, 200.0, ""), (60_000.0, 30.0, "is not certain which sync")]
)
def test_a_late_run_is_aligned_and_a_doubt_is_a_note(tmp_path, began_s, ppm, note):
    folder, nidq_hz = tmp_path / "mouse_g0", 25000 * (1 + ppm * 1e-6)
    first, ni_first = round(began_s * PROBE_HZ), round(began_s * nidq_hz)
    wave = square_wave((np.arange(12 * 30000) + first) / PROBE_HZ)
    stem = folder / "mouse_g0_imec0" / "mouse_g0_t0.imec0.ap"
    write_stream(stem, np1_header(2, firstSample=str(first)), ap_samples(len(wave), 2, wave))
    packed = words({0: square_wave((np.arange(12 * 25000) + ni_first) / nidq_hz)})
    write_stream(folder / "mouse_g0_t0.nidq", ni_header(0, firstSample=str(ni_first)), packed)
    session = read_session(folder)
    (nidq,) = (clock for clock in session.clocks if clock.stream == "nidq")
    assert nidq.start_s == pytest.approx(began_s, abs=60e-6)
    doubts = [text for text in session.notes if "whole periods of the sync wave" in text]
    assert len(doubts) == bool(note)
    assert all(note in text for text in doubts)
