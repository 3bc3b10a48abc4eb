"""List the licence of every locked dependency, and fail where one does not go with ours.

Run as ``python -m release.licences``. The code is under BSD-3-Clause; it imports its dependencies and ships none of
them, so weak copyleft (LGPL, MPL) goes with it, and GPL or AGPL does not.
"""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from .lock import read

GOES = re.compile(
    r"\b(MIT(-0|-CMU)?|BSD(-[0-9]-Clause)?|0BSD|Apache(-2\.0)?|ISC|PSF(-2\.0)?|Python(-2\.0)?|Unlicense|Zlib|HPND"
    r"|MPL(-2\.0)?|LGPL[-v0-9.a-z]*|CC0(-1\.0)?|BlueOak-1\.0\.0)\b"
    r"|Mozilla|Apache|Python Software Foundation|Lesser General Public|Public Domain|zlib|3-clause|\bBSD\b|\bMIT\b",
    re.IGNORECASE,
)
FORBIDS = re.compile(r"\bA?GPL|(?<!Lesser )General Public Licen[cs]e|Proprietary|Non-?Commercial", re.IGNORECASE)
EXPLAINED: dict[str, str] = {
    "rfc3987": "GPLv3+; jsonschema[format], which dandischema asks for, looks for it; not imported or shipped by us",
}
"""Dependencies whose licence was read and found to go with ours, with the reason."""


def licence_of(found: Distribution) -> str:
    """What a package says about its licence: the expression, else its classifiers, else the first line of the text."""
    metadata = found.metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = [c.rpartition(" :: ")[2] for c in metadata.get_all("Classifier") or () if c.startswith("License ::")]
    classifiers = [c for c in classifiers if c != "OSI Approved"]
    if classifiers:
        return "; ".join(classifiers)
    stated = str(metadata.get("License") or "").strip()
    if stated:
        return stated.splitlines()[0]
    for file in found.files or ():
        if re.fullmatch(r"(LICEN[CS]E|COPYING)(\..*)?", file.name, re.IGNORECASE):
            return " ".join(str(file.read_text()).split())[:200]
    return ""


def judge(name: str, licence: str) -> str:
    """``goes``, ``does not go``, or ``unknown``."""
    if name in EXPLAINED:
        return "goes"
    without_lesser = re.sub(
        r"LGPL[-v0-9.a-z+]*|GNU Lesser General Public Licen[cs]e[^;]*", "", licence, flags=re.IGNORECASE
    )
    choices = re.split(r"\s+OR\s+", without_lesser)
    if all(FORBIDS.search(choice) for choice in choices):
        return "does not go"
    return "goes" if GOES.search(licence) else "unknown"


def main() -> None:
    """Print the list and judge."""
    wrong = []
    for one in read():
        try:
            licence = licence_of(distribution(one.name))
        except PackageNotFoundError:
            licence = ""
        verdict = judge(one.name, licence)
        print(f"{one.name:32s} {one.version:14s} {verdict:12s} {EXPLAINED.get(one.name, licence)[:90]}")
        if verdict != "goes":
            wrong.append(one.name)
    if wrong:
        message = f"look at the licences of {', '.join(wrong)}"
        raise SystemExit(message)


if __name__ == "__main__":
    main()
