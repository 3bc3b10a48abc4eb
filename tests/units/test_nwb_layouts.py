"""Every layout in which waveforms and columns are stored reads as the same units."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from pynwb.misc import Units as UnitsTable

from nwb_celltype.units import read_units

from . import layouts
from .layouts import IDS, N_CHANNELS, N_SAMPLES, N_UNITS, PEAKS, RATE_HZ, TRAINS, waveform


@pytest.mark.parametrize(
    "build",
    [
        layouts.samples_channels, layouts.channels_samples, layouts.ragged_channels, layouts.ragged_samples,
        layouts.double_ragged, layouts.single_spikes,
    ],
)  # fmt: skip
def test_every_waveform_layout_gives_microvolts_by_samples_and_channels(
    build: Callable[[Path], Path], tmp_path: Path
) -> None:
    with read_units(build(tmp_path / "a.nwb")) as units:
        assert units.unit_ids.tolist() == list(IDS)
        assert units.waveform_rate_hz == RATE_HZ
        means = list(units.waveform_mean)
        present = [unit for unit in range(N_UNITS) if units.waveform_mean.are_present[unit]]
        assert present == ([0, 2] if build is layouts.double_ragged else [0, 1, 2])
        for unit in range(N_UNITS):
            one = units.waveform_mean[unit]
            if unit not in present:
                assert one is None
                assert means[unit] is None
                assert "no waveform_mean" in units.notes[unit]
                assert units.peak_waveform(unit) is None
                continue
            assert one is not None
            assert one.shape == (N_SAMPLES, N_CHANNELS)
            assert one.dtype == np.float64
            np.testing.assert_allclose(one, waveform(unit), rtol=1e-6)
            np.testing.assert_array_equal(means[unit], one)
            assert units.peak_channel(unit) == PEAKS[unit]
            np.testing.assert_allclose(units.peak_waveform(unit), waveform(unit)[:, PEAKS[unit]], rtol=1e-6)


def test_single_channel_waveforms_become_one_column(tmp_path: Path) -> None:
    with read_units(layouts.single_channel(tmp_path / "a.nwb")) as units:
        mean = units.waveform_mean[1]
        assert mean is not None
        assert mean.shape == (N_SAMPLES, 1)
        assert mean.min() == pytest.approx(waveform(1).min())
        assert units.waveform_unit_note is None


def test_rows_of_384_channels_are_channels_without_any_electrodes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2 * 384, 82))
    rows[100, 20] = -90.0
    path = layouts.by_hand(tmp_path / "a.nwb", waveform_mean=rows, waveform_mean_index=np.array([384, 768], np.uint16))
    with read_units(path) as units:
        assert units.waveform_mean[0] is not None
        assert units.waveform_mean[0].shape == (82, 384)
        assert units.peak_channel(0) == 100
        assert any("which axis" in note for note in units.table_notes)


@pytest.mark.parametrize("shape", [(2, 82, 32), (2, 82, 384)])
def test_three_axes_are_samples_by_channels_unless_something_says_otherwise(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    path = layouts.by_hand(tmp_path / "a.nwb", waveform_mean=np.ones(shape))
    with read_units(path) as units:
        assert [mean.shape for mean in units.waveform_mean if mean is not None] == [shape[1:]] * 2
        assert any("which axis" in note for note in units.table_notes)


def test_an_axis_of_four_is_channels(tmp_path: Path) -> None:
    with read_units(layouts.by_hand(tmp_path / "a.nwb", waveform_mean=np.ones((2, 4, 32)))) as units:
        assert units.waveform_mean[0] is not None
        assert units.waveform_mean[0].shape == (32, 4)
        assert "waveform_mean is stored as (channels, samples)" in units.table_notes


def test_unequal_channel_lengths_are_padded_with_nan(tmp_path: Path) -> None:
    path = layouts.by_hand(tmp_path / "a.nwb")
    layouts.add_column(path, "waveform_mean", np.arange(60.0), [[20, 50, 60], [2, 3]])
    with read_units(path) as units:
        mean = units.waveform_mean[0]
        assert mean is not None
        assert mean.shape == (30, 2)
        assert np.isnan(mean[20:, 0]).all()
        assert units.peak_channel(0) == 1


def test_ragged_vector_is_one_channel_of_any_length(tmp_path: Path) -> None:
    path = layouts.by_hand(tmp_path / "a.nwb", waveform_mean=np.arange(50.0), waveform_mean_index=np.array([20, 50]))
    with read_units(path) as units:
        assert [mean.shape for mean in units.waveform_mean if mean is not None] == [(20, 1), (30, 1)]


def test_channels_that_were_not_recorded_are_passed_over(tmp_path: Path) -> None:
    stored = np.tile(waveform(0), (2, 1, 1))
    stored[:, :, 2] = np.nan
    stored[1] = np.nan
    with read_units(layouts.by_hand(tmp_path / "a.nwb", waveform_mean=stored)) as units:
        assert units.peak_channel(0) in (1, 3)
        assert np.isfinite(units.peak_waveform(0)).all()
        assert units.peak_channel(1) is None
        assert units.peak_waveform(1) is None
        assert units.waveform_mean[1] is not None


def test_four_dimensional_waveforms_are_left_out_with_a_note(tmp_path: Path) -> None:
    with read_units(layouts.by_hand(tmp_path / "a.nwb", waveform_mean=np.ones((2, 3, 20, 4)))) as units:
        assert units.waveform_mean[0] is None
        assert any("unknown layout" in note for note in units.table_notes)


def test_single_spikes_of_one_channel_are_averaged_over_finite_values(tmp_path: Path) -> None:
    spikes = np.array([spike := layouts.spike(), 3 * spike, np.full_like(spike, np.nan), spike])
    path = layouts.by_hand(tmp_path / "a.nwb", waveforms=spikes, waveforms_index=np.array([3, 4]))
    with read_units(path) as units:
        np.testing.assert_allclose(units.waveform_mean[0][:, 0], 2 * spike)
        np.testing.assert_allclose(units.waveform_mean[1][:, 0], spike)


@pytest.mark.parametrize(
    ("factor", "unit", "expected", "note"),
    [
        (1e-6, "volts", 1.0, None),
        (1.0, "volts", 1.0, "microvolts"),
        (1e-3, "volts", 1.0, "millivolts"),
        (1.0, "microvolts", 1.0, None),
        (1e-3, "mV", 1.0, None),
        (1e-6, None, 1.0, "states no unit"),
        (1.0, None, 1.0, "states no unit"),
    ],
)
def test_unit_of_measure_is_judged_by_what_a_spike_can_be(
    factor: float, unit: str | None, expected: float, note: str | None, tmp_path: Path
) -> None:
    path = layouts.by_hand(tmp_path / "a.nwb")
    stated = {} if unit is None else {"unit": unit}
    layouts.add_column(path, "waveform_mean", np.stack([waveform(0), waveform(1)]) * factor, **stated)
    with read_units(path) as units:
        np.testing.assert_allclose(units.waveform_mean[1], waveform(1) * expected, rtol=1e-9)
        assert (units.waveform_unit_note is None) == (note is None)
        assert note is None or note in str(units.waveform_unit_note)
        np.testing.assert_array_equal(units.select([1]).waveform_mean[0], units.waveform_mean[1])


def test_plain_table(tmp_path: Path) -> None:
    with read_units(layouts.plain(tmp_path / "a.nwb")) as units:
        assert [train.tolist() for train in units.spike_times] == [list(train) for train in TRAINS]
        assert units.spike_times.counts.tolist() == [4, 0, 2]
        assert units.spike_times[1].dtype == np.float64
        assert units.obs_intervals is not None
        assert [intervals.tolist() for intervals in units.obs_intervals] == [
            [[0.0, 0.6]], [[0.0, 0.6], [0.8, 1.0]], [[0.0, 0.6], [0.8, 1.0]],
        ]  # fmt: skip
        assert units.quality["quality"].tolist() == ["good", "mua", "good"]
        assert units.label_columns["cell_type"].tolist() == ["PkC_ss", "MLI", "unknown"]
        assert units.region.tolist() == ["lobule V"] * 3
        assert units.electrodes is not None
        assert units.electrodes[2].tolist() == [0, 1, 2, 3]
        assert units.channel_positions is not None
        assert units.channel_positions[3].tolist() == [16.0, 60.0]
        assert units.unit_positions(0).shape == (4, 2)
        assert units.notes == (
            ("no waveform_mean",), ("no spike times", "no waveform_mean"), ("no waveform_mean",),
        )  # fmt: skip
        session = units.session
        assert (session.identifier, session.session_id, session.lab) == ("test-file", "s1", "Lab")
        assert (session.species, session.subject_id, session.institution) == ("Mus musculus", "m1", "Institute")
        assert session.session_start_time == "2024-05-01T12:00:00+00:00"
        assert session.filtering == ("300-6000 Hz",)
        assert session.units_path == "/units"
        assert len(session.units_object_id) == 36
        assert session.nwb_version.startswith("2.")
        assert repr(units).endswith("3 units, 6 spikes, no mean waveforms, labels in cell_type>")


def test_table_without_spikes_electrodes_or_waveforms(tmp_path: Path) -> None:
    nwb = layouts.new_file()
    nwb.add_unit_column("putative_cell_type", "a label")
    nwb.add_unit(id=4, putative_cell_type="pyramidal")
    with read_units(layouts.write(nwb, tmp_path / "a.nwb")) as units:
        assert units.notes == (("no spike times", "no waveform_mean", "no electrodes"),)
        assert units.spike_times[0].shape == (0,)
        assert list(units.waveform_mean) == [None]
        assert units.obs_intervals is None
        assert units.electrodes is None
        assert "the table has no spike_times" in units.table_notes
        assert units.region.tolist() == ["lobule V"]


def test_empty_table(tmp_path: Path) -> None:
    nwb = layouts.new_file()
    nwb.units = UnitsTable(name="units", description="none yet")
    with read_units(layouts.write(nwb, tmp_path / "a.nwb")) as units:
        assert len(units) == 0
        assert list(units.spike_times) == []
        assert units.region.shape == (0,)
        assert len(units.sha256()) == 64


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64, np.int32, np.int64])
def test_index_of_any_integer_type(dtype: type, tmp_path: Path) -> None:
    n = 100
    path = layouts.by_hand(tmp_path / "a.nwb", n=n)
    layouts.add_column(path, "spike_times", np.arange(2.0 * n), [np.arange(2, 2 * n + 2, 2).astype(dtype)])
    with read_units(path) as units:
        assert units.spike_times[99].tolist() == [198.0, 199.0]


def test_text_of_every_kind_is_decoded(tmp_path: Path) -> None:
    enum = h5py.enum_dtype({"PkC": 0, "MLI": 3}, basetype="i1")
    path = layouts.by_hand(
        tmp_path / "a.nwb",
        cell_type=np.array(["PkC_ss", "Mü"], dtype=h5py.string_dtype()),
        celltype_label=np.array([1, 2], dtype=np.uint8),
        cell_explorer_label=np.array([b"Pyramidal", b"x"], dtype="S12"),
        optotagged=np.array([True, False]),
        ct=np.array([0, 3], dtype="i1").astype(enum),
        FS=np.array([1.0, np.nan]),
        putativeCellType=np.array(["a", "b"], dtype=h5py.string_dtype("ascii", 4)),
        KSLabel=np.array(["good", "mua"], dtype=h5py.string_dtype()),
        group=np.array([0, 1]),
        cell_type_probability=np.array([0.5, 0.6]),
    )
    with read_units(path) as units:
        labels = {name: values.tolist() for name, values in units.label_columns.items()}
    assert labels == {
        "cell_type": ["PkC_ss", "Mü"], "celltype_label": ["1", "2"], "cell_explorer_label": ["Pyramidal", "x"],
        "optotagged": ["True", "False"], "ct": ["PkC", "MLI"], "FS": ["1", ""], "putativeCellType": ["a", "b"],
    }  # fmt: skip
    assert {name: values.tolist() for name, values in units.quality.items()} == {"KSLabel": ["good", "mua"]}


def test_ragged_labels_are_joined_and_matrices_of_labels_too(tmp_path: Path) -> None:
    path = layouts.by_hand(tmp_path / "a.nwb", unit_type=np.array([[1, 2], [3, 4]]))
    layouts.add_column(path, "cell_type", ["a", "b", "c"], [[2, 3]])
    with read_units(path) as units:
        assert units.label_columns["cell_type"].tolist() == ["a, b", "c"]
        assert units.label_columns["unit_type"].tolist() == ["1, 2", "3, 4"]


def test_sampling_rate_of_the_waveforms(tmp_path: Path) -> None:
    means = np.stack([waveform(0), waveform(1)])
    missing = layouts.by_hand(tmp_path / "missing.nwb", waveform_mean=means)
    with read_units(missing) as units:
        assert units.waveform_rate_hz is None
        assert units.notes[0] == ("waveform sampling rate missing", "no electrodes")
        assert "the file does not state the sampling rate of the mean waveforms" in units.table_notes
    kilohertz = layouts.by_hand(tmp_path / "khz.nwb", waveform_mean=means, sampling_rate=np.array([30.0, 30.0]))
    with read_units(kilohertz) as units:
        assert units.waveform_rate_hz is None
        assert any("impossible" in note for note in units.table_notes)
    mixed = layouts.by_hand(tmp_path / "mixed.nwb", waveform_mean=means, sampling_rate=np.array([30000, 40000]))
    with read_units(mixed) as units:
        assert units.waveform_rate_hz is None
        assert units.waveform_rates_hz.tolist() == [30000.0, 40000.0]
        assert units.select([1]).waveform_rate_hz == 40000.0


def test_region_of_the_unit_itself_comes_first(tmp_path: Path) -> None:
    path = layouts.plain(tmp_path / "a.nwb", location=["unknown", "crus I", ""])
    with read_units(path) as units:
        assert units.region.tolist() == ["lobule V", "crus I", "lobule V"]


def test_region_under_the_largest_waveform_when_electrodes_disagree(tmp_path: Path) -> None:
    nwb = layouts.new_file(locations=["DCN", "DCN", "lobule V", "DCN"])
    for unit, unit_id in enumerate(IDS[:2]):
        nwb.add_unit(id=unit_id, spike_times=[0.1], electrodes=[0, 1, 2, 3], waveform_mean=waveform(unit))
    with read_units(layouts.write(nwb, tmp_path / "a.nwb")) as units:
        assert units.region.tolist() == ["lobule V", "DCN"]
        assert units.peak_electrode(0) == 2


def test_region_of_the_electrode_group_when_nothing_else_is_known(tmp_path: Path) -> None:
    nwb = layouts.new_file(locations=["unknown"] * 4)
    group = nwb.electrode_groups["shank"]
    nwb.add_unit(spike_times=[0.1], electrodes=[0], electrode_group=group)
    nwb.add_unit(spike_times=[0.1], electrodes=[1], electrode_group=group)
    with read_units(layouts.write(nwb, tmp_path / "a.nwb")) as units:
        assert units.region.tolist() == ["cerebellum", "cerebellum"]


def test_positions_in_millimetres_and_positions_that_say_nothing(tmp_path: Path) -> None:
    path = layouts.plain(tmp_path / "a.nwb")
    where = "general/extracellular_ephys/electrodes"
    layouts.add_column(path, "rel_x", np.zeros(4), table=where)
    layouts.add_column(path, "rel_y", np.zeros(4), table=where)
    with read_units(path) as units:
        assert units.channel_positions is None
        assert "the electrodes have no positions" in units.table_notes
    for name in "xyz":
        layouts.add_column(path, name, np.arange(4) * 0.02, table=where)
    with read_units(path) as units:
        np.testing.assert_allclose(units.channel_positions[1], [20.0, 20.0, 20.0])
        assert any("millimetres" in note for note in units.table_notes)


def test_electrodes_that_do_not_exist_are_noted(tmp_path: Path) -> None:
    path = layouts.plain(tmp_path / "a.nwb")
    layouts.add_column(path, "electrodes", np.array([0, 99, -1]), [[1, 2, 3]])
    with read_units(path) as units:
        assert any("units [20, 30] name electrodes that do not exist" in note for note in units.table_notes)
        assert np.isnan(units.unit_positions(1)).all()
        assert units.region.tolist() == ["lobule V", "", ""]
