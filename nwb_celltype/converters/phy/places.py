"""Where sorting folders lie, and whether one belongs to a recording."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from nwb_celltype.converters.records import Sorting
from nwb_celltype.errors import InputError

_DEEPEST = 3
_RATE_TOLERANCE = 1e-3  # calibrated and nominal rates of one probe differ by some parts per million


def sorting_folders(
    top: Path, *, deepest: int, is_closed: Callable[[Path, list[str]], bool] = lambda _folder, _files: False
) -> Iterator[Path]:
    """Folders at or below one that hold ``spike_times.npy``, in order of name.

    Hidden folders (Phy keeps copies of its arrays there) and what lies below a sorting are passed over.

    Parameters
    ----------
    top : Path
    deepest : int
        How many levels down to look.
    is_closed : callable, optional
        Told a folder and the files in it: whether to look no further below it.
    """
    for root, folders, files in os.walk(top):
        folder = Path(root)
        is_sorting = "spike_times.npy" in files
        if is_sorting:
            yield folder
        is_end = is_sorting or is_closed(folder, files) or len(folder.relative_to(top).parts) >= deepest
        folders[:] = [] if is_end else sorted(name for name in folders if not name.startswith("."))


def find_folder(path: str | Path) -> Path:
    """Find the one sorting folder at or below a path.

    Accepted are the folder itself, its params.py, a folder of SpikeInterface with ``sorter_output`` in it, and a folder
    that holds exactly one sorting (three levels deep at most).

    Raises
    ------
    InputError
        If there is none, or more than one.

    Examples
    --------
    >>> find_folder("no_such_folder")
    Traceback (most recent call last):
        ...
    nwb_celltype.errors.InputError: no_such_folder does not exist; check the path.
    """
    path = Path(path)
    if not path.exists():
        message = f"{path} does not exist; check the path."
        raise InputError(message)
    if path.is_file():
        path = path.parent
    found = list(sorting_folders(path, deepest=_DEEPEST))
    if not found:
        message = (
            f"{path} holds no spike_times.npy, nor does a folder in it: give the output folder of Kilosort or Phy."
        )
        raise InputError(message)
    if len(found) > 1:
        names = ", ".join(str(folder.relative_to(path)) for folder in found)
        message = f"{path} holds {len(found)} sortings ({names}); give the one that is meant."
        raise InputError(message)
    return found[0]


def require_same_rate(sorting: Sorting, folder: Path, recorded: str, sampling_rate_hz: float) -> None:
    """Refuse a sorting that was made at another sampling rate than the recording it is to belong to.

    Parameters
    ----------
    sorting : Sorting
    folder : Path
        Where it lies.
    recorded : str
        What was recorded, for the message: ``imec0``.
    sampling_rate_hz : float
        Of that recording.

    Raises
    ------
    InputError
        The rates differ by more than a thousandth.
    """
    if abs(sorting.sampling_rate_hz / sampling_rate_hz - 1) > _RATE_TOLERANCE:
        message = (
            f"{folder} was sorted at {sorting.sampling_rate_hz:g} Hz, but {recorded} was recorded at "
            f"{sampling_rate_hz:g} Hz; give the sorting of this recording."
        )
        raise InputError(message)
