"""What is written about the electrodes of each probe: columns of the electrodes table, and a group for each shank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nwb_celltype.converters.metadata.records import SessionMetadata, Term
from nwb_celltype.converters.metadata.regions import ChannelRegions, channel_regions
from nwb_celltype.converters.metadata.terms import layer_terms as terms_of_layer
from nwb_celltype.converters.nwb.columns import TableColumn, fit_name, says_nothing, texts
from nwb_celltype.converters.nwb.devices import probe_device
from nwb_celltype.converters.nwb.electrodes import existing_rows, write_electrodes
from nwb_celltype.converters.records import Integer, Probe, ProbeRecording
from nwb_celltype.errors import InputError

UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class WrittenProbe:
    """A recording whose electrodes are in the file.

    Attributes
    ----------
    recording : ProbeRecording
    regions : ChannelRegions
    rows : (n,) int64 array
        Row of the electrodes table for each row of the probe.
    groups : tuple of n pynwb.ecephys.ElectrodeGroup
    """

    recording: ProbeRecording
    regions: ChannelRegions
    rows: Integer
    groups: tuple[Any, ...]


def write_probes(
    nwbfile: Any, recordings: tuple[ProbeRecording, ...], metadata: SessionMetadata
) -> tuple[WrittenProbe, ...]:
    """Add devices, electrode groups and electrodes; those that the file has already are used again.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    recordings : tuple of ProbeRecording
    metadata : SessionMetadata

    Returns
    -------
    tuple of WrittenProbe
        One for each recording.

    Raises
    ------
    InputError
        If the file has the probe, but its electrodes cannot be told apart, or two probes have the same name.
    """
    names = [recording.probe.name for recording in recordings]
    if len(set(names)) < len(names):
        message = f"Two probes are called {sorted({n for n in names if names.count(n) > 1})[0]!r}; give them own names."
        raise InputError(message)
    regions = tuple(channel_regions(metadata, recording.probe) for recording in recordings)
    known = [existing_rows(nwbfile, recording.probe) for recording in recordings]
    tables, groups = [], []
    for recording, where, found in zip(recordings, regions, known, strict=True):
        own = _groups(nwbfile, recording.probe, where, metadata, found)
        groups.append(own)
        tables.append(_columns(recording, where, own))
    return tuple(
        WrittenProbe(recording, where, rows, own)
        for recording, where, rows, own in zip(
            recordings, regions, write_electrodes(nwbfile, tables, known), groups, strict=True
        )
    )


def _groups(
    nwbfile: Any, probe: Probe, regions: ChannelRegions, metadata: SessionMetadata, known: tuple[int | None, ...]
) -> tuple[Any, ...]:
    """Group of each electrode: the one it has in the file, else one for its shank."""
    device: Any = None
    by_shank: dict[int, Any] = {}
    groups = []
    for i, row in enumerate(known):
        if row is not None:
            groups.append(nwbfile.electrodes["group"][row])
            continue
        shank = int(probe.shanks[i])
        if shank not in by_shank:
            device = device or probe_device(nwbfile, probe, metadata.devices.get(probe.name))
            by_shank[shank] = _group(nwbfile, probe, regions, device, shank)
        groups.append(by_shank[shank])
    return tuple(groups)


def _group(nwbfile: Any, probe: Probe, regions: ChannelRegions, device: Any, shank: int) -> Any:
    n_shanks = len(np.unique(probe.shanks))
    name = f"{device.name}_shank{shank}" if n_shanks > 1 else device.name
    if name in nwbfile.electrode_groups:
        return nwbfile.electrode_groups[name]
    own = np.flatnonzero(probe.shanks == shank)
    locations = list(dict.fromkeys(regions.location[i] for i in own if regions.location[i]))
    which = f"Shank {shank} of the probe {probe.name}" if n_shanks > 1 else f"The probe {probe.name}"
    return nwbfile.create_electrode_group(
        name=name,
        description=f"{which}, {len(own)} electrodes. {probe.geometry_source}".strip(),
        location=", ".join(locations) or UNKNOWN,
        device=device,
    )


def _columns(recording: ProbeRecording, regions: ChannelRegions, groups: tuple[Any, ...]) -> dict[str, TableColumn]:
    probe = recording.probe
    region_ids, layer_ids = zip(*map(_curies, regions.terms, regions.layer), strict=True) if len(probe) else ((), ())
    shank = "on the shank" if len(np.unique(probe.shanks)) == 1 else "on the probe, over all shanks"
    columns = {
        "location": TableColumn(texts(name or UNKNOWN for name in regions.location), "Brain region."),
        "group": TableColumn(_objects(groups), "Electrode group: the shank."),
        "group_name": TableColumn(texts(group.name for group in groups), "Name of the electrode group."),
        "rel_x": TableColumn(probe.positions_um[:, 0], f"Position across, {shank}, micrometres."),
        "rel_y": TableColumn(probe.positions_um[:, 1], "Position along the shank, micrometres."),
        "filtering": TableColumn(texts(probe.filtering or [""] * len(probe)), "Hardware filter."),
        "channel_name": TableColumn(texts(probe.channel_names), "Name of the channel, unique on its probe."),
        "shank": TableColumn(probe.shanks, "Number of the shank on its probe, from 0."),
        "layer": TableColumn(texts(regions.layer), "Layer of the tissue, as the experimenter states it."),
        "location_ontology_id": TableColumn(
            texts(region_ids), "Terms of public ontologies (UBERON, Allen atlas) for the region."
        ),
        "layer_ontology_id": TableColumn(texts(layer_ids), "Terms of public ontologies for the layer."),
    }
    if probe.is_reference is not None:
        columns["is_reference"] = TableColumn(
            np.asarray(probe.is_reference, dtype=np.bool_), "Whether the channel records a reference and no tissue."
        )
    if recording.traces is not None and recording.traces.gains_uv is not None:
        columns["microvolts_per_count"] = TableColumn(
            np.asarray(recording.traces.gains_uv, dtype=np.float64), "Microvolts of one count of the recorded trace."
        )
    for name, values in probe.columns.items():
        fitted = fit_name(name, np.asarray(values))
        columns.setdefault(fitted, TableColumn(np.asarray(values), probe.column_descriptions.get(name, name)))
    return {
        name: column
        for name, column in columns.items()
        if name in ("location", "group", "group_name", "channel_name") or not says_nothing(column.values)
    }


def _curies(terms: tuple[Term, ...], layer: str) -> tuple[str, str]:
    """Identifiers of the region, and of the layer, one after another."""
    of_layer = layer_terms(terms, layer)
    return (
        ", ".join(term.curie for term in terms if term not in of_layer),
        ", ".join(term.curie for term in of_layer),
    )


def layer_terms(terms: tuple[Term, ...], layer: str) -> tuple[Term, ...]:
    """Those of the terms that stand for the layer, and not for the region around it."""
    known = {term.curie for term in terms_of_layer(layer, mouse=True)} if layer else set()
    return tuple(term for term in terms if term.curie in known)


def _objects(values: tuple[Any, ...]) -> Any:
    array = np.empty(len(values), dtype=np.object_)
    array[:] = values
    return array
