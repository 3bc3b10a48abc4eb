"""The record itself: selection, hash, closing, units made in memory."""

from __future__ import annotations

import doctest
import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import nwb_celltype.units as package
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.units import Session, SpikeTrains, Units, hdf5, lazy, read_units, record, tables, waveforms
from nwb_celltype.units import digest as digest_module

from . import layouts
from .layouts import IDS, TRAINS, waveform


def in_memory(**more: Any) -> Units:
    given: dict[str, Any] = {
        "unit_ids": IDS, "waveform_mean": [waveform(unit) for unit in range(3)], "waveform_rate_hz": layouts.RATE_HZ,
    }  # fmt: skip
    return Units.from_arrays(TRAINS, **{**given, **more})


def test_public_names() -> None:
    assert package.__all__ == sorted(package.__all__)
    assert set(package.__all__) == {
        "Intervals", "MeanWaveforms", "Session", "SpikeTrains", "Units", "open_source", "read_units", "units_tables",
    }  # fmt: skip


@pytest.mark.parametrize("module", [hdf5, lazy, record, tables, waveforms, digest_module])
def test_examples_run(module: Any) -> None:
    assert doctest.testmod(module, extraglobs={"np": np}, optionflags=doctest.IGNORE_EXCEPTION_DETAIL).failed == 0


def test_select_keeps_the_order_asked_for(tmp_path: Path) -> None:
    with read_units(layouts.samples_channels(tmp_path / "a.nwb")) as units:
        some = units.select([30, 10])
        assert some.unit_ids.tolist() == [30, 10]
        assert [train.tolist() for train in some.spike_times] == [list(TRAINS[2]), list(TRAINS[0])]
        np.testing.assert_array_equal(some.waveform_mean[0], units.waveform_mean[2])
        np.testing.assert_array_equal(next(iter(some.waveform_mean)), units.waveform_mean[2])
        assert some.row_of(10) == 1
        assert len(units.select([])) == 0
        assert some.session is units.session
    with read_units(tmp_path / "a.nwb", unit_ids=[20]) as one:
        assert one.unit_ids.tolist() == [20]
        assert one.region.tolist() == ["lobule V"]


def test_unknown_ids_are_named(tmp_path: Path) -> None:
    path = layouts.plain(tmp_path / "a.nwb")
    with pytest.raises(UsageError, match=r"no unit 7, 8 in .*a\.nwb; its units are 10, 20, 30"):
        read_units(path, unit_ids=[10, 7, 8])
    with pytest.raises(UsageError, match="Unit 10 is asked for more than once"):
        in_memory().select([10, 20, 10])


def test_hash_does_not_depend_on_how_units_are_stored(tmp_path: Path) -> None:
    expected = in_memory().sha256()
    path = layouts.ragged_channels(tmp_path / "a.nwb")
    with read_units(path) as units:
        assert units.sha256() == expected
    with h5py.File(path, "r+") as file:
        spikes = file["units/spike_times"][()]
        index = file["units/spike_times_index"][()].astype(np.uint64)
        del file["units/spike_times"], file["units/spike_times_index"]
        file.create_dataset("units/spike_times", data=spikes, chunks=(2,), compression="gzip", shuffle=True)
        file["units/spike_times_index"] = index
    with read_units(path) as units:
        assert units.sha256() == expected


def test_hash_is_the_documented_canonical_form() -> None:
    units = Units.from_arrays([[0.5, -0.0]], unit_ids=[7], waveform_mean=[[[1.0, np.nan]]], waveform_rate_hz=3e4)
    form = b"nwb-celltype units 1\n" + np.array([1], "<u8").tobytes()
    form += np.array([7], "<i8").tobytes() + np.array([2], "<u8").tobytes() + np.array([0.5, 0.0], "<f8").tobytes()
    form += np.array([1, 2], "<u8").tobytes() + np.array([1.0, np.nan], "<f4").tobytes()
    form += np.array([3e4], "<f8").tobytes()
    assert units.sha256() == hashlib.sha256(form).hexdigest()


@pytest.mark.parametrize(
    "changed",
    [
        {"unit_ids": (10, 20, 31)},
        {"waveform_rate_hz": 25000.0},
        {"waveform_mean": None},
        {"waveform_mean": [waveform(0), None, waveform(2)]},
        {"waveform_mean": [waveform(0), waveform(1).T, waveform(2)]},
    ],
)
def test_hash_notices_every_change(changed: dict[str, Any]) -> None:
    assert in_memory(**changed).sha256() != in_memory().sha256()


def test_hash_notices_a_spike_that_moves_to_the_next_unit() -> None:
    assert Units.from_arrays([[1.0], [2.0]]).sha256() != Units.from_arrays([[1.0, 2.0], []]).sha256()
    assert in_memory().select([20, 10]).sha256() != in_memory().select([10, 20]).sha256()


def test_closed_file_says_so(tmp_path: Path) -> None:
    with read_units(layouts.samples_channels(tmp_path / "a.nwb")) as units:
        units.spike_times[0]
    units.close()
    for use in (lambda: units.spike_times[0], lambda: units.waveform_mean[0], lambda: units.region):
        with pytest.raises(UsageError, match=r"a\.nwb is closed"):
            use()
    assert units.unit_ids.tolist() == list(IDS)
    assert units.notes[1] == ("no spike times",)
    with h5py.File(tmp_path / "a.nwb", "r+"):
        pass


def test_record_is_read_only() -> None:
    units = in_memory(quality={"quality": ["good"] * 3})
    with pytest.raises(AttributeError):
        units.session = Session()  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        units.unit_ids[0] = 3
    with pytest.raises(TypeError):
        units.quality["other"] = units.region  # type: ignore[index]


def test_one_sequential_pass_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy, "BLOCK_VALUES", 10)
    reads: list[tuple[int, int]] = []
    data = np.arange(40.0)

    def read(start: int, stop: int) -> np.ndarray:
        reads.append((start, stop))
        return data[start:stop]

    edges = np.array([0, 4, 4, 9, 30, 31, 40])
    trains = SpikeTrains(lazy.RowRanges(edges[:-1], edges[1:], read))
    assert [train.tolist() for train in trains] == [data[a:b].tolist() for a, b in pairwise(edges)]
    assert reads == [(0, 9), (9, 30), (30, 40)]
    reads.clear()
    assert [len(train) for train in trains.take(np.array([3, 2, 0, 4]))] == [21, 5, 4, 1]
    assert reads == [(9, 30), (4, 9), (0, 4), (30, 31)]


def test_sequences_behave_like_sequences() -> None:
    units = in_memory(obs_intervals=[[[0.0, 1.0]], [], [[0.0, 1.0], [2.0, 3.0]]])
    assert units.spike_times[-1].tolist() == list(TRAINS[2])
    with pytest.raises(IndexError, match="there are 3 units"):
        units.spike_times[3]
    assert units.obs_intervals is not None
    assert [len(intervals) for intervals in units.obs_intervals] == [1, 0, 2]
    units.waveform_mean[0][:] = 0
    np.testing.assert_array_equal(units.waveform_mean[0], waveform(0))
    units.spike_times[0][:] = 0
    assert units.spike_times[0].tolist() == list(TRAINS[0])
    assert repr(units) == "<Units: 3 units, 6 spikes, 3 mean waveforms at 30000 Hz>"


def test_in_memory_electrodes_and_labels() -> None:
    units = in_memory(
        electrodes=[[0, 1, 2, 3], [3], []], channel_positions=np.arange(8.0).reshape(4, 2), region=["DCN", "", "DCN"],
        label_columns={"cell_type": ["a", "b", "c"]},
    )  # fmt: skip
    assert units.region.tolist() == ["DCN", "", "DCN"]
    assert [units.peak_electrode(i) for i in range(3)] == [2, 3, None]
    assert units.unit_positions(1).tolist() == [[6.0, 7.0]]
    assert units.notes[2] == ("no electrodes",)
    assert units.select([20]).label_columns["cell_type"].tolist() == ["b"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"unit_ids": [1, 2]}, "unit_ids has 2 entries for 3 units"),
        ({"unit_ids": [1, 1, 2]}, "unit_ids repeats 1"),
        ({"unit_ids": [1.0, 2.0, 3.0]}, "vector of integers"),
        ({"waveform_mean": [[1.0]]}, "waveform_mean has 1 entries"),
        ({"waveform_mean": [np.ones((2, 2, 2)), None, None]}, "waveform_mean of row 0 has shape"),
        ({"waveform_mean": [["a"], None, None]}, "waveform_mean of row 0 is not numeric"),
        ({"waveform_rate_hz": -1.0}, "waveform_rate_hz is -1.0"),
        ({"obs_intervals": [[1.0], [], []]}, "obs_intervals of row 0 has shape"),
        ({"electrodes": [[0.5], [], []]}, "electrodes of row 0"),
        ({"channel_positions": [1.0, 2.0]}, "channel_positions has shape"),
        ({"region": ["a"]}, "region has 1 entries"),
        ({"quality": {"q": ["a"]}}, "quality q has 1 entries"),
    ],
)
def test_in_memory_columns_that_do_not_fit(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        in_memory(**given)


@pytest.mark.parametrize("trains", [[["a"]], [[[1.0, 2.0]]]])
def test_in_memory_spike_times_that_do_not_fit(trains: Any) -> None:
    with pytest.raises(InputError, match="spike_times of row 0"):
        Units.from_arrays(trains)


def test_chunks_too_large_for_the_cache_are_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy, "BLOCK_VALUES", 2)
    monkeypatch.setattr(hdf5, "CHUNK_CACHE_BYTES", 64)
    path = layouts.by_hand(tmp_path / "a.nwb", n=10)
    with h5py.File(path, "r+") as file:
        del file["units/spike_times"]
        file.create_dataset("units/spike_times", data=np.arange(20.0), chunks=(10,), compression="gzip")
    reads: list[tuple[int, int]] = []
    rows = hdf5.OpenFile.rows

    def watched(self: Any, dataset: Any, start: int, stop: int, what: str) -> Any:
        reads.append((start, stop))
        return rows(self, dataset, start, stop, what)

    with read_units(path) as units:
        monkeypatch.setattr(hdf5.OpenFile, "rows", watched)
        assert np.concatenate(list(units.spike_times)).tolist() == list(range(20))
    assert reads == [(0, 10), (10, 20)]
