"""Uncertainty of the last layer of a classifier: a Laplace approximation with a Kronecker-factored curvature.

The curvature of the loss in the last layer is the Kronecker product of one factor over classes (the sum over units of
the covariance of the class) and one over inputs (the mean over units of the outer product of the hidden layer), and,
for the bias, the first factor alone. Both are kept by their eigenvalues and eigenvectors. One number, the precision of
a Gaussian prior, is chosen where the marginal likelihood of the training units is largest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Array = NDArray[np.floating]

_STEPS = 100
_STEP_SIZE = 0.1
_MOMENTS = (0.9, 0.999)
_SMALL = 1e-8


@dataclass(frozen=True, eq=False)
class Curvature:
    """Eigenvalues and eigenvectors of the two factors; the bias has those of the classes unless it states its own.

    Attributes
    ----------
    class_values, class_vectors : (k,), (k, k) arrays
    input_values, input_vectors : (h,), (h, h) arrays
    bias_values, bias_vectors : (k,), (k, k) arrays
    """

    class_values: Float
    class_vectors: Float
    input_values: Float
    input_vectors: Float
    bias_values: Float
    bias_vectors: Float


def curvature_of(hidden: Array, logits: Array) -> Curvature:
    """Curvature of the summed cross-entropy in the last layer (generalised Gauss-Newton, exact over classes).

    Parameters
    ----------
    hidden : (n, h) array
        Input of the last layer for the units it was trained on.
    logits : (n, k) array
        Its output for them.
    """
    hidden, p = np.asarray(hidden, dtype=np.float64), softmax(logits)
    classes = np.diag(p.sum(axis=0)) - p.T @ p
    values, vectors = _eigen(classes)
    input_values, input_vectors = _eigen(hidden.T @ hidden / max(len(hidden), 1))
    return Curvature(values, vectors, input_values, input_vectors, values, vectors)


def log_marginal_likelihood(
    curvature: Curvature, log_likelihood: float, squared_norm: float, precision: float
) -> float:
    """Log marginal likelihood of the training units (up to a constant) for a prior of this precision.

    Parameters
    ----------
    curvature : Curvature
    log_likelihood : float
        Of the training units, summed, in nats.
    squared_norm : float
        Sum of the squared weights and biases of the last layer.
    precision : float
    """
    values = _spectrum(curvature)
    return float(log_likelihood - 0.5 * (np.log1p(values / precision).sum() + precision * squared_norm))


def prior_precision(curvature: Curvature, squared_norm: float) -> float:
    """Precision of the prior by marginal likelihood: 100 steps of Adam on its logarithm, from 1, of size 0.1.

    Examples
    --------
    >>> flat = Curvature(*[np.zeros(2), np.eye(2)] * 3)
    >>> round(prior_precision(flat, 4.0), 3) < 1
    True
    """
    values = _spectrum(curvature)
    log_precision = first = second = 0.0
    for step in range(1, _STEPS + 1):
        precision = float(np.exp(log_precision))
        # Derivative of the negative log marginal likelihood by the logarithm of the precision.
        slope = 0.5 * (precision * squared_norm - float((values / (values + precision)).sum()))
        first = _MOMENTS[0] * first + (1 - _MOMENTS[0]) * slope
        second = _MOMENTS[1] * second + (1 - _MOMENTS[1]) * slope * slope
        mean, scale = first / (1 - _MOMENTS[0] ** step), second / (1 - _MOMENTS[1] ** step)
        log_precision -= _STEP_SIZE * mean / (np.sqrt(scale) + _SMALL)
    return float(np.exp(log_precision))


def logit_variance(hidden: Array, curvature: Curvature, precision: float) -> Float:
    """(n, k) posterior variance of each logit of units with (n, h) `hidden`."""
    rotated = (np.asarray(hidden, dtype=np.float64) @ curvature.input_vectors) ** 2
    shared = 1 / (curvature.class_values[:, None] * curvature.input_values[None, :] + precision)
    weights = (rotated @ shared.T) @ (curvature.class_vectors**2).T
    bias = (curvature.bias_vectors**2) @ (1 / (curvature.bias_values + precision))
    return np.asarray(weights + bias)


def calibrated(logits: Array, variance: Float) -> Float:
    """(n, k) probabilities of logits that are this uncertain: each is shrunk before the softmax."""
    return softmax(np.asarray(logits, dtype=np.float64) / np.sqrt(1 + np.pi / 8 * variance))


def softmax(logits: Array) -> Float:
    """Probabilities of rows of logits, in double precision."""
    shifted = np.exp(logits - np.max(logits, axis=-1, keepdims=True), dtype=np.float64)
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def _spectrum(curvature: Curvature) -> Float:
    weights = np.outer(curvature.class_values, curvature.input_values).ravel()
    return np.concatenate([weights, curvature.bias_values])


def _eigen(matrix: Float) -> tuple[Float, Float]:
    values, vectors = np.linalg.eigh(matrix)
    return np.clip(values, 0.0, None), vectors
