"""Run the command line as ``python -m nwb_celltype``."""

from __future__ import annotations

from nwb_celltype.cli import main

main()
