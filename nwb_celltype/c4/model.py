"""A trained ensemble of the C4 recipe, with the interface that all models share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.c4.preprocessing import LAYERS, N_SAMPLES, PEAK_SAMPLE, RATE_HZ, layer_input, network_input
from nwb_celltype.classifier.model import Model, Prediction, check_tensors
from nwb_celltype.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from nwb_celltype.features.dataset import Progress
    from nwb_celltype.units import Units

KIND = "c4"
"""What the card of such a model says in ``architecture.kind``."""
RATIO = 2.0
"""Least ratio of the two largest probabilities of an answer, in the recipe."""

_NEEDED = ("c4_acg", "c4_waveform", "c4_layer")
Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Decision:
    """The recipe's own answers, a row a unit.

    Attributes
    ----------
    unit_ids : (n,) array
    cell_type : (n,) array of str
        Class with the largest mean probability; empty where the unit could not be described.
    confidence : (n,) array
        That probability.
    confidence_ratio : (n,) array
        The largest mean probability by the second largest.
    votes : (n,) int64 array
        Networks whose own most probable class is this one.
    is_kept : (n,) bool array
        Whether the ratio is at least the one asked for.
    """

    unit_ids: NDArray[np.int64]
    cell_type: NDArray[np.str_]
    confidence: Float
    confidence_ratio: Float
    votes: NDArray[np.int64]
    is_kept: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class C4Model(Model):
    """An ensemble of the C4 recipe: autocorrelograms and waveform together, and the layer where it was trained so."""

    @property
    def has_layer(self) -> bool:
        """Whether the layer is one of the inputs."""
        return bool(self.card["architecture"].get("has_layer", False))

    @property
    def needed_features(self) -> tuple[str, ...]:
        """Features that only spike times give, beside the usual ones."""
        return _NEEDED

    def compute_features(
        self, units: Units, *, layers: Sequence[str] | None = None, progress: Progress | None = None
    ) -> xr.Dataset:
        """Compute the features of units with what the recipe needs besides.

        Parameters
        ----------
        units : Units
        layers : sequence of n str, optional
            By default those that the units table says; see `nwb_celltype.c4.describe_units`.
        progress : callable, optional

        Returns
        -------
        xarray.Dataset
            As `nwb_celltype.features.compute`, with ``c4_acg``, ``c4_waveform``, ``c4_layer`` and ``c4_reason``.
        """
        from nwb_celltype.features import compute

        return add_inputs(compute(units, progress=progress), units, layers=layers, progress=progress)

    def predict(self, features: xr.Dataset, *, modalities: Collection[str] | None = None) -> Prediction:
        """Say how probable each class is for each unit that has both a waveform and autocorrelograms.

        Parameters
        ----------
        features : xarray.Dataset
            From `compute_features`.
        modalities : collection of str, optional
            The networks need all modalities; units get no answer when one is left out.

        Returns
        -------
        Prediction
            `ood_score` is NaN: the recipe knows no strangers.

        Raises
        ------
        InputError
            If the features lack the inputs of the recipe.
        """
        wanted = self.allowed(modalities)
        mean, spread, _ = self._ensemble(features)
        if wanted != frozenset(self.modalities):
            mean, spread = np.full_like(mean, np.nan), np.full_like(spread, np.nan)
        known: NDArray[np.bool_] = np.asarray(~np.isnan(mean).any(axis=1))
        return Prediction(
            unit_ids=features["unit"].values,
            classes=self.classes,
            probability=mean,
            confidence=np.where(known, np.nan_to_num(mean).max(axis=1), np.nan),
            ood_score=np.full(len(mean), np.nan),
            spread=spread,
            modalities=tuple(self.modalities),
            used=np.repeat(known[:, None], len(self.modalities), axis=1),
        )

    def decide(self, features: xr.Dataset, *, ratio: float = RATIO) -> Decision:
        """Answer as the recipe does: the class with the largest mean probability, kept by its ratio to the second.

        Parameters
        ----------
        features : xarray.Dataset
            From `compute_features`.
        ratio : float
            Least ratio of an answer that is kept.

        Returns
        -------
        Decision
        """
        mean, _, votes = self._ensemble(features)
        known = np.asarray(~np.isnan(mean).any(axis=1))
        ranked = np.sort(np.nan_to_num(mean), axis=1)
        best = np.nan_to_num(mean).argmax(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            by_second = np.where(known, ranked[:, -1] / ranked[:, -2], np.nan)
        return Decision(
            unit_ids=np.asarray(features["unit"].values),
            cell_type=np.where(known, np.array(self.classes)[best], "").astype(str),
            confidence=np.where(known, ranked[:, -1], np.nan),
            confidence_ratio=by_second,
            votes=votes[np.arange(len(best)), best],
            is_kept=known & (np.nan_to_num(by_second) >= ratio),
        )

    def check(self, path: Path) -> None:
        """Raise `InputError` unless card and tensors belong together."""
        from nwb_celltype.c4.ensemble import shapes

        try:
            n_networks = int(self.card["architecture"]["networks"])
            is_valid = n_networks > 0 and set(self.modalities) == {"waveform", "train"}
            is_valid = is_valid and 0 <= self.default_threshold <= 1 and self.ood_threshold > 0
            wanted = shapes(n_networks, len(self.classes), has_layer=self.has_layer)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            message = f"{path}: the model card is incomplete ({error!r}); get the model again."
            raise InputError(message) from error
        check_tensors(path, self.tensors, {k: (shape, np.float32) for k, shape in wanted.items()}, is_valid)

    def _ensemble(self, features: xr.Dataset) -> tuple[Float, Float, NDArray[np.int64]]:
        """(n, k) mean probabilities, (n,) spread over the networks, and (n, k) votes; NaN where inputs are missing."""
        from nwb_celltype.c4.ensemble import predict

        missing = [name for name in _NEEDED if name not in features]
        if missing:
            message = (
                f"Model {self.card['name']} needs {', '.join(missing)} beside the usual features: compute them with "
                "its `compute_features(units)`, from units with spike times. Counts alone do not contain them."
            )
            raise InputError(message)
        acg = features["c4_acg"].values.astype(np.float32)
        waveform = features["c4_waveform"].values
        known = np.isfinite(acg).all(axis=(1, 2)) & np.isfinite(waveform).all(axis=1)
        layer = layer_input([str(text) for text in features["c4_layer"].values[known]]) if self.has_layer else None
        x = network_input(acg[known], waveform[known], layer)
        n, k = len(known), len(self.classes)
        total, squares, votes = np.zeros((len(x), k)), np.zeros((len(x), k)), np.zeros((len(x), k), dtype=np.int64)
        n_networks = 0
        for each in predict(self.tensors, x):
            total += each.sum(axis=0)
            squares += (each**2).sum(axis=0)
            votes += (each.argmax(axis=2)[..., None] == np.arange(k)).sum(axis=0)
            n_networks += len(each)
        mean, spread, all_votes = np.full((n, k), np.nan), np.full(n, np.nan), np.zeros((n, k), dtype=np.int64)
        mean[known] = total / n_networks
        variance = np.clip(squares / n_networks - mean[known] ** 2, 0, None)
        spread[known] = np.sqrt(variance)[np.arange(len(x)), mean[known].argmax(axis=1)]
        all_votes[known] = votes
        return mean, spread, all_votes


def add_inputs(
    features: xr.Dataset,
    units: Units,
    *,
    layers: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Put the inputs of the recipe beside the features of the same units.

    Parameters
    ----------
    features : xarray.Dataset
        From `nwb_celltype.features.compute`.
    units : Units
    layers, progress
        As for `C4Model.compute_features`.

    Returns
    -------
    xarray.Dataset
        ``c4_acg`` (rate_quantile, log_lag: ms), ``c4_waveform`` (c4_waveform_time: ms), ``c4_layer``, ``c4_reason``.
    """
    from nwb_celltype.c4.sources import describe_units
    from nwb_celltype.features.autocorrelograms import log_lags_ms

    described = describe_units(units, layers=layers, progress=progress)
    reasons = [
        " ".join(filter(None, pair)) for pair in zip(described.acg_reason, described.waveform_reason, strict=True)
    ]
    n_rows, n_lags = described.acg.shape[1:]
    return features.assign(
        c4_acg=(
            ("unit", "rate_quantile", "log_lag"),
            described.acg,
            {"units": "1", "long_name": "ten times the probability of a spike in 1 ms, given a spike"},
        ),
        c4_waveform=(
            ("unit", "c4_waveform_time"),
            described.waveform,
            {"units": "1", "long_name": "waveform, reference peak at 0 ms = -1"},
        ),
        c4_layer=("unit", described.layer, {"long_name": f"layer: {', '.join(LAYERS)}"}),
        c4_reason=("unit", np.array(reasons, dtype=str), {"long_name": "why an input is missing; empty: none is"}),
    ).assign_coords(
        rate_quantile=("rate_quantile", np.arange(n_rows), {"long_name": "slowest firing first"}),
        log_lag=("log_lag", log_lags_ms()[-n_lags:], {"units": "ms"}),
        c4_waveform_time=(
            "c4_waveform_time",
            (np.arange(N_SAMPLES) - PEAK_SAMPLE) * 1e3 / RATE_HZ,
            {"units": "ms", "long_name": "time from the reference peak"},
        ),
    )
