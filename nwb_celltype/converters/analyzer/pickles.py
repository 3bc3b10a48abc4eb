"""Keep SpikeInterface from running code: it unpickles parts of its folders, and a pickle can hold any program.

A folder that needs a pickled recording is refused. Properties that SpikeInterface saved as Python objects (texts, after
reading a Phy folder) are pickles too, inside ``.npy`` files; they are let through when they hold plain values only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nwb_celltype.converters.safe_pickle import loads
from nwb_celltype.errors import InputError, RefusedError
from nwb_celltype.nested_text import parse_json

# Files that SpikeInterface loads with pickle when the JSON of the same name is not there.
_WHOLE_OBJECTS = ("recording", "sorting", "cached", "si_folder", "spikeinterface_recording")


def refuse_pickles(path: Path) -> None:
    """Stop before anything under `path` runs code.

    Raises
    ------
    RefusedError
        If opening `path` with SpikeInterface would unpickle more than plain values.
    InputError
        If a file of it is damaged.
    """
    if path.suffix in (".pkl", ".pickle") and path.is_file():
        raise RefusedError(_refusal(path))
    if not path.is_dir():
        return
    for folder in (path, path / "sorting"):
        for stem in _WHOLE_OBJECTS:
            for file in (folder / f"{stem}.pkl", folder / f"{stem}.pickle"):
                if file.is_file() and not (folder / f"{stem}.json").is_file():
                    raise RefusedError(_refusal(file))
        for file in sorted((folder / "properties").glob("*.npy")):
            _require_plain(file)
    if path.suffix == ".zarr" and _zarr_filter(path / "recording" / ".zarray") == "pickle":
        raise RefusedError(_refusal(path / "recording"))


def _require_plain(file: Path) -> None:
    """Unpickle an array of objects with everything forbidden but plain values."""
    with file.open("rb") as opened:
        try:
            version = np.lib.format.read_magic(opened)
            read_header = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            _, _, dtype = read_header(opened)
            if dtype.hasobject:
                loads(opened.read(), name=str(file))
        except RefusedError as error:
            raise RefusedError(_refusal(file)) from error
        except (ValueError, EOFError) as error:
            message = f"{file} is damaged ({error}); save the sorting again."
            raise InputError(message) from error


def _zarr_filter(file: Path) -> str:
    if not file.is_file():
        return ""
    try:
        filters = parse_json(file.read_text(encoding="utf-8")).get("filters") or [{}]
        return str(filters[0].get("id", ""))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        message = f"{file} is damaged ({error}); save the analyzer again."
        raise InputError(message) from error


def _refusal(file: Path) -> str:
    return (
        f"{file} is a pickle, which can run any code when it is opened, so it is not. If you trust it, open it in "
        "Python with spikeinterface.load and pass the object to read_session; for an analyzer you can also take that "
        "file away: its templates are used then."
    )
