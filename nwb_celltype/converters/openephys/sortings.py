"""Which sorting folder belongs to which stream."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nwb_celltype.converters.openephys.folder import Recording
from nwb_celltype.converters.openephys.structure import Stream
from nwb_celltype.errors import InputError

_DEEPEST = 7  # below the session: node, experiment, recording, continuous, stream, sorter, its output


def match_sortings(
    recording: Recording, streams: Sequence[Stream], given: Path | str | Sequence[Path | str] | None
) -> dict[str, Path]:
    """Find the sorting folder of each stream.

    A sorting belongs to the stream in whose folder it lies, else to the one that its path or the ``dat_path`` of its
    params.py names, else to the only probe there is.

    Returns
    -------
    dict of str to Path
        By name of the stream; streams without a sorting are not in it.

    Raises
    ------
    InputError
        A sorting fits no stream or several, or a stream has several sortings.

    Examples
    --------
    >>> match_sortings(recording, streams, None)  # doctest: +SKIP
    {'ProbeA-AP': PosixPath('kilosort4')}
    """
    from nwb_celltype.converters.phy import find_folder

    if given is None:
        folders = _sortings_below(recording)
    else:
        paths = [given] if isinstance(given, str | Path) else list(given)
        folders = [find_folder(path) for path in paths]
    found: dict[str, Path] = {}
    for folder in dict.fromkeys(folders):
        stream = _stream_of(folder, streams)
        if stream.name in found:
            message = (
                f"Stream {stream.name} has two sortings, {found[stream.name]} and {folder}; name the one that is meant "
                "after the session."
            )
            raise InputError(message)
        found[stream.name] = folder
    return found


def _stream_of(folder: Path, streams: Sequence[Stream]) -> Stream:
    from nwb_celltype.converters.phy import read_params

    if len(streams) == 1:
        return streams[0]
    for where in (str(folder.resolve()), *read_params(folder).dat_paths):
        parts = where.replace("\\", "/").split("/")
        named = [stream for stream in streams if stream.folder.name in parts]
        if not named:
            named = [s for s in streams if any(s.name in part or s.device in part for part in parts)]
        if len(named) == 1:
            return named[0]
    names = ", ".join(stream.name for stream in streams)
    message = (
        f"{folder} may belong to any of the probes ({names}): put it into the folder of the stream that was sorted, or "
        f"name the stream in the folder's name."
    )
    raise InputError(message)


def _sortings_below(recording: Recording) -> list[Path]:
    """Sortings of this recording: below it, or below the session where no other recording has a part."""
    from nwb_celltype.converters.phy import sorting_folders

    own = recording.folder.resolve()

    def is_other(folder: Path, files: list[str]) -> bool:
        return "structure.oebin" in files and folder.resolve() != own

    return list(sorting_folders(recording.session, deepest=_DEEPEST, is_closed=is_other))
