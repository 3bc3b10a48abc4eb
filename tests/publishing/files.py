"""Folders of labelled files, as a batch leaves them, with whatever may be wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import yaml

from nwb_celltype.nwb_io.detached import SessionCopy, write_detached
from nwb_celltype.provenance import SOURCE_PATH, SourceAsset
from nwb_celltype.runs import CONTAINER_PATH

from ..nwb_io.annotations import from_classifier

DRAFT: dict[str, Any] = {
    "name": "Cell types of two made-up sessions",
    "description": "Labels of made-up units.",
    "license": ["spdx:CC-BY-4.0"],
    "contributor": [
        {
            "schemaKey": "Person",
            "name": "Doe, Jane",
            "email": "jane@example.org",
            "roleName": ["dcite:ContactPerson", "dcite:Author"],
            "includeInCitation": True,
        }
    ],
    "keywords": ["cerebellum"],
}
SESSION = SessionCopy(
    session_description="made up",
    identifier="session",
    session_start_time="2026-01-01T00:00:00+00:00",
    session_id="a",
    subject_id="m1",
    species="Mus musculus",
    sex="F",
    age="P60D",
    age_reference="birth",
    related_publications=("Doe 2024, doi:10.1000/paper",),
)
SOURCE = SourceAsset(
    url="https://example.org/session.nwb",
    sha256="12" * 32,
    units_path="/units",
    units_object_id="5c8f7a0e-0000-4000-8000-000000000001",
)
NON_COMMERCIAL = {"model_name": "nc", "model_licence": "CC-BY-NC-SA-4.0"}
FIRST, SECOND = "sub-m1/sub-m1_ses-a_desc-celltype_ecephys.nwb", "sub-m2/sub-m2_ses-a_desc-celltype_ecephys.nwb"


def write_labels(
    folder: Path,
    subject: str,
    ids: Sequence[int] = (3, 5, 8),
    *,
    path: str = "",
    session: dict[str, Any] | None = None,
    source: SourceAsset = SOURCE,
    **changes: Any,
) -> Path:
    """Write the labels of a made-up session of a subject, detached from their units."""
    copy = replace(SESSION, subject_id=subject, identifier=f"session of {subject}", **(session or {}))
    target = folder / (path or f"sub-{subject}/sub-{subject}_ses-a_desc-celltype_ecephys.nwb")
    return write_detached(target, [from_classifier(ids, **changes)], copy, source)


def write_draft(folder: Path, **changes: Any) -> None:
    """Write a `dandiset.yaml` that is complete but for the changes; None takes a field out."""
    fields = {key: value for key, value in {**DRAFT, **changes}.items() if value is not None}
    (folder / "dandiset.yaml").write_text("# ours\n" + yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")


def edit(
    file: Path, *, source: dict[str, str] | None = None, method: dict[str, str] | None = None, **texts: str
) -> None:
    """Change a file of labels: its record of the source, how its labels were made, or texts by their HDF5 path."""
    with h5py.File(file, "r+") as opened:
        for column, value in (source or {}).items():
            opened[f"{SOURCE_PATH}/{column}"][0] = value
        runs = opened[CONTAINER_PATH]
        for name in runs:
            if "method" in runs[name]:
                runs[name]["method"].attrs.update(method or {})
        for place, value in texts.items():
            if place in opened:
                del opened[place]
            opened[place] = value


def change(file: Path) -> None:
    """Let a file hold other bytes than before; its labels stay."""
    edit(file, **{"general/surgery": f"another word {file.stat().st_mtime_ns}"})
