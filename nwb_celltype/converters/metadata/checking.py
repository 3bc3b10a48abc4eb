"""Check all metadata of a session at once, before any byte is written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from nwb_celltype.converters.metadata.devices import check_devices
from nwb_celltype.converters.metadata.events import check_events
from nwb_celltype.converters.metadata.problems import Problems
from nwb_celltype.converters.metadata.records import SessionMetadata
from nwb_celltype.converters.metadata.regions import check_regions
from nwb_celltype.converters.metadata.sessions import check_session
from nwb_celltype.converters.metadata.stimuli import check_stimuli
from nwb_celltype.converters.metadata.subjects import check_subject
from nwb_celltype.converters.metadata.values import Block, shown
from nwb_celltype.converters.records import SourceSession
from nwb_celltype.errors import InputError

BLOCKS = ("NWBFile", "Subject", "Devices", "Ecephys", "Layers", "Events", "Optogenetics")
"""Top keys that are read."""

# Top keys of NeuroConv's own interfaces, which stand beside ours in its NWBConverter.
_PASSED_OVER = (
    "DeviceModels", "Behavior", "Ophys", "Icephys", "Images", "TimeSeries", "TimeIntervals", "FiberPhotometry", "Pose",
    "PoseEstimation", "PoseEstimations", "PoseEstimationContainers", "Skeletons", "SpatialSeries", "MedPC", "Ethogram",
    "LabMetaData",
)  # fmt: skip


def check_metadata(metadata: Mapping[str, Any], session: SourceSession | None = None) -> SessionMetadata:
    """Check the metadata of a session, alone or against what was recorded.

    Parameters
    ----------
    metadata : mapping
        As `read_metadata` returns it: top keys ``NWBFile``, ``Subject``, ``Devices``, ``Ecephys``, ``Layers``,
        ``Events``, ``Optogenetics``. What NeuroConv's own interfaces keep beside them is passed over.
    session : SourceSession, optional
        What was recorded: names of probes and lines and numbers of channels are compared with it.

    Returns
    -------
    SessionMetadata
        Its `notes` say what is worth knowing and forbids nothing.

    Raises
    ------
    InputError
        If anything is missing or wrong: one message with every problem, each with its key, what was found, what is
        wanted and an example.

    Examples
    --------
    >>> checked = check_metadata({
    ...     "NWBFile": {"session_start_time": "2026-01-31T14:03:00+01:00", "session_description": "On a wheel.",
    ...                 "session_id": "a"},
    ...     "Subject": {"subject_id": "M042", "species": "mouse", "sex": "female", "age": "90 days"},
    ... })
    >>> checked.subject["species"], checked.subject["sex"], checked.subject["age"]
    ('Mus musculus', 'F', 'P90D')
    """
    checked, problems = _check(metadata, session, complete=True)
    problems.raise_if_any()
    return checked


def check_sections(
    metadata: Mapping[str, Any], session: SourceSession | None = None, *, strict: bool = True
) -> SessionMetadata:
    """Check what is there and require nothing about session and subject, for a file that somebody else begins.

    Parameters
    ----------
    metadata : mapping
        As for `check_metadata`.
    session : SourceSession, optional
    strict : bool
        Whether what is wrong is an error; if not, it is left out, so that a report can be made all the same.

    Returns
    -------
    SessionMetadata

    Raises
    ------
    InputError
        If something that is there is wrong.

    Examples
    --------
    >>> check_sections({"Subject": {"sex": "male"}}).subject
    {'sex': 'M'}
    """
    checked, problems = _check(metadata, session, complete=False)
    if strict:
        problems.raise_if_any()
    return checked


def _check(
    metadata: Mapping[str, Any], session: SourceSession | None, *, complete: bool
) -> tuple[SessionMetadata, Problems]:
    """Check every block; what could not be read is absent from the result."""
    if not isinstance(metadata, Mapping):
        message = f"Metadata must be keys and values; found {shown(metadata)}. Start from the template."
        raise InputError(message)
    problems = Problems()
    top = Block(metadata, "", problems)
    for key in top:
        if key not in BLOCKS and key not in _PASSED_OVER:
            problems.unknown(top.path_of(key), key, BLOCKS)
    nwbfile = check_session(top.block("NWBFile"), session, complete=complete)
    started = nwbfile.get("session_start_time")
    started = started if isinstance(started, datetime) else None
    subject, species = check_subject(top.block("Subject"), started, complete=complete)
    devices, device_names = check_devices(top)
    mouse = species is not None and species.curie == "NCBITaxon:10090"
    regions, gains_uv, geometries = check_regions(top, session, mouse=mouse)
    events = check_events(top, session)
    stimuli = check_stimuli(top, events, device_names, session)
    checked = SessionMetadata(
        nwbfile=nwbfile,
        subject=subject,
        species_term=species,
        devices=devices,
        regions=regions,
        gains_uv=gains_uv,
        geometries=geometries,
        events=events,
        stimuli=tuple(s for s in stimuli if s.events and s.device and s.wavelength_nm and s.power_mw),
        notes=tuple(problems.notes),
    )
    return checked, problems
