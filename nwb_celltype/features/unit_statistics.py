"""The hand-made statistics of spike trains and mean waveforms that tables of cerebellar units are made of.

Definitions follow van Dijck et al. 2013 (doi:10.1371/journal.pone.0057669) and the tables published with the C4
database. Those of intervals are in `nwb_celltype.features.statistics`; here are those of the fine autocorrelogram and
of the shape of the mean waveform, and the names of them all. Times are in ms (intervals in s), voltages in microvolts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from nwb_celltype.features.counts import FINE_BIN_S, N_FINE_BINS, sweep_train
from nwb_celltype.features.statistics import TRAIN_STATISTICS

if TYPE_CHECKING:
    import xarray as xr

ACG_RATIOS: dict[str, str] = {"acg_burst_vs_mfr": "1", "acg_oscill_vs_mfr": "1"}
"""Largest value of the autocorrelogram in the first 4 ms, and largest peak after it, over the mean rate."""

SHAPE_STATISTICS: dict[str, str] = {
    "trough_voltage": "uV",
    "trough_t": "ms",
    "peak_voltage": "uV",
    "peak_t": "ms",
    "repolarisation_t": "ms",
    "depolarisation_t": "ms",
    "peak_50_width": "ms",
    "trough_50_width": "ms",
    "onset_t": "ms",
    "onset_amp": "uV",
    "wvf_width": "ms",
    "peak_trough_ratio": "1",
    "tau_recovery": "ms",
    "multiplicative_a_recovery": "uV",
    "repolarisation_slope": "1/ms",
    "depolarisation_slope": "1/ms",
}
"""Name and unit of measure of each statistic of a waveform. `trough_t`, `peak_t` and `onset_t` count from the start of
the window; slopes are those of the waveform divided by its largest absolute value."""

SPATIAL_STATISTICS: dict[str, str] = {"spatial_decay_24um": "1", "dendritic_comp_amp": "1"}
"""Statistics that need several channels about 24 um apart; they are read from tables and never computed here."""

INTERVAL_STATISTICS: tuple[str, ...] = (
    "mfr", "mifr", "med_isi", "mode_isi", "prct5ISI", "entropy", "CV2_mean", "CV2_median", "CV", "IR", "Lv", "LvR",
    "LcV", "SI", "SKW",
)  # fmt: skip
"""Statistics of intervals that tables hold, of those in `TRAIN_STATISTICS`."""

UNIT_STATISTICS: dict[str, str] = {
    **{name: TRAIN_STATISTICS[name] for name in INTERVAL_STATISTICS},
    **ACG_RATIOS,
    **SHAPE_STATISTICS,
    **SPATIAL_STATISTICS,
}
"""Name and unit of measure of all statistics, in the order of their columns."""

_N_BINS = 200  # to 40 ms
_BURST_BINS = 20  # 4 ms

_RATE_HZ = 30_000.0
_LARGEST_UV = 1e12  # squares of what is beyond overflow; no amplifier gives it
_WINDOW = 90
_MAIN = 30
_FINE = 100
_EXTREME_STD = 0.8
_TAUS_MS = np.geomspace(0.01, 30, 81)


def acg_ratios(pieces: Sequence[NDArray[np.float64]], mean_rate_hz: float) -> NDArray[np.float64]:
    """Measure `ACG_RATIOS` of one spike train; NaN where there are no pairs within 40 ms.

    Parameters
    ----------
    pieces : sequence of arrays, seconds
        Ascending spike times of each observed stretch; no gap between them is bridged.
    mean_rate_hz : float
        Inverse of the mean interval, as the statistic ``mfr``.

    Returns
    -------
    (2,) array

    Examples
    --------
    >>> import numpy as np
    >>> acg_ratios([np.cumsum(np.full(500, 0.02))], 50.0).round(1).tolist()
    [0.1, 1.1]
    """
    sweeps = [sweep_train(piece) for piece in pieces]
    fine = sum((each.fine_counts for each in sweeps), np.zeros(N_FINE_BINS, dtype=np.int64))
    return ratios_of_counts(fine, sum(len(piece) for piece in pieces), mean_rate_hz)


def ratios_of_counts(fine_counts: NDArray[np.int64], n_spikes: int, mean_rate_hz: float) -> NDArray[np.float64]:
    """Measure `ACG_RATIOS` of the pairs in 0.2 ms bins of lag that `nwb_celltype.features.counts.sweep_train` counts.

    Parameters
    ----------
    fine_counts : (512,) int64 array
        The first 200 bins are used.
    n_spikes : int
        Recorded spikes, duplicates among them.
    mean_rate_hz : float

    Returns
    -------
    (2,) array
        NaN where there are no pairs within 40 ms.
    """
    counts = fine_counts[:_N_BINS]
    if not counts.any() or not mean_rate_hz > 0:
        return np.full(2, np.nan)
    rate = counts / (n_spikes * FINE_BIN_S)
    smooth = gaussian_filter1d(rate, rate.std() / 10)
    late = smooth[_BURST_BINS:]
    peaks, _ = find_peaks(late, height=0.5 * smooth.std(), distance=_N_BINS // 20)
    oscillation = late[peaks].max() / mean_rate_hz if len(peaks) else 1.0
    return np.array([smooth[:_BURST_BINS].max() / mean_rate_hz, oscillation])


def shape_statistics(waveform: NDArray[np.floating] | None, sampling_rate_hz: float) -> NDArray[np.float64]:
    """Measure `SHAPE_STATISTICS` of one waveform in the window of the published tables.

    The window is 3 ms long, sampled at 30 kHz, with the largest deviation 1 ms after its start; a waveform that ends
    sooner keeps its last value.

    Parameters
    ----------
    waveform : (n_samples,) array, microvolts, or None
    sampling_rate_hz : float, hertz

    Returns
    -------
    (16,) array
        NaN where there is no trough to measure; other entries that cannot be measured alone are NaN by themselves.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(-30, 60) / 30
    >>> values = shape_statistics(-80 * np.exp(-(t / 0.1) ** 2) + 30 * np.exp(-((t - 0.4) / 0.2) ** 2), 30_000)
    >>> round(float(values[list(SHAPE_STATISTICS).index("wvf_width")]), 2)
    0.4
    """
    samples = np.empty(0) if waveform is None else np.asarray(waveform, dtype=np.float64)
    if samples.ndim != 1 or len(samples) < 8 or not (np.abs(samples) < _LARGEST_UV).all() or not sampling_rate_hz > 0:
        return np.full(len(SHAPE_STATISTICS), np.nan)
    main = int(np.argmax(np.abs(samples - np.median(samples))))
    times = (np.arange(_WINDOW) - _MAIN) * (sampling_rate_hz / _RATE_HZ) + main
    return measure_window(np.interp(times, np.arange(len(samples)), samples), _RATE_HZ)


def with_unit_statistics(
    features: xr.Dataset, ratios: NDArray[np.float64], shapes: NDArray[np.float64], species: str
) -> xr.Dataset:
    """Add the variable ``unit_statistics`` and the coordinate ``species`` to a features dataset.

    Parameters
    ----------
    features : xarray.Dataset
        With ``train_statistics``.
    ratios : (n, 2) array
        `ACG_RATIOS`.
    shapes : (n, 16) array
        `SHAPE_STATISTICS`; NaN where the waveform cannot be described.
    species : str

    Returns
    -------
    xarray.Dataset
    """
    n = features.sizes["unit"]
    described = (features["waveform_reason"].values == "")[:, None]
    shape = np.where(described, shapes.reshape(n, len(SHAPE_STATISTICS)), np.nan)
    intervals = features["train_statistics"].sel(statistic=list(INTERVAL_STATISTICS)).values
    values = np.concatenate([intervals, ratios, shape, np.full((n, len(SPATIAL_STATISTICS)), np.nan)], axis=1)
    stated = ("unit", np.full(n, species), features["species"].attrs)
    return put_unit_statistics(features, values).assign_coords(species=stated)


def put_unit_statistics(features: xr.Dataset, values: NDArray[np.float64]) -> xr.Dataset:
    """Add ``unit_statistics`` (unit, unit_statistic) to a features dataset; columns as in `UNIT_STATISTICS`."""
    about = {"units": "see coordinate unit_statistic_unit", "long_name": "statistics of trains and waveforms"}
    return features.assign(unit_statistics=(("unit", "unit_statistic"), values, about)).assign_coords(
        unit_statistic=list(UNIT_STATISTICS),
        unit_statistic_unit=("unit_statistic", list(UNIT_STATISTICS.values())),
    )


def measure_window(samples: NDArray[np.float64], sampling_rate_hz: float) -> NDArray[np.float64]:
    """Measure `SHAPE_STATISTICS` of a waveform as it is, without moving it into the window of the tables.

    It is interpolated linearly, a hundred points a sample. Extrema lie beyond 0.8 standard deviations, at least a
    twentieth of the length apart, and not in the first or last fifth; the trough is the first one with a peak behind
    it. Without such a pair the first extremum is the trough, upside down if need be, and the next turning point the
    peak.

    Parameters
    ----------
    samples : (n_samples,) array, microvolts
    sampling_rate_hz : float, hertz

    Returns
    -------
    (16,) array
        All NaN without an extremum.
    """
    n = len(samples)
    fine = np.interp(np.linspace(0, n - 1, _FINE * n), np.arange(n), samples)
    values = dict.fromkeys(SHAPE_STATISTICS, np.nan)
    found = _trough_and_peak(fine)
    if found is not None:
        step_ms = 1e3 / (sampling_rate_hz * _FINE)
        values |= _shape(fine, *found, step_ms)
    return np.array([values[name] for name in SHAPE_STATISTICS])


def _trough_and_peak(fine: NDArray[np.float64]) -> tuple[int, int] | None:
    n, beyond = len(fine), _EXTREME_STD * fine.std()
    if not beyond > 1e-9 * np.abs(fine).max():  # flat
        return None

    def extrema(curve: NDArray[np.float64]) -> NDArray[np.intp]:
        places, _ = find_peaks(curve, height=beyond, distance=n // 20)
        return np.asarray(places[(places >= n // 5) & (places < n - n // 5)])

    peaks, troughs = extrema(fine), extrema(-fine)
    for trough in troughs:
        later = peaks[peaks > trough]
        if len(later):
            return int(trough), int(later[0])
    main = troughs if len(troughs) else peaks
    if len(main) == 0:
        return None
    trough = int(main[0])
    after = -np.sign(fine[trough]) * fine[trough:]
    turning, _ = find_peaks(after)
    return trough, trough + int(turning[0] if len(turning) else np.argmax(after))


def _shape(fine: NDArray[np.float64], trough: int, peak: int, step_ms: float) -> dict[str, float]:
    sign = np.sign(fine[trough])
    v = -sign * fine  # the trough is negative
    before, depth = v[:trough], v[trough]

    def last_above(level: float) -> int:
        above = np.flatnonzero(before >= level)
        return int(above[-1]) if len(above) else 0

    rise = v[trough : peak + 1]
    low, high = np.percentile(rise, [10, 90])
    above_zero = np.flatnonzero(v[trough:] >= 0)
    crossing = trough + int(above_zero[0]) if len(above_zero) else len(v)
    deep = np.flatnonzero(v[:crossing] <= depth / 2)
    tall = np.flatnonzero(v[crossing:] >= v[peak] / 2) if v[peak] > 0 else np.empty(0, dtype=np.intp)
    half_up = np.flatnonzero(v[trough:] >= depth / 2)
    half_back = trough + int(half_up[0]) if len(half_up) else len(v) - 1
    scale = np.abs(fine).max() * step_ms
    tau_ms, amplitude = _recovery(v[peak:], step_ms)
    return {
        "trough_voltage": fine[trough],
        "trough_t": trough * step_ms,
        "peak_voltage": fine[peak],
        "peak_t": peak * step_ms,
        # Negative for a negative trough, by the definition of the tables.
        "repolarisation_t": sign * float(np.argmax(rise >= high) - np.argmax(rise >= low)) * step_ms,
        "depolarisation_t": (last_above(0.9 * depth) - last_above(0.1 * depth)) * step_ms,
        "peak_50_width": float(tall[-1] - tall[0]) * step_ms if len(tall) else 0.0,
        "trough_50_width": float(deep[-1] - deep[0]) * step_ms,
        "onset_t": last_above(0.05 * depth) * step_ms,
        "onset_amp": 0.05 * fine[trough],
        "wvf_width": (peak - trough) * step_ms,
        "peak_trough_ratio": abs(fine[peak] / fine[trough]),
        "tau_recovery": tau_ms,
        "multiplicative_a_recovery": -sign * amplitude,
        "repolarisation_slope": _slope(fine[trough : half_back + 1]) / scale,
        "depolarisation_slope": _slope(fine[last_above(depth / 2) : trough + 1]) / scale,
    }


def _slope(piece: NDArray[np.float64]) -> float:
    """Slope of the straight line through a piece of a curve, per point."""
    x = np.arange(len(piece)) - (len(piece) - 1) / 2
    return float(x @ piece / (x @ x)) if len(piece) > 1 else float("nan")


def _recovery(after: NDArray[np.float64], step_ms: float) -> tuple[float, float]:
    """Time constant (ms) and amplitude of the exponential that follows the peak; the ends of the range: no such thing.

    For each of many time constants the amplitude and the end value that fit best are known in closed form.
    """
    thin = after[:: _FINE // 10]
    if len(thin) < 5:
        return float("nan"), float("nan")
    times = np.arange(len(thin)) * step_ms * (_FINE // 10)

    def fit(tau_ms: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        curves = np.exp(-times / tau_ms[:, None])
        curves -= curves.mean(axis=1, keepdims=True)
        power = np.maximum((curves**2).sum(axis=1), 1e-300)
        product = curves @ (thin - thin.mean())
        return product**2 / power, product / power

    best = int(np.argmax(fit(_TAUS_MS)[0]))
    around = np.geomspace(_TAUS_MS[max(best - 1, 0)], _TAUS_MS[min(best + 1, len(_TAUS_MS) - 1)], 41)
    explained, amplitude = fit(around)
    return float(around[np.argmax(explained)]), float(amplitude[np.argmax(explained)])
