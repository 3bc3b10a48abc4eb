"""Published weights of the C4 classifier, downloaded by the user, made into one model folder: tensors, no pickles."""

from __future__ import annotations

import gzip
import io
import pickle
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.c4.laplace import Curvature, prior_precision
from nwb_celltype.c4.model import KIND
from nwb_celltype.c4.recipe import CLASSES, REFERENCES, c4_card, load_c4
from nwb_celltype.classifier import Model
from nwb_celltype.errors import InputError, RefusedError, UsageError
from nwb_celltype.features.dataset import Progress

_PT = (".pt", ".pth")
_MAX_BYTES = 256 * 1024 * 1024
_PIECE = 1 << 24
_MAX_UNPACKED_BYTES = 16 << 30
_IGNORED = re.compile(r"num_batches_tracked$")
_LICENCE = "GPL-3.0-only"
_LICENCE_TEXT = """The weights in this folder were published by the authors of the C4 classifier (Beau et al.,
Cell 2025, doi:10.1016/j.cell.2025.01.041), who distribute them as part of NeuroPyxels under the GNU General
Public License, version 3. They were trained on the C4 database, whose data are CC BY-NC-SA 4.0. They were
converted from the authors' files on this machine; nwb-celltype does not distribute them.
"""


@dataclass(frozen=True)
class _File:
    """A file of an archive: its name, and how its bytes are read."""

    name: str
    read: Callable[[], bytes]


def import_published(
    archive: str | Path | Sequence[str | Path],
    *,
    out: str | Path,
    name: str = "c4",
    variant: str = "base",
    version: str = "1",
    progress: Progress | None = None,
) -> Model:
    """Make a model folder of published C4 weights: the state of every network and the file of their curvatures.

    Files are read with torch's reader that accepts tensors alone; nothing in them is executed. The prior precision of
    each network is chosen by marginal likelihood, as the published classifier does when it is first used.

    Parameters
    ----------
    archive : str or Path, or several
        ``.tar.gz``, ``.tar`` or ``.zip`` archive, or folder, with one ``.pt`` file a network and one whose name has
        ``hessian`` in it; or the archive of the networks and the file of the curvatures. Networks are taken in natural
        order of their names, which is the order of the curvatures.
    out : str or Path
        Folder of the model.
    name, version : str
    variant : {'base', 'layer', 'mli_clustering'}
        Which of the published classifiers this is: its classes in their order.
    progress : callable, optional

    Returns
    -------
    Model

    Raises
    ------
    UsageError
        If the variant is unknown, or the folder holds something else.
    InputError
        If a file cannot be read, networks and curvatures do not match, or they are of another variant.
    RefusedError
        If a file holds anything but tensors.

    Examples
    --------
    >>> import_published("trained_models.tar.gz", out="c4", variant="base")  # doctest: +SKIP
    """
    from nwb_celltype.bundles import check_output, save_bundle
    from nwb_celltype.c4.ensemble import shapes
    from nwb_celltype.tensor_files import create_tensors

    if variant not in CLASSES:
        message = f"There is no variant {variant!r}; there are {', '.join(CLASSES)}."
        raise UsageError(message)
    check_output(out)
    sources = [archive] if isinstance(archive, str | Path) else list(archive)
    with _opened(sources) as files:
        hessians = [file for file in files if "hessian" in Path(file.name).name.lower()]
        networks = [file for file in files if file not in hessians]
        where = " and ".join(map(str, sources))
        if not networks or len(hessians) != 1:
            message = (
                f"{where} holds {len(networks)} .pt files of networks and {len(hessians)} of curvatures (hessians.pt); "
                "one or more and exactly one are needed. Give the archive that the authors offer for this variant."
            )
            raise InputError(message)
        curvatures = _curvatures(hessians[0])
        if len(curvatures) != len(networks):
            message = (
                f"{where} holds {len(networks)} networks and {len(curvatures)} curvatures; they do not belong "
                "together. Get both from the same place."
            )
            raise InputError(message)
        has_layer = variant == "layer"
        wanted = shapes(len(networks), len(CLASSES[variant]), has_layer=has_layer)
        parent = Path(out).absolute().parent
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".c4-import-") as work:
            tensors = create_tensors(Path(work) / "tensors.safetensors", wanted)
            for i, (file, curvature) in enumerate(zip(networks, curvatures, strict=True)):
                _put(tensors, i, file, curvature, hessians[0].name)
                if progress is not None:
                    progress("networks", i + 1, len(networks))
            card = c4_card(
                name=name,
                version=version,
                variant=variant,
                classes=CLASSES[variant],
                n_networks=len(networks),
                has_layer=has_layer,
                licence=_LICENCE,
                description=f"The published C4 classifier, variant {variant}, converted from its authors' files.",
                training_data=[
                    {"name": "C4 database", "sha256": "", "licence": "CC-BY-NC-SA-4.0", "citation": REFERENCES[0]}
                ],
                training={"imported_from": [Path(source).name for source in sources], "kind": KIND},
                metrics={},
            )
            save_bundle(out, tensors=tensors, card=card, licence_text=_LICENCE_TEXT)
    return load_c4(out)


def _put(tensors: Mapping[str, NDArray[np.float32]], i: int, file: _File, curvature: Curvature, where: str) -> None:
    """Put a network and its curvature into row `i`."""
    state = _load(file)
    if not isinstance(state, Mapping):
        message = f"{file.name} holds a {type(state).__name__}, no state of a network; get the published files again."
        raise InputError(message)
    found = {f"network.{key}": value for key, value in state.items() if not _IGNORED.search(str(key))}
    expected = {name for name in tensors if name.startswith("network.")}
    if set(found) != expected:
        wrong = sorted(set(found) ^ expected)[0].removeprefix("network.")
        message = f"{file.name} is no network of this variant: parameter {wrong!r} is missing or one too many."
        raise InputError(message)
    for key, value in found.items():
        _set(tensors, key, i, _array(value, file.name, key), file.name)
    for key, value in vars(curvature).items():
        _set(tensors, f"last_layer.{key}", i, value, where)
    weights = [tensors[f"network.fc2.{part}"][i].astype(np.float64) for part in ("weight", "bias")]
    squared = float(sum((w**2).sum() for w in weights))
    tensors["last_layer.precision"][i] = prior_precision(curvature, squared)


def _set(tensors: Mapping[str, NDArray[np.float32]], key: str, i: int, value: NDArray[np.floating], where: str) -> None:
    place = tensors[key]
    if value.shape != place.shape[1:] or not np.isfinite(value).all():
        message = (
            f"{where}: {key.partition('.')[2]} has shape {value.shape}, {place.shape[1:]} finite numbers are needed: "
            "it is of another variant (`variant`), or damaged."
        )
        raise InputError(message)
    place[i] = value


def _curvatures(file: _File) -> list[Curvature]:
    """Eigenvalues and eigenvectors of weight and bias of the last layer, network by network."""
    loaded = _load(file)
    if not isinstance(loaded, Sequence) or not loaded:
        message = f"{file.name} holds no list of curvatures; get the published files again."
        raise InputError(message)
    found = []
    for k, one in enumerate(loaded):
        try:
            (values, input_values), (bias_values,) = one["eigenvalues"]
            (vectors, input_vectors), (bias_vectors,) = one["eigenvectors"]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            message = f"{file.name}, entry {k}: eigenvalues and eigenvectors of weight and bias are needed ({error!r})."
            raise InputError(message) from error
        parts = (values, vectors, input_values, input_vectors, bias_values, bias_vectors)
        found.append(Curvature(*(_array(each, file.name, f"entry {k}").astype(np.float64) for each in parts)))
    return found


def _array(value: Any, where: str, what: str) -> NDArray[np.floating]:
    import torch

    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        message = f"{where}: {what} is no tensor of floating-point numbers; get the published files again."
        raise InputError(message)
    return np.asarray(value.detach().float().numpy())


def _load(file: _File) -> Any:
    """Read a file of tensors; anything else in it is refused."""
    import torch

    try:
        return torch.load(io.BytesIO(file.read()), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = re.sub(r"\s+", " ", str(error)).strip()
        stated = re.search(r"(Unsupported \w+[^.]*|GLOBAL [\w.]+)", reason)
        message = (
            f"{file.name} holds more than tensors and is refused: to load it could run code "
            f"({(stated[0] if stated else reason)[:160]}). Use the state dictionaries (.pt) that the authors publish."
        )
        raise RefusedError(message) from error
    except (RuntimeError, EOFError, OSError, LookupError, ValueError, TypeError, AttributeError) as error:  # torn files
        message = f"{file.name} cannot be read as tensors ({str(error)[:160]}); download it again."
        raise InputError(message) from error


@contextmanager
def _opened(sources: Sequence[str | Path]) -> Iterator[list[_File]]:
    """Every ``.pt`` file of archives and folders, in natural order; read in place, nothing is unpacked to disk."""
    with ExitStack() as opened:
        files = [file for source in map(Path, sources) for file in _files_in(source, opened)]
        yield sorted(files, key=lambda file: _natural(file.name))


def _files_in(source: Path, opened: ExitStack) -> list[_File]:
    try:
        if source.is_dir():
            paths = [p for p in source.rglob("*") if p.suffix.lower() in _PT and p.is_file()]
            return [_File(str(p), _bounded(str(p), p.stat().st_size, p.read_bytes)) for p in paths]
        if source.suffix.lower() in _PT:
            return [_File(str(source), _bounded(str(source), source.stat().st_size, source.read_bytes))]
        # Tar before zip: a tar whose last member is a .pt file ends as a zip file does.
        if source.is_file() and tarfile.is_tarfile(source):
            tape = _tape(source, opened)
            return [
                _File(m.name, _bounded(m.name, m.size, partial(_member, tape, m)))
                for m in tape.getmembers()
                if m.isfile() and Path(m.name).suffix.lower() in _PT
            ]
        if zipfile.is_zipfile(source):
            packed = opened.enter_context(zipfile.ZipFile(source))
            return [
                _File(i.filename, _bounded(i.filename, i.file_size, partial(packed.read, i)))
                for i in packed.infolist()
                if Path(i.filename).suffix.lower() in _PT
            ]
    except (OSError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        message = f"{source} cannot be read ({error}); download it again."
        raise InputError(message) from error
    message = f"{source} is no .tar, .tar.gz or .zip archive, folder or .pt file; give what the authors offer."
    raise InputError(message)


def _tape(source: Path, opened: ExitStack) -> tarfile.TarFile:
    """Open a tar archive so that its members can be read in any order without decompressing it again and again."""
    with source.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    if not is_gzip:
        return opened.enter_context(tarfile.open(source))
    plain = opened.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - closed with the rest
    left = _MAX_UNPACKED_BYTES
    with gzip.open(source) as packed:
        while piece := packed.read(_PIECE):
            left -= len(piece)
            if left < 0:
                message = (
                    f"{source} unpacks to more than {_MAX_UNPACKED_BYTES >> 30} GiB, which the published weights do "
                    "not; download it again."
                )
                raise RefusedError(message)
            plain.write(piece)
    plain.seek(0)
    return opened.enter_context(tarfile.open(fileobj=plain))


def _member(tape: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tape.extractfile(member)
    return b"" if file is None else file.read()


def _bounded(name: str, size: int, read: Callable[[], bytes]) -> Callable[[], bytes]:
    def bounded() -> bytes:
        if size > _MAX_BYTES:
            message = f"{name} has {size >> 20} MiB, more than a file of the published weights can have."
            raise RefusedError(message)
        return read()

    return bounded


def _natural(text: str) -> tuple[tuple[int, int, str], ...]:
    parts = re.findall(r"\d+|\D+", text)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)
