"""Is the changed copy still a good NWB file? Nothing may be wrong with it that was not wrong before."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

from nwb_celltype.errors import InputError
from nwb_celltype.runs import read_runs


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
        try:
            found = validate(path=str(path))
        except Exception as error:  # whatever it stumbles over, the file cannot be checked
            message = f"The NWB validator cannot read {path}: {type(error).__name__}: {error}"
            raise InputError(message) from error
    return [str(message) for message in found]


def require_no_new_messages(path: Path, source: Path, name: str) -> None:
    """Raise unless every validator message about `path` was there in `source` already, and the new run reads back.

    Raises
    ------
    InputError
        Listing the new messages.
    """
    if name not in {run.name for run in read_runs(path)}:
        message = f"Run {name!r} cannot be read back from the copy of {source}; nothing was written."
        raise InputError(message)
    fresh = new_messages(path, source)
    if fresh:
        listed = "\n  ".join(fresh[:10])
        message = f"With the run, {source} would gain {len(fresh)} validator messages; nothing was written:\n  {listed}"
        raise InputError(message)


def new_messages(path: Path, source: Path) -> list[str]:
    """List the validator messages about `path` that `source` lacks."""
    after = _checked(path)
    if not after:
        return []
    before = _checked(source)
    if before is None:  # a file that could not be checked before cannot be held against its copy
        return []
    return list((Counter(after) - Counter(before)).elements())


def _checked(path: Path) -> list[str] | None:
    try:
        return validator_messages(path)
    except InputError:
        return None
