"""Mutation testing of features, calibration and annotation: `python -m mutation.run`.

Changes the modules at one place after the other, and runs the tests that reach the place; a change that no test notices
is a survivor. Prints the share of changes that were noticed, and every survivor. The exit code is 1 where the share is
below `--least`, and 2 where nothing could be tried.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "DANDI_NO_ET": "1"}

from mutation.baseline import Baseline, measure
from mutation.in_place import attempts, changed_function
from mutation.mutants import Mutant, all_mutants
from mutation.targets import ROOT, TESTS, TESTS_OF_COMPILED, is_compiled, modules
from mutation.trials import Outcome, Trial, attempt, warm

LEAST = 0.8
_KINDS = {True: "uncompiled", False: "compiled"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--module", action="append", help="only files whose path contains this; may be repeated")
    parser.add_argument("--sample", type=int, help="so many mutants, drawn from all")
    parser.add_argument("--seed", type=int, default=1, help="of the draw of replacements, and of the sample")
    parser.add_argument(
        "--again", type=Path, help="only what no test noticed in this earlier result (--json); figures of both"
    )
    parser.add_argument("--slowest", type=float, default=1.0, help="tests that take longer (s) are left out")
    parser.add_argument("--budget", type=float, default=5.0, help="seconds of tests for one mutant, the quickest first")
    parser.add_argument("--least", type=float, default=LEAST, help="share that must be noticed")
    parser.add_argument("--json", type=Path, help="file for all results")
    options = parser.parse_args(arguments)
    missing = [name for name in ("cosmic_ray", "coverage") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"{' and '.join(missing)} not installed: pip install cosmic-ray coverage", file=sys.stderr)
        return 2
    begin = time.monotonic()
    paths = modules(only=options.module)
    kinds = [[path for path in paths if is_compiled(path) is kind] for kind in (False, True)]
    if all(kinds) and options.again is None and options.sample is None:
        records = [record for some in kinds for record in _in_another_process(some, options)]
        if options.json is not None:
            options.json.write_text(json.dumps(records, indent=1), encoding="utf-8")
        done = _joined(records, [])
        print(f"\n{table(done)}\n{len(done)} mutants in {time.monotonic() - begin:.0f} s, seed {options.seed}")
        return int(share(done) < options.least)
    mutants = _mutants(options)
    if not mutants:
        print("There is nothing to mutate.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="mutation-compiled-") as cache:
        done = _try_all(mutants, options, cache)
    if options.again is not None:
        done = _joined(json.loads(options.again.read_text(encoding="utf-8")), done)
        if options.json is not None:
            options.json.write_text(json.dumps([_record(each) for each in done], indent=1), encoding="utf-8")
    print(f"\n{table(done)}\n{len(done)} mutants in {time.monotonic() - begin:.0f} s, seed {options.seed}")
    return int(share(done) < options.least)


def _in_another_process(paths: Sequence[Path], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Try the mutants of some modules; what numba holds after one kind of modules can stop children of the other."""
    with tempfile.TemporaryDirectory(prefix="mutation-results-") as folder:
        results = Path(folder) / "results.json"
        command = [sys.executable, "-m", "mutation.run", "--json", str(results), "--least", "0"]
        command += [word for path in paths for word in ("--module", path.as_posix())]
        for name in ("seed", "slowest", "budget"):
            command += [f"--{name}", str(getattr(options, name))]
        subprocess.run(command, check=True, cwd=ROOT)
        found: list[dict[str, Any]] = json.loads(results.read_text(encoding="utf-8"))
    return found


def _mutants(options: argparse.Namespace) -> list[Mutant]:
    mutants = [mutant for path in modules(only=options.module) for mutant in all_mutants(path, seed=options.seed)]
    if options.again is not None:
        stayed = _stayed(json.loads(options.again.read_text(encoding="utf-8")))
        mutants = [mutant for mutant in mutants if _place(mutant.path.as_posix(), vars(mutant)) in stayed]
    if options.sample is not None and options.sample < len(mutants):
        kept = set(random.Random(options.seed).sample(range(len(mutants)), options.sample))
        mutants = [mutant for k, mutant in enumerate(mutants) if k in kept]
    return mutants


def _try_all(mutants: Sequence[Mutant], options: argparse.Namespace, cache: str) -> list[Trial]:
    done: list[Trial] = []
    kinds = {mutant.path: is_compiled(mutant.path) for mutant in mutants}
    for kind in sorted(set(kinds.values())):
        tests = TESTS_OF_COMPILED if kind else TESTS
        baseline, names = measure(options.slowest, tests, uncompiled=kind, cache=cache)
        warm(names)
        some = [mutant for mutant in mutants if kinds[mutant.path] is kind]
        whole = [mutant for mutant in some if changed_function(mutant) is None]
        inside = [mutant for mutant in some if changed_function(mutant) is not None]
        _leave_out_blind_tests(some[0], baseline, cache)
        seconds = sum(baseline.seconds.values())
        print(f"{len(baseline.seconds)} tests, {_KINDS[kind]}, in {seconds:.0f} s; left out:", flush=True)
        for test, why in baseline.left_out.items():
            print(f"  {test}: {' '.join(why.split())[-160:]}", flush=True)
        tests_of = partial(baseline.tests_of, budget_s=options.budget)
        for trial in chain(
            attempts(inside, tests, tests_of, cache=cache),
            (attempt(mutant, tests_of(mutant), cache=cache) for mutant in whole),
        ):
            done.append(trial)
            if trial.outcome in (Outcome.SURVIVED, Outcome.NOT_REACHED):
                print(f"  {trial.outcome}: {trial.mutant}", flush=True)
            if len(done) % 100 == 0:
                print(f"{len(done)} of {len(mutants)}", file=sys.stderr, flush=True)
            if options.json is not None and (len(done) % 20 == 0 or len(done) == len(mutants)):
                options.json.write_text(json.dumps([_record(each) for each in done], indent=1), encoding="utf-8")
    return sorted(done, key=lambda trial: (trial.mutant.path, trial.mutant.line))


def share(trials: Sequence[Trial]) -> float:
    """Share of mutants that tests noticed."""
    return sum(trial.outcome in ("killed", "timed out") for trial in trials) / len(trials)


def table(trials: Sequence[Trial]) -> str:
    """Figures of each module, and of all, in Markdown."""
    lines = [
        "| module | mutants | killed | timed out | survived | not reached | share |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    paths = list(dict.fromkeys(trial.mutant.path for trial in trials))
    groups = {path.as_posix(): [trial for trial in trials if trial.mutant.path == path] for path in paths}
    for name, group in {**groups, "all": trials}.items():
        n = Counter(str(trial.outcome) for trial in group)
        counts = " | ".join(str(n[word]) for word in ("killed", "timed out", "survived", "not reached"))
        lines.append(f"| {name} | {len(group)} | {counts} | {share(group):.1%} |")
    return "\n".join(lines)


def _leave_out_blind_tests(any_mutant: Mutant, baseline: Baseline, cache: str) -> None:
    """Run every test on an unchanged module, in the way of a trial; what fails would kill anything."""
    source = (ROOT / any_mutant.path).read_text(encoding="utf-8")
    same = replace(any_mutant, source=source, old="nothing", new="nothing")
    while True:
        trial = attempt(same, baseline.in_order(baseline.seconds), limit=lambda _: 60.0, cache=cache)
        if trial.outcome is Outcome.SURVIVED:
            return
        if trial.test not in baseline.seconds:
            message = f"The tests fail where nothing is changed: {trial.outcome} {trial.test}"
            raise RuntimeError(message)
        baseline.left_out[trial.test] = "fails in a trial where nothing is changed"
        del baseline.seconds[trial.test]


def _record(trial: Trial) -> dict[str, Any]:
    mutant = trial.mutant
    return {
        "file": mutant.path.as_posix(),
        "line": mutant.line,
        "operator": mutant.operator,
        "old": mutant.old,
        "new": mutant.new,
        "outcome": str(trial.outcome),
        "test": trial.test,
    }


def _stayed(records: list[dict[str, Any]]) -> set[tuple[object, ...]]:
    return {_place(r["file"], r) for r in records if r["outcome"] in ("survived", "not reached")}


def _place(file: str, record: dict[str, Any]) -> tuple[object, ...]:
    return file, record["line"], record["operator"], record["old"], record["new"]


def _joined(records: list[dict[str, Any]], done: list[Trial]) -> list[Trial]:
    """Earlier results, with the later ones in their place."""
    later = {_place(trial.mutant.path.as_posix(), vars(trial.mutant)) for trial in done}
    kept = [
        Trial(
            Mutant(Path(r["file"]), r["line"], r["operator"], r["old"], r["new"], ""), Outcome(r["outcome"]), r["test"]
        )
        for r in records
        if _place(r["file"], r) not in later
    ]
    return sorted([*kept, *done], key=lambda trial: (trial.mutant.path, trial.mutant.line))


if __name__ == "__main__":
    sys.exit(main())
