"""What SpikeInterface knows of each unit beside its spikes: properties and metrics as described columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.records import Column, LeftOut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spikeinterface.core import BaseSorting, SortingAnalyzer

METRICS = ("quality_metrics", "template_metrics", "spiketrain_metrics")
"""Extensions of an analyzer that hold one number a unit and metric."""

# Columns that the NWB units table has of its own, and properties that the records hold elsewhere.
_TAKEN = frozenset(
    {"id", "spike_times", "spike_times_index", "obs_intervals", "obs_intervals_index", "electrodes", "electrodes_index"}
    | {"electrode_group", "waveform_mean", "waveform_sd", "waveforms", "waveforms_index", "name", "description"}
    | {"colnames", "main_channel_id", "main_channel_index", "max_channel_index"}
)

_PROPERTIES = {
    "quality": "Label given in curation (good, mua, noise or unsorted).",
    "KSLabel": "Label that Kilosort gave by itself (good or mua).",
    "original_cluster_id": "Id of the cluster in the sorter's own output.",
    "group": "Group of channels that the unit was sorted on.",
    "Amplitude": "Amplitude as Kilosort states it, in units of its own and not microvolts.",
    "ContamPct": "Contamination that Kilosort estimates from refractory violations, percent.",
    "amp": "Amplitude as Phy states it, in units of its own and not microvolts.",
    "ch": "Channel of the largest template, as Phy counts channels.",
    "depth": "Depth on the probe as Phy states it, micrometres.",
    "fr": "Mean firing rate as Phy states it, spikes per second.",
    "n_spikes": "Number of spikes as Phy counted them.",
    "sh": "Shank, as Phy counts them.",
    "brain_area": "Brain area as the sorting states it.",
    "snr": "Signal to noise ratio of the largest template, no unit.",
    "classifier_label": "Label that a curation model gave in SpikeInterface.",
    "classifier_probability": "Probability that the curation model gave its label, 0 to 1.",
    "gt_unit_locations": "True position in a simulation, micrometres.",
}

# SpikeInterface describes its metrics; what it leaves open is their unit of measure.
_UNITS = {
    "num_spikes": "spikes",
    "presence_ratio": "0 to 1",
    "snr": "no unit",
    "isi_violations_ratio": "no unit",
    "isi_violations_count": "intervals",
    "rp_contamination": "0 to 1",
    "rp_violations": "spikes",
    "sliding_rp_violation": "0 to 1",
    "sync_spike_2": "0 to 1",
    "sync_spike_4": "0 to 1",
    "sync_spike_8": "0 to 1",
    "firing_range": "spikes per second",
    "amplitude_cv_median": "no unit",
    "amplitude_cv_range": "no unit",
    "amplitude_cutoff": "0 to 1",
    "noise_cutoff": "standard deviations",
    "noise_ratio": "no unit",
    "sd_ratio": "no unit",
    "isolation_distance": "no unit",
    "l_ratio": "no unit",
    "d_prime": "no unit",
    "nn_hit_rate": "0 to 1",
    "nn_miss_rate": "0 to 1",
    "silhouette": "-1 to 1",
    "nn_isolation": "0 to 1",
    "nn_noise_overlap": "0 to 1",
}


def columns_of(sorting: BaseSorting, analyzer: SortingAnalyzer | None) -> tuple[dict[str, Column], tuple[LeftOut, ...]]:
    """Columns by name, in a fixed order: properties by name, then metrics, extension by extension and by name.

    A metric wins over a property of the same name, because it comes from these data. What cannot be a column (several
    values a unit, objects) is left out and said.
    """
    columns: dict[str, Column] = {}
    left_out: list[LeftOut] = []
    for name in sorted(sorting.get_property_keys()):
        if name in _TAKEN:
            continue
        values = _plain(np.asarray(sorting.get_property(name)), len(sorting.unit_ids))
        twin = columns.get(name.removesuffix("_repeat"))
        if isinstance(values, str):
            left_out.append(LeftOut(f"property {name}", values))
        elif twin is not None and np.array_equal(values, twin.values):  # SpikeInterface doubles some columns of Phy
            left_out.append(LeftOut(f"property {name}", f"it repeats {name.removesuffix('_repeat')}"))
        else:
            description = _PROPERTIES.get(
                name, f"Property `{name}` of the SpikeInterface sorting, which does not explain it."
            )
            columns[name] = Column(values, description)
    if analyzer is not None:
        for extension in METRICS:
            _add_metrics(columns, left_out, analyzer, extension)
    return columns, tuple(left_out)


def _add_metrics(
    columns: dict[str, Column], left_out: list[LeftOut], analyzer: SortingAnalyzer, extension: str
) -> None:
    if not analyzer.has_extension(extension):
        return
    found = analyzer.get_extension(extension)
    table = found.get_data()
    table = table.loc[list(analyzer.unit_ids)]
    said: Mapping[str, str] = type(found).get_metric_column_descriptions()
    for name in sorted(table.columns):
        values = _plain(table[name].to_numpy(), len(table))
        if isinstance(values, str):
            left_out.append(LeftOut(f"{extension} {name}", values))
        elif name not in columns or name in said:
            columns[str(name)] = Column(values, _description(str(name), said, extension))


def _description(name: str, said: Mapping[str, str], extension: str) -> str:
    text = said.get(name, f"Metric `{name}` of SpikeInterface ({extension})").strip().rstrip(".")
    unit = f" ({_UNITS[name]})" if name in _UNITS else ""
    return f"{text}{unit}, as SpikeInterface computed it."


def _plain(values: NDArray[Any], n: int) -> NDArray[Any] | str:
    """Values as float64, int64, bool or str, or why that is not possible."""
    if values.shape != (n,):
        return f"it has shape {values.shape}, not one value for each of {n} units"
    if values.dtype.kind == "b":
        return values.astype(bool)
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    if values.dtype.kind == "f":
        return values.astype(np.float64)
    if values.dtype.kind in "US":
        return values.astype(str)
    return _from_objects(list(values))


def _from_objects(values: list[Any]) -> NDArray[Any] | str:
    """Objects of one simple type, None for missing."""
    missing = [value is None or value != value for value in values]  # NaN differs from itself
    there = [value for value, gone in zip(values, missing, strict=True) if not gone]
    if all(isinstance(value, str) for value in there):
        return np.array(["" if gone else value for value, gone in zip(values, missing, strict=True)], dtype=str)
    if all(isinstance(value, bool | np.bool_) for value in there) and not any(missing):
        return np.array(values, dtype=bool)
    if all(isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in there):
        return np.array([np.nan if gone else float(value) for value, gone in zip(values, missing, strict=True)])
    return "its values are neither numbers nor texts"
