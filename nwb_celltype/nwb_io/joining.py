"""Detached labels and the file with their units come together: side by side, or in one copy."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nwb_celltype.archive.addresses import is_remote
from nwb_celltype.errors import InputError, RefusedError, UsageError
from nwb_celltype.nwb_io.graft import Place, free_run_name, graft
from nwb_celltype.nwb_io.safe_write import OnPhase, create_safely, fingerprint, tidy, write_safely
from nwb_celltype.nwb_io.stored_runs import StoredRun, is_same_run, read_stored
from nwb_celltype.nwb_io.validation import require_no_new_messages, require_same_answers
from nwb_celltype.provenance import open_source_units, read_source
from nwb_celltype.runs import Run, read_runs
from nwb_celltype.units import Units, open_source


@dataclass(frozen=True)
class Joined:
    """What `join` did.

    Attributes
    ----------
    file : Path
        The detached file beside its source, or the copy that holds units and labels.
    runs : tuple of str
        Names of the runs in that file that came with the labels, oldest first.
    is_new : bool
        False when everything was there already and nothing was written.
    is_merged : bool
        Whether units and labels are in one file.
    """

    file: Path
    runs: tuple[str, ...]
    is_new: bool
    is_merged: bool


def join(
    labels: str | Path,
    source: str | Path,
    *,
    merge: bool = False,
    out: str | Path | None = None,
    check_data: bool = True,
    on_phase: OnPhase = lambda _: None,
) -> Joined:
    """Put detached labels beside the file with their units, or into a copy of it.

    They must belong together: `identifier` of the source, path and object id of its units table, ids of the units,
    and the digest of the spikes and waveforms that were annotated, each where both sides state it.

    Parameters
    ----------
    labels : str or Path
        A detached file, as `write_detached` and `fetch` give it.
    source : str or Path
        The NWB file with the units. It is only read. An address does where nothing is put beside it.
    merge : bool
        Write a copy of the source, with each run added to it, instead of putting the labels beside it.
    out : str or Path, optional
        The file to write, or a folder for it. By default the name of the labels beside the source, and with `merge`
        ``<stem>_celltype.nwb``. A copy that holds the same units already gains the runs that it lacks.
    check_data : bool
        Compare the digest of spikes and waveforms, for which they are all read once.
    on_phase : callable, optional
        Told the name of each phase of writing as it begins.

    Returns
    -------
    Joined

    Raises
    ------
    RefusedError
        If they do not belong together, naming everything that disagrees; or another file is in the way.
    InputError
        If `labels` is no detached file, or a file cannot be read or written.
    UsageError
        If the source is an address and a local file is needed.

    Examples
    --------
    >>> join("sub-1_desc-celltype_ecephys.nwb", "session.nwb", merge=True).file  # doctest: +SKIP
    PosixPath('session_celltype.nwb')
    """
    labels = Path(labels).expanduser()
    asset = read_source(labels)
    if asset is None:
        message = f"{labels} holds no detached labels; give a file that `fetch` or `annotate` of an archive wrote."
        raise InputError(message)
    with open_source(labels) as opened:
        stored = read_stored(opened, str(labels))
    if is_remote(source):
        if merge or out is None:
            message = f"{source} is an address; fetch the file first, or name a folder for the labels."
            raise UsageError(message)
        target = Path(out).expanduser()
    else:
        source = Path(source).expanduser()
        name = f"{source.stem}_celltype.nwb" if merge else labels.name
        target = source.with_name(name) if out is None else Path(out).expanduser()
        target = target / name if target.is_dir() else target
    if merge and target.exists() and target.samefile(source):
        message = f"{target} is the source itself, which is not changed; give another name."
        raise UsageError(message)
    runs = [one.run for one in stored]
    if not merge:
        with open_source_units(source, asset, runs, check_data=check_data):
            return _put_beside(labels, target / labels.name if target.is_dir() else target, stored, on_phase)
    base = target if target.exists() else Path(source)
    before = fingerprint(base)
    for file in {Path(source), base}:
        with open_source_units(file, asset, runs, check_data=check_data) as units:
            place = _place(units, base.name)
    names = {one.run.name: _stored_name(base, one.run, place) for one in stored}
    if all(names.values()) and (base == target or out is None):
        tidy(base)
        return Joined(base, tuple(names.values()), is_new=False, is_merged=True)

    def append(path: Path) -> None:
        for one in stored:
            if not names[one.run.name]:
                names[one.run.name] = free_run_name(path, one.run.name)
                supersedes = names.get(one.run.supersedes) or one.run.supersedes
                graft(path, replace(one.annotation, supersedes=supersedes), replace(place, name=names[one.run.name]))

    def validate(path: Path) -> None:
        require_no_new_messages(path, base, ", ".join(names))
        for one in stored:
            require_same_answers(path, names[one.run.name], one.run)

    write_safely(base, target, append, validate, on_phase, expected=before)
    return Joined(target, tuple(names.values()), is_new=True, is_merged=True)


def _place(units: Units, file_name: str) -> Place:
    session = units.session
    return Place(
        "", session.units_path, session.units_object_id, session.identifier, np.array(units.unit_ids), file_name
    )


def _stored_name(base: Path, run: Run, place: Place) -> str:
    """Name under which a file holds a run of these units already; empty if it does not."""
    same = (one for one in read_runs(base) if one.units_path in ("", place.units_path) and is_same_run(one, run))
    return next((one.name for one in same), "")


def _put_beside(labels: Path, target: Path, stored: Sequence[StoredRun], on_phase: OnPhase) -> Joined:
    names = tuple(one.run.name for one in stored)
    if target.exists():
        if target.samefile(labels) or (target.is_file() and filecmp.cmp(labels, target, shallow=False)):
            return Joined(target, names, is_new=False, is_merged=False)
        message = (
            f"{target} is another file; it was left alone. Move it away if {labels} is to take its place, "
            "and join again."
        )
        raise RefusedError(message)

    def validate(path: Path) -> None:
        if not filecmp.cmp(labels, path, shallow=False):
            message = f"{labels} changed while it was being copied; nothing was kept. Run this again."
            raise InputError(message)

    def copy(path: Path) -> None:
        shutil.copyfile(labels, path)

    size = labels.stat().st_size
    create_safely(target, copy, validate, on_phase, needs_bytes=size)
    return Joined(target, names, is_new=True, is_merged=False)
