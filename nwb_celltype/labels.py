"""Labelled units: features with a cell type for each, from arrays, annotated NWB files, or tables beside them."""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.feature_table import SUFFIXES, read_feature_table
from nwb_celltype.label_choice import LabelsAre, choose_labels
from nwb_celltype.label_table import read_label_table
from nwb_celltype.licences import licence_sentence, licence_texts
from nwb_celltype.npy_files import DAMAGED
from nwb_celltype.taxonomy import means_no_label

if TYPE_CHECKING:
    import xarray as xr

    from nwb_celltype.provenance import SourceAsset
    from nwb_celltype.runs import Run
    from nwb_celltype.units import Units

PARTS = ("waveform", "train")
"""What rows are hashed by."""

_STEPS = 1000
FeaturesOf = Callable[["Units"], "xr.Dataset"]
"""Computes features of units."""

_NEEDED = ("waveform", "waveform_rate_hz", "cell_type")
_OPTIONAL = ("isi_counts", "acg_counts", "unit_id", "recording", "subject", "lab", "species")
_MAX_BYTES = 4 * 1024**3


@dataclass(frozen=True, eq=False)
class LabelledUnits:
    """Units with a cell type each, a row a unit; rows without a label are kept.

    Attributes
    ----------
    features : xarray.Dataset
        From `nwb_celltype.features`.
    waveforms : tuple of n (n_samples,) arrays or None
        Mean waveform of the peak channel as recorded, from which training makes its variants.
    sampling_rate_hz : (n,) float64 array, hertz
        NaN where there is no waveform.
    cell_type : (n,) array of str
        Empty where there is no label.
    unit_ids : (n,) int64 array
    groups : (n,) array of str
        Recording or subject; rows of one group never lie on both sides of a fold. Empty where unknown.
    lab, species, source : str
        Of all rows; empty where they differ, then `features` has a coordinate of that name. `source` is the file, for
        messages.
    licence : str
        What the file, or the source of detached labels, says of the licence of the data.
    """

    features: xr.Dataset
    waveforms: tuple[NDArray[Any] | None, ...]
    sampling_rate_hz: NDArray[np.float64]
    cell_type: NDArray[np.str_]
    unit_ids: NDArray[np.int64]
    groups: NDArray[np.str_]
    lab: str = ""
    species: str = ""
    source: str = ""
    licence: str = ""

    def __len__(self) -> int:
        return len(self.unit_ids)

    @property
    def is_labelled(self) -> NDArray[np.bool_]:
        """(n,) mask of the rows that have a label."""
        return np.asarray(self.cell_type != "")

    @cached_property
    def part_sha256(self) -> NDArray[np.str_]:
        """(n, 2) hashes of the waveform and of the spike train of each row (`PARTS`); empty where there is none.

        They depend on the shape of the waveform, its rate and the 1 ms counts (for rows of a table on the statistics of
        the one and of the other), not on the unit of measure, the storage type or the file: a row that was copied
        elsewhere is found again, and nearly every one that was scaled (in single precision a sample may round the
        other way in fewer than 1 % of the rows).
        """
        isi, acg = self.features["isi_counts"].values, self.features["acg_counts"].values
        shapes, intervals = self._tabled()
        rows = [
            (_hash_waveform(w, rate) or _hash_numbers("waveform", s), _hash_train(i, a) or _hash_numbers("train", t))
            for w, rate, i, a, s, t in zip(
                self.waveforms, self.sampling_rate_hz, isi, acg, shapes, intervals, strict=True
            )
        ]
        return np.array(rows, dtype=str).reshape(len(self), len(PARTS))

    @cached_property
    def row_sha256(self) -> NDArray[np.str_]:
        """(n,) one hash a row, over both parts."""
        return np.array([hashlib.sha256("|".join(parts).encode()).hexdigest() for parts in self.part_sha256], dtype=str)

    @property
    def holds_statistics_alone(self) -> bool:
        """Whether rows are described, none by a waveform or a spike train: they are of a table of statistics."""
        counts = self.features["isi_counts"].values.any() or self.features["acg_counts"].values.any()
        return not counts and all(w is None for w in self.waveforms) and bool(self._described().any())

    def take(self, rows: NDArray[Any]) -> LabelledUnits:
        """Return some rows, by index or mask."""
        index = np.arange(len(self))[rows]
        return replace(
            self,
            features=self.features.isel(unit=index),
            waveforms=tuple(self.waveforms[i] for i in index),
            sampling_rate_hz=self.sampling_rate_hz[index],
            cell_type=self.cell_type[index],
            unit_ids=self.unit_ids[index],
            groups=self.groups[index],
        )

    def found_in(self, seen: Mapping[str, Collection[str]]) -> NDArray[np.bool_]:
        """(n,) mask of the rows whose waveform or spike train is among the hashes `seen`, by part (`PARTS`).

        A train that is too short to be described does not count: trains of a few spikes are alike by chance.
        """
        waveforms, trains = self.part_sha256.T
        same_waveform = (waveforms != "") & np.isin(waveforms, list(seen.get("waveform", ())))
        is_described = self.features["train_reason"].values == ""
        return np.asarray(same_waveform | (is_described & np.isin(trains, list(seen.get("train", ())))))

    def usable(self) -> NDArray[np.bool_]:
        """(n,) mask of the rows with at least one modality, the first of exact duplicates only."""
        first = np.zeros(len(self), dtype=bool)
        first[np.unique(self.row_sha256, return_index=True)[1]] = True
        return np.asarray(self._described() & first & ~self._repeated_trains())

    def _described(self) -> NDArray[np.bool_]:
        return np.asarray(
            (self.features["waveform_reason"].values == "") | (self.features["train_reason"].values == "")
        )

    def problems(self) -> list[str]:
        """Sentences about rows that cannot be used as they are: nothing to describe, or duplicates."""
        said = []
        waveform_reasons, train_reasons = self.features["waveform_reason"].values, self.features["train_reason"].values
        has_counts = self.features["isi_counts"].values.any() or self.features["acg_counts"].values.any()
        for k, (waveform, train) in enumerate(zip(waveform_reasons, train_reasons, strict=True)):
            where = f"{self.source or 'units'}, unit {self.unit_ids[k]}"
            if waveform:
                said.append(f"{where}: {waveform}.")
            if train and has_counts:
                said.append(f"{where}: {train}.")
        seen: dict[str, int] = {}
        for k, digest in enumerate(self.row_sha256):
            if not self.part_sha256[k].any():
                continue
            if digest in seen:
                first = self.unit_ids[seen[digest]]
                said.append(f"{self.source or 'units'}, units {first} and {self.unit_ids[k]} are the same row.")
            seen.setdefault(digest, k)
        said += [
            f"{self.source or 'units'}, unit {self.unit_ids[k]} has exactly the spike counts of another unit."
            for k in np.flatnonzero(self._repeated_trains())
        ]
        return said

    def _tabled(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n, ...) statistics of waveforms and of trains, where nothing else is known of them."""
        if "unit_statistics" not in self.features or "recording" not in self.features.coords:
            nothing = np.empty((len(self), 0))
            return nothing, nothing
        from nwb_celltype.features.unit_statistics import INTERVAL_STATISTICS, SHAPE_STATISTICS

        each = self.features["unit_statistics"]
        shapes, intervals = ([*SHAPE_STATISTICS], [*INTERVAL_STATISTICS])
        return each.sel(unit_statistic=shapes).values, each.sel(unit_statistic=intervals).values

    def _repeated_trains(self) -> NDArray[np.bool_]:
        trains = self.part_sha256[:, PARTS.index("train")]
        repeated = np.ones(len(self), dtype=bool)
        repeated[np.unique(trains, return_index=True)[1]] = False
        return np.asarray(repeated & (trains != "") & (self.features["train_reason"].values == ""))


def read_labelled(
    path: str | Path,
    *,
    labels: str | Path | None = None,
    run: str | None = None,
    labels_are: LabelsAre | None = None,
    lab: str = "",
    species: str = "",
    features_of: FeaturesOf | None = None,
) -> LabelledUnits:
    """Read labelled units from an ``.npz`` of arrays, a ``.csv`` of statistics, or from an NWB file.

    Parameters
    ----------
    path : str or Path
        ``.npz`` with ``waveform`` (n, samples), ``waveform_rate_hz``, ``cell_type`` (n,) and, if there are spikes,
        ``isi_counts`` (n, 100) and ``acg_counts`` (n, 201); optionally ``unit_id``, ``recording`` or ``subject``,
        ``lab`` and ``species``. ``.csv`` with statistics of units, as `nwb_celltype.feature_table.read_feature_table`
        reads it. Or ``.nwb``, also by its address (``dandi://``, ``DANDI:``, ``https://``, ``s3://``).
        The units of a detached file are read from the file of the same identifier beside it, else from the address
        that it states, if they are the ones that were annotated; units that its run does not name are left out.
    labels : str or Path, optional
        For NWB: a table (CSV, TSV), as `nwb_celltype.label_table.read_label_table` reads it. By
        default the labels are those of `run`.
    run : str, optional
        For NWB: name of the annotation run; by default the published one, unless that is a classifier's.
    labels_are : {'ground_truth', 'expert'}, optional
        For NWB: take ground truth alone, or an expert's labels where there is none; a run of another kind is then
        refused even when it is named. See `nwb_celltype.label_choice.choose_labels`.
    lab, species : str
        Where the file does not say.
    features_of : callable, optional
        Computes the features of the units of an NWB file; `nwb_celltype.features.compute` by default. Models that need
        more have one of their own.

    Returns
    -------
    LabelledUnits

    Raises
    ------
    InputError
        If the file cannot be read, lacks an array, or an array holds what it should not.
    RefusedError
        If the labels of an NWB file are a classifier's predictions and `run` does not ask for them by name; or if
        detached labels and the units found do not belong together, naming everything that disagrees.
    UsageError
        If `labels` is given for an ``.npz`` or a table, or one of those is not on this machine.
    NetworkError
        If a remote file cannot be reached.

    Examples
    --------
    >>> from nwb_celltype.labels import read_labelled
    >>> labelled = read_labelled("hull_mouse_units.npz")  # doctest: +SKIP
    >>> int(labelled.is_labelled.sum())  # doctest: +SKIP
    103
    """
    from nwb_celltype.archive.addresses import is_remote

    if is_remote(path):
        if str(path).lower().endswith((".npz", *SUFFIXES)):
            message = f"{path} is not on this machine, and only NWB files are read from afar; fetch it first."
            raise UsageError(message)
        return _read_nwb(path, labels, run, labels_are, lab, species, features_of)
    path = Path(path)
    if path.suffix.lower() in (".npz", *SUFFIXES):
        if labels is not None or run is not None:
            message = f"{path} carries its own labels; a table of labels or a run goes with an NWB file."
            raise UsageError(message)
        return _read_npz(path, lab, species) if path.suffix.lower() == ".npz" else _read_table(path, lab, species)
    return _read_nwb(path, labels, run, labels_are, lab, species, features_of)


def labelled_from_units(
    units: Units,
    cell_type: Sequence[str] | NDArray[Any],
    *,
    groups: Sequence[str] | None = None,
    lab: str = "",
    species: str = "",
    features_of: FeaturesOf | None = None,
) -> LabelledUnits:
    """Put units of a recording and their labels together.

    Parameters
    ----------
    units : Units
    cell_type : sequence of n str
        Empty for a unit without a label.
    groups : sequence of n str, optional
        The subject, or else the file, by default.
    lab, species : str
        Those of the session by default.
    features_of : callable, optional
        As for `read_labelled`.

    Returns
    -------
    LabelledUnits

    Raises
    ------
    UsageError
        If there is not one label a unit.
    """
    from nwb_celltype.features import compute

    n = len(units.unit_ids)
    if len(cell_type) != n:
        message = f"There are {len(cell_type)} labels for {n} units; give one a unit, empty where there is none."
        raise UsageError(message)
    session = units.session
    group = session.subject_id or session.identifier or session.path
    return LabelledUnits(
        features=(features_of or compute)(units),
        waveforms=tuple(units.peak_waveforms()),
        sampling_rate_hz=np.asarray(units.waveform_rates_hz, dtype=np.float64),
        cell_type=clean_labels(cell_type),
        unit_ids=np.asarray(units.unit_ids, dtype=np.int64),
        groups=np.array([group] * n if groups is None else list(groups), dtype=str),
        lab=lab or session.lab,
        species=species or session.species,
        source=session.path,
    )


def clean_labels(cell_type: Sequence[str] | NDArray[Any]) -> NDArray[np.str_]:
    """Strip labels, and empty those that say that there is none (`nwb_celltype.taxonomy.means_no_label`).

    Examples
    --------
    >>> clean_labels(["MLI ", b"GoC", "b'PkC_ss'", "unlabelled"]).tolist()
    ['MLI', 'GoC', 'PkC_ss', '']
    """
    stripped = [re.sub(r"^b'(.*)'$", r"\1", _text(label)) for label in cell_type]
    return np.array(["" if means_no_label(label) else label for label in stripped], dtype=str)


def _read_npz(path: Path, lab: str, species: str) -> LabelledUnits:
    from nwb_celltype.features import from_counts

    data = _load_arrays(path)
    waveform, labels = data["waveform"], data["cell_type"]
    rates = _numbers(path, "waveform_rate_hz", data)
    n = len(labels) if labels.ndim == 1 else -1
    if waveform.ndim != 2 or len(waveform) != n or rates.size not in (1, n) or waveform.dtype.kind not in "fiu":
        message = (
            f"{path}: `waveform` has shape {waveform.shape} ({waveform.dtype}), `cell_type` {labels.shape}, "
            f"`waveform_rate_hz` {rates.shape}; one row of numbers a unit is needed, and one rate or one a unit."
        )
        raise InputError(message)
    rates = np.broadcast_to(rates.reshape(-1), n).copy()
    ids = _whole_numbers(path, "unit_id", data) if "unit_id" in data else np.arange(n)
    groups = data.get("recording", data.get("subject", np.full(n, "")))
    if ids.shape != (n,) or groups.shape != (n,):
        message = f"{path}: `unit_id`, `recording` and `subject` need one entry for each of the {n} units."
        raise InputError(message)
    counts = _counts(path, data)
    try:
        features = from_counts(list(waveform), rates, counts.get("isi_counts"), counts.get("acg_counts"), ids)
    except InputError as error:
        message = f"{path}: {error}"
        raise InputError(message) from error
    return LabelledUnits(
        features=features,
        waveforms=tuple(waveform),
        sampling_rate_hz=rates,
        cell_type=clean_labels(labels),
        unit_ids=ids,
        groups=np.array([_text(group) for group in groups], dtype=str),
        lab=lab or _only_text(path, "lab", data),
        species=species or _only_text(path, "species", data),
        source=path.name,
    )


def _read_table(path: Path, lab: str, species: str) -> LabelledUnits:
    table = read_feature_table(path)
    features = table.features
    for name, stated in (("lab", lab), ("species", species)):
        if stated:
            features[name] = features[name].where(features[name] != "", stated).astype(str)
    subject, recording = features["subject"].values, features["recording"].values
    both = (subject != "") & (recording != "")
    groups = np.where(both, np.char.add(np.char.add(subject, "/"), recording), np.char.add(subject, recording))
    found = {name: np.unique(features[name].values) for name in ("lab", "species")}
    return LabelledUnits(
        features=features,
        waveforms=(None,) * len(table.unit_ids),
        sampling_rate_hz=np.full(len(table.unit_ids), np.nan),
        cell_type=clean_labels(table.cell_type),
        unit_ids=table.unit_ids,
        groups=groups.astype(str),
        lab=str(found["lab"][0]) if len(found["lab"]) == 1 else "",
        species=str(found["species"][0]) if len(found["species"]) == 1 else "",
        source=path.name,
    )


def _load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Load the arrays that are used, and no others; nothing is unpickled, and nothing huge unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        size = sum(m.file_size for m in members if m.filename.removesuffix(".npy") in _NEEDED + _OPTIONAL)
        if size > _MAX_BYTES:
            message = f"{path} unpacks to {size / 1e9:.1f} GB, more than the {_MAX_BYTES >> 30} GiB allowed; split it."
            raise InputError(message)
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in _NEEDED if name not in file.files]
            if missing:
                message = f"{path} has no array {', '.join(missing)}; it holds {', '.join(file.files) or 'nothing'}."
                raise InputError(message)
            return {name: np.asarray(file[name]) for name in _NEEDED + _OPTIONAL if name in file.files}
    except FileNotFoundError as error:
        message = f"{path} does not exist; check the path."
        raise InputError(message) from error
    except (OSError, *DAMAGED, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        message = f"{path} cannot be read as arrays ({error}); only plain .npz files are, without pickled objects."
        raise InputError(message) from error


def _numbers(path: Path, name: str, data: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    try:
        return np.asarray(data[name], dtype=np.float64)
    except (TypeError, ValueError) as error:
        message = f"{path}: `{name}` holds {data[name].dtype}; numbers are needed."
        raise InputError(message) from error


def _whole_numbers(path: Path, name: str, data: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    if data[name].dtype.kind in "iu":
        return data[name].astype(np.int64)
    numbers = _numbers(path, name, data)
    if not (np.isfinite(numbers) & (numbers == np.round(numbers))).all():
        message = f"{path}: `{name}` holds values that are no whole numbers; correct them."
        raise InputError(message)
    return numbers.astype(np.int64)


def _counts(path: Path, data: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.int64]]:
    """Interval and pair counts; a unit with NaN in either has no spike train to describe, so both become 0."""
    names = [name for name in ("isi_counts", "acg_counts") if name in data]
    given = {name: np.atleast_2d(_numbers(path, name, data)) for name in names}
    damaged = np.zeros(max((len(counts) for counts in given.values()), default=0), dtype=bool)
    for counts in given.values():
        damaged[: len(counts)] |= ~np.isfinite(counts).all(axis=1)
    for name, counts in given.items():
        counts[damaged[: len(counts)]] = 0
        wrong = (counts < 0) | (counts != np.round(counts))
        if wrong.any():
            row = int(np.argwhere(wrong)[0][0])
            message = f"{path}: `{name}` holds {counts[wrong][0]:g} in row {row}; counts are whole numbers from 0 on."
            raise InputError(message)
    return {name: counts.astype(np.int64) for name, counts in given.items()}


def _only_text(path: Path, name: str, data: Mapping[str, NDArray[Any]]) -> str:
    found = sorted({_text(value) for value in data[name].ravel()}) if name in data else []
    if len(found) > 1:
        message = f"{path}: `{name}` holds {', '.join(found[:4])}; a file has one, so split it."
        raise InputError(message)
    return found[0] if found else ""


def _text(value: Any) -> str:
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip()


def _read_nwb(
    path: str | Path,
    labels: str | Path | None,
    run: str | None,
    labels_are: LabelsAre | None,
    lab: str,
    species: str,
    features_of: FeaturesOf | None,
) -> LabelledUnits:
    from nwb_celltype.provenance import read_source
    from nwb_celltype.runs import runs_in
    from nwb_celltype.units import open_source, read_units

    with open_source(path) as file:
        source = read_source(file)
        licence = next((licence_sentence(text) for _, text in licence_texts(file)), source.licence if source else "")
        chosen = None
        if labels is None:
            chosen = choose_labels(runs_in(file, str(path)), path, name=run, labels_are=labels_are)
    opened = read_units(path) if source is None else _detached_units(path, source, chosen)
    with opened as units:
        known = units.unit_ids.tolist()
        if chosen is not None:
            cell_type = chosen.labels_for(known)
        else:
            answers = {row.unit_id: row.cell_type for row in read_label_table(labels or "")}
            unknown = [i for i in answers if i not in set(known)]
            if unknown:
                message = f"{labels} labels unit {unknown[0]}, which {path} does not have; do they belong together?"
                raise InputError(message)
            cell_type = [answers.get(i, "") for i in known]
        labelled = labelled_from_units(units, cell_type, lab=lab, species=species, features_of=features_of)
    return replace(labelled, licence=licence, source=labelled.source if source is None else str(path))


def _detached_units(path: str | Path, source: SourceAsset, run: Run | None) -> Units:
    """Units that a detached file is about, from the file beside it or else from where it says that they are.

    Raises
    ------
    InputError
        If they are neither beside it nor at an address.
    RefusedError
        If what is there are not the units that were annotated.
    """
    from nwb_celltype.archive.addresses import is_remote
    from nwb_celltype.provenance import find_source_beside, open_source_units

    beside = None if is_remote(path) else find_source_beside(Path(path), source)
    where = beside or source.address
    if not where:
        message = (
            f"{path} holds labels without their units, which are in a file with the identifier {source.identifier!r}. "
            "That is not in the same folder, and no address is stated; put it there."
        )
        raise InputError(message)
    # What is published does not change, so its spikes need not be fetched once more to be compared.
    is_pinned = beside is None and source.version not in ("", "draft")
    units = open_source_units(where, source, [] if run is None else [run], check_data=not is_pinned)
    return units if run is None else units.select(run.unit_ids.tolist())


def _hash_waveform(waveform: NDArray[Any] | None, rate_hz: float) -> str:
    if waveform is None or not np.isfinite(rate_hz):
        return ""
    samples = np.asarray(waveform, dtype=np.float64)
    scale = np.abs(samples).max() if np.isfinite(samples).all() and samples.size else 0.0
    if scale == 0:
        return ""
    shape = np.round(samples / scale * _STEPS).astype("<i2")
    return hashlib.sha256(b"waveform 1|%d|" % round(rate_hz) + shape.tobytes()).hexdigest()


def _hash_numbers(part: str, numbers: NDArray[np.float64]) -> str:
    """Hash of statistics, to six digits; empty where none is known."""
    if not np.isfinite(numbers).any():
        return ""
    text = ",".join(f"{number:.6g}" for number in numbers)
    return hashlib.sha256(f"{part} statistics 1|{text}".encode()).hexdigest()


def _hash_train(isi_counts: NDArray[Any], acg_counts: NDArray[Any]) -> str:
    if not isi_counts.any() and not acg_counts.any():
        return ""
    counts = np.concatenate([isi_counts, acg_counts]).astype("<i8")
    return hashlib.sha256(b"train 1|" + counts.tobytes()).hexdigest()
