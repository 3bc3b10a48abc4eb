"""The command line: exit codes, what goes to which stream, and the answers for machines."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from nwb_celltype import read_runs
from nwb_celltype.cli import VERBS, main
from nwb_celltype.nwb_io.safe_write import PHASES

from ..models.synthetic import make_arrays, save
from .files import label_csv, plain, without_units

ROOT = Path(__file__).resolve().parents[2]


class Said:
    """What a command ended with and wrote."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


class Runner:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: object) -> Said:
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        return Said(code, *self.capsys.readouterr())


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])
    return Runner(capsys)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return plain(tmp_path / "session.nwb")


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return label_csv(tmp_path, {7: "PkC_ss", 3: "unknown", 9: "MLI"}, confidence=0.75)


def test_annotate_for_people(run: Runner, file: Path, labels: Path) -> None:
    said = run("annotate", file, "--labels", labels, "--by", "me")
    assert said.code == 0
    assert said.out.splitlines() == [
        "expert_me (expert, me)",
        "",
        "unit  cell type     note",
        "   7  PkC_ss",
        "   3  unclassified  not_labelled",
        "   9  MLI",
        "",
        "3 units: 1 PkC_ss, 1 MLI, 1 unclassified",
        "",
        f"Wrote run 'expert_me' to {file.with_name('session_celltype.nwb')}",
    ]
    assert said.err.splitlines() == [f"nwb-celltype: read {file}", *(f"nwb-celltype: {phase}" for phase in PHASES)]
    again = run("annotate", file, "--labels", labels, "--by", "me", "--quiet")
    assert again.code == 0
    assert again.err == ""
    assert "says this already; no run was added (see --again)" in again.out
    columns = run("annotate", file, "--labels", labels, "--by", "me", "-q", "--mirror-columns")
    assert "session_celltype.nwb: expert_me_cell_type, expert_me_confidence" in columns.out


def test_annotate_for_machines(run: Runner, file: Path, labels: Path) -> None:
    said = run("annotate", file, "--in-place", "--labels", labels, "--by", "me", "--json")
    answer = json.loads(said.out)
    assert {"file", "run", "model", "verdict", "units"} <= set(answer)
    assert (answer["file"], answer["run"], answer["model"], answer["verdict"]) == (str(file), "expert_me", "me", "")
    assert {"unit_id", "cell_type", "probability", "confidence", "is_abstained", "reason"} <= set(answer["units"][0])
    assert [
        (u["unit_id"], u["cell_type"], u["confidence"], u["is_abstained"], u["reason"]) for u in answer["units"]
    ] == [
        (7, "PkC_ss", 0.75, False, ""),
        (3, "unclassified", 0.75, True, "not_labelled"),
        (9, "MLI", 0.75, False, ""),
    ]
    assert all(unit["probability"] is None for unit in answer["units"])
    assert "copy" in said.err


def test_some_units_by_id(run: Runner, file: Path, tmp_path: Path) -> None:
    labels = label_csv(tmp_path, {7: "GoC", 9: "MLI"})
    said = run("annotate", file, "--units", "7, 9-9", "--labels", labels, "--by", "me", "--json", "-q")
    assert [unit["unit_id"] for unit in json.loads(said.out)["units"]] == [7, 9]


USAGE = {
    "unknown unit": (["--units", "7,8"], "8"),
    "unit twice": (["--units", "7,7"], "more than once"),
    "no ids": (["--units", "a-b"], "is no list of unit ids such as 3,5,8-12"),
    "no unit": (["--units", ","], "names no units"),
    "in place and out": (["--in-place", "--out", "x.nwb"], "not both"),
    "no such option": (["--inplace"], "--in-place"),
    "no such table": (["--units-table", "/processing/units"], "is no units table; those it has: /units"),
    "threshold of labels": (["--threshold", "0.5"], "leave it out with --labels"),
    "threshold that is none": (["--threshold", "2"], "0<=x<=1"),
}


@pytest.mark.parametrize("what", USAGE)
def test_wrong_calls_end_with_2(run: Runner, file: Path, labels: Path, what: str) -> None:
    options, sentence = USAGE[what]
    said = run("annotate", file, "--labels", labels, "--by", "me", *options)
    assert (said.code, said.out) == (2, "")
    assert sentence in said.err
    assert [path.name for path in file.parent.glob("*.nwb")] == ["session.nwb"]


def test_unknown_label_ends_with_2_and_a_guess(run: Runner, file: Path, tmp_path: Path) -> None:
    said = run(
        "annotate", file, "--labels", label_csv(tmp_path, {7: "PkC_sss"}), "--by", "me", "--taxonomy", "cerebellum"
    )
    assert said.code == 2
    assert "'PkC_sss' is not one of PkC_ss" in said.err
    assert "Did you mean 'PkC_ss'?" in said.err


def test_nobody_named_is_said(run: Runner, file: Path, labels: Path) -> None:
    said = run("annotate", file, "--labels", labels)
    assert said.code == 0
    assert "the run names nobody" in said.err
    assert "expert_unnamed" in said.out


def test_by_without_labels_ends_with_2(run: Runner, file: Path) -> None:
    said = run("annotate", file, "--by", "me")
    assert said.code == 2


def test_bad_input_ends_with_3(run: Runner, file: Path, labels: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.nwb"
    text.write_text("no")
    wrong = label_csv(tmp_path, {8: "MLI"}, "wrong.csv")
    for path, table, sentence in (
        (tmp_path / "absent.nwb", labels, "does not exist"),
        (text, labels, "is not an HDF5 file"),
        (tmp_path, labels, "is a folder"),
        (file, tmp_path / "absent.csv", "cannot be read"),
        (file, wrong, "1 units of the table are not in"),
    ):
        said = run("annotate", path, "--labels", table, "--by", "me", "-q")
        assert (said.code, said.out) == (3, ""), said.err
        assert sentence in said.err
        assert said.err.count("\n") == 1
    said = run("annotate", file, "--labels", labels, "--by", "me", "--out", tmp_path / "no" / "f.nwb")
    assert said.code == 3
    assert "make it first" in said.err


def test_refused_ends_with_4(run: Runner, file: Path, labels: Path, tmp_path: Path) -> None:
    other = plain(tmp_path / "other.nwb", [1, 2])
    said = run("annotate", file, "--out", other, "--labels", labels, "--by", "me")
    assert said.code == 4
    assert "is no copy of" in said.err
    folder = tmp_path / "000000"
    folder.mkdir()
    (folder / "dandiset.yaml").write_text("")
    shutil.copyfile(file, folder / "session.nwb")
    said = run("annotate", folder / "session.nwb", "--in-place", "--labels", labels, "--by", "me")
    assert said.code == 4
    assert "belongs to the dandiset" in said.err
    assert run("annotate", folder / "session.nwb", "--labels", labels, "--by", "me").code == 0


def test_nothing_to_do_ends_with_6(run: Runner, labels: Path, tmp_path: Path) -> None:
    for path in (plain(tmp_path / "none.nwb", []), without_units(tmp_path / "raw.nwb")):
        said = run("annotate", path, "--labels", labels, "--by", "me")
        assert said.code == 6, said.err


def test_check(run: Runner, file: Path, labels: Path) -> None:
    said = run("check", file)
    assert (said.code, said.out) == (3, "")
    assert "holds no annotation runs" in said.err
    run("annotate", file, "--in-place", "--labels", labels, "--by", "me")
    said = run("check", file)
    assert said.code == 0
    assert said.out == f"{file}: runs expert_me; the label is 'expert_me'; no messages\n"
    said = run("check", file, "--json")
    assert json.loads(said.out) == {"file": str(file), "label_run": "expert_me", "messages": []}
    with h5py.File(file, "r+") as opened:
        opened["units/spike_times"][0] = 0.0001
    said = run("check", file)
    assert said.code == 3
    assert "expert_me: The units have changed since the run was made" in said.out
    said = run("check", file, "--json")
    assert said.code == 3
    assert [message["where"] for message in json.loads(said.out)["messages"]] == ["expert_me"]


def test_tables_as_spreadsheets_save_them(run: Runner, file: Path, tmp_path: Path) -> None:
    tables = {
        "semicolon.csv": "\ufeffUnit;Label;Confidence\r\n7;PkC_ss;0,75\r\n9;MLI;\r\n;;\r\n",
        "tab.tsv": "cluster_id\tcell_type\tnote\n7\tPkC_ss\tsure, really\n9\tMLI\t\n",
        "quoted.csv": 'unit_id,cell_type,note\n7,PkC_ss,"two\nlines"\n9,MLI,\n',
    }
    for name, text in tables.items():
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
        said = run("annotate", file, "--in-place", "--labels", tmp_path / name, "--by", name, "--json", "-q")
        assert said.code == 0, said.err
        assert [(u["unit_id"], u["cell_type"]) for u in json.loads(said.out)["units"]] == [(7, "PkC_ss"), (9, "MLI")]
    runs = {run.method.who: run for run in read_runs(file)}
    assert runs["semicolon.csv"].confidence.tolist()[0] == 0.75
    assert runs["quoted.csv"].evidence[0][0]["note"] == "two\nlines"


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["--version"], *([verb, "--help"] for verb in ("annotate", "check"))]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """In a process of its own, as a shell would start it."""
    code = (
        "import sys\nfrom nwb_celltype.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        "print('imported:', *sorted({'torch', 'pynwb', 'hdmf', 'h5py', 'numpy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported:"
    if "--help" in arguments:
        assert "Usage: nwb-celltype" in done.stdout


def test_help_names_every_verb(run: Runner) -> None:
    said = run("--help")
    assert said.code == 0
    assert all(f"  {verb} " in said.out for verb in VERBS)
    said = run("anotate")
    assert said.code == 2


def test_as_a_program(file: Path, labels: Path) -> None:
    """Once for real, without a terminal: the answer alone on stdout, progress on stderr, no question asked."""
    command = [sys.executable, "-m", "nwb_celltype", "annotate", file, "--labels", labels, "--by", "me", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run"] == "expert_me"
    assert all(f"nwb-celltype: {phase}\n" in done.stderr for phase in PHASES)
    assert "Traceback" not in done.stderr
    done = subprocess.run([*command, "--units", "8"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with labelled units and a model that learnt from others of their kind."""
    folder = tmp_path_factory.mktemp("models")
    for name, seed in (("learnt", 1), ("unseen", 2)):
        save(folder / f"{name}.npz", make_arrays(8, seed))
    command = ["train", folder / "learnt.npz", "-o", folder / "small", "--members", 1, "--epochs", 10, "-q", "--json"]
    main([str(part) for part in command])
    return folder


def test_models_without_a_command_are_listed(run: Runner) -> None:
    said = run("models")
    assert said.code == 0
    assert re.search(r"^cerebellum \S+  LICENCE: CC-BY-NC-SA-4.0$", said.out, re.MULTILINE)
    assert said.out == run("models", "list").out
    listed = json.loads(run("models", "list", "--json").out)
    assert {"name", "version", "licence", "origin", "weights_sha256"} <= set(listed[0])


def test_models_are_shown_and_verified(run: Runner, small_model: Path, tmp_path: Path) -> None:
    said = run("models", "show", small_model / "small")
    assert said.out.startswith("small 1\nLICENCE: unspecified\n")
    assert json.loads(run("models", "show", small_model / "small", "--json").out)["name"] == "small"
    said = run("models", "verify", small_model / "small", "--data", small_model, "--json")
    found = json.loads(said.out)
    assert (said.code, found["is_sound"]) == (0, True)
    assert {check["check"]: check["result"] for check in found["checks"]} == dict.fromkeys(
        ("hashes", "shapes", "answers", "training map", "training data"), "ok"
    )
    said = run("models", "verify", small_model / "small", "--data", small_model / "unseen.npz")
    assert said.code == 3
    assert "none of the files given is the learnt.npz that it was trained on" in said.out
    assert run("models", "verify", "nobodys").code == 2


def test_models_are_sent_and_taken_in(
    run: Runner, small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NWB_CELLTYPE_CACHE", str(tmp_path / "cache"))
    sent = json.loads(run("models", "export", small_model / "small", "-o", tmp_path, "--json").out)
    assert run("models", "export", small_model / "small", "-o", tmp_path).code == 2
    said = run("models", "import", sent["path"], "--sha256", sent["sha256"], "--name", "mine")
    assert (said.code, "mine 1 imported" in said.out) == (0, True), said.err
    assert "mine 1 was there already" in run("models", "import", sent["path"], "--name", "mine").out
    (tmp_path / "model.pt").write_bytes(b"\x80\x04.")
    said = run("models", "import", tmp_path / "model.pt")
    assert (said.code, said.out) == (4, "")
    assert "it is a pickle" in said.err
    assert run("models", "import", sent["path"], sent["path"]).code == 2
    assert run("models", "import", sent["path"], "--c4", "base", "--sha256", "0").code == 2


def test_evaluate_for_people_and_machines(run: Runner, small_model: Path, tmp_path: Path) -> None:
    model, unseen = small_model / "small", small_model / "unseen.npz"
    said = run("evaluate", model, unseen, unseen, "--out", tmp_path / "figures", "-q")
    assert said.code == 0, said.err
    again = f"given more than once, counted once: 24 units ({unseen})"
    for part in (
        "on 24 units (0 left out)",
        "95 % interval",
        "(most probable class)",
        "seeing only",
        again,
        "12 files",
    ):
        assert part in said.out, part
    answer = json.loads(run("evaluate", model, unseen, "--compare", model, "--json", "-q").out)
    assert {"balanced_accuracy", "macro_f1", "accuracy", "coverage", "accuracy_kept", "ece", "per_class", "n"} <= set(
        answer
    )
    assert answer["comparison"]["difference"] == 0
    assert answer["compared_with"]["n"] == answer["n"] == 24
    said = run("evaluate", model, small_model / "learnt.npz")
    assert said.code == 6
    assert "it was trained on 24" in said.err


def test_train_says_which_options_do_not_go_together(run: Runner, small_model: Path, tmp_path: Path) -> None:
    table = tmp_path / "units.csv"
    for arguments, sentence in (
        ([table, "--epochs", 3], "--epochs does not go with --recipe features"),
        ([table, "--recipe", "default", "--variant", "layer"], "--variant does not go with --recipe default"),
        ([table, table, "--recipe", "cerebellum"], "give the one folder that holds its files, not 2 paths"),
        (
            [tmp_path, "--recipe", "cerebellum", "--classes", "GoC,MLI"],
            "--classes does not go with --recipe cerebellum",
        ),
        ([tmp_path, "--recipe", "cerebellum", "--name", "mine"], "has its own name and licence"),
        ([tmp_path, "--recipe", "nobodys"], "'nobodys' is not one of 'default'"),
        ([small_model / "learnt.npz", "--classes", "fast,fast"], "Two or more different classes are needed"),
    ):
        said = run("train", *arguments, "-o", tmp_path / "model", "-q")
        assert (said.code, said.out) == (2, ""), said.err
        assert sentence in said.err
    assert not (tmp_path / "model").exists()
