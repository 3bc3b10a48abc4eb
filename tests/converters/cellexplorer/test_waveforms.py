"""Mean waveforms of CellExplorer on the channels of the probe, in the order of its channels, in one window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nwb_celltype.converters.cellexplorer import read_session
from nwb_celltype.converters.records import Sorting, Templates
from nwb_celltype.converters.waveforms import template_waveforms

from .matlab_files import RATE, Write, bump, cell_metrics, column, row, waveforms, write_v5


def sorting_of(folder: Path, write: Write = write_v5, **changes: Any) -> Sorting:
    write(folder / "a.cell_metrics.cellinfo.mat", {"cell_metrics": cell_metrics(**changes)})
    sorting = read_session(folder).recordings[0].sorting
    assert sorting is not None
    return sorting


def templates_of(folder: Path, write: Write = write_v5, **changes: Any) -> Templates:
    templates = sorting_of(folder, write, **changes).templates
    assert templates is not None
    return templates


def test_channels_are_sorted_out_for_each_unit(tmp_path: Path, write: Write) -> None:
    templates = templates_of(tmp_path, write)
    assert templates.unit == "microvolts"
    assert templates.sampling_rate_hz == RATE
    assert templates.n_before == 20  # the third unit begins 1 ms before its spike
    assert templates.waveforms.shape == (3, 40, 4)
    scales = [[10, 80, 20, 5], [60, 30, 10, 5]]
    for unit, own in enumerate(scales):
        np.testing.assert_allclose(templates.waveforms[unit, 20], -np.array(own), rtol=1e-6)
        np.testing.assert_allclose(templates.waveforms[unit, :, 0], bump(25, own[0])[5:45], rtol=1e-5, atol=1e-6)
    # the third unit has channels 2 and 4 alone
    np.testing.assert_allclose(templates.waveforms[2, 20], [np.nan, -2, np.nan, -90], rtol=1e-6)
    assert templates.source[0] == "CellExplorer waveforms, filtered 500 to 8000 Hz, mean of up to 600 spikes"


def test_spread_is_on_the_largest_channel_alone(tmp_path: Path, write: Write) -> None:
    templates = templates_of(tmp_path, write)
    assert templates.sd is not None
    for unit, channel in enumerate((1, 0, 3)):
        known = np.isfinite(templates.sd[unit])
        assert np.flatnonzero(known.any(axis=0)).tolist() == [channel]
        assert np.flatnonzero(known[:, channel]).tolist() == list(range(4, 36))  # 0.8 ms before to 0.75 ms after
        assert set(templates.sd[unit][known].tolist()) == {3.0 + unit}


def test_waveforms_that_are_written(tmp_path: Path) -> None:
    write_v5(tmp_path / "a.cell_metrics.cellinfo.mat", {"cell_metrics": cell_metrics()})
    recording = read_session(tmp_path).recordings[0]
    assert recording.sorting is not None
    written = template_waveforms(recording.sorting, recording.probe)
    assert written is not None
    assert written.peak_channels.tolist() == [1, 0, 3]
    np.testing.assert_allclose(written.mean[:, written.n_before, 0], [-80, -60, -90], rtol=1e-6)


def test_only_the_largest_channel(tmp_path: Path, write: Write) -> None:
    kept = {name: value for name, value in waveforms().items() if not name.endswith("_all")}
    templates = templates_of(tmp_path, write, waveforms=kept)
    assert templates.n_before == 16
    for unit, (channel, scale) in enumerate(((1, 80), (0, 60), (3, 90))):
        assert np.flatnonzero(np.isfinite(templates.waveforms[unit, 16])).tolist() == [channel]
        np.testing.assert_allclose(templates.waveforms[unit, 16, channel], -scale)


def test_times_of_samples_first_are_turned(tmp_path: Path) -> None:
    turned = waveforms()
    turned["filt_all"][0] = turned["filt_all"][0].T
    np.testing.assert_allclose(
        templates_of(tmp_path, waveforms=turned).waveforms[0, 20], [-10, -80, -20, -5], rtol=1e-6
    )


def test_a_time_axis_in_seconds_is_known(tmp_path: Path) -> None:
    given = waveforms()
    given["time_all"] = [axis / 1000 for axis in given["time_all"]]
    sorting = sorting_of(tmp_path, waveforms=given)
    assert sorting.templates is not None
    assert (sorting.templates.n_before, sorting.templates.sampling_rate_hz) == (20, RATE)
    assert any("is in seconds" in note for note in sorting.notes)


def test_contradictions_leave_a_unit_without_waveform_and_say_so(tmp_path: Path, write: Write) -> None:
    given = waveforms()
    given["channels_all"][0] = row(1, 2, 3)
    given["time_all"][1] = given["time_all"][1] ** 2
    sorting = sorting_of(tmp_path, write, waveforms=given)
    assert sorting.templates is not None
    assert [bool(np.isfinite(each).any()) for each in sorting.templates.waveforms] == [False, False, True]
    assert sorting.templates.source[:2] == ("", "")
    gone = {each.what: each.reason for each in sorting.left_out}
    assert "has the shape 4 x 50, but there are 3 channels" in gone["mean waveforms of units 3"]
    assert "time_all does not ascend in equal steps" in gone["mean waveforms of units 7"]


def test_raw_waveforms_where_there_are_no_others(tmp_path: Path, write: Write) -> None:
    given = waveforms()
    given["raw_all"] = given.pop("filt_all")
    for name in ("filt", "filt_std"):
        del given[name]
    templates = templates_of(tmp_path, write, waveforms=given)
    assert templates.source[0] == "CellExplorer waveforms, not filtered, mean of up to 600 spikes"
    assert templates.sd is None


def test_filtered_waveforms_that_are_copies_of_the_raw_ones(tmp_path: Path) -> None:
    given = waveforms()
    given["raw_all"] = [each.copy() for each in given["filt_all"]]
    source = templates_of(tmp_path, waveforms=given).source[0]
    assert source == "CellExplorer waveforms, not filtered (filt_all is the same as raw_all)"


def test_a_spread_without_time_axis_is_left_out(tmp_path: Path) -> None:
    given = waveforms()
    given["filt_std"] = [np.ones((1, 17))] * 3
    sorting = sorting_of(tmp_path, waveforms=given)
    assert sorting.templates is not None
    assert sorting.templates.sd is None
    assert any("filt_std has 17 samples and no time axis" in note for note in sorting.notes)


def test_waveforms_of_spikes_come_where_the_metrics_have_none(tmp_path: Path, write: Write) -> None:
    own = waveforms()
    spikes = {
        "times": [column(1), column(2), column(3)],
        "UID": row(8, 3, 7),
        "filtWaveform_all": [own["filt_all"][unit] for unit in (2, 0, 1)],
        "timeWaveform_all": [own["time_all"][unit] for unit in (2, 0, 1)],
        "channels_all": [own["channels_all"][unit] for unit in (2, 0, 1)],
        "processinginfo": {"params": {"WaveformsFiltFreq": row(300, 6000)}},
    }
    write(tmp_path / "a.spikes.cellinfo.mat", {"spikes": spikes})
    templates = templates_of(tmp_path, write, waveforms=None)
    np.testing.assert_allclose(templates.waveforms[0, 20], [-10, -80, -20, -5], rtol=1e-6)
    np.testing.assert_allclose(templates.waveforms[2, 20], [np.nan, -2, np.nan, -90], rtol=1e-6)
    assert templates.source[0] == "CellExplorer spikes, filtered 300 to 6000 Hz"


def test_waveforms_of_old_files_have_no_unit_and_no_axis(tmp_path: Path, write: Write) -> None:
    spikes = {
        "times": [column(1, 2), column(3)],
        "UID": row(1, 2),
        "sr": row(RATE),
        "maxWaveformCh": row(0, 2),
        "rawWaveform": [bump(16, 100, 32)[np.newaxis], bump(15, 50, 32)[np.newaxis]],
    }
    write(tmp_path / "a.spikes.cellinfo.mat", {"spikes": spikes})
    sorting = read_session(tmp_path).recordings[0].sorting
    assert sorting is not None
    assert sorting.templates is not None
    assert sorting.templates.unit == "a.u."
    assert sorting.templates.n_before == 15
    np.testing.assert_allclose(sorting.templates.waveforms[0, 15, 0], -100)
    assert any("gives no time axis" in note for note in sorting.notes)
