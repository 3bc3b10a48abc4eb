"""Units as the C4 recipe sees them, from recordings in NWB and from the HDF5 files of the C4 database."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.c4.preprocessing import (
    LAYERS,
    N_LAGS,
    N_ROWS,
    N_SAMPLES,
    acg_input,
    layer_input,
    network_input,
    preprocess_waveform,
)
from nwb_celltype.c4.spike_quality import good_spikes
from nwb_celltype.errors import InputError, NothingToDoError, UsageError
from nwb_celltype.features import acg_3d
from nwb_celltype.features.dataset import Progress, why_no_train
from nwb_celltype.label_choice import LabelsAre, PredictionsOnlyError, kinds_of_labels

if TYPE_CHECKING:
    from nwb_celltype.converters.c4 import Neuron
    from nwb_celltype.units import Units

MIN_SPIKES = 100
"""Spikes that a unit needs."""

_H5 = (".h5", ".hdf5")
_LAYER_COLUMNS = ("layer", "human_layer", "phyllum_layer")
_SUBTYPES = ("A", "B")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class C4Units:
    """Units ready for the networks, a row a unit.

    Attributes
    ----------
    acg : (n, 10, 101) float32 array
        As `nwb_celltype.c4.preprocessing.acg_input`; NaN where there is a reason.
    waveform : (n, 90) float32 array
        As `nwb_celltype.c4.preprocessing.preprocess_waveform`; NaN where there is a reason.
    layer : (n,) array of str
        ``unknown``, ``GCL``, ``PCL`` or ``ML``.
    acg_reason, waveform_reason : (n,) arrays of str
        Why there is none; empty where there is one.
    cell_type : (n,) array of str
        Empty where unknown.
    groups : (n,) array of str
        Recording.
    names : (n,) array of str
        For messages.
    trains : tuple of n arrays, seconds
        Spikes behind `acg`.
    part_sha256 : dict of str to (n,) array of str
        Hashes of waveform and spike train as `nwb_celltype.labels.LabelledUnits` makes them; empty where not known.
    """

    acg: NDArray[np.float32]
    waveform: NDArray[np.float32]
    layer: NDArray[np.str_]
    acg_reason: NDArray[np.str_]
    waveform_reason: NDArray[np.str_]
    cell_type: NDArray[np.str_]
    groups: NDArray[np.str_]
    names: NDArray[np.str_]
    trains: tuple[NDArray[np.float64], ...]
    part_sha256: dict[str, NDArray[np.str_]]

    def __len__(self) -> int:
        return len(self.layer)

    @property
    def is_complete(self) -> NDArray[np.bool_]:
        """(n,) mask of the units that have both a waveform and autocorrelograms: the networks need both."""
        return np.asarray((self.acg_reason == "") & (self.waveform_reason == ""))

    def inputs(self, *, has_layer: bool) -> NDArray[np.float32]:
        """(n, 1100 or 1104) inputs of the networks."""
        layer = layer_input(self.layer.tolist()) if has_layer else None
        return network_input(self.acg, self.waveform.astype(np.float64), layer)

    def take(self, rows: NDArray[Any]) -> C4Units:
        """Some rows, by index or mask."""
        index = np.arange(len(self))[rows]
        return C4Units(
            **{name: value[index] for name, value in vars(self).items() if isinstance(value, np.ndarray)},
            trains=tuple(self.trains[i] for i in index),
            part_sha256={part: hashes[index] for part, hashes in self.part_sha256.items()},
        )


def join_units(parts: Sequence[C4Units]) -> C4Units:
    """Units of several recordings, one after the other."""
    first = vars(parts[0])
    return C4Units(
        **{
            name: np.concatenate([getattr(one, name) for one in parts])
            for name, value in first.items()
            if isinstance(value, np.ndarray)
        },
        trains=tuple(train for one in parts for train in one.trains),
        part_sha256={p: np.concatenate([one.part_sha256[p] for one in parts]) for p in parts[0].part_sha256},
    )


def describe_units(units: Units, *, layers: Sequence[str] | None = None, progress: Progress | None = None) -> C4Units:
    """Compute the inputs of the networks for the units of a recording.

    Spikes are those in good stretches (`nwb_celltype.c4.spike_quality.good_spikes`) and, where the file says when a
    unit was observed, in these; then no lag and no rate reaches over a gap.

    Parameters
    ----------
    units : Units
    layers : sequence of n str, optional
        By default the column ``layer`` of the units table, or the two columns of the C4 database, else unknown.
    progress : callable, optional

    Returns
    -------
    C4Units
        Without labels.
    """
    n = len(units.unit_ids)
    said = list(layers) if layers is not None else _layers(units)
    if len(said) != n:
        message = f"There are {len(said)} layers for {n} units; give one a unit, empty where it is not known."
        raise UsageError(message)
    observed = units.obs_intervals if units.obs_intervals is not None else [None] * n
    rows = []
    for k, (times, intervals, waveform) in enumerate(
        zip(units.spike_times, observed, units.peak_waveforms(), strict=True)
    ):
        reason = why_no_train(times, intervals)
        kept = times if reason else times[_distinct(times)]
        kept = kept if reason else kept[good_spikes(kept)]
        if not reason and len(kept) < MIN_SPIKES:
            reason = (
                f"{len(kept)} spikes in stretches with few false spikes, {MIN_SPIKES} in more than 180 s are needed"
            )
        rows.append(_describe(kept, intervals, reason, waveform, float(units.waveform_rates_hz[k])))
        if progress is not None:
            progress("C4 inputs", k + 1, n)
    session = units.session
    source = session.path or session.identifier or "units"
    group = session.identifier or session.path
    return _assemble(rows, said, [f"{source}, unit {i}" for i in units.unit_ids], [group] * n, [""] * n)


def read_recordings(
    data: str | Path | Iterable[str | Path],
    *,
    subtypes: bool = False,
    labels: str | Path | None = None,
    run: str | None = None,
    labels_are: LabelsAre | None = None,
    progress: Progress | None = None,
) -> tuple[C4Units, list[dict[str, Any]]]:
    """Read labelled and unlabelled units from NWB files and from files of the C4 database.

    Parameters
    ----------
    data : path or address, or several
        ``.nwb`` files with annotation runs, folders of them, addresses; or ``.h5`` files of the C4 database.
    subtypes : bool
        Whether ``MLI`` becomes ``MLI_A`` or ``MLI_B`` where the data say which.
    labels, run : optional
        Where the labels of NWB files are, as for `nwb_celltype.labels.read_labelled`.
    labels_are : {'ground_truth', 'expert'}, optional
        What labels may be. Of a folder, files without such labels are left out, with a warning in the log.
    progress : callable, optional

    Returns
    -------
    units : C4Units
    sources : list of dict
        For the card: name, sha256, number of units.

    Raises
    ------
    NothingToDoError
        If there is no unit.
    InputError
        If a file cannot be read.
    RefusedError
        If a file, or all those of a folder, hold no labels of the kind asked for, but others.
    """
    from nwb_celltype.converters.c4 import LICENCE
    from nwb_celltype.runs import run_files

    parts: list[C4Units] = []
    sources = []
    for one in [data] if isinstance(data, str | Path) else list(data):
        if Path(one).suffix.lower() in _H5:
            parts.append(_read_h5(Path(one), labels_are, subtypes=subtypes, progress=progress))
            sources.append({**_source(one, parts[-1]), "licence": LICENCE})
            continue
        files = run_files(one)
        refused: list[PredictionsOnlyError] = []
        for file in files:
            try:
                parts.append(_read_nwb(file, labels, run, labels_are, subtypes=subtypes, progress=progress))
            except PredictionsOnlyError as error:
                refused.append(error)
                continue
            sources.append({**_source(file, parts[-1]), "licence": _licence_of(file)})
        if refused and len(refused) == len(files):
            raise refused[0]
        if refused:
            _log.warning("%d files left out, the first: %s", len(refused), refused[0])
    if not parts or not sum(map(len, parts)):
        message = "There is no unit in the data; give annotated NWB files or HDF5 files of the C4 database."
        raise NothingToDoError(message)
    return join_units(parts), sources


def _licence_of(path: str | Path) -> str:
    """What a file says of a licence that forbids to publish what is made from it."""
    from nwb_celltype.licences import licence_sentence, licence_texts
    from nwb_celltype.units import open_source

    with open_source(path) as file:
        return next((licence_sentence(text) for _, text in licence_texts(file)), "")


def _read_nwb(
    path: str | Path,
    labels: str | Path | None,
    run: str | None,
    labels_are: LabelsAre | None,
    *,
    subtypes: bool,
    progress: Progress | None,
) -> C4Units:
    from nwb_celltype.labels import PARTS, read_labelled
    from nwb_celltype.provenance import is_detached
    from nwb_celltype.units import open_source, read_units

    with open_source(path) as file:
        if is_detached(file):
            message = (
                f"{path} holds labels without spikes. Join them to their recording first "
                "(`nwb-celltype fetch --join`, or `nwb_celltype.join`), and train on that."
            )
            raise InputError(message)
    labelled = read_labelled(path, labels=labels, run=run, labels_are=labels_are)
    with read_units(path) as units:
        described = describe_units(units, progress=progress)
        kinds = labelled.cell_type.astype(object)
        if subtypes and "mli_subtype" in units.column_names:
            stated = [str(value) for value in units.column("mli_subtype")]
            kinds = np.array([_subtype(k, s) for k, s in zip(kinds, stated, strict=True)], dtype=object)
    hashes = labelled.part_sha256
    return replace(
        described,
        cell_type=kinds.astype(str),
        groups=labelled.groups,
        part_sha256={part: hashes[:, i] for i, part in enumerate(PARTS)},
    )


def _read_h5(path: Path, labels_are: LabelsAre | None, *, subtypes: bool, progress: Progress | None) -> C4Units:
    from nwb_celltype.converters.c4 import read_database

    database = read_database(path)
    rows, said, names, groups, kinds = [], [], [], [], []
    n_refused = 0
    for done, recording in enumerate(database.recordings):
        neurons, _ = database.read(recording)
        allowed = None if labels_are is None else kinds_of_labels(labels_are)
        told, n_other = _h5_labels(neurons, allowed)
        n_refused += n_other
        for neuron, kind in zip(neurons, told, strict=True):
            layer, is_cortex = _h5_layer(neuron)
            if not is_cortex:
                continue
            rows.append(_describe_neuron(neuron))
            said.append(layer)
            names.append(f"{path.name}, {neuron.name}")
            groups.append(f"{path.name}|{recording}")
            kinds.append(_subtype(kind, _h5_subtype(neuron)) if subtypes else kind)
        if progress is not None:
            progress(f"reading {path.name}", done + 1, len(database.recordings))
    if n_refused and not any(kinds):
        message = (
            f"{path} holds no ground truth; it holds an expert's labels of {n_refused} neurons. They are taken when "
            "they are asked for: --labels-are expert."
        )
        raise PredictionsOnlyError(message)
    return _assemble(rows, said, names, groups, kinds)


def _describe_neuron(neuron: Neuron) -> _Row:
    """Spikes that both masks of the database keep, whatever lies between; the waveform of the largest channel."""
    train, rate = neuron.train, neuron.sampling_rate_hz
    kept = np.ones(len(train), dtype=bool)
    for mask in (train.is_sane, train.is_filtered):
        kept &= True if mask is None else mask
    times = train.samples[kept] / rate
    times = times[_distinct(times)]
    reason = why_no_train(times, None)
    if not reason and len(times) < MIN_SPIKES:
        reason = f"{len(times)} spikes that the database calls sane and complete, {MIN_SPIKES} are needed"
    channels = neuron.channels
    waveform = None if channels.waveform is None or channels.peak < 0 else channels.waveform[channels.peak]
    return _describe(times, None, reason, waveform, rate)


@dataclass(frozen=True, eq=False)
class _Row:
    """One unit."""

    acg: NDArray[np.float32]
    waveform: NDArray[np.float32]
    acg_reason: str
    waveform_reason: str
    train: NDArray[np.float64]


def _describe(
    times: NDArray[np.float64],
    intervals: NDArray[np.float64] | None,
    acg_reason: str,
    waveform: NDArray[np.floating] | None,
    rate_hz: float,
) -> _Row:
    acg = np.full((N_ROWS, N_LAGS), np.nan, dtype=np.float32)
    shape = np.full(N_SAMPLES, np.nan, dtype=np.float32)
    if not acg_reason:
        acg = acg_input(acg_3d(times, intervals))
    waveform_reason = ""
    if waveform is None:
        waveform_reason = "no mean waveform"
    elif not np.isfinite(rate_hz):
        waveform_reason = "the sampling rate of the waveforms is unknown"
    else:
        try:
            shape = preprocess_waveform(waveform, rate_hz).astype(np.float32)
        except InputError as error:
            waveform_reason = str(error)
    return _Row(acg, shape, acg_reason, waveform_reason, times if not acg_reason else times[:0])


def _assemble(
    rows: Sequence[_Row], layers: Sequence[str], names: Sequence[str], groups: Sequence[str], kinds: Sequence[str]
) -> C4Units:
    n = len(rows)
    codes = layer_input(list(layers)).argmax(axis=1) if n else np.zeros(0, dtype=np.intp)
    return C4Units(
        acg=np.stack([row.acg for row in rows]) if n else np.zeros((0, N_ROWS, N_LAGS), dtype=np.float32),
        waveform=np.stack([row.waveform for row in rows]) if n else np.zeros((0, N_SAMPLES), dtype=np.float32),
        layer=np.array(LAYERS)[codes],
        acg_reason=np.array([row.acg_reason for row in rows], dtype=str),
        waveform_reason=np.array([row.waveform_reason for row in rows], dtype=str),
        cell_type=np.array(kinds, dtype=str),
        groups=np.array(groups, dtype=str),
        names=np.array(names, dtype=str),
        trains=tuple(row.train for row in rows),
        part_sha256={part: np.full(n, "", dtype="<U64") for part in ("waveform", "train")},
    )


def _layers(units: Units) -> list[str]:
    """Layer of each unit, by the first column that says it; what is no layer of the cortex is unknown."""
    from nwb_celltype.taxonomy import layer_of, means_no_label

    found = [""] * len(units.unit_ids)
    for name in _LAYER_COLUMNS:
        if name not in units.column_names:
            continue
        for k, value in enumerate(units.column(name)):
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            layer = None if found[k] or means_no_label(text) else layer_of(text)
            found[k] = found[k] or ("" if layer is None or layer.label not in LAYERS else layer.label)
    return found


def _h5_labels(neurons: Sequence[Neuron], allowed: Sequence[str] | None) -> tuple[list[str], int]:
    """Label of each neuron, ground truth before an expert's, and how many have none but of other kinds."""
    from nwb_celltype.converters.c4.labels import prior_labels

    found = [""] * len(neurons)
    others: set[int] = set()
    runs, _ = prior_labels(neurons, "")
    for run in sorted(runs, key=lambda one: one.source_type != "ground_truth"):
        for row, label in zip(run.unit_rows.tolist(), run.labels, strict=True):
            if allowed is None or run.source_type in allowed:
                found[row] = found[row] or label
            elif label:
                others.add(row)
    return found, sum(not found[row] for row in others)


def _h5_layer(neuron: Neuron) -> tuple[str, bool]:
    from nwb_celltype.converters.c4.labels import layer_of_neuron

    layered = layer_of_neuron(neuron, [])
    return layered.label if layered.label in LAYERS else "", not layered.is_outside


def _h5_subtype(neuron: Neuron) -> str:
    from nwb_celltype.converters.c4.labels import subtype_of

    return subtype_of(neuron)


def _subtype(kind: str, subtype: str) -> str:
    return f"{kind}_{subtype}" if kind == "MLI" and subtype in _SUBTYPES else str(kind)


def _distinct(times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Spikes that do not have the very time of the one before."""
    return np.concatenate([np.ones(min(len(times), 1), dtype=bool), np.diff(times) > 0])


def _source(path: str | Path, units: C4Units) -> dict[str, Any]:
    import hashlib

    from nwb_celltype.archive.addresses import is_remote

    sha256 = ""
    if not is_remote(path):
        with Path(path).open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": Path(path).name, "sha256": sha256, "n_units": len(units)}
