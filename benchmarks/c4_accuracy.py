"""Accuracy of the networks on the C4 units beside classical classifiers, under the same four protocols.

Run:  python benchmarks/c4_accuracy.py --data-dir DIR [--seeds 3] [--members 10] [--json FILE] [--only-networks]

Protocols, over all labelled units, no abstention:

- lisberger 5-class: five contiguous blocks of rows
- hull 4-class: stratified random five folds (the folds never change, the networks' seed does)
- hull -> lisberger and lisberger -> hull, on the four classes that both have

One exact duplicate among the Lisberger rows is asked about once by the networks (466 units) and twice by the classical
classifiers (467). The classical ones are the best of nine models for each protocol; the networks are one model for all.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
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

from nwb_celltype.evaluation import Scores, cross_validate, score, transfer
from nwb_celltype.labels import LabelledUnits, read_labelled
from nwb_celltype.training import Settings

FIVE = ("GoC", "MFB", "MLI", "PkC_cs", "PkC_ss")
FOUR = ("MFB", "MLI", "PkC_cs", "PkC_ss")
PROTOCOLS = ("lisberger 5-class", "hull 4-class", "hull -> lisberger", "lisberger -> hull")


def networks(hull: LabelledUnits, lisberger: LabelledUnits, settings: Settings, seed: int) -> dict[str, Scores]:
    options: dict[str, Any] = {"settings": settings, "seed": seed}
    return {
        PROTOCOLS[0]: cross_validate(lisberger, classes=FIVE, folds="contiguous", **options),
        PROTOCOLS[1]: cross_validate(hull, classes=FOUR, folds="stratified", **options),
        PROTOCOLS[2]: transfer(hull, lisberger, classes=FOUR, **options),
        PROTOCOLS[3]: transfer(lisberger, hull, classes=FOUR, **options),
    }


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--members", type=int, default=Settings.members)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only-networks", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    warnings.filterwarnings("ignore", category=FutureWarning)
    hull = read_labelled(given.data_dir / "hull_mouse_units.npz", lab="Hull")
    lisberger = read_labelled(given.data_dir / "lisberger_macaque_units.npz", lab="Lisberger")
    settings = replace(Settings(), members=given.members)
    runs = []
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        runs.append(networks(hull, lisberger, settings, seed))
        figures = ", ".join(f"{k} {v.balanced_accuracy:.3f}" for k, v in runs[-1].items())
        sys.stderr.write(f"seed {seed}: {figures}\n")
    floors = {} if given.only_networks else classical(given.data_dir)
    report: dict[str, Any] = {"members": given.members, "seeds": given.seeds, "protocols": {}}
    print(f"{'protocol':20s} {'networks: BA (sd, range)':32s} {'F1':7s} {'best classical: BA':32s} {'svc both: BA'}")
    for protocol in PROTOCOLS:
        ba = np.array([run[protocol].balanced_accuracy for run in runs])
        f1 = np.array([run[protocol].macro_f1 for run in runs])
        line = (
            f"{protocol:20s} {f'{ba.mean():.3f} ({ba.std():.3f}, {ba.min():.3f}-{ba.max():.3f})':32s} {f1.mean():.3f}  "
        )
        entry: dict[str, Any] = {"n": runs[0][protocol].n, "balanced_accuracy": ba.tolist(), "macro_f1": f1.tolist()}
        if floors:
            best = max(floors[protocol], key=lambda key: floors[protocol][key].balanced_accuracy)
            line += f"{f'{floors[protocol][best].balanced_accuracy:.3f} ({best})':32s} "
            line += f"{floors[protocol]['both svc'].balanced_accuracy:.3f}"
            entry["classical"] = {key: vars(one) for key, one in floors[protocol].items()}
        report["protocols"][protocol] = entry
        print(line)
    if given.json:
        given.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
