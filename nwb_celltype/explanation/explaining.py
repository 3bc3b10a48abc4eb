"""Why a model said what it said.

Parts of two kinds are explained, each exactly along a straight line from the mean training unit to the unit:

- networks and kernel machines by integrated gradients (Sundararajan, Taly and Yan, ICML 2017; by captum);
- forests, whose answers are steps, by the same integral taken at the steps: wherever the line crosses the threshold of
  a column and a tree answers otherwise from there on, the difference is credited to that column.

Both add up: all contributions to a unit together are the probability of the class (before calibration) less that of the
mean training unit.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.classifier import Model, load_model
from nwb_celltype.errors import UsageError

if TYPE_CHECKING:
    import xarray as xr

    from nwb_celltype.features.dataset import Progress
    from nwb_celltype.units import Units

_STEPS = 20


def explain(
    units: Units | xr.Dataset,
    model: str | Path | Model = "cerebellum",
    *,
    cell_type: str | Sequence[str] | None = None,
    modalities: Collection[str] | None = None,
    steps: int = _STEPS,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Say how much each modality, lag and waveform sample moved the decision on each unit.

    Contributions are to the probability of a class before calibration, relative to the mean training unit: positive
    ones spoke for the class, negative ones against it, and together they make the whole difference.

    Parameters
    ----------
    units : Units or xarray.Dataset
        A recording, or its features from `nwb_celltype.features.compute`.
    model : str, Path or Model
    cell_type : str or sequence of n str, optional
        Class to explain, of all units or of each; the most probable one of each by default.
    modalities : collection of str, optional
        Use no others than these, although the units have them.
    steps : int
        Points on the line at which gradients are taken.
    progress : callable, optional

    Returns
    -------
    xarray.Dataset
        Dimension `unit` and, by variable:

        - ``cell_type``, ``probability`` (of that class, before calibration), ``baseline`` (that of the mean training
          unit, seen in the same modalities)
        - ``contribution`` (modality): sums over the columns of each modality
        - ``waveform`` (waveform_time: ms), ``waveform_statistics``, ``isi_histogram`` (isi_time: ms), ``acg``
          (lag: ms), ``acg_statistics``: contribution of each sample, bin or statistic; of a model of statistics
          ``statistics`` (model_statistic)
        - ``error``: ``probability - baseline`` less all contributions

        NaN where a unit does not have the modality, or nothing could be said about it.

    Raises
    ------
    UsageError
        If captum is not installed, the model is of a kind that is not explained, or a class or modality is unknown.
    InputError
        If the features are of another version than the model needs.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> with nct.read_units("session.nwb") as units:  # doctest: +SKIP
    ...     why = nct.explain(units, "cerebellum")
    >>> why.contribution.sel(unit=7).to_series()  # doctest: +SKIP
    modality
    waveform    0.11
    train       0.42
    """
    if find_spec("captum") is None:
        message = "Explanations need captum: pip install 'nwb-celltype[explain]'."
        raise UsageError(message)
    from nwb_celltype.classifier.ensemble import Ensemble
    from nwb_celltype.classifier.statistics import StatisticsModel
    from nwb_celltype.explanation.parts import explain_ensemble, explain_statistics

    loaded = model if isinstance(model, Model) else load_model(model)
    if steps < 1:
        message = f"Gradients are taken at one point of the line or more, not at {steps}."
        raise UsageError(message)
    if not isinstance(loaded, Ensemble | StatisticsModel):
        message = (
            f"Model {loaded.card['name']} is of the kind {loaded.card['architecture'].get('kind')!r}, whose decisions "
            "are not explained; those of networks and forests over waveforms, spike trains and statistics are."
        )
        raise UsageError(message)
    features = _features(units, progress)
    loaded.check_features(features)

    def choose(said: NDArray[np.float64]) -> NDArray[np.intp]:
        return _targets(loaded.classes, said, cell_type)

    if isinstance(loaded, Ensemble):
        found = explain_ensemble(loaded, features, choose, modalities, steps, progress)
    else:
        found = explain_statistics(loaded, features, choose, modalities, steps, progress)
    import xarray as xr

    nothing = np.isnan(found.baseline)
    error = found.probability - found.baseline - np.nansum(found.by_modality, axis=1)
    variables: dict[str, Any] = {
        "cell_type": ("unit", np.where(nothing, "", np.array(loaded.classes)[found.target])),
        "probability": ("unit", np.where(nothing, np.nan, found.probability)),
        "baseline": ("unit", found.baseline),
        "contribution": (("unit", "modality"), found.by_modality),
        "error": ("unit", np.where(nothing, np.nan, error)),
    }
    for name, (dims, values) in found.shown.items():
        variables[name] = (dims, values, {"long_name": f"contribution of each part of `{name}`"})
    dims_shown = {dim for dims, _ in found.shown.values() for dim in dims} | {"unit"}
    coords = {dim: features[dim] for dim in dims_shown if dim in features.coords}
    return xr.Dataset(
        variables,
        coords={**coords, **found.coords, "modality": list(loaded.modalities)},
        attrs={
            "model": f"{loaded.card['name']} {loaded.card['version']}",
            "weights_sha256": loaded.weights_sha256,
            "meaning": "contribution to the probability of `cell_type` before calibration, from the mean training unit",
        },
    )


def _features(units: Units | xr.Dataset, progress: Progress | None) -> xr.Dataset:
    import xarray as xr

    if isinstance(units, xr.Dataset):
        return units
    from nwb_celltype.features import compute

    return compute(units, progress=progress)


def _targets(
    classes: Sequence[str], said: NDArray[np.float64], cell_type: str | Sequence[str] | None
) -> NDArray[np.intp]:
    if cell_type is None:
        return np.asarray(np.nan_to_num(said, nan=-1.0).argmax(axis=1), dtype=np.intp)
    asked = [cell_type] * len(said) if isinstance(cell_type, str) else [str(one) for one in cell_type]
    if len(asked) != len(said):
        message = f"{len(asked)} cell types are to be explained for {len(said)} units; name one, or one a unit."
        raise UsageError(message)
    unknown = sorted(set(asked) - set(classes))
    if unknown:
        message = f"{unknown[0]!r} is no class of the model; it knows {', '.join(classes)}."
        raise UsageError(message)
    return np.array([classes.index(one) for one in asked], dtype=np.intp)
