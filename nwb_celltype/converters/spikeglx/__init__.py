"""SpikeGLX runs: headers, probes, digital lines, and a whole session with the sorting beside it."""

from __future__ import annotations

from nwb_celltype.converters.spikeglx.meta import Meta, read_meta
from nwb_celltype.converters.spikeglx.run import Run, find_run
from nwb_celltype.converters.spikeglx.session import read_session
from nwb_celltype.converters.spikeglx.streams import open_stream

__all__ = ["Meta", "Run", "find_run", "open_stream", "read_meta", "read_session"]
