"""The list of neurons: each once, whatever links lead to it, with the recording that it belongs to."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from nwb_celltype.converters.c4 import read_database, recordings
from nwb_celltype.errors import InputError

from .database import ABSENT, NULL, macaque, mouse, write


def test_a_neuron_that_two_links_lead_to_is_one(tmp_path):
    path = write(tmp_path / "c4.h5", [mouse(k) for k in range(12)])
    visited = []
    with h5py.File(path) as file:
        for name in file:
            if name != "datasets":
                visited.append(name)
        visited += [f"{d}/{u}" for d in file["datasets"] for u in file["datasets"][d]]
    assert len(visited) == 24
    database = read_database(path)
    assert [entry.name for entry in database.neurons] == [f"hausser_neuron_{k}" for k in range(12)]
    assert all(len(entry.paths) == 2 for entry in database.neurons)
    assert database.left_out == ()


def test_two_groups_of_one_name_are_two_neurons(tmp_path):
    path = write(tmp_path / "c4.h5", [mouse(0, unit=7)])
    with h5py.File(path, "a") as file:
        other = file.create_group("datasets/elsewhere/7")
        for name, value in mouse(1, "elsewhere", unit=7).items():
            other[name] = value
    assert len(read_database(path).neurons) == 2


def test_more_links_and_soft_links_add_nothing(tmp_path):
    path = write(tmp_path / "c4.h5", [mouse(0), mouse(1)])
    with h5py.File(path, "a") as file:
        file["favourites/best"] = file["hausser_neuron_0"]
        file["shortcut"] = h5py.SoftLink("/hausser_neuron_1")
        file["datasets/loop"] = file["datasets"]
    database = read_database(path)
    assert [entry.name for entry in database.neurons] == ["hausser_neuron_0", "hausser_neuron_1"]


def test_what_is_no_neuron_is_named(tmp_path):
    path = write(tmp_path / "c4.h5", [mouse(0)])
    with h5py.File(path, "a") as file:
        file["readme"] = "hello"
        file["gone"] = h5py.SoftLink("/nowhere")
        file["far"] = h5py.ExternalLink("other.h5", "/x")
    out = {item.what: item.reason for item in read_database(path).left_out}
    assert set(out) == {"/readme", "/gone", "/far"}
    assert "another file" in out["/far"]


def test_neurons_are_grouped_by_their_recording(tmp_path):
    neurons = [mouse(0, "rec_10"), mouse(1, "rec_9"), mouse(2, "rec_10", dataset_id=b"rec_10")]
    path = write(tmp_path / "c4.h5", neurons)
    assert recordings(path) == ("rec_9", "rec_10")
    assert [entry.name for entry in read_database(path).of("rec_10")] == ["hausser_neuron_0", "hausser_neuron_2"]


@pytest.mark.parametrize(
    "stored",
    [b"rec", np.array([b"rec"]), np.array(["rec"], dtype=h5py.string_dtype()), np.bytes_("rec"), "b'rec'", " rec\x00"],
)
def test_a_text_is_read_however_it_is_stored(tmp_path, stored):
    if stored == " rec\x00":
        stored = np.array(b" rec\x00\x00")
    with h5py.File(tmp_path / "c4.h5", "w") as file:
        for name, value in mouse(0, dataset_id=ABSENT).items():
            if value is not ABSENT:
                file[f"hausser_neuron_0/{name}"] = value
        file["hausser_neuron_0/dataset_id"] = stored
    assert recordings(tmp_path / "c4.h5") == ("rec",)


@pytest.mark.parametrize("stored", [ABSENT, NULL, "", b"", "nan"])
def test_a_recording_that_is_not_stated_is_that_of_the_link(tmp_path, stored):
    path = write(tmp_path / "c4.h5", [mouse(0, "rec")])
    with h5py.File(path, "a") as file:
        del file["hausser_neuron_0/dataset_id"]
        if stored is NULL:
            file["hausser_neuron_0/dataset_id"] = h5py.Empty("f8")
        elif stored is not ABSENT:
            file["hausser_neuron_0/dataset_id"] = stored
    assert recordings(path) == ("rec",)


def test_a_neuron_without_recording_is_left_out_and_the_rest_goes_on(tmp_path):
    path = write(tmp_path / "c4.h5", [mouse(0), mouse(1, dataset_id=ABSENT)], in_datasets=False)
    database = read_database(path)
    assert [entry.name for entry in database.neurons] == ["hausser_neuron_0"]
    assert [item.what for item in database.left_out] == ["neuron hausser_neuron_1"]
    assert "which recording" in database.left_out[0].reason


def test_an_empty_group_with_the_name_of_a_neuron_is_not_passed_over(tmp_path):
    path = write(tmp_path / "c4.h5", [mouse(0)])
    with h5py.File(path, "a") as file:
        file.create_group("hausser_neuron_9")
    assert [item.what for item in read_database(path).left_out] == ["neuron hausser_neuron_9"]


def test_neurons_that_only_datasets_lead_to_are_found(tmp_path):
    path = write(tmp_path / "c4.h5", [macaque(0), macaque(1)], at_root=False)
    assert [entry.name for entry in read_database(path).neurons] == [
        "datasets/2021_08_25_Edgar/700",
        "datasets/2021_08_25_Edgar/701",
    ]


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_database(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        read_database(tmp_path / "text.h5")
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        read_database(tmp_path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a/b"] = 1
    with pytest.raises(InputError, match="holds no neuron"):
        read_database(tmp_path / "other.h5")
