"""Whether a local file is what the archive says it is."""

from __future__ import annotations

import hashlib
from pathlib import Path

from nwb_celltype.errors import InputError


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(_unreadable(path, error)) from error


def is_same(path: Path, *, size: int, sha256: str, etag: str) -> bool:
    """Whether a file has the size and the digest that the archive states; without a digest it is not known to be.

    Parameters
    ----------
    path : Path
    size : int
        Bytes.
    sha256, etag : str
        Empty where the archive has none; SHA-256 is computed a while after upload, the other at once.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    if not path.is_file() or path.stat().st_size != size:
        return False
    if sha256:
        return sha256_of(path) == sha256
    if not etag:
        return False
    from nwb_celltype.archive.downloads import dandi_etag

    try:
        return dandi_etag(path) == etag
    except OSError as error:
        raise InputError(_unreadable(path, error)) from error


def _unreadable(path: Path, error: OSError) -> str:
    return f"{path} cannot be read ({error.strerror or error}); check its permissions and the disk."
