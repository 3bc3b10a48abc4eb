"""Ten minutes, two probes and a NIDQ whose clocks drift: spikes, traces and pulses stay on one clock to the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pynwb
import pytest
from numpy.typing import NDArray

from nwb_celltype.converters import convert

from .spikeglx.synthetic import ni_header, np1_header, write_meta, write_sorting

SECONDS = 600.0
N_CHANNELS = 4
AP_HZ, NI_HZ = 30_000.0, 25_000.0
FIRST = {"imec0": 177_385, "imec1": 177_401, "nidq": 147_796}
DRIFT = {"imec0": 0.0, "imec1": -20e-6, "nidq": 50e-6}
LASER_LINE, HIGH_LINE, SYNC_LINE = 3, 17, 0
PULSE_S = 0.010
SHAPE = np.array([-40, -150, -400, -150, 60, 90, 50], dtype=np.int16)
TROUGH = 2
BLOCK = 3_000_000


def rate_of(stream: str) -> float:
    """Samples in a second of the first probe's clock, which is the session's."""
    return (NI_HZ if stream == "nidq" else AP_HZ) * (1 + DRIFT[stream])


def seconds_of(stream: str, samples: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray((samples + FIRST[stream]) / rate_of(stream))


def samples_at(stream: str, seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(seconds * rate_of(stream) - FIRST[stream]).astype(np.int64)


def laser_s() -> NDArray[np.float64]:
    start = float(seconds_of("imec0", np.zeros(1))[0])
    return np.concatenate([[start - 0.004], start + np.arange(5.05, SECONDS - 5, 1.7)])


def blocks(n: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + BLOCK, n)) for start in range(0, n, BLOCK))


def is_high(stream: str, start: int, stop: int, onsets: NDArray[np.float64], length: float) -> NDArray[np.bool_]:
    when = seconds_of(stream, np.arange(start, stop))
    k = np.searchsorted(onsets, when, side="right") - 1
    return np.asarray((k >= 0) & (when < onsets[np.maximum(k, 0)] + length))


def is_sync(stream: str, start: int, stop: int) -> NDArray[np.bool_]:
    return np.asarray(np.mod(seconds_of(stream, np.arange(start, stop)), 1.0) >= 0.5)


def write_probe(run: Path, name: str, spikes: NDArray[np.int64]) -> None:
    stem = run / f"long_g0_{name}" / f"long_g0_t0.{name}.ap"
    n = int(SECONDS * AP_HZ)
    header = np1_header(N_CHANNELS, firstSample=str(FIRST[name]), fileSizeBytes=str(2 * n * (N_CHANNELS + 1)))
    header["imDatPrb_sn"] = f"1800511681{name[-1]}"
    write_meta(stem.with_name(stem.name + ".meta"), header | {"fileName": f"D:/{stem.name}.bin"})
    with stem.with_name(stem.name + ".bin").open("wb") as file:
        for start, stop in blocks(n):
            data = np.zeros((stop - start, N_CHANNELS + 1), dtype="<i2")
            data[:, -1] = np.where(is_sync(name, start, stop), 64, 0)
            for sample in spikes[(spikes >= start + 10) & (spikes < stop - 10)] - start:
                data[sample - TROUGH : sample - TROUGH + len(SHAPE), 1] += SHAPE
                data[sample - TROUGH : sample - TROUGH + len(SHAPE), 2] += SHAPE // 2
            file.write(data.tobytes())
    spikes = spikes[(spikes % BLOCK >= 10) & (spikes % BLOCK < BLOCK - 10)]
    write_sorting(stem.parent / "sorting", {7: spikes.tolist()}, f"{stem.name}.bin", N_CHANNELS)


def write_nidq(run: Path) -> None:
    n = int(SECONDS * NI_HZ)
    stem = run / "long_g0_t0.nidq"
    header = ni_header(0, 2, firstSample=str(FIRST["nidq"]), fileSizeBytes=str(4 * n))
    write_meta(stem.with_name(stem.name + ".meta"), header | {"fileName": "D:/long_g0_t0.nidq.bin"})
    with stem.with_name(stem.name + ".bin").open("wb") as file:
        for start, stop in blocks(n):
            words = np.zeros((stop - start, 2), dtype=np.uint16)
            words[:, 0] |= is_sync("nidq", start, stop).astype(np.uint16) << SYNC_LINE
            laser = is_high("nidq", start, stop, laser_s(), PULSE_S)
            words[:, 0] |= laser.astype(np.uint16) << LASER_LINE
            words[:, 1] |= laser.astype(np.uint16) << (HIGH_LINE - 16)
            file.write(words.tobytes())


def metadata() -> dict[str, Any]:
    return {
        "NWBFile": {
            "session_start_time": "2026-01-31T14:03:00+00:00",
            "session_description": "Simulated.",
            "session_id": "long",
        },
        "Subject": {"subject_id": "m1", "species": "mouse", "sex": "F", "age": "P90D"},
        "Events": {
            f"nidq.XD0.{LASER_LINE}": {"name": "laser", "description": "Laser."},
            f"nidq.XD1.{HIGH_LINE - 16}": {"name": "copy", "description": "The same on line 17."},
        },
    }


@pytest.fixture(scope="module")
def spikes() -> dict[str, NDArray[np.int64]]:
    """Two units that fire at the same moments, one on each probe, so that their times must agree on one clock."""
    start = float(seconds_of("imec0", np.zeros(1))[0])
    moments = np.sort(np.random.default_rng(3).uniform(start + 0.01, start + SECONDS - 0.05, 6000))
    moments = moments[np.append(True, np.diff(moments) > 0.002)]
    found = {name: samples_at(name, moments) for name in ("imec0", "imec1")}
    keep = np.all([(s % BLOCK >= 10) & (s % BLOCK < BLOCK - 10) & (s > 10) for s in found.values()], axis=0)
    keep &= np.all([s < SECONDS * AP_HZ - 10 for s in found.values()], axis=0)
    return {name: samples[keep] for name, samples in found.items()}


@pytest.fixture(scope="module")
def nwb(tmp_path_factory: pytest.TempPathFactory, spikes: dict[str, NDArray[np.int64]]) -> Iterator[pynwb.NWBFile]:
    folder = tmp_path_factory.mktemp("long")
    run = folder / "long_g0"
    for name, samples in spikes.items():
        write_probe(run, name, samples)
    write_nidq(run)
    out = folder / "long.nwb"
    convert("spikeglx", run, metadata=metadata(), out=out, raw=True, inspect=False)
    with pynwb.NWBHDF5IO(out, "r") as io:
        yield io.read()
    shutil.rmtree(folder)


def series_of(nwb: pynwb.NWBFile, probe: str) -> Any:
    return next(s for name, s in nwb.acquisition.items() if probe in name.lower())


def spike_times(nwb: pynwb.NWBFile, row: int) -> NDArray[np.float64]:
    return np.asarray(nwb.units["spike_times"][row])


def test_spikes_of_the_reference_probe_are_exact(nwb: pynwb.NWBFile, spikes: dict[str, NDArray[np.int64]]) -> None:
    expected = (spikes["imec0"] + FIRST["imec0"]) / AP_HZ
    np.testing.assert_array_equal(spike_times(nwb, 0), expected)


@pytest.mark.parametrize("probe", ["imec0", "imec1"])
@pytest.mark.parametrize("end", ["start", "end"])
def test_the_stored_trace_has_its_trough_at_every_spike(probe: str, end: str, nwb: pynwb.NWBFile) -> None:
    series = series_of(nwb, probe)
    times = spike_times(nwb, 0 if probe == "imec0" else 1)
    times = times[:200] if end == "start" else times[-200:]
    if series.rate is not None:
        at = np.rint((times - series.starting_time) * series.rate).astype(np.int64)
    else:
        at = np.searchsorted(series.timestamps[:], times - 0.5 / AP_HZ)
    for sample in at:
        window = np.asarray(series.data[sample - 4 : sample + 5, 1])
        assert int(window.argmin()) == 4


def test_both_probes_say_the_same_moments(nwb: pynwb.NWBFile) -> None:
    difference = spike_times(nwb, 1) - spike_times(nwb, 0)
    assert np.abs(difference).max() < 1.5 / AP_HZ  # both are rounded to a sample


@pytest.mark.parametrize("line", ["laser", "copy"])
def test_pulses_are_within_a_sample_at_start_and_end(line: str, nwb: pynwb.NWBFile) -> None:
    onsets = np.asarray(nwb.events[line]["timestamp"][:])
    truth = laser_s()
    assert len(onsets) == len(truth)
    assert onsets[0] == pytest.approx(float(seconds_of("nidq", np.zeros(1))[0]), abs=1 / NI_HZ)  # high at sample 0
    assert np.abs(onsets[1:] - truth[1:]).max() < 1 / NI_HZ
    assert bool(nwb.events[line]["is_high_at_start"][0])


def test_drift_and_residual_are_stored(nwb: pynwb.NWBFile) -> None:
    table = nwb.processing["ecephys"]["clock_alignment"].to_dataframe().set_index("stream")
    assert table.loc["nidq", "drift_ppm"] == pytest.approx(50.0, abs=0.5)
    assert table.loc["imec1.ap", "drift_ppm"] == pytest.approx(-20.0, abs=0.5)
    assert table.loc["nidq", "residual_us_max"] < 1e6 / NI_HZ
