"""The verb `fetch`: a dandiset, or what is wanted of it, into a folder of this machine."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from nwb_celltype.archive.addresses import DandiAddress, UrlAddress, parse_address
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.fetching.contents import contents_of
from nwb_celltype.fetching.pairing import LocalSources, Places, join_one, plan_join
from nwb_celltype.fetching.planning import Plan, Planner, Progress
from nwb_celltype.fetching.records import Fetched, FetchedFile, JoinedLabels, mb
from nwb_celltype.fetching.selection import Wanted
from nwb_celltype.fetching.transfers import Transfers

_MARGIN = 4 * 1024 * 1024

OnPlan = Callable[[Fetched], None]
Paths = str | Path | Sequence[str | Path]


def fetch(
    address: str | DandiAddress,
    *,
    out: str | Path | None = None,
    glob: str | None = None,
    labels_only: bool = False,
    ground_truth: bool = False,
    join: Paths | None = None,
    merge: bool = False,
    with_sources: bool = False,
    instance: str | None = None,
    jobs: int = 4,
    overwrite: bool = False,
    dry_run: bool = False,
    on_plan: OnPlan = lambda _: None,
    progress: Progress | None = None,
) -> Fetched:
    """Fetch assets of a dandiset into ``OUT/ID``, under the archive's paths and with their digests checked.

    Everything is planned before a byte is written. A file that is there with the right digest is not fetched again, one
    that differs is left alone, and what a kill or a broken connection left unfinished is taken up where it stopped.
    ``dandiset.yaml`` holds the metadata of the version, ``.nwb-celltype/fetched.jsonl`` what each file is.

    Parameters
    ----------
    address : str or DandiAddress
        ``DANDI:ID[@VERSION][/PATH]`` or another address of a dandiset, a folder in it or an asset. Without a version
        the newest published one is taken, or the draft where there is none; which one is said and recorded.
    out : str or Path, optional
        The folder that gets the dandiset's folder; the working folder by default.
    glob : str, optional
        Only assets whose path matches.
    labels_only : bool
        Detached files of labels come as they are. Of annotated files with their data only the annotation runs come,
        and are written as detached files. Assets without labels are left out.
    ground_truth : bool
        Only assets with a run of ground truth. Their other runs come along; `FetchedFile.ground_truth` says which are.
    join : path or sequence of paths, optional
        Files, or folders of files, that the labels may belong to. Each fetched file of labels is joined to its own,
        which is found by the identifiers in the files: a copy of the labels is put beside it.
        Its name tells from which dandiset it is: ``..._desc-celltype000123_ecephys.nwb``. The folder of a dandiset
        holds nothing but what the archive holds: labels of a source in one go to ``OUT/joined/<ID of the source>``.
    merge : bool
        Write the labels into a copy of the source instead: ``<stem>_celltype.nwb`` beside it, or under ``OUT/merged``
        for a source in the folder of a dandiset. Labels of several dandisets come together in that copy.
    with_sources : bool
        Fetch the files that labels were made from too, from the dandiset and version that the labels name, unless
        `join` has them, and join the labels to them. Annotated files then come whole.
    instance : str, optional
        Archive that ``DANDI:`` means, by name or URL.
    jobs : int
        Files at a time; each comes in several parts at a time.
    overwrite : bool
        Replace files that differ from what the archive has.
    dry_run : bool
        Only plan; nothing is written.
    on_plan : callable, optional
        Given the plan before the first file is fetched.
    progress : callable, optional
        Called with a task, the steps done and the number of steps.

    Returns
    -------
    Fetched
        Also where files failed: look at `Fetched.failures` and `Fetched.exit_code`.

    Raises
    ------
    UsageError
        If the address names no dandiset, or the options contradict each other.
    NothingToDoError
        If the dandiset has no such assets, or none with the labels that are wanted.
    InputError
        If there is no such dandiset or version, a path of `join` does not exist, or the disk is too small.
    RefusedError
        If the archive does not let this user read the dandiset.
    NetworkError
        If the archive cannot be reached while planning.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> fetched = nct.fetch("DANDI:000123", labels_only=True, ground_truth=True, out="labels")  # doctest: +SKIP
    >>> fetched.counts, fetched.exit_code  # doctest: +SKIP
    ({'fetched': 12}, 0)
    """
    _require_sense(jobs=jobs, merge=merge, joins=join is not None or with_sources)
    where = _dandiset_of(address, instance)
    local = LocalSources(_paths(join))
    wanted = Wanted(labels_only, ground_truth, whole=with_sources, needs_source=join is not None or with_sources)
    root = Path.cwd() if out is None else Path(out)
    planner = Planner(root, wanted, glob, jobs, overwrite, progress)
    plan = planner.plan(where, local, with_sources=with_sources)
    planned = replace(plan.report, files=plan.rows(), joined=tuple(plan.joins(local)), dry_run=dry_run)
    on_plan(planned)
    if dry_run:
        return planned
    _require_room(root, plan)
    remarks = _write_metadata(plan, overwrite=overwrite)
    todo = [item.row for item in plan.items if item.row.status == "planned"]
    counter = _Counter(sum(row.n_bytes for row in todo), len(todo), progress)
    transfers = Transfers(overwrite=overwrite, on_bytes=counter.more)
    for item in plan.items:
        transfers.adopt(item)
    rows = _carry_out(plan, transfers, jobs, counter)
    for folder, _ in plan.folders:
        folder.tidy(item.name for item in plan.items if item.folder.root == folder.root)
    joined: list[JoinedLabels] = []
    if plan.needs_join:
        local.add(row.file for row in rows if row.is_here)
        joined = list(_join_all(rows, local, Places(root, planned.dandiset), merge=merge, progress=progress))
    note = "; ".join(filter(None, (planned.note, *remarks)))
    return replace(planned, files=rows, joined=tuple(joined), note=note)


def _write_metadata(plan: Plan, *, overwrite: bool) -> list[str]:
    if not any(item.row.status in {"planned", "there"} for item in plan.items):
        return []
    return [folder.write_metadata(dandiset.metadata, overwrite=overwrite) for folder, dandiset in plan.folders]


def _carry_out(plan: Plan, transfers: Transfers, jobs: int, counter: _Counter) -> tuple[FetchedFile, ...]:
    """Fetch what is planned; stopped, all threads end before the interrupt goes on."""
    rows = [item.row for item in plan.items]
    with ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="fetch") as pool:
        running = {
            pool.submit(transfers.run, item): k for k, item in enumerate(plan.items) if item.row.status == "planned"
        }
        try:
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for one in done:
                    rows[running.pop(one)] = one.result()
        except BaseException:
            transfers.stop()
            for one in running:
                one.cancel()
            raise
    counter.end()
    return (*rows, *plan.lost)


class _Counter:
    """Counts bytes, or files where nobody knows how many bytes they take, and tells how far it is."""

    def __init__(self, total: int, n_files: int, progress: Progress | None) -> None:
        self._total, self._progress, self._n_files = total, progress, n_files
        self._done = 0
        self._lock = threading.Lock()

    def more(self, n_bytes: int) -> None:
        """Add bytes that have come."""
        if self._progress is None:
            return
        with self._lock:
            self._done += n_bytes
            if self._done < self._total:
                self._progress("fetching, kB", self._done // 1000, max(self._total // 1000, 1))

    def end(self) -> None:
        """Tell that all is done."""
        if self._progress is not None and self._n_files:
            self._progress("fetching files", self._n_files, self._n_files)


def _dandiset_of(address: str | DandiAddress, instance: str | None) -> DandiAddress:
    where = parse_address(address, instance=instance) if isinstance(address, str) else address
    if isinstance(where, UrlAddress):
        message = (
            f"{where.text} is one file of a server, not of a dandiset; fetch takes DANDI:ID[@VERSION][/PATH] and the "
            "addresses of an archive's pages."
        )
        raise UsageError(message)
    return where


def _require_sense(*, jobs: int, merge: bool, joins: bool) -> None:
    if jobs < 1:
        message = f"At least one file must be fetched at a time, not {jobs}."
        raise UsageError(message)
    if merge and not joins:
        message = "To merge labels their sources are needed: name them with --join, or fetch them with --with-sources."
        raise UsageError(message)


def _paths(join: Paths | None) -> list[Path]:
    if join is None:
        return []
    return [Path(join)] if isinstance(join, str | Path) else [Path(path) for path in join]


def _join_all(
    rows: Sequence[FetchedFile], local: LocalSources, places: Places, *, merge: bool, progress: Progress | None
) -> Iterable[JoinedLabels]:
    labels = []
    for row in rows:
        if row.is_here and row.runs and not row.is_source:
            contents = contents_of(row.file)
            if contents.is_detached:
                labels.append((row.file, contents.source))
    for k, (file, source) in enumerate(labels, start=1):
        yield join_one(plan_join(file, source, local), places, merge=merge)
        if progress is not None:
            progress("joining labels", k, len(labels))


def _require_room(root: Path, plan: Plan) -> None:
    """Compare what is to come, less what unfinished files hold already, with what is free."""
    planned = [item.row for item in plan.items if item.row.status == "planned"]
    needed = sum(row.n_bytes - min(_unfinished(row.file), row.n_bytes) for row in planned)
    there = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    needed += needed // 100 + _MARGIN  # blocks that are not full, metadata, the record
    if planned and free < needed:
        message = (
            f"{there} has {mb(free)} free; the files need {mb(needed)}. Make room, choose another place with "
            "--out, or fetch less with --glob or --labels-only."
        )
        raise InputError(message)


def _unfinished(file: Path) -> int:
    """Bytes on the disk of an earlier, unfinished download."""
    part = file.with_name(file.name + ".part")
    try:
        return part.stat().st_blocks * 512
    except OSError:
        return 0
