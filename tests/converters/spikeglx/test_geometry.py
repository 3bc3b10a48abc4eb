"""Electrodes: positions from the map and from the catalogue, subsets, references, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nwb_celltype.converters.records import Probe
from nwb_celltype.converters.spikeglx import read_meta
from nwb_celltype.converters.spikeglx.geometry import read_probe
from nwb_celltype.converters.spikeglx.lattice import lattice_of
from nwb_celltype.errors import InputError

from .synthetic import lf_header, ni_header, np1_header, np2_header, write_meta


def probe_of(tmp_path: Path, header: dict[str, str]) -> Probe:
    return read_probe(read_meta(write_meta(tmp_path / "run_g0_t0.imec0.ap.meta", header)), "imec0")


NP1_POSITIONS = [[27, 0], [59, 0], [11, 20], [43, 20], [27, 40], [59, 40], [11, 60], [43, 60]]


def test_positions_from_the_readout_table_and_the_catalogue(tmp_path: Path) -> None:
    probe = probe_of(tmp_path, np1_header())
    assert probe.positions_um.tolist() == NP1_POSITIONS
    assert probe.channel_names == tuple(f"AP{c}" for c in range(8))
    assert "~imroTbl" in probe.geometry_source
    assert "NP1010" in probe.geometry_source
    assert (probe.name, probe.model, probe.manufacturer, probe.serial_number) == (
        "imec0",
        "NP1010",
        "imec",
        "18005116811",
    )
    assert probe.description == "Neuropixels 1.0 NHP short probe (slot 3, port 2, dock 1)"


def test_banks_move_the_channels_along_the_shank(tmp_path: Path) -> None:
    table = "(0,8)" + "".join(f"({c} {c % 2} 0 500 250 1)" for c in range(8))
    probe = probe_of(tmp_path, np1_header(imroTbl=table))
    assert probe.columns["electrode_number"].tolist() == [0, 385, 2, 387, 4, 389, 6, 391]
    assert probe.positions_um[1].tolist() == [59, 192 * 20]


@pytest.mark.parametrize(
    "part", ["NP1000", "NP1015", "NP1032", "NP1100", "NP1121", "NP1122", "NP1300", "NP2003", "NP2013", "NP3020"]
)
def test_the_grid_of_a_part_is_that_of_the_catalogue(part: str) -> None:
    from probeinterface.neuropixels_tools import build_neuropixels_probe

    lattice = lattice_of(part)
    assert lattice is not None
    sites = np.asarray(build_neuropixels_probe(part).contact_positions)
    numbers = np.arange(len(sites)) % (len(sites) // lattice.n_shanks)
    shanks = np.arange(len(sites)) // (len(sites) // lattice.n_shanks)
    ours = lattice.positions_um(shanks, numbers % lattice.n_columns, numbers // lattice.n_columns)
    np.testing.assert_allclose(np.ptp(ours - sites, axis=0), 0, atol=1e-9)
    assert ours[0, 0] > 0


def test_phase_3a_option_4_has_banks_of_276(tmp_path: Path) -> None:
    header = np1_header(imDatPrb_type=None, imDatPrb_pn=None, imProbeOpt="4", imProbeSN="5")
    header["~imroTbl"] = "(5,4,8)" + "".join(f"({c} 1 0 500 250)" for c in range(8))
    probe = probe_of(tmp_path, header)
    assert probe.columns["electrode_number"].tolist() == list(range(276, 284))
    assert probe.model == "Phase 3A option 4"


def test_the_map_places_each_shank_beside_the_other(tmp_path: Path) -> None:
    probe = probe_of(tmp_path, np2_header())
    assert probe.shanks.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert probe.positions_um[:, 0].tolist() == [27, 277, 527, 777, 59, 309, 559, 809]
    assert "~snsGeomMap" in probe.geometry_source


def test_map_and_catalogue_agree(tmp_path: Path) -> None:
    header = np2_header()
    with_map = probe_of(tmp_path, header)
    without = probe_of(tmp_path, {key: value for key, value in header.items() if key != "~snsGeomMap"})
    np.testing.assert_array_equal(with_map.positions_um, without.positions_um)
    np.testing.assert_array_equal(with_map.shanks, without.shanks)
    assert with_map.geometry_source != without.geometry_source


def test_a_subset_takes_its_own_sites(tmp_path: Path) -> None:
    subset = {"snsSaveChanSubset": "1,5:6,16", "snsApLfSy": "3,0,1", "nSavedChans": "4"}
    probe = probe_of(tmp_path, np1_header(**subset))
    assert probe.channel_names == ("AP1", "AP5", "AP6")
    assert probe.positions_um.tolist() == [NP1_POSITIONS[c] for c in (1, 5, 6)]


@pytest.mark.parametrize("entries", [3, 8])
def test_the_shank_map_of_a_subset_may_list_saved_or_all_channels(tmp_path: Path, entries: int) -> None:
    sites = [(0, c % 2, c // 2, int(c != 5)) for c in ((1, 5, 6) if entries == 3 else range(8))]
    subset: dict[str, str | None] = {"snsSaveChanSubset": "1,5:6,16", "snsApLfSy": "3,0,1", "nSavedChans": "4"}
    table = "(1,2,480)" + "".join(f"({s}:{c}:{r}:{u})" for s, c, r, u in sites)
    probe = probe_of(tmp_path, np1_header(imroTbl=None, snsShankMap=table, **subset))
    assert probe.positions_um.tolist() == [NP1_POSITIONS[c] for c in (1, 5, 6)]
    assert probe.columns["is_switched_off"].tolist() == [False, True, False]
    assert "~snsShankMap" in probe.geometry_source


def test_the_reference_site_is_no_channel_that_was_switched_off(tmp_path: Path) -> None:
    entries = [(0, c % 2, c // 2, int(c not in (5, 191))) for c in range(384)]
    table = "(1,2,480)" + "".join(f"({s}:{c}:{r}:{u})" for s, c, r, u in entries)
    probe = probe_of(tmp_path, np1_header(384, snsShankMap=table))
    assert probe.is_reference is not None
    assert np.flatnonzero(probe.is_reference).tolist() == [191]
    assert np.flatnonzero(probe.columns["is_switched_off"]).tolist() == [5]


def test_an_lf_header_has_no_map_but_the_reference_is_known(tmp_path: Path) -> None:
    probe = probe_of(tmp_path, lf_header(384))
    assert probe.is_reference is not None
    assert np.flatnonzero(probe.is_reference).tolist() == [191]
    assert probe.channel_names[3] == "LF3"


def test_an_unused_site_of_an_unknown_probe_counts_as_reference(tmp_path: Path) -> None:
    table = "(NP9,1,0,70)" + "".join(f"(0:27:{15 * c}:{int(c != 2)})" for c in range(8))
    probe = probe_of(tmp_path, np2_header(imDatPrb_type="9999", imDatPrb_pn="NP9999", snsGeomMap=table))
    assert probe.is_reference is not None
    assert np.flatnonzero(probe.is_reference).tolist() == [2]


def test_stand_by_channels_are_marked(tmp_path: Path) -> None:
    assert probe_of(tmp_path, np1_header(imStdby="2:3,7")).columns["is_standby"].nonzero()[0].tolist() == [2, 3, 7]


def test_a_part_that_no_catalogue_knows_has_no_positions(tmp_path: Path) -> None:
    probe = probe_of(tmp_path, np1_header(imDatPrb_pn="NP9999"))
    assert np.isnan(probe.positions_um).all()
    assert "'NP9999' is not in the catalogue" in probe.geometry_source


def test_groups_of_the_switchable_uhd_probe_take_the_shank_map(tmp_path: Path) -> None:
    header = np1_header(
        imDatPrb_pn="NP1110",
        imDatPrb_type="1110",
        imroTbl="(1110,2,0,500,250,1)" + "".join(f"({g} 0 0)" for g in range(24)),
        snsShankMap="(1,8,768)" + "".join(f"(0:{c}:1:1)" for c in range(8)),
    )
    probe = probe_of(tmp_path, header)
    assert probe.positions_um.tolist() == [[15.5 + 6 * c, 6] for c in range(8)]
    assert set(probe.filtering or ()) == {"hardware: 300 Hz high-pass (AP filter on), 10 kHz low-pass"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"snsGeomMap": "(NP2013,4,250,70)(0:27:0:1)"}, "snsGeomMap has 1 entries for 8 saved channels"),
        ({"snsGeomMap": "(NP2013,4,250,70)" + "(0:27:0)" * 8}, "not four numbers"),
        ({"snsGeomMap": "(NP2013,4,250,70)" + "(0:27:zero:1)" * 8}, "not four numbers"),
        ({"snsGeomMap": "(NP2013,2,250,70)" + "(3:27:0:1)" * 8}, "on shank 3 of 2"),
        ({"snsGeomMap": "(NP2013)" + "(0:27:0:1)" * 8}, "begins with (NP2013)"),
        ({"snsGeomMap": "(NP2013,4,250,70)(0:27:0:1"}, "ends with"),
        ({"imIsSvyRun": "true"}, "is of a survey"),
        ({"imStdby": "a"}, "imStdby is no list"),
        (
            {"snsGeomMap": None, "imroTbl": "(2013,8)" + "".join(f"({c} 9 0 0 {c})" for c in range(8))},
            "names a site that a probe NP2013 does not have",
        ),
    ],
)
def test_what_cannot_be_placed_is_refused(tmp_path: Path, changes: dict[str, str | None], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        probe_of(tmp_path, np2_header(**changes))
    assert problem in str(caught.value)


def test_nidq_has_no_electrodes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="describes no electrodes"):
        probe_of(tmp_path, ni_header())
