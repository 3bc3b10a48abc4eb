"""Convert many sessions one after another: a bad one is reported and stops nothing, a rerun does what is left."""

from __future__ import annotations

import hashlib
import json
import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

from nwb_celltype import __version__
from nwb_celltype.converters.assembly import Progress
from nwb_celltype.converters.conversion import Conversion, Metadata, convert, target_of
from nwb_celltype.converters.interface import SessionInterface
from nwb_celltype.converters.kinds import KINDS, interface_for
from nwb_celltype.converters.metadata import check_metadata, check_sections, read_metadata
from nwb_celltype.converters.records import SourceSession
from nwb_celltype.converters.series.batch_report import BatchReport, ReportFile, SessionRow, Status
from nwb_celltype.converters.series.requests import ConvertOptions, Request, SessionRequest, filled_in, request_for
from nwb_celltype.converters.series.sources import Source, find_sources, require_folder, sizes_of
from nwb_celltype.errors import CellTypeError, InputError, NothingToDoError, RefusedError, UsageError
from nwb_celltype.nwb_io.safe_write import OnPhase

OnSession = Callable[[str], None]


def convert_many(
    kind: str,
    patterns: str | Path | Sequence[str | Path],
    *,
    metadata: Metadata = None,
    out: str | Path,
    recording: str | None = None,
    labels: str | None = None,
    sorting: str | None = None,
    resume: bool = True,
    overwrite: bool = False,
    dry_run: bool = False,
    on_session: OnSession = lambda _: None,
    on_phase: OnPhase = lambda _: None,
    progress: Progress | None = None,
    **options: Unpack[ConvertOptions],
) -> BatchReport:
    """Convert many sessions; each that fails is reported, and the others are converted all the same.

    The report, ``conversion_report.json`` and ``.tsv`` in `out`, is renewed after every session. Run again, sessions
    are passed over whose file is there and whose source, metadata, options and version of this package are the same.

    Parameters
    ----------
    kind : str
        A key of `nwb_celltype.converters.KINDS`.
    patterns : str, Path or sequence of them
        Sessions, or patterns of their names (``data/*/kilosort4``). A C4 database stands for all its recordings.
    metadata : mapping, path or sequence of paths, optional
        Of the lab. Over them go, the later the stronger: ``metadata.yaml`` in the folder that holds the session,
        ``<session>.metadata.yaml`` there, and ``metadata.yaml`` in the session's folder. What none of them states is
        taken from the source, if it says so.
    out : str or Path
        Folder of the results; files get DANDI's names.
    recording : str, optional
        One recording of sources that hold several (kind ``c4``).
    labels : str, optional
        Name of the table of labels in or beside each session; ``{name}`` stands for the session's name. A session
        without one is converted without labels of the user.
    sorting : str, optional
        Likewise the sorting of each session, for kinds that take one; a session without it fails.
    resume : bool
        Whether to pass over what is unchanged.
    overwrite : bool
        Convert all again, and replace files that are there. Never does one session replace another of the series.
    dry_run : bool
        Plan every session; write nothing.
    on_session : callable, optional
        Told a line for each session.
    on_phase, progress : callable, optional
        As for `convert`.
    **options
        Further options of `convert`, for every session: `raw`, `stub_s`, `labels_are`, `by`, `taxonomy`, `inspect`,
        `n_channels`, `max_spikes`, `seed`.

    Returns
    -------
    BatchReport

    Raises
    ------
    NothingToDoError
        If no session matches.
    UsageError
        If the call is wrong for all sessions.
    InputError
        If metadata of the lab cannot be read, no session has the labels or sorting that are named, or the report cannot
        be read or written.
    RefusedError
        If another process converts into the same folder.

    Examples
    --------
    >>> report = convert_many("phy", "data/*/kilosort4", metadata="lab.yaml", out="dandiset")  # doctest: +SKIP
    >>> report.counts  # doctest: +SKIP
    {'failed': 1, 'written': 11}
    """
    if kind not in KINDS:
        message = f"There is no kind {kind!r}; choose one of {', '.join(KINDS)}."
        raise UsageError(message)
    unknown = sorted(set(options) - set(ConvertOptions.__annotations__))
    if unknown:
        message = f"There is no option {', '.join(unknown)}; choose of {', '.join(ConvertOptions.__annotations__)}."
        raise UsageError(message)
    folder = require_folder(out)
    sources = find_sources(kind, patterns, recording=recording, out=folder)
    request = Request(kind, _read(metadata), labels, sorting, options)
    request.check(sources)
    report = ReportFile(folder)
    series = _Series(request, report, sources, resume and not overwrite, overwrite, dry_run, on_phase, progress)
    if dry_run:
        return BatchReport(folder, series.convert_all(on_session))
    with report.only_writer():
        return BatchReport(folder, series.convert_all(on_session))


def _read(metadata: Metadata) -> Mapping[str, Any]:
    if metadata is None:
        return {}
    return metadata if isinstance(metadata, Mapping) else read_metadata(metadata)


@dataclass
class _Series:
    """The sessions of one call, and which file belongs to which of them."""

    request: Request
    report: ReportFile
    sources: Sequence[Source]
    resume: bool
    overwrite: bool
    dry_run: bool
    on_phase: OnPhase
    progress: Progress | None
    taken: dict[Path, tuple[str, str, str]] = field(default_factory=dict)

    def convert_all(self, on_session: OnSession) -> tuple[SessionRow, ...]:
        """Convert one session after another; those at which an earlier run was stopped come last."""
        before = [self._earlier(source) for source in self.sources]
        was_stopped = [row is not None and row.status == "started" for row in before]
        rows: dict[int, SessionRow] = {}
        for done, k in enumerate(sorted(range(len(self.sources)), key=lambda k: was_stopped[k]), start=1):
            on_session(f"session {done}/{len(self.sources)}: {self.sources[k]}")
            rows[k] = self._row_of(self.sources[k], before[k])
            on_session(f"{rows[k].status}{': ' if rows[k].message else ''}{rows[k].message}")
            if not self.dry_run:
                self.report.put(rows[k])
        return tuple(rows[k] for k in range(len(rows)))

    def _earlier(self, source: Source) -> SessionRow | None:
        return self.report.rows.get((self.request.kind, *source.key))

    def _row_of(self, source: Source, before: SessionRow | None) -> SessionRow:
        """Convert one session; whatever goes wrong becomes a row."""
        began = time.monotonic()
        base = SessionRow(self.request.kind, *source.key)
        if before is not None:  # a file that was written stays known as this session's, even where a new try fails
            base = replace(base, file=before.file, stamp=before.stamp)
        try:
            row = _Attempt(self, source, before, base).row()
        except CellTypeError as error:
            row = replace(self._left_behind(base), status=_status_of(error), message=str(error))
        except Exception as error:  # one broken source must not keep the others from being converted
            text = f"Unexpected: {type(error).__name__}: {error}. Please report this; the report has the details."
            trace = "".join(traceback.format_exception(error))
            row = replace(self._left_behind(base), status="failed", message=text, trace=trace)
        return replace(row, seconds=round(time.monotonic() - began, 3))

    def _left_behind(self, base: SessionRow) -> SessionRow:
        """Row of a session that failed; a file that it had finished before it failed is its own all the same."""
        start = self.report.rows.get(base.key)
        if start is None or start.status != "started" or self.dry_run:
            return base
        stamp = _stamp(self.report.folder / start.file)
        return base if stamp is None or stamp == start.stamp else replace(base, file=start.file, stamp=stamp)


def _status_of(error: CellTypeError) -> Status:
    if isinstance(error, RefusedError):
        return "refused"
    return "nothing" if isinstance(error, NothingToDoError) else "failed"


@dataclass
class _Attempt:
    """One session's way to its file."""

    series: _Series
    source: Source
    before: SessionRow | None
    base: SessionRow

    def row(self) -> SessionRow:
        """Convert the session, or find that nothing has changed."""
        asked = request_for(self.source, self.series.request)
        files = self.source.files(self.series.report.folder)
        same = self._unchanged(asked, files)
        if same is not None:
            return same
        interface = self._read(asked)
        session = interface.session
        metadata, taken = filled_in(asked.metadata, interface.get_metadata())
        further = _further_files(session, asked, files, self.source)
        target = self._place(metadata, session)
        replaces = self._claim(target)
        start = replace(
            self.base,
            status="started",
            file=self._name(target),
            stamp=_stamp(target),
            metadata=tuple(str(path) for path in asked.files),
            from_source=taken,
            further=further,
            digests=_digests(files | sizes_of(further), asked),
        )
        why = self._why_again(start)
        if not self.series.dry_run:
            self.series.report.put(start)
        done = self._convert(interface, asked, metadata, replaces=replaces)
        notes = [why, *self._notes(asked, target)]
        row = _finished(start, done, " ".join(note for note in notes if note))
        return row if self.series.dry_run else replace(row, stamp=_stamp(target))

    def _read(self, asked: SessionRequest) -> SessionInterface:
        """Read the source."""
        paths = [self.source.path, *([] if asked.sorting is None else [asked.sorting])]
        interface = interface_for(self.series.request.kind, paths, recording=self.source.recording)
        try:
            _ = interface.session
        except OSError as error:
            message = f"{error.filename or self.source} cannot be read: {error.strerror or error}. Check it."
            raise InputError(message) from error
        return interface

    def _convert(
        self, interface: SessionInterface, asked: SessionRequest, metadata: Mapping[str, Any], *, replaces: bool
    ) -> Conversion:
        series = self.series
        options = dict(series.request.options)
        if asked.labels is None:
            options.pop("by", None)
        return convert(
            series.request.kind,
            interface,
            metadata=metadata,
            out=series.report.folder,
            labels=asked.labels,
            overwrite=replaces,
            dry_run=series.dry_run,
            on_phase=series.on_phase,
            progress=series.progress,
            **options,  # type: ignore[arg-type]
        )

    def _unchanged(self, asked: SessionRequest, files: Mapping[str, tuple[int, int]]) -> SessionRow | None:
        """Row of a session whose file is there and for which nothing has changed."""
        before = self.before
        if before is None or not self.series.resume or not before.file or not before.digests:
            return None
        target = self.series.report.folder / before.file
        stamp = _stamp(target)
        if stamp is None or before.digests != _digests({**files, **sizes_of(before.further)}, asked):
            return None
        if before.status in {"written", "unchanged"}:
            self.series.taken[target] = self.base.key
            return replace(before, status="unchanged", message="")
        if before.status == "started" and stamp != before.stamp:
            self.series.taken[target] = self.base.key
            units, spikes = _counts_in(target)
            text = "The file was finished when the run was stopped."
            return replace(before, status="unchanged", stamp=stamp, units=units, spikes=spikes, message=text)
        return None

    def _place(self, metadata: Mapping[str, Any], session: SourceSession) -> Path:
        try:
            checked = check_metadata(metadata, session)
        except InputError:
            if not self.series.dry_run:
                raise
            checked = check_sections(metadata, session, strict=False)
        return target_of(self.series.report.folder, checked)

    def _claim(self, target: Path) -> bool:
        """Make a file this session's, and say whether it is to be replaced.

        Raises
        ------
        RefusedError
            If it is another session's, or not as this program left it.
        """
        series, name = self.series, self._name(target)
        ours = self.before is not None and self.before.file == name
        owner = series.taken.get(target)
        if owner is None and not ours and target.exists():
            others = {(series.request.kind, *source.key) for source in series.sources}
            rows = series.report.rows.values()
            owner = next((r.key for r in rows if r.file == name and (r.key in others or not series.overwrite)), None)
        if owner is not None and owner != self.base.key:
            message = (
                f"{self.source} would get the name {name}, which is that of {' '.join(filter(None, owner[1:]))}. "
                "Give one of them another session_id or subject_id."
            )
            raise RefusedError(message)
        if target.exists() and not series.overwrite:
            if not ours:
                message = f"{target} exists; it was left alone. Move it away, or replace it with --overwrite."
                raise RefusedError(message)
            if self.before is not None and _stamp(target) != self.before.stamp:
                message = (
                    f"{target} was changed by somebody since it was converted, so it was left alone although its "
                    "source, metadata or options have changed too. Move it away, or replace it with --overwrite."
                )
                raise RefusedError(message)
        series.taken[target] = self.base.key
        return target.exists()

    def _why_again(self, start: SessionRow) -> str:
        """Say why a session that was converted before is converted again."""
        before = self.before
        if before is None or not before.digests or before.status == "started" or self.series.overwrite:
            return ""
        words = {"source": "its source has changed", "request": "metadata or options have changed",
                 "version": "this package has changed"}  # fmt: skip
        changed = [text for name, text in words.items() if before.digests.get(name) != start.digests[name]]
        return f"Converted again: {', '.join(changed)}." if changed else ""

    def _notes(self, asked: SessionRequest, target: Path) -> list[str]:
        notes = []
        if self.series.request.labels is not None and asked.labels is None:
            notes.append(f"It has no labels {self.series.request.labels}.")
        old = self.before.file if self.before is not None else ""
        if old and old != self._name(target) and (self.series.report.folder / old).exists():
            notes.append(f"It has another name now; {old} is still there.")
        return notes

    def _name(self, target: Path) -> str:
        return os.path.relpath(target, self.series.report.folder)


def _finished(start: SessionRow, done: Conversion, message: str) -> SessionRow:
    units = sum(probe.n_units for probe in done.plan.probes)
    spikes = sum(probe.n_spikes for probe in done.plan.probes)
    row = replace(start, units=units, spikes=spikes, message=message)
    if done.file is not None:
        return replace(row, status="written", runs=done.runs, remarks=done.remarks)
    problems = done.plan.problems
    status: Status = "failed" if problems else "planned"
    return replace(row, status=status, message=problems or message, plan=done.plan.to_json())


def _further_files(
    session: SourceSession, asked: SessionRequest, files: Mapping[str, tuple[int, int]], source: Source
) -> tuple[str, ...]:
    """Files of the traces, and the sorting, that do not lie in or beside the source."""
    series = [traces for r in session.recordings for traces in (r.traces, r.lfp) if traces is not None]
    paths = [Path(path) for traces in series for path in traces.paths]
    paths += [path.with_suffix(".meta") for path in paths]
    if asked.sorting is not None:
        paths += [p for p in asked.sorting.rglob("*") if p.is_file()] if asked.sorting.is_dir() else [asked.sorting]
    top = Path(source.key[0]).parent
    real = sorted({os.path.realpath(path) for path in paths if path.is_file()})
    return tuple(path for path in real if os.path.relpath(path, top) not in files)


def _digests(files: Mapping[str, tuple[int, int]], asked: SessionRequest) -> dict[str, str]:
    content = json.dumps(sorted(files.items())).encode()
    source = hashlib.sha256(content).hexdigest()
    return {"source": source, "request": asked.digest, "version": __version__}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _counts_in(path: Path) -> tuple[int, int]:
    """Units and spikes of a file that an earlier run wrote."""
    import h5py  # type: ignore[import-untyped,unused-ignore]

    with h5py.File(path) as file:
        return (len(file["units/id"]), len(file["units/spike_times"])) if "units" in file else (0, 0)
