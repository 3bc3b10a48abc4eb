"""Has the file changed underneath a review, and does it matter?"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nwb_celltype.errors import CellTypeError
from nwb_celltype.nwb_io.safe_write import Fingerprint, fingerprint
from nwb_celltype.runs import read_runs
from nwb_celltype.units import read_units

Condition = Literal["same", "more_runs", "changed", "unreadable"]


@dataclass(frozen=True)
class FileState:
    """Condition of a file, and a sentence where it is not as it was.

    Attributes
    ----------
    condition : {'same', 'more_runs', 'changed', 'unreadable'}
        Nothing changed; runs were added or something else that is not the units; the units changed; it is gone or
        cannot be read.
    sentence : str
    """

    condition: Condition
    sentence: str = ""

    @property
    def may_save(self) -> bool:
        """Whether decisions still belong to the units of the file."""
        return self.condition in ("same", "more_runs")


class WatchedFile:
    """A file whose units must stay as they were read.

    Parameters
    ----------
    path : Path
    units_path : str
        The units table.
    units_sha256 : str
        Digest of its units.
    runs : sequence of str
        Names of its runs.
    seen : tuple
        `nwb_io.safe_write.fingerprint` from before it was read.
    """

    def __init__(
        self, path: Path, units_path: str, units_sha256: str, runs: tuple[str, ...], seen: Fingerprint
    ) -> None:
        self.path, self.units_path, self.units_sha256 = path, units_path, units_sha256
        self._runs, self._seen, self._state = set(runs), seen, FileState("same")
        self._lock = threading.Lock()

    def look(self) -> FileState:
        """Say how the file is now; it is only read again when its size, time or inode changed."""
        with self._lock:
            try:
                found = fingerprint(self.path)
            except CellTypeError as error:
                return FileState("unreadable", f"{error} Decisions are kept in the journal.")
            if found != self._seen:
                self._state, self._seen = self._examine(), found
            return self._state

    def accept(self, run: str) -> None:
        """Take the file as it is now for known, after a run of this name was saved into it."""
        with self._lock:
            self._runs.add(run)
            self._seen = fingerprint(self.path)
            self._state = self._examine()

    def _examine(self) -> FileState:
        try:
            with read_units(self.path, units_table=self.units_path) as units:
                is_same = units.sha256() == self.units_sha256
            names = {run.name for run in read_runs(self.path)}
        except CellTypeError as error:
            return FileState("unreadable", f"The file changed and cannot be read: {error}")
        if not is_same:
            return FileState(
                "changed",
                f"{self.path.name} changed: its spike times, waveforms or ids are not those shown here. Decisions go "
                "on into the journal, but nothing is saved into the file. Start the review again to see the new data.",
            )
        fresh = sorted(names - self._runs)
        if fresh:
            return FileState(
                "more_runs",
                f"{self.path.name} was changed by somebody else and has new runs ({', '.join(fresh)}); its units are "
                "the same. Start the review again to see them.",
            )
        return FileState("same")
