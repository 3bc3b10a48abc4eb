"""The verb `report`: annotated files in, one page that a physiologist can read out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nwb_celltype.archive.addresses import is_remote
from nwb_celltype.errors import InputError, RefusedError, UsageError
from nwb_celltype.nwb_io.safe_write import create_safely
from nwb_celltype.reporting.gathering import gather
from nwb_celltype.reporting.payload import to_payload
from nwb_celltype.reporting.places import Source
from nwb_celltype.reporting.records import ReportView

if TYPE_CHECKING:
    from nwb_celltype.features.dataset import Progress

MARK = '<meta name="generator" content="nwb-celltype '
"""Stands at the head of every page that was made here; only such a page is replaced."""

_HEAD_BYTES = 4096
_FORMATS = ("png", "svg", "pdf")


@dataclass(frozen=True, eq=False)
class WrittenReport:
    """What was written.

    Attributes
    ----------
    file : Path
        The page.
    view : ReportView
        What it shows.
    figures : tuple of Path
        Figures that were written besides.
    """

    file: Path
    view: ReportView
    figures: tuple[Path, ...] = ()


def report(
    source: Source | Sequence[Source],
    *,
    out: str | Path | None = None,
    figures: str | Path | None = None,
    run: str | None = None,
    units_table: str | None = None,
    model: str | Path | None = None,
    units: Sequence[int] | None = None,
    sources: Sequence[Source] = (),
    explain: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Write one self-contained page about annotated files: summary, probe, map, and the panels of every unit.

    Parameters
    ----------
    source : str or Path, or sequence of them
        An annotated NWB file, a folder, several of them, or addresses. Detached files of labels are shown with their
        source where it lies beside them, and else with what they hold alone.
    out : str or Path, optional
        The page; ``<stem>_report.html`` beside the file by default, and ``report.html`` in a folder. An older report
        of that name is replaced, anything else is not.
    figures : str or Path, optional
        Folder for the figures of the page as PNG, SVG and PDF.
    run : str, optional
        Run that is shown; by default the published one of each file.
    units_table : str, optional
        HDF5 path of the units table, where a file has runs about several.
    model : str or Path, optional
        The model of the run, where it is not found by its name; or one to look at labels of people with.
    units : sequence of int, optional
        Ids of the units that are shown, of one file.
    sources : sequence of str or Path
        Files, and folders of files, in which the units of detached labels are looked for besides their own folder.
    explain : bool
        Say what moved each decision, for which captum is needed.
    progress : callable, optional
        Told a task, the steps done and the number of steps.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError
        If a file cannot be read or holds no runs, or the page cannot be written.
    UsageError
        If there is no such run, units table or unit; or what is needed to make a page is not installed.
    RefusedError
        If another file is in the way.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> nct.report("session_celltype.nwb")  # doctest: +SKIP
    PosixPath('session_celltype_report.html')
    """
    return write_report(
        source,
        out=out,
        figures=figures,
        run=run,
        units_table=units_table,
        model=model,
        units=units,
        sources=sources,
        explain=explain,
        progress=progress,
    ).file


def write_report(
    source: Source | Sequence[Source],
    *,
    out: str | Path | None = None,
    figures: str | Path | None = None,
    run: str | None = None,
    units_table: str | None = None,
    model: str | Path | None = None,
    units: Sequence[int] | None = None,
    sources: Sequence[Source] = (),
    explain: bool = True,
    progress: Progress | None = None,
) -> WrittenReport:
    """Write a report, as `report`, and say what it shows; parameters and errors are the same."""
    target = _target(source, out)
    _refuse_foreign(target)
    folder = None if figures is None else Path(figures).expanduser()
    if folder is not None and folder.exists() and not folder.is_dir():
        message = f"{folder} is a file; name a folder for the figures."
        raise UsageError(message)
    # what is not installed is said before the work, not after
    from nwb_celltype.reporting.page import render

    if folder is not None:
        from nwb_celltype.reporting.figures import write_figures

    view = gather(
        source,
        run=run,
        units_table=units_table,
        model=model,
        units=units,
        sources=sources,
        explain=explain,
        progress=progress,
    )
    page = render(to_payload(view)).encode("utf-8")
    if progress is not None:
        progress("page", 1, 1)

    def write(path: Path) -> None:
        path.write_bytes(page)

    def validate(path: Path) -> None:
        if MARK.encode() not in page[:_HEAD_BYTES] or path.read_bytes() != page:
            message = f"{target} could not be written as it should be; nothing was kept. Run this again."
            raise InputError(message)

    create_safely(target, write, validate, replaces=True, needs_bytes=len(page))
    made: Sequence[Path] = () if folder is None else write_figures(view, folder, formats=_FORMATS, progress=progress)
    return WrittenReport(target, view, tuple(made))


def _target(source: Source | Sequence[Source], out: str | Path | None) -> Path:
    given = [source] if isinstance(source, str | Path) else list(source)
    if not given:
        message = "No file was named to report on."
        raise UsageError(message)
    default = _beside(given)
    if out is None:
        return default
    target = Path(out).expanduser()
    return target / default.name if os.path.isdir(target) else target


def _beside(given: Sequence[Source]) -> Path:
    first = str(given[0])
    if is_remote(first):
        stem = Path(first.partition("?")[0].rstrip("/").rpartition("/")[2]).stem
        return Path("report.html" if len(given) > 1 else f"{stem}_report.html")
    path = Path(first).expanduser()
    if os.path.isdir(path):  # unlike the methods of `Path`, these take any name
        return path / "report.html"
    if len(given) > 1 or not os.path.isfile(path):
        return (path.parent if path.parent.is_dir() else Path()) / "report.html"
    return path.with_name(f"{path.stem}_report.html")


def _refuse_foreign(target: Path) -> None:
    """Leave alone what is no report."""
    if not os.path.exists(target):
        return
    try:
        with target.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        message = f"{target} cannot be read, so it is not known whether it may be replaced: {error}. Name another file."
        raise RefusedError(message) from error
    if MARK.encode() not in head:
        message = f"{target} is no report of nwb-celltype and was left alone; choose another name with --out."
        raise RefusedError(message)
