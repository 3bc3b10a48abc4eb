"""A whole simulated session, as a mouse lab's folder holds it: a SpikeGLX run, its sorting, and the truth about both.

The folder looks like this::

    <folder>/sim_g0/sim_g0_t0.nidq.{bin,meta}                        25 kHz, 50 ppm fast, 32 digital lines
    <folder>/sim_g0/sim_g0_imec0/sim_g0_t0.imec0.ap.{bin,meta}       Neuropixels 1.0, 384 channels and the status word
    <folder>/sim_g0/sim_g0_imec0/kilosort/                           sorted by Kilosort, curated in Phy

The same arguments give the same bytes. A second of traces takes 23 MB.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .simulation_phy import Clusters, write_phy
from .simulation_spikeglx import Clocks, positions_um, write_lfp, write_nidq, write_probe
from .simulation_units import RATE_HZ, SimulatedUnits, make_units

Float = NDArray[np.float64]

RUN = "sim_g0"
PULSE_S = 0.010


@dataclass(frozen=True, eq=False)
class SimulatedSession:
    """What was written, and the truth about it.

    Attributes
    ----------
    folder, run, sorting, ap_bin : Path
        Everything; the SpikeGLX run; the Phy folder; the traces of the probe.
    seconds : float
    clocks : Clocks
    units : SimulatedUnits
    clusters : Clusters
    laser_s, trials_s : (k, 2) float64 arrays
        When the lines were high, session seconds. The first laser pulse began before the recording did.
    """

    folder: Path
    run: Path
    sorting: Path
    ap_bin: Path
    seconds: float
    clocks: Clocks
    units: SimulatedUnits
    clusters: Clusters
    laser_s: Float
    trials_s: Float

    def spike_times_s(self, row: int) -> Float:
        """Spike times of a unit on the session clock."""
        return np.asarray((self.clocks.first_sample + self.units.samples[row]) / RATE_HZ)


def simulate_session(
    folder: Path,
    *,
    seconds: float = 24.0,
    n_units: int = 50,
    with_lfp: bool = False,
    max_offset: int = 0,
    seed: int = 0,
) -> SimulatedSession:
    """Write a session and return the truth about it.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    seconds : float
        24 for tests (0.55 GB), 300 for benchmarks (6.9 GB).
    n_units : int
    with_lfp : bool
        Whether to write the field-potential band too.
    max_offset : int
        Counts at which channels rest; 0 keeps mean waveforms equal to the truth.
    seed : int
    """
    clocks = Clocks()
    run = folder / RUN
    laser, trials = laser_of(seconds, clocks), trials_of(seconds, clocks)
    units = make_units(n_units, seconds, positions_um(), laser[1:, 0] - clocks.start_s, seed)
    probe = run / f"{RUN}_imec0"
    ap_bin = write_probe(probe, RUN, units, seconds, clocks, seed, max_offset=max_offset)
    if with_lfp:
        write_lfp(probe, RUN, seconds, clocks, seed)
    write_nidq(run, RUN, seconds, clocks, laser, trials)
    clusters = write_phy(probe / "kilosort", units, positions_um(), seed)
    return SimulatedSession(folder, run, probe / "kilosort", ap_bin, seconds, clocks, units, clusters, laser, trials)


def laser_of(seconds: float, clocks: Clocks) -> Float:
    """Laser pulses: one that is already on when the files begin, then 8 Hz in the middle half of the recording."""
    first = np.array([[clocks.start_s - 0.006, clocks.start_s + 0.009]])
    onsets = clocks.start_s + np.arange(0.25 * seconds, 0.75 * seconds, 0.125) + 0.01234
    return np.concatenate([first, np.stack([onsets, onsets + PULSE_S], axis=1)])


def trials_of(seconds: float, clocks: Clocks) -> Float:
    """Trials of 0.8 s every 2 s; the last one had not ended when the recording did."""
    onsets = clocks.start_s + np.append(np.arange(1.1, seconds - 1.5, 2.0), seconds - 0.2)
    stops = np.append(onsets[:-1] + 0.8, clocks.start_s + seconds + 5)
    return np.stack([onsets, stops], axis=1)


def metadata_of() -> dict[str, Any]:
    """Metadata that a lab would write for a simulated session."""
    return {
        "NWBFile": {
            "session_start_time": "2026-01-31T14:03:00+00:00",
            "session_description": "Simulated recording from the cerebellar cortex of an awake mouse.",
            "session_id": "sim1",
            "lab": "Simulation",
            "institution": "None",
            "experimenter": ["Doe, Jane"],
            "keywords": ["cerebellum"],
            "experiment_description": "Simulated traces with laser pulses.",
        },
        "Subject": {
            "subject_id": "m1",
            "species": "mouse",
            "sex": "F",
            "age": "P90D",
            "genotype": "none",
            "description": "A simulated mouse.",
        },
        "Devices": {"laser": {"description": "Laser of the simulation.", "manufacturer": "none", "model": "none"}},
        "Ecephys": {"imec0": {"location": "Cerebellar cortex"}},
        "Events": {
            "nidq.XD0.3": {"name": "laser", "description": "Laser pulses.", "keep": True},
            "nidq.XD1.4": {"name": "trial", "description": "The mouse does the task.", "keep": True},
        },
        "Optogenetics": [
            {
                "events": "laser",
                "location": "Cerebellar cortex",
                "site": "surface of lobule VI",
                "device": "laser",
                "wavelength_nm": 473,
                "power_mw": 5,
                "opsin": "ChR2",
                "tags": "MLI",
                "leave_out": True,
            }
        ],
    }
