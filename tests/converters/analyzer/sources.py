"""Small SpikeInterface objects with real files behind them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import probeinterface
import spikeinterface.core as si
from numpy.typing import NDArray

RATE_HZ = 30_000.0
FIRST_SAMPLE = 177_385
GAIN_UV = 2.34375
N_CHANNELS = 24


def shapes(n_units: int, n_samples: int = 90, n_before: int = 30) -> NDArray[np.float64]:
    """(n_units, n_samples, N_CHANNELS) spikes in microvolts, each largest on a channel of its own."""
    t_ms = (np.arange(n_samples) - n_before) / RATE_HZ * 1e3
    spike = -np.exp(-((t_ms / 0.12) ** 2)) + 0.3 * np.exp(-(((t_ms - 0.5) / 0.25) ** 2))
    channels = np.arange(N_CHANNELS)
    weights = [np.exp(-(((channels - 3 - 5 * k) / 1.5) ** 2)) for k in range(n_units)]
    return np.array([180.0 * spike[:, None] * weight for weight in weights])


def probe() -> probeinterface.Probe:
    """Two shanks of 12 contacts, wired in reverse."""
    x = np.repeat([0.0, 250.0], N_CHANNELS // 2)
    y = np.tile(np.arange(N_CHANNELS // 2) * 20.0, 2)
    made = probeinterface.Probe(ndim=2, si_units="um", model_name="NP2013", manufacturer="IMEC", serial_number="1234")
    made.set_contacts(
        np.stack([x, y], axis=1), shapes="square", shape_params={"width": 12}, shank_ids=np.repeat(["0", "1"], 12)
    )
    made.set_device_channel_indices(np.arange(N_CHANNELS)[::-1])
    return made


def recording(folder: Path, samples: NDArray[np.int64], labels: NDArray[np.int64], n: int) -> Any:
    """A binary recording in counts that holds the spikes, starting `FIRST_SAMPLE` samples into the session."""
    rng = np.random.default_rng(3)
    traces = rng.normal(0, 5 / GAIN_UV, (n, N_CHANNELS))
    spikes = shapes(int(labels.max()) + 1) / GAIN_UV
    for sample, label in zip(samples, labels, strict=True):
        traces[sample - 30 : sample + 60] += spikes[label]
    file = folder / "traces.bin"
    np.rint(traces).astype("<i2").tofile(file)
    found = si.BinaryRecordingExtractor(
        [file],
        sampling_frequency=RATE_HZ,
        dtype="int16",
        num_channels=N_CHANNELS,
        channel_ids=[f"imec1.ap#AP{k}" for k in range(N_CHANNELS)],
        gain_to_uV=GAIN_UV,
        offset_to_uV=0.0,
        t_starts=[FIRST_SAMPLE / RATE_HZ],
    )
    found.set_probe(probe())
    return found


def spikes(n: int, n_units: int = 3, n_spikes: int = 60) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sample numbers and unit of some spikes, ascending."""
    samples = np.linspace(200, n - 300, n_units * n_spikes).astype(np.int64)
    return samples, np.tile(np.arange(n_units), n_spikes)


def save(sorting: Any, folder: Path, form: str = "numpy_folder") -> None:
    """Save a sorting that lives in memory."""
    with warnings.catch_warnings():
        # where such a sorting comes from cannot be saved
        warnings.filterwarnings("ignore", message="The extractor is not serializable", category=UserWarning)
        # old folders still have to be read
        warnings.filterwarnings("ignore", message=".*(npz_folder|NpzFolder).* is deprecated", category=FutureWarning)
        sorting.save(format=form, folder=folder)


def sorting(samples: NDArray[np.int64], labels: NDArray[np.int64], names: tuple[str, ...]) -> Any:
    """A sorting with text ids and some properties."""
    found = si.NumpySorting.from_samples_and_labels([samples], [np.array(names)[labels]], RATE_HZ, unit_ids=list(names))
    found.set_property("quality", np.array(["good", "mua", "good"])[: len(names)])
    found.set_property("KSLabel", np.array(["good"] * len(names)))
    found.set_property("my_score", np.linspace(0, 1, len(names)))
    found.set_property("where", np.zeros((len(names), 3)))
    return found


def analyzer(sorting: Any, recording: Any, **options: Any) -> Any:
    """An analyzer with templates, amplitudes and metrics, sparse around each unit."""
    si.set_global_job_kwargs(n_jobs=1, progress_bar=False)
    with warnings.catch_warnings():
        # the provenance of a sorting in memory is not kept, and 60 s are wanted for the presence ratio
        warnings.simplefilter("ignore", UserWarning)
        made = si.create_sorting_analyzer(
            sorting, recording, sparse=True, sparsity_kwargs={"radius_um": 60.0}, **options
        )
        made.compute(["random_spikes", "templates", "noise_levels", "spike_amplitudes"])
        if made.return_in_uV:
            made.compute("template_metrics")
            made.compute("quality_metrics", metric_names=["snr", "firing_rate"])
    return made
