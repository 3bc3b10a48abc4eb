"""Small recordings and their labels, as they lie in an archive."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pynwb import NWBHDF5IO, NWBFile
from pynwb.file import Subject

from nwb_celltype.nwb_io import annotate, detach
from nwb_celltype.provenance import SourceAsset

IDS = (7, 3, 9)
SOURCE_DANDISET, SOURCE_VERSION = "000901", "0.260101.1200"
SOURCE_PATH = "sub-m1/sub-m1_ses-1_ecephys.nwb"
DETACHED_PATH = "sub-m1/sub-m1_ses-1_desc-celltype_ecephys.nwb"
GROUND_TRUTH, EXPERT = "ground_truth_ada", "expert_eve"


@dataclass(frozen=True)
class Recordings:
    """Files on the disk of whoever published them.

    Attributes
    ----------
    source : Path
        Units and a stretch of noise, nobody's labels.
    annotated : Path
        The source with a run of ground truth and one of an expert.
    expert_only : Path
        Another session with a run of an expert.
    detached : Path
        The runs of `annotated` alone; it names the source in the archive.
    """

    source: Path
    annotated: Path
    expert_only: Path
    detached: Path


def recording(path: Path, identifier: str, *, ids: Iterable[int] = IDS, kilobytes: int = 400) -> Path:
    """Units with spike times, and noise that nobody needs for their labels."""
    nwb = NWBFile(
        session_description="made up",
        identifier=identifier,
        session_start_time=datetime(2026, 1, 1, tzinfo=UTC),
        session_id="1",
    )
    nwb.subject = Subject(subject_id="m1", species="Mus musculus", age="P60D", sex="F")
    for unit_id in ids:
        rng = np.random.default_rng(unit_id)
        nwb.add_unit(id=unit_id, spike_times=np.cumsum(rng.exponential(0.05, 200)))
    from pynwb import TimeSeries

    noise = np.random.default_rng(0).integers(0, 2**16, kilobytes * 500, dtype=np.uint16)
    nwb.add_acquisition(TimeSeries(name="noise", data=noise, unit="a.u.", rate=30000.0))
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


def make_recordings(folder: Path, instance: str) -> Recordings:
    """Write them; `instance` is the archive that the detached labels name."""
    source = recording(folder / "source.nwb", "recording-1")
    table = folder / "labels.csv"
    table.write_text("unit_id,cell_type\n7,PkC_ss\n3,MLI\n9,GoC\n")
    annotated = folder / "annotated.nwb"
    annotate(source, labels=table, source_type="ground_truth", by="Ada", out=annotated)
    annotate(annotated, labels=table, source_type="expert", by="Eve", in_place=True)
    other = recording(folder / "other.nwb", "recording-2", kilobytes=10)
    expert_only = folder / "expert_only.nwb"
    annotate(other, labels=table, source_type="expert", by="Eve", out=expert_only)
    asset = SourceAsset(
        instance=instance,
        dandiset=SOURCE_DANDISET,
        version=SOURCE_VERSION,
        path=SOURCE_PATH,
        sha256=sha256(source),
        size=source.stat().st_size,
    )
    detached = detach(annotated, folder / "detached.nwb", asset)
    return Recordings(source, annotated, expert_only, detached)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
