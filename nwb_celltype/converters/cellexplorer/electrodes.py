"""Electrodes of a session: places, shanks, regions and bad channels, by CellExplorer's numbers of channels (from 1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.cellexplorer.source import Source
from nwb_celltype.converters.cellexplorer.values import (
    MOST_CHANNELS,
    Struct,
    channels_of,
    number_of,
    struct_at,
    structs_of,
    text_of,
    texts_of,
    vector_of,
)
from nwb_celltype.converters.records import Float, Integer, Probe
from nwb_celltype.errors import InputError

NAME = "probe"
"""Name of the device: CellExplorer numbers the channels of all probes of a session through."""


def read_probe(source: Source, channels_seen: Iterable[int], notes: list[str]) -> Probe:
    """Electrodes of a session.

    Parameters
    ----------
    source : Source
    channels_seen : iterable of int
        Channels that units name, from 1; there are at least as many.
    notes : list of str
        Receives what was odd.

    Returns
    -------
    Probe
        A row a channel, in the order of their numbers; without rows where nothing names a channel.
    """
    places, said = _places(source, notes)
    groups, source_of_groups = _groups(source, notes)
    n = _n_channels(source, len(places), groups, max(channels_seen, default=0), notes)
    positions = np.full((n, 2), np.nan)
    positions[: min(n, len(places))] = places[:n]
    shanks = _shanks(groups, n, notes)
    columns, descriptions = _columns(source, n, notes)
    models = _models(source)
    return Probe(
        name=NAME,
        channel_names=tuple(f"CH{number}" for number in range(1, n + 1)),
        positions_um=positions,
        shanks=shanks,
        geometry_source=_geometry(said, source_of_groups),
        model=models[0][0] if len(models) == 1 else "",
        manufacturer=models[0][1] if len(models) == 1 else "",
        description=_description(source, models),
        columns=columns,
        column_descriptions=descriptions,
    )


def _geometry(said: str, groups: str) -> str:
    place = f"Positions from {said}." if said else "Nothing says where the electrodes lie."
    return f"{place} Shanks are {groups} of CellExplorer." if groups else place


def _places(source: Source, notes: list[str]) -> tuple[Float, str]:
    """(n, 2) positions in micrometres, and the field that they come from."""
    for struct, where in (
        (struct_at(source.session, "extracellular", "chanCoords"), "session.extracellular.chanCoords"),
        (source.coordinates, "chanCoords.channelInfo"),
        (struct_at(source.general, "chanCoords"), "cell_metrics.general.chanCoords"),
        (struct_at(source.extracellular, "chanCoords"), "the session kept in cell_metrics"),
    ):
        if "x" not in struct or "y" not in struct:
            continue
        try:
            x, y = vector_of(struct["x"], f"{where}.x"), vector_of(struct["y"], f"{where}.y")
        except InputError as error:
            notes.append(f"not used: {error}")
            continue
        if len(x) != len(y) or len(x) == 0:
            notes.append(f"{where} has {len(x)} x and {len(y)} y; it is not used")
            continue
        details = [text_of(struct.get(key)) for key in ("source", "layout")]
        said = ", ".join(text for text in details if text)
        return np.stack([x, y], axis=1), f"{where} ({said})" if said else where
    return np.empty((0, 2)), ""


def _groups(source: Source, notes: list[str]) -> tuple[tuple[Integer, ...], str]:
    """Channels of each electrode group, from 0, and what the groups are called."""
    extracellular = struct_at(source.session, "extracellular")
    kept = struct_at(source.general, "processinginfo", "params", "session", "extracellular")
    for value, where, first in (
        (struct_at(extracellular, "electrodeGroups").get("channels"), "session.extracellular.electrodeGroups", 1),
        (source.general.get("electrodeGroups"), "cell_metrics.general.electrodeGroups", 1),
        (struct_at(kept, "electrodeGroups").get("channels"), "electrodeGroups of the session in cell_metrics", 1),
        (struct_at(extracellular, "spikeGroups").get("channels"), "session.extracellular.spikeGroups", 1),
        (struct_at(source.info, "spikeGroups").get("groups"), "sessionInfo.spikeGroups", 0),
    ):
        if isinstance(value, dict):
            value = value.get("channels")
        items = [value] if isinstance(value, np.ndarray) else value
        if not items:
            continue
        try:
            groups = tuple(channels_of(item, where) for item in items)
        except InputError as error:
            notes.append(f"not used: {error}")
            continue
        if first == 1 and any(np.any(group == 0) for group in groups):
            first = 0
            notes.append(f"{where} counts channels from 0 and not from 1, as it holds a channel 0")
        return tuple(group - first for group in groups), f"the electrode groups ({where})"
    return (), ""


def _n_channels(source: Source, n_places: int, groups: tuple[Integer, ...], n_seen: int, notes: list[str]) -> int:
    stated = [
        number_of(source.extracellular.get("nChannels")),
        float(n_places) if n_places else None,
        number_of(source.info.get("nChannels")),
    ]
    n = int(next((number for number in stated if number is not None and 1 <= number <= MOST_CHANNELS), 0))
    if n_places and n and n != n_places:
        notes.append(f"there are {n} channels, but places of {n_places}")
    used = max(n_seen, max((int(group.max(initial=-1)) + 1 for group in groups), default=0))
    if n and used > n:
        notes.append(f"{n} channels are stated, but channel {used} is named; there are taken to be {used}")
    return max(n, used)


def _shanks(groups: tuple[Integer, ...], n: int, notes: list[str]) -> Integer:
    shanks = np.full(n, -1, dtype=np.int64)
    n_twice = 0
    for number, group in enumerate(groups):
        own = group[(group >= 0) & (group < n)]
        n_twice += int(np.sum(shanks[own] >= 0))
        shanks[own[shanks[own] < 0]] = number
    if n_twice:
        notes.append(f"{n_twice} channels are in two electrode groups; they are counted to the first")
    without = np.flatnonzero(shanks < 0)
    if groups and len(without):
        notes.append(
            f"{len(without)} channels are in no electrode group; they are written as a shank of their own, the last"
        )
    shanks[without] = len(groups)
    return shanks


def _columns(source: Source, n: int, notes: list[str]) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    columns: dict[str, NDArray[Any]] = {}
    descriptions: dict[str, str] = {}
    regions = _regions(source, n, notes)
    if any(regions):
        columns["brain_region"] = np.array(regions, dtype=np.object_)
        descriptions["brain_region"] = "Brain region of the channel, as the session's file states it."
    bad = _channels(struct_at(source.session, "channelTags", "Bad"), "session.channelTags.Bad", n, notes)
    if len(bad):
        is_bad = np.zeros(n, dtype=np.bool_)
        is_bad[bad] = True
        columns["is_bad"] = is_bad
        descriptions["is_bad"] = "Whether the session's file tags the channel as bad."
    atlas = source.atlas or struct_at(source.general, "ccf")
    for axis in "xyz":
        values = atlas.get(axis)
        if isinstance(values, np.ndarray) and values.size == n and values.dtype.kind in "iuf":
            columns[f"ccf_{axis}"] = values.ravel().astype(np.float64)
            descriptions[f"ccf_{axis}"] = (
                f"Position of the channel along axis {axis} of the Allen common coordinate framework, micrometres, as "
                "CellExplorer's ccf states it."
            )
    return columns, descriptions


def _regions(source: Source, n: int, notes: list[str]) -> list[str]:
    regions = [""] * n
    named = {name: value for name, value in struct_at(source.session, "brainRegions").items() if structs_of(value)}
    for name, value in named.items():
        struct = struct_at({"region": value}, "region")
        for row in _channels(struct, f"session.brainRegions.{name}", n, notes).tolist():
            regions[row] = f"{regions[row]}, {name}" if regions[row] else name
    said = source.info.get("region")
    if not any(regions) and isinstance(said, list):
        if len(said) == n:
            regions = [text_of(item) for item in said]
        else:
            notes.append(f"sessionInfo.region has {len(said)} regions for {n} channels; it is not used")
    return regions


def _channels(struct: Struct, where: str, n: int, notes: list[str]) -> Integer:
    """Rows of the channels that a struct lists, from 0; those that there are not are left aside."""
    value = struct.get("channels")
    if value is None:
        return np.empty(0, dtype=np.int64)
    try:
        numbers = channels_of(value, f"{where}.channels")
    except InputError as error:
        notes.append(f"not used: {error}")
        return np.empty(0, dtype=np.int64)
    return np.unique(numbers[(numbers >= 1) & (numbers <= n)] - 1)


def _models(source: Source) -> list[tuple[str, str]]:
    """Probes and their makers, each once."""
    found = []
    implants = structs_of(struct_at(source.session, "animal").get("probeImplants"))
    for implant in implants:
        found.append((text_of(implant.get("probe")) or text_of(implant.get("descriptiveName")),
                      text_of(implant.get("supplier"))))  # fmt: skip
    if not found:
        electrodes: Struct = struct_at(source.extracellular, "electrodes")
        names, makers = texts_of(electrodes.get("siliconProbes", "")), texts_of(electrodes.get("company", ""))
        found = [(name, makers[i] if i < len(makers) else "") for i, name in enumerate(names)]
    return list(dict.fromkeys(pair for pair in found if pair[0]))


def _description(source: Source, models: list[tuple[str, str]]) -> str:
    implants = structs_of(struct_at(source.session, "animal").get("probeImplants"))
    names = [text_of(implant.get("descriptiveName")) or text_of(implant.get("probe")) for implant in implants]
    parts = [f"{len(names)} implanted: {', '.join(dict.fromkeys(names))}."] if any(names) else []
    if len(models) > 1 and not parts:
        parts.append(f"Several probes, whose channels are numbered through: {', '.join(name for name, _ in models)}.")
    equipment = text_of(source.extracellular.get("equipment"))
    return " ".join([*parts, *([f"Recorded with {equipment}."] if equipment else [])])
