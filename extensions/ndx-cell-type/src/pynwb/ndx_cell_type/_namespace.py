"""Loads the schema into pynwb's type map; every module that defines a type imports this one first."""

from __future__ import annotations

from pathlib import Path

from pynwb import load_namespaces

NAMESPACE = "ndx-cell-type"
VERSION = "0.1.0"


def spec_folder() -> Path:
    """Folder of the YAML schema: inside an installed package, or the repository's own in an editable install."""
    here = Path(__file__).resolve().parent
    for folder in (here / "spec", here.parents[2] / "spec"):
        if (folder / f"{NAMESPACE}.namespace.yaml").exists():
            return folder
    msg = f"the schema of {NAMESPACE} is missing beside {here}; reinstall the package"
    raise FileNotFoundError(msg)


load_namespaces(str(spec_folder() / f"{NAMESPACE}.namespace.yaml"))
