"""Where the training units of a model lie: a few directions of what its encoders say, and a plane to draw them on.

What is kept of a training unit is its place in the directions, its label and its laboratory. There are far fewer
directions than columns that the model sees, so that no waveform and no spike train can be rebuilt from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.classifier.inputs import modality_subsets
from nwb_celltype.errors import InputError

MOST_UNITS = 5000
"""Of larger training sets every so manieth unit is kept."""

MOST_DIRECTIONS = 4
"""Directions of a modality at most; never more than a third of the columns that the model sees of it."""

AXES = ("direction 1 that tells the classes apart", "direction 2 that tells the classes apart")

_PRINCIPAL = 32
_UNITS_A_DIRECTION = 8
_SHRINKAGE = 0.1
_TOTAL_SHARE = 0.01
_LEAST_UNITS = 4

Floats = NDArray[np.float64]
Places = dict[str, Floats]
"""(n_units, n_directions) by modality, NaN where a unit does not have it."""


@dataclass(frozen=True, eq=False)
class TrainingMap:
    """Places, labels and laboratories of m training units.

    Attributes
    ----------
    label, source : (m,) array of str
        Class and laboratory; the laboratory is empty where it is not known.
    places : dict of str to (m, n_directions) array
        By modality, NaN where a unit does not have it.
    directions : dict of str to (n_codes, n_directions) array
        A unit's place is its codes times these, less `offset`.
    offset : dict of str to (n_directions,) array
    spacing : dict of str to float
        Median distance of a training unit to the next one, by modalities joined with ``+``.
    drawing : dict of str to (1 + all directions, 2) array
        By modalities: the plane, what is added first.
    axes : tuple of 2 str
    method : str
        How places and plane were made, in words.
    """

    label: NDArray[np.str_]
    source: NDArray[np.str_]
    places: Places
    directions: Mapping[str, NDArray[np.float32]]
    offset: Mapping[str, NDArray[np.float32]]
    spacing: Mapping[str, float]
    drawing: Mapping[str, NDArray[np.float32]]
    axes: tuple[str, str]
    method: str

    def __len__(self) -> int:
        return len(self.label)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(self.places)

    @cached_property
    def xy(self) -> Floats:
        """(m, 2) training units on the plane."""
        return self.drawn(self.places)

    def place(self, codes: Mapping[str, NDArray[np.float32]]) -> Places:
        """Places of units by what the encoders say of them; `codes` as from `Model.codes`."""
        return {
            name: codes[name].astype(np.float64) @ self.directions[name].astype(np.float64) - self.offset[name]
            for name in self.modalities
        }

    def drawn(self, places: Mapping[str, Floats]) -> Floats:
        """(n, 2) points on the plane; NaN where a unit has no modality that it can be drawn by."""
        has = np.stack([~np.isnan(places[name]).any(axis=1) for name in self.modalities], axis=1)
        xy = np.full((len(has), 2), np.nan)
        for subset in modality_subsets(self.modalities):  # those with more modalities last, and they stay
            rows = has[:, [name in subset for name in self.modalities]].all(axis=1)
            plane = self.drawing.get("+".join(subset))
            if plane is not None and rows.any():
                joint = np.concatenate([places[name][rows] for name in subset], axis=1)
                xy[rows] = joint @ plane[1:].astype(np.float64) + plane[0]
        return xy

    def distances(self, places: Mapping[str, Floats]) -> Floats:
        """(n, m) distances of units from the training units, in the modalities that both have.

        They are in units of `spacing` of these modalities, so that few and many modalities compare. NaN where two units
        share no modality.
        """
        apart = {name: _squared(places[name], self.places[name]) for name in self.modalities}
        shared = np.stack([~np.isnan(one) for one in apart.values()], axis=-1)
        found = np.full(shared.shape[:2], np.nan)
        for subset in modality_subsets(self.modalities):
            if "+".join(subset) not in self.spacing:
                continue
            pairs = (shared == [name in subset for name in self.modalities]).all(axis=-1)
            total = np.sum([apart[name][pairs] for name in subset], axis=0)
            found[pairs] = np.sqrt(total) / self.spacing["+".join(subset)]
        return found

    @classmethod
    def from_tensors(
        cls,
        tensors: Mapping[str, NDArray[Any]],
        card: Mapping[str, Any],
        widths: Mapping[str, int],
        path: Path,
    ) -> TrainingMap:
        """Put together the map of a model folder, after checking it against the card.

        Parameters
        ----------
        tensors : mapping of str to array
            As `make_map` gives them.
        card : mapping
            Of the model; its ``training_map`` says what is not numbers.
        widths : mapping of str to int
            Codes that the model gives of each modality.
        path : Path
            For the message.

        Raises
        ------
        InputError
            If they do not belong together.
        """
        try:
            said = card["training_map"]
            n = len(tensors["label"])
            problem = _problem(tensors, len(card["classes"]), len(said["labs"]), widths)
            if not problem:
                return cls(
                    label=np.array(card["classes"], dtype=str)[tensors["label"]],
                    source=np.array(said["labs"], dtype=str)[tensors["lab"]],
                    places={name: _spread_out(tensors, name, n) for name in widths},
                    directions={name: tensors[f"{name}.directions"] for name in widths},
                    offset={name: tensors[f"{name}.offset"] for name in widths},
                    spacing={key: float(tensors[f"{key}.spacing"][0]) for key in _keys(tensors, "spacing")},
                    drawing={key: tensors[f"{key}.drawing"] for key in _keys(tensors, "drawing")},
                    axes=(str(said["axes"][0]), str(said["axes"][1])),
                    method=str(said["method"]),
                )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            problem = repr(error)
        message = (
            f"{path}: the map of the training units does not fit the model ({problem}); get the whole model again."
        )
        raise InputError(message)


def make_map(
    codes: Mapping[str, NDArray[np.float32]],
    labels: NDArray[np.integer],
    labs: Sequence[str] | NDArray[np.str_],
    n_columns: Mapping[str, int],
    words: str,
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Find the directions that tell the classes of training units apart, and a plane to draw them on.

    Parameters
    ----------
    codes : mapping of str to (n_units, n_codes) array
        What the model's encoders say of the training units, by modality; NaN rows where a unit does not have it.
    labels : (n_units,) integer array
        Positions in the classes of the model.
    labs : sequence of n_units str
    n_columns : mapping of str to int
        Columns that the model sees of each modality.
    words : str
        What the codes are, for the card.

    Returns
    -------
    tensors : dict of str to array
        For ``training_map.safetensors``.
    said : dict
        ``training_map`` of the card: method, axes, names of the laboratories.

    Notes
    -----
    Directions: principal components of the codes, then of these the ones in which the class means lie furthest apart
    by the deviations within classes (linear discriminants, every class counting the same). The plane: linear
    discriminants of all modalities together, where pairs of classes that are hard to tell apart count more (Loog, Duin
    and Haeb-Umbach, IEEE TPAMI 2001). Units without all modalities are drawn where least squares expect them.
    """
    labels, labs = np.asarray(labels), np.asarray(labs, dtype=str)
    names = sorted(set(labs.tolist()))
    tensors: dict[str, NDArray[Any]] = {
        "label": labels.astype(np.int16),
        "lab": np.array([names.index(lab) for lab in labs.tolist()], dtype=np.int16),
    }
    places: Places = {}
    for name, own in codes.items():
        has = np.isfinite(own).all(axis=1)
        directions, offset = _directions(own[has].astype(np.float64), labels[has], n_columns[name])
        tensors[f"{name}.directions"] = directions.astype(np.float32)
        tensors[f"{name}.offset"] = offset.astype(np.float32)
        found = own[has].astype(np.float64) @ tensors[f"{name}.directions"].astype(np.float64)
        tensors[f"{name}.places"] = (found - tensors[f"{name}.offset"]).astype(np.float32)
        tensors[f"{name}.rows"] = np.flatnonzero(has).astype(np.int32)
        places[name] = _spread_out(tensors, name, len(labels))
    for subset in modality_subsets(codes):
        apart = _nearest_others([places[name] for name in subset])
        if len(apart):
            tensors[f"{'+'.join(subset)}.spacing"] = np.array([max(np.median(apart), 1e-6)], dtype=np.float32)
    tensors |= _drawing(places, labels)
    method = f"{words}, in {_counted(tensors, codes)}; drawn on the plane that tells most pairs of classes apart"
    return tensors, {"method": method, "axes": list(AXES), "labs": names}


def rows_of_map(n_units: int) -> NDArray[np.intp]:
    """Rows of the training units that are kept: all, or every so manieth.

    Examples
    --------
    >>> rows_of_map(3).tolist(), len(rows_of_map(20_000))
    ([0, 1, 2], 5000)
    """
    if n_units <= MOST_UNITS:
        return np.arange(n_units)
    return np.linspace(0, n_units - 1, MOST_UNITS).astype(np.intp)


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Compute on one thread, so that the number of cores does not change the last digit."""
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def _directions(codes: Floats, labels: NDArray[np.integer], n_columns: int) -> tuple[Floats, Floats]:
    """(n_codes, d) directions and (d,) offset, each deviation within classes being 1."""
    n, width = codes.shape
    wanted = max(1, min(MOST_DIRECTIONS, n_columns // 3))
    if n < _LEAST_UNITS:
        return np.zeros((width, wanted)), np.zeros(wanted)
    centre = codes.mean(axis=0)
    kept = max(1, min(_PRINCIPAL, width, max(wanted, n // _UNITS_A_DIRECTION), n - 1))
    first = _principal(codes - centre, kept)
    components = (codes - centre) @ first
    white = _whitening(components, labels)
    means = _class_means(components @ white, labels)
    between = np.cov(means.T, bias=True).reshape(kept, kept)
    between = between + _TOTAL_SHARE * np.cov((components @ white).T, bias=True).reshape(kept, kept)
    directions = first @ white @ _leading(between, min(wanted, kept))
    directions = _turned(directions, (codes - centre) @ directions, labels)
    return directions, centre @ directions


def _drawing(places: Places, labels: NDArray[np.integer]) -> dict[str, NDArray[np.float32]]:
    """Planes by modalities, the most complete units deciding."""
    names = list(places)
    has = {name: np.asarray(~np.isnan(place).any(axis=1)) for name, place in places.items()}
    base: tuple[str, ...] = ()
    rows = np.zeros(len(labels), dtype=bool)
    for subset in sorted(modality_subsets(names), key=len, reverse=True):
        rows = np.asarray(np.stack([has[name] for name in subset]).all(axis=0))
        if len(np.unique(labels[rows])) >= 2 and rows.sum() >= _LEAST_UNITS:
            base = subset
            break
    if not base:
        return {}
    joint = np.concatenate([places[name][rows] for name in base], axis=1)
    centre = joint.mean(axis=0)
    plane = _plane(joint - centre, labels[rows])
    plane = _turned(plane, (joint - centre) @ plane, labels[rows])
    planes = {"+".join(base): np.concatenate([-(centre @ plane)[None], plane])}
    xy = joint @ plane - centre @ plane
    for subset in modality_subsets(names):
        key = "+".join(subset)
        usable = np.stack([has[name][rows] for name in subset]).all(axis=0)
        if key in planes or usable.sum() < _LEAST_UNITS:
            continue
        seen = np.concatenate([places[name][rows][usable] for name in subset], axis=1)
        seen = np.concatenate([np.ones((len(seen), 1)), seen], axis=1)
        planes[key] = np.linalg.lstsq(seen, xy[usable], rcond=None)[0]
    return {f"{key}.drawing": plane.astype(np.float32) for key, plane in planes.items()}


def _plane(joint: Floats, labels: NDArray[np.integer]) -> Floats:
    """(d, 2) discriminants; a pair of classes counts by how much its errors grow when it is brought together."""
    from scipy.special import erf

    white = _whitening(joint, labels)
    means = _class_means(joint @ white, labels)
    between = _TOTAL_SHARE * np.cov((joint @ white).T, bias=True).reshape(joint.shape[1], -1) / joint.shape[1]
    for i in range(len(means)):
        for step in means[i] - means[:i]:
            length = max(float(np.linalg.norm(step)), 1e-6)
            between = between + erf(length / (2 * 2**0.5)) / (2 * length**2) * np.outer(step, step)
    plane = white @ _leading(between, 2)
    return plane if plane.shape[1] == 2 else np.concatenate([plane, np.zeros_like(plane)], axis=1)


def _principal(centred: Floats, n: int) -> Floats:
    """(width, n) leading principal components of centred rows, by whichever matrix is smaller."""
    if centred.shape[0] >= centred.shape[1]:
        return _leading(centred.T @ centred, n)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    lengths = np.sqrt(np.maximum(values[::-1][:n], values[-1] * 1e-12 + 1e-300))
    return np.asarray(centred.T @ (vectors[:, ::-1][:, :n] / lengths))


def _whitening(rows: Floats, labels: NDArray[np.integer]) -> Floats:
    """(d, d) matrix that makes deviations within classes 1 in all directions; classes count the same."""
    d = rows.shape[1]
    within = np.zeros((d, d))
    present = np.unique(labels)
    for label in present:
        within += np.cov(rows[labels == label].T, bias=True).reshape(d, d) / len(present)
    mean = float(np.trace(within)) / d
    within = (1 - _SHRINKAGE) * within + (_SHRINKAGE * mean + 1e-12) * np.eye(d)
    values, vectors = np.linalg.eigh(within)
    return np.asarray(vectors / np.sqrt(values) @ vectors.T)


def _class_means(rows: Floats, labels: NDArray[np.integer]) -> Floats:
    return np.stack([rows[labels == label].mean(axis=0) for label in np.unique(labels)])


def _leading(symmetric: Floats, n: int) -> Floats:
    return np.asarray(np.linalg.eigh(symmetric)[1][:, ::-1][:, :n])


def _turned(directions: Floats, found: Floats, labels: NDArray[np.integer]) -> Floats:
    """Directions with signs that do not depend on chance: the class furthest out lies on the positive side."""
    means = _class_means(found, labels)
    furthest = means[np.abs(means).argmax(axis=0), np.arange(means.shape[1])]
    return directions * np.where(furthest < 0, -1.0, 1.0)


def _squared(a: Floats, b: Floats) -> Floats:
    """(n, m) squared distances; NaN where a row is missing."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    return np.asarray(np.maximum(squares, 0.0))


def _nearest_others(places: Sequence[Floats]) -> Floats:
    """Distance of each unit that has all of some modalities to the next one."""
    joint = np.concatenate(places, axis=1)
    joint = joint[~np.isnan(joint).any(axis=1)]
    if len(joint) < 2:
        return np.empty(0)
    apart = _squared(joint, joint)
    np.fill_diagonal(apart, np.inf)
    return np.asarray(np.sqrt(apart.min(axis=1)))


def _spread_out(tensors: Mapping[str, NDArray[Any]], name: str, n: int) -> Floats:
    places = np.full((n, tensors[f"{name}.places"].shape[1]), np.nan)
    places[tensors[f"{name}.rows"]] = tensors[f"{name}.places"]
    return places


def _counted(tensors: Mapping[str, NDArray[Any]], names: Mapping[str, object]) -> str:
    return " and ".join(f"{tensors[f'{name}.directions'].shape[1]} directions ({name})" for name in names)


def _keys(tensors: Mapping[str, NDArray[Any]], part: str) -> list[str]:
    return [key.removesuffix(f".{part}") for key in tensors if key.endswith(f".{part}")]


def _problem(tensors: Mapping[str, NDArray[Any]], n_classes: int, n_labs: int, widths: Mapping[str, int]) -> str:
    """Say what is wrong with arrays that came from a file, or nothing."""
    label, lab = tensors["label"], tensors["lab"]
    if label.ndim != 1 or lab.shape != label.shape or label.dtype != np.int16 or lab.dtype != np.int16:
        return "labels and laboratories"
    if len(label) and (min(label.min(), lab.min()) < 0 or label.max() >= n_classes or lab.max() >= n_labs):
        return "labels or laboratories that there are not"
    sizes = {}
    for name, width in widths.items():
        rows, places, directions = (tensors[f"{name}.{part}"] for part in ("rows", "places", "directions"))
        sizes[name] = d = directions.shape[-1]
        shapes = (directions.shape, tensors[f"{name}.offset"].shape, places.shape)
        if shapes != ((width, d), (d,), (len(rows), d)) or rows.dtype != np.int32 or rows.ndim != 1:
            return f"places of {name}"
        if len(rows) and (rows.min() < 0 or rows.max() >= len(label) or (np.diff(rows) <= 0).any()):
            return f"units with {name} that there are not"
    wanted = {"label", "lab"} | {f"{n}.{p}" for n in widths for p in ("rows", "places", "directions", "offset")}
    for subset in modality_subsets(widths):
        key = "+".join(subset)
        wanted |= {f"{key}.spacing", f"{key}.drawing"}
        if f"{key}.spacing" in tensors and not (
            tensors[f"{key}.spacing"].shape == (1,) and tensors[f"{key}.spacing"][0] > 0
        ):
            return f"distances of {key}"
        if f"{key}.drawing" in tensors and tensors[f"{key}.drawing"].shape != (1 + sum(sizes[n] for n in subset), 2):
            return f"plane of {key}"
    strange = sorted(set(tensors) - wanted)
    return f"arrays {', '.join(strange[:3])}" if strange else ""
