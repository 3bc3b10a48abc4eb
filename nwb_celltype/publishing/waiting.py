"""What the archive itself says about a draft: waited for, but never for ever."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from nwb_celltype.errors import InputError, NetworkError
from nwb_celltype.publishing.records import Progress

_PENDING = ("Pending", "Validating", "Publishing")
_BEING_VALIDATED = "currently being validated"
_LONGEST_PAUSE = 10.0
_FIRST_PAUSE = 0.1


def wait_until_valid(dandiset: Any, *, max_wait_s: float, progress: Progress) -> str:
    """Wait until the archive has validated a draft and its assets.

    Parameters
    ----------
    dandiset : dandi.dandiapi.RemoteDandiset
    max_wait_s : float
        Seconds; the archive is asked at least once.
    progress : callable
        Called with a task, the assets done and the number of assets.

    Returns
    -------
    str
        ``Valid``, or ``Published`` where nothing changed since the last version.

    Raises
    ------
    InputError
        If something is invalid; the message holds the archive's own words for each asset.
    NetworkError
        If it is not done in time.
    """
    deadline = time.monotonic() + max_wait_s
    pause = _FIRST_PAUSE
    while True:
        version = dandiset.get_version("draft")
        status = str(version.status.value)
        waiting = {e.path or e.message for e in version.asset_validation_errors if _BEING_VALIDATED in e.message}
        errors = [e for e in version.asset_validation_errors if _BEING_VALIDATED not in e.message]
        if not waiting and status not in _PENDING:
            wrong = [*_lines(errors), *_lines(version.version_validation_errors)]
            if wrong or status == "Invalid":
                raise InputError(_invalid(dandiset, wrong))
            progress("validation by the archive", version.asset_count, version.asset_count)
            return status
        progress("validation by the archive", max(version.asset_count - len(waiting), 0), version.asset_count + 1)
        left = deadline - time.monotonic()
        if left <= 0:
            raise NetworkError(_stuck(dandiset, status, waiting, _lines(errors), max_wait_s))
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _lines(errors: Iterable[Any]) -> list[str]:
    """The archive's own words, each with where they belong; the same word about many assets once each."""
    lines = []
    for error in errors:
        where = getattr(error, "path", None) or "dandiset"
        field = f"{error.field}: " if error.field else ""
        lines.append(f"{where}: {field}{error.message}")
    return list(dict.fromkeys(lines))


def _invalid(dandiset: Any, wrong: list[str]) -> str:
    said = "\n  ".join(wrong) or "without saying why"
    return (
        f"All files are up in the draft of dandiset {dandiset.identifier}, but the archive calls it not valid:\n"
        f"  {said}\n"
        "Correct this in the files or in dandiset.yaml and publish again: only what changed is sent."
    )


def _stuck(dandiset: Any, status: str, waiting: set[str], wrong: list[str], seconds: float) -> str:
    assets = sorted(waiting)
    shown = f" ({', '.join(assets[:5])}{' and more' if len(assets) > 5 else ''})" if assets else ""
    n = f"{len(assets)} of its assets{shown} are" if assets else "its metadata are"
    found = f" So far it says: {'; '.join(wrong)}." if wrong else ""
    return (
        f"After {seconds:g} s the archive is still validating dandiset {dandiset.identifier} ({status}); {n} waiting."
        f"{found} All files are up and nothing is lost. Run the same command again later: nothing is sent twice; "
        "--max-wait gives it more time. Large files take the archive hours."
    )
