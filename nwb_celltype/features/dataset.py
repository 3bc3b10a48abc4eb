"""Assemble the features of many units into one `xarray.Dataset` with named dimensions and units of measure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import InputError
from nwb_celltype.features.counts import N_ISI_BINS, N_LAGS
from nwb_celltype.features.statistics import TRAIN_STATISTICS
from nwb_celltype.features.threads import over_units
from nwb_celltype.features.train_measures import NO_SPIKES, measure_train, why_no_train
from nwb_celltype.features.trains import (
    ACG_STATISTICS,
    ISI_EDGES_MS,
    LAG_EDGES_MS,
    acg_log_ratio,
    acg_statistics,
    isi_histogram,
)
from nwb_celltype.features.waveforms import WAVEFORM_STATISTICS, WAVEFORM_TIME_MS, describe_waveform

__all__ = ["FEATURE_SPEC_VERSION", "Progress", "assemble", "compute", "from_counts", "why_no_train"]

if TYPE_CHECKING:
    import xarray as xr

    from nwb_celltype.units import Units

Progress = Callable[[str, int, int], None]
"""Told the name of a task, the steps that are done, and the number of steps."""

FEATURE_SPEC_VERSION = "1"
"""Changes whenever the same unit would get other feature values; models name the version they were trained on."""

WHITENED = "the mean waveform is of whitened data, which changes its shape"
TRAIN_PROBLEMS = "absent, few, invalid; empty where there is none"

MIN_INTERVALS = 30
"""Intervals below 100 ms that a train needs; with fewer its interval and pair counts say nothing about its shape."""


def from_counts(
    waveforms: Sequence[NDArray[np.floating] | None],
    sampling_rate_hz: float | NDArray[np.float64] | None,
    isi_counts: NDArray[np.integer] | None = None,
    acg_counts: NDArray[np.integer] | None = None,
    unit_ids: Sequence[int] | NDArray[np.integer] | None = None,
) -> xr.Dataset:
    """Compute features from mean waveforms and 1 ms interval and pair counts.

    Parameters
    ----------
    waveforms : sequence of (n_samples,) arrays or None, any unit
        One waveform (of the peak channel) a unit; `None` where there is none.
    sampling_rate_hz : float, (n_units,) array or None, hertz
        Rate of the waveforms; where it is `None` or NaN no waveform is described.
    isi_counts : (n_units, 100) array, optional
        Inter-spike intervals in 1 ms bins from 0 to 100 ms.
    acg_counts : (n_units, 201) array, optional
        Spike pairs in 1 ms bins centred on lags of -100 to 100 ms.
    unit_ids : (n_units,) array, optional
        Defaults to 0, 1, 2, ...

    Returns
    -------
    xarray.Dataset
        As `compute`, with NaN where a modality is absent and the reason in `waveform_reason` or `train_reason`.

    Raises
    ------
    InputError
        If the arrays do not have one row a unit, or one kind of counts comes without the other.

    Examples
    --------
    >>> import numpy as np
    >>> from nwb_celltype.features import from_counts
    >>> t = np.arange(-30, 45) / 30
    >>> features = from_counts([-np.exp(-(t / 0.1) ** 2), None], 30_000)
    >>> features.waveform_reason.values.tolist()
    ['', 'no mean waveform']
    """
    n = len(waveforms)
    ids = np.arange(n) if unit_ids is None else np.asarray(unit_ids)
    if (isi_counts is None) != (acg_counts is None):
        message = "Interval counts and pair counts describe the same spikes: give both, or neither."
        raise InputError(message)
    if isi_counts is None or acg_counts is None:
        isi_counts = np.zeros((n, 100), dtype=np.int64)
        acg_counts = np.zeros((n, 201), dtype=np.int64)
        reasons = np.full(n, NO_SPIKES, dtype=object)
    else:
        reasons = np.full(n, "", dtype=object)
    for name, array, width in (("isi_counts", isi_counts, 100), ("acg_counts", acg_counts, 201)):
        if np.shape(array) != (n, width):
            message = f"`{name}` has shape {np.shape(array)}, expected ({n}, {width}): one row a unit, 1 ms bins."
            raise InputError(message)
    if len(ids) != n:
        message = f"There are {len(ids)} unit ids for {n} waveforms; give one id a unit."
        raise InputError(message)
    nan = np.full((n, len(TRAIN_STATISTICS)), np.nan)
    return assemble(ids, waveforms, sampling_rate_hz, np.asarray(isi_counts), np.asarray(acg_counts), nan, reasons)


def assemble(
    unit_ids: NDArray[np.integer],
    waveforms: Iterable[NDArray[np.floating] | None],
    sampling_rate_hz: float | NDArray[np.float64] | None,
    isi_counts: NDArray[np.integer],
    acg_counts: NDArray[np.integer],
    statistics: NDArray[np.float64],
    train_reasons: NDArray[np.object_],
) -> xr.Dataset:
    """Put measured counts, statistics and waveforms together; rows with a reason, or too few intervals, become NaN."""
    import xarray as xr

    n = len(unit_ids)
    shapes, shape_statistics, polarity, waveform_reasons = _describe_all(n, waveforms, sampling_rate_hz)
    problems = np.where(train_reasons == "", "", np.where(train_reasons == NO_SPIKES, "absent", "invalid"))
    n_intervals = isi_counts.sum(axis=1)
    for k in np.flatnonzero((train_reasons == "") & (n_intervals < MIN_INTERVALS)):
        train_reasons[k] = f"too few inter-spike intervals below 100 ms ({n_intervals[k]}, needed: {MIN_INTERVALS})"
    for k in np.flatnonzero((train_reasons == "") & (acg_counts.sum(axis=1) == 0)):
        train_reasons[k] = "the autocorrelogram is empty although there are inter-spike intervals"
    problems = np.where((problems == "") & (train_reasons != ""), "few", problems)
    present = (train_reasons == "")[:, None]
    lags = np.arange(-100, 101)
    dataset = xr.Dataset(
        {
            "waveform": (("unit", "waveform_time"), shapes, {"units": "1", "long_name": "waveform, peak = 1"}),
            "waveform_statistics": (("unit", "waveform_statistic"), shape_statistics, {"units": "ms or 1, by name"}),
            "polarity": ("unit", polarity, {"units": "1", "long_name": "sign of the main peak as recorded, 0: none"}),
            "isi_histogram": (
                ("unit", "isi_time"),
                np.where(present, isi_histogram(isi_counts), np.nan),
                {"units": "1", "long_name": "probability of an interval in the log-time bin"},
            ),
            "acg": (
                ("unit", "lag"),
                np.where(present, acg_log_ratio(acg_counts), np.nan),
                {"units": "1", "long_name": "log of autocorrelogram over its 61-100 ms plateau"},
            ),
            "acg_statistics": (
                ("unit", "acg_statistic"),
                np.where(present, acg_statistics(isi_counts, acg_counts), np.nan),
                {"units": "1", "long_name": "natural logarithms of ms and Hz, and ratios, by name"},
            ),
            "isi_counts": (("unit", "isi_bin"), isi_counts, {"units": "1", "long_name": "intervals per 1 ms bin"}),
            "acg_counts": (("unit", "acg_bin"), acg_counts, {"units": "1", "long_name": "pairs per 1 ms bin"}),
            "train_statistics": (("unit", "statistic"), statistics, {"units": "see coordinate statistic_unit"}),
            "waveform_reason": ("unit", waveform_reasons.astype(str), {"long_name": "why there is no waveform"}),
            "train_reason": ("unit", train_reasons.astype(str), {"long_name": "why there are no train features"}),
            "train_problem": ("unit", problems.astype(str), {"long_name": "kind of that reason: " + TRAIN_PROBLEMS}),
        },
        coords={
            "unit": ("unit", unit_ids, {"long_name": "id in the units table"}),
            "waveform_time": ("waveform_time", WAVEFORM_TIME_MS, {"units": "ms", "long_name": "time from main peak"}),
            "waveform_statistic": list(WAVEFORM_STATISTICS),
            "isi_time": ("isi_time", _centres(ISI_EDGES_MS), {"units": "ms", "long_name": "interval, bin centre"}),
            "lag": ("lag", _centres(LAG_EDGES_MS - 0.5), {"units": "ms", "long_name": "lag, bin centre"}),
            "acg_statistic": list(ACG_STATISTICS),
            "isi_bin": ("isi_bin", np.arange(100), {"units": "ms", "long_name": "interval, lower edge"}),
            "acg_bin": ("acg_bin", lags, {"units": "ms", "long_name": "lag, bin centre"}),
            "statistic": list(TRAIN_STATISTICS),
            "statistic_unit": ("statistic", list(TRAIN_STATISTICS.values())),
            "species": ("unit", np.full(n, ""), {"long_name": "species as the file says it"}),
        },
        attrs={"feature_spec_version": FEATURE_SPEC_VERSION},
    )
    return dataset


def compute(units: Units, *, n_threads: int | None = None, progress: Progress | None = None) -> xr.Dataset:
    """Compute the features of every unit: waveform shape, intervals, autocorrelogram, train statistics.

    Amplitude is not among them. A unit that cannot be described keeps its row, with NaN and a reason. Intervals and
    lags never bridge a gap between observed intervals (`Units.obs_intervals`).

    Parameters
    ----------
    units : Units
        From `nwb_celltype.read_units`, or made in memory. Trains are read one after the other, as they are needed.
    n_threads : int, optional
        By default as many as there are processors for this process; ``OMP_NUM_THREADS`` lowers it. The result is the
        same with any number.
    progress : callable, optional
        Called after each unit with a task, the units done and the number of units.

    Returns
    -------
    xarray.Dataset
        Dimension `unit` (the ids of the units table) and, by variable:

        - ``waveform`` (waveform_time: ms): peak channel, sign as recorded, main peak at 0 ms scaled to 1;
          ``waveform_statistics``, ``polarity``, ``waveform_reason``
        - ``isi_histogram`` (isi_time: ms), ``acg`` (lag: ms), ``acg_statistics``, ``train_reason``, ``train_problem``
        - ``train_statistics`` (statistic; unit of measure in the coordinate ``statistic_unit``)
        - ``isi_counts``, ``acg_counts``: the 1 ms counts behind them
        - ``unit_statistics`` (unit_statistic; see ``unit_statistic_unit``): the statistics that tables of units hold;
          the coordinate ``species`` is that of the session

        Save with ``to_netcdf(path, engine="h5netcdf")``.

    Examples
    --------
    >>> import numpy as np
    >>> import nwb_celltype as nct
    >>> units = nct.Units.from_arrays(spike_times=[np.arange(0, 60, 0.02)])
    >>> features = nct.features.compute(units)
    >>> float(features.train_statistics.sel(statistic="mfr").item())
    50.0
    """
    from nwb_celltype.features.unit_statistics import shape_statistics, with_unit_statistics

    n = len(units.unit_ids)
    isi_counts, acg_counts = np.zeros((n, N_ISI_BINS), dtype=np.int64), np.zeros((n, N_LAGS), dtype=np.int64)
    statistics, ratios = np.full((n, len(TRAIN_STATISTICS)), np.nan), np.full((n, 2), np.nan)
    reasons = np.full(n, "", dtype=object)
    measures = over_units(
        lambda _, times, intervals: measure_train(times, intervals),
        units.spike_times,
        units.obs_intervals,
        n_threads=n_threads,
        task="features",
        progress=progress,
    )
    for k, found in enumerate(measures):
        reasons[k], isi_counts[k], acg_counts[k], statistics[k], ratios[k] = found
    whitened, rates = units.is_whitened, units.waveform_rates_hz
    waveforms = [None if skip else each for each, skip in zip(units.peak_waveforms(), whitened, strict=True)]
    dataset = assemble(units.unit_ids, waveforms, rates, isi_counts, acg_counts, statistics, reasons)
    shapes = [shape_statistics(w, rate) for w, rate in zip(waveforms, rates, strict=True)]
    dataset = with_unit_statistics(dataset, ratios, np.array(shapes), units.session.species)
    if whitened.any():
        dataset["waveform_reason"] = dataset["waveform_reason"].where(~whitened, WHITENED).astype(str)
    return dataset


def _describe_all(
    n: int, waveforms: Iterable[NDArray[np.floating] | None], sampling_rate_hz: float | NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int8], NDArray[np.object_]]:
    shapes = np.full((n, len(WAVEFORM_TIME_MS)), np.nan)
    statistics = np.full((n, len(WAVEFORM_STATISTICS)), np.nan)
    polarity = np.zeros(n, dtype=np.int8)
    reasons = np.full(n, "", dtype=object)
    rates = np.broadcast_to(np.nan if sampling_rate_hz is None else sampling_rate_hz, n)
    for k, (waveform, rate) in enumerate(zip(waveforms, rates, strict=True)):
        if waveform is None:
            reasons[k] = "no mean waveform"
        elif not np.isfinite(rate):
            reasons[k] = "the sampling rate of the waveforms is unknown"
        else:
            shape = describe_waveform(waveform, float(rate))
            if isinstance(shape, str):
                reasons[k] = shape
            else:
                shapes[k], statistics[k], polarity[k] = shape
    return shapes, statistics, polarity, reasons


def _centres(edges: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the geometric centre of log bins."""
    return np.asarray(np.sqrt(edges[:-1] * edges[1:].astype(np.float64)))
