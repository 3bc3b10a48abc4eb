"""A SpikeInterface sorting or sorting analyzer as one session of our records."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.analyzer.columns import columns_of
from nwb_celltype.converters.analyzer.opening import open_source
from nwb_celltype.converters.analyzer.recording import clock_of, probe_of, traces_of
from nwb_celltype.converters.records import (
    Float,
    Integer,
    Probe,
    ProbeRecording,
    ScaleUnit,
    Sorting,
    SourceSession,
    Templates,
)
from nwb_celltype.errors import InputError

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting, SortingAnalyzer

RATE_TOLERANCE = 1e-6
"""Relative difference of sampling rates of a sorting and its recording that rounding explains."""


def read_session(source: Any) -> SourceSession:
    """Read a sorting or sorting analyzer of SpikeInterface.

    Times come from the recording where one is attached, else from the sorting's own start. Templates are those of the
    analyzer; on channels outside its sparsity they are NaN, because nothing was computed there.

    Parameters
    ----------
    source : BaseSorting, SortingAnalyzer, str or Path
        The object, or what SpikeInterface saved: an analyzer (folder or zarr), a sorting (folder, npz or json), or the
        folder of a sorter.

    Returns
    -------
    SourceSession
        Of kind ``spikeinterface``, with one recording.

    Raises
    ------
    InputError
        When SpikeInterface cannot open it, it has no units or several segments, or its parts do not fit together.
    RefusedError
        When opening it would run a pickle.

    Examples
    --------
    >>> from spikeinterface.core import NumpySorting
    >>> sorting = NumpySorting.from_samples_and_labels([[30, 90, 60]], [["b", "a", "a"]], 30000.0)
    >>> units = read_session(sorting).recordings[0].sorting
    >>> units.unit_names, units.samples_of(0).tolist()
    (('a', 'b'), [60, 90])
    """
    found, paths, notes = open_source(source)
    analyzer = None if _is_sorting(found) else found
    sorting: BaseSorting = found if analyzer is None else analyzer.sorting
    what = str(paths[0]) if paths else type(found).__name__
    _check_segments(sorting, what)
    recording = _recording_of(sorting, analyzer, what)
    probe = _probe_of(recording, analyzer)
    units = _sorting_of(sorting, analyzer, recording, what)
    rate = units.sampling_rate_hz
    clock = clock_of(probe.name, rate, recording, 0.0 if recording is not None else float(sorting.get_start_time(0)))
    traces = None if recording is None else traces_of(recording, probe.name)
    if recording is None:
        notes = (*notes, *_without_recording(clock.seconds(0)))
    if analyzer is not None and recording is None and analyzer.sparsity is not None:
        notes = (*notes, "The analyzer is sparse: mean waveforms are NaN on channels that it left out.")
    if not len(probe):
        notes = (*notes, "Nothing says which channels the units were recorded on, so there are no electrodes.")
    n_samples = _n_samples(recording, analyzer)
    observed_s = None if n_samples is None else clock.seconds(np.array([[0, n_samples]]))
    one = ProbeRecording(probe, clock, units, traces, observed_s=observed_s)
    return SourceSession("spikeinterface", paths, (one,), left_out=units.left_out, notes=notes)


def _without_recording(start_s: Float) -> tuple[str, ...]:
    waveforms = "No recording is attached, so mean waveforms come from templates, where there are any."
    time = f"No recording is attached, so sample 0 is taken as {float(start_s):g} s of the session."
    return (waveforms, time)


def _is_sorting(found: BaseSorting | SortingAnalyzer) -> bool:
    from spikeinterface.core import BaseSorting

    return isinstance(found, BaseSorting)


def _check_segments(sorting: BaseSorting, what: str) -> None:
    n = sorting.get_num_segments()
    if n == 1:
        return
    counts = [len(sorting.to_spike_vector(concatenated=False)[k]) for k in range(n)]
    listed = ", ".join(f"{k} ({count} spikes)" for k, count in enumerate(counts))
    message = (
        f"{what} has {n} segments: {listed}. An NWB file has one clock, so convert one segment at a time: "
        "spikeinterface.core.select_segment_sorting(sorting, [0]), or an analyzer of it, and the next into a file of "
        "its own; or join the recordings before sorting (spikeinterface.concatenate_recordings)."
    )
    raise InputError(message)


def _recording_of(sorting: BaseSorting, analyzer: SortingAnalyzer | None, what: str) -> BaseRecording | None:
    """Return the recording that is attached, after a check that it is the one that was sorted."""
    recording: BaseRecording | None = None
    if analyzer is not None:
        if analyzer.has_recording() or analyzer.has_temporary_recording():
            recording = analyzer.recording
    elif sorting.has_recording():
        recording = sorting._recording
    if recording is None:
        return None
    if recording.get_num_segments() != 1:
        message = (
            f"The recording of {what} has {recording.get_num_segments()} segments and its sorting one; attach one."
        )
        raise InputError(message)
    own, other = float(sorting.get_sampling_frequency()), float(recording.get_sampling_frequency())
    if abs(own - other) > RATE_TOLERANCE * other:
        message = (
            f"The sorting of {what} has {own} samples per second and its recording {other}; attach the one sorted."
        )
        raise InputError(message)
    return recording


def _probe_of(recording: BaseRecording | None, analyzer: SortingAnalyzer | None) -> Probe:
    if recording is not None:
        group = recording.get_probegroup() if recording.has_probe() else None
        properties = {key: recording.get_property(key) for key in recording.get_property_keys()}
        return probe_of(recording.channel_ids, group, properties)
    if analyzer is not None:
        return probe_of(analyzer.channel_ids, analyzer.get_probegroup(), analyzer.rec_attributes.get("properties", {}))
    return probe_of(np.empty(0, dtype=str), None, {})


def _sorting_of(
    sorting: BaseSorting, analyzer: SortingAnalyzer | None, recording: BaseRecording | None, what: str
) -> Sorting:
    ids, names, notes = _ids(sorting.unit_ids)
    vector = sorting.to_spike_vector()
    order = np.lexsort((vector["sample_index"], vector["unit_index"]))
    samples = np.asarray(vector["sample_index"], dtype=np.int64)[order]
    counts = np.bincount(vector["unit_index"], minlength=len(ids))
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    columns, left_out = columns_of(sorting, analyzer)
    amplitudes, amplitude_description = _amplitudes(analyzer, order)
    n_samples = _n_samples(recording, analyzer)
    outside = int(np.sum((samples < 0) | (samples >= n_samples))) if n_samples is not None else 0
    if outside:
        notes = (*notes, f"{outside} spikes lie outside the {n_samples} samples of the recording; they are kept.")
    return Sorting(
        ids,
        names,
        samples,
        offsets,
        float(sorting.get_sampling_frequency()),
        f"SpikeInterface {'sorting' if analyzer is None else 'sorting analyzer'}{_sorter(sorting)}: {what}",
        amplitudes=amplitudes,
        amplitude_description=amplitude_description,
        columns=columns,
        peak_channels=_peak_channels(sorting, analyzer, recording),
        templates=None if analyzer is None else _templates(analyzer),
        left_out=left_out,
        notes=notes,
    )


def _sorter(sorting: BaseSorting) -> str:
    """Which sorter it was, where the sorting says so."""
    information = sorting.sorting_info or {}
    name = (information.get("params") or {}).get("sorter_name", "")
    version = (information.get("log") or {}).get("sorter_version", "")
    return f" of {name} {version}".rstrip() if name else ""


def _ids(unit_ids: NDArray[Any]) -> tuple[Integer, tuple[str, ...], tuple[str, ...]]:
    """Whole numbers for ids of any type: themselves, the numbers that texts spell, or else 0, 1, ..."""
    names = tuple(str(one) for one in unit_ids)
    if all(name.isdecimal() and str(int(name)) == name for name in names) and len(set(names)) == len(names):
        return np.array([int(name) for name in names], dtype=np.int64), names, ()
    note = "Unit ids are not whole numbers, so units are numbered from 0 and keep their ids as names."
    return np.arange(len(names), dtype=np.int64), names, (note,)


def _n_samples(recording: BaseRecording | None, analyzer: SortingAnalyzer | None) -> int | None:
    if recording is not None:
        return int(recording.get_num_samples(segment_index=0))
    return None if analyzer is None else int(analyzer.get_num_samples(0))


def _amplitudes(analyzer: SortingAnalyzer | None, order: NDArray[np.intp]) -> tuple[Float | None, str]:
    if analyzer is None or not analyzer.has_extension("spike_amplitudes"):
        return None, ""
    values = np.asarray(analyzer.get_extension("spike_amplitudes").data["amplitudes"], dtype=np.float64)
    if len(values) != len(order):
        message = (
            f"The extension spike_amplitudes has {len(values)} values for {len(order)} spikes; compute it again "
            "(analyzer.compute('spike_amplitudes'))."
        )
        raise InputError(message)
    unit = "microvolts" if analyzer.return_in_uV else "counts of the converter"
    return values[order], f"Signal at the peak of the unit's template on its main channel, {unit}."


def _peak_channels(
    sorting: BaseSorting, analyzer: SortingAnalyzer | None, recording: BaseRecording | None
) -> Integer | None:
    """Rows of the probe that the object names, or that SpikeInterface derives from its templates."""
    channels = analyzer.channel_ids if analyzer is not None else None if recording is None else recording.channel_ids
    if channels is None:
        return None
    said = sorting.get_property("main_channel_id")
    if said is not None:
        row = {str(channel): k for k, channel in enumerate(channels)}
        return np.array([row.get(str(channel), -1) for channel in said], dtype=np.int64)
    if analyzer is None:
        return None
    with warnings.catch_warnings():
        # it says that the analyzer is an old one, and would derive them anew each time
        warnings.filterwarnings("ignore", message="This sorting analyzer is from an an older version")
        try:
            return np.asarray(analyzer.get_main_channels(outputs="index"), dtype=np.int64)
        except ValueError:  # no templates, no recording: nothing to derive them from
            return None


def _templates(analyzer: SortingAnalyzer) -> Templates | None:
    """Return the mean of the `templates` extension, on all channels, in microvolts where gains are known."""
    if not analyzer.has_extension("templates"):
        return None
    extension = analyzer.get_extension("templates")
    operator = next((name for name in ("average", "median") if name in extension.data), None)
    if operator is None:
        return None
    waveforms = np.array(extension.data[operator], dtype=np.float32)
    sd = (
        np.array(extension.data["std"], dtype=np.float32) if operator == "average" and "std" in extension.data else None
    )
    unit: ScaleUnit = "microvolts" if analyzer.return_in_uV else "a.u."
    if not analyzer.return_in_uV:
        properties = analyzer.rec_attributes.get("properties", {})
        gains, offsets = properties.get("gain_to_uV"), properties.get("offset_to_uV")
        if gains is not None:
            waveforms = waveforms * np.asarray(gains, dtype=np.float32)
            waveforms += np.float32(0) if offsets is None else np.asarray(offsets, dtype=np.float32)
            sd = None if sd is None else sd * np.asarray(gains, dtype=np.float32)
            unit = "microvolts"
    if analyzer.sparsity is not None:
        waveforms = np.where(analyzer.sparsity.mask[:, None, :], waveforms, np.float32(np.nan))
        sd = None if sd is None else np.where(analyzer.sparsity.mask[:, None, :], sd, np.float32(np.nan))
    counts = analyzer.sorting.count_num_spikes_per_unit(outputs="array")
    waveforms[counts == 0] = np.nan
    text = f"SpikeInterface template ({operator})"
    sources = tuple(text if count else "" for count in counts)
    return Templates(waveforms, int(extension.nbefore), unit, sources, sd=sd)
