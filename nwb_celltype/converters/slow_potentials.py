"""Whether slow potentials are still in a recording, so that its waveforms need a high-pass."""

from __future__ import annotations

import numpy as np

from nwb_celltype.converters.records import TraceSource

_N_STRETCHES = 12
_STRETCH_S = 0.2
_MEAN_S = 0.005
_MIN_MEANS = 20
_MAX_CHANNELS = 32
_HIGH_PASS_HZ = 300.0


def suggest_high_pass(traces: TraceSource) -> float | None:
    """Return the corner frequency to ask `mean_waveforms` for: 300 Hz where slow potentials are still in the recording.

    Looked at are 12 stretches of 0.2 s on up to 32 channels. Means over 5 ms hold what is slower than a spike; if they
    vary more than what is left when they are taken away, the recording was not high-passed.

    Parameters
    ----------
    traces : TraceSource

    Returns
    -------
    float or None
        Hertz. None too for a recording of less than 0.1 s, too short to tell.

    Raises
    ------
    InputError
        The recording cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from nwb_celltype.converters.traces import BinaryTraces
    >>> noise = np.random.default_rng(0).normal(0, 10, (30_000, 1))
    >>> slow = 100 * np.sin(2 * np.pi * 8 * np.arange(30_000) / 30_000)[:, None]
    >>> folder = tempfile.TemporaryDirectory()
    >>> for name, counts in {"ap": noise, "wide": noise + slow}.items():
    ...     path = Path(folder.name) / name
    ...     counts.astype("<i2").tofile(path)
    ...     traces = BinaryTraces(
    ...         name=name, paths=(path,), dtype=np.dtype("<i2"), n_file_channels=1, columns=np.array([0]),
    ...         sampling_rate_hz=30_000.0, gains_uv=None,
    ...     )
    ...     print(name, suggest_high_pass(traces))
    ap None
    wide 300.0
    >>> folder.cleanup()
    """
    n_mean = max(1, round(_MEAN_S * traces.sampling_rate_hz))
    n_means = min(round(_STRETCH_S / _MEAN_S), traces.n_samples // n_mean)
    if n_means < _MIN_MEANS:
        return None
    channels = np.unique(np.linspace(0, traces.n_channels - 1, _MAX_CHANNELS).round().astype(np.int64))
    slow, fast = np.zeros(len(channels)), np.zeros(len(channels))
    for start in np.unique(np.linspace(0, traces.n_samples - n_means * n_mean, _N_STRETCHES).astype(np.int64)):
        counts = traces.read(int(start), int(start) + n_means * n_mean, channels).astype(np.float64)
        pieces = counts.reshape(n_means, n_mean, len(channels))
        means = pieces.mean(axis=1)
        slow += means.var(axis=0)
        fast += (pieces - means[:, None]).var(axis=(0, 1))
    alive = fast > 0
    return _HIGH_PASS_HZ if alive.any() and np.median(slow[alive] / fast[alive]) > 1 else None
