"""Models as single files: export one, import one that somebody sent, and say in words what its card says."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nwb_celltype.bundles import (
    CARD,
    FILES,
    LICENCE,
    WEIGHTS,
    check_card,
    check_output,
    is_model_name,
    models_folder,
    read_bundle,
    read_card,
    shipped_models,
)
from nwb_celltype.errors import InputError, RefusedError, UsageError
from nwb_celltype.replacing import replace_file, replace_folder, tidy_within
from nwb_celltype.verification import verify_model

MANIFEST = "SHA256SUMS"
"""Hashes of the other files of an archive, as `sha256sum -c` reads them."""

_MAX_BYTES = 512 * 1024 * 1024
_SUFFIX = ".zip"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_PICKLED = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib", ".dill")
_FOREIGN = (".h5", ".hdf5", ".onnx", ".npy", ".npz", ".tar", ".gz", ".safetensors")
_PICKLE_MAGIC = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_OF_CLASSES = ("_by_class", "per_class")


@dataclass(frozen=True)
class StoredModel:
    """A model that was exported or imported; `sha256` is that of the archive, empty for an imported folder."""

    name: str
    version: str
    licence: str
    path: Path
    sha256: str
    is_new: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return what `models import --json` and `models export --json` print."""
        return {**vars(self), "path": str(self.path)}


def export_model(name_or_path: str | Path, out: str | Path | None = None, *, overwrite: bool = False) -> StoredModel:
    """Put a model into one file, checked before and the same, byte by byte, whenever it is done.

    Parameters
    ----------
    name_or_path : str or Path
        As for `nwb_celltype.load_model`.
    out : str or Path, optional
        A ``.zip``, or a folder to put it in; ``NAME-VERSION.zip`` in the working folder by default.
    overwrite : bool

    Returns
    -------
    StoredModel

    Raises
    ------
    UsageError
        If there is no such model, or the file exists and may not be overwritten.
    InputError
        If the model is damaged.

    Examples
    --------
    >>> from nwb_celltype.model_store import export_model
    >>> export_model("cerebellum").path  # doctest: +SKIP
    PosixPath('cerebellum-1.zip')
    """
    checked = verify_model(name_or_path)
    if not checked.is_sound:
        wrong = "; ".join(note for _, result, note in checked.checks if result == "wrong")
        message = f"{checked.path} is not exported, because it does not do what its author's did: {wrong}."
        raise InputError(message)
    card = read_bundle(name_or_path).card
    target = Path(out) if out is not None else Path()
    if target.is_dir():
        target = target / f"{card['name']}-{card['version']}{_SUFFIX}".replace("/", "_")
    if target.suffix.lower() != _SUFFIX:
        message = f"{target} has no name that ends in {_SUFFIX}; a model is exported as one such file."
        raise UsageError(message)
    if target.exists() and not overwrite:
        message = f"{target} exists; name another file, or allow it to be overwritten."
        raise UsageError(message)
    files = {name: (checked.path / name).read_bytes() for name in FILES if (checked.path / name).is_file()}
    data = _archive(files)
    try:
        replace_file(target, data)
    except OSError as error:
        message = f"{target} cannot be written: {error.strerror or error}. Name another place."
        raise UsageError(message) from error
    return StoredModel(
        str(card["name"]), str(card["version"]), str(card["licence"]), target, hashlib.sha256(data).hexdigest()
    )


def import_model(
    source: str | Path, *, name: str | None = None, sha256: str | None = None, replace: bool = False
) -> StoredModel:
    """Take in a model that somebody exported, after checking everything; from then on it is used by its name.

    Parameters
    ----------
    source : str or Path
        A file from `export_model`, or a model folder.
    name : str, optional
        Name to use it by; the one on its card by default.
    sha256 : str, optional
        What the file's hash must be.
    replace : bool
        Put it in the place of another imported model of that name.

    Returns
    -------
    StoredModel

    Raises
    ------
    RefusedError
        If it is a pickle, or holds anything that a model does not consist of, or is not what its author exported.
    InputError
        If it cannot be read, or is damaged.
    UsageError
        If the name is taken or no name.

    Examples
    --------
    >>> from nwb_celltype.model_store import import_model
    >>> import_model("pons-1.zip").name  # doctest: +SKIP
    'pons'
    """
    source = Path(source)
    files, digest = _read(source)
    if sha256 is not None and digest != sha256.strip().lower():
        what = f"has sha256 {digest}" if digest else "is a folder, which has no hash"
        message = f"{source} {what}, not the {sha256} that was asked for; get it again from its author."
        raise InputError(message)
    return _take_in(source, files, name, digest, replace=replace)


def import_c4(
    sources: Sequence[str | Path], *, variant: str = "base", name: str = "c4", replace: bool = False
) -> StoredModel:
    """Take in the published weights of C4 from files that were fetched before; see `nwb_celltype.c4.import_published`.

    Parameters
    ----------
    sources : sequence of paths
    variant : {'base', 'layer', 'mli_clustering'}
    name : str
        Name to use it by.
    replace : bool
        Put it in the place of another imported model of that name.

    Returns
    -------
    StoredModel

    Raises
    ------
    RefusedError
        If a file holds anything but tensors.
    InputError
        If a file cannot be read, or they do not belong together.
    UsageError
        If the name is taken or no name.
    """
    from nwb_celltype.c4 import import_published

    place = models_folder() / _checked_name(name, " and ".join(map(str, sources)))
    if place.exists() and not replace:
        message = f"There is a model {name!r} in {place}; give this one another name, or replace that one."
        raise UsageError(message)

    def fill(new: Path) -> None:
        work = new / "model"  # what it writes beside the model goes with the folder, should it be killed
        import_published([Path(one) for one in sources], out=work, name=name, variant=variant)
        for file in work.iterdir():
            file.rename(new / file.name)
        work.rmdir()

    _fill_place(place, fill)
    card = read_card(place)
    return StoredModel(name, str(card["version"]), str(card["licence"]), place, "")


def card_text(card: Mapping[str, Any]) -> str:
    """Say in words what a model card says, figures and their protocols included.

    Parameters
    ----------
    card : mapping
        ``model.json``.

    Returns
    -------
    str
        Several lines.

    Examples
    --------
    >>> from nwb_celltype import load_model
    >>> from nwb_celltype.model_store import card_text
    >>> card_text(load_model("cerebellum").card).splitlines()[1]
    'LICENCE: CC-BY-NC-SA-4.0'
    """
    lines = [f"{card['name']} {card['version']}", f"LICENCE: {card['licence']}", "", str(card["description"]), ""]
    lines += [f"classes: {', '.join(card['classes'])}"]
    lines += [f"looks at: {', '.join(card['modalities'])} (features of version {card['feature_spec_version']})"]
    lines += [f"kind: {card['architecture'].get('kind', 'unknown')}"]
    lines += [f"answers from a calibrated probability of {card['default_threshold']:g} on"]
    lines += [f"made: {card['created']}"] if "created" in card else []
    lines += ["", f"intended use: {card['intended_use']}"]
    scope = [f"{key.replace('_', ' ')}: {_words(value)}" for key, value in card["applies_to"].items()]
    lines += [f"applies to: {'; '.join(scope)}"] if scope else []
    lines += ["", "limits:", *(f"  - {limit}" for limit in card["limits"])] if card["limits"] else []
    lines += ["", "trained on:"]
    for entry in card["training_data"]:
        used = ", ".join(f"{n} {label}" for label, n in dict(entry.get("n_used", {})).items())
        where = " ".join(str(entry[key]) for key in ("lab", "species") if entry.get(key))
        about = [part for part in (where, used, entry.get("licence", ""), entry.get("citation", "")) if part]
        lines.append(f"  - {entry.get('name', 'units')}: {'; '.join(map(str, about))}")
        if entry.get("sha256"):
            lines.append(f"    sha256 {entry['sha256']}")
    for name, figures in card["metrics"].items():
        lines += ["", f"measured, {name}:", *_figures(figures)]
    lines += ["", f"weights sha256: {card['weights_sha256']}"]
    lines += ["", "references:", *(f"  - {one}" for one in card["references"])] if card.get("references") else []
    return "\n".join(lines)


def figures_text(figures: Mapping[str, Any]) -> str:
    """Lines of the nested figures of a card."""
    return "\n".join(_figures(figures))


def _take_in(source: Path, files: Mapping[str, bytes], name: str | None, digest: str, *, replace: bool) -> StoredModel:
    """Check the files of a model in a folder of their own beside its place, and let that take the place."""
    card = check_card(source / CARD, files[CARD])
    own = _checked_name(name or str(card["name"]), str(source))
    place = models_folder() / own
    taken = StoredModel(own, str(card["version"]), str(card["licence"]), place, digest)
    check_output(place)
    is_same = place.is_dir() and _held(place) == sorted(files)
    if is_same and all((place / member).read_bytes() == data for member, data in files.items()):
        _require_sound(place, source)
        return dataclasses.replace(taken, is_new=False)

    def fill(new: Path) -> None:
        for member, data in files.items():
            (new / member).write_bytes(data)
        _require_sound(new, source)
        if place.exists() and not replace:  # also one that came meanwhile
            message = f"There is another model {own!r} in {place}; give this one another name, or replace that one."
            raise UsageError(message)

    _fill_place(place, fill)
    return taken


def _require_sound(folder: Path, source: Path) -> None:
    """Raise unless a model is whole and answers as it did where it was made; messages name where it came from."""
    try:
        checked = verify_model(folder)
    except InputError as error:
        raise InputError(str(error).replace(str(folder), str(source))) from error
    wrong = [note for _, result, note in checked.checks if result == "wrong"]
    if wrong:
        message = f"{source} does not answer as its author's model did: {'; '.join(wrong)}. Get it again."
        raise RefusedError(message)


def _fill_place(place: Path, fill: Callable[[Path], None]) -> None:
    """Let a model take its place in the store as a whole; what killed calls left in the store is tidied up."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        tidy_within(place.parent)
        replace_folder(place, fill)
    except OSError as error:
        message = (
            f"Models cannot be kept in {place.parent}: {error.strerror or error}. Make room, or set NWB_CELLTYPE_CACHE "
            "to another folder."
        )
        raise UsageError(message) from error


def _checked_name(name: str, source: str) -> str:
    if not is_model_name(name):
        message = f"{name!r} is no name of a model: lower-case letters, digits, '_', '.' and '-'. Give it another."
        raise UsageError(message)
    if name in shipped_models():
        message = f"{name!r} is the name of a model that is shipped; import {source} under another name."
        raise UsageError(message)
    return name


def _held(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def _archive(files: Mapping[str, bytes]) -> bytes:
    """Files and their hashes as a ``.zip`` without times or compression, which would differ between machines."""
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted({**files, MANIFEST: sums.encode()}.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, data)
    return buffer.getvalue()


def _read(source: Path) -> tuple[dict[str, bytes], str]:
    """Files of a model, none else, by name; and the hash of the archive, empty for a folder."""
    if source.is_dir():
        strange = sorted(set(_held(source)) - {*FILES, MANIFEST})
        if strange:
            message = _not_a_model(source, f"it holds {', '.join(strange[:3])}")
            raise RefusedError(message)
        files = {one: _bytes_of(source / one) for one in _held(source) if one != MANIFEST}
        return _whole(source, files), ""
    data = _bytes_of(source)
    if data[:2] in _PICKLE_MAGIC or source.suffix.lower() in _PICKLED:
        message = _not_a_model(source, "it is a pickle, which runs whatever its author wrote into it when it is read")
        raise RefusedError(message)
    if not zipfile.is_zipfile(io.BytesIO(data)) or source.suffix.lower() in _FOREIGN:
        message = _not_a_model(source, "it is no archive that this toolkit exported")
        raise RefusedError(message)
    try:
        return _unpack(source, data), hashlib.sha256(data).hexdigest()
    except (  # what `zipfile` raises on damaged bytes, depending on where the damage is
        zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError,
    ) as error:  # fmt: skip
        message = f"{source} is a damaged archive ({error}); get it again from its author."
        raise InputError(message) from error


def _unpack(source: Path, data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        pickled = [n for n in names if n.lower().endswith((".pkl", ".pickle", ".pt", ".pth"))]
        if pickled:
            message = _not_a_model(
                source, f"it holds the pickle {pickled[0]}, which could run anything when it is read"
            )
            raise RefusedError(message)
        strange = sorted(set(names) - {*FILES, MANIFEST})
        if strange or len(names) != len(set(names)):
            message = _not_a_model(source, f"it holds {strange[0]!r}" if strange else "it holds a file twice")
            raise RefusedError(message)
        if any((member.external_attr >> 16) & 0o170000 not in (0, 0o100000) for member in members):
            message = _not_a_model(source, "it holds a link or a device")
            raise RefusedError(message)
        if sum(member.file_size for member in members) > _MAX_BYTES:
            message = _not_a_model(source, f"it unpacks to more than {_MAX_BYTES >> 20} MiB")
            raise RefusedError(message)
        files = {member.filename: archive.read(member) for member in members}
    sums = files.pop(MANIFEST, None)
    files = _whole(source, files)
    if sums is None:
        message = _not_a_model(source, f"it has no {MANIFEST}")
        raise RefusedError(message)
    lines = [line.partition("  ") for line in sums.decode("utf-8", "replace").splitlines()]
    stated = {name: digest for digest, _, name in lines}
    for name, content in files.items():
        if stated.get(name) != hashlib.sha256(content).hexdigest():
            message = f"{source}: {name} is not the file whose hash {MANIFEST} states; get it again from its author."
            raise InputError(message)
    return files


def _whole(source: Path, files: dict[str, bytes]) -> dict[str, bytes]:
    missing = [name for name in (CARD, WEIGHTS, LICENCE) if name not in files]
    if missing:
        message = _not_a_model(source, f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
        raise RefusedError(message)
    return files


def _not_a_model(source: Path, why: str) -> str:
    return (
        f"{source} is not taken in: {why}. A model consists of {WEIGHTS}, {CARD} and {LICENCE}, put into one file by "
        "`nwb-celltype models export`; nothing else is loaded."
    )


def _bytes_of(path: Path) -> bytes:
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            message = f"{path} is no file of at most {_MAX_BYTES >> 20} MiB; check the path."
            raise InputError(message)
        return path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}; check the path."
        raise InputError(message) from error


def _figures(figures: Mapping[str, Any], indent: str = "  ", *, of_classes: bool = False) -> list[str]:
    """Lines of nested figures: the numbers of a mapping in one line, what is nested in it below.

    Below ``..._by_class`` and ``per_class`` stand names of classes, which are written as they are.
    """
    lines: list[str] = []
    for name, value in figures.items():
        words = str(name) if of_classes else str(name).replace("_", " ")
        if not isinstance(value, Mapping):
            lines.append(f"{indent}{words}: {_words(value)}")
            continue
        holds_classes = str(name).endswith(_OF_CLASSES)
        plain = {key: one for key, one in value.items() if not isinstance(one, Mapping | str) and not _is_table(one)}
        keys = {key: str(key) if holds_classes else str(key).replace("_", " ") for key in value}
        said = ", ".join(f"{keys[key]} {_words(one)}" for key, one in plain.items())
        lines.append(f"{indent}{words}: {said}".rstrip())
        lines += [f"{indent}  {keys[key]}: {'; '.join(map(_row, one))}" for key, one in value.items() if _is_table(one)]
        rest = {key: one for key, one in value.items() if isinstance(one, Mapping | str)}
        lines += _figures(rest, indent + "  ", of_classes=holds_classes)
    return lines


def _is_table(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _row(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{str(key).replace('_', ' ')} {_words(one)}" for key, one in row.items())


def _words(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".") if abs(value) < 100 else f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    return str(value)
