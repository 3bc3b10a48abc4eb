"""A few changes of the core are noticed, and the runner of mutation testing tells outcomes apart."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mutation.in_place import changed_function
from mutation.mutants import Mutant, all_mutants, by_hand
from mutation.run import share, table
from mutation.short import KILLED, OTHERS
from mutation.targets import MODULES, ROOT, TESTS, modules
from mutation.trials import Outcome, Trial

CALIBRATION = Path("nwb_celltype/calibration.py")


@pytest.fixture(scope="module")
def outcomes() -> dict[str, tuple[str, str]]:
    """Outcome of each mutant, and the test that noticed it; in a process of its own, which has imported no module."""
    done = subprocess.run(
        [sys.executable, "-m", "mutation.short"], cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["name"]: (line["outcome"], line["test"]) for line in lines}


@pytest.mark.parametrize("name", KILLED)
def test_a_change_is_noticed(outcomes: dict[str, tuple[str, str]], name: str) -> None:
    assert outcomes[name] == ("killed", KILLED[name][1][0])


def test_what_changes_only_speed_survives(outcomes: dict[str, tuple[str, str]]) -> None:
    assert outcomes["only speed"] == ("survived", "")


def test_a_change_that_no_test_reaches_survives(outcomes: dict[str, tuple[str, str]]) -> None:
    assert outcomes["no test"] == ("not reached", "")


def test_a_loop_without_end_is_ended(outcomes: dict[str, tuple[str, str]]) -> None:
    assert outcomes["no end"][0] == "timed out"


def test_a_module_that_cannot_be_imported_is_noticed(outcomes: dict[str, tuple[str, str]]) -> None:
    assert outcomes["no program"][0] == "killed"
    assert set(outcomes) == {*KILLED, *OTHERS}


def test_files_are_left_as_they_are() -> None:
    """The mutants of the short form fit the modules, and no file is one of them."""
    for (path, old, new), _ in (*KILLED.values(), *OTHERS.values()):
        mutant = by_hand(path, old, new)
        assert mutant.source != (ROOT / path).read_text(encoding="utf-8")
        assert (ROOT / path).read_text(encoding="utf-8").count(old) == 1


def test_a_text_that_is_not_there_is_no_mutant() -> None:
    with pytest.raises(ValueError, match="holds 'nowhere' 0 times"):
        by_hand(CALIBRATION.as_posix(), "nowhere", "anywhere")


def test_what_is_mutated_is_there() -> None:
    assert {path.as_posix() for path in modules()} >= {"nwb_celltype/features/counts.py", "nwb_celltype/annotation.py"}
    assert modules(only=["calibration"]) == [CALIBRATION]
    assert all((ROOT / name).exists() for name in (*MODULES, *TESTS))


def test_the_share_counts_what_was_noticed() -> None:
    mutant = Mutant(CALIBRATION, 1, "by hand", "a", "b", "")
    trials = [Trial(mutant, outcome) for outcome in (*Outcome, Outcome.KILLED)]
    assert share(trials) == 3 / 5
    assert table(trials).splitlines()[-1] == "| all | 5 | 2 | 1 | 1 | 1 | 60.0% |"


def test_mutants_of_a_file() -> None:
    pytest.importorskip("cosmic_ray", reason="cosmic-ray is not installed; make mutation installs it")
    path = Path("nwb_celltype/features/threads.py")
    mutants = all_mutants(path)
    original = (ROOT / path).read_text(encoding="utf-8")
    program = ast.dump(ast.parse(original))
    assert len(mutants) > 30
    assert len({mutant.source for mutant in mutants}) == len(mutants)
    for mutant in mutants:
        assert ast.dump(ast.parse(mutant.source)) != program
        old, new = original.split("\n")[mutant.line - 1], mutant.source.split("\n")[mutant.line - 1]
        assert old != new
        assert mutant.old != mutant.new
    assert [str(mutant) for mutant in all_mutants(path)] == [str(mutant) for mutant in mutants]
    assert [str(mutant) for mutant in all_mutants(path, seed=2)] != [str(mutant) for mutant in mutants]


def test_what_never_runs_or_only_compiles_is_left_alone() -> None:
    pytest.importorskip("cosmic_ray", reason="cosmic-ray is not installed; make mutation installs it")
    path = Path("nwb_celltype/features/trigger_counts.py")
    lines = (ROOT / path).read_text(encoding="utf-8").split("\n")
    for mutant in all_mutants(path):
        assert "numba" not in lines[mutant.line - 1]
        assert "bins: Integer" not in lines[mutant.line - 1]


def test_where_a_change_is() -> None:
    file = "nwb_celltype/calibration.py"
    assert changed_function(by_hand(file, "np.argsort(-confidence", "np.argsort(confidence")) == "risk_coverage"
    for old, new in (("_TINY = 1e-12", "_TINY = 1e-11"), ("floor: float = 0.1", "floor: float = 0.2")):
        assert changed_function(by_hand(file, old, new)) is None
