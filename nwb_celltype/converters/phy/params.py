"""params.py of a sorting folder: read as text, never executed; and the way to the recording that it names."""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nwb_celltype.converters.phy.arrays import open_array
from nwb_celltype.converters.phy.places import find_folder
from nwb_celltype.converters.phy.raw_files import file_name, find_files
from nwb_celltype.errors import InputError

_EXAMPLE = "sample_rate = 30000.0, n_channels_dat = 385, dtype = 'int16', offset = 0, dat_path = 'recording.bin'"
_CONTROL = re.compile(r"[\x00-\x1f]")


@dataclass(frozen=True)
class Params:
    r"""What params.py says.

    Attributes
    ----------
    folder : Path
        Sorting folder.
    sampling_rate_hz : float
    dat_paths : tuple of str
        Recording as the file names it; several are one after another.
    raw_paths : tuple of Path
        The same files where they lie now; empty unless all were found.
    n_channels_dat : int or None
        Channels in the recording's file.
    dtype : numpy.dtype or None
    offset : int
        Bytes before the first sample.
    is_hp_filtered : bool or None
        Whether the recording had been filtered before it was sorted.
    unreadable : mapping of str to str
        Lines that are more than a plain value, by name.
    notes : tuple of str
    """

    folder: Path
    sampling_rate_hz: float
    dat_paths: tuple[str, ...] = ()
    raw_paths: tuple[Path, ...] = ()
    n_channels_dat: int | None = None
    dtype: np.dtype[Any] | None = None
    offset: int = 0
    is_hp_filtered: bool | None = None
    unreadable: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def is_raw_preprocessed(self) -> bool:
        """Whether the file is the sorter's whitened copy and no recording of voltages.

        A high-passed recording still is one, unless the sorter says, by a whitening matrix that does nothing, that its
        input was whitened already.
        """
        is_copy = any(file_name(path).startswith("temp_wh") for path in self.dat_paths)
        return is_copy or (bool(self.is_hp_filtered) and _whitens_nothing(self.folder))

    @property
    def n_raw_samples(self) -> int | None:
        """Samples of the recording; None when it was not found, or is a padded copy of the sorter."""
        if not self.raw_paths or not self.n_channels_dat or self.dtype is None:
            return None
        if any(file_name(path).startswith("temp_wh") for path in self.dat_paths):
            return None
        frame = self.n_channels_dat * self.dtype.itemsize
        return sum(max(path.stat().st_size - self.offset, 0) // frame for path in self.raw_paths) or None


def _whitens_nothing(folder: Path) -> bool:
    """Whether the stored whitening matrix is a multiple of the identity."""
    path = folder / "whitening_mat.npy"
    if not path.is_file():
        return False
    matrix = open_array(path)
    is_square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] > 1
    return is_square and bool(np.all(matrix == np.eye(len(matrix), dtype=matrix.dtype) * matrix[0, 0]))


def read_params(folder: str | Path) -> Params:
    r"""Read params.py of a sorting folder and look for the recording that it names.

    Parameters
    ----------
    folder : str or Path
        Sorting folder, or one that `find_folder` accepts.

    Returns
    -------
    Params

    Raises
    ------
    InputError
        If params.py is missing or does not state a sampling rate.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "params.py").write_text("sample_rate = 30000.\ndat_path = None\nn_channels_dat = 385\n")
    >>> np.save(folder / "spike_times.npy", np.arange(3))
    >>> params = read_params(folder)
    >>> params.sampling_rate_hz, params.n_channels_dat, params.raw_paths
    (30000.0, 385, ())
    """
    folder = find_folder(folder)
    path = folder / "params.py"
    if not path.is_file():
        message = (
            f"{folder} has no params.py, so the sampling rate is not known (ops.npy and rez.mat are not read: they can "
            f"hold code). Add a file params.py with one line each: {_EXAMPLE}."
        )
        raise InputError(message)
    values, unreadable, notes = _assignments(path.read_text(encoding="utf-8-sig", errors="replace"))
    notes += [f"params.py: `{key}` is no plain value and was not read: {line}" for key, line in unreadable.items()]
    rate = values.get("sample_rate")
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not math.isfinite(rate) or rate <= 0:
        found = unreadable.get("sample_rate", repr(rate) if "sample_rate" in values else "nothing")
        message = f"{path} states no usable sample_rate (found: {found}); add a line such as sample_rate = 30000.0."
        raise InputError(message)
    dat_paths = _dat_paths(values.get("dat_path"), notes)
    raw_paths = find_files(dat_paths, folder, notes)
    return Params(
        folder=folder,
        sampling_rate_hz=float(rate),
        dat_paths=dat_paths,
        raw_paths=raw_paths,
        n_channels_dat=_count(values, "n_channels_dat", notes),
        dtype=_dtype(values, unreadable, notes),
        offset=_count(values, "offset", notes) or 0,
        is_hp_filtered=_truth(values.get("hp_filtered")),
        unreadable=unreadable,
        notes=tuple(notes),
    )


def _assignments(text: str) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """Values, lines that are no plain value, and notes."""
    values: dict[str, Any] = {}
    unreadable: dict[str, str] = {}
    notes: list[str] = []
    tree = _parse(text)
    pieces = [text] if tree is not None else text.splitlines()
    for piece in pieces:
        statements = _parse(piece) if tree is None else tree
        if statements is None:
            _one_damaged_line(piece, values, unreadable, notes)
            continue
        for node in statements.body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(target, ast.Name):
                continue
            source = ast.get_source_segment(piece, node) or ""
            try:
                value = _literal(node.value)
            except ValueError:
                unreadable[target.id] = source
                values.pop(target.id, None)
                continue
            unreadable.pop(target.id, None)
            values[target.id] = _unescaped(value, source, target.id, notes)
    return values, unreadable, notes


def _parse(text: str) -> ast.Module | None:
    with warnings.catch_warnings():
        # a Windows path in plain quotes holds escapes that Python does not know
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _one_damaged_line(line: str, values: dict[str, Any], unreadable: dict[str, str], notes: list[str]) -> None:
    """A line that is no Python by itself: most often a Windows path, whose backslashes Python reads as escapes."""
    match = re.match(r"\s*(\w+)\s*=\s*(.*?)\s*$", line)
    if match is None:
        return
    key, right = match.groups()
    quoted = re.fullmatch(r"""(['"])(.*)\1""", right)
    if quoted is None:
        unreadable[key] = line.strip()
        return
    values[key] = quoted.group(2)
    notes.append(f"params.py: `{key}` holds backslashes that Python would misread; it was taken as written")


def _unescaped(value: Any, source: str, key: str, notes: list[str]) -> Any:
    r"""Undo what Python made of ``\t`` and the like in a Windows path."""
    if not isinstance(value, str) or not _CONTROL.search(value) or "\\" not in source:
        return value
    quoted = re.search(r"""=\s*(['"])(.*)\1\s*$""", source, re.DOTALL)
    if quoted is None:
        return value
    notes.append(f"params.py: `{key}` holds backslashes that Python would misread; it was taken as written")
    return quoted.group(2)


def _literal(node: ast.expr | None) -> Any:
    """Value of a plain expression; ValueError for anything that would have to be executed."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | bool | None):
        return node.value
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(item) for item in node.elts]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _literal(node.operand)
        if isinstance(value, int | float):
            return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _literal(node.left), _literal(node.right)
        if isinstance(left, str) and isinstance(right, str):
            return left + right
    message = "not a plain value"
    raise ValueError(message)


def _dat_paths(value: Any, notes: list[str]) -> tuple[str, ...]:
    paths = value if isinstance(value, list) else [value]
    if any(not isinstance(path, str | None) for path in paths):
        notes.append(f"params.py: dat_path is {value!r}, which names no file")
        return ()
    # SpikeInterface writes r'None' where the recording is no plain file
    return tuple(path for path in paths if path and path.strip() != "None")


def _count(values: Mapping[str, Any], key: str, notes: list[str]) -> int | None:
    value = values.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**62 or value != int(value):
        notes.append(f"params.py: {key} is {value!r}, no count; it was not used")
        return None
    return int(value)


def _truth(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return None if value is None or isinstance(value, list) else bool(value)


def _dtype(values: Mapping[str, Any], unreadable: Mapping[str, str], notes: list[str]) -> np.dtype[Any] | None:
    value = values.get("dtype")
    if value is None:
        if "dtype" in unreadable:
            return None
        notes.append("params.py states no dtype; int16 is assumed, as Phy does")
        return np.dtype(np.int16)
    try:
        dtype = np.dtype(value) if isinstance(value, str) else None
    except (TypeError, ValueError):
        dtype = None
    if dtype is None or dtype.kind not in "iuf":
        notes.append(f"params.py: dtype is {value!r}, no type of number; the recording cannot be read")
        return None
    return dtype
