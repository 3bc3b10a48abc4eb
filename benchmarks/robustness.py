"""What changed recordings do to the answers of the recipe of `cerebellum`.

Run:  python benchmarks/robustness.py --data-dir DIR [--seeds 1] [--members 10] [--json FILE]

Five contiguous blocks of the macaque units, as in `accuracy.py`. Models are taught the units as recorded, and asked
about the others as another filter, a noisier average or a shorter recording would have shown them. Balanced accuracy
over all units; of spike trains alone, that of the units that have one. "called complex spikes" is the share of
wrong answers among the answers ``PkC_cs``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nwb_celltype.classifier.inputs import Matrix, has_modality, read_blocks
from nwb_celltype.features import from_counts
from nwb_celltype.labels import LabelledUnits, read_labelled
from nwb_celltype.training.augmentation import filtered
from nwb_celltype.training.fitting import Settings, fit
from nwb_celltype.training.folds import contiguous_folds
from nwb_celltype.training.labelled_rows import choose_rows
from nwb_celltype.training.pool import make_pool

FIVE = ("GoC", "MFB", "MLI", "PkC_cs", "PkC_ss")
Array = NDArray[Any]
Change = Callable[[LabelledUnits], LabelledUnits]


def of_waveforms(change: Callable[[Array, float], Array]) -> Change:
    def changed(one: LabelledUnits) -> LabelledUnits:
        pairs = zip(one.waveforms, one.sampling_rate_hz, strict=True)
        return replace(one, waveforms=tuple(None if w is None else change(np.asarray(w, float), hz) for w, hz in pairs))

    return changed


def through(kind: str, corner_hz: float, *, is_causal: bool) -> Change:
    return of_waveforms(lambda wave, hz: filtered(wave - np.median(wave[:8]), kind, corner_hz, hz, is_causal=is_causal))


def noisy(share: float) -> Change:
    rng = np.random.default_rng(0)
    return of_waveforms(
        lambda wave, _: wave + rng.normal(size=len(wave)) * share * np.abs(wave - np.median(wave)).max()
    )


def thinned(n_left: int) -> Change:
    """Keep each interval and pair with the same probability, so that about `n_left` intervals are left."""

    def changed(one: LabelledUnits) -> LabelledUnits:
        rng = np.random.default_rng(n_left)
        isi, acg = one.features["isi_counts"].values.copy(), one.features["acg_counts"].values.copy()
        for i in range(len(isi)):
            total = isi[i].sum()
            if total > n_left:
                lag = rng.binomial(acg[i, 101:], n_left / total)
                isi[i] = rng.binomial(isi[i], n_left / total)
                acg[i] = np.concatenate([lag[::-1], [0], lag])
        return replace(
            one,
            features=one.features.assign(isi_counts=(["unit", "isi_bin"], isi), acg_counts=(["unit", "acg_bin"], acg)),
        )

    return changed


CHANGES: dict[str, Change] = {
    "as recorded": lambda one: one,
    **{f"{n} intervals left": thinned(n) for n in (40, 80, 200, 1000)},
    "high-pass 300 Hz causal": through("high", 300, is_causal=True),
    "high-pass 300 Hz zero-phase": through("high", 300, is_causal=False),
    "high-pass 600 Hz causal": through("high", 600, is_causal=True),
    "high-pass 600 Hz zero-phase": through("high", 600, is_causal=False),
    "low-pass 3 kHz": through("low", 3000, is_causal=True),
    "noise of 5 % of the peak": noisy(0.05),
}


def blocks_of(one: LabelledUnits) -> dict[str, Matrix]:
    counts = [one.features[name].values for name in ("isi_counts", "acg_counts")]
    return read_blocks(from_counts(list(one.waveforms), one.sampling_rate_hz, *counts))


def balanced(labels: Array, answers: Array) -> float:
    return float(np.mean([(answers[labels == k] == k).mean() for k in np.unique(labels)]))


def measure(given: LabelledUnits, settings: Settings, seed: int) -> dict[str, dict[str, float]]:
    pool = make_pool([given], classes=FIVE, seed=seed)
    (used,) = choose_rows([given], LabelledUnits.usable, classes=FIVE, what="can be described").sources
    folds = list(contiguous_folds(len(pool)))
    models = [fit(pool.take(taught), settings, seed=1000 * seed + i) for i, (taught, _) in enumerate(folds)]
    found: dict[str, dict[str, float]] = {}
    for name, change in CHANGES.items():
        blocks, row = blocks_of(change(used)), {}
        for modalities in (("waveform", "train"), ("waveform",), ("train",)):
            p = np.full((len(pool), len(FIVE)), np.nan)
            for model, (_, asked) in zip(models, folds, strict=True):
                p[asked] = model.uncalibrated({key: block[asked] for key, block in blocks.items()}, modalities)
            has = np.logical_or.reduce([has_modality(blocks, models[0].modalities[m]) for m in modalities])
            answers = np.nan_to_num(p, nan=-1.0).argmax(axis=1)
            key = "+".join(modalities)
            row[key] = balanced(pool.labels[has], answers[has])
            said = has & (answers == FIVE.index("PkC_cs"))
            row[f"{key}: called complex spikes"] = float((pool.labels[said] != FIVE.index("PkC_cs")).mean())
        found[name] = row
        sys.stderr.write(f"seed {seed}, {name}: {row['waveform+train']:.3f}\n")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--members", type=int, default=Settings.members)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    units = read_labelled(given.data_dir / "lisberger_macaque_units.npz", lab="Lisberger")
    settings = replace(Settings(), members=given.members, strangers=0)
    runs = [measure(units, settings, seed) for seed in range(given.seeds)]
    means = {
        name: {key: float(np.mean([run[name][key] for run in runs])) for key in row} for name, row in runs[0].items()
    }
    print(f"{'':30} both   waveform  train   wrong among 'complex spikes': both, train")
    for name, row in means.items():
        print(
            f"{name:30} {row['waveform+train']:.3f}  {row['waveform']:.3f}     {row['train']:.3f}   "
            f"{row['waveform+train: called complex spikes']:.2f}, {row['train: called complex spikes']:.2f}"
        )
    if given.json:
        given.json.write_text(
            json.dumps({"members": given.members, "seeds": given.seeds, "changes": means}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
