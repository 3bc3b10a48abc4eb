"""Stack, marks and memo of a pickle, and the check that what came out is plain all through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nwb_celltype.converters.safe_pickle.arrays import PendingArray, PendingType
from nwb_celltype.converters.safe_pickle.names import Broken, Maker, Refused, TheArray, answer, hashable

_MAX_NODES = 20_000_000  # values with all that they hold, counted once for each place that they stand in
_MAX_DEPTH = 64


@dataclass
class Machine:
    """Stack, marks and memo of one pickle; `budget` bytes may be copied beyond those of the file."""

    budget: int
    stack: list[Any] = field(default_factory=list)
    marks: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def result(self) -> Any:
        """Return what is left on the stack, checked to be plain all through."""
        value = self.pop()
        check_plain(value)
        return value

    def pop(self) -> Any:
        """Take the value on top."""
        if not self.stack:
            raise Broken("an instruction finds no value")  # noqa: EM101
        return self.stack.pop()

    def since_mark(self) -> list[Any]:
        """Values pushed since the last mark, which goes too."""
        if not self.marks:
            raise Broken("an instruction finds no mark")  # noqa: EM101
        values, self.stack = self.stack, self.marks.pop()
        return values

    def top(self, kind: type) -> Any:
        """Return the value on top, which must be of one kind."""
        if not self.stack or type(self.stack[-1]) is not kind:
            message = f"values are to be put into something that is no {kind.__name__}"
            raise Broken(message)
        return self.stack[-1]

    def spend(self, n_bytes: int) -> None:
        """Count what is copied, so that a small file cannot fill the memory."""
        self.budget -= n_bytes
        if self.budget < 0:
            raise Broken("it would take far more memory than it has bytes")  # noqa: EM101

    def put(self, key: int) -> None:
        """Remember the value on top."""
        value = self.pop()
        self.stack.append(value)
        self.memo[key] = value
        if isinstance(value, PendingArray | PendingType):
            value.memo_keys.append(key)

    def get(self, key: int) -> None:
        """Push a value that was remembered."""
        if key not in self.memo:
            message = f"it refers to value {key}, which it does not have"
            raise Broken(message)
        self.stack.append(self.memo[key])

    def name(self, module: Any, attribute: Any) -> None:
        """Answer a name, or refuse it."""
        if type(module) is not str or type(attribute) is not str:
            raise Broken("a name is no text")  # noqa: EM101
        self.stack.append(answer(module, attribute))

    def call(self) -> None:
        """Answer a call: a name and its arguments."""
        arguments, maker = self.pop(), self.pop()
        if not isinstance(maker, Maker) or type(arguments) is not tuple:
            raise Broken("it calls something that is no function")  # noqa: EM101
        self.stack.append(self._made(maker, arguments))

    def _made(self, maker: Maker, arguments: tuple[Any, ...]) -> Any:
        self.spend(64 + sum(_cost(argument, 64) for argument in arguments))
        try:
            return maker.make(*arguments)
        except (TypeError, ValueError, AttributeError) as error:
            message = f"{maker.name} is given arguments that it does not take: {error}"
            raise Broken(message) from error

    def build(self) -> None:
        """Finish an array or a type with its state; nothing else has one."""
        state, pending = self.pop(), self.pop()
        if not isinstance(pending, PendingArray | PendingType):
            message = f"a change of an object ({type(pending).__name__})"
            raise Refused(message)
        if type(state) is tuple:
            self.spend(sum(_cost(part, 8) for part in state if type(part) in (str, list)))
        try:
            built = pending.built(state)
        except (TypeError, ValueError, AttributeError) as error:
            message = f"an array is damaged: {error}"
            raise Broken(message) from error
        for key in pending.memo_keys:
            if self.memo[key] is pending:
                self.memo[key] = built
        self.stack.append(built)

    def set_items(self, values: list[Any]) -> None:
        """Put keys and values, in turn, into the dictionary on top."""
        target = self.top(dict)
        target.update(pairs(values))

    def add_items(self, values: list[Any]) -> None:
        """Put values into the set on top."""
        target = self.top(set)
        target.update(hashable(value) for value in values)


def _cost(value: Any, of_each: int) -> int:
    """Bytes that a copy of a value takes, at most."""
    if isinstance(value, list | tuple):
        return of_each * len(value)
    return len(value) if isinstance(value, str | bytes | bytearray) else 0


def pairs(values: list[Any]) -> dict[Any, Any]:
    """Return a dictionary of keys and values that come in turn."""
    if len(values) % 2:
        raise Broken("a dictionary has a key without a value")  # noqa: EM101
    return {hashable(key): value for key, value in zip(values[::2], values[1::2], strict=True)}


def check_plain(value: Any) -> None:
    """Refuse values that hold themselves, or so many others that looking at all of them would take for ever."""
    sizes: dict[int, int] = {}
    open_ids: set[int] = set()
    todo: list[tuple[Any, bool]] = [(value, False)]
    while todo:
        each, is_done = todo.pop()
        parts = _parts(each)
        if parts is None:
            continue
        if is_done:
            open_ids.discard(id(each))
            sizes[id(each)] = 1 + sum(sizes.get(id(part), 1) for part in parts)
            if sizes[id(each)] > _MAX_NODES:
                raise Broken("values are nested so that they would never end")  # noqa: EM101
        elif id(each) in open_ids:
            raise Broken("a value holds itself")  # noqa: EM101
        elif id(each) not in sizes:
            open_ids.add(id(each))
            if len(open_ids) > _MAX_DEPTH:
                message = f"values are nested more than {_MAX_DEPTH} times"
                raise Broken(message)
            todo.append((each, True))
            todo += [(part, False) for part in parts]


def _parts(value: Any) -> list[Any] | None:
    """Values within a value; None for one that holds no others."""
    if isinstance(value, Maker | TheArray | PendingArray | PendingType):
        raise Broken("it holds a function or an unfinished array as a value")  # noqa: EM101
    if type(value) is dict:
        return list(value.values())
    if type(value) in (list, tuple):
        return list(value)
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        return value.ravel().tolist()
    return None
