"""Every file of the corpus through all that reads files: one sentence, and nothing is changed or left behind."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import nwb_celltype as nct
from nwb_celltype.errors import CellTypeError, InputError, NothingToDoError

from . import corpus, files
from .corpus import Case

IS_SOAK = bool(os.environ.get("NWB_CELLTYPE_SOAK"))
WRITTEN = {
    "times out of order", "waveforms NaN", "10 kB of text", "groups in circles", "began before 1970", "a link",
    "a specification of another version", "a file from before 1970", "a name of odd letters", "largest id",
    "bytes that are no UTF-8",
}  # fmt: skip
"""Of these cases a run is written also in the short form; of the others only when everything is (`make soak`)."""
SHOWN = {"a name of odd letters", "10 kB of text"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return files.sound(tmp_path_factory.mktemp("sound") / "sound.nwb")


@pytest.fixture(scope="module")
def model() -> Any:
    return nct.load_model("cerebellum")


@pytest.fixture(scope="module")
def labels(base: Path, model: Any) -> dict[int, str]:
    """What the sound file's units are."""
    with nct.read_units(base) as units:
        said = nct.annotate_units(units, model, threshold=0)
    answer = dict(zip(said.unit_ids.tolist(), said.cell_type.tolist(), strict=True))
    assert "unclassified" not in answer.values()
    return answer


@pytest.fixture
def no_validator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out pynwb's validator, which takes most of the time and is not what is tried here."""
    for place in ("validation", "checks"):
        monkeypatch.setattr(f"nwb_celltype.nwb_io.{place}.validator_messages", lambda _: [])


def read_all(path: Path) -> tuple[str, ...]:
    """Read spikes, waveforms and regions; return the notes."""
    with nct.read_units(path) as units:
        list(units.spike_times), list(units.waveform_mean), units.region
        return units.table_notes


def state(folder: Path) -> dict[str, Any]:
    """Everything in a folder, hidden files too, without following links."""
    return {
        entry.name: os.readlink(entry) if entry.is_symlink() else entry.read_bytes() if entry.is_file() else "other"
        for entry in folder.iterdir()
    }


def sentence(do: Callable[[], object], path: Path) -> str:
    """The message of the error that is raised on purpose; it names the file and ends as a sentence does."""
    with pytest.raises(CellTypeError) as caught:
        do()
    message = str(caught.value)
    assert path.name in message
    assert re.search(r"\.\)?$", message), message
    assert "Traceback" not in message
    return message


@pytest.mark.parametrize("case", corpus.REFUSED, ids=lambda case: case.name)
def test_what_cannot_be_read_is_said_in_a_sentence(case: Case, base: Path, model: Any, tmp_path: Path) -> None:
    path = case.make(files.copied(base, tmp_path))
    before = state(tmp_path)
    assert re.search(case.said, sentence(lambda: read_all(path), path))
    assert re.search(case.said, sentence(lambda: nct.annotate(path, model=model), path))
    assert re.search(case.said, sentence(lambda: nct.annotate(path, model=model, in_place=True), path))
    for verb in (nct.check, nct.load_labels, lambda file: nct.report(file, explain=False)):
        sentence(lambda verb=verb: verb(path), path)
    assert state(tmp_path) == before


@pytest.mark.parametrize("case", corpus.ODD, ids=lambda case: case.name)
def test_what_is_wrong_with_units_is_said_of_them(
    case: Case, base: Path, model: Any, labels: dict[int, str], tmp_path: Path, no_validator: None
) -> None:
    path = case.make(files.copied(base, tmp_path))
    before = state(tmp_path)
    assert case.noted in " ".join(read_all(path))
    with nct.read_units(path) as units:
        said = nct.annotate_units(units, model, threshold=0)
    for k, unit_id in enumerate(said.unit_ids.tolist()):
        about = str(said.reason_detail[k])
        if unit_id in case.reasons:
            assert re.search(case.reasons[unit_id], about), about
        elif about == "" and case.is_same:  # nothing is said, so nothing may differ
            assert said.cell_type[k] == labels.get(unit_id, labels[files.IDS[k]])
    if not (IS_SOAK or case.name in WRITTEN):
        return
    written = nct.annotate(path, model=model, threshold=0).file
    assert {k: v for k, v in state(tmp_path).items() if k != written.name} == before
    assert nct.read_runs(written)[0].cell_type.tolist() == said.cell_type.tolist()
    assert len(nct.load_labels(written)) == len(said)
    if IS_SOAK or case.name in SHOWN:
        in_place = nct.annotate(path, model=model, threshold=0, in_place=True)
        assert in_place.run.cell_type.tolist() == said.cell_type.tolist()
        nct.check(written)
        page = nct.report(written, explain=False).read_text(encoding="utf-8")
        assert "<script>alert" not in page


@pytest.mark.parametrize("case", corpus.NO_PLACE, ids=lambda case: case.name)
def test_nothing_is_written_where_it_does_not_belong(case: Case, base: Path, model: Any, tmp_path: Path) -> None:
    path = case.make(files.copied(base, tmp_path))
    before = state(tmp_path)
    read_all(path)
    assert re.search(case.said, sentence(lambda: nct.annotate(path, model=model), path))
    assert re.search(case.said, sentence(lambda: nct.annotate(path, model=model, in_place=True), path))
    for verb in (nct.check, nct.load_labels, lambda file: nct.report(file, explain=False)):
        sentence(lambda verb=verb: verb(path), path)
    assert state(tmp_path) == before


@pytest.mark.parametrize(("make", "said"), corpus.NOTHING, ids=["no table", "no unit", "no id"])
def test_nothing_to_do(make: files.Make, said: str, base: Path, model: Any, tmp_path: Path) -> None:
    path = make(files.copied(base, tmp_path))
    with pytest.raises(NothingToDoError, match=said):
        nct.annotate(path, model=model)


@pytest.mark.parametrize("case", corpus.RUNS, ids=lambda case: case.name)
def test_runs_that_are_broken(case: Case, annotated: Path, tmp_path: Path, no_validator: None) -> None:
    path = case.make(files.copied(annotated, tmp_path))
    before = state(tmp_path)
    if case.said:
        for verb in (nct.read_runs, nct.check, nct.load_labels, lambda file: nct.report(file, explain=False)):
            assert re.search(case.said, sentence(lambda verb=verb: verb(path), path))
    else:  # what can be read is read, and `check` says what is wrong with it
        nct.load_labels(path)
        assert re.search(case.noted, "\n".join(message.text for message in nct.check(path)))
    assert state(tmp_path) == before


@pytest.fixture(scope="module")
def annotated(base: Path, model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = files.copied(base, tmp_path_factory.mktemp("annotated"))
    return nct.annotate(path, model=model, threshold=0, in_place=True).file


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, where the tests have them."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that everybody may enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_file_that_may_not_be_read(base: Path, shared_folder: Path) -> None:
    path = files.copied(base, shared_folder)
    path.chmod(0)
    with as_nobody():
        for verb in (nct.read_units, nct.annotate, nct.check, nct.load_labels, nct.report):
            assert "denied" in sentence(lambda verb=verb: verb(path), path)


def test_a_read_only_file_in_a_read_only_folder(base: Path, model: Any, shared_folder: Path) -> None:
    path = files.copied(base, shared_folder)
    path.chmod(0o444)
    shared_folder.chmod(0o555)
    with as_nobody():
        for how in ({}, {"in_place": True}):
            with pytest.raises(InputError, match=r"folder .* may not be written .*; nothing was written\. Choose"):
                nct.annotate(path, model=model, **how)
    assert [one.name for one in shared_folder.iterdir()] == ["session.nwb"]


def test_a_clock_before_1970(base: Path, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    path = files.copied(base, tmp_path)
    monkeypatch.setattr("nwb_celltype.annotation.now", lambda: "1969-07-20T20:17:40.000000+00:00")
    monkeypatch.setattr(time, "time", lambda: -14_182_940.0)
    monkeypatch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])
    run = nct.annotate(path, model=model, threshold=0).run
    assert run.created.startswith("1969")
    assert nct.load_labels(path.with_name("session_celltype.nwb"))["created"].iloc[0].startswith("1969")
