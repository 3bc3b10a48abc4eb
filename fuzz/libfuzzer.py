"""The process that libFuzzer leads: `python -m fuzz.libfuzzer TARGET FOUND CORPUS [libFuzzer options]`."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["nwb_celltype"]):
    import importlib

    from fuzz.targets import TARGETS

    name, found = sys.argv[1], Path(sys.argv[2])
    for module in TARGETS[name].modules:
        importlib.import_module("nwb_celltype." + module.removesuffix(".py").replace("/", "."))

from fuzz.trials import Trials

trials = Trials(TARGETS[name]).__enter__()


def one(data: bytes) -> None:
    """Give an input to the parser; findings are written down, and the search goes on."""
    before = len(trials.findings)
    finding = trials.one(data)
    if finding is not None and len(trials.findings) > before:
        (found / hashlib.sha256(data).hexdigest()).write_bytes(data)


atheris.Setup([sys.argv[0], *sys.argv[3:]], one)
atheris.Fuzz()
