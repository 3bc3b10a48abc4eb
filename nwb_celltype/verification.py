"""Is a model what its author made: hashes, shapes, map, training files, and its own answers about made-up units."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.bundles import read_bundle, save_bundle
from nwb_celltype.classifier import Model, load_model
from nwb_celltype.classifier.neighbourhood import locate
from nwb_celltype.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

EXAMPLE_UNITS = "made-up units 1"
"""Changes whenever `example_features` does."""

TOLERANCE = 2e-3
"""Largest difference of a probability that another processor or another torch may make."""

MAP_TOLERANCE = 0.02
"""The same for a point on the map of the training units, in deviations within classes."""

_GOLDEN = (5**0.5 - 1) / 2
_RATE_HZ = 30_000.0
# Width of the trough in ms, height and time of the rebound; dead time, mean interval in s, and how regular.
_MADE_UP = (
    ((0.08, 0.50, 0.25), (0.002, 0.010, 1)),
    ((0.15, 0.20, 0.50), (0.003, 0.025, 6)),
    ((0.25, 0.05, 0.70), (0.008, 0.090, 2)),
    ((-0.20, -0.30, 0.40), (0.004, 0.060, 12)),
)


@dataclass(frozen=True)
class Verification:
    """What was checked of a model.

    Attributes
    ----------
    model, version : str
    path : Path
    checks : tuple of (name, result, sentence)
        `result` is ``ok``, ``wrong``, or ``not checked`` where there is nothing to check by.
    """

    model: str
    version: str
    path: Path
    checks: tuple[tuple[str, str, str], ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return all(result != "wrong" for _, result, _ in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Return what `models verify --json` prints."""
        return {
            "model": self.model,
            "version": self.version,
            "path": str(self.path),
            "is_sound": self.is_sound,
            "checks": [{"check": name, "result": result, "note": note} for name, result, note in self.checks],
        }


def verify_model(name_or_path: str | Path, *, data: Sequence[str | Path] = ()) -> Verification:
    """Check a model: its hashes, its shapes, its answers about made-up units, and the files it was trained on.

    Parameters
    ----------
    name_or_path : str or Path
        As for `nwb_celltype.load_model`.
    data : sequence of paths
        Files, or folders of them, that the model is said to be trained on.

    Returns
    -------
    Verification

    Raises
    ------
    UsageError
        If there is no such model.
    InputError
        If it is not a whole model, or a hash or a shape is wrong.

    Examples
    --------
    >>> from nwb_celltype.verification import verify_model
    >>> verify_model("cerebellum").is_sound
    True
    """
    bundle = read_bundle(name_or_path)
    model = load_model(name_or_path)
    n = len(model.tensors)
    hashes = f"weights {bundle.weights_sha256[:12]}..." + (", training rows" if bundle.training_rows else "")
    hashes += ", training map" if bundle.training_map else ""
    checks = [
        ("hashes", "ok", hashes + (", examples" if bundle.examples else "")),
        ("shapes", "ok", f"{n} arrays as the card says"),
        ("answers", *_check_answers(model, bundle.examples)),
        ("training map", *_check_map(model, bundle.examples)),
        ("training data", *_check_data(bundle.card, data)),
    ]
    return Verification(str(bundle.card["name"]), str(bundle.card["version"]), bundle.path, tuple(checks))


def record_examples(folder: str | Path) -> None:
    """Write down what a model says about made-up units, so that `verify_model` can ask again elsewhere.

    Parameters
    ----------
    folder : str or Path
        A model folder, which gets an ``examples.json``, and its card the hash of it.
    """
    bundle = read_bundle(Path(folder))
    model, features = load_model(Path(folder)), example_features()
    prediction, location = model.predict(features), locate(model, features)
    save_bundle(
        folder,
        tensors=bundle.tensors,
        card=bundle.card,
        licence_text=(bundle.path / "LICENSE").read_text(encoding="utf-8"),
        training_rows={part: sorted(rows) for part, rows in bundle.training_rows.items()} or None,
        examples={
            "units": EXAMPLE_UNITS,
            "classes": list(prediction.classes),
            "probability": _plain(prediction.probability),
            "ood_score": _plain(prediction.ood_score),
            **({} if location is None else {"map_xy": _plain(location.xy)}),
        },
        training_map=bundle.training_map,
    )


def example_features() -> xr.Dataset:
    """Features of six made-up units, the same everywhere: four whole, one without spikes, one without a waveform.

    Examples
    --------
    >>> example_features().sizes["unit"]
    6
    """
    from nwb_celltype.features import compute
    from nwb_celltype.units import Units

    waves = [_waveform(*shape) for shape, _ in _MADE_UP]
    trains = [_train(*numbers) for _, numbers in _MADE_UP]
    nothing = np.empty(0)
    return compute(
        Units.from_arrays(
            [*trains, nothing, trains[1]], waveform_mean=[*waves, waves[0], None], waveform_rate_hz=_RATE_HZ
        )
    )


def _waveform(width: float, rebound: float, when: float) -> NDArray[np.float64]:
    t = np.arange(-30, 60) / 30
    sign = -1.0 if width > 0 else 1.0
    wave = sign * np.exp(-((t / abs(width)) ** 2)) + rebound * np.exp(-(((t - when) / 0.2) ** 2))
    return np.asarray(100 * wave)


def _train(dead_s: float, mean_s: float, order: int, n: int = 600) -> NDArray[np.float64]:
    """Spike times without a random generator, whose numbers may change: sums of exponential quantiles."""
    k = np.arange(1, n * order + 1)
    exponential = -np.log1p(-np.mod(k * _GOLDEN + 0.1 * np.mod(k * k * _GOLDEN, 1), 1) * 0.999)
    return np.cumsum(dead_s + (mean_s - dead_s) / order * exponential.reshape(n, order).sum(axis=1))


def _check_answers(model: Model, examples: Any) -> tuple[str, str]:
    if not examples:
        return "not checked", "the model folder holds no answers to compare with"
    if examples.get("units") != EXAMPLE_UNITS:
        return "not checked", f"its answers are about {examples.get('units')!r}, which this version does not make"
    found = model.predict(example_features())
    try:
        stated = np.array(examples["probability"], dtype=np.float64)
        scores = np.array(examples["ood_score"], dtype=np.float64)
        same = list(examples["classes"]) == list(found.classes) and stated.shape == found.probability.shape
        same = same and scores.shape == found.ood_score.shape
    except (KeyError, TypeError, ValueError) as error:
        return "wrong", f"its stored answers cannot be read ({error})"
    if not same or (np.isnan(stated) != np.isnan(found.probability)).any():
        return "wrong", "its stored answers are about other classes or units than it answers now"
    far = float(np.nanmax(np.abs(np.concatenate([(stated - found.probability).ravel(), scores - found.ood_score]))))
    result = "ok" if far <= TOLERANCE else "wrong"
    return result, f"{len(stated)} made-up units, largest difference {far:.1g} (allowed: {TOLERANCE:g})"


def _check_map(model: Model, examples: Any) -> tuple[str, str]:
    found = locate(model, example_features())
    if found is None:
        return "not checked", "the model folder holds no map of its training units"
    n_labs = len(set(found.training_source) - {""})
    what = f"{len(found.training_label)} training units of {n_labs or 'unnamed'} {'lab' if n_labs == 1 else 'labs'}"
    if examples.get("units") != EXAMPLE_UNITS or "map_xy" not in examples:
        return "ok", f"{what}; it states no points to compare with"
    try:
        stated = np.array(examples["map_xy"], dtype=np.float64)
    except (TypeError, ValueError) as error:
        return "wrong", f"its stored points cannot be read ({error})"
    if stated.shape != found.xy.shape or (np.isnan(stated) != np.isnan(found.xy)).any():
        return "wrong", "its stored points are of other units than it draws now"
    far = float(np.nanmax(np.abs(stated - found.xy), initial=0.0))
    result = "ok" if far <= MAP_TOLERANCE else "wrong"
    return result, f"{what}; made-up units, largest difference {far:.1g} (allowed: {MAP_TOLERANCE:g})"


def _check_data(card: Any, data: Sequence[str | Path]) -> tuple[str, str]:
    stated = {str(entry.get("sha256", "")): str(entry.get("name", "")) for entry in card["training_data"]}
    stated.pop("", None)
    if not stated:
        return "not checked", "the card states no hash of a training file"
    if not data:
        return "not checked", f"give the training files to compare {len(stated)} hashes"
    found = {_sha256(file) for one in data for file in _files(Path(one))}
    missing = [name for digest, name in stated.items() if digest not in found]
    if missing:
        return "wrong", f"none of the files given is the {', '.join(missing[:3])} that it was trained on"
    return "ok", f"{len(stated)} files are those that it was trained on"


def _files(path: Path) -> list[Path]:
    return sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}; check the path."
        raise InputError(message) from error


def _plain(values: NDArray[np.float64]) -> list[Any]:
    """Nested lists, `None` where nothing could be said."""
    rows = np.atleast_2d(np.round(values, 6)).tolist()
    plain = [[None if np.isnan(value) else value for value in row] for row in rows]
    return plain if values.ndim > 1 else plain[0]
