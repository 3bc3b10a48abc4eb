"""Stimuli of the metadata as the rules take them, and the runs that a conversion makes of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pynwb import NWBHDF5IO, NWBFile

import nwb_celltype as nct
from nwb_celltype.converters.assembly import Options
from nwb_celltype.converters.clocks import Clock
from nwb_celltype.converters.identity import add_runs, evoked_waveforms, stimulations_of
from nwb_celltype.converters.metadata import Blocker, EventMetadata, SessionMetadata, StimulusMetadata
from nwb_celltype.converters.records import Probe, ProbeRecording, Pulses, Sorting, SourceSession
from nwb_celltype.converters.traces import BinaryTraces
from nwb_celltype.converters.waveforms import mean_waveforms
from nwb_celltype.evidence import identified, measured_responses
from nwb_celltype.units import Units

GABAZINE = Blocker("gabazine", 50.0)
RATE_HZ = 10_000.0
Float = NDArray[np.float64]


def stimulus(site: str, tags: str = "", blockers: tuple[Blocker, ...] = ()) -> StimulusMetadata:
    return StimulusMetadata("laser", site, "", "Crus 1", "laser", 473.0, 5.0, tags=tags, blockers=blockers)


def session() -> SourceSession:
    probe = Probe("imec0", ("AP0",), np.zeros((1, 2)), np.zeros(1, dtype=np.int64), "by hand")
    onsets = np.arange(1.0, 101.0)
    line = Pulses("nidq.XD0.3", onsets, np.full(100, 0.005), False, "")
    silent = Pulses("nidq.XD0.4", np.empty(0), np.empty(0), False, "")
    return SourceSession("spikeglx", (), (ProbeRecording(probe, Clock("imec0.ap", 30000.0)),), (line, silent))


def metadata(*stimuli: StimulusMetadata) -> SessionMetadata:
    events = {"nidq.XD0.3": EventMetadata("laser", "Light."), "nidq.XD0.4": EventMetadata("lamp", "Light.")}
    return SessionMetadata({}, {}, events=events, stimuli=stimuli)


def test_pulses_that_went_to_two_places_are_one_stimulation() -> None:
    found = stimulations_of(session(), metadata(stimulus("left"), stimulus("right", "MLI", (GABAZINE,))))
    assert [(each.name, each.tags, each.blockers) for each in found] == [("laser", "MLI", (GABAZINE,))]
    units = Units.from_arrays([np.sort(np.random.default_rng(0).uniform(0, 100, 1000))])
    responses = measured_responses(units, found, start_s=0.0)[0]
    assert [(each.blocker, each.response.n_pulses) for each in responses] == [("", 49), ("gabazine", 51)]


def test_lines_without_pulses_or_names_are_no_stimulation() -> None:
    other = StimulusMetadata("lamp", "site", "", "Crus 1", "lamp", 590.0, 5.0, tags="MLI")
    assert stimulations_of(session(), metadata(other)) == []


def sorting_of(*trains: Float) -> Sorting:
    samples = [np.rint(train * RATE_HZ).astype(np.int64) for train in trains]
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in samples])]).astype(np.int64)
    ids = np.arange(len(trains), dtype=np.int64)
    names = tuple(str(k) for k in ids)
    return Sorting(ids, names, np.concatenate(samples), offsets, RATE_HZ, "by hand")


def probe_called(name: str) -> Probe:
    positions = np.column_stack([np.zeros(4), 20.0 * np.arange(4)])
    return Probe(name, ("AP0", "AP1", "AP2", "AP3"), positions, np.zeros(4, dtype=np.int64), "by hand")


def laser_line(onsets_s: Float) -> Pulses:
    return Pulses("nidq.XD0.3", onsets_s, np.full(len(onsets_s), 0.005), False, "")


def write_traces(path: Path, seconds: float, spikes: list[tuple[Float, int, Float]]) -> BinaryTraces:
    """Noise of 5 counts with a shape on one channel at each spike time."""
    traces = np.random.default_rng(0).normal(0, 5, (4, int(seconds * RATE_HZ)))
    for times, channel, shape in spikes:
        rows = np.rint(times * RATE_HZ).astype(int)[:, None] + np.arange(-10, 20)
        traces[channel] += np.bincount(rows.ravel(), np.tile(shape, len(times)), traces.shape[1])
    np.rint(traces.T).astype("<i2").tofile(path)
    return BinaryTraces(
        name="imec0.ap", paths=(path,), dtype=np.dtype("<i2"), n_file_channels=4, columns=np.arange(4),
        sampling_rate_hz=RATE_HZ, gains_uv=np.ones(4),
    )  # fmt: skip


def test_each_set_of_blockers_is_compared_on_its_own_spikes(tmp_path: Path) -> None:
    """A unit whose response the blockers take away, one that keeps it, and one whose evoked spikes are another's."""
    rng = np.random.default_rng(1)
    onsets = np.arange(1.0, 59.0, 0.25)
    t = np.arange(-10, 20)
    spike, other = -200 * np.exp(-((t / 3) ** 2)) + 60 * np.exp(-(((t - 8) / 5) ** 2)), 150 * np.exp(-((t / 8) ** 2))

    def answers(times: Float) -> Float:
        hit = times[rng.random(len(times)) < 0.8]
        return hit + rng.normal(0.003, 0.0003, len(hit))

    def background() -> Float:
        return np.sort(rng.uniform(0.1, 59.8, 350))

    before, lost, kept, foreign = onsets[onsets < 30], background(), background(), background()
    lost_evoked, kept_evoked, foreign_evoked = answers(before), answers(onsets), answers(onsets)
    traces = write_traces(
        tmp_path / "ap.bin",
        60.0,
        [(np.append(lost, lost_evoked), 0, spike), (np.append(kept, kept_evoked), 1, spike),
         (foreign, 3, spike), (foreign_evoked, 3, other)],
    )  # fmt: skip
    pairs = ((lost, lost_evoked), (kept, kept_evoked), (foreign, foreign_evoked))
    trains = [np.unique(np.concatenate(pair)) for pair in pairs]
    sorting, probe = sorting_of(*trains), probe_called("imec0")
    recording = ProbeRecording(probe, Clock("imec0.ap", RATE_HZ), sorting, traces)
    found = SourceSession("spikeglx", (), (recording,), (laser_line(onsets),))
    stored = mean_waveforms(sorting, traces, probe)
    units = Units.from_arrays([sorting.samples_of(k) / RATE_HZ for k in range(3)])
    stimulations = stimulations_of(found, metadata(stimulus("site", "MLI", (Blocker("NBQX", 29.9),))))
    evoked = list(evoked_waveforms(units, found, [stored], stimulations, Options()))
    assert [(each.unit_id, each.blocker) for each in evoked] == [
        (0, ""), (1, ""), (2, ""), (1, "NBQX"), (2, "NBQX"),
    ]  # fmt: skip
    run = identified(units, stimulations, waveforms=evoked, start_s=0.0)
    assert run.cell_type.tolist() == ["unclassified", "MLI", "unclassified"]
    assert run.evidence is not None
    r = [[row.get("waveform_correlation", np.nan) for row in rows] for rows in run.evidence]
    assert r[0][0] > 0.95
    assert np.isnan(r[0][1])  # nothing is evoked there
    assert min(r[1]) > 0.95
    assert max(r[2]) < 0.7
    for rows, times in ((run.evidence[1], kept_evoked), (run.evidence[0][:1], lost_evoked)):
        for row in rows:
            assert abs(row["latency_ms"] - 3) < 0.15
            assert abs(row["jitter_ms"] - 0.3) < 0.1
            assert row["n_pulses"] in (116, 115, 117)
        n = sum(row["n_pulses"] * row["reliability"] for row in rows)
        assert abs(n - len(times)) < 0.1 * len(onsets)


def write_units(path: Path, *trains: Float) -> Path:
    nwb = NWBFile(session_description="made up", identifier="runs", session_start_time=datetime(2026, 1, 1, tzinfo=UTC))
    for k, train in enumerate(trains):
        nwb.add_unit(id=k, spike_times=train)
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


def test_a_stimulus_without_tags_is_measured_all_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    onsets = np.arange(1.0, 101.0)
    train = np.sort(np.concatenate([rng.uniform(0, 101, 500), onsets + rng.normal(0.003, 0.0003, 100)]))
    recording = ProbeRecording(probe_called("imec0"), Clock("imec0.ap", RATE_HZ), sorting_of(train))
    found = SourceSession("phy", (), (recording,), (laser_line(onsets),))
    path = write_units(tmp_path / "session.nwb", train)
    assert add_runs(path, found, metadata(stimulus("site")), [None]) == ["optotag_rule"]
    assert nct.check(path) == []
    (run,) = nct.read_runs(path)
    assert run.cell_type.tolist() == ["unclassified"]
    assert run.reason.tolist() == ["not_labelled"]
    assert str(run.reason_detail[0]).endswith("Nobody says which cells carry the opsin.")
    assert run.evidence is not None
    assert abs(run.evidence[0][0]["latency_ms"] - 3) < 0.1
    assert run.evidence[0][0]["n_pulses"] == 100
    without = write_units(tmp_path / "no_light.nwb", train)
    assert add_runs(without, found, metadata(), [None]) == []


def test_complex_and_simple_spikes_are_paired_on_one_probe_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    complex_ = np.cumsum(0.1 + rng.exponential(0.8, 180))
    simple = np.cumsum(0.002 + rng.gamma(4, 0.014 / 4, 11000))
    simple = simple[simple < complex_[-1] + 1]
    since = simple - complex_[np.maximum(np.searchsorted(complex_, simple, side="right") - 1, 0)]
    simple = simple[(since < 0) | (since > 0.02)]
    first, second = probe_called("imec0"), probe_called("imec1")
    clock = Clock("imec0.ap", RATE_HZ)
    together = (ProbeRecording(first, clock, sorting_of(complex_, simple)),)
    apart = (
        ProbeRecording(first, clock, sorting_of(complex_)),
        ProbeRecording(second, clock, sorting_of(simple)),
    )
    for recordings, runs in ((together, ["cs_ss_pause_rule"]), (apart, [])):
        path = write_units(tmp_path / f"{len(recordings)}.nwb", complex_, simple)
        found = SourceSession("spikeglx", (), recordings)
        assert add_runs(path, found, metadata(), [None] * len(recordings)) == runs
