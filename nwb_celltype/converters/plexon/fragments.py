"""Samples of a stream in time: where its channels were recorded, and the samples that are counted there.

A channel's blocks carry the time of their first sample. Where a block does not follow on the one before, recording was
paused, or began late, or blocks were lost; samples are counted without such gaps, and the clock has corners there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.clocks import Clock
from nwb_celltype.converters.plexon.content import AnalogChannel
from nwb_celltype.converters.records import Float, Integer

FILL_S = 1.0
"""A spike in a gap is joined by zeros to what was recorded no further away than this."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Segments in which a stream was recorded, one after another.

    Attributes
    ----------
    stream : str
    tick_rate_hz : float
    ticks_per_sample : float
    start_ticks : (k,) float64 array
        Time of each segment's first sample.
    firsts : (k + 1,) int64 array
        Number of that sample, and last of all the number of samples.
    recorded_ticks : (m, 2) float64 array
        Begin and end of what was really recorded; what else is in a segment reads as zeros.
    """

    stream: str
    tick_rate_hz: float
    ticks_per_sample: float
    start_ticks: Float
    firsts: Integer
    recorded_ticks: Float

    @property
    def n_samples(self) -> int:
        """Of all segments."""
        return int(self.firsts[-1])

    @property
    def sampling_rate_hz(self) -> float:
        """Of the stream."""
        return self.tick_rate_hz / self.ticks_per_sample

    def samples(self, ticks: Integer) -> Float:
        """Sample numbers of moments; below 0 before the first and beyond the last after it, fractions in between."""
        if not len(self.start_ticks):
            return np.asarray(ticks, dtype=np.float64)
        segment = np.maximum(np.searchsorted(self.start_ticks, ticks, side="right") - 1, 0)
        return np.asarray(self.firsts[segment] + (ticks - self.start_ticks[segment]) / self.ticks_per_sample)

    def n_astray(self, ticks: Integer) -> int:
        """Moments in the gaps of what was recorded."""
        return len(_in_gaps(self.recorded_ticks, ticks))

    def clock(self) -> Clock:
        """Seconds of the samples: exact without gaps, with corners at both sides of each gap otherwise."""
        first = self.start_ticks[0] / self.ticks_per_sample
        if len(self.start_ticks) == 1 and first == round(first):
            return Clock(self.stream, self.sampling_rate_hz, round(first))
        last = self.firsts[1:] - 1
        ends = self.start_ticks + (last - self.firsts[:-1]) * self.ticks_per_sample
        samples = np.column_stack([self.firsts[:-1], last]).ravel()
        ticks = np.column_stack([self.start_ticks, ends]).ravel()
        # The stream goes on at its rate beyond both ends, however short the outer segments are.
        samples = np.concatenate([[-1], samples, [self.n_samples]])
        ticks = np.concatenate([[ticks[0] - self.ticks_per_sample], ticks, [ticks[-1] + self.ticks_per_sample]])
        keep = np.append(True, np.diff(samples) > 0)  # a segment of one sample has one corner
        return Clock(
            self.stream,
            self.sampling_rate_hz,
            knot_samples=samples[keep].astype(np.float64),
            knot_seconds=ticks[keep] / self.tick_rate_hz,
            how="times that the file states for each block, with the gaps between them",
        )


@dataclass(frozen=True, eq=False)
class ChannelBlocks:
    """Blocks of one channel on a grid: number of the first sample, samples, and first byte of each, ascending."""

    firsts: Integer
    counts: Integer
    positions: Integer


def lay_grid(
    stream: str, channels: Sequence[AnalogChannel], tick_rate_hz: float, needed_ticks: Integer
) -> tuple[Grid, tuple[ChannelBlocks, ...], tuple[str, ...]]:
    """Number the samples of the channels of one stream.

    Parameters
    ----------
    stream : str
    channels : sequence of AnalogChannel
        Of one sampling rate, each with a block at least.
    tick_rate_hz : float
    needed_ticks : (n,) int64 array
        Moments, ascending, that must have a sample of their own (spikes): where one lies in a gap, zeros are put in, up
        to 1 s to either side.

    Returns
    -------
    grid : Grid
        Of all that any channel recorded.
    blocks : tuple of ChannelBlocks
    notes : tuple of str
    """
    notes: list[str] = []
    step = tick_rate_hz / channels[0].sampling_rate_hz
    cleaned = [_without_overlaps(channel, step) for channel in channels]
    cut = {old.name: len(old.ticks) - len(new.ticks) for old, new in zip(channels, cleaned, strict=True)}
    if any(cut.values()):
        names = ", ".join(name for name, count in cut.items() if count)
        notes.append(
            f"{stream}: {sum(cut.values())} blocks ({names}) begin before the one before them ended and are not used."
        )
    step = _measured_step(stream, cleaned, step, tick_rate_hz, notes)
    runs = [_Runs.of(channel, step) for channel in cleaned]
    spans = np.concatenate([np.column_stack([run.ticks, run.ticks + run.counts * step]) for run in runs])
    recorded = _union(spans, np.zeros(len(spans), dtype=np.bool_), _tolerance(step), 0.0)
    astray = _in_gaps(recorded, needed_ticks)
    extra = np.column_stack([astray, astray + step])
    is_extra = np.repeat([False, True], [len(recorded), len(extra)])
    segments = _union(np.concatenate([recorded, extra]), is_extra, _tolerance(step), FILL_S * tick_rate_hz)
    lengths = np.round((segments[:, 1] - segments[:, 0]) / step).astype(np.int64)
    firsts = np.concatenate([[0], np.cumsum(lengths)])
    grid = Grid(stream, tick_rate_hz, step, segments[:, 0], firsts, recorded)
    notes += _gap_notes(grid, len(astray))
    blocks = tuple(run.on(grid, channel) for run, channel in zip(runs, cleaned, strict=True))
    n_recorded = np.round((recorded[:, 1] - recorded[:, 0]) / step).sum()
    shorter = [c.name for c, b in zip(channels, blocks, strict=True) if b.counts.sum() < n_recorded]
    if shorter:
        notes.append(
            f"{stream}: {', '.join(shorter)} was not recorded all the time that others were; there it reads as zeros."
        )
    return grid, blocks, tuple(notes)


@dataclass(frozen=True, eq=False)
class _Runs:
    """Blocks that follow on each other: time and samples of each run, and the first block of each."""

    ticks: Float
    counts: Integer
    blocks: Integer

    @classmethod
    def of(cls, channel: AnalogChannel, step: float) -> _Runs:
        gaps = channel.ticks[1:] - channel.ticks[:-1] - channel.counts[:-1] * step
        blocks = np.flatnonzero(np.append(True, np.abs(gaps) > _tolerance(step)))
        counts = np.add.reduceat(channel.counts, blocks)
        return cls(channel.ticks[blocks].astype(np.float64), counts, blocks)

    def on(self, grid: Grid, channel: AnalogChannel) -> ChannelBlocks:
        starts = np.round(grid.samples(self.ticks.astype(np.int64))).astype(np.int64)
        before = np.cumsum(channel.counts) - channel.counts
        n_blocks = np.diff(np.append(self.blocks, len(channel.counts)))
        firsts = before + np.repeat(starts - before[self.blocks], n_blocks)
        return ChannelBlocks(firsts, channel.counts, channel.positions)


def _tolerance(step: float) -> float:
    """Ticks by which a block may miss its place: half a sample, and a tick more where ticks are rounded."""
    return step / 2 if step == round(step) else step / 2 + 1


def _without_overlaps(channel: AnalogChannel, step: float) -> AnalogChannel:
    ends = np.maximum.accumulate(channel.ticks + channel.counts * step)
    good = np.append(True, channel.ticks[1:] >= ends[:-1] - _tolerance(step))
    if good.all():
        return channel
    return AnalogChannel(
        channel.name, channel.kind, channel.electrode, channel.sampling_rate_hz, channel.gain_uv,
        channel.ticks[good], channel.counts[good], channel.positions[good],
    )  # fmt: skip


def _measured_step(
    stream: str, channels: Sequence[AnalogChannel], step: float, tick_rate_hz: float, notes: list[str]
) -> float:
    """Ticks a sample, from the times of the blocks where they leave the stated rate behind by a sample or more."""
    for channel in channels:
        run = _Runs.of(channel, step)
        longest = int(np.argmax(run.counts))
        last = int(np.append(run.blocks, len(channel.ticks))[longest + 1]) - 1
        first = int(run.blocks[longest])
        n_samples = int(channel.counts[first:last].sum())
        elapsed = int(channel.ticks[last] - channel.ticks[first])
        if n_samples and abs(elapsed - n_samples * step) > max(step, 1.0):
            measured = elapsed / n_samples
            notes.append(
                f"{stream}: the header states {tick_rate_hz / step:g} Hz, the times of the blocks say "
                f"{tick_rate_hz / measured:.4f} Hz, which is used."
            )
            return measured
    return step


def _union(spans: Float, is_extra: NDArray[np.bool_], tolerance: float, reach: float) -> Float:
    """Spans that overlap or touch become one; an extra one joins what is within `reach`."""
    order = np.lexsort((spans[:, 1], spans[:, 0]))
    spans, is_extra = spans[order], is_extra[order]
    ends = np.maximum.accumulate(spans[:, 1])
    allowed = np.where(is_extra[1:] | is_extra[:-1], max(reach, tolerance), tolerance)
    first = np.flatnonzero(np.append(True, spans[1:, 0] - ends[:-1] > allowed))
    return np.column_stack([spans[first, 0], np.append(ends[first[1:] - 1], ends[-1])])


def _in_gaps(recorded: Float, ticks: Integer) -> Float:
    """Moments between the recorded spans; those before the first and after the last are in none."""
    span = np.searchsorted(recorded[:, 0], ticks, side="right") - 1
    is_between = (span >= 0) & (span < len(recorded) - 1)
    return np.unique(ticks[is_between & (ticks >= recorded[span, 1])]).astype(np.float64)


def _gap_notes(grid: Grid, n_astray: int) -> list[str]:
    gaps: NDArray[np.float64] = (grid.recorded_ticks[1:, 0] - grid.recorded_ticks[:-1, 1]) / grid.tick_rate_hz
    notes = []
    if len(gaps):
        total, longest = float(gaps.sum()), float(gaps.max())
        notes.append(
            f"{grid.stream} has {len(gaps)} gaps, {total:.6g} s in all, the longest {longest:.6g} s; its samples keep "
            "the times that the file states."
        )
    if n_astray:
        notes.append(f"{n_astray} spikes lie in gaps of {grid.stream}; its traces read as zeros there.")
    return notes
