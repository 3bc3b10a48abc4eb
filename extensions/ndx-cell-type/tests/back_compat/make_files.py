"""Store a small file for the present release: ``python tests/back_compat/make_files.py [FOLDER]``.

Run it once a release and commit the file; never regenerate a file of an earlier release.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from pynwb import NWBHDF5IO, NWBFile

import ndx_cell_type
from ndx_cell_type.testing.mock import (
    mock_CellTypeAnnotationMethod,
    mock_CellTypeAnnotations,
    mock_CellTypeAnnotationTable,
    mock_CellTypeClassTable,
    mock_CellTypeEvidenceTable,
)


def main(folder: Path) -> None:
    nwbfile = NWBFile(
        session_description="back-compatibility", identifier="x", session_start_time=datetime(2026, 1, 1, tzinfo=UTC)
    )
    for unit_id in (7, 3, 9, 4):
        nwbfile.add_unit(id=unit_id, spike_times=[0.1, 0.25, 1.5])
    container = mock_CellTypeAnnotations(runs=[])
    nwbfile.create_processing_module(name="ecephys", description="Processed extracellular data").add(container)
    classes, evidence = mock_CellTypeClassTable(name="classes"), mock_CellTypeEvidenceTable(name="evidence")
    container.add_run(
        mock_CellTypeAnnotationTable(
            name="classifier",
            classes=classes,
            method=mock_CellTypeAnnotationMethod(name="classifier_method"),
            units=nwbfile.units,
            input_sha256="f" * 64,
            ood_score=[0.1, 0.2, 0.3, 0.4],
            confidence_threshold=0.5,
            verdict="Mouse cerebellum: can be typed.",
        )
    )
    container.add_run(
        mock_CellTypeAnnotationTable(
            name="ground_truth",
            classes=classes,
            method=mock_CellTypeAnnotationMethod(name="person", source_type="ground_truth"),
            unit_id=[3, 9],
            units=nwbfile.units,
            cell_type=["MLI", "PkC_cs"],
            cell_id=["a", "b"],
            split=["train", "none"],
            evidence=[[0], [1, 0]],
            evidence_table=evidence,
        )
    )
    container.add_run(
        mock_CellTypeAnnotationTable(
            name="detached",
            classes=classes,
            method=mock_CellTypeAnnotationMethod(name="rule", source_type="rule"),
            unit_id=[100],
            cell_type=["GoC"],
            source_identifier="another file",
            supersedes="an earlier run",
        )
    )
    with NWBHDF5IO(folder / f"{ndx_cell_type.__version__}_all_types.nwb", "w") as io:
        io.write(nwbfile)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
