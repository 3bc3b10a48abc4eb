"""Write a file with an older pynwb; run in an environment of its own."""

from __future__ import annotations

import sys
import warnings
from datetime import UTC, datetime

import numpy as np

warnings.simplefilter("ignore")

from pynwb import NWBHDF5IO, NWBFile  # noqa: E402
from pynwb.file import Subject  # noqa: E402


def main(path: str) -> None:
    nwb = NWBFile(
        session_description="made up", identifier="older", session_start_time=datetime(2026, 1, 1, tzinfo=UTC)
    )
    nwb.subject = Subject(subject_id="m1", species="Mus musculus", age="P60D", sex="F")
    device = nwb.create_device(name="probe")
    group = nwb.create_electrode_group(name="shank", description="d", location="lobule V", device=device)
    for k in range(4):
        nwb.add_electrode(x=0.0, y=20.0 * k, z=0.0, location="lobule V", group=group, filtering="300-6000 Hz")
    rng = np.random.default_rng(0)
    for unit_id in (7, 3, 9):
        nwb.add_unit(
            id=unit_id,
            spike_times=np.cumsum(rng.exponential(0.05, 200)),
            electrodes=[0, 2],
            waveform_mean=rng.normal(size=(40, 2)),
            electrode_group=group,
        )
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)


if __name__ == "__main__":
    main(sys.argv[1])
