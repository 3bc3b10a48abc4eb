"""JSON and YAML that others wrote: what is nested deeper than Python's stack is a mistake in the text, not a crash."""

from __future__ import annotations

import json
from typing import Any

_TOO_DEEP = "it is nested too deeply"


def parse_json(text: str | bytes, **options: Any) -> Any:
    """Read JSON as `json.loads` does.

    Raises
    ------
    ValueError
        If it is no JSON, or nested too deeply to be read.

    Examples
    --------
    >>> parse_json('{"MLI": 0.2}')
    {'MLI': 0.2}
    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
    ValueError: it is nested too deeply
    """
    try:
        return json.loads(text, **options)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def parse_yaml(text: str) -> Any:
    """Read YAML as `yaml.safe_load` does.

    Raises
    ------
    ValueError, yaml.YAMLError
        If it is no YAML, or nested too deeply to be read.

    Examples
    --------
    >>> parse_yaml("MLI: 0.2")
    {'MLI': 0.2}
    >>> parse_yaml("- " * 5_000)
    Traceback (most recent call last):
    ValueError: it is nested too deeply
    """
    import yaml

    try:
        return yaml.safe_load(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
