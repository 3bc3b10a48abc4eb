"""Kinds of lab folders that can be converted, each an interface of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from nwb_celltype.converters.interface import SessionInterface
from nwb_celltype.converters.records import SourceSession
from nwb_celltype.errors import InputError, UsageError

_FOLDER = {"type": "string", "format": "directory"}


class PhyInterface(SessionInterface):
    """A folder that Kilosort or Phy wrote, curated or not, with the recording that it names if that can be found.

    Parameters
    ----------
    folder_path : str or Path
        Holds ``spike_times.npy`` and ``params.py``.
    verbose : bool

    Examples
    --------
    >>> interface = PhyInterface("session/kilosort4")  # doctest: +SKIP
    >>> interface.run_conversion("session.nwb", metadata=metadata)  # doctest: +SKIP
    """

    kind = "phy"
    display_name = "Phy or Kilosort folder"
    associated_suffixes = (".npy", ".tsv", ".py")
    info = "Sorted units of a Phy or Kilosort folder, with waveforms from the recording or from templates."
    source_properties: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "folder_path": {**_FOLDER, "description": "Folder with spike_times.npy and params.py."},
    }
    source_required = ("folder_path",)

    def __init__(self, folder_path: str | Path, verbose: bool = False) -> None:
        super().__init__(verbose=verbose, folder_path=folder_path)
        self._path = self._require_path(folder_path)

    def _read(self) -> SourceSession:
        from nwb_celltype.converters.phy import read_session

        return read_session(self._path)


class _RunInterface(SessionInterface):
    """A kind whose session is a folder of an acquisition system, with sortings beside it or named after it."""

    source_properties: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "folder_path": {"type": "string", "description": "Run folder, probe folder or .bin file."},
        "sorting_paths": {"type": ["array", "null"], "items": _FOLDER, "default": None},
    }
    source_required = ("folder_path",)

    def __init__(
        self,
        folder_path: str | Path,
        sorting_paths: Sequence[str | Path] | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(verbose=verbose, folder_path=folder_path, sorting_paths=sorting_paths)
        self._path = self._require_path(folder_path)
        self._sortings = None if not sorting_paths else [self._require_path(p) for p in sorting_paths]


class SpikeGLXInterface(_RunInterface):
    """A SpikeGLX run (probes, NIDQ) with the sorting beside it.

    Parameters
    ----------
    folder_path : str or Path
        The run, its ``_g0`` folder, a probe's folder, or one ``.bin`` file.
    sorting_paths : sequence of str or Path, optional
        Phy or Kilosort folders, one for each probe at most; looked for under the run by default.
    verbose : bool

    Examples
    --------
    >>> interface = SpikeGLXInterface("run_g0")  # doctest: +SKIP
    >>> [p.name for p in interface.session.pulses]  # doctest: +SKIP
    ['imec0.SY0.6', 'nidq.XD0.3']
    """

    kind = "spikeglx"
    display_name = "SpikeGLX run"
    associated_suffixes = (".bin", ".meta")
    info = "Probes, digital lines and sorted units of a SpikeGLX run, on one clock."

    def _read(self) -> SourceSession:
        from nwb_celltype.converters.spikeglx import read_session

        return read_session(self._path, sorting=self._sortings)


class OpenEphysInterface(_RunInterface):
    """An Open Ephys session in binary format, with the sorting beside it.

    Parameters
    ----------
    folder_path : str or Path
        Session, record node or recording.
    sorting_paths : sequence of str or Path, optional
        Phy or Kilosort folders; looked for under the session by default.
    verbose : bool

    Examples
    --------
    >>> OpenEphysInterface("2026-01-31_14-03-00").session.started  # doctest: +SKIP
    """

    kind = "openephys"
    display_name = "Open Ephys session"
    associated_suffixes = (".dat", ".oebin", ".npy")
    info = "Probes, TTL lines and sorted units of an Open Ephys session in binary format."

    def _read(self) -> SourceSession:
        from nwb_celltype.converters.openephys import read_session

        return read_session(self._path, sorting=self._sortings)


class SpikeInterfaceInterface(SessionInterface):
    """A SpikeInterface sorting or sorting analyzer, in memory or saved.

    Parameters
    ----------
    source : BaseSorting, SortingAnalyzer, str or Path
    verbose : bool

    Examples
    --------
    >>> SpikeInterfaceInterface("analyzer.zarr").run_conversion("session.nwb", metadata=metadata)  # doctest: +SKIP
    """

    kind = "spikeinterface"
    display_name = "SpikeInterface sorting or analyzer"
    associated_suffixes = (".zarr", ".json", ".npz")
    info = "Units, templates and metrics of a SpikeInterface sorting or sorting analyzer."
    source_properties: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "source": {"description": "Folder of a saved sorting or analyzer, or the object itself."},
    }
    source_required = ("source",)

    def __init__(self, source: Any, verbose: bool = False) -> None:
        super().__init__(verbose=verbose, source=source)
        self._source = self._require_path(source) if isinstance(source, str | Path) else source

    def _read(self) -> SourceSession:
        from nwb_celltype.converters.analyzer import read_session

        return read_session(self._source)


class PlexonInterface(SessionInterface):
    """A Plexon file, with a sorter's output beside it where there is one.

    Parameters
    ----------
    file_path : str or Path
        ``.plx`` or ``.pl2``, or a folder that holds exactly one.
    sorting_paths : sequence of str or Path, optional
        One Kilosort folder, or one pickle of Full Binary Pursuit, NeuroViz or XSort; the file's own units by default.
    verbose : bool

    Examples
    --------
    >>> PlexonInterface("monkey.pl2", ["monkey_sorted.pkl"]).session.recordings[0].sorting  # doctest: +SKIP
    """

    kind = "plexon"
    display_name = "Plexon file"
    associated_suffixes = (".plx", ".pl2")
    info = "Units, snippets, traces and events of a Plexon file; no library of the vendor is needed."
    source_properties: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "file_path": {"type": "string", "description": "A .plx or .pl2 file."},
        "sorting_paths": {"type": ["array", "null"], "items": {"type": "string"}, "default": None},
    }
    source_required = ("file_path",)

    def __init__(
        self, file_path: str | Path, sorting_paths: Sequence[str | Path] | None = None, verbose: bool = False
    ) -> None:
        super().__init__(verbose=verbose, file_path=file_path, sorting_paths=sorting_paths)
        self._path = self._require_path(file_path)
        self._sortings = [self._require_path(p) for p in sorting_paths or ()]

    def _read(self) -> SourceSession:
        from nwb_celltype.converters.plexon import read_session

        if len(self._sortings) > 1:
            named = ", ".join(str(path) for path in self._sortings)
            message = f"A Plexon file takes one sorter's output, not {len(self._sortings)}: {named}."
            raise UsageError(message)
        if not self._sortings:
            return read_session(self._path)
        beside = self._sortings[0]
        if beside.suffix.lower() not in (".pkl", ".pickle"):
            return read_session(self._path, sorting=beside)
        from nwb_celltype.converters.pickles import read_sorting

        (recording, *_) = read_session(self._path).recordings
        if recording.traces is None:
            message = f"{self._path} holds no traces, so the samples that {beside} counts cannot be placed in time."
            raise InputError(message)
        rate, n_samples = recording.traces.sampling_rate_hz, recording.traces.n_samples
        sorting = read_sorting(beside, sampling_rate_hz=rate, n_channels=len(recording.probe))
        last = int(sorting.spike_samples.max(initial=0))
        if last >= n_samples:
            message = (
                f"{beside} counts up to sample {last:,}, but the traces of {self._path} have {n_samples:,}: it is the "
                "sorting of another recording, or of a longer one. Name the pickle of this file."
            )
            raise InputError(message)
        return read_session(self._path, sorting=sorting)


class _FileInterface(SessionInterface):
    """A kind whose whole session is one file or folder."""

    source_properties: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "file_path": {"type": "string", "description": "File, or folder that holds it."},
    }
    source_required = ("file_path",)

    def __init__(self, file_path: str | Path, verbose: bool = False) -> None:
        super().__init__(verbose=verbose, file_path=file_path)
        self._path = self._require_path(file_path)


class NeuroExplorerInterface(_FileInterface):
    """A NeuroExplorer file.

    Parameters
    ----------
    file_path : str or Path
        ``.nex`` or ``.nex5``.
    verbose : bool

    Examples
    --------
    >>> NeuroExplorerInterface("session.nex").session.recordings[0].sorting.unit_names  # doctest: +SKIP
    """

    kind = "neuroexplorer"
    display_name = "NeuroExplorer file"
    associated_suffixes = (".nex", ".nex5")
    info = "Neurons, snippets, events and intervals of a NeuroExplorer file."

    def _read(self) -> SourceSession:
        from nwb_celltype.converters.neuroexplorer import read_session

        return read_session(self._path)


class CellExplorerInterface(_FileInterface):
    """Cell metrics of CellExplorer, with what lies beside them.

    Parameters
    ----------
    file_path : str or Path
        ``*.cell_metrics.cellinfo.mat``, or the folder of the session.
    verbose : bool

    Examples
    --------
    >>> CellExplorerInterface("basename.cell_metrics.cellinfo.mat").session.facts  # doctest: +SKIP
    """

    kind = "cellexplorer"
    display_name = "CellExplorer session"
    associated_suffixes = (".mat",)
    info = "Units, waveforms, metrics and labels of CellExplorer; ground truth and putative types stay apart."

    def _read(self) -> SourceSession:
        from nwb_celltype.converters.cellexplorer import read_session

        return read_session(self._path)


class C4Interface(SessionInterface):
    """One recording of the C4 database (Beau et al., Cell 2025).

    Parameters
    ----------
    file_path : str or Path
        HDF5 file of the database.
    recording : str, optional
        ``dataset_id``; needed where the file holds several.
    verbose : bool

    Examples
    --------
    >>> C4Interface("C4_database_hull_labelled.h5", "hull_17").session.facts  # doctest: +SKIP
    """

    kind = "c4"
    display_name = "C4 database"
    associated_suffixes = (".h5",)
    info = "Labelled cerebellar units of the C4 database, one NWB file for each recording."
    source_properties: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "file_path": {"type": "string", "description": "HDF5 file of the database."},
        "recording": {"type": ["string", "null"], "default": None, "description": "dataset_id of one recording."},
    }
    source_required = ("file_path",)

    def __init__(self, file_path: str | Path, recording: str | None = None, verbose: bool = False) -> None:
        super().__init__(verbose=verbose, file_path=file_path, recording=recording)
        self._path = self._require_path(file_path)
        self._recording = recording

    def _read(self) -> SourceSession:
        from nwb_celltype.converters.c4 import read_session

        return read_session(self._path, self._recording)


KINDS: dict[str, type[SessionInterface]] = {
    each.kind: each
    for each in (
        PhyInterface,
        SpikeGLXInterface,
        SpikeInterfaceInterface,
        OpenEphysInterface,
        PlexonInterface,
        NeuroExplorerInterface,
        CellExplorerInterface,
        C4Interface,
    )
}
"""Interface of each kind, by the name that the command line takes."""


def interface_for(kind: str, paths: Any, *, recording: str | None = None) -> SessionInterface:
    """Make the interface of a kind for what a user names.

    Parameters
    ----------
    kind : str
        A key of `KINDS`.
    paths : path, object, sequence of paths, or SessionInterface
        First the session, then sorting folders where the kind takes them; an interface is taken as it is.
    recording : str, optional
        One recording of a source that holds several, where the kind has such.

    Raises
    ------
    UsageError
        If there is no such kind, or it takes one path only, or has no recordings to choose from.
    """
    if kind not in KINDS:
        message = f"There is no kind {kind!r}; choose one of {', '.join(KINDS)}."
        raise UsageError(message)
    if isinstance(paths, SessionInterface):
        return paths
    given = list(paths) if isinstance(paths, list | tuple) else [paths]
    interface = KINDS[kind]
    if not given:
        message = f"Name the {interface.display_name} to convert."
        raise UsageError(message)
    options: dict[str, Any] = {}
    if recording is not None:
        if "recording" not in interface.source_properties:
            message = f"The kind {kind!r} has one recording in each source; leave out the name {recording!r}."
            raise UsageError(message)
        options["recording"] = recording
    if len(given) > 1:
        if "sorting_paths" not in interface.source_properties:
            message = f"The kind {kind!r} takes one path, not {len(given)}."
            raise UsageError(message)
        options["sorting_paths"] = given[1:]
    return interface(given[0], **options)
