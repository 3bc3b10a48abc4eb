"""Digital lines: where they rise and fall, and the pulses that makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.clocks import Clock, fit_clock
from nwb_celltype.converters.records import Pulses
from nwb_celltype.errors import InputError, UsageError

Integer = NDArray[np.int64]

# Samples read at once: 8 to 32 MB of words, and about as much again to compare them.
BLOCK = 2**22


@dataclass(frozen=True, eq=False)
class LineEdges:
    """Rises and falls of one line, nothing removed: a glitch of one sample is a rise and a fall.

    Attributes
    ----------
    rising : (n,) int64 array
        Samples at which the line is high for the first time; a line that is high at sample 0 has no rise there.
    falling : (m,) int64 array
        Samples at which the line is low for the first time again.
    is_high_at_start : bool
        Whether the line is high at sample 0.
    n_samples : int
        Samples looked at.
    """

    rising: Integer
    falling: Integer
    is_high_at_start: bool
    n_samples: int

    @property
    def is_silent(self) -> bool:
        """Whether the line never changes."""
        return not len(self.rising) and not len(self.falling)

    def highs(self) -> tuple[Integer, NDArray[np.float64]]:
        """First samples of the high periods, and the samples at which they end (exclusive; NaN where unknown).

        A period has no known end when the recording ends first, or when the line rises again with no fall between
        (an event was lost). A fall without a rise before it makes no period.

        Returns
        -------
        starts : (k,) int64 array
            Sample 0 first if the line is high there.
        stops : (k,) float64 array

        Examples
        --------
        >>> edges = LineEdges(np.array([10, 30]), np.array([4, 15]), is_high_at_start=True, n_samples=40)
        >>> edges.highs()
        (array([ 0, 10, 30]), array([ 4., 15., nan]))
        """
        start = np.zeros(1, dtype=np.int64) if self.is_high_at_start else np.empty(0, dtype=np.int64)
        starts = np.concatenate([start, np.asarray(self.rising, dtype=np.int64)])
        stops = np.full(len(starts), np.nan)
        if not len(starts):
            return starts, stops
        falling = np.asarray(self.falling, dtype=np.int64)
        after = np.searchsorted(falling, starts, side="right")
        has_fall = after < len(falling)
        stops[has_fall] = falling[after[has_fall]]
        is_lost = stops[:-1] > starts[1:]
        stops[:-1][is_lost] = np.nan
        return starts, stops


def line_edges(
    read_words: Callable[[int, int], NDArray[Any]], n_samples: int, bits: Sequence[int], *, block: int = BLOCK
) -> dict[int, LineEdges]:
    """Find the rises and falls of lines that are packed as bits into one word a sample.

    The words are read block by block, so memory does not grow with the recording.

    Parameters
    ----------
    read_words : callable
        ``read_words(start, stop)`` returns a (stop - start,) array of integers of 8, 16, 32 or 64 bits, signed or not;
        a signed word is taken bit by bit.
    n_samples : int
    bits : sequence of int
        Lines wanted, bit 0 the least significant.
    block : int
        Samples read at once.

    Returns
    -------
    dict of int to LineEdges
        One for each of `bits`, silent lines too.

    Raises
    ------
    UsageError
        A bit that the words do not have.
    InputError
        The words are not integers, or fewer were read than asked for.

    Examples
    --------
    >>> words = np.array([2, 2, 0, 1, 3, 2], dtype=np.int16)
    >>> edges = line_edges(lambda start, stop: words[start:stop], len(words), [0, 1])
    >>> edges[0].rising, edges[0].falling, edges[0].is_high_at_start
    (array([3]), array([5]), False)
    >>> edges[1].rising, edges[1].falling, edges[1].is_high_at_start
    (array([4]), array([2]), True)
    """
    wanted = list(dict.fromkeys(int(bit) for bit in bits))
    rising: dict[int, list[Integer]] = {bit: [] for bit in wanted}
    falling: dict[int, list[Integer]] = {bit: [] for bit in wanted}
    high_at_start = dict.fromkeys(wanted, False)
    previous: NDArray[Any] | None = None
    for start in range(0, n_samples, block):
        stop = min(start + block, n_samples)
        words = _unsigned(read_words(start, stop), start, stop)
        if previous is None:
            mask = _mask(wanted, words.dtype)
            high_at_start = {bit: bool(int(words[0]) >> bit & 1) for bit in wanted}
            previous = words[:1]
        before = np.concatenate([previous, words[:-1]])
        at = np.flatnonzero((words ^ before) & mask)
        now, then = words[at].astype(np.uint64), before[at].astype(np.uint64)
        for bit in wanted:
            flag = np.uint64(1 << bit)
            is_high, was_high = (now & flag) != 0, (then & flag) != 0
            rising[bit].append(at[is_high & ~was_high] + start)
            falling[bit].append(at[was_high & ~is_high] + start)
        previous = words[-1:].copy()
    return {
        bit: LineEdges(_joined(rising[bit]), _joined(falling[bit]), high_at_start[bit], n_samples) for bit in wanted
    }


def threshold_edges(
    read_values: Callable[[int, int], NDArray[Any]],
    n_samples: int,
    threshold: float,
    *,
    hysteresis: float = 0.0,
    block: int = BLOCK,
) -> LineEdges:
    """Find the rises and falls of an analog channel that carries pulses.

    The line becomes high at the first sample that is at least `threshold`, and low at the first sample after it that
    is below ``threshold - hysteresis``; between the two it stays what it was. Noise smaller than `hysteresis` therefore
    makes no edges. Rises are where they would be without it; falls come later by the time that the signal takes to
    fall from one level to the other. A recording that begins between the levels begins low, and NaN changes nothing.

    Parameters
    ----------
    read_values : callable
        ``read_values(start, stop)`` returns a (stop - start,) array of numbers, counts or volts.
    n_samples : int
    threshold, hysteresis : float
        In the unit of the values.
    block : int
        Samples read at once.

    Raises
    ------
    UsageError
        A negative `hysteresis`, or levels that are not finite.
    InputError
        Fewer values were read than asked for.

    Examples
    --------
    >>> volts = np.array([0.1, 2.6, 2.4, 2.6, 4.9, 0.2])
    >>> threshold_edges(lambda start, stop: volts[start:stop], 6, 2.5, hysteresis=0.5).rising
    array([1])
    """
    if not (np.isfinite(threshold) and np.isfinite(hysteresis) and hysteresis >= 0):
        message = f"The threshold ({threshold}) must be a number and the hysteresis ({hysteresis}) at least 0."
        raise UsageError(message)
    rising: list[Integer] = []
    falling: list[Integer] = []
    high_at_start = is_high = False
    for start in range(0, n_samples, block):
        stop = min(start + block, n_samples)
        values = _checked_length(np.asarray(read_values(start, stop)), start, stop)
        if start == 0:
            high_at_start = is_high = bool(values[0] >= threshold)
        above = values >= threshold
        decided = np.flatnonzero(above | (values < threshold - hysteresis))
        if not len(decided):
            continue
        states = np.concatenate([[is_high], above[decided]])
        at, risen = decided[states[1:] != states[:-1]] + start, states[1:][states[1:] != states[:-1]]
        rising.append(at[risen])
        falling.append(at[~risen])
        is_high = bool(states[-1])
    return LineEdges(_joined(rising), _joined(falling), high_at_start, n_samples)


def pulses(name: str, edges: LineEdges, clock: Clock, source: str) -> Pulses:
    """High periods of a line on the session clock.

    Parameters
    ----------
    name : str
        Stream and line, for example ``nidq.XD0.3``.
    edges : LineEdges
    clock : Clock
        Of the stream that the line belongs to.
    source : str
        How the edges were found, one sentence.

    Returns
    -------
    Pulses
        A line that is high at sample 0 begins with a pulse there; a pulse without a known end has a NaN duration.

    Examples
    --------
    >>> edges = LineEdges(np.array([10]), np.array([15]), is_high_at_start=False, n_samples=40)
    >>> found = pulses("nidq.XD0.3", edges, Clock("nidq", 10.0), "Bit 3 of the digital word.")
    >>> found.onsets_s, found.durations_s
    (array([1.]), array([0.5]))
    """
    starts, stops = edges.highs()
    onsets = clock.seconds(starts)
    return Pulses(
        name=name,
        onsets_s=onsets,
        durations_s=clock.seconds(stops) - onsets,
        is_high_at_start=edges.is_high_at_start,
        source=source,
    )


def fit_line_clock(
    edges: LineEdges,
    reference_edges: LineEdges,
    reference_clock: Clock,
    *,
    stream: str,
    sampling_rate_hz: float,
    first_sample: int = 0,
    period_s: float = 1.0,
    expected_offset_s: float | None = None,
) -> Clock:
    """Align a stream to a reference by the sync line that both recorded, by its rises and its falls.

    Rises are matched with rises and falls with falls; see `clocks.fit_clock` for the rest.

    Parameters
    ----------
    edges, reference_edges : LineEdges
        The same square wave in the two streams.
    reference_clock : Clock
        Of the reference stream.
    stream, sampling_rate_hz, first_sample, period_s, expected_offset_s
        As in `clocks.fit_clock`.

    Raises
    ------
    InputError
        The edges cannot be matched.

    Examples
    --------
    >>> rising = np.arange(10)
    >>> nidq = LineEdges(rising * 250, rising * 250 + 125, False, 2500)
    >>> probe = LineEdges(rising * 300, rising * 300 + 150, False, 3000)
    >>> clock = fit_line_clock(nidq, probe, Clock("imec0", 300.0), stream="nidq", sampling_rate_hz=250.0)
    >>> clock.fit.n_edges
    20
    """
    return fit_clock(
        edges.rising,
        reference_clock.seconds(reference_edges.rising),
        falling=(edges.falling, reference_clock.seconds(reference_edges.falling)),
        stream=stream,
        reference=reference_clock.stream,
        sampling_rate_hz=sampling_rate_hz,
        first_sample=first_sample,
        period_s=period_s,
        reference_rate_hz=reference_clock.sampling_rate_hz,
        expected_offset_s=expected_offset_s,
    )


def _checked_length(values: NDArray[Any], start: int, stop: int) -> NDArray[Any]:
    if values.ndim != 1 or len(values) != stop - start:
        message = (
            f"Samples {start} to {stop} of a sync or digital channel were asked for and an array of shape "
            f"{values.shape} came back; the file is probably shorter than its header says."
        )
        raise InputError(message)
    return values


def _unsigned(words: NDArray[Any], start: int, stop: int) -> NDArray[Any]:
    """Words in native byte order, without a sign."""
    words = _checked_length(np.asarray(words), start, stop)
    if words.dtype.kind not in "iub":
        message = f"Digital words must be integers and are {words.dtype}; give the channel that holds the digital word."
        raise InputError(message)
    if words.dtype.kind == "b":
        return words.astype(np.uint8)
    native = words.astype(words.dtype.newbyteorder("="), copy=False)
    return native.view(f"u{native.dtype.itemsize}")


def _mask(bits: Sequence[int], dtype: np.dtype[Any]) -> Any:
    width = dtype.itemsize * 8
    missing = [bit for bit in bits if not 0 <= bit < width]
    if missing:
        message = f"The digital word has lines 0 to {width - 1}; there is no line {', '.join(map(str, missing))}."
        raise UsageError(message)
    return dtype.type(sum(1 << bit for bit in bits))


def _joined(parts: Sequence[NDArray[np.intp]]) -> Integer:
    return np.concatenate([np.empty(0, dtype=np.int64), *parts]).astype(np.int64)
