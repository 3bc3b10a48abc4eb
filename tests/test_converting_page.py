"""The page on converting tells the truth: its commands print what it shows, its tables are those of the code."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import h5py
import pytest

from nwb_celltype.converters import KINDS, convert
from nwb_celltype.evidence import OptotagRule, OptotagWindows, PauseRule

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "converting.md").read_text(encoding="utf-8")
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


def test_everything_is_where_the_page_says(folder: Path, converted: Path) -> None:
    section = PAGE.split("## What goes where in NWB")[1].split("\n## ")[0]
    places = [place for place in re.findall(r"`(/[\w/]+)`", section)]
    assert len(places) > 20
    stub = folder / "stub.nwb"
    convert("spikeglx", folder / "simulated_g0", metadata=folder / "metadata.yaml", out=stub, raw=True, stub_s=1.0,
            inspect=False)  # fmt: skip
    with h5py.File(converted) as whole, h5py.File(stub) as raw:
        assert [place for place in places if place not in whole and place not in raw] == []
        events = whole["events/laser"].attrs["colnames"].tolist()
        assert events == ["timestamp", "duration", "is_high_at_start"]


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
    for name in ("max_after_ratio", "min_near_ratio", "max_false_rate"):
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
