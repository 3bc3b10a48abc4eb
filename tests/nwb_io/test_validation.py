"""The copy is held against the source, also where the validator cannot cope with one of them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from nwb_celltype import annotate
from nwb_celltype.errors import InputError
from nwb_celltype.nwb_io import validation
from nwb_celltype.nwb_io.validation import new_messages, validator_messages

from .annotations import from_classifier, graft_into
from .files import plain


def test_messages_of_a_sound_file(file: Path) -> None:
    assert validator_messages(file) == []


def test_message_that_was_there_before_counts_once(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"new": ["a", "b", "b"], "old": ["b", "c"]}
    monkeypatch.setattr(validation, "validator_messages", lambda path: said[path.name])
    assert new_messages(tmp_path / "new", tmp_path / "old") == ["a", "b"]


def test_copy_that_the_validator_cannot_read(tmp_path: Path) -> None:
    """It read the source, so the copy must be refused; and if it could not read that either, nothing is new."""
    old, new = plain(tmp_path / "old.nwb"), plain(tmp_path / "new.nwb")
    _break(new)
    (message,) = new_messages(new, old)
    assert message.startswith("The NWB validator cannot read the file")
    _break(old)
    assert new_messages(new, old) == []


def _break(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        data = file.create_dataset("loop", data=[1])
        data.attrs["self"] = data.ref


def test_failed_validation_leaves_the_file(file: Path, labels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "validator_messages", lambda path: ["it is bad"] if path.name != file.name else [])
    before = file.read_bytes()
    with pytest.raises(InputError, match="would gain 1 validator messages; nothing was written:\n  it is bad"):
        annotate(file, in_place=True, labels=labels, by="me")
    assert file.read_bytes() == before
    assert sorted(path.name for path in file.parent.iterdir()) == ["labels.csv", "session.nwb"]


def test_run_that_reads_back_otherwise(file: Path) -> None:
    annotation = graft_into(file)
    validation.require_same_answers(file, "m_1", annotation)
    other = from_classifier(annotation.unit_ids.tolist(), ood_score=np.array([9, 9, 9], dtype=np.float32))
    with pytest.raises(InputError, match="reads back differently"):
        validation.require_same_answers(file, "m_1", other)
    with pytest.raises(InputError, match="reads back differently"):
        validation.require_same_answers(file, "m_2", annotation)
