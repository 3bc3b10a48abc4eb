"""Make probabilities mean what they say, know what is unlike the training data, and decide when to keep quiet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from nwb_celltype.classifier import OOD_THRESHOLD, temper
from nwb_celltype.classifier.inputs import Matrix
from nwb_celltype.classifier.novelty import FURTHEST
from nwb_celltype.errors import UsageError

DEFAULT_THRESHOLD = 0.5
"""Least calibrated top probability of an answer: a class must be more probable than all others together."""
HOME_ACCURACY = 0.975
"""Share of right answers among units kept aside that the threshold is chosen for: half a point above what is wanted of
new units, because a threshold fits the units it was chosen on best."""
AWAY_ACCURACY = 0.92
"""The same for units of laboratories left out."""
LEAST_COVERAGE = 0.8
"""Share of the units kept aside that are answered in any case."""
STRANGER_QUANTILE = 0.95
"""Share of real units, kept aside at home and in laboratories left out with the same weight, that the forests of
strangers must not flag."""
OOD_QUANTILE = 0.98
"""Share of the real units of left-out laboratories that must not be flagged as unlike the training data."""

_SHRINKAGE = 0.02
_TINY = 1e-12

Probabilities = NDArray[np.float64]
Labels = NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Accuracy among the most confident units, for every share of units that are answered.

    Attributes
    ----------
    coverage : (n,) array
        1/n, 2/n, ..., 1.
    accuracy : (n,) array
        Accuracy over that share.
    threshold : (n,) array
        Confidence of the least confident unit in it.
    """

    coverage: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    threshold: NDArray[np.float64]


def fit_temperature(probability: Probabilities, labels: Labels, *, floor: float = 0.1) -> float:
    """Find the temperature that makes labels most likely under tempered probabilities.

    Parameters
    ----------
    probability : (n, k) array
        Of units that the model did not see in training; averaged over the members of an ensemble first.
    labels : (n,) integer array
        Columns of the true classes.
    floor : float
        The answer is never lower: sharpening what was measured on easy units is not safe elsewhere.

    Returns
    -------
    float
        Between `floor` and 10.

    Raises
    ------
    UsageError
        If there are no rows.

    Examples
    --------
    >>> import numpy as np
    >>> half_right = np.array([[0.99, 0.01], [0.99, 0.01], [0.99, 0.01], [0.01, 0.99]])
    >>> fit_temperature(half_right, np.array([0, 1, 0, 1])) > 2
    True
    """
    _check(probability, labels)

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(temper(probability, float(np.exp(log_temperature))), labels)

    found = minimize_scalar(loss, bounds=(np.log(floor), np.log(10)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def negative_log_likelihood(probability: Probabilities, labels: Labels) -> float:
    """Mean negative natural logarithm of the probability of the true class."""
    _check(probability, labels)
    return float(-np.log(np.clip(probability[np.arange(len(labels)), labels], _TINY, None)).mean())


def brier_score(probability: Probabilities, labels: Labels) -> float:
    """Mean squared distance between probabilities and the truth, summed over classes: 0 is perfect, 2 the worst."""
    _check(probability, labels)
    truth = np.eye(probability.shape[1])[labels]
    return float(((probability - truth) ** 2).sum(axis=1).mean())


def expected_calibration_error(probability: Probabilities, labels: Labels, *, n_bins: int = 10) -> float:
    """Mean gap between confidence and accuracy over equally wide bins of confidence, weighted by units.

    Parameters
    ----------
    probability : (n, k) array
    labels : (n,) integer array
    n_bins : int

    Returns
    -------
    float
        Between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> round(expected_calibration_error(np.array([[0.8, 0.2], [0.8, 0.2]]), np.array([0, 0])), 3)
    0.2
    """
    _check(probability, labels)
    confidence = probability.max(axis=1)
    right = probability.argmax(axis=1) == labels
    bins = np.clip((confidence * n_bins).astype(int), 0, n_bins - 1)
    gap = np.bincount(bins, weights=right - confidence, minlength=n_bins)
    return float(np.abs(gap).sum() / len(labels))


def reliability_points(probability: Probabilities, labels: Labels, *, n_bins: int = 10) -> list[dict[str, float | int]]:
    """Mean confidence against accuracy, in equally wide bins of confidence that hold units.

    Parameters
    ----------
    probability : (n, k) array
    labels : (n,) integer array
    n_bins : int

    Returns
    -------
    list of dict
        ``confidence``, ``accuracy`` and ``n`` of each bin, the least confident first.

    Examples
    --------
    >>> import numpy as np
    >>> reliability_points(np.array([[0.75, 0.25], [0.75, 0.25]]), np.array([0, 1]))
    [{'confidence': 0.75, 'accuracy': 0.5, 'n': 2}]
    """
    _check(probability, labels)
    confidence = probability.max(axis=1)
    right = probability.argmax(axis=1) == labels
    bins = np.clip((confidence * n_bins).astype(int), 0, n_bins - 1)
    return [
        {
            "confidence": round(float(confidence[bins == k].mean()), 4),
            "accuracy": round(float(right[bins == k].mean()), 4),
            "n": int((bins == k).sum()),
        }
        for k in np.unique(bins)
    ]


def risk_coverage(probability: Probabilities, labels: Labels) -> RiskCoverage:
    """Accuracy of the most confident 1, 2, ..., n units."""
    _check(probability, labels)
    confidence = probability.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    right = (probability.argmax(axis=1) == labels)[order]
    n = np.arange(1, len(labels) + 1)
    return RiskCoverage(n / len(labels), np.cumsum(right) / n, confidence[order])


def choose_threshold(
    home: tuple[Probabilities, Labels],
    away: tuple[Probabilities, Labels] | None = None,
    *,
    home_accuracy: float = HOME_ACCURACY,
    away_accuracy: float = AWAY_ACCURACY,
    least_coverage: float = LEAST_COVERAGE,
) -> float:
    """Choose the least top probability of an answer, on units that the model was not trained on.

    Parameters
    ----------
    home : pair of (n, k) and (n,) arrays
        Calibrated probabilities and labels of units kept aside in cross-validation.
    away : the same, optional
        Of units of laboratories that were left out.
    home_accuracy, away_accuracy : float
        Share of the answers that shall be right.
    least_coverage : float
        Share of the units kept aside at home that are answered in any case: the accuracy elsewhere is not bought by
        silence at home.

    Returns
    -------
    float
        `DEFAULT_THRESHOLD` or more.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([[0.99, 0.01], [0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    >>> choose_threshold((p, np.array([0, 0, 0, 0, 1])))
    0.7
    """
    wanted = [_threshold_for(*home, home_accuracy)]
    if away is not None and len(away[1]):
        wanted.append(_threshold_for(*away, away_accuracy))
    curve = risk_coverage(*home)
    n_answered = int(np.ceil(least_coverage * len(home[1])))
    most = float(curve.threshold[min(n_answered, len(home[1])) - 1]) if n_answered else 1.0
    return max(DEFAULT_THRESHOLD, min(max(wanted), most))


def _threshold_for(probability: Probabilities, labels: Labels, accuracy: float) -> float:
    """Least threshold at which the answers are right this often; 1 if none is."""
    curve = risk_coverage(probability, labels)
    enough = np.flatnonzero(curve.accuracy >= accuracy)
    return float(curve.threshold[enough[-1]]) if len(enough) else 1.0


def decide(
    probability: Probabilities,
    ood_score: NDArray[np.float64],
    *,
    threshold: float = DEFAULT_THRESHOLD,
    ood_threshold: float = OOD_THRESHOLD,
) -> NDArray[np.intp]:
    """Choose the class of each unit, or -1 where the model should not answer.

    Parameters
    ----------
    probability : (n, k) array
        Calibrated; NaN rows are never answered.
    ood_score : (n,) array
    threshold : float
        Least top probability of an answer.
    ood_threshold : float
        Largest `ood_score` of an answer.

    Returns
    -------
    (n,) integer array

    Examples
    --------
    >>> import numpy as np
    >>> decide(np.array([[0.9, 0.1], [0.4, 0.6], [0.9, 0.1]]), np.array([0.2, 0.2, 0.9]), threshold=0.7).tolist()
    [0, -1, -1]
    """
    filled = np.nan_to_num(probability, nan=-1.0)
    answered = (filled.max(axis=1) >= threshold) & ~(np.nan_to_num(ood_score, nan=np.inf) > ood_threshold)
    return np.where(answered & (filled.max(axis=1) >= 0), filled.argmax(axis=1), -1)


def weighted_quantile(values: NDArray[np.float64], weights: NDArray[np.float64], share: float) -> float:
    """Return the least value that at most `share` of the weight does not exceed.

    Examples
    --------
    >>> import numpy as np
    >>> weighted_quantile(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 2.0]), 0.5)
    2.0
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(reached, share - 1e-12)), len(values) - 1)])


def fit_novelty(z: Matrix, labels: Labels, n_classes: int) -> tuple[Matrix, Matrix]:
    """Learn where the training units lie: a Gaussian around the mean of each class, of one shape for all.

    Parameters
    ----------
    z : (n_units, n_columns) array
        Standardised columns of one modality; several rows of the same unit (augmented copies) are welcome.
    labels : (n_units,) integer array
    n_classes : int

    Returns
    -------
    means : (n_classes, n_columns) float32 array
        A class without units gets the mean of all.
    whitening : (n_columns, n_columns) float32 array
        Symmetric inverse root of the covariance within classes, a fiftieth of the mean variance added to each axis.
    """
    z = np.clip(z, -FURTHEST, FURTHEST).astype(np.float64)
    means = np.tile(z.mean(axis=0), (n_classes, 1))
    for k in np.unique(labels):
        means[k] = z[labels == k].mean(axis=0)
    within = z - means[labels]
    variance, axes = np.linalg.eigh(within.T @ within / len(z))
    variance = np.clip(variance, 0, None) + max(_SHRINKAGE * variance.mean(), _TINY)
    # The symmetric root has no sign or order to choose, and rounding hides the last bits, which depend on the machine.
    whitening = np.round((axes / np.sqrt(variance)) @ axes.T, 4) + 0.0
    return means.astype(np.float32), whitening.astype(np.float32)


def _check(probability: Probabilities, labels: Labels) -> None:
    if len(labels) == 0 or probability.ndim != 2 or len(probability) != len(labels):
        message = (
            f"Probabilities of shape {probability.shape}, {len(labels)} labels: one row a labelled unit is needed."
        )
        raise UsageError(message)
    if np.isnan(probability).any():
        message = "Some probabilities are NaN; leave units out about which nothing could be said."
        raise UsageError(message)
