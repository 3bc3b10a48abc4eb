"""Everything this package raises on purpose.

::

    CellTypeError
    |-- UsageError        the call is wrong (an unknown unit or model, options that exclude each other)
    |-- InputError        a file or its data cannot be used as it is
    |-- RefusedError      a rule forbids it (licence, safety, a file that must not change)
    |-- NetworkError      a server or the way to it failed
    `-- NothingToDoError  something was asked for and there is nothing to do

A message says what went wrong, in which unit and file, and what to do.
"""

from __future__ import annotations


class CellTypeError(Exception):
    """Base of every error raised on purpose; `exit_code` is what the command line ends with."""

    exit_code = 1


class UsageError(CellTypeError):
    """The call is wrong: an unknown name, a unit that does not exist, options that exclude each other."""

    exit_code = 2


class InputError(CellTypeError):
    """A file, or what it holds, cannot be used as it is."""

    exit_code = 3


class RefusedError(CellTypeError):
    """A rule forbids it: a licence, the safety of somebody's file, a species."""

    exit_code = 4


class NetworkError(CellTypeError):
    """A server, or the way to it, failed."""

    exit_code = 5


class NothingToDoError(CellTypeError):
    """Something was asked for, and there is nothing to do."""

    exit_code = 6
