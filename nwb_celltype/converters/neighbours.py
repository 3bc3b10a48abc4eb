"""Which channels lie nearest to one channel of a probe."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.records import Probe

Integer = NDArray[np.int64]


def usable_channels(probe: Probe) -> Integer:
    """Rows of the probe that record tissue: all but the reference channels."""
    rows = np.arange(len(probe), dtype=np.int64)
    return rows if probe.is_reference is None else rows[~probe.is_reference]


def nearest_channels(probe: Probe, peak: int, n_channels: int, *, same_shank: bool = False) -> Integer:
    """Return the usable channels nearest to one channel, itself first.

    Channels of the same shank come before all others, however near these are; then distance decides, then distance
    in rows of the probe, then the lower row. A channel of unknown place comes after those that have one, and next to a
    peak of unknown place distance in rows is all there is.

    Parameters
    ----------
    probe : Probe
    peak : int
        Row of the probe; listed only if it is usable.
    n_channels : int
        How many; all that there are when the probe has fewer. A shank with fewer is filled up from the other shanks,
        so that every unit of a probe has the same number.
    same_shank : bool
        Give fewer rather than channels of another shank.

    Returns
    -------
    (k,) int64 array
        Rows of the probe.

    Examples
    --------
    >>> import numpy as np
    >>> from nwb_celltype.converters.records import Probe
    >>> positions = np.array([[0.0, 0.0], [0.0, 20.0], [0.0, 40.0], [0.0, 50.0]])
    >>> probe = Probe("probe", ("a", "b", "c", "d"), positions, np.array([0, 0, 0, 1]), "drawing")
    >>> nearest_channels(probe, 2, 4).tolist(), nearest_channels(probe, 2, 4, same_shank=True).tolist()
    ([2, 1, 0, 3], [2, 1, 0])
    """
    rows = usable_channels(probe)
    other_shank = probe.shanks[rows] != probe.shanks[peak]
    if same_shank:
        rows, other_shank = rows[~other_shank], other_shank[~other_shank]
    apart = np.hypot(*(probe.positions_um[rows] - probe.positions_um[peak]).T)
    known = np.isfinite(apart)
    # To the nanometre: the last bit of a root must not decide between electrodes that are equally far.
    apart = np.where(known, np.round(apart, 3), np.inf)
    order = np.lexsort((rows, np.abs(rows - peak), apart, other_shank, rows != peak))
    return rows[order[:n_channels]]
