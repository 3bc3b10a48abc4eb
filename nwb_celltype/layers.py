"""In which layer of the cerebellar cortex a unit was recorded, who says so, and which classes that rules out."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.units import Units

LAYERS = {"ML": "molecular layer", "PCL": "Purkinje cell layer", "GCL": "granule cell layer"}
"""Layers by their short names."""
RULED_OUT = {"GCL": ("MLI",), "ML": ("GoC", "MFB")}
"""Classes that do not occur in a layer (Beau et al. 2025): interneurons of the molecular layer among granule cells, and
Golgi cells and mossy fibres in the molecular layer. In the Purkinje cell layer, between both, nothing is ruled out."""
OUTSIDE = "not_cortex"
"""Word for a unit that lies in no layer."""
COLUMNS = ("phyllum_layer", "human_layer", "cluster_layer", "cerebellar_layer", "layer")
"""Columns of the units table in which a layer is looked for, the first that is there."""
IGNORE = "ignore"
"""In place of a table: use no layer, not even that of a column."""

_KNOWN = (
    (re.compile(r"ml|mo|mol|molecular|(ml|molecular|mol)[ _-]*(cell[ _-]*)?layer"), "ML"),
    (re.compile(r"pcl|pkc|pkcl|purkinje|(pkc|pc|purkinje)[ _-]*(cells?[ _-]*)?layer"), "PCL"),
    (re.compile(r"gcl|gl|grc|grcl|granul(ar|e)|(grc|gc|granule|granular)[ _-]*(cells?[ _-]*)?layer"), "GCL"),
    (re.compile(r"not[ _-]*(in[ _-]*)?cortex|outside( cortex)?|white[ _-]*matter|wm"), OUTSIDE),
)
_ID_NAMES = ("unit_id", "cluster_id", "neuron_id", "unit", "id")
_WHOSE = {
    "file": ("file", "path", "file_name", "filename", "asset"),
    "session": ("session", "session_id", "identifier", "recording"),
}
_LAYER_NAMES = ("layer", *COLUMNS)
_NOTHING = frozenset({"", "unknown", "none", "nan", "na", "n/a", "null", "?", "unspecified"})


@dataclass(frozen=True, eq=False)
class Layers:
    """The layer of each unit.

    Attributes
    ----------
    names : (n,) array of str
        ``ML``, ``PCL``, ``GCL``, ``not_cortex``, or ``""`` where it is not known.
    source : str
        Where it comes from: a column of the units table, or the name of a file.
    """

    names: NDArray[np.str_]
    source: str

    def parameters(self, unit_ids: Sequence[int] | NDArray[np.integer]) -> dict[str, Any]:
        """Return what goes into the parameters of a run: source, counts, the rule, and a digest of the layers."""
        listed = ",".join(f"{int(i)}:{name}" for i, name in zip(unit_ids, self.names, strict=True))
        return {
            "source": self.source,
            "units": {str(k): v for k, v in sorted(Counter(self.names.tolist()).items()) if k},
            "ruled_out": {layer: list(classes) for layer, classes in RULED_OUT.items()},
            "sha256": hashlib.sha256(listed.encode()).hexdigest(),
        }


@dataclass(frozen=True)
class LayerRow:
    """One line of a table of layers; `file` and `session` are empty where the table does not say whose unit it is."""

    unit_id: int
    layer: str
    where: str
    file: str = ""
    session: str = ""

    def is_of(self, files: Collection[str], sessions: Collection[str]) -> bool:
        """Whether it is about a recording with one of these paths and names; what it does not say does not count."""
        file, session = _plain_path(self.file), self.session.casefold()
        paths = [_plain_path(path) for path in files if path]
        is_file = not file or any(f"/{path}".endswith(f"/{file}") for path in paths)
        return is_file and (not session or session in {name.casefold() for name in sessions if name})


@dataclass(frozen=True)
class LayerTable:
    """A table of layers of the units of one or many recordings; small, and the same on every machine."""

    name: str
    rows: tuple[LayerRow, ...]

    @property
    def is_of_many(self) -> bool:
        """Whether every line says of which recording its unit is."""
        return all(row.file or row.session for row in self.rows)

    def of(self, files: Collection[str], sessions: Collection[str]) -> LayerTable:
        """Return the lines about one recording.

        Parameters
        ----------
        files : collection of str
            Paths or addresses that it has; a table may give the last parts of one, and leave out ``.nwb``.
        sessions : collection of str
            Its session id, identifier and the like.

        Returns
        -------
        LayerTable
        """
        return LayerTable(self.name, tuple(row for row in self.rows if row.is_of(files, sessions)))


LayerSource = str | Path | LayerTable | Mapping[int, str]


def layer_of(text: str) -> str | None:
    """Layer that a text means: a key of `LAYERS`, ``not_cortex``, ``""`` for nothing, `None` where it is no such word.

    Examples
    --------
    >>> layer_of("GrC_layer"), layer_of("Molecular layer"), layer_of("unknown"), layer_of("2/3")
    ('GCL', 'ML', '', None)
    """
    word = re.sub(r"\s+", " ", str(text)).strip().lower()
    if word in _NOTHING:
        return ""
    return next((layer for pattern, layer in _KNOWN if pattern.fullmatch(word)), None)


def find_layers(units: Units, layers: LayerSource | None = None) -> Layers | None:
    """Layers of the units from a table, or from a column of the units table.

    Parameters
    ----------
    units : Units
    layers : path or mapping of unit id to layer, optional
        A CSV or TSV file with the columns ``unit_id`` and ``layer``, and ``file`` or ``session`` if it is about several
        recordings; or such a table that was read already; or the name of a column of the units table; or
        ``"ignore"``. By default the first of `COLUMNS` that says something in words of `layer_of`.

    Returns
    -------
    Layers or None
        None where nothing is known.

    Raises
    ------
    UsageError
        If there is neither such a file nor such a column.
    InputError
        If the table cannot be read, names units that there are not, a unit twice, or a layer that is none.

    Examples
    --------
    >>> units = Units.from_arrays([[0.1], [0.2]], unit_ids=[3, 4])
    >>> find_layers(units, {3: "GrC_layer"}).names.tolist()
    ['GCL', '']
    """
    if layers is None:
        return _from_known_columns(units)
    if isinstance(layers, LayerTable):
        return _placed(units, layers.rows, layers.name) if layers.rows else None
    if isinstance(layers, Mapping):
        return _placed(units, [LayerRow(int(k), str(v), f"unit {k}") for k, v in layers.items()], "given")
    if str(layers) == IGNORE:
        return None
    path = Path(layers).expanduser()
    if path.is_file():
        table = read_layer_table(path)
        session = units.session
        mine = table.of([session.path], [session.session_id, session.identifier])
        if not mine.rows:
            message = f"{path} has no line about {session.path or 'these units'}; check its columns file and session."
            raise InputError(message)
        return _placed(units, mine.rows, path.name)
    if str(layers) in units.column_names:
        return _from_column(units, str(layers), strict=True)
    message = (
        f"{str(layers)!r} is neither a table of layers nor a column of the units table; give a CSV or TSV file with "
        "the columns unit_id and layer."
    )
    raise UsageError(message)


def rule_out(probability: NDArray[np.float64], classes: Sequence[str], layers: Layers) -> NDArray[np.float64]:
    """Give the classes that do not occur in a unit's layer no probability, and the others what they had.

    Parameters
    ----------
    probability : (n, k) array
        NaN rows stay NaN.
    classes : sequence of k str
    layers : Layers

    Returns
    -------
    (n, k) array
        Rows sum to 1; NaN where nothing is left.

    Examples
    --------
    >>> import numpy as np
    >>> both = np.array([[0.5, 0.25, 0.25]])
    >>> rule_out(both, ("MLI", "GoC", "MFB"), Layers(np.array(["GCL"]), "")).tolist()
    [[0.0, 0.5, 0.5]]
    """
    kept = np.array(probability, dtype=np.float64)
    changed = np.zeros(len(kept), dtype=bool)
    for layer, impossible in RULED_OUT.items():
        columns = [k for k, label in enumerate(classes) if label in impossible]
        rows = layers.names == layer
        if columns:
            kept[np.ix_(rows, columns)] = np.where(np.isnan(kept[np.ix_(rows, columns)]), np.nan, 0.0)
            changed |= rows
    total = kept.sum(axis=1, keepdims=True)
    whole = np.divide(kept, total, out=np.full_like(kept, np.nan), where=total > 0)
    return np.where(changed[:, None], whole, probability)


def _from_known_columns(units: Units) -> Layers | None:
    present = set(units.column_names)
    for name in COLUMNS:
        if name in present and (found := _from_column(units, name, strict=False)) is not None:
            return found
    return None


def _from_column(units: Units, name: str, *, strict: bool) -> Layers | None:
    """Layers of a column; without `strict`, None where it holds words that are no layers of the cerebellum."""
    values = [str(value) for value in units.column(name)]
    read = [layer_of(value) for value in values]
    wrong = [value for value, layer in zip(values, read, strict=True) if layer is None]
    if wrong and strict:
        message = f"The column {name!r} holds {wrong[0]!r}, which is no layer of the cerebellar cortex; {_expected()}."
        raise InputError(message)
    if wrong or not any(read):
        return None
    return Layers(np.array([layer or "" for layer in read], dtype=str), f"units column {name}")


def _placed(units: Units, rows: Sequence[LayerRow], source: str) -> Layers:
    at = {int(unit_id): row for row, unit_id in enumerate(units.unit_ids)}
    names = np.full(len(units), "", dtype=object)
    seen: set[int] = set()
    for row in rows:
        unit_id, text, where = row.unit_id, row.layer, row.where
        layer = layer_of(text)
        if layer is None:
            message = f"{source}, {where}: {text!r} is no layer of the cerebellar cortex; {_expected()}."
            raise InputError(message)
        if unit_id in seen:
            message = f"{source}, {where}: unit {unit_id} is there twice; one layer a unit."
            raise InputError(message)
        seen.add(unit_id)
        if unit_id in at:
            names[at[unit_id]] = layer
    if rows and not seen & set(at):
        message = f"None of the {len(rows)} units of {source} is among the units to annotate; check their ids."
        raise InputError(message)
    return Layers(names.astype(str), source)


def read_layer_table(path: str | Path) -> LayerTable:
    """Read a table of layers.

    Parameters
    ----------
    path : str or Path
        CSV or TSV with the columns ``unit_id`` and ``layer``; ``file`` (a path, or its last parts) and ``session`` (the
        session id, or the identifier of the file) say whose unit it is.

    Returns
    -------
    LayerTable

    Raises
    ------
    InputError
        If it cannot be read, lacks a column, or a unit id is none.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path} cannot be read: {error}."
        raise InputError(message) from error
    first = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter="\t" if "\t" in first else ";" if ";" in first else ",")
    names = {str(name).strip().lower(): name for name in reader.fieldnames or ()}
    unit = next((names[each] for each in _ID_NAMES if each in names), None)
    layer = next((names[each] for each in _LAYER_NAMES if each in names), None)
    if unit is None or layer is None:
        message = f"{path} needs the columns unit_id and layer; it has {', '.join(names) or 'none'}."
        raise InputError(message)
    whose = {key: next((names[each] for each in words if each in names), None) for key, words in _WHOSE.items()}
    rows = []
    for row in reader:
        given = str(row[unit] or "").strip()
        if not given and not str(row[layer] or "").strip():
            continue
        try:
            told = {key: str(row[name] or "").strip() if name else "" for key, name in whose.items()}
            rows.append(LayerRow(int(given), str(row[layer] or ""), f"line {reader.line_num}", **told))
        except ValueError:
            message = f"{path}, line {reader.line_num}: {given!r} is no unit id."
            raise InputError(message) from None
    return LayerTable(path.name, tuple(rows))


def _plain_path(text: str) -> str:
    return re.sub(r"\.nwb$", "", text.strip().replace("\\", "/").rstrip("/").removeprefix("./")).strip("/")


def _expected() -> str:
    return f"write {', '.join(LAYERS)}, {OUTSIDE}, or nothing where it is not known"
