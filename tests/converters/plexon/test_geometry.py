"""Positions of electrodes: the shipped arrangements, and those that a user states."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_celltype.converters.plexon import GEOMETRIES, place_electrodes, read_session
from nwb_celltype.converters.records import Probe
from nwb_celltype.errors import InputError

from .files import small_recipe, write_plx


def probe(numbers) -> Probe:
    names = tuple(f"WB{number:02d}" for number in numbers)
    nowhere = np.full((len(numbers), 2), np.nan)
    columns = {"plexon_channel": np.array(numbers)}
    return Probe("plexon", names, nowhere, np.zeros(len(numbers), dtype=np.int64), "", columns=columns)


def test_positions_are_not_known_until_they_are_stated(tmp_path):
    found = read_session(write_plx(tmp_path / "a.plx", small_recipe(seconds=0.1))).recordings[0].probe
    assert np.isnan(found.positions_um).all()
    assert "Not known" in found.geometry_source
    placed = place_electrodes(found, "SProbe8by2")
    assert placed.positions_um.tolist() == [[0, 0], [50, 0], [0, 50]]
    assert placed.channel_names == found.channel_names


@pytest.mark.parametrize(
    ("name", "n", "height"),
    [("SProbe16by2", 32, 750), ("SProbe8by2", 16, 350), ("Tetrode", 4, 25)],
)
def test_contacts_are_counted_row_by_row_from_the_tip(name, n, height):
    placed = place_electrodes(probe(range(1, n + 1)), name)
    assert len(GEOMETRIES[name]) == n
    positions = placed.positions_um
    assert positions[1, 1] == positions[0, 1] == 0  # a row of two
    assert positions[:, 1].max() == height
    assert len(np.unique(positions, axis=0)) == n
    assert "nominal" in placed.geometry_source
    assert placed.model == name


def test_the_other_end_and_other_distances():
    stated = {"name": "SProbe8by2", "along_um": 75, "across_um": 25.0, "first_at": "top"}
    placed = place_electrodes(probe(range(1, 17)), stated)
    assert placed.positions_um[0].tolist() == [0, 525]
    assert placed.positions_um[-1].tolist() == [25, 0]
    assert "rows 75 um apart" in placed.geometry_source
    assert "as stated" in placed.geometry_source


def test_a_whole_probe_on_other_channels():
    placed = place_electrodes(probe(range(33, 37)), "Tetrode")
    assert placed.positions_um.tolist() == [[0, 0], [25, 0], [0, 25], [25, 25]]


def test_single_electrodes():
    assert place_electrodes(probe([3]), "SingleElectrode").positions_um.tolist() == [[0, 0]]
    several = place_electrodes(probe([1, 2]), "SingleElectrode")
    assert np.isnan(several.positions_um).all()
    assert several.shanks.tolist() == [0, 1]


def test_stated_positions():
    placed = place_electrodes(probe([1, 2]), [[0, 100], [10.5, 0]])
    assert placed.positions_um.tolist() == [[0, 100], [10.5, 0]]


@pytest.mark.parametrize(
    ("geometry", "said"),
    [
        ("SProbe16x2", "Did you mean SProbe16by2"),
        ("V-Probe", "none of"),
        ({"name": "Tetrode", "pitch": 3}, "unknown key 'pitch'"),
        ({"name": "Tetrode", "along_um": "x"}, "number of micrometres"),
        ({"name": "Tetrode", "first_at": "left"}, "'tip' or 'top'"),
        ("Tetrode", "4 contacts, but 5 channels"),
        ([[0, 0]], "each of its 5 channels"),
        ([[0, 0]] * 4 + [[0, np.nan]], "each of its 5 channels"),
        ([["a", "b"]] * 5, "each of its 5 channels"),
    ],
)
def test_what_cannot_be_is_refused(geometry, said):
    with pytest.raises(InputError, match=said):
        place_electrodes(probe([1, 2, 3, 4, 9]), geometry)
