"""Read pickles without running them: plain values and arrays are built, and everything else is refused.

Python's own reader calls whatever the file names, so a pickle can hold any program. Here nothing is imported and
nothing of the file is called: the few names that numpy and Python write for arrays, sets and bytes are answered by
functions of our own. Sizes are checked against the bytes that are really there.
"""

from __future__ import annotations

from nwb_celltype.converters.safe_pickle.reading import MAX_BYTES, load, loads

__all__ = ["MAX_BYTES", "load", "loads"]
