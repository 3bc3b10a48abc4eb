"""Which training units a unit is most like, and where it lies among them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.classifier.model import Model
from nwb_celltype.errors import UsageError

if TYPE_CHECKING:
    import xarray as xr

SAME_UNIT = 0.02
"""A unit this near to a training unit, in typical distances of neighbours, is that unit."""

_AT_ONCE = 2048


@dataclass(frozen=True, eq=False)
class Location:
    """Where n units lie among the m training units of a model.

    Attributes
    ----------
    unit_ids : (n,) array
    xy : (n, 2) float64 array
        Points on the plane of the map; NaN where a unit has no modality that it can be drawn by.
    training_xy : (m, 2) float64 array
    training_label : (m,) array of str
    training_source : (m,) array of str
        Laboratory; empty where it is not known.
    neighbours : (n, k) int64 array
        Rows of the training units nearest to each unit, the nearest first; -1 where there are no more.
    distance : (n, k) float64 array
        Their distances, NaN beside -1. 1 is what lies, in the modalities that the two share, between a training unit
        and the next one (the median).
    is_training_unit : (n,) bool array
        Whether the model was trained on this very unit, which is then not its own neighbour.
    axes : tuple of 2 str
    method : str
        How the map was made, in words.
    """

    unit_ids: NDArray[Any]
    xy: NDArray[np.float64]
    training_xy: NDArray[np.float64]
    training_label: NDArray[np.str_]
    training_source: NDArray[np.str_]
    neighbours: NDArray[np.int64]
    distance: NDArray[np.float64]
    is_training_unit: NDArray[np.bool_]
    axes: tuple[str, str]
    method: str

    def __len__(self) -> int:
        return len(self.unit_ids)


def locate(
    model: Model,
    features: xr.Dataset,
    *,
    n_neighbours: int = 5,
    modalities: Collection[str] | None = None,
) -> Location | None:
    """Find the training units that units are most like, and draw both on one plane.

    Likeness is that of what the model's encoders say, in the modalities that both units have. Probabilities do not
    come from here: neighbours show what a decision is like, they do not make it.

    Parameters
    ----------
    model : Model
    features : xarray.Dataset
        As for `Model.predict`.
    n_neighbours : int
    modalities : collection of str, optional
        Use no others than these, although the units have them.

    Returns
    -------
    Location or None
        None if the model has no map of its training units.

    Raises
    ------
    InputError
        If the features are of another version than the model needs.
    UsageError
        If no neighbour is asked for, or a modality is unknown.

    Examples
    --------
    >>> from nwb_celltype import load_model
    >>> from nwb_celltype.verification import example_features
    >>> found = locate(load_model("cerebellum"), example_features(), n_neighbours=3)
    >>> found.neighbours.shape, found.training_label[found.neighbours[0]].tolist()  # doctest: +SKIP
    ((6, 3), ['PkC_ss', 'MLI', 'PkC_ss'])
    """
    if n_neighbours < 1:
        message = f"At least one neighbour is needed, not {n_neighbours}."
        raise UsageError(message)
    training = model.training_map
    if training is None:
        return None
    model.check_features(features)
    allowed = model.allowed(modalities)
    codes = model.codes(features)
    for name in set(codes) - allowed:
        codes[name] = np.full_like(codes[name], np.nan)
    places = training.place(codes)
    n, k = features.sizes["unit"], n_neighbours
    neighbours, distance = np.full((n, k), -1, dtype=np.int64), np.full((n, k), np.nan)
    is_training_unit = np.zeros(n, dtype=bool)
    for start in range(0, n, _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        far = training.distances({name: place[rows] for name, place in places.items()})
        same = np.nan_to_num(far, nan=np.inf) < SAME_UNIT
        is_training_unit[rows] = same.any(axis=1)
        far = np.where(same | np.isnan(far), np.inf, far)
        order = np.argsort(far, axis=1, kind="stable")[:, :k]
        nearest = np.take_along_axis(far, order, axis=1)
        found = np.isfinite(nearest)
        neighbours[rows, : order.shape[1]] = np.where(found, order, -1)
        distance[rows, : order.shape[1]] = np.where(found, nearest, np.nan)
    return Location(
        unit_ids=features["unit"].values,
        xy=training.drawn(places),
        training_xy=training.xy,
        training_label=training.label,
        training_source=training.source,
        neighbours=neighbours,
        distance=distance,
        is_training_unit=is_training_unit,
        axes=training.axes,
        method=training.method,
    )
