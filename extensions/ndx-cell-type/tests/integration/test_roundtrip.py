"""pynwb's own round trips (write, validate, read, compare, export) for every type."""

from __future__ import annotations

import pytest
from hdmf.common import DynamicTable, VectorData
from pynwb import NWBFile
from pynwb.testing import NWBH5IOFlexMixin, TestCase

from ndx_cell_type import CellTypeAnnotations
from ndx_cell_type.testing.mock import (
    mock_CellTypeAnnotationMethod,
    mock_CellTypeAnnotationTable,
    mock_CellTypeClassTable,
    mock_CellTypeEvidenceTable,
)


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the mixin writes into the working directory


class RoundTrip(NWBH5IOFlexMixin):
    name = "thing"
    attr = ""

    def getContainerType(self) -> str:
        return type(self).__name__

    def fill(self, container: CellTypeAnnotations) -> None:
        raise NotImplementedError

    def addContainer(self) -> None:
        for unit_id in (7, 3, 9):
            self.nwbfile.add_unit(id=unit_id, spike_times=[0.1, 0.2, 1.0])
        container = CellTypeAnnotations()
        module = self.nwbfile.create_processing_module(name="ecephys", description="Processed extracellular data")
        module.add(container)
        self.fill(container)

    def getContainer(self, nwbfile: NWBFile):
        container = nwbfile.processing["ecephys"]["cell_type_annotations"]
        return getattr(container, self.attr)[self.name] if self.attr else container


class TestCellTypeAnnotations(RoundTrip, TestCase):
    def fill(self, container):
        container.add_run(mock_CellTypeAnnotationTable(units=self.nwbfile.units))
        container.add_run(mock_CellTypeAnnotationTable())


class TestEmptyCellTypeAnnotations(RoundTrip, TestCase):
    def fill(self, container):
        pass


class TestCellTypeClassTable(RoundTrip, TestCase):
    attr = "cell_type_class_tables"

    def fill(self, container):
        container.add_cell_type_class_tables(mock_CellTypeClassTable(name="thing", taxonomy_uri="https://x.org"))


class TestCellTypeAnnotationMethod(RoundTrip, TestCase):
    attr = "cell_type_annotation_methods"

    def fill(self, container):
        container.add_cell_type_annotation_methods(mock_CellTypeAnnotationMethod(name="thing"))


class TestCellTypeEvidenceTable(RoundTrip, TestCase):
    attr = "cell_type_evidence_tables"

    def fill(self, container):
        column = VectorData(name="label", description="d", data=["a", "b"])
        pulses = DynamicTable(name="pulses", description="d", columns=[column])
        self.nwbfile.add_acquisition(pulses)
        rows = [{"kind": "optotag", "latency_ms": 2.0, "pulses": [0, 1]}, {"kind": "expert", "note": "n"}]
        container.add_cell_type_evidence_tables(
            mock_CellTypeEvidenceTable(name="thing", rows=rows, pulses_table=pulses)
        )


class TestCellTypeAnnotationTable(RoundTrip, TestCase):
    attr = "cell_type_annotation_tables"

    def fill(self, container):
        container.add_run(
            mock_CellTypeAnnotationTable(
                name="thing",
                units=self.nwbfile.units,
                ood_score=[0.1, 0.2, 0.3],
                cell_id=["a", "a", "b"],
                split=["train", "none", "test"],
                evidence=[[0, 1], [], [1]],
                evidence_table=mock_CellTypeEvidenceTable(),
                input_sha256="0" * 64,
                source_identifier="x",
                supersedes="an earlier run",
                confidence_threshold=0.5,
                verdict="fine",
            )
        )


class TestDetachedCellTypeAnnotationTable(RoundTrip, TestCase):
    attr = "cell_type_annotation_tables"

    def fill(self, container):
        container.add_run(
            mock_CellTypeAnnotationTable(
                name="thing", unit_id=[100, 200], units_object_id="elsewhere", source_identifier="another file"
            )
        )
