"""SpikeGLX runs written by hand: headers as text, samples as int16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

AP_RATE = 30000.0
NI_RATE = 25000.0


def np1_header(n: int = 8, **changes: str | None) -> dict[str, str]:
    """AP header of a Neuropixels 1.0 probe with `n` channels, all saved; None removes a key."""
    values = {
        "acqApLfSy": f"{n},{n},1",
        "appVersion": "20230411",
        "fileCreateTime": "2026-01-31T14:03:10",
        "firstSample": "0",
        "imAiRangeMax": "0.6",
        "imDatPrb_dock": "1",
        "imDatPrb_pn": "NP1010",
        "imDatPrb_port": "2",
        "imDatPrb_slot": "3",
        "imDatPrb_sn": "18005116811",
        "imDatPrb_type": "0",
        "imMaxInt": "512",
        "imSampRate": "30000",
        "nSavedChans": str(n + 1),
        "snsApLfSy": f"{n},0,1",
        "snsSaveChanSubset": f"0:{n - 1},{2 * n}",
        "syncSourceIdx": "3",
        "syncSourcePeriod": "1",
        "typeThis": "imec",
        "~imroTbl": f"(0,{n})" + "".join(f"({c} 0 0 500 250 1)" for c in range(n)),
    }
    return _changed(values, changes)


def np2_header(n: int = 8, **changes: str | None) -> dict[str, str]:
    """AP header of a Neuropixels 2.0 probe with four shanks and a geometry map."""
    sites = [(c % 4, 27 + 32 * (c // 4 % 2), 15 * (c // 8)) for c in range(n)]
    values = {
        **np1_header(n),
        "acqApLfSy": f"{n},0,1",
        "imAiRangeMax": "0.62",
        "imChan0apGain": "100",
        "imDatPrb_pn": "NP2013",
        "imDatPrb_type": "2013",
        "imMaxInt": "2048",
        "snsSaveChanSubset": f"0:{n}",
        "~imroTbl": f"(2013,{n})" + "".join(f"({c} {c % 4} 0 0 {c // 4})" for c in range(n)),
        "~snsGeomMap": "(NP2013,4,250,70)" + "".join(f"({s}:{x}:{y}:1)" for s, x, y in sites),
    }
    return _changed(values, changes)


def lf_header(n: int = 8, **changes: str | None) -> dict[str, str]:
    """LF header of the probe of `np1_header`."""
    values = {
        **np1_header(n),
        "imSampRate": "2500",
        "snsApLfSy": f"0,{n},1",
        "snsSaveChanSubset": f"{n}:{2 * n}",
    }
    return _changed(values, changes)


def ni_header(n_analog: int = 1, n_words: int = 1, **changes: str | None) -> dict[str, str]:
    """NIDQ header with analog XA channels and digital words."""
    values = {
        "acqMnMaXaDw": f"0,0,{n_analog},{n_words}",
        "appVersion": "20230411",
        "fileCreateTime": "2026-01-31T14:03:10",
        "firstSample": "0",
        "nSavedChans": str(n_analog + n_words),
        "niAiRangeMax": "5",
        "niMAGain": "1",
        "niMNGain": "200",
        "niMaxInt": "32768",
        "niSampRate": "25000",
        "niXDBytes1": str(2 * n_words),
        "niXDChans1": f"0:{16 * n_words - 1}",
        "snsMnMaXaDw": f"0,0,{n_analog},{n_words}",
        "snsSaveChanSubset": "all",
        "syncNiChan": "0",
        "syncNiChanType": "0",
        "syncNiThresh": "1.1",
        "syncSourceIdx": "3",
        "syncSourcePeriod": "1",
        "typeThis": "nidq",
        "~snsChanMap": f"(0,0,32,{n_analog},1)"
        + "".join(f"(XA{c};{c}:{c})" for c in range(n_analog))
        + "".join(f"(XD{c};{n_analog + c}:{n_analog + c})" for c in range(n_words)),
    }
    return _changed(values, changes)


def write_meta(path: Path, values: Mapping[str, str]) -> Path:
    """Write a header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    return path


def write_stream(stem: Path, values: Mapping[str, str], samples: NDArray[np.int16]) -> Path:
    """Write ``stem.bin`` and ``stem.meta``; returns the .bin file."""
    data = stem.with_name(stem.name + ".bin")
    values = {**values, "fileSizeBytes": str(samples.nbytes), "fileName": f"D:/data/{data.name}"}
    write_meta(stem.with_name(stem.name + ".meta"), values)
    np.ascontiguousarray(samples, dtype="<i2").tofile(data)
    return data


def square_wave(seconds: NDArray[np.float64], period_s: float = 1.0) -> NDArray[np.bool_]:
    """Sync wave at true times: high in the second half of each period."""
    return np.mod(seconds, period_s) >= period_s / 2


def ap_samples(n_samples: int, n_channels: int, is_high: NDArray[np.bool_], seed: int = 0) -> NDArray[np.int16]:
    """Noise on the electrodes and bit 6 in the status word."""
    noise = np.random.default_rng(seed).integers(-50, 50, (n_samples, n_channels + 1), dtype=np.int16)
    noise[:, -1] = np.where(is_high, 64, 0)
    return noise


def words(lines: Mapping[int, NDArray[np.bool_]], n_words: int = 1) -> NDArray[np.int16]:
    """Digital words, one column each, from the states of lines."""
    n_samples = len(next(iter(lines.values())))
    packed = np.zeros((n_samples, n_words), dtype=np.uint16)
    for line, states in lines.items():
        packed[:, line // 16] |= states.astype(np.uint16) << np.uint16(line % 16)
    return packed.view(np.int16)


def write_sorting(folder: Path, spikes: Mapping[int, Sequence[int]], dat_path: str, n_channels: int = 8) -> Path:
    """Phy folder with spike times and clusters."""
    folder.mkdir(parents=True)
    pairs = sorted((sample, unit) for unit, samples in spikes.items() for sample in samples)
    np.save(folder / "spike_times.npy", np.array([sample for sample, _ in pairs], dtype=np.uint64))
    np.save(folder / "spike_clusters.npy", np.array([unit for _, unit in pairs], dtype=np.uint32))
    np.save(folder / "channel_map.npy", np.arange(n_channels, dtype=np.int32))
    np.save(folder / "channel_positions.npy", np.column_stack([np.zeros(n_channels), np.arange(n_channels) * 20.0]))
    (folder / "params.py").write_text(
        f"dat_path = {dat_path!r}\nn_channels_dat = {n_channels + 1}\ndtype = 'int16'\noffset = 0\n"
        "sample_rate = 30000.\nhp_filtered = False\n"
    )
    return folder


def _changed(values: dict[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    for key, value in changes.items():
        own = next((name for name in values if name.lstrip("~") == key), key)
        if value is None:
            values.pop(own, None)
        else:
            values[own] = value
    return values
