"""Where the electrodes of a Plexon recording are: named arrangements, or positions that the user gives.

A Plexon file says nothing about the probe. s-Probes are made to order, so the distances of an arrangement are nominal
and can be stated.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.records import Integer, Probe
from nwb_celltype.errors import InputError

ELECTRODE = "plexon_channel"
"""Column of the probe with the number of each electrode's spike channel, from 1."""
UNKNOWN = (
    "Not known: Plexon files do not describe the probe; state its geometry under Ecephys in the metadata "
    "(SProbe16by2, SProbe8by2, SingleElectrode, Tetrode, or the positions)."
)


@dataclass(frozen=True)
class Arrangement:
    """Rows of contacts along a shank, two or one in each, or four in a square.

    Attributes
    ----------
    n_rows, n_across : int
        Contacts are counted row by row.
    along_um, across_um : float
        Nominal distance of rows, and of the contacts of one row.
    description : str
    """

    n_rows: int
    n_across: int
    along_um: float
    across_um: float
    description: str

    def __len__(self) -> int:
        return self.n_rows * self.n_across


GEOMETRIES: Mapping[str, Arrangement] = {
    "SProbe16by2": Arrangement(16, 2, 50.0, 50.0, "s-Probe with 32 contacts in 16 rows of two"),
    "SProbe8by2": Arrangement(8, 2, 50.0, 50.0, "s-Probe with 16 contacts in 8 rows of two"),
    "Tetrode": Arrangement(2, 2, 25.0, 25.0, "tetrode, four contacts in a square"),
    "SingleElectrode": Arrangement(1, 1, 0.0, 0.0, "single electrode"),
}
_KEYS = ("name", "along_um", "across_um", "first_at")


def place_electrodes(probe: Probe, geometry: str | Mapping[str, Any] | Sequence[Sequence[float]]) -> Probe:
    """Return the probe with the positions of its electrodes.

    Contacts are counted row by row from the tip; where the lowest channel is at the other end, say ``first_at: top``.
    Channels are contacts in the order of their numbers; where fewer were recorded than there are contacts, channel 1 is
    the first contact.

    Parameters
    ----------
    probe : Probe
        As `read_session` returns it.
    geometry : str, mapping or sequence
        Name of an arrangement; or ``{name: SProbe16by2, along_um: 75, across_um: 50, first_at: top}`` (`first_at` is
        ``tip`` or ``top``); or a pair of micrometres for each channel of the probe, across and along the shank.

    Returns
    -------
    Probe

    Raises
    ------
    InputError
        No such arrangement, or it does not have the channels of the probe.

    Examples
    --------
    >>> probe = Probe("plexon", ("WB01", "WB02", "WB03"), np.full((3, 2), np.nan), np.zeros(3, dtype=int), "unknown",
    ...               columns={"plexon_channel": np.array([1, 2, 3])})
    >>> place_electrodes(probe, "SProbe8by2").positions_um.tolist()
    [[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]]
    """
    if isinstance(geometry, str):
        return _arranged(probe, {"name": geometry})
    if isinstance(geometry, Mapping):
        return _arranged(probe, geometry)
    return _positioned(probe, geometry)


def _arranged(probe: Probe, stated: Mapping[str, Any]) -> Probe:
    unknown = [str(key) for key in stated if key not in _KEYS]
    name, first_at = str(stated.get("name", "")), stated.get("first_at", "tip")
    if unknown or first_at not in ("tip", "top"):
        what = f"unknown key {unknown[0]!r}" if unknown else f"first_at is 'tip' or 'top', not {first_at!r}"
        message = f"Geometry of {probe.name}: {what}; the keys are {', '.join(_KEYS)}."
        raise InputError(message)
    if name not in GEOMETRIES:
        near = difflib.get_close_matches(name, GEOMETRIES, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]}?" if near else ""
        message = f"Geometry of {probe.name}: {name!r} is none of {', '.join(GEOMETRIES)}.{hint}"
        raise InputError(message)
    arrangement = GEOMETRIES[name]
    along, across = (_distance(probe, stated, key, getattr(arrangement, key)) for key in ("along_um", "across_um"))
    said = [key for key in ("along_um", "across_um") if key in stated]
    if name == "SingleElectrode" and len(probe) > 1:
        return _independent(probe)
    contacts = _contacts(probe, name, len(arrangement))
    row = contacts // arrangement.n_across
    row = arrangement.n_rows - 1 - row if first_at == "top" else row
    positions = np.column_stack([contacts % arrangement.n_across * across, row * along]).astype(np.float64)
    distances = (
        "" if len(arrangement) == 1
        else f"; rows {along:g} um apart, contacts of a row {across:g} um" + (" (as stated)" if said else " (nominal)")
        + f", the lowest channel at the {first_at}"
    )  # fmt: skip
    return replace(
        probe,
        positions_um=positions,
        shanks=np.zeros(len(probe), dtype=np.int64),
        geometry_source=f"Stated by the user: {arrangement.description}{distances}.",
        model=probe.model or name,
    )


def _distance(probe: Probe, stated: Mapping[str, Any], key: str, nominal: float) -> float:
    value = stated.get(key, nominal)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value) or value < 0:
        message = f"Geometry of {probe.name}: {key} is a number of micrometres, not {value!r}."
        raise InputError(message)
    return float(value)


def _contacts(probe: Probe, name: str, n_contacts: int) -> Integer:
    numbers = np.asarray(probe.columns.get(ELECTRODE, np.arange(1, len(probe) + 1)), dtype=np.int64)
    if len(probe) == n_contacts:
        return np.argsort(np.argsort(numbers, kind="stable"), kind="stable").astype(np.int64)
    if len(probe) > n_contacts or numbers.min() < 1 or numbers.max() > n_contacts:
        message = (
            f"Geometry of {probe.name}: {name} has {n_contacts} contacts, but {len(probe)} channels were recorded, "
            f"numbers {numbers.min()} to {numbers.max()}; give the positions of the channels instead."
        )
        raise InputError(message)
    return numbers - 1


def _independent(probe: Probe) -> Probe:
    """Single electrodes that were moved each on its own: nothing is near to anything."""
    return replace(
        probe,
        positions_um=np.full((len(probe), 2), np.nan),
        shanks=np.arange(len(probe), dtype=np.int64),
        geometry_source=f"Stated by the user: {len(probe)} single electrodes, whose distances are not known.",
        model=probe.model or "SingleElectrode",
    )


def _positioned(probe: Probe, pairs: Sequence[Sequence[float]]) -> Probe:
    try:
        positions: NDArray[np.float64] = np.asarray(pairs, dtype=np.float64)
    except (TypeError, ValueError):
        positions = np.empty(0)
    if positions.shape != (len(probe), 2) or not np.all(np.isfinite(positions)):
        message = (
            f"Geometry of {probe.name}: give a pair of numbers (micrometres across and along the shank) for each of "
            f"its {len(probe)} channels ({', '.join(probe.channel_names[:3])}, ...), or the name of an arrangement."
        )
        raise InputError(message)
    return replace(probe, positions_um=positions, geometry_source="Positions stated by the user.")
