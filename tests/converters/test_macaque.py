"""Macaque sessions and databases end to end: written or real files are converted, annotated, checked, and read back."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pynwb
import pytest
from numpy.typing import NDArray

import nwb_celltype as nct
from nwb_celltype.converters import convert
from nwb_celltype.converters.c4 import recordings
from nwb_celltype.errors import CellTypeError, InputError, NothingToDoError
from nwb_celltype.nwb_io.validation import validator_messages

from .c4.database import macaque, mouse, write
from .cellexplorer.test_real import independent
from .macaque_session import (
    AT,
    CHANNELS,
    N_BEFORE,
    RATE_HZ,
    UNITS,
    WORDS,
    WRITERS,
    MacaqueSession,
    positions_um,
    real_purkinje_cell,
    write_session,
)
from .plexon.files import Recipe, Spikes

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
LAB = SHARED / "lab_formats"
PURKINJE = sorted((SHARED / "macaque_purkinje").glob("*.mat"))
METADATA: dict[str, Any] = {
    "NWBFile": {
        "session_start_time": "2021-05-04T10:11:12+00:00",
        "session_description": "A monkey tracked a target.",
        "session_id": "s1",
    },
    "Subject": {"subject_id": "monkey", "species": "Macaca mulatta", "sex": "M", "age": "P6Y"},
}
FLOCCULUS = {"Ecephys": {"plexon": {"location": "Cerebellar cortex", "geometry": "SProbe8by2"}}}
IN_PICKLE = {name: own for name, *_, own in UNITS}
IDS = {
    "own": {name: 100 * channel + letter for name, channel, letter, *_ in UNITS},
    "pickle": {"SPK06a": 1, "SPK09a": 2, "SPK09b": 1002, "SPK08a": 4, "SPK11a": 5},
}
PAIR = ("SPK09a", "SPK09b")


def need(path: Path) -> Path:
    """A recording of a folder `shared` beside the checkout, which cannot be shipped."""
    if not path.exists():
        pytest.skip(f"{path.name} is not at hand: shared/data is not beside this checkout")
    return path


@pytest.fixture(scope="module", params=["plx", "pl2"])
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MacaqueSession]:
    """40 MB of traces, taken away as soon as these tests are done."""
    folder = tmp_path_factory.mktemp(request.param)
    yield write_session(folder, request.param)
    shutil.rmtree(folder)


@dataclass(frozen=True, eq=False)
class Read:
    """A converted file as pynwb reads it."""

    path: Path
    nwb: Any
    ids: dict[str, int]

    def row(self, name: str) -> int:
        return int(np.flatnonzero(np.asarray(self.nwb.units.id[:]) == self.ids[name])[0])

    def of(self, column: str, name: str) -> Any:
        return self.nwb.units[column][self.row(name)]


@pytest.fixture(scope="module", params=["own", "pickle"])
def file(request: pytest.FixtureRequest, session: MacaqueSession) -> Iterator[Read]:
    """Units of the Plexon file with its traces, or those of the pickle with the labels of an expert."""
    path, folder = session.path, session.path.parent
    metadata = METADATA | FLOCCULUS
    if request.param == "own":
        done = convert("plexon", path, metadata=metadata, out=folder / "own.nwb", raw=True, inspect=False)
    else:
        labels = folder / "labels.csv"
        labels.write_text(f"unit_id,cell_type\n{IDS['pickle']['SPK08a']},MFB\n{IDS['pickle']['SPK09a']},PkC_ss\n")
        done = convert(
            "plexon", [path, session.neurons], metadata=metadata, out=folder / "pickle.nwb", labels=labels,
            labels_are="expert", by="Last name, First name", inspect=False,
        )  # fmt: skip
    assert done.file is not None
    with pynwb.NWBHDF5IO(done.file, "r") as io:
        yield Read(done.file, io.read(), IDS[request.param])


def names_of(file: Read) -> dict[str, str]:
    return dict(zip([int(i) for i in file.nwb.units.id[:]], file.nwb.units["unit_name"][:], strict=True))


# --------------------------------------------------------------------------------------- a session, from end to end


def test_units_keep_their_names_and_the_unsorted_are_none(file: Read) -> None:
    own = file.ids is IDS["own"]
    assert names_of(file) == {file.ids[name]: name if own else IN_PICKLE[name] for name in file.ids}


def test_spike_times_are_exact(file: Read, session: MacaqueSession) -> None:
    """To the sample; the seconds to the last bits of a float, as the clock of a file with a pause adds twice."""
    for name, ticks in session.ticks.items():
        times = np.asarray(file.of("spike_times", name))
        np.testing.assert_array_equal(np.rint(times * RATE_HZ), ticks)
        np.testing.assert_allclose(times, session.seconds(name), rtol=0, atol=1e-13)


def test_the_pause_is_not_observed(file: Read, session: MacaqueSession) -> None:
    for name in session.ticks:
        np.testing.assert_allclose(file.of("obs_intervals", name), session.pieces_s, rtol=0, atol=1e-9)


def high_passed(shapes_uv: NDArray[np.float64]) -> NDArray[np.float64]:
    """As the hardware would: the wideband holds slow waves, so that it is high-passed before means are taken."""
    from scipy.signal import butter, lfilter

    b, a = butter(1, 300.0, "highpass", fs=RATE_HZ)
    return np.asarray(lfilter(b, a, shapes_uv, axis=0))


def test_mean_waveforms_are_the_true_volts(file: Read, session: MacaqueSession) -> None:
    """Within 5 % of the swing of the peak channel: other cells' spikes and noise are in the mean of single spikes."""
    rate, before_ms = file.nwb.units.waveform_rate, file.nwb.units.waveform_time_before_peak_in_ms
    assert (rate, file.nwb.units.waveform_unit) == (RATE_HZ, "volts")
    before = round(before_ms * rate / 1e3)
    for name, channel, *_ in UNITS:
        mean = np.asarray(file.of("waveform_mean", name)) * 1e6
        electrodes = file.nwb.units.get((file.row(name), "electrodes"))
        true = high_passed(session.shapes_uv[name])[:, electrodes.index.to_numpy()]
        window = slice(before - 20, before + 40)
        apart = np.abs(mean[window] - true[AT - 20 : AT + 40])
        assert apart.max() < 0.05 * np.ptp(true[:, 0]), name
        assert abs(int(np.argmin(mean[:, 0])) - before - int(np.argmin(true[:, 0])) + AT) <= 1, name
        assert electrodes["channel_name"].iloc[0] == f"WB{channel:02d}"


def test_stored_snippets_are_the_waveforms_where_no_traces_are(session: MacaqueSession, tmp_path: Path) -> None:
    """The same file without its traces: means of the stored snippets, exactly."""
    ticks, snippets = session.ticks["SPK09a"], session.snippets["SPK09a"]
    spikes = Spikes("SPK09", 9, ticks, np.ones(len(ticks), dtype=int), snippets)
    path = WRITERS[session.kind](tmp_path / f"a.{session.kind}", Recipe([spikes], n_before=N_BEFORE))
    done = convert("plexon", path, metadata=METADATA, out=tmp_path / "a.nwb", inspect=False)
    with h5py.File(done.file) as found:
        units = found["units"]
        expected = snippets.mean(axis=0) * session.snippet_gain_uv * 1e-6
        np.testing.assert_allclose(units["waveform_mean"][0, :, 0], expected, rtol=1e-5)
        np.testing.assert_allclose(units["waveform_sd"][0, :, 0],
                                   snippets.std(axis=0) * session.snippet_gain_uv * 1e-6, rtol=2e-2)  # fmt: skip
        assert units["n_waveforms"][0] == len(snippets)
        assert units["waveform_mean"].attrs["sampling_rate"] == RATE_HZ
        np.testing.assert_array_equal(units["spike_times"][:], ticks / RATE_HZ)


def test_electrodes_are_where_the_probe_has_them(file: Read) -> None:
    electrodes = file.nwb.electrodes.to_dataframe()
    assert electrodes["channel_name"].tolist() == [f"WB{number:02d}" for number in CHANNELS]
    np.testing.assert_array_equal(electrodes[["rel_x", "rel_y"]].to_numpy(), positions_um())


def test_traces_are_the_stored_counts_in_volts(file: Read, session: MacaqueSession) -> None:
    if file.ids is not IDS["own"]:
        assert not file.nwb.acquisition
        return
    (series,) = file.nwb.acquisition.values()
    np.testing.assert_array_equal(series.data[:], session.counts.T)
    scale = series.conversion * (1.0 if series.channel_conversion is None else np.asarray(series.channel_conversion))
    np.testing.assert_allclose(scale, session.trace_gain_uv * 1e-6, rtol=1e-6)
    n = session.counts.shape[1] // 2
    stamps = series.timestamps
    for first, begin in zip((0, n), session.begins, strict=True):
        np.testing.assert_allclose(stamps[first : first + n], (begin + np.arange(n)) / RATE_HZ, rtol=0, atol=1e-9)


def test_words_lines_and_keys_have_their_times_and_values(file: Read, session: MacaqueSession) -> None:
    for name, ticks in session.events.items():
        table = file.nwb.events[name].to_dataframe()
        np.testing.assert_array_equal(table["timestamp"], np.array(ticks) / RATE_HZ)
    assert file.nwb.events["Strobed"].to_dataframe()["value"].tolist() == WORDS * 2
    np.testing.assert_array_equal(file.nwb.events["Start"].to_dataframe()["timestamp"], session.pieces_s[:, 0])
    np.testing.assert_array_equal(file.nwb.events["Stop"].to_dataframe()["timestamp"], session.pieces_s[:, 1])
    assert "EVT01" not in file.nwb.events


def cells_of(run: nct.Run) -> dict[int, str]:
    assert run.cell_id is not None
    return {int(unit): str(cell) for unit, cell in zip(run.unit_ids, run.cell_id, strict=True) if cell}


def test_the_rule_joins_simple_and_complex_spikes(file: Read) -> None:
    run = next(run for run in nct.read_runs(file.path) if run.name == "cs_ss_pause_rule")
    cells = cells_of(run)
    assert set(cells) == {file.ids[name] for name in PAIR}
    assert len(set(cells.values())) == 1
    assert run.labels_for([file.ids[name] for name in PAIR]) == ["PkC_ss", "PkC_cs"]


def test_what_a_person_paired_in_the_pickle_is_an_experts_run(file: Read) -> None:
    runs = {run.name: run for run in nct.read_runs(file.path)}
    if file.ids is IDS["own"]:
        assert set(runs) == {"cs_ss_pause_rule"}
        return
    found = runs["expert_neuroviz"]
    assert (found.method.source_type, found.method.fields["software"]) == ("expert", "NeuroViz")
    said = dict(zip(found.unit_ids.tolist(), found.cell_type.tolist(), strict=True))
    assert said == {1: "MLI", 2: "PkC_ss", 1002: "PkC_cs", 5: "GoC"}
    cells = cells_of(found)
    assert set(cells) == {2, 1002}
    assert cells[2] == cells[1002]
    own = runs["expert_last_name_first_name"]
    assert (own.method.source_type, own.method.fields["person"]) == ("expert", "Last name, First name")
    assert own.labels_for([4, 2]) == ["MFB", "PkC_ss"]
    assert {run.method.source_type for run in runs.values()} == {"expert", "rule"}


def test_it_is_annotated_and_everything_is_valid(file: Read, tmp_path: Path) -> None:
    result = nct.annotate(file.path, out=tmp_path / "annotated.nwb", threshold=0.5)
    assert result.run.unit_ids.tolist() == [int(i) for i in file.nwb.units.id[:]]
    assert result.run.labels_for([file.ids["SPK09a"]]) == ["PkC_ss"]
    assert nct.check(result.file) == []
    require_valid(result.file)
    require_valid(file.path)
    before = {run.name for run in nct.read_runs(file.path)}
    assert before < {run.name for run in nct.read_runs(result.file)}


def require_valid(path: Path) -> None:
    assert validator_messages(path) == []


def test_neo_reads_the_same_plx(session: MacaqueSession) -> None:
    """The writer of these tests is right: neo finds every unit, snippet, sample and event where it should be."""
    if session.kind != "plx":
        pytest.skip("neo reads .pl2 through the vendor's library alone")
    rawio = pytest.importorskip("neo.rawio")
    neo = rawio.PlexonRawIO(str(session.path), progress_bar=False)
    neo.parse_header()
    spikes = {header["id"]: k for k, header in enumerate(neo.header["spike_channels"])}
    for name, channel, letter, *_ in UNITS:
        k = spikes[f"ch{channel}#{letter}"]
        np.testing.assert_array_equal(neo.get_spike_timestamps(0, 0, k), session.ticks[name])
        np.testing.assert_array_equal(neo.get_spike_raw_waveforms(0, 0, k)[:, 0], session.snippets[name])
    n = neo.get_signal_size(0, 0, 0)
    assert n == session.counts.shape[1]
    np.testing.assert_array_equal(neo.get_analogsignal_chunk(0, 0, 0, n - 1, 0).T, session.counts[:, :-1])
    for k, header in enumerate(neo.header["event_channels"]):
        times, _, labels = neo.get_event_timestamps(0, 0, k)
        if header["name"] in session.events:
            assert times.tolist() == session.events[header["name"]]
            if header["name"] == "Strobed":
                assert [int(label) for label in labels] == WORDS * 2


def test_another_programs_pickle_is_never_run(session: MacaqueSession, tmp_path: Path) -> None:
    evil = tmp_path / "evil.pkl"
    evil.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    with pytest.raises(CellTypeError, match="evil"):
        convert("plexon", [session.path, evil], metadata=METADATA, out=tmp_path / "a.nwb")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.pkl"]


# ------------------------------------------------------------------------------------- a real macaque Purkinje cell


@pytest.mark.skipif(not PURKINJE, reason="the macaque Purkinje trace is not beside this checkout")
@pytest.mark.parametrize("kind", ["plx", "pl2"])
def test_a_real_purkinje_cell_is_found_joined_and_named(kind: str, tmp_path: Path) -> None:
    path, ticks = real_purkinje_cell(PURKINJE[0], tmp_path, kind)
    place = {"location": "Cerebellar cortex", "geometry": "SingleElectrode"}
    metadata = {**METADATA, "Ecephys": {"plexon": place}}
    done = convert("plexon", path, metadata=metadata, out=tmp_path / "cell.nwb", inspect=False)
    assert done.file is not None
    assert done.runs == ("cs_ss_pause_rule",)
    with nct.read_units(done.file) as units:
        assert units.unit_ids.tolist() == [101, 102]
        for row, spikes in enumerate(ticks.values()):
            np.testing.assert_array_equal(units.spike_times[row], spikes / 25_000)
    (rule,) = nct.read_runs(done.file)
    assert rule.cell_type.tolist() == ["PkC_ss", "PkC_cs"]
    assert set(cells_of(rule)) == {101, 102}
    assert len(set(cells_of(rule).values())) == 1
    assert rule.evidence is not None
    assert rule.evidence[0][0]["kind"] == "cs_ss_pause"
    result = nct.annotate(done.file, out=tmp_path / "annotated.nwb")
    assert result.run.cell_type.tolist() == ["PkC_ss", "PkC_cs"]
    assert nct.check(result.file) == []
    require_valid(result.file)


# ------------------------------------------------------------------------------------------------- every real file

REFUSED = {
    "plexon/File_plexon_1.plx": (NothingToDoError, r"24717 unsorted waveforms \(sig01 5376, .* given to no unit"),
    "plexon/NC16FPSPKEVT_1m.pl2": (NothingToDoError, r"16245 unsorted waveforms .* can be written with --raw"),
    "cellexplorer/README.md": (InputError, r"README\.md cannot be read as a MATLAB file"),
    "cellexplorer/dataset_2": (InputError, r"holds no units of CellExplorer: it has only .*sessionInfo\.mat"),
    "cellexplorer/dataset_3": (InputError, r"holds no units of CellExplorer: it has only .*sessionInfo\.mat"),
    "cellexplorer/dataset_4": (InputError, r"holds no units of CellExplorer: it has no \.mat file"),
}
STUB = "cellexplorer/dataset_4/Peter_MS22_180629_110319_concat_stubbed"
CONVERTED = {
    "neuroexplorer/File_neuroexplorer_1.nex": ([1, 2, 3, 4, 5, 6], 45_437),
    "cellexplorer/dataset_1": ([2, 3, 4, 5, 6, 7], 569),
    STUB: ([1, 2, 3], 5_612),
    f"{STUB}_hdf5": ([1, 2, 3], 5_612),
    "../cellexplorer/20170124.cell_metrics.cellinfo.mat": ([54, 83], 121_229),
    "../cellexplorer/YMV12_171211.cell_metrics.cellinfo.mat": ([15, 19, 25, 60], 363_618),
    "../cellexplorer/d533101.cell_metrics.cellinfo.mat": ([1], 849),
    "../cellexplorer/mouse6_190331.cell_metrics.cellinfo.mat": ([21, 22, 36], 705_545),
    "../cellexplorer/session_719161530.cell_metrics.cellinfo.mat": ([284, 501, 505], 220_137),
}
KIND_OF = {"plexon": "plexon", "neuroexplorer": "neuroexplorer", "cellexplorer": "cellexplorer"}


def kind_of(name: str) -> str:
    return KIND_OF[name.removeprefix("../").split("/")[0]]


def read_independently(name: str) -> list[tuple[int, NDArray[np.float64]]]:
    """Ids and times in seconds of every unit, by neo, scipy or h5py."""
    path = LAB / name
    if kind_of(name) == "neuroexplorer":
        rawio = pytest.importorskip("neo.rawio")
        neo = rawio.NeuroExplorerRawIO(str(path))
        neo.parse_header()
        n_units = len(neo.header["spike_channels"])
        ticks = [neo.get_spike_timestamps(spike_channel_index=k) for k in range(n_units)]
        neurons = [k for k in range(n_units) if neo._entity_headers[int(neo.header["spike_channels"][k]["id"])]["type"]
                   == 0]  # fmt: skip
        rate = float(neo.global_header["freq"])
        return [(place, np.sort(ticks[k]) / rate) for place, k in enumerate(neurons, start=1)]
    variable = "cell_metrics"
    if path.is_dir():
        path, variable = next(path.glob("*.spikes.cellinfo.mat")), "spikes"
    content = independent(path, variable)
    return [(int(unit), np.sort(np.ravel(times))) for unit, times in zip(content["UID"], content["times"], strict=True)]


@pytest.mark.parametrize("name", list(REFUSED))
def test_real_files_without_units_are_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    error, said = REFUSED[name]
    with pytest.raises(error, match=said):
        convert(kind_of(name), need(LAB / name), metadata=METADATA, out=tmp_path / "a.nwb")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", list(CONVERTED))
def test_real_files_are_converted(name: str, tmp_path: Path) -> None:
    ids, n_spikes = CONVERTED[name]
    done = convert(kind_of(name), need(LAB / name), metadata=METADATA, out=tmp_path / "a.nwb", inspect=False)
    assert done.file is not None
    expected = read_independently(name)
    assert [unit for unit, _ in expected] == ids
    assert sum(len(times) for _, times in expected) == n_spikes
    with h5py.File(done.file) as file:
        units = file["units"]
        assert units["id"][:].tolist() == ids
        trains = np.split(units["spike_times"][:], units["spike_times_index"][:-1])
        for found, (_, times) in zip(trains, expected, strict=True):
            np.testing.assert_allclose(found, times, rtol=0, atol=1e-6)
        if "waveform_mean" in units:
            assert units["waveform_mean"].attrs["unit"] == "volts"
    require_valid(done.file)
    sources = {run.name: run.method.source_type for run in nct.read_runs(done.file)}
    both = {"ground_truth_cellexplorer": "ground_truth", "cellexplorer_putative": "rule"}  # it keeps no probabilities
    assert sources == (both if name.startswith("..") else {})
    assert not sources or nct.check(done.file) == []


def test_waveforms_of_cellexplorer_are_in_volts(tmp_path: Path) -> None:
    name = "../cellexplorer/YMV12_171211.cell_metrics.cellinfo.mat"
    done = convert("cellexplorer", need(LAB / name), metadata=METADATA, out=tmp_path / "a.nwb", inspect=False)
    content = independent(LAB / name)
    with h5py.File(done.file) as file:
        for row, stored in enumerate(content["filt_all"]):
            microvolts = np.asarray(stored)
            peak = int(np.argmax(np.ptp(microvolts, axis=1)))
            np.testing.assert_allclose(file["units/waveform_mean"][row, :, 0] * 1e6, microvolts[peak], rtol=1e-4,
                                       atol=1e-3)  # fmt: skip


def test_the_real_pl2_keeps_its_field_potentials(tmp_path: Path) -> None:
    """It has no sorted units, but traces: with --raw they are written."""
    path = need(LAB / "plexon" / "NC16FPSPKEVT_1m.pl2")
    done = convert("plexon", path, metadata=METADATA, out=tmp_path / "a.nwb", raw=True, inspect=False)
    with h5py.File(done.file) as file:
        (series,) = file["acquisition"].values()
        assert series["data"].shape[1] == 4
        assert series["data"].attrs["unit"] == "volts"
        assert "units" not in file
        assert sum(name.startswith("EVT") for name in file["events"]) == 16
    require_valid(done.file)


# --------------------------------------------------------------------------------------------------- the C4 database


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of mice and one of a macaque."""
    neurons = [
        mouse(0, ground_truth_label="MLI", ground_truth_source="optotagged"),
        mouse(1),
        mouse(2, "hull_2", ground_truth_label="GoC", ground_truth_source="optotagged"),
        macaque(0),
        macaque(1, n_channels=5, expert_label="PkC_cs"),
    ]
    return write(tmp_path_factory.mktemp("c4") / "C4_database.h5", neurons)


C4 = {
    "20-03-06_DK186_probe1": ([300, 307], [mouse(0), mouse(1)], 30_000, "Mus musculus", "ground_truth"),
    "hull_2": ([314], [mouse(2)], 30_000, "Mus musculus", "ground_truth"),
    "2021_08_25_Edgar": ([700, 701], [macaque(0), macaque(1, n_channels=5)], 40_000, "Macaca mulatta", "expert"),
}


def convert_c4(database: Path, recording: str, out: Path) -> Path:
    subject = METADATA["Subject"] | {"species": C4[recording][3]}
    done = convert(
        "c4", database, recording=recording, metadata={**METADATA, "Subject": subject}, out=out, inspect=False
    )
    assert done.file is not None
    return done.file


def test_all_recordings_are_named(database: Path) -> None:
    assert set(recordings(database)) == set(C4)


@pytest.mark.parametrize("recording", list(C4))
def test_every_recording_is_a_file(recording: str, database: Path, tmp_path: Path) -> None:
    ids, neurons, rate, _, source_type = C4[recording]
    path = convert_c4(database, recording, tmp_path / "a.nwb")
    with h5py.File(path) as file:
        units = file["units"]
        assert units["id"][:].tolist() == ids
        trains = np.split(units["spike_times"][:], units["spike_times_index"][:-1])
        for found, neuron in zip(trains, neurons, strict=True):
            np.testing.assert_array_equal(found, neuron["spike_indices"] / rate)
        assert "CC BY-NC-SA 4.0" in file["general/notes"].asstr()[()]
        assert file["general/related_publications"].asstr()[0] == "https://doi.org/10.1016/j.cell.2025.01.041"
        observed = np.split(units["obs_intervals"][:], units["obs_intervals_index"][:-1])
        for intervals, neuron in zip(observed, neurons, strict=True):
            check_observed(intervals, neuron, rate)
        for name in ("sane_spikes", "fn_fp_filtered_spikes"):
            assert (name in units) == (name in neurons[0])
            if name in neurons[0]:
                masks = np.split(units[name][:], units[f"{name}_index"][:-1])
                for mask, neuron in zip(masks, neurons, strict=True):
                    np.testing.assert_array_equal(mask, neuron[name].astype(int))
        if recording != "2021_08_25_Edgar":
            events = file["events/optostims"]
            np.testing.assert_allclose(events["timestamp"][:], neurons[0]["optostims"][:, 0])
            np.testing.assert_allclose(events["duration"][:], 0.25)
    (run,) = nct.read_runs(path)
    assert run.method.source_type == source_type
    assert run.evidence is not None
    assert {piece["kind"] for pieces in run.evidence for piece in pieces} == {
        "expert" if source_type == "expert" else "optotag"
    }
    assert run.method.fields["references"] == ["doi:10.1016/j.cell.2025.01.041", "doi:10.5522/04/23702850"]
    require_valid(path)
    assert nct.check(path) == []


def check_observed(intervals: NDArray[np.float64], neuron: dict[str, Any], rate: int) -> None:
    """Sane periods, or the time before the light where only spikes are marked."""
    if "sane_spikes" not in neuron:
        np.testing.assert_allclose(intervals, neuron["sane_periods"])
        return
    times = neuron["spike_indices"] / rate
    inside = np.any((times[:, None] >= intervals[:, 0]) & (times[:, None] <= intervals[:, 1]), axis=1)
    np.testing.assert_array_equal(inside, neuron["sane_spikes"])


@pytest.mark.parametrize("recording", list(C4))
def test_all_stored_channels_are_in_the_file(recording: str, database: Path, tmp_path: Path) -> None:
    path = convert_c4(database, recording, tmp_path / "a.nwb")
    with pynwb.NWBHDF5IO(path, "r") as io:
        units = io.read().units
        for row, neuron in enumerate(C4[recording][1]):
            stored = np.asarray(neuron["mean_waveform_preprocessed"]) * 1e-6
            found = np.asarray(units["waveform_mean"][row])
            names = units.get((row, "electrodes"))["channel_name"].tolist()
            by_name = dict(zip(names, found.T, strict=False))
            for channel, waveform in zip(neuron["channel_ids"].tolist(), stored, strict=True):
                np.testing.assert_allclose(by_name[str(channel)], waveform, rtol=1e-5, atol=1e-12)


# ----------------------------------------------------------------------------------------------- others read them all


@dataclass(frozen=True, eq=False)
class Result:
    """A converted file and the truth about its spikes, seconds by unit id."""

    path: Path
    rate_hz: float
    times: dict[int, NDArray[np.float64]]


def _of_session(kind: str, sorting: str) -> Callable[[Path], Result]:
    def make(folder: Path) -> Result:
        made = write_session(folder, kind)
        paths = [made.path, made.neurons] if sorting == "pickle" else [made.path]
        done = convert("plexon", paths, metadata=METADATA | FLOCCULUS, out=folder / "a.nwb", inspect=False)
        made.path.unlink()
        assert done.file is not None
        return Result(done.file, RATE_HZ, {IDS[sorting][name]: made.seconds(name) for name in made.ticks})

    return make


def _of_real(name: str, rate_hz: float) -> Callable[[Path], Result]:
    def make(folder: Path) -> Result:
        done = convert(kind_of(name), need(LAB / name), metadata=METADATA, out=folder / "a.nwb", inspect=False)
        assert done.file is not None
        return Result(done.file, rate_hz, dict(read_independently(name)))

    return make


def _of_c4(recording: str) -> Callable[[Path], Result]:
    def make(folder: Path) -> Result:
        ids, neurons, rate, *_ = C4[recording]
        path = convert_c4(write(folder / "c4.h5", [neurons[0], *neurons[1:]]), recording, folder / "a.nwb")
        return Result(path, rate, {unit: n["spike_indices"] / rate for unit, n in zip(ids, neurons, strict=True)})

    return make


RESULTS: dict[str, Callable[[Path], Result]] = {
    "plx": _of_session("plx", "own"),
    "pl2 with pickle": _of_session("pl2", "pickle"),
    "nex": _of_real("neuroexplorer/File_neuroexplorer_1.nex", 40_000.0),
    "cellexplorer v5": _of_real("../cellexplorer/YMV12_171211.cell_metrics.cellinfo.mat", 20_000.0),
    "cellexplorer v7.3": _of_real(f"{STUB}_hdf5", 20_000.0),
    "c4 mouse": _of_c4("20-03-06_DK186_probe1"),
    "c4 macaque": _of_c4("2021_08_25_Edgar"),
}


@pytest.fixture(scope="module", params=list(RESULTS))
def result(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A few megabytes each; readers may keep files open, so none is taken away while others are written."""
    return RESULTS[request.param](tmp_path_factory.mktemp("result"))


def test_pynapple_reads_it(result: Result) -> None:
    nap = pytest.importorskip("pynapple")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own remarks on columns that it does not know
        file = nap.load_file(str(result.path))
        group = file["units"]
    assert sorted(group.keys()) == sorted(result.times)
    for unit, times in result.times.items():
        np.testing.assert_allclose(group[unit].t, times, rtol=0, atol=1e-6)
    file.close()  # or else the garbage collector closes it while HDF5 reads another one, which ends the process


def test_spikeinterface_reads_it(result: Result) -> None:
    extractors = pytest.importorskip("spikeinterface.extractors")
    sorting = extractors.read_nwb_sorting(
        result.path, sampling_frequency=result.rate_hz, t_start=0.0, load_unit_properties=False
    )
    with h5py.File(result.path) as file:  # it calls units by their names
        names = dict(zip(file["units/id"][:].tolist(), file["units/unit_name"].asstr()[:], strict=True))
    assert sorted(map(str, sorting.unit_ids)) == sorted(names[unit] for unit in result.times)
    for unit, times in result.times.items():
        found = sorting.get_unit_spike_train(names[unit]) / result.rate_hz
        np.testing.assert_allclose(found, times, rtol=0, atol=0.51 / result.rate_hz)


def test_neuroconv_reads_it(result: Result) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its dependencies
        helpers = pytest.importorskip("neuroconv.tools.nwb_helpers")
        with pynwb.NWBHDF5IO(result.path, "r") as io:
            configuration = helpers.get_existing_backend_configuration(nwbfile=io.read())
    n_spikes = sum(len(times) for times in result.times.values())
    assert configuration.dataset_configurations["units/spike_times/data"].full_shape == (n_spikes,)
