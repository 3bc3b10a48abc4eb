"""Comparison of recorded exchanges with the double's: names are learned, everything else must be equal."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# what differs from server to server, wherever it stands in a text
TOKENS = re.compile(
    rf"(?P<time>\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)"
    rf"|(?P<blob>[0-9a-f]{{3}}/[0-9a-f]{{3}}/{UUID})"
    rf"|(?P<uuid>{UUID})"
    r"|(?P<sha256>\b[0-9a-f]{64}\b)"
    r"|(?P<checksum>\b[0-9a-f]{32}-\d+--\d+\b)"
    r"|(?P<md5>\b[0-9a-f]{32}\b)"
    r"|(?P<version>\b0\.\d{6}\.\d{4}\b)"
    r"|(?P<year>(?<=\()20\d\d(?=\)))"
    r"|(?P<identifier>\b\d{6}\b)"
)
NOT_LEARNED = ("time", "year")
# lists that the archive gives in no particular order
UNORDERED = ("variableMeasured", "measurementTechnique", "approach", "species", "asset_validation_errors")


class Names:
    """What the names of the recorded server are called by the double."""

    def __init__(self) -> None:
        self.hosts: dict[str, str] = {}
        self.urls: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        self._recorded: dict[str, str] = {}

    def translate(self, value: Any) -> Any:
        """A recorded value in the double's names."""
        if isinstance(value, dict):
            return {key: self.translate(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.translate(item) for item in value]
        if not isinstance(value, str):
            return value
        if value in self.urls:
            return self.urls[value]
        for recorded, ours in self.hosts.items():
            value = value.replace(recorded, ours)
        return TOKENS.sub(lambda match: self._name(match.lastgroup or "", match.group()), value)

    def _name(self, kind: str, token: str) -> str:
        if kind == "blob":
            uuid = self.tokens.get(token[8:], token[8:])
            return f"{uuid[:3]}/{uuid[3:6]}/{uuid}"
        return self.tokens.get(token, token)

    def differences(self, recorded: Any, ours: Any, where: str = "", key: str = "") -> list[str]:
        """Where the double's value differs from the recorded one; names that are new are learned."""
        if type(recorded) is not type(ours):
            return [f"{where}: {recorded!r} was recorded, the double has {ours!r}"]
        if isinstance(recorded, dict):
            found = [f"{where}.{name}: only one side has it" for name in recorded.keys() ^ ours.keys()]
            for name in recorded.keys() & ours.keys():
                found += self.differences(recorded[name], ours[name], f"{where}.{name}", name)
            return found
        if isinstance(recorded, list):
            if len(recorded) != len(ours):
                return [f"{where}: {len(recorded)} entries were recorded, the double has {len(ours)}"]
            if key in UNORDERED:
                recorded, ours = sorted(recorded, key=_sort_key), sorted(ours, key=_sort_key)
            return [
                line
                for number, (one, other) in enumerate(zip(recorded, ours, strict=True))
                for line in self.differences(one, other, f"{where}[{number}]")
            ]
        if isinstance(recorded, str):
            return self._text_differences(recorded, ours, where, key)
        return [] if recorded == ours else [f"{where}: {recorded!r} was recorded, the double has {ours!r}"]

    def _text_differences(self, recorded: str, ours: str, where: str, key: str) -> list[str]:
        plain_recorded, plain_ours = recorded, ours
        if "X-Amz-" in recorded and "X-Amz-" in ours:
            self.urls[recorded] = ours
            plain_recorded, plain_ours = _without_signature(recorded), _without_signature(ours)
        for recorded_host, our_host in self.hosts.items():
            plain_recorded = plain_recorded.replace(recorded_host, "HOST")
            plain_ours = plain_ours.replace(our_host, "HOST")
        if TOKENS.sub(_kind, plain_recorded) != TOKENS.sub(_kind, plain_ours):
            return [f"{where}: {plain_recorded!r} was recorded, the double has {plain_ours!r}"]
        found: list[str] = []
        for one, other in zip(TOKENS.finditer(plain_recorded), TOKENS.finditer(plain_ours), strict=True):
            kind, name, our_name = one.lastgroup or "", one.group(), other.group()
            if kind in NOT_LEARNED:
                continue
            if kind == "blob":
                name, our_name = name[8:], our_name[8:]
            if kind == "identifier" and key != "identifier" and name not in self.tokens:
                self.tokens[name] = name  # digits in somebody's text are no identifier of this server
            if self.tokens.setdefault(name, our_name) != our_name:
                found.append(f"{where}: {name} is called {self.tokens[name]} elsewhere, here {our_name}")
            elif kind != "version" and self._recorded.setdefault(our_name, name) != name:
                found.append(f"{where}: {our_name} stands for {self._recorded[our_name]} elsewhere, here for {name}")
        return found


def _kind(match: re.Match[str]) -> str:
    return f"<{match.lastgroup}>"


def _sort_key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _without_signature(url: str) -> str:
    """The URL with the parameters of its signature that do not depend on key and time."""
    parts = urlsplit(url)
    secret = ("X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature", "uploadId")
    query = sorted((name, "*" if name in secret else value) for name, value in parse_qsl(parts.query))
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{query}"
