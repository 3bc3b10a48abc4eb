"""Real SpikeGLX headers and recordings of every probe at hand, against what other readers make of them.

What others get wrong: neo stops at the four NP1110 headers (their readout table lists groups) and at the header that
was never finished (no fileSizeBytes); probeinterface stops at every LF header and gives phase 3A option 4 banks of 384
channels (it has 276). Else positions, gains and traces are equal, positions up to where x and y begin.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from nwb_celltype.converters.spikeglx import open_stream, read_meta, read_session
from nwb_celltype.converters.spikeglx.geometry import read_probe
from nwb_celltype.converters.spikeglx.imro import gains_uv
from nwb_celltype.errors import InputError

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "lab_formats"
"""A folder `shared` beside the checkout holds recordings that cannot be shipped."""

RUN, IBL, PI = "spikeglx", "spikeglx_meta/ibl_neuropixel", "spikeglx_meta/probeinterface"
# file, kind, model, channels (electrodes; analog inputs of NIDQ), rate Hz, uV of a count, geometry from, first sample
# fmt: off
HEADERS: list[tuple[str, str, str, int, float, float | None, str, int]] = [
    (f"{RUN}/NP2_with_sync/all_chan_g0_imec0/all_chan_g0_t0.imec0.ap.meta",
     "ap", "NP2013", 384, 30000.0, 3.02734375, "~snsGeomMap", 500141),
    (f"{RUN}/NP2_with_sync/all_chan_g0_t0.nidq.meta", "nidq", "", 1, 25000.0, None, "", 416715),
    (f"{RUN}/Noise4Sam_g0/Noise4Sam_g0_imec0/Noise4Sam_g0_t0.imec0.ap.meta",
     "ap", "PRB_1_4_0480_1", 384, 30000.0, 2.34375, "~imroTbl", 177385),
    (f"{RUN}/Noise4Sam_g0/Noise4Sam_g0_imec0/Noise4Sam_g0_t0.imec0.lf.meta",
     "lf", "PRB_1_4_0480_1", 384, 2500.0, 9.375, "~imroTbl", 14782),
    (f"{RUN}/Noise4Sam_g0/Noise4Sam_g0_t0.nidq.meta", "nidq", "", 8, 11574.074074, None, "", 68528),
    (f"{RUN}/long_nhp/snippet_g0_t0.imec0.ap.meta", "ap", "NP1032", 384, 30000.0, 2.34375, "~snsGeomMap", 634294),
    (f"{IBL}/sample3A_376_channels.ap.meta", "ap", "Phase 3A option 4", 276, 30000.0, 2.34375, "~imroTbl", 35438376),
    (f"{IBL}/sample3A_g0_t0.imec.ap.meta", "ap", "Phase 3A option 3", 384, 30000.0, 2.34375, "~imroTbl", 84149244),
    (f"{IBL}/sample3A_g0_t0.imec.lf.meta", "lf", "Phase 3A option 3", 384, 2500.0, 4.6875, "~imroTbl", 6246741),
    (f"{IBL}/sample3A_short_g0_t0.imec.ap.meta",
     "ap", "Phase 3A option 3", 384, 30000.0, 2.34375, "~imroTbl", 84149244),
    (f"{IBL}/sample3B2_exported.imec0.ap.meta",
     "ap", "PRB_1_2_0480_2", 301, 29999.83625, 2.34375, "~imroTbl", 198239280),
    (f"{IBL}/sample3B_catgt.ap.meta", "ap", "PRB_1_4_0480_1_C", 384, 30000.37095, 2.34375, "~imroTbl", 78553226),
    (f"{IBL}/sample3B_g0_t0.imec1.ap.meta", "ap", "PRB_1_4_0480_1", 384, 30000.390639481, 2.34375, "~imroTbl", 1738008),
    (f"{IBL}/sample3B_g0_t0.imec1.lf.meta",
     "lf", "PRB_1_4_0480_1", 384, 2500.0325532900833, 4.6875, "~imroTbl", 144834),
    (f"{IBL}/sample3B_g0_t0.nidq.meta", "nidq", "", 1, 30003.0003, None, "", 1738164),
    (f"{IBL}/sample3B_version202304.ap.meta", "ap", "PRB_1_4_0480_1_C", 384, 30000.0, 2.34375, "~snsGeomMap", 373138),
    (f"{IBL}/sampleNHPlong_prototype.ap.meta", "ap", "NP1030", 384, 30000.0, 2.34375, "~imroTbl", 422882),
    (f"{IBL}/sampleNP2.1_g0_t0.imec.ap.meta",
     "ap", "PRB2_1_2_0640_0", 384, 30000.0, 0.762939453125, "~imroTbl", 110884048),
    (f"{IBL}/sampleNP2.4_1shank_g0_t0.imec.ap.meta",
     "ap", "NP2010", 384, 30000.0, 0.762939453125, "~imroTbl", 115958162),
    (f"{IBL}/sampleNP2.4_4shanks_appVersion20230905.ap.meta",
     "ap", "NP2014", 384, 30000.0, 3.02734375, "~snsGeomMap", 2846884),
    (f"{IBL}/sampleNP2.4_4shanks_g0_t0.imec.ap.meta",
     "ap", "NP2010", 384, 29999.757983, 0.762939453125, "~imroTbl", 110884048),
    (f"{IBL}/sampleNP2.4_4shanks_while_acquiring_incomplete.ap.meta",
     "ap", "NP2010", 384, 30000.0, 0.762939453125, "~imroTbl", 0),
    (f"{IBL}/sampleNP2QB.imec.ap.meta", "ap", "NP2021", 1536, 30000.0, 3.02734375, "~snsGeomMap", 37302898),
    (f"{IBL}/sampleNPultra_g0_t0.imec0.ap.meta", "ap", "NP1100", 384, 30000.0, 2.34375, "~imroTbl", 89223960),
    (f"{PI}/NP-Ultra.meta", "ap", "NP1100", 384, 30000.0, 2.34375, "~imroTbl", 434819),
    (f"{PI}/NP1110_2x192_bank4_g0_t0.imec0.ap.meta", "ap", "NP1110", 384, 30000.0, 2.34375, "~snsGeomMap", 305280),
    (f"{PI}/NP1110_bank0_g0_t0.imec0.ap.meta", "ap", "NP1110", 384, 30000.0, 2.34375, "~snsGeomMap", 1462140),
    (f"{PI}/NP1110_botrow80_g0_t0.imec0.ap.meta", "ap", "NP1110", 384, 30000.0, 2.34375, "~snsGeomMap", 4551371),
    (f"{PI}/NP1110_vstripe_g0_t0.imec0.ap.meta", "ap", "NP1110", 384, 30000.0, 2.34375, "~snsGeomMap", 467544),
    (f"{PI}/NP1_saved_only_subset_of_channels.meta",
     "ap", "PRB_1_4_0480_1_C", 151, 30000.0, 2.34375, "~imroTbl", 53573280),
    (f"{PI}/NP2020_sample_g0_t0.imec0.ap.meta", "ap", "NP2020", 1536, 30000.0, 3.02734375, "~snsGeomMap", 249578),
    (f"{PI}/NP2_2013_all_channels.imec0.ap.meta", "ap", "NP2013", 384, 30000.0, 3.02734375, "~snsGeomMap", 500141),
    (f"{PI}/NP2_2013_subset_channels.imec0.ap.meta", "ap", "NP2013", 120, 30000.0, 3.02734375, "~snsGeomMap", 920506),
    (f"{PI}/NP2_4_shanks.imec0.ap.meta", "ap", "NP2010", 384, 30000.0, 0.762939453125, "~imroTbl", 94827),
    (f"{PI}/NP2_4_shanks_save_different_electrodes.imec0.ap.meta",
     "ap", "NP2010", 384, 30000.0, 0.762939453125, "~imroTbl", 135473),
    (f"{PI}/Noise_g0_t0.imec0.ap.meta", "ap", "PRB_1_4_0480_1", 384, 30000.0, 2.34375, "~imroTbl", 177385),
    (f"{PI}/allan-longcol_g0_t0.imec0.ap.meta",
     "ap", "PRB_1_4_0480_1_C", 384, 29999.941586, 2.34375, "~imroTbl", 26021568),
    (f"{PI}/catgt.meta", "ap", "PRB_1_4_0480_1_C", 384, 30000.149579831934, 2.34375, "~imroTbl", 48994605),
    (f"{PI}/doppio-checkerboard_t0.imec0.ap.meta",
     "ap", "PRB_1_4_0480_1_C", 384, 30000.030168, 2.34375, "~imroTbl", 1794959),
    (f"{PI}/non_human_primate_long_staggered.imec0.ap.meta",
     "ap", "NP1030", 384, 30000.0, 2.34375, "~imroTbl", 1037484),
    (f"{PI}/non_human_primate_short_linear_probe_type_0.meta",
     "ap", "NP1015", 384, 30000.0, 2.34375, "~imroTbl", 105889716),
    (f"{PI}/p2_g0_t0.imec0.ap.meta", "ap", "PRB2_1_2_0640_0", 384, 30000.0, 0.762939453125, "~imroTbl", 1416311),
    (f"{PI}/phase3a.imec.ap.meta", "ap", "Phase 3A option 3", 384, 30000.0, 2.34375, "~imroTbl", 174660732),
]
# fmt: on
PROBES = [row for row in HEADERS if row[2]]
NEO_FAILS = ("NP1110", "while_acquiring_incomplete")
REFERENCES_3A = [36, 75, 112, 151, 188, 227, 264, 303, 340, 379]


def need(name: str) -> Path:
    """Skip the test where the recording is not at hand."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not at hand: shared/data is not beside this checkout")
    return path


def name_of(row: tuple[object, ...]) -> str:
    return Path(str(row[0])).name


def test_every_header_at_hand_is_listed() -> None:
    need("spikeglx")
    found = {
        str(path.relative_to(DATA))
        for folder in ("spikeglx", "spikeglx_meta")
        for path in (DATA / folder).rglob("*.meta")
    }
    assert found == {row[0] for row in HEADERS}


@pytest.mark.parametrize(
    ("file", "kind", "model", "n", "rate", "gain", "source", "first"), HEADERS, ids=[name_of(row) for row in HEADERS]
)
def test_what_each_header_says(
    file: str, kind: str, model: str, n: int, rate: float, gain: float | None, source: str, first: int
) -> None:
    meta = read_meta(need(file))
    assert (meta.kind, meta.sampling_rate_hz, meta.first_sample) == (kind, rate, first)
    assert meta.created is not None
    if gain is None:
        assert sum(meta.counts[name] for name in ("MN", "MA", "XA")) == n
        return
    probe = read_probe(meta, "imec0")
    assert (probe.model, len(probe)) == (model, n)
    assert source in probe.geometry_source
    assert probe.serial_number
    assert gains_uv(meta) == pytest.approx(np.full(n, gain), rel=1e-12)
    assert np.isfinite(probe.positions_um).all()
    assert len(np.unique(probe.positions_um, axis=0)) == n


@pytest.mark.parametrize("file", [row[0] for row in PROBES if row[1] == "ap"], ids=lambda file: Path(file).name)
def test_positions_are_those_of_probeinterface(file: str) -> None:
    from probeinterface import read_spikeglx

    path = need(file)
    ours = read_probe(read_meta(path), "imec0")
    theirs = read_spikeglx(path)
    shift = ours.positions_um - theirs.contact_positions
    assert np.ptp(shift, axis=0) == pytest.approx([0, 0], abs=1e-9)
    assert shift[0, 1] == 0
    if theirs.get_shank_count() > 1:
        assert ours.shanks.tolist() == [int(shank) for shank in theirs.shank_ids]


@pytest.mark.parametrize("file", [row[0] for row in PROBES], ids=lambda file: Path(file).name)
def test_gains_are_those_of_neo(file: str) -> None:
    from neo.rawio.spikeglxrawio import extract_stream_info, read_meta_file

    path = need(file)
    if any(name in path.name for name in NEO_FAILS):
        with pytest.raises((KeyError, IndexError)):
            extract_stream_info(path, read_meta_file(path))
        return
    gains = gains_uv(read_meta(path))
    assert gains is not None
    theirs = np.asarray(extract_stream_info(path, read_meta_file(path))["channel_gains"], dtype=float)
    np.testing.assert_allclose(gains, theirs[: len(gains)], rtol=1e-12)


@pytest.mark.parametrize(
    ("file", "references"),
    [
        ("spikeglx/long_nhp/snippet_g0_t0.imec0.ap.meta", [191]),
        ("spikeglx_meta/ibl_neuropixel/sample3B_g0_t0.imec1.lf.meta", [191]),
        ("spikeglx_meta/ibl_neuropixel/sample3A_g0_t0.imec.ap.meta", REFERENCES_3A),
        ("spikeglx_meta/ibl_neuropixel/sample3A_376_channels.ap.meta", REFERENCES_3A[:7]),
        ("spikeglx_meta/probeinterface/p2_g0_t0.imec0.ap.meta", [127]),
        ("spikeglx_meta/probeinterface/NP2_2013_all_channels.imec0.ap.meta", []),
    ],
)
def test_reference_sites(file: str, references: list[int]) -> None:
    probe = read_probe(read_meta(need(file)), "imec0")
    assert probe.is_reference is not None
    assert np.flatnonzero(probe.is_reference).tolist() == references
    assert "is_switched_off" not in probe.columns


def test_a_header_that_was_never_finished() -> None:
    name = "spikeglx_meta/ibl_neuropixel/sampleNP2.4_4shanks_while_acquiring_incomplete.ap.meta"
    meta = read_meta(need(name))
    assert "never finished" in meta.notes[0]
    assert meta.n_bytes is None


@pytest.mark.parametrize(
    ("folder", "file"),
    [
        ("spikeglx/Noise4Sam_g0", "Noise4Sam_g0_imec0/Noise4Sam_g0_t0.imec0.ap.bin"),
        ("spikeglx/NP2_with_sync", "all_chan_g0_imec0/all_chan_g0_t0.imec0.ap.bin"),
    ],
)
def test_traces_are_those_of_spikeinterface(folder: str, file: str) -> None:
    path = need(folder)
    with warnings.catch_warnings():
        # The real file is a stub of what its header says: neo's own warning.
        warnings.simplefilter("ignore")
        from spikeinterface.extractors import read_spikeglx

        theirs = read_spikeglx(path, stream_id="imec0.ap")
    traces, _, _ = open_stream(path / file)
    np.testing.assert_array_equal(theirs.get_traces(), traces.read(0, traces.n_samples))
    assert traces.gains_uv == pytest.approx(theirs.get_channel_gains())


@pytest.mark.parametrize(
    ("folder", "n", "first", "shorter"),
    [("spikeglx/Noise4Sam_g0", 1155, 177385, 1), ("spikeglx/NP2_with_sync", 1000, 500141, 2)],
)
def test_real_runs_are_sessions(folder: str, n: int, first: int, shorter: int) -> None:
    session = read_session(need(folder))
    (recording,) = session.recordings
    assert recording.traces is not None
    assert recording.traces.n_samples == n
    assert recording.clock.seconds(0) == first / 30000
    assert [pulses.name for pulses in session.pulses] == ["imec0.SY0.6", *(f"nidq.XD0.{bit}" for bit in range(8))]
    assert sum("shorter than its header" in note for note in session.notes) == shorter
    assert sum("nidq is not aligned" in note for note in session.notes) == 1


def test_a_real_header_without_its_recording_is_refused() -> None:
    with pytest.raises(InputError, match=r"headers alone.*put snippet_g0_t0\.imec0\.ap\.bin beside"):
        read_session(need("spikeglx/long_nhp"))


def test_a_folder_with_several_real_runs_is_refused() -> None:
    with pytest.raises(InputError, match="holds 3 recordings"):
        read_session(need("spikeglx"))
