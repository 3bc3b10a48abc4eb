"""Names of classes: case and separators do not count where that leaves no doubt."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_celltype.class_names import match_names, name_key, one_spelling
from nwb_celltype.errors import UsageError
from nwb_celltype.evaluation import evaluate
from nwb_celltype.labels import read_labelled
from nwb_celltype.taxonomy import map_label
from nwb_celltype.training.pool import make_pool

from .synthetic import make_arrays, save


@pytest.mark.parametrize("name", ["Axo_Axonic", "axo-axonic", "AXO AXONIC", " axoAxonic ", "axo/axonic"])
def test_case_and_separators_do_not_count(name):
    assert name_key(name) == "axoaxonic"
    assert match_names(["Axo-axonic", "PV"], [name]) == {name: "Axo-axonic"}
    assert map_label(name, "cellexplorer") == "axo_axonic"


def test_signs_and_numbers_count():
    assert len({name_key(name) for name in ("PV", "PV+", "PV-", "PV 1", "PV 1-1", "PV 11")}) == 6


def test_names_that_could_mean_two_are_refused():
    assert match_names(["PkC_ss", "pkcss"], ["pkcss"]) == {"pkcss": "pkcss"}
    with pytest.raises(UsageError, match="'pkc ss' could mean 'PkC_ss' or 'pkcss'"):
        match_names(["PkC_ss", "pkcss"], ["pkc ss"])


def test_maps_know_the_labels_of_their_taxonomy_however_written():
    assert map_label("Hippocampal-Mossy", "cellexplorer") == "hippocampal_mossy"
    assert map_label("PkC ss") == "PkC_ss"
    assert map_label("Pyramidal Cell", "cellexplorer") == "pyramidal"
    with pytest.raises(UsageError, match="no label 'pyramid'"):
        map_label("pyramid", "cellexplorer")


def test_classes_are_found_as_they_are_asked_for(tmp_path):
    arrays = make_arrays(6, 0)
    arrays["cell_type"] = np.where(arrays["cell_type"] == "fast", "Fast_Spiking", arrays["cell_type"])
    labelled = read_labelled(save(tmp_path / "a.npz", arrays))
    pool = make_pool([labelled], classes=["fast-spiking", "SLOW"], n_variants=1)
    assert pool.classes == ("fast-spiking", "SLOW")
    assert np.bincount(pool.labels).tolist() == [6, 6]


def test_one_class_that_files_spell_differently_is_one(tmp_path, caplog):
    spelt = [read_labelled(save(tmp_path / f"{k}.npz", make_arrays(n, k))) for k, n in enumerate((6, 5))]
    spelt[1].cell_type[:] = np.char.upper(spelt[1].cell_type)
    pool = make_pool(spelt, n_variants=1)
    assert pool.classes == ("fast", "regular", "slow")
    assert np.bincount(pool.labels).tolist() == [11, 11, 11]
    assert "'FAST' is taken for 'fast'" in caplog.text
    assert one_spelling({"b": 1, "B": 1}) == {"b": "B", "B": "B"}


def test_a_model_is_measured_on_labels_however_written(model, unseen):
    plain = evaluate(model, unseen)
    other = unseen.take(np.arange(len(unseen)))
    other.cell_type[:] = np.char.capitalize(other.cell_type)
    again = evaluate(model, other)
    assert again.scores == plain.scores
    assert again.left_out["unknown_class"] == 0
