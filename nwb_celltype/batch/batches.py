"""Annotate many assets: plan, run, keep a journal; what is done stays done."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nwb_celltype.archive.addresses import DandiAddress, UrlAddress
from nwb_celltype.batch.dandiset_draft import write_draft
from nwb_celltype.batch.journal import Entry, Journal, Skip, file_sha256, stamp_of
from nwb_celltype.batch.names import Session, name_files
from nwb_celltype.batch.records import AssetOutcome, BatchResult, Failure, Plan, PlannedAsset, counted
from nwb_celltype.batch.requests import Request, entities_of, make_request
from nwb_celltype.batch.sessions import AnnotateTask, Labels, Look, LookTask, annotate_item, look_at
from nwb_celltype.batch.sources import Found, Item, find_items
from nwb_celltype.batch.unit_table import NAME as UNITS_FILE
from nwb_celltype.batch.unit_table import write_unit_table
from nwb_celltype.batch.workers import WAIT_S, WorkerChoice, Workers, require_installed
from nwb_celltype.errors import InputError, NothingToDoError, RefusedError, UsageError
from nwb_celltype.layers import LayerTable
from nwb_celltype.nwb_io.safe_write import create_safely, tidy
from nwb_celltype.priors import PriorSource

Progress = Callable[[str, int, int], None]
"""Told a task, the steps that are done, and the number of steps."""


def annotate_many(
    source: str | Path | DandiAddress | UrlAddress | Sequence[Any],
    *,
    out: str | Path | None = None,
    model: str | Path = "cerebellum",
    glob: str | None = None,
    region: str | None = None,
    where: Mapping[str, str] | Sequence[str] | None = None,
    threshold: float | None = None,
    prior: PriorSource = "uniform",
    layers: str | Path | None = None,
    units_table: str | None = None,
    instance: str | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    cluster_options: Mapping[str, Any] | None = None,
    wait_s: float = WAIT_S,
    dry_run: bool = False,
    overwrite: bool = False,
    cache: bool | str | Path = False,
    progress: Progress | None = None,
    on_phase: Callable[[str], None] = lambda _: None,
    on_plan: Callable[[Plan], None] = lambda _: None,
) -> BatchResult:
    """Annotate the units of many recordings; each session's labels go into a small file of their own.

    First a plan is made from metadata and small columns. Then one asset after the other is read, of remote ones only
    the bytes of the chosen units, and its labels are put into `out`, a dandiset folder: one detached file a session
    (``sub-<S>/sub-<S>[_ses-<E>]_desc-celltype_ecephys.nwb``), ``dandiset.yaml``, and ``units.parquet`` with one row a
    unit. A journal in it says what was made from what, so that a run that was stopped, however, goes on where it was,
    and a rerun does only what is missing or has changed. An asset that fails stops nothing.

    In a script, call it below ``if __name__ == "__main__":``, because local processes import the script again.

    Parameters
    ----------
    source : str, Path, address or sequence of them
        A dandiset (``DANDI:000409``), an asset, a URL, a folder, files, patterns of paths. Without ``@VERSION`` the
        catalogue's version of a dandiset or of a folder in it is meant, where it has one; of one asset, and where it
        has none, the newest published one, as for `read_units`.
    out : str or Path, optional
        Folder of the results; ``<source>_celltype`` by default.
    model : str or Path
        Name of a shipped model, or path of a model folder that all workers see.
    glob : str, optional
        Pattern of the paths of assets (``*desc-processed*``); the catalogue's, or all, by default.
    region : str, optional
        ``cerebellum``, or words or a pattern of the region; others, and units of unknown region, are left out. By
        default units known to lie outside the model's tissue are left out, and those of unknown region kept.
    where : mapping of str to str, or sequence of ``KEY=VALUE``, optional
        Conditions on ``species``, ``subject``, ``session``, ``sex`` or ``path``; patterns are allowed.
    threshold : float, optional
        Least calibrated top probability of an answer.
    prior : {'uniform', 'training', 'auto'}, path, or mapping of class to weight
        How common the classes are held to be; see `nwb_celltype.priors`.
    layers : str or Path, optional
        Layers of units: a table with ``unit_id``, ``layer``, and ``file`` or ``session``; a column of the units tables;
        or ``ignore``. Files that a table says nothing about are annotated as if there were none.
    units_table : str, optional
        HDF5 path of the units table, where files have several.
    instance : str, optional
        Archive that ``DANDI:`` means.
    scheduler : str, optional
        ``processes`` (the default for several assets), ``threads``, ``synchronous``, or the address of a Dask
        scheduler. Workers of a scheduler read the same paths and have the archive's token in their own environment.
    workers : int, optional
        Number of processes, threads, or jobs; one a processor by default.
    cluster : str, optional
        ``slurm``, ``pbs``, ``sge``, ``lsf``, ``htcondor``, ``oar`` or ``moab``, by way of dask-jobqueue.
    cluster_options : mapping, optional
        For dask-jobqueue, over its own configuration.
    wait_s : float, seconds
        How long there may be no worker, at first or later, before the run is given up; jobs of a `cluster` may queue
        for longer.
    dry_run : bool
        Make the plan, write nothing.
    overwrite : bool
        Annotate all again, and replace files that are there, whoever wrote them.
    cache : bool, str or Path
        Keep what is read from servers, in the standard cache or in a folder; by default it is kept only for as long as
        an asset is worked on.
    progress : callable, optional
        Told after each asset a task, the assets done and the number of assets.
    on_phase : callable, optional
        Told a line about what begins: the plan, the workers, each asset that ended.
    on_plan : callable, optional
        Given the plan before the run.

    Returns
    -------
    BatchResult
        `exit_code` is 0 where all is done, the code of the failures where they share one, else 1.

    Raises
    ------
    UsageError
        If options do not fit together, or a package is missing.
    InputError
        If a path or asset does not exist, or the output folder cannot be used.
    NetworkError
        If the archive or scheduler cannot be reached, or the scheduler gets no workers.
    NothingToDoError
        If no asset has units to annotate.
    RefusedError
        If another process annotates into the same folder, or the archive lets nobody read.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> result = nct.annotate_many("DANDI:000409", region="cerebellum", dry_run=True)  # doctest: +SKIP
    >>> print(result.plan)  # doctest: +SKIP
    """
    choice = WorkerChoice(scheduler, workers, cluster, dict(cluster_options or {}), wait_s)
    if not dry_run:
        require_installed("pyarrow")
    request = make_request(
        model, region=region, where=where, threshold=threshold, units_table=units_table, prior=prior, layers=layers
    )
    folder = _output_folder(source, out)
    found = find_items(source, glob=glob, instance=instance, out=folder)
    kept = _cache_folder(cache)
    batch = _Batch(request, found, Journal(folder), kept, choice, overwrite, progress, on_phase)
    with Workers(choice, on_phase) as crew:
        if dry_run:
            plan = batch.make_plan(crew, writes=False)
            on_plan(plan)
            return BatchResult(folder, plan, is_dry_run=True)
        with batch.journal.only_writer():
            plan = batch.make_plan(crew)
            on_plan(plan)
            if not plan.counts.get("to do") and not plan.counts.get("done already") and not plan.counts.get("failed"):
                batch.journal.leave_no_trace()
                raise NothingToDoError(_nothing(plan))
            return batch.run(plan, crew)


def _output_folder(source: Any, out: str | Path | None) -> Path:
    if out is not None:
        folder = Path(out).expanduser()
    else:
        asked = list(source) if isinstance(source, Sequence) and not isinstance(source, str) else [source]
        folder = _default_folder(asked)
    if folder.exists() and not folder.is_dir():
        message = f"{folder} is a file; name a folder with --out."
        raise UsageError(message)
    return Path(os.path.abspath(folder))


def _default_folder(asked: Sequence[Any]) -> Path:
    from nwb_celltype.archive.addresses import is_remote, parse_address

    if len(asked) == 1 and is_remote(asked[0]):
        address = parse_address(asked[0]) if isinstance(asked[0], str) else asked[0]
        if isinstance(address, DandiAddress) and address.dandiset:
            return Path(f"{address.dandiset}_celltype")
        if isinstance(address, UrlAddress):
            return Path(f"{Path(address.text.partition('?')[0].rstrip('/')).stem}_celltype")
    if len(asked) == 1 and not is_remote(asked[0]):
        place = Path(asked[0]).expanduser()
        if place.is_dir():
            place = Path(os.path.abspath(place))
            return place.with_name(f"{place.name}_celltype")
    message = "Several sources have no one name; say with --out which folder the labels go to."
    raise UsageError(message)


def _cache_folder(cache: bool | str | Path) -> str | None:
    if cache is False or cache is None:
        return None
    if cache is not True:
        return str(Path(cache).expanduser().absolute())
    from nwb_celltype.archive.disk_cache import default_folder

    return str(default_folder().absolute())


def _nothing(plan: Plan) -> str:
    most = sorted(plan.skipped.items(), key=lambda pair: -pair[1])
    reasons = "; ".join(f"{counted(n, 'asset')}: {reason}" for reason, n in most[:8])
    return f"There are no units to annotate in {plan.source} ({reasons})."


@dataclass
class _Batch:
    """The assets of one call."""

    request: Request
    found: Found
    journal: Journal
    cache: str | None
    choice: WorkerChoice
    overwrite: bool
    progress: Progress | None
    on_phase: Callable[[str], None]
    looks: dict[str, Look] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    look_keys: dict[str, str] = field(default_factory=dict)

    def make_plan(self, crew: Workers, *, writes: bool = True) -> Plan:
        """Look at every asset that is neither skipped by its metadata, nor by an earlier look, nor done already."""
        self.on_phase(f"plan {counted(len(self.found.items), 'asset')} of {self.found.text}")
        rows: dict[str, PlannedAsset] = {}
        to_look: list[Item] = []
        for item in self.found.items:
            row = self._known_row(item)
            if row is None:
                to_look.append(item)
            else:
                rows[item.source] = row
        tasks = [LookTask(item, self.request, self.cache) for item in to_look]
        for done, (k, answer) in enumerate(crew.run(look_at, tasks), start=1):
            look = Look(failure=answer, size=to_look[k].size) if isinstance(answer, Failure) else answer
            self.looks[to_look[k].source] = look
            if writes:
                self._note_skipped(to_look[k], look)
            if self.progress is not None:
                self.progress("plan", done, len(tasks))
        self._name_files(to_look)
        for item in to_look:
            rows[item.source] = self._looked_row(item)
        return Plan(
            source=self.found.text,
            out=str(self.journal.folder),
            model=self.request.model_name,
            assets=tuple(rows[item.source] for item in self.found.items),
            region=self.request.rule.text,
            notes=(*self.found.notes, *self._foreign_layers()),
        )

    def _foreign_layers(self) -> list[str]:
        """Say which lines of a table of layers name files that are none of these."""
        layers = self.request.layers
        if not isinstance(layers, LayerTable):
            return []
        places = [place for item in self.found.items for place in (item.path, item.source, item.address)]
        foreign = sorted(
            {row.file for row in layers.rows if row.file and not replace(row, session="").is_of(places, ())}
        )
        if not foreign:
            return []
        return [
            f"{layers.name} names {counted(len(foreign), 'file')} that {self.found.text} does not hold: {foreign[0]}"
        ]

    def run(self, plan: Plan, crew: Workers) -> BatchResult:
        """Annotate what is to do; whatever ends one asset, the others go on."""
        items = {item.source: item for item in self.found.items}
        planned = {item.source: row for item, row in zip(self.found.items, plan.assets, strict=True)}
        settled = {source: row for source, row in planned.items() if row.status != "to do"}
        outcomes = {source: _settled(row, self.journal.entries.get(source)) for source, row in settled.items()}
        to_do = [items[source] for source, row in planned.items() if row.status == "to do"]
        tasks = []
        for item in list(to_do):
            try:
                tasks.append(self._task(item))
            except (RefusedError, InputError) as error:
                to_do.remove(item)
                outcomes[item.source] = _failed(planned[item.source], Failure.of(error))
        for done, (k, answer) in enumerate(crew.run(annotate_item, tasks), start=1):
            item = to_do[k]
            labels = Labels(failure=answer) if isinstance(answer, Failure) else answer
            outcome = outcomes[item.source] = self._keep(item, planned[item.source], labels)
            said = f": {outcome.reason}" if outcome.reason else f" -> {outcome.file}"
            self.on_phase(f"{outcome.status} {done}/{len(tasks)}: {item.path}{said}")
            if self.progress is not None:
                self.progress("annotate", done, len(tasks))
        units_file, notes = self._finish()
        assets = tuple(outcomes[item.source] for item in self.found.items)
        return BatchResult(self.journal.folder, plan, assets, units_file, notes=notes)

    def _known_row(self, item: Item) -> PlannedAsset | None:
        """Plan of an asset that need not be opened."""
        row = PlannedAsset(item.address, item.path, "skipped", size=item.size)
        skipped = item.skipped or self.request.unmet(item.known, whole=False)
        skipped = skipped or self.request.foreign(item.known.get("species", ""))
        if skipped:
            return replace(row, reason=skipped)
        stamp = stamp_of(item.location) if isinstance(item.location, Path) else ()
        self.look_keys[item.source] = self.request.look_key(f"stamp:{stamp}" if stamp else item.digest)
        entry, skip = self.journal.entries.get(item.source), self.journal.skips.get(item.source)
        if self.overwrite:
            return None
        if skip is not None and skip.key and skip.key == self.look_keys[item.source]:
            return replace(row, reason=skip.reason)
        if entry is None:
            return None
        digest = entry.digest if entry.stamp and entry.stamp == stamp else item.digest
        return self._done_row(row, item, entry, digest)

    def _note_skipped(self, item: Item, look: Look) -> None:
        """Write down what was seen in an asset that is not annotated, so that the next run need not open it."""
        key = self.look_keys.get(item.source, "")
        if look.skipped and key:
            self.journal.put_skip(Skip(item.source, key, look.skipped, look.subject, look.session))

    def _done_row(self, row: PlannedAsset, item: Item, entry: Entry, digest: str) -> PlannedAsset | None:
        """Row of an asset whose labels are there, made from the same by the same, and as they were written."""
        if not digest or entry.key != self.request.key_for(digest) or not self.journal.is_intact(entry):
            return None
        if entry.event == "writing":  # the kill came between the file and its line
            self.journal.entries[item.source] = replace(entry, event="done")
        row = replace(row, status="done already", file=entry.file, units=entry.units)
        return replace(row, left_out=entry.left_out, unknown=entry.unknown)

    def _looked_row(self, item: Item) -> PlannedAsset:
        look = self.looks[item.source]
        row = PlannedAsset(
            address=item.address,
            path=item.path,
            status="to do",
            units=look.units,
            left_out=look.left_out,
            unknown=look.unknown,
            bytes_to_read=look.bytes_to_read,
            size=look.size,
            file=self.files.get(item.source, ""),
        )
        if look.failure is not None:
            return replace(row, status="failed", reason=look.failure.reason, failure=look.failure)
        if look.skipped:
            return replace(row, status="skipped", reason=look.skipped, file="")
        entry = self.journal.entries.get(item.source)
        done = None if entry is None or self.overwrite else self._done_row(row, item, entry, look.digest)
        if done is not None:
            return done
        try:
            self._replaceable(item)
        except (RefusedError, InputError) as error:
            failure = Failure.of(error)
            return replace(row, status="failed", reason=failure.reason, failure=failure)
        return row

    def _name_files(self, looked: Sequence[Item]) -> None:
        """Name the labels of what is to be done; the names do not depend on what else was looked at."""
        sessions = [self._session(item) for item in looked if self.looks[item.source].units]
        kept = {source: entry.file for source, entry in self.journal.entries.items()}
        listed = (*self.found.items, *self.found.beside)
        others = [self._session(item) for item in listed if item.is_recording or item.source in kept]
        self.files = name_files(sessions, kept, others)

    def _session(self, item: Item) -> Session:
        """What names the labels of an asset: what an archive or its name says comes before what is in the file."""
        look, skip = self.looks.get(item.source), self.journal.skips.get(item.source)
        seen = look if look is not None and (look.subject or look.session) else skip
        entities = entities_of(item.path) if isinstance(item.location, DandiAddress) else {}
        subject, session = (
            item.known.get(name, "") or entities.get(short, "") or ("" if seen is None else getattr(seen, name))
            for name, short in (("subject", "sub"), ("session", "ses"))
        )
        return Session(item.source, item.path, subject, session)

    def _replaceable(self, item: Item) -> bytes:
        """File of labels of an asset that may be replaced, where there is one; else ``b""``.

        Raises
        ------
        RefusedError
            If a file that this program did not write, or that was changed since, is in the way.
        """
        target = self.journal.folder / self.files[item.source]
        entry = self.journal.entries.get(item.source)
        found = file_sha256(target)
        is_ours = entry is not None and entry.file == self.files[item.source] and entry.sha256 == found
        if found and not is_ours and not self.overwrite:
            who = (
                "was changed by somebody since it was written" if entry is not None else "was not written by this batch"
            )
            message = f"{target} {who}; it was left alone. Move it away, or replace it with --overwrite."
            raise RefusedError(message)
        return target.read_bytes() if found and is_ours else b""

    def _task(self, item: Item) -> AnnotateTask:
        """Make the task of an asset.

        Raises
        ------
        RefusedError
            As `_replaceable`.
        """
        previous = self._replaceable(item)
        is_alone = self.choice.scheduler != "threads"
        return AnnotateTask(item, self.request, self.looks[item.source], self.cache, previous, is_alone)

    def _keep(self, item: Item, row: PlannedAsset, labels: Labels) -> AssetOutcome:
        """Put the labels in their place, and note it."""
        if labels.failure is not None:
            return replace(_failed(row, labels.failure), seconds=labels.seconds)
        look = self.looks[item.source]
        target = self.journal.folder / self.files[item.source]
        entry = Entry(
            event="writing",
            source=item.source,
            key=self.request.key_for(look.digest),
            file=self.files[item.source],
            sha256=_sha256(labels.data),
            units=labels.units,
            typed=labels.typed,
            left_out=labels.left_out,
            unknown=labels.unknown,
            run=labels.run,
            regions=labels.regions,
            verdict=labels.verdict,
            classes=labels.classes,
            address=item.address,
            stamp=look.stamp,
            digest=look.digest,
        )
        try:
            self.journal.put(entry)
            create_safely(
                target, lambda path: _write(path, labels.data), lambda _: None, replaces=True,
                needs_bytes=len(labels.data),
            )  # fmt: skip
            self.journal.put(replace(entry, event="done"))
        except (InputError, RefusedError) as error:
            return replace(_failed(row, Failure.of(error)), seconds=labels.seconds)
        return AssetOutcome(
            address=item.address,
            path=item.path,
            status="done",
            file=entry.file,
            units=labels.units,
            typed=labels.typed,
            left_out=labels.left_out,
            classes=labels.classes,
            bytes_read=labels.bytes_read,
            verdict=labels.verdict,
            seconds=labels.seconds,
        )

    def _finish(self) -> tuple[Path | None, tuple[str, ...]]:
        """Write the table of all units, and the draft of the dandiset's metadata."""
        folder, notes = self.journal.folder, []
        if self.journal.n_damaged:
            n = counted(self.journal.n_damaged, "line")
            notes.append(f"{n} of the journal could not be read; what they named was looked at again.")
        entries = [entry for entry in self.journal.entries.values() if (folder / entry.file).is_file()]
        if not entries:
            return None, tuple(notes)
        for entry in entries:
            tidy(folder / entry.file)
        write_draft(folder, self.found.origins, self.request)
        write_unit_table(folder, entries)
        return folder / UNITS_FILE, tuple(notes)


def _settled(row: PlannedAsset, entry: Entry | None) -> AssetOutcome:
    """Outcome of an asset that is not annotated in this run."""
    if row.status == "failed":
        return _failed(row, row.failure)
    status: Any = row.status
    outcome = AssetOutcome(row.address, row.path, status, row.reason, row.file, units=row.units, left_out=row.left_out)
    if entry is None or status != "done already":
        return outcome
    return replace(outcome, typed=entry.typed, classes=entry.classes, verdict=entry.verdict)


def _failed(row: PlannedAsset, failure: Failure | None) -> AssetOutcome:
    reason = failure.reason if failure is not None else row.reason
    return AssetOutcome(row.address, row.path, "failed", reason, left_out=row.left_out, failure=failure)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()
