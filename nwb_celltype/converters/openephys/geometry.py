"""Electrodes of an Open Ephys stream: positions from settings.xml where it describes a Neuropixels probe."""

from __future__ import annotations

import re
import warnings
from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np

from nwb_celltype.converters.openephys.folder import Recording
from nwb_celltype.converters.openephys.structure import Stream
from nwb_celltype.converters.records import Probe

_DAMAGED = (ValueError, LookupError, TypeError, AttributeError, AssertionError, NameError, ParseError, OSError)
_UNKNOWN = "Not known: settings.xml does not describe the probe of this stream."


def read_probe(stream: Stream, recording: Recording) -> tuple[Probe, tuple[str, ...]]:
    """Electrodes of a stream, in the order of its columns, and what was odd.

    Parameters
    ----------
    stream : Stream
    recording : Recording

    Returns
    -------
    probe : Probe
        With NaN positions where nothing describes them; the maker's table of probes (probeinterface) gives the rest.
    notes : tuple of str

    Examples
    --------
    >>> read_probe(stream, recording)[0].model  # doctest: +SKIP
    'NP1000'
    """
    names = tuple(stream.channels[column].name for column in stream.electrodes)
    found, reason = _from_settings(stream, recording)
    order = None if found is None else _contacts(found, names)
    if found is None or order is None:
        n_contacts = 0 if found is None else found.get_contact_count()
        why = reason or f"it describes {n_contacts} sites, and {len(names)} channels were recorded"
        note = f"No positions for the electrodes of {stream.name}: {why}."
        return _without_positions(stream, names), (note,)
    shank_ids = found.shank_ids
    shanks = np.zeros(len(order), dtype=np.int64)
    if shank_ids is not None and len(shank_ids):
        labels = [int(label) if str(label).isdigit() else 0 for label in np.asarray(shank_ids)[order]]
        shanks = np.array(labels, dtype=np.int64)
    settings = "settings.xml" if recording.settings is None else recording.settings.name
    return (
        Probe(
            name=stream.device,
            channel_names=names,
            positions_um=np.asarray(found.contact_positions, dtype=np.float64)[order][:, :2],
            shanks=shanks,
            geometry_source=f"Probe in {settings}, with the maker's table of probes.",
            model=str(found.annotations.get("part_number") or found.model_name or ""),
            manufacturer=str(found.manufacturer or ""),
            serial_number=str(found.serial_number or ""),
            description=str(found.description or ""),
        ),
        (),
    )


def _from_settings(stream: Stream, recording: Recording) -> tuple[Any, str]:
    """Probe of probeinterface for a stream, or None and the reason."""
    import probeinterface

    settings = recording.settings
    if settings is None:
        return None, "settings.xml is not there"
    if stream.folder.name.rpartition(".")[2].isdigit() and not stream.folder.name.endswith(".0"):
        return None, "this version of Open Ephys does not say which probe a stream after the first belongs to"
    read = getattr(probeinterface, "read_openephys_neuropixels", None) or probeinterface.read_openephys
    label = stream.folder.name if stream.folder.name.split(".")[-1] == stream.name else stream.name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its warnings say what the note says
            return read(settings, stream_name=label, raise_error=False), "settings.xml does not describe its probe"
    except _DAMAGED as error:
        return None, f"settings.xml cannot be used ({error!r})"


def _contacts(found: Any, names: tuple[str, ...]) -> Any:
    """Site of each channel: by name where settings.xml names its channels, else by order; None if neither fits."""
    keys = found.contact_annotations.get("settings_channel_key")
    if keys is not None:
        by_number = {_number(str(key), "CH0"): i for i, key in enumerate(keys)}
        first = "CH0" if all(name.upper().startswith("CH") for name in names) else "AP1"
        numbers = [_number(name, first) for name in names]
        if len(by_number) == len(keys) and all(number in by_number for number in numbers):
            return np.array([by_number[number] for number in numbers], dtype=np.int64)
    return np.arange(len(names)) if found.get_contact_count() == len(names) else None


def _number(name: str, first: str) -> int:
    """Number of a channel, from 0: ``CH0`` is the first of the settings, ``AP1`` the first of the bands."""
    found = re.search(r"(\d+)", name)
    return int(found.group(1)) - int(first[-1]) if found else -1


def _without_positions(stream: Stream, names: tuple[str, ...]) -> Probe:
    unique = names if len(set(names)) == len(names) else tuple(f"{name} {i}" for i, name in enumerate(names))
    return Probe(
        name=stream.device,
        channel_names=unique,
        positions_um=np.full((len(names), 2), np.nan),
        shanks=np.zeros(len(names), dtype=np.int64),
        geometry_source=_UNKNOWN,
        description=f"Recorded through {stream.processor}." if stream.processor else "",
    )
