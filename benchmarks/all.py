"""Every benchmark of speed and size, one after the other: one table, and all their numbers in one JSON file.

Run:  python benchmarks/all.py --data-dir DIR [--quick] [--tenfold] [--only NAME ...] [--accuracy FOLDER] [--json FILE]

Each is a script that also runs on its own and says at its top what it measures and how. What they print is passed on;
where one fails the others run all the same, and the exit code is 1. --accuracy adds the accuracy on the C4 units in a
folder (`docs/model_cerebellum.md` says where they are), and whether other processors give the same answers for them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from benchmarks import child_process  # noqa: E402


@dataclass(frozen=True)
class Benchmark:
    """One script with its options.

    Attributes
    ----------
    name : str
    script : str
    quick, full : tuple of str
        Options beside the folder and the JSON file.
    has_folder : bool
        Whether it writes data, and takes ``--data-dir``.
    """

    name: str
    script: str
    quick: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    has_folder: bool = True


BENCHMARKS = (
    Benchmark("features", "features.py", ("--quick",), has_folder=False),
    Benchmark("npyx", "npyx_peer.py", ("--quick",)),
    Benchmark("annotate", "annotate.py", ("--quick",)),
    Benchmark("growth", "growth.py", ("--quick",)),
    Benchmark("streaming", "streaming.py", ("--size", "small", "--repeats", "1")),
    Benchmark("convert", "convert.py", ("--sizes", "20", "--raw-seconds", "0", "--repeats", "1")),
    Benchmark("mean waveforms", "mean_waveforms.py", ("--seconds", "20", "--units", "10", "--repeats", "1")),
    Benchmark("C4 ensemble", "c4_ensemble.py", ("--networks", "40", "--units", "20"), has_folder=False),
)


def run(benchmark: Benchmark, options: list[str], folder: Path) -> dict[str, Any]:
    """Run one script; its numbers, or what went wrong."""
    numbers = folder / f"{benchmark.script.removesuffix('.py')}.json"
    numbers.unlink(missing_ok=True)
    takes_json = "--json" in (HERE / benchmark.script).read_text(encoding="utf-8")
    command = [sys.executable, str(HERE / benchmark.script), *options]
    command += ["--data-dir", str(folder)] if benchmark.has_folder else []
    command += ["--json", str(numbers)] if takes_json else []
    print(f"\n== {benchmark.name}: {benchmark.script} {' '.join(options)}", flush=True)
    began = time.perf_counter()
    done = subprocess.run(command, check=False)
    told: Any = json.loads(numbers.read_text(encoding="utf-8")) if numbers.exists() else None
    return {"seconds": time.perf_counter() - began, "exit_code": done.returncode, "numbers": told}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="where data are, or are written to (about 20 GB)")
    parser.add_argument("--quick", action="store_true", help="small data: whether everything runs, no figures to quote")
    parser.add_argument("--tenfold", action="store_true", help="also 1,000 units with 1,000,000 spikes each (8 GB)")
    parser.add_argument("--only", action="append", choices=[each.name for each in BENCHMARKS])
    parser.add_argument("--accuracy", type=Path, help="folder of the C4 units")
    parser.add_argument("--json", type=Path, help="write all numbers here")
    given = parser.parse_args()
    given.data_dir.mkdir(parents=True, exist_ok=True)
    found = {}
    for each in BENCHMARKS:
        if given.only and each.name not in given.only:
            continue
        options = list(each.quick if given.quick else each.full)
        if each.script == "annotate.py" and given.tenfold:
            options.append("--tenfold")
        if each.script == "growth.py":
            options += ["--picture", str(given.data_dir / "growth.png")]
        found[each.name] = run(each, options, given.data_dir)
    if given.accuracy is not None:
        accuracy = Benchmark("accuracy", "accuracy.py", has_folder=False)
        options = ["--data-dir", str(given.accuracy), *(("--seeds", "1", "--members", "1") if given.quick else ())]
        found["accuracy"] = run(accuracy, options, given.data_dir)
        processors = Benchmark("processors", "processors.py", has_folder=False)
        options = ["--data-dir", str(given.accuracy), *(() if given.quick else ("--train",))]
        found["processors"] = run(processors, options, given.data_dir)
    print(f"\n{'benchmark':16} {'seconds':>8}  result")
    for name, row in found.items():
        print(f"{name:16} {row['seconds']:8.1f}  {'done' if row['exit_code'] == 0 else 'FAILED'}")
    if given.json:
        given.json.write_text(json.dumps({**child_process.machine(), "benchmarks": found}, indent=1) + "\n")
    sys.exit(any(row["exit_code"] for row in found.values()))


if __name__ == "__main__":
    main()
