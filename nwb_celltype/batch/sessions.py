"""One asset on one worker: look at it for the plan, then annotate it and make the file of its labels."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nwb_celltype.archive.addresses import DandiAddress, UrlAddress
from nwb_celltype.batch.journal import file_sha256, stamp_of
from nwb_celltype.batch.records import Failure
from nwb_celltype.batch.requests import Request, entities_of
from nwb_celltype.batch.selection import RegionRule, Selection, choose_units
from nwb_celltype.batch.sources import Item
from nwb_celltype.batch.stored_bytes import stored_bytes
from nwb_celltype.errors import InputError
from nwb_celltype.layers import LayerTable
from nwb_celltype.provenance import SourceAsset, is_detached, read_source
from nwb_celltype.units.hdf5 import OpenFile

if TYPE_CHECKING:
    from nwb_celltype.annotation import Annotation
    from nwb_celltype.archive.remote_file import RemoteFile
    from nwb_celltype.classifier import Model
    from nwb_celltype.nwb_io.session_copies import SessionCopy
    from nwb_celltype.units import Units

_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Look:
    """What the metadata and small columns of an asset say; small, because it travels.

    Attributes
    ----------
    skipped : str
        Why it is not annotated.
    failure : Failure or None
        Why it cannot be looked at.
    digest : str
        Of the source: ``sha256:...`` or ``etag:...:size``; empty where there is none.
    stamp : tuple of int
        Of a local file.
    size : int
        Bytes of the file.
    subject, session : str
        As the file states them.
    units, left_out, unknown, bytes_to_read : int
        As in `PlannedAsset`.
    """

    skipped: str = ""
    failure: Failure | None = None
    digest: str = ""
    stamp: tuple[int, ...] = ()
    size: int = 0
    subject: str = ""
    session: str = ""
    units: int = 0
    left_out: int = 0
    unknown: int = 0
    bytes_to_read: int = 0


@dataclass(frozen=True)
class LookTask:
    """An asset to look at.

    Attributes
    ----------
    item : Item
    request : Request
    cache : str or None
        Folder in which what is read is kept; None for one that lasts as long as the task.
    """

    item: Item
    request: Request
    cache: str | None = None


@dataclass(frozen=True)
class AnnotateTask:
    """An asset to annotate.

    Attributes
    ----------
    item, request, cache
        As in `LookTask`.
    look : Look
        What the plan saw.
    previous : bytes
        The file of its labels that is there already: runs of the same source by other means are kept.
    is_alone : bool
        Whether it waits until no other asset is annotated by its process, so that memory stays bounded.
    """

    item: Item
    request: Request
    look: Look
    cache: str | None = None
    previous: bytes = b""
    is_alone: bool = True


@dataclass(frozen=True)
class Labels:
    """The file of labels of one asset, as bytes, with what the journal notes of it.

    Attributes
    ----------
    data : bytes
        The NWB file, validated; empty after a failure.
    run, verdict : str
    units, typed, left_out, unknown : int
    classes : mapping of str to int
    regions : tuple of str
        Of each unit of the run.
    bytes_read : int
        Over the network.
    seconds : float
    failure : Failure or None
    """

    data: bytes = field(default=b"", repr=False)
    run: str = ""
    verdict: str = ""
    units: int = 0
    typed: int = 0
    left_out: int = 0
    unknown: int = 0
    classes: Mapping[str, int] = field(default_factory=dict)
    regions: tuple[str, ...] = ()
    bytes_read: int = 0
    seconds: float = 0.0
    failure: Failure | None = None


def look_at(task: LookTask) -> Look:
    """Look at an asset for the plan; reads metadata and small columns alone, and never raises on bad input.

    Parameters
    ----------
    task : LookTask

    Returns
    -------
    Look
    """
    item, request = task.item, task.request
    try:
        with _opened(item, request, task.cache) as opened:
            return _look(opened, item, request)
    except Exception as error:  # one bad asset must not keep the others from being planned
        return Look(failure=Failure.of(error), size=item.size, digest=item.digest)


def annotate_item(task: AnnotateTask) -> Labels:
    """Annotate the chosen units of an asset and write their labels; never raises on bad input.

    Parameters
    ----------
    task : AnnotateTask

    Returns
    -------
    Labels
    """
    began = time.monotonic()
    try:
        turn = _ONE_AT_A_TIME if task.is_alone else nullcontext()
        with turn, _opened(task.item, task.request, task.cache) as opened, _one_torch_thread():
            labels = _annotate(opened, task)
    except Exception as error:  # one bad asset must not keep the others from being annotated
        labels = Labels(failure=Failure.of(error))
    return replace(labels, seconds=round(time.monotonic() - began, 3))


@dataclass(frozen=True)
class _Opened:
    """An asset that is open.

    Attributes
    ----------
    opened : OpenFile
    units : Units or None
        None for a file without units.
    """

    opened: OpenFile
    units: Units | None

    @property
    def file(self) -> Any:
        """The open `h5py.File`."""
        return self.opened.file

    @property
    def remote(self) -> RemoteFile | None:
        """The file on the server; None for a local one."""
        stream = getattr(self.opened.file, "stream", None)
        return None if stream is None else stream.remote

    def choose(self, rule: RegionRule) -> Selection:
        """Units that are taken."""
        units = self.units
        if units is None:
            return Selection(np.empty(0, dtype=np.int64), 0, 0)
        with self.opened.reading("the columns of the units table"):
            return choose_units(units, rule, self.file[units.session.units_path])


@contextmanager
def _opened(item: Item, request: Request, cache: str | None) -> Iterator[_Opened]:
    """Open an asset; what is read of a remote one stays on this disk until it is closed, because it is read twice."""
    from nwb_celltype.units import open_source, read_units

    location: Any = item.location
    with _cache_folder(cache, needed=not item.is_local) as folder:
        try:
            units = read_units(location, units_table=request.units_table, cache=folder)
        except InputError:
            with open_source(location, cache=folder) as file:
                if not _lacks_units(file, request.units_table):
                    raise
                yield _Opened(OpenFile(file, item.address), None)
                return
        with units:
            yield _Opened(_file_of(units), units)


def _file_of(units: Units) -> OpenFile:
    """Open file that units are read from."""
    opened = getattr(units.closer, "__self__", None)
    if not isinstance(opened, OpenFile):
        message = f"{units.session.path} is not open."
        raise InputError(message)
    return opened


@contextmanager
def _cache_folder(cache: str | None, *, needed: bool) -> Iterator[Path | None]:
    if cache is not None or not needed:
        yield None if cache is None else Path(cache)
        return
    with tempfile.TemporaryDirectory(prefix="nwb-celltype-", dir=_worker_folder(), ignore_cleanup_errors=True) as name:
        yield Path(name)


def _worker_folder() -> str | None:
    """Folder of the Dask worker, which is removed also when the worker was killed; None outside of one."""
    import sys

    if "distributed" not in sys.modules:
        return None
    from distributed import get_worker

    try:
        folder = get_worker().local_directory
    except ValueError:  # no worker runs this
        return None
    return str(folder) if os.path.isdir(folder) else None


def _lacks_units(file: Any, units_table: str | None) -> bool:
    from nwb_celltype.units.tables import find_tables

    return units_table is None and "units" not in file and not find_tables(file, str(file.filename))


def _look(opened: _Opened, item: Item, request: Request) -> Look:
    from nwb_celltype.nwb_io.session_copies import read_session_copy

    session = read_session_copy(opened.file, item.address)
    entities = entities_of(item.path)
    known = {
        "species": session.species or item.known.get("species", ""),
        "subject": session.subject_id or item.known.get("subject", "") or entities.get("sub", ""),
        "session": session.session_id or item.known.get("session", "") or entities.get("ses", ""),
        "sex": session.sex or item.known.get("sex", ""),
        "path": item.path,
    }
    look = Look(size=item.size, subject=known["subject"], session=known["session"])
    skipped = _why_skipped(opened, known, request)
    if skipped:
        return replace(look, skipped=skipped)
    units = opened.units
    if units is None or len(units) == 0:
        return replace(look, skipped="it has no units")
    chosen = opened.choose(request.rule)
    look = replace(look, units=len(chosen.unit_ids), left_out=chosen.n_left_out, unknown=chosen.n_unknown)
    if not len(chosen.unit_ids):
        return replace(look, skipped=f"none of its units is among {request.rule.text}")
    digest, stamp = _digest_of(opened, item)
    with opened.opened.reading("the layout of the units table"):
        rows = units.select(chosen.unit_ids.tolist()).regions.table_rows
        n_bytes = stored_bytes(opened.file[units.session.units_path], rows)
    return replace(
        look,
        digest=digest,
        stamp=stamp,
        size=item.size or (opened.remote.size if opened.remote is not None else 0),
        bytes_to_read=n_bytes,
    )


def _why_skipped(opened: _Opened, known: Mapping[str, str], request: Request) -> str:
    if is_detached(opened.file):
        return "it holds labels of another file's units"
    return request.unmet(known, whole=True) or request.foreign(known["species"])


def _digest_of(opened: _Opened, item: Item) -> tuple[str, tuple[int, ...]]:
    if isinstance(item.location, Path):
        stamp = stamp_of(item.location)
        return f"sha256:{file_sha256(item.location)}", stamp
    if item.digest or opened.remote is None:
        return item.digest, ()
    etag, size = opened.remote.etag, opened.remote.size
    return (f"etag:{etag}:{size}" if etag and not etag.startswith("W/") else ""), ()


def _annotate(opened: _Opened, task: AnnotateTask) -> Labels:
    from nwb_celltype.annotation import annotate_units
    from nwb_celltype.nwb_io.session_copies import read_session_copy
    from nwb_celltype.session_context import with_context

    item, request, units = task.item, task.request, opened.units
    if units is None:
        message = f"{item.address} has no units any more; it was changed since the plan was made. Start again."
        raise InputError(message)
    _require_unchanged(opened, task)
    selection = opened.choose(request.rule)
    chosen = units.select(selection.unit_ids.tolist())
    session = read_session_copy(opened.file, item.address)
    model = _model(request.model, request.weights_sha256)
    prior = request.prior if isinstance(request.prior, str) else dict(request.prior)
    layers = _layers_of(task, units, chosen.unit_ids.tolist())
    annotation = annotate_units(chosen, model, threshold=request.threshold, prior=prior, layers=layers)
    annotation = with_context(annotation, chosen)
    regions = tuple(str(region) for region in chosen.region)
    _require_unchanged(opened, task)
    source = _source_of(task, units, session)
    return _written(task, annotation, session, source, selection, regions, opened)


def _layers_of(task: AnnotateTask, units: Units, chosen: Collection[int]) -> str | LayerTable | None:
    """Layers for one recording: of a table what is about its units; where that says nothing, what the file says."""
    layers, item, session = task.request.layers, task.item, units.session
    if not isinstance(layers, LayerTable):
        return layers
    mine = layers.of(
        [item.path, item.source, item.address, session.path],
        [session.session_id, session.identifier, task.look.session],
    )
    known = set(units.unit_ids.tolist())
    unknown = [row for row in mine.rows if row.unit_id not in known]
    if unknown:
        message = (
            f"{mine.name}, {unknown[0].where}: {item.address} has no unit {unknown[0].unit_id}; correct the table."
        )
        raise InputError(message)
    rows = tuple(row for row in mine.rows if row.unit_id in set(chosen))
    return LayerTable(mine.name, rows) if rows else None


def _require_unchanged(opened: _Opened, task: AnnotateTask) -> None:
    """Raise if a source is another one than was planned: its labels would be kept under a wrong digest."""
    item = task.item
    if isinstance(item.location, Path):
        same = stamp_of(item.location) == task.look.stamp
    else:
        same = bool(item.digest) or _digest_of(opened, item)[0] == task.look.digest
    if not same:
        message = f"{item.address} was changed while it was read; run the same command again."
        raise InputError(message)


def _source_of(task: AnnotateTask, units: Units, session: SessionCopy) -> SourceAsset:
    item, origin, look = task.item, task.item.origin, task.look
    kind, _, rest = look.digest.partition(":")
    return SourceAsset(
        instance=origin.instance if isinstance(item.location, DandiAddress) else "",
        dandiset=origin.dandiset,
        version=origin.version,
        path=item.path,
        asset_id=item.asset_id,
        url=item.location.text if isinstance(item.location, UrlAddress) else "",
        sha256=rest if kind == "sha256" else item.sha256,
        etag=item.etag or (rest.rpartition(":")[0] if kind == "etag" else ""),
        size=look.size,
        identifier=session.identifier,
        units_path=units.session.units_path,
        units_object_id=units.session.units_object_id,
        licence=origin.licence,
        doi=origin.doi,
        title=origin.title,
        citation=origin.citation,
    )


def _written(
    task: AnnotateTask,
    annotation: Annotation,
    session: SessionCopy,
    source: SourceAsset,
    selection: Selection,
    regions: tuple[str, ...],
    opened: _Opened,
) -> Labels:
    from nwb_celltype.nwb_io.detached import write_detached
    from nwb_celltype.runs import read_runs

    with tempfile.TemporaryDirectory(prefix="nwb-celltype-", dir=_worker_folder()) as folder:
        earlier = _earlier_runs(Path(folder) / "earlier.nwb", task, source, annotation)
        superseded = [run for run in earlier if _is_same_model(run, annotation)]
        if superseded:
            annotation = replace(annotation, supersedes=superseded[-1].run_name)
        path = write_detached(Path(folder) / "labels.nwb", [*earlier, annotation], session, source)
        run = next(run for run in read_runs(path) if run.created == annotation.created)
        data = path.read_bytes()
    return Labels(
        data=data,
        run=run.name,
        verdict=run.verdict,
        units=len(run),
        typed=int((~run.is_abstained).sum()),
        left_out=selection.n_left_out,
        unknown=selection.n_unknown,
        classes=dict(sorted(Counter(run.cell_type.tolist()).items())),
        regions=regions,
        bytes_read=opened.remote.statistics.n_bytes if opened.remote is not None else 0,
    )


def _earlier_runs(path: Path, task: AnnotateTask, source: SourceAsset, annotation: Annotation) -> list[Annotation]:
    """Runs that the file holds already, of the same source; one that is made anew is not kept twice."""
    if not task.previous:
        return []
    import h5py  # type: ignore[import-untyped,unused-ignore]

    from nwb_celltype.nwb_io.stored_runs import read_stored

    path.write_bytes(task.previous)
    there = read_source(path)
    same = there is not None and (there.sha256, there.etag, there.size, there.units_object_id, there.identifier) == (
        source.sha256, source.etag, source.size, source.units_object_id, source.identifier,
    )  # fmt: skip
    if not same:  # the source has changed: they are labels of units that are no more
        return []
    with h5py.File(path, "r") as file:
        runs = [stored.annotation for stored in read_stored(file, str(path))]
    return [run for run in runs if not _says_the_same(run, annotation)]


def _is_same_model(run: Annotation, other: Annotation) -> bool:
    return run.method.fields.get("weights_sha256") == other.method.fields.get("weights_sha256")


def _says_the_same(run: Annotation, other: Annotation) -> bool:
    limits = (run.confidence_threshold, other.confidence_threshold)
    from nwb_celltype.annotation import same_settings

    same = _is_same_model(run, other) and run.input_sha256 == other.input_sha256 and limits[0] == limits[1]
    return same and same_settings(run.method, other.method)


@lru_cache(maxsize=2)
def _model(name: str, weights_sha256: str) -> Model:
    from nwb_celltype.classifier import load_model

    model = load_model(name)
    if model.weights_sha256 != weights_sha256:
        message = (
            f"The worker's model {name!r} has other weights ({model.weights_sha256[:12]}) than the one that was asked "
            f"for ({weights_sha256[:12]}); install the same version of nwb-celltype everywhere."
        )
        raise InputError(message)
    return model


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Compute on one thread: workers share the machine, and the order of sums stays the same."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
