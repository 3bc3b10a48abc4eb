"""One .nex or .nex5 file: its variables, and their times, snippets, markers and fragments on demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.neuroexplorer.layout import (
    FIRST_FILE_WITH_BEFORE,
    FIRST_VARIABLE_WITH_BEFORE,
    NAMES,
    NEX5_FILE,
    NEX5_VARIABLE,
    NEX_FILE,
    NEX_VARIABLE,
    Kind,
    text,
)
from nwb_celltype.converters.records import Integer
from nwb_celltype.errors import InputError
from nwb_celltype.nested_text import parse_json

_MOST_VARIABLES = 1_000_000
_MARKER_NAME = 64


@dataclass(frozen=True, eq=False)
class Variable:
    """One variable of a file, without its values.

    Attributes
    ----------
    kind : Kind
    name : str
    count : int
        Spikes, events, intervals, snippets, markers, or fragments of a continuous channel.
    offset : int
        Byte at which its values begin.
    time_dtype, value_dtype : numpy.dtype
        Of times (ticks), and of snippets and continuous values.
    rate_hz : float
        Of snippets and continuous values; 0 where it is not stated.
    scale_mv, shift_mv : float
        Value in `units`: stored value times scale plus shift.
    units : str
        Of the scaled values, ``mV`` unless the file says otherwise.
    n_points : int
        Values of one snippet, or all values of a continuous channel.
    before_s : float
        Time from the first point of a snippet to the spike; 0 where the version of the file does not state it.
    n_fields, field_bytes : int
        Of a marker; `field_bytes` is 0 for numbers of 32 bits.
    wire, unit : int or None
        Electrode and unit as the file numbers them; None where it does not.
    position : (float, float)
        For the displays of NeuroExplorer, not a place in tissue.
    """

    kind: Kind
    name: str
    count: int
    offset: int
    time_dtype: np.dtype[Any]
    value_dtype: np.dtype[Any]
    index_dtype: np.dtype[Any]
    rate_hz: float = 0.0
    scale_mv: float = 0.0
    shift_mv: float = 0.0
    units: str = "mV"
    n_points: int = 0
    before_s: float = 0.0
    n_fields: int = 0
    field_bytes: int = 0
    wire: int | None = None
    unit: int | None = None
    position: tuple[float, float] = (0.0, 0.0)

    @property
    def n_bytes(self) -> int:
        """Bytes of its values in the file."""
        times = self.count * self.time_dtype.itemsize
        return times + {
            Kind.INTERVAL: times,
            Kind.WAVEFORM: self.count * self.n_points * self.value_dtype.itemsize,
            Kind.POPULATION_VECTOR: self.count * 8 - times,
            Kind.CONTINUOUS: self.count * self.index_dtype.itemsize + self.n_points * self.value_dtype.itemsize,
            Kind.MARKER: self.n_fields * (_MARKER_NAME + self.count * (self.field_bytes or 4)),
        }.get(self.kind, 0)


@dataclass(frozen=True, eq=False)
class Continuous:
    """A continuous channel: its stored values, and where its fragments begin.

    Attributes
    ----------
    values : (n,) array
        As stored; a view of the file.
    fragment_ticks : (k,) int64 array
        When each fragment begins.
    fragment_starts : (k,) int64 array
        Its first value.
    """

    values: NDArray[Any]
    fragment_ticks: Integer
    fragment_starts: Integer


@dataclass(frozen=True, eq=False)
class NexFile:
    """An open file; values are read when they are asked for.

    Attributes
    ----------
    path : Path
    version : int
    comment : str
    frequency_hz : float
        Ticks a second of all times.
    begin, end : int
        Ticks.
    variables : tuple of Variable
    metadata : mapping
        What a .nex5 file says in JSON; empty for .nex.
    notes : tuple of str
    """

    path: Path
    version: int
    comment: str
    frequency_hz: float
    begin: int
    end: int
    variables: tuple[Variable, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def ticks(self, variable: Variable) -> Integer:
        """Times of spikes, events, snippets and markers, or the beginnings of intervals and fragments, as stored."""
        return self._read(variable, variable.time_dtype, variable.count).astype(np.int64)

    def interval_ends(self, variable: Variable) -> Integer:
        """Ticks at which intervals end, in the order of `ticks`."""
        at = variable.count * variable.time_dtype.itemsize
        return self._read(variable, variable.time_dtype, variable.count, at).astype(np.int64)

    def snippets(self, variable: Variable) -> NDArray[Any]:
        """Stored values of the snippets: a (count, n_points) view of the file."""
        at = variable.count * variable.time_dtype.itemsize
        flat = self._read(variable, variable.value_dtype, variable.count * variable.n_points, at)
        return flat.reshape(variable.count, variable.n_points)

    def continuous(self, variable: Variable) -> Continuous:
        """Values and fragments of a continuous channel.

        Raises
        ------
        InputError
            If its fragments do not lie within its values, one after another.
        """
        starts_at = variable.count * variable.time_dtype.itemsize
        starts = self._read(variable, variable.index_dtype, variable.count, starts_at)
        is_in = int(starts.max(initial=0)) <= variable.n_points and bool(np.all(starts[1:] >= starts[:-1]))
        if not is_in:
            message = f"{self.path}: the fragments of {variable.name} lie outside its values; the file is damaged."
            raise InputError(message)
        values_at = starts_at + variable.count * variable.index_dtype.itemsize
        values = self._read(variable, variable.value_dtype, variable.n_points, values_at)
        return Continuous(values, self.ticks(variable), starts.astype(np.int64))

    def marker_fields(self, variable: Variable) -> dict[str, NDArray[Any]]:
        """Values of a marker variable by name of their field: int64 where all are whole numbers, else texts."""
        found: dict[str, NDArray[Any]] = {}
        width = variable.field_bytes or 4
        at = variable.count * variable.time_dtype.itemsize
        for k in range(variable.n_fields if variable.count else 0):
            name = text(self._read(variable, np.dtype("u1"), _MARKER_NAME, at).tobytes()) or f"field {k + 1}"
            while name in found:
                name += "_"
            at += _MARKER_NAME
            if variable.field_bytes:
                raw = self._read(variable, np.dtype("u1"), variable.count * width, at).reshape(variable.count, width)
                found[name] = _numbers_or_texts([text(row.tobytes()) for row in raw])
            else:
                found[name] = self._read(variable, np.dtype("<u4"), variable.count, at).astype(np.int64)
            at += variable.count * width
        return found

    def _read(self, variable: Variable, dtype: np.dtype[Any], n: int, at: int = 0) -> NDArray[Any]:
        if not n:
            return np.empty(0, dtype=dtype)
        try:
            return np.memmap(self.path, dtype=dtype, mode="r", offset=variable.offset + at, shape=(n,))
        except (OSError, ValueError) as error:
            message = f"{self.path} became shorter or went away while {variable.name} was read; read it again."
            raise InputError(message) from error


def open_nex(path: str | Path) -> NexFile:
    """Read the headers of a .nex or .nex5 file, which its first bytes tell apart, and check that all values are there.

    Raises
    ------
    InputError
        If it is no such file, cut off or damaged.

    Examples
    --------
    >>> open_nex("no_such_file.nex")
    Traceback (most recent call last):
        ...
    nwb_celltype.errors.InputError: no_such_file.nex cannot be read: No such file or directory. Check the path.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as opened:
            magic = opened.read(4)
            if magic not in (b"NEX1", b"NEX5"):
                message = f"{path} does not begin with NEX1 or NEX5: it is no file of NeuroExplorer. Check the path."
                raise InputError(message)
            is_5 = magic == b"NEX5"
            file_type, variable_type = (NEX5_FILE, NEX5_VARIABLE) if is_5 else (NEX_FILE, NEX_VARIABLE)
            head = _head(magic + opened.read(file_type.itemsize - 4), file_type, path)
            n = int(head["n_variables"])
            if not 0 <= n <= _MOST_VARIABLES or file_type.itemsize + n * variable_type.itemsize > size:
                message = f"{path} announces {n} variables, but ends before their headers do; it is cut off or damaged."
                raise InputError(message)
            headers = np.frombuffer(opened.read(n * variable_type.itemsize), dtype=variable_type)
            notes: list[str] = []
            metadata = _metadata(opened, int(head["metadata_offset"]), size, notes) if is_5 else {}
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}. Check the path."
        raise InputError(message) from error
    frequency = float(head["frequency"])
    if not 1 <= frequency <= 1e12:
        message = f"{path} states {frequency:g} ticks a second; it is damaged. Save it again in NeuroExplorer."
        raise InputError(message)
    version = int(head["version"])
    said = _by_name(metadata)
    variables = tuple(
        _variable_5(row, k, path, said) if is_5 else _variable(row, k, path, version) for k, row in enumerate(headers)
    )
    for variable in variables:
        _require_within(variable, size, path)
    begin, end = int(head["begin"]), int(head["end"])
    return NexFile(
        path, version, text(bytes(head["comment"])), frequency, begin, end, variables, metadata, tuple(notes)
    )


def _head(raw: bytes, dtype: np.dtype[Any], path: Path) -> Any:
    if len(raw) < dtype.itemsize:
        message = f"{path} ends within its header ({len(raw)} bytes of {dtype.itemsize}); copy it again."
        raise InputError(message)
    return np.frombuffer(raw, dtype=dtype)[0]


def _kind(row: Any, k: int, path: Path) -> Kind:
    try:
        return Kind(int(row["kind"]))
    except ValueError as error:
        message = f"{path}: variable {k + 1} is of kind {int(row['kind'])}, which there is not; the file is damaged."
        raise InputError(message) from error


def _variable(row: Any, k: int, path: Path, version: int) -> Variable:
    kind = _kind(row, k, path)
    states_before = version >= FIRST_FILE_WITH_BEFORE and int(row["version"]) >= FIRST_VARIABLE_WITH_BEFORE
    return Variable(
        kind=kind,
        name=text(bytes(row["name"])) or f"variable {k + 1}",
        count=int(row["count"]),
        offset=int(row["offset"]),
        time_dtype=np.dtype("<i4"),
        value_dtype=np.dtype("<i2"),
        index_dtype=np.dtype("<u4"),
        rate_hz=float(row["rate"]),
        scale_mv=float(row["scale"]),
        shift_mv=float(row["shift"]),
        n_points=int(row["n_points"]) if kind in (Kind.WAVEFORM, Kind.CONTINUOUS) else 0,
        before_s=float(row["before"]) if states_before else 0.0,
        n_fields=int(row["n_markers"]) if kind is Kind.MARKER else 0,
        field_bytes=int(row["marker_length"]) if kind is Kind.MARKER else 0,
        wire=int(row["wire"]),
        unit=int(row["unit"]),
        position=(float(row["x"]), float(row["y"])),
    )


def _variable_5(row: Any, k: int, path: Path, said: Mapping[str, Mapping[str, Any]]) -> Variable:
    kind = _kind(row, k, path)
    name = text(bytes(row["name"])) or f"variable {k + 1}"
    about = said.get(name, {})
    probe = about.get("probe")
    wire = probe.get("wireNumber") if isinstance(probe, dict) else None
    is_float = int(row["value_type"]) == 1
    is_text = kind is Kind.MARKER and int(row["marker_type"]) == 0
    return Variable(
        kind=kind,
        name=name,
        count=int(row["count"]),
        offset=int(row["offset"]),
        time_dtype=np.dtype("<i8" if int(row["time_type"]) == 1 else "<i4"),
        value_dtype=np.dtype("<f4" if is_float else "<i2"),
        index_dtype=np.dtype("<u8" if int(row["index_type"]) == 1 else "<u4"),
        rate_hz=float(row["rate"]),
        scale_mv=1.0 if is_float else float(row["scale"]),
        shift_mv=0.0 if is_float else float(row["shift"]),
        units=text(bytes(row["units"])) or "mV",
        n_points=int(row["n_points"]) if kind in (Kind.WAVEFORM, Kind.CONTINUOUS) else 0,
        before_s=float(row["before"]),
        n_fields=int(row["n_markers"]) if kind is Kind.MARKER else 0,
        field_bytes=max(int(row["marker_length"]), 1) if is_text else 0,
        wire=wire if type(wire) is int else None,
        unit=about.get("unitNumber") if type(about.get("unitNumber")) is int else None,
    )


def _require_within(variable: Variable, size: int, path: Path) -> None:
    """All values of a variable must lie in the file, so that no damaged count can ask for more than there is."""
    what = f"{NAMES[variable.kind]} {variable.name}"
    if min(variable.count, variable.n_points, variable.n_fields, variable.field_bytes) < 0:
        message = f"{path}: {what} announces fewer than no values; the file is damaged. Copy or save it again."
        raise InputError(message)
    end = variable.offset + variable.n_bytes
    if variable.count and end > size:
        message = (
            f"{path}: {what} would end at byte {end}, but the file has {size}; it is cut off or damaged. Copy it "
            "again; a .nex file of more than 4 GB must be saved as .nex5."
        )
        raise InputError(message)


def _metadata(opened: Any, offset: int, size: int, notes: list[str]) -> dict[str, Any]:
    """What stands in JSON at the end of a .nex5 file."""
    if not 0 < offset < size:
        return {}
    opened.seek(offset)
    raw = opened.read(2**26).rstrip(b"\0")
    try:
        found = parse_json(raw.decode("utf-8"))
    except ValueError:
        notes.append("the metadata at the end of the file cannot be read; wires and unit numbers are not known")
        return {}
    return found if isinstance(found, dict) else {}


def _by_name(metadata: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    listed = metadata.get("variables")
    if not isinstance(listed, list):
        return {}
    return {str(each["name"]): each for each in listed if isinstance(each, dict) and "name" in each}


def _numbers_or_texts(words: list[str]) -> NDArray[Any]:
    if words and all(word.lstrip("-").isascii() and word.lstrip("-").isdigit() and len(word) < 18 for word in words):
        try:
            return np.array([int(word) for word in words], dtype=np.int64)
        except ValueError:  # two minus signs
            pass
    return np.array(words, dtype=str)
