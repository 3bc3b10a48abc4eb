"""Features of extracellular units in physical units (ms, Hz), for any sampling rate.

>>> import nwb_celltype as nct
>>> sorted(nct.features.__all__)
['FEATURE_SPEC_VERSION', 'compute', 'from_counts']
"""

from __future__ import annotations

from nwb_celltype.features.dataset import FEATURE_SPEC_VERSION, compute, from_counts

__all__ = ["FEATURE_SPEC_VERSION", "compute", "from_counts"]
