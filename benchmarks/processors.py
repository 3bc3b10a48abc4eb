"""Do other processors give the same answers? Instruction sets are taken from this one, as older ones lack them.

Run:  python benchmarks/processors.py --data-dir C4_DIR [--train] [--only NAME] [--json FILE]

Each child process may use one instruction set alone, in PyTorch (its own kernels, MKL and oneDNN), NumPy, OpenBLAS and
the compiled kernels of this package. It answers for the C4 units with the shipped model `cerebellum`, or with --train
with one that it has trained itself from the same seed, and for a simulated session with that and with
`cerebellum-statistics`. Printed are the largest differences from the answers on the processor as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

PROCESSORS: dict[str, dict[str, str]] = {
    "this one, again": {},
    "this one, one thread": {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    "AVX2 (2013)": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+avx2,+fma",
    },
    "SSE4 (2008)": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "COMPATIBLE",
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
        "NUMBA_CPU_NAME": "nehalem",
        "NUMBA_CPU_FEATURES": "+sse4.2",
    },
}


def answers(data: Path, session: Path, model: str, out: Path) -> None:
    """Write the answers of one process: of the C4 units, and of the session from its spikes."""
    import nwb_celltype as nct
    from nwb_celltype.classifier import load_model
    from nwb_celltype.labels import read_labelled
    from nwb_celltype.training.recipes import CEREBELLUM_SOURCES

    loaded = load_model(model)
    found: dict[str, Any] = {}
    for source in CEREBELLUM_SOURCES:
        told = loaded.predict(read_labelled(data / source.file, lab=source.lab, species=source.species).features)
        found[f"{source.lab} probability"], found[f"{source.lab} ood"] = told.probability, told.ood_score
    for answering in (loaded, load_model("cerebellum-statistics")):
        told = nct.annotate_units(nct.read_units(session), answering)
        found[f"session, {answering.card['name']}, probability"] = told.probability
        found[f"session, {answering.card['name']}, ood"] = told.ood_score
    np.savez(out, **{key: np.asarray(value, dtype=float) for key, value in found.items()})


def child(options: argparse.Namespace, session: Path, processor: dict[str, str], folder: Path) -> dict[str, Any]:
    """Answers of a process that has the instructions of one processor."""
    model, out, began = "cerebellum", folder / "answers.npz", time.perf_counter()
    environment = os.environ | processor | {"NUMBA_CACHE_DIR": str(folder / "kernels"), "DANDI_NO_ET": "1"}
    if options.train:
        model = str(folder / "model")
        train = [sys.executable, "-m", "nwb_celltype", "train", str(options.data_dir), "--recipe", "cerebellum"]
        train += ["--out", model, "--seed", "0"]
        subprocess.run(train, check=True, env=environment, stdout=subprocess.DEVNULL)
    command = [sys.executable, __file__, "--data-dir", str(options.data_dir)]
    command += ["--answers", str(out), "--session", str(session), "--model", model]
    subprocess.run(command, check=True, env=environment)
    with np.load(out) as file:
        return {**{key: file[key] for key in file}, "seconds": time.perf_counter() - began}


def difference(one: dict[str, Any], other: dict[str, Any], kind: str) -> tuple[float, int]:
    """Largest difference of probabilities, or of scores, and the number of units whose first class differs."""
    largest, changed = 0.0, 0
    for key in one:
        if not key.endswith(kind):
            continue
        if not np.array_equal(np.isnan(one[key]), np.isnan(other[key])):
            message = f"{key}: other units are answered"
            raise SystemExit(message)
        largest = max(largest, float(np.nanmax(np.abs(one[key] - other[key]), initial=0.0)))
        if kind == "probability":
            known = ~np.isnan(one[key]).any(axis=1)
            changed += int((one[key][known].argmax(axis=1) != other[key][known].argmax(axis=1)).sum())
    return largest, changed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of the C4 units")
    parser.add_argument("--train", action="store_true", help="train a model on each, and let it answer")
    parser.add_argument("--only", action="append", choices=list(PROCESSORS), help="one of them; may be repeated")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--answers", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--session", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.answers is not None:
        answers(options.data_dir, options.session, options.model, options.answers)
        return
    from benchmarks.simulated_units import Size, write_session

    table: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="processors-") as name:
        top = Path(name)
        session = write_session(top / "session.nwb", Size(n_units=60, n_spikes=300_000, n_channels=64))
        runs, wanted = {}, {name: PROCESSORS[name] for name in options.only or PROCESSORS}
        for k, (processor, environment) in enumerate({"": {}, **wanted}.items()):
            (top / str(k)).mkdir()
            runs[processor] = child(options, session, environment, top / str(k))
        reference = runs.pop("")
        print(f"{'processor':22} {'probability':>12} {'other class':>12} {'score':>10} {'seconds':>8}")
        for processor, run in runs.items():
            probability, changed = difference(reference, run, "probability")
            score, _ = difference(reference, run, "ood")
            table[processor] = {"probability": probability, "other_class": changed, "ood_score": score}
            print(f"{processor:22} {probability:12.2g} {changed:12} {score:10.2g} {run['seconds']:8.0f}", flush=True)
    if options.json:
        found = {"trained": options.train, "differences": table}
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
