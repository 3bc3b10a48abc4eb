"""Everything that is wrong with a folder, found before anything is sent."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nwb_celltype.errors import CellTypeError, InputError
from nwb_celltype.licences import model_sentence, source_sentence, why_refused
from nwb_celltype.publishing.asset_metadata import asset_metadata, restricted_models
from nwb_celltype.publishing.known_checks import Finding, KnownChecks
from nwb_celltype.publishing.local_files import LocalFile, find_files, read_file
from nwb_celltype.publishing.records import Problem, Progress

_TAXON = re.compile(r"https?://purl\.obolibrary\.org/obo/NCBITaxon_\d+/?", re.IGNORECASE)
_LAYOUT = {
    "DANDI.NON_DANDI_FILENAME": "its name must be sub-<label>[_ses-<label>][_desc-<label>]_<modality>.nwb",
    "DANDI.NON_DANDI_FOLDERNAME": "it must lie exactly one folder deep, in sub-<label>/",
    "DANDI.METADATA_MISMATCH_SUBJECT": "its name and its folder name different subjects",
}


@dataclass(frozen=True)
class Preflight:
    """What was found in a folder.

    Attributes
    ----------
    files : tuple of LocalFile
        Those that could be read, with metadata where they could be extracted.
    problems : tuple of Problem
    remarks : tuple of str
    """

    files: tuple[LocalFile, ...]
    problems: tuple[Problem, ...]
    remarks: tuple[str, ...]


def check_folder(folder: Path, *, accept_model_licence: bool, progress: Progress) -> Preflight:
    """Check every file of a folder as the archive and its client will, and more; nothing is sent.

    Parameters
    ----------
    folder : Path
        Absolute.
    accept_model_licence : bool
        Whether labels of a model that forbids commercial use may be published, with that said.
    progress : callable
        Called with a task, the steps done and the number of steps.

    Returns
    -------
    Preflight

    Raises
    ------
    InputError
        If the folder cannot be read.
    """
    try:
        files, problems, remarks = find_files(folder)
    except OSError as error:
        message = f"{error.filename or folder} cannot be read: {error.strerror}."
        raise InputError(message) from error
    noted: dict[str, list[str]] = {}
    if not files:
        text = f"holds no NWB files in sub-* folders; annotate into it first ({folder})."
        problems.append(Problem("dandiset", text))
    known = KnownChecks(folder)
    try:
        for k, local in enumerate(files):
            progress("check", k, len(files))
            wrong, notes = _check_file(local, folder, known)
            problems += wrong
            for text in notes:
                noted.setdefault(text, []).append(local.path)
    finally:
        known.close()
    if files:
        progress("check", len(files), len(files))
    remarks += [f"{_named(paths)}: {text}" for text, paths in noted.items()]
    problems += _same_blobs(files)
    if not accept_model_licence:
        problems += _model_problems(files)
    return Preflight(tuple(files), tuple(problems), tuple(remarks))


def _check_file(local: LocalFile, folder: Path, known: KnownChecks) -> tuple[list[Problem], list[str]]:
    from dandi.files import dandi_file

    problems: list[Problem] = []
    remarks: list[str] = []
    try:
        read_file(local)
        local.asset = dandi_file(local.file, folder)
        local.etag = local.asset.get_digest().value
    except (CellTypeError, OSError) as error:
        return [Problem(local.path, f"cannot be read: {error}")], []
    for blocks, text in _findings(local, known):
        if blocks:
            problems.append(Problem(local.path, text if text.endswith(".") else f"{text}."))
        else:
            remarks.append(text)
    problems += _subject_problems(local)
    problems += _licence_problems(local)
    if not local.runs:
        remarks.append("has no annotation run; it will be published without labels.")
    if _TAXON.fullmatch(local.species) and not _is_known(local.species):
        remarks.append(f"dandi does not know {local.species} itself and asks the network what it is.")
    if (wrong := _extract(local)) is not None:
        problems.append(wrong)
    return problems, remarks


def _findings(local: LocalFile, known: KnownChecks) -> list[Finding]:
    """What the NWB validator, the inspector and dandi's rules for names say; slow, so done once for a content."""
    from dandi.validate import Severity

    if (before := known.get(local.path, local.etag)) is not None:
        return before
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the libraries warn of, their messages say too
        try:
            found = local.asset.get_validation_errors()
        except Exception as error:  # a validator that stumbles over one file must not hide what is wrong with others
            return [(True, f"cannot be validated: {_shortened(f'{type(error).__name__}: {error}')}")]
    findings = [
        (f.severity is not None and f.severity >= Severity.ERROR, _LAYOUT.get(str(f.id)) or f"{f.message} ({f.id})")
        for f in found
    ]
    known.put(local.path, local.etag, findings)
    return findings


def _subject_problems(local: LocalFile) -> list[Problem]:
    """A folder of another subject than the file's: the archive would count two, and its client does not look."""
    from dandischema.utils import sanitize_value

    label = Path(local.path).parts[0].removeprefix("sub-")
    if not local.subject_id or "/" not in local.path or label in (local.subject_id, sanitize_value(local.subject_id)):
        return []
    text = f"its folder says subject {label!r}, the file itself {local.subject_id!r}; move the file, or correct it."
    return [Problem(local.path, text)]


def _licence_problems(local: LocalFile) -> list[Problem]:
    return [
        Problem(local.path, source_sentence(_shortened(text), why_refused(text), where), "licence")
        for where, text in local.licence_texts
    ]


def _model_problems(files: Iterable[LocalFile]) -> list[Problem]:
    by_model: dict[tuple[str, str], list[str]] = {}
    for local in files:
        for model in restricted_models(local.runs):
            by_model.setdefault(model, []).append(local.path)
    return [Problem(_named(paths), model_sentence(*model), "licence") for model, paths in by_model.items()]


def _extract(local: LocalFile) -> Problem | None:
    """Let dandi extract the metadata as it will for the upload, and check them with ours added."""
    from dandischema.models import BareAsset
    from pydantic import ValidationError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            extracted: Any = local.asset.get_metadata(digest=local.asset.get_digest(), ignore_errors=False)
            metadata: dict[str, Any] = extracted.model_dump(mode="json", exclude_none=True)
        except NotImplementedError:
            text = "links to data in other files, which the archive refuses; copy the linked data into the file."
            return Problem(local.path, text)
        except Exception as error:  # dandi raises whatever it stumbles over; nothing of it may stop the other files
            return Problem(local.path, f"dandi cannot extract its metadata: {_shortened(str(error))}")
    local.metadata = metadata
    try:
        BareAsset.model_validate(asset_metadata(local))
    except ValidationError as error:
        local.metadata = {}
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        return Problem(local.path, f"its metadata are not what the archive takes: {wrong}.", "metadata")
    return None


def _named(paths: Sequence[str]) -> str:
    """Name a file, or count those that share a remark: a dandiset has hundreds."""
    return paths[0] if len(paths) == 1 else f"{len(paths)} files ({paths[0]}, ...)"


def _same_blobs(files: Sequence[LocalFile]) -> list[Problem]:
    seen: dict[str, str] = {}
    problems = []
    for local in files:
        if local.etag:
            other = seen.setdefault(local.etag, local.path)
            if other != local.path:
                text = f"is the same file, byte for byte, as {other}; delete one."
                problems.append(Problem(local.path, text))
    return problems


def _is_known(species: str) -> bool:
    from dandi.metadata.util import species_map

    number = species.rstrip("/").rpartition("_")[2]
    return any(record.uri.rstrip("/").endswith(f"_{number}") for record in species_map)


def _shortened(text: str, length: int = 300) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= length else f"{plain[: length - 3]}..."
