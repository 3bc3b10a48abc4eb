"""The journal: what it was told is there after a kill, whole and once."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nwb_celltype.errors import InputError, RefusedError
from nwb_celltype.reviewing.decisions import Decision, active, digest_of, fold
from nwb_celltype.reviewing.journal import Event, Journal, journal_path


def decide(number: int, unit: int, label: str, by: str = "Jane Doe") -> Event:
    return Event(
        str(number), "decide", by, made=f"2026-01-31T14:00:0{number}+00:00", unit=unit, verdict="class", label=label,
        units_path="/units", unit_sha256="a",
    )  # fmt: skip


def note(number: int, unit: int, words: str) -> Event:
    return replace(decide(number, unit, ""), kind="note", verdict="", note=words)


def undo(number: int, undoes: int) -> Event:
    return Event(str(number), "undo", "Jane Doe", made="", undoes=str(undoes), units_path="/units")


def folded(*events: Event) -> dict[int, Decision]:
    return fold(events, by="Jane Doe", units_path="/units")


def test_events_come_back_in_order_and_once(tmp_path: Path) -> None:
    path = tmp_path / "s.review.jsonl"
    with Journal(path) as journal:
        assert [e.id for e in journal.add([decide(1, 7, "MLI"), decide(2, 8, "GoC"), decide(1, 7, "MLI")])] == [
            "1",
            "2",
        ]
        assert journal.add([decide(2, 8, "GoC")]) == []
    with Journal(path) as journal:
        assert [(e.id, e.unit, e.label) for e in journal.events] == [("1", 7, "MLI"), ("2", 8, "GoC")]
        assert all(event.recorded for event in journal.events)
        assert journal.add([decide(2, 8, "MFB")]) == []
    assert path.read_text().count("\n") == 2


@pytest.mark.parametrize("cut", [1, 30, 100])
def test_a_torn_last_line_is_left_aside_and_the_next_event_stands_on_its_own(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "s.review.jsonl"
    with Journal(path) as journal:
        journal.add([decide(1, 7, "MLI")])
        journal.add([decide(2, 8, "GoC")])
    os.truncate(path, path.stat().st_size - cut)
    with Journal(path) as journal:
        whole = cut == 1  # only the end of the line is missing
        assert [event.id for event in journal.events] == (["1", "2"] if whole else ["1"])
        assert journal.n_damaged == (0 if whole else 1)
        journal.add([decide(3, 9, "MFB")])
    with Journal(path) as journal:
        assert [event.id for event in journal.events][-1] == "3"


def test_what_was_added_is_there_after_a_kill(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from tests.reviewing.test_journal import Journal, decide\n"
        "Journal(Path(sys.argv[1])).add([decide(1, 7, 'MLI')]); os.kill(os.getpid(), 9)"
    )
    path = tmp_path / "s.review.jsonl"
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=Path(__file__).resolve().parents[2])
    assert done.returncode == -9
    with Journal(path) as journal:  # and its lock is gone with it
        assert [event.id for event in journal.events] == ["1"]


def test_two_processes_never_write_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "s.review.jsonl"
    with Journal(path), pytest.raises(RefusedError, match=r"Another process reviews this file.*s\.review\.jsonl"):
        Journal(path)
    assert not path.exists()  # nothing was said: no trace


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.review.jsonl"
    with Journal(path) as journal:
        journal.add([decide(1, 7, "MLI")])
        before = path.read_bytes()
        real = os.write

        def full(descriptor: int, data: bytes) -> int:
            if len(data) > 20:
                return real(descriptor, data[:20])
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda d, data: full(d, data) if data.startswith(b"{") else full(d, data[:1]))
            with pytest.raises(InputError, match="No space left on device"):
                journal.add([decide(2, 8, "GoC")])
        assert path.read_bytes() == before
        assert [event.id for event in journal.add([decide(2, 8, "GoC")])] == ["2"]


def test_a_journal_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.review.jsonl"
    path.write_text('{"format": 2, "id": "1", "kind": "decide"}\n')
    with pytest.raises(InputError, match="another version"):
        Journal(path)


def test_the_journal_of_a_folder_that_cannot_be_written_is_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NWB_CELLTYPE_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "s.nwb"
    assert journal_path(file) == tmp_path / "s.review.jsonl"
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert journal_path(file).parent == tmp_path / "cache" / "reviews"
    assert journal_path(file) != journal_path(tmp_path / "other" / "s.nwb")


def test_the_last_word_counts_and_undo_goes_back() -> None:
    said = [decide(1, 7, "MLI"), decide(2, 7, "GoC"), decide(3, 8, "MFB")]
    assert {unit: one.label for unit, one in folded(*said).items()} == {7: "GoC", 8: "MFB"}
    assert {unit: one.label for unit, one in folded(*said, undo(4, 2)).items()} == {7: "MLI", 8: "MFB"}
    assert folded(*said, undo(4, 2), undo(5, 4))[7].label == "GoC"
    assert set(folded(*said, undo(4, 3))) == {7}
    assert [event.id for event in active([*said, undo(4, 2), undo(5, 4)])] == ["1", "2", "3", "5"]


def test_notes_stand_beside_decisions() -> None:
    found = folded(note(1, 7, "odd"), decide(2, 7, "MLI"), note(3, 8, "later"), note(4, 8, ""))
    assert (found[7].note, found[7].label, set(found)) == ("odd", "MLI", {7})
    assert folded(note(1, 7, "odd"), note(2, 7, "very odd"), undo(3, 2))[7].note == "odd"


def test_each_person_and_each_table_has_its_own_decisions() -> None:
    said = [decide(1, 7, "MLI"), decide(2, 7, "GoC", by="John Roe"), replace(decide(3, 7, "MFB"), units_path="/other")]
    assert folded(*said)[7].label == "MLI"
    assert fold(said, by="John Roe", units_path="/units")[7].label == "GoC"


def test_saying_the_same_again_is_no_change() -> None:
    assert digest_of(folded(decide(1, 7, "MLI"))) == digest_of(folded(decide(1, 7, "GoC"), decide(2, 7, "MLI")))
    assert digest_of(folded(decide(1, 7, "MLI"))) != digest_of(folded(decide(1, 7, "MLI"), note(2, 7, "odd")))
