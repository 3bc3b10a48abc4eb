"""One table of all units and all their runs across many files: the data set that a modeller trains on."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import h5py  # type: ignore[import-untyped,unused-ignore]
import numpy as np

from nwb_celltype.archive.addresses import DandiAddress, is_remote, parse_address
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.provenance import SourceAsset, read_source
from nwb_celltype.runs import Run, published_run, run_files, runs_in
from nwb_celltype.units import open_source
from nwb_celltype.units.hdf5 import OpenFile, attribute, scalar_text

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

COLUMNS: Mapping[str, str] = {
    "file": "File that the run was read from: a path or an address.",
    "dandiset": "Dandiset of the units; empty where they are in none, or nobody knows.",
    "version": "Version of that dandiset.",
    "path": "Path of the file with the units in that dandiset.",
    "identifier": "`identifier` of the NWB file with the units.",
    "session_id": "Lab's name of the session.",
    "session_start_time": "Start of the session, ISO 8601.",
    "subject_id": "Name of the subject.",
    "species": "Species of the subject, as stored.",
    "lab": "Laboratory, as stored.",
    "units_path": "HDF5 path of the units table.",
    "units_object_id": "NWB object id of the units table.",
    "run": "Name of the annotation run.",
    "source_type": "Where the labels come from: ground_truth, expert, classifier or rule.",
    "who": "Model, person or software that labelled.",
    "model": "Name of the model; empty for other methods.",
    "model_version": "Version of the model.",
    "created": "When the run was made, ISO 8601.",
    "is_published": "Whether this run is the label of choice among all runs given of these units.",
    "unit_id": "Id of the unit in its units table.",
    "cell_type": "The answer: a class, or 'unclassified'.",
    "is_abstained": "Whether the method declined to name a class.",
    "reason": "Why it did, one word.",
    "reason_detail": "The reason in a sentence.",
    "confidence": "How sure the method is; its definition is the method's.",
    "ood_score": "How unlike the training data of the model the unit is.",
    "cell_id": "Name of the biological cell; units with one name are one cell.",
    "split": "Part that the unit played in training.",
    "evidence": "Kinds of evidence for the label, joined by commas.",
}
"""Columns of the table and what they hold; one column a class, ``p_<class>``, follows."""

_REMOTE_AT_ONCE = 8
_WHOLE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, eq=False)
class _Listed:
    """A run with where it and its units are."""

    file: str
    run: Run
    source: SourceAsset
    session: Mapping[str, str]
    is_detached: bool

    @property
    def units_key(self) -> tuple[str, ...]:
        """What tells the units of one table from all others: nothing but the file where they have no identifier."""
        named = (self.source.identifier, self.source.units_object_id or self.source.units_path)
        return named if self.source.identifier else (self.file, *named)

    @property
    def run_key(self) -> tuple[Any, ...]:
        """What tells one run of these units from all others, whatever it is called."""
        run = self.run
        said = (run.unit_ids.tobytes(), "\n".join(run.cell_type.tolist()))
        return (*self.units_key, run.created, run.method.source_type, run.method.who, run.input_sha256, *said)


@overload
def load_labels(
    sources: str | Path | Sequence[str | Path],
    *,
    kind: Literal["pandas"] = "pandas",
    runs: Sequence[str] | None = None,
    published_only: bool = False,
    source_types: Sequence[str] | None = None,
) -> pd.DataFrame: ...
@overload
def load_labels(
    sources: str | Path | Sequence[str | Path],
    *,
    kind: Literal["xarray"],
    runs: Sequence[str] | None = None,
    published_only: bool = False,
    source_types: Sequence[str] | None = None,
) -> xr.Dataset: ...
def load_labels(
    sources: str | Path | Sequence[str | Path],
    *,
    kind: Literal["pandas", "xarray"] = "pandas",
    runs: Sequence[str] | None = None,
    published_only: bool = False,
    source_types: Sequence[str] | None = None,
) -> pd.DataFrame | xr.Dataset:
    """Load the labels of all units, by all runs, of many files into one table, a row a unit and run.

    What is known about the session is that of the units: a detached file's rows name the file with the units, not the
    detached one. A run that is given twice, in a detached file and in a file with the units, is listed once, from the
    detached file, because that says where in an archive the units are; otherwise from the file given first.

    Parameters
    ----------
    sources : path or address, or several
        Files, folders (searched with all below them), patterns such as ``data/**/*.nwb``, addresses of files, and
        whole dandisets, of which the assets that carry labels are read.
    kind : {'pandas', 'xarray'}
        What to return.
    runs : sequence of str, optional
        Only runs of these names.
    published_only : bool
        Only the label of choice of each unit table: ground truth over expert over classifier over rule, the newest
        not superseded; chosen among all runs given, before other filters.
    source_types : sequence of str, optional
        Only runs of these methods: ``ground_truth``, ``expert``, ``classifier``, ``rule``.

    Returns
    -------
    pandas.DataFrame or xarray.Dataset
        The columns of `COLUMNS`, in that order, then ``p_<class>`` for every class of any run; NaN where a run lacks
        the class or gives no probabilities. As a dataset: the dimensions ``row`` and ``class``, the columns along
        ``row``, ``probability`` along both, with definitions and units of measure in ``attrs``.

    Raises
    ------
    InputError
        If a file cannot be read, or no run is left; the message names the file.
    UsageError
        If `kind` is unknown, or no source is given.
    NetworkError
        If an archive or server cannot be reached.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> table = nct.load_labels(["ours/", "DANDI:000409"], source_types=["ground_truth"])  # doctest: +SKIP
    >>> table.groupby("cell_type").size()  # doctest: +SKIP
    """
    if kind not in ("pandas", "xarray"):
        message = f"The kind of table is 'pandas' or 'xarray', not {kind!r}."
        raise UsageError(message)
    many = [sources] if isinstance(sources, str | Path) else list(sources)
    if not many:
        message = "No files, folders or dandisets were given to load labels from."
        raise UsageError(message)
    files = list(dict.fromkeys(file for one in many for file in run_files(one)))
    listed = _once(_read_all(files))
    chosen = _published(listed)
    kept = [
        one
        for one in listed
        if (runs is None or one.run.name in runs)
        and (source_types is None or one.run.method.source_type in source_types)
        and (not published_only or one.run_key in chosen)
    ]
    if not kept:
        found = ", ".join(sorted({f"{one.run.name} ({one.run.method.source_type})" for one in listed})) or "none"
        message = f"No annotation run is left of those in {_shown(many)}; found: {found}. Ask for others."
        raise InputError(message)
    columns = _columns(kept, chosen)
    classes = tuple(dict.fromkeys(label for one in kept for label in one.run.classes))
    probability = np.concatenate([_probability(one.run, classes) for one in kept])
    return _frame(columns, classes, probability) if kind == "pandas" else _dataset(columns, classes, probability)


def _read_all(files: Sequence[str | Path]) -> list[_Listed]:
    """Read the runs of every file; small remote files are fetched whole, several at once."""
    listed: list[_Listed] = []
    with ThreadPoolExecutor(_REMOTE_AT_ONCE) as pool:
        step = 4 * _REMOTE_AT_ONCE
        for some in (files[start : start + step] for start in range(0, len(files), step)):
            fetched = {file: pool.submit(_whole, str(file)) for file in some if is_remote(file)}
            for file in some:
                with _opened(file, fetched[file].result() if file in fetched else None) as opened:
                    found = _read_file(opened, file)
                if not found:
                    message = f"{file} holds no annotation runs; make one with `nwb-celltype annotate`."
                    raise InputError(message)
                listed += found
    return listed


def _whole(address: str) -> bytes | None:
    from nwb_celltype.archive.remote_file import open_remote

    with open_remote(address) as file:
        return bytes(file.read()) if file.size <= _WHOLE_BYTES else None


@contextmanager
def _opened(file: str | Path, data: bytes | None) -> Iterator[Any]:
    if data is None:
        with open_source(file) as opened:
            yield opened
        return
    try:
        opened = h5py.File(io.BytesIO(data), "r")
    except OSError as error:
        message = f"{file} cannot be read as HDF5: {error}. It may not be an NWB file."
        raise InputError(message) from error
    with opened:
        yield opened


def _read_file(opened: Any, file: str | Path) -> list[_Listed]:
    name = str(file)
    runs, stated = runs_in(opened, name), read_source(opened)
    with OpenFile(opened, name).reading("the session"):
        session = {
            "session_id": _stored(opened, "general/session_id", name),
            "session_start_time": _stored(opened, "session_start_time", name),
            "subject_id": _stored(opened, "general/subject/subject_id", name),
            "species": _stored(opened, "general/subject/species", name),
            "lab": _stored(opened, "general/lab", name),
        }
        own = _own_source(opened, file, name) if stated is None else stated
        return [_Listed(name, run, _of_run(own, run, opened), session, stated is not None) for run in runs]


def _own_source(opened: Any, file: str | Path, name: str) -> SourceAsset:
    """Where the units of a file are that holds both units and labels."""
    address = parse_address(str(file)) if is_remote(file) else None
    place: dict[str, Any] = {}
    if isinstance(address, DandiAddress):
        place = {"dandiset": address.dandiset, "version": address.version, "path": address.path}
    return SourceAsset(identifier=_stored(opened, "identifier", name), **place)


def _of_run(source: SourceAsset, run: Run, opened: Any) -> SourceAsset:
    """Complete what is known of the units by what one run says."""
    path = source.units_path or run.units_path
    stored = attribute(opened[path], "object_id") if run.units_path and path in opened else ""
    return SourceAsset(
        dandiset=source.dandiset,
        version=source.version,
        path=source.path,
        identifier=source.identifier or run.source_identifier,
        units_path=path,
        units_object_id=stored or run.units_object_id or source.units_object_id,
    )


def _stored(opened: Any, path: str, name: str) -> str:
    parent, _, leaf = path.rpartition("/")
    group = opened.get(parent) if parent else opened
    return scalar_text(group, leaf, name) if isinstance(group, h5py.Group) else ""


def _once(listed: Iterable[_Listed]) -> list[_Listed]:
    """Each run once: that in a detached file, else the first."""
    kept: dict[tuple[Any, ...], _Listed] = {}
    for one in listed:
        there = kept.get(one.run_key)
        if there is None or (one.is_detached and not there.is_detached):
            kept[one.run_key] = one
    return list(kept.values())


def _published(listed: Iterable[_Listed]) -> set[tuple[Any, ...]]:
    """Keys of the runs that are the label of choice of their units."""
    tables: dict[tuple[str, ...], list[_Listed]] = {}
    for one in listed:
        tables.setdefault(one.units_key, []).append(one)
    best = [(some, published_run([one.run for one in some])) for some in tables.values()]
    return {one.run_key for some, run in best for one in some if one.run is run}


def _columns(kept: Sequence[_Listed], chosen: Collection[tuple[Any, ...]]) -> dict[str, np.ndarray]:
    blocks = [_block(one, one.run_key in chosen) for one in kept]
    return {name: np.concatenate([block[name] for block in blocks]) for name in COLUMNS}


def _block(one: _Listed, is_published: bool) -> dict[str, np.ndarray]:
    """Columns of one run; texts as objects, so that long ones do not widen all."""
    run, source, n = one.run, one.source, len(one.run)
    is_model = run.method.source_type == "classifier"
    same = {
        "file": one.file,
        "dandiset": source.dandiset,
        "version": source.version,
        "path": source.path,
        "identifier": source.identifier,
        **one.session,
        "units_path": source.units_path,
        "units_object_id": source.units_object_id,
        "run": run.name,
        "source_type": run.method.source_type,
        "who": run.method.who,
        "model": str(run.method.fields.get("model_name", "")) if is_model else "",
        "model_version": str(run.method.fields.get("model_version", "")) if is_model else "",
        "created": run.created,
    }
    texts = {name: getattr(run, name) for name in ("cell_type", "reason", "reason_detail", "cell_id", "split")}
    numbers = {"confidence": run.confidence, "ood_score": run.ood_score}
    kinds = [", ".join(sorted({str(e.get("kind", "")) for e in pieces} - {""})) for pieces in run.evidence or [()] * n]
    return {
        **{name: np.full(n, value, dtype=object) for name, value in same.items()},
        **{name: np.full(n, "", object) if v is None else np.asarray(v).astype(object) for name, v in texts.items()},
        **{name: np.full(n, np.nan, np.float32) if value is None else value for name, value in numbers.items()},
        "is_published": np.full(n, is_published),
        "unit_id": run.unit_ids,
        "is_abstained": run.is_abstained,
        "evidence": np.array(kinds, dtype=object).reshape(n),
    }


def _probability(run: Run, classes: Sequence[str]) -> np.ndarray:
    """(n, k) probabilities in the order of `classes`."""
    table = np.full((len(run), len(classes)), np.nan, dtype=np.float32)
    if run.probability is not None:
        table[:, [classes.index(label) for label in run.classes]] = run.probability
    return table


def _frame(columns: Mapping[str, np.ndarray], classes: Sequence[str], probability: np.ndarray) -> pd.DataFrame:
    import pandas as pd

    per_class = {f"p_{label}": probability[:, k] for k, label in enumerate(classes)}
    return pd.DataFrame({**columns, **per_class})


def _dataset(columns: Mapping[str, np.ndarray], classes: Sequence[str], probability: np.ndarray) -> xr.Dataset:
    import xarray as xr

    units = {"confidence": {"units": "1"}, "ood_score": {"units": "1"}}
    variables: dict[str, Any] = {
        name: ("row", values.astype(str) if values.dtype == object else values,
               {"description": COLUMNS[name], **units.get(name, {})})
        for name, values in columns.items()
    }  # fmt: skip
    about = "Probability of each class; NaN where the run lacks the class or could not be computed."
    variables["probability"] = (("row", "class"), probability, {"description": about, "units": "1"})
    return xr.Dataset(
        variables,
        coords={"class": ("class", np.array(classes, dtype=str), {"description": "Classes of all runs."})},
        attrs={"description": "Cell type labels, a row a unit and annotation run."},
    )


def _shown(sources: Sequence[str | Path]) -> str:
    names = [str(one) for one in sources]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
