"""A unit's waveform on its peak channel and around it."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_celltype.plotting.channels import AFTER_MS, BEFORE_MS, channel_waveforms, on_probe

TIMES = np.arange(-60, 120) / 30.0


def template(n_channels: int, peak: int) -> np.ndarray:
    shape = -np.exp(-((TIMES / 0.15) ** 2))
    return shape[:, None] * np.exp(-np.abs(np.arange(n_channels) - peak) / 2)[None] * 100


def test_nearest_channels_come_with_the_peak_first() -> None:
    positions = np.stack([np.zeros(40), np.arange(40) * 20.0], axis=1)
    shown = channel_waveforms(template(40, 17), 30_000.0, positions)
    assert shown is not None
    assert shown.y_um is not None
    assert shown.y_um[shown.peak] == 340
    assert sorted(shown.y_um) == [260, 280, 300, 320, 340, 360, 380, 400, 420]
    assert shown.start_ms == pytest.approx(-BEFORE_MS)
    assert shown.time_ms[-1] == pytest.approx(min(TIMES[-1], AFTER_MS))
    assert shown.time_ms[shown.values[shown.peak].argmin()] == pytest.approx(0, abs=1e-9)


def test_channels_that_were_not_recorded_are_left_out() -> None:
    waveform = template(12, 5)
    waveform[:, 4] = np.nan
    waveform[:10, 6] = np.nan
    shown = channel_waveforms(waveform, 30_000.0, np.stack([np.zeros(12), np.arange(12.0)], axis=1))
    assert shown is not None
    assert shown.y_um is not None
    assert 4 not in shown.y_um
    assert 6 in shown.y_um


@pytest.mark.parametrize("positions", [None, np.zeros((3, 2))])
def test_without_positions_the_largest_channels_are_shown(positions: np.ndarray | None) -> None:
    shown = channel_waveforms(template(20, 9), 30_000.0, positions)
    assert shown is not None
    assert shown.x_um is None
    assert len(shown.values) == 9
    extent = np.ptp(shown.values, axis=1)
    assert (np.diff(extent) <= 1e-9).all()


def test_one_channel_and_none() -> None:
    one = channel_waveforms(template(1, 0), 30_000.0, np.array([[3.0, 7.0]]))
    assert one is not None
    assert one.values.shape[0] == 1
    assert channel_waveforms(None, 30_000.0, None) is None
    assert channel_waveforms(template(1, 0), float("nan"), None) is None
    assert channel_waveforms(np.full((50, 2), np.nan), 30_000.0, None) is None


def test_fast_sampling_is_thinned_and_keeps_the_peak() -> None:
    fine = np.repeat(template(1, 0), 10, axis=0)
    shown = channel_waveforms(fine, 300_000.0, None)
    assert shown is not None
    assert shown.values.shape[1] <= 193
    assert shown.values.min() == fine.min()


@pytest.mark.parametrize(
    ("positions", "kept"),
    [
        ([[1.0, 2.0, 0.0], [1.0, 4.0, 0.0]], [0, 1]),
        ([[1.0, 2.0, 0.0], [1.0, 2.0, 9.0]], [1, 2]),
        ([[1.0, 2.0, 0.0], [3.0, 2.0, 9.0]], [0, 2]),
        ([[1.0, 2.0, 0.0], [3.0, 5.0, 9.0]], [0, 1]),
        ([[1.0, 2.0, 3.0]], [0, 1]),
    ],
)
def test_plane_of_a_probe(positions: list[list[float]], kept: list[int]) -> None:
    array = np.array(positions)
    np.testing.assert_array_equal(on_probe(array), array[:, kept])
