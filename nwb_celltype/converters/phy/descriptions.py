"""What the columns of cluster tables mean, with their units of measure."""

from __future__ import annotations

_PHY = {
    "quality": "Label of the curation in Phy: good (one cell), mua (several cells), noise, or unsorted (nobody said).",
    "KSLabel": "Label that Kilosort gave: good (one cell, by its refractory period) or mua (several cells).",
    "ContamPct": "Spikes of other cells in the unit as Kilosort estimates them from refractory period violations, "
    "in percent of the unit's spikes; can exceed 100.",
    "Amplitude": "Mean amplitude of the unit's spikes as Kilosort writes it, arbitrary units, not a voltage "
    "(Kilosort 2 to 3: size of the template times its scaling; Kilosort 4: norm of the spike's features).",
    "amp": "Mean amplitude of the unit's spikes as Phy shows it, arbitrary units.",
    "ch": "Channel with the largest template as Phy shows it.",
    "depth": "Position of that channel along the probe as Phy shows it, in micrometres.",
    "fr": "Mean firing rate as Phy shows it, spikes divided by the time to the last spike, in hertz.",
    "n_spikes": "Number of spikes when Phy last saved its table.",
    "sh": "Shank as Phy shows it.",
    "layer": "Layer of the cerebellar cortex in which the unit was recorded: ML (molecular layer), "
    "PCL (Purkinje cell layer) or GCL (granular layer); other text as given.",
    "si_unit_id": "Name of the unit in the SpikeInterface sorting that was exported.",
    "channel_group": "Group of channels to which the unit belongs, as SpikeInterface exported it.",
    "confidence_ratio": "Probability of the likeliest cell type divided by that of the second, by the C4 classifier.",
    "model_votes": "Models of the C4 ensemble whose own answer is the predicted cell type.",
}

_QUALITY = {
    "num_spikes": "Number of spikes of the unit.",
    "firing_rate": "Mean firing rate over the recording, in hertz.",
    "firing_range": "Difference between the 95th and the 5th percentile of the firing rate in bins of time, in hertz.",
    "presence_ratio": "Fraction of time bins in which the unit fired, 0 to 1.",
    "snr": "Largest absolute value of the mean waveform divided by the noise of its channel (robust standard "
    "deviation), a ratio.",
    "isi_violations_ratio": "Rate of spikes too close to the previous one relative to the unit's rate: estimated "
    "fraction of contaminating spikes; can exceed 1.",
    "isi_violations_count": "Number of intervals between spikes that are shorter than the refractory period.",
    "isi_violations_rate": "Rate of intervals between spikes that are shorter than the refractory period.",
    "isi_violation": "Estimated fraction of contaminating spikes from refractory period violations.",
    "rp_contamination": "Fraction of contaminating spikes estimated from refractory period violations, 0 to 1.",
    "rp_violations": "Number of pairs of spikes within the refractory period.",
    "sliding_rp_violation": "Smallest contamination that can be stated with 90 percent confidence over a range of "
    "refractory periods, a fraction.",
    "sync_spike_2": "Fraction of spikes at whose sample at least one other unit fires too.",
    "sync_spike_4": "Fraction of spikes at whose sample at least three other units fire too.",
    "sync_spike_8": "Fraction of spikes at whose sample at least seven other units fire too.",
    "amplitude_cutoff": "Estimated fraction of spikes missed because they were below the threshold of detection.",
    "amplitude_median": "Median amplitude of the unit's spikes, in microvolts where the recording's gain was known.",
    "amplitude_cv_median": "Median over time of the coefficient of variation of the spike amplitudes, a ratio.",
    "amplitude_cv_range": "Range over time of the coefficient of variation of the spike amplitudes, a ratio.",
    "noise_cutoff": "How far the low end of the amplitude distribution is cut off, in standard deviations of its "
    "high end.",
    "noise_ratio": "Count of spikes in the lowest bins of amplitude divided by that in the fullest bin.",
    "drift_ptp": "Range of the unit's position along the probe over time, in micrometres.",
    "drift_std": "Standard deviation of the unit's position along the probe over time, in micrometres.",
    "drift_mad": "Median absolute deviation of the unit's position along the probe over time, in micrometres.",
    "max_drift": "Largest displacement of the unit along the probe, in micrometres.",
    "cumulative_drift": "Summed displacement of the unit along the probe, in micrometres.",
    "sd_ratio": "Standard deviation of the spike amplitudes divided by that of the noise, a ratio.",
    "isolation_distance": "Isolation distance of the unit's cluster in feature space (Mahalanobis).",
    "l_ratio": "L-ratio of the unit's cluster in feature space (Mahalanobis); small is well isolated.",
    "d_prime": "Separation of the unit from all others by linear discriminant analysis of features.",
    "nn_hit_rate": "Fraction of nearest neighbours in feature space that belong to the unit, for its own spikes.",
    "nn_miss_rate": "Fraction of nearest neighbours in feature space that belong to the unit, for other spikes.",
    "nn_isolation": "Isolation of the unit by nearest neighbours in feature space, 0 to 1.",
    "nn_noise_overlap": "Overlap of the unit with noise by nearest neighbours in feature space, 0 to 1.",
    "nn_unit_id": "Unit that is nearest in feature space.",
    "silhouette": "Silhouette score of the unit's cluster in feature space, -1 to 1.",
    "silhouette_score": "Silhouette score of the unit's cluster in feature space, -1 to 1.",
}

_TEMPLATE = {
    "peak_to_valley": "Time from the trough of the mean waveform to the peak after it, in seconds.",
    "peak_to_trough_duration": "Time from the trough of the mean waveform to the peak after it, in seconds.",
    "main_to_next_extremum_duration": "Time from the largest extremum of the mean waveform to the next, in seconds.",
    "peak_trough_ratio": "Peak of the mean waveform divided by its trough, a ratio.",
    "half_width": "Width of the trough of the mean waveform at half its depth, in seconds.",
    "trough_half_width": "Width of the trough of the mean waveform at half its depth, in seconds.",
    "peak_half_width": "Width of the peak of the mean waveform at half its height, in seconds.",
    "trough_width": "Width of the trough of the mean waveform, in seconds.",
    "peak_before_width": "Width of the peak before the trough of the mean waveform, in seconds.",
    "peak_after_width": "Width of the peak after the trough of the mean waveform, in seconds.",
    "peak_before_to_trough_ratio": "Peak before the trough of the mean waveform divided by the trough, a ratio.",
    "peak_after_to_trough_ratio": "Peak after the trough of the mean waveform divided by the trough, a ratio.",
    "peak_before_to_peak_after_ratio": "Peak before the trough divided by the peak after it, a ratio.",
    "main_peak_to_trough_ratio": "Largest peak of the mean waveform divided by the trough, a ratio.",
    "repolarization_slope": "Slope of the mean waveform from the trough back to baseline, in microvolts per second "
    "where the recording's gain was known.",
    "recovery_slope": "Slope of the mean waveform from the peak back to baseline, in microvolts per second where the "
    "recording's gain was known.",
    "num_positive_peaks": "Number of positive peaks of the mean waveform.",
    "num_negative_peaks": "Number of negative peaks of the mean waveform.",
    "waveform_baseline_flatness": "Largest absolute value before the spike divided by that of the whole mean "
    "waveform, a ratio.",
    "velocity_above": "Speed at which the spike travels along the probe above its largest channel, as SpikeInterface "
    "fits it (micrometres per millisecond).",
    "velocity_below": "Speed at which the spike travels along the probe below its largest channel, as SpikeInterface "
    "fits it (micrometres per millisecond).",
    "velocity_fits": "Fits of the speed at which the spike travels along the probe.",
    "exp_decay": "Decay of the waveform's amplitude with distance from its largest channel, per micrometre.",
    "spread": "Extent along the probe over which the waveform is visible, in micrometres.",
}

_KNOWN = {**_PHY, **_QUALITY, **_TEMPLATE}

FIRST = ("quality", "KSLabel", "layer", "ContamPct", "Amplitude", "amp", "fr", "n_spikes", "ch", "depth", "sh")
"""Columns that come first, in this order; the others follow by name."""

# Columns that an NWB units table has of its own, with another meaning.
_RESERVED = frozenset(
    {
        "id", "spike_times", "spike_times_index", "obs_intervals", "obs_intervals_index", "electrodes",
        "electrodes_index", "electrode_group", "waveform_mean", "waveform_sd", "waveforms", "waveforms_index",
        "waveforms_index_index", "name", "description", "colnames", "columns",
    }
)  # fmt: skip


def describe(name: str, file: str) -> str:
    """Return what a column means; for an unknown one, where it comes from.

    Examples
    --------
    >>> describe("firing_rate", "cluster_firing_rate.tsv")
    'Mean firing rate over the recording, in hertz.'
    >>> describe("my_score", "cluster_my_score.tsv")
    'Column my_score of cluster_my_score.tsv beside the sorting; its meaning and unit are not stated there.'
    """
    return _KNOWN.get(name, f"Column {name} of {file} beside the sorting; its meaning and unit are not stated there.")


def column_name(header: str) -> str:
    """Name of the units column for a header of a cluster table.

    Examples
    --------
    >>> column_name("group"), column_name("id"), column_name("a/b")
    ('quality', 'phy_id', 'a_b')
    """
    name = header.strip().replace("/", "_").replace(":", "_")
    if name == "group":
        return "quality"
    return f"phy_{name}" if name in _RESERVED else name


def sort_key(name: str) -> tuple[int, str, str]:
    """Order of the columns."""
    return (FIRST.index(name) if name in FIRST else len(FIRST), name.lower(), name)
