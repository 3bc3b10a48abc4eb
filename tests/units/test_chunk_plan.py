"""Chunks of a remote array are unpacked here, so that what they claim is not believed."""

from __future__ import annotations

import tracemalloc
import zlib

import numpy as np
import pytest

from nwb_celltype.units.chunk_plan import ChunkPlan


@pytest.fixture
def plan() -> ChunkPlan:
    one = np.array([0])
    return ChunkPlan(np.dtype("f8"), (100,), 100, one, one, one, (1,), True, np.float64(0))


def test_a_chunk_is_unpacked(plan: ChunkPlan) -> None:
    values = np.arange(100.0)
    assert np.frombuffer(plan.decode(zlib.compress(values.tobytes()))).tolist() == values.tolist()


def test_a_chunk_that_unpacks_to_a_hundred_megabytes_takes_no_memory(plan: ChunkPlan) -> None:
    packed = zlib.compress(bytes(100_000_000), 9)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"a chunk holds 801 bytes, not 800"):
        plan.decode(packed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize(
    "damage",
    [lambda packed: packed[:-1], lambda packed: packed[: len(packed) // 2], lambda packed: packed[:-4] + bytes(4)],
    ids=["the last byte is missing", "half of it is missing", "another check sum"],
)
def test_damaged_chunks_are_noticed(plan: ChunkPlan, damage) -> None:
    packed = zlib.compress(np.random.default_rng(0).normal(size=100).tobytes())
    with pytest.raises(ValueError, match="chunk"):
        plan.decode(damage(packed))
