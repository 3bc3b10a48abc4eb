"""Inputs of the networks of the C4 recipe: one waveform at 30 kHz, the autocorrelograms on log lags, the layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.features import log_acg_3d

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

RATE_HZ = 30_000
N_SAMPLES = 90
PEAK_SAMPLE = 30
"""A waveform shows 1 ms before its reference peak and 2 ms after."""
N_ROWS, N_LAGS = 10, 101
ACG_SCALE = 10.0
"""Autocorrelograms are multiplied by this, so that 1 is 100 spikes a second."""

LAYERS = ("unknown", "GCL", "PCL", "ML")
"""Layers of the cerebellar cortex, in the order of the input."""

_LAYER_NAMES = {
    "": 0,
    "unknown": 0,
    "gcl": 1,
    "grc_layer": 1,
    "granule cell layer": 1,
    "pcl": 2,
    "pkc_layer": 2,
    "purkinje cell layer": 2,
    "ml": 3,
    "ml_layer": 3,
    "molecular layer": 3,
}
_EARLIEST = 0.75  # the first peak of at least this share of the largest is the one to align to
_HEIGHT_SD = 0.5
Sign = Literal["negative", "positive"]


def preprocess_waveform(
    waveform: NDArray[np.floating],
    sampling_rate_hz: float = RATE_HZ,
    *,
    peak_sign: Sign | None = "negative",
    is_scaled: bool = True,
) -> Float:
    """Align a mean waveform to its first large peak and turn, centre and scale it.

    Parameters
    ----------
    waveform : (n_samples,) or (n_channels, n_samples) array, any unit
        Of several channels, the one with the largest absolute value is taken.
    sampling_rate_hz : float
        At least 30 kHz; a higher rate is resampled to 30 kHz.
    peak_sign : {'negative', 'positive'} or None
        Sign that the reference peak is turned to; `None` leaves it as it is.
    is_scaled : bool
        Divide by the height of the reference peak, so that it is 1 or -1.

    Returns
    -------
    (90,) array
        Reference peak at sample 30; 30 kHz.

    Raises
    ------
    InputError
        If the waveform is not finite, flat, shorter than 8 samples, without a peak, or sampled below 30 kHz.

    Examples
    --------
    >>> import numpy as np
    >>> t = (np.arange(120) - 50) / 30
    >>> shape = preprocess_waveform(np.exp(-((t / 0.2) ** 2)))
    >>> shape.shape, int(shape.argmin()), round(float(shape.min()), 3)
    ((90,), 30, -1.0)
    """
    wave = _one_channel(waveform)
    if len(wave) < 8 or not np.isfinite(wave).all() or not np.ptp(wave) > 0:
        message = (
            f"A waveform needs at least 8 finite samples that differ; this one has {len(wave)}. Leave the unit out."
        )
        raise InputError(message)
    wave = _at_30_khz(wave, sampling_rate_hz)
    peaks = candidate_peaks(wave)
    if len(peaks) == 0:
        message = "The waveform has no peak between its first fifth and its last fifth. Leave the unit out."
        raise InputError(message)
    heights = np.abs(wave[peaks])
    reference = int(peaks[np.argmax(heights > _EARLIEST * heights.max())])
    is_turned = peak_sign is not None and (wave[reference] > 0) != (peak_sign == "positive")
    wave = -wave if is_turned else wave
    at = np.clip(np.arange(N_SAMPLES) + reference - PEAK_SAMPLE, 0, len(wave) - 1)
    aligned = wave[at] - np.median(wave[at[:PEAK_SAMPLE]])
    if not is_scaled:
        return np.asarray(aligned)
    height = abs(float(aligned[PEAK_SAMPLE]))
    if height == 0:
        message = "The reference peak of the waveform is as high as what precedes it. Leave the unit out."
        raise InputError(message)
    return np.asarray(aligned / height)


def candidate_peaks(wave: Float) -> NDArray[np.intp]:
    """Samples at which a waveform may be aligned: its prominent peaks of either sign, ascending."""
    from scipy.signal import find_peaks

    n = len(wave)
    height, apart = _HEIGHT_SD * wave.std(), max(n // 20, 1)
    found = np.concatenate([find_peaks(sign * wave, height=height, distance=apart)[0] for sign in (1, -1)])
    peaks = np.sort(found)
    peaks = peaks[(peaks >= n // 5) & (peaks <= int(0.8 * n))]
    if len(peaks):
        lowest = int(np.argmin(wave[peaks]))
        is_last = lowest == len(peaks) - 1
        if is_last or wave[peaks[lowest + 1]] < 0:
            later = _maxima(wave[peaks[lowest] :])
            if len(later):
                peaks = np.unique(np.append(peaks, peaks[lowest] + later[0]))
        return np.asarray(peaks, dtype=np.intp)
    tops, bottoms = _maxima(wave), _maxima(-wave)
    return np.asarray(np.sort(np.concatenate([tops[wave[tops] > 0], bottoms[wave[bottoms] < 0]])), dtype=np.intp)


def acg_input(acg: Float) -> Float32:
    """(..., 10, 101) input of the networks from (..., 10, 2001) autocorrelograms of `nwb_celltype.features.acg_3d`.

    The first column is lag 0 and always 0.
    """
    return np.asarray(ACG_SCALE * log_acg_3d(acg)[..., -N_LAGS:], dtype=np.float32)


def layer_input(layers: Sequence[str]) -> Float32:
    """(n, 4) one-hot layers, in the order of `LAYERS`.

    Raises
    ------
    UsageError
        If a layer has another name than those of the recipe.

    Examples
    --------
    >>> layer_input(["PkC_layer", ""]).tolist()
    [[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    """
    codes = [_LAYER_NAMES.get(layer.strip().lower(), -1) for layer in layers]
    if -1 in codes:
        message = (
            f"The layer {layers[codes.index(-1)]!r} is unknown; it is one of {', '.join(LAYERS)}, "
            "GrC_layer, PkC_layer and ML_layer, or empty. Correct it, or leave it empty."
        )
        raise UsageError(message)
    return np.eye(len(LAYERS), dtype=np.float32)[codes]


def network_input(acg: Float32, waveform: Float, layer: Float32 | None = None) -> Float32:
    """(n, 1100) or, with layers, (n, 1104) input: autocorrelograms row by row, waveform, layer."""
    parts = [acg.reshape(len(acg), N_ROWS * N_LAGS), np.asarray(waveform, dtype=np.float32)]
    return np.concatenate([*parts, *([] if layer is None else [layer])], axis=1)


def _one_channel(waveform: NDArray[np.floating]) -> Float:
    wave = np.asarray(waveform, dtype=np.float64)
    if wave.ndim == 2 and wave.size:
        wave = wave[int(np.argmax(np.abs(np.nan_to_num(wave)).max(axis=1)))]
    if wave.ndim != 1:
        message = f"A waveform is a row of samples, or a row a channel, not an array of shape {wave.shape}."
        raise InputError(message)
    return wave


def _at_30_khz(wave: Float, sampling_rate_hz: float) -> Float:
    from scipy.signal import resample

    if sampling_rate_hz == RATE_HZ:
        return wave
    if not RATE_HZ <= sampling_rate_hz < np.inf:
        message = (
            f"The waveform is sampled at {sampling_rate_hz:g} Hz; the C4 recipe needs {RATE_HZ} Hz or more, because "
            "what lies between the samples cannot be made up. Use another model for this recording."
        )
        raise InputError(message)
    return np.asarray(resample(wave, int(RATE_HZ / sampling_rate_hz * len(wave))))


def _maxima(wave: Float) -> NDArray[np.intp]:
    from scipy.signal import argrelmax

    found: NDArray[np.intp] = argrelmax(wave)[0]
    return found
