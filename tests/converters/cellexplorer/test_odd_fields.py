"""Whatever a field holds, a session is read or refused with our own error, never with a traceback."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_celltype.converters.cellexplorer import read_session
from nwb_celltype.errors import InputError

from .matlab_files import StructArray, Write, cell_metrics, column, row, write_v5, write_v73
from .test_session import session_struct

ODD: dict[str, Any] = {
    "text": "odd",
    "no text": "",
    "number": row(-1.5),
    "nothing": np.zeros((0, 0)),
    "not a number": row(np.nan, np.nan, np.nan),
    "yes or no": np.array([[True, False, True]]),
    "cell": ["a", row(1), {"b": row(2)}],
    "no cell": [],
    "struct": {"a": row(1), "b": "c"},
    "structs": StructArray([{"a": row(1)}, {"a": row(2)}]),
    "huge": row(1e300, 2, 3),
}


def places(struct: dict[str, Any], before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every field of a struct, however deep."""
    found = []
    for name, value in struct.items():
        found.append((*before, name))
        if isinstance(value, dict):
            found += places(value, (*before, name))
    return found


def changed(struct: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    struct = copy.deepcopy(struct)
    inner = struct
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    return struct


def read_or_refuse(folder: Path) -> None:
    try:
        session = read_session(folder)
    except InputError:
        return
    sorting = session.recordings[0].sorting
    assert sorting is not None
    n = len(sorting)
    assert sorting.offsets[-1] == len(sorting.spike_samples)
    assert all(len(column.values) == n for column in sorting.columns.values())
    assert sorting.templates is None or sorting.templates.waveforms.shape[::2] == (n, len(session.recordings[0].probe))


@pytest.mark.parametrize("odd", ODD)
def test_fields_of_cell_metrics(tmp_path: Path, odd: str) -> None:
    for place in places(cell_metrics()):
        metrics = changed(cell_metrics(), place, ODD[odd])
        write_v5(tmp_path / "a.cell_metrics.cellinfo.mat", {"cell_metrics": metrics})
        read_or_refuse(tmp_path)


@pytest.mark.parametrize("odd", ODD)
def test_fields_of_the_session(tmp_path: Path, odd: str) -> None:
    write_v5(tmp_path / "a.cell_metrics.cellinfo.mat", {"cell_metrics": cell_metrics()})
    np.zeros((30000, 4), dtype="<i2").tofile(tmp_path / "a.dat")
    for place in places(session_struct()):
        write_v5(tmp_path / "a.session.mat", {"session": changed(session_struct(), place, ODD[odd])})
        read_or_refuse(tmp_path)


@pytest.mark.parametrize("odd", ODD)
def test_fields_of_spikes(tmp_path: Path, odd: str) -> None:
    spikes = {
        "times": [column(1), column(2)], "UID": row(1, 2), "sr": row(20000), "maxWaveformCh1": row(1, 2),
        "rawWaveform": [row(1, 2, 3)] * 2, "filtWaveform_all": [np.ones((2, 3))] * 2, "channels_all": [row(1, 2)] * 2,
        "timeWaveform_all": [row(-0.05, 0, 0.05)] * 2, "region": ["a", "b"], "shankID": row(1, 2),
    }  # fmt: skip
    for place in places(spikes):
        write_v5(tmp_path / "a.spikes.cellinfo.mat", {"spikes": changed(spikes, place, ODD[odd])})
        read_or_refuse(tmp_path)


@pytest.mark.parametrize("write_one", [write_v5, write_v73], ids=["v5", "v7.3"])
def test_bytes_that_changed_on_the_way(tmp_path: Path, write_one: Write) -> None:
    path = tmp_path / "a.spikes.cellinfo.mat"
    write_one(path, {"spikes": {"times": [column(1, 2), column(3)], "UID": row(1, 2), "sr": row(20000)}})
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(60):
        raw = bytearray(whole)
        at = int(random.integers(128, len(raw)))
        raw[at : at + 4] = random.bytes(len(raw[at : at + 4]))
        path.write_bytes(raw)
        read_or_refuse(tmp_path)
