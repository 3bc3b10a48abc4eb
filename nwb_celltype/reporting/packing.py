"""Numbers in few bytes of JSON: whole numbers with a scale, base64."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

Kind = Literal["i16", "u8", "f32"]

_MOST = {"i16": 32_767, "u8": 255}


def pack(values: ArrayLike, kind: Kind = "i16") -> dict[str, Any]:
    """Pack an array, row after row; ``value = raw * s + o``.

    Parameters
    ----------
    values : array of numbers
    kind : {'i16', 'u8', 'f32'}
        Whole numbers hold finite values only; an array with others is packed as ``f32``.

    Returns
    -------
    dict
        ``d`` (kind), ``s`` (scale), ``o`` (offset), ``b`` (base64, little endian).

    Examples
    --------
    >>> pack([0, 1, 2])
    {'d': 'i16', 's': 1.0, 'o': 0.0, 'b': 'AAABAAIA'}
    >>> unpack(pack([0.0, 0.5, -1.0])).round(4).tolist()
    [0.0, 0.5, -1.0]
    """
    array = np.asarray(values, dtype=np.float64).ravel()
    if kind == "f32" or not np.isfinite(array).all():
        return _packed("f32", 1.0, 0.0, array.astype("<f4"))
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if kind == "u8":
        is_whole = low >= 0 and high <= _MOST[kind] and bool((array == np.rint(array)).all())
        scale, offset = (1.0, 0.0) if is_whole or high == low == 0 else ((high - low) / _MOST[kind] or 1.0, low)
        return _packed(kind, scale, offset, np.rint((array - offset) / scale).astype("u1"))
    largest = max(abs(low), abs(high))
    is_whole = largest <= _MOST[kind] and bool((array == np.rint(array)).all())
    scale = 1.0 if is_whole or largest == 0 else largest / _MOST[kind]
    if not np.isfinite(scale) or scale == 0:  # the very largest and smallest doubles
        return _packed("f32", 1.0, 0.0, np.clip(array, -3e38, 3e38).astype("<f4"))
    return _packed(kind, scale, 0.0, np.rint(array / scale).astype("<i2"))


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """(n,) float64 values of what `pack` made."""
    kinds = {"i16": "<i2", "u8": "u1", "f32": "<f4"}
    raw = np.frombuffer(base64.b64decode(packed["b"]), dtype=kinds[packed["d"]])
    return np.asarray(raw.astype(np.float64) * packed["s"] + packed["o"])


def listed(values: ArrayLike | None, digits: int = 6) -> list[float | None] | None:
    """Give plain numbers, None where they are not finite; None stays None.

    Examples
    --------
    >>> listed([0.1234567, float("nan")])
    [0.123457, None]
    """
    if values is None:
        return None
    return [number(value, digits) for value in np.asarray(values, dtype=np.float64).ravel().tolist()]


def number(value: float | None, digits: int = 6) -> float | None:
    """Round to significant digits; None where a value is not finite."""
    if value is None or not np.isfinite(value):
        return None
    return float(f"{float(value):.{digits}g}")


def texts(values: Sequence[object]) -> list[str]:
    """Plain texts."""
    return [str(value) for value in values]


def _packed(kind: str, scale: float, offset: float, raw: np.ndarray) -> dict[str, Any]:
    return {"d": kind, "s": scale, "o": offset, "b": base64.b64encode(raw.tobytes()).decode("ascii")}
