"""Small made-up sessions, built from records in memory: two shanks, two probes with drift, lasers, silent units."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.clocks import Clock, ClockFit
from nwb_celltype.converters.metadata.records import (
    Blocker,
    DeviceMetadata,
    EventMetadata,
    RegionRule,
    SessionMetadata,
    StimulusMetadata,
    Term,
)
from nwb_celltype.converters.nwb import add_session, new_nwbfile, write_nwbfile
from nwb_celltype.converters.records import (
    Column,
    LeftOut,
    Probe,
    ProbeRecording,
    Pulses,
    Sorting,
    SourceSession,
    UnitWaveforms,
)

RATE_HZ = 30000.0
FIRST_SAMPLE = 177385
DURATION_S = 20.0
N_CHANNELS = 24
N_NEAREST = 4
N_BEFORE = 30
N_SAMPLES = 81
GAIN_UV = 2.34375

CEREBELLUM = Term("UBERON:0002129", "cerebellar cortex", "http://purl.obolibrary.org/obo/UBERON_0002129")
GRANULAR = Term("UBERON:0002956", "granular layer", "http://purl.obolibrary.org/obo/UBERON_0002956")
MOUSE = Term("NCBITaxon:10090", "Mus musculus", "http://purl.obolibrary.org/obo/NCBITaxon_10090")


@dataclass(frozen=True, eq=False)
class MadeTraces:
    """Traces that are computed when they are read: noise with a trough on every channel at given samples."""

    name: str
    n_samples: int
    troughs: NDArray[np.int64]
    n_channels: int = N_CHANNELS
    sampling_rate_hz: float = RATE_HZ
    gain_uv: float | None = GAIN_UV
    offsets_uv: NDArray[np.float64] | None = None
    filtering: str = "300 Hz high-pass"
    paths: tuple[Path, ...] = ()

    @property
    def dtype(self) -> np.dtype[Any]:
        """As SpikeGLX stores it."""
        return np.dtype(np.int16)

    @property
    def gains_uv(self) -> NDArray[np.float64] | None:
        """The same for every channel."""
        return None if self.gain_uv is None else np.full(self.n_channels, self.gain_uv)

    def read(self, start: int, stop: int, channels: NDArray[np.int64] | None = None) -> NDArray[np.int16]:
        """Counts: the number of the sample, modulo 7, and troughs."""
        samples = np.arange(start, min(stop, self.n_samples))
        counts = np.repeat((samples % 7).astype(np.int16)[:, np.newaxis], self.n_channels, axis=1)
        inside = self.troughs[(self.troughs >= start) & (self.troughs < start + len(samples))]
        counts[inside - start] = -200
        return counts if channels is None else counts[:, channels]


def probe(name: str = "imec0", n_shanks: int = 1, serial: str = "18194809321") -> Probe:
    """Two columns of contacts on each shank; channel 5 is a reference."""
    n = N_CHANNELS
    shanks = np.arange(n, dtype=np.int64) * n_shanks // n
    along = np.arange(n) % (n // n_shanks) // 2 * 20.0
    across = np.arange(n) % 2 * 32.0 + shanks * 250.0
    return Probe(
        name=name,
        channel_names=tuple(f"AP{i}" for i in range(n)),
        positions_um=np.column_stack([across, along]),
        shanks=shanks,
        geometry_source="Positions are those of the meta file.",
        model="Neuropixels 1.0",
        manufacturer="imec",
        serial_number=serial,
        description="A Neuropixels probe.",
        is_reference=np.arange(n) == 5,
        filtering=("300 Hz high-pass",) * n,
        columns={"adc_group": np.arange(n) % 3},
        column_descriptions={"adc_group": "Converter of the channel."},
    )


def sorting(
    unit_ids: tuple[int, ...] = (3, 0, 17), *, seed: int = 0, silent: tuple[int, ...] = (17,), rate_hz: float = RATE_HZ
) -> Sorting:
    """Some 60 spikes a unit over the whole recording; the units in `silent` have none."""
    rng = np.random.default_rng(seed)
    n = int(DURATION_S * rate_hz)
    trains = [np.sort(rng.choice(n, 0 if u in silent else 60, replace=False)).astype(np.int64) for u in unit_ids]
    offsets = np.concatenate([[0], np.cumsum([len(train) for train in trains])]).astype(np.int64)
    m = len(unit_ids)
    return Sorting(
        unit_ids=np.array(unit_ids, dtype=np.int64),
        unit_names=tuple(str(u) for u in unit_ids),
        spike_samples=np.concatenate(trains),
        offsets=offsets,
        sampling_rate_hz=rate_hz,
        source="Kilosort 4, folder kilosort4.",
        amplitudes=rng.uniform(10, 20, int(offsets[-1])),
        amplitude_description="Scale of the template, arbitrary units.",
        columns={
            "KSLabel": Column(np.array(["good", "mua", ""][:m] + ["good"] * (m - 3)), "Kilosort's label."),
            "quality": Column(np.array(["good", "mua", "unsorted"][:m] + ["good"] * (m - 3)), "Label in Phy."),
            "ContamPct": Column(np.linspace(0.5, 9.0, m), "Contamination, per cent."),
            "empty": Column(np.full(m, np.nan), "Nobody filled it."),
            "good": Column(np.arange(m) == 0, "Chosen by hand."),
            "sh": Column(np.arange(m, dtype=np.int64) % 2, "Shank."),
        },
        peak_channels=np.arange(m, dtype=np.int64) * 2 + 6,
        left_out=(LeftOut("cluster 99", "it is called noise"),),
        notes=("cluster_group.tsv lists 2 of 3 clusters; the others are called unsorted.",),
    )


def waveforms(of: Sorting, where: Probe, *, unit: str = "microvolts", rate_hz: float = RATE_HZ) -> UnitWaveforms:
    """A trough at the spike time, largest on the peak channel; the unit without spikes has none."""
    n = len(of)
    t = (np.arange(N_SAMPLES) - N_BEFORE) / rate_hz * 1000
    shape = -np.exp(-((t / 0.15) ** 2)) + 0.3 * np.exp(-(((t - 0.5) / 0.25) ** 2))
    peaks = np.asarray(of.peak_channels)
    distance = np.linalg.norm(where.positions_um[:, None] - where.positions_um[None], axis=2)
    channels = np.argsort(distance[peaks], axis=1, kind="stable")[:, :N_NEAREST]
    size = 80.0 + 10 * np.arange(n)[:, None] - 12.0 * np.arange(N_NEAREST)
    mean = (shape[None, :, None] * size[:, None, :]).astype(np.float32)
    counts = np.diff(of.offsets)
    mean[counts == 0] = np.nan
    return UnitWaveforms(
        mean=mean,
        sd=np.abs(mean) * np.float32(0.1) if unit == "microvolts" else None,
        channels=channels.astype(np.int64),
        peak_channels=np.where(counts > 0, peaks, -1),
        n_before=N_BEFORE,
        sampling_rate_hz=rate_hz,
        unit=unit,  # type: ignore[arg-type]
        source=tuple("raw" if c else "no spikes" for c in counts),
        n_spikes_used=counts.astype(np.int64),
        drift_um=np.where(counts > 0, 12.5, np.nan),
    )


def pulses() -> tuple[Pulses, ...]:
    """A laser that was on at the start and at the end, a sync line, and a silent line."""
    start = FIRST_SAMPLE / RATE_HZ
    laser = np.array([start, start + 5.0, start + 6.0, start + 12.0])
    return (
        Pulses("nidq.XD0.3", laser, np.array([0.004, 0.01, 0.01, np.nan]), True, "Edges of bit 3."),
        Pulses("nidq.XD0.7", start + np.arange(5.0), np.full(5, 0.5), False, "Edges of bit 7."),
        Pulses("nidq.XD0.4", np.empty(0), np.empty(0), False, "Edges of bit 4."),
    )


def drifting_clock(stream: str, ppm: float = 50.0, *, bend_ppm: float = 0.0) -> Clock:
    """A clock that runs `ppm` fast, and in the second half `bend_ppm` faster still."""
    n = int(DURATION_S * RATE_HZ)
    samples = np.array([0.0, n / 2, n])
    rates = RATE_HZ * (1 + 1e-6 * np.array([ppm, ppm + bend_ppm]))
    seconds = 6.1 + np.concatenate([[0.0], np.cumsum(np.diff(samples) / rates)])
    fit = ClockFit(stream, "imec0.ap", 20, 1, ppm, 8.0, 21.0)
    return Clock(stream, RATE_HZ, 180000, samples, seconds, fit)


def recording(
    name: str = "imec0",
    *,
    clock: Clock | None = None,
    ids: tuple[int, ...] = (3, 0, 17),
    n_shanks: int = 1,
    raw: bool = True,
    seed: int = 0,
) -> ProbeRecording:
    """One probe with units, and traces with a trough at each spike."""
    units = sorting(ids, seed=seed)
    n = int(DURATION_S * RATE_HZ)
    return ProbeRecording(
        probe=probe(name, n_shanks, serial=f"1819480932{name[-1]}"),
        clock=clock or Clock(f"{name}.ap", RATE_HZ, FIRST_SAMPLE),
        sorting=units,
        traces=MadeTraces(f"{name}.ap", n, units.spike_samples) if raw else None,
    )


def session(*recordings: ProbeRecording, events: bool = True, **more: Any) -> SourceSession:
    """What a reader hands over; one probe with raw by default."""
    return SourceSession(
        kind="spikeglx",
        paths=(Path("run_g0"),),
        recordings=recordings or (recording(),),
        pulses=pulses() if events else (),
        clocks=(drifting_clock("nidq", -12.0),) if events else (),
        notes=("The run has one gate.",),
        **more,
    )


def metadata(**more: Any) -> SessionMetadata:
    """Everything that DANDI and the inspector want to know."""
    base = SessionMetadata(
        nwbfile={
            "session_start_time": datetime(2026, 1, 31, 14, 3, tzinfo=UTC),
            "session_description": "Spontaneous activity with brief light pulses.",
            "session_id": "20260131a",
            "experimenter": ["Doe, Jane"],
            "experiment_description": "Types of cerebellar units.",
            "institution": "University",
            "lab": "Lab",
            "keywords": ["cerebellum", "Neuropixels"],
        },
        subject={
            "subject_id": "m1", "species": "Mus musculus", "sex": "F", "age": "P90D", "genotype": "wild type",
            "description": "A mouse.",
        },
        species_term=MOUSE,
        devices={
            "imec0": DeviceMetadata(description="Probe in the left hemisphere."),
            "laser": DeviceMetadata(description="Blue laser.", manufacturer="Coherent", model="OBIS 473"),
        },
        regions={
            name: (
                RegionRule("Cerebellar cortex", terms=(CEREBELLUM,)),
                RegionRule("Cerebellar cortex", "GCL", first_channel=0, last_channel=7, terms=(CEREBELLUM, GRANULAR)),
            )
            for name in ("imec0", "imec1")
        },
        events={
            "nidq.XD0.3": EventMetadata("laser", "Blue light at the surface of the brain."),
            "nidq.XD0.7": EventMetadata("sync", "Square wave of the base station.", keep=False),
        },
    )  # fmt: skip
    return replace(base, **more)


def stimulus(**more: Any) -> StimulusMetadata:
    """The laser on line 3."""
    base = StimulusMetadata(
        events="laser",
        site_name="crus1",
        site_description="Fibre above Crus I.",
        location="Cerebellar cortex",
        device="laser",
        wavelength_nm=473.0,
        power_mw=5.0,
        opsin="ChR2",
        tags="MLI",
        blockers=(Blocker("gabazine", 10.0),),
    )
    return replace(base, **more)


def all_waveforms(source: SourceSession, **more: Any) -> tuple[UnitWaveforms | None, ...]:
    """Waveforms of every recording that has units."""
    return tuple(None if r.sorting is None else waveforms(r.sorting, r.probe, **more) for r in source.recordings)


def write(
    path: Path,
    source: SourceSession,
    meta: SessionMetadata | None = None,
    *,
    given: tuple[UnitWaveforms | None, ...] | None = None,
    unit: str = "microvolts",
    raw: bool = False,
) -> Path:
    """Write a session as the converters do."""
    meta = meta or metadata()
    nwbfile = new_nwbfile(meta, source)
    add_session(nwbfile, source, meta, all_waveforms(source, unit=unit) if given is None else given, raw=raw)
    write_nwbfile(nwbfile, path)
    return path
