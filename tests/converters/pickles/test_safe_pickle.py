from __future__ import annotations

import os
import pickle
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nwb_celltype.converters.safe_pickle import load, loads
from nwb_celltype.errors import InputError, RefusedError

PLAIN: dict[Any, Any] = {
    "array": np.arange(3),
    "by_column": np.arange(6.0).reshape(2, 3, order="F"),
    "part": np.arange(12, dtype=np.uint32)[::3],
    "big_endian": np.arange(4, dtype=">i2"),
    "texts": np.array(["ab", "c"]),
    "bytes_array": np.array([b"ab", b"c"]),
    "flags": np.array([True, False]),
    "objects": np.array(["x", None, 3], dtype=object),
    "empty": np.zeros((0, 3), dtype=np.float32),
    "zero_d": np.array(5),
    "scalar": np.float64(2.5),
    "flag": np.bool_(True),
    "text": "µV",
    "bytes": b"xy\xff",
    "no_bytes": b"",
    "bytearray": bytearray(b"q"),
    "set": {1, 2},
    "frozenset": frozenset([3]),
    "complex": 1 + 2j,
    "nested": (1, (2, [3, {"a": None}])),
    3: -5,
    np.int64(4): 10**30,
    "type": np.dtype("float32"),
}


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, np.ndarray):
        return ours.dtype == theirs.dtype and ours.shape == theirs.shape and bool(np.all(ours == theirs))
    return type(ours) is type(theirs) and ours == theirs


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("old_numpy", [False, True])
def test_plain_values_of_every_protocol(protocol: int, old_numpy: bool) -> None:
    data = pickle.dumps([PLAIN, PLAIN["array"]], protocol=protocol)
    if old_numpy:  # numpy 1 has no underscore; protocol 4 and 5 count the length of names
        data = data.replace(b"\x16numpy._core.multiarray", b"\x15numpy.core.multiarray")
        data = data.replace(b"\x13numpy._core.numeric", b"\x12numpy.core.numeric")
        # a frame would end at another place; it is not needed
        data = data.replace(b"numpy._core", b"numpy.core") if protocol < 4 else data[:2] + data[11:]
        assert b"_core" not in data
        assert b"numpy.core" in data
    first, again = loads(data, name="a.pkl")
    assert list(first) == list(PLAIN)
    for key, value in PLAIN.items():
        assert same(first[key], value), key
    assert again is first["array"]
    assert not first["array"].flags.writeable


def test_python_2_text_is_array_data() -> None:
    data = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87R(K\x01K\x02\x85"
        b"cnumpy\ndtype\nU\x02i2K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x04\x01\x00"
        b"\xff\xfftb."
    )
    assert loads(data, name="py2.pkl").tolist() == [1, -1]


class Calls:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.how = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.how


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("value", "named"),
    [
        (lambda mark: Calls(os.system, f"touch {mark}"), "posix.system"),
        (lambda mark: Calls(eval, f"open({str(mark)!r}, 'w')"), "eval"),
        (lambda mark: Calls(getattr, Calls(__import__, "os"), "system"), "getattr"),
        (lambda mark: Calls(np.load, str(mark)), "numpy"),
        (lambda mark: Calls(np.ctypeslib.load_library, "libc", "/"), "ctypeslib"),
        (lambda mark: Calls(np.fromfile, str(mark)), "fromfile"),
        (lambda mark: np.array([Calls(os.system, f"touch {mark}")], dtype=object), "posix.system"),
        (lambda mark: {"neurons": [{"spike_indices": Calls(open, str(mark), "w")}]}, "open"),
        (lambda mark: Path(mark), "pathlib"),
        (lambda mark: np.random.default_rng(0), "numpy.random"),
    ],
)
def test_what_would_run_is_refused_by_name(tmp_path: Path, protocol: int, value: Any, named: str) -> None:
    mark = tmp_path / "ran"
    path = tmp_path / "bad.pkl"
    path.write_bytes(pickle.dumps(value(mark), protocol=protocol))
    with pytest.raises(RefusedError, match=r"bad\.pkl asks for .*" + named):
        load(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x03cnumpy\n\\d\n.",  # an odd escape in a name
        b"(S'true'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'true'\no.",  # OBJ
        b"cbuiltins\nset\n)\x81.",  # NEWOBJ
        b"Pname\n.",  # PERSID
        b"\x82\x01.",  # EXT1
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x04\x8c\x08builtins\x8c\x0fset.__class__.x\x93.",
        b"cbuiltins\nset\n}S'a'\nI1\nsb.",  # BUILD of a function
        b"cnumpy\nndarray\n}b.",
        b"\x80\x05\x97.",  # a buffer that is outside of the file
    ],
)
def test_instructions_that_make_objects_are_refused(data: bytes) -> None:
    with pytest.raises(RefusedError, match=r"bad\.pkl asks for"):
        loads(data, name="bad.pkl")


def array(shape: bytes, kind: bytes = b"f8", values: bytes = b"C\x00") -> bytes:
    return (
        b"\x80\x03cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01"
        + shape
        + b"cnumpy\ndtype\nX"
        + struct.pack("<I", len(kind))
        + kind
        + b"\x89\x88\x87R(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + values
        + b"tb."
    )


HUGE = b"\x8a\x06\x00\x00\x00\x00\x00\x10\x85"  # a tuple of 2**44
BOMB = b"\x80\x03" + b"]q\x00" + b"".join(b"]q%c(h%ch%ce" % (k, k - 1, k - 1) for k in range(1, 60)) + b"."
TUPLES = b"\x80\x03" + b")q\x00" + b"".join(b"h%ch%c\x86q%c" % (k - 1, k - 1, k) for k in range(1, 60))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (array(HUGE), "announced"),
        (array(HUGE, b"O8", b"]"), "announced"),
        (array(HUGE, b"S0"), "no length"),
        (array(HUGE, b"M8"), "not read"),
        (array(b"]"), "shape"),
        (b"\x80\x03cnumpy\nndarray\n" + HUGE + b"\x85R.", "no function"),
        (b"\x80\x03cbuiltins\nbytes\n" + HUGE + b"R.", "arguments"),
        (b"\x80\x03cbuiltins\nbytearray\n" + HUGE + b"R.", "arguments"),
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", "damaged"),  # BINBYTES8 of 2**63 bytes
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7fN", "damaged"),
        (b"\x80\x02Nr\xff\xff\xff\xff" + b"0j\xfe\xff\xff\xff.", "refers"),  # Python's reader takes 32 GB for this memo
        (BOMB, "never end|nested"),
        (TUPLES + b".", "never end|nested"),
        (TUPLES + b"}h\x3bNs.", "key"),  # its hash would take years
        (TUPLES + b"\x8c\x01a\x93.", "name is no text"),
        (b"\x80\x03]q\x00h\x00a.", "holds itself"),
        (b"\x80\x03}q\x00K\x01h\x00s.", "holds itself"),
        (b"\x80\x03" + b"(" * 100 + b"t" * 100 + b".", "nested more than"),
        (b"\x80\x03cbuiltins\nset\n.", "function"),
        (b"\x80\x03(K\x01K\x02K\x03d.", "key without"),
        (b"\x80\x03K\x01K\x02a.", "no list"),
        (b"\x80\x03t.", "no mark"),
        (b"\x80\x03a.", "no value"),
        (b"\x80\x03h\x07.", "refers"),
        (b"\x80\x03N", "damaged"),
        (b"L" + b"9" * 10_000 + b"L\n.", "damaged"),
        (b"\x80\x03\x8b\x00\x10\x00\x00" + b"\x7f" * 4096 + b".", "bits"),
        (b"not a pickle", "damaged"),
        (b"", "damaged"),
    ],
)
def test_damaged_and_swelling_pickles_end_with_a_sentence(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        loads(data, name="odd.pkl")


def test_copies_of_one_value_cannot_fill_the_memory() -> None:
    text = b"X" + struct.pack("<I", 2**22) + b"a" * 2**22 + b"q\x00"
    call = b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R"
    with pytest.raises(InputError, match="far more memory"):
        loads(b"\x80\x02" + text + b"(" + call * 1000 + b"t.", name="odd.pkl")


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        load(path)
    path.write_bytes(pickle.dumps(list(range(1000))))
    assert load(path) == list(range(1000))
    with pytest.raises(InputError, match="1 to 100 bytes"):
        load(path, max_bytes=100)
    with pytest.raises(InputError, match="is no file"):
        load(tmp_path)


WHOLE = [pickle.dumps([PLAIN], protocol=protocol) for protocol in (0, 2, 3, 5)]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(WHOLE), st.data())
def test_flipped_bytes_and_cut_files_raise_our_own_errors(whole: bytes, data: st.DataObject) -> None:
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    with suppress(InputError, RefusedError):
        loads(bytes(damaged[:cut] if data.draw(st.booleans()) else damaged), name="odd.pkl")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    with suppress(InputError, RefusedError):
        loads(data + b".", name="odd.pkl")
