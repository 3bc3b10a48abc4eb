"""The page on converting tells the truth: its commands print what it shows, its tables are those of the code."""

from __future__ import annotations

import importlib.util
import os
import pickle
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import nwb_celltype as nct
from nwb_celltype.cli.convert_verb import command as convert_command
from nwb_celltype.converters import KINDS, convert
from nwb_celltype.converters.plexon.geometry import GEOMETRIES
from nwb_celltype.errors import RefusedError
from nwb_celltype.evidence import OptotagRule, OptotagWindows, PauseRule

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "converting.md").read_text(encoding="utf-8")
PEERS = (ROOT / "docs" / "peers.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"^\$ (.+)$", re.MULTILINE)
NUMBER = re.compile(r"\d+\.\d+")


def called(arguments: list[str], folder: Path) -> str:
    """Run something with this Python and return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DANDI_NO_ET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def shown_sessions() -> list[tuple[str, list[str]]]:
    """Every command of the page, with the lines that it shows after it."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        parts = COMMAND.split(block)[1:]
        found += [(command, text.splitlines()) for command, text in zip(parts[::2], parts[1::2], strict=True)]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands of the page are run, one after another."""
    return tmp_path_factory.mktemp("converting")


@pytest.fixture(scope="module")
def printed(folder: Path) -> Mapping[str, str]:
    """What each command of the page prints; the metadata are those of the page."""
    (metadata,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    answers = {}
    for command, _ in shown_sessions():
        program, *arguments = shlex.split(command)
        if program == "python":
            answers[command] = called([str(ROOT / arguments[0]), *arguments[1:]], folder)
            continue
        assert program == "nwb-celltype"
        answers[command] = called(["-m", "nwb_celltype", *arguments], folder)
        if "template" in arguments:
            template = (folder / "metadata.yaml").read_text(encoding="utf-8")
            assert "REQUIRED" in template
            (folder / "metadata.yaml").write_text(metadata, encoding="utf-8")
    return answers


@pytest.fixture(scope="module")
def converted(folder: Path, printed: Mapping[str, str]) -> Path:
    assert printed
    return next(path for path in folder.rglob("*_ecephys.nwb"))


def test_there_are_the_commands_of_the_quick_start() -> None:
    commands = [command.split()[1:3] for command, _ in shown_sessions()]
    assert [words[0] for words in commands] == [
        "examples/simulated_run.py",
        "convert",
        "convert",
        "convert",
        "annotate",
    ]


@pytest.mark.parametrize(("command", "lines"), shown_sessions(), ids=lambda value: str(value)[:40])
def test_commands_print_what_the_page_shows(command: str, lines: list[str], printed: Mapping[str, str]) -> None:
    """In this order; ``...`` stands for lines, or for the end of one, that the page leaves out."""
    actual = [NUMBER.sub("#", line) for line in printed[command].splitlines()]
    at = 0
    for line in lines:
        wanted = NUMBER.sub("#", line)
        if wanted.strip() in ("...", ""):
            continue
        fits = [
            k
            for k in range(at, len(actual))
            if actual[k] == wanted or (wanted.endswith("...") and actual[k].startswith(wanted[:-3]))
        ]
        assert fits, f"{line!r} is not printed after line {at} of:\n{printed[command]}"
        at = fits[0] + 1
    if "..." not in "".join(lines):
        assert at == len(actual)


@pytest.mark.parametrize("number", [0, 1])
def test_snippets_run(number: int, folder: Path, converted: Path) -> None:
    snippets = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(snippets) == 2
    if "neuroconv" in snippets[number]:
        pytest.importorskip("neuroconv.datainterfaces", exc_type=ImportError)
    called(["-c", snippets[number]], folder)
    with h5py.File(folder / ("again.nwb", "neuroconv.nwb")[number]) as file:
        assert len(file["units/id"]) == 13


def maker(name: str) -> Any:
    """A module of the tests that writes files of a kind."""
    spec = importlib.util.spec_from_file_location(f"page_{Path(name).stem}", ROOT / "tests" / "converters" / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for it there
    spec.loader.exec_module(module)
    return module


def metadata_of(species: str, **blocks: Any) -> dict[str, Any]:
    session = {
        "session_start_time": "2026-01-31T14:02:54+00:00",
        "session_description": "Made by a test.",
        "session_id": "1",
    }
    subject = {"subject_id": "A", "species": species, "sex": "U", "age": "P9Y"}
    return {"NWBFile": session, "Subject": subject, **blocks}


@pytest.fixture(scope="module")
def by_kind(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A Plexon recording with a pause, without and with a pickle; a C4 database; a session of CellExplorer."""
    folder = tmp_path_factory.mktemp("kinds")
    plexon, c4, matlab = (maker(name) for name in ("plexon/files.py", "c4/database.py", "cellexplorer/matlab_files.py"))
    pl2 = plexon.write_pl2(folder / "monkey.pl2", plexon.small_recipe(gap=True))
    cell = {"type__": "PurkinjeCell", "channel_id__": 1, "sampling_rate__": 40_000}
    cell |= {"spike_indices__": np.arange(100, 30_000, 500), "cs_spike_indices__": np.arange(250, 30_000, 9000)}
    other = {"type__": "Neuron", "spike_indices__": np.arange(1, 30_000, 700), "channel_id__": 2}
    pickled = folder / "monkey_sorted.pkl"
    pickled.write_bytes(pickle.dumps([other, other | {"label": "putative_mli"}, cell], protocol=3))
    mice = [c4.mouse(0, ground_truth_label="MLI", ground_truth_source="optotagged"), c4.mouse(1, expert_label="GoC")]
    database = c4.write(folder / "c4.h5", mice)
    (folder / "ce").mkdir()
    metrics = folder / "ce" / "a.cell_metrics.cellinfo.mat"
    truth = {"PV": np.array([[1.0]]), "SST": np.array([[1.0]])}
    tags = {"pv": np.array([[2.0]])}
    matlab.write_v5(metrics, {"cell_metrics": matlab.cell_metrics(groundTruthClassification=truth, tags=tags)})
    placed = {"Ecephys": {"plexon": {"location": "Cerebellar cortex", "geometry": "SProbe8by2"}}}
    monkey, mouse = metadata_of("Macaca mulatta", **placed), metadata_of("mouse")
    made: dict[str, Path] = {}
    for name, kind, source, metadata in (
        ("plexon", "plexon", [pl2], monkey),
        ("pickle", "plexon", [pl2, pickled], monkey),
        ("c4", "c4", [database], mouse),
        ("cellexplorer", "cellexplorer", [metrics], mouse),
    ):
        made[name] = folder / f"{name}.nwb"
        convert(kind, source, metadata=metadata, out=made[name], inspect=False)
    return made


def test_everything_is_where_the_page_says(folder: Path, converted: Path, by_kind: Mapping[str, Path]) -> None:
    section = PAGE.split("## What goes where in NWB")[1].split("\n## ")[0]
    places = [place for place in re.findall(r"`(/[\w/]+)`", section)]
    assert len(places) > 20
    stub = folder / "stub.nwb"
    convert("spikeglx", folder / "simulated_g0", metadata=folder / "metadata.yaml", out=stub, raw=True, stub_s=1.0,
            inspect=False)  # fmt: skip
    with h5py.File(by_kind["plexon"]) as plexon, h5py.File(by_kind["c4"]) as c4:
        there = {place for place in places if place in plexon or place in c4}
        assert {"/units/sane_spikes", "/units/fn_fp_filtered_spikes", "/units/plexon_unit", "/events/Strobed"} <= there
        assert plexon["events/Strobed"].attrs["colnames"].tolist() == ["timestamp", "value"]
        assert plexon["events/EVT01"].attrs["colnames"].tolist() == ["timestamp", "is_high_at_start"]
        assert plexon["units/unit_name"].asstr()[0] == "SPK01a"
        assert plexon["units/obs_intervals_index"][0] == 2
        assert len(c4["units/sane_spikes"]) == len(c4["units/spike_times"])
    with h5py.File(converted) as whole, h5py.File(stub) as raw:
        assert [place for place in places if place not in whole and place not in raw and place not in there] == []
        events = whole["events/laser"].attrs["colnames"].tolist()
        assert events == ["timestamp", "duration", "is_high_at_start"]


def test_runs_found_beside_units_have_the_names_of_the_page(by_kind: Mapping[str, Path]) -> None:
    section = PAGE.split("**Labels found beside the units**")[1].split("\n## ")[0]
    stated = dict(re.findall(r"^\| `(\w+)` \|.*\| `(\w+)`[^|]*\|$", section, re.MULTILINE))
    stated["ground_truth_cellexplorer_2"] = stated["ground_truth_cellexplorer"]
    found = {run.name: run.method.source_type for path in by_kind.values() for run in nct.read_runs(path)}
    assert found == {name: kind for name, kind in stated.items() if name != "c4_found_beside_sorting"}


def test_purkinje_cells_of_a_pickle_are_two_units_of_a_cell(by_kind: Mapping[str, Path]) -> None:
    with h5py.File(by_kind["pickle"]) as file:
        names = dict(zip(file["units/unit_name"].asstr()[()], file["units/id"][()].tolist(), strict=True))
    assert (names["3s"], names["3c"]) == (3, 1003)
    assert "`3s` and `3c` (ids 3 and 1003)" in PAGE
    (run,) = nct.read_runs(by_kind["pickle"])
    assert run.cell_id is not None
    assert len({run.cell_id[run.unit_ids == unit][0] for unit in (3, 1003)}) == 1


def test_a_pickle_that_asks_for_more_is_refused(by_kind: Mapping[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "program.pkl"
    path.write_bytes(pickle.dumps([Path("anything")]))
    with pytest.raises(RefusedError, match="pathlib"):
        convert("plexon", [by_kind["plexon"].parent / "monkey.pl2", path], dry_run=True)


def test_geometries_are_those_of_the_page() -> None:
    section = PAGE.split("**Geometry.**")[1].split("\n**")[0]
    assert set(re.findall(r"`(S\w+|Tetrode)`", section)) == set(GEOMETRIES)
    for name in ("SProbe16by2", "SProbe8by2"):
        assert (GEOMETRIES[name].along_um, GEOMETRIES[name].across_um, GEOMETRIES[name].n_across) == (50, 50, 2)
    assert GEOMETRIES["Tetrode"].along_um == 25


def test_options_of_the_page_are_there() -> None:
    (table,) = re.findall(r"\| option \| what it does \|\n(.*?)\n\n", PAGE, re.DOTALL)
    stated = set(re.findall(r"(--[a-z][a-z-]*)", "".join(line.split("|")[1] for line in table.splitlines())))
    assert len(stated) > 10
    for kind in KINDS:
        there = {name for parameter in convert_command.commands[kind].params for name in parameter.opts}
        assert stated <= there


def test_limits_are_those_of_the_rules() -> None:
    limits = {name: value for name, value in asdict(OptotagRule()).items() if not isinstance(value, bool)}
    stated = dict(re.findall(r"^\| `(\w+)`[^|]*\| ([\d.]+) \|", PAGE, re.MULTILINE))
    assert {name: float(value) for name, value in stated.items()} == pytest.approx(limits)
    assert "10 ms after light" in PAGE
    assert OptotagWindows().test_s == 0.010
    assert "at least 20 are needed" in PAGE
    assert OptotagWindows().min_pulses == 20
    assert f"version {OptotagRule.version}, proposes" in PAGE
    pause = PauseRule()
    assert f"units of {pause.cs_rate_hz[0]:g} to {pause.cs_rate_hz[1]:g} spikes/s" in PAGE
    assert f"at least {pause.min_ss_rate_hz:g} spikes/s" in PAGE
    assert f"from {pause.after_ms[0]:g} to {pause.after_ms[1]:g} ms after" in PAGE
    for name in ("max_after_ratio", "min_near_ratio", "max_near_chance", "max_false_rate"):
        assert f"`{name}` {getattr(pause, name):g}" in PAGE


def test_the_simulated_run_is_the_same_each_time(tmp_path: Path) -> None:
    code = "import sys; from simulated_run import simulate_run; simulate_run(sys.argv[1], seconds=8.0)"
    written = []
    for name in ("a", "b"):
        done = subprocess.run([sys.executable, "-c", code, name], cwd=tmp_path, check=False, capture_output=True,
                              text=True, env={**os.environ, "PYTHONPATH": str(ROOT / "examples")})  # fmt: skip
        assert done.returncode == 0, done.stderr
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        written.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert written[0] == written[1]
    headers = [data.decode() for path, data in written[0].items() if path.suffix == ".meta"]
    assert len(headers) == 2
    assert all("Simulated" in header for header in headers)


def test_every_kind_has_its_section() -> None:
    assert sorted(re.findall(r"^### `(\w+)`", PAGE, re.MULTILINE)) == sorted(KINDS)


def test_the_pages_and_pictures_it_names_are_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
    for target in re.findall(r"`((?:benchmarks|examples)/\w+\.py)`", PAGE):
        assert (ROOT / target).is_file(), target


def test_the_tests_that_the_page_on_peers_names_are_there() -> None:
    module, n_named = "", 0
    for path, name in re.findall(r"`(tests/[\w/]+\.py)?::(\w+)`", PEERS):
        module = path or module
        assert f"def {name}(" in (ROOT / module).read_text(encoding="utf-8"), (module, name)
        n_named += 1
    assert n_named > 20
    for benchmark in re.findall(r"`(benchmarks/\w+\.py)`", PEERS):
        assert (ROOT / benchmark).is_file()
