"""Builds of a dependency that no public index has: what is asked of advisories, and what the bill of materials says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from release import audit, lock, sbom
from release.lock import Locked

LINES = [Locked("torch", "2.13.0+cpu", "a" * 64), Locked("numpy", "2.1.0", "b" * 64)]


def test_advisories_are_asked_for_versions_that_have_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "read", lambda: LINES)
    assert re.findall(r"^(\S+) ", audit.questions(), re.M) == ["torch==2.13.0", "numpy==2.1.0"]


def test_the_bill_names_the_build(tmp_path: Path) -> None:
    bill = sbom.bill_of(LINES)
    assert [one["purl"] for one in bill["components"]] == ["pkg:pypi/torch@2.13.0%2Bcpu", "pkg:pypi/numpy@2.1.0"]
    assert bill["dependencies"][0]["dependsOn"] == [one["bom-ref"] for one in bill["components"]]
    assert bill == sbom.bill_of(LINES)


def test_every_line_of_the_lock_is_asked_about() -> None:
    locked = lock.read()
    lines = audit.questions().splitlines()
    assert len(lines) == len(locked) > 100
    assert not [line for line in lines if "+" in line]
    assert all(lock.LINE.fullmatch(line) for line in lines)
