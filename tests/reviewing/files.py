"""Annotated files to review: units with spikes and waveforms, a run with probabilities, a rule that links two units."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pynwb import NWBHDF5IO, NWBFile
from pynwb.file import Subject

from nwb_celltype.annotation import Annotation, now
from nwb_celltype.evidence import purkinje_cells
from nwb_celltype.nwb_io.graft import Place, graft
from nwb_celltype.runs import Method
from nwb_celltype.taxonomy import CEREBELLUM, UNCLASSIFIED
from nwb_celltype.units import read_units

LABELS = ("PkC_ss", "PkC_cs", "MLI", "GoC", "MFB")
RATE_HZ = {"PkC_ss": 60.0, "PkC_cs": 1.1, "MLI": 14.0, "GoC": 9.0, "MFB": 30.0}
HOSTILE = "<img src=x onerror=document.title='owned'></script><b>"
RUN = "cerebellum_3"
DURATION_S = 100.0


def units_file(path: Path, n_units: int = 12, *, seed: int = 0) -> Path:
    """A session whose first two units are the complex and the simple spikes of one cell; ids are 10, 13, 16, ..."""
    rng = np.random.default_rng(seed)
    start = datetime(2026, 1, 31, 14, tzinfo=UTC)
    nwb = NWBFile(session_description="simulated", identifier=f"review-{seed}", session_start_time=start)
    nwb.subject = Subject(subject_id="m1", species="Mus musculus", age="P60D", sex="F")
    device = nwb.create_device(name="probe")
    group = nwb.create_electrode_group(name="shank", description="d", location="lobule V", device=device)
    for k in range(32):
        nwb.add_electrode(
            rel_x=float(16 * (k % 2)), rel_y=20.0 * k, location="lobule V", group=group, filtering="300 Hz"
        )
    nwb.add_unit_column("unit_name", "name in the laboratory")
    time_ms = np.arange(-30, 60) / 30.0
    for k in range(n_units):
        label = truth(k)
        channels = [(k + offset) % 32 for offset in range(-2, 3)]
        width = {"PkC_cs": 0.25, "MFB": 0.07, "GoC": 0.2}.get(label, 0.12)
        shape = -np.exp(-0.5 * (time_ms / width) ** 2) + 0.4 * np.exp(-0.5 * ((time_ms - 3 * width) / (2 * width)) ** 2)
        fall = np.exp(-np.abs(np.arange(-2, 3)) / 1.5)
        waveform = 100e-6 * shape[:, None] * fall + rng.normal(0, 1e-6, (len(shape), 5))
        nwb.add_unit(
            id=10 + 3 * k,
            spike_times=_train(rng, label, first_complex=k == 0, paused=k == 1),
            waveform_mean=waveform,
            electrodes=channels,
            electrode_group=group,
            unit_name=HOSTILE if k == 3 else f"SPK{k:02d}",
        )
    nwb.units.waveform_rate = 30_000.0
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


def annotated_file(path: Path, n_units: int = 12, *, seed: int = 0) -> Path:
    """The same with the run of a classifier and, after it, a rule's that links the first two units."""
    units_file(path, n_units, seed=seed)
    rng = np.random.default_rng(seed + 1)
    with read_units(path) as units:
        ids = np.array(units.unit_ids)
        linked = purkinje_cells(units)
        session, digest = units.session, units.sha256()
    probability = rng.dirichlet(np.ones(len(LABELS)) * 0.3, len(ids)).astype(np.float32)
    for k in range(len(ids)):  # most are right
        if rng.random() < 0.8 or k < 2:
            best = int(probability[k].argmax())
            own = LABELS.index(truth(k))
            probability[k, [best, own]] = probability[k, [own, best]]
    confidence = probability.max(axis=1)
    abstained = confidence < 0.7
    abstained[:2] = False
    chosen = np.array(LABELS)[probability.argmax(axis=1)]
    model = Annotation(
        unit_ids=ids,
        cell_type=np.where(abstained, UNCLASSIFIED, chosen).astype(str),
        is_abstained=abstained,
        reason=np.where(abstained, "low_confidence", "").astype(str),
        reason_detail=np.where(abstained, "No class is likely enough.", "").astype(str),
        taxonomy=CEREBELLUM.subset(LABELS),
        method=Method(
            "classifier",
            {"software": "test", "model_name": "unshipped", "model_version": "1", "weights_sha256": "0" * 64},
        ),
        description="Made up for tests.",
        run_name=RUN,
        probability=probability,
        confidence=confidence,
        ood_score=rng.random(len(ids)).astype(np.float32),
        confidence_threshold=0.7,
        input_sha256=digest,
        created=now(),
    )
    for annotation in (model, linked):
        graft(path, annotation, Place(annotation.run_name, "/units", session.units_object_id, session.identifier, ids))
    return path


def truth(k: int) -> str:
    """What the k-th unit simulates."""
    return "PkC_cs" if k == 0 else "PkC_ss" if k == 1 else LABELS[k % len(LABELS)]


def _train(rng: np.random.Generator, label: str, *, first_complex: bool, paused: bool) -> np.ndarray:
    if first_complex:
        return _complex_spikes()
    rate = RATE_HZ[label] * rng.uniform(0.8, 1.2)
    times = np.cumsum(2e-3 + rng.gamma(3.0, (1 / rate - 2e-3) / 3.0, int(2 * rate * DURATION_S)))
    times = times[times < DURATION_S]
    if paused:
        spikes = _complex_spikes()
        since = times - spikes[np.maximum(np.searchsorted(spikes, times) - 1, 0)]
        times = times[(since < 0) | (since > 0.018)]
    return times


def _complex_spikes() -> np.ndarray:
    """Of the cell whose simple spikes pause; the same whenever they are asked for."""
    return np.cumsum(np.random.default_rng(5).uniform(0.5, 1.3, 100))
