"""The checks of a release: nothing is called clean that was not looked up, and no licence is guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from release import audit, licences, lock
from release.lock import Locked


def test_a_dependency_that_was_skipped_or_left_out_fails() -> None:
    found = {
        "dependencies": [
            {"name": "a", "version": "1", "vulns": []},
            {"name": "b", "skip_reason": "not on the index"},
            {"name": "c", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]},
        ]
    }
    assert audit.judge(found, {"a", "b", "c", "d"}) == [
        "b was not looked up: not on the index",
        "c 2: PYSEC-1, mended in 3",
        "d was not looked up",
    ]


def test_without_a_source_nothing_is_clean(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    empty = {"dependencies": [{"name": "a", "skip_reason": "not found"}]}  # a mirror that knows no advisories
    monkeypatch.setattr(audit, "ask", lambda service: (None, "no route to host") if service == "osv" else (empty, ""))
    monkeypatch.setattr(audit, "read", lambda: [Locked("a", "1", "0" * 64)])
    assert audit.main() == audit.NOT_AUDITED
    said = capsys.readouterr().out
    assert "not audited" in said
    assert "clean" not in said


@pytest.mark.parametrize(
    ("licence", "verdict"),
    [
        ("MIT", "goes"),
        ("BSD-3-Clause", "goes"),
        ("Apache Software License", "goes"),
        ("GNU Lesser General Public License v3 (LGPLv3)", "goes"),
        ("LGPL-2.1-or-later", "goes"),
        ("MIT OR GPL-3.0-only", "goes"),
        ("GPL-3.0-only", "does not go"),
        ("GNU Affero General Public License v3", "does not go"),
        ("MIT AND GPL-2.0", "does not go"),
        ("", "unknown"),
        ("see the file", "unknown"),
    ],
)
def test_licences(licence: str, verdict: str) -> None:
    assert licences.judge("a", licence) == verdict


def test_a_lock_without_a_hash_is_refused(tmp_path: Path) -> None:
    whole = Locked("numpy", "2.4.6", "a" * 64)
    (tmp_path / "l").write_text(f"# by pip\n{whole}\n")
    assert lock.read(tmp_path / "l") == [whole]
    (tmp_path / "l").write_text("numpy==2.4.6\n")
    with pytest.raises(SystemExit, match="without a version and a hash"):
        lock.read(tmp_path / "l")
