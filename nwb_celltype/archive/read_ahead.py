"""How much of a remote file is asked for at once, and in which pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nwb_celltype.archive.connections import MAX_CONNECTIONS

MIB: Final = 1024 * 1024


@dataclass(frozen=True)
class ReadAhead:
    """How much is asked for at once, bytes.

    HDF5 reads what describes a file in hundreds of small pieces that lie near each other: every miss brings a block
    and, as long as misses follow each other, ever more behind it. Data are asked for as they lie, and not more.

    Attributes
    ----------
    first : int
        Comes with the first request, which also tells the size of the file.
    block : int
        Small reads are rounded to multiples of this.
    growth : float
        A miss right behind what the last one brought asks for so much more, any other for so much less.
    longest : int
        The most that is read ahead.
    large : int
        A read of so many bytes is taken for data: no rounding, no reading ahead.
    part, shortest_part : int
        Data are cut into parts of at most and at least this, one request each, for all connections to have work.
    gap, gap_fraction : int, float
        Announced ranges with less than so many bytes, or this fraction of what is before, between them become one.
    """

    first: int = 128 * 1024
    block: int = 128 * 1024
    growth: float = 1.7
    longest: int = 4 * MIB
    large: int = 512 * 1024
    part: int = 8 * MIB
    shortest_part: int = 4 * MIB
    gap: int = 4 * 1024
    gap_fraction: float = 0.04


READ_AHEAD = ReadAhead()
"""What files use that are given nothing else."""


def merged_ranges(ranges: Sequence[tuple[int, int]], policy: ReadAhead) -> list[tuple[int, int, list[tuple[int, int]]]]:
    """Ranges joined where they overlap or nearly touch: start, stop, and what of it was asked for."""
    merged: list[tuple[int, int, list[tuple[int, int]]]] = []
    for start, stop in sorted(r for r in ranges if r[0] < r[1]):
        if merged:
            first, last, wanted = merged[-1]
            if start <= last:
                wanted[-1] = wanted[-1][0], max(wanted[-1][1], stop)
                merged[-1] = first, max(last, stop), wanted
                continue
            if start - last <= max(policy.gap, policy.gap_fraction * min(last - first, policy.part)):
                wanted.append((start, stop))
                merged[-1] = first, stop, wanted
                continue
        merged.append((start, stop, [(start, stop)]))
    return merged


def overlap(wanted: Sequence[tuple[int, int]], start: int, stop: int) -> int:
    """How many bytes of a range are in `wanted`, ranges that do not overlap."""
    return sum(max(0, min(last, stop) - max(first, start)) for first, last in wanted)


def part_length(n_bytes: int, policy: ReadAhead) -> int:
    """How long the parts are for all connections to end at about the same time."""
    n_rounds = max(1, -(-n_bytes // (policy.part * MAX_CONNECTIONS)))
    return max(policy.shortest_part, -(-n_bytes // (n_rounds * MAX_CONNECTIONS)))
