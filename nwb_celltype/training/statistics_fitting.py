"""Fit heads of the model kind `statistics`: what is learnt from which rows, and what differs between species."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.classifier.forest import Forest, grow
from nwb_celltype.classifier.statistics import COLUMNS, GROUPS, MODALITIES, Head, places_of, soft_maximum
from nwb_celltype.errors import InputError

Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]

SUBSETS: dict[str, tuple[str, ...]] = {
    "+".join(MODALITIES): tuple(MODALITIES),
    **{name: (name,) for name in MODALITIES},
}
"""Combinations of modalities that there are heads for."""

_KERNEL_SHARE = 0.7
_LEAST_COLUMNS = 5
_SHARPEN = 2  # soft labels are squared before class means are taken


@dataclass(frozen=True)
class StatisticsSettings:
    """How heads are fitted.

    Attributes
    ----------
    subspaces : int
        Random subsets of the groups of columns; each is a kernel machine of its own.
    keep : float
        Probability that a group is in a subspace.
    cosines : int
        Cosines, and as many sines, of a subspace; random Fourier features of a Gaussian kernel.
    length : float
        Of the kernel, times the root of the number of columns.
    ridge : float
        Divided by the weight of a row; every class weighs the same.
    gain : float
        Scores times this go into the soft maximum.
    clip : float
        Columns are cut at this many standard deviations.
    trees, min_leaf, rows_per_class, noise
        Of a forest: trees, rows in a leaf at least, rows drawn of each class, and the noise that is added to them, in
        standard deviations. No threshold of a tree is then a value of a unit.
    shift_limit : float
        A column whose class means differ by as much between species, in standard deviations within classes (root mean
        square over classes), is not carried from one species to another.
    n_shift_subspaces : int
        Subspaces that label units of a species without labels when the shift is estimated.
    taught : float
        Weight of units without labels that the model has labelled softly and learns from once more; 0 for none.
    """

    subspaces: int = 40
    keep: float = 0.5
    cosines: int = 128
    length: float = 0.7
    ridge: float = 0.3
    gain: float = 4.5
    clip: float = 4.0
    trees: int = 150
    min_leaf: int = 3
    rows_per_class: int = 200
    noise: float = 0.5
    shift_limit: float = 1.0
    n_shift_subspaces: int = 30
    taught: float = 0.0


@dataclass(frozen=True, eq=False)
class TaughtRows:
    """Rows to learn from.

    Attributes
    ----------
    columns : (n, n_columns) array
        `COLUMNS`, NaN where a value is missing.
    targets : (n, k) array
        Probabilities of the classes; one is 1 where there is a label.
    is_own : (n,) mask
        Rows of the species that the head is for.
    groups : (n,) array of str
        Recordings; folds keep them together.
    weights : (n,) array
        Of rows within their classes.
    """

    columns: Matrix
    targets: Matrix
    is_own: Mask
    groups: NDArray[np.str_]
    weights: Matrix

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def labels(self) -> Rows:
        """(n,) most probable class of each row."""
        return np.asarray(self.targets.argmax(axis=1))

    def take(self, rows: NDArray[np.bool_] | Rows) -> TaughtRows:
        """Return some rows."""
        return TaughtRows(
            self.columns[rows], self.targets[rows], self.is_own[rows], self.groups[rows], self.weights[rows]
        )


@dataclass(frozen=True, eq=False)
class Usable:
    """Which columns a head may use.

    Attributes
    ----------
    present : (n_columns,) mask
        There in at least half of the rows on either side; else a missing value would tell the laboratory.
    steady : (n_columns,) mask
        Alike enough in both species to be carried over.
    """

    present: Mask
    steady: Mask

    @property
    def dropped(self) -> tuple[str, ...]:
        """Names of the columns that are not carried from one species to another."""
        return tuple(name for name, use in zip(COLUMNS, self.steady, strict=True) if not use)


def present_columns(*sides: Matrix) -> Mask:
    """(n_columns,) mask of the columns that at least half of the rows of every side have."""
    enough = [np.isfinite(side).mean(axis=0) > 0.5 for side in sides if len(side)]
    return np.asarray(np.logical_and.reduce(enough), dtype=bool)


def usable_columns(rows: TaughtRows, asked: Matrix, settings: StatisticsSettings) -> Usable:
    """Find the columns that may be used, from labelled rows and, where the species has none, its unlabelled units.

    Parameters
    ----------
    rows : TaughtRows
    asked : (m, n_columns) array
        Units of the species without labels; may be empty.
    settings : StatisticsSettings

    Returns
    -------
    Usable
    """
    own, other = rows.columns[rows.is_own], rows.columns[~rows.is_own]
    everywhere = np.ones(len(COLUMNS), dtype=bool)
    if len(own) == 0 and len(asked):
        present = present_columns(rows.columns, asked)
        shift = estimated_shift(rows, asked, present, settings)
    elif len(own) and len(other):
        present = present_columns(own)
        shift = measured_shift(rows, settings)
        shift = np.where(present_columns(own, other), shift, np.inf)
    else:
        return Usable(present_columns(rows.columns), everywhere)
    # Something must be left to answer from: the columns that differ least.
    least = np.sort(shift[present])[:_LEAST_COLUMNS]
    limit = max(settings.shift_limit, np.nextafter(least[-1], np.inf)) if len(least) else settings.shift_limit
    return Usable(present, shift < limit)


def measured_shift(rows: TaughtRows, settings: StatisticsSettings) -> Matrix:
    """(n_columns,) difference of class means between the own species' rows and the others', within-class deviations."""
    z = _scaled(rows.columns, settings).standardised(rows.columns)
    labels, own = rows.labels, rows.is_own
    within = _within(z[~own], labels[~own])
    shared = [k for k in np.unique(labels[own]) if (labels[~own] == k).any()]
    if not shared:
        return np.full(z.shape[1], np.inf)
    steps = [(z[own & (labels == k)].mean(axis=0) - z[~own & (labels == k)].mean(axis=0)) / within for k in shared]
    return np.asarray(np.sqrt(np.mean(np.square(steps), axis=0)))


def estimated_shift(
    rows: TaughtRows, asked: Matrix, present: Mask, settings: StatisticsSettings, *, n_folds: int = 5
) -> Matrix:
    """(n_columns,) like `measured_shift`, for units without labels.

    The classes of the units asked about are soft labels from subspaces without the column's group. Those of the rows
    are made in the same way, in folds, so that both sides have the same bias.
    """
    scaled = _scaled(rows.columns, settings)
    a, b = scaled.standardised(rows.columns), scaled.standardised(asked)
    k = rows.targets.shape[1]
    labels = rows.labels
    within = _within(a, labels)
    fold = grouped_folds(rows.groups, n_folds, seed=0)
    shift = np.full(a.shape[1], np.inf)
    for name in GROUPS:
        said, own = np.zeros((len(b), k)), np.zeros((len(a), k))
        for drawn in subspaces(settings.n_shift_subspaces, settings.keep, seed=0):
            places = [p for g in drawn if g != name for p in places_of(GROUPS[g]) if present[p]]
            if not places:
                continue
            said += _kernel_answers(a[:, places], b[:, places], rows.targets, settings)
            for f in np.unique(fold):
                rest, aside = fold != f, fold == f
                own[aside] += _kernel_answers(a[rest][:, places], a[aside][:, places], rows.targets[rest], settings)
        places = places_of(GROUPS[name])
        steps = (_soft_means(b[:, places], said) - _soft_means(a[:, places], own)) / within[places]
        shift[places] = np.sqrt((steps**2).mean(axis=0))
    return shift


def fit_head(rows: TaughtRows, usable: Usable, settings: StatisticsSettings, *, seed: int) -> Head:
    """Fit one head; the same input, seed and machine give the same weights.

    Subspaces that hold a column that is not steady learn from the own species' rows alone, and so does half the
    forest. Without such rows these columns are left out.

    Parameters
    ----------
    rows : TaughtRows
    usable : Usable
    settings : StatisticsSettings
    seed : int

    Returns
    -------
    Head
    """
    head = _scaled(rows.columns, settings)
    z = head.standardised(rows.columns)
    rng = np.random.default_rng([seed, 1])
    steady, present = usable.steady, usable.present
    has_own = bool(rows.is_own.any())
    everyone, own = np.arange(len(rows)), np.flatnonzero(rows.is_own)
    place, size, frequency, cosine, sine, linear = [], [], [], [], [], []
    drawings = list(subspaces(settings.subspaces, settings.keep, seed))
    usable_places = set(np.flatnonzero(present & (steady | has_own)).tolist())
    if not any(usable_places & set(places_of(GROUPS[g])) for drawn in drawings for g in drawn):
        drawings = [tuple(GROUPS)]  # few columns, and none of them drawn: one subspace of all
    for drawn in drawings:
        places = [p for g in drawn for p in places_of(GROUPS[g]) if present[p]]
        taught = everyone
        if not steady[places].all():
            if has_own:
                taught = own
            else:
                places = [p for p in places if steady[p]]
        if not places:
            continue
        angles, weights, straight = _fit_subspace(z[taught][:, places], rows.take(taught), settings, rng)
        place.append(places)
        size.append(len(places))
        frequency.append(angles)
        cosine.append(weights[: settings.cosines])
        sine.append(weights[settings.cosines :])
        linear.append(straight)
    every, safe = np.flatnonzero(present), np.flatnonzero(present & steady)
    plans = [(everyone, safe)] if not has_own or len(safe) == len(every) else [(everyone, safe), (own, every)]
    forests = [
        (columns.astype(np.int16), _fit_forest(z[taught][:, columns], rows.take(taught), settings, rng))
        for taught, columns in plans
        if len(columns)
    ]
    return replace(
        head,
        place=np.concatenate(place).astype(np.int16),
        size=np.array(size, dtype=np.int16),
        frequency=np.concatenate(frequency).astype(np.float32),
        cosine=np.stack(cosine).astype(np.float32),
        sine=np.stack(sine).astype(np.float32),
        linear=np.concatenate(linear).astype(np.float32),
        forests=forests,
    )


def fit_heads(
    rows: TaughtRows, asked: Matrix, usable: Usable, settings: StatisticsSettings, *, seed: int
) -> dict[str, Head]:
    """Fit the head for units with every modality, and smaller ones for units that have but one.

    Parameters
    ----------
    rows : TaughtRows
    asked : (m, n_columns) array
        Units without labels, softly labelled and learnt from where `settings.taught` is above 0; may be empty.
    usable : Usable
    settings : StatisticsSettings
    seed : int

    Returns
    -------
    dict of str to Head
        By combination of modalities (`SUBSETS`); without those that the rows lack.

    Raises
    ------
    InputError
        If no column is there in more than half of the rows.
    """
    few = replace(settings, subspaces=-(-settings.subspaces // 2), trees=-(-settings.trees // 4))
    heads = {}
    for subset, members in SUBSETS.items():
        known = np.zeros(len(COLUMNS), dtype=bool)
        known[[p for name in members for p in places_of(MODALITIES[name])]] = True
        known &= usable.present
        if (known & (usable.steady | rows.is_own.any())).any():
            whole = len(members) == len(MODALITIES)
            heads[subset] = fit_taught(
                rows, asked, replace(usable, present=known), settings if whole else few, seed=seed
            )
    if not heads:
        message = "No statistic is there in more than half of the labelled units; a model cannot be trained on them."
        raise InputError(message)
    return heads


def fit_taught(rows: TaughtRows, asked: Matrix, usable: Usable, settings: StatisticsSettings, *, seed: int) -> Head:
    """Fit a head, and where `settings.taught` is above 0 once more with the units asked about, softly labelled."""
    head = fit_head(rows, usable, settings, seed=seed)
    if settings.taught == 0 or len(asked) == 0:
        return head
    n = len(asked)
    more = TaughtRows(
        np.concatenate([rows.columns, asked]),
        np.concatenate([rows.targets, head.probabilities(asked)]),
        np.concatenate([rows.is_own, np.zeros(n, dtype=bool)]),
        np.concatenate([rows.groups, np.full(n, "")]),
        np.concatenate([rows.weights, np.full(n, settings.taught)]),
    )
    return fit_head(more, usable, settings, seed=seed)


def grouped_folds(groups: NDArray[np.str_], n_folds: int, *, seed: int) -> Rows:
    """(n,) fold of each row: recordings are dealt out in random order, whole; a row without one is one of its own."""
    names = np.where(groups == "", np.char.add("row ", np.arange(len(groups)).astype(str)), groups)
    known, codes = np.unique(names, return_inverse=True)
    return np.asarray(np.random.default_rng(seed).permutation(len(known))[codes] % n_folds)


def subspaces(n: int, keep: float, seed: int) -> Iterator[tuple[str, ...]]:
    """Yield `n` random subsets of the names of `GROUPS`."""
    rng = np.random.default_rng(seed)
    names = tuple(GROUPS)
    for _ in range(n):
        drawn = rng.random(len(names)) < keep
        drawn[0] |= not drawn.any()
        yield tuple(name for name, use in zip(names, drawn, strict=True) if use)


def _scaled(columns: Matrix, settings: StatisticsSettings) -> Head:
    """Return a head that knows how to standardise columns, and nothing else."""
    known = np.isfinite(columns)
    median = np.array(
        [np.median(column[ok]) if ok.any() else 0.0 for column, ok in zip(columns.T, known.T, strict=True)]
    )
    filled = np.where(known, columns, median)
    nothing = np.empty(0, dtype=np.float32)
    return Head(
        median=median.astype(np.float32),
        mean=filled.mean(axis=0).astype(np.float32),
        scale=(filled.std(axis=0) + 1e-6).astype(np.float32),
        place=np.empty(0, dtype=np.int16),
        size=np.empty(0, dtype=np.int16),
        frequency=nothing,
        cosine=nothing,
        sine=nothing,
        linear=nothing,
        gain=settings.gain,
        clip=settings.clip,
        forests=(),
    )


def _within(z: Matrix, labels: Rows) -> Matrix:
    """(n_columns,) standard deviation within classes."""
    variance = [z[labels == k].var(axis=0) * (labels == k).mean() for k in np.unique(labels)]
    return np.asarray(np.sqrt(np.sum(variance, axis=0)) + 1e-9)


def _soft_means(z: Matrix, said: Matrix) -> Matrix:
    """(k, n_columns) class means under soft labels, the sure ones counting more."""
    p = said / np.maximum(said.sum(axis=1, keepdims=True), 1e-300)
    p = p**_SHARPEN
    p /= np.maximum(p.sum(axis=1, keepdims=True), 1e-300)
    return np.asarray((p.T @ z) / np.maximum(p.sum(axis=0), 1e-9)[:, None])


def _row_weights(targets: Matrix, weights: Matrix | None = None) -> Matrix:
    """(n,) weights with which every class counts the same."""
    n, k = targets.shape
    balanced = targets @ (n / (k * np.maximum(targets.sum(axis=0), 1e-9)))
    return np.asarray(balanced if weights is None else balanced * weights)


def _kernel_answers(a: Matrix, b: Matrix, targets: Matrix, settings: StatisticsSettings) -> Matrix:
    """Probabilities for `b` of the kernel machine that the random features of a subspace approach."""
    k = a.shape[1]

    def kernel(left: Matrix) -> Matrix:
        inner = left @ a.T
        square = (left**2).sum(axis=1)[:, None] + (a**2).sum(axis=1) - 2 * inner
        gaussian = np.exp(-np.maximum(square, 0) / (2 * k * settings.length**2))
        return np.asarray(_KERNEL_SHARE * gaussian + (1 - _KERNEL_SHARE) * inner / k)

    penalty = np.diag(settings.ridge / _row_weights(targets))
    dual = np.linalg.solve(kernel(a) + penalty, targets - 1 / targets.shape[1])
    return soft_maximum(settings.gain * (kernel(b) @ dual))


def _fit_subspace(
    z: Matrix, rows: TaughtRows, settings: StatisticsSettings, rng: np.random.Generator
) -> tuple[Matrix, Matrix, Matrix]:
    """Angles (n_columns, n_cosines), weights of cosines and sines (2 n_cosines, k), and weights of columns."""
    k, d = z.shape[1], settings.cosines
    angles = _orthogonal_frequencies(k, d, rng) / (settings.length * np.sqrt(k))
    wave, straight = np.sqrt(_KERNEL_SHARE / d), np.sqrt((1 - _KERNEL_SHARE) / k)
    turned = z @ angles
    features = np.concatenate([wave * np.cos(turned), wave * np.sin(turned), straight * z], axis=1)
    penalty = settings.ridge / _row_weights(rows.targets, rows.weights)
    # There are fewer rows than cosines; what is kept are the weights of the cosines, not of the rows.
    dual = np.linalg.solve(features @ features.T + np.diag(penalty), rows.targets - 1 / rows.targets.shape[1])
    weights = features.T @ dual
    return angles, wave * weights[: 2 * d], straight * weights[2 * d :]


def _orthogonal_frequencies(n_columns: int, n: int, rng: np.random.Generator) -> Matrix:
    """(n_columns, n) frequencies of a Gaussian kernel, orthogonal in blocks, which approach it with fewer of them."""
    blocks: list[Matrix] = []
    while sum(block.shape[1] for block in blocks) < n:
        turn = np.linalg.qr(rng.normal(size=(n_columns, n_columns)))[0]
        blocks.append(turn * np.sqrt(rng.chisquare(n_columns, n_columns)))
    return np.concatenate(blocks, axis=1)[:, :n]


def _fit_forest(z: Matrix, rows: TaughtRows, settings: StatisticsSettings, rng: np.random.Generator) -> Forest:
    """Grow a forest on rows drawn alike from every class, blurred."""
    k, n = rows.targets.shape[1], settings.rows_per_class
    weights = rows.targets * rows.weights[:, None]
    drawn: list[Matrix] = []
    labels: list[int] = []
    for label in range(k):
        total = weights[:, label].sum()
        if total > 0:
            chosen = rng.choice(len(z), n, p=weights[:, label] / total)
            drawn.append(z[chosen] + rng.normal(0, settings.noise, (n, z.shape[1])))
            labels += [label] * n
    return grow(
        np.concatenate(drawn).astype(np.float32),
        np.array(labels),
        k,
        trees=settings.trees,
        min_leaf=settings.min_leaf,
        seed=int(rng.integers(2**31)),
    )


def one_hot(labels: Sequence[int] | Rows, n_classes: int) -> Matrix:
    """(n, k) rows with a 1 in the column of each label."""
    return np.asarray(np.eye(n_classes)[np.asarray(labels, dtype=np.intp)])
