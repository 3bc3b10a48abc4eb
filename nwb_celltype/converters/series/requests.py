"""What is asked of a series: options, metadata of the lab, and what each session adds or its source says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict

from nwb_celltype.converters.assembly import Options
from nwb_celltype.converters.metadata import read_metadata
from nwb_celltype.converters.metadata.values import is_blank
from nwb_celltype.converters.own_labels import read_own_labels
from nwb_celltype.converters.series.sources import Source
from nwb_celltype.errors import InputError
from nwb_celltype.labelling import TaxonomyName


class ConvertOptions(TypedDict, total=False):
    """Options of `nwb_celltype.converters.convert` that hold for every session."""

    raw: bool
    stub_s: float | None
    labels_are: Literal["ground_truth", "expert"]
    by: str | None
    taxonomy: TaxonomyName
    inspect: bool
    n_channels: int
    max_spikes: int
    seed: int


@dataclass(frozen=True)
class Request:
    """What is asked of every session.

    Attributes
    ----------
    kind : str
    metadata : mapping
        Of the lab.
    labels, sorting : str or None
        Names of what belongs to each session, see `Source.companion`.
    options : mapping
        See `ConvertOptions`.
    """

    kind: str
    metadata: Mapping[str, Any]
    labels: str | None = None
    sorting: str | None = None
    options: ConvertOptions = field(default_factory=ConvertOptions)

    def check(self, sources: Sequence[Source]) -> None:
        """Refuse what is wrong for every session alike.

        Raises
        ------
        UsageError
            If an option makes no sense.
        InputError
            If no session has the labels or the sorting that are named.
        """
        names = ("raw", "stub_s", "n_channels", "max_spikes", "seed")
        Options(**{name: self.options[name] for name in names if name in self.options})  # type: ignore[literal-required]
        if self.labels is None:
            read_own_labels(None, self.options.get("by"), "auto")
        for what, pattern in (("labels", self.labels), ("sorting", self.sorting)):
            if pattern is not None and not any(source.companion(pattern) for source in sources):
                message = (
                    f"No session has the {what} {pattern}. Give the name that it has in or beside each session; "
                    "{name} stands for the session's name."
                )
                raise InputError(message)


@dataclass(frozen=True)
class SessionRequest:
    """What is asked of one session.

    Attributes
    ----------
    metadata : mapping
        Of the lab and of the session.
    files : tuple of Path
        Metadata files of the session.
    labels : Path or None
    sorting : Path or None
    digest : str
        Changes with anything that changes the result.
    """

    metadata: Mapping[str, Any]
    files: tuple[Path, ...]
    labels: Path | None
    sorting: Path | None
    digest: str


def request_for(source: Source, request: Request) -> SessionRequest:
    """What is asked of one session.

    Raises
    ------
    InputError
        If its metadata or labels cannot be read, or it lacks the sorting that is named.
    """
    files = source.metadata_files()
    metadata = merged(request.metadata, read_metadata(files)) if files else dict(request.metadata)
    labels = None if request.labels is None else source.companion(request.labels)
    sorting = None if request.sorting is None else source.companion(request.sorting)
    if request.sorting is not None and sorting is None:
        message = f"{source}: there is no sorting {request.sorting.replace('{name}', source.name)} in it or beside it."
        raise InputError(message)
    options = {name: value for name, value in request.options.items() if name != "inspect"}
    asked = [request.kind, options, metadata, "" if sorting is None else str(sorting)]
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode())
    if labels is not None:
        digest.update(_content_of(labels))
    return SessionRequest(metadata, tuple(files), labels, sorting, digest.hexdigest())


def _content_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}). Check its permissions."
        raise InputError(message) from error


def merged(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Put metadata over others, key by key; what is left empty wins over nothing.

    Examples
    --------
    >>> merged({"Subject": {"sex": "F", "age": "P90D"}}, {"Subject": {"sex": "M", "age": ""}})
    {'Subject': {'sex': 'M', 'age': 'P90D'}}
    """
    result = dict(earlier)
    for key, value in later.items():
        under = result.get(key)
        if isinstance(value, Mapping) and isinstance(under, Mapping):
            result[key] = merged(under, value)
        elif not is_blank(value) or key not in result:
            result[key] = value
    return result


def filled_in(stated: Mapping[str, Any], facts: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Take from the source what no metadata file states about session and subject, and what it says of its devices.

    Returns
    -------
    metadata : dict
    keys : tuple of str
        What was taken about session and subject.

    Examples
    --------
    >>> filled_in({"NWBFile": {"lab": "Ours"}}, {"NWBFile": {"lab": "Theirs", "session_id": "run1"}})
    ({'NWBFile': {'lab': 'Ours', 'session_id': 'run1'}}, ('NWBFile.session_id',))
    """
    taken = tuple(
        f"{section}.{key}"
        for section in ("NWBFile", "Subject")
        for key in facts.get(section, {})
        if is_blank((stated.get(section) or {}).get(key))
    )
    return merged(facts, stated), taken
