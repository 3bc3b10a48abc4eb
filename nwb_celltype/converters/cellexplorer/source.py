"""Everything that the files of one session hold, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nwb_celltype.converters.cellexplorer.files import SessionFiles
from nwb_celltype.converters.cellexplorer.matfile import read_mat
from nwb_celltype.converters.cellexplorer.values import Struct, kind_of, number_of, struct_at, texts_of, vector_of
from nwb_celltype.errors import InputError

# Derived from spikes and events, large, and nothing that NWB has a place for; they are named among what is left out.
_DERIVED = (
    "acg",
    "isi",
    "responseCurves",
    "firingRateMaps",
    "events",
    "manipulations",
    "spatial",
    "putativeConnections",
)
_FASTEST_HZ = 1e7
_SKIPPED = frozenset(
    {
        *(f"cell_metrics.{name}" for name in _DERIVED),
        "cell_metrics.waveforms.user",
        "spikes.ids",
        "spikes.spindices",
        "spikes.amplitudes",
    }
)


@dataclass(frozen=True, eq=False)
class Source:
    """Structs of one session; an empty one where there is no file.

    Attributes
    ----------
    files : SessionFiles
    metrics, spikes, session, info, coordinates, atlas : mapping of str to object
        ``cell_metrics``, ``spikes``, ``session``, ``sessionInfo``, ``chanCoords``, ``ccf``.
    notes : tuple of str
        Files beside the units that cannot be used.
    """

    files: SessionFiles
    metrics: Struct
    spikes: Struct
    session: Struct
    info: Struct
    coordinates: Struct
    atlas: Struct
    notes: tuple[str, ...] = ()

    @property
    def general(self) -> Struct:
        """What `cell_metrics` says of the whole session."""
        return struct_at(self.metrics, "general")

    @property
    def extracellular(self) -> Struct:
        """How was recorded: of the session's file, else what `cell_metrics` kept of it."""
        return struct_at(self.session, "extracellular") or struct_at(
            self.general, "processinginfo", "params", "session", "extracellular"
        )

    @property
    def name(self) -> str:
        """Name of the file with the units."""
        return self.files.units.name

    def sampling_rate_hz(self) -> tuple[float | None, str]:
        """Sampling rate of the recording and where it is stated; None where nothing says so."""
        params = struct_at(self.general, "processinginfo", "params")
        stated = (
            (struct_at(self.session, "extracellular").get("sr"), "session.extracellular.sr"),
            (self.spikes.get("sr"), "spikes.sr"),
            (_only(self.metrics.get("sr")), "cell_metrics.sr"),
            (struct_at(params, "session", "extracellular").get("sr"), "the session kept in cell_metrics"),
            (struct_at(self.info, "rates").get("wideband"), "sessionInfo.rates.wideband"),
        )
        for value, where in stated:
            number = number_of(value)
            if number is not None and 0 < number < _FASTEST_HZ:
                return number, where
        return None, ""


def read_source(files: SessionFiles) -> Source:
    """Read the files of one session.

    Parameters
    ----------
    files : SessionFiles

    Returns
    -------
    Source

    Raises
    ------
    InputError
        A file with units cannot be read, or holds several sessions. What else lies beside it is left aside when it is
        broken, with a note.
    """
    metrics = _struct(files.metrics, "cell_metrics")
    spikes = _struct(files.spikes, "spikes")
    if files.metrics is not None:
        _check_one_session(metrics, files.metrics)
    notes: list[str] = []
    return Source(
        files,
        metrics,
        spikes,
        _beside(files.session, "session", notes),
        _beside(files.session_info, "sessionInfo", notes),
        _beside(files.coordinates, "chanCoords", notes),
        _beside(files.atlas, "ccf", notes),
        tuple(notes),
    )


def _struct(path: Path | None, variable: str) -> Struct:
    if path is None:
        return {}
    held = read_mat(path, [variable], _SKIPPED)
    if variable not in held:
        message = f"{path.name} does not hold the variable {variable}; give a file that CellExplorer wrote."
        raise InputError(message)
    struct = held[variable]
    if isinstance(struct, list) and len(struct) == 1:
        struct = struct[0]
    if not isinstance(struct, Mapping):
        message = f"{path.name}: {variable} must be a struct, and is {kind_of(struct)}. Save it again in MATLAB."
        raise InputError(message)
    return struct


def _beside(path: Path | None, variable: str, notes: list[str]) -> Struct:
    try:
        return _struct(path, variable)
    except InputError as error:
        notes.append(f"not used: {error}")
        return {}


def _check_one_session(metrics: Struct, path: Path) -> None:
    general = struct_at(metrics, "general")
    names = set(texts_of(metrics.get("sessionName", "")))
    if len(names) < 2:
        names |= (
            set(texts_of(general.get("basenames", ""))) if len(texts_of(general.get("basenames", ""))) > 1 else set()
        )
    if len(names) < 2 and isinstance(metrics.get("batchIDs"), np.ndarray):
        ids = np.unique(vector_of(metrics["batchIDs"], f"{path.name}: cell_metrics.batchIDs"))
        names = names if len(ids) < 2 else {f"batch {number:g}" for number in ids}
    if len(names) < 2:
        return
    listed = ", ".join(sorted(names)[:8]) + (", ..." if len(names) > 8 else "")
    message = (
        f"{path.name} holds {len(names)} sessions ({listed}), loaded together; an NWB file is one session. Convert the "
        "cell_metrics file of each session, or save them apart in MATLAB (saveCellMetrics)."
    )
    raise InputError(message)


def _only(value: Any) -> Any:
    """Return a value that all units share."""
    if isinstance(value, np.ndarray) and value.size and value.dtype.kind in "iuf" and len(np.unique(value)) == 1:
        return value.ravel()[:1]
    return None
