"""Checksum of a zarr archive: a digest of the tree of its files, as the archive computes it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field


@dataclass
class _Folder:
    files: dict[str, bytes] = field(default_factory=dict)
    folders: dict[str, _Folder] = field(default_factory=dict)

    def digest(self) -> tuple[str, int, int]:
        """MD5 of the JSON list of what the folder holds, number of files and bytes below it."""
        folders: list[dict[str, object]] = []
        count = len(self.files)
        size = sum(map(len, self.files.values()))
        for name, folder in sorted(self.folders.items()):
            md5, inner_count, inner_size = folder.digest()
            folders.append({"digest": f"{md5}-{inner_count}--{inner_size}", "name": name, "size": inner_size})
            count += inner_count
            size += inner_size
        files = [
            {"digest": hashlib.md5(data).hexdigest(), "name": name, "size": len(data)}
            for name, data in sorted(self.files.items())
        ]
        text = json.dumps({"directories": folders, "files": files}, separators=(",", ":"))
        return hashlib.md5(text.encode()).hexdigest(), count, size


def tree_digest(files: dict[str, bytes]) -> str:
    """Checksum ``MD5-COUNT--SIZE`` of files by their paths."""
    root = _Folder()
    for path, data in files.items():
        *names, last = path.split("/")
        folder = root
        for name in names:
            folder = folder.folders.setdefault(name, _Folder())
        folder.files[last] = data
    md5, count, size = root.digest()
    return f"{md5}-{count}--{size}"
