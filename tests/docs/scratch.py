"""A folder in which the blocks of one page are run, prepared with small files of the real formats."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from nwb_celltype.cli import main

from ..converters.c4 import database
from ..converters.phy import folders
from ..models import tables
from .pages import DOCS, ROOT, Block, blocks_of, missing_line

EXAMPLE = ROOT / "examples" / "simulated_session.nwb"


class Commands:
    """Runs `nwb-celltype`; what annotating the example gives is kept, because many pages begin with it."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, ...], tuple[str, bytes]] = {}

    def run(self, words: list[str]) -> str:
        """Run one command in the folder that this process is in, and return what it printed."""
        program, *arguments = words
        assert program == "nwb-celltype", words
        options = tuple(word for word in arguments if word not in ("--quiet", "-q"))
        if options[0] != "annotate" or len(options) != 2 or not options[1].endswith("session.nwb"):
            return self._called(arguments)
        file = Path(options[1])
        result = file.with_name(f"{file.stem}_celltype.nwb")
        if options[:1] not in self._kept:
            said = self._called(arguments)
            self._kept[options[:1]] = (said.replace(str(result), "RESULT"), result.read_bytes())
        said, content = self._kept[options[:1]]
        result.write_bytes(content)
        return said.replace("RESULT", str(result))

    def _called(self, arguments: list[str]) -> str:
        said, noise = io.StringIO(), io.StringIO()
        with redirect_stdout(said), redirect_stderr(noise):
            try:
                main(arguments)
            except SystemExit as end:
                if end.code and "convert" not in arguments:
                    pytest.fail(f"{arguments}: {noise.getvalue()}")
        return said.getvalue()


def example(folder: Path, commands: Commands) -> dict[str, Any]:
    """The example session, as it is and annotated, under the names that pages use."""
    (folder / "examples").mkdir()
    shutil.copy(EXAMPLE, folder / "examples")
    shutil.copy(EXAMPLE, folder / "session.nwb")
    return {}


def annotated(folder: Path, commands: Commands) -> dict[str, Any]:
    """The same, annotated already."""
    example(folder, commands)
    commands.run(["nwb-celltype", "annotate", "session.nwb"])
    return {}


def sorted_with_phy(folder: Path, commands: Commands) -> dict[str, Any]:
    """The example, annotated, and the folder of a sorting that holds the same units."""
    import numpy as np

    import nwb_celltype as nct

    annotated(folder, commands)
    with nct.read_units(folder / "session.nwb") as units:
        times = [np.rint(train * folders.RATE).astype(np.int64) for train in units.spike_times]
        clusters = np.repeat(units.unit_ids, [len(train) for train in times]).astype(np.int32)
    order = np.argsort(np.concatenate(times), kind="stable")
    (folder / "sorting").mkdir()
    np.save(folder / "sorting" / "spike_times.npy", np.concatenate(times)[order])
    np.save(folder / "sorting" / "spike_clusters.npy", clusters[order])
    np.save(folder / "sorting" / "spike_templates.npy", clusters[order])
    folders.write_params(folder / "sorting", dat_path="None", n_channels_dat=4)
    return {}


def with_csv(name: str) -> Callable[[Path, Commands], dict[str, Any]]:
    """The example, and the table that the page shows."""

    def prepare(folder: Path, commands: Commands) -> dict[str, Any]:
        example(folder, commands)
        return {"__csv__": folder / name}

    return prepare


def kilosort_folders(folder: Path, commands: Commands) -> dict[str, Any]:
    """Three sorted sessions of two mice, one of which cannot be read, and what holds for all of them."""
    species = "{species: mouse, sex: U, age: P90D, subject_id: %s}"
    (folder / "lab.yaml").write_text("NWBFile: {session_description: Simulated., lab: A lab}\n")
    for seed, day in enumerate(("m1_day1", "m1_day2", "m2_day1")):
        session = folders.simulate(n_units=3, n_channels=6, seconds=2.0, seed=seed)
        place = folders.kilosort4(folder / "data" / day / "kilosort4", session)
        mouse, _, when = day.partition("_")
        about = f'{{session_id: {when}, session_start_time: "2026-01-0{seed + 1}T10:00:00+00:00"}}'
        (place.parent / "metadata.yaml").write_text(f"NWBFile: {about}\nSubject: {species % mouse}\n")
    (folder / "data" / "m1_day2" / "kilosort4" / "spike_times.npy").write_bytes(b"\x93NUMPY")
    return {}


def c4_database(folder: Path, commands: Commands) -> dict[str, Any]:
    """A database of the C4 layout with two neurons of one recording."""
    database.write(folder / "C4_database_hull_labelled.h5", [database.mouse(0), database.mouse(1)])
    return {}


def unit_table(folder: Path, commands: Commands) -> dict[str, Any]:
    """The example, and a small table of statistics of made-up labelled units."""
    example(folder, commands)
    tables.write(tables.make_table(8, 0, species=("mouse",)), folder / "my_units.csv")
    return {}


def open_units(folder: Path, commands: Commands) -> dict[str, Any]:
    """The units of the example, opened, as `units`."""
    import nwb_celltype as nct

    example(folder, commands)
    return {"units": nct.read_units(folder / "session.nwb")}


PREPARED: Mapping[str, Callable[[Path, Commands], dict[str, Any]]] = {
    "annotating.md": with_csv("layers.csv"),
    "c4_database.md": c4_database,
    "converting_many.md": kilosort_folders,
    "exporting.md": sorted_with_phy,
    "faq.md": annotated,
    "features.md": example,
    "index.md": example,
    "model_cerebellum.md": open_units,
    "model_cerebellum_statistics.md": unit_table,
    "quickstart.md": with_csv("labels.csv"),
    "reading.md": example,
    "reporting.md": annotated,
}
"""Pages that are run here, with what each of them starts from."""


def run_page(page: str, folder: Path, commands: Commands) -> int:
    """Run the blocks of a page one after another, in a folder that is the working directory; their number.

    What a page shows after a command, or in a block of text right after Python, must be what is printed.
    """
    values = PREPARED[page](folder, commands)
    table = values.pop("__csv__", None)
    n_run = 0
    blocks = blocks_of(page)
    for block in blocks:
        if block.language == "csv" and table is not None:
            assert list(csv.reader(io.StringIO(block.code)))
            table.write_text(block.code, encoding="utf-8")
    for k, block in enumerate(blocks):
        if not block.is_runnable or block.reason is not None:
            continue
        n_run += 1
        if block.language == "python":
            said = io.StringIO()
            with redirect_stdout(said):
                exec(compile(block.code, f"docs/{page}:{block.line}", "exec"), values)  # the page's own code
            following = blocks[k + 1] if k + 1 < len(blocks) and blocks[k + 1].language == "text" else None
            shown = following.code.splitlines() if following is not None and _adjacent(page, block, following) else []
            assert_shown(block, shown, said.getvalue(), folder)
        else:
            for words, shown in block.commands():
                assert_shown(block, shown, commands.run(words), folder)
    for value in values.values():
        if hasattr(value, "close") and hasattr(value, "spike_times"):
            value.close()
    return n_run


def assert_shown(block: Block, shown: list[str], printed: str, folder: Path) -> None:
    """Fail where a page shows something else than what was printed."""
    missing = missing_line(shown, printed.replace(str(folder), "/lab"))
    assert not missing, f"docs/{block.page}, block at line {block.line}: {missing!r} is not as in\n{printed}"


def _adjacent(page: str, first: Block, second: Block) -> bool:
    """Whether nothing but empty lines is between two blocks."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    between = lines[first.line + first.code.count("\n") + 1 : second.line - 1]
    return not re.sub(r"\s", "", "".join(between))
