"""What SpikeInterface reads of the same folders, where it reads them right; and what it writes itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nwb_celltype.converters.phy import read_session, read_sorting

from . import folders

SESSION = folders.simulate(length=82, n_before=40)


@pytest.mark.parametrize("reader", ["read_phy", "read_kilosort"])
@pytest.mark.parametrize("writer", ["kilosort25", "kilosort4", "spikeinterface_export"])
def test_same_units_and_columns(tmp_path: Path, reader: str, writer: str) -> None:
    import spikeinterface.extractors as extractors

    folder = getattr(folders, writer)(tmp_path / "ks", SESSION)
    theirs = getattr(extractors, reader)(folder)
    ours = read_sorting(folder)
    assert [int(unit) for unit in theirs.get_property("original_cluster_id")] == ours.unit_ids.tolist()
    for row, unit in enumerate(theirs.unit_ids):
        np.testing.assert_array_equal(theirs.get_unit_spike_train(unit), ours.samples_of(row))
    shared = set(theirs.get_property_keys()) & set(ours.columns)
    assert shared
    for name in shared:
        np.testing.assert_array_equal(theirs.get_property(name), ours.columns[name].values)


def test_clusters_that_spikeinterface_drops_are_kept(tmp_path: Path) -> None:
    """An inner join of the tables leaves three of six clusters there."""
    import spikeinterface.extractors as extractors

    folder = folders.kilosort25(tmp_path / "ks", SESSION)
    groups = {0: "good", 1: "mua", 2: "noise"}
    folders.write_table(folder, "cluster_group.tsv", ["cluster_id", "group"], folders.by_cluster(groups))
    assert len(extractors.read_phy(folder).unit_ids) == 3
    ours = read_sorting(folder)
    assert len(ours) == 6
    assert ours.columns["quality"].values.tolist() == [*groups.values(), "unsorted", "unsorted", "unsorted"]


def test_a_real_export_to_phy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import spikeinterface.core as si
    from spikeinterface.exporters import export_to_phy
    from spikeinterface.postprocessing import template_similarity

    # the exporter's similarity of templates compiles for a minute with numba; nothing here needs it
    in_numpy = template_similarity._compute_similarity_matrix_numpy
    monkeypatch.setattr(template_similarity, "_compute_similarity_matrix", in_numpy)

    recording, sorting = si.generate_ground_truth_recording(
        num_channels=16, num_units=5, durations=[6.0], seed=0, generate_sorting_kwargs={"firing_rates": 20.0}
    )
    analyzer = si.create_sorting_analyzer(sorting, recording, sparse=True, return_in_uV=True)
    analyzer.compute(["random_spikes", "templates", "noise_levels"])
    analyzer.compute("quality_metrics", metric_names=["snr", "isi_violation"])
    export_to_phy(analyzer, tmp_path / "phy", compute_pc_features=False, copy_binary=False, verbose=False)
    ours = read_sorting(tmp_path / "phy")
    dense = analyzer.get_extension("templates").get_templates()
    assert ours.templates is not None
    assert ours.templates.waveforms.shape == dense.shape
    np.testing.assert_allclose(ours.templates.waveforms, dense, atol=1e-3)
    assert abs(ours.templates.n_before - analyzer.get_extension("templates").nbefore) <= 2
    for row, unit in enumerate(sorting.unit_ids):
        np.testing.assert_array_equal(ours.samples_of(row), np.sort(sorting.get_unit_spike_train(unit)))
    assert "snr" in ours.columns
    assert not [name for name, column in ours.columns.items() if "not stated there" in column.description]
    session = read_session(tmp_path / "phy")
    np.testing.assert_allclose(session.recordings[0].probe.positions_um, recording.get_channel_locations(), atol=1e-3)
