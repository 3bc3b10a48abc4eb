"""Nothing that is read is run: the package unpickles and evaluates nowhere, and planted code stays asleep."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nwb_celltype.errors import CellTypeError, InputError, UsageError
from nwb_celltype.labels import read_labelled
from nwb_celltype.priors import read_prior
from nwb_celltype.publishing.dandiset_folder import DandisetFolder

PACKAGE = Path(__file__).resolve().parents[2] / "nwb_celltype"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# What runs or unpacks whatever a file says, and with which argument it does not.
NEVER = {
    "eval", "exec", "compile", "__import__",
    "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads", "shelve.open", "dill.load",
    "joblib.load", "cloudpickle.loads", "pd.read_pickle", "pandas.read_pickle",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all",
    "os.system", "os.popen", "runpy.run_path", "shutil.unpack_archive",
}  # fmt: skip
ONLY_WITH = {
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "torch.load": ("weights_only", True),
}
METHODS = {"extractall", "extract"}


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}".strip(".")
    return node.id if isinstance(node, ast.Name) else ""


def found_in(text: str) -> list[str]:
    """Calls that run or unpack what they read."""
    wrong = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        said = {k.arg: k.value.value for k in node.keywords if k.arg and isinstance(k.value, ast.Constant)}
        if name in NEVER or name.rpartition(".")[2] in METHODS or said.get("shell") is True:
            wrong.append(f"{name} in line {node.lineno}")
        if name in ONLY_WITH:
            argument, value = ONLY_WITH[name]
            # np.load in an archive of arrays reads each with the same argument
            if said.get(argument, "absent") is not value:
                wrong.append(f"{name} in line {node.lineno}")
    return wrong


def test_no_source_runs_what_it_reads() -> None:
    wrong = {str(path.relative_to(PACKAGE)): found_in(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert {name: calls for name, calls in wrong.items() if calls} == {}


@pytest.mark.parametrize(
    "text",
    ["eval(x)", "pickle.load(f)", "np.load(f)", "np.load(f, allow_pickle=True)", "torch.load(f)", "yaml.load(f, L)",
     "subprocess.run(x, shell=True)", "tape.extractall(p)"],
)  # fmt: skip
def test_the_search_finds(text: str) -> None:
    assert found_in(text)


YAML_BOMB = "!!python/object/apply:os.mkdir ['{}']\n"


@pytest.mark.parametrize("where", ["prior", "dandiset"])
def test_code_in_yaml_is_not_run(where: str, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    folder = tmp_path / "f"
    folder.mkdir()
    file = folder / ("dandiset.yaml" if where == "dandiset" else "prior.yaml")
    file.write_text("name: " + YAML_BOMB.format(sprung))
    read = (lambda: read_prior(file)) if where == "prior" else DandisetFolder(folder).draft
    with pytest.raises((InputError, UsageError)):
        read()
    assert not sprung.exists()


def test_code_in_metadata_of_a_conversion_is_not_run(tmp_path: Path) -> None:
    sprung, file = tmp_path / "sprung", tmp_path / "metadata.yaml"
    file.write_text("NWBFile: " + YAML_BOMB.format(sprung))
    command = [
        sys.executable,
        "-m",
        "nwb_celltype",
        "convert",
        "phy",
        str(tmp_path),
        "--metadata",
        str(file),
        "-o",
        "o.nwb",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode in (2, 3)
    assert "Traceback" not in done.stderr
    assert not sprung.exists()


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, at: Path) -> None:
        self.at = str(at)

    def __reduce__(self) -> tuple[object, ...]:
        import os

        return os.mkdir, (self.at,)


def test_code_in_labelled_arrays_is_not_run(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    np.savez(tmp_path / "u.npz", waveform=np.array([Trap(sprung)], dtype=object), cell_type=np.array(["MLI"]))
    with pytest.raises(CellTypeError):
        read_labelled(tmp_path / "u.npz")
    assert not sprung.exists()


def test_code_in_an_nwb_file_is_text(tmp_path: Path) -> None:
    """Texts of a file are shown and stored, never run: parameters of a run are JSON or nothing."""
    from nwb_celltype.recomputation import _parameters

    assert _parameters({"parameters": json.dumps({"a": 1})}, "r") == {"a": 1}
    for text in ("__import__('os').mkdir('x')", "[1]", "\x80\x04."):
        with pytest.raises(InputError):
            _parameters({"parameters": text}, "r")
