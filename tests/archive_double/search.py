"""The search of the list of dandisets: operators and free words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .messages import Refusal
from .records import Dandiset, Version
from .state import State

TERM = re.compile(r'(?:(?P<operator>[A-Za-z_]+):)?(?:"(?P<quoted>[^"]*)"|(?P<word>\S+))')


def find(state: State, dandisets: list[Dandiset], search: str) -> list[Dandiset]:
    """Dandisets that fit every term of the search; an unknown operator is refused (400)."""
    terms = [
        (match["operator"], match["quoted"] if match["quoted"] is not None else match["word"])
        for match in TERM.finditer(search)
    ]
    for operator, _ in terms:
        if operator is not None and operator not in OPERATORS:
            hint = 'Wrap the term in double quotes (e.g. "foo:bar") to search for it as text.'
            raise Refusal(400, {"search": f'Unknown search operator "{operator}". {hint}'})
    return [one for one in dandisets if all(_fits(state, one, operator, value) for operator, value in terms)]


def _fits(state: State, dandiset: Dandiset, operator: str | None, value: str) -> bool:
    if operator is None:
        return value.lower() in _text(dandiset).lower()
    return OPERATORS[operator](state, dandiset, value.lower())


def _versions(dandiset: Dandiset) -> list[Version]:
    return [dandiset.draft, *dandiset.published[-1:]]


def _text(dandiset: Dandiset) -> str:
    texts = [dandiset.identifier]
    for version in _versions(dandiset):
        metadata = version.metadata
        texts += [version.name, str(metadata.get("description", "")), *map(str, metadata.get("keywords") or ())]
        texts += [str(person.get("name", "")) for person in metadata.get("contributor") or ()]
    return "\n".join(texts)


def _in_summary(field: str) -> Callable[[State, Dandiset, str], bool]:
    def fits(_state: State, dandiset: Dandiset, value: str) -> bool:
        entries: list[Any] = [one for version in _versions(dandiset) for one in version.summary.get(field) or ()]
        return any(value in str(entry.get("name", "")).lower() for entry in entries)

    return fits


def _file_type(state: State, dandiset: Dandiset, value: str) -> bool:
    assets = [asset for version in _versions(dandiset) for asset in state.assets_of(version)]
    return any(value in str(asset.metadata.get("encodingFormat", "")).lower() for asset in assets)


def _owner(state: State, dandiset: Dandiset, value: str) -> bool:
    owners = [state.users[name] for name in dandiset.owners]
    return any(value in f"{one.username} {one.first_name} {one.last_name}".lower() for one in owners)


def _published_after(_state: State, dandiset: Dandiset, value: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        raise Refusal(400, {"search": f'"{value}" is not a date (YYYY-MM-DD).'})
    return any(version.created[:10] > value for version in dandiset.published)


OPERATORS: dict[str, Callable[[State, Dandiset, str], bool]] = {
    "species": _in_summary("species"),
    "approach": _in_summary("approach"),
    "technique": _in_summary("measurementTechnique"),
    "file_type": _file_type,
    "owner": _owner,
    "published_after": _published_after,
}
