"""Trials: tests that run in a child of a warm process, which sees one changed source in place of the file.

A child costs a fork, not the imports of numpy, torch and pynwb; nothing is written into the package's folder.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

from mutation.children import BROKEN, allow, in_child
from mutation.mutants import Mutant
from mutation.targets import ROOT, is_compiled, module_name

_COLLECTING_S = 60.0
_ENDS = (
    *(pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED),
    *(pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR),  # a file, or a conftest, could not be imported
)
_OURS = ("nwb_celltype", "tests", "mutation")

PYTEST = (
    *("-q", "--tb=no", "--no-header", "--no-summary", "--capture=sys", "--doctest-modules", "-W", "error"),
    *("-p", "no:cacheprovider", "-p", "no:faulthandler", "-p", "no:unraisableexception"),
)


class Outcome(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"
    NOT_REACHED = "not reached"


@dataclass(frozen=True)
class Trial:
    """One mutant, tried.

    Attributes
    ----------
    mutant : Mutant
    outcome : Outcome
    test : str
        The test that noticed it.
    """

    mutant: Mutant
    outcome: Outcome
    test: str = ""


class _Changed(importlib.machinery.SourceFileLoader):
    """Runs another source than the file's, past its compiled form."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self.changed = source

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        return compile(self.changed, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module, with another source."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self.name, self.path, self.source = name, path, source
        self.is_used = False

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        self.is_used = True
        loader = _Changed(fullname, str(self.path), self.source)
        return importlib.util.spec_from_file_location(fullname, self.path, loader=loader)


class _Chosen:
    """Runs the chosen tests alone, in their order, each within its limit, and tells which failed first."""

    def __init__(self, finder: _Finder, seconds: dict[str, float], limit: Callable[[float], float], told: int) -> None:
        self.finder, self.seconds, self.limit, self.told = finder, seconds, limit, told

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        sys.meta_path.insert(0, self.finder)  # before pytest's own, which takes the modules of doctests

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        place = {name: k for k, name in enumerate(self.seconds)}
        items[:] = sorted((item for item in items if item.nodeid in place), key=lambda item: place[item.nodeid])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        allow(self.limit(self.seconds[nodeid]))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os.write(self.told, f"{report.nodeid}\n".encode())


def warm(names: Sequence[str]) -> None:
    """Import modules of others, so that children have them."""
    for name in names:
        if name.split(".")[0] not in _OURS and name not in sys.modules:
            with suppress(Exception):
                importlib.import_module(name)


def quiet_settings() -> None:
    """The same examples of hypothesis every time, however long they take."""
    from hypothesis import HealthCheck, settings

    settings.register_profile(
        "mutation", derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    settings.load_profile("mutation")


def leave_uncompiled(is_left: bool) -> None:
    """Let numba compile, or not, the functions of modules that are imported from now on.

    A compiled function would come from numba's cache on disk, whatever the mutant.
    """
    import numba

    numba.config.DISABLE_JIT = is_left


def run_tests(names: Iterable[str], plugins: Sequence[Any], *options: str) -> int:
    """Run the files of tests in this process; returns pytest's exit code.

    Parameters
    ----------
    names : iterable of str
        Tests, files and folders, as pytest names them.
    plugins : sequence
        Plugins of pytest.
    options : str
        Of pytest.
    """
    files = list(dict.fromkeys(name.split("::")[0] for name in names))
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        arguments = [*PYTEST, *options, "--rootdir", str(ROOT), "--basetemp", str(Path(folder) / "base"), *files]
        return int(pytest.main(arguments, plugins=list(plugins)))


def attempt(
    mutant: Mutant,
    seconds: dict[str, float],
    limit: Callable[[float], float] = lambda usual: 6 + 10 * usual,
    cache: str | None = None,
) -> Trial:
    """Run tests against a mutant until one fails.

    Parameters
    ----------
    mutant : Mutant
    seconds : dict of test to seconds
        Tests in the order in which they run, and how long each takes by itself.
    limit : callable
        Seconds that a test may take, from those that it takes by itself.
    cache : str, optional
        As for `in_child`.

    Raises
    ------
    FileNotFoundError
        If the file of a test is not there.
    RuntimeError
        If the trial itself fails.
    """
    if not seconds:
        return Trial(mutant, Outcome.NOT_REACHED)
    absent = [name for name in seconds if not (ROOT / name.split("::")[0]).is_file()]
    if absent:
        message = f"There is no file of the test {absent[0]}."
        raise FileNotFoundError(message)

    def work(told: int) -> int:
        allow(_COLLECTING_S)
        quiet_settings()
        leave_uncompiled(is_compiled(mutant.path))
        name = module_name(mutant.path)
        if name in sys.modules:
            message = f"{name} was imported before the trial."
            raise RuntimeError(message)
        finder = _Finder(name, ROOT / mutant.path, mutant.source)
        sys.meta_path.insert(0, finder)
        status = run_tests(seconds, [_Chosen(finder, seconds, limit, told)], "-x")
        if not finder.is_used or status not in _ENDS:
            message = f"pytest ended with {status}; the changed {name} was imported: {finder.is_used}."
            raise RuntimeError(message)
        return status

    return judged(mutant, *in_child(work, cache))


def judged(mutant: Mutant, status: int, told: str) -> Trial:
    """What the end of a child, and what it told, says of a mutant.

    Raises
    ------
    RuntimeError
        If the trial itself failed.
    """
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGALRM, signal.SIGPROF):
        return Trial(mutant, Outcome.TIMED_OUT, told.strip())
    code = os.waitstatus_to_exitcode(status)
    if code == BROKEN:
        message = f"{mutant}: the trial itself failed.\n{told}"
        raise RuntimeError(message)
    if code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):  # the latter: none of the tests was there
        return Trial(mutant, Outcome.SURVIVED)
    return Trial(mutant, Outcome.KILLED, told.partition("\n")[0])
