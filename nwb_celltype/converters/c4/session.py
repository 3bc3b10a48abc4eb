"""One recording of the C4 database as a session: units, waveforms, labels, light, and the licence."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nwb_celltype.converters.c4.columns import light_pulses, spike_columns, unit_columns, unit_ids
from nwb_celltype.converters.c4.database import Database, read_database
from nwb_celltype.converters.c4.labels import layer_of_neuron, prior_labels
from nwb_celltype.converters.c4.layout import (
    LABS,
    LICENCE_SENTENCE,
    NOT_STATED,
    PAPER,
    known_lab,
)
from nwb_celltype.converters.c4.neurons import Neuron
from nwb_celltype.converters.c4.periods import observed_periods
from nwb_celltype.converters.c4.probe import join_channels
from nwb_celltype.converters.c4.sameness import joined_left_out, joined_notes
from nwb_celltype.converters.c4.templates import join_waveforms, peak_rows
from nwb_celltype.converters.clocks import nominal_clock
from nwb_celltype.converters.records import Float, LeftOut, ProbeRecording, Sorting, SourceSession
from nwb_celltype.errors import InputError, UsageError


def recordings(path: Path | str) -> tuple[str, ...]:
    """Recordings of a C4 database file: each becomes one NWB file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    tuple of str
        ``dataset_id`` of each, in natural order.

    Raises
    ------
    InputError
        If the file is no C4 database.

    Examples
    --------
    >>> recordings("C4_database_hull_labelled.h5")[:2]  # doctest: +SKIP
    ('NewDH12_211201_loccar1_2', 'NewDH12_211202_loccar1')
    """
    return read_database(path).recordings


def read_session(path: Path | str | Database, recording: str | None = None) -> SourceSession:
    """Read one recording of a C4 database file.

    Samples count from the recording's first, so the session clock is samples divided by the rate. A neuron without
    rate or spikes is left out with the reason; any other field that cannot be used is left out alone.

    Parameters
    ----------
    path : str, Path or Database
        A `Database` spares listing the neurons again for each recording.
    recording : str, optional
        A ``dataset_id``; may be left away where the file holds one recording.

    Returns
    -------
    SourceSession
        When it began is not in the database and has to be asked for.

    Raises
    ------
    InputError
        If the file is no C4 database, or no neuron of the recording can be read.
    UsageError
        If there is no such recording, or several and none is named.

    Examples
    --------
    >>> session = read_session("C4_database_hull_labelled.h5", "NewDH12_211201_loccar1_2")  # doctest: +SKIP
    >>> session.recordings[0].sorting.prior_labels[0].source_type  # doctest: +SKIP
    'ground_truth'
    """
    database = path if isinstance(path, Database) else read_database(path)
    recording = _chosen(database, recording)
    neurons, left_out = database.read(recording)
    _require_any(neurons, left_out, database.path, recording)
    neurons, rate, excluded = _of_one_rate(neurons)
    left_out = (*left_out, *excluded, *(item for neuron in neurons for item in neuron.left_out))
    neurons, twice = _each_once(neurons)
    found, notes = _probe_recording(database.path, recording, neurons, rate, (*left_out, *twice))
    pulses, pulse_notes = light_pulses(neurons)
    return SourceSession(
        kind="c4",
        paths=(database.path,),
        recordings=(found,),
        pulses=pulses,
        facts=_facts(recording, neurons),
        left_out=database.left_out,
        notes=(LICENCE_SENTENCE, NOT_STATED, *notes, *pulse_notes, *_lab_notes(neurons)),
    )


def _require_any(neurons: Sequence[Neuron], left_out: Sequence[LeftOut], path: Path, recording: str) -> None:
    if not neurons:
        listed = "; ".join(f"{item.what}, {item.reason}" for item in left_out[:5])
        message = f"{path}: no neuron of recording {recording!r} can be read. {listed}."
        raise InputError(message)


def _chosen(database: Database, recording: str | None) -> str:
    names = database.recordings
    if not names:
        message = (
            f"{database.path}: no neuron says which recording it belongs to (dataset_id), so none can be converted."
        )
        raise InputError(message)
    if recording is None and len(names) == 1:
        return names[0]
    if recording in names:
        return str(recording)
    near = difflib.get_close_matches(recording or "", names, n=3, cutoff=0.5) or names[:5]
    wish = "name the recording" if recording is None else f"there is no recording {recording!r}"
    message = f"{database.path} holds {len(names)} recordings; {wish}, such as {', '.join(near)}."
    raise UsageError(message)


def _of_one_rate(neurons: tuple[Neuron, ...]) -> tuple[tuple[Neuron, ...], float, tuple[LeftOut, ...]]:
    """Neurons at the rate that most of the recording's have; one recording has one rate."""
    rate = Counter(neuron.sampling_rate_hz for neuron in neurons).most_common(1)[0][0]
    reason = f"field sampling_rate: {{:g}} Hz, where most neurons of the recording have {rate:g} Hz"
    out = tuple(
        LeftOut(f"neuron {n.name}", reason.format(n.sampling_rate_hz)) for n in neurons if n.sampling_rate_hz != rate
    )
    return tuple(n for n in neurons if n.sampling_rate_hz == rate), rate, out


def _each_once(neurons: tuple[Neuron, ...]) -> tuple[tuple[Neuron, ...], tuple[LeftOut, ...]]:
    """Leave out copies: neurons of the same id in the sorting with the same spikes, at another place in the file."""
    kept: list[Neuron] = []
    out: list[LeftOut] = []
    by_id: dict[str, list[Neuron]] = {}
    for neuron in neurons:
        known = by_id.setdefault(neuron.relative_id, [])
        same = next((k for k in known if np.array_equal(k.train.samples, neuron.train.samples)), None)
        if neuron.relative_id and len(neuron.train) and same is not None:
            out.append(LeftOut(f"neuron {neuron.name}", f"a copy of {same.name}: the same unit with the same spikes"))
            continue
        known.append(neuron)
        kept.append(neuron)
    return tuple(kept), tuple(out)


def _probe_recording(
    path: Path, recording: str, neurons: tuple[Neuron, ...], rate: float, left_out: tuple[LeftOut, ...]
) -> tuple[ProbeRecording, tuple[str, ...]]:
    electrodes = join_channels(neurons, f"Electrodes of recording {recording} in the C4 database.")
    templates, short, waveform_notes = join_waveforms(neurons, electrodes, rate)
    labels, unknown = prior_labels(neurons, f"{path.name}, recording {recording}")
    no_layer: list[LeftOut] = []
    layers = [layer_of_neuron(neuron, no_layer) for neuron in neurons]
    ids, id_note = unit_ids(neurons)
    observed, observed_note = _observed(neurons, rate)
    lengths = [len(neuron.train) for neuron in neurons]
    amplitudes = [neuron.train.amplitudes for neuron in neurons]
    sorting = Sorting(
        unit_ids=ids,
        unit_names=tuple(neuron.name for neuron in neurons),
        spike_samples=np.concatenate([neuron.train.samples for neuron in neurons]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        sampling_rate_hz=rate,
        source=f"C4 database, {path.name}, recording {recording}.",
        amplitudes=None
        if all(each is None for each in amplitudes)
        else np.concatenate(
            [np.full(n, np.nan) if each is None else each for each, n in zip(amplitudes, lengths, strict=True)]
        ),
        amplitude_description="Of Kilosort, arbitrary units, as stored in the C4 database.",
        columns=unit_columns(neurons, layers),
        peak_channels=peak_rows(neurons, electrodes),
        templates=templates,
        prior_labels=labels,
        obs_intervals=observed,
        left_out=joined_left_out((*left_out, *short, *unknown, *no_layer, *_not_written(neurons))),
        notes=joined_notes([id_note, *observed_note, *waveform_notes, *(each for n in neurons for each in n.notes)]),
        spike_columns=spike_columns(neurons),
    )
    clock = nominal_clock(f"recording {recording}", rate)
    return ProbeRecording(electrodes.probe, clock, sorting), joined_notes(electrodes.notes)


def _observed(neurons: Sequence[Neuron], rate: float) -> tuple[tuple[Float, ...] | None, tuple[str, ...]]:
    """Observed periods of each neuron; None where all were observed all the time."""
    last = max((int(n.train.samples[-1]) + 1 for n in neurons if len(n.train)), default=0) / rate
    lit = max((float(n.light_pulses[:, 1].max()) for n in neurons if n.light_pulses is not None), default=0.0)
    end_s = max(last, lit)
    periods = [observed_periods(n.train, n.sane_periods, rate, end_s) for n in neurons]
    if all(each is None for each in periods):
        return None, ()
    notes = [
        "Units are observed in their sane periods (sane_periods), as far as the spikes that are marked as sane "
        "(sane_spikes) agree: from the first to the last spike of a run of sane spikes and half way to the spikes "
        "outside it, at most the unit's median interval. The end of the recording is not stated; the last spike or "
        "light pulse of any unit stands for it."
    ]
    empty = [n.name for n, each in zip(neurons, periods, strict=True) if each is not None and len(each) == 0]
    if empty:
        notes.append(
            f"No time is left in which these were observed, because no spike counts as sane: {', '.join(empty)}."
        )
    whole = np.array([[0.0, end_s]])
    return tuple(whole if each is None else each for each in periods), tuple(notes)


def _not_written(neurons: Sequence[Neuron]) -> list[LeftOut]:
    raw = dict.fromkeys(name for neuron in neurons for name in neuron.raw_pieces)
    further = Counter(name for neuron in neurons for name in neuron.further)
    reason = "pieces of raw recording, no continuous trace; the mean waveform is written instead"
    out = [LeftOut(f"fields {', '.join(raw)}", reason)] if raw else []
    return out + [
        LeftOut(f"field {name} ({n} neurons)", "the published layout of the database does not know it")
        for name, n in sorted(further.items())
    ]


def _facts(recording: str, neurons: Sequence[Neuron]) -> dict[str, str]:
    labs = {known_lab(neuron.lab) for neuron in neurons}
    lines = {neuron.line for neuron in neurons if neuron.line}
    lab = labs.pop() if len(labs) == 1 else ""
    species = LABS.get(lab, "")
    facts = {
        "NWBFile.session_id": recording,
        "NWBFile.session_description": f"Neurons of recording {recording} in the C4 database"
        + (f" ({lab.capitalize()} lab, {species})." if lab else "."),
        "NWBFile.lab": f"{lab.capitalize()} lab" if lab else "",
        "NWBFile.related_publications": PAPER.replace("doi:", "https://doi.org/"),
        "NWBFile.notes": LICENCE_SENTENCE,
        "NWBFile.keywords": "cerebellum, cell type, C4 database",
        "Subject.species": species,
        "Subject.genotype": lines.pop() if species == "mouse" and len(lines) == 1 else "",
    }
    return {key: text for key, text in facts.items() if text}


def _lab_notes(neurons: Sequence[Neuron]) -> tuple[str, ...]:
    labs = sorted({neuron.lab or "none" for neuron in neurons})
    lines = sorted({neuron.line for neuron in neurons if neuron.line})
    notes = []
    if len(labs) > 1:
        notes.append(f"Neurons of the recording state different labs: {', '.join(labs)}.")
    elif not known_lab(labs[0]):
        notes.append(f"The lab {labs[0]!r} is not one of the C4 database, so the species is not known from it.")
    if len(lines) > 1:
        notes.append(f"Neurons of the recording state different lines: {', '.join(lines)}.")
    return tuple(notes)
