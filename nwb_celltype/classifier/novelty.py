"""How far a unit lies from everything that a model was trained on, modality by modality."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.classifier.inputs import Matrix

FURTHEST = 100.0
"""Columns further than this from the mean, in standard deviations, count as this far."""


# With the usual square, one absurd column (spikes 1 ms apart, say) drowns among many ordinary ones.
_POWER = 6


def distances(z: Matrix, means: Matrix, whitening: Matrix) -> NDArray[np.float64]:
    """Distance to the nearest class in whitened columns; a few columns far out weigh more than many a little out.

    Parameters
    ----------
    z : (n_units, n_columns) array
        Standardised columns of one modality.
    means : (n_classes, n_columns) array
        Mean of each class.
    whitening : (n_columns, n_columns) array
        Turns differences into uncorrelated ones of unit variance within classes.

    Returns
    -------
    (n_units,) array
        Sixth root of the mean sixth power of the whitened differences.
    """
    white = np.clip(z, -FURTHEST, FURTHEST).astype(np.float64) @ whitening
    centres = means.astype(np.float64) @ whitening
    powers = ((white[:, None, :] - centres[None]) ** _POWER).mean(axis=-1)
    return np.asarray(powers.min(axis=1) ** (1 / _POWER))


def novelty_score(distance: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """Map distances to 0..1: 0.5 at the threshold, 0.75 at three times the threshold, 1 at infinity."""
    return np.asarray(distance / (distance + threshold))


def stranger_score(probability: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Map probabilities of being a stranger to 0..1 in the same order: 0.5 at the limit.

    Examples
    --------
    >>> import numpy as np
    >>> stranger_score(np.array([0.0, 0.2, 0.8, 1.0]), 0.8).round(2).tolist()
    [0.0, 0.06, 0.5, 1.0]
    """
    return np.asarray(probability * (1 - limit) / (probability * (1 - limit) + (1 - probability) * limit))
