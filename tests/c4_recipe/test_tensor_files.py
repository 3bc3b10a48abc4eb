"""Files of tensors that are mapped, not read."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from nwb_celltype.errors import InputError
from nwb_celltype.tensor_files import create_tensors, map_tensors, sha256_of_file, write_tensors

TENSORS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.array([1, -2], dtype=np.int16),
    "c": np.float32(2.5).reshape(()),
    "none": np.zeros((0, 4), dtype=np.float32),
    "turned": np.arange(12, dtype=np.int32).reshape(3, 4).T,
}


def test_the_usual_reader_reads_what_is_written(tmp_path):
    path = tmp_path / "a.safetensors"
    digest = write_tensors(path, TENSORS)
    assert digest == sha256_of_file(path)
    for found in (load_file(path), map_tensors(path)):
        assert set(found) == set(TENSORS)
        for name, value in TENSORS.items():
            np.testing.assert_array_equal(found[name], value)
            assert found[name].dtype == value.dtype


def test_what_the_usual_writer_writes_is_mapped(tmp_path):
    save_file({k: np.ascontiguousarray(v) for k, v in TENSORS.items()}, tmp_path / "a.safetensors")
    for name, value in map_tensors(tmp_path / "a.safetensors").items():
        np.testing.assert_array_equal(value, TENSORS[name])


def test_a_file_is_filled_in_place(tmp_path):
    tensors = create_tensors(tmp_path / "a.safetensors", {"x": (2, 3), "y": ()})
    tensors["x"][1] = 7
    tensors["x"].flush()
    np.testing.assert_array_equal(load_file(tmp_path / "a.safetensors")["x"], [[0, 0, 0], [7, 7, 7]])
    with pytest.raises(ValueError, match="read-only"):
        map_tensors(tmp_path / "a.safetensors")["x"][0] = 1


@pytest.mark.parametrize("data", [b"", b"\xff" * 20, b"\x02\0\0\0\0\0\0\0{}x", b"\x04\0\0\0\0\0\0\0null"])
def test_damaged_files_are_said_to_be(data, tmp_path):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(InputError, match="not a readable safetensors file"):
        map_tensors(tmp_path / "a")


def test_a_cut_file_is_damaged(tmp_path):
    write_tensors(tmp_path / "a", TENSORS)
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:-2])
    with pytest.raises(InputError, match="not a readable safetensors file"):
        map_tensors(tmp_path / "a")
    with pytest.raises(InputError, match="cannot be read"):
        map_tensors(tmp_path / "absent")
