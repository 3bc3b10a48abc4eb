"""Files: read as written, merged, and refused with the line where they go wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from nwb_celltype.converters.metadata import read_metadata
from nwb_celltype.errors import InputError, UsageError


def read(tmp_path: Path, text: str, name: str = "metadata.yaml") -> object:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return read_metadata(file)


def refused(tmp_path: Path, text: str, name: str = "metadata.yaml") -> str:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, name)
    assert name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("2024-01-31", "2024-01-31"),
        ("2024-01-31T14:03:00", "2024-01-31T14:03:00"),
        ("2024-01-31 14:03:00 +01:00", "2024-01-31 14:03:00 +01:00"),
        ("007", "007"),
        ("12", 12),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("4.50", "4.50"),
        ("2.34375", 2.34375),
        (".nan", ".nan"),
        ("=", "="),
        ("no", False),
        ("", None),
        ("9" * 5000, "9" * 5000),
        ("[1, {a: b}]", [1, {"a": "b"}]),
    ],
)
def test_values_stay_as_written(tmp_path: Path, written: str, value: object) -> None:
    assert read(tmp_path, f"key: {written}\n") == {"key": value}


def test_keys_are_texts(tmp_path: Path) -> None:
    assert read(tmp_path, "on: 1\n3: 2\nnidq.XD0.3: {}\n") == {"on": 1, "3": 2, "nidq.XD0.3": {}}


def test_anchors_and_merges_are_understood(tmp_path: Path) -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\n"
    assert read(tmp_path, text) == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2}}


def test_byte_order_mark_and_empty_file(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeffa: 1\n") == {"a": 1}
    assert read(tmp_path, "# nothing\n") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("NWBFile:\n  lab: a\n  notes: b\n  lab: c\n", "line 4: the key 'lab' stands here and in line 2"),
        ("NWBFile:\n\tlab: a\n", "line 2: a tab stands where spaces belong"),
        ("a: 1\nb: Crus 1: left\n", "line 2: a text that contains ': ' must stand in quotes"),
        ("a: 1\n b: 2\n", "line 2: "),
        ("a: [1, 2\n", "not closed"),
        ('a: "b\n', "not closed"),
        ("a: *b\n", "line 1: "),
        ("a: !!python/object/apply:os.system [ls]\n", "line 1: the tag"),
        ("a: !!bool 3\n", "line 1: '3' is not true or false"),
        ("a: !!map 3\n", "line 1: keys and values"),
        ("a: &a [*a]\n", "line 1: a block contains itself"),
        ("a: &a {<<: *a}\n", "line 1: a block contains itself"),
        ("[a]: 1\n", "line 1: a key must be a text"),
        ("a: {<<: {[b]: 1}}\n", "line 1: a key must be a text"),
        ("a: {<<: 3}\n", "line 1: "),
        ("- a\n", "no keys at the top"),
        ("a: 1\n---\nb: 2\n", "one file holds one set"),
        ("a: \x01\n", "is not YAML text"),
        ("a: " + "[" * 200 + "]" * 200 + "\n", "nested more than 40 deep"),
    ],
)
def test_refused_with_the_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text)


def test_a_file_that_grows_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 10)]
    assert "line 5: more than 100000 values" in refused(tmp_path, "\n".join(lines))


def test_files_that_are_none(tmp_path: Path) -> None:
    big = tmp_path / "recording.bin"
    big.write_bytes(b"\0" * 300_000)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("lab: Universität".encode("latin-1"))
    for path, said in [
        (big, "0.3 MB"),
        (latin, "UTF-8"),
        (tmp_path, "not a file"),
        (tmp_path / "absent.yaml", "cannot be read"),
        ("a\0b", "no path"),
    ]:
        with pytest.raises(InputError, match=said):
            read_metadata(path)
    with pytest.raises(UsageError):
        read_metadata([])


def test_json(tmp_path: Path) -> None:
    assert read(tmp_path, '{"a": {"b": [1, "\\u00e4"]}}', "m.json") == {"a": {"b": [1, "ä"]}}
    assert "line 2" in refused(tmp_path, '{"a": 1,\n b: 2}', "m.json")
    assert "'a' stands twice" in refused(tmp_path, '{"x": {"a": 1, "a": 2}}', "m.json")
    assert "nested" in refused(tmp_path, '{"a": ' + "[" * 500 + "]" * 500 + "}", "m.json")
    assert "nested" in refused(tmp_path, '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "m.json")
    assert "too long" in refused(tmp_path, '{"a": ' + "9" * 5000 + "}", "m.json")


def test_later_files_win_but_empty_keys_do_not(tmp_path: Path) -> None:
    lab, own = tmp_path / "lab.yaml", tmp_path / "session.yaml"
    lab.write_text("NWBFile: {lab: A, institution: U, keywords: [a, b]}\nSubject: {species: mouse}\n")
    own.write_text("NWBFile: {lab: , institution: TODO, keywords: [c], session_id: s1}\nSubject:\n")
    assert read_metadata([lab, own]) == {
        "NWBFile": {"lab": "A", "institution": "U", "keywords": ["c"], "session_id": "s1"},
        "Subject": {"species": "mouse"},
    }
