"""Optical stimuli: the site, the light source, and the power over time, from the pulses that drove the light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from nwb_celltype.converters.metadata.records import DeviceMetadata, SessionMetadata, StimulusMetadata
from nwb_celltype.converters.nwb.devices import add_device
from nwb_celltype.converters.records import Float, LeftOut, Pulses
from nwb_celltype.errors import InputError


def write_stimuli(nwbfile: Any, metadata: SessionMetadata, written: Mapping[str, Pulses]) -> tuple[LeftOut, ...]:
    """Add a stimulus site, its light source, and an `OptogeneticSeries` for each stimulus whose pulses are in the file.

    The series is a staircase: the power from one time holds until the next. Each pulse gives two points, power and 0.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    metadata : SessionMetadata
    written : mapping of str to Pulses
        By name of their events table.

    Returns
    -------
    tuple of LeftOut
        Stimuli without pulses.

    Raises
    ------
    InputError
        If the file has another stimulus site of the same name.
    """
    left_out = []
    for stimulus in metadata.stimuli:
        pulses = written.get(stimulus.events)
        if pulses is None:
            reason = f"the file has no events called {stimulus.events!r}"
            left_out.append(LeftOut(f"optogenetic stimulus {stimulus.site_name}", reason))
            continue
        site = _site(nwbfile, stimulus, metadata.devices.get(stimulus.device))
        nwbfile.add_stimulus(_series(stimulus, site, pulses, nwbfile.stimulus))
    return tuple(left_out)


def power_steps(pulses: Pulses, power_w: float) -> tuple[Float, Float]:
    """Times and power of a staircase: `power_w` from the onset of each pulse, 0 from its end.

    Returns
    -------
    seconds, watts : (m,) float64 arrays
        A pulse whose end is unknown has no second point.

    Examples
    --------
    >>> pulses = Pulses("laser", np.array([1.0, 2.0]), np.array([0.5, np.nan]), False, "")
    >>> [values.tolist() for values in power_steps(pulses, 0.005)]
    [[1.0, 1.5, 2.0], [0.005, 0.0, 0.005]]
    """
    seconds = np.column_stack([pulses.onsets_s, pulses.onsets_s + pulses.durations_s]).ravel()
    watts = np.tile([power_w, 0.0], len(pulses))
    is_known = np.isfinite(seconds)
    return seconds[is_known], watts[is_known]


def blockers_text(stimuli: tuple[StimulusMetadata, ...]) -> str:
    """Sentences about synaptic blockers, ``""`` where none were given."""
    said = []
    for stimulus in stimuli:
        for blocker in stimulus.blockers:
            end = "the end" if blocker.to_s is None else f"{blocker.to_s:g} s"
            said.append(f"{blocker.name}: from {blocker.from_s:g} s to {end} of the session.")
    return " ".join(dict.fromkeys(said))


def _site(nwbfile: Any, stimulus: StimulusMetadata, device: DeviceMetadata | None) -> Any:
    name = stimulus.site_name.replace("/", "_")
    lights = stimulus.device.replace("/", "_")
    source = nwbfile.devices.get(lights) or _light(nwbfile, stimulus, device or DeviceMetadata())
    known = nwbfile.ogen_sites.get(name)
    if known is not None:
        if (known.location, float(known.excitation_lambda)) != (stimulus.location, float(stimulus.wavelength_nm)):
            message = (
                f"Two stimulus sites are called {name!r}, but they differ in place or wavelength; give them own names "
                "under Optogenetics in the metadata."
            )
            raise InputError(message)
        return known
    return nwbfile.create_ogen_site(
        name=name,
        device=source,
        description=" ".join(filter(None, [stimulus.site_description, _opsin(stimulus)])) or name,
        excitation_lambda=float(stimulus.wavelength_nm),
        location=stimulus.location,
    )


def _light(nwbfile: Any, stimulus: StimulusMetadata, about: DeviceMetadata) -> Any:
    text = about.description or f"Light source, {stimulus.wavelength_nm:g} nm."
    return add_device(nwbfile, stimulus.device, replace(about, description=text))


def _opsin(stimulus: StimulusMetadata) -> str:
    if not stimulus.opsin:
        return f"The opsin is in {stimulus.tags}." if stimulus.tags else ""
    return f"Opsin: {stimulus.opsin}, in {stimulus.tags}." if stimulus.tags else f"Opsin: {stimulus.opsin}."


def _series(stimulus: StimulusMetadata, site: Any, pulses: Pulses, taken: Mapping[str, Any]) -> Any:
    from pynwb.ogen import OptogeneticSeries

    name = f"{stimulus.events}_power".replace("/", "_")
    if name in taken:
        name = f"{stimulus.events}_power_{stimulus.site_name}".replace("/", "_")
    seconds, watts = power_steps(pulses, stimulus.power_mw / 1000)
    blockers = blockers_text((stimulus,))
    return OptogeneticSeries(
        name=name,
        description=" ".join(
            filter(
                None,
                [
                    f"Power of the light that the pulses in {stimulus.events} drove.",
                    "Each value holds until the next time; before the first there was no light.",
                    f"Synaptic blockers: {blockers}" if blockers else "",
                ],
            )
        ),
        comments=f"Power while a pulse lasted, as stated by the experimenter: {stimulus.power_mw:g} mW.",
        data=watts,
        timestamps=seconds,
        site=site,
    )
