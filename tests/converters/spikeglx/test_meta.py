"""Headers: typed values, subsets of channels, and broken files that are named with their key."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from nwb_celltype.converters.spikeglx import read_meta
from nwb_celltype.converters.spikeglx.imro import catgt_options, filterings, gains_uv
from nwb_celltype.errors import InputError

from .synthetic import lf_header, ni_header, np1_header, np2_header, write_meta


def test_values_of_a_probe(tmp_path: Path) -> None:
    meta = read_meta(write_meta(tmp_path / "a.meta", np1_header(firstSample="177385")))
    assert (meta.kind, meta.sampling_rate_hz, meta.first_sample) == ("ap", 30000.0, 177385)
    assert meta.counts == {"AP": 8, "LF": 0, "SY": 1}
    assert meta.columns_of("AP").tolist() == list(range(8))
    assert meta.columns_of("SY").tolist() == [8]
    assert meta.created == datetime(2026, 1, 31, 14, 3, 10)
    assert meta.created.tzinfo is None
    assert (meta.part_number, meta.serial_number) == ("NP1010", "18005116811")
    assert dict(meta.connection) == {"slot": "3", "port": "2", "dock": "1"}
    assert meta.sync.is_on
    assert meta.sync.status_bit == 6


@pytest.mark.parametrize("ending", ["\r\n", "\n"])
@pytest.mark.parametrize("tilde", ["~", ""])
def test_line_ends_of_windows_blank_lines_and_keys_without_tilde(tmp_path: Path, ending: str, tilde: str) -> None:
    values = {key.replace("~", tilde): value for key, value in np1_header().items()}
    path = tmp_path / "a.meta"
    text = ending.join(f"{key}={value}" for key, value in values.items())
    path.write_bytes((text + ending + ending + "userNotes=a = b" + ending).encode())
    meta = read_meta(path)
    assert gains_uv(meta) is not None
    assert meta.values["userNotes"] == "a = b"


def test_notes_in_the_code_page_of_windows_do_not_matter(tmp_path: Path) -> None:
    path = write_meta(tmp_path / "a.meta", np1_header())
    path.write_bytes(path.read_bytes() + "userNotes=Größe µ\n".encode("latin-1"))
    assert read_meta(path).kind == "ap"


def test_a_subset_keeps_the_number_of_each_channel(tmp_path: Path) -> None:
    header = np1_header(snsSaveChanSubset="0:1,4,6,16", snsApLfSy="4,0,1", nSavedChans="5")
    meta = read_meta(write_meta(tmp_path / "a.meta", header))
    assert meta.numbers_of("AP").tolist() == [0, 1, 4, 6]
    assert meta.columns_of("AP").tolist() == [0, 1, 2, 3]
    assert meta.saved_channels.tolist() == [0, 1, 4, 6, 16]


def test_all_of_an_lf_file_leaves_the_ap_band_out(tmp_path: Path) -> None:
    meta = read_meta(write_meta(tmp_path / "a.meta", lf_header(snsSaveChanSubset="all")))
    assert meta.kind == "lf"
    assert meta.saved_channels.tolist() == list(range(8, 17))
    assert meta.numbers_of("LF").tolist() == list(range(8))


def test_gains_differ_by_channel_and_band_and_follow_the_saved_channels(tmp_path: Path) -> None:
    table = "(0,8)" + "".join(f"({c} 0 0 {250 * (c + 1)} {50 * (c + 1)} {c % 2})" for c in range(8))
    subset = {"snsSaveChanSubset": "1,5:6,16", "snsApLfSy": "3,0,1", "nSavedChans": "4"}
    meta = read_meta(write_meta(tmp_path / "a.meta", np1_header(imroTbl=table, **subset)))
    gains = gains_uv(meta)
    assert gains is not None
    np.testing.assert_allclose(gains, 0.6e6 / 512 / np.array([500, 1500, 1750]))
    assert [text.split(":")[1][:12] for text in filterings(meta)] == [" 300 Hz high", " 300 Hz high", " full band u"]
    lf = read_meta(write_meta(tmp_path / "lf.meta", lf_header(imroTbl=table)))
    gains = gains_uv(lf)
    assert gains is not None
    np.testing.assert_allclose(gains, 0.6e6 / 512 / (50 * np.arange(1, 9)))
    assert set(filterings(lf)) == {"hardware: 0.5 Hz to 500 Hz (LF band)"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0.62e6 / 2048 / 100),
        ({"imChan0apGain": None}, 0.62e6 / 2048 / 100),
        ({"imMaxInt": None}, 0.62e6 / 2048 / 100),
        ({"imDatPrb_type": "24", "imAiRangeMax": "0.5", "imMaxInt": "8192", "imChan0apGain": None}, 0.5e6 / 8192 / 80),
        ({"imDatPrb_type": "24", "imAiRangeMax": "0.5", "imMaxInt": None, "imChan0apGain": None}, 0.5e6 / 8192 / 80),
    ],
)
def test_gains_of_probes_with_a_fixed_gain(tmp_path: Path, changes: dict[str, str | None], expected: float) -> None:
    meta = read_meta(write_meta(tmp_path / "a.meta", np2_header(**changes)))
    gains = gains_uv(meta)
    assert gains is not None
    np.testing.assert_allclose(gains, expected)
    assert set(filterings(meta)) == {"hardware: full band, 0.5 Hz to 10 kHz"}


def test_largest_count_of_old_headers_is_512(tmp_path: Path) -> None:
    gains = gains_uv(read_meta(write_meta(tmp_path / "a.meta", np1_header(imMaxInt=None))))
    assert gains is not None
    np.testing.assert_allclose(gains, 2.34375)


def test_an_unknown_probe_without_a_gain_has_none(tmp_path: Path) -> None:
    header = np2_header(imDatPrb_type="9999", imChan0apGain=None)
    assert gains_uv(read_meta(write_meta(tmp_path / "a.meta", header))) is None


def test_phase_3a_has_gains_without_a_filter_and_its_own_sync_bit(tmp_path: Path) -> None:
    header = np1_header(imDatPrb_type=None, imDatPrb_pn=None, imDatPrb_sn=None, imProbeOpt="3", imProbeSN="641251510")
    header |= {"~imroTbl": "(641251510,3,8)" + "".join(f"({c} 0 0 500 250)" for c in range(8))}
    header |= {"imHpFlt": "300", "syncImChan": "2"}
    meta = read_meta(write_meta(tmp_path / "a.meta", header))
    assert meta.is_phase3a
    assert meta.serial_number == "641251510"
    assert meta.sync.status_bit == 2
    assert gains_uv(meta) == pytest.approx(np.full(8, 2.34375))
    assert set(filterings(meta)) == {"hardware: 300 Hz high-pass, 10 kHz low-pass"}


def test_catgt_is_named_with_what_it_did(tmp_path: Path) -> None:
    command = "<CatGT -dir=/a -run=b -g=0 -t=0 -ap -prb=0 -apfilter=butter,12,300,9000 -gblcar -dest=/gblcar>"
    header = np1_header(catGTCmdline0=command, fileCreateTime_original="2026-01-30T09:00:00")
    meta = read_meta(write_meta(tmp_path / "a.meta", header))
    assert catgt_options(meta) == "CatGT: -apfilter=butter,12,300,9000 -gblcar"
    assert meta.created == datetime(2026, 1, 30, 9)
    assert catgt_options(read_meta(write_meta(tmp_path / "b.meta", np1_header()))) == ""


def test_a_header_that_was_never_finished_says_so(tmp_path: Path) -> None:
    meta = read_meta(write_meta(tmp_path / "a.meta", np1_header(firstSample=None)))
    assert meta.first_sample == 0
    assert "never finished" in meta.notes[0]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"typeThis": None}, "typeThis is missing"),
        ({"typeThis": "photo"}, "typeThis is 'photo'"),
        ({"nSavedChans": None}, "nSavedChans is missing"),
        ({"nSavedChans": "many"}, "nSavedChans is 'many'"),
        ({"nSavedChans": "12"}, "nSavedChans is 12, but snsApLfSy adds up to 9"),
        ({"imSampRate": "0"}, "imSampRate is 0"),
        ({"imSampRate": "fast"}, "imSampRate is 'fast'"),
        ({"imSampRate": "inf"}, "imSampRate is 'inf'"),
        ({"snsApLfSy": "8,1"}, "snsApLfSy is '8,1'"),
        ({"acqApLfSy": None}, "acqApLfSy is missing"),
        ({"snsSaveChanSubset": "0:x"}, "snsSaveChanSubset is '0:x'"),
        ({"snsSaveChanSubset": "0:6,16"}, "snsSaveChanSubset lists 7 AP channels, but snsApLfSy says 8"),
        ({"snsSaveChanSubset": "0:6,6,16"}, "snsSaveChanSubset repeats a channel"),
        ({"snsSaveChanSubset": "0:6," + 80 * "9"}, "snsSaveChanSubset is '0:6,9"),
        ({"snsSaveChanSubset": ",".join(["0:90000"] * 1000)}, "snsSaveChanSubset is '0:90000,"),
        ({"acqApLfSy": "8,0\x1f,1"}, "acqApLfSy is '8,0"),
        ({"firstSample": "1.5"}, "firstSample is '1.5'"),
        ({"firstSample": 20 * "9"}, "which no recording has"),
        ({"fileCreateTime": "yesterday"}, "fileCreateTime is 'yesterday'"),
        ({"syncSourcePeriod": "-1"}, "syncSourcePeriod is -1"),
    ],
)
def test_broken_values_are_named_with_file_and_key(tmp_path: Path, changes: dict[str, str | None], key: str) -> None:
    path = write_meta(tmp_path / "run.imec0.ap.meta", np1_header(**changes))
    with pytest.raises(InputError) as caught:
        read_meta(path)
    assert str(path) in str(caught.value)
    assert key in str(caught.value)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("(0,8)(0 0 0 500", "ends with"),
        ("(0,8)(0 0 0 500 250 1)", "has 1 entries for 8 channels"),
        ("(0,8)" + "(0 0 0 500 250 x)" * 8, "not whole numbers"),
        ("(0,8)" + f"(0 0 0 500 {20 * '9'} 1)" * 8, "not whole numbers"),
        ("(0,8)" + "(0 0)" * 8, "entries of [2] fields"),
        ("(0,8)" + "".join(f"({c} 0 0 0 250 1)" for c in range(8)), "a gain that is not above 0"),
        ("(1110,2,0,a,b,c)" + "(0 0 0)" * 24, "which is not understood"),
        (f"(1110,2,0,{400 * '9'},1,1)" + "(0 0 0)" * 24, "which is not understood"),
    ],
)
def test_a_broken_readout_table_is_named(tmp_path: Path, table: str, problem: str) -> None:
    meta = read_meta(write_meta(tmp_path / "a.meta", np1_header(imroTbl=table)))
    with pytest.raises(InputError, match=r"imroTbl") as caught:
        gains_uv(meta)
    assert problem in str(caught.value)


def test_lines_that_are_no_header_are_named_by_number(tmp_path: Path) -> None:
    path = tmp_path / "a.meta"
    path.write_text("typeThis=imec\nnothing here\n")
    with pytest.raises(InputError, match="line 2: 'nothing here'"):
        read_meta(path)
    path.write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        read_meta(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_meta(tmp_path / "none.meta")


def test_sync_of_nidq(tmp_path: Path) -> None:
    header = ni_header(syncNiChan="3", syncNiChanType="1", syncNiThresh="2.5", syncSourceIdx="0")
    sync = read_meta(write_meta(tmp_path / "a.meta", header)).sync
    assert (sync.ni_channel, sync.is_ni_analog, sync.ni_threshold_v, sync.is_on) == (3, True, 2.5, False)
