"""Neurons of a C4 database file: each once, however many links lead to it, by recording."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped,unused-ignore]

from nwb_celltype.converters.c4.fields import FieldError, Fields
from nwb_celltype.converters.c4.layout import FIELDS
from nwb_celltype.converters.c4.neurons import Neuron, NeuronEntry, looks_like_neuron, read_neuron
from nwb_celltype.converters.records import LeftOut
from nwb_celltype.errors import InputError

_Key = tuple[int, int]


@dataclass(frozen=True)
class Database:
    """Contents of a C4 database file; spikes and waveforms are read when they are asked for.

    Attributes
    ----------
    path : Path
    neurons : tuple of NeuronEntry
        Every neuron that states its recording, each once, in natural order of their names.
    left_out : tuple of LeftOut
        Neurons that state no recording, and what else in the file is no neuron.

    Examples
    --------
    >>> database = read_database("C4_database_hull_labelled.h5")  # doctest: +SKIP
    >>> len(database.neurons), database.recordings[0]  # doctest: +SKIP
    (103, 'NewDH12_211201_loccar1_2')
    """

    path: Path
    neurons: tuple[NeuronEntry, ...]
    left_out: tuple[LeftOut, ...] = ()

    @cached_property
    def recordings(self) -> tuple[str, ...]:
        """Recordings (``dataset_id``), in natural order."""
        return tuple(sorted({entry.recording for entry in self.neurons}, key=natural_order))

    def of(self, recording: str) -> tuple[NeuronEntry, ...]:
        """Neurons of one recording."""
        return tuple(entry for entry in self.neurons if entry.recording == recording)

    def read(self, recording: str) -> tuple[tuple[Neuron, ...], tuple[LeftOut, ...]]:
        """Read the neurons of one recording.

        Returns
        -------
        neurons : tuple of Neuron
        left_out : tuple of LeftOut
            Neurons that cannot be read, and why.

        Raises
        ------
        InputError
            If the file can no longer be opened.
        """
        neurons, left_out = [], []
        with _opened(self.path) as file:
            for entry in self.of(recording):
                try:
                    neurons.append(read_neuron(file[entry.paths[0]], entry))
                except FieldError as error:
                    left_out.append(LeftOut(f"neuron {entry.name}", f"field {error.name}: {error.reason}"))
        return tuple(neurons), tuple(left_out)


@dataclass(eq=False)
class _Walk:
    """What was met so far: paths of each neuron by the place of its group in the file, and what is no neuron."""

    paths: dict[_Key, list[str]] = field(default_factory=dict)
    seen: set[_Key] = field(default_factory=set)
    left_out: list[LeftOut] = field(default_factory=list)


def read_database(path: Path | str) -> Database:
    """List the neurons of a C4 database file.

    A neuron's group can be reached by several links (``hull_neuron_12`` and ``datasets/<recording>/<unit>``). Links
    that lead to the same place in the file are one neuron, whatever they are called.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Database

    Raises
    ------
    InputError
        If the file is not there, is not HDF5, or holds no neuron.

    Examples
    --------
    >>> read_database("C4_database_hausser.h5").recordings[:1]  # doctest: +SKIP
    ('19-10-03_DK152_probe1',)
    """
    path = Path(path)
    with _opened(path) as file:
        walk = _Walk(seen={_key(file)})
        _descend(file, walk)
        entries, nameless = [], []
        for paths in walk.paths.values():
            try:
                entries.append(_entry(file, paths))
            except FieldError as error:
                nameless.append(LeftOut(f"neuron {error.neuron}", error.reason))
    if not entries and not nameless:
        message = (
            f"{path} holds no neuron of the C4 database (a group with fields such as spike_indices, dataset_id and "
            "sampling_rate); check that it is one of the database's .h5 files."
        )
        raise InputError(message)
    return Database(
        path,
        tuple(sorted(entries, key=lambda entry: natural_order(entry.name))),
        (*sorted(nameless, key=lambda item: natural_order(item.what)), *walk.left_out),
    )


def natural_order(text: str) -> tuple[tuple[int, int, str], ...]:
    """Key that sorts numbers inside texts by their value.

    Examples
    --------
    >>> sorted(["n_10", "n_9"], key=natural_order)
    ['n_9', 'n_10']
    """
    parts = re.findall(r"\d+|\D+", text)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.exists():
        message = f"{path} does not exist; check the path."
        raise InputError(message)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        message = f"{path} cannot be read as HDF5 ({error}); fetch the file of the C4 database again."
        raise InputError(message) from error
    with file:
        yield file


def _key(group: Any) -> _Key:
    """Place of an object in the file: the same for every link that leads to it."""
    info = h5py.h5o.get_info(group.id)
    return int(info.fileno), int(info.addr)


def _descend(group: Any, walk: _Walk) -> None:
    for name in group:
        path = f"{group.name.rstrip('/')}/{name}"
        if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
            walk.left_out.append(LeftOut(path, "it lies in another file; convert that file"))
            continue
        if name not in group:
            walk.left_out.append(LeftOut(path, "a link to nothing"))
            continue
        try:
            item = group[name]
        except (OSError, RuntimeError, KeyError) as error:
            walk.left_out.append(LeftOut(path, f"it cannot be opened, the file is damaged there ({error})"))
            continue
        if not isinstance(item, h5py.Group):
            walk.left_out.append(LeftOut(path, "a dataset that belongs to no neuron"))
            continue
        key = _key(item)
        if key in walk.paths:
            walk.paths[key].append(path)
        elif looks_like_neuron(name) or not FIELDS.isdisjoint(item):
            walk.paths[key] = [path]
        elif key not in walk.seen:
            walk.seen.add(key)
            _descend(item, walk)


def _entry(file: Any, paths: list[str]) -> NeuronEntry:
    """Name a neuron, and its recording by its own word, else by the group under ``datasets`` that it lies in."""
    ordered = tuple(sorted(paths, key=lambda path: (path.count("/"), natural_order(path))))
    name = ordered[0].strip("/")
    fields = Fields(file[ordered[0]], name)
    linked = [path.strip("/").split("/") for path in ordered]
    groups = sorted({"/".join(parts[1:-1]) for parts in linked if parts[0] == "datasets" and len(parts) > 2})
    recording = fields.text("dataset_id")
    if not recording and len(groups) == 1:
        recording = groups[0]
    if not recording:
        fields.refuse("dataset_id", "it is missing, so nothing says which recording the neuron belongs to")
    return NeuronEntry(name, ordered, recording)
