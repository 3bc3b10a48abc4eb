"""Progress on stderr: a line that rewrites itself on a terminal, nothing where nobody looks."""

from __future__ import annotations

import sys
import time


class Progress:
    """Show how far each task is; call it with a task, the steps done and the number of steps.

    On a terminal one line is rewritten at most ten times a second; elsewhere each task leaves one line when it is done.

    Parameters
    ----------
    quiet : bool
        Show nothing at all.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._is_terminal = sys.stderr.isatty()
        self._last = 0.0

    def __call__(self, task: str, done: int, of: int) -> None:
        """Show that `done` of `of` steps of `task` are done."""
        if self._quiet:
            return
        if done >= of:
            self._write(f"{task}: {of}\n" if of > 1 else f"{task}\n")
        elif self._is_terminal and time.monotonic() - self._last > 0.1:
            self._last = time.monotonic()
            self._write(f"{task}: {done}/{of}")

    def phase(self, name: str) -> None:
        """Show that a phase without steps has begun."""
        if not self._quiet:
            self._write(f"{name}\n")

    def _write(self, text: str) -> None:
        start = "\r\x1b[K" if self._is_terminal else ""
        sys.stderr.write(f"{start}nwb-celltype: {text}")
        sys.stderr.flush()
