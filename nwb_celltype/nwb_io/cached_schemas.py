"""Schemas that files carry in themselves, built once for all files that carry the same."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped,unused-ignore]

_MOST_KEPT = 4  # each takes about 10 MB
_kept = threading.local()  # each thread has its own, so that none sees a schema that another is changing


@dataclass(frozen=True, eq=False)
class CachedSchemas:
    """What pynwb makes of the specifications in a file, which takes it longer than to validate a small file.

    Attributes
    ----------
    catalog : hdmf.spec.NamespaceCatalog
    validators : tuple of hdmf.validate.ValidatorMap
        One for each namespace that no other one in the file includes.
    """

    catalog: Any
    validators: tuple[Any, ...]

    def messages(self, path: Path) -> list[Any]:
        """What the validators say about a file, as `pynwb.validate` returns it."""
        from hdmf.build import BuildManager, TypeMap
        from pynwb import NWBHDF5IO

        with NWBHDF5IO(str(path), "r", manager=BuildManager(TypeMap(namespaces=self.catalog))) as io:
            builder = io.read_builder()
            return [message for validator in self.validators for message in validator.validate(builder)]


def cached_schemas(path: Path) -> CachedSchemas | None:
    """Build the schemas of a file, or find them where this thread built equal ones for another file.

    Parameters
    ----------
    path : Path
        An HDF5 file.

    Returns
    -------
    CachedSchemas or None
        `None` where the file carries none that can be validated against.

    Raises
    ------
    Exception
        Whatever h5py and hdmf raise on damaged ones.
    """
    from hdmf.validate import ValidatorMap
    from pynwb.validation import get_cached_namespaces_to_validate

    key = _digest(path)
    if key is None:
        return None
    known: OrderedDict[str, CachedSchemas] | None = getattr(_kept, "schemas", None)
    if known is None:
        known = _kept.schemas = OrderedDict()
    if key not in known:
        names, manager, _ = get_cached_namespaces_to_validate(path=str(path))
        if manager is None or not any(names):
            return None
        catalog = manager.namespace_catalog
        known[key] = CachedSchemas(catalog, tuple(ValidatorMap(catalog.get_namespace(name=name)) for name in names))
        while len(known) > _MOST_KEPT:
            known.popitem(last=False)
    known.move_to_end(key)
    return known[key]


def _digest(path: Path) -> str | None:
    """SHA-256 of the names and texts of all specifications in a file; `None` where it has none."""
    found = hashlib.sha256()
    with h5py.File(path, "r") as file:
        place = file.attrs.get(".specloc")
        if place is None:
            return None

        for name, node in _below(file[place], "", levels=3):  # namespace, version, source: as hdmf reads them
            text = node[()] if isinstance(node, h5py.Dataset) else b""
            data = text if isinstance(text, bytes) else str(text).encode()
            for part in (name.encode(), data):
                found.update(len(part).to_bytes(8, "little") + part)
    return found.hexdigest()


def _below(group: Any, name: str, levels: int) -> Iterator[tuple[str, Any]]:
    """Names and objects below a group, whether they are linked or lie there."""
    for member in group if isinstance(group, h5py.Group) and levels else ():
        yield f"{name}/{member}", group[member]
        yield from _below(group[member], f"{name}/{member}", levels - 1)
