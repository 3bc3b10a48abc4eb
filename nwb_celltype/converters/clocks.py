"""The session clock: samples of any stream become seconds of one clock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_celltype.converters.common_start import find_common_start
from nwb_celltype.converters.drift_curve import fit_curve
from nwb_celltype.converters.edge_matching import MIN_PAIRS, Matches, match_edges
from nwb_celltype.errors import InputError

Float = NDArray[np.float64]

# A corner a minute: the mean of some 60 edges (120 with falls) leaves a few microseconds of their jitter of one sample,
# and the slow change of a quartz bends away from a line by less than that within a minute.
KNOT_SPACING_S = 60.0
KNOT_PERIODS = 30
MIN_MATCHED = 0.1  # of the edges of the stream that has fewer, where both recorded
SMALLEST_TOLERANCE_S = 100e-6
RATIO_TOLERANCE = 1e-4  # rates of one device are whole multiples; headers state them rounded


@dataclass(frozen=True)
class ClockFit:
    """How well a stream's clock was aligned to the session clock by the edges of a shared square wave.

    Attributes
    ----------
    stream, reference : str
        Streams whose sync edges were matched.
    n_edges, n_unmatched : int
        Pairs of edges used, and edges of either stream without a partner in the time that both recorded.
    drift_ppm : float
        How much faster (positive) the stream's clock ran than the reference, parts per million of the rate that the
        stream states: at +50 ppm, a stream of 25,000 Hz delivered 25,001.25 samples in each second of the reference.
    residual_us_median, residual_us_max : float
        Distance of the edges from the fit, microseconds. One sample is the least that can be expected of single edges.
    n_jumps : int
        Places where the offset between the clocks changed at once (lost samples); between the edges on either side,
        the map goes straight.
    longest_gap_s : float
        Longest time without a matched edge between the first and the last.
    offset_uncertainty_s : float
        For streams whose counters began together: how well their drift tells the offset where the file begins, seconds.
        From half a period of the square wave on, edges may have been matched whole periods off. NaN where the offset
        was told by something else.
    doubt : str
        Why the edges may have been matched whole periods off, in words; empty where nothing speaks for it.
    """

    stream: str
    reference: str
    n_edges: int
    n_unmatched: int
    drift_ppm: float
    residual_us_median: float
    residual_us_max: float
    n_jumps: int = 0
    longest_gap_s: float = 0.0
    offset_uncertainty_s: float = float("nan")
    doubt: str = ""

    @property
    def is_ambiguous(self) -> bool:
        """Whether edges may have been matched whole periods off."""
        return bool(self.doubt)


@dataclass(frozen=True, eq=False)
class Clock:
    """Seconds on the session clock for samples of one stream.

    Without knots the clock is nominal: ``(first_sample + sample) / sampling_rate_hz``, exact for the reference stream.

    Attributes
    ----------
    stream : str
    sampling_rate_hz : float
        As the stream states it.
    first_sample : int
        Number of the file's sample 0 since acquisition began.
    knot_samples, knot_seconds : (k,) float64 arrays
        Corners of the piecewise-linear map; beyond the outer knots the outer segments go on.
    fit : ClockFit or None
        None for the reference stream and for streams that were not aligned by sync edges.
    how : str
        How samples became seconds, where that was neither by `fit` nor by the stated rate, in a few words.

    Raises
    ------
    InputError
        The rate is not positive, or the knots do not ascend.

    Examples
    --------
    >>> clock = Clock("imec0.ap", 30000.0, first_sample=60000)
    >>> clock.seconds([0, 15000])
    array([2. , 2.5])
    >>> clock.samples(2.5)
    array(15000.)
    """

    stream: str
    sampling_rate_hz: float
    first_sample: int = 0
    knot_samples: Float = field(default_factory=lambda: np.empty(0))
    knot_seconds: Float = field(default_factory=lambda: np.empty(0))
    fit: ClockFit | None = None
    how: str = ""

    def __post_init__(self) -> None:
        if not (np.isfinite(self.sampling_rate_hz) and self.sampling_rate_hz > 0):
            message = f"Stream {self.stream} states a sampling rate of {self.sampling_rate_hz} Hz; it must be positive."
            raise InputError(message)
        knots = self.knot_samples, self.knot_seconds
        if len(knots[0]) != len(knots[1]) or len(knots[0]) == 1 or any(not np.all(np.diff(knot) > 0) for knot in knots):
            message = (
                f"The corners of the clock of stream {self.stream} do not ascend; its sync edges are out of order."
            )
            raise InputError(message)

    @property
    def is_nominal(self) -> bool:
        """Whether seconds are sample numbers divided by the stated rate."""
        return len(self.knot_samples) == 0

    @property
    def start_s(self) -> float:
        """Session seconds of the file's first sample."""
        return float(self.seconds(0))

    def seconds(self, samples: ArrayLike) -> Float:
        """Session seconds of (fractional) sample numbers, file's first sample 0.

        Parameters
        ----------
        samples : array of numbers
            NaN gives NaN.

        Returns
        -------
        float64 array of the same shape
        """
        # Counts of 32 bits would run over when `first_sample` is added; a double is exact up to 2**53.
        samples = np.asarray(samples, dtype=np.float64)
        if self.is_nominal:
            return np.asarray((samples + self.first_sample) / self.sampling_rate_hz, dtype=np.float64)
        return _piecewise(samples, self.knot_samples, self.knot_seconds)

    def samples(self, seconds: ArrayLike) -> Float:
        """Fractional sample numbers of session seconds: the inverse of `seconds`.

        Parameters
        ----------
        seconds : array of numbers

        Returns
        -------
        float64 array of the same shape
            Not rounded and not limited to the recording; negative before its first sample.
        """
        seconds = np.asarray(seconds, dtype=np.float64)
        if self.is_nominal:
            return np.asarray(seconds * self.sampling_rate_hz - self.first_sample, dtype=np.float64)
        return _piecewise(seconds, self.knot_seconds, self.knot_samples)


def nominal_clock(stream: str, sampling_rate_hz: float, first_sample: int = 0) -> Clock:
    """Clock of a stream that is the reference, or that cannot be aligned: ``(first_sample + sample) / rate``.

    Parameters
    ----------
    stream : str
    sampling_rate_hz : float
    first_sample : int
        Number of the file's sample 0 since acquisition began.

    Examples
    --------
    >>> nominal_clock("nidq", 25000.0, 50000).seconds(0)
    array(2.)
    """
    return Clock(stream, float(sampling_rate_hz), int(first_sample))


def same_device_clock(clock: Clock, *, stream: str, sampling_rate_hz: float, first_sample: int) -> Clock:
    """Clock of another stream of the same device, such as the LF band beside the AP band of a probe.

    Both streams count the same quartz. Where one rate is a whole multiple of the other but for rounding in the headers,
    the exact multiple is used, so that the two cannot come apart over hours.

    Parameters
    ----------
    clock : Clock
        Of the stream that is known.
    stream : str
    sampling_rate_hz : float
        Of the other stream, as it states it.
    first_sample : int
        Of the other stream, in its own samples.

    Returns
    -------
    Clock
        With the `fit` of the known stream.

    Raises
    ------
    InputError
        A rate is not positive.

    Examples
    --------
    >>> ap = Clock("imec0.ap", 30000.12, first_sample=120)
    >>> lf = same_device_clock(ap, stream="imec0.lf", sampling_rate_hz=2500.0, first_sample=10)
    >>> bool(abs(lf.seconds(1000) - ap.seconds(12000)) < 1e-12)
    True
    """
    rate = Clock(stream, float(sampling_rate_hz), int(first_sample)).sampling_rate_hz
    is_slower = rate <= clock.sampling_rate_hz
    ratio = clock.sampling_rate_hz / rate if is_slower else rate / clock.sampling_rate_hz
    if round(ratio) >= 1 and abs(ratio / round(ratio) - 1) < RATIO_TOLERANCE:
        rate = clock.sampling_rate_hz / round(ratio) if is_slower else clock.sampling_rate_hz * round(ratio)
    how = f"counts with {clock.stream}, from the same clock of the device"
    if clock.is_nominal:
        return Clock(stream, rate, int(first_sample), how=how)
    device_s = (clock.knot_samples + clock.first_sample) / clock.sampling_rate_hz
    return Clock(stream, rate, int(first_sample), device_s * rate - first_sample, clock.knot_seconds, clock.fit, how)


def fit_clock(
    edge_samples: ArrayLike,
    reference_seconds: ArrayLike,
    *,
    stream: str,
    reference: str,
    sampling_rate_hz: float,
    first_sample: int = 0,
    period_s: float = 1.0,
    falling: tuple[ArrayLike, ArrayLike] | None = None,
    reference_rate_hz: float | None = None,
    expected_offset_s: float | None = None,
    tolerance_s: float | None = None,
) -> Clock:
    """Align the clock of a stream to the reference by the edges of a square wave that both recorded.

    Edges are matched block by block (`edge_matching.match_edges`), so that drift is followed however far it adds up,
    and edges that are missing or too many do not matter. A continuous piecewise-linear curve with a corner a minute
    (at least 30 periods) is then fitted to the matched edges by least squares (`drift_curve.fit_curve`): the jitter of
    a single edge, one sample, does not enter as it does when each event is placed by the edge before it.

    The wave cannot tell whole periods. Where both counters began together, the drift since then does
    (`common_start.find_common_start`), however late the file begins; the fit says so where that leaves a doubt.

    Parameters
    ----------
    edge_samples : (n,) array
        Rises of the square wave in the stream: first samples that are high, file's first sample 0.
    reference_seconds : (m,) array
        Rises of the same wave on the session clock.
    stream, reference : str
    sampling_rate_hz : float
        As the stream states it.
    first_sample : int
        Number of the file's sample 0 since acquisition began.
    period_s : float
        Of the square wave.
    falling : pair of arrays or None
        Falls, as samples of the stream and as session seconds: twice as many edges.
    reference_rate_hz : float or None
        Rate of the stream in which the reference saw its edges. An edge is noticed half a sample late on average; with
        both rates known that is taken off, otherwise half the difference of the two sample periods remains.
    expected_offset_s : float or None
        None where the counters of the stream and of the reference began together, at 0 s on either clock. Otherwise,
        seconds to add to the stream's nominal clock to be less than half a period from the reference.
    tolerance_s : float or None
        Scatter of single edges; None for three samples of both streams, at least 100 microseconds.

    Returns
    -------
    Clock
        With its `ClockFit`.

    Raises
    ------
    InputError
        Too few edges, or edges that do not agree on one offset.

    Examples
    --------
    >>> edges = np.arange(100) * 25001
    >>> clock = fit_clock(edges, np.arange(100.0), stream="nidq", reference="imec0", sampling_rate_hz=25000.0)
    >>> round(clock.fit.drift_ppm, 3), round(float(clock.seconds(25001 * 50)), 6)
    (40.0, 50.0)
    """
    nominal = Clock(stream, float(sampling_rate_hz), int(first_sample))
    given = [(edge_samples, reference_seconds), *([falling] if falling is not None else [])]
    trains = [_train(*pair, nominal, reference, reference_rate_hz) for pair in given]
    _check_counts(trains, stream, reference)
    sample_s = 1 / nominal.sampling_rate_hz + 1 / (reference_rate_hz or nominal.sampling_rate_hz)
    if tolerance_s is None:
        tolerance_s = max(SMALLEST_TOLERANCE_S, 3 * sample_s)
    has_common_start = expected_offset_s is None
    if expected_offset_s is None:
        expected_offset_s = _offset_by_drift(trains, period_s, tolerance_s, sample_s)
    trains = [(own + expected_offset_s, other) for own, other in trains]
    matches = match_edges(trains, period_s=period_s, tolerance_s=tolerance_s)
    n_unmatched = _check_matches(trains, matches, stream, reference, period_s)
    x, offset = matches.stream_s, matches.reference_s - matches.stream_s
    knots, values = fit_curve(x, offset, matches.pieces, spacing_s=max(KNOT_SPACING_S, KNOT_PERIODS * period_s))
    residual_us = np.abs(offset - np.interp(x, knots, values)) * 1e6
    fit = ClockFit(
        stream=stream,
        reference=reference,
        n_edges=len(matches),
        n_unmatched=n_unmatched,
        drift_ppm=_drift_ppm(matches),
        residual_us_median=float(np.median(residual_us)),
        residual_us_max=float(residual_us.max()),
        n_jumps=int(matches.pieces[-1]),
        longest_gap_s=float(np.diff(x).max()),
    )
    if has_common_start:
        counted = replace(matches, stream_s=x - expected_offset_s)
        start = find_common_start(counted, period_s=period_s, edge_s=sample_s)
        doubt = start.doubt(stream, reference, period_s)
        fit = replace(fit, offset_uncertainty_s=start.uncertainty_s, doubt=doubt)
    knot_samples = nominal.samples(knots - expected_offset_s)
    return Clock(stream, nominal.sampling_rate_hz, nominal.first_sample, knot_samples, knots + values, fit)


def _offset_by_drift(trains: list[tuple[Float, Float]], period_s: float, tolerance_s: float, edge_s: float) -> float:
    """Offset where the file begins, by the drift since both counters began; 0 while it is too small to matter."""
    reach_s = 0.6 * period_s  # an offset of half a period shows whole on one of the two sides
    matches = match_edges(trains, period_s=period_s, tolerance_s=tolerance_s, reach_s=reach_s)
    if len(matches) < MIN_PAIRS:
        return 0.0
    offset_s = find_common_start(matches, period_s=period_s, edge_s=edge_s).offset_s
    return offset_s if abs(offset_s) > period_s / 4 else 0.0


def _piecewise(x: Float, knots: Float, values: Float) -> Float:
    """Piecewise-linear map that goes on beyond its ends (`numpy.interp` stops there)."""
    left = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    slopes = np.diff(values) / np.diff(knots)
    return np.asarray(values[left] + (x - knots[left]) * slopes[left])


def _train(
    edge_samples: ArrayLike, reference_seconds: ArrayLike, nominal: Clock, reference: str, rate_hz: float | None
) -> tuple[Float, Float]:
    """Edges by the stream's nominal clock and by the reference, half a sample earlier where both rates are known."""
    shift, reference_shift = (0.5, 0.5 / rate_hz) if rate_hz else (0.0, 0.0)
    return (
        _sorted(nominal.seconds(np.asarray(edge_samples, dtype=np.float64) - shift), nominal.stream),
        _sorted(np.asarray(reference_seconds, dtype=np.float64) - reference_shift, reference),
    )


def _sorted(seconds: Float, stream: str) -> Float:
    if seconds.ndim != 1 or not np.all(np.isfinite(seconds)):
        message = f"The sync edges of stream {stream} must be a list of finite times, one number an edge."
        raise InputError(message)
    return np.unique(seconds)


def _check_counts(trains: list[tuple[Float, Float]], stream: str, reference: str) -> None:
    n_stream, n_reference = (sum(len(train[side]) for train in trains) for side in (0, 1))
    if min(n_stream, n_reference) < MIN_PAIRS:
        message = (
            f"Stream {stream} has {n_stream} edges on its sync line and {reference} has {n_reference}; at least "
            f"{MIN_PAIRS} in each are needed to align them. Say which line carries the square wave, or leave the "
            f"stream on its own clock."
        )
        raise InputError(message)


def _check_matches(
    trains: list[tuple[Float, Float]], matches: Matches, stream: str, reference: str, period_s: float
) -> int:
    """Edges without a partner in the time that both streams recorded; refuse a match that is not one."""
    n_stream = n_reference = 0
    if len(matches):
        offset = matches.reference_s - matches.stream_s
        start, stop = matches.stream_s[0], matches.stream_s[-1]
        for own, other in trains:
            # In the reference's seconds, by the offsets at the two ends.
            first = max(own[0] + offset[0], other[0]) if len(own) and len(other) else np.inf
            last = min(own[-1] + offset[-1], other[-1]) if len(own) and len(other) else -np.inf
            margin = period_s / 4
            early, late = first - offset[0] - margin, last - offset[-1] + margin
            n_stream += int(np.count_nonzero((own >= min(early, start)) & (own <= max(late, stop))))
            n_reference += int(np.count_nonzero((other >= first - margin) & (other <= last + margin)))
    n_matched = len(matches)
    if n_matched < max(MIN_PAIRS, MIN_MATCHED * min(n_stream, n_reference)):
        counts = " and ".join(str(sum(len(train[side]) for train in trains)) for side in (0, 1))
        message = (
            f"The sync edges of stream {stream} and of {reference} ({counts} edges) do not agree on one offset within "
            f"half a period ({period_s / 2:g} s): {n_matched} of them fit together. Check that both lines carry the "
            f"same square wave, its period, and the first sample of each stream; or leave the stream on its own clock."
        )
        raise InputError(message)
    return max(n_stream - n_matched, 0) + max(n_reference - n_matched, 0)


def _drift_ppm(matches: Matches) -> float:
    """Relative speed of the stream's clock, from a straight line through all edges."""
    run = matches.reference_s - matches.reference_s.mean()
    return float((run @ (matches.stream_s - matches.stream_s.mean()) / (run @ run) - 1) * 1e6)
