"""Features of extracellular units in physical units (ms, Hz), for any sampling rate.

>>> import nwb_celltype as nct
>>> sorted(nct.features.__all__)
['FEATURE_SPEC_VERSION', 'acg_3d', 'acg_3d_with_rates', 'acgs_3d', 'compute', 'from_counts', 'log_acg_3d']
"""

from __future__ import annotations

from nwb_celltype.features.autocorrelograms import acg_3d, acg_3d_with_rates, acgs_3d, log_acg_3d
from nwb_celltype.features.dataset import FEATURE_SPEC_VERSION, compute, from_counts

__all__ = [
    "FEATURE_SPEC_VERSION",
    "acg_3d",
    "acg_3d_with_rates",
    "acgs_3d",
    "compute",
    "from_counts",
    "log_acg_3d",
]
