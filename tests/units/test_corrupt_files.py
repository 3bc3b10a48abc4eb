"""What cannot be read is said in one sentence: what, which unit and file, what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.units import read_units, units_tables

from . import layouts


def fails(path: Path, *words: str, **how: Any) -> None:
    with pytest.raises(InputError) as caught:
        read_units(path, **how)
    message = str(caught.value)
    for word in (*words, path.name):
        assert word in message
    # the file is not left open behind the error
    if h5py.is_hdf5(path):
        with h5py.File(path, "r+"):
            pass


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"spike_times_index": np.array([2, 9])}, ("unit 1 (row 1)", "ends at row 9", "4 rows")),
        ({"spike_times_index": np.array([2, 2**63 + 5], dtype=np.uint64)}, ("unit 1 (row 1)", "ends at row")),
        ({"spike_times_index": np.array([-1, 4])}, ("unit 0 (row 0)",)),
        ({"spike_times_index": np.array([4, 2])}, ("decreases at unit 1 (row 1)", "from 4 to 2")),
        ({"spike_times_index": np.array([2, 4, 4])}, ("3 entries for 2 rows",)),
        ({"spike_times_index": np.array([2.0, 4.0])}, ("vector of integers", "float64")),
        ({"spike_times": np.array([b"a", b"b", b"c", b"d"])}, ("spike_times in", "must be a vector of seconds")),
        ({"spike_times": np.ones((4, 2))}, ("spike_times in", "must be a vector of seconds")),
        ({"id": np.array([5, 5])}, ("repeats unit ids (5)",)),
        ({"id": np.array([0.0, 1.0])}, ("id in", "must be a vector of integers")),
        ({"id": np.array([1, 2**63 + 1], dtype=np.uint64)}, ("too large",)),
        ({"waveform_mean": np.ones((3, 40))}, ("waveform_mean", "3 rows for 2 units")),
        ({"waveform_mean": np.array([b"a", b"b"])}, ("waveform_mean", "must be numeric")),
        ({"waveform_mean": np.ones((8, 40)), "waveform_mean_index": np.array([4, 9])}, ("unit 1 (row 1)",)),
        ({"obs_intervals": np.ones((3, 3))}, ("obs_intervals", "pairs")),
        ({"obs_intervals": np.ones((3, 2))}, ("obs_intervals_index", "is missing")),
        ({"electrodes": np.array([0.5, 1.0])}, ("electrodes in", "must be a vector of electrode rows")),
        ({"electrodes": np.array([0, 1, 2])}, ("electrodes_index", "is missing")),
    ],
)
def test_corrupt_columns(columns: dict[str, Any], words: tuple[str, ...], tmp_path: Path) -> None:
    fails(layouts.by_hand(tmp_path / "bad.nwb", **columns), *words)


def test_corrupt_inner_index_names_its_entry(tmp_path: Path) -> None:
    path = layouts.by_hand(tmp_path / "bad.nwb")
    layouts.add_column(path, "waveform_mean", np.arange(40.0), [[20, 99], [1, 2]])
    fails(path, "entry 1", "ends at row 99")


def test_missing_pieces(tmp_path: Path) -> None:
    path = layouts.by_hand(tmp_path / "bad.nwb")
    with h5py.File(path, "r+") as file:
        del file["units/spike_times_index"]
    fails(path, "spike_times_index", "is missing")
    with h5py.File(path, "r+") as file:
        del file["units/id"]
    fails(path, "no id column")
    with h5py.File(path, "r+") as file:
        del file["units"]
    fails(path, "no units table")
    with h5py.File(path, "r+") as file:
        del file.attrs["nwb_version"]
    fails(path, "not NWB 2")


def test_files_that_are_no_hdf5(tmp_path: Path) -> None:
    fails(tmp_path / "absent.nwb", "does not exist")
    (tmp_path / "empty.nwb").touch()
    fails(tmp_path / "empty.nwb", "not an HDF5 file")
    (tmp_path / "text.nwb").write_text("spikes", encoding="utf-8")
    fails(tmp_path / "text.nwb", "not an HDF5 file")
    fails(tmp_path, "is a folder")
    zarr = tmp_path / "a.nwb.zarr"
    zarr.mkdir()
    (zarr / ".zgroup").touch()
    fails(zarr, "NWB-Zarr", "hdmf-zarr")


def test_truncated_file(tmp_path: Path) -> None:
    path = layouts.plain(tmp_path / "cut.nwb")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"cut\.nwb is truncated"):
        read_units(path)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("DANDI:409/a.nwb", "six digits"),
        ("dandi://nowhere/000409/a.nwb", "nowhere"),
        ("s3://bucket", "names no file"),
        ("DANDI:000409", "whole dandiset"),
    ],
)
def test_addresses_that_name_no_file(address: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_units(address)


def test_other_sources(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="from a int"):
        read_units(3)  # type: ignore[arg-type]
    path = layouts.by_hand(tmp_path / "a.nwb")
    with path.open("rb") as stream, read_units(stream) as units:  # type: ignore[arg-type]
        assert len(units) == 2
        assert units.session.path == str(path)
    with path.open(encoding="latin-1") as stream, pytest.raises(UsageError, match="binary"):
        read_units(stream)  # type: ignore[arg-type]


def test_several_units_tables(tmp_path: Path) -> None:
    path = layouts.by_hand(tmp_path / "a.nwb", table="processing/ecephys/sorting_b", n=3)
    assert units_tables(path) == ["/processing/ecephys/sorting_b"]
    with read_units(path) as units:
        assert len(units) == 3
    layouts.by_hand(path, table="processing/ecephys/sorting_a", n=4)
    fails(path, "/processing/ecephys/sorting_a, /processing/ecephys/sorting_b", "--units-table")
    with read_units(path, units_table="processing/ecephys/sorting_a") as units:
        assert len(units) == 4
        assert units.session.units_path == "/processing/ecephys/sorting_a"
        assert units.session.units_object_id == "object of processing/ecephys/sorting_a"
        assert "other units tables: /processing/ecephys/sorting_b" in units.table_notes[-1]
    layouts.by_hand(path, n=2)
    assert units_tables(path)[0] == "/units"
    assert len(units_tables(path)) == 3
    with read_units(path) as units:
        assert len(units) == 2
    with pytest.raises(UsageError, match=r"/processing/x in .*is no units table; those it has: /units, "):
        read_units(path, units_table="/processing/x")


def test_links(tmp_path: Path) -> None:
    path = layouts.by_hand(tmp_path / "soft.nwb", table="processing/ecephys/sorting")
    with h5py.File(path, "r+") as file:
        file["units"] = h5py.SoftLink("/processing/ecephys/sorting")
    with read_units(path) as units:
        assert len(units) == 2
        assert not any("other units tables" in note for note in units.table_notes)
    outside = tmp_path / "external.nwb"
    with h5py.File(outside, "w") as file:
        file.attrs["nwb_version"] = "2.9.0"
        file["units"] = h5py.ExternalLink("soft.nwb", "/processing/ecephys/sorting")
    with read_units(outside) as units:
        assert units.spike_times[1].tolist() == [2.0, 3.0]
    path.unlink()
    fails(outside, "external link to /processing/ecephys/sorting in soft.nwb", "put that file beside this one")
    with h5py.File(outside, "r+") as file:
        del file["units"]
        file["units"] = h5py.SoftLink("/nowhere")
    fails(outside, "link to /nowhere, which does not exist")


def test_damaged_chunk_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    path = layouts.by_hand(tmp_path / "bad.nwb")
    with h5py.File(path, "r+") as file:
        del file["units/spike_times"]
        spikes = file.create_dataset("units/spike_times", data=np.arange(4.0), chunks=(4,), compression="gzip")
        offset = spikes.id.get_chunk_info(0).byte_offset
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\xff\xff\xff\xff")
    with read_units(path) as units, pytest.raises(InputError, match=r"/units/spike_times in .*bad\.nwb"):
        list(units.spike_times)


def test_what_is_wrong_with_one_unit_is_kept(tmp_path: Path) -> None:
    times = np.array([3.0, -1.0, np.nan, 7.0])
    with read_units(layouts.by_hand(tmp_path / "a.nwb", spike_times=times)) as units:
        np.testing.assert_array_equal(units.spike_times[0], [3.0, -1.0])
        np.testing.assert_array_equal(units.spike_times[1], [np.nan, 7.0])


def test_odd_spike_columns_are_noted(tmp_path: Path) -> None:
    samples = layouts.by_hand(tmp_path / "samples.nwb", spike_times=np.arange(6))
    with read_units(samples) as units:
        assert units.spike_times[1].tolist() == [2.0, 3.0]
        assert any("sample numbers" in note for note in units.table_notes)
        assert "2 rows at the end of spike_times belong to no unit" in units.table_notes
    coarse = layouts.by_hand(tmp_path / "coarse.nwb", spike_times=np.arange(4.0, dtype=np.float32))
    layouts.add_column(coarse, "obs_intervals", np.ones((2, 2)))
    with read_units(coarse) as units:
        assert units.spike_times[0].dtype == np.float64
        assert any("too coarse" in note for note in units.table_notes)
        assert units.obs_intervals is not None
        assert units.obs_intervals[1].tolist() == [[1.0, 1.0]]


def test_damaged_sizes_do_not_fill_the_memory(tmp_path: Path) -> None:
    path = layouts.by_hand(tmp_path / "bad.nwb")
    with h5py.File(path, "r+") as file:
        del file["units/spike_times"]
        file.create_dataset("units/spike_times", shape=(2**40,), dtype="f8", chunks=(1024,))
    fails(path, "/units/spike_times", "claims 8192 GiB")


def test_damaged_electrodes_are_noticed_when_the_region_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        message = "bad heap pointer"
        raise OSError(message)

    with read_units(layouts.plain(tmp_path / "bad.nwb")) as units:
        monkeypatch.setattr("nwb_celltype.units.electrodes._electrode_locations", broken)
        with pytest.raises(InputError, match=r"electrode locations in .*bad\.nwb: bad heap pointer"):
            _ = units.region
