"""What the machine does at each instruction of a pickle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nwb_celltype.converters.safe_pickle.machine import Machine, pairs
from nwb_celltype.converters.safe_pickle.names import Broken, Refused, to_set

_MAX_INSTRUCTIONS = 10_000_000
_MAX_BITS = 2**14

_PUSHED = frozenset(
    {
        "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
        "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE",
        "BINUNICODE", "BINUNICODE8",
    }
)  # fmt: skip


def follow(machine: Machine, name: str, argument: Any, *, n_before: int = 0) -> None:
    """Do what one instruction says.

    Parameters
    ----------
    machine : Machine
    name : str
        As `pickletools` calls it.
    argument : object
        What stands after it in the file.
    n_before : int
        Instructions that were followed already.

    Raises
    ------
    Broken
        If it finds no values to work on, or there are too many instructions.
    Refused
        If it would make an object, or ask the outside for one.
    """
    if n_before >= _MAX_INSTRUCTIONS:
        message = f"it has more than {_MAX_INSTRUCTIONS} instructions; save numbers as arrays"
        raise Broken(message)
    if name in _PUSHED:
        if type(argument) is int and argument.bit_length() > _MAX_BITS:
            message = f"a whole number has more than {_MAX_BITS} bits"
            raise Broken(message)
        machine.stack.append(argument)
        return
    doing = _INSTRUCTIONS.get(name)
    if doing is None:
        message = f"an object by the instruction {name}"
        raise Refused(message)
    doing(machine, argument)


def _push(make: Callable[[], Any]) -> Callable[[Machine, Any], None]:
    return lambda machine, _: machine.stack.append(make())


def _tuple_of(n: int) -> Callable[[Machine, Any], None]:
    def doing(machine: Machine, _: Any) -> None:
        values = [machine.pop() for _ in range(n)]
        machine.stack.append(tuple(reversed(values)))

    return doing


def _gather(make: Callable[[list[Any]], Any]) -> Callable[[Machine, Any], None]:
    def doing(machine: Machine, _: Any) -> None:
        values = machine.since_mark()  # changes which list the stack is
        machine.stack.append(make(values))

    return doing


def _mark(machine: Machine, _: Any) -> None:
    machine.marks.append(machine.stack)
    machine.stack = []


def _pop(machine: Machine, _: Any) -> None:
    if machine.stack:
        machine.stack.pop()
    else:  # a mark on top goes as a value would
        machine.since_mark()


def _duplicate(machine: Machine, _: Any) -> None:
    machine.stack += [machine.pop()] * 2


def _append(machine: Machine, _: Any) -> None:
    value = machine.pop()
    machine.top(list).append(value)


def _append_all(machine: Machine, _: Any) -> None:
    values = machine.since_mark()
    machine.top(list).extend(values)


def _set_item(machine: Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items([key, value])


def _stack_name(machine: Machine, _: Any) -> None:
    attribute, module = machine.pop(), machine.pop()
    machine.name(module, attribute)


def _instance(_machine: Machine, names: str) -> None:
    raise Refused(names.replace(" ", "."))


def _nothing(_machine: Machine, _: Any) -> None:
    """Frames and protocol numbers say nothing about the values."""


_INSTRUCTIONS: Mapping[str, Callable[[Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), _nothing),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, key: machine.get(key)),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda machine, key: machine.put(key)),
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    "NONE": _push(lambda: None),
    "NEWTRUE": _push(lambda: True),
    "NEWFALSE": _push(lambda: False),
    "EMPTY_LIST": _push(list),
    "EMPTY_DICT": _push(dict),
    "EMPTY_TUPLE": _push(tuple),
    "EMPTY_SET": _push(set),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "MARK": _mark,
    "POP_MARK": lambda machine, _: machine.since_mark().clear(),
    "POP": _pop,
    "DUP": _duplicate,
    "LIST": _gather(list),
    "TUPLE": _gather(tuple),
    "DICT": _gather(pairs),
    "FROZENSET": _gather(lambda values: frozenset(to_set(values))),
    "APPEND": _append,
    "APPENDS": _append_all,
    "SETITEM": _set_item,
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "ADDITEMS": lambda machine, _: machine.add_items(machine.since_mark()),
    "GLOBAL": lambda machine, names: machine.name(*names.partition(" ")[::2]),
    "STACK_GLOBAL": _stack_name,
    "INST": _instance,
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
}
