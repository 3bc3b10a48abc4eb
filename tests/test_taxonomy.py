"""What each label means, and how other people's labels become ours, one by one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_celltype.errors import UsageError
from nwb_celltype.taxonomy import (
    CEREBELLUM,
    FOREBRAIN,
    UNCLASSIFIED,
    CellClass,
    Taxonomy,
    free_taxonomy,
    layer_of,
    map_label,
    means_no_label,
    vocabularies,
    vocabulary,
)

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"

# Every string that a vocabulary knows, as it is written in its files, and the class that it stands for.
MAPS: dict[str, dict[str, str]] = {
    "c4": {
        "PkC_ss": "PkC_ss", "PkC_cs": "PkC_cs", "MLI": "MLI", "MLI_A": "MLI", "MLI_B": "MLI", "GoC": "GoC",
        "MFB": "MFB", "GrC": "GrC",
    },
    "cellexplorer": {
        "Pyramidal Cell": "pyramidal", "Narrow Interneuron": "narrow_interneuron",
        "Wide Interneuron": "wide_interneuron", "PV": "PV", "PV+": "PV", "SST": "SST", "SST+": "SST", "VIP": "VIP",
        "VIP+": "VIP", "Axo_Axonic": "axo_axonic", "Juxta": "juxtacellular", "pE": "excitatory", "pI": "interneuron",
        "Axoaxonic": "axo_axonic", "AAC": "axo_axonic", "chandelier": "axo_axonic", "juxtacellular": "juxtacellular",
        "pyramidal": "pyramidal", "Pyramidal Cells": "pyramidal", "PYR": "pyramidal", "interneuron": "interneuron",
        "VGAT": "interneuron", "GAT1": "interneuron", "CAMKII": "excitatory", "CamK2": "excitatory", "Pvalb": "PV",
        "CCK": "CCK", "CCK+": "CCK", "NOS1": "NOS1", "NPY": "NPY", "LAMP5": "LAMP5", "5HT3a": "HTR3A", "Htr3a": "HTR3A",
        "dentate granule cell": "dentate_granule", "DG granule cell": "dentate_granule",
        "mossy cell": "hippocampal_mossy",
    },
    "cerebellum_text": {
        "Purkinje simple spike": "PkC_ss", "Purkinje simple spikes": "PkC_ss", "simple spike": "PkC_ss",
        "simple spikes": "PkC_ss", "SimpleSpike": "PkC_ss", "SS": "PkC_ss", "PC_ss": "PkC_ss", "PkC_simple": "PkC_ss",
        "Purkinje complex spike": "PkC_cs", "Purkinje complex spikes": "PkC_cs", "complex spike": "PkC_cs",
        "complex spikes": "PkC_cs", "ComplexSpike": "PkC_cs", "CS": "PkC_cs", "PC_cs": "PkC_cs",
        "PkC_complex": "PkC_cs", "molecular layer interneuron": "MLI", "basket cell": "MLI", "stellate cell": "MLI",
        "Golgi": "GoC", "Golgi cell": "GoC", "mossy fiber": "MFB", "mossy fibre": "MFB", "mossy fiber bouton": "MFB",
        "mossy fibre bouton": "MFB", "MF": "MFB", "granule cell": "GrC", "GC": "GrC",
    },
    "dandi_text": {
        "pyramidal": "pyramidal", "putative pyramidal": "pyramidal", "excitatory": "excitatory", "exc": "excitatory",
        "inhibitory": "interneuron", "inh": "interneuron", "interneuron": "interneuron",
        "fast spiking": "interneuron", "FS": "interneuron", "FSU": "interneuron", "narrow": "narrow_interneuron",
        "narrow width": "narrow_interneuron", "parvalbumin": "PV", "Pvalb": "PV", "somatostatin": "SST",
    },
}  # fmt: skip
TAXONOMY_OF = {"c4": CEREBELLUM, "cerebellum_text": CEREBELLUM, "cellexplorer": FOREBRAIN, "dandi_text": FOREBRAIN}

AMBIGUOUS = {
    "fast spiking or pyramidal": "names two classes",
    "Purkinje": "does not say whether simple or complex spikes",
    "Purkinje cell": "does not say whether simple or complex spikes",
    "PC": "does not say whether simple or complex spikes",
    "PkC": "does not say whether simple or complex spikes",
    "regular spiking": "is a phenotype of several types",
    "RS": "is a phenotype of several types",
    "RSU": "is a phenotype of several types",
    "wide": "is a phenotype of several types",
    "wide width": "is a phenotype of several types",
    "PTN": "is a projection target, not a class here",
    "CSN": "is a projection target, not a class here",
    "PTlower": "is a projection target, not a class here",
    "PTupper": "is a projection target, not a class here",
}

NO_LABEL = [
    "", " ", "none", "None", "NaN", "nan", "NA", "N/A", "n/a", "null", "[]", "Unknown", "unlabeled", "unlabelled",
    "Unclassified", "unassigned", "no label", "not labelled", "not labeled", "?", "-", "b''", "b'unlabeled'",
]  # fmt: skip


@pytest.fixture(scope="module")
def ontology() -> dict[str, Any]:
    path = DATA / "ontology_ids.json"
    if not path.exists():
        pytest.skip("the ontology ids are not beside this checkout")
    ids: dict[str, Any] = json.loads(path.read_text())
    return ids


def test_classes_of_the_cerebellum_have_the_ids_of_the_ontologies(ontology: dict[str, Any]) -> None:
    for label in CEREBELLUM.labels:
        curie, name = ontology["C4_to_CL"][label]
        assert CEREBELLUM[label].ontology_id == curie
        assert name.partition(" (")[0] == CEREBELLUM[label].ontology_label


def test_layers_have_the_ids_of_uberon(ontology: dict[str, Any]) -> None:
    for layer in CEREBELLUM.layers:
        assert layer.full_name in ontology["UBERON"][layer.ontology_id]


def test_forebrain_classes_have_the_ids_of_the_cell_ontology() -> None:
    assert {(c.ontology_id, c.ontology_label) for c in FOREBRAIN.classes} == {
        ("CL:0000540", "neuron"), ("CL:0000598", "pyramidal neuron"), ("CL:0000099", "interneuron"),
        ("CL:0000679", "glutamatergic neuron"), ("CL:4023018", "pvalb GABAergic interneuron"),
        ("CL:4023017", "sst GABAergic interneuron"), ("CL:4023016", "VIP GABAergic interneuron"),
        ("CL:0011005", "GABAergic interneuron"), ("CL:4072016", "NPY interneuron"),
        ("CL:4023011", "lamp5 GABAergic interneuron"), ("CL:2000089", "dentate gyrus granule cell"),
    }  # fmt: skip


@pytest.mark.parametrize("taxonomy", [CEREBELLUM, FOREBRAIN], ids=lambda taxonomy: taxonomy.name)
def test_every_class_is_described(taxonomy: Taxonomy) -> None:
    assert taxonomy.version
    assert taxonomy.description
    for c in taxonomy.classes:
        assert c.full_name
        assert c.definition.endswith(".")
        assert re.fullmatch(r"(CL|GO):\d{7}", c.ontology_id)
        assert c.ontology_label
        assert c.mapping_relation.startswith("skos:")
        assert not c.parent_label or c.parent_label in taxonomy


def test_a_spike_kind_is_no_cell_and_an_axon_is_no_cell() -> None:
    assert CEREBELLUM["PkC_ss"].ontology_id == CEREBELLUM["PkC_cs"].ontology_id == "CL:0000121"
    assert CEREBELLUM["PkC_ss"].mapping_relation == CEREBELLUM["PkC_cs"].mapping_relation == "skos:broadMatch"
    assert CEREBELLUM["MFB"].mapping_relation == "skos:relatedMatch"
    assert not CEREBELLUM["MFB"].ontology_id.startswith("CL")


def test_labels_and_their_order() -> None:
    assert CEREBELLUM.labels == ("PkC_ss", "PkC_cs", "MLI", "GoC", "MFB", "GrC")
    assert CEREBELLUM.subset(["GoC", "PkC_ss"]).labels == ("GoC", "PkC_ss")
    assert CEREBELLUM.subset(["GoC"]).layers == CEREBELLUM.layers
    assert "GoC" in CEREBELLUM
    assert UNCLASSIFIED not in CEREBELLUM


def test_an_unknown_class_is_named_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="No class 'UBC' in taxonomy 'cerebellar_cortex'; it has PkC_ss, PkC_cs, MLI"):
        CEREBELLUM["UBC"]
    with pytest.raises(UsageError, match="No class 'UBC'"):
        CEREBELLUM.subset(["MLI", "UBC"])


@pytest.mark.parametrize("labels", [("a", "a"), ("a", UNCLASSIFIED)])
def test_labels_are_distinct_and_unclassified_is_reserved(labels: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="labels must be distinct and 'unclassified' is reserved"):
        Taxonomy("t", "1", "", tuple(CellClass(label, label, "") for label in labels))


def test_a_free_taxonomy_defines_nothing() -> None:
    taxonomy = free_taxonomy(["ON", "OFF", "ON"])
    assert taxonomy.labels == ("OFF", "ON")
    assert (taxonomy["ON"].ontology_id, taxonomy["ON"].mapping_relation) == ("", "")
    with pytest.raises(UsageError, match="reserved"):
        free_taxonomy(["unclassified"])


def test_all_vocabularies_are_tested_here_and_hold_nothing_else() -> None:
    assert set(vocabularies()) == set(MAPS)
    for name, known in MAPS.items():
        assert sorted(vocabulary(name).values()) == sorted(known.values()), name
        assert len(vocabulary(name)) == len(known), name


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, known in MAPS.items() for text in known])
def test_every_label_of_every_vocabulary(name: str, text: str) -> None:
    expected = MAPS[name][text]
    for written in (text, text.upper(), text.lower(), f" {text} ", text.replace(" ", "_"), text.replace("_", "-")):
        assert map_label(written, name) == expected, written
    assert map_label(f"b'{text}'", name) == expected
    assert expected in TAXONOMY_OF[name]


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_ambiguous_texts_are_refused_with_the_reason(text: str) -> None:
    for name in vocabularies():
        with pytest.raises(UsageError, match=re.escape(f"Label {text!r} {AMBIGUOUS[text]}; it cannot be mapped.")):
            map_label(text, name)


@pytest.mark.parametrize("text", NO_LABEL)
def test_texts_that_mean_no_label(text: str) -> None:
    assert means_no_label(text)
    for name in vocabularies():
        assert map_label(text, name) is None


@pytest.mark.parametrize("text", ["PkC_ss", "good", "mua", "0", "interneuron"])
def test_texts_that_mean_something(text: str) -> None:
    assert not means_no_label(text)


def test_a_vocabulary_does_not_guess() -> None:
    for name, text in [
        ("c4", "PV"),
        ("cellexplorer", "MLI"),
        ("c4", "SS"),
        ("dandi_text", "pE"),
        ("c4", "Golgi cells"),
    ]:
        with pytest.raises(UsageError, match=f"Vocabulary {name!r} has no label {text!r}; it knows "):
            map_label(text, name)


def test_an_unknown_vocabulary_is_named_with_the_known_ones() -> None:
    message = "No vocabulary 'ibl'; there are c4, cellexplorer, cerebellum_text, dandi_text"
    with pytest.raises(UsageError, match=message):
        map_label("MLI", "ibl")
    with pytest.raises(UsageError, match=message):
        vocabulary("ibl")


def test_a_vocabulary_is_a_copy() -> None:
    known = vocabulary("c4")
    assert isinstance(known, dict)
    known.clear()
    assert map_label("MLI") == "MLI"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("ML", "ML"), ("ML_layer", "ML"), ("molecular layer", "ML"), ("Molecular", "ML"), ("CBXmo", "ML"),
        ("UBERON:0002974", "ML"), ("PCL", "PCL"), ("PkC_layer", "PCL"), ("Purkinje cell layer", "PCL"),
        ("Purkinje", "PCL"), ("CBXpu", "PCL"), ("GCL", "GCL"), ("GrC_layer", "GCL"), ("granule", "GCL"),
        ("granular layer", "GCL"), ("CBXgr", "GCL"),
    ],
)  # fmt: skip
def test_layers_by_their_names(text: str, label: str) -> None:
    layer = layer_of(text)
    assert layer is not None
    assert layer.label == label


@pytest.mark.parametrize("text", ["", "unknown", "white matter", "layer 5", "not_cortex"])
def test_no_layer(text: str) -> None:
    assert layer_of(text) is None


@pytest.mark.skipif(not (DATA / "c4").exists(), reason="the C4 units are not beside this checkout")
@pytest.mark.parametrize("name", ["hull_mouse_units", "lisberger_macaque_units", "hausser_mouse_waveforms"])
def test_labels_of_real_units_all_map(name: str) -> None:
    with np.load(DATA / "c4" / f"{name}.npz", allow_pickle=False) as file:
        labels = np.unique(file["cell_type"]).tolist()
    assert {map_label(label) for label in labels} <= {*CEREBELLUM.labels, None}
