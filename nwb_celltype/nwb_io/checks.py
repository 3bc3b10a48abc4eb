"""The verb `check`: what is wrong with the annotations in a file, in sentences."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nwb_celltype.errors import CellTypeError, InputError
from nwb_celltype.nwb_io.validation import stumbling, validator_messages
from nwb_celltype.runs import CONTAINER_PATH, Run, read_runs
from nwb_celltype.units import read_units

_REQUIRED = ("identifier", "session_description", "session_start_time", "timestamps_reference_time", "file_create_date")


@dataclass(frozen=True)
class CheckMessage:
    """One thing that is wrong.

    Attributes
    ----------
    where : str
        Name of the run, or of the part of the file.
    text : str
        What is wrong and what to do, in a sentence.
    """

    where: str
    text: str


def check(file: str | Path) -> list[CheckMessage]:
    """Check the annotations in an NWB file.

    Rows of probabilities, labels, abstentions and their reasons, the class table, the link to the units, the cached
    specification, and whether the units are still those that a run was made from.

    Parameters
    ----------
    file : str or Path
        An NWB file (HDF5).

    Returns
    -------
    list of CheckMessage
        Empty when nothing is wrong.

    Raises
    ------
    InputError
        If the file cannot be read, or holds no annotations.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> nct.check("session_celltype.nwb")  # doctest: +SKIP
    []
    """
    path = Path(file).expanduser()
    runs = read_runs(path)
    if not runs:
        message = f"{path} holds no annotation runs at {CONTAINER_PATH}; make one with `nwb-celltype annotate`."
        raise InputError(message)
    found = _extension_problems(path)
    found += [message for run in runs for message in _stale_units(path, run)]
    return [*found, *_validator_problems(path)]


def _extension_problems(path: Path) -> list[CheckMessage]:
    from ndx_cell_type.checks import problems_in
    from pynwb import NWBHDF5IO

    with warnings.catch_warnings():
        # What pynwb thinks of the rest of the file, and of namespaces cached in other versions, is not asked here.
        warnings.simplefilter("ignore")
        try:
            with NWBHDF5IO(str(path), mode="r") as io:
                container: Any = io.read().processing["ecephys"]["cell_type_annotations"]
                return [CheckMessage(container.name, text) for text in problems_in(container)]
        except Exception as error:  # whatever it stumbles over, nobody else can read the file either
            return [CheckMessage("pynwb", _advice(path, error))]


def _advice(path: Path, error: Exception) -> str:
    """What pynwb stumbles over, what that means for the labels, and what to do."""
    from pynwb import __version__

    missing, lost = _missing_parts(path)
    if missing:
        why = f"it lacks {' and '.join(missing)}, which every NWB file has"
        todo = "Write the file anew with what is missing, or add it with h5py, and check again."
    elif lost:
        why = f"{' and '.join(lost[:3])} {'points' if len(lost) == 1 else 'point'} to something that is not in the file"
        todo = "Put back what is missing, or take out what points to it, and check again."
    elif "namespace" in (why := stumbling(error)).lower():
        todo = "Install the extension that defines these types, and check again."
    else:
        todo = (
            "Mend that part in the program that wrote the file, and check again; if pynwb could read the file before "
            "it was annotated, please report this."
        )
    return (
        f"pynwb {__version__} cannot read the file: {why}. The runs were read without it, but programs that use pynwb "
        f"see nothing of them, and their tables were not checked. {todo}"
    )


def _missing_parts(path: Path) -> tuple[list[str], list[str]]:
    """What every NWB file must have at its top, and this one has not; and what points to tables that are gone."""
    import h5py  # type: ignore[import-untyped,unused-ignore]

    lost: list[str] = []

    def look(name: str, item: Any) -> None:
        for word, value in item.attrs.items():
            if isinstance(value, h5py.Reference) and not isinstance(value, h5py.RegionReference):
                try:
                    is_lost = item.file[value].name is None  # its last name was taken away
                except (ValueError, OSError, KeyError):
                    is_lost = True
                if is_lost:
                    lost.append(f"`{word}` of /{name}")

    with h5py.File(path, "r") as file:
        # A file that pynwb stumbles over may be damaged anywhere; then its own words must do.
        with contextlib.suppress(OSError, RuntimeError, ValueError, KeyError, TypeError):
            file.visititems(look)
        return [name for name in _REQUIRED if name not in file], lost


def _validator_problems(path: Path) -> list[CheckMessage]:
    """What the validator says of the labels, or that it cannot say anything."""
    try:
        found = validator_messages(path)
    except InputError as error:
        return [CheckMessage("NWB validator", str(error))]
    ours = (CONTAINER_PATH.rsplit("/", 1)[-1], "CellType")
    return [CheckMessage("NWB validator", text) for text in found if any(word in text for word in ours)]


def _stale_units(path: Path, run: Run) -> list[CheckMessage]:
    """Compare the units as they are now with those that the run was made from."""
    if not run.input_sha256:
        return [CheckMessage(run.name, "It stores no hash of its input, so changed units cannot be noticed.")]
    if not run.units_path:  # detached: its units are in another file
        return []
    try:
        with read_units(path, units_table=run.units_path) as units:
            if units.select(run.unit_ids.tolist()).sha256() != run.input_sha256:
                return [CheckMessage(run.name, "The units have changed since the run was made; annotate them again.")]
    except CellTypeError as error:
        return [CheckMessage(run.name, f"Its units cannot be compared with the file's: {error}")]
    return []
