"""Metadata of a session after every check: frozen records, which the NWB writer takes as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Term:
    """A term of an ontology: ``UBERON:0002129``, its name and where it can be looked up."""

    curie: str
    name: str
    uri: str


@dataclass(frozen=True)
class RegionRule:
    """Where some channels of a probe were.

    Attributes
    ----------
    first_channel, last_channel : int or None
        Rows of the probe, both included; None with a range of depths, or for the whole probe.
    from_um, to_um : float or None
        Range along the probe from the tip, micrometres, the end excluded.
    location : str
        Brain region, as it goes into ``electrodes.location``.
    layer : str
        Layer in the words of `nwb_celltype.taxonomy`, ``""`` when not stated.
    terms : tuple of Term
        UBERON or Allen terms of the region and of the layer, where they are known.
    """

    location: str
    layer: str = ""
    first_channel: int | None = None
    last_channel: int | None = None
    from_um: float | None = None
    to_um: float | None = None
    terms: tuple[Term, ...] = ()


@dataclass(frozen=True)
class DeviceMetadata:
    """What a device is called and who makes it; ``""`` where nobody says."""

    description: str = ""
    manufacturer: str = ""
    model: str = ""
    model_number: str = ""
    serial_number: str = ""


@dataclass(frozen=True)
class EventMetadata:
    """What a digital line means: the NWB name of its events table, its description, and whether it is wanted."""

    name: str
    description: str
    keep: bool = True


@dataclass(frozen=True)
class Blocker:
    """Synaptic blockers in the bath, from and to when (session seconds; None: to the end)."""

    name: str
    from_s: float
    to_s: float | None = None


@dataclass(frozen=True)
class StimulusMetadata:
    """One optical stimulus.

    Attributes
    ----------
    events : str
        Name of the events table that holds its pulses.
    site_name, site_description, location : str
    device : str
        Key of `SessionMetadata.devices`.
    wavelength_nm : float
    power_mw : float
        While a pulse lasts.
    opsin : str
    tags : str
        Label of the cells that carry the opsin, ``""`` when not stated.
    blockers : tuple of Blocker
    leave_out : bool
        Whether the stimulated part of the session is left out of ``obs_intervals``.
    leave_out_from_s, leave_out_to_s : float or None
        That part, session seconds; None: from the first pulse, to the last.
    """

    events: str
    site_name: str
    site_description: str
    location: str
    device: str
    wavelength_nm: float
    power_mw: float
    opsin: str = ""
    tags: str = ""
    blockers: tuple[Blocker, ...] = ()
    leave_out: bool = False
    leave_out_from_s: float | None = None
    leave_out_to_s: float | None = None


@dataclass(frozen=True)
class SessionMetadata:
    """Checked metadata.

    Attributes
    ----------
    nwbfile : mapping
        Arguments of `pynwb.NWBFile`; ``session_start_time`` is a datetime with a zone.
    subject : mapping
        Arguments of `pynwb.file.Subject`; ``species`` is the Latin name.
    species_term : Term or None
    devices : mapping of str to DeviceMetadata
        By device name.
    regions : mapping of str to tuple of RegionRule
        By probe name; a later rule wins over an earlier one.
    gains_uv : mapping of str to float
        Microvolts of one count by probe name, where the user gives them.
    geometries : mapping of str to object
        Where the electrodes of a probe lie, by probe name, as `plexon.place_electrodes` takes it.
    events : mapping of str to EventMetadata
        By line, for example ``nidq.XD0.3``.
    stimuli : tuple of StimulusMetadata
    notes : tuple of str
        What is worth knowing and forbids nothing, a sentence each.
    """

    nwbfile: Mapping[str, Any]
    subject: Mapping[str, Any]
    species_term: Term | None = None
    devices: Mapping[str, DeviceMetadata] = field(default_factory=dict)
    regions: Mapping[str, tuple[RegionRule, ...]] = field(default_factory=dict)
    gains_uv: Mapping[str, float] = field(default_factory=dict)
    geometries: Mapping[str, Any] = field(default_factory=dict)
    events: Mapping[str, EventMetadata] = field(default_factory=dict)
    stimuli: tuple[StimulusMetadata, ...] = ()
    notes: tuple[str, ...] = ()
