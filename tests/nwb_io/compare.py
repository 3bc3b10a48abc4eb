"""Describe everything in an HDF5 file, slowly and plainly, and say how two files differ.

Nothing is taken from the code under test: only h5py, link by link. An object reference is described by the path of what
it points to, text by its bytes, and a type by HDF5's own encoding of it, character set included.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

Description = dict[str, dict[str, Any]]


def describe(path: Path) -> Description:
    """Everything that can be reached from the root: path of each link -> what is there."""
    found: Description = {}
    with h5py.File(path, "r") as file:
        found["/"] = _object(file["/"])
        _walk(file, file["/"], found, [file["/"]])
    return found


def differences(old: Description, new: Description, may_change: set[tuple[str, str]] = frozenset()) -> list[str]:  # type: ignore[assignment]
    """What of the old file is no longer as it was; (path, attribute) in `may_change` are passed over."""
    said = []
    for path, before in old.items():
        if path not in new:
            said.append(f"{path} is gone")
            continue
        after = new[path]
        for key in before.keys() | after.keys():
            if key != "attributes" and before.get(key) != after.get(key):
                said.append(f"{path}: {key} was {_short(before.get(key))}, is {_short(after.get(key))}")
        was, now = before.get("attributes", {}), after.get("attributes", {})
        for name, value in was.items():
            if (path, name) not in may_change and now.get(name) != value:
                said.append(f"{path}: attribute {name} was {_short(value)}, is {_short(now.get(name))}")
    return said


def added(old: Description, new: Description) -> set[str]:
    """What is new: paths whose parent was there before, and attributes of old objects as ``path@name``."""
    paths = {path for path in new if path not in old and (path.rpartition("/")[0] or "/") in old}
    attributes = {
        f"{path}@{name}"
        for path, before in old.items()
        if path in new
        for name in new[path].get("attributes", {})
        if name not in before.get("attributes", {})
    }
    return paths | attributes


def _walk(file: Any, group: Any, found: Description, above: list[Any]) -> None:
    for name in group:
        path = f"{group.name.rstrip('/')}/{name}"
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            found[path] = {"kind": "soft link", "target": link.path}
            continue
        if isinstance(link, h5py.ExternalLink):
            found[path] = {"kind": "external link", "target": (link.filename, link.path)}
            continue
        member = group[name]
        found[path] = _object(member)
        if isinstance(member, h5py.Group) and member not in above:
            _walk(file, member, found, [*above, member])


def _object(item: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"attributes": {name: _attribute(item, name) for name in item.attrs}}
    if isinstance(item, h5py.Dataset):
        plist = item.id.get_create_plist()
        return said | {
            "kind": "dataset",
            "type": item.id.get_type().encode(),
            "shape": item.shape,
            "maxshape": item.maxshape,
            "chunks": item.chunks,
            "filters": [plist.get_filter(k) for k in range(plist.get_nfilters())],
            "layout": plist.get_layout(),
            "stored bytes": item.id.get_storage_size(),
            "data": _value(item.file, None if item.shape is None else item[()]),
        }
    if isinstance(item, h5py.Datatype):
        return said | {"kind": "type", "type": item.id.encode()}
    return said | {"kind": "group"}


def _attribute(item: Any, name: str) -> tuple[Any, ...]:
    opened = item.attrs.get_id(name)
    value = item.attrs[name]
    return opened.get_type().encode(), opened.shape, _value(item.file, value)


def _value(file: Any, value: Any) -> Any:
    if isinstance(value, h5py.Empty):
        return f"empty {value.dtype}"
    if isinstance(value, h5py.RegionReference):
        return ("region", file[value].name, h5py.h5r.get_region(value, file.id).encode()) if value else None
    if isinstance(value, h5py.Reference):
        return ("reference", file[value].name) if value else None
    if isinstance(value, np.void) and value.dtype.names:
        return tuple(_value(file, value[name]) for name in value.dtype.names)
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "O" or value.dtype.names:
            return [_value(file, item) for item in value.ravel()]
        return value.tobytes()
    if isinstance(value, np.generic):
        return value.tobytes()
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 120 else f"{text[:117]}..."
