"""Arrays that claim what they do not hold are refused before memory is spent on them."""

from __future__ import annotations

import resource
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from nwb_celltype import claimed_sizes
from nwb_celltype.claimed_sizes import oversized_chunk, require_believable
from nwb_celltype.converters.cellexplorer.matfile import read_mat
from nwb_celltype.errors import InputError
from nwb_celltype.units import read_units

from .archive.range_server import RangeServer
from .converters.cellexplorer.matlab_files import column, write_v73
from .hostile.files import sound

ROWS = 2**17
MIB = 2**20


def zeros(n_mib: int) -> bytes:
    """A sound deflated stream of so many MiB of zeros, without packing them all."""
    packing = zlib.compressobj()
    first = packing.compress(bytes(MIB)) + packing.flush(zlib.Z_FULL_FLUSH)
    again = packing.compress(bytes(MIB)) + packing.flush(zlib.Z_FULL_FLUSH)
    # Adler-32 of zeros: the low half stays 1, the high half counts the bytes
    check = (((n_mib * MIB) % 65521) << 16) | 1
    return first + again * (n_mib - 1) + b"\x03\x00" + check.to_bytes(4, "big")


def chunked(path: Path, stored: bytes, rows: int = ROWS) -> Path:
    with h5py.File(path, "w") as file:
        made = file.create_dataset("spike_times", (rows,), "f8", chunks=(rows,), compression="gzip")
        made.id.write_direct_chunk((0,), stored)
    return path


@pytest.mark.parametrize("rows", [ROWS, 2 * ROWS])  # 1 MiB, less than what is stored; and 2 MiB
def test_a_chunk_that_unpacks_to_more_than_it_holds_is_found_without_unpacking_it(tmp_path: Path, rows: int) -> None:
    stored = zeros(1100)
    assert len(stored) < 1.2 * MIB
    path = chunked(tmp_path / "bomb.h5", stored, rows=rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with h5py.File(path) as file:
        assert oversized_chunk(file["spike_times"]) == 0
        with pytest.raises(
            InputError, match=r"/spike_times in bomb\.h5 has a compressed chunk, at row 0, that unpacks"
        ):
            require_believable(file["spike_times"], "bomb.h5")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB


def test_a_stream_within_a_stream_is_unpacked_layer_by_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "twice.h5"
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((ROWS,))
        properties.set_deflate(4)
        properties.set_deflate(4)
        between = properties.copy()
        between.set_shuffle()
        between.set_deflate(4)
        h5py.h5d.create(file.id, b"hidden", h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple((ROWS,)), dcpl=between)
        file["hidden"].id.write_direct_chunk((0,), zlib.compress(zlib.compress(b"no stream" * 2000)))
        for name in ("honest", "bomb"):
            h5py.h5d.create(
                file.id, name.encode(), h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple((ROWS,)), dcpl=properties
            )
        file["honest"][...] = np.random.default_rng(0).normal(size=ROWS)
        file["bomb"].id.write_direct_chunk((0,), zlib.compress(zeros(50)))
    monkeypatch.setattr(claimed_sizes, "LARGEST_UNPACKED_BYTES", MIB)
    with h5py.File(path) as file:
        assert oversized_chunk(file["honest"]) is None
        assert oversized_chunk(file["bomb"]) == 0
        assert oversized_chunk(file["hidden"]) == 0


def test_honest_chunks_pass_also_those_that_are_looked_at(tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(size=2**18)  # hardly shrinks: 2 MiB could become 2 GiB
    with h5py.File(tmp_path / "honest.h5", "w") as file:
        for shuffle in (False, True):
            name = f"shuffle {shuffle}"
            file.create_dataset(name, data=values, chunks=values.shape, compression="gzip", shuffle=shuffle)
        file["virtual"] = values[:10]
        file.create_dataset("other codec", data=values, chunks=values.shape, compression="lzf")
        skipped = file.create_dataset("skipped", values.shape, "f8", chunks=values.shape, compression="gzip")
        skipped.id.write_direct_chunk(
            (0,), values.tobytes(), filter_mask=1
        )  # as HDF5 does where packing brings nothing
    with h5py.File(tmp_path / "honest.h5") as file:
        for name in file:
            require_believable(file[name], "honest.h5")
            require_believable(file[name], "honest.h5")
            assert len(file[name][()])


def test_a_damaged_chunk_is_left_to_hdf5(tmp_path: Path) -> None:
    stored = bytearray(zeros(1100))
    stored[:2] = b"no"
    with h5py.File(chunked(tmp_path / "damaged.h5", bytes(stored), rows=2**18)) as file:
        assert oversized_chunk(file["spike_times"]) is None
        with pytest.raises(OSError, match="filter returned failure"):
            file["spike_times"][()]


def test_units_whose_spikes_fill_the_memory_are_refused(tmp_path: Path) -> None:
    path = sound(tmp_path / "bomb.nwb")
    with h5py.File(path, "r+") as file:
        n, attributes = len(file["units/spike_times"]), dict(file["units/spike_times"].attrs)
        del file["units/spike_times"]
        made = file.create_dataset("units/spike_times", (n,), "f8", chunks=(n,), compression="gzip")
        made.attrs.update(attributes)
        made.id.write_direct_chunk((0,), zeros(1100))
    said = r"/units/spike_times in .*bomb\.nwb has a compressed chunk"
    with pytest.raises(InputError, match=said), read_units(path) as units:
        next(iter(units.spike_times))


@pytest.mark.parametrize(
    ("column", "n", "chunk"),
    [
        ("quality_score", 4, 4),
        ("spike_times", 1600, 2 * ROWS),  # read by HDF5
        ("spike_times", 5000, 2 * ROWS),  # read by us, and by HDF5 where that fails
    ],
)
def test_a_remote_chunk_is_not_unpacked_either(tmp_path: Path, column: str, n: int, chunk: int) -> None:
    path = sound(tmp_path / "bomb.nwb")
    with h5py.File(path, "r+") as file:
        units = file["units"]
        attributes = dict(units[column].attrs) if column in units else {}
        units.attrs["colnames"] = list(dict.fromkeys([*units.attrs["colnames"], column]))
        if column in units:
            del units[column]
        made = units.create_dataset(column, (n,), "f8", chunks=(chunk,), maxshape=(None,), compression="gzip")
        made.attrs.update(attributes)
        made.id.write_direct_chunk((0,), zeros(1100))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = rf"/units/{column} in .*bomb\.nwb.* has a compressed chunk, at row 0"
    with RangeServer(tmp_path) as server, pytest.raises(InputError, match=said):
        _read(server.url("bomb.nwb"), column)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB


def _read(url: str, column: str) -> None:
    with read_units(url) as units:
        if column == "spike_times":
            next(iter(units.spike_times))
        else:
            units.column(column)


def test_cells_of_matlab_that_are_all_one_do_not_multiply(tmp_path: Path) -> None:
    path = tmp_path / "laughs.mat"
    write_v73(path, {"spikes": {"times": [column(1), column(2)]}})
    with h5py.File(path, "r+") as file:
        level = file.create_dataset("#refs#/level0", data=np.zeros((1, 3)))
        for depth in range(1, 30):
            cells = file.create_dataset(f"#refs#/level{depth}", (1, 10), dtype=h5py.ref_dtype)
            cells[...] = np.full((1, 10), level.ref, dtype=h5py.ref_dtype)
            cells.attrs["MATLAB_class"] = np.bytes_("cell")
            level = cells
        file["laughs"] = level
    with pytest.raises(InputError, match=r"laughs\.mat, field laughs.*hold the same values over and over"):
        read_mat(path, ["laughs"])


def test_an_array_of_matlab_that_claims_a_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "claims.mat"
    write_v73(path, {"spikes": {"times": [column(1)]}})
    with h5py.File(path, "r+") as file:
        file.create_dataset("huge", (10**6, 10**6), "f8", chunks=(1000, 1000))
    with pytest.raises(InputError, match=r"/huge in claims\.mat claims .* GiB, far more than it stores"):
        read_mat(path, ["huge"])
