"""Which pulses can be tested, and on how much darkness before them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from nwb_celltype.errors import UsageError
from nwb_celltype.evidence import OptotagWindows, PulseSet, Stimulation
from nwb_celltype.evidence.pulse_sets import choose_pulses
from nwb_celltype.evidence.pulses import lit_intervals
from nwb_celltype.intervals import merged_intervals

WINDOWS = OptotagWindows()


@dataclass(frozen=True)
class Bath:
    name: str
    from_s: float
    to_s: float | None = None


def only(
    stimulation: Stimulation, *others: Stimulation, windows: OptotagWindows = WINDOWS, start_s: float = 0
) -> PulseSet:
    (chosen,) = choose_pulses(stimulation, windows, start_s=start_s, others=others)
    return chosen


def test_single_pulses_are_all_tested_on_the_whole_baseline() -> None:
    chosen = only(Stimulation("laser", np.arange(1.0, 51.0), 0.005))
    assert len(chosen) == 50
    assert chosen.n_baseline_windows == 30
    assert chosen.problem == ""
    assert chosen.notes == ()


def test_order_of_the_pulses_does_not_matter() -> None:
    onsets = np.arange(1.0, 51.0)
    shuffled = np.random.default_rng(0).permutation(onsets)
    assert np.array_equal(only(Stimulation("laser", shuffled, 0.005)).onsets_s, onsets)


def test_later_pulses_of_a_train_are_measured_and_some_are_tested() -> None:
    trains = (np.arange(1, 31)[:, None] + 0.05 * np.arange(10)).ravel()  # 20 Hz, once a second
    chosen = only(Stimulation("laser", trains, 0.005))
    assert np.array_equal(chosen.onsets_s, trains)
    assert chosen.n_dark_windows.reshape(30, 10).tolist() == [[30, *[3] * 9]] * 30
    assert chosen.n_baseline_windows == 12
    assert (chosen.salt_pulses.reshape(30, 3) % 10).tolist() == [[0, 4, 8]] * 30
    assert chosen.notes == (
        "SALT tested 90 of the 300 pulses that were measured, so that each has 12 dark windows of its own.",
    )
    assert len(np.unique(chosen.trains)) == 30


def test_no_dark_window_is_lit_or_compared_twice() -> None:
    trains = (np.arange(1, 31)[:, None] + 0.05 * np.arange(10)).ravel()
    chosen = only(Stimulation("laser", trains, 0.005))
    rows = chosen.salt_windows()
    assert len(np.unique(rows)) == rows.size
    starts = chosen.dark_windows_s[rows]
    assert (np.diff(starts, axis=1) > 0.0099).all()
    assert (starts[:, -1] + 0.01 <= trains[chosen.salt_pulses] + 1e-9).all()
    last = np.searchsorted(trains, chosen.dark_windows_s + 1e-9) - 1  # the pulse before each window
    since = chosen.dark_windows_s[last >= 0] - trains[last[last >= 0]]
    assert since.min() >= 0.015 - 1e-9  # 5 ms of light and 10 ms to recover
    upcoming = trains[np.minimum(np.searchsorted(trains, chosen.dark_windows_s), len(trains) - 1)]
    assert (chosen.dark_windows_s + 0.01 <= upcoming + 1e-9).all()


def test_a_train_too_fast_leaves_its_first_or_last_pulse() -> None:
    trains = (np.arange(1, 31)[:, None] + 0.01 * np.arange(10)).ravel()  # 100 Hz: 5 ms of darkness
    chosen = only(Stimulation("laser", trains, 0.005))
    assert len(chosen) == 0
    assert "20 are needed" in chosen.problem
    trains = (np.arange(1, 31)[:, None] + 0.02 * np.arange(10)).ravel()  # 50 Hz: 15 ms
    chosen = only(Stimulation("laser", trains, 0.005))
    assert np.array_equal(chosen.onsets_s, np.arange(1.0, 31.0))
    assert chosen.n_given == 300
    assert chosen.notes == (
        "270 of 300 pulses were left out: less than 10 ms of darkness before them, or another pulse within 11 ms.",
    )


def test_an_endless_train_of_10_hz_is_tested_on_a_short_baseline() -> None:
    chosen = only(Stimulation("laser", 1 + 0.1 * np.arange(100), 0.005))
    assert len(chosen) == 100
    assert chosen.n_baseline_windows == 8


def test_an_endless_train_of_20_hz_is_tested_on_darkness_before_several_pulses() -> None:
    chosen = only(Stimulation("laser", 1 + 0.05 * np.arange(100), 0.005))
    assert len(chosen) == 100
    assert (len(chosen.salt_pulses), chosen.n_baseline_windows) == (34, 9)
    short = only(Stimulation("laser", 1 + 0.05 * np.arange(40), 0.005))
    assert short.problem == ("only 14 of 40 pulses have 8 times 10 ms of darkness to be compared with, 20 are needed")


def test_long_pulses_leave_the_dark_time_between_them() -> None:
    chosen = only(Stimulation("laser", np.arange(1.0, 51.0), 0.8))
    assert len(chosen) == 50
    assert chosen.n_baseline_windows == 19  # 200 ms of darkness, 10 ms of it to recover


def test_overlapping_pulses_are_left_out() -> None:
    onsets = np.concatenate([np.arange(1.0, 31.0), [40.0, 40.05]])
    durations = np.concatenate([np.full(30, 0.005), [0.1, 0.1]])
    chosen = only(Stimulation("laser", onsets, durations))
    assert 40.0 in chosen.onsets_s
    assert 40.05 not in chosen.onsets_s


def test_a_pulse_inside_a_long_one_is_no_beginning_of_light() -> None:
    onsets, durations = np.arange(1.0, 31.0), np.full(30, 0.005)
    chosen = only(Stimulation("laser", np.append(onsets, 4.5), np.append(durations, 3.0)))
    assert not {5.0, 6.0, 7.0} & set(chosen.onsets_s.tolist())
    assert 8.0 in chosen.onsets_s


def test_the_same_onset_twice_is_not_tested() -> None:
    onsets = np.append(np.arange(1.0, 31.0), 7.0)
    assert 7.0 not in only(Stimulation("laser", onsets, 0.005)).onsets_s


def test_another_light_disturbs() -> None:
    blue, red = Stimulation("blue", np.arange(1.0, 51.0), 0.005), Stimulation("red", np.arange(1.0, 11.0) - 0.05, 0.01)
    chosen = only(blue, red)
    assert np.array_equal(chosen.onsets_s, np.arange(11.0, 51.0))
    later = only(blue, Stimulation("red", [3.004], [0.1]))
    assert 3.0 not in later.onsets_s


def test_a_duration_that_nobody_knows_lasts_to_the_end() -> None:
    durations = np.full(50, 0.005)
    durations[-1] = np.nan
    chosen = only(Stimulation("laser", np.arange(1.0, 51.0), durations))
    assert len(chosen) == 50
    durations[25] = np.nan
    assert only(Stimulation("laser", np.arange(1.0, 51.0), durations)).onsets_s.max() == 26.0


def test_onsets_that_are_no_numbers_and_negative_durations_are_said() -> None:
    onsets = np.concatenate([[np.nan, np.inf], np.arange(1.0, 31.0)])
    durations = np.full(32, 0.005)
    durations[5] = -1
    chosen = only(Stimulation("laser", onsets, durations))
    assert len(chosen) == 29
    assert chosen.notes[0] == "3 pulses have no usable onset or duration."


def test_a_baseline_cannot_lie_before_the_recording() -> None:
    stimulation = Stimulation("laser", 0.05 + np.arange(50.0), 0.005)
    assert only(stimulation).n_dark_windows[0] == 5
    assert 0 not in only(stimulation).salt_pulses
    assert only(stimulation).dark_windows_s.min() >= 0
    assert only(stimulation, start_s=-1.0).n_dark_windows[0] == 30
    assert 0.005 not in only(Stimulation("laser", 0.005 + np.arange(50.0), 0.005)).onsets_s


def test_no_pulses_is_a_sentence() -> None:
    assert only(Stimulation("laser", [], [])).problem == "there are no pulses"


def test_pulses_are_parted_by_the_blockers_in_the_bath() -> None:
    stimulation = Stimulation(
        "laser", np.arange(1.0, 91.0), 0.005, blockers=[Bath("gabazine", 31.0), Bath("NBQX", 61.0, None)]
    )
    sets = choose_pulses(stimulation, WINDOWS, start_s=0)
    assert [(each.blocker, len(each)) for each in sets] == [("", 30), ("gabazine", 30), ("gabazine, NBQX", 30)]
    washed = Stimulation("laser", np.arange(1.0, 91.0), 0.005, blockers=[Bath("gabazine", 31.0, 61.0)])
    assert [(each.blocker, len(each)) for each in choose_pulses(washed, WINDOWS, start_s=0)] == [
        ("", 60),
        ("gabazine", 30),
    ]
    assert washed.blocker_at([0.0, 31.0, 60.99, 61.0]).tolist() == ["", "gabazine", "gabazine", ""]
    assert Stimulation("laser", [1.0], 0.005).blocker_at([5.0]).tolist() == [""]


@pytest.mark.parametrize(
    "changes", [{"test_s": 0.0}, {"bin_s": 0.02}, {"dead_time_s": -1.0}, {"min_baseline_windows": 2}, {"min_pulses": 0}]
)
def test_windows_that_cannot_be_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        OptotagWindows(**changes)  # type: ignore[arg-type]


def test_onsets_and_durations_go_together() -> None:
    with pytest.raises(UsageError, match="'laser' has 2 onsets and 3 durations"):
        Stimulation("laser", [1, 2], [1, 1, 1])


def test_intervals_that_touch_are_one() -> None:
    merged = merged_intervals(np.array([[3.0, 4.0], [0.0, 1.0], [1.0, 2.0], [0.5, 0.6], [5.0, 5.0]]))
    assert merged.tolist() == [[0.0, 2.0], [3.0, 4.0]]
    assert lit_intervals([]).shape == (0, 2)
