"""Real files of CellExplorer against a reading of their own with scipy and h5py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import loadmat

from nwb_celltype.converters.cellexplorer import read_session
from nwb_celltype.converters.records import Sorting, SourceSession
from nwb_celltype.errors import InputError
from nwb_celltype.taxonomy import map_label

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"
METRICS = sorted((SHARED / "cellexplorer").glob("*.mat"))
FOLDERS = SHARED / "lab_formats" / "cellexplorer"

pytestmark = pytest.mark.skipif(not METRICS, reason="the CellExplorer files are not beside this checkout")


def independent(path: Path, variable: str = "cell_metrics") -> dict[str, Any]:
    """Ids, times, labels and waveforms, by other calls than those of the reader."""
    try:
        struct = loadmat(path, simplify_cells=True)[variable]
    except NotImplementedError:
        return independent_hdf5(path, variable)
    n = np.atleast_1d(struct["UID"]).size
    times = (struct["spikes"] if variable == "cell_metrics" else struct)["times"]
    truth = struct.get("groundTruthClassification", {})
    return {
        "UID": np.atleast_1d(struct["UID"]).tolist(),
        "times": list(times) if n > 1 else [times],
        "truth": {name: np.atleast_1d(rows).tolist() for name, rows in truth.items()} if truth is not None else {},
        "putative": np.atleast_1d(struct.get("putativeCellType", [])).tolist(),
        "filt_all": struct.get("waveforms", {}).get("filt_all", []),
        "channels_all": struct.get("waveforms", {}).get("channels_all", []),
        "time_all": struct.get("waveforms", {}).get("time_all", []),
        "firingRate": np.atleast_1d(struct.get("firingRate", [])),
    }


def independent_hdf5(path: Path, variable: str) -> dict[str, Any]:
    with h5py.File(path) as file:
        struct = file[variable]
        times = struct["spikes/times"] if "spikes" in struct else struct["times"]

        def cells(dataset: h5py.Dataset) -> list[Any]:
            return [np.squeeze(file[reference][()].T) for reference in dataset[()].ravel()]

        def texts(name: str) -> list[str]:
            return ["".join(map(chr, np.atleast_1d(codes))) for codes in cells(struct[name])] if name in struct else []

        truth = struct.get("groundTruthClassification", {})
        waveforms = struct.get("waveforms", {})
        return {
            "UID": struct["UID"][()].ravel().tolist(),
            "times": cells(times),
            "truth": {name: truth[name][()].ravel().tolist() for name in truth},
            "putative": texts("putativeCellType"),
            "filt_all": cells(waveforms["filt_all"]) if "filt_all" in waveforms else [],
            "channels_all": cells(waveforms["channels_all"]) if "channels_all" in waveforms else [],
            "time_all": cells(waveforms["time_all"]) if "time_all" in waveforms else [],
            "firingRate": struct["firingRate"][()].ravel() if "firingRate" in struct else np.empty(0),
        }


def read(path: Path) -> tuple[SourceSession, Sorting]:
    session = read_session(path)
    sorting = session.recordings[0].sorting
    assert sorting is not None
    return session, sorting


def check_spikes(session: SourceSession, sorting: Sorting, expected: dict[str, Any]) -> None:
    assert sorting.unit_ids.tolist() == expected["UID"]
    for unit, times in enumerate(expected["times"]):
        found = session.recordings[0].clock.seconds(sorting.samples_of(unit))
        assert len(found) == np.size(times)
        np.testing.assert_allclose(found, np.sort(np.ravel(times)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("path", METRICS, ids=lambda path: path.name.partition(".")[0])
def test_metrics(path: Path) -> None:
    expected = independent(path)
    session, sorting = read(path)
    check_spikes(session, sorting, expected)
    np.testing.assert_array_equal(sorting.columns["firingRate"].values, expected["firingRate"])
    truth = next(run for run in sorting.prior_labels if run.source_type == "ground_truth")
    putative = next(run for run in sorting.prior_labels if run.source_type == "classifier")
    pairs = {(int(row), name) for name, rows in expected["truth"].items() for row in rows}
    assert {(int(row) + 1, label) for row, label in zip(truth.unit_rows, truth.labels, strict=True)} == pairs
    assert list(putative.labels) == expected["putative"]
    assert all(map_label(label, "cellexplorer") for run in sorting.prior_labels for label in run.labels)
    assert all("does not state what it means" not in column.description for column in sorting.columns.values())


@pytest.mark.parametrize("path", METRICS, ids=lambda path: path.name.partition(".")[0])
def test_waveforms(path: Path) -> None:
    expected = independent(path)
    session, sorting = read(path)
    templates = sorting.templates
    assert templates is not None
    assert templates.unit == "microvolts"
    assert templates.waveforms.shape[2] == len(session.recordings[0].probe)
    for unit, given in enumerate(expected["filt_all"]):
        channels = np.asarray(expected["channels_all"][unit], dtype=int) - 1
        np.testing.assert_allclose(templates.waveforms[unit][:, channels], np.asarray(given).T, rtol=1e-5, atol=1e-4)
        assert np.isfinite(templates.waveforms[unit]).any(axis=0).sum() == len(channels)
        axis = np.ravel(expected["time_all"][unit])
        assert abs(axis[templates.n_before]) < 1e-6
        assert templates.sampling_rate_hz is not None
        np.testing.assert_allclose(1000 / np.diff(axis), templates.sampling_rate_hz, rtol=1e-6)


@pytest.mark.parametrize("path", METRICS, ids=lambda path: path.name.partition(".")[0])
def test_facts(path: Path) -> None:
    facts = read_session(path).facts
    assert facts["NWBFile.session_id"] == path.name.partition(".")[0]
    assert facts["Subject.species"] == ("Rat" if path.name.startswith("d") else "Mouse")
    assert facts["Subject.sex"] == "M"


def test_a_session_of_spikes_and_session_info() -> None:
    folder = FOLDERS / "dataset_1"
    session, sorting = read(folder)
    check_spikes(session, sorting, independent(next(folder.glob("*.spikes.cellinfo.mat")), "spikes"))
    assert len(session.recordings[0].probe) == 96
    assert sorting.columns["location"].values.tolist() == ["ls"] * 6
    assert any("maxWaveformCh has 7 values for 6 units" in note for note in sorting.notes)


@pytest.mark.parametrize("name", ["dataset_2", "dataset_3"])
def test_folders_without_units_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"holds no units of CellExplorer: it has only .*sessionInfo\.mat"):
        read_session(FOLDERS / name)


def test_the_same_session_in_both_formats() -> None:
    found = []
    for folder in sorted((FOLDERS / "dataset_4").iterdir()):
        session, sorting = read(folder)
        check_spikes(session, sorting, independent(next(folder.glob("*.spikes.cellinfo.mat")), "spikes"))
        found.append((session, sorting))
    (one, old), (other, new) = found
    assert old.spike_samples.tolist() == new.spike_samples.tolist()
    np.testing.assert_array_equal(one.recordings[0].probe.positions_um, other.recordings[0].probe.positions_um)
    np.testing.assert_array_equal(one.recordings[0].probe.shanks, other.recordings[0].probe.shanks)
    assert one.started == other.started
    assert {**one.facts, "NWBFile.session_id": ""} == {**other.facts, "NWBFile.session_id": ""}
    assert [mark.times_s.tolist() for mark in one.marks] == [mark.times_s.tolist() for mark in other.marks]
    assert {name: column.values.tolist() for name, column in old.columns.items()} == {
        name: column.values.tolist() for name, column in new.columns.items()
    }
    assert any(".dat is not used" in note for note in one.notes)  # a stub, much shorter than the sorting
