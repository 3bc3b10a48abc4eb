"""Write ``release/requirements.lock``: every dependency with its version and the hash of its file.

Run as ``python -m release.lock`` on the machine that builds releases; pip decides, nothing is installed. A release is
then tried in an empty environment: ``pip install --require-hashes -r release/requirements.lock``, and the two wheels
with ``--no-deps``. A line such as ``torch==2.13.0+cpu`` names a build that lies on PyTorch's index for processors, not
on PyPI: pip finds it there with ``--extra-index-url``.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = Path(__file__).with_name("requirements.lock")
LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ]+) --hash=sha256:(?P<sha256>[0-9a-f]{64})")
OWN = ("nwb-celltype", "ndx-cell-type")


@dataclass(frozen=True)
class Locked:
    """A dependency as it is locked."""

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


def resolve() -> list[Locked]:
    """What pip would install for the package with all that users can ask for."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        options = ["--quiet", "--dry-run", "--ignore-installed", "--report", str(report)]
        own = [str(ROOT / "extensions" / "ndx-cell-type"), f"{ROOT}[all]"]
        command = [sys.executable, "-m", "pip", "install", *options, "-c", str(ROOT / "constraints.txt"), *own]
        subprocess.run(command, check=True)
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    locked = []
    for one in found:
        name, version = one["metadata"]["name"], one["metadata"]["version"]
        if _plain(name) in OWN:
            continue
        digest = one["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256", "")
        if len(digest) != 64:
            message = f"{name} {version} comes without a hash; it cannot be locked"
            raise SystemExit(message)
        locked.append(Locked(_plain(name), version, digest))
    return sorted(locked, key=lambda one: one.name)


def read(path: Path = LOCK) -> list[Locked]:
    """The lock, as it is written."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    found = [LINE.fullmatch(line) for line in lines]
    wrong = [line for line, match in zip(lines, found, strict=True) if match is None]
    if wrong:
        message = f"{path} holds a line without a version and a hash: {wrong[0]}"
        raise SystemExit(message)
    return [Locked(match["name"], match["version"], match["sha256"]) for match in found if match]


def public_version(version: str) -> str:
    """A version without the name of a build (``+cpu``), which no public index has.

    Examples
    --------
    >>> public_version("2.13.0+cpu")
    '2.13.0'
    """
    return version.partition("+")[0]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Resolve and write."""
    locked = resolve()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    head = f"# Written by `python -m release.lock` with Python {version} on {sys.platform}; do not edit.\n"
    LOCK.write_text(head + "".join(f"{one}\n" for one in locked), encoding="utf-8")
    print(f"{len(locked)} dependencies locked in {LOCK.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
