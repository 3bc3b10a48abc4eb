"""The Devices block: probes, lasers and whatever else the session used."""

from __future__ import annotations

from collections.abc import Mapping

from nwb_celltype.converters.metadata.fields import DEVICE_FIELDS
from nwb_celltype.converters.metadata.records import DeviceMetadata
from nwb_celltype.converters.metadata.values import Block, as_text

# What NeuroConv writes into a device beside ours.
_PASSED_OVER = ("name", "type", "device_model_metadata_key")


def check_devices(top: Block) -> tuple[dict[str, DeviceMetadata], dict[str, str]]:
    """Check the Devices block: by name, or as NeuroConv writes it, by key with a ``name`` inside, or as a list.

    Parameters
    ----------
    top : Block
        The whole of the metadata.

    Returns
    -------
    devices : dict of str to DeviceMetadata
        By device name.
    names : dict of str to str
        Name by key.
    """
    value = top.get("Devices")
    if isinstance(value, list | tuple):
        entries = {_list_name(entry, k): entry for k, entry in enumerate(value)}
        block = Block(entries, "Devices", top.problems)
    else:
        block = top.block("Devices")
    devices: dict[str, DeviceMetadata] = {}
    names: dict[str, str] = {}
    for key in block:
        # A device without a word about it exists all the same.
        device = block.block(key)
        device.check_keys((*DEVICE_FIELDS, *_PASSED_OVER))
        name = device.name("name", "the name of the device") or key
        if Block({"name": name}, device.path, top.problems).name("name", "a name of the device") == "":
            continue
        if name in devices:
            top.problems.add(device.path, f"a second device is called {name!r}", "a name of its own for each device")
            continue
        facts = {
            field: device.text(field, f"text: {what.description}", f"{field}: {what.example}")
            for field, what in DEVICE_FIELDS.items()
        }
        devices[name], names[key] = DeviceMetadata(**facts), name
    return devices, names


def _list_name(entry: object, number: int) -> str:
    name = as_text(entry.get("name")) if isinstance(entry, Mapping) else None
    return name or f"[{number}]"
