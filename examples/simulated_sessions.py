"""Write simulated sessions for the pages and notebooks: a dandiset's worth, sessions of the cortex, a behaving mouse.

Nothing in them was recorded. Units are those of `simulate_session`, each mouse with its own rates, widths and
amplitudes; the probe passes the inferior colliculus before it reaches lobule V, so some units are no cerebellar ones.
`write_cortex_session` has interneurons and pyramidal cells of the neocortex instead, and `write_behaving_session` puffs
of air to the eye of a mouse, to which some kinds of cells respond.

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
CORTEX = ("Primary visual area",)
CORTEX_RECIPES = (
    Recipe(0, "pyramidal", ((0.0, 0.15, -1.0), (0.72, 0.34, 0.34)), 190.0, 3.0, 0.9, burst=0.22, amplitude_uv=140.0),
    Recipe(1, "PV", ((0.0, 0.09, -1.0), (0.31, 0.15, 0.50)), 65.0, 1.8, 1.3, amplitude_uv=100.0),
    Recipe(2, "SST", ((0.0, 0.11, -1.0), (0.42, 0.22, 0.44)), 105.0, 3.0, 1.4, burst=0.03, amplitude_uv=95.0),
    Recipe(3, "VIP", ((0.0, 0.12, -1.0), (0.52, 0.26, 0.40)), 140.0, 3.0, 1.0, burst=0.08, amplitude_uv=90.0),
)
PUFF_S = 0.03
RESPONSES = {"MFB": (0.008, 0.040, 2.2), "MLI": (0.020, 0.090, 2.2), "PkC_ss": (0.045, 0.120, 0.45)}
"""When after a puff (s, from and to) a class fires how many times its rate; complex spikes have their own rule."""
P_COMPLEX_SPIKE, COMPLEX_SPIKE_S = 0.6, (0.045, 0.010)
P_RESPONDS = 0.8
MIDBRAIN = Recipe(30, "a cell of the midbrain", ((0.0, 0.11, -1.0), (0.45, 0.25, 0.3)), 55.0, 3.0, 1.0)
N_MIDBRAIN = 3


def new_session(subject: str, regions: Sequence[str], *, seed: int, keyword: str, session: str = "1") -> NWBFile:
    """Return a session without units; the probe has `N_CHANNELS` channels in each region."""
    start = datetime(2026, 1, 31, 14, tzinfo=UTC)
    nwb = NWBFile(
        session_description="SIMULATED units; nothing here was recorded.",
        identifier=f"simulated-{subject}-{seed}",
        session_start_time=start,
        file_create_date=start,
        session_id=session,
        experimenter=["Doe, Jane"],
        lab="Simulation",
        institution="Simulation",
        experiment_description="Simulated session of nwb-celltype.",
        keywords=["simulated", keyword],
        subject=Subject(subject_id=subject, species="Mus musculus", sex="F", age="P90D", description="simulated"),
    )
    device = nwb.create_device(name="simulated_probe", description="simulated probe")
    group = nwb.create_electrode_group("shank0", description="simulated", location="see electrodes", device=device)
    for k in range(N_CHANNELS * len(regions)):
        nwb.add_electrode(group=group, location=regions[k // N_CHANNELS], filtering="high-pass 300 Hz, first order",
                          rel_x=0.0, rel_y=20.0 * k)  # fmt: skip
    nwb.add_unit_column("quality", "simulated curation label")
    return nwb


def save(nwb: NWBFile, path: Path) -> None:
    """Write a session whose units are complete."""
    nwb.units.waveform_rate = RATE_HZ
    nwb.units.resolution = 1 / RATE_HZ
    for name in ("spike_times", "waveform_mean"):  # lists are looked at number by number, arrays at once
        column = nwb.units[name]
        getattr(column, "target", column).transform(lambda data: np.asarray(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)


def recipes_of_a_mouse(rng: np.random.Generator, copies: int) -> list[tuple[Recipe, str]]:
    """Units with their regions: every recipe `copies` times on average, never quite the same."""
    chosen = [(recipe, REGIONS[0]) for recipe in RECIPES for _ in range(rng.integers(1, 2 * copies))]
    chosen += [(MIDBRAIN, REGIONS[1])] * N_MIDBRAIN
    made = []
    for k, (recipe, region) in enumerate(chosen):
        made.append((varied(recipe, k, rng), region))
    return made


def varied(recipe: Recipe, unit_id: int, rng: np.random.Generator, *, most: float = 0.4, **by: float) -> Recipe:
    """Return a unit like a recipe: width, interval and amplitude differ by shares drawn with the deviations `by`."""
    deviations = {"width": 0.10, "interval": 0.20, "amplitude": 0.2} | by
    width, rate, size = 1 + np.clip(rng.normal(0, tuple(deviations.values())), -most, most)
    bells = tuple((centre * width, spread * width, height) for centre, spread, height in recipe.bells)
    return replace(recipe, unit_id=unit_id, bells=bells, mean_isi_ms=recipe.mean_isi_ms * rate,
                   amplitude_uv=recipe.amplitude_uv * size)  # fmt: skip


def write_session(path: Path, subject: str, *, seed: int, copies: int = 2) -> dict[int, str]:
    """Write one session and give the class that each of its good cerebellar units imitates."""
    rng = np.random.default_rng(seed)
    nwb = new_session(subject, REGIONS, seed=seed, keyword="cerebellum")
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
    save(nwb, path)
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


def write_cortex_session(
    path: Path, subject: str, *, seed: int, n_a_class: int = 6, session: str = "1"
) -> dict[int, str]:
    """Write a session of the neocortex and give the class of each unit, as an optotagging experiment would.

    Classes overlap: units differ by more than in `write_session`, and each mouse has spikes of its own width.
    """
    rng = np.random.default_rng(seed)
    nwb = new_session(subject, CORTEX, seed=seed, keyword="neocortex", session=session)
    of_mouse = 1 + np.random.default_rng(sum(map(ord, subject))).normal(0, 0.04)  # in all of its sessions
    truth = {}
    for k, label in enumerate(np.repeat([recipe.simulates for recipe in CORTEX_RECIPES], n_a_class)):
        (recipe,) = [recipe for recipe in CORTEX_RECIPES if recipe.simulates == label]
        unit = varied(recipe, k, rng, width=0.15, interval=0.4, most=0.6)
        bells = tuple((centre * of_mouse, width * of_mouse, height * (rng.lognormal(0, 0.3) if centre else 1))
                      for centre, width, height in unit.bells)  # fmt: skip
        unit = replace(unit, bells=bells, shape=unit.shape * rng.lognormal(0, 0.25),
                       refractory_ms=unit.refractory_ms * rng.lognormal(0, 0.25),
                       burst=float(np.clip(unit.burst + rng.normal(0, 0.07), 0, 0.5)))  # fmt: skip
        nwb.add_unit(id=k, spike_times=spike_times(unit, rng), obs_intervals=[[0.0, DURATION_S]],
                     electrodes=list(range(N_CHANNELS)), waveform_mean=waveforms(unit, rng),
                     quality=unit.quality)  # fmt: skip
        truth[k] = str(label)
    save(nwb, path)
    return truth


def write_behaving_session(path: Path, subject: str, *, seed: int, copies: int = 3) -> dict[int, str]:
    """Write a session with puffs of air to the eye and give the class that each good cerebellar unit imitates.

    Trials, with or without a puff (`has_puff`), are in the table of trials, the puffs in an `EventsTable`. Most mossy
    fibres, interneurons and simple spikes respond as `RESPONSES` says, a complex spike follows most puffs, Golgi cells
    do nothing. After a complex spike the simple spikes of the same cell pause.
    """
    from pynwb.event import EventsTable, TimestampVectorData

    rng = np.random.default_rng(seed)
    nwb = new_session(subject, REGIONS, seed=seed, keyword="cerebellum")
    starts = 2.0 + np.cumsum(rng.uniform(2.8, 3.8, 100))
    starts = np.round(starts[starts < DURATION_S - 3], 4)
    has_puff = rng.random(len(starts)) < 0.6
    puffs = starts[has_puff] + 0.5
    nwb.add_trial_column("has_puff", "whether air was blown at the eye 0.5 s after the trial began")
    for start, puffed in zip(starts, has_puff, strict=True):
        nwb.add_trial(start_time=start, stop_time=start + 2.0, has_puff=bool(puffed))
    column = TimestampVectorData(name="timestamp", description="beginning of the puff", data=puffs)
    nwb.add_events_table(EventsTable(name="air_puffs", description=f"SIMULATED puffs of {PUFF_S * 1e3:g} ms",
                                     columns=[column], colnames=["timestamp"]))  # fmt: skip
    units = recipes_of_a_mouse(rng, copies)
    trains = {unit.unit_id: responding(spike_times(unit, rng), unit.simulates, puffs, rng) for unit, _ in units}
    of_class = {name: [unit.unit_id for unit, _ in units if unit.simulates == name] for name in ("PkC_ss", "PkC_cs")}
    partner = dict(zip(of_class["PkC_ss"], of_class["PkC_cs"], strict=False))
    truth = {}
    for unit, region in units:
        times = trains[unit.unit_id]
        if unit.unit_id in partner:
            since = times - np.append(-1.0, trains[partner[unit.unit_id]])[
                np.searchsorted(trains[partner[unit.unit_id]], times)
            ]  # fmt: skip
            times = times[since > 0.015]
        first = N_CHANNELS * REGIONS.index(region)
        nwb.add_unit(id=unit.unit_id, spike_times=times, obs_intervals=[[0.0, DURATION_S]],
                     electrodes=list(range(first, first + N_CHANNELS)), waveform_mean=waveforms(unit, rng),
                     quality=unit.quality)  # fmt: skip
        if region == REGIONS[0] and unit.quality == "good":
            truth[unit.unit_id] = unit.simulates
    save(nwb, path)
    return truth


def responding(times: np.ndarray, label: str, puffs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a train as the puffs change it: time runs faster or slower while a cell of this class responds."""
    if rng.random() > P_RESPONDS:
        return times
    if label == "PkC_cs":
        followed = puffs[rng.random(len(puffs)) < P_COMPLEX_SPIKE]
        evoked = followed + rng.normal(*COMPLEX_SPIKE_S, len(followed))
        nearest = np.abs(times[:, None] - evoked).min(axis=1)
        return np.unique(np.round(np.append(times[nearest > 0.08], evoked) * RATE_HZ)) / RATE_HZ
    if label not in RESPONSES:
        return times
    begin, end, gain = RESPONSES[label]
    edges = np.concatenate([[0.0], np.ravel(np.stack([puffs + begin, puffs + end], axis=1)), [DURATION_S]])
    speed = np.where(np.arange(len(edges) - 1) % 2, 1 + (gain - 1) * rng.uniform(0.7, 1.3), 1.0)
    run = np.append(0.0, np.cumsum(speed * np.diff(edges)))
    warped = np.interp(times, run * DURATION_S / run[-1], edges)
    return np.unique(np.round(warped * RATE_HZ)) / RATE_HZ


if __name__ == "__main__":
    write_sessions(Path(sys.argv[1]), ("a", "b", "c"), ground_truth="--ground-truth" in sys.argv[2:])
