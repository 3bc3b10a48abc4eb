"""The main job, as `make demo` runs it: annotate a session, print the answers, draw each class.

Run:  python examples/demo.py [FILE]      without a file, the bundled simulated session is used.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter1d

import nwb_celltype as nct
from nwb_celltype.cli import main
from nwb_celltype.colours import colour_of

HERE = Path(__file__).resolve().parent
SIMULATED = HERE / "simulated_session.nwb"
OUT = HERE.parent / "demo"
SPARSE = 1000  # pairs; autocorrelograms of fewer are smoothed over 5 ms
FEW = 50  # pairs; of fewer there is nothing to see


def draw(annotated: Path, picture: Path, title: str) -> Path:
    """Draw, for each class, the waveforms and autocorrelograms of the units that were given it."""
    run = nct.choose_run(annotated)
    with nct.read_units(annotated) as units:
        features = nct.features.compute(units.select(run.unit_ids))
    answered = sorted(set(run.cell_type), key=[*run.classes, "unclassified"].index)
    figure, axes = plt.subplots(
        2, len(answered), figsize=(2.6 * len(answered), 4.6), squeeze=False, sharex="row", layout="constrained"
    )
    for column, label in enumerate(answered):
        rows = np.flatnonzero(run.cell_type == label)
        colour = colour_of(label)
        waveform_axes, acg_axes = axes[0, column], axes[1, column]
        for k in rows:
            waveform_axes.plot(features.waveform_time, features.waveform[k], color=colour, alpha=0.8, lw=1.2)
            acg = features.acg_counts[k].values.astype(float)
            if acg.sum() < FEW:
                continue
            if acg.sum() < SPARSE:
                acg = gaussian_filter1d(acg, 5, mode="nearest")
            acg_axes.plot(features.acg_bin, acg / acg.max(), color=colour, alpha=0.8, lw=0.9)
        if not acg_axes.lines:
            acg_axes.text(0.5, 0.5, "too few intervals\nbelow 100 ms", color="0.4", ha="center", va="center",
                          transform=acg_axes.transAxes)  # fmt: skip
            acg_axes.set_xlim(features.acg_bin[0], features.acg_bin[-1])
        name = label.replace("_", " ")
        waveform_axes.set_title(f"{name} ({len(rows)})", color=colour, fontsize=11)
        waveform_axes.set_ylim(-1.1, 1.1)
        waveform_axes.axhline(0, color="0.85", lw=0.6, zorder=0)
        waveform_axes.set_xlabel("time from peak (ms)")
        acg_axes.set_xlabel("lag (ms)")
        acg_axes.set_ylim(0, 1.05)
        for axis in (waveform_axes, acg_axes):
            axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("mean waveform\n(peak = 1)")
    axes[1, 0].set_ylabel("autocorrelogram\n(of its maximum)")
    figure.suptitle(title, fontsize=12)
    figure.savefig(picture, dpi=150)
    plt.close(figure)
    return picture


def run_demo(source: Path) -> None:
    """Annotate one file into the folder `demo`, beside the picture."""
    OUT.mkdir(exist_ok=True)
    annotated = OUT / f"{source.stem}_celltype.nwb"
    if annotated.exists():  # made by an earlier demo
        annotated.unlink()
    is_simulated = source == SIMULATED
    print(f"$ nwb-celltype annotate {source.name}")
    if is_simulated:
        print("(a SIMULATED session: nothing in it was recorded)")
    main(["annotate", str(source), "--out", os.path.relpath(annotated), "--quiet"])
    title = f"{source.name}{' (simulated)' if is_simulated else ''}"
    picture = draw(annotated, OUT / f"{source.stem}.png", title)
    print(f"Picture of each class: {os.path.relpath(picture)}")


if __name__ == "__main__":
    run_demo(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else SIMULATED)
