"""Seeds that are written by the tests' own writers of other programs' formats."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path


def _bytes(write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seed"
        write(path)
        return path.read_bytes()


def plx() -> bytes:
    """A small Plexon file."""
    from tests.converters.plexon.files import small_recipe, write_plx

    return _bytes(lambda path: write_plx(path, small_recipe(seconds=0.05, n_channels=1)))


def pl2() -> bytes:
    """The same as OmniPlex writes it."""
    from tests.converters.plexon.files import small_recipe, write_pl2

    return _bytes(lambda path: write_pl2(path, small_recipe(seconds=0.05, n_channels=1)))


def nex() -> bytes:
    """A NeuroExplorer file with a variable of each kind."""
    from tests.converters.neuroexplorer.files import variables, write_nex

    return _bytes(lambda path: write_nex(path, variables()))


def nex5() -> bytes:
    """The same in the newer format."""
    from tests.converters.neuroexplorer.files import variables, write_nex5

    return _bytes(lambda path: write_nex5(path, variables(floats=True)))


def feature_table() -> bytes:
    """A table of statistics of two units."""
    from nwb_celltype.features.unit_statistics import UNIT_STATISTICS

    names = list(UNIT_STATISTICS)
    rows = [",".join(["cell_type", "unit", *names])]
    rows += [",".join(["MLI", str(k), *(f"{0.5 + k + j}" for j in range(len(names)))]) for k in range(2)]
    return ("\n".join(rows) + "\n").encode()
