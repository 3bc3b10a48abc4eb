"""What NWB schemas before 2.2 ask of every object and later ones dropped."""

from __future__ import annotations

from typing import Any

import numpy as np

# The texts that the schemas before 2.1 prescribe.
_HELP = {
    "ProcessingModule": "A collection of analysis outputs from processing of data",
    "VectorData": "Values for a list of elements",
    "VectorIndex": "indexes into a list of values for a list of elements",
    "ElementIdentifiers": "unique identifiers for a list of elements",
    "DynamicTableRegion": "a subset (i.e. slice or region) of a DynamicTable",
}


def is_older_than(file: Any, major: int, minor: int) -> bool:
    """Whether an open NWB file follows a schema older than this; one that does not say is not."""
    version = file.attrs.get("nwb_version", "")
    text = (version.decode() if isinstance(version, bytes) else str(version)).removeprefix("NWB-")
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    return bool(numbers) and numbers < (major, minor)


def help_text(neurodata_type: str) -> str:
    """Text of the attribute `help` that every object carried before 2.1."""
    return _HELP.get(neurodata_type, "Cell types of units")


def speak_old_schema(group: Any, file: Any) -> None:
    """Write what schemas older than 2.2 ask for and later ones dropped, or their validator complains.

    Before 2.2 the list of columns is ASCII; before 2.1 every object carries a `help` text.
    """
    members = [group]
    group.visititems(lambda _, member: members.append(member))
    for member in members:
        if is_older_than(file, 2, 2) and "colnames" in member.attrs:
            member.attrs["colnames"] = np.array([str(n) for n in member.attrs["colnames"]], dtype="S")
        kind = member.attrs.get("neurodata_type")
        if is_older_than(file, 2, 1) and kind is not None:
            member.attrs["help"] = help_text(kind)
