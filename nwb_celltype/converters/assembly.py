"""From records of a session to a filled NWB file in memory: the user's scale, mean waveforms, then the writer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nwb_celltype.converters.metadata import SessionMetadata
from nwb_celltype.converters.records import Probe, ProbeRecording, Sorting, SourceSession, UnitWaveforms
from nwb_celltype.converters.views import first_seconds, with_gain
from nwb_celltype.errors import UsageError

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Options:
    """What to write beside the units.

    Attributes
    ----------
    raw : bool
        Also write the traces, compressed.
    stub_s : float or None
        Convert only the first seconds.
    n_channels : int
        Nearest channels on which each unit's mean waveform is stored.
    max_spikes : int
        Spikes averaged per unit.
    seed : int
        For the choice of these spikes.
    """

    raw: bool = False
    stub_s: float | None = None
    n_channels: int = 16
    max_spikes: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        if self.stub_s is not None and not self.stub_s > 0:
            message = f"The stub is a number of seconds above 0, not {self.stub_s:g}."
            raise UsageError(message)
        for name in ("n_channels", "max_spikes"):
            if getattr(self, name) < 1:
                message = f"{name} is at least 1, not {getattr(self, name)}."
                raise UsageError(message)
        if self.seed < 0:
            message = f"The seed is a whole number from 0 on, not {self.seed}."
            raise UsageError(message)


def prepared(session: SourceSession, metadata: SessionMetadata, options: Options) -> SourceSession:
    """Return the session as it will be written: cut to the stub, with the gains and places that the user gave.

    Raises
    ------
    InputError
        If the user's places do not fit the electrodes of a probe.
    """
    recordings = tuple(_placed(_scaled(recording, metadata), metadata) for recording in session.recordings)
    session = replace(session, recordings=recordings)
    return session if options.stub_s is None else first_seconds(session, options.stub_s)


def _scaled(recording: ProbeRecording, metadata: SessionMetadata) -> ProbeRecording:
    gain = metadata.gains_uv.get(recording.probe.name)
    if gain is None or recording.traces is None:
        return recording
    return replace(recording, traces=with_gain(recording.traces, gain))


def _placed(recording: ProbeRecording, metadata: SessionMetadata) -> ProbeRecording:
    from nwb_celltype.converters.plexon import place_electrodes

    geometry = metadata.geometries.get(recording.probe.name)
    if geometry is None:
        return recording
    return replace(recording, probe=place_electrodes(recording.probe, geometry))


def unit_waveforms(
    session: SourceSession, options: Options, progress: Progress | None = None
) -> tuple[UnitWaveforms | None, ...]:
    """Mean waveforms of every probe's units: from raw where there is raw, else from the sorter's templates.

    Parameters
    ----------
    session : SourceSession
        Prepared.
    options : Options
    progress : callable, optional
        Told a task, the steps done and the number of steps.

    Returns
    -------
    tuple of UnitWaveforms or None
        One for each recording; None where there are no units, or nothing to make a waveform of.
    """
    return tuple(_waveforms_of(recording, options, progress) for recording in session.recordings)


def _waveforms_of(recording: ProbeRecording, options: Options, progress: Progress | None) -> UnitWaveforms | None:
    from nwb_celltype.converters.slow_potentials import suggest_high_pass
    from nwb_celltype.converters.waveforms import mean_waveforms, template_waveforms

    sorting = recording.sorting
    if sorting is None or len(sorting) == 0:
        return None
    probe = sorted_probe(recording.probe, sorting)
    if recording.traces is None or recording.traces.n_samples == 0:
        return template_waveforms(sorting, probe, n_channels=options.n_channels)
    return mean_waveforms(
        sorting,
        recording.traces,
        probe,
        n_channels=options.n_channels,
        max_spikes=options.max_spikes,
        seed=options.seed,
        high_pass_hz=suggest_high_pass(recording.traces),
        progress=progress,
    )


def sorted_probe(probe: Probe, sorting: Sorting) -> Probe:
    """Return the probe as the sorter took it: a reference site that it sorted like any other is one like any other."""
    if probe.is_reference is None or sorting.channels is None:
        return probe
    is_reference = probe.is_reference.copy()
    is_reference[sorting.channels] = False
    return replace(probe, is_reference=is_reference)


def fill(
    nwbfile: Any,
    session: SourceSession,
    metadata: SessionMetadata,
    waveforms: Sequence[UnitWaveforms | None],
    *,
    raw: bool = False,
) -> None:
    """Add a prepared session to an NWB file in memory."""
    from nwb_celltype.converters.nwb import add_session

    add_session(nwbfile, session, metadata, waveforms, raw=raw)
