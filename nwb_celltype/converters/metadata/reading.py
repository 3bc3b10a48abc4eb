"""Read metadata files, YAML or JSON, safely and as they were written."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from nwb_celltype.converters.metadata.values import is_blank
from nwb_celltype.errors import InputError, UsageError

_LARGEST_FILE = 250_000
_DEEPEST = 40
_MOST_VALUES = 100_000
_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_BOOL = "tag:yaml.org,2002:bool"
_NOT_RESOLVED = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")
_MERGE = "tag:yaml.org,2002:merge"
_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null", "merge")}
_HINTS = (
    (re.compile(r"found character '\\t'"), "a tab stands where spaces belong; indent with spaces"),
    (re.compile(r"mapping values are not allowed"), "a text that contains ': ' must stand in quotes"),
    (re.compile(r"found undefined alias|expected alphabetic"), "a text that begins with * or & must stand in quotes"),
    (re.compile(r"cannot start any token|found unexpected '%'"), "a text with special characters must stand in quotes"),
    (
        re.compile(r"expected <block end>"),
        "the line is not indented like the ones that it belongs to, or a quote is amiss",
    ),
    (re.compile(r"could not find expected ':'"), "a key must be followed by a colon and a space"),
    (re.compile(r"unexpected end of stream|expected ',' or"), "a bracket or a quote is not closed"),
    (re.compile(r"another document"), "one file holds one set of metadata; take the line --- away"),
)


def read_metadata(path: str | Path | Sequence[str | Path]) -> dict[str, Any]:
    """Read one metadata file, or several that complete each other.

    Texts, dates and numbers stay as they were written wherever turning them into a number would change them: dates
    and times are texts, ``001`` is ``"001"``.

    Parameters
    ----------
    path : str, Path or sequence of them
        YAML, or JSON if the name ends in ``.json``. Of several files a later one wins over an earlier one, key by key,
        so that a file of the lab comes before a file of the session; a key that is left empty wins over nothing.

    Returns
    -------
    dict
        Not checked yet: see `check_metadata`.

    Raises
    ------
    InputError
        If a file cannot be read: the message names the line. Keys that stand twice, tabs, and files that grow when they
        are read are refused.
    UsageError
        If no file is given.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "metadata.yaml"
    ...     _ = file.write_text("Subject: {subject_id: 007, date_of_birth: 2025-11-02}")
    ...     read_metadata(file)
    {'Subject': {'subject_id': '007', 'date_of_birth': '2025-11-02'}}
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    if not paths:
        message = "No metadata file was given; write one with `nwb-celltype convert template KIND`."
        raise UsageError(message)
    merged: dict[str, Any] = {}
    for one in paths:
        merged = _merge(merged, _read_one(Path(one)))
    return merged


def _merge(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(earlier)
    for key, value in later.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merge(merged[key], value)
        elif not is_blank(value) or key not in merged:
            merged[key] = value
    return merged


def _read_one(path: Path) -> dict[str, Any]:
    try:
        size = path.stat().st_size
        if not path.is_file():
            message = f"{path} is not a file. Give the metadata file itself."
            raise InputError(message)
        if size > _LARGEST_FILE:
            message = f"{path} has {size / 1e6:.1f} MB; a metadata file has a few kilobytes. Is this the right file?"
            raise InputError(message)
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}. Check the path."
        raise InputError(message) from error
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 text; save it as UTF-8."
        raise InputError(message) from error
    except ValueError as error:
        message = f"{str(path)!r} is no path: {error}."
        raise InputError(message) from error
    value = _from_json(text, path) if path.suffix.lower() == ".json" else _from_yaml(text, path)
    if value is None:
        return {}
    if not isinstance(value, dict):
        message = f"{path} holds no keys at the top; a metadata file begins with a key such as NWBFile:"
        raise InputError(message)
    return value


def _from_json(text: str, path: Path) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            message = f"{path}: the key {twice!r} stands twice in one block; keep one."
            raise InputError(message)
        return found

    try:
        value = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        message = f"{path}, line {error.lineno}: {error.msg}; this is not JSON."
        raise InputError(message) from error
    except RecursionError:
        raise InputError(_too_deep(path)) from None
    except ValueError as error:
        message = f"{path} holds a number that is too long: {error}."
        raise InputError(message) from error
    level = [value]
    for _ in range(_DEEPEST):
        level = [child for parent in level for child in _children(parent)]
    if level:
        raise InputError(_too_deep(path))
    return value


def _children(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _too_deep(path: Path) -> str:
    return f"{path} is nested more than {_DEEPEST} deep; metadata have a few levels."


def _from_yaml(text: str, path: Path) -> Any:
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {}, set())
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        raise InputError(_explain(error, path)) from error
    except yaml.YAMLError as error:
        message = f"{path} is not YAML text: {str(error).splitlines()[0]}."
        raise InputError(message) from error


def _explain(error: yaml.MarkedYAMLError, path: Path) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{path}, line {mark.line + 1}" if mark else str(path)
    problem = (error.problem or error.context or "cannot be read").strip()
    for pattern, hint in _HINTS:
        if pattern.search(problem):
            return f"{where}: {hint} ({problem})."
    return f"{where}: {problem}."


def _count(node: yaml.Node, known: dict[int, int], open_nodes: set[int]) -> int:
    """Count the values that a node stands for once its aliases are written out; refuse what grows or never ends."""
    if id(node) in known:
        return known[id(node)]
    total = 1
    if isinstance(node, yaml.CollectionNode):
        if id(node) in open_nodes:
            raise yaml.MarkedYAMLError(
                problem="a block contains itself (see the * and & signs)", problem_mark=node.start_mark
            )
        open_nodes.add(id(node))
        for child in node.value:
            for part in child if isinstance(child, tuple) else (child,):
                total += _count(part, known, open_nodes)
        open_nodes.discard(id(node))
    if total > _MOST_VALUES:
        problem = f"more than {_MOST_VALUES} values, written out; metadata have a few hundred"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    known[id(node)] = total
    return total


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which keeps texts as written and refuses keys that stand twice."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if self.depth > _DEEPEST:
            mark = self.get_mark()
            raise yaml.MarkedYAMLError(problem=f"nested more than {_DEEPEST} deep", problem_mark=mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node.tag not in _PLAIN_TAGS:
            problem = f"the tag {node.tag!r} is not allowed: metadata are plain texts, numbers and lists"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        if node.tag == _BOOL and str(node.value).lower() not in self.bool_values:
            raise yaml.MarkedYAMLError(problem=f"{node.value!r} is not true or false", problem_mark=node.start_mark)
        if isinstance(node, yaml.ScalarNode) and node.tag in (_INT, _FLOAT):
            return _number_as_written(str(node.value), node.tag)
        return super().construct_object(node, deep=deep)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: ARG002 values are always whole
        if not isinstance(node, yaml.MappingNode):
            raise yaml.MarkedYAMLError(problem="keys and values belong here", problem_mark=node.start_mark)
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if key.tag == _MERGE:
                continue
            if _text_of(key) in seen:
                problem = f"the key {key.value!r} stands here and in line {seen[key.value]}; keep one"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen[_text_of(key)] = key.start_mark.line + 1
        self.flatten_mapping(node)
        # Keys are texts as written: YAML itself would turn `on` into true.
        return {_text_of(key): self.construct_object(value, deep=True) for key, value in node.value}


def _text_of(key: yaml.Node) -> str:
    if not isinstance(key, yaml.ScalarNode) or not key.value.strip():
        raise yaml.MarkedYAMLError(problem="a key must be a text", problem_mark=key.start_mark)
    return str(key.value)


def _number_as_written(text: str, tag: str) -> int | float | str:
    """Return a number where its text can be had back from it, else the text: ids keep their zeros."""
    if len(text) > 25:
        return text
    try:
        number = int(text) if tag == _INT else float(text)
    except ValueError:
        return text
    return number if str(number) == text and math.isfinite(number) else text


# Dates stay texts, so that one without a zone is seen as such; an equals sign is a text, too.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NOT_RESOLVED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
