"""Files of one session by CellExplorer's names: ``basename.cell_metrics.cellinfo.mat`` and what lies beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from nwb_celltype.converters.cellexplorer.matfile import variables_of
from nwb_celltype.errors import InputError

_METRICS = ".cell_metrics.cellinfo.mat"
_SPIKES = ".spikes.cellinfo.mat"


@dataclass(frozen=True)
class SessionFiles:
    """Files of one session; None for those that are not there.

    Attributes
    ----------
    basename : str
        What their names begin with.
    folder : Path
    metrics, spikes, session, session_info, coordinates, atlas : Path or None
        Files with the variables ``cell_metrics``, ``spikes``, ``session``, ``sessionInfo``, ``chanCoords``, ``ccf``.
    dat, lfp : Path or None
        Recording and its slow part.
    timed : tuple of Path
        Files of events and manipulations.
    """

    basename: str
    folder: Path
    metrics: Path | None = None
    spikes: Path | None = None
    session: Path | None = None
    session_info: Path | None = None
    coordinates: Path | None = None
    atlas: Path | None = None
    dat: Path | None = None
    lfp: Path | None = None
    timed: tuple[Path, ...] = ()

    @property
    def units(self) -> Path:
        """File that the units are read from first."""
        return self.metrics or self.spikes or self.folder


def find_files(path: str | Path) -> SessionFiles:
    """Find the files of one session.

    Parameters
    ----------
    path : str or Path
        A session folder, or one of its .mat files.

    Returns
    -------
    SessionFiles
        With at least one of `metrics` and `spikes`.

    Raises
    ------
    InputError
        There are no units, or those of several sessions; the message lists what there is.
    """
    path = Path(path)
    if path.is_dir():
        return _in_folder(path)
    if not path.is_file():
        message = f"{path} does not exist; check the path."
        raise InputError(message)
    name = path.name
    for ending in (_METRICS, _SPIKES, ".session.mat", ".sessionInfo.mat"):
        if name.lower().endswith(ending.lower()):
            found = _beside(path.parent, name[: -len(ending)])
            break
    else:
        found = _by_variables(path)
    if found.metrics is None and found.spikes is None:
        message = (
            f"{name} holds no units and neither {found.basename}{_METRICS} nor {found.basename}{_SPIKES} lies beside "
            "it; give the folder or file that does."
        )
        raise InputError(message)
    return found


def _in_folder(folder: Path) -> SessionFiles:
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    found: list[str] = []
    for ending in (_METRICS, _SPIKES):
        found += [name[: -len(ending)] for name in names if name.lower().endswith(ending.lower())]
    basenames = list(dict.fromkeys(found))
    if not basenames:
        matlab = [name for name in names if name.endswith(".mat")]
        held = f"only {', '.join(matlab[:5])}" if matlab else "no .mat file"
        message = (
            f"{folder} holds no units of CellExplorer: it has {held}, and neither basename{_METRICS} nor "
            f"basename{_SPIKES}. Give the folder or file that has one, or run ProcessCellMetrics first."
        )
        raise InputError(message)
    if len(basenames) > 1:
        if folder.resolve().name not in basenames:
            listed = ", ".join(basenames[:8]) + (", ..." if len(basenames) > 8 else "")
            message = (
                f"{folder} holds {len(basenames)} sessions ({listed}); an NWB file is one session, so give one of the "
                f"files, such as {basenames[0]}{_METRICS}."
            )
            raise InputError(message)
        basenames = [folder.resolve().name]
    return _beside(folder, basenames[0])


def _beside(folder: Path, basename: str) -> SessionFiles:
    by_name = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_file()}

    def file(*endings: str) -> Path | None:
        return next((by_name[key] for ending in endings if (key := f"{basename}{ending}".lower()) in by_name), None)

    timed = [
        path
        for name, path in by_name.items()
        if name.startswith(f"{basename}.".lower()) and name.endswith((".events.mat", ".manipulation.mat"))
    ]
    return SessionFiles(
        basename=basename,
        folder=folder,
        metrics=file(_METRICS),
        spikes=file(_SPIKES),
        session=file(".session.mat"),
        session_info=file(".sessionInfo.mat"),
        coordinates=file(".chanCoords.channelInfo.mat", ".channelInfo.mat"),
        atlas=file(".ccf.channelInfo.mat"),
        dat=file(".dat"),
        lfp=file(".lfp", ".eeg"),
        timed=tuple(timed),
    )


def _by_variables(path: Path) -> SessionFiles:
    """Files of a session by one whose name says nothing: its variables do."""
    names = variables_of(path)
    basename = path.name.partition(".")[0]
    beside = _beside(path.parent, basename)
    if "cell_metrics" in names:
        return replace(beside, metrics=path)
    if "spikes" in names:
        return replace(beside, metrics=None, spikes=path)
    message = (
        f"{path.name} holds {', '.join(names) or 'no variable'}, and neither cell_metrics nor spikes; give a file of "
        "CellExplorer, or its session folder."
    )
    raise InputError(message)
