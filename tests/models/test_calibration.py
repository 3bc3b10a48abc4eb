"""Temperature and figures of calibration against slow and obvious references."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nwb_celltype.calibration import (
    DEFAULT_THRESHOLD,
    brier_score,
    choose_threshold,
    decide,
    expected_calibration_error,
    fit_novelty,
    fit_temperature,
    negative_log_likelihood,
    risk_coverage,
    weighted_quantile,
)
from nwb_celltype.classifier import temper
from nwb_celltype.classifier.novelty import distances, novelty_score
from nwb_celltype.errors import UsageError

Arrays = tuple[NDArray[np.float64], NDArray[np.intp]]


@pytest.fixture
def answers() -> Arrays:
    """Probabilities that are right as often as they say, of 4000 units."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet([0.7, 0.5, 0.4], size=4000)
    labels = np.array([rng.choice(3, p=row) for row in p])
    return p, labels


def test_temperature_finds_what_was_done_to_the_probabilities(answers: Arrays) -> None:
    p, labels = answers
    for done in (0.5, 1.0, 2.0):
        assert fit_temperature(temper(p, 1 / done), labels) == pytest.approx(done, rel=0.05)


def test_temperature_is_the_best_of_a_grid(answers: Arrays) -> None:
    p, labels = answers[0][:200], answers[1][:200]
    losses = {t: negative_log_likelihood(temper(p, t), labels) for t in np.geomspace(0.1, 10, 400)}
    assert fit_temperature(p, labels) == pytest.approx(min(losses, key=lambda t: losses[t]), rel=0.02)


def test_temperature_keeps_its_floor(answers: Arrays) -> None:
    p, labels = temper(answers[0], 5.0), answers[0].argmax(axis=1)
    assert fit_temperature(p, labels, floor=0.5) == pytest.approx(0.5, rel=1e-3)


def test_ece_against_a_loop(answers: Arrays) -> None:
    p, labels = temper(answers[0], 0.6), answers[1]
    expected = 0.0
    for low in range(10):
        chosen = [i for i in range(len(p)) if low / 10 <= p[i].max() < (low + 1) / 10 or (low == 9 and p[i].max() == 1)]
        if chosen:
            confidence = np.mean([p[i].max() for i in chosen])
            right = np.mean([p[i].argmax() == labels[i] for i in chosen])
            expected += len(chosen) / len(p) * abs(confidence - right)
    assert expected_calibration_error(p, labels) == pytest.approx(expected)
    assert expected_calibration_error(*answers) < 0.02 < expected


def test_nll_and_brier_against_loops(answers: Arrays) -> None:
    p, labels = answers[0][:50], answers[1][:50]
    assert negative_log_likelihood(p, labels) == pytest.approx(
        sum(-np.log(max(p[i, labels[i]], 1e-12)) for i in range(50)) / 50
    )
    brier = sum((p[i, k] - (labels[i] == k)) ** 2 for i in range(50) for k in range(3)) / 50
    assert brier_score(p, labels) == pytest.approx(brier)


def test_risk_coverage(answers: Arrays) -> None:
    curve = risk_coverage(*answers)
    p, labels = answers
    for share in (0.1, 0.5, 1.0):
        n = round(share * len(p))
        best = np.argsort(-p.max(axis=1), kind="stable")[:n]
        assert curve.accuracy[n - 1] == pytest.approx((p[best].argmax(axis=1) == labels[best]).mean())
        assert curve.threshold[n - 1] == p[best].max(axis=1).min()
    assert curve.accuracy[400] > curve.accuracy[-1]


def test_the_threshold_keeps_what_was_asked_for(answers: Arrays) -> None:
    p, labels = answers
    right, top = p.argmax(axis=1) == labels, p.max(axis=1)
    threshold = choose_threshold(answers, home_accuracy=0.9, least_coverage=0.1)
    kept = top >= threshold
    assert right[kept].mean() >= 0.9
    # No lower threshold would do.
    curve = risk_coverage(*answers)
    assert (curve.accuracy[int(kept.sum()) :] < 0.9).all()
    stricter = choose_threshold(answers, (p[::-1], labels), home_accuracy=0.9, away_accuracy=0.9, least_coverage=0.1)
    assert stricter > threshold
    bounded = choose_threshold(answers, (p[::-1], labels), home_accuracy=0.9, least_coverage=0.6)
    assert (top >= bounded).mean() == pytest.approx(0.6, abs=0.01)
    assert choose_threshold((p[right], labels[right])) == DEFAULT_THRESHOLD


def test_quantiles_by_weight() -> None:
    values = np.array([5.0, 1.0, 3.0, 2.0, 4.0])
    assert weighted_quantile(values, np.ones(5), 0.8) == 4.0
    assert weighted_quantile(values, np.array([10.0, 1, 1, 1, 1]), 0.8) == 5.0
    repeated = np.repeat(values, [1, 7, 1, 1, 1])
    weighted = weighted_quantile(values, np.array([1.0, 7, 1, 1, 1]), 0.6)
    assert weighted == np.quantile(repeated, 0.6, method="inverted_cdf")


def test_decide() -> None:
    p = np.array([[0.9, 0.1], [0.55, 0.45], [0.1, 0.9], [np.nan, np.nan], [0.2, 0.8]])
    ood = np.array([0.1, 0.1, 0.6, np.nan, np.nan])
    assert decide(p, ood).tolist() == [0, 0, -1, -1, -1]
    assert decide(p, ood, threshold=0.6, ood_threshold=0.7).tolist() == [0, -1, 1, -1, -1]
    assert decide(p, ood, threshold=0.0).tolist() == [0, 0, -1, -1, -1]


def test_distance_grows_away_from_home() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 6))
    labels = rng.integers(0, 2, 3000)
    z = (rng.normal(size=(3000, 6)) @ mixing + 3.0 * labels[:, None]).astype(np.float32)
    means, whitening = fit_novelty(z, labels, 3)
    home = distances(z, means, whitening)
    nearest = min(abs(((z[0] - mean) @ whitening) ** 6).mean() ** (1 / 6) for mean in means)
    assert home[0] == pytest.approx(nearest, rel=1e-4)
    away = distances(z + 50, means, whitening)
    assert away.min() > home.max()
    np.testing.assert_allclose(novelty_score(np.array([0.0, 2.0, 6.0]), 2.0), [0, 0.5, 0.75])


def test_labels_and_rows_must_match() -> None:
    with pytest.raises(UsageError, match="one row a labelled unit"):
        expected_calibration_error(np.ones((2, 2)) / 2, np.array([0]))
    with pytest.raises(UsageError, match="one row a labelled unit"):
        fit_temperature(np.empty((0, 2)), np.empty(0, dtype=int))


def test_nothing_is_measured_on_nan() -> None:
    with pytest.raises(UsageError, match="Some probabilities are NaN"):
        fit_temperature(np.array([[np.nan, np.nan], [0.5, 0.5]]), np.array([0, 1]))
