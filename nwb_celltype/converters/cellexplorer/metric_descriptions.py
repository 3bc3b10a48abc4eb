"""What CellExplorer's metrics mean and their units of measure, in our words, after its documentation."""

from __future__ import annotations

WHOLE_NUMBERS = frozenset(
    {
        "cluID", "cluster_index", "cellID", "entryID", "sessionID", "spikeSortingID", "batchIDs", "electrodeGroup",
        "shankID", "spikeGroup", "maxWaveformCh", "maxWaveformCh1", "maxWaveformChannelOrder", "spikeCount", "total",
        "synapticConnectionsIn", "synapticConnectionsOut", "placeFieldsCount", "peak_channel_id",
    }
)  # fmt: skip
"""Metrics that count or number something."""

_KNOWN = {
    "cluID": "Id of the unit in the output of the spike sorter.",
    "cluster_index": "Id of the unit in the output of the spike sorter.",
    "cellID": "Number of the unit within its session, from 1, in CellExplorer's database.",
    "entryID": "Number of the unit's entry in CellExplorer's database.",
    "sessionID": "Number of the session in CellExplorer's database.",
    "spikeSortingID": "Number of the spike sorting in CellExplorer's database.",
    "batchIDs": "Number of the session in the batch that CellExplorer had loaded.",
    "electrodeGroup": "Electrode group (shank) of the unit, from 1.",
    "shankID": "Shank of the unit, from 1.",
    "spikeGroup": "Group of channels in which the unit was sorted, from 1.",
    "maxWaveformCh": "Channel where CellExplorer finds the filtered waveform largest, from 0.",
    "maxWaveformCh1": "Channel where CellExplorer finds the filtered waveform largest, from 1.",
    "maxWaveformChannelOrder": "Place of the largest channel in the order of the electrode groups, from 1.",
    "spikeCount": "Number of spikes in the session.",
    "total": "Number of spikes in the session.",
    "sr": "Sampling rate of the recording, Hz.",
    "firingRate": "Spikes per second between the first and the last spike, Hz.",
    "firingRateISI": "Firing rate as the inverse of the median (in old versions mean) interspike interval, Hz.",
    "firingRateGiniCoeff": "Gini coefficient of the firing rate over time, 0 for an even rate; no unit.",
    "firingRateStd": "Standard deviation of the firing rate over time, divided by its mean; no unit.",
    "firingRateCV": "Standard deviation of the firing rate over time, divided by its mean; no unit.",
    "firingRateInstability": "Median (by its documentation mean) absolute change of the firing rate from bin to bin, "
    "divided by the mean rate; no unit.",
    "cv2": "Local variation of interspike intervals, CV2 (Holt et al. 1996); 1 for a Poisson process; no unit.",
    "burstIndex_Mizuseki2012": "Fraction of spikes with an interval below 6 ms to the one before or after "
    "(Mizuseki et al. 2012).",
    "burstIndex_Royer2012": "Mean of the autocorrelogram at 3 to 5 ms over that at 200 to 300 ms "
    "(Royer et al. 2012); no unit.",
    "burstIndex_Doublets": "Largest value of the autocorrelogram at 2.5 to 8 ms over its mean at 8 to 11.5 ms; no "
    "unit.",
    "thetaModulationIndex": "Theta rhythm in the autocorrelogram: difference of its means at 50 to 70 ms and at 100 "
    "to 140 ms, over their sum; no unit.",
    "acg_tau_rise": "Time constant of the rise in the fit of three exponentials to the autocorrelogram, ms.",
    "acg_tau_decay": "Time constant of the decay in the fit of three exponentials to the autocorrelogram, ms.",
    "acg_tau_burst": "Time constant of bursts in the fit of three exponentials to the autocorrelogram, ms.",
    "acg_refrac": "Refractory period in the fit of three exponentials to the autocorrelogram, ms.",
    "acg_fit_rsquare": "R squared of the fit of three exponentials to the autocorrelogram.",
    "acg_c": "Amplitude of the decay in the fit of three exponentials to the autocorrelogram, Hz.",
    "acg_d": "Amplitude of the rise, relative to that of the decay, in the fit of three exponentials to the "
    "autocorrelogram.",
    "acg_h": "Amplitude of bursts in the fit of three exponentials to the autocorrelogram, Hz.",
    "acg_asymptote": "Level at long lags in the fit of three exponentials to the autocorrelogram, Hz.",
    "synapticEffect": "Effect on other units by CellExplorer's test of monosynaptic connections: Excitatory, "
    "Inhibitory or Unknown.",
    "synapticConnectionsIn": "Number of monosynaptic connections to the unit that CellExplorer found.",
    "synapticConnectionsOut": "Number of monosynaptic connections from the unit that CellExplorer found.",
    "peakVoltage": "Largest minus smallest value of the filtered mean waveform on its largest channel, microvolts.",
    "peakVoltage_expFit": "Amplitude in the fit of an exponential to how the peak voltage falls off over channels, "
    "as CellExplorer computes it; the file does not state its unit of measure.",
    "peakVoltage_expFitLengthConstant": "Length constant in the fit of an exponential to how the peak voltage falls "
    "off over channels, in channels from the largest one.",
    "troughToPeak": "Time from the trough of the filtered mean waveform to the peak after it, ms.",
    "troughtoPeakDerivative": "Time from the trough to the peak of the first derivative of the filtered mean "
    "waveform, ms.",
    "ab_ratio": "Asymmetry of the peaks before (a) and after (b) the trough, (b - a) / (a + b); no unit.",
    "polarity": "Polarity of the waveform as CellExplorer computes it: negative for a spike whose trough is larger "
    "than its peak.",
    "trilat_x": "Place of the unit across the probe, by its amplitudes on several channels, micrometres.",
    "trilat_y": "Place of the unit along the probe, by its amplitudes on several channels, micrometres.",
    "ccf_x": "Place of the unit along axis x of the Allen common coordinate framework, micrometres.",
    "ccf_y": "Place of the unit along axis y of the Allen common coordinate framework, micrometres.",
    "ccf_z": "Place of the unit along axis z of the Allen common coordinate framework, micrometres.",
    "isolationDistance": "Isolation distance of the cluster (Schmitzer-Torbert et al. 2005); no unit.",
    "lRatio": "L-ratio of the cluster (Schmitzer-Torbert et al. 2005); no unit.",
    "refractoryPeriodViolation": "Interspike intervals below 2 ms, per thousand intervals.",
    "deepSuperficial": "Place in the pyramidal layer by the sharp waves: Deep, Superficial, Cortical or Unknown.",
    "deepSuperficialDistance": "Distance from the depth where the sharp wave reverses, micrometres.",
    "thetaPhasePeak": "Theta phase of the largest firing rate, radians.",
    "thetaPhaseTrough": "Theta phase of the smallest firing rate, radians.",
    "thetaEntrainment": "Strength of the locking of spikes to theta; no unit.",
    "population_modIndex": "Coupling of the unit to the population: mean correlogram with all other units near 0 lag, "
    "against its baseline; no unit.",
    "spatialCoverageIndex": "Fraction of space that holds most of the firing (Royer et al. 2012); no unit.",
    "spatialGiniCoeff": "Gini coefficient of the firing rate map; no unit.",
    "spatialCoherence": "Correlation of the firing rate map with its own surround; no unit.",
    "spatialPeakRate": "Largest rate of the firing rate map, Hz.",
    "placeFieldsCount": "Number of place fields.",
    "placeCell": "Whether CellExplorer's criteria call the unit a place cell.",
    "labels": "Label that a person gave the unit in CellExplorer, free text.",
    "quality": "Quality of the unit as the sorting states it.",
    # quality metrics and waveform features of the Allen Institute's Neuropixels sessions
    "PT_ratio": "Peak of the waveform over its trough, after the Allen Institute's waveform features; no unit.",
    "amplitude_cutoff": "Estimated fraction of spikes below the detection threshold.",
    "cumulative_drift": "Sum of the unit's movements along the probe over the session, micrometres.",
    "max_drift": "Largest movement of the unit along the probe over the session, micrometres.",
    "d_prime": "Separation of the cluster from others by linear discriminant analysis; no unit.",
    "firing_rate": "Spikes per second of the session, Hz.",
    "isi_violations": "Rate of contaminating spikes by refractory period violations, relative to the unit's rate.",
    "isolation_distance": "Isolation distance of the cluster; no unit.",
    "l_ratio": "L-ratio of the cluster; no unit.",
    "nn_hit_rate": "Fraction of the nearest neighbours of the unit's spikes that are its own.",
    "nn_miss_rate": "Fraction of the nearest neighbours of other spikes that are the unit's.",
    "presence_ratio": "Fraction of the session in which the unit fired.",
    "silhouette_score": "Silhouette score of the cluster; no unit.",
    "snr": "Signal-to-noise ratio of the waveform on its largest channel; no unit.",
    "spread": "Extent along the probe of the channels with a large waveform, micrometres.",
    "velocity_above": "Slope of the waveform's trough time towards channels above, ms per mm as the Allen Institute "
    "computes it.",
    "velocity_below": "Slope of the waveform's trough time towards channels below, ms per mm as the Allen Institute "
    "computes it.",
    "waveform_duration": "Time from the trough of the waveform to the peak after it, ms.",
    "waveform_halfwidth": "Width of the trough at half its amplitude, ms.",
    "recovery_slope": "Slope of the waveform after its peak; the file does not state its unit of measure.",
    "repolarization_slope": "Slope of the waveform after its trough; the file does not state its unit of measure.",
    "peak_channel_id": "Id of the unit's largest channel in the Allen Institute's data.",
}

_OF_EVENTS = {
    "_modulationIndex": "Firing rate during events {event} over that before them, as CellExplorer computes it; no "
    "unit.",
    "_modulationPeakResponseTime": "Time of the largest response to events {event} from their alignment, seconds.",
    "_modulationSignificanceLevel": "P value of CellExplorer's test that firing during events {event} is as before.",
    "_modulationRatio": "Firing rate during events {event} over that outside, as CellExplorer computes it; no unit.",
}
_OF_STATES = ("firingRateISI", "firingRate", "cv2", "burstIndex", "thetaModulationIndex")


def describe(name: str) -> str:
    """Say what a metric is, with its unit of measure; honest about one that is not known.

    Examples
    --------
    >>> describe("troughToPeak")
    'Time from the trough of the filtered mean waveform to the peak after it, ms.'
    >>> describe("cv2_REMstate").endswith("Only in the state REMstate.")
    True
    >>> describe("myIndex")
    'myIndex, as in cell_metrics of CellExplorer; the file does not state what it means or its unit of measure.'
    """
    if name in _KNOWN:
        return _KNOWN[name]
    for ending, text in _OF_EVENTS.items():
        if name.endswith(ending):
            return text.format(event=name.removesuffix(ending))
    for base in _OF_STATES:
        if name.startswith(f"{base}_"):
            known = _KNOWN["burstIndex_Mizuseki2012"] if base == "burstIndex" else _KNOWN[base]
            return f"{known} Only in the state {name.removeprefix(f'{base}_')}."
    return f"{name}, as in cell_metrics of CellExplorer; the file does not state what it means or its unit of measure."
