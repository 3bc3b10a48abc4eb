"""Where on the probe a unit is seen best, whether it moved, and the mean of the spikes that were seen there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.neighbours import nearest_channels
from nwb_celltype.converters.records import Probe
from nwb_celltype.converters.snippets import SnippetSums

Integer = NDArray[np.int64]
Float = NDArray[np.float64]

# Blocks with a larger amplitude elsewhere are left out only if this many spikes remain.
_MIN_SPIKES = 50
# A block counts as seen best elsewhere if that channel is larger by a tenth, and by more than its noise.
_CLEARLY_LARGER = 0.1
# A block says where the unit was if it has this many spikes, and an amplitude of four times its noise.
_MIN_BLOCK_SPIKES = 10
_MIN_SIGNAL = 4.0
# Noise swings over 1.5 ms by about five times its standard deviation; only what is clearly more weighs.
_NOISE_SWING = 5.0
_WEIGHT_FLOOR = 1.5
# Amplitude is looked for so close to the spike that neighbours in a burst stay out.
_BEFORE_PEAK_MS = 0.5
_AFTER_PEAK_MS = 1.0
_N_CENTRE_CHANNELS = 16


class UnitMean(NamedTuple):
    """Mean waveform of one unit.

    Attributes
    ----------
    mean, sd : (n_window, k) float64 arrays
        Scaled; population standard deviation.
    channels : (k,) int64 array
        Rows of the probe, nearest to the peak first.
    peak_channel : int
    n_spikes : int
    drift_um : float
        NaN where unknown.
    """

    mean: Float
    sd: Float
    channels: Integer
    peak_channel: int
    n_spikes: int
    drift_um: float


@dataclass(frozen=True, eq=False)
class PeakFinder:
    """Turns the sums of one unit's snippets into its mean waveform.

    Attributes
    ----------
    probe : Probe
    gains, offsets : (n_channels,) float64 arrays
        Of one count, and of count 0.
    n_before : int
        Samples before the spike in the sums.
    sampling_rate_hz : float
    n_channels : int
        Channels of the mean.
    """

    probe: Probe
    gains: Float
    offsets: Float
    n_before: int
    sampling_rate_hz: float
    n_channels: int

    def amplitudes(self, waveforms: Float, channels: Integer) -> Float:
        """Largest minus smallest value from 0.5 ms before to 1 ms after the spike: (..., n_window, k) to (..., k)."""
        near = slice(
            max(0, self.n_before - self._samples(_BEFORE_PEAK_MS)), self.n_before + self._samples(_AFTER_PEAK_MS) + 1
        )
        swing: Float = np.ptp(waveforms[..., near, :], axis=-2) * np.abs(self.gains[channels])
        return swing

    def unit_mean(self, sums: SnippetSums, channels: Integer, candidates: Integer) -> UnitMean:
        """Find the unit's peak among `candidates`, leave out blocks in which it was elsewhere, and take the mean.

        Parameters
        ----------
        sums : SnippetSums
            On `channels`, at least one snippet.
        channels : (k,) int64 array
            Rows of the probe; all that are nearest to any candidate are among them.
        candidates : (m,) int64 array
            Rows of the probe among `channels`.
        """
        place = {int(channel): number for number, channel in enumerate(channels)}
        peaks = np.array([place[int(channel)] for channel in candidates])
        counts = sums.counts.astype(np.float64)
        blocks = np.flatnonzero(sums.counts)
        means = sums.sums[blocks] / counts[blocks, None, None]
        swings, noise = self.amplitudes(means, channels), self._noise(means, channels)
        overall = self.amplitudes(sums.sums.sum(axis=0) / counts.sum(), channels)
        modal = _modal_peak(swings[:, peaks], noise, counts[blocks], int(np.argmax(overall[peaks])))
        kept = blocks[~_is_elsewhere(swings[:, peaks], noise, modal)]
        if sums.counts[kept].sum() < min(_MIN_SPIKES, sums.counts.sum()):
            kept = blocks
        n_spikes = int(sums.counts[kept].sum())
        mean = sums.sums[kept].sum(axis=0) / n_spikes
        peak = int(candidates[np.argmax(self.amplitudes(mean, channels)[peaks])])
        chosen = nearest_channels(self.probe, peak, self.n_channels)
        columns = np.array([place[int(channel)] for channel in chosen])
        variance = sums.squares[kept].sum(axis=0) / n_spikes - mean**2
        return UnitMean(
            mean=mean[:, columns] * self.gains[chosen] + self.offsets[chosen],
            sd=np.sqrt(np.maximum(variance[:, columns], 0.0)) * np.abs(self.gains[chosen]),
            channels=chosen,
            peak_channel=peak,
            n_spikes=n_spikes,
            drift_um=self._drift(swings, noise, sums.counts[blocks], channels, peaks),
        )

    def _samples(self, duration_ms: float) -> int:
        return round(duration_ms * 1e-3 * self.sampling_rate_hz)

    def _noise(self, means: Float, channels: Integer) -> Float:
        """How far noise alone makes each block's mean swing, from what precedes the spike: (n_blocks,)."""
        quiet = means[:, : max(0, self.n_before - self._samples(_BEFORE_PEAK_MS))]
        if quiet.shape[1] < 2:
            return np.zeros(len(means))
        noise: Float = np.median(quiet.std(axis=1) * np.abs(self.gains[channels]), axis=1)
        return _NOISE_SWING * noise

    def _drift(self, swings: Float, noise: Float, counts: Integer, channels: Integer, peaks: Integer) -> float:
        """Largest minus smallest depth of a block: the mean along the probe, weighted by amplitude."""
        depths = []
        for swing, level, count in zip(swings, noise, counts, strict=True):
            best = peaks[np.argmax(swing[peaks])]
            if count < _MIN_BLOCK_SPIKES or swing[best] <= _MIN_SIGNAL * level:
                continue
            near = nearest_channels(self.probe, int(channels[best]), _N_CENTRE_CHANNELS, same_shank=True)
            is_near = np.isin(channels, near)
            weights = np.maximum(swing[is_near] - _WEIGHT_FLOOR * level, 0.0) ** 2
            depths.append(float(np.average(self.probe.positions_um[channels[is_near], 1], weights=weights)))
        return float(np.ptp(depths)) if len(depths) > 1 else float("nan")


def _is_elsewhere(swings: Float, noise: Float, peak: int) -> NDArray[np.bool_]:
    """Whether each block is seen clearly better on another channel than on `peak`."""
    largest = swings.max(axis=1)
    elsewhere: NDArray[np.bool_] = largest - swings[:, peak] > np.maximum(_CLEARLY_LARGER * largest, noise)
    return elsewhere


def _modal_peak(swings: Float, noise: Float, counts: Float, overall: int) -> int:
    """Return the channel on which most spikes peak; blocks that are not clearly elsewhere count for the overall one."""
    votes = np.where(_is_elsewhere(swings, noise, overall), np.argmax(swings, axis=1), overall)
    weights = np.bincount(votes, weights=counts, minlength=swings.shape[1])
    # Of equals, the one that the mean of all spikes shows.
    return overall if weights[overall] == weights.max() else int(np.argmax(weights))
