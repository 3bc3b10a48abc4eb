"""The committed schema is what its script writes, and follows NWB's own rules."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pynwb
import pytest
import yaml

import ndx_cell_type
from ndx_cell_type import _namespace

ROOT = Path(__file__).parents[2]
FILES = ("ndx-cell-type.namespace.yaml", "ndx-cell-type.extensions.yaml")
RESERVED = {
    "parent", "name", "modified", "fields", "children", "columns", "namespace", "object_id", "container_source",
    "data", "neurodata_type", "id", "colnames", "description",
}  # fmt: skip


@pytest.fixture(scope="module")
def types() -> list[dict]:
    return yaml.safe_load((ROOT / "spec" / FILES[1]).read_text())["groups"]


def test_committed_schema_is_the_generated_one(tmp_path):
    runpy.run_path(str(ROOT / "src/spec/create_extension_spec.py"))["main"](tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_text() == (ROOT / "spec" / name).read_text(), name


def test_schema_is_valid_nwb():
    meta = Path(pynwb.__file__).parent / "nwb-schema" / "nwb.schema.json"
    tool = Path(sys.executable).with_name("validate_hdmf_spec")
    done = subprocess.run([tool, ROOT / "spec", "-m", meta], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_version_is_stated_once():
    import tomllib

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    namespace = yaml.safe_load((ROOT / "spec" / FILES[0]).read_text())["namespaces"][0]
    catalog = yaml.safe_load((ROOT / "ndx-meta.yaml").read_text())
    assert version == namespace["version"] == catalog["version"] == ndx_cell_type.__version__ == "0.1.0"
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_package_reads_the_repository_schema_or_its_own():
    assert (_namespace.spec_folder() / FILES[0]).exists()


def test_missing_schema_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(_namespace, "__file__", str(tmp_path / "a/b/c/d.py"))
    with pytest.raises(FileNotFoundError, match="reinstall"):
        _namespace.spec_folder()


def test_no_column_has_a_name_that_breaks_files(types):
    for group in types:
        for dataset in group.get("datasets", []):
            assert dataset["name"] not in RESERVED
            assert not hasattr(pynwb.core.DynamicTable, dataset["name"])


def test_only_features_that_old_schemas_know(types):
    """No references in attributes, and no types that NWB 2.2 lacks."""
    text = (ROOT / "spec" / FILES[1]).read_text()
    assert "isodatetime" not in text
    assert "reftype" not in text
    ours = {group["neurodata_type_def"] for group in types}
    base = {"DynamicTable", "NWBContainer", "NWBDataInterface", "VectorData", "VectorIndex", "DynamicTableRegion"}
    used = {g["neurodata_type_inc"] for g in types} | {
        d["neurodata_type_inc"] for g in types for d in g.get("datasets", [])
    }
    assert used <= ours | base


def test_every_column_of_the_schema_is_declared_in_python(types):
    for group in types:
        columns = {d["name"] for d in group.get("datasets", []) if not d["name"].endswith("_index")}
        declared = {
            conf["name"] for conf in getattr(getattr(ndx_cell_type, group["neurodata_type_def"]), "__columns__", ())
        }
        assert columns == declared, group["neurodata_type_def"]


def test_public_names():
    assert sorted(ndx_cell_type.__all__) == sorted(
        [
            "DEFAULT_NAME", "EVIDENCE_KINDS", "MAPPING_RELATIONS", "NAMESPACE", "REASONS", "REASON_MEANINGS",
            "SOURCE_TYPES", "SPLITS", "UNCLASSIFIED", "CellTypeAnnotationMethod", "CellTypeAnnotationTable",
            "CellTypeAnnotations", "CellTypeClassTable", "CellTypeEvidenceTable", "__version__", "published_run",
        ]
    )  # fmt: skip
    assert all(hasattr(ndx_cell_type, name) for name in ndx_cell_type.__all__)
