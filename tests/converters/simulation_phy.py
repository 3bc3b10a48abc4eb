"""Write the folder that Kilosort 2.5 leaves and Phy curates: whitened templates, a merge, clusters without a label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .simulation_spikeglx import N_CHANNELS, NOISE_UV, REFERENCE
from .simulation_units import N_BEFORE, RATE_HZ, SimulatedUnits

Float = NDArray[np.float64]

N_TEMPLATE, TEMPLATE_BEFORE = 82, 41
N_LABELLED = 10
"""Clusters that have a row in cluster_group.tsv."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """Truth about the folder.

    Attributes
    ----------
    ids : (n,) int64 array
        Cluster of each simulated unit.
    group : mapping of int to str
        Labels given in Phy; other clusters have none.
    kilosort : mapping of int to str
        Kilosort's own label of each cluster.
    merged : int
        Cluster that Phy made of two; it has no row in ``templates.npy``.
    parts : (2,) tuple of int
        Templates whose spikes it holds.
    """

    ids: NDArray[np.int64]
    group: dict[int, str]
    kilosort: dict[int, str]
    merged: int
    parts: tuple[int, int]


def write_phy(folder: Path, units: SimulatedUnits, positions_um: Float, seed: int) -> Clusters:
    """Write the folder and return its clusters: template k is unit k, the last template the other half of unit 5."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    n, merged_unit = len(units), min(5, len(units) - 1)
    second, merged = n, n + 1
    channels = np.delete(np.arange(N_CHANNELS), REFERENCE)  # Kilosort leaves out what records nothing
    samples = np.concatenate(units.samples)
    rows = np.repeat(np.arange(n), [len(s) for s in units.samples])
    order = np.argsort(samples, kind="stable")
    samples, rows = samples[order], rows[order]
    templates = np.where((rows == merged_unit) & (rng.random(len(rows)) < 0.4), second, rows)
    clusters = np.where(rows == merged_unit, merged, rows)
    whitening = _whitening(positions_um[channels])
    shapes = _whitened(units, channels, whitening, merged_unit)
    arrays: dict[str, NDArray[np.generic]] = {
        "spike_times": np.asfortranarray(samples.astype(np.uint64)[:, None]),
        "spike_clusters": clusters.astype(np.uint32)[:, None],
        "spike_templates": templates.astype(np.uint32)[:, None],
        "amplitudes": (20.0 + rng.normal(0, 1.5, len(rows)))[:, None],
        "templates": shapes,
        "templates_ind": np.tile(np.arange(len(channels), dtype=np.float64), (n + 1, 1)),
        "channel_map": channels.astype(np.int32)[None],
        "channel_positions": positions_um[channels],
        "channel_shanks": np.zeros((1, len(channels))),
        "whitening_mat": whitening,
        "whitening_mat_inv": np.linalg.inv(whitening),
        "similar_templates": np.eye(n + 1, dtype=np.float32),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    ids = np.arange(n)
    ids[merged_unit] = merged
    group, kilosort = _write_tables(folder, units, ids)
    _write_params(folder)
    return Clusters(ids, group, kilosort, merged, (merged_unit, second))


def _whitening(positions_um: Float) -> Float:
    """Inverse square root of a covariance that falls off with distance, as Kilosort makes it from the traces."""
    distance = np.hypot(*(positions_um[:, None] - positions_um[None]).transpose(2, 0, 1))
    covariance = NOISE_UV**2 * (0.35 * np.exp(-distance / 40.0) + 0.65 * np.eye(len(positions_um)))
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors / np.sqrt(values)) @ vectors.T)


def _whitened(units: SimulatedUnits, channels: NDArray[np.intp], whitening: Float, merged: int) -> NDArray[np.float32]:
    """Templates as Kilosort keeps them: whitened, and scaled so that their scale says nothing."""
    first = N_BEFORE - TEMPLATE_BEFORE
    cut = units.shapes_uv[:, first : first + N_TEMPLATE][:, :, channels].astype(np.float64)
    cut = np.concatenate([cut, cut[merged : merged + 1]]) @ whitening
    norm = np.sqrt(np.sum(cut**2, axis=(1, 2), keepdims=True))
    return np.asarray(cut / norm, dtype=np.float32)


def _write_tables(folder: Path, units: SimulatedUnits, ids: NDArray[np.int64]) -> tuple[dict[int, str], dict[int, str]]:
    """Kilosort labels every cluster, Phy writes only what a person labelled, and one row is blank."""
    labels = ("good", "mua", "good", "noise")
    group = {int(cluster): labels[k % 4] for k, cluster in enumerate(ids[:N_LABELLED])}
    kilosort = {int(cluster): "good" if k % 7 else "mua" for k, cluster in enumerate(ids)}
    contamination = {int(cluster): round(0.5 * k, 1) for k, cluster in enumerate(ids)}
    _table(folder / "cluster_group.tsv", "group", group, ends_blank=True)
    _table(folder / "cluster_KSLabel.tsv", "KSLabel", kilosort)
    _table(folder / "cluster_ContamPct.tsv", "ContamPct", contamination)
    _table(folder / "cluster_Amplitude.tsv", "Amplitude", dict.fromkeys(contamination, 20.0))
    lines = ["cluster_id\tAmplitude\tContamPct\tKSLabel\tamp\tch\tdepth\tfr\tgroup\tn_spikes\tsh"]
    for row, cluster in enumerate(ids.tolist()):
        peak = int(units.peak_channels[row])
        lines.append(
            f"{cluster}\t20.0\t{contamination[cluster]}\t{kilosort[cluster]}\t21.3\t{peak}\t{20.0 * (peak // 2)}\t"
            f"{units.samples[row].size / 100:.4f}\t{group.get(cluster, '')}\t{units.samples[row].size}\t0"
        )
    (folder / "cluster_info.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return group, kilosort


def _table(path: Path, column: str, values: dict[int, str] | dict[int, float], *, ends_blank: bool = False) -> None:
    lines = [f"cluster_id\t{column}", *(f"{cluster}\t{value}" for cluster, value in values.items())]
    path.write_text("\n".join(lines) + ("\n\t\n" if ends_blank else "\n"), encoding="utf-8")


def _write_params(folder: Path) -> None:
    """The recording moved after sorting: the path is that of another computer."""
    (folder / "params.py").write_text(
        "dat_path = r'D:\\sorting\\temp\\temp_wh.dat'\n"
        f"n_channels_dat = {N_CHANNELS + 1}\n"
        "dtype = 'int16'\n"
        "offset = 0\n"
        f"sample_rate = {float(RATE_HZ)}\n"
        "hp_filtered = False\n",
        encoding="utf-8",
    )
