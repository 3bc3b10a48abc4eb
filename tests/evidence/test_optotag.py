"""Latency, jitter, reliability and SALT of simulated units, and what artefacts and spontaneous spikes do to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import kstest

from nwb_celltype.errors import UsageError
from nwb_celltype.evidence import (
    OptotagResponse,
    OptotagWindows,
    PulseSet,
    Stimulation,
    evoked_groups,
    latency_test,
    spike_groups,
    tagging_response,
    waveform_correlation,
)
from nwb_celltype.evidence.optotag import is_end_locked
from nwb_celltype.evidence.pulse_sets import choose_pulses
from nwb_celltype.evidence.salt import window_latencies

from .trains import Float, evoked, firing, modulated, pulse_onsets

WINDOWS = OptotagWindows()


def pulse_set(onsets_s: Float, duration_s: float = 0.005) -> PulseSet:
    (chosen,) = choose_pulses(Stimulation("laser", onsets_s, duration_s), WINDOWS, start_s=0.0)
    return chosen


def response_to(spikes: Float, onsets_s: Float, duration_s: float = 0.005) -> OptotagResponse:
    return tagging_response(spikes, pulse_set(onsets_s, duration_s), WINDOWS)


@pytest.mark.parametrize("rate_hz", [1.0, 10.0, 60.0])
@pytest.mark.parametrize(
    ("latency_ms", "jitter_ms", "reliability"), [(3.5, 0.6, 0.9), (2.5, 0.3, 0.5), (7.0, 0.8, 0.3)]
)
def test_latency_jitter_and_reliability_are_found_again(
    rate_hz: float, latency_ms: float, jitter_ms: float, reliability: float
) -> None:
    rng = np.random.default_rng(1)
    onsets = pulse_onsets(rng, 500)
    spikes = evoked(
        rng, firing(rng, rate_hz, 410), onsets, latency_ms=latency_ms, jitter_ms=jitter_ms, reliability=reliability
    )
    seen = response_to(spikes, onsets, duration_s=0.02)
    assert seen.n_pulses == 500
    assert seen.salt_p < 0.01
    busy = rate_hz > 30  # every second window has a spontaneous spike: numbers are right, but less sharp
    assert seen.excess == pytest.approx(reliability, abs=0.15 if busy else 0.07)
    assert seen.n_evoked == pytest.approx(500 * seen.excess)
    assert seen.latency_ms == pytest.approx(latency_ms, abs=0.4 if busy else 0.25)
    assert seen.jitter_ms == pytest.approx(jitter_ms, rel=0.6 if busy else 0.35)
    assert seen.baseline_rate_hz == pytest.approx(rate_hz, rel=0.2)


def test_spontaneous_spikes_pull_the_raw_latency_but_not_the_corrected_one() -> None:
    rng = np.random.default_rng(2)
    onsets = pulse_onsets(rng, 500)
    spikes = evoked(rng, firing(rng, 80, 410), onsets, latency_ms=9, jitter_ms=0.5, reliability=0.4)
    pulses = pulse_set(onsets, 0.02)
    _, test = window_latencies(spikes, pulses, WINDOWS)
    raw_ms = 1e3 * float(np.nanmedian(test)) + 1
    assert raw_ms < 8
    assert tagging_response(spikes, pulses, WINDOWS).latency_ms == pytest.approx(9, abs=0.4)


def test_salt_agrees_with_its_definition() -> None:
    rng = np.random.default_rng(3)
    onsets = pulse_onsets(rng, 60)
    spikes = evoked(rng, firing(rng, 15, 60), onsets, latency_ms=4, jitter_ms=1, reliability=0.15)
    pulses = pulse_set(onsets)
    dark, test = window_latencies(spikes, pulses, WINDOWS)
    baseline = dark[pulses.salt_windows()]
    edges = np.arange(11) * 1e-3

    def histogram(latencies: Float) -> Float:
        counts = np.histogram(latencies[~np.isnan(latencies)], edges)[0]
        return np.append(counts, np.isnan(latencies).sum()) / len(latencies)

    windows = [histogram(column) for column in baseline.T]
    within = [np.sqrt(2) * jensenshannon(a, b) for i, a in enumerate(windows) for b in windows[i + 1 :]]
    to_test = float(np.median([np.sqrt(2) * jensenshannon(each, histogram(test)) for each in windows]))
    expected = np.mean(np.array(within) >= to_test - 1e-12)
    result = latency_test(baseline, test)
    assert result.n_pairs == len(within) == 435
    assert result.p == pytest.approx(expected, abs=1e-12)
    assert result.distance == pytest.approx(to_test - np.median(within), abs=1e-9)


def test_windows_are_where_they_should_be() -> None:
    onsets = np.arange(1.0, 31.0)
    pulses = pulse_set(onsets, 0.005)
    spikes = np.sort(np.concatenate([onsets - 0.3, onsets - 0.0001, onsets + 0.0005, onsets + 0.0055, onsets + 0.0109]))
    dark, test = window_latencies(spikes, pulses, WINDOWS)
    baseline = dark.reshape(30, 30)
    assert np.allclose(baseline[:, 0], 0.0, atol=1e-9)
    assert np.isnan(baseline[:, 1:29]).all()
    assert np.allclose(baseline[:, 29], 0.0099)
    assert np.allclose(test, 0.0045)  # the dead time after the onset (0.5 ms) is passed over, that after the end is not
    dark, test = window_latencies(spikes, pulses, WINDOWS, masks_end=True)
    assert np.allclose(dark.reshape(30, 30)[:, 29], 0.0099)
    assert np.allclose(test, 0.0099)


def test_units_without_a_response_have_p_values_that_keep_their_promise() -> None:
    """SALT as published is conservative; the rank among all windows is uniform."""
    rng = np.random.default_rng(4)
    onsets = pulse_onsets(rng, 100)
    pulses = pulse_set(onsets)
    makers = (firing, modulated)
    results = [
        tagging_response(makers[k % 2](rng, float(np.exp(rng.uniform(0, np.log(100)))), 90), pulses, WINDOWS)
        for k in range(1000)
    ]
    p = np.array([each.salt_p for each in results])
    rank_p = np.array([each.salt_rank_p for each in results])
    for level in (0.01, 0.05, 0.1, 0.2):
        assert np.mean(p < level) <= level
    spread = rank_p - rng.uniform(0, 1 / 31, len(rank_p))  # ranks are steps of 1/31: fill the steps
    assert kstest(spread, "uniform").pvalue > 1e-3
    silenced = [each for each in results if not np.isnan(each.latency_ms)]
    assert len(silenced) < 0.05 * len(results)


def test_a_unit_that_light_silences_is_no_response() -> None:
    rng = np.random.default_rng(5)
    onsets = pulse_onsets(rng, 300)
    spikes = firing(rng, 60, 250)
    after = spikes - onsets[np.maximum(np.searchsorted(onsets, spikes, side="right") - 1, 0)]
    seen = response_to(spikes[~((after >= 0) & (after < 0.03))], onsets)
    assert seen.salt_p < 0.01
    assert seen.excess < 0
    assert np.isnan(seen.latency_ms)


def test_spikes_right_at_the_edges_of_light_are_artefacts() -> None:
    rng = np.random.default_rng(6)
    onsets = pulse_onsets(rng, 300)
    spontaneous = firing(rng, 10, 250)
    at_onset = evoked(rng, spontaneous, onsets, latency_ms=0.4, jitter_ms=0.05, reliability=0.9)
    seen = response_to(at_onset, onsets)
    assert seen.onset_artefact == pytest.approx(0.9, abs=0.05)
    assert seen.end_artefact == pytest.approx(0, abs=0.05)
    assert abs(seen.excess) < 0.1
    for jitter_ms in (0.0, 0.01, 0.02):
        at_end = evoked(rng, spontaneous, onsets, latency_ms=5.4, jitter_ms=jitter_ms, reliability=0.9)
        seen = response_to(at_end, onsets, duration_s=0.005)
        assert seen.is_end_masked
        assert seen.end_artefact == pytest.approx(0.9, abs=0.05)
        assert abs(seen.excess) < 0.1
        assert np.isnan(seen.latency_ms)


@pytest.mark.parametrize("duration_ms", [1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 50.0])
@pytest.mark.parametrize(("latency_ms", "jitter_ms"), [(2.5, 0.2), (3.5, 0.2), (4.5, 0.3), (6.0, 0.5), (2.2, 0.1)])
def test_a_response_right_after_the_end_of_the_pulse_is_found_again(
    duration_ms: float, latency_ms: float, jitter_ms: float
) -> None:
    rng = np.random.default_rng(9)
    onsets = np.arange(20, 220, 0.5)
    spikes = evoked(rng, firing(rng, 5, 230), onsets, latency_ms=latency_ms, jitter_ms=jitter_ms, reliability=0.8)
    seen = response_to(spikes, onsets, duration_s=1e-3 * duration_ms)
    assert seen.salt_p < 0.01
    assert seen.excess == pytest.approx(0.8, abs=0.06)
    assert seen.latency_ms == pytest.approx(latency_ms, abs=0.1)
    assert seen.jitter_ms == pytest.approx(jitter_ms, rel=0.25)
    assert not seen.is_end_masked
    share_at_end = np.mean(rng.normal(latency_ms, jitter_ms, 10000) // 1 == duration_ms)
    assert seen.end_artefact == pytest.approx(0.8 * share_at_end, abs=0.06)


def test_artefacts_of_the_end_do_not_hide_a_response_before_it() -> None:
    rng = np.random.default_rng(10)
    onsets = np.arange(20, 220, 0.5)
    direct = evoked(rng, firing(rng, 8, 230), onsets, latency_ms=3, jitter_ms=0.3, reliability=0.4)
    seen = response_to(evoked(rng, direct, onsets, latency_ms=5.2, jitter_ms=0.01, reliability=0.95), onsets)
    assert seen.is_end_masked
    assert seen.end_artefact == pytest.approx(0.95, abs=0.05)
    assert seen.excess == pytest.approx(0.4, abs=0.06)
    assert seen.latency_ms == pytest.approx(3, abs=0.15)


def test_no_ordinary_unit_has_its_spikes_after_the_end_masked() -> None:
    rng = np.random.default_rng(11)
    pulses = pulse_set(pulse_onsets(rng, 400), 0.002)
    rates = np.exp(rng.uniform(0, np.log(150), 300))
    assert not any(is_end_locked(firing(rng, float(rate), 330), pulses, WINDOWS) for rate in rates)


def trains_of(n_trains: int, n_pulses: int, rate_hz: float, every_s: float) -> Float:
    begins = np.arange(10, 10 + every_s * (n_trains - 0.5), every_s)
    return np.asarray((begins[:, None] + np.arange(n_pulses) / rate_hz).ravel(), dtype=np.float64)


@pytest.mark.parametrize(
    ("onsets_s", "duration_s"),
    [
        (trains_of(10, 40, 20, 10), 0.010),
        (trains_of(58, 40, 20, 10), 0.010),
        (trains_of(20, 40, 40, 5), 0.005),
        (10 + 0.05 * np.arange(2000), 0.005),
    ],
)
def test_responses_to_trains_are_found_again(onsets_s: Float, duration_s: float) -> None:
    rng = np.random.default_rng(12)
    seconds = float(onsets_s[-1]) + 10
    spikes = evoked(rng, firing(rng, 5, seconds), onsets_s, latency_ms=3, jitter_ms=0.3, reliability=0.8)
    seen = response_to(spikes, onsets_s, duration_s)
    assert seen.n_pulses == len(onsets_s)
    assert seen.salt_p < 0.01
    assert seen.excess == pytest.approx(0.8, abs=0.05)
    assert seen.latency_ms == pytest.approx(3, abs=0.1)
    assert seen.jitter_ms == pytest.approx(0.3, rel=0.2)
    assert seen.baseline_rate_hz == pytest.approx(5, rel=0.3)


def test_a_regular_unit_in_step_with_trains_does_not_respond() -> None:
    rng = np.random.default_rng(13)
    onsets = trains_of(20, 40, 40, 5)
    pulses = pulse_set(onsets)
    seen = [tagging_response(np.cumsum(rng.normal(0.025, 0.0008, 4600)), pulses, WINDOWS) for _ in range(60)]
    assert max(each.excess for each in seen) > 0.2  # by its step alone
    assert all(np.isnan(each.latency_ms) for each in seen)


@pytest.mark.parametrize(
    ("spikes", "problem"),
    [
        (np.empty(0), "the unit has no spikes"),
        (np.array([3.0, 2.0]), "spike times are not ascending numbers"),
        (np.array([np.nan, 2.0]), "spike times are not ascending numbers"),
        (np.array([0.001]), "the unit is silent around the pulses"),
    ],
)
def test_units_that_cannot_be_measured_say_why(spikes: Float, problem: str) -> None:
    seen = response_to(spikes, np.arange(1.0, 51.0))
    assert seen.problem == problem
    assert np.isnan(seen.latency_ms)


def test_pulses_that_cannot_be_tested_say_why() -> None:
    assert response_to(np.arange(0, 10, 0.1), np.empty(0)).problem == "there are no pulses"


def test_a_unit_that_fires_in_every_window_has_no_excess() -> None:
    onsets = np.arange(1.0, 51.0)
    seen = response_to(np.arange(0, 60, 0.001), onsets)
    assert seen.reliability == seen.chance == 1
    assert np.isnan(seen.excess)
    assert np.isnan(seen.latency_ms)


def test_evoked_and_spontaneous_spikes_are_told_apart() -> None:
    rng = np.random.default_rng(7)
    onsets = pulse_onsets(rng, 200)
    spontaneous = firing(rng, 5, 170)
    hit = onsets + 0.003
    spikes = np.sort(np.concatenate([spontaneous, hit, onsets + 0.0003]))
    groups = spike_groups(spikes, Stimulation("laser", onsets, 0.005), WINDOWS, latency_ms=(2.5, 3.5))
    assert np.mean(np.isin(spikes[groups.evoked], hit)) > 0.98
    assert len(groups.evoked) > 190
    assert set(spikes[groups.spontaneous].tolist()) <= set(spontaneous.tolist())
    assert len(groups.artefact) >= 200
    assert not set(groups.evoked.tolist()) & (set(groups.spontaneous.tolist()) | set(groups.artefact.tolist()))
    distance = np.abs(spikes[groups.spontaneous][:, None] - onsets).min(axis=1)
    assert distance.min() > 0


def test_groups_can_be_those_of_one_set_of_blockers() -> None:
    laser = Stimulation("laser", [1.0, 2.0], 0.005, blockers=[Blocker("NBQX", 1.5)])
    spikes = [0.5, 1.003, 1.2, 1.8, 2.003, 2.0055]
    plain, blocked = (spike_groups(spikes, laser, WINDOWS, blocker=name) for name in ("", "NBQX"))
    assert (plain.evoked.tolist(), plain.spontaneous.tolist()) == ([1], [0, 2])
    assert (blocked.evoked.tolist(), blocked.spontaneous.tolist()) == ([4], [3])
    late = spike_groups(spikes, laser, WINDOWS, latency_ms=(5, 9)).evoked.tolist()
    assert late == [5]
    assert spike_groups(spikes, laser, WINDOWS, latency_ms=(5, 9), masks_end=True).evoked.tolist() == []


@dataclass(frozen=True)
class Blocker:
    name: str
    from_s: float
    to_s: float | None = None


def test_evoked_spikes_are_named_where_light_evokes_them_alone() -> None:
    rng = np.random.default_rng(14)
    onsets = np.arange(5, 205, 0.5)
    laser = Stimulation("laser", onsets, 0.005, blockers=[Blocker("NBQX", 104.9)])
    sets = choose_pulses(laser, WINDOWS, start_s=0.0)
    found = {}
    for rate_hz in (5, 60):  # by chance, the fast unit has a spike after half of the pulses
        spikes = evoked(rng, firing(rng, rate_hz, 210), onsets[:200], latency_ms=3, jitter_ms=0.3, reliability=0.8)
        groups = evoked_groups(spikes, laser, sets, WINDOWS)
        assert list(groups) == [""]
        found[rate_hz] = (
            spikes[groups[""].evoked] - onsets[:200][np.searchsorted(onsets[:200], spikes[groups[""].evoked]) - 1]
        )
        assert (spikes[groups[""].spontaneous] < 104.9).all()
    assert 140 < len(found[5]) < 180
    assert np.all(np.abs(found[5] - 0.003) < 0.0012)
    assert dict(evoked_groups(np.empty(0), laser, sets, WINDOWS)) == {}


def test_no_spike_near_another_light_is_spontaneous() -> None:
    blue, red = Stimulation("blue", [1.0], 0.005), Stimulation("red", [2.0], 1.0)
    assert spike_groups([0.5, 1.5, 2.5], blue, WINDOWS).spontaneous.tolist() == [0, 1, 2]
    assert spike_groups([0.5, 1.5, 2.5], blue, WINDOWS, others=[red]).spontaneous.tolist() == [0, 1]


def test_a_light_that_never_ends_leaves_nothing_spontaneous_behind_it() -> None:
    groups = spike_groups([0.5, 1.003, 50.0], Stimulation("laser", [1.0], [np.nan]), WINDOWS)
    assert groups.spontaneous.tolist() == [0]
    assert groups.evoked.tolist() == [1]


def test_spike_groups_without_pulses_or_spikes() -> None:
    assert spike_groups([0.5], Stimulation("laser", [], []), WINDOWS).spontaneous.tolist() == [0]
    assert spike_groups([], Stimulation("laser", [1.0], 0.1), WINDOWS).evoked.tolist() == []
    with pytest.raises(UsageError, match="not ascending"):
        spike_groups([2.0, 1.0], Stimulation("laser", [], []), WINDOWS)


def test_waveforms_correlate_over_all_channels() -> None:
    rng = np.random.default_rng(8)
    mean = rng.normal(size=(60, 4))
    assert waveform_correlation(mean, 3 * mean) == pytest.approx(1)
    assert waveform_correlation(mean, mean[:, ::-1]) < 0.5
    assert waveform_correlation(mean, -mean) == pytest.approx(-1)
    assert np.isnan(waveform_correlation(mean, np.zeros_like(mean)))
    assert np.isnan(waveform_correlation(mean, np.full_like(mean, np.nan)))
    with pytest.raises(UsageError, match="shape"):
        waveform_correlation(mean, mean[:-1])
