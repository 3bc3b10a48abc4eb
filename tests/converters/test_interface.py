"""Our interfaces inside NeuroConv's own converters, and without it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pynwb
import pytest

from nwb_celltype.converters import KINDS, PhyInterface, SpikeGLXInterface
from nwb_celltype.errors import InputError, UsageError

from .phy.folders import kilosort25, simulate, write_recording
from .spikeglx.synthetic import ap_samples, np1_header, write_sorting, write_stream

# numcodecs' entry points are read in a deprecated way when hdmf-zarr is imported with NeuroConv.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:numcodecs", "ignore::UserWarning:neuroconv")

SESSION = {
    "session_start_time": "2026-01-31T14:03:00+00:00",
    "session_description": "A mouse ran on a wheel.",
    "session_id": "s1",
}
SUBJECT = {"subject_id": "m1", "species": "Mus musculus", "sex": "F", "age": "P90D"}
METADATA: dict[str, Any] = {"NWBFile": SESSION, "Subject": SUBJECT}


@pytest.fixture
def phy(tmp_path: Path) -> Path:
    session = simulate()
    write_recording(tmp_path / "recording.dat", session)
    return kilosort25(tmp_path / "phy", session, dat_path="'../recording.dat'")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    stem = tmp_path / "run_g0" / "run_g0_imec0" / "run_g0_t0.imec0.ap"
    write_stream(stem, np1_header(), ap_samples(60_000, 8, np.zeros(60_000, dtype=bool)))
    spikes = {3: range(300, 59_000, 900), 8: range(450, 59_000, 700)}
    write_sorting(stem.parent / "sorting", spikes, f"{stem.name}.bin")  # type: ignore[arg-type]
    return tmp_path / "run_g0"


def units_of(path: Path) -> list[int]:
    with pynwb.NWBHDF5IO(path, "r") as io:
        return [int(i) for i in io.read().units.id[:]]


def test_it_converts_by_itself(phy: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.nwb"
    PhyInterface(phy).run_conversion(out, metadata=METADATA)
    assert units_of(out) == list(range(6))
    assert pynwb.validate(path=str(out)) == []


def test_metadata_can_be_filled_in_as_neuroconvs_users_do(phy: Path, tmp_path: Path) -> None:
    interface = PhyInterface(phy)
    metadata = interface.get_metadata()
    metadata["NWBFile"].update(SESSION)
    metadata["Subject"] = SUBJECT
    interface.run_conversion(nwbfile_path=tmp_path / "a.nwb", metadata=metadata)
    assert units_of(tmp_path / "a.nwb") == list(range(6))


def test_an_existing_file_is_replaced_only_when_asked(phy: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.nwb"
    interface = PhyInterface(phy)
    interface.run_conversion(out, metadata=METADATA)
    with pytest.raises(UsageError, match="overwrite"):
        interface.run_conversion(out, metadata=METADATA)
    interface.run_conversion(out, metadata=METADATA, overwrite=True)


def test_it_adds_to_a_file_on_disk(phy: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.nwb"
    nwb = pynwb.NWBFile(
        session_description="s",
        identifier="i",
        session_start_time=datetime.fromisoformat(SESSION["session_start_time"]),
    )
    nwb.add_acquisition(pynwb.TimeSeries(name="wheel", data=[1.0, 2.0], unit="cm", rate=1.0))
    with pynwb.NWBHDF5IO(out, "w") as io:
        io.write(nwb)
    PhyInterface(phy).run_conversion(out, append_on_disk_nwbfile=True)
    assert units_of(out) == list(range(6))
    with pynwb.NWBHDF5IO(out, "r") as io:
        assert "wheel" in io.read().acquisition


def test_metadata_are_checked_before_anything_is_written(phy: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Subject\.species"):
        PhyInterface(phy).run_conversion(tmp_path / "a.nwb", metadata={"NWBFile": SESSION})
    assert not (tmp_path / "a.nwb").exists()


@pytest.mark.parametrize("kind", list(KINDS))
def test_schemas_are_valid_schemas(kind: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    interface = KINDS[kind]
    jsonschema.Draft7Validator.check_schema(interface.get_source_schema())
    assert set(interface.source_required) <= set(interface.get_source_schema()["properties"])


def test_unknown_arguments_of_a_source_are_named() -> None:
    with pytest.raises(UsageError, match="unknown: folder; missing: folder_path"):
        PhyInterface.validate_source({"folder": "x"})


def test_nwbconverter_takes_two_of_ours_side_by_side(run: Path, tmp_path: Path) -> None:
    neuroconv = pytest.importorskip("neuroconv")

    class Lab(neuroconv.NWBConverter):  # type: ignore[misc]
        data_interface_classes = {"probe": SpikeGLXInterface}  # noqa: RUF012 NeuroConv's own way

    converter = Lab(source_data={"probe": {"folder_path": str(run)}})
    metadata = converter.get_metadata()
    metadata["NWBFile"].update(SESSION)
    metadata["Subject"] = SUBJECT
    out = tmp_path / "a.nwb"
    converter.run_conversion(out, metadata=metadata, conversion_options={"probe": {"raw": True}})
    assert units_of(out) == [3, 8]
    with pynwb.NWBHDF5IO(out, "r") as io:
        nwb = io.read()
        (series,) = [s for s in nwb.acquisition.values() if isinstance(s, pynwb.ecephys.ElectricalSeries)]
        assert series.data.shape == (60_000, 8)
        np.testing.assert_array_equal(series.data[:], ap_samples(60_000, 8, np.zeros(60_000, dtype=bool))[:, :8])
    assert pynwb.validate(path=str(out)) == []


def test_unknown_options_are_refused_by_nwbconverter(run: Path, tmp_path: Path) -> None:
    neuroconv = pytest.importorskip("neuroconv")
    jsonschema = pytest.importorskip("jsonschema")
    pipe = neuroconv.ConverterPipe({"probe": SpikeGLXInterface(run)})
    metadata = pipe.get_metadata()
    metadata["NWBFile"].update(SESSION)
    with pytest.raises(jsonschema.ValidationError):
        pipe.run_conversion(tmp_path / "a.nwb", metadata=metadata, conversion_options={"probe": {"fast": True}})


@pytest.mark.parametrize("backend", ["hdf5", "zarr"])
def test_converterpipe_mixes_ours_with_its_own(backend: str, phy: Path, tmp_path: Path) -> None:
    neuroconv = pytest.importorskip("neuroconv")
    testing = pytest.importorskip("neuroconv.tools.testing")
    pipe = neuroconv.ConverterPipe([PhyInterface(phy), testing.MockTimeSeriesInterface()])
    metadata = pipe.get_metadata()
    metadata["NWBFile"].update(SESSION)
    metadata["Subject"] = SUBJECT
    out = tmp_path / f"a.nwb{'.zarr' if backend == 'zarr' else ''}"
    pipe.run_conversion(out, metadata=metadata, backend=backend)
    with pynwb.read_nwb(out).get_read_io() if backend == "zarr" else pynwb.NWBHDF5IO(out, "r") as io:
        nwb = io.read()
        assert [int(i) for i in nwb.units.id[:]] == list(range(6))
        assert len(nwb.units["spike_times"][0]) == len(simulate().samples_of(0))
        assert len(nwb.acquisition) == 1


def test_a_backend_of_neuroconv_can_be_configured(phy: Path, tmp_path: Path) -> None:
    pytest.importorskip("neuroconv")
    interface = PhyInterface(phy)
    nwbfile = interface.create_nwbfile(METADATA)
    configuration = interface.get_default_backend_configuration(nwbfile, "hdf5")
    assert any(location.endswith("spike_times/data") for location in configuration.dataset_configurations)
