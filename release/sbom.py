"""Write the bill of materials of a release (CycloneDX, JSON): ``python -m release.sbom dist/nwb-celltype.cdx.json``.

Made from the lock and from the licences that the installed packages state, so that the same lock in the environment
that it was made in gives the same file, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
import uuid
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .licences import licence_of
from .lock import LOCK, ROOT, Locked, read


def purl_of(one: Locked) -> str:
    """A dependency's address in the form of package URLs, where ``+`` must be escaped."""
    return f"pkg:pypi/{one.name}@{quote(one.version, safe='')}"


def component_of(one: Locked) -> dict[str, Any]:
    """A dependency as a component."""
    try:
        licence = licence_of(distribution(one.name))
    except PackageNotFoundError:
        licence = ""
    purl = purl_of(one)
    made: dict[str, Any] = {
        "type": "library", "bom-ref": purl, "name": one.name, "version": one.version, "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": one.sha256}],
    }  # fmt: skip
    return {**made, "licenses": [{"license": {"name": licence}}]} if licence else made


def bill_of(locked: list[Locked]) -> dict[str, Any]:
    """The whole bill."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = f"pkg:pypi/{project['name']}@{project['version']}"
    digest = hashlib.sha256(LOCK.read_bytes() + own.encode()).hexdigest()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(digest[:32], version=4)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application", "bom-ref": own, "name": project["name"], "version": project["version"],
                "purl": own, "licenses": [{"expression": project["license"]}],
            }
        },
        "components": [component_of(one) for one in locked],
        "dependencies": [{"ref": own, "dependsOn": [purl_of(one) for one in locked]}],
    }  # fmt: skip


def main(target: str) -> None:
    """Write the bill."""
    bill = bill_of(read())
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
    print(f"{path}: {len(bill['components'])} components")


if __name__ == "__main__":
    main(*sys.argv[1:])
