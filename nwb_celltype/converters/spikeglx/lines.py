"""Digital lines of a SpikeGLX stream: NIDQ and OneBox words, the status word of a probe, and the shared sync wave."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.edges import LineEdges, line_edges, threshold_edges
from nwb_celltype.converters.records import LeftOut
from nwb_celltype.converters.spikeglx.header import broken, channel_list
from nwb_celltype.converters.spikeglx.meta import Meta
from nwb_celltype.converters.spikeglx.sparse import sparse_edges
from nwb_celltype.converters.traces import BinaryTraces

_ONEBOX_LINES = 12
_WORD_BITS = 16
_FULL_SCAN_BYTES = 256 * 2**20
_BLOCK_BYTES = 64 * 2**20
_NI_MAX_COUNT = 32768
_HYSTERESIS = 0.1  # of the threshold of an analog sync channel: far below its pulse, far above its noise


@dataclass(frozen=True)
class Word:
    """A column of the file whose bits are lines: ``XD0``, ``SY0``."""

    name: str
    column: int
    bits: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines of one stream.

    Attributes
    ----------
    edges : dict of str to LineEdges
        By name without the stream: ``XD0.3``, ``SY0.6``, ``XA2`` for an analog sync channel. Silent lines too.
    sources : dict of str to str
        How each was found, one sentence.
    sync : str or None
        Name of the line with the shared square wave; None where the stream has none.
    left_out : tuple of LeftOut
    """

    edges: dict[str, LineEdges] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    sync: str | None = None
    left_out: tuple[LeftOut, ...] = ()

    @property
    def sync_edges(self) -> LineEdges | None:
        """Edges of the shared square wave, None where the stream has none."""
        return None if self.sync is None else self.edges.get(self.sync)


def read_lines(meta: Meta, traces: BinaryTraces) -> Lines:
    """Find the edges of every digital line of a stream, and of its analog sync channel.

    The status word of a probe lies in between hundreds of channels, so that reading all of it means reading the whole
    file. Where the header says that its line carries the shared square wave, and the file is large, its edges are
    looked up instead (`sparse.sparse_edges`); what is found there must be a square wave of the period that the header
    states, or else everything is read.

    Parameters
    ----------
    meta : Meta
    traces : BinaryTraces
        Of the stream; its columns do not matter.

    Returns
    -------
    Lines

    Raises
    ------
    InputError
        A list of lines in the header is broken.
    """
    words, left_out = _words(meta)
    edges: dict[str, LineEdges] = {}
    sources: dict[str, str] = {}
    block = max(1, _BLOCK_BYTES // traces.row_bytes)
    for word in words:
        found = _sparse(meta, traces, word)
        how = "looked up as a square wave" if found else "found by reading every sample"
        if found is None:
            found = line_edges(
                lambda start, stop, column=word.column: traces.read_column(column, start, stop),  # type: ignore[misc]
                traces.n_samples,
                word.bits,
                block=block,
            )
        for bit, line in found.items():
            edges[f"{word.name}.{bit}"] = line
            sources[f"{word.name}.{bit}"] = f"Bit {bit} of word {word.name} of {traces.paths[0].name}, {how}."
    analog = _analog_sync(meta)
    if analog is not None:
        name, column, threshold = analog
        edges[name] = threshold_edges(
            lambda start, stop: traces.read_column(column, start, stop),
            traces.n_samples,
            threshold,
            hysteresis=_HYSTERESIS * abs(threshold),
            block=block,
        )
        sources[name] = (
            f"Channel {name} of {traces.paths[0].name} above {meta.sync.ni_threshold_v:g} V (the sync threshold)."
        )
    sync = _sync_name(meta)
    left_out += _analog_left_out(meta, analog)
    return Lines(edges, sources, sync if sync in edges else None, tuple(left_out))


def _words(meta: Meta) -> tuple[list[Word], list[LeftOut]]:
    words: list[Word] = []
    left_out: list[LeftOut] = []
    if meta.kind != "nidq":
        # Phase 3A had 16 digital inputs in this word; since then all other bits report errors and are no lines. A
        # quad-base probe has a word for each of its four parts, all with the same sync wave.
        bits = tuple(range(_WORD_BITS)) if meta.is_phase3a else (meta.sync.status_bit,)
        columns = zip(meta.numbers_of("SY").tolist(), meta.columns_of("SY").tolist(), strict=True)
        words += [Word(f"SY{number}", column, bits) for number, column in columns]
    if not meta.is_probe:
        digital = dict(zip(meta.numbers_of("XD").tolist(), meta.columns_of("XD").tolist(), strict=True))
        by_word: dict[int, list[int]] = {}
        for line in _recorded_lines(meta):
            by_word.setdefault(line // _WORD_BITS, []).append(line % _WORD_BITS)
        for number, places in sorted(by_word.items()):
            if number in digital:
                words.append(Word(f"XD{number}", digital[number], tuple(sorted(set(places)))))
            else:
                reason = "This digital word was acquired but not saved."
                left_out.append(LeftOut(f"lines XD{number}.{min(places)} to XD{number}.{max(places)}", reason))
    return words, left_out


def _recorded_lines(meta: Meta) -> list[int]:
    """Lines by their place in the digital words, those of a second card after the bytes of the first."""
    n_acquired = meta.acquired_counts["XD"] * _WORD_BITS
    if meta.kind == "obx":
        return list(range(min(_ONEBOX_LINES, n_acquired)))
    lines: list[int] = []
    shift = 0
    for card in ("1", "2"):
        key = f"niXDChans{card}"
        if meta.values.get(key):
            try:
                lines += [shift + line for line in channel_list(meta.values[key])]
            except ValueError as error:
                raise broken(meta.path, key, f"is {meta.values[key][:40]!r}; it should be like 0,2:4,6:7") from error
        shift += 8 * meta.integer(f"niXDBytes{card}") if meta.values.get(f"niXDBytes{card}") else 0
    if any(line >= n_acquired for line in lines):
        problem = f"lists line {max(lines)}, but {meta.acquired_counts['XD']} digital words hold {n_acquired} lines"
        raise broken(meta.path, "niXDChans1 or niXDChans2", problem)
    if not lines:
        lines = list(range(n_acquired))
    sync = meta.sync.ni_channel
    if sync is not None and not meta.sync.is_ni_analog and sync < n_acquired and sync not in lines and meta.sync.is_on:
        lines.append(sync)
    return lines


def _sync_name(meta: Meta) -> str | None:
    if meta.kind != "nidq":
        numbers = meta.numbers_of("SY")
        return f"SY{numbers[0]}.{meta.sync.status_bit}" if len(numbers) else None
    channel = meta.sync.ni_channel
    if channel is None:
        return None
    if meta.sync.is_ni_analog:
        return _analog_name(meta, channel)
    return f"XD{channel // _WORD_BITS}.{channel % _WORD_BITS}"


def _analog_sync(meta: Meta) -> tuple[str, int, float] | None:
    """Name, column and threshold in counts of an analog sync channel, None where there is none in the file."""
    channel = meta.sync.ni_channel
    if meta.kind != "nidq" or not meta.sync.is_ni_analog or channel is None or not meta.sync.is_on:
        return None
    columns = np.flatnonzero(meta.saved_channels == channel)
    if not len(columns):
        return None
    maximum = meta.integer("niMaxInt") if meta.values.get("niMaxInt") else _NI_MAX_COUNT
    name = _analog_name(meta, channel)
    gain = meta.number(f"ni{name[:2]}Gain") if name[:2] in ("MN", "MA") else 1.0
    threshold = meta.sync.ni_threshold_v * gain * maximum / meta.number("niAiRangeMax")
    return name, int(columns[0]), threshold


def _analog_name(meta: Meta, channel: int) -> str:
    """Name that the channel map gives to an acquired channel, else its type and number."""
    named = re.search(rf"\(([^();]+);{channel}:\d+\)", meta.values.get("snsChanMap", ""))
    if named:
        return named.group(1)
    first = 0
    for name, count in meta.acquired_counts.items():
        if channel < first + count:
            return f"{name}{channel - first}"
        first += count
    raise broken(meta.path, "syncNiChan", f"is {channel}, but only {first} channels were acquired")


def _analog_left_out(meta: Meta, sync: tuple[str, int, float] | None) -> list[LeftOut]:
    if meta.is_probe:
        return []
    names = [
        f"{name}{number}" for name in ("MN", "MA", "XA") if name in meta.counts for number in meta.numbers_of(name)
    ]
    names = [name for name in names if sync is None or name != sync[0]]
    if not names:
        return []
    shown = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    return [LeftOut(f"analog inputs {shown}", "Only digital lines and the sync channel are converted.")]


def _sparse(meta: Meta, traces: BinaryTraces, word: Word) -> dict[int, LineEdges] | None:
    n_bytes = traces.n_samples * traces.row_bytes
    carries_sync = meta.is_probe and len(word.bits) == 1 and meta.sync.source is not None and meta.sync.is_on
    if not carries_sync or n_bytes <= _FULL_SCAN_BYTES:
        return None
    bit = word.bits[0]

    with traces.open_rows() as rows:
        row: NDArray[np.int16] = np.empty((1, traces.n_file_channels), dtype=traces.dtype)

        def is_high(sample: int) -> bool:
            rows.read_into(row, sample)
            return bool(int(row[0, word.column]) >> bit & 1)

        edges = sparse_edges(is_high, traces.n_samples, meta.sync.period_s * meta.sampling_rate_hz)
    return None if edges is None else {bit: edges}
