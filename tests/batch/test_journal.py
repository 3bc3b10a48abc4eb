"""The journal survives kills, and believes no file that has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from nwb_celltype.batch.journal import Entry, Journal, Skip, file_sha256
from nwb_celltype.errors import InputError, RefusedError


def entry(folder: Path, source: str = "a", text: str = "labels") -> Entry:
    file = folder / f"{source}.nwb"
    file.write_text(text)
    return Entry("done", source, "key", file.name, file_sha256(file), units=3, regions=("Lobule V", "", "x"))


def test_what_was_put_is_read_back(tmp_path: Path) -> None:
    written = entry(tmp_path)
    Journal(tmp_path).put(written)
    again = Journal(tmp_path)
    assert again.entries == {"a": written}
    assert again.find("a") == written
    assert again.find("b") is None


@pytest.mark.parametrize("change", ["other", None])
def test_a_file_that_changed_or_is_gone_is_not_believed(tmp_path: Path, change: str | None) -> None:
    journal = Journal(tmp_path)
    journal.put(entry(tmp_path))
    if change is None:
        (tmp_path / "a.nwb").unlink()
    else:
        (tmp_path / "a.nwb").write_text(change)
    assert Journal(tmp_path).find("a") is None


def test_half_a_line_costs_only_that_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.put(entry(tmp_path, "a"))
    journal.put(entry(tmp_path, "b"))
    whole = journal.path.read_bytes()
    for cut in range(len(whole.splitlines(keepends=True)[0]) + 1, len(whole) - 1, 23):
        journal.path.write_bytes(whole[:cut])
        torn = Journal(tmp_path)
        assert set(torn.entries) == {"a"}
        assert torn.n_damaged == 1
        torn.put(entry(tmp_path, "c"))
        assert set(Journal(tmp_path).entries) == {"a", "c"}


def test_a_journal_of_another_version_is_not_guessed_at(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.put(entry(tmp_path))
    journal.path.write_text(journal.path.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(InputError, match="another version of this program"):
        Journal(tmp_path)


def test_two_batches_do_not_write_one_folder(tmp_path: Path) -> None:
    with (
        Journal(tmp_path).only_writer(),
        pytest.raises(RefusedError, match="Another process annotates into"),
        Journal(tmp_path).only_writer(),
    ):
        pass
    with Journal(tmp_path).only_writer():
        pass


def test_what_is_skipped_is_read_back_and_alone_leaves_no_trace(tmp_path: Path) -> None:
    journal, skip = Journal(tmp_path / "out"), Skip("b", "key", "it has no units", "m1", "a")
    with journal.only_writer():
        journal.put_skip(skip)
        whole = journal.path.read_bytes()
        journal.path.write_bytes(whole + whole[:-9])
        again = Journal(tmp_path / "out")
        assert (again.skips, again.entries, again.n_damaged) == ({"b": skip}, {}, 1)
        journal.leave_no_trace()
    assert not (tmp_path / "out").exists()
    journal.put(entry(tmp_path))
    journal.leave_no_trace()
    assert set(Journal(tmp_path / "out").entries) == {"a"}
