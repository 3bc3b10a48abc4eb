"""Ensemble of the C4 recipe: one stacked forward pass against a loop over the same networks.

    python benchmarks/c4_ensemble.py [--networks 2020] [--units 100] [--threads 1]

2,020 networks of random weights in the published shapes and their curvatures are written to a file of 2.7 GB in a
temporary folder. Each way then runs in a process of its own that reads them from there: the pass over stacked weights,
slice by slice, as `nwb_celltype.c4.ensemble` does it; and a loop that has every network in memory as a module, as the
published classifier does. CPU seconds are those of the process over the pass alone, peak memory that of the process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def write_ensemble(path: Path, n_networks: int) -> None:
    import torch

    from nwb_celltype.c4 import ensemble
    from nwb_celltype.c4.laplace import curvature_of
    from nwb_celltype.c4.networks import Classifier
    from nwb_celltype.tensor_files import create_tensors

    tensors = create_tensors(path, ensemble.shapes(n_networks, 5, has_layer=False))
    x = torch.randn(200, 1100, generator=torch.Generator().manual_seed(0))
    for i in range(n_networks):
        torch.manual_seed(i)
        network = Classifier(5, has_layer=False).eval()
        with torch.no_grad():
            hidden = network.hidden(x)
            curvature = curvature_of(hidden.numpy(), network.fc2(hidden).numpy())
        for key, value in ensemble.stack([network], [curvature], [5.0]).items():
            tensors[key][i] = value[0]


def stacked(path: Path, x: np.ndarray) -> tuple[np.ndarray, float]:
    from nwb_celltype.c4.ensemble import predict
    from nwb_celltype.tensor_files import map_tensors

    tensors = map_tensors(path)
    list(predict({name: value[:2] for name, value in tensors.items()}, x))
    started = time.process_time()
    total = sum(part.sum(axis=0) for part in predict(tensors, x))
    return total, time.process_time() - started


def loop(path: Path, x: np.ndarray) -> tuple[np.ndarray, float]:
    import torch

    from nwb_celltype.c4.ensemble import CURVATURE
    from nwb_celltype.c4.laplace import Curvature, calibrated, logit_variance
    from nwb_celltype.c4.networks import Classifier
    from nwb_celltype.tensor_files import map_tensors

    tensors = map_tensors(path)
    networks = []
    for i in range(len(tensors["last_layer.precision"])):
        network = Classifier(5, has_layer=False).eval()
        state = {k[8:]: torch.from_numpy(np.array(v[i])) for k, v in tensors.items() if k.startswith("network.")}
        network.load_state_dict(state, strict=False)
        last = {name: np.asarray(tensors[f"last_layer.{name}"][i], dtype=np.float64) for name in CURVATURE}
        networks.append((network, Curvature(**last), float(tensors["last_layer.precision"][i])))
    given = torch.from_numpy(x)
    started = time.process_time()
    total = np.zeros((len(x), 5))
    with torch.no_grad():
        for network, curvature, precision in networks:
            hidden = network.hidden(given)
            variance = logit_variance(hidden.numpy(), curvature, precision)
            total += calibrated(network.fc2(hidden).numpy(), variance)
    return total, time.process_time() - started


def measure(way: str, path: Path, n_units: int, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    x = np.random.default_rng(0).normal(size=(n_units, 1100)).astype(np.float32)
    started = time.perf_counter()
    total, cpu_s = {"stacked": stacked, "loop": loop}[way](path, x)
    said = {
        "cpu_s": round(cpu_s, 2),
        "process_s": round(time.perf_counter() - started, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "total": total.tolist(),
    }
    print(json.dumps(said))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=2020)
    parser.add_argument("--units", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", choices=["stacked", "loop"], help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        measure(asked.measure, asked.file, asked.units, asked.threads)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ensemble.safetensors"
        write_ensemble(path, asked.networks)
        print(f"{asked.networks} networks, {asked.units} units, {asked.threads} thread(s)")
        print(f"file {path.stat().st_size / 1e9:.2f} GB; CPU seconds of the pass, peak memory of the process")
        totals = {}
        for way in ("stacked", "loop"):
            command = [sys.executable, __file__, "--measure", way, "--file", str(path)]
            command += ["--units", str(asked.units), "--threads", str(asked.threads)]
            runs = [
                json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
                for _ in range(asked.repeats)
            ]
            totals[way] = np.array(runs[0]["total"]) / asked.networks
            seconds = ", ".join(f"{run['cpu_s']:.2f}" for run in runs)
            print(f"{way:8} {seconds} s; {max(run['peak_gb'] for run in runs):.2f} GB")
        print(f"largest difference of a mean probability: {np.abs(totals['stacked'] - totals['loop']).max():.1e}")


if __name__ == "__main__":
    main()
