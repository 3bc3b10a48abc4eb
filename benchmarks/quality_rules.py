"""What the rules of the verdict would cost: labelled C4 units that limits on violations hit, and filtered waveforms.

Run:  python benchmarks/quality_rules.py --data-dir DIR [--filters] [--seeds 3] [--members 3] [--json FILE]

Without ``--filters``: for each laboratory and class, how many labelled units have more intervals below 1 ms, or a
larger estimate of contamination, than a limit allows ("rule": units that fire in bursts are spared). The arrays hold
1 ms bins, so 1 ms stands for the 0.8 ms of the rule.

With ``--filters``: macaque units in five contiguous blocks. Networks are trained on units as recorded; the waveforms of
the units asked about are high-passed again. Balanced accuracy from both modalities, beside the spike trains alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, filtfilt, lfilter

from nwb_celltype.classifier.inputs import has_modality, read_blocks
from nwb_celltype.evaluation import score
from nwb_celltype.features import from_counts
from nwb_celltype.labels import LabelledUnits, read_labelled
from nwb_celltype.quality.sorting import contamination
from nwb_celltype.training import Settings
from nwb_celltype.training.fitting import fit
from nwb_celltype.training.folds import contiguous_folds
from nwb_celltype.training.pool import make_pool

FIVE = ("GoC", "MFB", "MLI", "PkC_cs", "PkC_ss")
SHARES = (0.005, 0.01, 0.05)
CONTAMINATIONS = (0.1, 0.2, 0.3, 0.5)
CORNERS_HZ = (300, 600, 1000, 1500)
ORDERS = (1, 3)


def refractoriness(data_dir: Path) -> dict[str, Any]:
    """Units of each class that each limit hits."""
    report: dict[str, Any] = {}
    limits = [f"ISI {share:.1%}" for share in SHARES]
    limits += [f"any {c:.0%}" for c in CONTAMINATIONS] + [f"rule {c:.0%}" for c in CONTAMINATIONS]
    print(f"{'':18s} {'units':>5s} " + " ".join(f"{limit:>9s}" for limit in limits))
    for name in ("hull_mouse_units", "lisberger_macaque_units"):
        with np.load(data_dir / f"{name}.npz", allow_pickle=False) as arrays:
            isi, acg, cell_type = arrays["isi_counts"], arrays["acg_counts"], arrays["cell_type"]
        intervals = np.maximum(isi.sum(axis=1), 1)
        share = isi[:, 0] / intervals
        with_bursts = contamination(isi[:, 0], acg, window_ms=1.0, spare_bursts=False)
        spared = contamination(isi[:, 0], acg, window_ms=1.0)
        for label in FIVE:
            rows = cell_type == label
            if not rows.any():
                continue
            hits = [int((share[rows] > limit).sum()) for limit in SHARES]
            for estimate in (with_bursts, spared):
                hits += [int((np.nan_to_num(estimate[rows]) > limit).sum()) for limit in CONTAMINATIONS]
            print(f"{name.split('_')[0]:10s} {label:7s} {rows.sum():5d} " + " ".join(f"{hit:9d}" for hit in hits))
            report[f"{name} {label}"] = {"units": int(rows.sum()), **dict(zip(limits, hits, strict=True))}
    return report


def filtered(units: LabelledUnits, order: int, corner_hz: float, *, is_causal: bool) -> dict[str, NDArray[Any]]:
    """Blocks of the same units after another high-pass of their mean waveforms."""
    changed = []
    for wave, rate_hz in zip(units.waveforms, units.sampling_rate_hz, strict=True):
        if wave is None:
            changed.append(None)
            continue
        b, a = butter(order, corner_hz / (rate_hz / 2), "high")
        padded = np.pad(wave - np.median(wave[:10]), 60, mode="edge")
        changed.append((lfilter(b, a, padded) if is_causal else filtfilt(b, a, padded))[60:-60])
    isi, acg = units.features["isi_counts"].values, units.features["acg_counts"].values
    return read_blocks(from_counts(changed, units.sampling_rate_hz, isi, acg))


def filters(data_dir: Path, seeds: int, members: int) -> dict[str, Any]:
    """Balanced accuracy by kind of filter; a list of seeds each."""
    units = read_labelled(data_dir / "lisberger_macaque_units.npz", lab="Lisberger")
    units = units.take(units.is_labelled & np.isin(units.cell_type, FIVE))
    units = units.take(units.usable())
    asked = {"as recorded": read_blocks(units.features), "spike trains alone": read_blocks(units.features)}
    for order in ORDERS:
        for corner in CORNERS_HZ:
            for is_causal in (True, False):
                name = f"{corner} Hz, order {order}, {'causal' if is_causal else 'zero-phase'}"
                asked[name] = filtered(units, order, corner, is_causal=is_causal)
    settings = replace(Settings(), members=members)
    report: dict[str, Any] = {name: [] for name in asked}
    for seed in range(seeds):
        pool = make_pool([units], classes=FIVE, n_variants=settings.n_variants, seed=seed)
        said = {name: np.full(len(pool), "", dtype="U12") for name in asked}
        for fold, (train, test) in enumerate(contiguous_folds(len(pool), 5)):
            model = fit(pool.take(train), settings, seed=100 * seed + fold)
            for name, blocks in asked.items():
                part = {block: values[test] for block, values in blocks.items()}
                probability = np.full((len(test), len(FIVE)), np.nan)
                names = [("train",), ("waveform", "train")] if name != "spike trains alone" else [("train",)]
                for subset in [("waveform",), *names] if name != "spike trains alone" else names:
                    has = np.logical_and.reduce([has_modality(part, model.modalities[each]) for each in subset])
                    probability[has] = model.uncalibrated(part, subset)[has]
                best = np.nan_to_num(probability, nan=-1.0).argmax(axis=1)
                said[name][test] = np.where(np.isnan(probability[:, 0]), "", np.array(pool.classes)[best])
        for name in asked:
            report[name].append(score(pool.names, said[name]).balanced_accuracy)
        sys.stderr.write(f"seed {seed} done\n")
    print(f"balanced accuracy, {len(units)} units, {seeds} seeds, {members} networks a fold: mean (least-largest)")
    for name, figures in report.items():
        print(f"{name:32s} {np.mean(figures):.3f} ({min(figures):.3f}-{max(figures):.3f})")
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--filters", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    report = filters(given.data_dir, given.seeds, given.members) if given.filters else refractoriness(given.data_dir)
    if given.json:
        given.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
