"""What every model is: a card with tensors; features of units in, calibrated probabilities and strangeness out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.bundles import Bundle, read_bundle
from nwb_celltype.classifier.training_map import TrainingMap
from nwb_celltype.errors import InputError, UsageError

if TYPE_CHECKING:
    import xarray as xr

OOD_THRESHOLD = 0.5
"""Units with a higher `ood_score` are unlike everything that the model was trained on."""

KINDS: dict[str, tuple[str, str]] = {
    "cosine encoders and forests": ("nwb_celltype.classifier.ensemble", "Ensemble"),
    "statistics": ("nwb_celltype.classifier.statistics", "StatisticsModel"),
    "c4": ("nwb_celltype.c4.model", "C4Model"),
}
"""Module and class of each kind of model, by what its card says in ``architecture.kind``."""


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
class Model(ABC):
    """A model with its card; `load_model` gives the class for the kind of model, `nwb_celltype.train` makes one.

    Attributes
    ----------
    card : mapping
        What the model is.
    tensors : mapping of str to array
    weights_sha256 : str
    training_rows : mapping of str to frozenset of str
        Hashes of the units it was trained on, by part.
    training_map : TrainingMap or None
        Where these units lie among each other; None for models that were made without.
    """

    card: Mapping[str, Any]
    tensors: Mapping[str, NDArray[Any]]
    weights_sha256: str = ""
    training_rows: Mapping[str, frozenset[str]] | None = None
    training_map: TrainingMap | None = None

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Model:
        """Make a model of a model folder, after checking every shape against its card."""
        model = cls(bundle.card, bundle.tensors, bundle.weights_sha256, bundle.training_rows)
        model.check(bundle.path)
        if not bundle.training_map:
            return model
        widths = model.code_widths()
        return replace(
            model, training_map=TrainingMap.from_tensors(bundle.training_map, bundle.card, widths, bundle.path)
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the columns of probabilities."""
        return tuple(self.card["classes"])

    @property
    def modalities(self) -> dict[str, tuple[str, ...]]:
        """Blocks of columns of each modality."""
        return {name: tuple(blocks) for name, blocks in self.card["modalities"].items()}

    @property
    def needed_features(self) -> tuple[str, ...]:
        """Features that only spike times give, beside the usual ones."""
        return ()

    @property
    def tells_strangers(self) -> bool:
        """Whether a unit can be too unlike the training units for an answer; no score exceeds 1."""
        return self.ood_threshold < 1

    @property
    def default_threshold(self) -> float:
        """Least calibrated top probability of an answer."""
        return float(self.card["default_threshold"])

    @property
    def ood_threshold(self) -> float:
        """Largest `ood_score` of an answer."""
        return float(self.card["ood"]["threshold"])

    @abstractmethod
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
        """

    @abstractmethod
    def check(self, path: Path) -> None:
        """Raise `InputError` unless card and tensors belong together; `path` is for the message."""

    def codes(self, features: xr.Dataset) -> dict[str, NDArray[np.float32]]:  # noqa: ARG002 - a default
        """What the model makes of units before it decides, for the map of its training units.

        Parameters
        ----------
        features : xarray.Dataset
            As for `predict`.

        Returns
        -------
        dict of str to (n_units, n_codes) array
            By modality, NaN where a unit does not have it; empty for models without codes.
        """
        return {}

    def code_widths(self) -> dict[str, int]:
        """Number of codes by modality."""
        return {}

    def allowed(self, modalities: Collection[str] | None) -> frozenset[str]:
        """Return the modalities asked for, all by default; `UsageError` if the model does not know one."""
        known = frozenset(self.modalities)
        wanted = known if modalities is None else frozenset(modalities)
        if not wanted <= known:
            message = f"The model has no modality {sorted(wanted - known)[0]!r}; it has {', '.join(self.modalities)}."
            raise UsageError(message)
        return wanted

    def check_features(self, features: xr.Dataset) -> None:
        """Raise `InputError` if the features are of another version than the model needs."""
        stated, wanted = features.attrs.get("feature_spec_version"), self.card["feature_spec_version"]
        if stated != wanted:
            message = (
                f"Model {self.card['name']} {self.card['version']} needs features of version {wanted}, "
                f"these are of version {stated}; compute them anew, or use a model made for them."
            )
            raise InputError(message)


def check_tensors(
    path: Path, found: Mapping[str, NDArray[Any]], wanted: Mapping[str, tuple[tuple[int, ...], type]], is_valid: bool
) -> None:
    """Raise `InputError` unless tensors have these names, shapes and types, and the card's numbers are valid."""
    said = {name: (value.shape, value.dtype.type) for name, value in found.items()}
    if said != dict(wanted) or not is_valid:
        wrong = sorted(name for name in {*said, *wanted} if said.get(name) != wanted.get(name))
        what = f"tensors {', '.join(wrong[:3])}" if wrong else "thresholds, limits, temperatures or sizes"
        message = f"{path}: card and weights do not belong together ({what}); get the whole model again."
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
    bundle = read_bundle(name_or_path)
    kind = bundle.card["architecture"].get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        message = (
            f"{bundle.path}: the model card is incomplete, or of a newer kind than this version of nwb-celltype knows "
            f"({kind!r}; known: {', '.join(KINDS)}). Update nwb-celltype, or get the model again."
        )
        raise InputError(message)
    module, name = KINDS[kind]
    made: Model = getattr(import_module(module), name).from_bundle(bundle)
    return made


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


def top_probability(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) largest value of each row; NaN where a row is all NaN."""
    return np.where(np.isnan(rows).all(axis=1), np.nan, np.nan_to_num(rows, nan=-1.0).max(axis=1))
