"""Thirty annotations in one process; `soak.long_run` does a thousand."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

import nwb_celltype as nct

from ..nwb_io.files import label_csv, plain


def test_memory_and_open_files_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])
    source = plain(tmp_path / "session.nwb")
    labels = label_csv(tmp_path, {7: "PkC_ss", 9: "MLI"})
    process, after = psutil.Process(), []
    for k in range(30):
        out = tmp_path / f"{k}.nwb"
        nct.annotate(source, out=out, labels=labels, by="me")
        nct.annotate_units(nct.read_units(out))
        out.unlink()
        after.append((process.memory_info().rss / 1e6, process.num_fds()))
    assert after[-1][0] - after[9][0] < 15, [round(mb) for mb, _ in after]
    assert after[-1][1] <= after[9][1] + 1
