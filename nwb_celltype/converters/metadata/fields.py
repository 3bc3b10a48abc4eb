"""Keys of the NWBFile and Subject blocks: what each holds, in words for messages, the template and the schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Field:
    """One key: kind of value, what it says, and an example as it stands in YAML."""

    kind: Literal["text", "texts", "moment", "day", "pairs"]
    description: str
    example: str


NWBFILE_FIELDS = {
    "session_start_time": Field(
        "moment", "date and time when the recording began, with its time zone", '"2026-01-31T14:03:00+01:00"'
    ),
    "session_description": Field("text", "what was done, in a sentence", "Head-fixed mouse on a wheel."),
    "session_id": Field("text", "your name of the session", "2026-01-31-a"),
    "identifier": Field("text", "unique text for the file; made up when absent", "m042-2026-01-31-a"),
    "experiment_description": Field("text", "what the experiment is about", "Timing of reward."),
    "experimenter": Field("texts", "who recorded, last name first", '["Last name, First name"]'),
    "institution": Field("text", "where it was done", "Your University"),
    "lab": Field("text", "lab where it was done", "Your Lab"),
    "keywords": Field("texts", "words to search for", "[cerebellum, Neuropixels, optotagging]"),
    "related_publications": Field("texts", "papers, as https://doi.org/...", '["https://doi.org/10.1000/182"]'),
    "notes": Field("text", "anything else", "Probe moved at 1200 s."),
    "pharmacology": Field("text", "drugs, doses, when and how given", "Gabazine 10 uM on the craniotomy at 1800 s."),
    "protocol": Field("text", "number of the animal protocol", "2026-14"),
    "surgery": Field("text", "surgeries, with dates", "Head plate on 2026-01-10."),
    "virus": Field("text", "viruses: name, titre, date, place, volume", "AAV1-EF1a-DIO-ChR2, 200 nl, Crus 1."),
    "slices": Field("text", "slices: thickness, orientation, bath", "Sagittal, 300 um."),
    "stimulus_notes": Field("text", "stimuli, how and where given", "Blue light on the surface of the brain."),
    "data_collection": Field("text", "how data were taken and analysed", "SpikeGLX, Kilosort 4, Phy."),
    "source_script": Field("text", "script that made the file", "convert.py, version 3"),
    "source_script_file_name": Field("text", "file of that script", "convert.py"),
    "was_generated_by": Field("pairs", "software and its version, in pairs", '[[SpikeGLX, "20230425"]]'),
    "timestamps_reference_time": Field(
        "moment", "moment that times in the file count from, with its time zone", '"2026-01-31T14:03:00+01:00"'
    ),
}
"""Keys of the NWBFile block."""

SUBJECT_FIELDS = {
    "subject_id": Field("text", "your name of the animal", "M042"),
    "species": Field("text", "common or Latin name, or NCBI taxon", "mouse"),
    "sex": Field("text", "M, F, O (other) or U (unknown)", "F"),
    "age": Field("text", "age at the session (or give date_of_birth)", "P90D"),
    "age__reference": Field("text", "what the age counts from, birth or gestational", "birth"),
    "date_of_birth": Field("day", "date of birth", "2025-11-02"),
    "genotype": Field("text", "genotype", "Nos1-Cre/wt"),
    "strain": Field("text", "strain", "C57BL/6J"),
    "weight": Field("text", "weight with its unit", "25 g"),
    "description": Field("text", "anything else about the animal", "Food-restricted."),
}
"""Keys of the Subject block."""

DEVICE_FIELDS = {
    "description": Field("text", "what the device is", "Laser coupled to a 200 um fibre."),
    "manufacturer": Field("text", "who makes it", "imec"),
    "model": Field("text", "what its maker calls it", "Neuropixels 1.0"),
    "model_number": Field("text", "its maker's number of the model", "PRB_1_4_0480_1"),
    "serial_number": Field("text", "number of this piece", "18194809281"),
}
"""Keys of one device."""
