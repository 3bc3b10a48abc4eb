"""Values of MATLAB files, the same from both formats, and what is said of broken ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_celltype.converters.cellexplorer.matfile import read_mat, variables_of
from nwb_celltype.converters.cellexplorer.unreadable import NOT_READ, Unreadable
from nwb_celltype.errors import InputError

from .matlab_files import StructArray, Write, column, row, write_v5, write_v73


def test_every_kind_of_value(tmp_path: Path, write: Write) -> None:
    path = tmp_path / "a.mat"
    given: dict[str, Any] = {
        "text": "Größe µm",
        "nothing": "",
        "number": row(2.5),
        "matrix": np.arange(6.0).reshape(2, 3),
        "yes": np.array([[True, False, True]]),
        "cell": ["PV", row(1, 2), {"deep": [column(1, 2, 3)]}],
        "no_cell": [],
        "no_numbers": np.zeros((0, 0)),
        "structs": StructArray([{"name": "a", "at": row(1)}, {"name": "b", "at": row(2)}]),
        "several": [{"name": "a"}, {"name": "b"}],
    }
    write(path, {"spikes": given, "other": row(1)})
    assert set(variables_of(path)) == {"spikes", "other"}
    read = read_mat(path, ["spikes", "absent"])
    assert set(read) == {"spikes"}
    spikes = read["spikes"]
    assert (spikes["text"], spikes["nothing"]) == ("Größe µm", "")
    assert spikes["number"].tolist() == [[2.5]]
    assert spikes["matrix"].tolist() == given["matrix"].tolist()
    assert spikes["yes"].astype(bool).tolist() == [[True, False, True]]
    assert spikes["cell"][0] == "PV"
    assert spikes["cell"][1].tolist() == [[1, 2]]
    assert spikes["cell"][2]["deep"][0].tolist() == [[1], [2], [3]]
    assert spikes["no_cell"] == []
    assert spikes["no_numbers"].size == 0
    assert [(each["name"], each["at"].item()) for each in spikes["structs"]] == [("a", 1), ("b", 2)]
    assert spikes["several"] == [{"name": "a"}, {"name": "b"}]


def test_fields_that_are_not_wanted_are_not_read(tmp_path: Path, write: Write) -> None:
    path = tmp_path / "a.mat"
    write(path, {"spikes": {"acg": np.zeros((100, 100)), "sr": row(1)}})
    assert read_mat(path, ["spikes"], {"spikes.acg"})["spikes"]["acg"] is NOT_READ


def test_cells_are_in_the_order_of_matlab(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    cells = np.empty((2, 2), dtype=object)
    cells[0, 0], cells[1, 0], cells[0, 1], cells[1, 1] = "a", "b", "c", "d"
    write_v5(path, {"c": cells})
    assert read_mat(path, ["c"])["c"] == ["a", "b", "c", "d"]
    write_v73(path, {"c": ["a", "b", "c", "d"]})
    with h5py.File(path, "r+") as file:
        references = file["c"][()].reshape(2, 2)  # two columns, each of two rows, as HDF5 turns them
        del file["c"]
        file.create_dataset("c", data=references, dtype=h5py.ref_dtype).attrs["MATLAB_class"] = np.bytes_("cell")
    assert read_mat(path, ["c"])["c"] == ["a", "b", "c", "d"]


def test_objects_of_matlab_are_named_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    write_v73(path, {"spikes": {"word": row(1), "sr": row(2)}})
    with h5py.File(path, "r+") as file:
        file["spikes/word"].attrs["MATLAB_class"] = np.bytes_("string")
        file["spikes/word"].attrs["MATLAB_object_decode"] = np.int32(3)
    assert read_mat(path, ["spikes"])["spikes"]["word"] == Unreadable("string")


def test_a_file_that_is_not_there_or_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.mat cannot be read: No such file"):
        read_mat(tmp_path / "missing.mat", ["spikes"])
    path = tmp_path / "text.mat"
    path.write_text("no MATLAB file at all, however long it may be " * 40)
    with pytest.raises(InputError, match=r"text\.mat cannot be read as a MATLAB file"):
        read_mat(path, ["spikes"])
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"text\.mat cannot be read as a MATLAB file"):
        read_mat(path, ["spikes"])
    with pytest.raises(InputError, match=r"text\.mat cannot be read as a MATLAB file"):
        variables_of(path)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_a_file_cut_short_is_named(tmp_path: Path, write: Write, share: float) -> None:
    path = tmp_path / "cut.mat"
    write(path, {"spikes": {"times": [np.random.default_rng(0).random((2000, 1))], "sr": row(1)}})
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(InputError, match=r"cut\.mat"):
        read_mat(path, ["spikes"])


def test_a_reference_that_leads_nowhere_names_its_field(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    write_v73(path, {"spikes": {"times": [column(1), column(2)]}})
    with h5py.File(path, "r+") as file:
        file["spikes/times"][1, 0] = h5py.Reference()
    with pytest.raises(InputError, match=r"a\.mat, field spikes\.times\{2\}"):
        read_mat(path, ["spikes"])


def test_references_in_a_circle_end(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    write_v73(path, {"spikes": {"times": [column(1)]}})
    with h5py.File(path, "r+") as file:
        references = np.empty((1, 1), dtype=h5py.ref_dtype)
        references[0, 0] = file["spikes/times"].ref
        file["spikes/times"][...] = references
    with pytest.raises(InputError, match="too deep"):
        read_mat(path, ["spikes"])
