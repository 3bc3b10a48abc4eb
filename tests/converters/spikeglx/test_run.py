"""Files of a run: where one may start, what belongs together, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nwb_celltype.converters.spikeglx import find_run, open_stream
from nwb_celltype.errors import InputError, UsageError

from .synthetic import lf_header, ni_header, np1_header, np2_header, write_meta, write_stream

AP = np.zeros((100, 9), dtype=np.int16)
NI = np.zeros((80, 2), dtype=np.int16)


def write_part(top: Path, gate: str = "g0", trigger: str = "t0", probes: tuple[int, ...] = (0,)) -> Path:
    """One recording as SpikeGLX lays it out, with a folder for each probe."""
    folder = top / f"mouse_{gate}"
    for probe in probes:
        stem = folder / f"mouse_{gate}_imec{probe}" / f"mouse_{gate}_{trigger}.imec{probe}"
        write_stream(stem.with_name(stem.name + ".ap"), np1_header(), AP)
        write_stream(stem.with_name(stem.name + ".lf"), lf_header(), AP)
    write_stream(folder / f"mouse_{gate}_{trigger}.nidq", ni_header(), NI)
    return folder


def names(path: Path) -> list[str]:
    return [stream.name for stream in find_run(path).streams]


def test_every_place_of_a_run_finds_it(tmp_path: Path) -> None:
    folder = write_part(tmp_path, probes=(0, 1, 10))
    everything = ["imec0.ap", "imec0.lf", "imec1.ap", "imec1.lf", "imec10.ap", "imec10.lf", "nidq"]
    assert names(tmp_path) == everything
    assert names(folder) == everything
    assert names(folder / "mouse_g0_t0.nidq.bin") == everything
    assert names(folder / "mouse_g0_imec1") == ["imec1.ap", "imec1.lf", "nidq"]
    for file in ("mouse_g0_t0.imec1.ap.bin", "mouse_g0_t0.imec1.lf.bin", "mouse_g0_t0.imec1.ap.meta"):
        assert names(folder / "mouse_g0_imec1" / file) == ["imec1.ap", "imec1.lf", "nidq"]
    assert find_run(folder).name == "mouse_g0"


def test_probes_in_one_folder_are_told_apart(tmp_path: Path) -> None:
    for probe in (0, 1):
        write_stream(tmp_path / f"mouse_g0_t0.imec{probe}.ap", np1_header(), AP)
    write_stream(tmp_path / "mouse_g0_t0.nidq", ni_header(), NI)
    assert names(tmp_path) == ["imec0.ap", "imec1.ap", "nidq"]
    assert names(tmp_path / "mouse_g0_t0.imec1.ap.bin") == ["imec1.ap", "nidq"]


@pytest.mark.parametrize(("gates", "triggers"), [(("g0", "g1"), ("t0",)), (("g0",), ("t0", "t1"))])
def test_several_gates_or_triggers_are_listed(
    tmp_path: Path, gates: tuple[str, ...], triggers: tuple[str, ...]
) -> None:
    for gate in gates:
        for trigger in triggers:
            write_part(tmp_path, gate, trigger)
    with pytest.raises(InputError, match="holds 2 recordings") as caught:
        find_run(tmp_path)
    gate, trigger = gates[-1], triggers[-1]
    assert f"gate {gate} trigger {trigger}" in str(caught.value)
    assert "CatGT" in str(caught.value)
    run = find_run(tmp_path / f"mouse_{gate}" / f"mouse_{gate}_imec0" / f"mouse_{gate}_{trigger}.imec0.ap.bin")
    assert {stream.part for stream in run.streams} == {("mouse", gate[1:], trigger[1:])}
    assert len(run.streams) == 3


def test_files_that_catgt_joined_keep_the_nidq_of_their_one_trigger(tmp_path: Path) -> None:
    folder = write_part(tmp_path)
    joined = write_stream(folder / "mouse_g0_imec0" / "mouse_g0_tcat.imec0.ap", np1_header(), AP)
    assert names(joined) == ["imec0.ap", "nidq"]
    assert find_run(joined).streams[0].trigger == "cat"
    write_stream(folder / "mouse_g0_t1.nidq", ni_header(), NI)
    assert names(joined) == ["imec0.ap"]


def test_a_header_without_data_is_noted(tmp_path: Path) -> None:
    folder = write_part(tmp_path)
    (folder / "mouse_g0_imec0" / "mouse_g0_t0.imec0.lf.bin").unlink()
    run = find_run(folder)
    stream = run.stream("imec0.lf")
    assert stream is not None
    assert stream.data is None
    assert run.notes == ("mouse_g0_t0.imec0.lf.bin is not there: of imec0.lf only what its header says is used.",)
    with pytest.raises(InputError, match="only its header"):
        open_stream(stream.meta)


@pytest.mark.parametrize("name", ["mouse_g0_imec0/mouse_g0_t0.imec0.ap.meta", "mouse_g0_t0.nidq.meta"])
def test_data_without_a_header_are_refused(tmp_path: Path, name: str) -> None:
    folder = write_part(tmp_path)
    (folder / name).unlink()
    with pytest.raises(InputError, match="has no header") as caught:
        find_run(folder)
    assert Path(name).name in str(caught.value)


def test_compressed_data_are_refused(tmp_path: Path) -> None:
    folder = write_part(tmp_path)
    data = folder / "mouse_g0_imec0" / "mouse_g0_t0.imec0.ap.bin"
    data.rename(data.with_suffix(".cbin"))
    with pytest.raises(InputError, match="mtscomp"):
        find_run(folder)


def test_names_on_disk_go_before_those_in_the_header(tmp_path: Path) -> None:
    write_stream(tmp_path / "tuesday.imec3.ap", {**np1_header(), "fileName": "x"}, AP)
    write_stream(tmp_path / "tuesday.nidq", ni_header(), NI)
    run = find_run(tmp_path)
    assert [stream.name for stream in run.streams] == ["imec3.ap", "nidq"]
    assert run.name == "tuesday"


def test_a_name_that_says_nothing_takes_that_of_the_header(tmp_path: Path) -> None:
    data = write_stream(tmp_path / "recording", np1_header(), AP)
    meta = data.with_suffix(".meta")
    text = meta.read_text().replace("fileName=D:/data/recording.bin", "fileName=D:\\x\\mouse_g2_t0.imec1.ap.bin")
    meta.write_text(text)
    run = find_run(tmp_path)
    assert (run.name, run.streams[0].name) == ("mouse_g2", "imec1.ap")


def test_files_of_other_programs_do_not_matter(tmp_path: Path) -> None:
    folder = write_part(tmp_path)
    (folder / "temp_wh.bin").write_bytes(b"1234")
    (folder / "camera.meta").write_text("fps: 30\n")
    (folder / "camera.bin").write_bytes(b"1234")
    (folder / "._mouse_g0_t0.nidq.meta").write_bytes(b"\0\5\26\7")
    assert names(folder) == ["imec0.ap", "imec0.lf", "nidq"]


def test_one_stream_at_two_places_is_refused(tmp_path: Path) -> None:
    folder = write_part(tmp_path)
    write_stream(folder / "copy" / "mouse_g0_t0.imec0.ap", np1_header(), AP)
    with pytest.raises(InputError, match=r"imec0\.ap is there twice"):
        find_run(folder)


def test_places_without_a_recording_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        find_run(tmp_path / "none")
    with pytest.raises(InputError, match="holds no SpikeGLX recording"):
        find_run(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match="is no SpikeGLX file"):
        find_run(tmp_path / "a.txt")


def test_traces_are_the_electrodes_with_their_gain(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-500, 500, (200, 9), dtype=np.int16)
    path = write_stream(tmp_path / "mouse_g0_t0.imec0.ap", np1_header(), samples)
    traces, probe, meta = open_stream(path)
    np.testing.assert_array_equal(traces.read(0, 200), samples[:, :8])
    np.testing.assert_array_equal(traces.read_column(8, 0, 200), samples[:, 8])
    assert traces.gains_uv == pytest.approx(np.full(8, 2.34375))
    assert traces.name == "imec0.ap"
    assert traces.filtering == "hardware: 300 Hz high-pass (AP filter on), 10 kHz low-pass"
    assert len(probe) == traces.n_channels == meta.counts["AP"]


def test_columns_follow_a_subset(tmp_path: Path) -> None:
    samples = np.arange(40, dtype=np.int16).reshape(10, 4)
    header = np2_header(snsSaveChanSubset="1,5,7:8", snsApLfSy="3,0,1", nSavedChans="4")
    header["~snsGeomMap"] = "(NP2013,4,250,70)" + "".join(f"(0:27:{15 * c}:1)" for c in (1, 5, 7))
    traces, probe, _ = open_stream(write_stream(tmp_path / "mouse_g0_t0.imec0.ap", header, samples))
    np.testing.assert_array_equal(traces.read(0, 10), samples[:, :3])
    assert probe.channel_names == ("AP1", "AP5", "AP7")


def test_open_stream_refuses_what_has_no_electrodes(tmp_path: Path) -> None:
    folder = write_part(tmp_path)
    with pytest.raises(UsageError, match="holds no electrodes"):
        open_stream(folder / "mouse_g0_t0.nidq.bin")
    with pytest.raises(UsageError, match=r"is no \.bin file"):
        open_stream(folder)
    empty = write_stream(tmp_path / "b" / "mouse_g0_t0.imec0.ap", np1_header(), AP[:0])
    with pytest.raises(InputError, match="0 bytes"):
        open_stream(empty)


def test_a_header_of_its_own_is_enough_to_find_the_run(tmp_path: Path) -> None:
    meta = write_meta(tmp_path / "mouse_g0_t0.imec0.ap.meta", np1_header())
    assert names(meta) == ["imec0.ap"]
