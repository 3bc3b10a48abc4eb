"""Units of a recording: a frozen record in memory, and its reader for NWB files."""

from __future__ import annotations

from nwb_celltype.units.hdf5 import open_source
from nwb_celltype.units.lazy import Intervals, SpikeTrains
from nwb_celltype.units.nwb import read_units
from nwb_celltype.units.record import Session, Units
from nwb_celltype.units.tables import units_tables
from nwb_celltype.units.waveforms import MeanWaveforms

__all__ = ["Intervals", "MeanWaveforms", "Session", "SpikeTrains", "Units", "open_source", "read_units", "units_tables"]
