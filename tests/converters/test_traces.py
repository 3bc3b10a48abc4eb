"""Flat binary recordings: every sample from the right place, several files in sequence, and clear refusals."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_celltype.converters.records import TraceSource
from nwb_celltype.converters.traces import BinaryTraces
from nwb_celltype.errors import InputError, UsageError


def open_traces(*paths: Path, **options: Any) -> BinaryTraces:
    given: dict[str, Any] = {
        "name": "imec0.ap",
        "dtype": np.dtype("<i2"),
        "n_file_channels": 5,
        "columns": np.arange(4),
        "sampling_rate_hz": 30_000.0,
        "gains_uv": None,
    }
    return BinaryTraces(paths=paths, **(given | options))


@pytest.fixture
def counts() -> np.ndarray:
    return np.random.default_rng(0).integers(-500, 500, (1_000, 5)).astype("<i2")


def write(path: Path, counts: np.ndarray, header: bytes = b"", tail: bytes = b"") -> Path:
    path.write_bytes(header + counts.tobytes() + tail)
    return path


def test_is_a_trace_source(tmp_path, counts):
    source: TraceSource = open_traces(write(tmp_path / "a.bin", counts))
    assert (source.n_samples, source.n_channels, source.dtype, source.filtering) == (1_000, 4, np.int16, "")


@pytest.mark.parametrize("columns", [[0, 1, 2, 3, 4], [0, 1, 2], [2, 3], [4, 0, 2], [3]])
def test_columns_come_in_the_order_asked_for(tmp_path, counts, columns):
    traces = open_traces(write(tmp_path / "a.bin", counts), columns=np.array(columns))
    np.testing.assert_array_equal(traces.read(0, 1_000), counts[:, columns])
    np.testing.assert_array_equal(
        traces.read(10, 20, np.array([len(columns) - 1, 0])), counts[10:20, columns][:, [-1, 0]]
    )


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 1_000), (299, 301), (300, 300), (250, 950), (999, 1_000)])
def test_several_files_follow_each_other(tmp_path, counts, start, stop):
    cuts = ((0, 300), (300, 301), (301, 900), (900, 1_000))
    paths = [write(tmp_path / f"{a}.bin", counts[a:b], header=b"header!" * 3) for a, b in cuts]
    traces = open_traces(*paths, header_bytes=21)
    assert traces.first_rows == (0, 300, 301, 900, 1_000)
    assert traces.notes == ()
    np.testing.assert_array_equal(traces.read(start, stop), counts[start:stop, :4])
    np.testing.assert_array_equal(traces.read_column(4, start, stop), counts[start:stop, 4])


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<u2", "<i4", "<f4", ">f8"])
def test_every_number_type_and_byte_order(tmp_path, counts, dtype):
    stored = (counts.astype("f8") + 500).astype(dtype)
    traces = open_traces(write(tmp_path / "a.bin", stored), dtype=np.dtype(dtype))
    np.testing.assert_array_equal(traces.read(0, 1_000), stored[:, :4])


def test_reads_in_pieces_give_the_same(tmp_path, counts, monkeypatch):
    monkeypatch.setattr("nwb_celltype.converters.traces._BLOCK_BYTES", 64)
    traces = open_traces(write(tmp_path / "a.bin", counts), columns=np.array([3, 1]))
    np.testing.assert_array_equal(traces.read(3, 777), counts[3:777, [3, 1]])


def test_a_system_that_reads_a_few_bytes_at_a_time(tmp_path, counts, monkeypatch):
    whole = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, buffers, at: whole(file, [buffers[0][:7]], at))
    traces = open_traces(write(tmp_path / "a.bin", counts))
    np.testing.assert_array_equal(traces.read(3, 77), counts[3:77, :4])


def test_a_file_that_ends_within_a_sample_is_read_up_to_it_and_noted(tmp_path, counts):
    first = write(tmp_path / "a.bin", counts[:400], tail=b"\x01\x02\x03")
    traces = open_traces(first, write(tmp_path / "b.bin", counts[400:]))
    assert traces.n_samples == 1_000
    np.testing.assert_array_equal(traces.read(390, 410), counts[390:410, :4])
    assert len(traces.notes) == 1
    assert "a.bin ends within a sample: its last 3 of 10 bytes are left out" in traces.notes[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": np.array([0, 5])}, "column 5 is asked for, but the file has 5 channels"),
        ({"columns": np.array([-1, 2])}, "column -1 is asked for"),
        ({"columns": np.array([], dtype=int)}, "no column of the file is an electrode"),
        ({"n_file_channels": 0}, "number of channels in the file is 0"),
        ({"gains_uv": np.ones(5)}, "5 gains for 4 channels"),
        ({"offsets_uv": np.ones(3)}, "3 offsets for 4 channels"),
        ({"dtype": np.dtype("S2")}, "are no numbers"),
        ({"sampling_rate_hz": 0.0}, "sampling rate is 0 Hz"),
        ({"sampling_rate_hz": np.nan}, "sampling rate is nan Hz"),
        ({"header_bytes": -1}, "header has -1 bytes"),
        ({"header_bytes": 10_000}, "not complete, or the number of channels is wrong"),
        ({"n_file_channels": 5_001}, "need 10002"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path, counts, options, words):
    path = write(tmp_path / "a.bin", counts)
    with pytest.raises(InputError, match=words) as caught:
        open_traces(path, **options)
    assert "imec0.ap" in str(caught.value)
    assert "a.bin" in str(caught.value)


def test_files_that_are_missing_folders_or_none(tmp_path):
    with pytest.raises(InputError, match=r"gone\.bin cannot be read \(No such file"):
        open_traces(tmp_path / "gone.bin")
    with pytest.raises(InputError, match="is a folder"):
        open_traces(tmp_path)
    with pytest.raises(InputError, match="no file is given"):
        open_traces()


def test_ranges_and_channels_outside(tmp_path, counts):
    traces = open_traces(write(tmp_path / "a.bin", counts))
    for start, stop in ((-1, 5), (5, 1_001), (6, 5)):
        with pytest.raises(UsageError, match=f"has samples 0 to 1000; asked for {start} to {stop}"):
            traces.read(start, stop)
    with pytest.raises(UsageError, match="has channels 0 to 3; asked for 1 to 4"):
        traces.read(0, 1, np.array([1, 4]))
    with pytest.raises(UsageError, match="has columns 0 to 4; asked for 5"):
        traces.read_column(5, 0, 1)


def test_a_file_that_shrinks_or_vanishes_after_it_was_opened(tmp_path, counts):
    path = write(tmp_path / "a.bin", counts)
    traces = open_traces(path)
    os.truncate(path, 5_000)
    with pytest.raises(InputError, match=r"a\.bin became shorter"):
        traces.read(400, 600)
    path.unlink()
    with pytest.raises(InputError, match=r"a\.bin cannot be read"):
        traces.read(0, 1)


def test_reading_far_into_a_large_file_needs_little_memory(tmp_path):
    path = tmp_path / "large.bin"
    with open(path, "wb") as file:
        file.truncate(6 * 2**30)  # a hole: takes no space on disk
    traces = open_traces(path, n_file_channels=385, columns=np.arange(384))
    tracemalloc.start()
    try:
        words = traces.read_column(384, traces.n_samples - 2**18, traces.n_samples)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert words.shape == (2**18,)
    assert peak < words.nbytes + 10 * 2**20
