"""Sessions of CellExplorer: units, spikes, columns, electrodes, facts and what lies beside, from both formats."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_celltype.converters.cellexplorer import read_session
from nwb_celltype.converters.records import Sorting, SourceSession
from nwb_celltype.errors import InputError

from .matlab_files import RATE, TIMES, Write, cell_metrics, column, row, write_v5

METRICS = "rat1_day2.cell_metrics.cellinfo.mat"
SPIKES = "rat1_day2.spikes.cellinfo.mat"


def sorting_of(session: SourceSession) -> Sorting:
    sorting = session.recordings[0].sorting
    assert sorting is not None
    return sorting


def seconds(session: SourceSession, unit: int) -> Any:
    return session.recordings[0].clock.seconds(sorting_of(session).samples_of(unit))


def session_struct() -> dict[str, Any]:
    return {
        "general": {"date": "2018-06-29", "time": "11:03:19", "notes": "All well."},
        "animal": {"name": "rat1", "species": "Rat", "probeImplants": [{"probe": "A1x4", "supplier": "NeuroNexus"}]},
        "epochs": [
            {"name": "sleep", "startTime": row(0), "stopTime": row(60)},
            {"name": "maze", "behavioralParadigm": "T", "startTime": row(60), "stopTime": row(90)},
        ],
        "extracellular": {
            "sr": row(RATE), "srLfp": row(1250), "nChannels": row(4), "precision": "int16",
            "leastSignificantBit": row(0.195), "fileName": "", "equipment": "Board",
            "electrodeGroups": {"channels": [row(1, 2), row(3, 4)]},
            "chanCoords": {"x": column(1, 2, 3, 4), "y": column(-5, -6, -7, -8), "source": "drawing"},
        },
        "brainRegions": {"CA1": {"channels": row(1, 2)}, "CA3": {"channels": row(3)}},
        "channelTags": {"Bad": {"channels": row(4)}},
    }  # fmt: skip


def test_units_and_spikes(tmp_path: Path, write: Write) -> None:
    write(tmp_path / METRICS, {"cell_metrics": cell_metrics()})
    session = read_session(tmp_path)
    sorting = sorting_of(session)
    assert session.kind == "cellexplorer"
    assert sorting.unit_ids.tolist() == [3, 7, 8]
    assert sorting.unit_names == ("3", "7", "8")
    assert sorting.sampling_rate_hz == RATE
    assert sorting.samples_of(0).tolist() == [390, 400, 24440]
    for unit, times in enumerate(TIMES):
        np.testing.assert_allclose(seconds(session, unit), times.ravel(), rtol=0, atol=1e-12)
    assert sorting.source == "CellExplorer: sorted with KiloSort, cell_metrics.spikes.times of " + METRICS
    assert sorting.peak_channels is not None
    assert sorting.peak_channels.tolist() == [1, 0, 3]


def test_columns_have_values_and_descriptions(tmp_path: Path, write: Write) -> None:
    write(tmp_path / METRICS, {"cell_metrics": cell_metrics()})
    sorting = sorting_of(read_session(tmp_path))
    columns = sorting.columns
    assert columns["cluID"].values.tolist() == [30, 70, 80]
    assert columns["cluID"].values.dtype == np.int64
    np.testing.assert_array_equal(columns["firingRate"].values, [1.5, np.nan, 2.5])
    assert columns["firingRate"].description.endswith("Hz.")
    assert columns["cv2_REMstate"].values.dtype == np.float64  # also where MATLAB stored small numbers as integers
    assert columns["cv2_REMstate"].description.endswith("Only in the state REMstate.")
    assert "events ripples" in columns["ripples_modulationIndex"].description
    assert "does not state what it means" in columns["myIndex"].description
    assert columns["myIndex"].values.dtype == np.float64
    assert columns["labels"].values.tolist() == ["", "check", ""]
    assert columns["location"].values.tolist() == ["CA1", "CA1", ""]
    assert columns["tags"].values.tolist() == ["Good, optotagged", "Good", ""]
    for name in ("putativeCellType", "groundTruthClassification", "animal", "sessionName", "UID", "sr"):
        assert name not in columns
    assert any(gone.what == "cell_metrics.acg" for gone in sorting.left_out)
    assert all(column.description for column in columns.values())


def test_facts_of_cell_metrics(tmp_path: Path, write: Write) -> None:
    write(tmp_path / METRICS, {"cell_metrics": cell_metrics()})
    assert read_session(tmp_path).facts == {
        "NWBFile.session_id": "rat1_day2",
        "NWBFile.experimenter": "Lovelace, Ada",
        "Subject.subject_id": "rat1",
        "Subject.species": "Rat",
        "Subject.sex": "F",
        "Subject.strain": "Long Evans",
        "Subject.genotype": "PV-Cre::Ai32",
    }


def test_electrodes_of_cell_metrics(tmp_path: Path, write: Write) -> None:
    write(tmp_path / METRICS, {"cell_metrics": cell_metrics()})
    probe = read_session(tmp_path).recordings[0].probe
    assert probe.channel_names == ("CH1", "CH2", "CH3", "CH4")
    assert probe.positions_um.tolist() == [[0, -10], [20, -20], [0, -30], [20, -40]]
    assert probe.shanks.tolist() == [0, 0, 1, 1]
    assert "cell_metrics.general.chanCoords" in probe.geometry_source


def test_what_lies_beside_is_used(tmp_path: Path, write: Write) -> None:
    write(tmp_path / METRICS, {"cell_metrics": cell_metrics()})
    write(tmp_path / "rat1_day2.session.mat", {"session": session_struct()})
    write(tmp_path / "rat1_day2.laser.manipulation.mat", {"laser": {"timestamps": np.array([[2.0, 2.5], [1.0, 1.1]])}})
    write(tmp_path / "rat1_day2.odd.events.mat", {"odd": {"peaks": row(1)}})
    session = read_session(tmp_path / METRICS)
    probe = session.recordings[0].probe
    assert probe.positions_um[:, 1].tolist() == [-5, -6, -7, -8]
    assert (probe.model, probe.manufacturer) == ("A1x4", "NeuroNexus")
    assert probe.columns["brain_region"].tolist() == ["CA1", "CA1", "CA3", ""]
    assert probe.columns["is_bad"].tolist() == [False, False, False, True]
    assert session.started == datetime(2018, 6, 29, 11, 3, 19)
    assert session.facts["NWBFile.notes"] == "All well."
    (epochs,) = session.marks
    assert epochs.times_s.tolist() == [0, 60]
    assert epochs.values is not None
    assert epochs.values.tolist() == ["sleep (until 60 s)", "maze, T (until 90 s)"]
    (laser,) = session.pulses
    assert laser.name == "laser.manipulation"
    np.testing.assert_allclose(laser.onsets_s, [1.0, 2.0])
    np.testing.assert_allclose(laser.durations_s, [0.1, 0.5])
    assert any("odd.timestamps must be intervals" in gone.reason for gone in session.left_out)


def test_a_broken_file_beside_is_a_note_and_no_end(tmp_path: Path) -> None:
    write_v5(tmp_path / METRICS, {"cell_metrics": cell_metrics()})
    (tmp_path / "rat1_day2.session.mat").write_bytes(b"broken" * 100)
    session = read_session(tmp_path)
    assert any("not used: rat1_day2.session.mat" in note for note in session.notes)
    assert len(sorting_of(session)) == 3


def test_spikes_of_their_own_file_are_matched_by_id(tmp_path: Path, write: Write) -> None:
    metrics = cell_metrics(spikes=None)
    write(tmp_path / METRICS, {"cell_metrics": metrics})
    spikes = {
        "times": [column(9), TIMES[2], TIMES[0], TIMES[1]],
        "UID": row(1, 8, 3, 7),
        "shankID": row(1, 2, 1, 1),
        "sr": row(RATE),
    }
    write(tmp_path / SPIKES, {"spikes": spikes})
    session = read_session(tmp_path)
    for unit, times in enumerate(TIMES):
        np.testing.assert_allclose(seconds(session, unit), times.ravel(), atol=1e-12)
    assert sorting_of(session).columns["shankID"].values.tolist() == [1, 1, 2]


def test_spikes_alone_are_enough(tmp_path: Path, write: Write) -> None:
    spikes = {
        "ts": [column(390, 400), column(10)],
        "sr": row(RATE),
        "region": ["ls", "ls"],
        "maxWaveformCh": row(1, 2, 3),
    }
    write(tmp_path / SPIKES, {"spikes": spikes})
    write(tmp_path / "rat1_day2.sessionInfo.mat", {"sessionInfo": {"nChannels": row(4), "spikeGroups": {
        "groups": [row(0, 1), row(2, 3)]}, "region": ["ls", "ls", "hpc", "hpc"], "Date": "2017-03-11"}})  # fmt: skip
    session = read_session(tmp_path)
    sorting = sorting_of(session)
    assert sorting.unit_ids.tolist() == [1, 2]
    assert any("UID is absent" in note for note in sorting.notes)
    assert sorting.samples_of(0).tolist() == [390, 400]
    assert session.recordings[0].probe.shanks.tolist() == [0, 0, 1, 1]
    assert session.recordings[0].probe.columns["brain_region"].tolist() == ["ls", "ls", "hpc", "hpc"]
    assert any("spikes.maxWaveformCh has 3 values for 2 units" in note for note in sorting.notes)
    assert sorting.columns["location"].values.tolist() == ["ls", "ls"]
    assert session.started is None
    assert any("2017-03-11" in note for note in session.notes)


def test_times_that_are_no_samples_are_kept_to_a_microsecond(tmp_path: Path, write: Write) -> None:
    times = [column(0.8297327691859944, 0.8758994396676094), column(1.1), column(2.2)]
    write(tmp_path / METRICS, {"cell_metrics": cell_metrics(spikes={"times": times}, spikeCount=row(2, 1, 1))})
    session = read_session(tmp_path)
    np.testing.assert_allclose(seconds(session, 0), times[0].ravel(), rtol=0, atol=0.5001e-6)
    assert "to a microsecond" in session.recordings[0].clock.how


def test_the_rate_is_that_of_the_waveforms_where_nothing_states_it(tmp_path: Path) -> None:
    write_v5(tmp_path / METRICS, {"cell_metrics": cell_metrics(sr=None)})
    session = read_session(tmp_path)
    assert sorting_of(session).sampling_rate_hz == RATE
    assert any("time axis" in note for note in session.notes)


def test_spikes_out_of_order_and_empty_units(tmp_path: Path, write: Write) -> None:
    times = [column(2, 1, 3), np.zeros((0, 1)), column(-0.5, 4)]
    write(tmp_path / METRICS, {"cell_metrics": cell_metrics(spikes={"times": times}, spikeCount=row(3, 0, 5))})
    session = read_session(tmp_path)
    sorting = sorting_of(session)
    np.testing.assert_allclose(seconds(session, 0), [1, 2, 3])
    assert np.diff(sorting.offsets).tolist() == [3, 0, 2]
    assert any("put in order" in note for note in sorting.notes)
    assert any("before time 0" in note for note in sorting.notes)
    assert any("spikeCount differs" in note and "1 units" in note for note in sorting.notes)


def test_one_unit(tmp_path: Path, write: Write) -> None:
    metrics = {
        "UID": row(4), "cluID": row(2), "putativeCellType": ["Pyramidal Cell"], "spikes": {"times": [column(1, 2)]},
        "troughToPeak": row(0.6), "sr": row(RATE), "brainRegion": ["HIP"],
    }  # fmt: skip
    write(tmp_path / METRICS, {"cell_metrics": metrics})
    sorting = sorting_of(read_session(tmp_path))
    assert sorting.unit_ids.tolist() == [4]
    assert sorting.columns["troughToPeak"].values.tolist() == [0.6]
    assert sorting.templates is None


def test_the_recording_is_used_where_it_is_whole(tmp_path: Path) -> None:
    write_v5(tmp_path / METRICS, {"cell_metrics": cell_metrics()})
    write_v5(tmp_path / "rat1_day2.session.mat", {"session": session_struct()})
    np.zeros((30000, 4), dtype="<i2").tofile(tmp_path / "rat1_day2.dat")
    np.zeros((300, 4), dtype="<i2").tofile(tmp_path / "rat1_day2.lfp")
    session = read_session(tmp_path)
    recording = session.recordings[0]
    assert recording.traces is not None
    assert recording.traces.n_samples == 30000
    assert recording.traces.gains_uv is not None
    assert recording.traces.gains_uv.tolist() == [0.195] * 4
    assert recording.lfp is not None  # a second less than the last spike is no reason
    np.zeros((100, 4), dtype="<i2").tofile(tmp_path / "rat1_day2.dat")
    session = read_session(tmp_path)
    assert session.recordings[0].traces is None
    assert any("rat1_day2.dat is not used: it holds 0.005 s" in note for note in session.notes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"spikes": {"times": row(1, 2, 3)}},
            r"cell_metrics\.UID has 3 values, but cell_metrics\.spikes\.times .* of 1",
        ),
        ({"spikes": {"times": [column(1), column(np.nan), column(2)]}}, r"spikes\.times\{2\} has 1 values that are no"),
        ({"spikes": {"times": ["a", "b", "c"]}}, r"spikes\.times\{1\} must hold numbers, and holds a text"),
        ({"spikes": {"times": "none"}}, r"spikes\.times must be a cell array .* is a text"),
        (
            {"spikes": None},
            r"cell_metrics\.spikes\.times is absent\), and rat1_day2\.spikes\.cellinfo\.mat does not lie",
        ),
        ({"sessionName": ["a", "b", "b"]}, r"holds 2 sessions \(a, b\)"),
        ({"batchIDs": row(1, 1, 2), "sessionName": None}, r"holds 2 sessions \(batch 1, batch 2\)"),
        ({"UID": ["x", "y", "z"]}, r"cell_metrics\.UID must hold numbers"),
        ({"UID": row(1.5, 2, 3)}, r"cell_metrics\.UID must hold whole numbers"),
    ],
)
def test_broken_fields_are_named(tmp_path: Path, write: Write, changes: dict[str, Any], message: str) -> None:
    write(tmp_path / METRICS, {"cell_metrics": cell_metrics(**changes)})
    with pytest.raises(InputError, match=message):
        read_session(tmp_path)


def test_files_without_units_are_refused_with_what_they_hold(tmp_path: Path, write: Write) -> None:
    with pytest.raises(InputError, match=r"it has no \.mat file"):
        read_session(tmp_path)
    with pytest.raises(InputError, match="does not exist; check the path"):
        read_session(tmp_path / "absent")
    write(tmp_path / "a.sessionInfo.mat", {"sessionInfo": {"nChannels": row(4)}})
    with pytest.raises(InputError, match=r"it has only a\.sessionInfo\.mat"):
        read_session(tmp_path)
    with pytest.raises(InputError, match=r"a\.sessionInfo\.mat holds no units"):
        read_session(tmp_path / "a.sessionInfo.mat")
    write(tmp_path / "odd.mat", {"something": row(1)})
    with pytest.raises(InputError, match=r"odd\.mat holds something, and neither cell_metrics nor spikes"):
        read_session(tmp_path / "odd.mat")
    write(tmp_path / METRICS, {"other": row(1)})
    with pytest.raises(InputError, match="does not hold the variable cell_metrics"):
        read_session(tmp_path / METRICS)
    write(tmp_path / METRICS, {"cell_metrics": row(1)})
    with pytest.raises(InputError, match="cell_metrics must be a struct"):
        read_session(tmp_path / METRICS)
    write(tmp_path / SPIKES, {"spikes": {"UID": row(1)}})
    write(tmp_path / METRICS, {"cell_metrics": {"UID": row(1)}})
    with pytest.raises(InputError, match="spikes has neither times nor ts"):
        read_session(tmp_path / SPIKES)
    write(tmp_path / SPIKES, {"spikes": {"ts": [column(1)]}})
    with pytest.raises(InputError, match=r"spikes\.ts is in samples"):
        read_session(tmp_path / SPIKES)


def test_several_sessions_in_a_folder_are_listed(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_v5(tmp_path / f"{name}.cell_metrics.cellinfo.mat", {"cell_metrics": cell_metrics()})
    with pytest.raises(InputError, match=r"holds 2 sessions \(a, b\); .* such as a.cell_metrics.cellinfo.mat"):
        read_session(tmp_path)
    assert len(sorting_of(read_session(tmp_path / "b.cell_metrics.cellinfo.mat"))) == 3


def test_a_file_by_any_name_is_known_by_its_variables(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "export.mat", {"cell_metrics": cell_metrics()})
    assert len(sorting_of(read_session(tmp_path / "export.mat"))) == 3
