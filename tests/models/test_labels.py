"""Labelled units from arrays and from units in memory; hashes that find a row again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_celltype import labels
from nwb_celltype.errors import InputError, RefusedError, UsageError
from nwb_celltype.features.counts import count_train
from nwb_celltype.labels import LabelledUnits, clean_labels, labelled_from_units, read_labelled
from nwb_celltype.runs import Method
from nwb_celltype.units import Units

from ..nwb_io.annotations import from_classifier, graft_into
from ..nwb_io.files import plain
from .synthetic import CLASSES, RATE_HZ, make_arrays, make_spikes, make_waveform, save


def test_reads_arrays(tmp_path: Path) -> None:
    arrays = make_arrays(4, 0) | {"lab": "Ours", "recording": np.repeat(["a", "b"], 6)}
    labelled = read_labelled(save(tmp_path / "units.npz", arrays))
    assert len(labelled) == 12
    assert labelled.lab == "Ours"
    assert labelled.groups.tolist() == ["a"] * 6 + ["b"] * 6
    assert labelled.is_labelled.all()
    assert labelled.problems() == []
    assert labelled.usable().all()
    np.testing.assert_array_equal(labelled.features["isi_counts"], arrays["isi_counts"])


def test_waveforms_alone_are_enough(tmp_path: Path) -> None:
    labelled = read_labelled(save(tmp_path / "units.npz", make_arrays(2, 0, with_trains=False)))
    assert labelled.usable().all()
    assert (labelled.part_sha256[:, 1] == "").all()
    assert labelled.problems() == []


def test_words_for_no_label_are_no_label() -> None:
    assert clean_labels(["MLI ", "unlabeled", "", "Unknown", "nan", "GoC"]).tolist() == ["MLI", "", "", "", "", "GoC"]


def test_degenerate_rows_are_kept_and_said(tmp_path: Path) -> None:
    arrays = make_arrays(3, 0)
    for name in ("waveform", "isi_counts", "acg_counts"):
        arrays[name][4] = arrays[name][3]
    arrays["acg_counts"][5] = 0
    arrays["waveform"][6] = np.nan
    arrays["isi_counts"][6] = arrays["acg_counts"][6] = 0
    labelled = read_labelled(save(tmp_path / "units.npz", arrays))
    assert len(labelled) == 9
    assert labelled.usable().tolist() == [True] * 4 + [False, True, False, True, True]
    said = " ".join(labelled.problems())
    assert "units 3 and 4 are the same row" in said
    assert "unit 5: the autocorrelogram is empty" in said
    assert "unit 6: the waveform contains NaN" in said


def test_hashes_do_not_depend_on_unit_of_measure_type_or_file(tmp_path: Path) -> None:
    arrays = make_arrays(5, 0)
    one = read_labelled(save(tmp_path / "one.npz", arrays))
    other_arrays = {
        **arrays,
        "waveform": arrays["waveform"].astype(np.float64) * 1e-6,
        "isi_counts": arrays["isi_counts"].astype(np.int64),
    }
    other = read_labelled(save(tmp_path / "other.npz", other_arrays))
    assert (one.part_sha256 == other.part_sha256).mean() > 0.95
    assert len(set(one.row_sha256)) == len(one)
    changed = {**arrays, "isi_counts": arrays["isi_counts"] + 1}
    assert not np.isin(read_labelled(save(tmp_path / "c.npz", changed)).row_sha256, one.row_sha256).any()


def test_units_and_arrays_give_the_same_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    spikes = [make_spikes(kind, rng) for kind in CLASSES]
    waves = [make_waveform(kind, rng) for kind in CLASSES]
    units = Units.from_arrays(spikes, waveform_mean=waves, waveform_rate_hz=RATE_HZ)
    from_units = labelled_from_units(units, CLASSES, lab="A")
    counts = [count_train(times) for times in spikes]
    arrays: dict[str, Any] = {
        "waveform": np.array(waves),
        "waveform_rate_hz": RATE_HZ,
        "cell_type": np.array(CLASSES),
        "isi_counts": np.array([c.isi_counts for c in counts]),
        "acg_counts": np.array([c.acg_counts for c in counts]),
    }
    from_arrays = read_labelled(save(tmp_path / "units.npz", arrays))
    assert from_units.row_sha256.tolist() == from_arrays.row_sha256.tolist()
    assert from_units.take(np.array([2])).cell_type.tolist() == ["slow"]


def test_one_label_a_unit() -> None:
    units = Units.from_arrays([[0.1, 0.2]])
    with pytest.raises(UsageError, match="2 labels for 1 units"):
        labelled_from_units(units, ["a", "b"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"waveform": None}, "no array waveform"),
        ({"waveform": np.zeros(3)}, r"`waveform` has shape \(3,\)"),
        ({"isi_counts": np.zeros((6, 7), int)}, r"`isi_counts` has shape \(6, 7\)"),
        ({"recording": np.array(["a"])}, "one entry for each of the 6 units"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    arrays = {k: v for k, v in {**make_arrays(2, 0), **change}.items() if v is not None}
    with pytest.raises(InputError, match=said):
        read_labelled(save(tmp_path / "units.npz", arrays))


def test_pickles_and_missing_files_are_refused(tmp_path: Path) -> None:
    arrays = {**make_arrays(1, 0), "cell_type": np.array(["a", None, 1], dtype=object)}
    path = save(tmp_path / "units.npz", arrays)
    with pytest.raises(InputError, match="without pickled objects"):
        read_labelled(path)
    with pytest.raises(InputError, match="does not exist"):
        read_labelled(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(InputError, match="cannot be read as arrays"):
        read_labelled(tmp_path / "text.npz")
    with pytest.raises(UsageError, match="carries its own labels"):
        read_labelled(path, labels=tmp_path / "labels.csv")


def test_table_of_labels(tmp_path: Path) -> None:
    path = plain(tmp_path / "session.nwb", ids=(3, 7, 8))
    table = tmp_path / "labels.csv"
    table.write_text("cluster_id;label\n3;MLI\n7;\n")
    assert read_labelled(path, labels=table).cell_type.tolist() == ["MLI", "", ""]
    table.write_text("unit_id,cell_type\n3,MLI\n9,GoC\n")
    with pytest.raises(InputError, match="labels unit 9, which"):
        read_labelled(path, labels=table)
    table.write_text("unit_id,cell_type\n3,MLI\n3,GoC\n")
    with pytest.raises(InputError, match="unit 3 is labelled twice"):
        read_labelled(path, labels=table)


def test_real_rows(c4: Path) -> None:
    labelled: LabelledUnits = read_labelled(c4 / "lisberger_macaque_units.npz")
    assert (len(labelled), int(labelled.is_labelled.sum()), int(labelled.usable().sum())) == (768, 467, 767)
    assert any("units 29 and 30" in said or "unit 30 has exactly" in said for said in labelled.problems())


def test_texts_may_be_stored_as_bytes(tmp_path: Path) -> None:
    arrays = make_arrays(2, 0)
    stored = {
        **arrays,
        "cell_type": np.array([b"MLI", b"unlabelled", b"GrC"] * 2),
        "recording": np.array([b"a"] * 6),
        "lab": np.bytes_(b"Ours"),
    }
    labelled = read_labelled(save(tmp_path / "units.npz", stored))
    assert labelled.cell_type.tolist() == ["MLI", "", "GrC"] * 2
    assert labelled.groups.tolist() == ["a"] * 6
    assert labelled.lab == "Ours"
    assert clean_labels(["b'GoC'", "N/A", "not labelled", "?"]).tolist() == ["GoC", "", "", ""]


def test_the_type_of_numbers_does_not_matter(tmp_path: Path) -> None:
    arrays = make_arrays(2, 0)
    plain = read_labelled(save(tmp_path / "units.npz", arrays))
    for kind in (np.uint64, np.float32, ">i4"):
        other = {**arrays, **{name: arrays[name].astype(kind) for name in ("isi_counts", "acg_counts")}}
        other["waveform"] = np.asfortranarray(arrays["waveform"].astype(">f8"))
        assert read_labelled(save(tmp_path / "other.npz", other)).row_sha256.tolist() == plain.row_sha256.tolist()


def test_a_row_of_nan_counts_masks_that_train_only(tmp_path: Path) -> None:
    arrays = make_arrays(2, 0)
    plain = read_labelled(save(tmp_path / "units.npz", arrays))
    damaged = {name: arrays[name].astype(float) for name in ("isi_counts", "acg_counts")}
    damaged["isi_counts"][1, 3] = np.nan
    read = read_labelled(save(tmp_path / "nan.npz", {**arrays, **damaged}))
    assert "0, needed" in read.features["train_reason"].values[1]
    assert read.features["waveform_reason"].values[1] == ""
    others = np.arange(len(read)) != 1
    np.testing.assert_array_equal(read.features["acg"].values[others], plain.features["acg"].values[others])
    assert any("unit 1: too few" in sentence for sentence in read.problems())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"unit_id": np.array(list("abcdef"))}, "`unit_id` holds <U1"),
        ({"unit_id": np.arange(6) + 0.5}, "`unit_id` holds values that are no whole numbers"),
        ({"unit_id": np.array(3)}, "one entry for each of the 6 units"),
        ({"waveform_rate_hz": np.array("fast")}, "`waveform_rate_hz` holds <U4"),
        ({"waveform": np.full((6, 75), "a")}, "one row of numbers"),
        ({"isi_counts": np.full((6, 100), 0.5)}, "`isi_counts` holds 0.5 in row 0; counts are whole numbers"),
        ({"acg_counts": np.full((6, 201), -1)}, "`acg_counts` holds -1 in row 0; counts are whole numbers"),
        ({"lab": np.array(["A", "B"])}, "`lab` holds A, B"),
    ],
)
def test_values_that_cannot_be_are_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_labelled(save(tmp_path / "units.npz", {**make_arrays(2, 0), **change}))


def test_only_what_is_used_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "units.npz", {**make_arrays(2, 0), "note": np.array([None], dtype=object)})
    assert len(read_labelled(path)) == 6
    monkeypatch.setattr(labels, "_MAX_BYTES", 1000)
    with pytest.raises(InputError, match="unpacks to"):
        read_labelled(path)
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match="cannot be read as arrays"):
        read_labelled(tmp_path / "array.npz")


def test_units_without_anything_are_not_the_same_row(tmp_path: Path) -> None:
    arrays = make_arrays(2, 0, with_trains=False)
    arrays["waveform"][:2] = np.nan
    assert not any("same row" in said for said in read_labelled(save(tmp_path / "units.npz", arrays)).problems())


def test_predictions_are_no_labels(tmp_path: Path) -> None:
    path = plain(tmp_path / "session.nwb", ids=(7, 9))
    graft_into(path, from_classifier((7, 9), run_name="guess"))
    with pytest.raises(RefusedError, match=r"a classifier predicted \(run 'guess'\)"):
        read_labelled(path)
    assert read_labelled(path, run="guess").cell_type.tolist() == ["PkC_ss", ""]
    graft_into(path, from_classifier((7, 9), run_name="named", method=Method("expert", {"person": "Doe, Jane"})))
    assert read_labelled(path).cell_type.tolist() == ["PkC_ss", ""]
