"""Which units are taken: by their own region, by the electrode of their largest waveform, by all their electrodes."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

import nwb_celltype as nct
from nwb_celltype.batch.selection import RegionRule, choose_units, possible_regions
from nwb_celltype.batch.stored_bytes import stored_bytes
from nwb_celltype.errors import UsageError

from .recordings import N_CHANNELS, N_SAMPLES, recording

TISSUE = RegionRule.of(None, "cerebellar_cortex")


def make(regions: list[str]) -> nct.Units:
    return nct.Units.from_arrays([[0.1]] * len(regions), unit_ids=range(1, len(regions) + 1), region=regions)


@pytest.mark.parametrize(
    ("region", "tissue", "taken", "unknown"),
    [
        (None, "cerebellar_cortex", [1, 3, 4], 1),
        (None, "", [1, 2, 3, 4, 5], 1),
        ("cerebellum", "", [1, 4], 0),
        ("Cerebellar  cortex", "cerebellar_cortex", [1, 4], 0),
        ("lobule v", "", [1], 0),
        ("FLOCC*", "", [4], 0),
        ("ca1", "cerebellar_cortex", [2], 0),
        ("a1", "", [], 0),
    ],
)
def test_units_are_taken_by_region(region: str | None, tissue: str, taken: list[int], unknown: int) -> None:
    units = make(["Lobule V", "CA1", "", "Flocculus, left", "fastigial nucleus"])
    chosen = choose_units(units, RegionRule.of(region, tissue))
    assert chosen.unit_ids.tolist() == taken
    assert chosen.n_left_out == 5 - len(taken)
    assert chosen.n_unknown == unknown


def test_an_empty_region_is_no_region() -> None:
    with pytest.raises(UsageError, match="The region is empty"):
        RegionRule.of("  ", "")


def test_several_regions_are_decided_by_the_peak_column_or_kept(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.nwb", ["Lobule V", "CA1", "CA1", "CA3"])
    with h5py.File(path, "r+") as file:
        units = file["units"]
        units["electrodes"][:] = [0, 2, 1, 3, 4, 6, 4, 5]  # Lobule V and CA1 twice, then CA1 and CA3, then CA1
    with nct.read_units(path) as read, h5py.File(path) as file:
        regions = possible_regions(read, file["units"])
        assert regions == [("Lobule V", "CA1"), ("Lobule V", "CA1"), ("CA1", "CA3"), ("CA1",)]
        assert choose_units(read, TISSUE, file["units"]).unit_ids.tolist() == [10, 11]
    with h5py.File(path, "r+") as file:
        file["units"].create_dataset("max_electrode", data=np.array([0, 3, 6, 99]))
        file["units/max_electrode"].attrs["table"] = file["general/extracellular_ephys/electrodes"].ref
    with nct.read_units(path) as read, h5py.File(path) as file:
        assert possible_regions(read, file["units"]) == [("Lobule V",), ("CA1",), ("CA3",), ("CA1",)]
        assert choose_units(read, TISSUE, file["units"]).unit_ids.tolist() == [10]


def test_a_peak_channel_counts_only_where_it_is_one_of_the_units_electrodes(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.nwb", ["Lobule V", "CA1"])
    with h5py.File(path, "r+") as file:
        file["units/electrodes"][:] = [1, 2, 1, 2]  # both in both
        file["units"].create_dataset("peak_channel", data=np.array([1, 7]))
    with nct.read_units(path) as read, h5py.File(path) as file:
        assert possible_regions(read, file["units"]) == [("Lobule V",), ("Lobule V", "CA1")]


def test_choosing_reads_neither_spikes_nor_waveforms(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:  # what is read there would be nonsense
        for name in ("spike_times", "waveform_mean"):
            file[f"units/{name}"][...] = np.nan
    with nct.read_units(path) as read, h5py.File(path) as file:
        assert choose_units(read, TISSUE, file["units"]).unit_ids.tolist() == [10, 12, 13]


def test_stored_bytes_are_those_of_the_chosen_units_alone(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.nwb", n_spikes=1000)
    with h5py.File(path) as file:
        each = 1000 * 8 + N_SAMPLES * N_CHANNELS * 8
        assert stored_bytes(file["units"], np.array([0, 2])) == 2 * each
        assert stored_bytes(file["units"], np.array([], dtype=np.int64)) == 0


def test_stored_bytes_of_compressed_columns_are_whole_chunks(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.nwb", n_spikes=1000)
    with h5py.File(path, "r+") as file:
        values = file["units/spike_times"][()]
        del file["units/spike_times"], file["units/waveform_mean"]
        stored = file["units"].create_dataset("spike_times", data=values, chunks=(1500,), compression="gzip")
        chunks = [stored.id.get_chunk_info(k).size for k in range(stored.id.get_num_chunks())]
        assert stored_bytes(file["units"], np.array([0])) == chunks[0]
        assert stored_bytes(file["units"], np.array([0, 1])) == chunks[0] + chunks[1]
