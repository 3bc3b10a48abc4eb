"""The page on archives tells the truth: its commands print what it shows, its tables are those of the code."""

from __future__ import annotations

import importlib.util
import io
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

import nwb_celltype as nct
from nwb_celltype.archive.addresses import FORMS, parse_address
from nwb_celltype.archive.catalogue import read_catalogue
from nwb_celltype.archive.disk_cache import MAX_BYTES
from nwb_celltype.archive.keywords import DANDISET_KEYWORDS
from nwb_celltype.archive.transport import RetryPolicy
from nwb_celltype.batch.requests import CONDITIONS
from nwb_celltype.batch.workers import CLUSTERS
from nwb_celltype.cli import VERBS, group, main
from nwb_celltype.label_frames import COLUMNS
from nwb_celltype.provenance import SourceAsset, read_source
from nwb_celltype.units.remote import DATA_GAP_BYTES

from .archive_double import DandiDouble

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "archives.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8").split("## From and to DANDI")[1].split("\n## ")[0]
VERSION = "0.260101.1200"
COMMAND = re.compile(r"^\$ (.+)$", re.MULTILINE)
NUMBER = re.compile(r"\d+\.\d+")
Shown = list[tuple[str, list[str]]]


def shown_in(text: str) -> Shown:
    """Every command of a text, with the lines that it shows after it."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        parts = COMMAND.split(block)[1:]
        commands = [shlex.join(shlex.split(command, comments=True)) for command in parts[::2]]
        found += [(command, lines.splitlines()) for command, lines in zip(commands, parts[1::2], strict=True)]
    return found


SESSIONS = shown_in(PAGE)
# of the first page: a command of this page's that is run for the first time there
SESSIONS_OF_README = shown_in(README)


def simulated_sessions() -> ModuleType:
    """Module of the examples folder."""
    path = ROOT / "examples" / "simulated_sessions.py"
    spec = importlib.util.spec_from_file_location("page_simulated_sessions", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(path.parent))
        spec.loader.exec_module(module)
    sys.modules.pop("simulate_session", None)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands are run, one after another; it has the recordings of the lab."""
    return tmp_path_factory.mktemp("archives")


@pytest.fixture(scope="module")
def archive(folder: Path) -> Iterator[DandiDouble]:
    """An archive with the dandisets of the page, which every command and snippet here means by DANDI."""
    simulated = simulated_sessions()
    with DandiDouble() as double, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in {**double.env, "NWB_CELLTYPE_CACHE": str(folder / "cache")}.items():
            patch.setenv(name, value)
        # slow, and tested elsewhere: the validators, and starting processes where the page leaves it to the default
        patch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])
        patch.setattr("nwb_celltype.nwb_io.detached.validator_messages", lambda _: [])
        patch.setattr("nwb_celltype.batch.workers.WorkerChoice.is_here", lambda self, _: self.scheduler is None)
        patch.setattr("dandi.files.NWBAsset.get_validation_errors", lambda _: [])
        recordings = simulated.write_sessions(folder / "recordings", ["mouse-a", "mouse-b", "mouse-c"], seed=1)
        double.add_dandiset(name="Simulated recordings", identifier="900001", files=recordings, published=VERSION)
        labelled = folder / "other lab"
        simulated.write_sessions(labelled, ["mouse-p", "mouse-q", "mouse-r"], seed=11, ground_truth=True)
        double.add_dandiset(name="Simulated ground truth", identifier="900002")
        nct.publish(labelled, dandiset="900002")
        double.publish("900002", VERSION)
        yield double


def as_on_dandi(text: str, archive: DandiDouble, folder: Path) -> str:
    """Say DANDI for the archive on loopback, and a plain path for the folder of the test."""
    version, path = r"(?:/(draft|[\d.]+\d))?", r"(?:/files\?location=(\S+?))?"
    page = rf"{re.escape(archive.url)}/dandiset/(\d{{6}}){version}{path}(?=[\s,;:)]|$)"

    def address(match: re.Match[str]) -> str:
        dandiset, version, path = match.groups()
        return f"DANDI:{dandiset}" + (f"@{version}" if version else "") + (f"/{path}" if path else "")

    lines = []
    for line in text.splitlines():
        if line.startswith(("In ", "Nothing was sent")):  # these name the page of the archive
            line = line.replace(archive.url, "https://dandiarchive.org")
        line = re.sub(page, address, line).replace(archive.url.removeprefix("http://"), "dandi")
        lines.append(line.replace(str(folder), "/data"))
    return "\n".join(lines)


@pytest.fixture(scope="module")
def printed(archive: DandiDouble, folder: Path) -> list[str]:
    """What each command of the page prints, one after another."""
    answers = []
    for command, _ in SESSIONS:
        program, *arguments = shlex.split(command)
        assert program == "nwb-celltype"
        said = io.StringIO()
        with redirect_stdout(said):
            try:
                main(arguments)
            except SystemExit as end:
                said.write(f"exit code {end.code}\n" if end.code else "")
        answers.append(as_on_dandi(said.getvalue(), archive, folder))
    return answers


@pytest.mark.parametrize("number", range(len(SESSIONS)), ids=[command[13:60] for command, _ in SESSIONS])
def test_commands_print_what_is_shown(number: int, printed: list[str]) -> None:
    assert_shown(SESSIONS[number][1], printed[number])


@pytest.mark.parametrize(("command", "lines"), SESSIONS_OF_README, ids=lambda value: str(value)[:40])
def test_the_first_page_shows_the_same(command: str, lines: list[str], printed: list[str]) -> None:
    assert_shown(lines, printed[[one for one, _ in SESSIONS].index(command)])


def assert_shown(lines: list[str], text: str) -> None:
    """Assert that a text has these lines in this order; ``...`` stands for lines, or for the end of one."""
    actual = [NUMBER.sub("#", line) for line in text.splitlines()]
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
        assert fits, f"{line!r} is not printed after line {at} of:\n{text}"
        at = fits[0] + 1
    if lines and "..." not in "".join(lines):
        assert at == len(actual), text


def test_snippets_run(archive: DandiDouble, printed: list[str]) -> None:
    assert printed
    snippets = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(snippets) >= 4
    values: dict[str, object] = {}
    with redirect_stdout(io.StringIO()):
        for snippet in snippets:
            exec(snippet, values)  # the page's own code, nothing else
    labels = values["labels"]
    assert isinstance(labels, pd.DataFrame)
    assert set(labels["dandiset"]) == {"900001", "900002"}


def test_a_detached_file_holds_what_the_page_lists(folder: Path, printed: list[str]) -> None:
    assert printed
    section = PAGE.split("## What a detached file holds")[1].split("\n## ")[0]
    file = next((folder / "900001_celltype").rglob("*.nwb"))
    stated = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert stated == {field.name for field in fields(SourceAsset)}
    source = read_source(file)
    assert source is not None
    assert (source.dandiset, source.version) == ("900001", VERSION)
    import h5py

    with h5py.File(file) as opened:
        places = re.findall(r"`(/[\w/]+)`", section)
        assert len(places) >= 4
        assert [place for place in places if place.replace("RUN", "cerebellum_3") not in opened] == []
        assert "units" not in opened


def test_tables_are_those_of_the_code() -> None:
    columns = PAGE.split("## One table of all labels")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", columns, re.MULTILINE) == list(COLUMNS)
    for form in FORMS:
        assert f"`{form}`" in PAGE
    for word in DANDISET_KEYWORDS:
        assert f"`{word}`" in PAGE
    assert all(f"`{name}`" in PAGE for name in (*CLUSTERS, *CONDITIONS))
    assert f"{len(read_catalogue())} dandisets" in PAGE
    assert f"{MAX_BYTES / 1024**3:g} GiB" in PAGE
    assert f"less than {DATA_GAP_BYTES / 1024:g} kB" in PAGE
    policy = RetryPolicy()
    assert f"{policy.n_retries} times" in PAGE
    assert f"{policy.longest_wait_s:g} s" in PAGE


def test_exit_codes_are_those_of_the_errors() -> None:
    section = PAGE.split("## Exit codes")[1].split("\n## ")[0]
    stated = {int(code) for code in re.findall(r"^\| (\d) \|", section, re.MULTILINE)}
    errors = (nct.UsageError, nct.InputError, nct.RefusedError, nct.NetworkError, nct.NothingToDoError)
    assert stated == {0, 1, *(error.exit_code for error in errors)}


def test_options_are_there() -> None:
    for verb in ("annotate", "publish", "fetch", "find", "train", "evaluate"):
        assert verb in VERBS
    known = {
        name
        for verb in VERBS
        for command in [group.get_command(None, verb)]  # type: ignore[arg-type]
        if command is not None
        for parameter in command.params
        for name in parameter.opts
    }
    outside = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    stated = set(re.findall(r"`(--[a-z][a-z-]*)", outside))
    assert len(stated) > 15
    assert stated <= known, stated - known


def test_addresses_can_be_read() -> None:
    examples = re.findall(r"^\| `[^`]+` \| `((?:DANDI:|dandi://|https?://|s3://)[^`]+)` \|", PAGE, re.MULTILINE)
    assert len(examples) >= 5
    for text in examples:
        parse_address(text)


def test_the_pages_and_files_it_names_are_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
    for target in re.findall(r"`((?:benchmarks|examples|tests)/[\w/]+(?:\.py)?)`", PAGE):
        assert (ROOT / target).exists(), target
