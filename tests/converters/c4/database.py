"""Files of the C4 database, made from the published table of its fields: every neuron a group with two hard links."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

MOUSE_HZ, MACAQUE_HZ = 30_000, 40_000
ABSENT = object()
NULL = object()


def mouse(k, dataset="20-03-06_DK186_probe1", *, lab="hausser", unit=None, seconds=60.0, rate_hz=20.0, **changes):
    """Fields of one mouse neuron: all that the table names, 22 channels, 6 ms, 30 kHz."""
    rng = np.random.default_rng(1000 + k)
    spikes = train(rng, seconds, rate_hz, MOUSE_HZ)
    first = 40 + 2 * k
    channels = np.arange(first, first + 22)
    stims = np.column_stack([np.arange(45, 55.0, 1.0), np.arange(45, 55.0, 1.0) + 0.25])
    sane = spikes < 35.0 * MOUSE_HZ  # 10 s before the first pulse
    fields = {
        "lab_id": lab,
        "line": "mouse_math1",
        "dataset_id": dataset,
        "neuron_relative_id": 300 + 7 * k if unit is None else unit,
        "neuron_id": f"{lab}_neuron_{k}",
        "sampling_rate": MOUSE_HZ,
        "sane_periods": "all",
        "spike_indices": spikes.astype(np.uint32),
        "optostims": stims,
        "sane_spikes": sane,
        "mean_waveform_preprocessed": waveform(22, 180, 11, depth_uv=-100.0 - k),
        "channel_ids": channels.astype(np.uint16),
        "channelmap": places(channels),
        "raw_waveforms": rng.integers(-200, 200, (20, 22, 180)).astype(np.int16),
        "scaling_factor": 2.34375,
        "raw_voltage_snippet": rng.integers(-200, 200, (7, 3000)).astype(np.int16),
        "voltage_snippet_start_index": 900_000,
        "channel_noise_std": np.linspace(5, 7.1, 22),
        "peakchan_SNR": 14.5 + k,
        "acrosschan_SNR": 9.25 + k,
        "amplitudes": np.linspace(20, 30, len(spikes)),
        "fn_fp_filtered_spikes": np.arange(len(spikes)) % 10 != 0,
        "phyllum_layer": "ML",
        "expert_label": "",
        "ground_truth_label": "unlabelled",
        "ground_truth_source": "",
    }
    return {**fields, **changes}


def macaque(k, dataset="2021_08_25_Edgar", *, seconds=60.0, rate_hz=30.0, n_channels=4, **changes):
    """Fields of one macaque neuron: 40 kHz, few channels, a label by an expert, no masks, neuron_id alone."""
    rng = np.random.default_rng(5000 + k)
    spikes = train(rng, seconds, rate_hz, MACAQUE_HZ)
    fields = {
        "lab_id": "lisberger",
        "line": "monkey",
        "dataset_id": dataset,
        "neuron_id": 700 + k,
        "sampling_rate": float(MACAQUE_HZ),
        "sane_periods": np.array([[0.0, 20.0], [30.0, 50.0]]),
        "spike_indices": spikes.astype(np.uint32),
        "mean_waveform_preprocessed": waveform(n_channels, 240, min(1, n_channels - 1), depth_uv=80.0 + k),
        "channel_ids": np.arange(n_channels, dtype=np.uint16),
        "channelmap": np.column_stack([np.zeros(n_channels), 50.0 * np.arange(n_channels)]),
        "human_layer": "PCL",
        "expert_label": "PkC_ss",
    }
    return {**fields, **changes}


def train(rng, seconds, rate_hz, sampling_hz):
    """Samples of a train with a refractory time of 2 ms."""
    gaps = 0.002 + rng.exponential(1 / rate_hz, int(seconds * rate_hz * 2) + 10)
    times = np.cumsum(gaps)
    return np.round(times[times < seconds] * sampling_hz).astype(np.int64)


def waveform(n_channels, n_samples, peak, *, depth_uv):
    """A spike in the middle of the window, falling off by a third a channel; no two channels alike."""
    t = np.arange(n_samples) - n_samples // 2
    shape = np.exp(-0.5 * (t / 6.0) ** 2) - 0.4 * np.exp(-0.5 * ((t - 18) / 9.0) ** 2)
    fall = 0.67 ** np.abs(np.arange(n_channels) - peak)
    return (depth_uv * fall[:, None] * shape[None, :]).astype(np.float32)


def places(channels):
    """Two staggered columns, 20 um apart along the shank."""
    channels = np.asarray(channels)
    return np.column_stack([np.where(channels % 2, 59.0, 27.0), 20.0 * (channels // 2)])


def write(path: Path, neurons, *, numbers=None, in_datasets=True, at_root=True) -> Path:
    """Write neurons (mappings of field to value), each as one group that two hard links lead to; no attributes."""
    with h5py.File(path, "w") as file:
        for order, fields in enumerate(neurons):
            number = order if numbers is None else numbers[order]
            lab = fields["lab_id"] if isinstance(fields.get("lab_id"), str) else "hull"
            name = f"{lab}_neuron_{number}"
            unit = fields.get("neuron_relative_id", fields.get("neuron_id"))
            unit = unit if isinstance(unit, str | int) else number
            dataset = fields.get("dataset_id")
            dataset = dataset if isinstance(dataset, str) and dataset else "lost"
            group = file.create_group(name if at_root else f"datasets/{dataset}/{unit}")
            for field, value in fields.items():
                put(group, field, value)
            if in_datasets and at_root:
                file.require_group(f"datasets/{dataset}")[str(unit)] = group
    return path


def put(group, field, value):
    """Store one field as it is given."""
    if value is ABSENT:
        return
    group[field] = h5py.Empty("f4") if value is NULL else value
