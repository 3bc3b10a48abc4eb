"""Units of files on a server: the same values as from disk, for few requests and bytes, and failures told as such."""

from __future__ import annotations

import dataclasses
import importlib
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_celltype.archive import transport
from nwb_celltype.errors import InputError, NetworkError, RefusedError, UsageError
from nwb_celltype.units import Units, lazy, open_source, read_units, units_tables
from nwb_celltype.units.chunk_plan import merge_spans, plan_chunks

from ..archive.range_server import Fault, RangeServer
from ..archive_double import DandiDouble
from . import layouts

ROOT = Path(__file__).resolve().parents[2]
N_UNITS, N_SPIKES = 40, 60_000
BUILDERS = (
    layouts.plain,
    layouts.single_channel,
    layouts.samples_channels,
    layouts.channels_samples,
    layouts.ragged_channels,
    layouts.ragged_samples,
    layouts.double_ragged,
    layouts.single_spikes,
    layouts.by_hand,
)
STORAGE: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunked": {"chunks": 4096},
    "gzip": {"chunks": 4096, "compression": "gzip"},
    "gzip+shuffle": {"chunks": 5000, "compression": "gzip", "shuffle": True},
    "shuffle": {"chunks": 4096, "shuffle": True},
    "fletcher32": {"chunks": 4096, "fletcher32": True},
    "gzip+fletcher32": {"chunks": 4096, "compression": "gzip", "fletcher32": True},
    "lzf": {"chunks": 4096, "compression": "lzf"},
    "one chunk": {"chunks": 100_000, "maxshape": None},
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    with RangeServer(tmp_path) as running:
        yield running


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "DEFAULT_POLICY", transport.RetryPolicy(n_retries=2, sleep=lambda _s: None))


def stored(path: Path, *, libver: str = "earliest", dtype: str = "<f8", wide: bool = False, **how: Any) -> Path:
    """Units whose two large columns are stored as told; three more columns hold one value per unit."""
    random = np.random.default_rng(1)
    ends = np.sort(random.integers(0, N_SPIKES, N_UNITS))
    ends[[-1, 7]] = N_SPIKES, ends[6]
    times = random.random(N_SPIKES) * 3600
    waveforms = random.normal(0, 1e-4, (N_UNITS, 41, 12)).astype("f4")
    tall = dict(how)
    if "chunks" in how:
        tall["chunks"] = (N_UNITS if how["chunks"] > N_SPIKES else 7, 20 if wide else 41, 12)
        tall["maxshape"] = (None, None, None)
        how = {**how, "maxshape": (None,), "chunks": (how["chunks"],)}
    with h5py.File(path, "w", libver=libver) as file:
        file.attrs["nwb_version"] = "2.9.0"
        file["acquisition/before"] = np.zeros(600_000, dtype="u1")
        group = file.create_group("units")
        names = ["spike_times", "waveform_mean", "metric", "quality", "cell_type"]
        group.attrs.update({"neurodata_type": "Units", "object_id": "an id", "colnames": names})
        group["id"] = np.arange(N_UNITS) + 100
        group.create_dataset("spike_times", data=times.astype(dtype), **how)
        group["spike_times_index"] = ends
        group.create_dataset("waveform_mean", data=waveforms, **tall)
        group["waveform_mean"].attrs.update({"unit": "volts", "sampling_rate": 30000.0})
        group.create_dataset("metric", data=random.random(N_UNITS), chunks=(16,), maxshape=(None,))
        group["quality"] = ["good", "mua"] * (N_UNITS // 2)
        group["cell_type"] = np.array([b"PkC_ss", b"MLI"] * (N_UNITS // 2))
        file["acquisition/after"] = np.zeros(500_000, dtype="u1")
    return path


def equal(ours: Any, theirs: Any) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    return ours.dtype == theirs.dtype and np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")


def assert_same(remote: Units, local: Units) -> None:
    for name in ("unit_ids", "waveform_rates_hz", "channel_positions", "waveform_source", "region"):
        assert equal(getattr(remote, name), getattr(local, name)), name
    for name in ("spike_times", "waveform_mean", "obs_intervals", "electrodes"):
        ours, theirs = getattr(remote, name), getattr(local, name)
        assert (ours is None) == (theirs is None), name
        for sequences in ((), (ours, theirs), (reversed(ours or ()), reversed(theirs or ()))):
            assert all(equal(a, b) for a, b in zip(*sequences, strict=True)) if ours is not None else True, name
    for name in ("quality", "label_columns"):
        assert {key: list(each) for key, each in getattr(remote, name).items()} == {
            key: list(each) for key, each in getattr(local, name).items()
        }
    assert remote.column_names == local.column_names
    assert all(equal(remote.column(name), local.column(name)) for name in local.column_names)
    assert (remote.notes, remote.table_notes) == (local.notes, local.table_notes)
    assert dataclasses.replace(remote.session, path="") == dataclasses.replace(local.session, path="")
    assert remote.sha256() == local.sha256()


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_every_layout_reads_as_from_disk(build: Callable[[Path], Path], server: RangeServer, tmp_path: Path) -> None:
    path = build(tmp_path / "a.nwb")
    with read_units(path) as local, read_units(server.url("a.nwb")) as remote:
        assert_same(remote, local)
        ids = local.unit_ids[::-2]
        assert_same(remote.select(ids), local.select(ids))
        assert remote.session.path == server.url("a.nwb")


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("storage", STORAGE)
def test_every_storage_reads_as_from_disk(storage: str, libver: str, server: RangeServer, tmp_path: Path) -> None:
    path = stored(tmp_path / "a.nwb", libver=libver, **STORAGE[storage])
    with read_units(path) as local, read_units(server.url("a.nwb")) as remote:
        assert_same(remote, local)
        assert_same(remote.select([139, 107, 100, 122]), local.select([139, 107, 100, 122]))


@pytest.mark.parametrize("dtype", [">f8", "<f4", ">i8", "<u2", "<f2"])
@pytest.mark.parametrize("storage", ["contiguous", "chunked", "gzip+shuffle"])
def test_numbers_of_every_kind(storage: str, dtype: str, server: RangeServer, tmp_path: Path) -> None:
    path = stored(tmp_path / "a.nwb", dtype=dtype, wide=True, **STORAGE[storage])
    with read_units(path) as local, read_units(server.url("a.nwb")) as remote:
        assert_same(remote, local)


def test_rows_that_were_never_written(server: RangeServer, tmp_path: Path) -> None:
    path = stored(tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        del file["units/spike_times"]
        times = file["units"].create_dataset("spike_times", (N_SPIKES,), "f8", chunks=(5000,), fillvalue=-3.0)
        times[12_000:31_000] = np.arange(19_000.0)
    with read_units(path) as local, read_units(server.url("a.nwb")) as remote:
        assert_same(remote, local)
        assert -3.0 in remote.spike_times[N_UNITS - 1]


@pytest.mark.parametrize("storage", ["contiguous", "chunked", "gzip", "fletcher32"])
def test_only_what_is_asked_for_is_read(storage: str, server: RangeServer, tmp_path: Path) -> None:
    path = stored(tmp_path / "a.nwb", **STORAGE[storage])
    with h5py.File(path, "r+") as file:
        # a recording between the columns, and columns apart from each other
        file["acquisition/raw"] = np.zeros(2_000_000, dtype="i2")
        for k in range(18):
            file[f"units/metric_{k}"] = np.arange(float(N_UNITS))
            file[f"acquisition/more_{k}"] = np.zeros(10_000, dtype="i2")
        sizes = {name: file[f"units/{name}"].id.get_storage_size() for name in ("spike_times", "waveform_mean")}
    with read_units(server.url("a.nwb")) as units:
        assert [len(units.column(name)) for name in units.column_names] == [N_UNITS] * 22
        assert server.n_requests <= 10
        assert server.n_bytes <= 1_500_000
        server.forget()
        rows = [3, 9, 20, 33]
        list(units.select(units.unit_ids[rows]).spike_times)
        if storage in ("contiguous", "chunked"):
            asked = 8 * int(units.spike_times.counts[rows].sum())
            assert server.n_bytes <= 1.1 * asked + 64 * 1024  # spans with little between them are one
        server.forget()
        list(units.spike_times)
        assert server.n_bytes <= 1.1 * sizes["spike_times"]
        server.forget()
        list(units.waveform_mean)
        assert server.n_bytes <= 1.1 * sizes["waveform_mean"] + 64 * 1024
        server.forget()
        list(units.spike_times)
        list(units.waveform_mean)
        assert server.n_requests == 0  # small enough to be still in memory


@pytest.mark.parametrize("chunks", [None, (1, 82, 384), (1, 41, 384)])
def test_waveforms_of_units_that_are_left_out_are_not_read(
    chunks: tuple[int, ...] | None, server: RangeServer, tmp_path: Path
) -> None:
    path = stored(tmp_path / "a.nwb")
    n_bytes = 82 * 384 * 4
    waveforms = np.random.default_rng(2).normal(0, 1e-4, (N_UNITS, 82, 384)).astype("f4")
    with h5py.File(path, "r+") as file:
        del file["units/waveform_mean"]
        file["units"].create_dataset("waveform_mean", data=waveforms, chunks=chunks)
        file["units/waveform_mean"].attrs.update({"unit": "volts", "sampling_rate": 30000.0})
        file["acquisition/behind"] = np.zeros(500_000, dtype="u1")
        plan = plan_chunks(file["units/waveform_mean"])
    assert plan is not None
    rows = [4, 17, 18, 30]
    spans = [merge_spans(plan.spans(k, k + 1)) for k in range(N_UNITS)]

    def sent(unit: int) -> int:
        asked = merge_spans((each.start, each.start + each.n_bytes) for each in server.log if each.start is not None)
        return sum(max(0, min(b, stop) - max(a, start)) for a, b in asked for start, stop in spans[unit])

    with read_units(server.url("a.nwb")) as units:
        assert sum(map(sent, range(N_UNITS))) <= 512 * 1024  # what comes with the headers on either side
        server.forget()
        some = units.select(units.unit_ids[rows])
        assert some.waveform_mean.unit_note is None
        for waveform, row in zip(some.waveform_mean, rows, strict=True):
            np.testing.assert_allclose(waveform, waveforms[row] * 1e6, rtol=1e-6)
        # around the index of the chunks, which lies among them, come two blocks of the file
        block = 4096 if chunks is None else 64 * 1024
        assert {k: sent(k) for k in range(N_UNITS) if sent(k) > block} == dict.fromkeys(rows, n_bytes)
        assert len(rows) * n_bytes <= server.n_bytes <= 1.01 * len(rows) * n_bytes + 3 * block


def test_ranges_are_fetched_side_by_side(server: RangeServer, tmp_path: Path) -> None:
    stored(tmp_path / "a.nwb", **STORAGE["chunked"])
    with read_units(server.url("a.nwb")) as units:
        with h5py.File(tmp_path / "a.nwb") as file:
            plan = plan_chunks(file["units/spike_times"])
        assert plan is not None
        chosen = units.select(units.unit_ids[::3])
        server.forget()
        server.latency_s = 0.05
        list(chosen.spike_times)
        assert server.n_requests < 3 or server.most_at_once > 1


@pytest.mark.parametrize("storage", ["chunked", "gzip"])
def test_two_passes_side_by_side_and_one_given_up(
    storage: str, monkeypatch: pytest.MonkeyPatch, server: RangeServer, tmp_path: Path
) -> None:
    # a window that the file does not fit into, as with files of many megabytes
    monkeypatch.setattr(lazy, "AHEAD_BYTES", 40_000)
    monkeypatch.setattr(lazy, "BLOCK_VALUES", 1000)
    path = stored(tmp_path / "a.nwb", **STORAGE[storage])
    with h5py.File(path) as file:
        size = sum(file[f"units/{name}"].id.get_storage_size() for name in ("spike_times", "waveform_mean"))
    with read_units(path) as local, read_units(server.url("a.nwb")) as units:
        server.forget()
        for k, (spikes, waveform) in enumerate(zip(units.spike_times, units.waveform_mean, strict=True)):
            assert equal(spikes, local.spike_times[k])
            assert equal(waveform, local.waveform_mean[k])
        assert server.n_bytes <= 1.1 * size
    with read_units(server.url("a.nwb")) as units:
        server.forget()
        next(iter(units.spike_times))
        assert server.n_bytes < size / 2


def test_many_electrodes_are_read_when_asked_for(server: RangeServer, tmp_path: Path) -> None:
    path = layouts.samples_channels(tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        file["acquisition/raw"] = np.zeros(1_000_000, dtype="i2")
        attributes = dict(file["units/electrodes"].attrs)
        many = np.tile(np.arange(layouts.N_CHANNELS), 300_000 // layouts.N_CHANNELS)
        layouts.put(file, "units/electrodes", many, **attributes)
        layouts.put(file, "units/electrodes_index", np.array([100_000, 100_000, 300_000]))
        file["acquisition/more"] = np.zeros(1_000_000, dtype="i2")
    with read_units(path) as local, read_units(server.url("a.nwb")) as remote:
        assert server.n_bytes < 1_000_000
        assert local.electrodes is not None
        assert remote.electrodes is not None
        assert equal(remote.electrodes[2], local.electrodes[2])
        assert remote.select([30, 10]).electrodes[1].tolist() == local.electrodes[0].tolist()
        assert server.n_bytes > 2_000_000


def test_columns(server: RangeServer, tmp_path: Path) -> None:
    path = stored(tmp_path / "a.nwb")
    with read_units(server.url("a.nwb")) as units:
        assert units.column_names == ("metric", "quality", "cell_type", "id")
        some = units.select([139, 100])
        assert some.column("quality").tolist() == ["mua", "good"]
        assert some.column("id").tolist() == [139, 100]
        with pytest.raises(UsageError, match=r"no column 'depth'.*metric, quality, cell_type, id"):
            units.column("depth")
        with pytest.raises(UsageError, match="spike_times"):
            units.column("spike_times")
    with read_units(path) as local:
        assert local.column("metric").dtype == np.float64
    assert Units.from_arrays([[0.1]]).column_names == ()


def test_other_tables_on_a_server(server: RangeServer, tmp_path: Path) -> None:
    path = layouts.by_hand(tmp_path / "a.nwb")
    layouts.by_hand(path, table="processing/ecephys/sorting_b", n=3)
    assert units_tables(server.url("a.nwb")) == units_tables(path) == ["/units", "/processing/ecephys/sorting_b"]
    with read_units(server.url("a.nwb"), units_table="processing/ecephys/sorting_b") as units:
        assert [len(spikes) for spikes in units.spike_times] == [2, 2, 2]
    with pytest.raises(UsageError, match="is no units table"):
        read_units(server.url("a.nwb"), units_table="processing/x")


def test_a_cache_on_disk_saves_the_second_reading(server: RangeServer, tmp_path: Path) -> None:
    stored(tmp_path / "a.nwb", **STORAGE["gzip"])
    shas = []
    for cache in (tmp_path / "cache", str(tmp_path / "cache")):
        server.forget()
        with read_units(server.url("a.nwb"), cache=cache) as units:
            shas.append(units.sha256())
        counted = server.n_bytes
    assert shas[0] == shas[1]
    assert counted <= 256 * 1024  # what says that the file is still the same


# failures


def read_while(server: RangeServer, dataset: Any) -> None:
    server.faults = [Fault(times=99, status=500)]
    dataset[()]


def test_a_connection_that_breaks_is_taken_up_again(impatient: None, server: RangeServer, tmp_path: Path) -> None:
    path = stored(tmp_path / "a.nwb", **STORAGE["chunked"])
    with read_units(path) as local:
        expected = local.sha256()
    server.faults = [Fault(times=4, cut_after=70_000), Fault(times=2, status=503, skip=3)]
    with read_units(server.url("a.nwb")) as units:
        assert units.sha256() == expected


@pytest.mark.parametrize("fault", [{"status": 500}, {"cut_after": 0}])
def test_no_failure_of_the_server_is_taken_for_damage(
    fault: dict[str, Any], impatient: None, server: RangeServer, tmp_path: Path
) -> None:
    path = stored(tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        for k in range(4):
            file[f"acquisition/raw_{k}"] = np.zeros(200_000, dtype="i2")
            file[f"units/metric_{k}"] = np.arange(float(N_UNITS))
    with read_units(server.url("a.nwb")):
        n_of_units = server.n_requests
    units_tables(server.url("a.nwb"))
    n_of_tables = server.n_requests - n_of_units
    for read, n_requests in ((read_units, n_of_units), (units_tables, n_of_tables)):
        assert n_requests > 1
        told = []
        for k in range(n_requests):
            server.faults = [Fault(times=99, skip=k, **fault)]
            try:
                found = read(server.url("a.nwb"))
            except NetworkError as error:
                told.append(str(error))
                continue
            # what failed was fetched ahead and not needed
            if isinstance(found, Units):
                with found, read_units(path) as local:
                    assert (found.session.identifier, found.table_notes) == ("", local.table_notes)
                    assert found.quality.keys() == local.quality.keys()
            else:
                assert found == ["/units"]
        assert len(told) >= n_requests - 2
        assert all("a.nwb: " in each for each in told)
    server.faults = []
    with read_units(server.url("a.nwb")) as units:
        server.faults = [Fault(times=99, **fault)]
        with pytest.raises(NetworkError):
            list(units.spike_times)
        server.faults = []
        assert len(units.spike_times[0])  # it comes back


def test_a_server_that_is_gone(impatient: None, tmp_path: Path) -> None:
    stored(tmp_path / "a.nwb")
    with RangeServer(tmp_path) as server:
        units = read_units(server.url("a.nwb"))
    with units, pytest.raises(NetworkError, match=r"a\.nwb.*cannot be reached"):
        list(units.spike_times)
    with pytest.raises(NetworkError, match="cannot be reached"):
        read_units(server.url("a.nwb"))


def test_a_file_that_is_replaced_while_it_is_read(server: RangeServer, tmp_path: Path) -> None:
    path = stored(tmp_path / "a.nwb", **STORAGE["contiguous"])
    with read_units(server.url("a.nwb")) as units:
        with h5py.File(path, "r+") as file:
            file["units/spike_times"][...] = 0.0
        path.touch()
        with pytest.raises(InputError, match="replaced while it was read"):
            list(units.spike_times)


def test_signed_addresses_are_renewed_and_never_shown(server: RangeServer, tmp_path: Path) -> None:
    path = stored(tmp_path / "a.nwb", **STORAGE["chunked"])
    server.signature_uses = 2
    with read_units(path) as local, read_units(server.url("moved/a.nwb")) as units:
        assert units.sha256() == local.sha256()
    server.signature_uses = None
    signed = server.root + server.sign("a.nwb")
    with read_units(signed) as units:
        assert units.session.path == server.url("a.nwb")
        server.expire()
        with pytest.raises(RefusedError, match="signed address has expired") as caught:
            list(units.spike_times)
    assert "Signature" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        ("absent.nwb", InputError, "does not exist"),
        ("text.nwb", InputError, "not an HDF5 file"),
        ("empty.nwb", InputError, "not an HDF5 file"),
        ("cut.nwb", InputError, "truncated"),
        ("a.nwb.zarr", InputError, "Zarr"),
        ("a.zarr/", InputError, "Zarr"),
        ("a.zarr/.zmetadata", InputError, "Zarr"),
    ],
)
def test_what_cannot_be_read(
    address: str, error: type[Exception], words: str, server: RangeServer, tmp_path: Path
) -> None:
    (tmp_path / "text.nwb").write_text("spikes" * 100, encoding="utf-8")
    (tmp_path / "empty.nwb").touch()
    whole = stored(tmp_path / "whole.nwb").read_bytes()
    (tmp_path / "cut.nwb").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(error, match=words) as caught:
        read_units(server.url(address))
    assert address.rstrip("/") in str(caught.value)


def test_damaged_chunks_are_the_files_fault(server: RangeServer, tmp_path: Path) -> None:
    path = stored(tmp_path / "a.nwb", **STORAGE["gzip"])
    with h5py.File(path) as file:
        chunk = file["units/spike_times"].id.get_chunk_info(3)
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset + 100 : chunk.byte_offset + 400] = bytes(300)
    path.write_bytes(data)
    with read_units(server.url("a.nwb")) as units, pytest.raises(InputError, match=r"spike_times in .*a\.nwb"):
        list(units.spike_times)


def test_a_closed_file_says_so(server: RangeServer, tmp_path: Path) -> None:
    stored(tmp_path / "a.nwb")
    with read_units(server.url("a.nwb")) as units:
        units.close()
    for read in (lambda: units.spike_times[3], lambda: list(units.waveform_mean), lambda: units.column("metric")):
        with pytest.raises(UsageError, match=r"a\.nwb is closed\. Read inside the `with"):
            read()


def test_open_source_is_an_h5py_file(impatient: None, server: RangeServer, tmp_path: Path) -> None:
    path = stored(tmp_path / "a.nwb")
    with open_source(server.url("a.nwb")) as remote, h5py.File(path) as local:
        assert isinstance(remote, h5py.File)
        assert np.array_equal(remote["units/metric"][()], local["units/metric"][()])
    assert not remote
    assert remote.stream.remote.closed
    with pytest.raises(NetworkError), open_source(server.url("a.nwb")) as remote:
        read_while(server, remote["units/spike_times"])


def test_a_forgotten_file_does_not_break_the_end_of_the_program(server: RangeServer, tmp_path: Path) -> None:
    stored(tmp_path / "a.nwb", **STORAGE["gzip"])
    code = (
        "import sys\nfrom nwb_celltype.units import read_units\n"
        "units = read_units(sys.argv[1])\ntrains = iter(units.spike_times)\nprint(len(next(trains)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, server.url("a.nwb")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_asset_of_an_archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DANDI_NO_ET", "1")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    path = stored(tmp_path / "a.nwb", **STORAGE["gzip"])
    with DandiDouble() as archive:
        kind = {"schemaKey": "Asset", "encodingFormat": "application/x-nwb"}
        dandiset = archive.add_dandiset(
            name="Spikes",
            files={"sub-a/sub-a.nwb": path},
            asset_metadata={"sub-a/sub-a.nwb": kind | {"schemaVersion": archive.state.schema_version}},
            published="0.260101.1200",
        )
        with read_units(path) as local:
            with read_units(f"DANDI:{dandiset}/sub-a/sub-a.nwb", instance=archive.url) as units:
                assert_same(units, local)
                assert "0.260101.1200" in units.session.path
            monkeypatch.setenv("DANDI_INSTANCE", archive.url)
            with read_units(f"DANDI:{dandiset}@0.260101.1200/sub-a/sub-a.nwb", unit_ids=[101, 139]) as units:
                assert equal(units.spike_times[1], local.spike_times[39])
        with pytest.raises(InputError, match=r"sub-b/sub-b\.nwb"):
            read_units(f"DANDI:{dandiset}/sub-b/sub-b.nwb")


# where the bytes are


@pytest.mark.parametrize("storage", STORAGE)
def test_a_plan_tells_where_the_rows_are(storage: str, tmp_path: Path) -> None:
    path = stored(tmp_path / "a.nwb", **STORAGE[storage])
    data = path.read_bytes()
    with h5py.File(path) as file:
        for name in ("spike_times", "waveform_mean"):
            dataset = file["units"][name]
            plan = plan_chunks(dataset)
            assert plan is not None
            assert plan.stored_bytes == dataset.id.get_storage_size()
            if not plan.is_decodable:
                continue

            def chunk_bytes(k: int, span: tuple[int, int], plan: Any = plan) -> Any:
                return plan.decode(data[slice(*plan.span(k))]) if plan.filters else data[slice(*span)]

            for start, stop in ((0, dataset.shape[0]), (3, 4), (5, 5), (6, 33), (dataset.shape[0] - 1, 10**9)):
                assert np.array_equal(plan.read(start, stop, chunk_bytes), dataset[start:stop])
            if plan.is_exact:
                rows = plan.spans(2, 17)
                assert sum(b - a for a, b in rows) == 15 * plan.row_bytes


def test_no_plan_where_bytes_are_elsewhere(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=512) as file:
        file["x"] = np.arange(100.0)
        assert plan_chunks(file["x"]) is None
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = np.arange(100.0)
        layout = h5py.VirtualLayout((100,), "f8")
        layout[:] = h5py.VirtualSource(file["x"])
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("empty", (0,), "f8", maxshape=(None,), chunks=(4,))
        file["scalar"] = 3.0
        assert [plan_chunks(file[name]) for name in ("virtual", "empty", "scalar")] == [None] * 3


def test_merging_spans() -> None:
    assert merge_spans([]) == []
    assert merge_spans([(5, 5), (9, 12), (12, 14), (0, 2), (10, 11)]) == [(0, 2), (9, 14)]
    assert merge_spans([(0, 2), (4, 6)], gap=1) == [(0, 2), (4, 6)]


# the benchmark


@pytest.mark.parametrize("gzip", [False, True])
def test_the_benchmark_reads_the_same_values_with_every_reader(
    gzip: bool, monkeypatch: pytest.MonkeyPatch, server: RangeServer, tmp_path: Path
) -> None:
    pytest.importorskip("remfile")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    streaming = importlib.import_module("streaming")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        streaming.write_file(tmp_path / "a.nwb", streaming.Size(12, 5_000, 20, 4, 8, 10_000), gzip=gzip)
        for task in streaming.TASKS:
            chosen = [3, 4, 9]
            truth = streaming.run_task("local", str(tmp_path / "a.nwb"), task, chosen)["digest"]
            for name in (streaming.OURS, "remfile"):
                assert streaming.run_task(name, server.url("a.nwb"), task, chosen)["digest"] == truth
    assert streaming.stored_bytes(tmp_path / "a.nwb", "scalars") > 18 * 12
