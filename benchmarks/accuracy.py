"""The whole accuracy table in one command: both shipped models' recipes beside classical classifiers and peers.

Run:  python benchmarks/accuracy.py --data-dir DIR [--seeds 5] [--members 10] [--nested-seeds 1] [--json FILE]

Arrays, over all labelled units, no abstention, no layer, each scored by models that never saw the unit:

- lisberger 5-class: five contiguous blocks of rows
- hull 4-class: stratified random five folds (the folds never change, the model's seed does)
- hull -> lisberger and lisberger -> hull, on the four classes that both have

Settings are those of the shipped model `cerebellum`, the same in every row and fixed beforehand; nothing is chosen on
the units asked about. For the first `--nested-seeds` seeds, temperature and threshold are fitted on an inner
cross-validation of the units taught, and what is kept at that threshold is reported. Intervals are of a bootstrap over
units within classes (2000 draws), all seeds averaged within a draw; they leave the choice of training units out.

One exact duplicate among the Lisberger rows is asked about once by the model (466 units) and twice by the classical
classifiers (467), which are the best of nine models for each protocol; the model is one for all.

The table of statistics is scored by the recipe of `cerebellum-statistics`, under its three protocols. Peers' rows are
what was published, or computed from predictions that their authors released, on splits of their own.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from nwb_celltype.calibration import (
    brier_score,
    choose_threshold,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    risk_coverage,
)
from nwb_celltype.classifier import temper
from nwb_celltype.evaluation import Scores, score
from nwb_celltype.labels import LabelledUnits, read_labelled
from nwb_celltype.training import Settings
from nwb_celltype.training.folds import Split, contiguous_folds, honest_folds, stratified_folds
from nwb_celltype.training.heldout import hold_out
from nwb_celltype.training.limits import TEMPERATURE_FLOOR
from nwb_celltype.training.pool import Pool, make_pool

FIVE = ("GoC", "MFB", "MLI", "PkC_cs", "PkC_ss")
FOUR = ("MFB", "MLI", "PkC_cs", "PkC_ss")
PROTOCOLS = ("lisberger 5-class", "hull 4-class", "hull -> lisberger", "lisberger -> hull")
N_BOOTSTRAPS = 2000

RELEASED = "github.com/JesusGF1/hippie_benchmarking_release at 6165dac, predictions per unit"
PEERS: tuple[tuple[str, str, float, str], ...] = (
    (PROTOCOLS[0], "HIPPIE", 0.678, RELEASED),
    (PROTOCOLS[0], "NEMO (MLP)", 0.654, RELEASED),
    (PROTOCOLS[0], "PhysMAP (k chosen on the test fold)", 0.511, RELEASED),
    (PROTOCOLS[1], "PhysMAP (k chosen on the test fold)", 0.969, RELEASED),
    (PROTOCOLS[1], "NEMO (kNN)", 0.960, RELEASED),
    (PROTOCOLS[1], "HIPPIE", 0.949, RELEASED),
    (PROTOCOLS[2], "autocorrelogram PCA and kNN", 0.597, RELEASED),
    (PROTOCOLS[2], "NEMO (linear, without all-data pretraining)", 0.484, RELEASED),
    (PROTOCOLS[2], "HIPPIE with 3D autocorrelogram", 0.376, RELEASED),
    (PROTOCOLS[3], "NEMO (best of four heads)", 0.769, RELEASED),
    (PROTOCOLS[3], "HIPPIE with 3D autocorrelogram", 0.698, RELEASED),
    (PROTOCOLS[3], "PhysMAP", 0.595, RELEASED),
)
"""Protocol, method, balanced accuracy, source. Their folds and exclusions are their own; the random folds of others are
easier than contiguous blocks. C4 itself reports more than 95 % with layer among the units it keeps (Beau et al., Cell
2025), and no figure over all units."""


@dataclass(frozen=True)
class Asked:
    """Answers about the units of a protocol that the model did not see, in the order of the folds."""

    classes: tuple[str, ...]
    labels: NDArray[np.intp]
    probability: NDArray[np.float64]
    kept: dict[str, Any] | None = None


def splits_of(protocol: str, hull: LabelledUnits, lisberger: LabelledUnits, seed: int) -> tuple[Pool, list[Split]]:
    if protocol == PROTOCOLS[0]:
        pool = make_pool([lisberger], classes=FIVE, seed=seed)
        return pool, list(contiguous_folds(len(pool)))
    if protocol == PROTOCOLS[1]:
        pool = make_pool([hull], classes=FOUR, seed=seed)
        return pool, list(stratified_folds(pool.names))
    both = [hull, lisberger] if protocol == PROTOCOLS[2] else [lisberger, hull]
    pool = make_pool(both, classes=FOUR, seed=seed)
    return pool, [(np.flatnonzero(pool.sources == 0), np.flatnonzero(pool.sources == 1))]


def ask(
    protocol: str, hull: LabelledUnits, lisberger: LabelledUnits, settings: Settings, seed: int, nested: bool
) -> Asked:
    pool, splits = splits_of(protocol, hull, lisberger, seed)
    held = hold_out(pool, splits, settings, seed=1000 * seed)
    rows = np.concatenate([test for _, test in splits])
    raw, labels = held.best(), pool.labels
    # A unit that cannot be described is answered with nothing, and counts as wrong.
    p = np.where(np.isnan(raw), 0.0, raw)[rows]
    kept = nested_figures(pool, splits, raw, settings, seed) if nested else None
    return Asked(pool.classes, labels[rows], p, kept)


def nested_figures(
    pool: Pool, splits: list[Split], raw: NDArray[np.float64], settings: Settings, seed: int
) -> dict[str, Any]:
    """What temperature and threshold of an inner cross-validation do to the units asked about."""
    calibrated, threshold_of = np.full(raw.shape, np.nan), np.full(len(raw), np.nan)
    inner_settings = replace(settings, members=min(settings.members, 4), trees=settings.trees // 2)
    chosen = []
    for i, (taught, asked) in enumerate(splits):
        own = pool.take(taught)
        inner = list(honest_folds(own.names, np.full(len(own), ""), 4))
        q = hold_out(own, inner, inner_settings, seed=1000 * seed + 500 + 10 * i).best()
        known = ~np.isnan(q).any(axis=1)
        temperature = fit_temperature(q[known], own.labels[known], floor=TEMPERATURE_FLOOR)
        threshold = choose_threshold((temper(q[known], temperature), own.labels[known]))
        calibrated[asked] = temper(raw[asked], temperature)
        threshold_of[asked] = threshold
        chosen.append({"temperature": round(temperature, 3), "threshold": round(threshold, 3)})
    rows = np.concatenate([asked for _, asked in splits])
    rows = rows[~np.isnan(calibrated[rows]).any(axis=1)]
    p, y = calibrated[rows], pool.labels[rows]
    right, kept = p.argmax(axis=1) == y, p.max(axis=1) >= threshold_of[rows]
    curve = risk_coverage(p, y)
    return {
        "brier": round(brier_score(p, y), 4),
        "nll": round(negative_log_likelihood(p, y), 4),
        "ece": round(expected_calibration_error(p, y), 4),
        "coverage": round(float(kept.mean()), 4),
        "accuracy_kept": round(float(right[kept].mean()), 4),
        "coverage_by_class": {name: round(float(kept[y == k].mean()), 3) for k, name in enumerate(pool.classes)},
        "accuracy_at_coverage": {
            f"{share:.2f}": round(float(curve.accuracy[round(share * len(y)) - 1]), 4)
            for share in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
        },
        "folds": chosen,
    }


def recalls(asked: Asked) -> NDArray[np.float64]:
    right = asked.probability.argmax(axis=1) == asked.labels
    right &= asked.probability.any(axis=1)
    return np.array([right[asked.labels == k].mean() for k in range(len(asked.classes))])


def interval(runs: list[Asked]) -> tuple[float, float]:
    """95 % of the mean balanced accuracy when units are drawn again within classes; the units of all seeds agree."""
    rng = np.random.default_rng(0)
    right = np.mean([(r.probability.argmax(axis=1) == r.labels) & r.probability.any(axis=1) for r in runs], axis=0)
    labels = runs[0].labels
    drawn = np.zeros(N_BOOTSTRAPS)
    for k in np.unique(labels):
        own = right[labels == k]
        drawn += own[rng.integers(0, len(own), (N_BOOTSTRAPS, len(own)))].mean(axis=1)
    low, high = np.quantile(drawn / len(np.unique(labels)), [0.025, 0.975])
    return float(low), float(high)


def waveform_features(waveforms: NDArray[Any], rate_hz: float) -> NDArray[Any]:
    """Waveform around its largest peak, turned negative, largest value 1."""
    window_ms = np.linspace(-0.8, 1.2, 61)
    rows = []
    for raw in np.nan_to_num(waveforms.astype(float)):
        wave = raw - np.median(raw[:10])
        peak = int(np.argmax(np.abs(wave)))
        wave = -wave if wave[peak] > 0 else wave
        t_ms = (np.arange(len(wave)) - peak) / rate_hz * 1e3
        rows.append(np.interp(window_ms, t_ms, wave) / (np.abs(wave).max() + 1e-9))
    return np.array(rows)


def train_features(acg: NDArray[Any], isi: NDArray[Any]) -> NDArray[Any]:
    """Log-lag autocorrelogram over its plateau, root of the log-time interval histogram."""
    lag = acg[:, 101:201].astype(float)
    edges = np.unique(np.round(np.logspace(0, 2, 25)).astype(int))
    binned = np.array([lag[:, a - 1 : max(b - 1, a)].mean(1) for a, b in pairwise(edges)]).T
    plateau = lag[:, 60:].mean(1, keepdims=True)
    acg_log = np.log((binned + 0.02 * plateau + 1e-9) / (1.02 * plateau + 1e-9))
    p = isi / (isi.sum(1, keepdims=True) + 1e-9)
    edges = np.unique(np.round(np.logspace(0, 2, 18)).astype(int))
    isi_log = np.array([p[:, a - 1 : max(b - 1, a)].sum(1) for a, b in pairwise(edges)]).T
    return np.concatenate([acg_log, np.sqrt(isi_log)], 1)


def load_classical(path: Path) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    with np.load(path, allow_pickle=False) as data:
        x = {
            "waveform": waveform_features(data["waveform"], float(data["waveform_rate_hz"])),
            "train": train_features(data["acg_counts"], data["isi_counts"]),
        }
        x["both"] = np.concatenate([x["waveform"], x["train"]], 1)
        return {k: np.nan_to_num(v) for k, v in x.items()}, data["cell_type"]


def classical_models() -> Iterator[tuple[str, Any]]:
    yield "logistic", make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000))
    yield "svc", make_pipeline(StandardScaler(), SVC(C=3, class_weight="balanced"))
    yield "extratrees", ExtraTreesClassifier(400, class_weight="balanced", random_state=0)


def classical(data_dir: Path) -> dict[str, dict[str, Scores]]:
    """Scores by protocol and classical model."""
    hx, hy = load_classical(data_dir / "hull_mouse_units.npz")
    lx, ly = load_classical(data_dir / "lisberger_macaque_units.npz")
    labelled, h4, l4 = np.isin(ly, FIVE), np.isin(hy, FOUR), np.isin(ly, FOUR)
    found: dict[str, dict[str, Scores]] = {protocol: {} for protocol in PROTOCOLS}
    for modality in hx:
        for name, model in classical_models():
            h, m, key = hx[modality], lx[modality], f"{modality} {name}"
            folds = StratifiedKFold(5, shuffle=True, random_state=0)
            answers = (
                (ly[labelled], cross_val_predict(model, m[labelled], ly[labelled], cv=KFold(5))),
                (hy[h4], cross_val_predict(model, h[h4], hy[h4], cv=folds)),
                (ly[l4], model.fit(h[h4], hy[h4]).predict(m[l4])),
                (hy[h4], model.fit(m[l4], ly[l4]).predict(h[h4])),
            )
            for protocol, (truth, said) in zip(PROTOCOLS, answers, strict=True):
                found[protocol][key] = score(truth, said)
    return found


def table(path: Path, seeds: int) -> dict[str, Any]:
    """The protocols on the table of statistics; empty where the table is not."""
    from nwb_celltype.training.statistics_protocols import protocols

    return dict(protocols(path, seeds)) if path.is_file() else {}


def summary(runs: list[Asked]) -> dict[str, Any]:
    each = np.array([recalls(run) for run in runs])
    ba = each.mean(axis=1)
    names = np.array(runs[0].classes)
    f1 = [score(names[r.labels], names[r.probability.argmax(axis=1)]).macro_f1 for r in runs]
    confusion = np.zeros((len(names), len(names)))
    for run in runs:
        np.add.at(confusion, (run.labels, run.probability.argmax(axis=1)), 1 / len(runs))
    return {
        "n": len(runs[0].labels),
        "balanced_accuracy": ba.round(4).tolist(),
        "mean": round(float(ba.mean()), 4),
        "sd": round(float(ba.std()), 4),
        "interval": [round(value, 3) for value in interval(runs)],
        "macro_f1": [round(value, 4) for value in f1],
        "recall_by_class": {name: round(float(value), 3) for name, value in zip(names, each.mean(axis=0), strict=True)},
        "confusion": confusion.round(1).tolist(),
        "nested": [run.kept for run in runs if run.kept],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--members", type=int, default=Settings.members)
    parser.add_argument("--nested-seeds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--without", choices=["classical", "table"], action="append", default=[])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    warnings.filterwarnings("ignore", category=FutureWarning)
    hull = read_labelled(given.data_dir / "hull_mouse_units.npz", lab="Hull")
    lisberger = read_labelled(given.data_dir / "lisberger_macaque_units.npz", lab="Lisberger")
    # What strangers look like does not matter here.
    settings = replace(Settings(), members=given.members, strangers=0)
    runs: dict[str, list[Asked]] = {protocol: [] for protocol in PROTOCOLS}
    for seed in range(given.seeds):
        for protocol in PROTOCOLS:
            runs[protocol].append(ask(protocol, hull, lisberger, settings, seed, seed < given.nested_seeds))
            sys.stderr.write(f"seed {seed}, {protocol}: {recalls(runs[protocol][-1]).mean():.3f}\n")
        write(given.json, report_of(runs, {}, {}, given.members))
    floors = {} if "classical" in given.without else classical(given.data_dir)
    statistics = {} if "table" in given.without else table(given.data_dir / "unit_features.csv", given.seeds)
    report = report_of(runs, floors, statistics, given.members)
    write(given.json, report)
    for protocol, entry in report["arrays"].items():
        low, high = entry["interval"]
        print(f"{protocol} ({entry['n']} units): {entry['mean']:.3f}, sd {entry['sd']:.3f}, 95 % {low:.3f}-{high:.3f}")
        print("   seeds: " + ", ".join(f"{value:.3f}" for value in entry["balanced_accuracy"]))
        print("   recall: " + ", ".join(f"{name} {value:.2f}" for name, value in entry["recall_by_class"].items()))
        for one in entry["nested"]:
            print(f"   thresholds from inner folds: {json.dumps({k: v for k, v in one.items() if k != 'folds'})}")
        for name in entry.get("best_classical", ()):
            print(f"   classical, {name}: {entry['classical'][name]['balanced_accuracy']:.3f}")
        for _, name, value, _ in [row for row in PEERS if row[0] == protocol]:
            print(f"   {name}, splits of its own: {value:.3f}")
    for protocol, entry in report["table"].items():
        print(f"{protocol}: {json.dumps(entry)}")


def report_of(
    runs: dict[str, list[Asked]], floors: dict[str, dict[str, Scores]], statistics: dict[str, Any], members: int
) -> dict[str, Any]:
    arrays = {protocol: summary(one) for protocol, one in runs.items() if one}
    for protocol, models in floors.items():
        best = max(models, key=lambda key: models[key].balanced_accuracy)
        arrays[protocol]["best_classical"] = [best, "both svc"]
        arrays[protocol]["classical"] = {key: vars(one) for key, one in models.items()}
    peers = [dict(zip(("protocol", "method", "balanced_accuracy", "source"), row, strict=True)) for row in PEERS]
    return {"members": members, "arrays": arrays, "table": statistics, "peers": peers}


def write(path: Path | None, report: dict[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
