"""The contract of NeuroConv's data interfaces, kept without NeuroConv: ours drop into its converters.

NeuroConv's `NWBConverter` and `ConverterPipe` call interfaces by their methods and never ask for their base class, so
having the same methods with the same meaning is all that is needed, and NeuroConv need not be installed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from nwb_celltype.converters.assembly import Options, fill, prepared, unit_waveforms
from nwb_celltype.converters.metadata import SessionMetadata, check_metadata, check_sections, metadata_schema
from nwb_celltype.converters.records import SourceSession
from nwb_celltype.errors import InputError, UsageError

_STUB_S = 10.0
_SCHEMA = "http://json-schema.org/draft-07/schema#"


class SessionInterface(ABC):
    """One lab folder as NeuroConv sees it: metadata out, an NWB file filled.

    Subclasses say how a session is read (`_read`) and what they are called. The source is read when it is first needed.

    Parameters
    ----------
    verbose : bool
        Kept for NeuroConv; progress is shown by the command line.
    **source_data
        What the subclass was given.
    """

    kind: ClassVar[str] = ""
    display_name: ClassVar[str | None] = None
    keywords: ClassVar[tuple[str, ...]] = ("extracellular electrophysiology", "spike sorting")
    associated_suffixes: ClassVar[tuple[str, ...]] = ()
    info: ClassVar[str | None] = None
    source_properties: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    source_required: ClassVar[tuple[str, ...]] = ()

    def __init__(self, verbose: bool = False, **source_data: Any) -> None:
        self.verbose = verbose
        self.source_data = source_data

    @abstractmethod
    def _read(self) -> SourceSession:
        """Read the source."""

    @cached_property
    def session(self) -> SourceSession:
        """Everything the source says; read once."""
        return self._read()

    @classmethod
    def get_source_schema(cls) -> dict[str, Any]:
        """JSON schema of the arguments that name the source."""
        return {
            "$schema": _SCHEMA,
            "title": f"Source of {cls.display_name}",
            "type": "object",
            "properties": {
                **deepcopy({name: dict(entry) for name, entry in cls.source_properties.items()}),
                "verbose": {"type": "boolean", "default": False},
            },
            "required": list(cls.source_required),
            "additionalProperties": False,
        }

    @classmethod
    def validate_source(cls, source_data: Mapping[str, Any], verbose: bool = False) -> None:  # noqa: ARG003 NeuroConv passes it
        """Refuse arguments that this interface does not know, or lacks.

        Raises
        ------
        UsageError
        """
        unknown = sorted(set(source_data) - set(cls.source_properties) - {"verbose"})
        missing = [name for name in cls.source_required if name not in source_data]
        if unknown or missing:
            problems = [f"unknown: {', '.join(unknown)}"] if unknown else []
            problems += [f"missing: {', '.join(missing)}"] if missing else []
            message = f"{cls.__name__} takes {', '.join(cls.source_properties)}; {'; '.join(problems)}."
            raise UsageError(message)

    def get_metadata(self) -> dict[str, Any]:
        """What the source says, in the shape of a metadata file; what it does not say is absent."""
        metadata: dict[str, Any] = {"NWBFile": {}, "Subject": {}, "Devices": {}, "Events": {}}
        for key, value in self.session.facts.items():
            section, _, name = key.partition(".")
            metadata.setdefault(section, {})[name] = value
        if self.session.started is not None and self.session.started.tzinfo is not None:
            metadata["NWBFile"]["session_start_time"] = self.session.started.isoformat()
        for recording in self.session.recordings:
            probe = recording.probe
            facts = {
                "name": probe.name,
                "description": probe.description,
                "manufacturer": probe.manufacturer,
                "model": probe.model,
                "serial_number": probe.serial_number,
            }
            metadata["Devices"][probe.name] = {key: value for key, value in facts.items() if value}
        return {section: content for section, content in metadata.items() if content or section == "NWBFile"}

    def get_metadata_schema(self) -> dict[str, Any]:
        """JSON schema of a metadata file."""
        return metadata_schema()

    def get_conversion_options_schema(self) -> dict[str, Any]:
        """JSON schema of what `add_to_nwbfile` takes beside the file and its metadata."""
        return {
            "$schema": _SCHEMA,
            "title": f"Options of {self.display_name}",
            "type": "object",
            "properties": {
                "stub_test": {
                    "type": "boolean",
                    "default": False,
                    "description": f"Convert the first {_STUB_S:g} s only.",
                },
                "raw": {"type": "boolean", "default": False, "description": "Also write the traces, compressed."},
                "n_channels": {
                    "type": "integer",
                    "minimum": 1,
                    "default": 16,
                    "description": "Nearest channels for each unit's mean waveform.",
                },
            },
            "additionalProperties": False,
        }

    def validate_metadata(self, metadata: Mapping[str, Any], append_mode: bool = False) -> None:
        """Check a metadata dictionary as the command line checks its file.

        Raises
        ------
        InputError
            Listing every problem.
        """
        self._checked(metadata, complete=not append_mode)

    def add_to_nwbfile(
        self,
        nwbfile: Any,
        metadata: Mapping[str, Any] | None = None,
        *,
        stub_test: bool = False,
        raw: bool = False,
        n_channels: int = 16,
    ) -> None:
        """Add probes, units with their waveforms, events and stimuli to an NWB file in memory.

        Parameters
        ----------
        nwbfile : pynwb.NWBFile
            May hold what other interfaces added.
        metadata : mapping, optional
            What the source says by default. The file exists already, so sections about session and subject need not
            be complete.
        stub_test : bool
            The first seconds only.
        raw : bool
            Also the traces.
        n_channels : int
            Nearest channels for each unit's mean waveform.

        Raises
        ------
        InputError
            If the source cannot be used, or the file holds something that contradicts it.
        """
        checked = self._checked(metadata, complete=False)
        options = Options(raw=raw, stub_s=_STUB_S if stub_test else None, n_channels=n_channels)
        session = prepared(self.session, checked, options)
        fill(nwbfile, session, checked, unit_waveforms(session, options), raw=raw)

    def create_nwbfile(self, metadata: Mapping[str, Any] | None = None, **conversion_options: Any) -> Any:
        """Make a new NWB file in memory with everything in it.

        Raises
        ------
        InputError
            If required metadata are missing.
        """
        from nwb_celltype.converters.nwb import new_nwbfile

        given = self.get_metadata() if metadata is None else metadata
        nwbfile = new_nwbfile(self._checked(given, complete=True), self.session)
        self.add_to_nwbfile(nwbfile, given, **conversion_options)
        return nwbfile

    def run_conversion(
        self,
        nwbfile_path: str | Path,
        nwbfile: Any = None,
        metadata: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        backend: Literal["hdf5", "zarr"] | None = None,
        backend_configuration: Any = None,
        append_on_disk_nwbfile: bool = False,
        **conversion_options: Any,
    ) -> None:
        """Convert to a file, as NeuroConv's interfaces do; `nwb_celltype.converters.convert` does more.

        Parameters
        ----------
        nwbfile_path : str or Path
        nwbfile : pynwb.NWBFile, optional
            To add to; a new one by default.
        metadata : mapping, optional
        overwrite : bool
            Replace an existing file.
        backend : {'hdf5', 'zarr'}, optional
            ``zarr`` needs the extra ``neuroconv``.
        backend_configuration : neuroconv backend configuration, optional
            Needs the extra ``neuroconv``.
        append_on_disk_nwbfile : bool
            Add to the existing file.
        **conversion_options
            Of `add_to_nwbfile`.

        Raises
        ------
        UsageError
            If the file exists and neither `overwrite` nor `append_on_disk_nwbfile` is given, or options exclude
            each other.
        InputError
            If metadata or source cannot be used; no file is written then.
        """
        from nwb_celltype.converters.backends import append_to, write_new

        path = Path(nwbfile_path)
        if path.exists() and not (overwrite or append_on_disk_nwbfile):
            message = f"{path} exists; pass overwrite=True to replace it or append_on_disk_nwbfile=True to add to it."
            raise UsageError(message)
        if append_on_disk_nwbfile and (nwbfile is not None or backend_configuration is not None):
            message = "append_on_disk_nwbfile adds to the file on disk; leave out nwbfile and backend_configuration."
            raise UsageError(message)
        if append_on_disk_nwbfile:
            append_to(path, lambda file: self.add_to_nwbfile(file, metadata, **conversion_options), backend=backend)
            return
        if nwbfile is None:
            nwbfile = self.create_nwbfile(metadata, **conversion_options)
        else:
            self.add_to_nwbfile(nwbfile, metadata, **conversion_options)
        write_new(path, nwbfile, backend=backend, backend_configuration=backend_configuration)

    @staticmethod
    def get_default_backend_configuration(nwbfile: Any, backend: Literal["hdf5", "zarr"] = "hdf5") -> Any:
        """NeuroConv's own default for a file in memory.

        Raises
        ------
        UsageError
            If NeuroConv is not installed.
        """
        try:
            from neuroconv.tools.nwb_helpers import get_default_backend_configuration  # type: ignore[import-untyped,unused-ignore]
        except ImportError as error:
            message = "Backend configurations are NeuroConv's: pip install 'nwb-celltype[neuroconv]'."
            raise UsageError(message) from error
        return get_default_backend_configuration(nwbfile=nwbfile, backend=backend)

    def _checked(self, metadata: Mapping[str, Any] | None, *, complete: bool) -> SessionMetadata:
        given = self.get_metadata() if metadata is None else metadata
        if complete:
            return check_metadata(given, self.session)
        return check_sections(given, self.session)

    def _require_path(self, path: str | Path) -> Path:
        """Return the path, or say that nothing is there."""
        found = Path(path).expanduser()
        if not found.exists():
            message = f"{found} does not exist; check the path."
            raise InputError(message)
        return found
