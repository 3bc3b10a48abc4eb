"""What each test reaches of the modules, and how long it takes, when nothing is changed."""

from __future__ import annotations

import ast
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mutation.children import in_child
from mutation.in_place import changed_function
from mutation.mutants import Mutant
from mutation.targets import ROOT, modules
from mutation.trials import leave_uncompiled, quiet_settings, run_tests, warm

_EVERYWHERE = ""


@dataclass(frozen=True)
class Baseline:
    """The tests on the unchanged modules.

    Attributes
    ----------
    seconds : dict of test to seconds
        Tests that pass in time.
    left_out : dict of test to str
        The others, and why.
    reached : dict of path to dict of line to set of tests
        The empty name stands for lines that run when a module is imported.
    """

    seconds: dict[str, float]
    left_out: dict[str, str]
    reached: dict[str, dict[int, set[str]]]

    def tests_of(self, mutant: Mutant, budget_s: float = float("inf")) -> dict[str, float]:
        """Tests that reach the place of a mutant, file by file, the quickest first, with their seconds.

        What runs at import is seen by every test that runs anything of the module, and by those whose file names it.

        Parameters
        ----------
        mutant : Mutant
        budget_s : float
            The slowest are left out where all together would take longer.
        """
        lines = self.reached.get(mutant.path.as_posix(), {})
        first, last = _statement(mutant)
        names = set().union(*(lines.get(line, set()) for line in range(first, last + 1)))
        if _EVERYWHERE in names or changed_function(mutant) is None:
            names = set().union(*lines.values()) | self._named_in(mutant.path)
        names &= set(self.seconds)
        within, spent = list[str](), 0.0
        for name in sorted(names, key=lambda name: (self.seconds[name], name)):
            spent += self.seconds[name]
            if spent <= budget_s:
                within.append(name)
        return self.in_order(within)

    def in_order(self, names: Iterable[str]) -> dict[str, float]:
        """Tests by file, so that none is set up twice; quick files first, and in each the quickest test."""
        files: dict[str, list[str]] = {}
        for name in sorted(names, key=lambda name: (self.seconds[name], name)):
            files.setdefault(name.split("::")[0], []).append(name)
        usual = {file: sum(map(self.seconds.__getitem__, tests)) / len(tests) for file, tests in files.items()}
        return {name: self.seconds[name] for file in sorted(files, key=lambda f: (usual[f], f)) for name in files[file]}

    def _named_in(self, path: Path) -> set[str]:
        files = {name.split("::")[0] for name in self.seconds}
        telling = {file for file in files if path.stem in (ROOT / file).read_text(encoding="utf-8")}
        return {name for name in self.seconds if name.split("::")[0] in telling}


def _statement(mutant: Mutant) -> tuple[int, int]:
    """First and last line of the smallest statement around a mutant; of one with a body, its head alone."""
    tree = ast.parse((ROOT / mutant.path).read_text(encoding="utf-8"))
    first, last = mutant.line, mutant.line
    size = sys.maxsize
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            decorators = [decorator.lineno for decorator in getattr(node, "decorator_list", [])]
            begin, end = min([node.lineno, *decorators]), node.end_lineno or node.lineno
            body = getattr(node, "body", None)
            if body:
                end = max(begin, body[0].lineno - 1)
            if begin <= mutant.line <= end and end - begin < size:
                first, last, size = begin, end, end - begin
    return first, last


class _Watch:
    """Notes what each test reaches and takes; a fixture that tests share counts for each of them."""

    def __init__(self, coverage: Any, limit_s: float) -> None:
        self.coverage, self.limit_s = coverage, limit_s
        self.seconds: dict[str, float] = {}
        self.failed: dict[str, str] = {}
        self.shares: dict[str, list[str]] = {}
        self.contexts = [_EVERYWHERE]

    @contextmanager
    def within(self, context: str) -> Iterator[None]:
        self.contexts.append(context)
        self.coverage.switch_context(context)
        yield
        self.contexts.pop()
        self.coverage.switch_context(self.contexts[-1])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        fixtures = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
        self.shares[item.nodeid] = [_name(fixture) for each in fixtures.values() for fixture in each]
        begin = _used()
        signal.setitimer(signal.ITIMER_PROF, self.limit_s, 0.5)
        with self.within(item.nodeid):
            result = yield
        signal.setitimer(signal.ITIMER_PROF, 0)
        self.seconds[item.nodeid] = _used() - begin
        if self.seconds[item.nodeid] > self.limit_s:  # in processes of its own
            self.failed.setdefault(item.nodeid, f"more than {self.limit_s:g} s")
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[Any]:
        if fixturedef.scope == "function":
            return (yield)
        with self.within(_name(fixturedef)):
            return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed or report.skipped:
            self.failed.setdefault(report.nodeid, str(report.longrepr)[-300:] if report.failed else "skipped")


def _used() -> float:
    """Processor time of this process, and of those that it waited for, in seconds."""
    return sum(os.times()[:4])


def _name(fixture: pytest.FixtureDef[Any]) -> str:
    return f"fixture {fixture.baseid}::{fixture.argname}"


def _compile() -> None:
    """Let numba compile, or find in its cache, what the tests would wait for."""
    import numpy as np

    import nwb_celltype as nct

    times = np.arange(1, 40, 0.05)
    nct.features.compute(nct.Units.from_arrays([times, np.repeat(times, 2)]))
    nct.features.acg_3d(times)


class _TooSlow(BaseException):
    """Not caught by what catches exceptions."""


def measure(
    limit_s: float, tests: tuple[str, ...], *, uncompiled: bool = False, cache: str | None = None
) -> tuple[Baseline, list[str]]:
    """Run tests once, and say what they reach; also the modules that they imported.

    Parameters
    ----------
    limit_s : float
        Tests that use more processor time, measured as they are, are left out.
    tests : tuple of str
        Files and folders from the root.
    uncompiled : bool
        Leave what numba compiles as it is.
    cache : str, optional
        As for `mutation.trials.in_child`.
    """
    paths = [path.as_posix() for path in modules()]
    warm(["coverage", "hypothesis", "numba", "numpy", "torch", "xarray"])

    def too_slow(*_: object) -> None:
        message = f"more than {limit_s:g} s"
        raise _TooSlow(message)

    def work(told: int) -> int:
        import coverage

        quiet_settings()
        leave_uncompiled(uncompiled)
        if not uncompiled:
            _compile()
        signal.signal(signal.SIGPROF, too_slow)
        measured = coverage.Coverage(data_file=None, config_file=False, include=[str(ROOT / path) for path in paths])
        watch = _Watch(measured, limit_s)
        measured.start()
        measured.switch_context(_EVERYWHERE)
        status = run_tests(tests, [watch])
        measured.stop()
        data = measured.get_data()
        found = {
            "status": status,
            "seconds": watch.seconds,
            "failed": watch.failed,
            "shares": watch.shares,
            "reached": {path: data.contexts_by_lineno(str(ROOT / path)) for path in paths},
            "modules": [name for name in sys.modules if name != "__main__"],
        }
        with os.fdopen(told, "w", encoding="utf-8") as pipe:
            pipe.write("\n" + json.dumps(found))
        return 0

    status, told = in_child(work, cache)
    if status:
        message = f"The tests could not be run on the unchanged modules.\n{told}"
        raise RuntimeError(message)
    found = json.loads(told.rpartition("\n")[2])
    users: dict[str, set[str]] = {_EVERYWHERE: {_EVERYWHERE}}
    for test, fixtures in found["shares"].items():
        for context in (test, *fixtures):
            users.setdefault(context, set()).add(test)
    reached = {
        path: {int(line): set().union(*(users.get(c, {c}) for c in contexts)) for line, contexts in lines.items()}
        for path, lines in found["reached"].items()
    }
    seconds = {test: s for test, s in found["seconds"].items() if test not in found["failed"]}
    left_out = {test: f"{why} ({found['seconds'].get(test, 0):.1f} s)" for test, why in found["failed"].items()}
    return Baseline(seconds, left_out, reached), found["modules"]
