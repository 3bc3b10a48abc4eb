"""Labels reach pynapple, SpikeInterface, Phy and tables by the ids of their units, and nobody's file is replaced."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pynapple as nap
import pytest
import spikeinterface as si
from click.testing import CliRunner
from spikeinterface.extractors import read_phy

import nwb_celltype as nct
from nwb_celltype.cli import group
from nwb_celltype.converters import convert
from nwb_celltype.errors import InputError, RefusedError, UsageError
from nwb_celltype.exporting import export, to_pynapple, to_spikeinterface
from nwb_celltype.exporting.phy_tables import RECORD
from nwb_celltype.nwb_io.graft import Place
from nwb_celltype.nwb_io.mirror import mirror_columns

from ..converters.phy.folders import RATE, kilosort25, simulate
from ..nwb_io.annotations import graft_into

METADATA: dict[str, Any] = {
    "NWBFile": {
        "session_start_time": "2026-01-31T14:03:00+00:00",
        "session_description": "Simulated.",
        "session_id": "s1",
    },
    "Subject": {"subject_id": "m1", "species": "mouse", "sex": "F", "age": "P90D"},
    "Ecephys": {"probe": {"location": "Cerebellar cortex"}},
}
TABLE, CONFIDENCE = "cluster_cell_type.tsv", "cluster_cell_type_confidence.tsv"

# What the readers themselves say.
pytestmark = [pytest.mark.filterwarnings("ignore:.*is ignoring cached namespace.*:UserWarning")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A Phy folder, and the file that was made of it, with labels: of each unit the next class, the first has none."""
    place = tmp_path_factory.mktemp("phy")
    folder = kilosort25(place / "phy", simulate())
    file = convert("phy", folder, metadata=METADATA, out=place / "session.nwb", inspect=False).file
    graft_into(file)
    return folder, file


@pytest.fixture
def folder(made: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[0], tmp_path / "phy"))


@pytest.fixture
def file(made: tuple[Path, Path]) -> Path:
    return made[1]


@pytest.fixture(scope="module")
def said(made: tuple[Path, Path]) -> dict[int, str]:
    """Label of each unit."""
    run = nct.choose_run(made[1])
    return dict(zip(run.unit_ids.tolist(), run.cell_type.tolist(), strict=True))


def rows(path: Path) -> dict[int, str]:
    with path.open(encoding="utf-8", newline="") as text:
        return {int(row[0]): row[1] for row in list(csv.reader(text, delimiter="\t"))[1:]}


# pynapple


def test_a_group_has_the_very_spike_times_of_the_file_and_the_labels(file: Path, said: dict[int, str]) -> None:
    made = to_pynapple(file)
    with nct.read_units(file) as units:
        for row, unit_id in enumerate(units.unit_ids.tolist()):
            assert np.array_equal(made[unit_id].t, units.spike_times[row])
            assert made["cell_type"][unit_id] == said[unit_id]
    assert set(made.getby_category("cell_type")) == set(said.values())
    assert made["confidence"].dtype == np.float64
    assert made["is_abstained"].sum() == 1


def test_a_group_that_is_there_is_labelled_by_id(file: Path, said: dict[int, str]) -> None:
    own = nap.TsGroup({i: nap.Ts([0.1, 0.2]) for i in (5, 2, 77)})
    made = to_pynapple(nct.choose_run(file), onto=own, prefix="ct_")
    assert made is own
    assert {i: made["ct_cell_type"][i] for i in (2, 5, 77)} == {2: said[2], 5: said[5], 77: ""}
    assert np.isnan(made["ct_confidence"][77])
    with pytest.raises(UsageError, match="'ct_cell_type' already"):
        to_pynapple(file, onto=own, prefix="ct_")


def test_pynapple_reads_the_mirror_columns_as_the_same_labels(file: Path, said: dict[int, str], tmp_path: Path) -> None:
    copy = Path(shutil.copy(file, tmp_path / "mirrored.nwb"))
    run = nct.choose_run(copy)
    with nct.read_units(copy) as units:
        place = Place(run.name, units.session.units_path, units.session.units_object_id, "", np.array(units.unit_ids))
    mirror_columns(copy, run, place)
    stored = nap.load_file(str(copy))
    read = stored["units"]
    stored.close()
    assert {i: read["m_1_cell_type"][i] for i in said} == said


def test_what_cannot_become_a_group(file: Path) -> None:
    with pytest.raises(UsageError, match="A run has no spike times"):
        to_pynapple(nct.choose_run(file))
    other = nap.TsGroup({i: nap.Ts([0.1, 0.2]) for i in (90, 91)})
    with pytest.raises(InputError, match="names none of the units"):
        to_pynapple(file, onto=other)
    with pytest.raises(UsageError, match="given already"):
        to_pynapple(nct.choose_run(file), "m_1", onto=other)


# SpikeInterface


def test_a_phy_sorting_in_spikeinterface_gets_the_labels(made: tuple[Path, Path], said: dict[int, str]) -> None:
    sorting = to_spikeinterface(read_phy(made[0]), made[1])
    labels = dict(zip(sorting.unit_ids.tolist(), sorting.get_property("cell_type").tolist(), strict=True))
    assert labels == {i: said[i] for i in labels}
    assert len(labels) > 3


def test_units_are_matched_by_id_and_not_by_place(file: Path, said: dict[int, str]) -> None:
    order = [4, 0, 99, 2]
    sorting = si.NumpySorting.from_unit_dict({i: np.array([10, 20]) for i in order}, RATE)
    to_spikeinterface(sorting, file)
    assert sorting.get_property("cell_type").tolist() == [said[4], said[0], "", said[2]]
    texts = si.NumpySorting.from_unit_dict({str(i): np.array([10]) for i in order}, RATE)
    to_spikeinterface(texts, nct.choose_run(file))
    assert texts.get_property("cell_type").tolist() == [said[4], said[0], "", said[2]]


def test_properties_that_are_there_stay(file: Path) -> None:
    sorting = si.NumpySorting.from_unit_dict({0: np.array([10])}, RATE)
    sorting.set_property("cell_type", np.array(["mine"]))
    with pytest.raises(UsageError, match="'cell_type' already"):
        to_spikeinterface(sorting, file)
    assert sorting.get_property("cell_type").tolist() == ["mine"]
    assert sorting.get_property("confidence") is None
    to_spikeinterface(sorting, file, overwrite=True)
    assert sorting.get_property("cell_type").tolist() != ["mine"]


def test_a_sorting_of_other_units_is_refused(file: Path) -> None:
    sorting = si.NumpySorting.from_unit_dict({"a": np.array([10])}, RATE)
    with pytest.raises(InputError, match="Are these labels of this sorting"):
        to_spikeinterface(sorting, file)
    with pytest.raises(UsageError, match="without a column 'cluster_id'"):
        to_spikeinterface(sorting, file, by="cluster_id")


# Phy


def test_phy_gets_a_table_for_each_column_by_cluster(folder: Path, file: Path, said: dict[int, str]) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = export(file, phy=folder)
    assert rows(folder / TABLE) == said
    assert (folder / TABLE).read_text().startswith("cluster_id\tcell_type\n")
    assert (folder / CONFIDENCE).read_text().startswith("cluster_id\tcell_type_confidence\n")
    run = nct.choose_run(file)
    assert run.confidence is not None
    assert rows(folder / CONFIDENCE) == {
        int(i): f"{value:.3f}" for i, value in zip(run.unit_ids, run.confidence, strict=True)
    }
    assert {path.name for path in done.files} == {TABLE, CONFIDENCE, RECORD}
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert json.loads((folder / RECORD).read_text())["run"] == "m_1"


def test_spikeinterface_reads_the_tables_as_phy_does(folder: Path, file: Path, said: dict[int, str]) -> None:
    export(file, phy=folder / "params.py")
    sorting = read_phy(folder)
    read = dict(zip(sorting.unit_ids.tolist(), sorting.get_property("cell_type").tolist(), strict=True))
    assert read == {i: said[i] for i in read}


def test_a_table_of_somebody_else_is_left_alone(folder: Path, file: Path) -> None:
    (folder / TABLE).write_text("cluster_id\tcell_type\n0\tmine\n")
    with pytest.raises(RefusedError, match="was not written by nwb-celltype"):
        export(file, phy=folder)
    assert rows(folder / TABLE) == {0: "mine"}
    assert not (folder / CONFIDENCE).exists()
    export(file, phy=folder, overwrite=True)
    assert rows(folder / TABLE)[0] != "mine"


def test_our_own_table_is_replaced_until_somebody_changes_it(folder: Path, file: Path, tmp_path: Path) -> None:
    export(file, phy=folder)
    newer = Path(shutil.copy(file, tmp_path / "newer.nwb"))
    run = nct.choose_run(newer)
    graft_into(newer, unit_ids=run.unit_ids[::-1].tolist())
    second = next(one.name for one in nct.read_runs(newer) if one.name != run.name)
    before = rows(folder / TABLE)
    export(newer, phy=folder, run=second)
    assert rows(folder / TABLE) != before
    assert json.loads((folder / RECORD).read_text())["run"] == second
    (folder / TABLE).write_text((folder / TABLE).read_text().replace("MLI", "GoC"))
    with pytest.raises(RefusedError, match="was changed since"):
        export(file, phy=folder)


def test_a_merged_cluster_gets_no_label(folder: Path, file: Path, said: dict[int, str]) -> None:
    clusters = np.load(folder / "spike_clusters.npy")
    clusters[clusters == 1] = 9
    clusters[np.flatnonzero(clusters == 2)[:10]] = 9
    np.save(folder / "spike_clusters.npy", clusters)
    done = export(file, phy=folder)
    assert set(rows(folder / TABLE)) == set(said) - {1, 2}
    assert sorted(text.split(":")[0] for text in done.left_out) == ["unit 1", "unit 2"]
    assert any("there is no cluster 1" in text for text in done.left_out)


def test_a_folder_that_is_no_sorting_of_the_file(folder: Path, file: Path, tmp_path: Path) -> None:
    np.save(folder / "spike_clusters.npy", np.load(folder / "spike_clusters.npy") + 100)
    with pytest.raises(InputError, match=r"None of the 6 labelled units.*Is it the sorting of the file"):
        export(file, phy=folder)
    with pytest.raises(InputError, match=r"no params.py"):
        export(file, phy=tmp_path)
    with pytest.raises(UsageError, match="no column `probe`"):
        export(file, phy=folder, probe="imec0")


# Tables and the verb


def test_tables_hold_what_load_labels_gives(file: Path, said: dict[int, str], tmp_path: Path) -> None:
    done = export(file, csv=tmp_path / "a" / "labels.csv", parquet=tmp_path / "labels.parquet")
    assert done.n_labels == len(said)
    for table in (pd.read_csv(done.files[0]), pd.read_parquet(done.files[1])):
        assert dict(zip(table["unit_id"].tolist(), table["cell_type"].tolist(), strict=True)) == said
        assert "p_MLI" in table.columns
    with pytest.raises(RefusedError, match="is there already"):
        export(file, csv=tmp_path / "a" / "labels.csv")
    with pytest.raises(InputError, match="found: m_1"):
        export(file, csv=tmp_path / "other.csv", run="other")


def test_the_verb(folder: Path, file: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(group, ["export", str(file), "--phy", str(folder), "--csv", str(tmp_path / "l.csv"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["labels"] == 6
    nowhere = runner.invoke(group, ["export", str(file)])
    assert isinstance(nowhere.exception, UsageError)
