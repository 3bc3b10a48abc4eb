"""Small sessions and complete metadata for the tests."""

from __future__ import annotations

import copy
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_celltype.converters.clocks import Clock
from nwb_celltype.converters.metadata import SessionMetadata, check_metadata
from nwb_celltype.converters.records import Probe, ProbeRecording, Pulses, SourceSession
from nwb_celltype.errors import InputError

GIVEN: dict[str, Any] = {
    "NWBFile": {
        "session_start_time": "2024-01-31T14:03:00+01:00",
        "session_description": "Head-fixed on a wheel.",
        "session_id": "2024-01-31-a",
    },
    "Subject": {"subject_id": "M042", "species": "mouse", "sex": "F", "age": "P90D"},
    "Devices": {"laser": {"description": "473 nm diode laser"}},
    "Ecephys": {"imec0": {"location": "Cerebellar cortex"}},
    "Layers": {"imec0": [{"channels": "0-9", "layer": "granular"}, {"channels": "10-19", "layer": "molecular"}]},
    "Events": {"nidq.XD0.3": {"name": "laser", "description": "Laser on."}},
    "Optogenetics": [
        {
            "events": "laser",
            "device": "laser",
            "wavelength_nm": 473,
            "power_mw": 5,
            "location": "Cerebellar cortex",
            "opsin": "ChR2",
            "tags": "mli",
            "blockers": [{"name": "gabazine", "from_s": 1800}],
            "leave_out": True,
        }
    ],
}


def given(**changes: Any) -> dict[str, Any]:
    """Complete metadata, with values changed by path: ``given(**{"Subject.sex": "x"})``; `KeyError` drops a key."""
    metadata = copy.deepcopy(GIVEN)
    for path, value in changes.items():
        *blocks, key = path.split(".") if not path.startswith("Events.") else ["Events", path[7:]]
        place: Any = metadata
        for block in blocks:
            place = place.setdefault(block, {})
        if value is KeyError:
            del place[key]
        else:
            place[key] = value
    return metadata


def checked(**changes: Any) -> SessionMetadata:
    return check_metadata(given(**changes))


def problems(metadata: Any, session: SourceSession | None = None) -> list[str]:
    """Lines of the error."""
    with pytest.raises(InputError) as caught:
        check_metadata(metadata, session)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def problem(**changes: Any) -> str:
    """The one problem that a change makes."""
    found = problems(given(**changes))
    assert len(found) == 1, found
    return found[0]


def probe(name: str = "imec0", n: int = 20) -> Probe:
    positions = np.column_stack([np.tile([0.0, 32.0], n)[:n], 20.0 * (np.arange(n) // 2)])
    return Probe(
        name, tuple(f"AP{k}" for k in range(n)), positions, np.zeros(n, np.int64), "made up", model="Neuropixels 1.0",
        manufacturer="imec", serial_number="18194809281",
    )  # fmt: skip


def pulses(name: str, onsets: Any, duration: float = 0.01) -> Pulses:
    onsets = np.asarray(onsets, dtype=np.float64)
    return Pulses(name, onsets, np.full(len(onsets), duration), False, "made up")


def session(**changes: Any) -> SourceSession:
    values: dict[str, Any] = {
        "kind": "spikeglx",
        "paths": (Path("/data/run1_g0"),),
        "recordings": (ProbeRecording(probe(), Clock("imec0.ap", 30_000.0)),),
        "pulses": (
            pulses("nidq.XD0.0", np.arange(100.0), 0.5),
            pulses("nidq.XD0.1", []),
            pulses("nidq.XD0.3", 12.3 + 0.2 * np.arange(40)),
        ),
        "started": datetime.fromisoformat("2024-01-31T14:03:00"),
        "facts": {"NWBFile.session_id": "run1_g0"},
    }
    return SourceSession(**{**values, **changes})
