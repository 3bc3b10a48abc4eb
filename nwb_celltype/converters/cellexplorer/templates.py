"""Mean waveforms of all units in one window and on the channels of the probe."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.cellexplorer.mean_waveforms import SAME_RATE, MeanWaveform, StoredMeans
from nwb_celltype.converters.records import Integer, Templates


def templates_of(stored: StoredMeans, n_channels: int, notes: list[str]) -> Templates | None:
    """Mean waveforms on the channels of the probe, in one window around the spike.

    Parameters
    ----------
    stored : StoredMeans
    n_channels : int
        Of the probe.
    notes : list of str
        Receives what was cut.

    Returns
    -------
    Templates or None
        None where no unit has a waveform. Channels on which a unit's waveform was not kept are NaN.
    """
    means = [mean for mean in stored.means if mean is not None]
    if not means:
        return None
    rates = [mean.rate_hz for mean in means]
    rate = max(set(rates), key=rates.count)
    fitting = [mean if mean is not None and abs(mean.rate_hz / rate - 1) < SAME_RATE else None for mean in stored.means]
    n_other = len(means) - sum(mean is not None for mean in fitting)
    if n_other:
        notes.append(f"waveforms of {n_other} units have another sampling rate than {rate:g} Hz and are left out")
    used = [mean for mean in fitting if mean is not None]
    before = min(mean.n_before for mean in used)
    after = min(mean.values.shape[1] - mean.n_before for mean in used)
    if after < 1:
        notes.append("the time axes of the waveforms have no moment in common; the waveforms are left out")
        return None
    if any(mean.values.shape[1] != before + after for mean in used):
        notes.append(f"waveforms were cut to the {before + after} samples that all units have")
    waveforms = np.full((len(fitting), before + after, n_channels), np.nan, dtype=np.float32)
    for row, mean in enumerate(fitting):
        if mean is not None:
            window = mean.values[:, mean.n_before - before : mean.n_before + after]
            waveforms[row][:, mean.channels] = window.T
    return Templates(
        waveforms,
        n_before=before,
        unit=stored.unit,
        source=tuple(stored.source if mean is not None else "" for mean in fitting),
        sampling_rate_hz=rate,
        sd=_sd(fitting, stored.peaks, waveforms.shape, before),
        keeps_all=True,
    )


def _sd(
    means: list[MeanWaveform | None], peaks: Integer, shape: tuple[int, ...], before: int
) -> NDArray[np.float32] | None:
    """Spread over spikes on the largest channel, all that is kept; NaN elsewhere."""
    if not any(mean is not None and mean.sd is not None for mean in means):
        return None
    sd = np.full(shape, np.nan, dtype=np.float32)
    for row, mean in enumerate(means):
        if mean is None or mean.sd is None or peaks[row] < 0:
            continue
        at = before - mean.sd_before + np.arange(len(mean.sd))
        is_inside = (at >= 0) & (at < shape[1])
        sd[row, at[is_inside], peaks[row]] = mean.sd[is_inside]
    return sd
