"""Traces of the probes as electrical series, read block by block and compressed."""

from __future__ import annotations

from typing import Any

import numpy as np

from nwb_celltype.converters.clocks import Clock
from nwb_celltype.converters.metadata.records import SessionMetadata
from nwb_celltype.converters.nwb.blocks import Blocks
from nwb_celltype.converters.nwb.probes import WrittenProbe
from nwb_celltype.converters.records import Float, TraceSource
from nwb_celltype.errors import InputError, UsageError

_CHUNK_SAMPLES = 2**16
_CHUNK_CHANNELS = 64
# where the straight line through a stream's clock leaves the fitted one by more than this, every sample gets its time
LARGEST_DEVIATION_SAMPLES = 0.5


def write_traces(nwbfile: Any, probes: tuple[WrittenProbe, ...], metadata: SessionMetadata) -> tuple[str, ...]:
    """Add one `ElectricalSeries` for each band of each probe to ``acquisition``.

    Counts are stored as they are, with the factors to volts; nothing is filtered.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    probes : tuple of WrittenProbe
    metadata : SessionMetadata
        ``gains_uv`` counts where the source does not state the gain.

    Returns
    -------
    tuple of str
        What was odd, a sentence each.

    Raises
    ------
    InputError
        If nothing states the gain, or channels have different offsets, which NWB cannot hold.
    UsageError
        If the file has such a series already.
    """
    notes = []
    for probe in probes:
        recording = probe.recording
        suffix = _camel(recording.probe.name) if len(probes) > 1 else ""
        gain_uv = metadata.gains_uv.get(recording.probe.name)
        for traces, clock in ((recording.traces, recording.clock), (recording.lfp, recording.lfp_clock)):
            if traces is None or traces.n_samples == 0:
                continue
            name = f"ElectricalSeries{_band(traces.name)}{suffix}"
            if name in nwbfile.acquisition:
                message = f"The file has {name} already; leave out the traces (raw) here, or the other interface."
                raise UsageError(message)
            series, note = _series(nwbfile, name, traces, clock or recording.clock, probe, gain_uv)
            nwbfile.add_acquisition(series)
            notes += [note] if note else []
    return tuple(notes)


def _series(
    nwbfile: Any, name: str, traces: TraceSource, clock: Clock, probe: WrittenProbe, gain_uv: float | None
) -> tuple[Any, str]:
    from pynwb.ecephys import ElectricalSeries

    timing, note = _timing(traces, clock)
    shape = (traces.n_samples, traces.n_channels)
    chunk = (min(shape[0], _CHUNK_SAMPLES), min(shape[1], _CHUNK_CHANNELS))
    region = nwbfile.create_electrode_table_region(
        region=probe.rows.tolist(), description=f"Electrodes of {probe.recording.probe.name}."
    )
    series = ElectricalSeries(
        name=name,
        description=f"Traces of {traces.name}, as stored by the acquisition system.",
        data=Blocks(traces.read, shape, traces.dtype, chunk_shape=chunk, chunks_at_once=1),
        electrodes=region,
        filtering=traces.filtering or None,
        comments=note or "Times are on the session clock.",
        **_scale(traces, gain_uv),
        **timing,
    )
    return series, note


def _scale(traces: TraceSource, gain_uv: float | None) -> dict[str, Any]:
    gains = traces.gains_uv
    if gains is None and gain_uv is not None:
        gains = np.full(traces.n_channels, gain_uv)
    if gains is None:
        message = (
            f"Nothing says how many microvolts one count of {traces.name} is; state gain_uv of its probe under Ecephys "
            "in the metadata, or leave out the traces."
        )
        raise InputError(message)
    scale: dict[str, Any]
    if np.all(gains == gains[0]):
        scale = {"conversion": float(gains[0]) * 1e-6}
    else:
        scale = {"conversion": 1e-6, "channel_conversion": np.asarray(gains, dtype=np.float64)}
    offsets = traces.offsets_uv
    if offsets is not None and np.any(offsets != 0):
        if not np.all(offsets == offsets[0]):
            message = f"Channels of {traces.name} have different offsets, which NWB cannot hold; leave out the traces."
            raise InputError(message)
        scale["offset"] = float(offsets[0]) * 1e-6
    return scale


def _timing(traces: TraceSource, clock: Clock) -> tuple[dict[str, Any], str]:
    """Start and rate, or a time for every sample where the stream's clock did not run evenly."""
    n = traces.n_samples
    start_s = clock.start_s
    if len(clock.knot_samples) < 2:
        return {"starting_time": start_s, "rate": float(clock.sampling_rate_hz)}, ""
    end_s = float(clock.seconds(np.array([float(n)]))[0])
    rate = n / (end_s - start_s)
    deviation = _largest_deviation(clock, n, start_s, rate)
    ppm = (rate / clock.sampling_rate_hz - 1) * 1e6
    if deviation <= LARGEST_DEVIATION_SAMPLES:
        note = (
            f"{traces.name}: the rate is {rate:.6f} Hz on the session clock ({ppm:+.3f} ppm from the stated "
            f"{clock.sampling_rate_hz:g} Hz); times are at most {deviation:.2f} samples from the fitted clock."
        )
        return {"starting_time": start_s, "rate": rate}, note
    note = (
        f"{traces.name}: every sample has its time, because its clock drifts unevenly (a constant rate would be up to "
        f"{deviation:.1f} samples off)."
    )
    times = Blocks(lambda a, b: clock.seconds(np.arange(a, b)), (n,), np.float64)
    return {"timestamps": times}, note


def _largest_deviation(clock: Clock, n: int, start_s: float, rate: float) -> float:
    corners: Float = np.append(clock.knot_samples[(clock.knot_samples > 0) & (clock.knot_samples < n)], float(n))
    return float(np.max(np.abs((clock.seconds(corners) - start_s) * rate - corners)))


def _band(stream: str) -> str:
    """``AP`` of ``imec0.ap``; nothing where the stream does not say."""
    band = stream.rpartition(".")[2].upper()
    return {"AP": "AP", "LF": "LF", "LFP": "LF"}.get(band, "")


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.replace("-", "_").replace(".", "_").split("_"))
