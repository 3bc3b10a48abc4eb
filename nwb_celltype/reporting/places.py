"""Which files a report is about, and where the units of each are."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from nwb_celltype.archive.addresses import is_remote
from nwb_celltype.errors import CellTypeError, InputError, RefusedError, UsageError
from nwb_celltype.provenance import SourceAsset, disagreements, find_source_beside, read_source
from nwb_celltype.runs import Run, choose_among, read_runs, run_files
from nwb_celltype.units import Units, read_units

Source = str | Path


@dataclass(frozen=True, eq=False)
class Opened:
    """One annotated file with the units that its run is about.

    Attributes
    ----------
    path : str or Path
    run : Run
        The run that is shown.
    runs : tuple of Run
        Those about the same units table.
    source : SourceAsset or None
        Of a detached file.
    units : Units or None
        The units of the run in its order, those that the table does not have left out; None where they are not at hand.
    notes : tuple of str
    """

    path: Source
    run: Run
    runs: tuple[Run, ...]
    source: SourceAsset | None
    units: Units | None
    notes: tuple[str, ...]


def files_of(source: Source | Sequence[Source]) -> tuple[list[Source], list[str]]:
    """Files to look into, and notes on those of a folder that carry no runs or cannot be read.

    Parameters
    ----------
    source : str or Path, or sequence of them
        Files, folders (searched with all below them), patterns, or addresses.

    Returns
    -------
    files : list
        Each once, by name within a folder.
    notes : list of str

    Raises
    ------
    InputError
        If there is nothing with runs.
    """
    given = [source] if isinstance(source, str | Path) else list(source)
    if not given:
        message = "No file was named to report on."
        raise UsageError(message)
    files: list[Source] = []
    notes: list[str] = []
    for one in given:
        if is_remote(one):
            files += run_files(one)
            continue
        path = Path(one).expanduser()
        if os.path.isdir(path):  # unlike the methods of `Path`, these take any name
            members = sorted(p for p in path.rglob("*.nwb") if p.is_file() and not p.name.startswith("."))
        elif not os.path.exists(path) and isinstance(one, str) and glob.has_magic(one):
            members = sorted(Path(p) for p in glob.glob(str(path), recursive=True) if os.path.isfile(p))
        else:
            files.append(path)
            continue
        found, said = _with_runs(members)
        if not found:
            message = (
                f"None of the {len(members)} NWB files in {one} holds annotation runs; annotate them first: "
                f"nwb-celltype annotate {one}."
            )
            raise InputError("\n  ".join([message, *said]))
        files += found
        notes += said
    return list(dict.fromkeys(files)), notes


def open_run(
    path: Source, name: str | None, units_table: str | None, stack: ExitStack, sources: Sequence[Source] = ()
) -> Opened:
    """Choose the run of a file and open its units; `stack` closes them.

    `sources` are files, and folders of files, in which the units of detached labels are looked for first.

    Raises
    ------
    InputError
        If the file cannot be read, or holds no runs (about that units table).
    UsageError
        If there is no run of that name.
    """
    runs = read_runs(path)
    if not runs:
        message = f"{path} holds no annotation runs; annotate it first: nwb-celltype annotate {path}."
        raise InputError(message)
    notes: list[str] = []
    if units_table is not None:
        wanted = "/" + units_table.strip("/")
        about = [run for run in runs if run.units_path in ("", wanted)]
        if not about:
            tables = ", ".join(sorted({run.units_path for run in runs}))
            message = f"{path} has no run about the units table {wanted}; its runs are about {tables}."
            raise UsageError(message)
        runs = about
    run = choose_among(runs, path, name)
    apart = sorted({one.units_path for one in runs if one.units_path and one.units_path != run.units_path})
    if apart and run.units_path:
        others = ", ".join(apart)
        notes.append(f"The file also has runs about other units tables ({others}); name one with --units-table.")
    same = tuple(one for one in runs if one.units_path == run.units_path)
    source = read_source(path)
    units, said = _units_of(path, run, source, units_table, stack, sources)
    return Opened(path, run, same, source, units, (*notes, *said))


def _units_of(
    path: Source,
    run: Run,
    source: SourceAsset | None,
    units_table: str | None,
    stack: ExitStack,
    sources: Sequence[Source],
) -> tuple[Units | None, list[str]]:
    if source is None:
        where: Source = path
        table = run.units_path or units_table
    else:
        beside = _named_source(source, sources)
        if beside is None and not is_remote(path):
            beside = find_source_beside(Path(path), source)
        if beside is None:
            about = source.address or source.path or source.identifier or "its source"
            return None, [
                f"This file holds labels alone, and the file with the units ({about}) is not beside it: no waveform, "
                "spike train or position can be shown. Put it into the same folder (nwb-celltype fetch does) or name "
                "its folder with --sources, and make the report again."
            ]
        where, table = beside, source.units_path or None
    try:
        units = read_units(where, units_table=table)
    except CellTypeError as error:
        if isinstance(error, UsageError | InputError | RefusedError):
            return None, [f"The units could not be read, so only what the run itself holds is shown: {error}"]
        raise
    stack.enter_context(units)
    notes = []
    if source is not None:
        found = disagreements(units, source, [run], check_data=False)
        if found:
            return None, [
                f"The units of {where} are not shown, because they are not those of the run: {'; '.join(found)}."
            ]
        notes.append(f"Waveforms and spike trains are from {Path(where).name}, the source of these labels.")
    elif run.units_object_id and units.session.units_object_id and run.units_object_id != units.session.units_object_id:
        notes.append(
            f"The run was made about another units table (object id {run.units_object_id}) than that of the file; "
            "labels may belong to other units than those shown here."
        )
    known = set(units.unit_ids.tolist())
    kept = [unit_id for unit_id in run.unit_ids.tolist() if unit_id in known]
    if len(kept) < len(run):
        gone = [str(unit_id) for unit_id in run.unit_ids.tolist() if unit_id not in known]
        shown = ", ".join(gone[:5]) + (", ..." if len(gone) > 5 else "")
        notes.append(f"{len(gone)} units of the run are not in the units table any more ({shown}).")
    if not kept and len(run):
        return None, notes
    others = len(units) - len(kept)
    if others:
        notes.append(
            f"The run says nothing about {others:,} of the {len(units):,} units of the table; they are not shown."
        )
    return units.select(kept), notes


def _named_source(source: SourceAsset, places: Sequence[Source]) -> Path | None:
    """Find the source of detached labels by its path or name in these places; whether it is it, is checked later."""
    name = source.path.rpartition("/")[2]
    for place in map(Path, places):
        candidates = [place / source.path, place / name] if place.is_dir() else [place]
        found = next((one for one in candidates if name and one.name == name and one.is_file()), None)
        if found is not None:
            return found
    return None


def _with_runs(members: Sequence[Path]) -> tuple[list[Source], list[str]]:
    found: list[Source] = []
    notes: list[str] = []
    for path in members:
        try:
            has_runs = bool(read_runs(path))
        except CellTypeError as error:
            notes.append(f"{path.name} was left out: {error}")
            continue
        if has_runs:
            found.append(path)
        else:
            notes.append(f"{path.name} was left out: it holds no annotation runs.")
    return found, notes
