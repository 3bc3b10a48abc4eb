"""Small files to give to the command line."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pynwb import NWBHDF5IO, NWBFile
from pynwb.misc import Units


def plain(path: Path, ids: Iterable[int] = (7, 3, 9)) -> Path:
    """Units with ids and spike times."""
    nwb = _new()
    nwb.units = Units(name="units", description="sorted")
    for unit_id in ids:
        nwb.units.add_unit(id=unit_id, spike_times=np.random.default_rng(unit_id).exponential(0.1, 50).cumsum())
    return _write(nwb, path)


def without_units(path: Path) -> Path:
    """A sound NWB file that nobody sorted."""
    return _write(_new(), path)


def label_csv(folder: Path, labels: dict[int, str], name: str = "labels.csv", **columns: object) -> Path:
    """A table of labels; further columns give one value for all rows."""
    lines = [",".join(["unit_id", "cell_type", *columns])]
    lines += [",".join([str(i), label, *map(str, columns.values())]) for i, label in labels.items()]
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def _new() -> NWBFile:
    return NWBFile(session_description="made up", identifier="f", session_start_time=datetime(2026, 1, 1, tzinfo=UTC))


def _write(nwb: NWBFile, path: Path) -> Path:
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path
