"""The metadata as a JSON schema, for programs that ask for one."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from nwb_celltype.converters.metadata.fields import DEVICE_FIELDS, NWBFILE_FIELDS, SUBJECT_FIELDS, Field

_TEXTS = {"type": "array", "items": {"type": "string"}}
_KINDS: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "texts": _TEXTS,
    "moment": {"type": "string", "format": "date-time"},
    "day": {"type": "string", "format": "date-time"},
    "pairs": {"type": "array", "items": _TEXTS},
}
_RANGE = {"type": ["array", "string", "number"]}


def metadata_schema() -> dict[str, Any]:
    """Return the schema of the metadata (JSON schema, draft 7).

    It says which keys there are and of which type; `check_metadata` says much more, and all at once.

    Returns
    -------
    dict
        A new one at each call.

    Examples
    --------
    >>> metadata_schema()["properties"]["Subject"]["required"]
    ['subject_id', 'species', 'sex']
    """
    subject = _object(_fields(SUBJECT_FIELDS), required=["subject_id", "species", "sex"])
    subject["properties"]["age__reference"]["enum"] = ["birth", "gestational"]
    # No list of dictionaries in it: NeuroConv, when it merges schemas, takes each for a list of named things.
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Metadata of a session",
        "type": "object",
        "required": ["NWBFile", "Subject"],
        "additionalProperties": True,
        "properties": {
            "NWBFile": _object(
                _fields(NWBFILE_FIELDS), required=["session_start_time", "session_description", "session_id"]
            ),
            "Subject": subject,
            "Devices": _by_name("Devices by name.", _object(_fields(DEVICE_FIELDS), closed=False), or_list=True),
            "Ecephys": _by_name("Probes by name.", _probe()),
            "Layers": _by_name("Rules by probe.", {"type": ["array", "object"], "items": _rule()}),
            "Events": _by_name("Digital lines by name.", _event()),
            "Optogenetics": {"type": ["array", "object"], "items": _stimulus(), "description": "Optical stimuli."},
        },
    }
    return deepcopy(schema)


def _fields(fields: dict[str, Field]) -> dict[str, Any]:
    return {key: {**_KINDS[field.kind], "description": field.description} for key, field in fields.items()}


def _object(properties: dict[str, Any], *, required: list[str] | None = None, closed: bool = True) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": not closed}
    return {**schema, "required": required} if required else schema


def _by_name(description: str, entry: dict[str, Any], *, or_list: bool = False) -> dict[str, Any]:
    kind = ["object", "array"] if or_list else "object"
    return {"type": kind, "description": description, "additionalProperties": entry}


def _described(kind: str | list[str], description: str) -> dict[str, Any]:
    return {"type": kind, "description": description}


def _probe() -> dict[str, Any]:
    """One probe; NeuroConv's own entries, lists among them, stand beside ours."""
    properties = {
        "location": _described("string", "brain region of the whole probe, by name or as UBERON or MBA term"),
        "gain_uv": {"type": "number", "exclusiveMinimum": 0, "description": "microvolts of one count"},
        "geometry": {"description": "arrangement of the electrodes by name, or a pair of micrometres for each channel"},
    }
    return {"type": ["object", "array"], "properties": properties, "additionalProperties": True}


def _rule() -> dict[str, Any]:
    return _object(
        {
            "channels": {**_RANGE, "description": "channels counted from 0, both ends included"},
            "depth_um": {**_RANGE, "description": "depths from the tip in micrometres, the end excluded"},
            "location": _described("string", "brain region"),
            "layer": _described("string", "layer of the cerebellar cortex: molecular, Purkinje or granular"),
        }
    )


def _event() -> dict[str, Any]:
    properties = {
        "name": _described("string", "name of the events"),
        "description": _described("string", "what the pulses mean"),
        "keep": _described("boolean", "whether they are written"),
    }
    return _object(properties, closed=False)


def _stimulus() -> dict[str, Any]:
    blocker = _object(
        {
            "name": _described("string", "what was given"),
            "from_s": _described("number", "session seconds"),
            "to_s": _described("number", "session seconds"),
        },
        required=["name", "from_s"],
    )
    return _object(
        {
            "events": _described("string", "name of the events that hold the pulses"),
            "location": _described("string", "brain region that the light reached"),
            "site": _described("string", "name of that place"),
            "site_description": _described("string", "a sentence about it"),
            "device": _described("string", "light source, a key of Devices"),
            "wavelength_nm": {"type": "number", "exclusiveMinimum": 0, "description": "nanometres"},
            "power_mw": {"type": "number", "exclusiveMinimum": 0, "description": "milliwatts while a pulse lasts"},
            "opsin": _described("string", "light-sensitive protein"),
            "tags": _described("string", "label of the cells that carry it"),
            "blockers": {"type": "array", "items": blocker, "description": "synaptic blockers in the bath"},
            "leave_out": _described(
                ["boolean", "array", "object"], "whether the stimulated part is left out of features"
            ),
        },
        required=["events", "device", "wavelength_nm", "power_mw", "location"],
    )
