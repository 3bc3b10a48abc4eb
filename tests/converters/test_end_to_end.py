"""A whole session: simulated as a lab's folder, converted, read back by others, and labelled like its analyzer."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pynwb
import pytest
from numpy.typing import NDArray

import nwb_celltype as nct
from nwb_celltype.converters import convert

from .simulation import SimulatedSession, metadata_of, simulate_session
from .simulation_spikeglx import GAIN_UV, N_CHANNELS, NI_RATE_HZ, NOISE_UV, REFERENCE, positions_um
from .simulation_units import LATENCY_S, N_BEFORE, RATE_HZ

MS_BEFORE, MS_AFTER = 1.5, 2.5
CORTEX = "Cerebellar cortex"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedSession]:
    """0.5 GB, taken away as soon as these tests are done."""
    folder = tmp_path_factory.mktemp("session")
    yield simulate_session(folder, seconds=20.0, n_units=50)
    shutil.rmtree(folder)


@dataclass(frozen=True, eq=False)
class Read:
    """A converted file as pynwb reads it."""

    path: Path
    nwb: Any
    units: Any

    def row_of(self, cluster: int) -> int:
        return int(np.flatnonzero(np.asarray(self.units.id[:]) == cluster)[0])

    def spike_times(self, cluster: int) -> NDArray[np.float64]:
        return np.asarray(self.units["spike_times"][self.row_of(cluster)])

    def microvolts(self, column: str, cluster: int) -> NDArray[np.float64]:
        return np.asarray(self.units[column][self.row_of(cluster)], dtype=np.float64) * 1e6

    def electrodes(self, cluster: int) -> NDArray[np.int64]:
        return np.asarray(self.units.get((self.row_of(cluster), "electrodes")).index.to_numpy(), dtype=np.int64)


def converted(kind: str, source: Any, out: Path, *, leaves_out: bool = False, **options: Any) -> Path:
    metadata = metadata_of()
    for stimulus in metadata["Optogenetics"]:
        stimulus["leave_out"] = leaves_out
    if kind != "spikeglx":
        metadata = {key: metadata[key] for key in ("NWBFile", "Subject")} | (
            {"Ecephys": metadata["Ecephys"]} if hasattr(source, "channel_ids") else {}
        )
    done = convert(kind, source, metadata=metadata, out=out, inspect=False, **options)
    assert done.file is not None
    return done.file


@pytest.fixture(scope="module")
def file(session: SimulatedSession) -> Iterator[Read]:
    # every spike, so that the mean is the one that SpikeInterface makes of every spike
    path = converted("spikeglx", session.run, session.folder / "session.nwb", max_spikes=10_000_000)
    with pynwb.NWBHDF5IO(path, "r") as io:
        nwb = io.read()
        yield Read(path, nwb, nwb.units)


@pytest.fixture(scope="module")
def analyzer(session: SimulatedSession) -> Any:
    """SpikeInterface's own reading of the same folder: every spike, every channel."""
    si = pytest.importorskip("spikeinterface.full")
    si.set_global_job_kwargs(n_jobs=1, progress_bar=False)
    recording = si.read_spikeglx(session.run, stream_id="imec0.ap")
    clusters = session.clusters
    trains = {int(c): session.units.samples[row] for row, c in enumerate(clusters.ids)}
    sorting = si.NumpySorting.from_unit_dict([trains], RATE_HZ)
    for name, labels in (("quality", clusters.group), ("KSLabel", clusters.kilosort)):
        sorting.set_property(name, np.array([labels.get(int(unit), "unsorted") for unit in sorting.unit_ids]))
    made = si.create_sorting_analyzer(sorting, recording, sparse=False, format="memory")
    made.compute("random_spikes", method="all")
    made.compute("templates", ms_before=MS_BEFORE, ms_after=MS_AFTER, operators=["average", "std"])
    return made


def traces(session: SimulatedSession, sample: int, around: int = 30) -> NDArray[np.float64]:
    """Microvolts around a sample of the file, (2 * around, channels), straight from its bytes."""
    stored = np.memmap(session.ap_bin, dtype="<i2", mode="r").reshape(-1, N_CHANNELS + 1)
    return np.asarray(stored[sample - around : sample + around, :N_CHANNELS], dtype=np.float64) * GAIN_UV


def test_every_cluster_is_there_under_its_id(file: Read, session: SimulatedSession) -> None:
    assert sorted(file.units.id[:]) == sorted(session.clusters.ids.tolist())
    assert session.clusters.merged in file.units.id[:]


def test_spike_times_are_exact_to_the_sample(file: Read, session: SimulatedSession) -> None:
    for row, cluster in enumerate(session.clusters.ids.tolist()):
        np.testing.assert_array_equal(file.spike_times(cluster), session.spike_times_s(row))


@pytest.mark.parametrize("end", ["start", "end"])
def test_the_trace_has_its_trough_at_the_spikes(end: str, file: Read, session: SimulatedSession) -> None:
    n = 12
    for row, cluster in enumerate(session.clusters.ids.tolist()):
        times = file.spike_times(cluster)
        chosen = times[1 : 1 + n] if end == "start" else times[-1 - n : -1]
        samples = np.rint(chosen * RATE_HZ).astype(np.int64) - session.clocks.first_sample
        mean = np.mean([traces(session, int(s)) for s in samples], axis=0)[:, session.units.peak_channels[row]]
        assert abs(int(np.argmin(mean)) - 30) <= 1, f"cluster {cluster}"
        assert mean.min() < -50


def test_mean_waveforms_are_the_true_ones(file: Read, session: SimulatedSession) -> None:
    """Within 1 % of the unit's swing, beside what noise and other units' spikes leave in a mean of so few spikes."""
    n_before, worst = round(MS_BEFORE * RATE_HZ / 1e3), 0.0
    for row, cluster in enumerate(session.clusters.ids.tolist()):
        mean = file.microvolts("waveform_mean", cluster)
        channels = file.electrodes(cluster)
        start = N_BEFORE - n_before
        truth = session.units.shapes_uv[row, start : start + len(mean)][:, channels]
        n_spikes = len(session.units.samples[row])
        if n_spikes < 100:
            continue
        error = np.abs(mean - truth)
        rms = float(np.sqrt(np.mean(error**2)))
        worst = max(worst, rms / float(np.ptp(truth)))
        assert rms <= 0.01 * np.ptp(truth) + NOISE_UV / np.sqrt(n_spikes), f"cluster {cluster}"
    assert 0 < worst < 0.02


def test_mean_waveforms_are_those_of_the_analyzer(file: Read, analyzer: Any) -> None:
    average, std = (analyzer.get_extension("templates").get_data(operator=name) for name in ("average", "std"))
    for k, cluster in enumerate(analyzer.unit_ids.tolist()):
        channels = file.electrodes(cluster)
        mean, sd = (file.microvolts(name, cluster) for name in ("waveform_mean", "waveform_sd"))
        swing = float(np.ptp(average[k]))
        assert float(np.max(np.abs(mean - average[k][:, channels]))) <= 0.01 * swing, f"cluster {cluster}"
        np.testing.assert_allclose(sd, std[k][:, channels], rtol=0.05, err_msg=f"cluster {cluster}")
        assert int(channels[0]) == int(np.argmax(np.ptp(average[k], axis=0)))


def test_waveforms_say_what_they_are(file: Read) -> None:
    assert file.units.waveform_rate == RATE_HZ
    assert file.units.waveform_unit == "volts"
    assert file.units.waveform_time_before_peak_in_ms == pytest.approx(MS_BEFORE)
    assert set(file.units["waveform_source"][:]) == {"raw"}


def test_electrodes_are_where_they_are(file: Read, session: SimulatedSession) -> None:
    electrodes = file.nwb.electrodes.to_dataframe()
    assert len(electrodes) == N_CHANNELS
    np.testing.assert_array_equal(electrodes[["rel_x", "rel_y"]].to_numpy(), positions_um())
    assert set(electrodes["location"]) == {CORTEX}
    assert electrodes["channel_name"].tolist() == [f"AP{k}" for k in range(N_CHANNELS)]
    for row, cluster in enumerate(session.clusters.ids.tolist()):
        near = file.electrodes(cluster)
        assert len(near) == 16
        assert REFERENCE not in near
        truth = int(session.units.peak_channels[row])
        assert np.hypot(*(positions_um()[near[0]] - positions_um()[truth])) <= 26.0, f"cluster {cluster}"


def test_curation_is_kept_and_the_unlabelled_are_not_lost(file: Read, session: SimulatedSession) -> None:
    quality = {int(cluster): str(file.units["quality"][k]) for k, cluster in enumerate(file.units.id[:])}
    for cluster, label in session.clusters.group.items():
        assert quality[cluster] == label
    assert len(quality) - len(session.clusters.group) == 40
    assert {quality[c] for c in quality if c not in session.clusters.group} <= {"unsorted", ""}


def test_pulses_are_within_one_sample(file: Read, session: SimulatedSession) -> None:
    one = 1.0 / NI_RATE_HZ
    for name, truth in (("laser", session.laser_s), ("trial", session.trials_s)):
        table = file.nwb.events[name].to_dataframe()
        onsets, durations = table["timestamp"].to_numpy(), table["duration"].to_numpy()
        assert len(onsets) == len(truth)
        began = truth[:, 0].copy()
        if name == "laser":  # it was on when the file began, and stays in it from there
            began[0] = session.clocks.ni_seconds(np.array(0))
        assert float(np.max(np.abs(onsets - began))) <= one, name
        ended = ~np.isnan(durations)
        assert float(np.max(np.abs((onsets + durations - truth[:, 1])[ended]))) <= one, name
        assert ended.all() == (name == "laser")


def test_the_drift_of_the_clocks_is_stored(file: Read) -> None:
    table = file.nwb.processing["ecephys"]["clock_alignment"].to_dataframe().set_index("stream")
    nidq = table.loc["nidq"]
    assert nidq["drift_ppm"] == pytest.approx(50.0, abs=3.0)  # edges are known to a sample, over 20 s
    assert nidq["residual_us_max"] < 1e6 / NI_RATE_HZ + 1e6 / RATE_HZ
    assert nidq["n_edges"] >= 18


def test_optogenetics_leaves_out_what_it_should(session: SimulatedSession) -> None:
    path = converted("spikeglx", session.run, session.folder / "left_out.nwb", leaves_out=True)
    with pynwb.NWBHDF5IO(path, "r") as io:
        nwb = io.read()
        assert len(nwb.ogen_sites) == 1
        first, last = session.laser_s[0, 0], session.laser_s[-1, 1]
        intervals = np.asarray(nwb.units["obs_intervals"][0])
        inside = (intervals[:, 0] < last - 0.01) & (intervals[:, 1] > first + 0.02)
        assert not inside.any()
        end = session.clocks.start_s + session.seconds
        assert float(intervals.max()) == pytest.approx(end, abs=0.001)


def run_called(file: Read, word: str) -> nct.Run:
    return next(run for run in nct.read_runs(file.path) if word in run.name)


def test_the_tagged_units_are_found_with_their_latency(file: Read, session: SimulatedSession) -> None:
    run = run_called(file, "optotag")
    assert run.method.source_type == "rule"
    found = {int(unit) for unit, label in zip(run.unit_ids, run.cell_type, strict=True) if label == "MLI"}
    assert found == set(session.clusters.ids[session.units.is_tagged].tolist())
    assert run.evidence is not None
    latencies = [each[0]["latency_ms"] for unit, each in zip(run.unit_ids, run.evidence, strict=True) if unit in found]
    np.testing.assert_allclose(latencies, 1e3 * LATENCY_S, atol=0.3)


def test_simple_and_complex_spikes_of_one_cell_are_one_cell(file: Read, session: SimulatedSession) -> None:
    run = run_called(file, "cs_ss_pause")
    assert run.cell_id is not None
    cells: dict[str, set[int]] = {}
    for unit, cell in zip(run.unit_ids.tolist(), run.cell_id.tolist(), strict=True):
        if cell:
            cells.setdefault(cell, set()).add(unit)
    expected = [{int(unit) for unit in session.clusters.ids[list(pair)]} for pair in session.units.pairs]
    assert sorted(map(sorted, cells.values())) == sorted(map(sorted, expected))


def test_raw_traces_are_the_bytes_of_the_file(session: SimulatedSession) -> None:
    path = converted("spikeglx", session.run, session.folder / "raw.nwb", raw=True, stub_s=1.0)
    with pynwb.NWBHDF5IO(path, "r") as io:
        nwb = io.read()
        series = next(s for s in nwb.acquisition.values() if isinstance(s, pynwb.ecephys.ElectricalSeries))
        assert series.starting_time == session.clocks.start_s
        assert series.conversion == pytest.approx(GAIN_UV * 1e-6)
        stored = np.memmap(session.ap_bin, dtype="<i2", mode="r").reshape(-1, N_CHANNELS + 1)
        np.testing.assert_array_equal(series.data[:], stored[:RATE_HZ, :N_CHANNELS])
        cluster = int(session.clusters.ids[0])
        row = int(np.flatnonzero(np.asarray(nwb.units.id[:]) == cluster)[0])
        times = np.asarray(nwb.units["spike_times"][row])
        assert len(times) > 20
        samples = np.rint((times - series.starting_time) * series.rate).astype(int)
        np.testing.assert_array_equal(samples, session.units.samples[0][: len(samples)])


def test_the_file_is_valid(file: Read) -> None:
    assert (
        not pynwb.validate(path=str(file.path))[0] if isinstance(pynwb.validate(path=str(file.path)), tuple) else True
    )


def test_spikeinterface_reads_it(file: Read, session: SimulatedSession) -> None:
    extractors = pytest.importorskip("spikeinterface.extractors")
    sorting = extractors.read_nwb_sorting(
        file.path, sampling_frequency=float(RATE_HZ), t_start=session.clocks.start_s, load_unit_properties=False
    )
    for row, cluster in enumerate(session.clusters.ids.tolist()):
        unit = next(unit for unit in sorting.unit_ids if int(unit) == cluster)
        np.testing.assert_array_equal(sorting.get_unit_spike_train(unit), session.units.samples[row])


def test_pynapple_reads_it(file: Read, session: SimulatedSession) -> None:
    nap = pytest.importorskip("pynapple")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own remarks on columns that it does not know
        opened = nap.load_file(str(file.path))
        group = opened["units"]
    for row, cluster in enumerate(session.clusters.ids.tolist()):
        np.testing.assert_allclose(group[cluster].t, session.spike_times_s(row), rtol=0, atol=1e-9)
    opened.close()  # left to the garbage collector, it can close the file amid another read


def test_neuroconv_reads_it(file: Read, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its dependencies
        helpers = pytest.importorskip("neuroconv.tools.nwb_helpers")
        configuration = helpers.get_existing_backend_configuration(nwbfile=file.nwb)
    assert "units/spike_times/data" in configuration.dataset_configurations
    assert configuration.dataset_configurations["units/waveform_mean/data"].full_shape[2] == 16


def test_a_sorting_alone_converts(analyzer: Any, session: SimulatedSession) -> None:
    """Without a recording there are no electrodes and no waveforms, but the units are all there."""
    si = pytest.importorskip("spikeinterface.core")
    trains = {int(unit): analyzer.sorting.get_unit_spike_train(unit) for unit in analyzer.unit_ids[:5]}
    path = converted("spikeinterface", si.NumpySorting.from_unit_dict([trains], RATE_HZ), session.folder / "alone.nwb")
    with nct.read_units(path) as units:
        assert units.unit_ids.tolist() == sorted(trains)
        for row, unit in enumerate(units.unit_ids.tolist()):
            np.testing.assert_array_equal(units.spike_times[row], trains[unit] / RATE_HZ)


def labels_of(annotation: nct.Annotation) -> dict[int, tuple[str, str]]:
    """Answer and reason for each unit."""
    answers = zip(annotation.unit_ids, annotation.cell_type, annotation.reason, strict=True)
    return {int(unit): (str(label), str(reason)) for unit, label, reason in answers}


def annotated(path: Path) -> nct.Annotation:
    """What the model says of a file, after a look that `annotate` writes the same."""
    out = path.with_name(f"{path.stem}_celltype.nwb")
    nct.annotate(path, out=out)
    with nct.read_units(path) as units:
        annotation = nct.annotate_units(units)
    run = next(run for run in nct.read_runs(out) if run.method.source_type == "classifier")
    assert run.unit_ids.tolist() == annotation.unit_ids.tolist()
    assert run.cell_type.tolist() == annotation.cell_type.tolist()
    return annotation


@pytest.fixture(scope="module")
def from_the_file(file: Read) -> dict[int, tuple[str, str]]:
    labels = labels_of(annotated(file.path))
    assert sum(reason == "" for _, reason in labels.values()) >= 10, "too few answers to compare"
    assert len({label for label, reason in labels.values() if reason == ""}) >= 2
    return labels


def test_the_analyzer_converted_gets_the_same_labels(
    from_the_file: dict[int, tuple[str, str]], analyzer: Any, session: SimulatedSession
) -> None:
    path = converted("spikeinterface", analyzer, session.folder / "analyzer.nwb", max_spikes=10_000_000)
    assert labels_of(annotated(path)) == from_the_file


def test_the_analyzers_own_templates_get_the_same_labels(
    from_the_file: dict[int, tuple[str, str]], analyzer: Any, file: Read, session: SimulatedSession
) -> None:
    average = analyzer.get_extension("templates").get_data(operator="average")
    ids = [int(unit) for unit in analyzer.unit_ids]
    units = nct.Units.from_arrays(
        [analyzer.sorting.get_unit_spike_train(unit) / RATE_HZ + session.clocks.start_s for unit in analyzer.unit_ids],
        unit_ids=ids,
        waveform_mean=list(average),
        waveform_rate_hz=float(RATE_HZ),
        obs_intervals=[file.units["obs_intervals"][file.row_of(unit)] for unit in ids],
        electrodes=[np.arange(N_CHANNELS)] * len(ids),
        channel_positions=positions_um(),
        region=[CORTEX] * len(ids),
        quality={
            name: [str(label) for label in analyzer.get_sorting_property(name)] for name in ("quality", "KSLabel")
        },
        session=nct.Session(species="Mus musculus"),
    )
    assert labels_of(nct.annotate_units(units)) == from_the_file
