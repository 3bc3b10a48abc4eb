"""No room, no memory, and very much of everything."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import h5py
import numpy as np
import pytest

import nwb_celltype as nct
from nwb_celltype.cli import main
from nwb_celltype.errors import InputError

from . import files

slow = pytest.mark.skipif(not os.environ.get("NWB_CELLTYPE_SOAK"), reason="takes minutes: `make soak` does it")

LIMITED = """
import resource, sys
from pathlib import Path
import nwb_celltype.cli, nwb_celltype.nwb_io, nwb_celltype.features, nwb_celltype.classifier
nwb_celltype.classifier.load_model("cerebellum")
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {extra}, used + {extra}))
nwb_celltype.cli.main(["annotate", sys.argv[1]])
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return files.sound(tmp_path_factory.mktemp("sound") / "sound.nwb")


def test_no_room_is_said_before_anything_is_written(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files.copied(base, tmp_path)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(InputError, match=r"has 0 MB free; a safe copy of session\.nwb needs .* MB\. Make room"):
        nct.annotate(path)
    assert [one.name for one in tmp_path.iterdir()] == ["session.nwb"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_no_room_left_while_writing(code: int, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.copied(base, tmp_path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])
    with pytest.raises(InputError, match=r"is full.*nothing was written\. Make room, or choose another place"):
        nct.annotate(path, in_place=True)
    assert [one.name for one in tmp_path.iterdir()] == ["session.nwb"]
    assert path.read_bytes() == before


def test_no_memory_is_said_in_a_sentence(
    base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hungry(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("nwb_celltype.nwb_io.annotated_file.annotate_units", hungry)
    with pytest.raises(SystemExit) as end:
        main(["annotate", str(base)])
    assert end.value.code == 1
    assert "not enough memory for this; files are as they were" in capsys.readouterr().err
    assert [one.name for one in base.parent.iterdir()] == ["sound.nwb"]


def many(path: Path, counts: np.ndarray, rate_hz: float, *, has_waveforms: bool = False) -> Path:
    """Units with so many spikes each, and nothing else; waveforms of four channels if they are asked for."""
    with h5py.File(path, "r+") as file:
        for name in list(file["units"]):
            del file[f"units/{name}"]
        rng = np.random.default_rng(0)
        units = file["units"]
        units["id"] = np.arange(len(counts))
        units["spike_times_index"] = np.cumsum(counts)
        spikes = units.create_dataset("spike_times", shape=(int(counts.sum()),), dtype="f8")
        start, n_a_piece = 0, max(1, len(counts) // 100)
        for k in range(0, len(counts), n_a_piece):
            trains = [np.cumsum(0.001 + rng.gamma(4, 1 / (4 * rate_hz), n)) for n in counts[k : k + n_a_piece]]
            piece = np.concatenate(trains)
            spikes[start : start + len(piece)] = piece
            start += len(piece)
        kinds = {"id": "ElementIdentifiers", "spike_times": "VectorData", "spike_times_index": "VectorIndex"}
        if has_waveforms:
            shapes = files.waveforms()
            waves = units.create_dataset("waveform_mean", shape=(len(counts), *shapes.shape[1:]), dtype="f4")
            for k in range(0, len(counts), 1000):
                n = min(1000, len(counts) - k)
                waves[k : k + n] = shapes[np.arange(n) % len(shapes)] + rng.normal(size=(n, *shapes.shape[1:]))
            waves.attrs["sampling_rate"] = files.RATE_HZ
            kinds["waveform_mean"] = "VectorData"
        units.attrs["colnames"] = [name for name in kinds if name not in ("id", "spike_times_index")]
        for name, kind in kinds.items():
            units[name].attrs.update({"neurodata_type": kind, "namespace": "hdmf-common", "object_id": name})
            units[name].attrs["description"] = name
        units["spike_times_index"].attrs["target"] = units["spike_times"].ref
    return path


@slow
def test_a_file_larger_than_memory(base: Path, tmp_path: Path) -> None:
    path = many(files.copied(base, tmp_path), np.array([30_000_000]), 50.0)
    done = subprocess.run([sys.executable, "-c", LIMITED.format(extra=100 << 20), str(path)], capture_output=True,
                          text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip
    assert done.returncode in (1, 3), done.stderr
    assert "Traceback" not in done.stderr
    assert "memory" in done.stderr.lower() or "Cannot read" in done.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["session.nwb"]


MEASURE = """
import json, resource, sys, time
import nwb_celltype as nct

path, out = sys.argv[1], sys.argv[2]
seconds = {}

def timed(name, do):
    begin, worked = time.monotonic(), time.process_time()
    answer = do()
    seconds[name] = round(time.monotonic() - begin, 1)
    seconds[f"{name}_cpu"] = round(time.process_time() - worked, 1)
    return answer

def opened():
    with nct.read_units(path) as units:
        return len(units)

n = timed("read_units", opened)
run = timed("annotate", lambda: nct.annotate(path, out=out, threshold=0)).run
labels = timed("load_labels", lambda: nct.load_labels(out))
found = timed("check", lambda: nct.check(out))
assert len(run.unit_ids) == len(labels) == n, (len(run.unit_ids), len(labels), n)
assert not found, found
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps({"units": n, **seconds, "peak_mb": peak}))
"""


@slow
@pytest.mark.parametrize(
    ("n_units", "n_spikes", "has_waveforms"),
    [(1, 10_000_000, False), (10_000, 50, False), (100_000, 50, False), (100_000, 50, True)],
)
def test_very_much(n_units: int, n_spikes: int, has_waveforms: bool, base: Path, tmp_path: Path) -> None:
    """In a process of its own, so that what it needs is measured and nothing else."""
    path = many(files.copied(base, tmp_path), np.full(n_units, n_spikes), 50.0, has_waveforms=has_waveforms)
    command = [sys.executable, "-W", "ignore", "-c", MEASURE, str(path), str(tmp_path / "out.nwb")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(figures | {"spikes": n_spikes, "waveforms": has_waveforms}))
    assert figures["units"] == n_units
    assert figures["annotate_cpu"] < 1200, "two cores for ten minutes"
    assert figures["peak_mb"] < 4096
