"""Labels where people work: as pynapple metadata, SpikeInterface properties, Phy tables, CSV and Parquet."""

from nwb_celltype.exporting.exports import Exported, export
from nwb_celltype.exporting.pynapple_groups import to_pynapple
from nwb_celltype.exporting.sortings import to_spikeinterface

__all__ = ["Exported", "export", "to_pynapple", "to_spikeinterface"]
