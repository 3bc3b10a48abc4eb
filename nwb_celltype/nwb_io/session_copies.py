"""What a file says about its session and subject, for a file that is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import h5py  # type: ignore[import-untyped,unused-ignore]

from nwb_celltype.errors import InputError
from nwb_celltype.licences import licence_texts
from nwb_celltype.units.hdf5 import OpenFile, at_path, attribute, is_dataset, text

_SUBJECT_TEXTS = ("subject_id", "species", "sex", "age", "date_of_birth", "genotype", "strain", "description", "weight")


@dataclass(frozen=True)
class SessionCopy:
    """Facts about a session and its subject as its file states them; empty where it does not.

    Attributes
    ----------
    session_description, identifier, session_start_time, session_id : str
        `session_start_time` is the stored ISO 8601 text.
    experimenters, related_publications, keywords : tuple of str
    lab, institution : str
    subject_id, species, sex, age, date_of_birth, genotype, strain, description, weight : str
        Of the subject; dates and ages are the stored ISO 8601 texts.
    age_reference : str
        What the age counts from (``birth`` or ``gestational``).
    licence : str
        The sentence, if any, in which the file names a licence that forbids to publish what is made from it.
    """

    session_description: str = ""
    identifier: str = ""
    session_start_time: str = ""
    session_id: str = ""
    experimenters: tuple[str, ...] = ()
    lab: str = ""
    institution: str = ""
    subject_id: str = ""
    species: str = ""
    sex: str = ""
    age: str = ""
    age_reference: str = ""
    date_of_birth: str = ""
    genotype: str = ""
    strain: str = ""
    description: str = ""
    weight: str = ""
    related_publications: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    licence: str = ""

    @property
    def subject(self) -> dict[str, str]:
        """What is stated about the subject, by the names of pynwb."""
        stated = {name: getattr(self, name) for name in _SUBJECT_TEXTS}
        if self.age:
            stated["age__reference"] = self.age_reference
        return {name: value for name, value in stated.items() if value}


def read_session_copy(file: h5py.File, name: str) -> SessionCopy:
    """Read the facts about session and subject from an open NWB file; of a remote one only a few bytes.

    Parameters
    ----------
    file : h5py.File
    name : str
        What messages call the file.

    Returns
    -------
    SessionCopy

    Raises
    ------
    InputError
        If they cannot be read.

    Examples
    --------
    >>> import h5py
    >>> with h5py.File("session.nwb") as file:  # doctest: +SKIP
    ...     read_session_copy(file, "session.nwb").species
    'Mus musculus'
    """
    with OpenFile(file, name).reading("the session"):
        subject = {key: _text(file, f"general/subject/{key}", name) for key in _SUBJECT_TEXTS}
        age = at_path(file, "general/subject/age", name)
        return SessionCopy(
            session_description=_text(file, "session_description", name),
            identifier=_text(file, "identifier", name),
            session_start_time=_text(file, "session_start_time", name),
            session_id=_text(file, "general/session_id", name),
            experimenters=_texts(file, "general/experimenter", name),
            lab=_text(file, "general/lab", name),
            institution=_text(file, "general/institution", name),
            age_reference="" if age is None else attribute(age, "reference"),
            related_publications=_texts(file, "general/related_publications", name),
            keywords=_texts(file, "general/keywords", name),
            licence=next((text for _, text in licence_texts(file)), ""),
            **subject,
        )


def _text(file: Any, path: str, name: str) -> str:
    return ", ".join(_texts(file, path, name))


def _texts(file: Any, path: str, name: str) -> tuple[str, ...]:
    node = at_path(file, path, name)
    if node is None or not is_dataset(node) or node.shape is None:
        return ()
    values = node[()]
    found = [text(value) for value in values.ravel()] if node.shape else [text(values)]
    return tuple(value for value in found if value)


def require_nwb(session: SessionCopy, name: str) -> None:
    """Raise unless the session has what every NWB file must state.

    Raises
    ------
    InputError
        Naming what is missing.
    """
    needed = ("identifier", "session_start_time")  # real files have an empty session_description
    missing = [field for field in needed if not getattr(session, field)]
    if missing:
        message = f"{name} states no {', '.join(missing)}, which every NWB file must; add it to the source."
        raise InputError(message)
