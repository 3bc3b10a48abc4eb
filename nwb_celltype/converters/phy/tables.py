"""Cluster tables (cluster_*.tsv and the like): every table joined onto the clusters that have spikes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nwb_celltype.converters.phy.descriptions import column_name

_SHOWN = 5
_HEADER_BYTES = 2**16
_SUFFIXES = (".tsv", ".csv")
EXPORT_RECORD = "nwb_celltype_export.json"
"""Stands beside tables that `nwb_celltype.export` wrote."""
EXPORTED_COLUMNS = ("cell_type", "cell_type_confidence")

# C4 writes one column a file; its files are known by their names.
_C4_FILES = ("predicted_cell_type", "pred_probability", "confidence_ratio", "model_votes")


@dataclass
class RawColumn:
    """Cells of one column, as text, by cluster."""

    name: str
    file: str
    cells: dict[int, str] = field(default_factory=dict)
    decimal: str = "."


@dataclass(frozen=True)
class ClusterTables:
    """What the tables beside a sorting say.

    Attributes
    ----------
    columns : mapping of str to RawColumn
        By name of the units column.
    listed : mapping of int to tuple of str
        Files in which each cluster has a row.
    notes : tuple of str
    """

    columns: Mapping[str, RawColumn]
    listed: Mapping[int, tuple[str, ...]]
    notes: tuple[str, ...]


def read_cluster_tables(folder: Path) -> ClusterTables:
    """Read every table beside a sorting that is keyed by cluster.

    A table is any ``.tsv`` or ``.csv`` file with a column ``cluster_id`` (``id`` in files named ``cluster*``). Where
    two files have the same column, the file that is named after it wins and the others fill its gaps;
    ``cluster_info``, which Phy derives from the rest, comes last.
    """
    notes: list[str] = []
    found: dict[str, list[RawColumn]] = {}
    listed: dict[int, list[str]] = {}
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file()):
        columns, clusters = _read_file(path, notes)
        for column in columns:
            found.setdefault(column.name, []).append(column)
        for cluster in clusters:
            listed.setdefault(cluster, []).append(path.name)
    if (folder / EXPORT_RECORD).is_file():
        _drop_exported(found, notes)
    merged = {name: _merge(name, columns, notes) for name, columns in found.items()}
    return ClusterTables(merged, {k: tuple(v) for k, v in sorted(listed.items())}, tuple(notes))


def _drop_exported(found: dict[str, list[RawColumn]], notes: list[str]) -> None:
    """Leave out labels that were exported to Phy, from every table: Phy copies them into ``cluster_info``.

    Read back they would look like somebody's labels, and a model could be taught its own answers.
    """
    for name in EXPORTED_COLUMNS:
        if columns := found.pop(name, []):
            files = ", ".join(sorted({column.file for column in columns}))
            notes.append(
                f"{name} ({files}) was left out: nwb-celltype export wrote it for Phy, {EXPORT_RECORD} says from which "
                "run; to keep changes made in Phy, remove that file"
            )


def _read_file(path: Path, notes: list[str]) -> tuple[list[RawColumn], list[int]]:
    is_cluster_file = path.name.startswith("cluster")
    if not is_cluster_file and not _names_clusters(path):
        return [], []  # a table of something else: events, positions of an animal
    text = _text(path, notes)
    delimiter = _delimiter(text)
    try:
        rows = list(enumerate(_rows(text, delimiter), start=1))
    except csv.Error as error:
        notes.append(f"{path.name} cannot be read as a table ({error}) and was left out")
        return [], []
    rows = [(line, [cell.strip() for cell in row]) for line, row in rows]
    rows = [(line, row) for line, row in rows if any(row)]
    header = rows[0][1] if rows else []
    lower = [name.lower() for name in header]
    keys = ("cluster_id", "id") if is_cluster_file else ("cluster_id",)
    key = next((lower.index(name) for name in keys if name in lower), None)
    if key is None:
        if is_cluster_file:
            found = ", ".join(header) or "nothing"
            notes.append(f"{path.name} has no column cluster_id (its header holds {found}) and was left out")
        return [], []
    columns = _columns(path, header, key, notes, "," if delimiter == ";" else ".")
    return list(columns.values()), _fill(path, columns, rows[1:], key, len(header), notes)


def _names_clusters(path: Path) -> bool:
    with path.open("rb") as file:
        return b"cluster_id" in file.read(_HEADER_BYTES).replace(b"\x00", b"").lower()


def _text(path: Path, notes: list[str]) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        notes.append(f"{path.name} is not UTF-8 text; it was read as Windows-1252")
        return data.decode("cp1252", errors="replace")


def _delimiter(text: str) -> str:
    header = next((line for line in text.splitlines() if line.strip()), "")
    return next((mark for mark in "\t;," if mark in header), " ")


def _rows(text: str, delimiter: str) -> list[list[str]]:
    if delimiter == " ":
        return [line.split() for line in text.splitlines()]
    return list(csv.reader(io.StringIO(text.replace("\x00", ""), newline=""), delimiter=delimiter))


def _columns(path: Path, header: Sequence[str], key: int, notes: list[str], decimal: str) -> dict[int, RawColumn]:
    columns: dict[int, RawColumn] = {}
    taken: set[str] = set()
    c4 = path.stem.removeprefix("cluster_")
    for place, title in enumerate(header):
        if place == key:
            continue
        if not title:
            notes.append(f"{path.name}: column {place + 1} has no name and was left out")
            continue
        name = c4 if c4 in _C4_FILES and len(header) == 2 else column_name(title)
        if name in taken:
            notes.append(f"{path.name}: column {title} occurs twice; the first one is used")
            continue
        if name not in (title, "quality", c4):
            notes.append(f"{path.name}: column {title} is called {name}, because the units table cannot use its name")
        taken.add(name)
        columns[place] = RawColumn(name, path.name, decimal=decimal)
    return columns


def _fill(
    path: Path,
    columns: Mapping[int, RawColumn],
    rows: Sequence[tuple[int, list[str]]],
    key: int,
    width: int,
    notes: list[str],
) -> list[int]:
    """Put the rows into the columns; return the clusters that have one."""
    clusters: dict[int, int] = {}
    blank: list[str] = []
    bad: list[str] = []
    twice: list[str] = []
    long: list[str] = []
    for line, row in rows:
        text = row[key] if key < len(row) else ""
        cluster = _cluster_id(text)
        if cluster is None:
            (bad if text else blank).append(f"{line} ({text})" if text else str(line))
            continue
        if cluster in clusters:
            twice.append(str(cluster))
        if len(row) > width:
            long.append(str(line))
        clusters[cluster] = line
        for place, column in columns.items():
            column.cells[cluster] = row[place] if place < len(row) else ""
    for lines, what in (
        (blank, "without a cluster id were left out"),
        (bad, "whose cluster id is no whole number were left out"),
        (long, "have more cells than the header; the surplus was left out"),
    ):
        if lines:
            notes.append(f"{path.name}: {len(lines)} rows {what}: line {_some(lines)}")
    if twice:
        notes.append(f"{path.name}: the last row wins for clusters that are listed twice: {_some(twice)}")
    return list(clusters)


def _cluster_id(text: str) -> int | None:
    if re.fullmatch(r"[+-]?\d{1,18}(\.0*)?", text):
        return int(text.partition(".")[0])
    return None


def _some(texts: Sequence[str]) -> str:
    shown = ", ".join(texts[:_SHOWN])
    return shown if len(texts) <= _SHOWN else f"{shown} and {len(texts) - _SHOWN} more"


def _rank(name: str, file: str) -> tuple[int, str]:
    stem = Path(file).stem
    if stem.startswith("cluster_info"):
        return 2, file
    own = "group" if name == "quality" else name
    return 0 if stem in (f"cluster_{own}", f"cluster_{own}s") else 1, file


def _merge(name: str, columns: Sequence[RawColumn], notes: list[str]) -> RawColumn:
    ordered = sorted(columns, key=lambda column: _rank(name, column.file))
    first = ordered[0]
    cells = dict(first.cells)
    for other in ordered[1:]:
        differing = [str(k) for k, v in sorted(other.cells.items()) if v and cells.get(k) and cells[k] != v]
        if differing and other.decimal == first.decimal:
            notes.append(
                f"{first.file} and {other.file} disagree about {name} of clusters {_some(differing)}; "
                f"{first.file} is used"
            )
        cells.update({k: v for k, v in other.cells.items() if not cells.get(k)})
    return RawColumn(name, first.file, cells, first.decimal)
