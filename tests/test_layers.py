"""Layers: read in many words, from tables and columns, and what they rule out."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO

import nwb_celltype as nct
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.layers import Layers, find_layers, layer_of, rule_out

from .nwb_io.files import plain

CLASSES = ("GoC", "MFB", "MLI", "PkC_cs", "PkC_ss")
UNITS = nct.Units.from_arrays([[0.1], [0.2], [0.3]], unit_ids=[7, 3, 9])


@pytest.mark.parametrize(
    ("words", "layer"),
    [
        (("ML", "ml", "ML_layer", "mo", "Molecular layer", "molecular"), "ML"),
        (("PCL", "PkC_layer", "Purkinje layer", "Purkinje cell layer", "purkinje"), "PCL"),
        (("GCL", "GrC_layer", "granular layer", "granule cell layer", "Granule cells layer", "granular"), "GCL"),
        (("not_cortex", "white matter", "outside"), "not_cortex"),
        (("", " ", "unknown", "nan", "None", "N/A"), ""),
        (("2/3", "L5", "VI", "pyramidal layer", "cortex"), None),
    ],
)
def test_words_for_layers(words: tuple[str, ...], layer: str | None) -> None:
    assert {layer_of(word) for word in words} == {layer}


def test_what_each_layer_rules_out() -> None:
    flat = np.full((5, 5), 0.2)
    flat[4] = np.nan
    names = np.array(["GCL", "ML", "PCL", "", "GCL"])
    after = rule_out(flat, CLASSES, Layers(names, "s"))
    np.testing.assert_allclose(after[0], [0.25, 0.25, 0, 0.25, 0.25])
    np.testing.assert_allclose(after[1], [0, 0, 1 / 3, 1 / 3, 1 / 3])
    np.testing.assert_array_equal(after[2:4], flat[2:4])
    assert np.isnan(after[4]).all()
    assert (flat[:4] == 0.2).all()


def test_a_layer_that_leaves_nothing() -> None:
    assert np.isnan(rule_out(np.array([[0.0, 0, 1, 0, 0]]), CLASSES, Layers(np.array(["GCL"]), "s"))).all()


def test_models_of_other_classes_are_not_touched() -> None:
    half = np.array([[0.5, 0.5]])
    np.testing.assert_array_equal(rule_out(half, ("PV", "SST"), Layers(np.array(["GCL"]), "s")), half)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.csv", "unit_id,layer\n3,GrC_layer\n9,\n12,ML\n"),
        ("l.tsv", "cluster_id\tphyllum_layer\n3\tGCL\n"),
        ("l.csv", "id;layer;note\n3;granular layer;sure\n;;\n"),
    ],
)
def test_tables(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    layers = find_layers(UNITS, path)
    assert layers is not None
    assert (layers.names.tolist(), layers.source) == (["", "GCL", ""], name)
    stored = layers.parameters(UNITS.unit_ids)
    assert (stored["source"], stored["units"], len(stored["sha256"])) == (name, {"GCL": 1}, 64)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("unit_id,place\n3,GCL\n", "needs the columns unit_id and layer; it has unit_id, place"),
        ("unit_id,layer\nx,GCL\n", "line 2: 'x' is no unit id"),
        ("unit_id,layer\n3,L5\n", "l.csv, line 2: 'L5' is no layer of the cerebellar cortex; write ML, PCL, GCL"),
        ("unit_id,layer\n3,GCL\n3,ML\n", "line 3: unit 3 is there twice"),
        ("unit_id,layer\n33,GCL\n", "None of the 1 units of l.csv is among"),
    ],
)
def test_tables_that_make_no_sense(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "l.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        find_layers(UNITS, path)


def test_neither_a_table_nor_a_column() -> None:
    with pytest.raises(UsageError, match=r"'layers\.csv' is neither a table of layers nor a column"):
        find_layers(UNITS, "layers.csv")


def with_column(path: Path, name: str, values: list[str]) -> Path:
    plain(path)
    with NWBHDF5IO(path, "a") as io:
        nwb = io.read()
        nwb.units.add_column(name, "where it was", data=values)
        io.write(nwb)
    return path


def test_columns_of_the_file(tmp_path: Path) -> None:
    file = with_column(tmp_path / "a.nwb", "phyllum_layer", ["ML", "unknown", "GrC_layer"])
    with nct.read_units(file) as units:
        layers = find_layers(units)
        assert layers is not None
        assert (layers.names.tolist(), layers.source) == (["ML", "", "GCL"], "units column phyllum_layer")
        assert find_layers(units, "ignore") is None


def test_layers_of_the_neocortex_are_none(tmp_path: Path) -> None:
    file = with_column(tmp_path / "a.nwb", "layer", ["L5", "ML", "2/3"])
    with nct.read_units(file) as units:
        assert find_layers(units) is None
        with pytest.raises(InputError, match="The column 'layer' holds 'L5'"):
            find_layers(units, "layer")
    empty = with_column(tmp_path / "b.nwb", "layer", ["", "unknown", ""])
    with nct.read_units(empty) as units:
        assert find_layers(units) is None
    with h5py.File(empty) as opened:
        assert "layer" in opened["units"]


def test_a_file_without_layers_has_none() -> None:
    assert find_layers(UNITS) is None
