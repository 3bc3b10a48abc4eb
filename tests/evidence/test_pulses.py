"""Which pulses can be tested, and on how much darkness before them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from nwb_celltype.errors import UsageError
from nwb_celltype.evidence import OptotagWindows, PulseSet, Stimulation
from nwb_celltype.evidence.pulses import choose_pulses, lit_intervals
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


def test_of_a_fast_train_the_first_pulse_is_tested() -> None:
    trains = (np.arange(1, 31)[:, None] + 0.05 * np.arange(10)).ravel()  # 20 Hz, once a second
    chosen = only(Stimulation("laser", trains, 0.005))
    assert np.array_equal(chosen.onsets_s, np.arange(1.0, 31.0))
    assert chosen.n_baseline_windows == 30
    assert chosen.notes == ("270 of 300 pulses follow another too soon and were not tested.",)


def test_an_endless_train_of_10_hz_is_tested_on_a_short_baseline() -> None:
    chosen = only(Stimulation("laser", 1 + 0.1 * np.arange(100), 0.005))
    assert len(chosen) == 100
    assert chosen.n_baseline_windows == 8


def test_an_endless_train_of_20_hz_cannot_be_tested() -> None:
    chosen = only(Stimulation("laser", 1 + 0.05 * np.arange(100), 0.005))
    assert chosen.problem == "only 1 of 100 pulses have 90 ms of darkness before them, 20 are needed"


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
    assert 0.05 not in only(stimulation).onsets_s
    assert 0.05 in only(stimulation, start_s=-1.0).onsets_s


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
