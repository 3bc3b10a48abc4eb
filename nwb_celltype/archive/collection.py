"""Keep Python's garbage collector out of threads that a reader of HDF5 waits for.

h5py holds one lock while HDF5 reads, and takes the same lock when one of its objects is thrown away. The collector
runs in whichever thread happens to allocate: if it throws such an object away in a thread that brings the bytes which
the reader, holding the lock, waits for, both wait for ever. So it pauses while bytes are under way, and the readers
themselves catch up on it, where it can do no harm.
"""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import Iterator

_lock = threading.Lock()  # nothing that is done under it makes the collector run
_n_pauses = 0
_was_enabled = False


def pause() -> None:
    """Begin a pause of the collector; pauses of several threads overlap."""
    global _n_pauses, _was_enabled
    with _lock:
        if _n_pauses == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _n_pauses += 1


def resume() -> None:
    """End one pause; when it was the last, the collector runs again."""
    global _n_pauses
    with _lock:
        _n_pauses -= 1
        if _n_pauses == 0 and _was_enabled:
            gc.enable()


def _begin_anew() -> None:
    """In a forked process: the threads that would have ended the pauses are not there."""
    global _lock, _n_pauses
    _lock = threading.Lock()
    if _n_pauses and _was_enabled:
        gc.enable()
    _n_pauses = 0


os.register_at_fork(after_in_child=_begin_anew)


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Pause the collector for a while.

    Examples
    --------
    >>> with paused():
    ...     gc.isenabled()
    False
    """
    pause()
    try:
        yield
    finally:
        resume()


def catch_up() -> None:
    """Collect what is due during a pause; to be called by a thread that nobody waits for and that holds no lock."""
    if not (_n_pauses and _was_enabled):
        return
    due = [count > threshold > 0 for count, threshold in zip(gc.get_count(), gc.get_threshold(), strict=True)]
    if due[0]:
        gc.collect(2 if due[1] and due[2] else 1 if due[1] else 0)
