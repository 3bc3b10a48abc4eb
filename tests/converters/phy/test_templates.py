from __future__ import annotations

from pathlib import Path

import numpy as np

from nwb_celltype.converters.phy import read_sorting
from nwb_celltype.converters.records import Sorting, Templates

from . import folders

KILOSORT4 = folders.simulate(length=61, n_before=20)
KILOSORT2 = folders.simulate(length=82, n_before=40)


def templates_of(folder: Path) -> tuple[Sorting, Templates]:
    sorting = read_sorting(folder)
    assert sorting.templates is not None
    return sorting, sorting.templates


def test_kilosort2_is_unwhitened(tmp_path: Path) -> None:
    _, templates = templates_of(folders.kilosort25(tmp_path, KILOSORT2))
    np.testing.assert_allclose(templates.waveforms, KILOSORT2.shapes, atol=1e-3)
    assert (templates.n_before, templates.unit) == (40, "a.u.")
    assert set(templates.source) == {"template, unwhitened"}


def test_kilosort4_is_unwhitened(tmp_path: Path) -> None:
    """Its matrix acts on columns: the transpose would be off by a tenth of the amplitude here."""
    _, templates = templates_of(folders.kilosort4(tmp_path, KILOSORT4))
    np.testing.assert_allclose(templates.waveforms, KILOSORT4.shapes, atol=0.2)
    assert (templates.n_before, templates.unit) == (20, "a.u.")
    assert set(templates.source) == {"template, unwhitened"}


def test_a_file_that_was_whitened_before_cannot_be_unwhitened(tmp_path: Path) -> None:
    sorting, templates = templates_of(folders.kilosort25(tmp_path, KILOSORT2, is_whitened_before=True))
    np.testing.assert_allclose(templates.waveforms, KILOSORT2.shapes @ KILOSORT2.whitening, atol=1e-3)
    assert set(templates.source) == {"template, whitened"}
    assert any("diagonal" in note for note in sorting.notes)


def test_spikeinterface_export_is_sparse_and_not_whitened(tmp_path: Path) -> None:
    _, templates = templates_of(folders.spikeinterface_export(tmp_path, KILOSORT2, n_sparse=5))
    assert templates.waveforms.shape == KILOSORT2.shapes.shape
    kept = templates.waveforms.any(axis=1)
    assert (kept.sum(axis=1) == 5).all()
    for row in range(KILOSORT2.n_units):
        expected = KILOSORT2.shapes[row][:, kept[row]]
        np.testing.assert_allclose(templates.waveforms[row][:, kept[row]], expected, rtol=1e-6, atol=1e-4)
    assert set(templates.source) == {"template, not whitened"}
    assert (templates.n_before, templates.unit) == (40, "a.u.")


def test_a_plural_sparse_index_is_read_too(tmp_path: Path) -> None:
    folder = folders.spikeinterface_export(tmp_path, KILOSORT2)
    _, before = templates_of(folder)
    (folder / "template_ind.npy").rename(folder / "templates_ind.npy")
    _, after = templates_of(folder)
    np.testing.assert_array_equal(before.waveforms, after.waveforms)


def test_merged_units_get_the_weighted_mean(tmp_path: Path) -> None:
    folder = folders.kilosort25(tmp_path, KILOSORT2)
    folders.merge(folder, [0, 1], 6)
    folders.split(folder, 4, (7, 8))
    sorting, templates = templates_of(folder)
    weights = np.array([len(KILOSORT2.samples_of(0)), len(KILOSORT2.samples_of(1))])
    expected = np.average(KILOSORT2.shapes[:2], axis=0, weights=weights)
    rows = {int(unit): row for row, unit in enumerate(sorting.unit_ids)}
    np.testing.assert_allclose(templates.waveforms[rows[6]], expected, atol=1e-3)
    for unit in (7, 8):
        np.testing.assert_allclose(templates.waveforms[rows[unit]], KILOSORT2.shapes[4], atol=1e-3)


def test_an_inverse_that_is_none_is_computed(tmp_path: Path) -> None:
    folder = folders.kilosort25(tmp_path, KILOSORT2)
    np.save(folder / "whitening_mat_inv.npy", KILOSORT2.whitening)
    sorting, templates = templates_of(folder)
    np.testing.assert_allclose(templates.waveforms, KILOSORT2.shapes, atol=1e-3)
    assert any("is not the inverse" in note for note in sorting.notes)
    (folder / "whitening_mat_inv.npy").unlink()
    _, templates = templates_of(folder)
    np.testing.assert_allclose(templates.waveforms, KILOSORT2.shapes, atol=1e-3)


def test_a_singular_matrix_leaves_templates_whitened(tmp_path: Path) -> None:
    folder = folders.kilosort25(tmp_path, KILOSORT2)
    np.save(folder / "whitening_mat.npy", np.ones((12, 12)))
    sorting, templates = templates_of(folder)
    assert set(templates.source) == {"template, whitened"}
    assert any("cannot be inverted" in note for note in sorting.notes)


def test_a_template_that_peaks_elsewhere_is_believed(tmp_path: Path) -> None:
    sorting, templates = templates_of(folders.kilosort4(tmp_path, folders.simulate(length=61, n_before=30)))
    assert templates.n_before == 30
    assert any("sample 30" in note for note in sorting.notes)


def test_missing_spike_templates(tmp_path: Path) -> None:
    folder = folders.kilosort25(tmp_path, KILOSORT2)
    folders.merge(folder, [0, 1], 6)
    (folder / "spike_templates.npy").unlink()
    sorting, templates = templates_of(folder)
    assert sorting.peak_channels is not None
    assert sorting.peak_channels.tolist() == [*KILOSORT2.peaks[2:], -1]
    assert np.isnan(templates.waveforms[-1]).all()
    assert templates.source[-1] == ""


def test_empty_templates(tmp_path: Path) -> None:
    folder = folders.kilosort4(tmp_path, KILOSORT4)
    stored = np.load(folder / "templates.npy")
    stored[3] = 0
    np.save(folder / "templates.npy", stored)
    sorting, templates = templates_of(folder)
    assert sorting.peak_channels is not None
    assert sorting.peak_channels[3] == -1
    assert np.isnan(templates.waveforms[3]).all()
    assert templates.source[3] == ""


def test_no_templates_at_all(tmp_path: Path) -> None:
    folder = folders.kilosort4(tmp_path, KILOSORT4)
    (folder / "templates.npy").unlink()
    sorting = read_sorting(folder)
    assert sorting.templates is None
    assert sorting.peak_channels is None
