"""MATLAB files of both formats, written from plain dictionaries, lists (cell arrays), texts and arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import savemat

Write = Callable[[Path, dict[str, Any]], None]


class StructArray(list[dict[str, Any]]):
    """An array of structs, and not a cell array of structs."""


def write_v5(path: Path, variables: dict[str, Any]) -> None:
    """Format 5, as MATLAB's ``save -v7`` writes it."""
    savemat(path, {name: _v5(value) for name, value in variables.items()}, do_compression=True, long_field_names=True)


def _v5(value: Any) -> Any:
    if isinstance(value, StructArray):
        names = list(value[0])
        array = np.empty((1, len(value)), dtype=[(name, object) for name in names])
        for i, item in enumerate(value):
            for name in names:
                array[0, i][name] = _v5(item[name])
        return array
    if isinstance(value, dict):
        return {name: _v5(item) for name, item in value.items()}
    if isinstance(value, list):
        cells = np.empty((1, len(value)), dtype=object)
        for i, item in enumerate(value):
            cells[0, i] = _v5(item)
        return cells
    return value


def write_v73(path: Path, variables: dict[str, Any]) -> None:
    """Format 7.3: HDF5 behind MATLAB's header of 512 bytes."""
    with h5py.File(path, "w", userblock_size=512) as file:
        refs = file.create_group("#refs#")
        writer = _Hdf5(file, refs)
        for name, value in variables.items():
            writer.put(file, name, value)
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2024 HDF5 schema 1.00 .")


class _Hdf5:
    def __init__(self, file: h5py.File, refs: h5py.Group) -> None:
        self.file, self.refs, self.n_refs = file, refs, 0

    def put(self, parent: h5py.Group, name: str, value: Any) -> None:
        if isinstance(value, StructArray):
            group = parent.create_group(name)
            group.attrs["MATLAB_class"] = np.bytes_("struct")
            for field in value[0]:
                self.references(group, field, [item[field] for item in value])
        elif isinstance(value, dict):
            group = parent.create_group(name)
            group.attrs["MATLAB_class"] = np.bytes_("struct")
            for field, item in value.items():
                self.put(group, field, item)
        elif isinstance(value, list):
            if value:
                self.references(parent, name, value).attrs["MATLAB_class"] = np.bytes_("cell")
            else:
                self.empty(parent, name, "cell")
        elif isinstance(value, str):
            if value:
                codes = np.frombuffer(value.encode("utf-16-le"), dtype="<u2")[:, np.newaxis]
                self.array(parent, name, codes, "char").attrs["MATLAB_int_decode"] = np.int32(2)
            else:
                self.empty(parent, name, "char")
        else:
            self.numbers(parent, name, np.atleast_2d(np.asarray(value)))

    def numbers(self, parent: h5py.Group, name: str, values: Any) -> None:
        if values.size == 0:
            self.empty(parent, name, "double")
        elif values.dtype == np.bool_:
            self.array(parent, name, values.T.astype(np.uint8), "logical")
        else:
            self.array(parent, name, values.T.astype(np.float64), "double")

    def references(self, parent: h5py.Group, name: str, items: list[Any]) -> h5py.Dataset:
        references = np.empty((len(items), 1), dtype=h5py.ref_dtype)
        for i, item in enumerate(items):
            key = f"r{self.n_refs}"
            self.n_refs += 1
            self.put(self.refs, key, item)
            references[i, 0] = self.refs[key].ref
        return parent.create_dataset(name, data=references, dtype=h5py.ref_dtype)

    @staticmethod
    def array(parent: h5py.Group, name: str, data: Any, kind: str) -> h5py.Dataset:
        dataset = parent.create_dataset(name, data=data)
        dataset.attrs["MATLAB_class"] = np.bytes_(kind)
        return dataset

    def empty(self, parent: h5py.Group, name: str, kind: str) -> None:
        dataset = self.array(parent, name, np.array([0, 0], dtype=np.uint64), kind)
        dataset.attrs["MATLAB_empty"] = np.uint8(1)


def column(*values: float) -> Any:
    """Numbers as MATLAB keeps spike times: n x 1."""
    return np.array(values, dtype=np.float64)[:, np.newaxis]


def row(*values: float) -> Any:
    """Numbers as MATLAB keeps metrics: 1 x n."""
    return np.array(values, dtype=np.float64)[np.newaxis]


RATE = 20000.0
TIMES = (column(0.0195, 0.02, 1.222), column(0.5, 0.75), column(0.00005))


def bump(at: int, scale: float, n: int = 50) -> Any:
    """Trough of a waveform."""
    return -scale * np.exp(-0.5 * ((np.arange(n) - at) / 2.0) ** 2)


def waveforms() -> dict[str, Any]:
    """Mean waveforms of three units on four channels: channels in an order of each unit's own, windows too."""
    scales = np.array([[10.0, 80.0, 20.0, 5.0], [60.0, 30.0, 10.0, 5.0], [1.0, 2.0, 3.0, 90.0]])
    orders = ([1, 2, 3, 4], [4, 3, 2, 1], [2, 4])
    first = (-1.25, -1.25, -1.0)
    lengths = (50, 50, 40)
    out: dict[str, Any] = {
        "filt_all": [], "channels_all": [], "time_all": [], "filt": [], "filt_std": [], "time": [], "bestChannels": [],
    }  # fmt: skip
    for unit in range(3):
        at = round(-first[unit] / 0.05)
        wide = np.stack([bump(at, scales[unit, number - 1], lengths[unit]) for number in orders[unit]])
        out["filt_all"].append(wide)
        out["channels_all"].append(row(*orders[unit]))
        out["time_all"].append(first[unit] + 0.05 * np.arange(lengths[unit])[np.newaxis])
        out["filt"].append(bump(16, scales[unit].max(), 32)[np.newaxis])
        out["filt_std"].append(np.full((1, 32), 3.0 + unit))
        out["time"].append(-0.8 + 0.05 * np.arange(32)[np.newaxis])
        out["bestChannels"].append(row(*(np.argsort(-scales[unit]) + 1)))
    return out


def cell_metrics(**changes: Any) -> dict[str, Any]:
    """Metrics of three units of one rat; a change to None takes the field away."""
    metrics: dict[str, Any] = {
        "general": {
            "basename": "rat1_day2",
            "animal": {"species": "Rat", "sex": "Female", "strain": "Long Evans", "geneticLine": "PV-Cre::Ai32"},
            "session": {"investigator": "Ada Lovelace", "spikeSortingMethod": "KiloSort"},
            "chanCoords": {"x": row(0, 20, 0, 20), "y": row(-10, -20, -30, -40)},
            "electrodeGroups": [row(1, 2), row(3, 4)],
            "processinginfo": {
                "version": row(2.1),
                "spikes": {"params": {"WaveformsFiltFreq": row(500, 8000), "Waveforms_nPull": row(600)}},
            },
            "states": {"SleepState": {"REMstate": np.array([[1.0, 2.0]])}},
        },
        "UID": row(3, 7, 8),
        "cluID": row(30, 70, 80),
        "animal": ["rat1"] * 3,
        "sessionName": ["rat1_day2"] * 3,
        "sr": row(RATE, RATE, RATE),
        "brainRegion": ["CA1", "CA1", "Unknown"],
        "putativeCellType": ["Narrow Interneuron", "Pyramidal Cell", "Unknown"],
        "firingRate": row(1.5, np.nan, 2.5),
        "cv2_REMstate": row(1, 0.9, 1.1),
        "myIndex": row(1, 2, 3),
        "labels": ["", "check", ""],
        "spikeCount": row(3, 2, 1),
        "maxWaveformCh": row(1, 0, 3),
        "maxWaveformCh1": row(2, 1, 4),
        "ripples_modulationIndex": row(1, 2, 3),
        "acg": {"wide": np.zeros((5, 3))},
        "spikes": {"times": list(TIMES)},
        "waveforms": waveforms(),
        "groups": {},
        "tags": {"Good": row(1, 2), "optotagged": row(1)},
        "groundTruthClassification": {"PV": row(1, 3), "Juxta": row(3)},
    }
    metrics.update(changes)
    return {name: value for name, value in metrics.items() if value is not None}
