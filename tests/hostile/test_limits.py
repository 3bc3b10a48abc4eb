"""No room, no memory, and very much of everything."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
import time
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


def many(path: Path, counts: np.ndarray, rate_hz: float) -> Path:
    """Units with so many spikes each, and nothing else."""
    with h5py.File(path, "r+") as file:
        for name in list(file["units"]):
            del file[f"units/{name}"]
        rng = np.random.default_rng(0)
        units = file["units"]
        units["id"] = np.arange(len(counts))
        units["spike_times_index"] = np.cumsum(counts)
        spikes = units.create_dataset("spike_times", shape=(int(counts.sum()),), dtype="f8")
        start = 0
        for stop in [*np.cumsum(counts)[:: max(1, len(counts) // 1000)].tolist(), int(counts.sum())]:
            if stop > start:
                spikes[start:stop] = 0.001 + np.cumsum(rng.gamma(4, 1 / (4 * rate_hz), stop - start))
                start = stop
        units.attrs["colnames"] = ["spike_times"]
        for name, kind in (
            ("id", "ElementIdentifiers"),
            ("spike_times", "VectorData"),
            ("spike_times_index", "VectorIndex"),
        ):
            units[name].attrs.update({"neurodata_type": kind, "namespace": "hdmf-common", "object_id": name})
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


@slow
@pytest.mark.parametrize(("n_units", "n_spikes"), [(1, 10_000_000), (100_000, 20)])
def test_very_much(n_units: int, n_spikes: int, base: Path, tmp_path: Path) -> None:
    path = many(files.copied(base, tmp_path), np.full(n_units, n_spikes), 50.0)
    begin = time.monotonic()
    with nct.read_units(path) as units:
        opened = time.monotonic() - begin
        said = nct.annotate_units(units, "cerebellum", threshold=0)
    annotated = time.monotonic() - begin
    assert len(said) == n_units
    written = nct.annotate(path, threshold=0)
    assert len(nct.load_labels(written.file)) == n_units
    seconds = {"opened": opened, "annotated": annotated, "all": time.monotonic() - begin}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        json.dumps(
            {"units": n_units, "spikes": n_spikes, "peak_mb": peak} | {k: round(v, 1) for k, v in seconds.items()}
        )
    )
