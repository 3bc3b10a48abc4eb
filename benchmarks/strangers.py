"""Does the model notice what is no cerebellar unit: cortical and hippocampal cells, noise clusters, merged units?

Run:  python benchmarks/strangers.py --data-dir C4_DIR --cellexplorer CELLEXPLORER_DIR [--members 3] [--json FILE]

Five folds over the three C4 sources, contiguous blocks of each class. In each, a model with the settings of
`cerebellum` learns from four parts; the fifth, which it has not seen, is what strangers are told from. Strangers:

- cellexplorer: units of CellExplorer sessions (hippocampus, subiculum, visual cortex). None is used in training, nor
  for any limit. Each is shown six times with stretches of its train of as many intervals as a cerebellar unit has.
- noise: band-passed noise, and trains without anything but a dead time.
- merge: two cerebellar units of the fifth part taken for one. Trains are drawn anew from the interval histogram of each
  and really put together, unlike those that the model learns from, which are computed. `alike` where the rates differ
  less than fourfold; a complex spike lost in a simple spike's train cannot be seen.
- control: one unit of the fifth part, its train drawn anew likewise; it should be told from cerebellar units no better
  than chance (0.5).

All waveforms, cerebellar ones too, are brought to 30 kHz and cut to -0.65 to 1.15 ms around the main peak, which all
recordings show. Filters stay as they were. Areas under the receiver operating curve are means over folds.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.io import loadmat
from sklearn.metrics import roc_auc_score

from nwb_celltype.classifier import load_model
from nwb_celltype.classifier.ensemble import Ensemble
from nwb_celltype.features import from_counts
from nwb_celltype.features.counts import count_train
from nwb_celltype.features.trains import rate_below_100_ms
from nwb_celltype.labels import read_labelled
from nwb_celltype.training import Settings
from nwb_celltype.training.fitting import fit
from nwb_celltype.training.folds import honest_folds
from nwb_celltype.training.pool import GRID_MS, GRID_RATE_HZ, Pool, make_pool, on_grid
from nwb_celltype.training.recipes import CEREBELLUM_CLASSES, CEREBELLUM_SOURCES
from nwb_celltype.training.strangers import merged_waveform, noise_waveform, refractory_poisson

SETS: dict[str, tuple[str, ...]] = {
    "waveform": ("waveform",),
    "train": ("train",),
    "both": ("waveform", "train"),
}
N_MADE = 60
N_STRETCHES = 6
LEAST_RATE_HZ = 15_000.0
IN_WINDOW = (GRID_MS > -0.65) & (GRID_MS < 1.15)

Array = NDArray[Any]
Generator = np.random.Generator


@dataclass
class Shown:
    """Units to ask about, with the kind of each."""

    waveforms: list[Array]
    isi: list[Array]
    acg: list[Array]
    kinds: list[str]

    def add(self, kind: str, waveform: Array, spike_times: Array) -> None:
        counts = count_train(spike_times)
        self.waveforms.append(waveform[IN_WINDOW])
        self.isi.append(counts.isi_counts)
        self.acg.append(counts.acg_counts)
        self.kinds.append(kind)

    def features(self) -> Any:
        return from_counts(self.waveforms, GRID_RATE_HZ, np.array(self.isi), np.array(self.acg))


def read_cellexplorer(folder: Path) -> list[tuple[str, Array, float, Array]]:
    """Session, filtered mean waveform of the largest channel, its rate in Hz and spike times in s of each unit."""
    units = []
    for path in sorted(folder.glob("*.mat")):
        name = path.name.partition(".")[0]
        try:
            metrics = loadmat(path, squeeze_me=True, struct_as_record=False)["cell_metrics"]
        except NotImplementedError:  # MAT 7.3 is HDF5
            with h5py.File(path) as file:
                group = file["cell_metrics"]
                wave, time, spikes = (
                    np.asarray(file[reference[0, 0]][()], dtype=float).ravel()
                    for reference in (group["waveforms/filt"], group["waveforms/time"], group["spikes/times"])
                )
            units.append((name, wave, 1e3 / float(np.median(np.diff(time))), spikes))
            continue
        for k, spikes in enumerate(metrics.spikes.times):
            channels = np.asarray(metrics.waveforms.filt_all[k], dtype=float)
            step = float(np.median(np.diff(np.asarray(metrics.waveforms.time_all[k], dtype=float))))
            rate = 1e3 / step if step > 1e-3 else 1 / step  # milliseconds in some sessions, seconds in others
            units.append((name, channels[int(np.argmax(np.ptp(channels, axis=1)))], rate, np.asarray(spikes, float)))
    return units


def stretch(spike_times: Array, n_intervals: int, rng: Generator) -> Array:
    """A stretch of a train with so many intervals below 100 ms, or all of it."""
    reached = np.cumsum(np.diff(spike_times) < 0.1)
    n = int(np.searchsorted(reached, n_intervals)) + 2
    start = int(rng.integers(0, max(len(spike_times) - n, 1)))
    return spike_times[start : start + n]


def redrawn(isi_counts: Array, rate_hz: float, n: int, rng: Generator) -> Array:
    """Spike times with the intervals of a unit, those above 100 ms exponential."""
    gaps = (rng.choice(len(isi_counts), n, p=isi_counts / isi_counts.sum()) + rng.random(n)) * 1e-3
    is_long = rng.random(n) < np.exp(-0.1 * rate_hz)
    gaps[is_long] = 0.1 + rng.exponential(1 / rate_hz, int(is_long.sum()))
    return np.cumsum(gaps)


def strangers(pool: Pool, sessions: list[tuple[str, Array, float, Array]], totals: Array, rng: Generator) -> Shown:
    shown = Shown([], [], [], [])
    rates = rate_below_100_ms(pool.isi_counts, pool.acg_counts)
    rows = np.flatnonzero(np.isfinite(pool.waveforms).all(axis=1) & (pool.isi_counts.sum(axis=1) >= 30))
    for _ in range(N_MADE):
        pair = rng.choice(rows, 2, replace=False)
        seconds = np.exp(rng.uniform(np.log(300), np.log(8000))) / rates[pair].sum()
        trains = [redrawn(pool.isi_counts[k], rates[k], int(seconds * rates[k]) + 2, rng) for k in pair]
        times = np.sort(np.concatenate(trains))
        share = float(rates[pair[0]] / rates[pair].sum())
        wave = merged_waveform(pool.waveforms[pair[0]], pool.waveforms[pair[1]], share, rng)
        alike = rates[pair].max() < 4 * rates[pair].min()
        shown.add("merge, rates alike" if alike else "merge, rates unlike", wave, times[times < seconds])
        k = int(rng.choice(rows))
        n = int(np.exp(rng.uniform(np.log(300), np.log(8000))))
        shown.add("control", pool.waveforms[k], redrawn(pool.isi_counts[k], rates[k], n, rng))
        shown.add("noise", noise_waveform(rng), refractory_poisson(rng))
    for _, wave, rate_hz, spikes in sessions:
        for _ in range(N_STRETCHES):
            shown.add("cellexplorer", on_grid(wave, rate_hz), stretch(spikes, int(rng.choice(totals)), rng))
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--cellexplorer", type=Path, required=True)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = [read_labelled(given.data_dir / s.file, lab=s.lab, species=s.species) for s in CEREBELLUM_SOURCES]
    everyone = read_cellexplorer(given.cellexplorer)
    sessions = [unit for unit in everyone if unit[2] >= LEAST_RATE_HZ]
    print(f"{len(sessions)} units of {len({unit[0] for unit in sessions})} CellExplorer sessions", end="")
    print(f"; {len(everyone) - len(sessions)} sampled too coarsely for a waveform left out")
    shipped = load_model("cerebellum")
    pool = make_pool(data, classes=CEREBELLUM_CLASSES, seed=given.seed)
    totals = pool.isi_counts.sum(axis=1)
    totals = totals[totals >= 30]
    strata = np.array([f"{source}|{label}" for source, label in zip(pool.sources, pool.names, strict=True)])
    settings = replace(Settings(), members=given.members, epochs=50)  # the networks have no say in strangeness
    areas: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in SETS}
    flagged: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in SETS}
    for fold, (taught, aside) in enumerate(honest_folds(strata, np.full(len(pool), ""))):
        rng = np.random.default_rng([given.seed, fold])
        fitted = fit(pool.take(taught), settings, seed=given.seed + fold)
        model = Ensemble({**shipped.card, **fitted.card, "ood": shipped.card["ood"]}, fitted.tensors)
        own = pool.take(aside)
        home = from_counts(
            [wave[IN_WINDOW] if np.isfinite(wave).all() else None for wave in own.waveforms],
            GRID_RATE_HZ, own.isi_counts, own.acg_counts,
        )  # fmt: skip
        shown = strangers(own, sessions, totals, rng)
        features, kinds = shown.features(), np.array(shown.kinds)
        for name, modalities in SETS.items():
            at_home, away = (model.predict(one, modalities=modalities) for one in (home, features))
            known = at_home.used.sum(axis=1) == len(modalities)
            scores = at_home.ood_score[known]
            flagged[name]["cerebellar units kept aside"].append(float((scores > model.ood_threshold).mean()))
            for kind in [*np.unique(kinds), "merge, all"]:
                mask = np.char.startswith(kinds, "merge") if kind == "merge, all" else kinds == kind
                mask &= away.used.sum(axis=1) == len(modalities)
                truth = np.repeat([0, 1], [len(scores), int(mask.sum())])
                areas[name][kind].append(float(roc_auc_score(truth, np.concatenate([scores, away.ood_score[mask]]))))
                flagged[name][kind].append(float((away.ood_score[mask] > model.ood_threshold).mean()))
    report: dict[str, Any] = {}
    for name in SETS:
        report[name] = {
            kind: {
                "auroc": round(float(np.mean(areas[name][kind])), 3) if kind in areas[name] else None,
                "auroc_by_fold": [round(value, 3) for value in areas[name].get(kind, [])],
                "flagged": round(float(np.mean(values)), 3),
            }
            for kind, values in flagged[name].items()
        }
        for kind, entry in report[name].items():
            area = "      " if entry["auroc"] is None else f"{entry['auroc']:.3f} "
            print(f"{name:9s} {kind:28s} area {area} flagged {entry['flagged']:.2f}")
    report["unlabelled"] = {}
    for one in data:
        rows = one.take(~one.is_labelled)
        if len(rows):
            scores = shipped.predict(rows.features).ood_score
            share = float((scores[~np.isnan(scores)] > shipped.ood_threshold).mean())
            report["unlabelled"][Path(one.source).name] = round(share, 3)
            print(f"shipped model, {len(rows)} unlabelled units of {Path(one.source).name}: flagged {share:.3f}")
    if given.json:
        given.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
