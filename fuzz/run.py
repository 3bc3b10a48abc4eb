"""Fuzz one parser, or all: `python -m fuzz.run --seconds 120 --target labels`.

Says for each how many inputs were tried, how much of the parser they reached, and what was found; the shortest input of
each finding is kept in the folder of `--keep`. The exit code is 1 where there is a finding.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from fuzz.inputs import changed
from fuzz.targets import TARGETS
from fuzz.trials import Trials

_BATCH = 2000
_MEMORY = 8 * 2**30
_TRACED = 10  # one in so many: tracing is slow


def with_hypothesis(trials: Trials, seconds: float, seed: int) -> None:
    """Try inputs that hypothesis makes until the time is up; the seeds themselves first."""

    class TimeIsUp(KeyboardInterrupt):  # one of those that hypothesis lets through at once
        pass

    end = time.monotonic() + seconds
    for data in trials.target.seeds:
        trials.one(data, traces=True)
    while time.monotonic() < end:

        @seeded(seed)
        @settings(
            max_examples=_BATCH,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(changed(trials.target))
        def once(data: bytes) -> None:
            if time.monotonic() < end:
                trials.one(data, traces=trials.n % _TRACED == 0 or trials.n < 500)

        once()
        seed += 1


def with_atheris(name: str, trials: Trials, seconds: float, seed: int) -> int:
    """Let libFuzzer make inputs in a process of its own, led by coverage; trace what it kept; return how many."""
    with tempfile.TemporaryDirectory() as folder:
        corpus, found = Path(folder) / "corpus", Path(folder) / "found"
        corpus.mkdir(), found.mkdir()
        for k, data in enumerate(trials.target.seeds):
            (corpus / f"seed{k}").write_bytes(data)
        words = Path(folder) / "words"
        quoted = ("".join(f"\\x{byte:02x}" for byte in word) for word in trials.target.words if len(word) < 64)
        words.write_text("".join(f'"{word}"\n' for word in quoted if word))
        command = [
            sys.executable,
            "-m",
            "fuzz.libfuzzer",
            name,
            str(found),
            str(corpus),
            f"-max_total_time={int(seconds)}",
            f"-seed={seed}",
            f"-dict={words}",
            "-max_len=20000",
            "-rss_limit_mb=4096",
            "-timeout=20",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr[-2000:], file=sys.stderr)
        for path in sorted(found.iterdir()):
            trials.one(path.read_bytes())
        for path in sorted(corpus.iterdir()):
            trials.one(path.read_bytes(), traces=True)
        line = next((line for line in done.stderr.splitlines() if line.startswith("Done ")), "Done 0 runs")
        return int(line.split()[1])


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="for each target and engine")
    parser.add_argument("--target", choices=["all", *TARGETS], default="all")
    parser.add_argument("--engine", choices=["hypothesis", "atheris", "both"], default="both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the inputs of findings")
    options = parser.parse_args()
    engines = ["hypothesis", "atheris"] if options.engine == "both" else [options.engine]
    if "atheris" in engines and importlib.util.find_spec("atheris") is None:
        print("atheris is not installed (pip install atheris); hypothesis alone is used.", file=sys.stderr)
        engines = ["hypothesis"]
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    n_findings = 0
    for name in TARGETS if options.target == "all" else [options.target]:
        for engine in engines:
            with Trials(TARGETS[name]) as trials:
                begin = time.monotonic()
                if engine == "hypothesis":
                    with_hypothesis(trials, options.seconds, options.seed)
                    n = trials.n
                else:
                    n = with_atheris(name, trials, options.seconds, options.seed)
                reached, lines = trials.coverage()
                n_findings += len(trials.findings)
                line = {
                    "target": name,
                    "engine": engine,
                    "seed": options.seed,
                    "seconds": round(time.monotonic() - begin),
                    "executions": n,
                    "lines": f"{reached}/{lines}",
                    "findings": len(trials.findings),
                }
                print(json.dumps(line), flush=True)
                for finding in trials.findings.values():
                    print(f"  {finding.where}: {finding.what}\n    {finding.data[:300]!r}", flush=True)
                    if options.keep is not None:
                        options.keep.mkdir(parents=True, exist_ok=True)
                        digest = hashlib.sha256(finding.data).hexdigest()[:12]
                        (options.keep / f"{name}-{digest}").write_bytes(finding.data)
    return int(bool(n_findings))


if __name__ == "__main__":
    sys.exit(main())
