"""Fields of one neuron of the C4 database, read whatever type they were stored in, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

import h5py  # type: ignore[import-untyped,unused-ignore]
import numpy as np
from numpy.typing import NDArray

from nwb_celltype.claimed_sizes import require_believable
from nwb_celltype.converters.records import Float, Integer, LeftOut
from nwb_celltype.errors import InputError

_BLANK = frozenset({"", "nan", "none", "null", "n/a", "na", "[]"})
_T = TypeVar("_T")


class FieldError(InputError):
    """A field of a neuron that cannot be used; `neuron`, `name` and `reason` say which and why."""

    def __init__(self, neuron: str, name: str, reason: str) -> None:
        super().__init__(f"Neuron {neuron}, field {name}: {reason}.")
        self.neuron, self.name, self.reason = neuron, name, reason


@dataclass(eq=False)
class Fields:
    """Datasets of one neuron's group.

    Attributes
    ----------
    group : h5py.Group
    neuron : str
        Name of the neuron, for messages.
    left_out : list of LeftOut
        Optional fields that were refused so far.
    notes : list of str
        What was odd.
    """

    group: Any
    neuron: str
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def refuse(self, name: str, reason: str) -> NoReturn:
        """Raise the error for a field that cannot be used."""
        raise FieldError(self.neuron, name, reason)

    def optional(self, read: Callable[[], _T], otherwise: _T) -> _T:
        """Read a field that a neuron can do without: where it is refused, that is put down and the rest goes on."""
        try:
            return read()
        except FieldError as error:
            self.left_out.append(LeftOut(f"field {error.name} of neuron {error.neuron}", error.reason))
            return otherwise

    def text(self, name: str) -> str:
        """Text of a field, ``""`` where it is absent, null or says nothing.

        Raises
        ------
        FieldError
            If it holds several texts or numbers.
        """
        value = self.value(name)
        if value is None or isinstance(value, str):
            return value or ""
        if value.size != 1:
            self.refuse(name, f"{value.size} values where one text belongs")
        number = value.ravel()[0]
        if isinstance(number, np.floating) and not np.isfinite(number):
            return ""
        return str(int(number)) if float(number) == int(number) else str(number)

    def number(self, name: str) -> float | None:
        """Return the number of a field, None where it is absent, null or NaN.

        Raises
        ------
        FieldError
            If it is no number, or several.
        """
        value = self.value(name)
        if value is None:
            return None
        if isinstance(value, str):
            try:
                return float(value)
            except ValueError:
                self.refuse(name, f"the text {value!r} where a number belongs")
        if value.size != 1 or value.dtype.kind not in "iuf":
            self.refuse(name, f"{_shape(value)} where one number belongs")
        number = float(value.ravel()[0])
        return None if np.isnan(number) else number

    def array(self, name: str) -> NDArray[Any] | None:
        """Numbers or bools of a field in the shape in which they were stored; None where it is absent or null.

        Raises
        ------
        FieldError
            If it holds something else.
        """
        value = self.value(name)
        if value is None:
            return None
        if isinstance(value, str) or value.dtype.kind == "U":
            try:
                value = np.asarray(value, dtype=np.float64)
            except ValueError:
                shown = str(value if isinstance(value, str) else value.ravel()[0])[:40]
                self.refuse(name, f"the text {shown!r} where numbers belong")
        if value.ndim == 0 and value.dtype.kind == "f" and np.isnan(value):
            return None
        return value

    def integers(self, name: str) -> Integer | None:
        """Whole numbers of a field as one row; None where it is absent or null.

        Raises
        ------
        FieldError
            If a value is not whole, not finite, or too large.
        """
        value = self.array(name)
        if value is None:
            return None
        if value.dtype.kind not in "iuf":
            self.refuse(name, f"{_shape(value)} where whole numbers belong")
        flat = value.ravel()
        if np.count_nonzero(np.array(value.shape) > 1) > 1:
            self.refuse(name, f"{_shape(value)} where one row of numbers belongs")
        if flat.dtype.kind == "f" and not np.all(np.isfinite(flat) & (flat == np.round(flat))):
            self.refuse(name, "numbers that are not whole")
        if len(flat) and float(flat.max()) >= 2.0**62:
            self.refuse(name, f"the number {flat.max()}, which is too large")
        return flat.astype(np.int64)

    def floats(self, name: str, n: int | None = None) -> Float | None:
        """Numbers of a field as one row; None where it is absent or null.

        Raises
        ------
        FieldError
            If they are not numbers, or not `n`.
        """
        value = self.array(name)
        if value is None or (value.size == 0 and n != 0):
            return None
        if value.dtype.kind not in "iuf":
            self.refuse(name, f"{_shape(value)} where numbers belong")
        if n is not None and value.size != n:
            self.refuse(name, f"{value.size} values where {n} belong")
        return value.ravel().astype(np.float64)

    def value(self, name: str) -> str | NDArray[Any] | None:
        """Content of a field: one text, or an array; None where it is absent, null or a text that says nothing.

        An array whose texts are all the same counts as one text.

        Raises
        ------
        FieldError
            If it is no dataset, is damaged, or has a type that no field of the database has.
        """
        if name not in self.group:
            if self.group.get(name, getlink=True) is not None:
                self.refuse(name, "a link to nothing")
            return None
        raw = self._raw(name)
        if raw is None:
            return None
        array = np.asarray(raw)
        if array.dtype.kind in "OS":
            return self._texts(name, array)
        if array.dtype.kind not in "biuf":
            self.refuse(name, f"values of type {array.dtype} are not known here")
        return array

    def _raw(self, name: str) -> Any:
        try:
            item = self.group[name]
            if not isinstance(item, h5py.Dataset):
                self.refuse(name, "a group where a dataset belongs")
            require_believable(item, self.group.file.filename)
            return None if item.shape is None else item[()]
        except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
            reason = f"it cannot be read, the file is damaged there ({error})"
            self.refuse(name, reason)

    def _texts(self, name: str, array: NDArray[Any]) -> str | NDArray[Any] | None:
        entries = array.ravel().tolist()
        if len(entries) == 1 and isinstance(entries[0], np.ndarray) and entries[0].dtype.kind in "biuf":
            return np.asarray(entries[0])  # a row of numbers stored as one value of variable length
        if not all(isinstance(entry, str | bytes) for entry in entries):
            self.refuse(name, f"values of type {array.dtype} are not known here")
        texts = [_decode(entry) for entry in entries]
        if len(set(texts)) > 1:
            return np.array(texts, dtype=np.str_).reshape(array.shape)
        return None if not texts or texts[0].lower() in _BLANK else texts[0]


def _decode(value: Any) -> str:
    """Text of a string of either kind, without the ``b'...'`` that a careless conversion leaves."""
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            value = value.decode("latin-1")
    text = str(value).strip("\x00 \t\r\n")
    quoted = len(text) >= 3 and text[0] == "b" and text[1] in "'\"" and text[-1] == text[1]
    return text[2:-1].strip() if quoted else text


def _shape(value: NDArray[Any]) -> str:
    return f"an array of {value.dtype} and shape {value.shape}"
