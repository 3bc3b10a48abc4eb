"""Which bytes of a remote file are here or on their way."""

from __future__ import annotations

import bisect
import concurrent.futures
from dataclasses import dataclass, field


@dataclass(eq=False)
class Segment:
    """Neighbouring bytes that come with one request."""

    start: int
    stop: int
    n_wanted: int = 0  # bytes that were announced and not read yet; it stays in memory as long as there are any
    is_announced: bool = False  # it waits for room
    is_started: bool = False
    is_loading: bool = False  # a thread is at it
    arrival: concurrent.futures.Future[bytes] = field(default_factory=concurrent.futures.Future)

    @property
    def n_bytes(self) -> int:
        """Its length."""
        return self.stop - self.start


class Segments:
    """Segments of one file, sorted; they never overlap."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._by_start: dict[int, Segment] = {}

    def __contains__(self, segment: Segment) -> bool:
        return self._by_start.get(segment.start) is segment

    def at(self, position: int) -> Segment | None:
        """The one that holds a byte."""
        index = bisect.bisect_right(self._starts, position) - 1
        if index < 0:
            return None
        segment = self._by_start[self._starts[index]]
        return segment if position < segment.stop else None

    def gaps(self, start: int, stop: int) -> list[tuple[int, int]]:
        """What of a range no segment holds."""
        gaps = []
        at = start
        index = max(0, bisect.bisect_right(self._starts, start) - 1)
        while at < stop and index < len(self._starts):
            segment = self._by_start[self._starts[index]]
            if segment.start >= stop:
                break
            if segment.start > at:
                gaps.append((at, segment.start))
            at = max(at, segment.stop)
            index += 1
        if at < stop:
            gaps.append((at, stop))
        return gaps

    def insert(self, start: int, stop: int) -> Segment:
        """Add one where there is none yet."""
        segment = Segment(start, stop)
        bisect.insort(self._starts, start)
        self._by_start[start] = segment
        return segment

    def remove(self, segment: Segment) -> None:
        """Forget one that is among them."""
        del self._by_start[segment.start]
        del self._starts[bisect.bisect_left(self._starts, segment.start)]

    def clear(self) -> None:
        """Forget all."""
        self._starts.clear()
        self._by_start.clear()
