"""MATLAB files (up to v7, and v7.3 which is HDF5) become plain dictionaries, lists, texts and arrays."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.claimed_sizes import require_believable
from nwb_celltype.converters.cellexplorer.level5 import is_level5, names_in, read_variables
from nwb_celltype.converters.cellexplorer.unreadable import NOT_READ, Unreadable
from nwb_celltype.errors import InputError

_DEEPEST = 40
# what h5py raises on broken files
_HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError, MemoryError, OverflowError)
_LARGE_BYTES = 2**30
_MOST_UNPACKED = 1000  # times the size of the file: cells may all be one, so that a small file becomes any size
_MOST_AGAIN = 2_000  # values that lie behind several references; MATLAB writes each anew
_HDF5 = b"\x89HDF\r\n\x1a\n"


def read_mat(path: Path, variables: Collection[str], skip: Collection[str] = ()) -> dict[str, Any]:
    """Read some variables of a MATLAB file.

    A struct becomes a dictionary, an array of structs a list of dictionaries, a cell array a list in MATLAB's order, a
    char array a text (rows joined by line ends), a logical array a bool array, and numbers an array of MATLAB's shape.

    Parameters
    ----------
    path : Path
    variables : collection of str
        Names; those that the file does not hold are absent from the answer.
    skip : collection of str
        Fields that are not read, as ``variable.field``; `NOT_READ` stands for them. In a file of format v7.3 they cost
        no memory.

    Returns
    -------
    dict of str to object

    Raises
    ------
    InputError
        The file is missing, is no MATLAB file, or is broken; the message names the field where that is known.

    Examples
    --------
    >>> import tempfile
    >>> from scipy.io import savemat
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     savemat(f"{folder}/a.mat", {"spikes": {"sr": 20000.0, "region": np.array(["CA1", "CA3"], dtype=object)}})
    ...     read_mat(Path(folder) / "a.mat", ["spikes"])["spikes"]["region"]
    ['CA1', 'CA3']
    """
    if is_hdf5(path):
        return _read_hdf5(path, variables, frozenset(skip))
    try:
        loaded = read_variables(path, variables, skip) if is_level5(path) else _read_level4(path)
    except _errors_before_v7_3() as error:
        raise _broken(path, "", error) from error
    return {name: loaded[name] for name in variables if name in loaded}


def variables_of(path: Path) -> tuple[str, ...]:
    """Names of the variables in a MATLAB file.

    Raises
    ------
    InputError
        The file is missing, is no MATLAB file, or is broken.
    """
    if is_hdf5(path):
        import h5py  # type: ignore[import-untyped,unused-ignore]

        try:
            with h5py.File(path, "r") as file:
                return tuple(name for name in file if not name.startswith("#"))
        except _HDF5_ERRORS as error:
            raise _broken(path, "", error) from error
    try:
        if is_level5(path):
            return tuple(dict.fromkeys(names_in(path)))
        return tuple(_read_level4(path))
    except _errors_before_v7_3() as error:
        raise _broken(path, "", error) from error


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5, with or without MATLAB's header before it.

    Raises
    ------
    InputError
        The file cannot be opened.
    """
    try:
        with path.open("rb") as file:
            head = file.read(520)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}. Check the path."
        raise InputError(message) from error
    return head.startswith((_HDF5, b"MATLAB 7.3")) or head[512:520] == _HDF5


def _broken(path: Path, where: str, error: Exception) -> InputError:
    field = f", field {where}" if where else ""
    reason = " ".join(str(error).split()) or type(error).__name__
    return InputError(
        f"{path.name}{field} cannot be read as a MATLAB file ({reason}); it is no such file, or broken. Save it again "
        "in MATLAB, or copy it again."
    )


# ---------------------------------------------------------------------------------------------- formats up to v7


def _errors_before_v7_3() -> tuple[type[Exception], ...]:
    """What SciPy raises on broken files; `ValueError` and `OSError` are raised by `level5` too."""
    from scipy.io.matlab import MatReadError

    return (
        MatReadError, ValueError, TypeError, KeyError, IndexError, EOFError, OSError, NotImplementedError,
        OverflowError, MemoryError,
    )  # fmt: skip


def _read_level4(path: Path) -> dict[str, Any]:
    """Arrays and texts of a file of MATLAB 4, which has no structs; SciPy's reader of these is not compiled."""
    import warnings

    from scipy.io import loadmat
    from scipy.io.matlab import matfile_version

    with path.open("rb") as file:
        if matfile_version(file)[0] != 0:
            message = "its header is none of MATLAB's"
            raise ValueError(message)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of duplicate names
        loaded = loadmat(path, squeeze_me=False, chars_as_strings=True)
    return {name: _plain_level4(value) for name, value in loaded.items() if not name.startswith("__")}


def _plain_level4(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return Unreadable("sparse array")
    if value.dtype.kind in "US":
        return "\n".join(str(row).rstrip() for row in value.ravel())
    return value


# ------------------------------------------------------------------------------------------------------ format v7.3


def _read_hdf5(path: Path, variables: Collection[str], skip: frozenset[str]) -> dict[str, Any]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            reader = _Hdf5(file, path, skip, max(_LARGE_BYTES, _MOST_UNPACKED * path.stat().st_size))
            return {name: reader.plain(file, name, name) for name in variables if name in file}
    except _HDF5_ERRORS as error:
        raise _broken(path, "", error) from error


@dataclass
class _Hdf5:
    """An open file of format v7.3; every failure names the field."""

    file: Any
    path: Path
    skip: frozenset[str]
    n_bytes_left: int
    seen: set[int] = field(default_factory=set)
    n_again: int = 0

    def plain(self, parent: Any, name: str, where: str, depth: int = 0) -> Any:
        try:
            return self.value(parent[name], where, depth)
        except _HDF5_ERRORS as error:
            raise _broken(self.path, where, error) from error

    def value(self, item: Any, where: str, depth: int) -> Any:
        import h5py

        if depth > _DEEPEST:
            raise _broken(self.path, where, ValueError("its structs or references lie too deep in one another"))
        address = int(h5py.h5o.get_info(item.id).addr)
        self.n_again += address in self.seen
        self.seen.add(address)
        if isinstance(item, h5py.Dataset):
            require_believable(item, self.path.name)
            self.n_bytes_left -= (item.size or 0) * item.dtype.itemsize
        if self.n_again > _MOST_AGAIN or self.n_bytes_left < 0:
            raise _broken(self.path, where, ValueError("its cells hold the same values over and over"))
        if isinstance(item, h5py.Group):
            return self.struct(item, where, depth)
        kind = item.attrs.get("MATLAB_class", b"")
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        if item.attrs.get("MATLAB_empty", 0):
            return _empty(kind, item)
        if "MATLAB_object_decode" in item.attrs and kind not in ("cell", "char", "struct"):
            return Unreadable(kind or "MATLAB object")
        if item.dtype == h5py.ref_dtype:
            return self.cells(item, where, depth)
        if kind == "char":
            return _text(np.atleast_1d(item[()]))
        values = np.atleast_1d(item[()])
        if values.dtype.names is not None and set(values.dtype.names) == {"real", "imag"}:
            values = values["real"] + 1j * values["imag"]
        if values.dtype.kind in "SO":  # texts that another program than MATLAB wrote
            return "\n".join(one.decode() if isinstance(one, bytes) else str(one) for one in values.ravel())
        if kind == "logical":
            return values.astype(np.bool_).T
        return values.T

    def cells(self, item: Any, where: str, depth: int) -> list[Any]:
        cells = []
        for i, reference in enumerate(np.atleast_1d(item[()]).ravel()):
            here = f"{where}{{{i + 1}}}"
            if not reference:
                raise _broken(self.path, here, ValueError("its reference leads nowhere"))
            try:
                cells.append(self.value(self.file[reference], here, depth + 1))
            except _HDF5_ERRORS as error:
                raise _broken(self.path, here, error) from error
        return cells

    def struct(self, group: Any, where: str, depth: int) -> Any:
        import h5py

        kind = group.attrs.get("MATLAB_class", b"struct")
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        if kind != "struct":
            return Unreadable(kind)
        fields = {
            name: NOT_READ if f"{where}.{name}" in self.skip else self.plain(group, name, f"{where}.{name}", depth + 1)
            for name in group
            if isinstance(name, str)  # MATLAB's names are; bytes come of broken ones
        }
        # fields of an array of structs are references that do not call themselves cells
        is_array = bool(fields) and all(
            isinstance(group[name], h5py.Dataset)
            and group[name].dtype == h5py.ref_dtype
            and "MATLAB_class" not in group[name].attrs
            for name in fields
        )
        if not is_array:
            return fields
        columns = {name: column for name, column in fields.items() if isinstance(column, list)}
        n = min((len(column) for column in columns.values()), default=0)
        return [{name: column[i] for name, column in columns.items()} for i in range(n)]


def _empty(kind: str, item: Any) -> Any:
    if kind == "char":
        return ""
    if kind == "cell":
        return []
    shape = tuple(int(length) for length in np.atleast_1d(item[()])) if item.dtype.kind in "ui" else (0, 0)
    if kind == "struct":
        n = int(np.prod(shape))
        return {} if n == 1 else []
    if 0 not in shape:
        shape = (0, 0)
    return np.zeros(shape, dtype=np.bool_ if kind == "logical" else np.float64)


def _text(codes: NDArray[Any]) -> str:
    if codes.dtype.kind not in "uib":
        message = f"a text holds {codes.dtype} instead of character codes"
        raise ValueError(message)
    rows = codes.T if codes.ndim == 2 else codes[np.newaxis]
    return "\n".join(
        row.astype("<u2").tobytes().decode("utf-16-le", errors="replace").rstrip() for row in np.atleast_2d(rows)
    )
