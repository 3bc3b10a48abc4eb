"""Files of MATLAB 5: the same values as SciPy reads, and never more than an error from changed bytes."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from nwb_celltype.converters.cellexplorer.level5 import is_level5, names_in, read_variables
from nwb_celltype.converters.cellexplorer.matfile import read_mat
from nwb_celltype.converters.cellexplorer.unreadable import Unreadable
from nwb_celltype.errors import InputError

RNG = np.random.default_rng(5)
ARRAYS = {
    kind: RNG.integers(0, 100, (3, 4)).astype(kind)
    for kind in ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
} | {"3d": RNG.normal(size=(2, 3, 4)), "z": RNG.normal(size=(2, 2)) + 1j, "none": np.zeros((0, 5))}


def written(path: Path, content: dict[str, Any], **how: Any) -> Path:
    savemat(path, content, **how)
    return path


@pytest.mark.parametrize("is_packed", [False, True])
def test_arrays_are_those_that_scipy_reads(is_packed: bool, tmp_path: Path) -> None:
    path = written(tmp_path / "a.mat", {f"x_{k}": v for k, v in ARRAYS.items()}, do_compression=is_packed)
    theirs = loadmat(path, mat_dtype=True, variable_names=[f"x_{k}" for k in ARRAYS if k != "z"])
    theirs |= loadmat(path, variable_names=["x_z"])  # to which it would leave the real part alone
    ours = read_variables(path, [f"x_{k}" for k in ARRAYS])
    assert names_in(path) == [f"x_{k}" for k in ARRAYS]
    for name, value in ours.items():
        assert value.dtype == theirs[name].dtype, name
        np.testing.assert_array_equal(value, theirs[name])


def test_the_other_byte_order(tmp_path: Path) -> None:
    """Of old workstations: an array written by hand."""

    def element(kind: int, data: bytes) -> bytes:
        return struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8)

    body = element(6, struct.pack(">II", 6, 0)) + element(5, struct.pack(">ii", 1, 2)) + element(1, b"x")
    body += element(9, struct.pack(">dd", 1.5, -2.5)) + b""
    text = element(6, struct.pack(">II", 4, 0)) + element(5, struct.pack(">ii", 2, 2)) + element(1, b"t")
    text += element(17, "acbΩ".encode("utf-16-be"))
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0".ljust(124) + b"\x01\0MI" + element(14, body) + element(14, text))
    ours = read_mat(path, ["x", "t"])
    assert ours["x"].tolist() == [[1.5, -2.5]]
    assert ours["t"] == "ab\ncΩ"
    assert ours["x"].dtype == np.float64


def test_what_only_matlab_reads_is_named(tmp_path: Path) -> None:
    from scipy.sparse import csc_array

    path = written(tmp_path / "a.mat", {"s": csc_array(np.eye(3)), "b": np.array([[True]])})
    assert read_mat(path, ["s"])["s"] == Unreadable("sparse array")
    assert read_variables(path, ["b", "s"]) == {"b": np.array([[True]]), "s": Unreadable("sparse array")}
    old = written(tmp_path / "old.mat", {"x": np.eye(2), "t": "words"}, format="4")
    assert not is_level5(old)
    assert read_mat(old, ["t"])["t"] == "words"
    assert read_mat(old, ["x"])["x"].tolist() == [[1, 0], [0, 1]]


def test_a_function_in_a_file_is_a_word(tmp_path: Path) -> None:
    """A function handle holds text that MATLAB would run; here it is not even looked at."""

    def element(kind: int, data: bytes) -> bytes:
        return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)

    call = element(6, struct.pack("<II", 4, 0)) + element(5, struct.pack("<ii", 1, 20)) + element(1, b"")
    call += element(1, b"@()system('touch x')")
    body = element(6, struct.pack("<II", 16, 0)) + element(5, struct.pack("<ii", 1, 1)) + element(1, b"f")
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0".ljust(124) + b"\0\x01IM" + element(14, body + element(14, call)))
    assert read_mat(path, ["f"]) == {"f": Unreadable("function handle")}


def seed() -> bytes:
    buffer = io.BytesIO()
    inner = {"times": np.array([np.arange(3.0), np.arange(2.0)], dtype=object), "name": "x", "yes": np.array([True])}
    savemat(buffer, {"spikes": inner, "structs": np.array([(1, "a"), (2, "b")], dtype=[("n", "O"), ("w", "O")])})
    return buffer.getvalue()


def test_any_byte_may_be_another(tmp_path: Path) -> None:
    """Every place of a file by another value: values or a sentence, and the process lives."""
    data, path = seed(), tmp_path / "a.mat"
    n_refused = 0
    for at in range(116, len(data)):
        for other in (0xFF, 1) if at < 300 else (RNG.integers(256),):
            path.write_bytes(data[:at] + bytes([int(other)]) + data[at + 1 :])
            try:
                read_mat(path, ["spikes", "structs"])
            except InputError as error:
                n_refused += 1
                assert "a.mat" in str(error)  # noqa: PT017 - either is right
    assert n_refused > 200


def test_claims_are_held_against_the_bytes_that_are_there(tmp_path: Path) -> None:
    def element(kind: int, data: bytes) -> bytes:
        return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)

    def refused(body: bytes, said: str, kind: int = 14) -> None:
        path = tmp_path / "claims.mat"
        path.write_bytes(b"MATLAB 5.0".ljust(124) + b"\0\x01IM" + element(kind, body))
        with pytest.raises(InputError, match=rf"claims\.mat.*{said}"):
            read_mat(path, ["x"])

    def head(kind: int, *shape: int) -> bytes:
        return element(6, struct.pack("<II", kind, 0)) + element(5, struct.pack(f"<{len(shape)}i", *shape)) \
            + element(1, b"x")  # fmt: skip

    refused(head(1, 2**30, 1), "cannot hold 1073741824 cells")
    refused(head(2, 2**30, 2**30) + element(5, struct.pack("<i", 4)) + element(1, b""), "cannot hold .* structs")
    refused(head(6, 2**30, 1) + element(9, bytes(8)), "has 1 numbers where there should be 1073741824")
    refused(head(6, -1, 1) + element(9, bytes(8)), "has the dimensions")
    refused(head(19, 1, 1), "has the class 19")
    refused(head(6, 1, 1) + element(200, bytes(8)), "numbers have the type 200")
    refused(head(4, 1, 9) + element(4, bytes(2)), "has 1 letters where there should be 9")
    deep = head(6, 1, 1) + element(9, bytes(8))
    for _ in range(70):
        deep = head(1, 1, 1) + element(14, deep)
    refused(deep, "lies too deep")


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwb_celltype.converters.cellexplorer.level5._MOST_BYTES", 10_000_000)
    path = written(tmp_path / "a.mat", {"x": np.zeros(2_000_000), "y": np.arange(3)}, do_compression=True)
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match=r"a\.mat.*holds more than"):
        read_mat(path, ["x"])
    assert read_mat(path, ["y"])["y"].tolist() == [[0, 1, 2]], "what is not asked for is not unpacked"
    small = written(tmp_path / "b.mat", {"x": np.zeros(1_500_000, dtype=np.int8).astype(float)})
    with pytest.raises(InputError, match=r"b\.mat.*has more than"):
        read_mat(small, ["x"])
    assert zlib.decompress(path.read_bytes()[136:])
