"""Model folders: weights, a card that says what they are, a licence; every byte checked before it is used.

A model is a folder with ``model.safetensors`` (all members of the ensemble), ``model.json`` (the card), ``LICENSE``,
and optionally ``training_rows.json`` (hashes of the units it was trained on), ``training_map.safetensors`` (where they
lie among each other) and ``examples.json`` (what it says about made-up units). Nothing in it is executed or unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.nested_text import parse_json
from nwb_celltype.replacing import replace_file, replace_folder
from nwb_celltype.tensor_files import map_tensors, sha256_of_file, write_tensors

WEIGHTS = "model.safetensors"
CARD = "model.json"
LICENCE = "LICENSE"
TRAINING_ROWS = "training_rows.json"
TRAINING_MAP = "training_map.safetensors"
EXAMPLES = "examples.json"
FILES = (WEIGHTS, CARD, LICENCE, TRAINING_ROWS, TRAINING_MAP, EXAMPLES)
"""All that a model folder may hold; the last three are optional."""

_SHIPPED = Path(__file__).parent / "weights"
_REGISTRY = _SHIPPED / "registry.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_FOREIGN = {".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib", ".dill", ".npy", ".npz", ".h5", ".onnx"}
_DTYPES = (np.float32, np.int16, np.int32)
_MAX_NAME = 100
_MAX_BYTES = 512 * 1024 * 1024
_MAX_MAPPED_BYTES = 16 * 1024**3
_MAX_MAP_BYTES = 64 * 1024 * 1024
_PIECE = 1 << 22
_MAX_JSON_BYTES = 64 * 1024 * 1024  # parsed JSON takes many times its size

_REQUIRED: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "version": str,
    "description": str,
    "licence": str,
    "classes": list,
    "feature_spec_version": str,
    "modalities": dict,
    "architecture": dict,
    "training_data": list,
    "metrics": dict,
    "calibration": dict,
    "ood": dict,
    "default_threshold": (int, float),
    "intended_use": str,
    "limits": list,
    "applies_to": dict,
    "weights_sha256": str,
}


@dataclass(frozen=True, eq=False)
class Bundle:
    """What a model folder holds, checked.

    Attributes
    ----------
    path : Path
        The folder.
    card : mapping
        What the model is; see ``docs/model_cerebellum.md`` for the entries.
    tensors : mapping of str to array
        Weights by name.
    weights_sha256 : str
        Sha256 of the weights file.
    training_rows : mapping of str to frozenset of str
        Hashes of the training units by part (``waveform``, ``train``); empty if the folder does not say.
    examples : mapping
        What the model said about made-up units when it was trained; empty if the folder does not say.
    training_map : mapping of str to array
        Where the training units lie, as `nwb_celltype.classifier.training_map` describes; empty if the folder does not
        say.
    """

    path: Path
    card: Mapping[str, Any]
    tensors: Mapping[str, NDArray[Any]]
    weights_sha256: str
    training_rows: Mapping[str, frozenset[str]]
    examples: Mapping[str, Any]
    training_map: Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class ListedModel:
    """One line of the list of models; `origin` is ``shipped`` or ``installed``."""

    name: str
    version: str
    licence: str
    description: str
    classes: tuple[str, ...]
    weights_sha256: str
    licence_file: Path
    origin: str = "shipped"

    def to_json(self) -> dict[str, Any]:
        """Return what `models list --json` prints."""
        return {
            "name": self.name,
            "version": self.version,
            "licence": self.licence,
            "description": self.description,
            "classes": list(self.classes),
            "weights_sha256": self.weights_sha256,
            "licence_file": str(self.licence_file),
            "origin": self.origin,
        }


def models() -> list[ListedModel]:
    """List the models that are at hand, with their licences: those of the package, then those that were imported.

    Returns
    -------
    list of ListedModel

    Raises
    ------
    InputError
        If the card of one of them cannot be read.

    Examples
    --------
    >>> from nwb_celltype.bundles import models
    >>> {model.name: model.licence for model in models()}["cerebellum"]
    'CC-BY-NC-SA-4.0'
    """
    shipped = _registry()
    return [_listed(_SHIPPED / name, "shipped") for name in sorted(shipped)] + [
        _listed(folder, "installed") for folder in _installed() if folder.name not in shipped
    ]


def models_folder() -> Path:
    """Where imported models lie: ``models`` in `$NWB_CELLTYPE_CACHE`, else in the user's data folder."""
    if folder := os.environ.get("NWB_CELLTYPE_CACHE"):
        return Path(folder) / "models"
    import platformdirs

    return Path(platformdirs.user_data_dir("nwb-celltype", appauthor=False)) / "models"


def read_bundle(name_or_path: str | Path) -> Bundle:
    """Read a model folder and check every hash it states.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a model, or path of a model folder. A bare name is looked up among the shipped models first, then
        among the imported ones.

    Returns
    -------
    Bundle

    Raises
    ------
    UsageError
        If there is neither a model nor a folder of that name.
    InputError
        If a file is missing, foreign, damaged, or not the one whose hash was recorded.

    Examples
    --------
    >>> from nwb_celltype.bundles import read_bundle
    >>> read_bundle("cerebellum").card["classes"]
    ['GoC', 'MFB', 'MLI', 'PkC_cs', 'PkC_ss']
    """
    registry = _registry()
    text = str(name_or_path)
    shipped = registry.get(text) if isinstance(name_or_path, str) else None
    folder = _SHIPPED / text if shipped is not None else Path(name_or_path)
    if shipped is None:
        if isinstance(name_or_path, str) and is_model_name(text):
            installed = models_folder() / text
            folder = installed if installed.is_dir() else folder
        _check_folder(folder, text, registry)
    card = read_card(folder)
    weights = None if _is_large(folder / WEIGHTS) else _read_bytes(folder / WEIGHTS)
    weights_sha256 = sha256_of_file(folder / WEIGHTS) if weights is None else hashlib.sha256(weights).hexdigest()
    _check_hash(folder / WEIGHTS, weights_sha256, card["weights_sha256"], "its card")
    if shipped is not None:
        _check_hash(folder / WEIGHTS, weights_sha256, shipped["weights_sha256"], "the list of shipped models")
        _check_hash(folder / CARD, _sha256(folder / CARD), shipped["card_sha256"], "the list of shipped models")
    if not (folder / LICENCE).is_file():
        message = (
            f"{folder} has no {LICENCE} file; a model without its licence is not used. Get the whole folder again."
        )
        raise InputError(message)
    tensors = _tensors(folder / WEIGHTS, weights)
    return Bundle(
        folder,
        card,
        tensors,
        weights_sha256,
        _training_rows(folder, card),
        _examples(folder, card),
        _training_map(folder, card),
    )


def read_card(folder: Path) -> dict[str, Any]:
    """Read ``model.json`` of a model folder and check that it says what every card must say.

    Raises
    ------
    InputError
        If it is missing, no JSON, or incomplete.
    """
    path = folder / CARD
    return check_card(path, _read_bytes(path, _MAX_JSON_BYTES))


def check_card(path: Path, raw: bytes) -> dict[str, Any]:
    """Parse a model card and check that it says what every card must say.

    Parameters
    ----------
    path : Path
        Where it comes from, for the messages.
    raw : bytes
        JSON.

    Returns
    -------
    dict of str to object

    Raises
    ------
    InputError
        If it is too large, no JSON, or incomplete.
    """
    if len(raw) > _MAX_JSON_BYTES:
        message = f"{path} is larger than the {_MAX_JSON_BYTES >> 20} MiB that a card may have. Get the model again."
        raise InputError(message)
    card = _parse(path, raw)
    if not isinstance(card, dict):
        message = f"{path} is not a model card: a JSON object is needed. Get the model again."
        raise InputError(message)
    for key, kind in _REQUIRED.items():
        if key not in card or not isinstance(card[key], kind) or isinstance(card[key], bool):
            message = (
                f"{path} is not a complete model card: `{key}` is missing or of the wrong kind. Get the model again."
            )
            raise InputError(message)
    classes = card["classes"]
    if len(classes) < 2 or len(set(map(str, classes))) < len(classes) or not all(isinstance(c, str) for c in classes):
        message = f"{path}: `classes` must be two or more different names, not {classes}."
        raise InputError(message)
    return card


def save_bundle(
    folder: str | Path,
    *,
    tensors: Mapping[str, NDArray[Any]],
    card: Mapping[str, Any],
    licence_text: str,
    training_rows: Mapping[str, list[str]] | None = None,
    examples: Mapping[str, Any] | None = None,
    training_map: Mapping[str, NDArray[Any]] | None = None,
) -> Path:
    """Write a model folder as a whole; an existing one is only replaced when it is a model folder.

    Parameters
    ----------
    folder : str or Path
    tensors : mapping of str to array
    card : mapping
        ``weights_sha256``, ``training_rows_sha256``, ``examples_sha256`` and ``training_map_sha256`` are added, or
        replaced. ``training_map``, what a map is in words, is left out where there is no map.
    licence_text : str
    training_rows : mapping of str to list of str, optional
        Hashes of the training units by part.
    examples : mapping, optional
        What the model says about made-up units, from `nwb_celltype.verification`.
    training_map : mapping of str to array, optional
        Where the training units lie.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UsageError
        If the folder exists and holds something else, or cannot be made, or the card is no JSON.
    InputError
        If it cannot be written; what was there before is there still.
    """
    from safetensors.numpy import save

    folder = Path(folder)
    check_output(folder)
    full = dict(card)
    for optional in ("training_rows_sha256", "examples_sha256", "training_map_sha256"):
        full.pop(optional, None)
    files = {LICENCE: licence_text.encode()}
    if training_rows is not None:
        rows = json.dumps({part: sorted(hashes) for part, hashes in training_rows.items()}, indent=0).encode()
        full["training_rows_sha256"] = hashlib.sha256(rows).hexdigest()
        files[TRAINING_ROWS] = rows
    if examples is not None:
        said = (json.dumps(examples, indent=1, allow_nan=False) + "\n").encode()
        full["examples_sha256"] = hashlib.sha256(said).hexdigest()
        files[EXAMPLES] = said
    if training_map:
        places = save({name: np.ascontiguousarray(value) for name, value in sorted(training_map.items())})
        full["training_map_sha256"] = hashlib.sha256(places).hexdigest()
        files[TRAINING_MAP] = places
    else:
        full.pop("training_map", None)
    _card_text(full, folder)  # before anything is written

    def fill(new: Path) -> None:
        if sum(value.nbytes for value in tensors.values()) > _MAX_BYTES:
            full["weights_sha256"] = write_tensors(new / WEIGHTS, tensors)
        else:
            weights = save({name: np.ascontiguousarray(value) for name, value in sorted(tensors.items())})
            full["weights_sha256"] = hashlib.sha256(weights).hexdigest()
            (new / WEIGHTS).write_bytes(weights)
        for name, data in {**files, CARD: _card_text(full, folder)}.items():
            (new / name).write_bytes(data)

    try:
        replace_folder(folder, fill)
    except OSError as error:
        message = f"{folder} cannot be written: {error.strerror or error}. Make room, or name another place."
        raise InputError(message) from error
    return folder


def _card_text(card: Mapping[str, Any], folder: Path) -> bytes:
    try:
        return (json.dumps(card, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        message = f"The card of {folder} cannot be written as JSON ({error}); give it finite numbers and plain values."
        raise UsageError(message) from error


def check_output(folder: str | Path) -> None:
    """Refuse to write a model where something else lies.

    Raises
    ------
    UsageError
        If the path is a file, lies where no folder can be made, or is a folder with other things in it than a model.
    """
    folder = Path(folder)
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if existing != folder.absolute() and not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        message = f"{folder} cannot be made: {existing} is no folder that may be written to. Name another place."
        raise UsageError(message)
    if folder.exists() and not folder.is_dir():
        message = f"{folder} is a file; name a new folder for the model."
        raise UsageError(message)
    strange = {p.name for p in folder.iterdir()} - {*FILES} if folder.is_dir() else set()
    if strange:
        message = f"{folder} holds other files ({', '.join(sorted(strange)[:3])}); name a new or a model folder."
        raise UsageError(message)


def register(name: str) -> None:
    """Record the hashes of the shipped model `name`, after it was trained anew."""
    card = read_card(_SHIPPED / name)
    entry = {
        "version": card["version"],
        "weights_sha256": _sha256(_SHIPPED / name / WEIGHTS),
        "card_sha256": _sha256(_SHIPPED / name / CARD),
    }
    registry = {**_registry(), name: entry}
    replace_file(_REGISTRY, (json.dumps(dict(sorted(registry.items())), indent=2) + "\n").encode())


def shipped_folder(name: str) -> Path:
    """Return the folder of a shipped model inside the package."""
    return _SHIPPED / name


def shipped_models() -> tuple[str, ...]:
    """Names of the models that come with the package."""
    return tuple(sorted(_registry()))


def is_model_name(text: str) -> bool:
    """Whether a text can be the name of a model: lower-case letters, digits, ``_``, ``.`` and ``-``."""
    return len(text) <= _MAX_NAME and _NAME.fullmatch(text) is not None


def _installed() -> list[Path]:
    folder = models_folder()
    return (
        sorted(one for one in folder.iterdir() if is_model_name(one.name) and one.is_dir()) if folder.is_dir() else []
    )


def _listed(folder: Path, origin: str) -> ListedModel:
    card = read_card(folder)
    return ListedModel(
        name=folder.name,
        version=card["version"],
        licence=card["licence"],
        description=card["description"],
        classes=tuple(card["classes"]),
        weights_sha256=card["weights_sha256"],
        licence_file=folder / LICENCE,
        origin=origin,
    )


def _registry() -> dict[str, dict[str, str]]:
    if not _REGISTRY.is_file():
        return {}
    registry: dict[str, dict[str, str]] = json.loads(_REGISTRY.read_text(encoding="utf-8"))
    return registry


def _check_folder(folder: Path, text: str, registry: Mapping[str, object]) -> None:
    known = ", ".join(sorted(registry)) or "none"
    installed = ", ".join(one.name for one in _installed())
    known += f"; imported: {installed}" if installed else ""
    if os.path.isfile(folder):  # unlike `Path.is_file`, takes any text, however long
        kind = "a pickle or a foreign weights file" if folder.suffix.lower() in _FOREIGN else "a file"
        message = f"{folder} is {kind}; a model is a folder with {WEIGHTS} and {CARD}, and nothing else is loaded."
        raise InputError(message)
    if not os.path.isdir(folder):
        what = "model" if _NAME.fullmatch(text) else "model folder"
        message = f"There is no {what} {text!r}; shipped models: {known}. Give one of them, or the path of a folder."
        raise UsageError(message)
    missing = [name for name in (CARD, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        message = f"{folder} is not a model folder: {' and '.join(missing)} not found. Pickled models are never loaded."
        raise InputError(message)


def _is_large(path: Path) -> bool:
    """Whether a weights file is mapped instead of read; ensembles of thousands of networks are larger than memory."""
    return path.is_file() and _MAX_BYTES < path.stat().st_size <= _MAX_MAPPED_BYTES


def _tensors(path: Path, data: bytes | None) -> dict[str, NDArray[Any]]:
    """Tensors of the bytes of a file, or of the file itself where it is large."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors: dict[str, NDArray[Any]] = map_tensors(path) if data is None else load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        message = f"{path} is not a readable safetensors file ({error}); get the model again."
        raise InputError(message) from error
    for name, value in tensors.items():
        if value.dtype not in _DTYPES or not _is_finite(value):
            message = (
                f"{path}: tensor {name!r} is not finite float32 or whole numbers; the model is damaged, get it again."
            )
            raise InputError(message)
    return tensors


def _is_finite(value: NDArray[Any]) -> bool:
    """Whether all numbers are finite; in pieces, because the array may be a file larger than memory."""
    flat = value.reshape(-1)
    return all(bool(np.isfinite(flat[i : i + _PIECE]).all()) for i in range(0, flat.size, _PIECE))


def _training_rows(folder: Path, card: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    stated = card.get("training_rows_sha256")
    if stated is None:
        return {}
    path = folder / TRAINING_ROWS
    raw = _read_bytes(path, _MAX_JSON_BYTES)
    _check_hash(path, hashlib.sha256(raw).hexdigest(), str(stated), "its card")
    try:
        return {str(part): frozenset(map(str, rows)) for part, rows in _parse(path, raw).items()}
    except (AttributeError, TypeError) as error:
        message = f"{path} is not a list of hashes ({error}); get the model again."
        raise InputError(message) from error


def _examples(folder: Path, card: Mapping[str, Any]) -> dict[str, Any]:
    stated = card.get("examples_sha256")
    if stated is None:
        return {}
    path = folder / EXAMPLES
    raw = _read_bytes(path, _MAX_JSON_BYTES)
    _check_hash(path, hashlib.sha256(raw).hexdigest(), str(stated), "its card")
    said = _parse(path, raw)
    if not isinstance(said, dict):
        message = f"{path} holds no predictions; get the model again."
        raise InputError(message)
    if said.get("classes", card["classes"]) != card["classes"]:
        message = (
            f"{path} says that the model answers {said['classes']!r:.200}, and its card {card['classes']!r:.200}; one "
            "of the two is not its author's. Get the model again."
        )
        raise InputError(message)
    return said


def _training_map(folder: Path, card: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    stated = card.get("training_map_sha256")
    if stated is None:
        return {}
    path = folder / TRAINING_MAP
    raw = _read_bytes(path, _MAX_MAP_BYTES)
    _check_hash(path, hashlib.sha256(raw).hexdigest(), str(stated), "its card")
    return _tensors(path, raw)


def _check_hash(path: Path, found: str, expected: str, where: str) -> None:
    if found != expected:
        message = (
            f"{path} has sha256 {found[:12]}..., but {where} says {expected[:12]}...: "
            "the file was changed or damaged. Get the model again."
        )
        raise InputError(message)


def _sha256(path: Path) -> str:
    return hashlib.sha256(_read_bytes(path)).hexdigest()


def _parse(path: Path, raw: bytes) -> Any:
    try:
        return parse_json(raw, parse_constant=_no_constant)
    except ValueError as error:
        message = f"{path} is not valid JSON ({error}); get the model again."
        raise InputError(message) from error


def _read_bytes(path: Path, most: int = _MAX_BYTES) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > most:
            message = f"{path} is no file of at most {most >> 20} MiB, as those of a model are. Get the model again."
            raise InputError(message)
        return path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}. Get the model again."
        raise InputError(message) from error


def _no_constant(name: str) -> float:
    message = f"{name} is not a number"
    raise ValueError(message)
