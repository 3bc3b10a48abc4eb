"""A trained model: features of units in, calibrated probabilities and a distance from its training data out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.bundles import Bundle, read_bundle
from nwb_celltype.classifier.inputs import BLOCKS, Matrix, column_weights, has_modality, read_blocks, standardise
from nwb_celltype.classifier.novelty import distances, novelty_score
from nwb_celltype.errors import InputError, UsageError

if TYPE_CHECKING:
    import xarray as xr

OOD_THRESHOLD = 0.5
"""Units with a higher `ood_score` are unlike everything that the model was trained on."""

_CHUNK = 4096


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says about some units, a row a unit; NaN where a unit has no modality at all.

    Attributes
    ----------
    unit_ids : (n,) array
    classes : tuple of k str
        Columns of `probability`.
    probability : (n, k) array
        Mean over the members of the ensemble, then tempered (calibrated).
    confidence : (n,) array
        The largest of each row of `probability`.
    ood_score : (n,) array, 0 to 1
        0.5 is as far from the training units as all but 2 % of real units of a laboratory that was left out;
        more is further. The furthest modality decides.
    spread : (n,) array, 0 to 1
        Standard deviation over the members of the probability of the most probable class, before tempering.
    modalities : tuple of m str
    used : (n, m) bool array
        Which modalities each answer rests on.
    """

    unit_ids: NDArray[Any]
    classes: tuple[str, ...]
    probability: NDArray[np.float64]
    confidence: NDArray[np.float64]
    ood_score: NDArray[np.float64]
    spread: NDArray[np.float64]
    modalities: tuple[str, ...]
    used: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.unit_ids)


@dataclass(frozen=True, eq=False)
class Model:
    """An ensemble of networks with its card; make one with `load_model` or `nwb_celltype.train`.

    Attributes
    ----------
    card : mapping
        What the model is.
    tensors : mapping of str to float32 array
    weights_sha256 : str
    training_rows : mapping of str to frozenset of str
        Hashes of the units it was trained on, by part.
    """

    card: Mapping[str, Any]
    tensors: Mapping[str, NDArray[Any]]
    weights_sha256: str = ""
    training_rows: Mapping[str, frozenset[str]] | None = None

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Model:
        """Make a model of a model folder, after checking every shape against its card."""
        model = cls(bundle.card, bundle.tensors, bundle.weights_sha256, bundle.training_rows)
        model._check(bundle.path)
        return model

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the columns of probabilities."""
        return tuple(self.card["classes"])

    @property
    def modalities(self) -> dict[str, tuple[str, ...]]:
        """Blocks of columns of each modality."""
        return {name: tuple(blocks) for name, blocks in self.card["modalities"].items()}

    @property
    def default_threshold(self) -> float:
        """Least calibrated top probability of an answer."""
        return float(self.card["default_threshold"])

    @property
    def ood_threshold(self) -> float:
        """Largest `ood_score` of an answer."""
        return float(self.card["ood"]["threshold"])

    def predict(self, features: xr.Dataset, *, modalities: Collection[str] | None = None) -> Prediction:
        """Say how probable each class is for each unit.

        Parameters
        ----------
        features : xarray.Dataset
            From `nwb_celltype.features.compute`.
        modalities : collection of str, optional
            Use no others than these, although the units have them.

        Returns
        -------
        Prediction

        Raises
        ------
        InputError
            If the features are of another version than those that the model was trained on.
        UsageError
            If a modality is unknown.

        Examples
        --------
        >>> import numpy as np
        >>> from nwb_celltype.classifier import load_model
        >>> from nwb_celltype.features import from_counts
        >>> t = np.arange(-30, 45) / 30
        >>> features = from_counts([-np.exp(-(t / 0.1) ** 2) + 0.3 * np.exp(-((t - 0.4) / 0.2) ** 2)], 30_000)
        >>> prediction = load_model("cerebellum").predict(features)
        >>> prediction.used.tolist(), round(float(prediction.probability.sum()), 6)
        ([[True, False]], 1.0)
        """
        self._check_features(features)
        blocks = read_blocks(features)
        raw, spread, used = self._ensemble(blocks, self._allowed(modalities))
        probability = self._calibrated(raw, used)
        return Prediction(
            unit_ids=features["unit"].values,
            classes=self.classes,
            probability=probability,
            confidence=_top(probability),
            ood_score=self._score(self.distances(blocks, used)),
            spread=spread,
            modalities=tuple(self.modalities),
            used=used,
        )

    def prepare(self, blocks: Mapping[str, Matrix]) -> dict[str, Matrix]:
        """Inputs of the networks, (n_units, n_columns) by modality: standardised, clipped, weighted by column."""
        clip = float(self.card["architecture"]["clip"])
        weights = {name: column_weights(blocks, names) for name, names in self.modalities.items()}
        return {name: np.clip(z, -clip, clip) * weights[name] for name, z in self.standardised(blocks).items()}

    def standardised(self, blocks: Mapping[str, Matrix]) -> dict[str, Matrix]:
        """Columns in standard deviations from the training mean, (n_units, n_columns) by modality."""
        return {
            name: standardise(blocks, names, self.tensors[f"{name}.mean"], self.tensors[f"{name}.scale"])
            for name, names in self.modalities.items()
        }

    def uncalibrated(self, blocks: Mapping[str, Matrix], modalities: Collection[str]) -> NDArray[np.float64]:
        """(n_units, k) mean probabilities of the members from these modalities alone, before tempering."""
        raw, _, _ = self._ensemble(blocks, modalities)
        return raw

    def distances(self, blocks: Mapping[str, Matrix], used: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(n_units, n_modalities) distances from the training units, NaN where `used` of that shape is false."""
        columns = []
        for i, (name, z) in enumerate(self.standardised(blocks).items()):
            far = np.full(len(z), np.nan)
            if used[:, i].any():
                means, whitening = self.tensors[f"{name}.ood_means"], self.tensors[f"{name}.ood_whitening"]
                far[used[:, i]] = distances(z[used[:, i]], means, whitening)
            columns.append(far)
        return np.stack(columns, axis=1)

    def _ensemble(
        self, blocks: Mapping[str, Matrix], allowed: Collection[str]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """(n, k) mean probabilities, (n,) spread over members, and (n, m) mask of the modalities they rest on."""
        import torch

        from nwb_celltype.classifier import network

        inputs = self.prepare(blocks)
        used = np.stack(
            [has_modality(blocks, names) & (name in allowed) for name, names in self.modalities.items()], axis=1
        )
        n = len(used)
        raw = np.full((n, len(self.classes)), np.nan)
        spread = np.full(n, np.nan)
        for start in range(0, n, _CHUNK):
            rows = slice(start, start + _CHUNK)
            with torch.no_grad():
                each = network.probabilities(
                    self._parameters,
                    {name: torch.from_numpy(x[rows]) for name, x in inputs.items()},
                    {name: torch.from_numpy(used[rows, i]) for i, name in enumerate(self.modalities)},
                ).numpy()
            mean = each.mean(axis=0, dtype=np.float64)
            raw[rows] = mean / mean.sum(axis=1, keepdims=True)
            top = mean.argmax(axis=1)
            spread[rows] = each[:, np.arange(len(top)), top].std(axis=0)
        nothing = ~used.any(axis=1)
        raw[nothing], spread[nothing] = np.nan, np.nan
        return raw, spread, used

    def _score(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        limits = self.card["ood"]["distance_limits"]
        scores = [novelty_score(distance[:, i], float(limits[name])) for i, name in enumerate(self.modalities)]
        return _top(np.stack(scores, axis=1))

    def _calibrated(self, raw: NDArray[np.float64], used: NDArray[np.bool_]) -> NDArray[np.float64]:
        temperatures = self.card["calibration"]["temperature"]
        names = np.array(list(self.modalities))
        each = np.array([float(temperatures.get("+".join(names[row]), 1.0)) for row in used])
        return temper(raw, each[:, None])

    @cached_property
    def _parameters(self) -> Any:
        import torch

        return {name: torch.from_numpy(np.array(self.tensors[name])) for name in self._parameter_shapes()}

    def _parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        architecture = self.card["architecture"]
        m, w, k = int(architecture["members"]), int(architecture["width"]), len(self.classes)
        shapes: dict[str, tuple[int, ...]] = {"joint.bias": (m, 1, k)}
        for name in self.modalities:
            n = int(architecture["columns"][name])
            shapes |= {f"{name}.encoder": (m, n, w), f"{name}.phase": (m, 1, w), f"{name}.head": (m, w, k)}
            shapes |= {f"{name}.bias": (m, 1, k), f"{name}.joint": (m, w, k)}
        return shapes

    def _check(self, path: Path) -> None:
        try:
            shapes = self._parameter_shapes()
            for name, blocks in self.modalities.items():
                n, k = int(self.card["architecture"]["columns"][name]), len(self.classes)
                shapes |= {f"{name}.mean": (n,), f"{name}.scale": (n,)}
                shapes |= {f"{name}.ood_means": (k, n), f"{name}.ood_whitening": (n, n)}
                unknown = set(blocks) - set(BLOCKS)
                if unknown:
                    message = f"{path}: the card names columns that there are not: {', '.join(sorted(unknown))}."
                    raise InputError(message)
            positive = [self.card["ood"]["distance_limits"][name] for name in self.modalities]
            positive += [*self.card["calibration"]["temperature"].values(), self.card["architecture"]["clip"]]
            valid = all(0 < float(number) < np.inf for number in positive)
            valid = valid and 0 <= self.default_threshold <= 1 and 0 <= self.ood_threshold <= 1
            valid = valid and bool(self.modalities) and all(min(shape) > 0 for shape in shapes.values())
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            message = f"{path}: the model card is incomplete ({error!r}); get the model again."
            raise InputError(message) from error
        found = {name: value.shape for name, value in self.tensors.items()}
        if found != shapes or not valid:
            wrong = sorted(name for name in {*found, *shapes} if found.get(name) != shapes.get(name))
            what = f"tensors {', '.join(wrong[:3])}" if wrong else "thresholds, limits, temperatures or sizes"
            message = f"{path}: card and weights do not belong together ({what}); get the whole model again."
            raise InputError(message)

    def _allowed(self, modalities: Collection[str] | None) -> frozenset[str]:
        known = frozenset(self.modalities)
        wanted = known if modalities is None else frozenset(modalities)
        if not wanted <= known:
            message = f"The model has no modality {sorted(wanted - known)[0]!r}; it has {', '.join(self.modalities)}."
            raise UsageError(message)
        return wanted

    def _check_features(self, features: xr.Dataset) -> None:
        stated, wanted = features.attrs.get("feature_spec_version"), self.card["feature_spec_version"]
        if stated != wanted:
            message = (
                f"Model {self.card['name']} {self.card['version']} needs features of version {wanted}, "
                f"these are of version {stated}; compute them anew, or use a model made for them."
            )
            raise InputError(message)


def load_model(name_or_path: str | Path) -> Model:
    """Load a model after checking its hashes, its card and the shape of every tensor.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a shipped model (`nwb_celltype.models()` lists them), or path of a model folder.

    Returns
    -------
    Model

    Raises
    ------
    UsageError
        If there is no such model.
    InputError
        If its files are missing, foreign, damaged or do not belong together.

    Examples
    --------
    >>> from nwb_celltype.classifier import load_model
    >>> load_model("cerebellum").classes
    ('GoC', 'MFB', 'MLI', 'PkC_cs', 'PkC_ss')
    """
    return Model.from_bundle(read_bundle(name_or_path))


def temper(probability: NDArray[np.float64], temperature: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Flatten (temperature above 1) or sharpen (below 1) rows of probabilities; NaN rows stay NaN.

    Examples
    --------
    >>> import numpy as np
    >>> temper(np.array([[0.8, 0.2]]), 0.5).round(3)
    array([[0.941, 0.059]])
    """
    scaled = np.log(np.clip(probability, 1e-12, None)) / temperature
    scaled = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=-1, keepdims=True))


def _top(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isnan(rows).all(axis=1), np.nan, np.nan_to_num(rows, nan=-1.0).max(axis=1))
