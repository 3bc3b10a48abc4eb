"""Electrodes of one recording of the C4 database, put together from the channels that its neurons were stored on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nwb_celltype.converters.c4.channels import StoredChannels
from nwb_celltype.converters.c4.neurons import Neuron
from nwb_celltype.converters.records import Float, Integer, Probe

PROBE_NAME = "probe"
_SAME_PLACE_UM = 1.0


@dataclass(frozen=True, eq=False)
class Electrodes:
    """Probe of a recording, and where on it each neuron was stored.

    Attributes
    ----------
    probe : Probe
    rows : tuple of (k,) int64 arrays
        For each neuron, the row of the probe for each channel that it was stored on.
    notes : tuple of str
    """

    probe: Probe
    rows: tuple[Integer, ...]
    notes: tuple[str, ...]


def join_channels(neurons: Sequence[Neuron], description: str) -> Electrodes:
    """Join the channels of all neurons of a recording to one probe.

    Channels are told apart by their number. A neuron that does not say which channels it was stored on gets channels
    of its own, as nothing says which ones they share with others.

    Parameters
    ----------
    neurons : sequence of Neuron
        Of one recording.
    description : str
        Of the probe.

    Returns
    -------
    Electrodes
    """
    notes: list[str] = []
    ids = sorted({int(i) for neuron in neurons if neuron.channels.ids is not None for i in neuron.channels.ids})
    row_of = {channel: row for row, channel in enumerate(ids)}
    places = _places(neurons, notes)
    names, positions = [str(channel) for channel in ids], [places[channel] for channel in ids]
    numbers = list(ids)
    rows = []
    for neuron in neurons:
        stored = neuron.channels
        if stored.ids is not None:
            rows.append(np.array([row_of[int(channel)] for channel in stored.ids], dtype=np.int64))
            continue
        rows.append(np.arange(len(names), len(names) + stored.n, dtype=np.int64))
        names += [f"{neuron.name}.{k}" for k in range(stored.n)]
        positions += list(stored.positions_um)
        numbers += [-1] * stored.n
        if stored.n:
            notes.append(
                f"Neuron {neuron.name}: channel_ids is missing, so nothing says which channels it was stored on; it "
                "got electrodes of its own, which may be the same as others."
            )
    return Electrodes(_probe(names, positions, numbers, description, notes), tuple(rows), tuple(notes))


def _probe(names: list[str], positions: list[Float], numbers: list[int], description: str, notes: list[str]) -> Probe:
    at = np.array(positions, dtype=np.float64).reshape(-1, 2)
    if len(at) > 1 and np.isfinite(at).all() and np.all(at == at[0]):
        notes.append("All channels are stated at the same place, so their places were taken as unknown.")
        at = np.full_like(at, np.nan)
    return Probe(
        name=PROBE_NAME,
        channel_names=tuple(names),
        positions_um=at,
        shanks=np.zeros(len(names), dtype=np.int64),
        geometry_source=(
            "Channels on which the C4 database stores the recording's neurons (channel_ids, channelmap); the probe may "
            "have had more. The database does not number shanks."
        ),
        description=description,
        columns={"channel_id": np.array(numbers, dtype=np.int64)} if names else {},
        column_descriptions={"channel_id": "Number of the channel in the C4 database; -1 where it is not stated."},
    )


def _places(neurons: Sequence[Neuron], notes: list[str]) -> dict[int, Float]:
    """Place of each channel, by the word of most neurons; unknown where no place has more than half of them."""
    said: dict[int, list[tuple[Float, str]]] = {}
    for neuron in neurons:
        stored: StoredChannels = neuron.channels
        if stored.ids is None:
            continue
        for channel, place in zip(stored.ids.tolist(), stored.positions_um, strict=True):
            known = said.setdefault(channel, [])
            if np.isfinite(place).all():
                known.append((place, neuron.name))
    places: dict[int, Float] = {}
    contradicted: dict[str, int] = {}
    for channel, entries in said.items():
        places[channel] = np.full(2, np.nan)
        if not entries:
            continue
        counts = Counter(tuple(np.round(place / _SAME_PLACE_UM).tolist()) for place, _ in entries)
        best, n = counts.most_common(1)[0]
        chosen = next(place for place, _ in entries if tuple(np.round(place / _SAME_PLACE_UM).tolist()) == best)
        if n * 2 > len(entries):
            places[channel] = chosen
        for place, name in entries:
            if np.abs(place - chosen).max() > _SAME_PLACE_UM:
                contradicted[name] = contradicted.get(name, 0) + 1
    if contradicted:
        listed = ", ".join(f"{name} ({n})" for name, n in list(contradicted.items())[:5])
        more = f" and {len(contradicted) - 5} more" if len(contradicted) > 5 else ""
        notes.append(
            f"Neurons do not agree where channels lie: {listed}{more} differ from the others. Each channel is where "
            "most neurons put it, and unknown where there is no majority."
        )
    return places
