"""Other shares of the classes: read, fitted, applied, refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.priors import Prior, choose_prior, effective_prior, fit_prior, read_prior, reweigh

CLASSES = ("GoC", "MFB", "MLI")
EQUAL = np.full(3, 1 / 3)
CARD: dict[str, Any] = {
    "name": "m",
    "training_data": [{"n_used": {"GoC": 1, "MFB": 2, "MLI": 1, "other": 5}}, {"n_used": {"MFB": 4}}],
}


def answers(n: tuple[int, ...], sure: float = 0.8) -> np.ndarray:
    """Units of each class, each right with this probability."""
    rest = (1 - sure) / 2
    return np.concatenate([np.tile(np.where(np.arange(3) == k, sure, rest), (m, 1)) for k, m in enumerate(n)])


def test_equal_shares_change_nothing() -> None:
    assert choose_prior("uniform", CARD, CLASSES, answers((1, 1, 1))) is None
    np.testing.assert_allclose(reweigh(answers((2, 1, 1)), Prior("x", EQUAL), EQUAL), answers((2, 1, 1)))


def test_bayes() -> None:
    after = reweigh(np.array([[0.6, 0.3, 0.1]]), Prior("x", np.array([0.1, 0.1, 0.8])), EQUAL)
    np.testing.assert_allclose(after, [[0.06 / 0.17, 0.03 / 0.17, 0.08 / 0.17]])
    back = reweigh(after, Prior("x", EQUAL), np.array([0.1, 0.1, 0.8]))
    np.testing.assert_allclose(back, [[0.6, 0.3, 0.1]])


def test_a_class_ruled_out_and_rows_without_answer() -> None:
    prior = Prior("x", np.array([0.5, 0.5, 0.0]))
    after = reweigh(np.array([[0.2, 0.2, 0.6], [np.nan] * 3, [0.0, 0.0, 1.0]]), prior, EQUAL)
    np.testing.assert_allclose(after[0], [0.5, 0.5, 0.0])
    assert np.isnan(after[1:]).all()


def test_shares_of_the_training_units() -> None:
    prior = choose_prior("training", CARD, CLASSES, answers((1, 1, 1)))
    assert prior is not None
    np.testing.assert_allclose(prior.shares, [1 / 8, 6 / 8, 1 / 8])
    assert prior.parameters(CLASSES) == {"name": "training", "shares": {"GoC": 0.125, "MFB": 0.75, "MLI": 0.125}}
    with pytest.raises(UsageError, match="does not say how many units"):
        choose_prior("training", {"name": "m"}, CLASSES, answers((1, 1, 1)))


def test_a_model_that_was_not_balanced_says_so() -> None:
    card = {**CARD, "prior": {"GoC": 2, "MFB": 1, "MLI": 1}}
    np.testing.assert_allclose(effective_prior(card, CLASSES), [0.5, 0.25, 0.25])
    prior = choose_prior("uniform", card, CLASSES, answers((1, 1, 1)))
    assert prior is not None
    assert prior.name == "uniform"


def test_auto_follows_what_is_there_but_not_all_the_way() -> None:
    prior = fit_prior(answers((180, 15, 5), sure=0.95), EQUAL)
    assert prior.shares.sum() == pytest.approx(1)
    assert 0.6 < prior.shares[0] < 0.9
    assert prior.shares[2] > 0.05
    assert prior.details == {"n_units": 200, "pull": 20.0, "floor": 0.05}


def test_auto_with_few_units_stays_near_equal_shares() -> None:
    assert np.abs(fit_prior(answers((4, 0, 0)), EQUAL).shares - 1 / 3).max() < 0.06
    nothing = fit_prior(np.full((3, 3), np.nan), EQUAL)
    np.testing.assert_allclose(nothing.shares, EQUAL)
    assert nothing.details["n_units"] == 0


def test_auto_never_starves_a_class() -> None:
    many = np.tile([0.98, 0.0, 0.02], (100_000, 1))
    starved = fit_prior(many, EQUAL, pull=0.0, floor=0.0)
    kept = fit_prior(many, EQUAL)
    assert starved.shares[1] < 1e-6
    assert kept.shares[1] == pytest.approx(0.05 / 3, rel=0.05)


def test_auto_looks_at_the_units_it_may() -> None:
    both = np.concatenate([answers((50, 0, 0)), answers((0, 50, 0))])
    used = np.arange(100) < 50
    prior = choose_prior("auto", CARD, CLASSES, both, used)
    assert prior is not None
    assert prior.shares[0] > 0.5 > prior.shares[1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", '{"GoC": 1, "MFB": 2, "MLI": 1}'),
        ("p.yaml", "GoC: 1\nMFB: 2\nMLI: 1.0\n"),
        ("p.csv", "cell_type,weight\nGoC,1\nMFB,2\nMLI,1\n"),
        ("p.tsv", "class\tshare\nGoC\t1\nMFB\t2\nMLI\t1\n"),
    ],
)
def test_weights_of_a_file(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    prior = choose_prior(path, CARD, CLASSES, answers((1, 1, 1)))
    assert prior is not None
    assert (prior.name, prior.shares.tolist()) == (name, [0.25, 0.5, 0.25])
    assert read_prior(path) == {"GoC": 1.0, "MFB": 2.0, "MLI": 1.0}


@pytest.mark.parametrize(
    ("name", "text", "error", "says"),
    [
        ("p.json", "{", InputError, "is no JSON"),
        ("p.yaml", "- a\n", InputError, "holds no weights"),
        ("p.yaml", "GoC: many\nMFB: 1\nMLI: 1", InputError, "'many', which is no number"),
        ("p.csv", "a,b\n1,2\n", InputError, "needs the columns cell_type and weight; it has a, b"),
        ("p.csv", "cell_type,weight\nGoC,1\nGoC,1\n", InputError, "gives 'GoC' twice"),
        ("p.csv", "cell_type,weight\nGoC,\n", InputError, "no number"),
        ("p.yaml", "GoC: 1\nMFB: 1\nMLT: 1\n", UsageError, "'MLT', which is no class .* Did you mean 'MLI'"),
        ("p.yaml", "GoC: 1\nMFB: 1\n", UsageError, "no weight for MLI; give 0"),
        ("p.yaml", "GoC: 1\nMFB: 1\nMLI: -1\n", UsageError, "weights are numbers from 0"),
        ("p.yaml", "GoC: 0\nMFB: 0\nMLI: 0\n", UsageError, "one of them above 0"),
        ("p.yaml", "GoC: .nan\nMFB: 1\nMLI: 1\n", UsageError, "weights are numbers"),
    ],
)
def test_weights_that_make_no_sense(tmp_path: Path, name: str, text: str, error: type[Exception], says: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(error, match=says):
        choose_prior(path, CARD, CLASSES, answers((1, 1, 1)))


def test_neither_a_word_nor_a_file() -> None:
    with pytest.raises(UsageError, match="'flat' is no prior: give one of uniform, training, auto, or the path"):
        choose_prior("flat", CARD, CLASSES, answers((1, 1, 1)))


def test_weights_given_in_python() -> None:
    prior = choose_prior({"GoC": 3, "MFB": 0, "MLI": 1}, CARD, CLASSES, answers((1, 1, 1)))
    assert prior is not None
    assert (prior.name, prior.shares.tolist()) == ("given", [0.75, 0.0, 0.25])
