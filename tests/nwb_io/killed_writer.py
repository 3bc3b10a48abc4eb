"""Annotate a file in a child process, on command, slowly enough in the short phases to be killed in each.

Started as ``python killed_writer.py FILE LABELS``. It imports what is heavy once; for each line on its input it forks a
child, which annotates FILE in place and announces its phases on the output, and then says how the child ended. The
child is the real thing: the calls that take next to no time are made between two pauses, nothing else is changed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

PAUSE_S = 0.02


def say(*words: object) -> None:
    """One line at once, so that lines of two processes never mix."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def between_pauses(module: Any, name: str) -> None:
    """Let the real call happen in the middle of two short pauses."""
    real: Callable[..., Any] = getattr(module, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        time.sleep(PAUSE_S)
        result = real(*args, **kwargs)
        time.sleep(PAUSE_S)
        return result

    setattr(module, name, call)


def annotate_and_tell(path: str, labels: str) -> None:
    """What the child does."""
    from nwb_celltype import annotate

    between_pauses(os, "fsync")
    between_pauses(os, "replace")
    between_pauses(shutil, "copyfileobj")
    between_pauses(fcntl, "ioctl")  # the attempt to share blocks, which may be all there is of copying
    result = annotate(path, in_place=True, labels=labels, by="me", on_phase=lambda phase: say("phase", phase))
    say("run", result.run.name, result.is_new)


def main(path: str, labels: str) -> None:
    """Fork a child for every line on the input."""
    import ndx_cell_type
    import pynwb

    import nwb_celltype.nwb_io

    say("ready", pynwb.__version__, ndx_cell_type.__name__, nwb_celltype.nwb_io.__name__)
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                annotate_and_tell(path, labels)
                os._exit(0)
            except BaseException as error:
                say("failed", type(error).__name__, str(error).replace("\n", " "))
                os._exit(1)
        say("child", child)
        say("end", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main(*sys.argv[1:])
