"""The kind of model for hand-made statistics: kernel machines over random subsets of them and forests, by species."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.classifier.forest import PARTS, Forest
from nwb_celltype.classifier.model import Model, Prediction, check_tensors, temper, top_probability
from nwb_celltype.classifier.novelty import distances, novelty_score
from nwb_celltype.classifier.training_map import make_map, on_one_thread, rows_of_map
from nwb_celltype.errors import InputError
from nwb_celltype.features.unit_statistics import (
    SHAPE_STATISTICS,
    SPATIAL_STATISTICS,
    UNIT_STATISTICS,
    shape_statistics,
)
from nwb_celltype.quality import species_of

if TYPE_CHECKING:
    import xarray as xr

KIND = "statistics"
OTHER = "other"
"""Name of the head for species that have none of their own."""

GROUPS: dict[str, tuple[str, ...]] = {
    "rate": ("mfr", "mifr"),
    "typical interval": ("med_isi", "mode_isi"),
    "short intervals": ("prct5ISI",),
    "CV2": ("CV2_mean", "CV2_median"),
    "local variation": ("Lv", "LvR", "IR", "SI"),
    "variation": ("CV", "entropy"),
    "LcV": ("LcV",),
    "skewness": ("SKW",),
    "autocorrelogram": ("acg_burst_vs_mfr", "acg_oscill_vs_mfr"),
    "widths": ("peak_50_width", "trough_50_width", "wvf_width"),
    "recovery": ("peak_trough_ratio", "tau_recovery"),
    "times": ("depolarisation_t", "onset", "repolarisation_t"),
    "slopes": ("repolarisation_slope", "depolarisation_slope"),
    "space": ("spatial_decay_24um", "dendritic_comp_amp"),
}
"""Columns that say much the same, and are drawn together. None of them tells the amplitude, the number of spikes or the
length of the recording."""

COLUMNS: tuple[str, ...] = tuple(name for group in GROUPS.values() for name in group)
"""Columns that the model sees, in order."""

_SHAPE = frozenset((*SHAPE_STATISTICS, *SPATIAL_STATISTICS, "onset"))
MODALITIES: dict[str, tuple[str, ...]] = {
    "waveform": tuple(name for name in COLUMNS if name in _SHAPE),
    "train": tuple(name for name in COLUMNS if name not in _SHAPE),
}
"""Columns of each modality."""

_LOG = ("mfr", "mifr", "med_isi", "mode_isi", "prct5ISI", "peak_50_width", "trough_50_width", "wvf_width",
        "peak_trough_ratio", "depolarisation_t", "repolarisation_t", "repolarisation_slope",
        "depolarisation_slope")  # fmt: skip
_SHIFTED_LOG = {"CV2_mean": 0.05, "CV2_median": 0.05, "CV": 0.05, "IR": 0.05, "Lv": 0.05, "LvR": 0.05, "SI": 0.05,
                "acg_burst_vs_mfr": 0.03, "acg_oscill_vs_mfr": 0.03}  # fmt: skip
_LEAST = {"repolarisation_slope": 0.03, "depolarisation_slope": 0.03}
_TINY = 1e-4
_TAUS_MS = (np.exp(-1) / 30, np.exp(6) / 30)
_LEAST_ONSET_MS = 1 / 60
_RATE_OF_FEATURES_HZ = 40_000.0

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Head:
    """What answers for one species: subspaces and forests over standardised columns.

    A subspace is a ridge regression on random Fourier features of some columns, and on these columns themselves.

    Attributes
    ----------
    median, mean, scale : (n_columns,) float32 array
        A missing value becomes the median; then columns are centred, scaled and cut at `clip`.
    place : (n,) int16 array
        Columns of all subspaces, one subspace after the other.
    size : (n_subspaces,) int16 array
        Number of columns of each.
    frequency : (n, n_cosines) float32 array
        Columns times this are the angles.
    cosine, sine : (n_subspaces, n_cosines, k) float32 array
    linear : (n, k) float32 array
    gain : float
        Probabilities of a subspace are the soft maximum of its scores times this.
    forests : sequence of (columns, Forest)
        Each asked about its own columns.
    """

    median: NDArray[np.float32]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    place: NDArray[np.int16]
    size: NDArray[np.int16]
    frequency: NDArray[np.float32]
    cosine: NDArray[np.float32]
    sine: NDArray[np.float32]
    linear: NDArray[np.float32]
    gain: float
    clip: float
    forests: Sequence[tuple[NDArray[np.int16], Forest]]

    def standardised(self, columns: Matrix) -> Matrix:
        """(n_units, n_columns) columns in standard deviations from the training mean, nothing missing."""
        filled = np.where(np.isnan(columns), self.median, columns)
        return np.asarray(np.clip((filled - self.mean) / self.scale, -self.clip, self.clip))

    def members(self, z: Matrix) -> NDArray[np.float64]:
        """(n_subspaces + n_forests, n_units, k) probabilities of every subspace and every forest."""
        said = []
        stop = np.cumsum(self.size)
        for i, (start, end) in enumerate(zip(stop - self.size, stop, strict=True)):
            x = z[:, self.place[start:end]]
            angle = x @ self.frequency[start:end]
            score = np.cos(angle) @ self.cosine[i] + np.sin(angle) @ self.sine[i] + x @ self.linear[start:end]
            said.append(soft_maximum(self.gain * score))
        rows = z.astype(np.float32)
        said += [forest.probabilities(rows[:, places]) for places, forest in self.forests]
        return np.stack(said)

    def combined(self, members: NDArray[np.float64]) -> Matrix:
        """(n_units, k) mean of the subspaces' mean and the forests' mean."""
        n = len(self.size)
        mean = (members[:n].mean(axis=0) + members[n:].mean(axis=0)) / 2
        return np.asarray(mean / mean.sum(axis=1, keepdims=True))

    def probabilities(self, columns: Matrix) -> Matrix:
        """(n_units, k) probabilities before tempering, of columns with NaN where a value is missing."""
        return self.combined(self.members(self.standardised(columns)))

    def tensors(self, name: str) -> dict[str, NDArray[Any]]:
        """Return the arrays by their names in a bundle, `name` first."""
        tensors: dict[str, NDArray[Any]] = {f"{name}.{part}": getattr(self, part) for part in _ARRAYS}
        for i, (places, forest) in enumerate(self.forests):
            tensors |= {f"{name}.forest{i}.place": places, **forest.tensors(f"{name}.forest{i}")}
        return tensors

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, NDArray[Any]], name: str, n_forests: int, gain: float, clip: float
    ) -> Head:
        """Take the head `name` out of the arrays of a bundle."""
        arrays = {part: tensors[f"{name}.{part}"] for part in _ARRAYS}
        forests = [
            (tensors[f"{name}.forest{i}.place"], Forest.from_tensors(tensors, f"{name}.forest{i}"))
            for i in range(n_forests)
        ]
        return cls(**arrays, gain=gain, clip=clip, forests=forests)


_ARRAYS = ("median", "mean", "scale", "place", "size", "frequency", "cosine", "sine", "linear")


@dataclass(frozen=True, eq=False)
class StatisticsModel(Model):
    """Answers from the statistics of ``unit_statistics``, with heads for each species; see `Head`.

    Units that have but one modality are answered by heads that know no other. The species of a unit is that of the
    coordinate ``species`` of its features.
    """

    def predict(self, features: xr.Dataset, *, modalities: Collection[str] | None = None) -> Prediction:
        """Say how probable each class is for each unit; see `Model.predict`.

        Examples
        --------
        >>> import numpy as np
        >>> import nwb_celltype as nct
        >>> rng = np.random.default_rng(0)
        >>> train = np.cumsum(0.004 + rng.gamma(4, 0.002, 5000))
        >>> features = nct.features.compute(nct.Units.from_arrays(spike_times=[train]))
        >>> prediction = nct.load_model("cerebellum-statistics").predict(features)
        >>> prediction.used.tolist(), round(float(prediction.probability.sum()), 6)
        ([[False, True]], 1.0)
        """
        self.check_features(features)
        columns = read_columns(features)
        allowed = self.allowed(modalities)
        for name in set(self.modalities) - allowed:
            columns[:, places_of(self.modalities[name])] = np.nan
        used = self.has(columns)
        heads = self._heads_for(species_in(features), used)
        used &= (heads != "")[:, None]
        n, k = len(columns), len(self.classes)
        probability, spread = np.full((n, k), np.nan), np.full(n, np.nan)
        for name in np.unique(heads):
            rows = np.flatnonzero(heads == name)
            if not name:
                continue
            head = self.heads[str(name)]
            members = head.members(head.standardised(columns[rows]))
            raw = head.combined(members)
            top = raw.argmax(axis=1)
            spread[rows] = members[:, np.arange(len(rows)), top].std(axis=0)
            probability[rows] = temper(raw, self._temperature(str(name)))
        return Prediction(
            unit_ids=features["unit"].values,
            classes=self.classes,
            probability=probability,
            confidence=top_probability(probability),
            ood_score=self._score(columns, used),
            spread=spread,
            modalities=tuple(self.modalities),
            used=used,
        )

    def codes(self, features: xr.Dataset) -> dict[str, NDArray[np.float32]]:
        """Columns in standard deviations from all training units; see `Model.codes`."""
        return self.codes_of(read_columns(features))

    def codes_of(self, columns: Matrix) -> dict[str, NDArray[np.float32]]:
        """Codes as `codes` gives them, of (n_units, n_columns) columns."""
        has, clip = self.has(columns), float(self.card["architecture"]["clip"])
        found = {}
        for i, (name, members) in enumerate(self.modalities.items()):
            z = np.clip(novelty_columns(columns[:, places_of(members)], self.tensors, name), -clip, clip)
            found[name] = np.where(has[:, i, None], z, np.float32(np.nan)).astype(np.float32)
        return found

    def code_widths(self) -> dict[str, int]:
        """Number of codes by modality."""
        return {name: len(members) for name, members in self.modalities.items()}

    def map_training(
        self, columns: Matrix, labels: NDArray[np.integer], labs: NDArray[np.str_]
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Map the training units, of (n_units, n_columns) columns; returns as `Ensemble.map_training`."""
        rows = rows_of_map(len(labels))
        with on_one_thread():
            codes = self.codes_of(columns[rows])
            return make_map(codes, labels[rows], labs[rows], self.code_widths(), "statistics in standard deviations")

    def missing(self, features: xr.Dataset) -> list[tuple[str, ...]]:
        """Columns that could not be computed, unit by unit; the training median stands for them."""
        absent = np.isnan(read_columns(features))
        return [tuple(np.array(COLUMNS)[row].tolist()) for row in absent]

    def has(self, columns: Matrix) -> NDArray[np.bool_]:
        """(n_units, n_modalities) mask of the modalities of which at least half the usual columns are there."""
        return np.stack(
            [
                np.isfinite(columns[:, places_of([c for c in names if c not in SPATIAL_STATISTICS])]).mean(axis=1)
                >= 0.5
                for names in self.modalities.values()
            ],
            axis=1,
        )

    def heads_of(self, species: Sequence[str] | NDArray[np.str_]) -> NDArray[np.str_]:
        """(n,) name of the head that answers for each of these species."""
        found = {text: species_of(str(text)) for text in np.unique(species)}
        return np.array([found[text] if found[text] in self.heads else OTHER for text in species], dtype=str)

    @cached_property
    def heads(self) -> dict[str, Head]:
        """Heads by species."""
        architecture = self.card["architecture"]
        return {
            name: Head.from_tensors(
                self.tensors, name, int(said["forests"]), float(architecture["gain"]), float(architecture["clip"])
            )
            for name, said in architecture["heads"].items()
        }

    def _heads_for(self, species: NDArray[np.str_], used: NDArray[np.bool_]) -> NDArray[np.str_]:
        """(n,) name of the head for each unit and the modalities it has; empty where there is none."""
        names = np.array(list(self.modalities))
        found = [
            head_name(base, tuple(names[row])) if row.any() else ""
            for base, row in zip(self.heads_of(species), used, strict=True)
        ]
        return np.array([name if name in self.heads else "" for name in found], dtype=str)

    def _temperature(self, head: str) -> float:
        base, _, alone = head.partition("/")
        return float(self.card["calibration"]["temperature"][base].get(alone or "+".join(self.modalities), 1.0))

    def _score(self, columns: Matrix, used: NDArray[np.bool_]) -> NDArray[np.float64]:
        limits = self.card["ood"]["distance_limits"]
        scores = np.full(used.shape, np.nan)
        for i, (name, members) in enumerate(self.modalities.items()):
            if used[:, i].any():
                z = novelty_columns(columns[used[:, i]][:, places_of(members)], self.tensors, name)
                far = distances(z, self.tensors[f"{name}.ood_means"], self.tensors[f"{name}.ood_whitening"])
                scores[used[:, i], i] = novelty_score(far, float(limits[name]))
        return top_probability(scores)

    def check(self, path: Path) -> None:
        """Raise `InputError` unless card and tensors belong together."""
        n, k = len(COLUMNS), len(self.classes)
        try:
            architecture = self.card["architecture"]
            if tuple(architecture["columns"]) != COLUMNS or self.modalities != MODALITIES:
                message = f"{path}: the card names other columns than this version computes. Get the model again."
                raise InputError(message)
            wanted: dict[str, tuple[tuple[int, ...], type]] = {}
            numbers = [architecture["gain"], architecture["clip"]]
            numbers += [self.card["ood"]["distance_limits"][name] for name in MODALITIES]
            for name, columns in MODALITIES.items():
                m = len(columns)
                wanted |= {f"{name}.ood_{part}": ((m,), np.float32) for part in ("centre", "scale", "missing")}
                wanted |= {f"{name}.ood_means": ((k, m), np.float32), f"{name}.ood_whitening": ((m, m), np.float32)}
            problem = "" if OTHER in architecture["heads"] else f"no head {OTHER!r}"
            for name, said in architecture["heads"].items():
                numbers += list(self.card["calibration"]["temperature"][name.partition("/")[0]].values())
                wanted |= self._head_shapes(name, said, n, k)
            valid = all(0 < float(number) < np.inf for number in numbers)
            valid = valid and 0 <= self.default_threshold <= 1 and 0 <= self.ood_threshold <= 1
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError) as error:
            message = f"{path}: the model card is incomplete ({error!r}); get the model again."
            raise InputError(message) from error
        check_tensors(path, self.tensors, wanted, valid)
        problem = problem or next(filter(None, (_problem(head, n, k) for head in self.heads.values())), "")
        if problem:
            message = f"{path}: card and weights do not belong together ({problem}); get the whole model again."
            raise InputError(message)

    def _head_shapes(
        self, name: str, said: Mapping[str, Any], n: int, k: int
    ) -> dict[str, tuple[tuple[int, ...], type]]:
        s, c = int(said["subspaces"]), int(said["cosines"])
        total = int(self.tensors[f"{name}.place"].shape[0])
        shapes: dict[str, tuple[tuple[int, ...], type]] = {
            f"{name}.{part}": ((n,), np.float32) for part in ("median", "mean", "scale")
        }
        shapes |= {f"{name}.place": ((total,), np.int16), f"{name}.size": ((s,), np.int16)}
        shapes |= {f"{name}.frequency": ((total, c), np.float32), f"{name}.linear": ((total, k), np.float32)}
        shapes |= {f"{name}.{part}": ((s, c, k), np.float32) for part in ("cosine", "sine")}
        for i in range(int(said["forests"])):
            forest = f"{name}.forest{i}"
            shapes[f"{forest}.place"] = (self.tensors[f"{forest}.place"].shape, np.int16)
            shapes |= {
                f"{forest}.{part}": (self.tensors[f"{forest}.{part}"].shape, kind) for part, kind in PARTS.items()
            }
        return shapes


def _problem(head: Head, n_columns: int, n_classes: int) -> str:
    """Say what is wrong with the arrays of a head, or nothing."""
    places = [head.place, *(place for place, _ in head.forests)]
    if len(head.size) == 0 or not head.forests or head.size.min() < 1 or head.size.sum() != len(head.place):
        return "subspaces or forests are missing"
    if any(p.ndim != 1 or len(p) == 0 or p.min() < 0 or p.max() >= n_columns for p in places):
        return "columns that there are not"
    if not (head.scale > 0).all():
        return "scales that are not positive"
    return next(filter(None, (forest.problem(len(place), n_classes) for place, forest in head.forests)), "")


def read_columns(features: xr.Dataset) -> Matrix:
    """(n_units, n_columns) of `COLUMNS` of a features dataset, NaN where a value is missing.

    Features without ``unit_statistics`` (made from counts) have those of the waveform alone, measured on the described
    stretch of it.
    """
    if "unit_statistics" in features:
        return transform(features["unit_statistics"].values)
    values = np.full((features.sizes["unit"], len(UNIT_STATISTICS)), np.nan)
    names = list(UNIT_STATISTICS)
    shape = [names.index(name) for name in SHAPE_STATISTICS]
    for row, waveform in enumerate(features["waveform"].values):
        values[row, shape] = shape_statistics(waveform, _RATE_OF_FEATURES_HZ)
    return transform(values)


def transform(statistics: Matrix) -> Matrix:
    """Turn statistics (columns as in `UNIT_STATISTICS`) into `COLUMNS`: mostly logarithms, zero meaning missing.

    Parameters
    ----------
    statistics : (n_units, n_statistics) array

    Returns
    -------
    (n_units, n_columns) array
    """
    raw = dict(zip(UNIT_STATISTICS, np.asarray(statistics, dtype=np.float64).T, strict=True))
    there = {name: np.where(np.abs(values) > 0, np.abs(values), np.nan) for name, values in raw.items()}
    columns = {name: np.log(np.clip(there[name], _LEAST.get(name, _TINY), None)) for name in _LOG}
    columns |= {name: np.log(np.clip(raw[name], 0, None) + shift) for name, shift in _SHIFTED_LOG.items()}
    columns["entropy"] = raw["entropy"]
    columns["LcV"] = np.arcsinh(5 * raw["LcV"])
    columns["SKW"] = np.arcsinh(raw["SKW"])
    columns["tau_recovery"] = np.log(np.clip(raw["tau_recovery"], *_TAUS_MS))
    columns["onset"] = np.log(np.clip(raw["trough_t"] - raw["onset_t"], _LEAST_ONSET_MS, None))
    columns["spatial_decay_24um"] = np.where(raw["spatial_decay_24um"] > 0, raw["spatial_decay_24um"], np.nan)
    columns["dendritic_comp_amp"] = np.log(there["dendritic_comp_amp"] + 0.05)
    stacked = np.stack([columns[name] for name in COLUMNS], axis=1)
    return np.where(np.isfinite(stacked), stacked, np.nan)


def head_name(base: str, modalities: Sequence[str]) -> str:
    """Name of the head for units that have these modalities alone.

    Examples
    --------
    >>> head_name("mouse", ["waveform", "train"]), head_name("mouse", ["train"])
    ('mouse', 'mouse/train')
    """
    return base if len(modalities) == len(MODALITIES) else f"{base}/{'+'.join(modalities)}"


def places_of(names: Sequence[str]) -> list[int]:
    """Positions of some columns in `COLUMNS`."""
    return [COLUMNS.index(name) for name in names]


def species_in(features: xr.Dataset) -> NDArray[np.str_]:
    """(n_units,) species of each unit as its features say it, empty where they do not."""
    if "species" in features.coords:
        return np.broadcast_to(features["species"].values.astype(str), features.sizes["unit"])
    return np.full(features.sizes["unit"], "")


def novelty_columns(columns: Matrix, tensors: Mapping[str, NDArray[Any]], modality: str) -> NDArray[np.float32]:
    """Columns of a modality in standard deviations from all training units; the median stands for what is missing."""
    filled = np.where(np.isnan(columns), tensors[f"{modality}.ood_missing"], columns)
    return np.asarray((filled - tensors[f"{modality}.ood_centre"]) / tensors[f"{modality}.ood_scale"], dtype=np.float32)


def soft_maximum(scores: Matrix) -> Matrix:
    """Probabilities of rows of scores.

    Examples
    --------
    >>> import numpy as np
    >>> soft_maximum(np.array([[0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))
