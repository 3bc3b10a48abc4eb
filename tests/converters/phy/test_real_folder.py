"""A real Kilosort 2.5 folder, where it is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nwb_celltype.converters.phy import read_session

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "data" / "lab_formats" / "phy" / "phy_example_0"


def test_phy_example() -> None:
    if not FOLDER.exists():
        pytest.skip("phy_example_0 is not at hand: shared/data is not beside this checkout")
    session = read_session(FOLDER)
    (recording,) = session.recordings
    sorting = recording.sorting
    assert sorting is not None
    assert sorting.unit_ids.tolist() == list(range(13))
    assert (len(sorting.spike_samples), sorting.sampling_rate_hz) == (788, 32_000)
    assert int(sorting.spike_samples.max()) == 319_953
    assert sorting.columns["KSLabel"].values.tolist().count("good") == 3
    assert set(sorting.columns["quality"].values.tolist()) == {"unsorted"}
    assert list(sorting.columns) == ["quality", "KSLabel", "ContamPct", "Amplitude"]
    assert sorting.left_out == ()
    assert sorting.templates is not None
    assert sorting.templates.n_before == 40
    assert set(sorting.templates.source) == {"template, whitened"}
    assert sorting.peak_channels is not None
    stored = np.load(FOLDER / "templates.npy")
    np.testing.assert_array_equal(sorting.peak_channels, np.ptp(stored, axis=1).argmax(axis=1))
    assert recording.traces is None
    assert any("temp_wh.dat" in note for note in sorting.notes)
    assert len(recording.probe) == 32
