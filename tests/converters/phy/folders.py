"""Folders as Kilosort 2.5, Kilosort 4, Phy and SpikeInterface's export write them, from a small simulated session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 30_000.0


@dataclass(frozen=True)
class Session:
    """What was recorded and sorted: the truth that a reader must find again."""

    shapes: NDArray[np.float64]  # (n_units, n_samples, n_channels), counts of the recording
    n_before: int
    samples: NDArray[np.int64]  # ascending
    units: NDArray[np.int64]  # unit of each spike
    positions: NDArray[np.float64]  # (n_channels, 2)
    n_samples: int
    whitening: NDArray[np.float64]  # (n_channels, n_channels), not symmetric

    @property
    def n_units(self) -> int:
        return len(self.shapes)

    @property
    def n_channels(self) -> int:
        return len(self.positions)

    @property
    def peaks(self) -> NDArray[np.int64]:
        return np.ptp(self.shapes, axis=1).argmax(axis=1)

    def samples_of(self, unit: int) -> NDArray[np.int64]:
        return self.samples[self.units == unit]


def simulate(
    *, n_units: int = 6, n_channels: int = 12, length: int = 82, n_before: int = 40, seconds: float = 4.0, seed: int = 0
) -> Session:
    """Units along a linear probe; a whitening matrix that weighs neighbours unequally."""
    rng = np.random.default_rng(seed)
    n_samples = int(seconds * RATE)
    t = np.arange(length) - n_before
    course = -np.exp(-((t / 4.0) ** 2)) + 0.35 * np.exp(-(((t - 12) / 8.0) ** 2))
    centres = np.linspace(1, n_channels - 2, n_units).round()
    decay = np.exp(-(((np.arange(n_channels) - centres[:, None]) / 1.2) ** 2))
    shapes = course[None, :, None] * decay[:, None, :] * rng.uniform(80, 200, n_units)[:, None, None]
    counts = rng.integers(30, 60, n_units)
    units = np.repeat(np.arange(n_units), counts)
    samples = np.sort(rng.choice(np.arange(200, n_samples - 200, 3), counts.sum(), replace=False))
    whitening = np.eye(n_channels) * 0.08 - 0.02 * np.eye(n_channels, k=1) - 0.008 * np.eye(n_channels, k=-1)
    positions = np.c_[np.tile([0.0, 32.0], n_channels)[:n_channels], np.arange(n_channels) * 20.0]
    return Session(shapes, n_before, samples, rng.permutation(units), positions, n_samples, whitening)


def write_recording(
    path: Path, session: Session, *, columns: Sequence[int] | None = None, n_file_channels: int | None = None
) -> Path:
    """Flat int16 recording with every spike in it and a little noise; channel k lies in column ``columns[k]``."""
    columns = list(range(session.n_channels)) if columns is None else list(columns)
    data = np.random.default_rng(1).normal(0, 2, (session.n_samples, n_file_channels or max(columns) + 1))
    for sample, unit in zip(session.samples, session.units, strict=True):
        start = sample - session.n_before
        data[start : start + session.shapes.shape[1], columns] += session.shapes[unit]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.rint(data).astype("<i2").tofile(path)
    return path


def write_params(folder: Path, **values: object) -> None:
    """params.py; values are written as they are, strings unquoted."""
    stated = {
        "dat_path": "None",
        "n_channels_dat": 12,
        "dtype": "'int16'",
        "offset": 0,
        "sample_rate": "30000.",
        "hp_filtered": False,
        **values,
    }
    lines = [f"{key} = {value}" for key, value in stated.items() if value is not None]
    (folder / "params.py").write_text("\n".join(lines) + "\n")


def write_table(folder: Path, name: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """Tab-separated table."""
    lines = ["\t".join(map(str, row)) for row in [header, *rows]]
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def by_cluster(values: Mapping[int, object]) -> list[tuple[int, object]]:
    return list(values.items())


def kilosort25(folder: Path, session: Session, *, dat_path: str = "None", is_whitened_before: bool = False) -> Path:
    """Output of Kilosort 2.5: columns of unsigned integers, cluster_group.tsv with the header of KSLabel.

    `is_whitened_before` is what happens when params.py points to temp_wh.dat: the whitening matrix is 0.005 times the
    identity, whatever was done to the data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    n, c = session.n_units, session.n_channels
    templates = (session.shapes @ session.whitening).astype(np.float32)
    stored = np.eye(c) * 0.005 if is_whitened_before else session.whitening
    np.save(folder / "spike_times.npy", np.asfortranarray(session.samples.astype(np.uint64)[:, None]))
    np.save(folder / "spike_templates.npy", session.units.astype(np.uint32)[:, None])
    np.save(folder / "spike_clusters.npy", session.units.astype(np.uint32)[:, None])
    np.save(folder / "amplitudes.npy", np.random.default_rng(2).uniform(10, 90, (len(session.units), 1)))
    np.save(folder / "templates.npy", templates)
    np.save(folder / "templates_ind.npy", np.tile(np.arange(c, dtype=np.float64), (n, 1)))
    np.save(folder / "channel_map.npy", np.arange(c, dtype=np.int32)[None, :])
    np.save(folder / "channel_positions.npy", session.positions)
    np.save(folder / "whitening_mat.npy", stored)
    np.save(folder / "whitening_mat_inv.npy", np.linalg.inv(stored))
    labels = [(k, "good" if k % 2 else "mua") for k in range(n)]
    write_table(folder, "cluster_KSLabel.tsv", ["cluster_id", "KSLabel"], labels)
    write_table(folder, "cluster_group.tsv", ["cluster_id", "KSLabel"], labels)
    write_table(folder, "cluster_ContamPct.tsv", ["cluster_id", "ContamPct"], [(k, f"{k * 7.5:.1f}") for k in range(n)])
    write_table(folder, "cluster_Amplitude.tsv", ["cluster_id", "Amplitude"], [(k, 100.5 + k) for k in range(n)])
    write_params(
        folder,
        dat_path="'/data/somewhere/temp_wh.dat'" if is_whitened_before else dat_path,
        n_channels_dat=c,
        hp_filtered=is_whitened_before,
    )
    return folder


def kilosort4(
    folder: Path,
    session: Session,
    *,
    dat_path: str = "None",
    columns: Sequence[int] | None = None,
    n_file_channels: int | None = None,
) -> Path:
    """Output of Kilosort 4: flat arrays, templates of 61 samples, whitening that acts on columns."""
    folder.mkdir(parents=True, exist_ok=True)
    n, c = session.n_units, session.n_channels
    np.save(folder / "spike_times.npy", session.samples)
    np.save(folder / "spike_clusters.npy", session.units.astype(np.int32))
    np.save(folder / "spike_templates.npy", session.units.astype(np.int32))
    np.save(folder / "spike_detection_templates.npy", (session.units * 3 % 7).astype(np.int32))
    np.save(folder / "kept_spikes.npy", np.ones(len(session.units) + 5, dtype=bool))
    np.save(folder / "amplitudes.npy", np.random.default_rng(2).uniform(5, 30, len(session.units)).astype(np.float32))
    np.save(folder / "templates.npy", (session.shapes @ session.whitening.T).astype(np.float32))
    np.save(folder / "templates_ind.npy", np.tile(np.arange(c), (n, 1)))
    used = np.arange(c) if columns is None else np.asarray(columns)
    np.save(folder / "channel_map.npy", used.astype(np.int32))
    np.save(folder / "channel_positions.npy", session.positions.astype(np.float32))
    np.save(folder / "channel_shanks.npy", np.zeros(c))
    np.save(folder / "whitening_mat.npy", session.whitening.astype(np.float32))
    inverse = np.linalg.inv(session.whitening + 1e-5 * np.eye(c))
    np.save(folder / "whitening_mat_inv.npy", inverse.astype(np.float32))
    np.save(folder / "ops.npy", np.array({"fs": RATE}, dtype=object), allow_pickle=True)
    labels = [(k, "good" if k % 2 else "mua") for k in range(n)]
    write_table(folder, "cluster_KSLabel.tsv", ["cluster_id", "KSLabel"], labels)
    write_table(folder, "cluster_group.tsv", ["cluster_id", "KSLabel"], labels)
    write_table(folder, "cluster_ContamPct.tsv", ["cluster_id", "ContamPct"], [(k, f"{k * 7.5:.1f}") for k in range(n)])
    write_table(folder, "cluster_Amplitude.tsv", ["cluster_id", "Amplitude"], [(k, f"{9.5 + k:.1f}") for k in range(n)])
    write_params(folder, dat_path=dat_path, n_channels_dat=n_file_channels or c)
    return folder


def spikeinterface_export(folder: Path, session: Session, *, n_sparse: int = 5) -> Path:
    """Output of SpikeInterface's export to Phy: sparse templates with template_ind.npy, no whitening."""
    folder.mkdir(parents=True, exist_ok=True)
    n, c = session.n_units, session.n_channels
    nearest = np.argsort(-np.ptp(session.shapes, axis=1), axis=1, kind="stable")[:, :n_sparse]
    nearest = np.sort(nearest, axis=1)
    padded = np.c_[nearest, -np.ones((n, 1), dtype=np.int64)]
    sparse = np.zeros((n, session.shapes.shape[1], n_sparse + 1))
    for k in range(n):
        sparse[k, :, :n_sparse] = session.shapes[k][:, nearest[k]]
    np.save(folder / "spike_times.npy", session.samples[:, None])
    np.save(folder / "spike_clusters.npy", session.units[:, None])
    np.save(folder / "spike_templates.npy", session.units[:, None])
    np.save(folder / "amplitudes.npy", -session.shapes.max(axis=(1, 2))[session.units][:, None])
    np.save(folder / "templates.npy", sparse)
    np.save(folder / "template_ind.npy", padded)
    np.save(folder / "channel_map.npy", np.arange(c, dtype=np.int32))
    np.save(folder / "channel_map_si.npy", np.array([f"AP{k}" for k in range(c)]))
    np.save(folder / "channel_positions.npy", session.positions.astype(np.float32))
    np.save(folder / "channel_groups.npy", np.zeros(c, dtype=np.int32))
    write_table(folder, "cluster_group.tsv", ["cluster_id", "group"], [(k, "unsorted") for k in range(n)])
    write_table(folder, "cluster_si_unit_ids.tsv", ["cluster_id", "si_unit_id"], [(k, 100 + k) for k in range(n)])
    write_table(folder, "cluster_channel_group.tsv", ["cluster_id", "channel_group"], [(k, 0) for k in range(n)])
    write_table(folder, "cluster_snr.tsv", ["cluster_id", "snr"], [(k, 5.25 + k) for k in range(n)])
    half_width = [(k, "" if k == 1 else 2e-4 + k * 1e-5) for k in range(n)]
    write_table(folder, "cluster_half_width.tsv", ["cluster_id", "half_width"], half_width)
    write_params(folder, dat_path="r'None'", n_channels_dat=c, sample_rate=30000.0)
    return folder


def merge(folder: Path, clusters: Sequence[int], new: int) -> None:
    """What Phy does when clusters are merged: their spikes get a new id, spike_templates.npy stays."""
    path = folder / "spike_clusters.npy"
    stored = np.load(path)
    stored[np.isin(stored, clusters)] = new
    np.save(path, stored)


def split(folder: Path, cluster: int, new: tuple[int, int]) -> None:
    """What Phy does when a cluster is split: all its spikes get one of two new ids."""
    path = folder / "spike_clusters.npy"
    stored = np.load(path)
    where = np.flatnonzero(stored.reshape(-1) == cluster)
    stored.reshape(-1)[where[::3]] = new[0]
    stored.reshape(-1)[np.setdiff1d(where, where[::3])] = new[1]
    np.save(path, stored)


def save_in_phy(folder: Path, groups: Mapping[int, str]) -> None:
    """What Phy writes when it saves: only labelled clusters in cluster_group.tsv, everything in cluster_info.tsv."""
    write_table(folder, "cluster_group.tsv", ["cluster_id", "group"], by_cluster(groups))
    clusters = np.load(folder / "spike_clusters.npy").reshape(-1)
    rows = []
    for cluster in np.unique(clusters):
        count = int(np.count_nonzero(clusters == cluster))
        group = groups.get(int(cluster), "")
        rows.append((cluster, 20.5, cluster % 5, cluster * 10.0, f"{count / 4:.1f} spk/s", group, count, 0))
    header = ["id", "amp", "ch", "depth", "fr", "group", "n_spikes", "sh"]
    write_table(folder, "cluster_info.tsv", header, rows)
