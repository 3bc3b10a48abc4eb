"""Annotation runs: what one method said about each unit, in memory and as read back from an NWB file."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped,unused-ignore]
import numpy as np
from numpy.typing import NDArray

from nwb_celltype.claimed_sizes import require_believable
from nwb_celltype.errors import InputError, UsageError

CONTAINER_PATH = "/processing/ecephys/cell_type_annotations"
"""Where annotations live in an NWB file."""

_RUN_TYPE = "CellTypeAnnotationTable"
_NUMBERS = ("probability", "confidence", "ood_score")
_TEXTS = ("reason_detail", "cell_id", "split")
_LARGE_BYTES = 2**26  # a column of a run may claim this much, whatever it stores
_TEXT_ATTRIBUTES = ("created", "input_sha256", "units_object_id", "source_identifier", "supersedes", "verdict")


@dataclass(frozen=True)
class Method:
    """Who or what labelled, and how; `fields` holds everything that the file says about it."""

    source_type: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def who(self) -> str:
        """The model, person or software to name in a sentence."""
        model = f"{self.fields.get('model_name', '')} {self.fields.get('model_version', '')}".strip()
        return str(model or self.fields.get("person", "") or self.fields.get("software", "") or "unknown")


@dataclass(frozen=True, eq=False)
class Run:
    """One annotation run, a row a unit.

    Attributes
    ----------
    name : str
    method : Method
    classes : tuple of str
        Labels, in the order of the columns of `probability`.
    unit_ids : (n,) int64 array
        Ids in the units table.
    cell_type : (n,) array of str
        A class label, or ``unclassified``.
    is_abstained : (n,) bool array
    reason, reason_detail : (n,) arrays of str
    probability : (n, k) float32 array or None
    confidence, ood_score : (n,) float32 array or None
    cell_id, split : (n,) array of str or None
    created : str
        ISO 8601 with time zone.
    input_sha256, units_object_id, source_identifier, supersedes, verdict : str
        Empty where the file does not say.
    confidence_threshold : float or None
        Units below this confidence were left unclassified.
    evidence : tuple of tuples of mappings, or None
        Pieces of evidence for each unit, without the fields that nobody stated.
    units_path : str
        HDF5 path of the units table that the run points to; empty for a detached run.
    """

    name: str
    method: Method
    classes: tuple[str, ...]
    unit_ids: NDArray[np.int64]
    cell_type: NDArray[np.str_]
    is_abstained: NDArray[np.bool_]
    reason: NDArray[np.str_]
    reason_detail: NDArray[np.str_]
    probability: NDArray[np.float32] | None = None
    confidence: NDArray[np.float32] | None = None
    ood_score: NDArray[np.float32] | None = None
    cell_id: NDArray[np.str_] | None = None
    split: NDArray[np.str_] | None = None
    created: str = ""
    input_sha256: str = ""
    units_object_id: str = ""
    source_identifier: str = ""
    supersedes: str = ""
    verdict: str = ""
    confidence_threshold: float | None = None
    evidence: tuple[tuple[Mapping[str, Any], ...], ...] | None = None
    units_path: str = ""

    def __len__(self) -> int:
        return len(self.unit_ids)

    def labels_for(self, unit_ids: Iterable[int]) -> list[str]:
        """Labels in the order of `unit_ids`; empty for a unit that the run does not name."""
        answer = dict(zip(self.unit_ids.tolist(), self.cell_type.tolist(), strict=True))
        return [answer.get(int(i), "") for i in unit_ids]


def read_runs(path: str | Path) -> list[Run]:
    """Read every annotation run of an NWB file, oldest first; a file without runs gives an empty list.

    The extension's package is not needed to read them. Of a remote file only the runs are fetched.

    Parameters
    ----------
    path : str or Path
        An NWB file (HDF5), or its address: ``https://``, ``s3://``, ``dandi://`` or ``DANDI:``.

    Returns
    -------
    list of Run

    Raises
    ------
    InputError
        If the file cannot be opened, or a run lacks what every run must have.
    NetworkError
        If a remote file cannot be reached.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> run = nct.published_run(nct.read_runs("session_celltype.nwb"))  # doctest: +SKIP
    >>> dict(zip(run.unit_ids, run.cell_type))  # doctest: +SKIP
    {0: 'PkC_ss', 1: 'unclassified'}
    """
    from nwb_celltype.archive.addresses import is_remote

    if is_remote(path):
        from nwb_celltype.units import open_source

        with open_source(path) as file:
            return runs_in(file, str(path))
    from nwb_celltype.units.hdf5 import refuse_what_is_no_file

    refuse_what_is_no_file(Path(path))
    try:
        with h5py.File(path, "r") as file:
            return runs_in(file, str(path))
    except OSError as error:
        message = f"{path} cannot be read as HDF5: {error}. Check or fetch the file again."
        raise InputError(message) from error


def runs_in(file: h5py.File, name: str) -> list[Run]:
    """Read every annotation run of an open file, oldest first.

    Parameters
    ----------
    file : h5py.File
    name : str
        What messages call the file.

    Returns
    -------
    list of Run

    Raises
    ------
    InputError
        If a run lacks what every run must have.
    """
    try:
        runs = [_read_run(group, name) for group in _run_groups(file)]
    except (OSError, RuntimeError) as error:
        message = f"The annotation runs of {name} cannot be read: {error}. Check or fetch the file again."
        raise InputError(message) from error
    return sorted(runs, key=lambda run: (run.created, run.name))


def published_run(runs: Iterable[Run]) -> Run | None:
    """Choose *the* label of a file: ground truth over expert over classifier over rule, the newest not superseded.

    The rule is the extension's own (`ndx_cell_type.published_run`), so every reader decides alike.

    Parameters
    ----------
    runs : iterable of Run

    Returns
    -------
    Run or None
        `None` if there are no runs.
    """
    runs = list(runs)
    if len(runs) < 2:
        return runs[0] if runs else None
    from ndx_cell_type import published_run as decide

    chosen = decide([_Ranked(run) for run in runs])
    return chosen.run if chosen is not None else None


def choose_run(path: str | Path, name: str | None = None) -> Run:
    """Return the run called `name`, or the published one; `path` may be an address, as for `read_runs`.

    Raises
    ------
    UsageError
        If there is no run of that name.
    InputError
        If the file holds no runs.
    """
    return choose_among(read_runs(path), path, name)


def choose_among(runs: Sequence[Run], path: str | Path, name: str | None = None) -> Run:
    """Return the run called `name`, or the published one, of those that were read from a file; see `choose_run`."""
    chosen = published_run(runs) if name is None else next((run for run in runs if run.name == name), None)
    if chosen is not None:
        return chosen
    if not runs:
        message = f"{path} holds no annotation runs; make one with `nwb-celltype annotate`."
        raise InputError(message)
    message = f"{path} has no run {name!r}; it has {', '.join(run.name for run in runs)}."
    raise UsageError(message)


def run_files(source: str | Path) -> list[str | Path]:
    """Files that carry runs, in a folder, a pattern, a dandiset or a part of one; a single file stands for itself.

    Parameters
    ----------
    source : str or Path
        A file or its address; a folder, which is searched with all below it; a pattern such as ``data/**/*.nwb``; or
        the address of a dandiset, of a folder in it or of a pattern: then the assets with the keyword of labels, or
        where none has it, those named ``*desc-celltype*``.

    Returns
    -------
    list of str or Path
        By name; addresses name the version.

    Raises
    ------
    InputError
        If nothing there carries runs, or a file cannot be read.
    NetworkError
        If an archive cannot be reached.

    Examples
    --------
    >>> run_files("DANDI:000409@0.260309.1324/sub-1/sub-1_desc-celltype_ecephys.nwb")
    ['DANDI:000409@0.260309.1324/sub-1/sub-1_desc-celltype_ecephys.nwb']
    """
    from nwb_celltype.archive.addresses import is_remote

    if is_remote(source):
        return [*_labelled_assets(str(source))]
    path = Path(source).expanduser()
    if os.path.isdir(path):  # unlike the methods of `Path`, these take any name
        members = sorted(one for one in path.rglob("*.nwb") if one.is_file())
    elif not os.path.exists(path) and isinstance(source, str) and glob.has_magic(source):
        members = sorted(Path(one) for one in glob.glob(str(path), recursive=True) if os.path.isfile(one))
    else:
        return [path]
    found = [one for one in members if _has_runs(one)]
    if not found:
        message = f"None of the {len(members)} NWB files in {source} holds annotation runs; check the place."
        raise InputError(message)
    return [*found]


def _labelled_assets(address: str) -> list[str]:
    from nwb_celltype.archive.addresses import UrlAddress, parse_address

    parsed = parse_address(address)
    if isinstance(parsed, UrlAddress) or parsed.asset_id:
        return [address]
    if parsed.path.lower().endswith((".nwb", ".npz")) and not glob.has_magic(parsed.path):
        return [address]
    from nwb_celltype.archive.assets import list_assets
    from nwb_celltype.archive.keywords import LABELS

    files = [asset for asset in list_assets(parsed) if asset.path.lower().endswith(".nwb") and not asset.is_zarr]
    found = [asset for asset in files if LABELS in asset.keywords]
    found = found or [asset for asset in files if "desc-celltype" in asset.path.rsplit("/", 1)[-1]]
    if not found:
        message = f"None of the {len(files)} NWB files in {address} carries cell type labels, as far as it says."
        raise InputError(message)
    return [asset.address.text for asset in found]


def _has_runs(path: Path) -> bool:
    try:
        with h5py.File(path, "r") as file:
            return bool(_run_groups(file))
    except (OSError, RuntimeError) as error:
        message = f"{path} cannot be read as HDF5: {error}. Check or fetch the file again, or move it away."
        raise InputError(message) from error


class _Ranked:
    """What the extension's rule looks at, with the run it stands for."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.name, self.created, self.supersedes, self.method = run.name, run.created, run.supersedes, run.method


def _run_groups(file: Any) -> list[Any]:
    container = _member(file, CONTAINER_PATH)
    if not isinstance(container, h5py.Group):
        return []
    groups = [_member(container, name) for name in container]
    return [g for g in groups if isinstance(g, h5py.Group) and _text(g.attrs.get("neurodata_type")) == _RUN_TYPE]


def _read_run(group: Any, path: str) -> Run:
    name = group.name.rsplit("/", 1)[-1]
    try:
        method_group, class_group = _group(group, "method"), _group(group, "classes")
        classes = tuple(_texts(_values(class_group, "label", path)))
        required = ("unit_id", "cell_type", "is_abstained", "reason")
        lengths = {column: group[column].shape[:1] for column in (*required, *_NUMBERS, *_TEXTS) if column in group}
        if len(set(lengths.values())) > 1:
            rows = ", ".join(f"{column} {length[0] if length else 'one value'}" for column, length in lengths.items())
            message = f"Run {name!r} in {path} has columns of different lengths ({rows}); the file is damaged."
            raise InputError(message)
        unit_ids = np.asarray(_values(group, "unit_id", path), dtype=np.int64)
        cell_type = _texts(_values(group, "cell_type", path))
        is_abstained = np.asarray(_values(group, "is_abstained", path), dtype=bool)
        reason = _texts(_values(group, "reason", path))
        optional: dict[str, Any] = {
            c: np.asarray(_values(group, c, path), np.float32) for c in _NUMBERS if c in lengths
        }
        optional |= {c: _texts(_values(group, c, path)) for c in _TEXTS if c in lengths}
        evidence = _read_evidence(group, path)
        threshold = _number(group.attrs.get("confidence_threshold"))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        message = f"Run {name!r} in {path} cannot be read ({error}); it was not written by this toolkit as it stands."
        raise InputError(message) from error
    n = np.size(unit_ids)
    columns: list[Any] = [unit_ids, cell_type, is_abstained, reason, *optional.values()]
    if evidence is not None and len(evidence) != n:
        message = f"Run {name!r} in {path} has evidence of {len(evidence)} units, not of {n}; the file is damaged."
        raise InputError(message)
    flat = [column for column in columns if column is not optional.get("probability")]
    if any(np.ndim(column) != 1 for column in flat):
        message = f"Run {name!r} in {path} has several values for a unit where one is needed; the file is damaged."
        raise InputError(message)
    shape = np.shape(optional.get("probability", np.empty((n, len(classes)))))
    if shape != (n, len(classes)):
        message = f"Run {name!r} in {path} has probabilities of shape {shape} for {n} units and {len(classes)} classes."
        raise InputError(message)
    optional |= {key: _text(group.attrs.get(key)) for key in _TEXT_ATTRIBUTES}
    fields = {key: _plain(value) for key, value in method_group.attrs.items() if key not in _HDMF_ATTRIBUTES}
    return Run(
        name=name,
        method=Method(str(fields.pop("source_type", "")), fields),
        classes=classes,
        unit_ids=unit_ids,
        cell_type=cell_type,
        is_abstained=is_abstained,
        reason=reason,
        reason_detail=optional.pop("reason_detail", np.full(n, "", dtype=str)),
        confidence_threshold=threshold,
        evidence=evidence,
        units_path=_target_of(group, "unit", "table"),
        **optional,
    )


def _member(group: Any, name: str) -> Any:
    """What a name leads to, or `None`; `get` would take a disk that cannot be read for a name that is not there."""
    try:
        return group[name]
    except KeyError as error:
        if "read failed" in str(error) or "errno" in str(error):
            raise OSError(str(error)) from error
        return None


_HDMF_ATTRIBUTES = frozenset({"namespace", "neurodata_type", "object_id", "help"})


def _group(parent: Any, name: str) -> Any:
    member = parent[name]
    if not isinstance(member, h5py.Group):
        message = f"{name!r} is no group"
        raise TypeError(message)
    return member


def _values(group: Any, name: str, path: str) -> Any:
    require_believable(group[name], path, large_bytes=_LARGE_BYTES)
    return group[name][()]


def _read_evidence(group: Any, path: str) -> tuple[tuple[dict[str, Any], ...], ...] | None:
    """Pieces of evidence for each unit: a ragged region into a table of the same container."""
    if "evidence" not in group or "evidence_index" not in group:
        return None
    table = group.file[group["evidence"].attrs["table"]]
    stored = {
        name: _values(table, name, path) for name in map(_text, table.attrs["colnames"]) if f"{name}_index" not in table
    }
    columns = {name: (_texts(v) if v.dtype.kind in "OSU" else v).tolist() for name, v in stored.items()}
    rows = [
        {name: column[k] for name, column in columns.items() if is_stated(name, column[k])}
        for k in range(len(table["id"]))
    ]
    flat, ends = _values(group, "evidence", path), _values(group, "evidence_index", path).astype(np.int64)
    starts = np.concatenate(([0], ends[:-1]))
    return tuple(tuple(rows[k] for k in flat[a:b]) for a, b in zip(starts, ends, strict=True))


def _target_of(group: Any, column: str, attribute: str) -> str:
    """Path of the table that a column points into; empty when it points nowhere."""
    reference = group[column].attrs.get(attribute) if column in group else None
    if not isinstance(reference, h5py.Reference) or not reference:
        return ""
    return str(group.file[reference].name)


def is_stated(key: str, value: Any) -> bool:
    """Whether a field of evidence holds more than the extension's filling for "not stated"."""
    return value is not None and value != "" and value == value and (key, value) != ("n_pulses", -1)


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _texts(values: Any) -> NDArray[np.str_]:
    stored = np.atleast_1d(values)
    if stored.ndim > 1:
        message = f"texts of shape {stored.shape}"
        raise ValueError(message)
    return np.array([_text(v) for v in stored], dtype=str)


def _plain(value: object) -> Any:
    if isinstance(value, np.ndarray):
        return [_text(v) for v in value]
    return _text(value) if isinstance(value, bytes | str) else value
