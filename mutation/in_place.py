"""Trials in place: tests are collected once, and each mutant is a fork in which one function has other code.

That is what importing the changed module would come to, as long as the change is inside a function: nothing of it has
run yet. What runs at import (constants, defaults, classes, decorators) is tried by `mutation.trials.attempt`.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FunctionType
from typing import Any

import pytest

from mutation.children import Child, allow, in_child
from mutation.mutants import Mutant
from mutation.targets import ROOT, is_compiled, module_name
from mutation.trials import Outcome, Trial, judged, leave_uncompiled, quiet_settings, run_tests


def changed_function(mutant: Mutant) -> str | None:
    """Qualified name of the one function whose code differs; `None` where anything else does.

    Examples
    --------
    >>> from mutation.mutants import by_hand
    >>> changed_function(by_hand("nwb_celltype/calibration.py", "order = np.argsort(-conf", "order = np.argsort(conf"))
    'risk_coverage'
    >>> changed_function(by_hand("nwb_celltype/calibration.py", "_TINY = 1e-12", "_TINY = 1e-11"))
    """
    before, after = _functions(mutant, original=True), _functions(mutant)
    if before.keys() != after.keys():
        return None
    different = [name for name in before if before[name] != after[name]]
    return different[0] if len(different) == 1 and different[0] else None


def _functions(mutant: Mutant, *, original: bool = False) -> dict[str, object]:
    """Code of each function by its qualified name, and of the rest under the empty name."""
    path = ROOT / mutant.path
    source = path.read_text(encoding="utf-8") if original else mutant.source
    found: dict[str, object] = {}

    def rest(code: CodeType) -> tuple[object, ...]:
        consts = []
        for const in code.co_consts:
            if not isinstance(const, CodeType):
                consts.append((type(const), repr(const)))
            elif const.co_flags & 2:  # of a function: newlocals is set
                found[const.co_qualname] = const
            else:  # of a class
                consts.append((CodeType, repr(rest(const))))
        return code.co_code, tuple(consts), code.co_names

    found[""] = rest(compile(source, str(path), "exec", dont_inherit=True))
    return found


def put(mutant: Mutant, name: str) -> None:
    """Give the function of this name, in the module that is imported, the mutant's code.

    Raises
    ------
    LookupError
        If it is not to be found there as it is in the file.
    """
    target: Any = sys.modules[module_name(mutant.path)]
    for part in name.split("."):
        target = vars(target)[part]
    while not isinstance(target, FunctionType):
        target = getattr(target, "__wrapped__", None) or getattr(target, "fget", None) or target.__func__
    if target.__code__ != _functions(mutant, original=True)[name]:
        message = f"{name} of {mutant.path} is not what the file says."
        raise LookupError(message)
    target.__code__ = _functions(mutant)[name]  # type: ignore[assignment]


class _Trials:
    """In place of running the tests that were collected, tries one mutant after the other."""

    def __init__(
        self,
        mutants: Sequence[tuple[Mutant, str]],
        tests_of: Callable[[Mutant], dict[str, float]],
        limit: Callable[[float], float],
        told: int,
    ) -> None:
        self.mutants, self.tests_of, self.limit, self.told = mutants, tests_of, limit, told
        self.in_child = -1

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        try:
            for mutant, name in self.mutants:
                trial = self.one(session, mutant, name)
                os.write(self.told, (json.dumps([trial.outcome, trial.test]) + "\n").encode())
        except Exception:
            os.write(self.told, traceback.format_exc().encode())
            raise
        return True

    def one(self, session: pytest.Session, mutant: Mutant, name: str) -> Trial:
        seconds = self.tests_of(mutant)
        if not seconds:
            return Trial(mutant, Outcome.NOT_REACHED)
        chosen = [self.items[test] for test in seconds]

        def work(told: int) -> int:
            self.in_child = told
            put(mutant, name)
            for item, following in zip(chosen, [*chosen[1:], None], strict=True):
                allow(self.limit(seconds[item.nodeid]))
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if session.testsfailed:
                    return 1
            return 0

        return judged(mutant, *in_child(work))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.in_child >= 0:
            os.write(self.in_child, f"{report.nodeid}\n".encode())


def attempts(
    mutants: Sequence[Mutant],
    names: Sequence[str],
    tests_of: Callable[[Mutant], dict[str, float]],
    limit: Callable[[float], float] = lambda usual: 3 + 10 * usual,
    cache: str | None = None,
) -> Iterator[Trial]:
    """Try mutants of modules that are all compiled by numba, or none; each changes one function.

    Parameters
    ----------
    mutants : sequence of Mutant
    names : sequence of str
        Files and folders of tests to collect.
    tests_of : callable
        Tests of a mutant, in their order, with their usual seconds.
    limit, cache
        As for `mutation.trials.attempt`.

    Raises
    ------
    RuntimeError
        If the trials themselves fail.
    """
    functions = [(mutant, changed_function(mutant) or "") for mutant in mutants]

    def work(told: int) -> int:
        quiet_settings()
        leave_uncompiled(is_compiled(mutants[0].path))
        for mutant in mutants:
            __import__(module_name(mutant.path))
        return run_tests(names, [_Trials(functions, tests_of, limit, told)])

    child = Child(work, cache)
    done, rest = 0, ""
    for line in child.lines():
        if not line.startswith("["):
            rest = line
            break
        outcome, test = json.loads(line)
        yield Trial(mutants[done], Outcome(outcome), test)
        done += 1
    status, told = child.end()
    if done < len(mutants) or status:
        message = f"The trials failed after {done} of {len(mutants)} mutants.\n{rest}{told}"
        raise RuntimeError(message)
