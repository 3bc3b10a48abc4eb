"""The verb: a lab's folder becomes one NWB file, checked before it is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from nwb_celltype.converters.assembly import Options, Progress, fill, prepared, unit_waveforms
from nwb_celltype.converters.kinds import interface_for
from nwb_celltype.converters.metadata import SessionMetadata, check_metadata, check_sections, read_metadata
from nwb_celltype.converters.own_labels import read_own_labels
from nwb_celltype.converters.plan import Plan, plan_of
from nwb_celltype.converters.records import SourceSession
from nwb_celltype.errors import InputError, NothingToDoError, RefusedError, UsageError
from nwb_celltype.labelling import TaxonomyName
from nwb_celltype.nwb_io.safe_write import OnPhase, create_safely
from nwb_celltype.quality import species_of

_FILE_SUFFIXES = frozenset(
    {".h5", ".hdf5", ".hdf", ".zarr", ".mat", ".npy", ".npz", ".bin", ".dat", ".json", ".yaml", ".yml", ".csv", ".tsv"}
)

Metadata = Mapping[str, Any] | str | Path | Sequence[str | Path] | None


@dataclass(frozen=True)
class Conversion:
    """What a conversion did.

    Attributes
    ----------
    file : Path or None
        The file that was written; None for a dry run.
    plan : Plan
    runs : tuple of str
        Annotation runs that were written: labels found beside the sorting, given by the user, or proposed by a rule.
    remarks : tuple of str
        What nwbinspector (DANDI's configuration) says about the file.
    """

    file: Path | None
    plan: Plan
    runs: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for ``--json``."""
        return {
            "file": None if self.file is None else str(self.file),
            "plan": self.plan.to_json(),
            "runs": list(self.runs),
            "remarks": list(self.remarks),
        }


def convert(
    kind: str,
    paths: Any,
    *,
    recording: str | None = None,
    metadata: Metadata = None,
    out: str | Path | None = None,
    raw: bool = False,
    stub_s: float | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    labels: str | Path | None = None,
    labels_are: Literal["ground_truth", "expert"] = "ground_truth",
    by: str | None = None,
    taxonomy: TaxonomyName = "auto",
    inspect: bool = True,
    n_channels: int = 16,
    max_spikes: int = 1000,
    seed: int = 0,
    on_phase: OnPhase = lambda _: None,
    progress: Progress | None = None,
) -> Conversion:
    """Convert a lab's folder to an NWB file that validates and that DANDI takes.

    Parameters
    ----------
    kind : str
        A key of `nwb_celltype.converters.KINDS`: ``phy``, ``spikeglx``, ``plexon``, ...
    paths : path, object, sequence of paths, or SessionInterface
        The session; then sorting folders, where they do not lie beside it.
    recording : str, optional
        One recording of a source that holds several (kind ``c4``).
    metadata : mapping, path or sequence of paths, optional
        See `nwb_celltype.converters.template`; of several files the later ones win.
    out : str or Path, optional
        File, or folder in which the file gets DANDI's name (``sub-A/sub-A_ses-B_ecephys.nwb``); the working folder by
        default.
    raw : bool
        Also write the traces, compressed.
    stub_s : float, optional
        Convert the first seconds only.
    overwrite : bool
        Replace an existing file.
    dry_run : bool
        Report what would be written and what not; write nothing.
    labels : str or Path, optional
        Table of the user's own labels (CSV, TSV); they become a run of their own.
    labels_are : {'ground_truth', 'expert'}
        What these labels are; to ground truth, measured evidence is joined.
    by : str, optional
        Whose labels these are.
    taxonomy : {'auto', 'cerebellum', 'forebrain', 'free'}
        Whose words the labels are; 'auto' takes the first that knows them all, 'free' takes them as they are.
    inspect : bool
        Ask nwbinspector about the finished file.
    n_channels, max_spikes, seed : int
        See `nwb_celltype.converters.assembly.Options`.
    on_phase, progress : callable, optional
        Told each phase of writing, and the steps of long tasks.

    Returns
    -------
    Conversion

    Raises
    ------
    InputError
        If source, metadata or labels cannot be used: every problem of the metadata at once.
    UsageError
        If a label is unknown, `by` is given without `labels`, or an option makes no sense.
    RefusedError
        If the file exists.
    NothingToDoError
        If the source holds neither units nor traces that are wanted.

    Examples
    --------
    >>> from nwb_celltype.converters import convert
    >>> result = convert("phy", "kilosort4", metadata="session.yaml", out="dandiset")  # doctest: +SKIP
    >>> result.file.name  # doctest: +SKIP
    'sub-m1_ses-1_ecephys.nwb'
    """
    options = Options(raw=raw, stub_s=stub_s, n_channels=n_channels, max_spikes=max_spikes, seed=seed)
    given = _given(metadata)
    source = _source(kind, paths, recording)
    own_labels = read_own_labels(labels, by, taxonomy, labels_are, source)
    given = with_citation(given, source)
    try:
        checked, problems = check_metadata(given, source), ""
    except InputError as error:
        if not dry_run:
            raise
        checked, problems = check_sections(given, source, strict=False), str(error)
    target = target_of(out, checked)
    session = prepared(source, checked, options)
    session = replace(session, notes=(*session.notes, *species_notes(checked, source)))
    plan = plan_of(session, checked, options, str(target), problems)
    _require_content(session, source=str(paths), raw=raw)
    if own_labels is not None:
        own_labels.require_units(session)
    if dry_run:
        return Conversion(None, plan)
    if target.exists() and not overwrite:
        message = f"{target} exists; it was left alone. Choose another name with --out, or replace it with --overwrite."
        raise RefusedError(message)
    runs: list[str] = []

    def write(partial: Path) -> None:
        from nwb_celltype.converters.identity import add_runs
        from nwb_celltype.converters.nwb import new_nwbfile, write_nwbfile

        waveforms = unit_waveforms(session, options, progress)
        nwbfile = new_nwbfile(checked, session)
        fill(nwbfile, session, checked, waveforms, raw=raw)
        write_nwbfile(nwbfile, partial)
        runs.extend(add_runs(partial, session, checked, waveforms, labels=own_labels, options=options))

    needs = largest_size(session) if raw else 0
    create_safely(target, write, _require_valid, on_phase, replaces=overwrite, needs_bytes=needs)
    return Conversion(target, plan, tuple(runs), _remarks(target) if inspect else ())


def _source(kind: str, paths: Any, recording: str | None) -> SourceSession:
    """Read the source; a file of it that cannot be opened is named."""
    interface = interface_for(kind, paths, recording=recording)
    try:
        return interface.session
    except OSError as error:
        message = f"{error.filename or 'The source'} cannot be read: {error.strerror or error}. Check its permissions."
        raise InputError(message) from error


def with_citation(given: Mapping[str, Any], source: SourceSession) -> Mapping[str, Any]:
    """Metadata with what the source wants to be cited for and its licence, where the user does not say so already."""
    keys = ("session_id", "session_description", "lab", "related_publications", "notes")
    known = {key: source.facts.get(f"NWBFile.{key}") for key in keys}
    if source.kind != "c4" or not any(known.values()):
        return given
    session = given.get("NWBFile")
    if session is not None and not isinstance(session, Mapping):
        return given
    return {**given, "NWBFile": {**{key: text for key, text in known.items() if text}, **(session or {})}}


def species_notes(metadata: SessionMetadata, source: SourceSession) -> tuple[str, ...]:
    """Say where the metadata name another species than the source: they may belong to another session."""
    stated = species_of(source.facts.get("Subject.species", ""))
    said = species_of(str(metadata.subject.get("species", "")))
    if not stated or not said or stated == said:
        return ()
    return (
        f"Subject.species: the source says {stated}, the metadata say {said}; are they the metadata of this session?",
    )


def largest_size(session: SourceSession) -> int:
    """Bytes of the traces as they are stored; compressed they take between a third and two thirds of it."""
    series = [traces for r in session.recordings for traces in (r.traces, r.lfp) if traces is not None]
    return sum(t.n_samples * t.n_channels * t.dtype.itemsize for t in series) * 2 // 3


def _given(metadata: Metadata) -> Mapping[str, Any]:
    if metadata is None:
        return {}
    return metadata if isinstance(metadata, Mapping) else read_metadata(metadata)


def target_of(out: str | Path | None, metadata: SessionMetadata) -> Path:
    """Where the file goes: a name that ends in .nwb is the file, everything else a folder."""
    place = Path("." if out is None else out).expanduser()
    if place.suffix == ".nwb" and not place.is_dir():
        return place
    if place.is_file() or (place.suffix.lower() in _FILE_SUFFIXES and not place.is_dir()):
        message = f"{place} is neither a name that ends in .nwb nor a folder; choose one of them for --out."
        raise UsageError(message)
    subject = _dandi_word(str(metadata.subject.get("subject_id", "subject")))
    session = _dandi_word(str(metadata.nwbfile.get("session_id", "session")))
    return place / f"sub-{subject}" / f"sub-{subject}_ses-{session}_ecephys.nwb"


def _dandi_word(text: str) -> str:
    """Write an id as DANDI writes it in file names: underscores and the like would end the part."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", text).strip("-") or "unknown"


def _require_content(session: SourceSession, *, source: str, raw: bool) -> None:
    """Refuse sessions that would give an empty file, and traces that cannot be scaled, before anything is written."""
    has_units = any(r.sorting is not None and len(r.sorting) for r in session.recordings)
    has_traces = any(r.traces is not None or r.lfp is not None for r in session.recordings)
    shown = ", ".join(str(path) for path in session.paths) or source
    if raw and not has_traces:
        message = f"{shown}: no traces are at hand that --raw could write; leave it out, or put the recording in place."
        raise NothingToDoError(message)
    if not has_units and not raw:
        what = "Its traces can be written with --raw." if has_traces else "Check that it is the sorting you meant."
        why = " ".join(f"Left out: {each.what} ({each.reason})." for each in session.left_out[:3])
        message = f"{shown} holds no sorted units, so there is nothing to annotate. {why} {what}".replace("  ", " ")
        raise NothingToDoError(message)
    for recording in session.recordings:
        if raw and recording.traces is not None and recording.traces.gains_uv is None:
            name = recording.probe.name
            message = (
                f"Nothing says how many microvolts one count of {recording.traces.name} is, so its traces cannot be "
                f"written; state it in the metadata (Ecephys: {{{name}: {{gain_uv: 2.34375}}}}), or leave out --raw."
            )
            raise InputError(message)


def _require_valid(path: Path) -> None:
    from nwb_celltype.nwb_io.validation import validator_messages

    found = validator_messages(path)
    if found:
        listed = "\n  ".join(found[:10])
        message = f"The new file would not be valid NWB, so it was not kept. Please report this:\n  {listed}"
        raise InputError(message)


def _remarks(path: Path) -> tuple[str, ...]:
    """What nwbinspector says about the file, the gravest first."""
    from nwbinspector import Importance, inspect_nwbfile, load_config

    config = load_config(filepath_or_keyword="dandi")
    found = inspect_nwbfile(nwbfile_path=path, config=config, importance_threshold=Importance.BEST_PRACTICE_SUGGESTION)
    texts = [
        (message.importance.value, f"{message.importance.name}: {message.check_function_name}: {message.message}"
         f" ({message.object_type} {message.object_name!r} at {message.location})")
        for message in found if message is not None
    ]  # fmt: skip
    return tuple(text for _, text in sorted(texts, key=lambda pair: (-pair[0], pair[1])))
