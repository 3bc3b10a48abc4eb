"""A series of sessions: every one is tried and reported on, a rerun does what is left, no file is lost."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import nwb_celltype as nct
from nwb_celltype.cli import group
from nwb_celltype.converters.series import BatchReport, convert_many
from nwb_celltype.converters.series.sources import find_sources
from nwb_celltype.errors import InputError, NothingToDoError, RefusedError, UsageError

from .c4 import database
from .phy.folders import kilosort25, simulate

LAB: dict[str, Any] = {
    "NWBFile": {"session_description": "A mouse ran on a wheel.", "lab": "Our lab"},
    "Subject": {"species": "mouse", "sex": "F", "age": "P90D"},
    "Ecephys": {"probe": {"location": "Cerebellar cortex"}},
}
SESSION = simulate(n_units=3, seconds=2.0)
SCRIPT = Path(__file__).with_name("killed_series.py")


def metadata_of(session: str, subject: str = "m1") -> str:
    start = "2026-01-31T14:03:00+00:00"
    return json.dumps(
        {"NWBFile": {"session_start_time": start, "session_id": session}, "Subject": {"subject_id": subject}}
    )


def add_session(top: Path, name: str, session_id: str | None = None) -> Path:
    """A session's folder: the sorting in it, its metadata beside the sorting."""
    folder = kilosort25(top / name / "phy", SESSION)
    (top / name / "metadata.yaml").write_text(metadata_of(session_id or name))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good sessions, one whose spike times are cut off, one without metadata."""
    top = tmp_path_factory.mktemp("lab") / "data"
    for name in ("a", "b", "broken"):
        add_session(top, name)
    cut = top / "broken" / "phy" / "spike_times.npy"
    cut.write_bytes(cut.read_bytes()[:150])
    kilosort25(top / "unsaid" / "phy", SESSION)
    return top


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A copy of them that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "data"))


@pytest.fixture
def pair(made: Path, tmp_path: Path) -> Path:
    """The two good sessions alone."""
    for name in ("a", "b"):
        shutil.copytree(made / name, tmp_path / "data" / name)
    return tmp_path / "data"


@pytest.fixture(scope="module")
def converted(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two good sessions and what a series made of them."""
    top = tmp_path_factory.mktemp("converted")
    for name in ("a", "b"):
        shutil.copytree(made / name, top / "data" / name)
    assert many(top / "data").counts == {"written": 2}
    return top


@pytest.fixture
def done(converted: Path, tmp_path: Path) -> Path:
    """A copy of them that a test may change, as if the series had run there."""
    shutil.copytree(converted, tmp_path / "lab")
    path = tmp_path / "lab" / "out" / "conversion_report.json"
    path.write_text(path.read_text().replace(str(converted), str(tmp_path / "lab")))
    return tmp_path / "lab" / "data"


def many(data: Path, **options: Any) -> BatchReport:
    given = {"metadata": LAB, "out": data.parent / "out", "inspect": False, **options}
    return convert_many("phy", str(data / "*" / "phy"), **given)


def statuses(report: BatchReport) -> dict[str, str]:
    return {Path(row.source).parent.name: row.status for row in report.rows}


def file_of(data: Path, session: str) -> Path:
    return data.parent / "out" / "sub-m1" / f"sub-m1_ses-{session}_ecephys.nwb"


def stored(data: Path) -> list[dict[str, Any]]:
    sessions: list[dict[str, Any]] = json.loads((data.parent / "out" / "conversion_report.json").read_text())[
        "sessions"
    ]
    return sessions


def test_a_bad_session_does_not_stop_the_others(data: Path) -> None:
    report = many(data)
    assert statuses(report) == {
        "a": "written", "b": "written", "broken": "failed", "unsaid": "failed",
    }  # fmt: skip
    assert report.exit_code == 3
    said = {Path(row.source).parent.name: row.message for row in report.rows}
    assert "spike_times.npy" in said["broken"]
    assert "session_start_time" in said["unsaid"]
    for row in report.rows[:2]:
        assert (row.units, row.spikes) == (3, len(SESSION.samples))
    with nct.read_units(file_of(data, "b")) as units:
        assert len(units) == 3
    assert sorted(p.name for p in (data.parent / "out").rglob("*.nwb")) == [
        "sub-m1_ses-a_ecephys.nwb", "sub-m1_ses-b_ecephys.nwb",
    ]  # fmt: skip


def test_the_report_is_in_the_folder_as_json_and_as_a_table(data: Path) -> None:
    report = many(data)
    assert [row["status"] for row in stored(data)] == [row.status for row in report.rows]
    with (data.parent / "out" / "conversion_report.tsv").open(newline="") as file:
        table = list(csv.DictReader(file, delimiter="\t"))
    assert [row["status"] for row in table] == [row.status for row in report.rows]
    assert table[0]["source"] == str(data / "a" / "phy")
    assert table[0]["file"] == "sub-m1/sub-m1_ses-a_ecephys.nwb"
    assert (table[0]["units"], table[2]["units"]) == ("3", "")
    assert all("\n" not in value for row in table for value in row.values())
    assert not list((data.parent / "out").glob("*.partial"))


def test_sessions_that_hold_nothing_to_convert_say_so(pair: Path) -> None:
    report = many(pair, raw=True)
    assert statuses(report) == {"a": "nothing", "b": "nothing"}
    assert report.exit_code == 3
    assert "no traces are at hand" in report.rows[0].message


def test_an_unexpected_error_stops_nothing_and_keeps_its_trace(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nwb_celltype.converters.nwb as writer

    true = writer.new_nwbfile

    def stumble(metadata: Any, session: Any) -> Any:
        if metadata.nwbfile["session_id"] == "a":
            raise ZeroDivisionError("of all things")
        return true(metadata, session)

    monkeypatch.setattr(writer, "new_nwbfile", stumble)
    report = many(pair)
    assert statuses(report) == {"a": "failed", "b": "written"}
    assert "ZeroDivisionError: of all things" in report.rows[0].message
    assert "stumble" in report.rows[0].trace
    monkeypatch.undo()
    assert statuses(many(pair)) == {"a": "written", "b": "unchanged"}


def test_what_failed_after_its_file_was_finished_is_converted_again(
    pair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nwb_celltype.converters.conversion as conversion

    def stumble(_: Path) -> tuple[str, ...]:
        raise ValueError("the inspector stumbled")

    monkeypatch.setattr(conversion, "_remarks", stumble)
    assert statuses(many(pair, inspect=True)) == {"a": "failed", "b": "failed"}
    assert file_of(pair, "a").exists()
    monkeypatch.undo()
    assert statuses(many(pair)) == {"a": "written", "b": "written"}


def test_a_rerun_does_what_is_left(data: Path) -> None:
    many(data)
    before = file_of(data, "a").stat()
    kilosort25(data / "broken" / "phy", SESSION)
    (data / "unsaid" / "metadata.yaml").write_text(metadata_of("unsaid"))
    report = many(data)
    assert statuses(report) == {
        "a": "unchanged", "b": "unchanged", "broken": "written", "unsaid": "written",
    }  # fmt: skip
    assert (report.rows[0].units, report.rows[0].spikes) == (3, len(SESSION.samples))
    after = file_of(data, "a").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def change_source(data: Path) -> None:
    path = data / "a" / "phy" / "spike_times.npy"
    np.save(path, np.asfortranarray(np.load(path) + np.uint64(3)))
    os.utime(path, ns=(1, 1))


def change_table(data: Path) -> None:
    (data / "a" / "phy" / "cluster_note.tsv").write_text("cluster_id\tnote\n0\tnice\n")


def change_metadata(data: Path) -> None:
    content = json.loads(metadata_of("a"))
    content["Subject"]["genotype"] = "wild type"
    (data / "a" / "metadata.yaml").write_text(json.dumps(content))


def remove_file(data: Path) -> None:
    file_of(data, "a").unlink()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (change_source, "source has changed"),
        (change_table, "source has changed"),
        (change_metadata, "metadata or options"),
        (remove_file, ""),
    ],
)
def test_what_has_changed_is_converted_again(change: Any, said: str, done: Path) -> None:
    change(done)
    report = many(done)
    assert statuses(report) == {"a": "written", "b": "unchanged"}
    assert said in report.rows[0].message
    assert statuses(many(done)) == {"a": "unchanged", "b": "unchanged"}
    if change is change_source:
        with nct.read_units(file_of(done, "a")) as units:
            assert units.spike_times[0][0] * 30_000 == pytest.approx(SESSION.samples_of(0)[0] + 3)


def test_a_recording_that_lies_elsewhere_belongs_to_the_source(pair: Path) -> None:
    recording = pair.parent / "store" / "recording.dat"
    recording.parent.mkdir()
    np.zeros((SESSION.n_samples, 12), dtype="<i2").tofile(recording)
    (pair / "a" / "phy" / "params.py").write_text(
        f"dat_path = {str(recording)!r}\nn_channels_dat = 12\ndtype = 'int16'\noffset = 0\nsample_rate = 30000.\n"
        "hp_filtered = False\n"
    )
    given = {**LAB, "Ecephys": {"probe": {"location": "Cerebellar cortex", "gain_uv": 1.0}}}
    many(pair, metadata=given)
    assert stored(pair)[0]["further"] == [str(recording)]
    assert statuses(many(pair, metadata=given)) == {"a": "unchanged", "b": "unchanged"}
    os.utime(recording, ns=(1, 1))
    assert statuses(many(pair, metadata=given)) == {"a": "written", "b": "unchanged"}


def test_options_and_the_version_count_and_looking_does_not(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (done / "a" / "phy" / ".phy").mkdir()
    (done / "a" / "phy" / ".phy" / "state.json").write_text("{}")
    (done / "a" / "phy" / "phy.log").write_text("opened")
    assert statuses(many(done)) == {"a": "unchanged", "b": "unchanged"}
    assert statuses(many(done, n_channels=4)) == {"a": "written", "b": "written"}
    monkeypatch.setattr("nwb_celltype.converters.series.many.__version__", "99")
    report = many(done, n_channels=4)
    assert statuses(report) == {"a": "written", "b": "written"}
    assert "this package has changed" in report.rows[0].message


def test_overwrite_and_no_resume_do_all_again(done: Path) -> None:
    assert statuses(many(done, resume=False)) == {"a": "written", "b": "written"}
    assert statuses(many(done, overwrite=True)) == {"a": "written", "b": "written"}


def test_a_file_that_somebody_changed_is_left_alone(done: Path) -> None:
    with h5py.File(file_of(done, "a"), "a") as file:
        file.attrs["mine"] = "years of work"
    assert statuses(many(done)) == {"a": "unchanged", "b": "unchanged"}
    change_source(done)
    report = many(done)
    assert statuses(report) == {"a": "refused", "b": "unchanged"}
    assert "changed by somebody" in report.rows[0].message
    with h5py.File(file_of(done, "a")) as file:
        assert file.attrs["mine"] == "years of work"
    assert statuses(many(done)) == {"a": "refused", "b": "unchanged"}
    assert statuses(many(done, overwrite=True)) == {"a": "written", "b": "written"}


def test_a_file_of_somebody_else_is_left_alone(pair: Path) -> None:
    file_of(pair, "a").parent.mkdir(parents=True)
    file_of(pair, "a").write_text("years of work")
    report = many(pair)
    assert statuses(report) == {"a": "refused", "b": "written"}
    assert report.exit_code == 3
    assert file_of(pair, "a").read_text() == "years of work"


@pytest.mark.parametrize("overwrite", [False, True])
def test_two_sessions_never_share_a_name(overwrite: bool, pair: Path) -> None:
    (pair / "b" / "metadata.yaml").write_text(metadata_of("a"))
    for first in ("written", "written" if overwrite else "unchanged"):
        report = many(pair, overwrite=overwrite)
        assert statuses(report) == {"a": first, "b": "refused"}
        assert "sub-m1_ses-a_ecephys.nwb" in report.rows[1].message
        assert str(pair / "a" / "phy") in report.rows[1].message
        assert report.rows[1].file == ""


def test_a_failed_new_try_keeps_the_earlier_file(done: Path) -> None:
    times = done / "a" / "phy" / "spike_times.npy"
    whole, size = times.read_bytes(), file_of(done, "a").stat().st_size
    times.write_bytes(whole[:150])
    report = many(done)
    assert statuses(report) == {"a": "failed", "b": "unchanged"}
    assert file_of(done, "a").stat().st_size == size
    times.write_bytes(whole)
    assert statuses(many(done)) == {"a": "written", "b": "unchanged"}


def test_each_session_is_converted_once(pair: Path) -> None:
    (pair.parent / "link").symlink_to(pair / "a")
    patterns = [str(pair / "*" / "phy"), pair / "a" / "phy", pair.parent / "link" / "phy"]
    report = convert_many("phy", patterns, metadata=LAB, out=pair.parent / "out", inspect=False)
    assert statuses(report) == {"a": "written", "b": "written"}


def test_sessions_of_earlier_series_stay_in_the_report(pair: Path) -> None:
    for name in ("a", "b"):
        report = convert_many("phy", pair / name / "phy", metadata=LAB, out=pair.parent / "out", inspect=False)
        assert statuses(report) == {name: "written"}
    assert [Path(row["source"]).parent.name for row in stored(pair)] == ["a", "b"]


def test_the_later_metadata_win_and_the_source_fills_in(pair: Path) -> None:
    folder = pair / "a" / "phy"
    (pair / "a" / "phy.metadata.yaml").write_text("{NWBFile: {lab: Beside}, Subject: {sex: M}}")
    (folder / "metadata.yaml").write_text("{NWBFile: {lab: Inside, keywords: }}")
    report = many(pair)
    assert [Path(path).name for path in report.rows[0].metadata] == [
        "metadata.yaml", "phy.metadata.yaml", "metadata.yaml",
    ]  # fmt: skip
    with h5py.File(file_of(pair, "a")) as file:
        assert file["general/lab"].asstr()[()] == "Inside"
        assert file["general/subject/sex"].asstr()[()] == "M"
    with h5py.File(file_of(pair, "b")) as file:
        assert file["general/lab"].asstr()[()] == "Our lab"


def test_metadata_that_cannot_be_read_fail_their_session_alone(pair: Path) -> None:
    (pair / "a" / "metadata.yaml").write_text("NWBFile: {session_id: [}")
    report = many(pair)
    assert statuses(report) == {"a": "failed", "b": "written"}
    assert "metadata.yaml, line 1" in report.rows[0].message


def test_labels_lie_with_their_session(pair: Path) -> None:
    (pair / "a" / "phy" / "labels.csv").write_text("unit_id,cell_type\n0,MLI\n")
    report = many(pair, labels="labels.csv", by="Our lab")
    assert statuses(report) == {"a": "written", "b": "written"}
    assert "ground_truth_our_lab" in report.rows[0].runs
    assert "no labels labels.csv" in report.rows[1].message
    (pair / "a" / "phy" / "labels.csv").write_text("unit_id,cell_type\n1,MLI\n")
    assert statuses(many(pair, labels="labels.csv", by="Our lab")) == {"a": "written", "b": "unchanged"}
    with pytest.raises(InputError, match="No session has the labels lables"):
        many(pair, labels="lables.csv")


def test_a_dry_run_plans_all_and_writes_nothing(data: Path) -> None:
    report = many(data, dry_run=True)
    assert statuses(report) == {
        "a": "planned", "b": "planned", "broken": "failed", "unsaid": "failed",
    }  # fmt: skip
    assert not (data.parent / "out").exists()
    assert report.rows[0].plan is not None
    assert report.rows[0].units == 3
    assert "Subject.subject_id" in report.rows[3].message


def test_a_recording_of_a_database_is_a_session_each(tmp_path: Path) -> None:
    neurons = [database.mouse(k, dataset=name) for k, name in enumerate(["20-03-06_DK186_probe1", "hull_17"])]
    path = database.write(tmp_path / "c4.h5", neurons)
    (tmp_path / "hull_17.metadata.yaml").write_text(json.dumps({"Subject": {"sex": "M"}}))
    given = {
        "NWBFile": {"session_start_time": "2020-03-06T12:00:00+00:00"},
        "Subject": {"subject_id": "mouse", "sex": "U", "age": "P90D"},
    }
    report = convert_many("c4", path, metadata=given, out=tmp_path / "out", inspect=False)
    assert {row.recording: row.status for row in report.rows} == {
        "20-03-06_DK186_probe1": "written", "hull_17": "written",
    }  # fmt: skip
    assert {"NWBFile.session_id", "Subject.species"} <= set(report.rows[1].from_source)
    with h5py.File(tmp_path / "out" / report.rows[1].file) as file:
        assert file["general/session_id"].asstr()[()] == "hull_17"
        assert file["general/subject/sex"].asstr()[()] == "M"
        assert "CC BY-NC-SA" in file["general/notes"].asstr()[()]
    again = convert_many("c4", path, metadata=given, out=tmp_path / "out", inspect=False)
    assert again.counts == {"unchanged": 2}


def start(data: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), str(data / "*" / "phy"), str(data.parent / "out"), json.dumps(LAB)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("phase", ["write", "rename"])
def test_a_killed_series_goes_on_where_it_stopped(phase: str, pair: Path) -> None:
    add_session(pair, "c")
    process = start(pair)
    assert process.stdout is not None
    second = False
    for line in process.stdout:
        second |= line.startswith("session 2/3")
        if second and line.strip() == phase:
            break
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    process.stdout.close()
    assert [row["status"] for row in stored(pair)] == ["written", "started"]
    assert file_of(pair, "a").exists()
    report = many(pair)
    assert statuses(report)["a"] == "unchanged"
    assert statuses(report)["b"] in ({"written"} if phase == "write" else {"written", "unchanged"})
    assert statuses(report)["c"] == "written"
    assert [row["status"] for row in stored(pair)] == [row.status for row in report.rows]
    with nct.read_units(file_of(pair, "b")) as units:
        assert len(units) == 3
    assert sorted(p.name for p in file_of(pair, "b").parent.iterdir()) == [
        f"sub-m1_ses-{name}_ecephys.nwb" for name in "abc"
    ]


def test_a_file_that_was_finished_when_the_run_was_killed_is_kept(done: Path) -> None:
    path = done.parent / "out" / "conversion_report.json"
    content = json.loads(path.read_text())
    content["sessions"][0] |= {"status": "started", "stamp": None, "units": None, "spikes": None}
    path.write_text(json.dumps(content))
    before = file_of(done, "a").stat().st_mtime_ns
    report = many(done)
    assert statuses(report) == {"a": "unchanged", "b": "unchanged"}
    assert (report.rows[0].units, report.rows[0].spikes) == (3, len(SESSION.samples))
    assert file_of(done, "a").stat().st_mtime_ns == before


def test_a_session_at_which_the_run_died_comes_last(done: Path) -> None:
    path = done.parent / "out" / "conversion_report.json"
    content = json.loads(path.read_text())
    content["sessions"][0] |= {"status": "started", "digests": {}}
    path.write_text(json.dumps(content))
    lines: list[str] = []
    report = many(done, on_session=lines.append)
    assert [line for line in lines if line.startswith("session")] == [
        f"session 1/2: {done / 'b' / 'phy'}", f"session 2/2: {done / 'a' / 'phy'}",
    ]  # fmt: skip
    assert statuses(report) == {"a": "written", "b": "unchanged"}


def test_two_series_do_not_write_one_report(pair: Path) -> None:
    from nwb_celltype.converters.series.batch_report import ReportFile

    with ReportFile(pair.parent / "out").only_writer(), pytest.raises(RefusedError, match="Another process"):
        many(pair)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1}', '{"format": 1, "sessions": [{"kind": 3}]}', '"x"'])
def test_a_report_that_is_none_is_left_alone(content: str, pair: Path) -> None:
    path = pair.parent / "out" / "conversion_report.json"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(InputError, match=r"conversion_report\.json is no report"):
        many(pair)
    assert path.read_text() == content


def test_results_within_the_data_are_no_sessions(pair: Path) -> None:
    def within() -> BatchReport:
        return convert_many("phy", str(pair / "*"), metadata=LAB, out=pair / "nwb", inspect=False)

    for name in ("a", "b"):
        for path in (pair / name / "phy").iterdir():
            path.rename(pair / name / path.name)
        (pair / name / "phy").rmdir()
    assert within().counts == {"written": 2}
    assert within().counts == {"unchanged": 2}


def test_calls_that_are_wrong_for_all_are_refused_at_once(pair: Path) -> None:
    with pytest.raises(NothingToDoError, match=r"Nothing matches .*nobody"):
        convert_many("phy", str(pair / "nobody*"), out=pair.parent / "out")
    for wrong, match in (({"stub_s": -1.0}, "stub"), ({"by": "us"}, "what us labelled"), ({"colour": 1}, "colour"),
                         ({"out": "a.nwb"}, "is a file")):  # fmt: skip
        with pytest.raises(UsageError, match=match):
            many(pair, **wrong)
    with pytest.raises(UsageError, match="no kind"):
        convert_many("kilosort", str(pair / "*"), out=pair.parent / "out")
    with pytest.raises(InputError, match=r"lab\.yaml"):
        many(pair, metadata=pair / "lab.yaml")
    assert not (pair.parent / "out").exists()


def test_a_path_that_is_not_there_fails_alone(pair: Path) -> None:
    paths = [pair / "nowhere", pair / "a" / "phy"]
    report = convert_many("phy", paths, metadata=LAB, out=pair.parent / "out", inspect=False)
    assert [row.status for row in report.rows] == ["failed", "written"]
    assert "nowhere does not exist" in report.rows[0].message


def called(data: Path, *arguments: str) -> Any:
    lab = data.parent / "lab.yaml"
    lab.write_text(json.dumps(LAB))
    fixed = ["-m", str(lab), "-o", str(data.parent / "out"), "--no-inspect", "-q"]
    return CliRunner().invoke(group, ["convert", "phy", *arguments, *fixed])


def test_the_command_line_converts_all_and_says_so(pair: Path) -> None:
    done = called(pair, str(pair / "*" / "phy"))
    assert done.exit_code == 0, done.output
    assert "2 sessions: 2 written" in done.output
    assert f"Report: {pair.parent / 'out' / 'conversion_report.tsv'}" in done.output
    again = called(pair, str(pair / "a" / "phy"), str(pair / "b" / "phy"), "--many", "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.output)["counts"] == {"unchanged": 2}


def test_exit_codes_of_the_command_line(data: Path) -> None:
    done = called(data, str(data / "*" / "phy"), "--json")
    assert done.exit_code == 3
    said = json.loads(done.output)
    assert said["counts"] == {"failed": 2, "written": 2}
    assert said["sessions"][0]["file"] == "sub-m1/sub-m1_ses-a_ecephys.nwb"
    nothing = called(data, str(data / "nobody*"))
    assert isinstance(nothing.exception, NothingToDoError)
    assert NothingToDoError.exit_code == 6


def test_what_belongs_to_a_session_is_found_in_it_or_beside_it(tmp_path: Path) -> None:
    for name in ("m1.plx", "m2.plx", "m1_sorted.pkl", "labels.csv"):
        (tmp_path / name).touch()
    first, second = find_sources("plexon", str(tmp_path / "*.plx"))
    assert first.companion("{name}_sorted.pkl") == tmp_path / "m1_sorted.pkl"
    assert second.companion("{name}_sorted.pkl") is None
    assert first.companion("labels.csv") is None, "it may be the other's"
    (alone,) = find_sources("plexon", tmp_path / "m1.plx")
    assert alone.companion("labels.csv") == tmp_path / "labels.csv"


def test_a_session_without_the_sorting_that_is_named_fails(tmp_path: Path) -> None:
    for name in ("m1", "m2"):
        (tmp_path / f"{name}.plx").touch()
    (tmp_path / "m1_sorted.pkl").touch()
    report = convert_many(
        "plexon", str(tmp_path / "*.plx"), metadata=LAB, out=tmp_path / "out", sorting="{name}_sorted.pkl"
    )
    assert [row.status for row in report.rows] == ["failed", "failed"]
    assert "m1.plx" in report.rows[0].message
    assert "no sorting m2_sorted.pkl" in report.rows[1].message


def test_a_sorting_that_no_session_has_is_refused(pair: Path) -> None:
    with pytest.raises(InputError, match="No session has the sorting"):
        many(pair, sorting="{name}_sorted.pkl")
    done = called(pair, str(pair / "*" / "phy"), "one", "two")
    assert isinstance(done.exception, UsageError)
