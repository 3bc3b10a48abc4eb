"""The page on training tells the truth: its commands run one after another, and its code does."""

from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile
from pynwb.file import Subject

from nwb_celltype import convert, evaluate
from nwb_celltype.cli import main
from nwb_celltype.errors import RefusedError
from nwb_celltype.training import train

from .models.synthetic import CLASSES, RATE_HZ, make_spikes, make_waveform

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ nwb-celltype (.+)$", PAGE, re.MULTILINE)
QUICK = ["--members", "1", "--epochs", "10"]
CELLEXPLORER = ROOT.parent / "shared" / "data" / "cellexplorer"
SESSIONS = {"YMV12_171211": "PV", "mouse6_190331": "axo_axonic"}
LABELS = dict(zip(CLASSES, ("PV", "SST", "pyramidal"), strict=True))


def session(folder: Path, day: str, seed: int, n_a_class: int = 5) -> None:
    """A recording of a mouse, and the table of what its units are."""
    rng = np.random.default_rng(seed)
    nwb = NWBFile(session_description="d", identifier=day, session_start_time=datetime(2026, 1, seed, tzinfo=UTC))
    nwb.subject = Subject(subject_id=f"m{seed}", species="Mus musculus", age="P60D", sex="F")
    kinds = list(CLASSES) * n_a_class
    for unit, kind in enumerate(kinds):
        nwb.add_unit(id=unit, spike_times=make_spikes(kind, rng), waveform_mean=make_waveform(kind, rng))
    nwb.units.waveform_rate = RATE_HZ
    with NWBHDF5IO(folder / f"{day}.nwb", "w") as io:
        io.write(nwb)
    rows = [f"{unit},{LABELS[kind]}" for unit, kind in enumerate(kinds)]
    (folder / f"{day}.csv").write_text("\n".join(["unit_id,cell_type", *rows]) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    for seed, day in enumerate(("monday", "tuesday", "wednesday", "thursday"), start=1):
        session(folder, day, seed)
    return folder


@pytest.fixture(scope="module")
def printed(folder: Path) -> dict[str, str]:
    """What each command of the page prints; networks are fewer and learn for less long than by default."""
    import contextlib
    import io

    answers = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])
        patch.setenv("NWB_CELLTYPE_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        for command in COMMANDS:
            arguments = shlex.split(command)
            said, noise = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(noise):
                try:
                    main([*arguments, *(QUICK if arguments[0] == "train" else [])])
                except SystemExit as end:
                    if end.code:
                        pytest.fail(f"{command}: {noise.getvalue()}")
            answers[command] = said.getvalue()
    return answers


def answer(printed: dict[str, str], start: str) -> str:
    (found,) = [text for command, text in printed.items() if command.startswith(start)]
    return found


def test_every_command_of_the_page_ends_well(printed: dict[str, str], folder: Path) -> None:
    assert len(printed) == len(COMMANDS) == 13
    assert "classes PV, SST, pyramidal" in answer(printed, "train monday.nwb tuesday.nwb --out interneurons")
    card = json.loads((folder / "interneurons" / "model.json").read_text())
    assert (card["name"], card["licence"]) == ("interneurons", "CC-BY-4.0")
    assert [entry["name"] for entry in card["training_data"]] == ["monday.nwb", "tuesday.nwb"]
    assert sum(sum(entry["n_used"].values()) for entry in card["training_data"]) == 30
    assert (folder / "thursday_celltype.nwb").is_file()


def test_figures_of_the_page(printed: dict[str, str], folder: Path) -> None:
    said = answer(printed, "evaluate interneurons wednesday.nwb --out")
    assert "interneurons 1 on 15 units (0 left out)" in said
    assert "seeing only" in said
    compared = answer(printed, "evaluate interneurons wednesday.nwb --compare")
    assert "on the 15 units that both were measured on" in compared
    assert "McNemar, exact, two-sided" in compared
    held = {path.name for path in (folder / "figures").iterdir()}
    named = set(re.findall(r"`(\w+\.(?:csv|json|png))`", PAGE.split("| file in")[1].split("Abstention")[0]))
    assert named <= held
    assert {name.replace(".csv", ".png") for name in named if name.startswith(("conf", "rel", "risk", "mod"))} <= held


def test_models_of_the_page(printed: dict[str, str]) -> None:
    assert "LICENCE: CC-BY-4.0" in answer(printed, "models show")
    assert re.findall(r"^  (\w+) +ok", answer(printed, "models verify"), re.MULTILINE) == [
        "hashes",
        "shapes",
        "answers",
    ]
    assert "sha256" in answer(printed, "models export")
    assert "interneurons 1 imported" in answer(printed, "models import")
    assert "interneurons 1  LICENCE: CC-BY-4.0  (installed)" in answer(printed, "models list")


def test_code_of_the_page(printed: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("captum")
    monkeypatch.chdir(folder)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    why = names["why"]
    assert why.sizes["unit"] == 15
    assert float(np.abs(why["error"]).max()) < 1e-3


def test_predictions_and_experts_do_not_teach_unasked(printed: dict[str, str], folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"thursday_celltype.nwb holds no ground truth.*nothing to learn from"):
        train(folder / "thursday_celltype.nwb", out=tmp_path / "model", name="x")
    with pytest.raises(RefusedError, match="nothing to learn from or to measure by"):
        evaluate(folder / "interneurons", folder / "thursday_celltype.nwb")


@pytest.mark.skipif(not CELLEXPLORER.is_dir(), reason="the CellExplorer files are not beside this checkout")
def test_other_cell_types_from_other_laboratories(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Interneurons of the cortex, from CellExplorer's files to a model."""
    for name in SESSIONS:
        about = {
            "session_description": "Cortex.",
            "session_id": name,
            "session_start_time": "2020-01-01T00:00:00+00:00",
        }
        subject = {"subject_id": name.replace("_", "-"), "species": "mouse", "sex": "M", "age": "P90D"}
        source = CELLEXPLORER / f"{name}.cell_metrics.cellinfo.mat"
        metadata = {"NWBFile": about, "Subject": subject}
        convert("cellexplorer", source, out=tmp_path / "data" / f"{name}.nwb", inspect=False, metadata=metadata)
    classes = ",".join(sorted(SESSIONS.values()))
    main(["train", str(tmp_path / "data"), "-o", str(tmp_path / "model"), "--classes", classes, "--json", "-q", *QUICK])
    card = json.loads(capsys.readouterr().out)
    assert card["classes"] == sorted(SESSIONS.values())
    used = {label: sum(entry["n_used"][label] for entry in card["training_data"]) for label in card["classes"]}
    assert used == {"PV": 4, "axo_axonic": 3}
