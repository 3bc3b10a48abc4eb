"""What a training that was stopped has finished, kept in a folder beside the model until that is written."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import UsageError
from nwb_celltype.replacing import replace_file

STATE_INTERVAL_S = 20.0
"""Seconds between two notes of a network that is being trained."""

_ABOUT = "training.json"
_log = logging.getLogger(__name__)
Arrays = Mapping[str, NDArray[Any]]


@dataclass(eq=False)
class Checkpoints:
    """Arrays of what is finished, by name, of one training: the same data, settings, seed and machine.

    A file is written under another name first, so that a kill leaves the whole file or none.

    Attributes
    ----------
    folder : Path or None
        `None` keeps nothing.
    key : str
        Digest of all that the weights depend on; what another training left behind is thrown away.
    """

    folder: Path | None
    key: str = ""
    _written: dict[str, float] = field(default_factory=dict, repr=False)

    @classmethod
    def beside(cls, out: str | Path, key: str, *, resume: bool = True) -> Checkpoints:
        """Open the folder of a training beside its model: ``.NAME.training``.

        Parameters
        ----------
        out : str or Path
            Folder of the model.
        key : str
        resume : bool
            Whether to go on with what is there.

        Returns
        -------
        Checkpoints

        Raises
        ------
        UsageError
            If the folder cannot be written.
        """
        folder = workplace_of(out)
        made = cls(folder, key)
        try:
            if folder.is_dir() and (not resume or made._key_there() != key):
                shutil.rmtree(folder)
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / _ABOUT).is_file():
                replace_file(folder / _ABOUT, (json.dumps({"key": key}) + "\n").encode())
            elif any(folder.glob("*.safetensors")):
                _log.info("Going on with what is finished in %s.", folder)
        except OSError as error:
            message = f"{folder} cannot be written: {error.strerror or error}. A training keeps there what is finished."
            raise UsageError(message) from error
        return made

    def get(self, name: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
        """Return arrays and plain values that are kept under a name; `None` where there are none, or damaged ones."""
        from safetensors import SafetensorError, safe_open

        path = self._path(name)
        if path is None or not path.is_file():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                about = (file.metadata() or {}).get("about", "{}")
                return {key: file.get_tensor(key) for key in file.keys()}, dict(json.loads(about))  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            _log.warning("%s cannot be read (%s); this part is trained again.", path, error)
            return None

    def put(self, name: str, arrays: Arrays, about: Mapping[str, Any] | None = None) -> None:
        """Keep arrays and plain values under a name, in place of what was there."""
        from safetensors.numpy import save

        path = self._path(name)
        if path is None:
            return
        whole = {key: np.asarray(value, order="C") for key, value in arrays.items()}
        replace_file(path, save(whole, metadata={"about": json.dumps(dict(about or {}))}))
        self._written[name] = time.monotonic()

    def is_due(self, name: str) -> bool:
        """Whether it is time to note the state of something that is under way."""
        if self.folder is None:
            return False
        return time.monotonic() - self._written.setdefault(name, time.monotonic()) >= STATE_INTERVAL_S

    def drop(self, name: str) -> None:
        """Forget what is kept under a name."""
        path = self._path(name)
        if path is not None:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Throw the folder away: the model is written."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{name}.safetensors"

    def _key_there(self) -> str:
        if self.folder is None:
            return ""
        try:
            return str(json.loads((self.folder / _ABOUT).read_text(encoding="utf-8"))["key"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""


def workplace_of(out: str | Path) -> Path:
    """Folder in which a training keeps what is finished.

    Examples
    --------
    >>> workplace_of("/models/mine").as_posix()
    '/models/.mine.training'
    """
    folder = Path(out).absolute()
    return folder.with_name(f".{folder.name}.training")


def key_of(arrays: Arrays, settings: Mapping[str, Any]) -> str:
    """Digest of arrays and plain values, and of the versions of what computes with them.

    Parameters
    ----------
    arrays : mapping of str to array
    settings : mapping
        Anything that JSON can hold.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    from importlib.metadata import version

    from nwb_celltype import __version__

    programs = {"nwb-celltype": __version__, "numpy": np.__version__, "torch": version("torch")}
    digest = hashlib.sha256(json.dumps({"settings": settings, "programs": programs}, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        whole = np.ascontiguousarray(array)
        digest.update(f"|{name}|{whole.dtype.str}|{whole.shape}|".encode())
        digest.update(whole.tobytes())
    return digest.hexdigest()
