"""Units of a NeuroExplorer file: neurons with the snippets that were saved for them, and the electrodes they name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.neuroexplorer.file import NexFile, Variable
from nwb_celltype.converters.neuroexplorer.layout import Kind
from nwb_celltype.converters.records import Column, Float, Integer, LeftOut, Probe, Sorting, Templates

_UNIT_LETTER = re.compile(r"(.*\d)([a-zA-Z])")
_SNIPPETS_OF = ("", "_wf", "_wave", "_waveform", "_waveforms")
_MICROVOLTS = {"mv": 1e3, "millivolts": 1e3, "uv": 1.0, "µv": 1.0, "μv": 1.0, "microvolts": 1.0, "v": 1e6, "volts": 1e6}
_LARGEST_UV = 1e9
_BLOCK = 4096
_SHOWN = 5


@dataclass(frozen=True)
class NamedUnit:
    """One unit: the variable with its spike times, and the one with its snippets, which can be the same."""

    name: str
    times: Variable
    snippets: Variable | None


@dataclass(frozen=True, eq=False)
class _Mean:
    """Mean of one unit's snippets, microvolts or stored counts."""

    mean: Float
    sd: Float
    n_spikes: int
    n_before: int
    rate_hz: float
    is_microvolts: bool

    @property
    def form(self) -> tuple[int, int, float, bool]:
        """What must be the same for means that are stored together."""
        return len(self.mean), self.n_before, self.rate_hz, self.is_microvolts


def find_units(file: NexFile, left_out: list[LeftOut], notes: list[str]) -> list[NamedUnit]:
    """Neurons, each with the snippets of its name, and snippets that belong to no neuron, which are units too.

    Parameters
    ----------
    file : NexFile
    left_out, notes : list
        Are added to.
    """
    snippets: dict[str, Variable] = {}
    for variable in file.variables:
        if variable.kind is Kind.WAVEFORM:
            if variable.name in snippets:
                left_out.append(LeftOut(f"snippets {variable.name}", "there are others of the same name"))
            snippets.setdefault(variable.name, variable)
    units, used = [], set()
    for variable in file.variables:
        if variable.kind is not Kind.NEURON:
            continue
        own = next((snippets[variable.name + end] for end in _SNIPPETS_OF if variable.name + end in snippets), None)
        if own is not None:
            used.add(own.name)
        units.append(NamedUnit(variable.name, variable, own))
    for name, variable in snippets.items():
        if name in used:
            continue
        if name.endswith("_template"):
            left_out.append(LeftOut(f"snippets {name}", "the template of a sorter and no spikes"))
        else:
            units.append(NamedUnit(name, variable, variable))
            notes.append(f"{name} has snippets, but no neuron of this name; its snippets' times are taken as spikes")
    with_spikes = [unit for unit in units if unit.times.count]
    left_out += [LeftOut(f"neuron {unit.name}", "no spikes") for unit in units if not unit.times.count]
    return with_spikes


def electrodes(units: Sequence[NamedUnit]) -> tuple[Probe, Integer]:
    """Electrodes that the units name, and the row of each unit's.

    Electrodes are told apart by the wires of the file where it numbers them, else by the unit's name up to its last
    letter (``sig001a`` and ``sig001b`` are units of electrode ``sig001``).
    """
    wires = [unit.times.wire for unit in units]
    has_wires = all(wire is not None for wire in wires) and any(wires)
    names = [f"wire{wire}" for wire in wires] if has_wires else [_electrode(unit.name) for unit in units]
    order = list(dict.fromkeys(names))
    how = "the wire numbers of the file" if has_wires else "the names of its units"
    probe = Probe(
        name="probe",
        channel_names=tuple(order) or ("unknown",),
        positions_um=np.full((max(len(order), 1), 2), np.nan),
        shanks=np.zeros(max(len(order), 1), dtype=np.int64),
        geometry_source=f"A NeuroExplorer file holds no places of electrodes; which there are was told by {how}.",
    )
    return probe, np.array([order.index(name) for name in names], dtype=np.int64)


def read_units(file: NexFile, units: Sequence[NamedUnit], rows: Integer, n_rows: int, notes: list[str]) -> Sorting:
    """Spikes in ticks of the file, names, mean waveforms and the little that headers say of a unit.

    Parameters
    ----------
    file : NexFile
    units : sequence of NamedUnit
    rows : (n,) int64 array
        Electrode of each.
    n_rows : int
        Electrodes.
    notes : list of str
        Is added to.
    """
    left_out: list[LeftOut] = []
    trains = [_train(file, unit, left_out, notes) for unit in units]
    return Sorting(
        unit_ids=np.arange(1, len(units) + 1, dtype=np.int64),
        unit_names=tuple(unit.name for unit in units),
        spike_samples=np.concatenate([np.empty(0, dtype=np.int64), *trains]),
        offsets=np.concatenate([[0], np.cumsum([len(train) for train in trains])]).astype(np.int64),
        sampling_rate_hz=file.frequency_hz,
        source=f"NeuroExplorer: {file.path.name}",
        columns=_columns(units, notes),
        peak_channels=rows,
        templates=_templates(file, units, rows, n_rows, notes),
        left_out=tuple(left_out),
    )


def _train(file: NexFile, unit: NamedUnit, left_out: list[LeftOut], notes: list[str]) -> Integer:
    ticks = file.ticks(unit.times)
    if np.any(ticks[1:] < ticks[:-1]):
        notes.append(f"the spikes of {unit.name} are not in order of time; they were sorted")
        ticks = np.sort(ticks)
    early = int(np.count_nonzero(ticks < 0))
    if early:
        left_out.append(LeftOut(f"{early} spikes of {unit.name}", "they lie before time 0 of the file"))
    return ticks[early:]


def _electrode(name: str) -> str:
    for end in _SNIPPETS_OF[1:]:
        name = name.removesuffix(end)
    found = _UNIT_LETTER.fullmatch(name)
    return found[1] if found else name


def _columns(units: Sequence[NamedUnit], notes: list[str]) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    unsorted = _unsorted([unit.name for unit in units])
    if unsorted:
        notes.append(
            f"{', '.join(sorted(unsorted)[:_SHOWN])}: by Plexon's custom such a name means unsorted spikes of a "
            "channel; quality is 'unsorted' there"
        )
        words = ["unsorted" if unit.name in unsorted else "" for unit in units]
        said = "unsorted: the name of the unit says, by the custom of Plexon's programs, that nobody sorted its spikes."
        columns["quality"] = Column(np.array(words, dtype=str), said)
    for name, values, said in (
        ("wire_number", [unit.times.wire for unit in units], "Electrode as the NeuroExplorer file numbers it."),
        ("unit_number", [unit.times.unit for unit in units], "Unit on its electrode as the file numbers it; 0: none."),
    ):
        if any(values):
            numbers = [np.nan if value is None else float(value) for value in values]
            columns[name] = Column(np.array(numbers), said)
    return columns


def _unsorted(names: Sequence[str]) -> set[str]:
    """Units with the letters that Plexon's programs give to unsorted spikes (i without an h before it, U)."""
    found = [(name, match) for name in names if (match := _UNIT_LETTER.fullmatch(name))]
    known = {match[0] for _, match in found}
    return {name for name, match in found if match[2] == "U" or (match[2] == "i" and f"{match[1]}h" not in known)}


def _templates(
    file: NexFile, units: Sequence[NamedUnit], rows: Integer, n_rows: int, notes: list[str]
) -> Templates | None:
    means = [_mean(file, unit, notes) for unit in units]
    forms = [mean.form for mean in means if mean is not None]
    if not forms:
        return None
    form = max(dict.fromkeys(forms), key=forms.count)
    odd = [unit.name for unit, mean in zip(units, means, strict=True) if mean is not None and mean.form != form]
    if odd:
        notes.append(
            f"the snippets of {', '.join(odd[:_SHOWN])} have another length, rate, scale or place of the spike than "
            "those of most units; their mean waveforms are left out"
        )
    kept = [mean if mean is not None and mean.form == form else None for mean in means]
    waveforms = np.full((len(units), form[0], n_rows), np.nan, dtype=np.float32)
    sd = np.full_like(waveforms, np.nan)
    for k, mean in enumerate(kept):
        if mean is not None:
            waveforms[k, :, rows[k]], sd[k, :, rows[k]] = mean.mean, mean.sd
    return Templates(
        waveforms=waveforms,
        n_before=form[1],
        unit="microvolts" if form[3] else "a.u.",
        source=tuple("" if mean is None else f"mean of {mean.n_spikes} snippets of the file" for mean in kept),
        sampling_rate_hz=form[2],
        sd=sd,
        n_spikes_used=np.array([0 if mean is None else mean.n_spikes for mean in kept], dtype=np.int64),
        keeps_all=True,
    )


def _mean(file: NexFile, unit: NamedUnit, notes: list[str]) -> _Mean | None:
    variable = unit.snippets
    if variable is None or not variable.count:
        return None
    if not variable.n_points or not (np.isfinite(variable.rate_hz) and 0 < variable.rate_hz < 1e9):
        notes.append(f"the snippets of {unit.name} have no length or no sampling rate and are not used")
        return None
    before = variable.before_s * variable.rate_hz
    if not 0 <= before < variable.n_points:
        notes.append(f"the snippets of {unit.name} do not contain the spike (prethreshold {variable.before_s:g} s)")
        return None
    if variable is not unit.times and not np.array_equal(file.ticks(variable), file.ticks(unit.times)):
        notes.append(f"{unit.name} has {unit.times.count} spikes and {variable.count} snippets, at other times")
    per_count = _MICROVOLTS.get(variable.units.lower(), np.nan) * variable.scale_mv
    is_microvolts = bool(np.isfinite(per_count) and per_count != 0 and np.isfinite(variable.shift_mv))
    shift = _MICROVOLTS[variable.units.lower()] * variable.shift_mv if is_microvolts else 0.0
    if not is_microvolts:
        notes.append(f"the snippets of {unit.name} have no scale in volts; their mean is in the file's own counts")
    mean, sd = _moments(file.snippets(variable))
    with np.errstate(all="ignore"):
        mean, sd = (mean * per_count + shift, sd * abs(per_count)) if is_microvolts else (mean, sd)
        is_fine = bool(np.all(np.abs(mean) < _LARGEST_UV) and np.all(sd < _LARGEST_UV))
    if not is_fine:
        notes.append(f"the snippets of {unit.name} hold values that no electrode gives; they are not used")
        return None
    return _Mean(mean, sd, variable.count, round(before), variable.rate_hz, is_microvolts)


def _moments(snippets: NDArray[np.floating | np.integer]) -> tuple[Float, Float]:
    """Mean and standard deviation over snippets, block by block."""
    n, total = len(snippets), np.zeros(snippets.shape[1])
    squares = np.zeros(snippets.shape[1])
    with np.errstate(all="ignore"):
        for start in range(0, n, _BLOCK):
            total += snippets[start : start + _BLOCK].astype(np.float64).sum(axis=0)
        mean = total / n
        for start in range(0, n, _BLOCK):
            squares += ((snippets[start : start + _BLOCK] - mean) ** 2).sum(axis=0)
        return mean, np.sqrt(squares / n)
