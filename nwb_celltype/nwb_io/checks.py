"""The verb `check`: what is wrong with the annotations in a file, in sentences."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nwb_celltype.errors import CellTypeError, InputError
from nwb_celltype.nwb_io.validation import validator_messages
from nwb_celltype.runs import CONTAINER_PATH, Run, read_runs
from nwb_celltype.units import read_units


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
    found += [
        CheckMessage("NWB validator", text)
        for text in validator_messages(path)
        if CONTAINER_PATH.rsplit("/", 1)[-1] in text or "CellType" in text
    ]
    return found


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
            return [CheckMessage("pynwb", f"It cannot read the file: {type(error).__name__}: {error}")]


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
