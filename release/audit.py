"""Look up known vulnerabilities of every locked dependency: ``python -m release.audit``.

Ends with 0 if all were looked up and none is known, with 1 if one is known or any could not be looked up, and with 3,
saying "not audited", if no source of advisories could be reached. It never says "clean" of what it has not looked up.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .lock import public_version, read

SERVICES = ("pypi", "osv")
EXPLAINED: dict[str, str] = {}
"""Advisories that do not concern us, by id, with the reason."""
NOT_AUDITED = 3


def ask(service: str) -> tuple[dict[str, Any] | None, str]:
    """What pip-audit finds, and what it says on stderr; `None` where it could not ask."""
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "requirements.txt"
        asked.write_text(questions(), encoding="utf-8")
        command = [
            sys.executable, "-m", "pip_audit", "--requirement", str(asked), "--require-hashes", "--disable-pip",
            "--format", "json", "--vulnerability-service", service, "--progress-spinner", "off", "--timeout", "30",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return None, done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"ended with {done.returncode}"
    return found, done.stderr


def questions() -> str:
    """The lock by versions that advisories are written about: ``2.13.0+cpu`` is a build of 2.13.0 and has no own."""
    return "".join(f"{one.name}=={public_version(one.version)} --hash=sha256:{one.sha256}\n" for one in read())


def judge(found: dict[str, Any], expected: set[str]) -> list[str]:
    """What is wrong: a dependency that was skipped or is missing, and advisories that nobody explained."""
    wrong = []
    seen = set()
    for one in found.get("dependencies", ()):
        if reason := one.get("skip_reason"):
            wrong.append(f"{one['name']} was not looked up: {reason}")
            continue
        seen.add(one["name"].lower().replace("_", "-"))
        for known in one.get("vulns", ()):
            if known["id"] not in EXPLAINED:
                fixed = ", ".join(known.get("fix_versions", ())) or "no version"
                wrong.append(f"{one['name']} {one['version']}: {known['id']}, mended in {fixed}")
    wrong += [
        f"{name} was not looked up" for name in sorted(expected - seen) if not any(w.startswith(name) for w in wrong)
    ]
    return wrong


def main() -> int:
    """Ask one source after the other until one answers."""
    names = {one.name for one in read()}
    for service in SERVICES:
        found, said = ask(service)
        if found is None:
            print(f"{service}: cannot be asked ({said[:200]})")
            continue
        if all(one.get("skip_reason") for one in found.get("dependencies", ())):
            print(f"{service}: answers, but knows none of the dependencies")
            continue
        wrong = judge(found, names)
        print("\n".join(wrong) if wrong else f"{len(names)} dependencies looked up ({service}); no advisory is known")
        return 1 if wrong else 0
    print(f"not audited: no source of advisories can be reached, so nothing is known of {len(names)} dependencies")
    return NOT_AUDITED


if __name__ == "__main__":
    raise SystemExit(main())
