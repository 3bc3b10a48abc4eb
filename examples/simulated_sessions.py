"""Write a dandiset's worth of simulated sessions, with or without ground truth, for the pages on archives.

Nothing in them was recorded. Units are those of `simulate_session`, each mouse with its own rates, widths and
amplitudes; the probe passes the inferior colliculus before it reaches lobule V, so some units are no cerebellar ones.

Run:  python examples/simulated_sessions.py FOLDER [--ground-truth]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pynwb import NWBHDF5IO, NWBFile
from pynwb.file import Subject
from simulate_session import DURATION_S, N_CHANNELS, RATE_HZ, RECIPES, Recipe, spike_times, waveforms

REGIONS = ("Lobule V", "Inferior colliculus")
MIDBRAIN = Recipe(30, "a cell of the midbrain", ((0.0, 0.11, -1.0), (0.45, 0.25, 0.3)), 55.0, 3.0, 1.0)
N_MIDBRAIN = 3


def recipes_of_a_mouse(rng: np.random.Generator, copies: int) -> list[tuple[Recipe, str]]:
    """Units with their regions: every recipe `copies` times on average, never quite the same."""
    chosen = [(recipe, REGIONS[0]) for recipe in RECIPES for _ in range(rng.integers(1, 2 * copies))]
    chosen += [(MIDBRAIN, REGIONS[1])] * N_MIDBRAIN
    made = []
    for k, (recipe, region) in enumerate(chosen):
        width, rate, size = 1 + np.clip(rng.normal(0, (0.10, 0.20, 0.2)), -0.4, 0.4)
        bells = tuple((centre * width, spread * width, height) for centre, spread, height in recipe.bells)
        unit = replace(recipe, unit_id=k, bells=bells, mean_isi_ms=recipe.mean_isi_ms * rate,
                       amplitude_uv=recipe.amplitude_uv * size)  # fmt: skip
        made.append((unit, region))
    return made


def write_session(path: Path, subject: str, *, seed: int, copies: int = 2) -> dict[int, str]:
    """Write one session and give the class that each of its good cerebellar units imitates."""
    rng = np.random.default_rng(seed)
    start = datetime(2026, 1, 31, 14, tzinfo=UTC)
    nwb = NWBFile(
        session_description="SIMULATED units; nothing here was recorded.",
        identifier=f"simulated-{subject}-{seed}",
        session_start_time=start,
        file_create_date=start,
        session_id="1",
        experimenter=["Doe, Jane"],
        lab="Simulation",
        institution="Simulation",
        experiment_description="Simulated session of nwb-celltype.",
        keywords=["simulated", "cerebellum"],
        subject=Subject(subject_id=subject, species="Mus musculus", sex="F", age="P90D", description="simulated"),
    )
    device = nwb.create_device(name="simulated_probe", description="simulated probe")
    group = nwb.create_electrode_group("shank0", description="simulated", location="see electrodes", device=device)
    for k in range(N_CHANNELS * len(REGIONS)):
        nwb.add_electrode(group=group, location=REGIONS[k // N_CHANNELS], filtering="high-pass 300 Hz, first order",
                          rel_x=0.0, rel_y=20.0 * k)  # fmt: skip
    nwb.add_unit_column("quality", "simulated curation label")
    truth = {}
    for unit, region in recipes_of_a_mouse(rng, copies):
        first = N_CHANNELS * REGIONS.index(region)
        nwb.add_unit(
            id=unit.unit_id,
            spike_times=spike_times(unit, rng),
            obs_intervals=[[0.0, DURATION_S]],
            electrodes=list(range(first, first + N_CHANNELS)),
            waveform_mean=waveforms(unit, rng),
            quality=unit.quality,
        )
        if region == REGIONS[0] and unit.quality == "good":
            truth[unit.unit_id] = unit.simulates
    nwb.units.waveform_rate = RATE_HZ
    nwb.units.resolution = 1 / RATE_HZ
    path.parent.mkdir(parents=True, exist_ok=True)
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return truth


def write_sessions(
    folder: Path, subjects: Sequence[str], *, seed: int = 1, copies: int = 2, ground_truth: bool = False
) -> dict[str, Path]:
    """Write a session of each mouse under its name on DANDI, with the truth as a run in it if asked.

    Returns
    -------
    dict of str to Path
        File by its path in the dandiset.
    """
    import nwb_celltype as nct

    files = {}
    for k, subject in enumerate(subjects):
        name = f"sub-{subject}/sub-{subject}_ses-1_ecephys.nwb"
        file = folder / name
        truth = write_session(file, subject, seed=seed + k, copies=copies)
        if ground_truth:
            table = folder / f"{subject}.csv"
            table.write_text("\n".join(["unit_id,cell_type", *(f"{unit},{label}" for unit, label in truth.items())]))
            nct.annotate(file, labels=table, source_type="ground_truth", by="the simulation", in_place=True)
            table.unlink()
        files[name] = file
    return files


if __name__ == "__main__":
    write_sessions(Path(sys.argv[1]), ("a", "b", "c"), ground_truth="--ground-truth" in sys.argv[2:])
