"""Write a simulated SpikeGLX run with its sorting: what the notebook and docs/converting.md convert.

Nothing in it was recorded. The units fire and look as those of `simulate_session.py`; two interneurons answer a laser,
and simple spikes pause after complex spikes. The folder looks like this::

    simulated_g0/simulated_g0_t0.nidq.{bin,meta}                            25 kHz, 50 ppm fast, laser on line 3
    simulated_g0/simulated_g0_imec0/simulated_g0_t0.imec0.ap.{bin,meta}     Neuropixels 1.0, 48 of 384 channels saved
    simulated_g0/simulated_g0_imec0/kilosort/                               sorted as by Kilosort, curated as in Phy

The same seed gives the same bytes. A second of it takes 3 MB.

Run:  python examples/simulated_run.py [FOLDER]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent))
from simulate_session import RECIPES, spike_times

Float = NDArray[np.float64]
Integer = NDArray[np.int64]

NAME = "simulated"
SECONDS = 100.0
RATE_HZ, NI_RATE_HZ = 30_000, 25_000
CHANNELS = np.arange(96, 144)  # those that were saved
GAIN_UV = 0.6 / 512 / 500 * 1e6
NOISE_UV = 7.0
FIRST_SAMPLE, NI_FIRST_SAMPLE = 177_385, 147_741
NI_OFFSET_S, NI_DRIFT_PPM, SYNC_PHASE_S = 0.0081, 50.0, 0.2371
SYNC_LINE, LASER_LINE, PUFF_LINE = 0, 3, 5
PULSE_S, PUFF_S = 0.005, 0.030
PAUSE_S, REFRACTORY_S = 0.018, 0.003
LATENCY_S, JITTER_S, RELIABILITY = 0.0031, 0.0004, 0.8
N_BEFORE, N_SHAPE = 60, 180

_BY_ID = {recipe.unit_id: recipe for recipe in RECIPES}
# cluster, what it imitates, how far from the tip (micrometres), whether it carries the opsin
UNITS = (
    (0, _BY_ID[1], 1180.0, False),
    (1, _BY_ID[2], 1205.0, False),
    (2, _BY_ID[4], 1225.0, False),
    (3, _BY_ID[5], 1245.0, False),
    (4, _BY_ID[8], 1300.0, True),
    (5, _BY_ID[9], 1350.0, True),
    (6, replace(_BY_ID[8], unit_id=6, mean_isi_ms=32.0, amplitude_uv=105.0), 1325.0, False),
    (7, replace(_BY_ID[9], unit_id=7, mean_isi_ms=44.0, amplitude_uv=95.0), 1385.0, False),
    (8, _BY_ID[12], 1110.0, False),
    (9, _BY_ID[13], 1035.0, False),
    (10, _BY_ID[17], 1000.0, False),
    (11, _BY_ID[18], 1070.0, False),
    (12, _BY_ID[21], 1150.0, False),
)
PURKINJE_CELLS = ((0, 1), (2, 3))  # simple and complex spikes
MERGED = 9  # the cluster that Phy made of two
GROUPS = {0: "good", 1: "good", 2: "good", 4: "good", 5: "good", 8: "good", 12: "mua"}  # what somebody labelled in Phy
PAPERS = {1: "PkC_cs", 4: "MLI", 5: "MLI"}  # what the lab says of its own units


@dataclass(frozen=True, eq=False)
class SimulatedRun:
    """Where it is, and what is true of it: spikes in samples of the probe's file, pulses in session seconds."""

    folder: Path
    run: Path
    sorting: Path
    ap_bin: Path
    labels: Path
    samples: dict[int, Integer]
    laser_s: Float
    puffs_s: Float


def simulate_run(folder: str | Path, *, seconds: float = SECONDS, seed: int = 3) -> SimulatedRun:
    """Write the run and a table of the lab's own labels; laser pulses lie in the second half."""
    folder = Path(folder)
    run = folder / f"{NAME}_g0"
    probe = run / f"{NAME}_g0_imec0"
    probe.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    start_s = FIRST_SAMPLE / RATE_HZ
    laser = _periods(start_s + np.arange(0.52 * seconds, seconds - 2, 0.4), PULSE_S)
    puffs = _periods(start_s + np.arange(3.3, seconds - 2, 4.7), PUFF_S)
    samples = _trains(seconds, laser[:, 0] - start_s, rng)
    ap_bin = _write_probe(probe, samples, seconds, rng)
    _write_nidq(run, seconds, laser, puffs)
    merged = _write_sorting(probe / "kilosort", samples, rng)
    samples[merged] = samples.pop(MERGED)
    labels = folder / "our_labels.csv"
    rows = [f"{cluster},{label}" for cluster, label in PAPERS.items()]
    labels.write_text("\n".join(["unit_id,cell_type", *rows]) + "\n", encoding="utf-8")
    return SimulatedRun(folder, run, probe / "kilosort", ap_bin, labels, samples, laser, puffs)


def _periods(onsets_s: Float, length_s: float) -> Float:
    return np.stack([onsets_s, onsets_s + length_s], axis=1)


def positions_um() -> Float:
    """(n, 2) sites of the saved channels: two staggered columns, a row every 20 micrometres."""
    return np.stack([np.array([27.0, 59.0, 11.0, 43.0])[CHANNELS % 4], 20.0 * (CHANNELS // 2)], axis=1)


def _trains(seconds: float, pulses_s: Float, rng: np.random.Generator) -> dict[int, Integer]:
    times = {cluster: spike_times(recipe, rng) for cluster, recipe, *_ in UNITS}
    for simple, complex_ in PURKINJE_CELLS:
        last = np.searchsorted(times[complex_], times[simple]) - 1
        since = np.where(last >= 0, times[simple] - times[complex_][np.maximum(last, 0)], np.inf)
        times[simple] = times[simple][since > PAUSE_S]
    for cluster in (cluster for cluster, _, _, is_tagged in UNITS if is_tagged):
        answered = pulses_s[rng.random(len(pulses_s)) < RELIABILITY]
        evoked = np.sort(answered + LATENCY_S + rng.normal(0, JITTER_S, len(answered)))
        near = np.abs(times[cluster][:, None] - evoked[None]).min(axis=1, initial=np.inf)
        times[cluster] = np.sort(np.concatenate([times[cluster][near > REFRACTORY_S], evoked]))
    last_sample = round(seconds * RATE_HZ) - N_SHAPE
    on_grid = {cluster: np.unique(np.rint(t * RATE_HZ).astype(np.int64)) for cluster, t in times.items()}
    return {cluster: s[(s >= N_BEFORE) & (s < last_sample)] for cluster, s in on_grid.items()}


def shapes_uv() -> dict[int, Float]:
    """(N_SHAPE, channels) of each cluster: the recipe's bell curves, smaller and later with distance."""
    time_ms = (np.arange(N_SHAPE) - N_BEFORE) / RATE_HZ * 1e3
    made = {}
    for k, (cluster, recipe, depth, _) in enumerate(UNITS):
        distance = np.hypot(*(positions_um() - [20.0 + 7.0 * (k % 5), depth]).T)
        delay = (distance - distance.min()) / 500.0
        at = time_ms[:, None] - delay
        shape = sum(height * np.exp(-0.5 * ((at - centre) / width) ** 2) for centre, width, height in recipe.bells)
        weight = np.where(distance < 140, np.exp(-(distance - distance.min()) / 35.0), 0.0)
        made[cluster] = shape * weight * recipe.amplitude_uv
    return made


def _write_probe(folder: Path, samples: dict[int, Integer], seconds: float, rng: np.random.Generator) -> Path:
    """Write the traces a second at a time: noise, spikes, and the sync wave in the last column."""
    path = folder / f"{NAME}_g0_t0.imec0.ap.bin"
    n, n_channels = round(seconds * RATE_HZ), len(CHANNELS)
    noise = rng.standard_normal((3 * RATE_HZ + 1, n_channels), dtype=np.float32)
    noise = (noise[:-1] + np.float32(0.5) * noise[1:]) * np.float32(NOISE_UV / GAIN_UV / np.sqrt(1.25))
    shapes = {cluster: (shape / GAIN_UV).astype(np.float32) for cluster, shape in shapes_uv().items()}
    window = np.arange(N_SHAPE) - N_BEFORE
    with path.open("wb") as file:
        for start in range(0, n, RATE_HZ):
            stop = min(n, start + RATE_HZ)
            shift = int(rng.integers(0, 2 * RATE_HZ))
            block = np.zeros((stop - start + 2 * N_SHAPE, n_channels), dtype=np.float32)
            block[N_SHAPE:-N_SHAPE] = np.roll(
                noise[shift : shift + stop - start], int(rng.integers(n_channels)), axis=1
            )
            for cluster, spikes in samples.items():
                a, b = np.searchsorted(spikes, [start - N_SHAPE + N_BEFORE, stop + N_BEFORE])
                for spike in spikes[a:b]:
                    block[spike - start + N_SHAPE + window] += shapes[cluster]
            counts = np.empty((stop - start, n_channels + 1), dtype="<i2")
            counts[:, :-1] = np.clip(np.rint(block[N_SHAPE:-N_SHAPE]), -512, 511)
            counts[:, -1] = _sync((FIRST_SAMPLE + np.arange(start, stop)) / RATE_HZ) << 6
            file.write(counts.tobytes())
    _write_header(path, n, RATE_HZ, FIRST_SAMPLE, _probe_values(), _probe_tables())
    return path


def _sync(seconds: Float) -> NDArray[np.int64]:
    """Level of the square wave of 1 Hz that both systems record."""
    return (((seconds - SYNC_PHASE_S) % 1.0) < 0.5).astype(np.int64)


def _write_nidq(folder: Path, seconds: float, laser_s: Float, puffs_s: Float) -> None:
    """Write NIDQ: one analog channel and a word of 16 digital lines, on a clock that runs 50 ppm fast."""
    path = folder / f"{NAME}_g0_t0.nidq.bin"
    n = round((seconds + 0.01) * NI_RATE_HZ)
    when = NI_OFFSET_S + (NI_FIRST_SAMPLE + np.arange(n)) / (NI_RATE_HZ * (1 + NI_DRIFT_PPM * 1e-6))
    lines = _sync(when) << SYNC_LINE
    for line, periods in ((LASER_LINE, laser_s), (PUFF_LINE, puffs_s)):
        row = np.searchsorted(periods[:, 0], when, side="right") - 1
        lines |= ((row >= 0) & (when < periods[np.maximum(row, 0), 1])).astype(np.int64) << line
    counts = np.stack([np.rint(5000 * np.sin(2 * np.pi * 0.1 * when)), lines], axis=1).astype("<i2")
    counts.tofile(path)
    values: dict[str, object] = {
        "acqMnMaXaDw": "0,0,1,1", "nSavedChans": 2, "niAiRangeMax": 5, "niAiRangeMin": -5, "niMAGain": 1,
        "niMNGain": 200, "niMaxInt": 32768, "niMuxFactor": 32, "niSampRate": NI_RATE_HZ, "niXAChans1": 0,
        "niXDBytes1": 2, "niXDChans1": "0:15", "snsMnMaXaDw": "0,0,1,1", "snsSaveChanSubset": "all",
        "syncNiChan": SYNC_LINE, "syncNiChanType": 0, "syncNiThresh": 1.1, "typeThis": "nidq",
    }  # fmt: skip
    _write_header(path, n, NI_RATE_HZ, NI_FIRST_SAMPLE, values, {"snsChanMap": "(0,0,32,1,1)(XA0;0:0)(XD0;1:1)"})


def _probe_values() -> dict[str, object]:
    n = len(CHANNELS)
    return {
        "acqApLfSy": "384,384,1", "imAiRangeMax": 0.6, "imAiRangeMin": -0.6, "imDatPrb_pn": "PRB_1_4_0480_1",
        "imDatPrb_port": 2, "imDatPrb_slot": 2, "imDatPrb_sn": "00000000000", "imDatPrb_type": 0, "imMaxInt": 512,
        "imSampRate": RATE_HZ, "nSavedChans": n + 1, "snsApLfSy": f"{n},0,1",
        "snsSaveChanSubset": f"{CHANNELS[0]}:{CHANNELS[-1]},768", "syncImInputSlot": 2, "typeThis": "imec",
    }  # fmt: skip


def _probe_tables() -> dict[str, str]:
    xy = positions_um().astype(int).tolist()
    return {
        "imroTbl": "(0,384)" + "".join(f"({c} 0 0 500 250 1)" for c in range(384)),
        "snsChanMap": "(384,384,1)" + "".join(f"(AP{c};{c}:{c})" for c in CHANNELS) + "(SY0;768:384)",
        "snsGeomMap": "(PRB_1_4_0480_1,1,0,70)" + "".join(f"(0:{x}:{y}:1)" for x, y in xy),
        "snsShankMap": "(1,2,480)" + "".join(f"(0:{c % 2}:{c // 2}:1)" for c in CHANNELS),
    }


def _write_header(
    path: Path, n: int, rate_hz: int, first_sample: int, own: dict[str, object], tables: dict[str, str]
) -> None:
    values = {
        "appVersion": "20230411", "fileCreateTime": "2026-01-31T14:03:00", "fileSizeBytes": path.stat().st_size,
        "fileName": f"D:/simulated/{path.name}", "fileTimeSecs": n / rate_hz, "firstSample": first_sample,
        "gateMode": "Immediate", "nDataDirs": 1, "syncSourceIdx": 3, "syncSourcePeriod": 1, "trigMode": "Immediate",
        "typeImEnabled": 1, "typeNiEnabled": 1, "userNotes": "Simulated; nothing was recorded.", **own,
    }  # fmt: skip
    lines = [f"{key}={value}" for key, value in sorted(values.items())]
    lines += [f"~{key}={value}" for key, value in sorted(tables.items())]
    path.with_suffix(".meta").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_sorting(folder: Path, samples: dict[int, Integer], rng: np.random.Generator) -> int:
    """Write the Kilosort folder and return the id of the cluster that is a merge of two templates."""
    folder.mkdir(parents=True, exist_ok=True)
    n = len(samples)
    spikes = np.concatenate(list(samples.values()))
    rows = np.repeat(list(samples), [len(s) for s in samples.values()])
    order = np.argsort(spikes, kind="stable")
    spikes, rows = spikes[order], rows[order]
    second, merged = n, n + 1
    templates = np.where((rows == MERGED) & (rng.random(len(rows)) < 0.4), second, rows)
    clusters = np.where(rows == MERGED, merged, rows)
    shapes = shapes_uv()
    cut = np.stack([shapes[c][N_BEFORE - 41 : N_BEFORE + 41] for c in [*samples, MERGED]]) / NOISE_UV
    n_channels = len(CHANNELS)
    arrays: dict[str, NDArray[np.generic]] = {
        "spike_times": spikes.astype(np.uint64)[:, None],
        "spike_clusters": clusters.astype(np.uint32)[:, None],
        "spike_templates": templates.astype(np.uint32)[:, None],
        "amplitudes": (20.0 + rng.normal(0, 1.5, len(rows)))[:, None],
        "templates": (cut / np.sqrt(np.sum(cut**2, axis=(1, 2), keepdims=True))).astype(np.float32),
        "templates_ind": np.tile(np.arange(n_channels, dtype=np.float64), (n + 1, 1)),
        "channel_map": np.arange(n_channels, dtype=np.int32)[None],
        "channel_positions": positions_um(),
        "channel_shanks": np.zeros((1, n_channels)),
        "whitening_mat": np.eye(n_channels) / NOISE_UV,
        "whitening_mat_inv": np.eye(n_channels) * NOISE_UV,
        "similar_templates": np.eye(n + 1, dtype=np.float32),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    _write_tables(folder, [merged if cluster == MERGED else cluster for cluster in samples])
    return merged


def _write_tables(folder: Path, clusters: list[int]) -> None:
    """Kilosort labels every cluster; Phy keeps only the rows that a person labelled."""
    tables: dict[str, dict[int, object]] = {
        "group": dict(GROUPS),
        "KSLabel": {cluster: "mua" if cluster == 12 else "good" for cluster in clusters},
        "ContamPct": {cluster: 34.0 if cluster == 12 else 0.4 * (k % 5) for k, cluster in enumerate(clusters)},
        "Amplitude": dict.fromkeys(clusters, 20.0),
    }
    for name, values in tables.items():
        lines = [f"cluster_id\t{name}", *(f"{cluster}\t{value}" for cluster, value in values.items())]
        (folder / f"cluster_{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "params.py").write_text(
        f"dat_path = r'D:\\simulated\\temp_wh.dat'\nn_channels_dat = {len(CHANNELS) + 1}\ndtype = 'int16'\noffset = 0\n"
        f"sample_rate = {float(RATE_HZ)}\nhp_filtered = False\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    print(simulate_run(sys.argv[1] if len(sys.argv) > 1 else "simulated_run").run)
