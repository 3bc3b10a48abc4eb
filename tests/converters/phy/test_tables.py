from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nwb_celltype.converters.phy import read_sorting
from nwb_celltype.converters.phy.tables import EXPORT_RECORD, read_cluster_tables
from nwb_celltype.converters.records import Sorting

from . import folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four clusters (0, 1, 2, 5) and no tables."""
    np.save(tmp_path / "spike_times.npy", np.arange(8) * 100)
    np.save(tmp_path / "spike_clusters.npy", np.array([0, 1, 2, 5, 0, 1, 2, 5]))
    np.save(tmp_path / "channel_map.npy", np.arange(12))
    np.save(tmp_path / "channel_positions.npy", np.zeros((12, 2)))
    folders.write_params(tmp_path)
    return tmp_path


def values(sorting: Sorting, name: str) -> list[object]:
    return list(sorting.columns[name].values.tolist())


def has_note(sorting: Sorting, *words: str) -> bool:
    return any(all(word in note for word in words) for note in sorting.notes)


def test_without_tables_all_are_unsorted(folder: Path) -> None:
    sorting = read_sorting(folder)
    assert list(sorting.columns) == ["quality"]
    assert values(sorting, "quality") == ["unsorted"] * 4


def test_clusters_that_are_not_listed_stay(folder: Path) -> None:
    folders.write_table(folder, "cluster_group.tsv", ["cluster_id", "group"], [(5, "good"), (1, "noise")])
    folders.write_table(folder, "cluster_ContamPct.tsv", ["cluster_id", "ContamPct"], [(0, 3.5), (5, 101)])
    sorting = read_sorting(folder)
    assert sorting.unit_ids.tolist() == [0, 1, 2, 5]
    assert values(sorting, "quality") == ["unsorted", "noise", "unsorted", "good"]
    np.testing.assert_array_equal(sorting.columns["ContamPct"].values, [3.5, np.nan, np.nan, 101])
    assert "percent" in sorting.columns["ContamPct"].description


def test_cluster_group_of_a_sorting_nobody_curated(folder: Path) -> None:
    folders.write_table(folder, "cluster_group.tsv", ["cluster_id", "KSLabel"], [(0, "good"), (1, "mua")])
    sorting = read_sorting(folder)
    assert values(sorting, "KSLabel") == ["good", "mua", "", ""]
    assert values(sorting, "quality") == ["unsorted"] * 4


def test_odd_rows(folder: Path) -> None:
    (folder / "cluster_group.tsv").write_text(
        "\ufeffcluster_id\tgroup\r\n0\tgood\r\n\r\n\t\r\n\tmua\r\nabc\tgood\r\n1\tmua\r\n1\tgood\r\n2.0\tNone\r\n"
        "5\tnoise\tsurplus\r\n"
    )
    sorting = read_sorting(folder)
    assert values(sorting, "quality") == ["good", "good", "unsorted", "noise"]
    assert has_note(sorting, "cluster_group.tsv", "without a cluster id", "line 5")
    assert has_note(sorting, "cluster_group.tsv", "no whole number", "6 (abc)")
    assert has_note(sorting, "last row wins", "1")
    assert has_note(sorting, "more cells than the header", "line 10")


def test_cluster_info_of_phy(folder: Path) -> None:
    folders.save_in_phy(folder, {0: "good", 5: "mua"})
    sorting = read_sorting(folder)
    assert values(sorting, "quality") == ["good", "unsorted", "unsorted", "mua"]
    assert values(sorting, "fr") == [0.5] * 4
    assert values(sorting, "n_spikes") == [2] * 4
    assert sorting.columns["ch"].values.dtype == np.int64
    assert "hertz" in sorting.columns["fr"].description
    assert sorting.peak_channels is not None
    assert sorting.peak_channels.tolist() == [0, 1, 2, 0]  # no templates: column ch
    assert list(sorting.columns) == ["quality", "amp", "fr", "n_spikes", "ch", "depth", "sh"]
    assert not has_note(sorting, "n_spikes")
    folders.merge(folder, [0, 5], 6)
    assert has_note(read_sorting(folder), "n_spikes", "saved before")


def test_the_file_named_after_the_column_wins(folder: Path) -> None:
    folders.save_in_phy(folder, {0: "good"})
    folders.write_table(folder, "cluster_group.tsv", ["cluster_id", "group"], [(0, "noise"), (1, "good")])
    sorting = read_sorting(folder)
    assert values(sorting, "quality") == ["noise", "good", "unsorted", "unsorted"]
    assert has_note(sorting, "disagree about quality", "clusters 0", "cluster_group.tsv is used")


def test_types_and_separators(folder: Path) -> None:
    (folder / "cluster_notes.csv").write_text(
        'cluster_id,remark,ok,count\n0,"a, b",True,3\n1,,False,4\n2,c,True,5\n5,,True,6\n'
    )
    (folder / "cluster_excel.csv").write_text("cluster_id;width\n0;1,5\n5;2\n")
    (folder / "metrics.csv").write_text(",cluster_id,my_score\n0,0,1e-3\n1,1,inf\n2,2,nan\n3,5,-2\n")
    (folder / "cluster_matlab.tsv").write_text("cluster_id  area\n0 7\n1 8\n")
    (folder / "events.csv").write_text("time,name\n1,laser\n")
    sorting = read_sorting(folder)
    assert values(sorting, "remark") == ["a, b", "", "c", ""]
    assert values(sorting, "ok") == [True, False, True, True]
    assert values(sorting, "count") == [3, 4, 5, 6]
    np.testing.assert_array_equal(sorting.columns["width"].values, [1.5, np.nan, np.nan, 2])
    np.testing.assert_array_equal(sorting.columns["my_score"].values, [1e-3, np.inf, np.nan, -2])
    np.testing.assert_array_equal(sorting.columns["area"].values, [7, 8, np.nan, np.nan])
    assert "metrics.csv" in sorting.columns["my_score"].description
    assert has_note(sorting, "metrics.csv: column 1 has no name")
    assert list(sorting.columns) == ["quality", "area", "count", "my_score", "ok", "remark", "width"]


def test_names_that_a_units_table_has_already(folder: Path) -> None:
    folders.write_table(folder, "cluster_x.tsv", ["cluster_id", "id", "electrodes", "a/b"], [(0, 1, 2, 3)])
    sorting = read_sorting(folder)
    assert {"phy_id", "phy_electrodes", "a_b"} <= set(sorting.columns)
    assert has_note(sorting, "electrodes", "phy_electrodes")


def test_unusable_tables_are_noted(folder: Path) -> None:
    (folder / "cluster_empty.tsv").write_text("")
    (folder / "cluster_other.tsv").write_text("unit\tx\n1\t2\n")
    folders.write_table(folder, "cluster_blank.tsv", ["cluster_id", "blank"], [(0, ""), (1, "nan")])
    sorting = read_sorting(folder)
    assert list(sorting.columns) == ["quality"]
    for name in ("cluster_empty.tsv", "cluster_other.tsv", "cluster_blank.tsv"):
        assert has_note(sorting, name, "left out")


def test_a_table_in_another_encoding(folder: Path) -> None:
    (folder / "cluster_where.tsv").write_bytes("cluster_id\twhere\n0\tKörnerschicht\n".encode("cp1252"))
    sorting = read_sorting(folder)
    assert values(sorting, "where")[0] == "Körnerschicht"
    assert has_note(sorting, "cluster_where.tsv", "UTF-8")


def test_layers(folder: Path) -> None:
    rows = [(0, "GrC_layer"), (1, "molecular layer"), (2, "unknown"), (5, "not_cortex")]
    folders.write_table(folder, "cluster_layer.tsv", ["cluster_id", "layer"], rows)
    sorting = read_sorting(folder)
    assert values(sorting, "layer") == ["GCL", "ML", "", "not_cortex"]
    assert has_note(sorting, "cluster_layer.tsv", "not_cortex")


def test_c4_predictions_become_prior_labels(folder: Path) -> None:
    header = "predicted_cell_type"
    folders.write_table(
        folder, f"cluster_{header}.tsv", ["cluster_id", header], [(5, "MLI"), (0, "PkC_ss"), (9, "GoC")]
    )
    folders.write_table(
        folder, "cluster_pred_probability.tsv", ["cluster_id", "pred_probability"], [(0, 0.9), (5, 0.7)]
    )
    folders.write_table(folder, "cluster_confidence_ratio.tsv", ["cluster_id", "confidence_ratio"], [(0, 12.5), (5, 3)])
    folders.write_table(folder, "cluster_model_votes.tsv", ["cluster_id", "model_votes"], [(0, 2020), (5, 1500)])
    sorting = read_sorting(folder)
    (labels,) = sorting.prior_labels
    assert labels.source_type == "classifier"
    assert labels.source == "cluster_predicted_cell_type.tsv"
    assert dict(zip(labels.unit_rows.tolist(), labels.labels, strict=True)) == {0: "PkC_ss", 3: "MLI"}
    assert labels.confidence is not None
    assert labels.confidence.tolist() == [0.9, 0.7]
    assert "C4" in labels.software
    assert "predicted_cell_type" not in sorting.columns
    assert "pred_probability" not in sorting.columns
    assert {"confidence_ratio", "model_votes"} <= set(sorting.columns)
    assert has_note(sorting, "without spikes", "9")


def test_c4_predictions_without_probabilities(folder: Path) -> None:
    folders.write_table(folder, "cluster_predicted_cell_type.tsv", ["cluster_id", "cell_type"], [(1, "MFB"), (2, "")])
    (labels,) = read_sorting(folder).prior_labels
    assert (labels.unit_rows.tolist(), labels.labels, labels.confidence) == ([1], ("MFB",), None)


def test_a_cell_type_of_unknown_origin_is_a_column(folder: Path) -> None:
    folders.write_table(folder, "cluster_cell_type.tsv", ["cluster_id", "cell_type"], [(1, "MFB")])
    sorting = read_sorting(folder)
    assert sorting.prior_labels == ()
    assert values(sorting, "cell_type") == ["", "MFB", "", ""]
    assert has_note(sorting, "cluster_cell_type.tsv", "not stated")


def test_every_known_column_is_described(folder: Path) -> None:
    pytest.importorskip("spikeinterface")
    from spikeinterface.metrics.quality import ComputeQualityMetrics
    from spikeinterface.metrics.spiketrain import ComputeSpikeTrainMetrics
    from spikeinterface.metrics.template import ComputeTemplateMetrics

    names = {
        name
        for group in (ComputeQualityMetrics, ComputeTemplateMetrics, ComputeSpikeTrainMetrics)
        for metric in group.metric_list
        for name in metric.metric_columns
    }
    assert len(names) > 30
    for name in names:
        folders.write_table(folder, f"cluster_{name}.tsv", ["cluster_id", name], [(0, 1.5)])
    sorting = read_sorting(folder)
    assert {name for name in names if "not stated there" in sorting.columns[name].description} == set()


def test_labels_that_were_exported_are_not_read_back(folder: Path) -> None:
    (folder / "cluster_cell_type.tsv").write_text("cluster_id\tcell_type\n0\tPkC_ss\n")
    (folder / "cluster_info.tsv").write_text("cluster_id\tcell_type\tcell_type_confidence\tdepth\n0\tPkC_ss\t0.9\t40\n")
    assert {"cell_type", "cell_type_confidence"} <= set(read_cluster_tables(folder).columns)
    (folder / EXPORT_RECORD).write_text("{}")
    tables = read_cluster_tables(folder)
    assert not {"cell_type", "cell_type_confidence"} & set(tables.columns)
    assert tables.columns["depth"].cells == {0: "40"}
    assert any("cell_type (cluster_cell_type.tsv, cluster_info.tsv) was left out" in note for note in tables.notes)
