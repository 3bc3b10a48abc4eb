"""Temperature and figures of calibration against slow and obvious references."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from numpy.typing import NDArray

from nwb_celltype.calibration import (
    AWAY_ACCURACY,
    DEFAULT_THRESHOLD,
    HOME_ACCURACY,
    LEAST_COVERAGE,
    OOD_QUANTILE,
    STRANGER_QUANTILE,
    brier_score,
    choose_threshold,
    decide,
    expected_calibration_error,
    fit_novelty,
    fit_temperature,
    negative_log_likelihood,
    reliability_points,
    risk_coverage,
    weighted_quantile,
)
from nwb_celltype.classifier import temper
from nwb_celltype.classifier.novelty import FURTHEST, distances, novelty_score
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


def test_what_models_are_calibrated_to() -> None:
    """Another value is another model: the thresholds in the cards of the shipped ones were chosen with these."""
    assert (DEFAULT_THRESHOLD, HOME_ACCURACY, AWAY_ACCURACY, LEAST_COVERAGE) == (0.5, 0.975, 0.92, 0.8)
    assert (STRANGER_QUANTILE, OOD_QUANTILE) == (0.95, 0.98)


def test_temperature_stays_within_its_bounds_and_is_exact(answers: Arrays) -> None:
    p, labels = answers[0][:200], answers[1][:200]
    sure_and_wrong = np.tile([[0.999, 0.001], [0.001, 0.999]], (50, 1))
    assert fit_temperature(sure_and_wrong, np.tile([1, 0], 50)) == pytest.approx(10, rel=1e-3)
    assert fit_temperature(np.tile([[0.6, 0.4], [0.4, 0.6]], (50, 1)), np.tile([0, 1], 50)) == pytest.approx(
        0.1, rel=1e-3
    )
    best = fit_temperature(p, labels)
    loss = negative_log_likelihood(temper(p, best), labels)
    for other in (best * 0.998, best * 1.002):
        assert loss < negative_log_likelihood(temper(p, other), labels)


@pytest.mark.parametrize("n_bins", [10, 4])
def test_reliability_points_against_a_loop(answers: Arrays, n_bins: int) -> None:
    p, labels = temper(answers[0][:600], 0.6), answers[1][:600]
    p[0] = [0.0, 1.0, 0.0]  # the last bin has both its edges
    expected = []
    for k in range(n_bins):
        chosen = [i for i in range(len(p)) if min(int(p[i].max() * n_bins), n_bins - 1) == k]
        if chosen:
            confidence = np.mean([p[i].max() for i in chosen])
            right = np.mean([p[i].argmax() == labels[i] for i in chosen])
            expected.append({"confidence": round(confidence, 4), "accuracy": round(right, 4), "n": len(chosen)})
    assert reliability_points(p, labels, n_bins=n_bins) == expected
    assert (reliability_points(p, labels) == expected) == (n_bins == 10)


def test_certain_answers_share_the_last_bin() -> None:
    p = np.array([[1.0, 0.0], [1.0, 0.0], [0.95, 0.05], [0.85, 0.15]])
    labels = np.array([1, 1, 0, 0])
    assert expected_calibration_error(p, labels) == pytest.approx((1.95 + 0.15) / 4)
    assert [point["n"] for point in reliability_points(p, labels)] == [1, 3]
    assert expected_calibration_error(p, labels, n_bins=1) == pytest.approx((3.8 - 2) / 4)


def test_risk_and_coverage_by_hand() -> None:
    curve = risk_coverage(np.array([[0.3, 0.7], [0.9, 0.1], [0.2, 0.8]]), np.array([1, 0, 0]))
    assert curve.coverage.tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    assert curve.accuracy.tolist() == pytest.approx([1, 1 / 2, 2 / 3])
    assert curve.threshold.tolist() == [0.9, 0.8, 0.7]


def test_a_curve_is_a_frozen_record_and_equal_to_itself_alone(answers: Arrays) -> None:
    curve = risk_coverage(*answers)
    with pytest.raises(FrozenInstanceError):
        curve.coverage = np.ones(3)  # type: ignore[misc]
    assert curve == curve
    assert curve != risk_coverage(*answers)


TOPS = np.array([0.95, 0.9, 0.8, 0.7, 0.6])
FIVE = np.stack([TOPS, 1 - TOPS], axis=1)


def test_silence_at_home_is_bounded() -> None:
    wrong = np.array([1, 1, 1, 1, 1])  # no threshold would do
    for share, threshold in ((0.2, 0.95), (0.21, 0.9), (0.6, 0.8), (1.0, 0.6)):
        assert choose_threshold((FIVE, wrong), least_coverage=share) == threshold
    assert choose_threshold((FIVE, wrong), least_coverage=0.0) == 1.0


def test_the_stricter_of_home_and_away_counts() -> None:
    right, last_wrong, nothing = np.zeros(5, dtype=int), np.array([0, 0, 0, 0, 1]), np.zeros(0, dtype=int)
    assert choose_threshold((FIVE, right)) == 0.6
    assert choose_threshold((FIVE, right), (FIVE[:0], nothing)) == 0.6
    assert choose_threshold((FIVE, right), (FIVE, last_wrong)) == 0.7
    assert choose_threshold((FIVE, last_wrong), (FIVE, right)) == 0.7
    # Exactly the share that is wanted is enough.
    assert choose_threshold((FIVE, last_wrong), home_accuracy=0.8) == 0.6
    assert choose_threshold((FIVE, right), (FIVE, last_wrong), away_accuracy=0.8) == 0.6


def test_limits_are_answered() -> None:
    p, at = np.array([[0.75, 0.25]]), np.array([0.5])
    assert decide(p, at, threshold=0.75, ood_threshold=0.5).tolist() == [0]
    assert decide(p, at, threshold=0.7500001, ood_threshold=0.5).tolist() == [-1]
    assert decide(p, at + 1e-7, threshold=0.75, ood_threshold=0.5).tolist() == [-1]
    assert decide(np.array([[0.5, 0.5], [0.45, 0.55]]), np.zeros(2)).tolist() == [0, 1]


def test_what_is_not_known_is_never_answered() -> None:
    unknown = np.full((1, 2), np.nan)
    for threshold in (0.5, 0.0, -1.0, -3.0):
        assert decide(unknown, np.zeros(1), threshold=threshold).tolist() == [-1]
    assert decide(np.array([[0.9, 0.1]]), np.array([np.nan])).tolist() == [-1]


def test_the_whole_weight_is_the_largest_value() -> None:
    values = np.array([3.0, 1.0, 2.0])
    assert weighted_quantile(values, np.array([1.0, 2.0, 1.0]), 1.0) == 3.0
    assert weighted_quantile(values, np.array([1.0, 2.0, 1.0]), 0.5) == 1.0
    assert weighted_quantile(values, np.array([1.0, 2.0, 1.0]), 0.500001) == 2.0
    assert weighted_quantile(values, np.array([1.0, 2.0, 1.0]), 0.0) == 1.0


def test_novelty_against_the_formula() -> None:
    rng = np.random.default_rng(4)
    labels = rng.choice([0, 2], 400)
    z = rng.normal(size=(400, 3)) @ np.array([[2.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 0.2]])
    z[:, 1] += labels
    z[0, 0], z[1, 2] = 1e6, -1e6  # a broken unit counts no more than the furthest
    means, whitening = fit_novelty(z, labels, 3)
    near = np.clip(z, -FURTHEST, FURTHEST)
    own = np.stack([near[labels == k].mean(axis=0) for k in (0, 2)])
    np.testing.assert_allclose(means, [own[0], near.mean(axis=0), own[1]], rtol=1e-6)
    within = near - own[labels // 2]
    covariance = within.T @ within / 400
    shrunk = covariance + 0.02 * np.trace(covariance) / 3 * np.eye(3)
    np.testing.assert_allclose(whitening @ shrunk @ whitening, np.eye(3), atol=2e-3)
    np.testing.assert_allclose(whitening, whitening.T)
    assert np.abs(whitening * 1e4 - np.round(whitening * 1e4)).max() < 1e-2  # four digits, the same everywhere
    assert not np.signbit(whitening[whitening == 0]).any()


def test_novelty_of_units_that_are_all_alike() -> None:
    means, whitening = fit_novelty(np.ones((6, 2)), np.zeros(6, dtype=int), 1)
    np.testing.assert_array_equal(means, np.ones((1, 2)))
    np.testing.assert_allclose(whitening, np.eye(2) * 1e6)


@pytest.mark.parametrize(
    ("p", "labels"),
    [
        (np.array([0.5, 0.5]), [0, 1]),
        (np.ones((2, 1, 2)) / 2, [0, 1]),
        (np.ones((1, 2)) / 2, [0, 1]),
        (np.ones((3, 2)) / 2, [0, 1]),
        (np.ones((0, 2)), []),
    ],
)
def test_a_row_for_each_label(p: NDArray[np.float64], labels: list[int]) -> None:
    for function in (negative_log_likelihood, brier_score, risk_coverage, reliability_points):
        with pytest.raises(UsageError, match="one row a labelled unit is needed"):
            function(p, np.array(labels, dtype=int))  # type: ignore[operator]


def test_a_class_held_impossible_costs_much_and_not_everything() -> None:
    assert negative_log_likelihood(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(12 * np.log(10))
