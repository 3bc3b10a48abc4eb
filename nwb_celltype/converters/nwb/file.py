"""A new NWB file in memory: the session, its subject, and what made the file."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from nwb_celltype import __version__
from nwb_celltype.converters.metadata.records import SessionMetadata
from nwb_celltype.converters.nwb.optogenetics import blockers_text
from nwb_celltype.converters.nwb.terms import write_species_term
from nwb_celltype.converters.records import SourceSession

SOFTWARE = "nwb-celltype"
SOURCE_CODE = "https://github.com/nwb-celltype/nwb-celltype"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, f"{SOURCE_CODE}/session")


def new_nwbfile(metadata: SessionMetadata, session: SourceSession) -> Any:
    """Make an NWB file in memory that holds what the metadata say about session and subject.

    Parameters
    ----------
    metadata : SessionMetadata
    session : SourceSession
        What will be added with `add_session`; here only its kind counts.

    Returns
    -------
    pynwb.NWBFile
    """
    from pynwb import NWBFile
    from pynwb.file import Subject

    about = dict(metadata.nwbfile)
    about.setdefault("identifier", session_identifier(metadata))
    about.setdefault("was_generated_by", [[SOFTWARE, __version__]])
    about.setdefault("source_script", f"{SOURCE_CODE} (version {__version__})")
    about.setdefault("source_script_file_name", f"nwb-celltype convert {session.kind}")
    blockers = blockers_text(metadata.stimuli)
    if blockers:
        about["pharmacology"] = " ".join(filter(None, [about.get("pharmacology"), f"Synaptic blockers: {blockers}"]))
    nwbfile = NWBFile(**about)
    if metadata.subject:
        nwbfile.subject = Subject(**metadata.subject)
        write_species_term(nwbfile, metadata.species_term)
    return nwbfile


def session_identifier(metadata: SessionMetadata) -> str:
    """Identifier of the file: the same for the same subject, session and start, so that converting again repeats it.

    A UUID of version 5 over these three, in a namespace of this toolkit.

    Examples
    --------
    >>> session_identifier(SessionMetadata({"session_id": "a"}, {"subject_id": "m1"}))
    'eb840e61-5c28-58a2-a70f-6c97b5ef0180'
    """
    start = metadata.nwbfile.get("session_start_time")
    parts = (
        str(metadata.subject.get("subject_id", "")),
        str(metadata.nwbfile.get("session_id", "")),
        start.isoformat() if isinstance(start, datetime) else "",
    )
    return str(uuid.uuid5(_NAMESPACE, "\n".join(parts)))


def describe(nwbfile: Any, sentences: Sequence[str]) -> None:
    """Add sentences about how the data came about to ``data_collection``, after what is there.

    A text that is on disk already cannot grow: the sentences go to ``notes`` then, and where that is taken too, to a
    text ``conversion_notes`` in the scratch space.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    sentences : sequence of str
    """
    fresh = list(dict.fromkeys(_with_stop(sentence) for sentence in sentences if sentence.strip()))
    for name in ("data_collection", "notes"):
        said = nwbfile.fields.get(name)
        if said is not None and nwbfile.read_io is not None:
            continue
        lines = [sentence for sentence in fresh if sentence not in (said or "")]
        if lines:
            # pynwb lets a field be set only once through its property
            nwbfile.fields[name] = "\n".join(filter(None, [said, *lines]))
            nwbfile.set_modified()
        return
    nwbfile.add_scratch("\n".join(fresh), name="conversion_notes", description="How the data came about.")


def _with_stop(sentence: str) -> str:
    sentence = sentence.strip()
    return sentence if sentence.endswith((".", "!", "?", ":")) else f"{sentence}."
