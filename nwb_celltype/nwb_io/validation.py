"""Is the changed copy still a good NWB file? Nothing may be wrong with it that was not wrong before."""

from __future__ import annotations

import gc
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.annotation import Annotation
from nwb_celltype.errors import InputError
from nwb_celltype.nwb_io.cached_schemas import cached_schemas
from nwb_celltype.runs import Run, is_stated, read_runs

_COLUMNS = (
    "unit_ids",
    "cell_type",
    "is_abstained",
    "reason",
    "reason_detail",
    "cell_id",
    "split",
    "probability",
    "confidence",
    "ood_score",
)


def validator_messages(path: Path) -> list[str]:
    """What the NWB validator says about a file, one text a message, without the name of the file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of str
        Empty for a valid file.

    Raises
    ------
    InputError
        If the validator itself cannot cope with the file.
    """
    from pynwb import validate

    with warnings.catch_warnings():
        # The validator warns about namespaces that the file caches in another version; its messages say what is wrong.
        warnings.simplefilter("ignore")
        stumbled = ""
        try:
            schemas = cached_schemas(path)
            found = validate(path=str(path)) if schemas is None else schemas.messages(path)
        except Exception as error:  # whatever it stumbles over, the file cannot be checked
            stumbled = stumbling(error)
    if stumbled:
        gc.collect()  # what was caught keeps the file open
        message = (
            f"The NWB validator cannot read {path} ({stumbled}). Mend that part in the program that wrote the file, or "
            "write the file anew."
        )
        raise InputError(message)
    return [str(message) for message in found]


def stumbling(error: Exception) -> str:
    """What pynwb says of a file that it cannot read: the part, where that is known, and at most 300 characters.

    Parameters
    ----------
    error : Exception
        Its own text may hold the whole file as pynwb sees it.

    Returns
    -------
    str

    Examples
    --------
    >>> stumbling(KeyError("electrodes"))
    "KeyError: 'electrodes'"
    """
    place = getattr(getattr(error, "builder", None), "location", None)
    name = getattr(getattr(error, "builder", None), "name", None)
    where = f" at {'/'.join(['', *filter(None, (place, name))]).replace('/root', '', 1) or '/'}" if name else ""
    reason = getattr(error, "reason", None) or str(error)
    text = " ".join(str(reason).split())
    return f"{type(error).__name__}{where}: {text if len(text) <= 300 else text[:297] + '...'}"


def require_no_new_messages(path: Path, source: Path, name: str) -> None:
    """Raise unless every validator message about `path` was there in `source` already.

    Raises
    ------
    InputError
        Listing the new messages.
    """
    fresh = new_messages(path, source)
    if fresh:
        listed = "\n  ".join(fresh[:10])
        message = (
            f"With the run {name!r}, {source} would gain {len(fresh)} validator messages; nothing was written:\n"
            f"  {listed}"
        )
        raise InputError(message)


def require_same_answers(path: Path, name: str, answers: Annotation | Run) -> None:
    """Raise unless the stored run says what it was meant to say.

    Raises
    ------
    InputError
        If it does not, which is a mistake in this program.
    """
    run = next((run for run in read_runs(path) if run.name == name), None)
    if run is None or not same_answers(run, answers):
        message = f"Run {name!r} reads back differently from what was written; nothing was kept. Please report this."
        raise InputError(message)


def same_answers(run: Run, other: Annotation | Run) -> bool:
    """Whether a stored run says the same about the same units as another, or as an annotation that is not stored."""
    return _evidence_key(run.evidence) == _evidence_key(other.evidence) and all(
        _equal(getattr(run, name), getattr(other, name)) for name in _COLUMNS
    )


def new_messages(path: Path, source: Path) -> list[str]:
    """List the validator messages about `path` that `source` lacks."""
    after = _checked(path)
    if not after:
        return []
    return list((Counter(after) - Counter(_checked(source))).elements())


def _checked(path: Path) -> list[str]:
    """Messages about a file, or the one that it cannot be checked: that too must have been so before."""
    try:
        return validator_messages(path)
    except InputError as error:
        return [str(error).replace(str(path), "the file")]


def _equal(ours: NDArray[Any] | None, theirs: NDArray[Any] | None) -> bool:
    """Whether two columns are equal as they are stored, numbers in single precision."""
    if ours is None or theirs is None:
        return ours is theirs
    if np.asarray(ours).dtype.kind == "f":
        return np.array_equal(np.float32(ours), np.float32(theirs), equal_nan=True)
    return np.array_equal(ours, theirs)


def _evidence_key(evidence: Iterable[Iterable[Mapping[str, Any]]] | None) -> list[list[dict[str, Any]]]:
    """Evidence as it compares: what is stated, numbers in single precision."""
    rows = [[{k: _stored(v) for k, v in piece.items() if is_stated(k, v)} for piece in e] for e in evidence or ()]
    return rows if any(rows) else []


def _stored(value: Any) -> Any:
    return float(np.float32(value)) if isinstance(value, int | float) else value
