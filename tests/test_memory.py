"""Memory does not grow with the recording: the peak of a process of its own, on a session of 40 million spikes."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchmarks.simulated_units import Size, trains, write_session

N_UNITS = 220
CHILD = """
import json, resource, sys
import numpy as np
import nwb_celltype as nct
from nwb_celltype.session_context import with_context

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def annotate(units):
    return with_context(nct.annotate_units(units, "cerebellum"), units)

rng = np.random.default_rng(0)
trains = [np.sort(rng.uniform(0, 100, n)) for n in (100, 2_000) * 100]
shape = -np.exp(-np.linspace(-3, 5, 82) ** 2)[:, None] * [[100.0, 20.0]]
annotate(nct.Units.from_arrays(trains, waveform_mean=[shape] * 200, waveform_rate_hz=30_000.0))
before = peak()  # with all code loaded, and as many units, whose trains are short
with nct.read_units(sys.argv[1]) as units:
    annotation = annotate(units)
    stored = int(units.spike_times.counts.sum()) * 8
pairs = 0 if annotation.cell_id is None else len(set(annotation.cell_id.tolist()) - {""})
print(json.dumps({"grown": peak() - before, "stored": stored, "pairs": pairs, "peak": peak()}))
"""


def write_large(path: Path) -> Path:
    """Complex and simple spikes of one cell, and the train of another unit again and again; 290 MB."""
    write_session(path, Size(N_UNITS, 1_000 * N_UNITS, 8))
    complex_, simple, other = islice(trains(Size(20, 2_000_000)), 3)
    stops = np.cumsum([len(complex_), len(simple), *[len(other)] * (N_UNITS - 2)])
    with h5py.File(path, "r+") as file:
        table = file["units"]
        attributes = dict(table["spike_times"].attrs)
        del table["spike_times"]
        spikes = table.create_dataset("spike_times", (int(stops[-1]),), np.float64)
        spikes.attrs.update(attributes)
        spikes[: stops[1]] = np.concatenate([complex_, simple])
        for stop in stops[2:].tolist():
            spikes[stop - len(other) : stop] = other
        table["spike_times_index"].attrs["target"] = spikes.ref
        table["spike_times_index"][...] = stops
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory otherwise")
def test_peak_memory_of_a_large_session(tmp_path: Path) -> None:
    """Features, answers, the hash of the input and the search for pairs, of trains that take 290 MB."""
    file = write_large(tmp_path / "large.nwb")
    done = subprocess.run([sys.executable, "-c", CHILD, str(file)], capture_output=True, text=True, check=False)
    file.unlink()
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["stored"] > 280e6
    assert said["pairs"] == 1  # so the search was made
    assert said["grown"] < said["stored"] / 2, said
    assert said["peak"] < 2e9, said
