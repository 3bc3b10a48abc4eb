"""Where the sites of a probe model lie, from the catalogue of probeinterface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Integer = NDArray[np.int64]
Float = NDArray[np.float64]

# The only model of each type when headers did not yet name the part.
_PART_OF_TYPE = {0: "NP1000", 21: "NP2000", 24: "NP2010", 1030: "NP1030", 1100: "NP1100"}
PHASE_3A = "NP1000"
"""Catalogue entry with the layout of phase 3A probes: the same staggered sites, 32 um and 20 um apart."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """Regular grid of sites of a probe model.

    Attributes
    ----------
    x_um : (n_shanks, 2, n_columns) float64 array
        Of the sites in even and in odd rows, from the left edge of the first shank.
    row_um : float
        Distance of rows along the shank; row 0 is at 0.
    """

    x_um: Float
    row_um: float

    @property
    def n_columns(self) -> int:
        """Sites in a row of one shank."""
        return int(self.x_um.shape[2])

    @property
    def n_shanks(self) -> int:
        """Shanks of the probe."""
        return int(self.x_um.shape[0])

    def positions_um(self, shanks: Integer, columns: Integer, rows: Integer) -> Float:
        """Positions across and along the probe: (n, 2) array, micrometres."""
        return np.column_stack([self.x_um[shanks, rows % 2, columns], rows * self.row_um])

    def has(self, shanks: Integer, columns: Integer, rows: Integer) -> bool:
        """Whether all these sites lie on the grid."""
        grid = self.x_um.shape
        return bool(np.all((shanks >= 0) & (shanks < grid[0]) & (columns >= 0) & (columns < grid[2]) & (rows >= 0)))


def part_of(part_number: str, probe_type: int | None, *, is_phase3a: bool) -> str:
    """Catalogue entry of a probe, ``""`` when the header says too little to look one up."""
    if part_number:
        return part_number
    if is_phase3a:
        return PHASE_3A
    return "" if probe_type is None else _PART_OF_TYPE.get(probe_type, "")


@lru_cache(maxsize=16)
def lattice_of(part_number: str) -> Lattice | None:
    """Grid of sites of a probe model.

    Parameters
    ----------
    part_number : str
        As the header says it, for example ``NP1010`` or ``PRB_1_4_0480_1``.

    Returns
    -------
    Lattice or None
        None when the catalogue does not know the part.

    Notes
    -----
    The catalogue is that of probeinterface, which takes it from the maker's probe table. Its x runs from the leftmost
    site; ours from the shank's left edge, as ``~snsGeomMap`` has it, so that old and new headers agree.

    Examples
    --------
    >>> lattice_of("NP1010").x_um.tolist(), lattice_of("NP1010").row_um
    ([[[27.0, 59.0], [11.0, 43.0]]], 20.0)
    """
    from probeinterface.neuropixels_tools import build_neuropixels_probe

    try:
        probe = build_neuropixels_probe(part_number)
    except KeyError:
        return None
    positions = np.asarray(probe.contact_positions, dtype=np.float64)
    left = float(np.min(np.asarray(probe.probe_planar_contour)[:, 0]))
    # A probe of one shank has no shank ids.
    shank_ids = np.zeros(len(positions), dtype=np.int64)
    if probe.shank_ids is not None:
        shank_ids = np.array([int(shank or 0) for shank in np.asarray(probe.shank_ids).astype(str)])
    rows = np.unique(positions[:, 1])
    x = [
        [
            np.sort(positions[(shank_ids == shank) & (positions[:, 1] == rows[parity]), 0]) - left
            for parity in (0, min(1, len(rows) - 1))
        ]
        for shank in np.unique(shank_ids)
    ]
    return Lattice(np.asarray(x, dtype=np.float64), float(rows[1] - rows[0]) if len(rows) > 1 else 0.0)
