"""Devices and their models: probes and light sources, found in the file if they are there already."""

from __future__ import annotations

import re
from typing import Any

from nwb_celltype.converters.metadata.records import DeviceMetadata
from nwb_celltype.converters.records import Probe
from nwb_celltype.errors import InputError

_NEUROCONV_PREFIX = "neuropixels"


def probe_device(nwbfile: Any, probe: Probe, stated: DeviceMetadata | None) -> Any:
    """Return the device of a probe, which is added if the file lacks it.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    probe : Probe
    stated : DeviceMetadata or None
        What the user says about it, which wins over the source.

    Returns
    -------
    pynwb.device.Device

    Raises
    ------
    InputError
        If the file has another probe of this name.
    """
    stated = stated or DeviceMetadata()
    serial = stated.serial_number or probe.serial_number
    for device in nwbfile.devices.values():
        if is_probe(device, probe, serial):
            return device
    about = DeviceMetadata(
        description=stated.description or probe.description or f"Probe with {len(probe)} electrodes.",
        manufacturer=stated.manufacturer or probe.manufacturer,
        model=stated.model or probe.model,
        model_number=stated.model_number,
        serial_number=serial,
    )
    return add_device(nwbfile, probe.name, about)


def is_probe(device: Any, probe: Probe, serial_number: str = "") -> bool:
    """Whether a device of the file is this probe: by serial number where both have one, else by name.

    NeuroConv calls the probe ``imec0`` of SpikeGLX ``NeuropixelsImec0``.
    """
    serial = serial_number or probe.serial_number
    if device.serial_number and serial:
        return str(device.serial_number) == serial
    return _plain(device.name) == _plain(probe.name)


def add_device(nwbfile: Any, name: str, about: DeviceMetadata) -> Any:
    """Add a device, with its model where maker and model are known.

    Raises
    ------
    InputError
        If the file has another device, or another model, of this name.
    """
    name = name.replace("/", "_")
    if name in nwbfile.devices:
        message = f"The file has another device {name!r} (serial number {nwbfile.devices[name].serial_number})."
        raise InputError(message)
    text, model = about.description, None
    if about.model and about.manufacturer:
        model = _model(nwbfile, about)
    else:
        facts = {"Model": about.model, "Model number": about.model_number, "Manufacturer": about.manufacturer}
        text = " ".join(filter(None, [text, *(f"{key}: {value}." for key, value in facts.items() if value)]))
    return nwbfile.create_device(
        name=name, description=text or None, serial_number=about.serial_number or None, model=model
    )


def _model(nwbfile: Any, about: DeviceMetadata) -> Any:
    name = about.model.replace("/", "_")
    known = (nwbfile.device_models or {}).get(name)
    if known is None:
        return nwbfile.create_device_model(
            name=name,
            manufacturer=about.manufacturer,
            model_number=about.model_number or None,
            description=f"{about.model}, made by {about.manufacturer}.",
        )
    if str(known.manufacturer).lower() != about.manufacturer.lower():
        message = (
            f"The file says that {name} is made by {known.manufacturer}, the metadata say {about.manufacturer}; "
            "correct Devices in the metadata."
        )
        raise InputError(message)
    return known


def _plain(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return plain.removeprefix(_NEUROCONV_PREFIX) or plain
