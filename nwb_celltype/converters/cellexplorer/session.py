"""One session of CellExplorer as our records: units, mean waveforms, labels, electrodes and what lies beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nwb_celltype.converters.cellexplorer.electrodes import NAME, read_probe
from nwb_celltype.converters.cellexplorer.facts import read_epochs, read_facts, started_at
from nwb_celltype.converters.cellexplorer.files import find_files
from nwb_celltype.converters.cellexplorer.labels import read_labels
from nwb_celltype.converters.cellexplorer.mean_waveforms import StoredMeans, read_means
from nwb_celltype.converters.cellexplorer.source import Source, read_source
from nwb_celltype.converters.cellexplorer.spike_times import FINE_RATE_HZ, UnitSpikes, read_spikes, samples_of
from nwb_celltype.converters.cellexplorer.templates import templates_of
from nwb_celltype.converters.cellexplorer.timed_events import read_events
from nwb_celltype.converters.cellexplorer.trace_files import open_dat, open_lfp
from nwb_celltype.converters.cellexplorer.unit_columns import read_columns
from nwb_celltype.converters.cellexplorer.values import struct_at, text_of, texts_of
from nwb_celltype.converters.clocks import Clock
from nwb_celltype.converters.records import LeftOut, Probe, ProbeRecording, Sorting, SourceSession
from nwb_celltype.errors import InputError


def read_session(path: str | Path) -> SourceSession:
    """Read a session of CellExplorer.

    Units come from ``basename.cell_metrics.cellinfo.mat``, or where there is none from
    ``basename.spikes.cellinfo.mat``; what lies beside is used: spikes, ``basename.session.mat``, sessionInfo, places
    of channels, epochs, events, manipulations, and the recording itself if it is whole. Time 0 is that of
    CellExplorer's spike times.

    Parameters
    ----------
    path : str or Path
        The .mat file, or the session folder.

    Returns
    -------
    SourceSession
        Of kind ``cellexplorer``, with one recording.

    Raises
    ------
    InputError
        There are no units, several sessions, or a field that is needed is broken; the message names it.

    Notes
    -----
    Formats: https://cellexplorer.org/datastructure/data-structure-and-format/. Channels and groups count from 1 there.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from scipy.io import savemat
    >>> times = np.empty((1, 1), dtype=object)
    >>> times[0, 0] = np.array([[0.0195], [1.222]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/a.spikes.cellinfo.mat"
    ...     savemat(path, {"spikes": {"times": times, "UID": 4.0, "sr": 20000.0}})
    ...     units = read_session(path).recordings[0].sorting
    >>> units.unit_ids.tolist(), units.samples_of(0).tolist(), units.sampling_rate_hz
    ([4], [390, 24440], 20000.0)
    """
    files = find_files(path)
    source = read_source(files)
    units = read_spikes(source)
    if len(units) == 0:
        message = f"{source.name} holds no unit (cellCount 0); there is nothing to convert."
        raise InputError(message)
    means = read_means(source, units)
    notes = [*source.notes]
    probe = read_probe(source, means.channels_seen, notes)
    rate, rate_from = _rate(source, means, notes)
    last_s = max((float(times[-1]) for times in units.times if len(times)), default=0.0)
    traces = open_dat(source, rate, len(probe), last_s, notes)
    lfp = open_lfp(source, len(probe), last_s, notes)
    samples, offsets, sample_rate = samples_of(units.times, rate, is_fixed=traces is not None)
    sorting = _sorting(source, units, means, probe, (samples, offsets, sample_rate))
    pulses, events_gone = read_events(source)
    notes.append("time 0 is that of CellExplorer's spike times: the first sample of the session's recording")
    recording = ProbeRecording(
        probe=probe,
        clock=_clock(sample_rate, rate),
        sorting=sorting,
        traces=traces,
        lfp=lfp,
        lfp_clock=None if lfp is None else Clock("lfp", lfp.sampling_rate_hz),
    )
    if rate_from:
        notes.append(f"the sampling rate is {rate:g} Hz by {rate_from}")
    started, facts = started_at(source, notes), read_facts(source, notes)
    return SourceSession(
        kind="cellexplorer",
        paths=(Path(path),),
        recordings=(recording,),
        pulses=pulses,
        started=started,
        facts=facts,
        left_out=(*events_gone, *_left_out_of_general(source)),
        notes=tuple(dict.fromkeys(notes)),
        marks=read_epochs(source),
    )


def _rate(source: Source, means: StoredMeans, notes: list[str]) -> tuple[float | None, str]:
    """Sampling rate of the recording: as stated, else by the steps of the waveforms' time axis."""
    rate, where = source.sampling_rate_hz()
    if rate is not None:
        return rate, where
    rates = [mean.rate_hz for mean in means.means if mean is not None]
    if rates:
        return max(set(rates), key=rates.count), "the steps of the waveforms' time axis, as no file states it"
    notes.append("no file states the sampling rate; spike times are kept to a microsecond")
    return None, ""


def _clock(sample_rate_hz: float, rate_hz: float | None) -> Clock:
    how = ""
    if sample_rate_hz == FINE_RATE_HZ and rate_hz != FINE_RATE_HZ:
        how = "spike times as the file states them, to a microsecond, as they are not whole samples of the recording"
    return Clock(NAME, sample_rate_hz, how=how)


def _sorting(
    source: Source, units: UnitSpikes, means: StoredMeans, probe: Probe, spikes: tuple[np.ndarray, np.ndarray, float]
) -> Sorting:
    notes = [*units.notes, *means.notes]
    n = len(units)
    columns, columns_gone = read_columns(source, units)
    labels = read_labels(source, n, notes)
    counts = source.metrics.get("spikeCount", source.metrics.get("total"))
    if isinstance(counts, np.ndarray) and counts.size == n:
        n_other = int(np.sum(counts.ravel().astype(np.float64) != [len(times) for times in units.times]))
        if n_other:
            notes.append(f"spikeCount differs from the number of spike times for {n_other} units; the times are kept")
    return Sorting(
        unit_ids=units.unit_ids,
        unit_names=tuple(str(number) for number in units.unit_ids.tolist()),
        spike_samples=spikes[0],
        offsets=spikes[1],
        sampling_rate_hz=spikes[2],
        source=_says(source, units),
        columns=columns,
        peak_channels=np.where(means.peaks < len(probe), means.peaks, -1),
        templates=templates_of(means, len(probe), notes),
        prior_labels=labels,
        left_out=(*means.left_out, *columns_gone),
        notes=tuple(dict.fromkeys(notes)),
    )


def _says(source: Source, units: UnitSpikes) -> str:
    methods = [
        *(text_of(each.get("method")) for each in _spike_sortings(source)),
        *texts_of(source.metrics.get("session_spikeSortingMethod", ""))[:1],
        text_of(struct_at(source.general, "session").get("spikeSortingMethod")),
    ]
    method = next((text for text in methods if text), "")
    sorter = f"sorted with {method}, " if method else ""
    return f"CellExplorer: {sorter}{units.source} of {source.name}"


def _spike_sortings(source: Source) -> tuple[dict[str, object], ...]:
    value = source.session.get("spikeSorting")
    items = value if isinstance(value, list) else [value]
    return tuple(item for item in items if isinstance(item, dict))


def _left_out_of_general(source: Source) -> tuple[LeftOut, ...]:
    """What `cell_metrics.general` holds beside what is written."""
    names = [name for name in ("states", "excludeIntervals", "SWR") if name in source.general]
    if not names:
        return ()
    fields = ", ".join(f"cell_metrics.general.{name}" for name in names)
    return (LeftOut(fields, "brain states, ripples and intervals of CellExplorer are not converted"),)
