"""Labelled units from arrays and from units in memory; hashes that find a row again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.features.counts import count_train
from nwb_celltype.labels import LabelledUnits, clean_labels, labelled_from_units, read_label_column, read_labelled
from nwb_celltype.units import Units

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
    table = tmp_path / "labels.tsv"
    table.write_text("unit_id\tcell_type\n3\tMLI\n7\t\n")
    assert read_label_column(table) == {3: "MLI", 7: ""}
    table.write_text("unit_id,kind\n3,MLI\n")
    with pytest.raises(InputError, match="needs the columns unit_id"):
        read_label_column(table)
    with pytest.raises(InputError, match="cannot be read"):
        read_label_column(tmp_path / "none.csv")


def test_real_rows(c4: Path) -> None:
    labelled: LabelledUnits = read_labelled(c4 / "lisberger_macaque_units.npz")
    assert (len(labelled), int(labelled.is_labelled.sum()), int(labelled.usable().sum())) == (768, 467, 767)
    assert any("units 29 and 30" in said or "unit 30 has exactly" in said for said in labelled.problems())
