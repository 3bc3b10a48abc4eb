"""What the card of a model says about each file that it was trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.archive.addresses import UrlAddress, is_remote, parse_address
from nwb_celltype.archive.assets import find_asset
from nwb_celltype.labels import LabelledUnits


def describe_source(
    file: str | Path,
    one: LabelledUnits,
    used: NDArray[np.str_],
    classes: Sequence[str],
    about: Mapping[str, Any],
    *,
    lab: str = "",
    species: str = "",
) -> dict[str, Any]:
    """Put together what is known of a file.

    Parameters
    ----------
    file : str or Path
        Path or address; empty for units in memory.
    one : LabelledUnits
    used : (n,) array of str
        Class of each row that was learnt from.
    classes : sequence of str
    about : mapping
        What a person says: ``licence``, ``citation``, ``url``, ``sha256``.
    lab, species : str
        Where the units do not say.

    Returns
    -------
    dict
        For ``training_data`` of the card.
    """
    said = dict(about)
    stated, licence = said.pop("sha256", ""), said.pop("licence", "")
    return {
        "name": Path(one.source).name or "units in memory",
        "sha256": sha256_of_source(file) or stated,
        "licence": licence or one.licence or "unspecified",
        "lab": one.lab or lab,
        "species": one.species or species,
        **said,
        "n_units": len(one),
        "n_used": {label: int((used == label).sum()) for label in classes},
    }


def sha256_of_source(file: str | Path) -> str:
    """Sha256 of a file, or what its archive says that it is; empty for a file behind a plain URL, or none."""
    if not file:
        return ""
    if is_remote(file):
        address = parse_address(str(file))
        return "" if isinstance(address, UrlAddress) else find_asset(address).sha256
    with Path(file).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
