"""What expecting other shares of the classes does to answers about another laboratory's units.

Run:  python benchmarks/prior_shift.py --data-dir DIR [--seeds 3] [--members 3] [--temperature 0.67] [--json FILE]

Networks learn one laboratory and are asked about the other (four classes, all units, no abstention). Compared: equal
shares; the shares of the training units; ``auto`` as shipped; ``auto`` without its pull and floor, which is plain
expectation and maximisation; and the true shares of the units asked about, which nobody knows.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nwb_celltype.classifier import temper
from nwb_celltype.evaluation import score
from nwb_celltype.labels import read_labelled
from nwb_celltype.priors import Prior, fit_prior, reweigh
from nwb_celltype.training import Settings
from nwb_celltype.training.heldout import hold_out
from nwb_celltype.training.pool import make_pool

FOUR = ("MFB", "MLI", "PkC_cs", "PkC_ss")


def shares(labels: np.ndarray) -> Prior:
    counts = np.bincount(labels, minlength=len(FOUR)).astype(float)
    return Prior("counted", counts / counts.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--temperature", type=float, default=0.67)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    hull = read_labelled(given.data_dir / "hull_mouse_units.npz", lab="Hull")
    lisberger = read_labelled(given.data_dir / "lisberger_macaque_units.npz", lab="Lisberger")
    settings = replace(Settings(), members=given.members)
    equal = np.full(len(FOUR), 1 / len(FOUR))
    report: dict[str, Any] = {}
    for title, pair in (("hull -> lisberger", (hull, lisberger)), ("lisberger -> hull", (lisberger, hull))):
        for seed in range(given.seeds):
            pool = make_pool(pair, classes=FOUR, n_variants=settings.n_variants, seed=seed)
            train, test = np.flatnonzero(pool.sources == 0), np.flatnonzero(pool.sources == 1)
            held = hold_out(pool, [(train, test)], settings, seed=100 * seed)
            probability = temper(held.best()[test], given.temperature)
            priors = {
                "equal shares": None,
                "training shares": shares(pool.labels[train]),
                "auto": fit_prior(probability, equal),
                "auto without pull and floor": fit_prior(probability, equal, pull=0.0, floor=0.0),
                "true shares": shares(pool.labels[test]),
            }
            for name, prior in priors.items():
                p = probability if prior is None else reweigh(probability, prior, equal)
                said = score(pool.names[test], np.array(pool.classes)[p.argmax(axis=1)])
                entry = report.setdefault(f"{title}: {name}", {"balanced_accuracy": [], "accuracy": []})
                entry["balanced_accuracy"].append(said.balanced_accuracy)
                entry["accuracy"].append(said.accuracy)
            sys.stderr.write(f"{title}, seed {seed} done\n")
    print(f"{given.seeds} seeds, {given.members} networks: balanced accuracy mean (least-largest), accuracy")
    for name, entry in report.items():
        ba = entry["balanced_accuracy"]
        print(f"{name:48s} {np.mean(ba):.3f} ({min(ba):.3f}-{max(ba):.3f})  {np.mean(entry['accuracy']):.3f}")
    if given.json:
        given.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
