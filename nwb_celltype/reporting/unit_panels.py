"""Panels of each unit of a recording: waveform across channels, intervals, correlograms, place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.layers import COLUMNS, find_layers
from nwb_celltype.plotting.channels import ChannelWaveforms, channel_waveforms, on_probe, scale_unit_of
from nwb_celltype.plotting.trains import interval_counts
from nwb_celltype.reporting.correlograms import acg_hz, rate_correlograms
from nwb_celltype.reporting.records import RateCorrelograms
from nwb_celltype.units import Units
from nwb_celltype.units.waveforms import peak_channel_of

if TYPE_CHECKING:
    import xarray as xr

    from nwb_celltype.features.dataset import Progress

Float = NDArray[np.float64]

_NAMES = ("unit_name", "name", "original_cluster_id", "cluster_id", "ks_unit_id")
_METRICS = (
    "snr", "isi_violations", "isi_violations_ratio", "isi_violations_count", "rp_contamination", "contamination",
    "ContamPct", "contam_pct", "presence_ratio", "amplitude_cutoff", "amplitude_median", "amplitude", "d_prime",
    "isolation_distance", "l_ratio", "nn_hit_rate", "nn_miss_rate", "silhouette_score", "firing_rate", "fr",
    "amplitude_cv_median", "drift_ptp", "sd_ratio", "num_spikes",
)  # fmt: skip
_DEPTHS = ("depth", "unit_depth", "depth_um", "estimated_y", "y_um")
_FEW_ELECTRODES = 8


@dataclass(frozen=True, eq=False)
class UnitPanels:
    """What is drawn of one unit, and what its table says about it; None where there is nothing."""

    name: str | None
    layer: str | None
    region: str | None
    x_um: float | None
    y_um: float | None
    n_spikes: int | None
    rate_hz: float | None
    quality: Mapping[str, str | float]
    waveform: ChannelWaveforms | None
    waveform_reason: str
    isi: Float | None
    acg: Float | None
    acg_3d: RateCorrelograms | None
    train_reason: str


def probe_of(units: Units) -> Float | None:
    """(n, 2) positions of all electrodes of the file across and along the probe, micrometres; None without."""
    positions = units.channel_positions
    if positions is None or not len(positions) or not np.isfinite(positions).any():
        return None
    return on_probe(np.asarray(positions, dtype=np.float64))


def panels_of(
    units: Units, features: xr.Dataset, progress: Progress | None = None
) -> tuple[list[UnitPanels], list[str]]:
    """Gather what is drawn of each unit.

    Parameters
    ----------
    units : Units
    features : xarray.Dataset
        Of these units, from `nwb_celltype.features.compute`.
    progress : callable, optional

    Returns
    -------
    panels : list of UnitPanels
    notes : list of str
        What none of the units, or not all of them, have.
    """
    n = len(units)
    probe = probe_of(units)
    depth, notes = _depths(units, probe)
    observed = units.obs_intervals if units.obs_intervals is not None else [None] * n
    statistic = features["train_statistics"]
    counted = statistic.sel(statistic="n_spikes").values
    rate = statistic.sel(statistic="spikes_per_observed_second").values
    problem = features["train_problem"].values
    acg_counts = features["acg_counts"].values
    waveform_reason, train_reason = features["waveform_reason"].values, features["train_reason"].values
    names, layers, quality = _names(units), _layers(units), _quality(units)
    regions = units.region
    panels = []
    for k, (times, intervals, waveform) in enumerate(
        zip(units.spike_times, observed, units.waveform_mean, strict=True)
    ):
        usable = problem[k] in ("", "few")
        rows = units.electrodes[k] if units.electrodes is not None else np.empty(0, dtype=np.int64)
        positions = _positions(rows, probe, waveform)
        x, y = _place(rows, probe, positions, waveform)
        between = interval_counts(times, intervals) if usable else None
        panels.append(
            UnitPanels(
                name=names[k],
                layer=layers[k],
                region=str(regions[k]) or None,
                x_um=x,
                y_um=y if y is not None else depth[k],
                n_spikes=int(units.spike_times.counts[k]),
                rate_hz=_finite(rate[k]),
                quality=quality[k],
                waveform=channel_waveforms(
                    waveform, float(units.waveform_rates_hz[k]), positions, scale_unit=scale_unit_of(units, k)
                ),
                waveform_reason=str(waveform_reason[k]),
                isi=between if between is not None and between.any() else None,
                acg=acg_hz(acg_counts[k], counted[k]) if usable and acg_counts[k].any() else None,
                acg_3d=rate_correlograms(times, intervals) if usable else None,
                train_reason=str(train_reason[k]),
            )
        )
        if progress is not None:
            progress("autocorrelograms by firing rate", k + 1, n)
    return panels, [*notes, *_missing(panels, probe)]


def _positions(rows: NDArray[np.int64], probe: Float | None, waveform: Float | None) -> Float | None:
    """Positions of the channels of a waveform; None where channels and electrodes do not match."""
    if probe is None or waveform is None:
        return None
    if len(rows) == waveform.shape[1]:
        inside = (rows >= 0) & (rows < len(probe))
        return np.where(inside[:, None], probe[np.where(inside, rows, 0)], np.nan)
    return probe if not len(rows) and waveform.shape[1] == len(probe) else None


def _place(
    rows: NDArray[np.int64], probe: Float | None, positions: Float | None, waveform: Float | None
) -> tuple[float | None, float | None]:
    """Position of a unit: its peak channel, else the middle of its few electrodes."""
    if probe is None:
        return None, None
    peak = peak_channel_of(waveform)
    if positions is not None and peak is not None:
        return _finite(positions[peak, 0]), _finite(positions[peak, 1])
    known = rows[(rows >= 0) & (rows < len(probe))]
    if not 0 < len(known) <= _FEW_ELECTRODES:
        return None, None
    middle = probe[known].mean(axis=0)
    return _finite(middle[0]), _finite(middle[1])


def _depths(units: Units, probe: Float | None) -> tuple[list[float | None], list[str]]:
    """Depths from a column of the units table, for files whose electrodes have no positions."""
    nothing: list[float | None] = [None] * len(units)
    if probe is not None:
        return nothing, []
    for name in _DEPTHS:
        if name in units.column_names:
            values = units.column(name)
            if values.dtype.kind in "iuf" and np.isfinite(values.astype(np.float64)).any():
                said = (
                    f"The electrodes have no positions; depths are those of the units column {name!r}, as they stand."
                )
                return [_finite(value) for value in values.tolist()], [said]
    return nothing, []


def _names(units: Units) -> list[str | None]:
    for name in _NAMES:
        if name in units.column_names:
            return [str(value) or None for value in units.column(name)]
    return [None] * len(units)


def _layers(units: Units) -> list[str | None]:
    found = find_layers(units)
    if found is not None:
        return [str(name) or None for name in found.names]
    for name in COLUMNS:
        if name in units.column_names:
            return [str(value) or None for value in units.column(name)]
    return [None] * len(units)


def _quality(units: Units) -> list[dict[str, str | float]]:
    tables: list[dict[str, str | float]] = [{} for _ in range(len(units))]
    for name, values in units.quality.items():
        for table, value in zip(tables, values.tolist(), strict=True):
            if value:
                table[name] = str(value)
    present = set(units.column_names)
    for name in _METRICS:
        column: NDArray[Any] | None = units.column(name) if name in present else None
        if column is None or column.dtype.kind not in "iuf":
            continue
        for table, value in zip(tables, column.astype(np.float64).tolist(), strict=True):
            if np.isfinite(value):
                table[name] = value
    return tables


def _missing(panels: list[UnitPanels], probe: Float | None) -> list[str]:
    """Sentences about panels that some or all units lack."""
    notes = []
    n = len(panels)
    lacking = {
        "mean waveform": [p.waveform_reason for p in panels if p.waveform is None],
        "autocorrelogram": [p.train_reason for p in panels if p.acg is None],
    }
    for what, reasons in lacking.items():
        if reasons:
            said = sorted({reason for reason in reasons if reason})
            why = f" ({'; '.join(said[:3])})" if said else ""
            notes.append(f"{_count(len(reasons), n)} no {what} that could be shown{why}.")
    if probe is None and n and all(p.y_um is None for p in panels):
        notes.append("The file has no positions of electrodes, so there is no depth plot.")
    elif n:
        unplaced = sum(p.y_um is None for p in panels)
        if unplaced:
            notes.append(f"{_count(unplaced, n)} no position on the probe that is known.")
    return notes


def _count(k: int, n: int) -> str:
    if k == n:
        return f"All {n:,} units have" if n > 1 else "The unit has"
    return f"{k:,} of {n:,} units {'has' if k == 1 else 'have'}"


def _finite(value: float) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
