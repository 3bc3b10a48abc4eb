"""What is asked of every asset of a batch: the model, the region, the conditions, and the key that a result has."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from nwb_celltype.annotation import scope_of
from nwb_celltype.batch.selection import RegionRule
from nwb_celltype.bundles import read_bundle
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.features import FEATURE_SPEC_VERSION
from nwb_celltype.layers import LAYERS, LayerTable, layer_of, read_layer_table
from nwb_celltype.priors import PRIOR_WORDS, PriorSource, read_prior
from nwb_celltype.quality import species_of

CONDITIONS = ("species", "subject", "session", "sex", "path")
"""What a condition can ask for."""

_FORMAT = 2
_SEXES = {"m": "male", "f": "female", "o": "other", "u": "unknown"}


@dataclass(frozen=True)
class Condition:
    """One condition that an asset must meet.

    Attributes
    ----------
    key : str
        One of `CONDITIONS`.
    pattern : str
        What the value must be; ``*`` and ``?`` stand for any letters.

    Examples
    --------
    >>> Condition("species", "mouse").holds("Mus musculus - House mouse")
    True
    >>> Condition("subject", "CSHL*").holds("NYU-12")
    False
    """

    key: str
    pattern: str

    def holds(self, value: str) -> bool:
        """Whether a value meets it; letter case does not count."""
        wanted, found = self.pattern.strip().lower(), value.strip().lower()
        if self.key == "species":
            asked, said = species_of(self.pattern), species_of(value)
            if asked and said and asked == said:
                return True
        if self.key == "sex":
            wanted, found = _SEXES.get(wanted, wanted), _SEXES.get(found, found)
        return found == wanted or fnmatchcase(found, wanted)

    def __str__(self) -> str:
        return f"{self.key}={self.pattern}"


def read_conditions(where: Mapping[str, str] | Sequence[str] | None) -> tuple[Condition, ...]:
    """Read conditions from a mapping, or from texts such as ``species=mouse``.

    Raises
    ------
    UsageError
        If one is no condition, or its key is none of `CONDITIONS`.

    Examples
    --------
    >>> [str(condition) for condition in read_conditions(["species=mouse"])]
    ['species=mouse']
    """
    pairs: list[tuple[str, str]] = []
    if isinstance(where, str):
        where = [where]
    if isinstance(where, Mapping):
        pairs = [(str(key), str(value)) for key, value in where.items()]
    else:
        for text in where or ():
            key, equals, value = str(text).partition("=")
            if not equals:
                message = f"{text!r} is no condition; write KEY=VALUE, such as species=mouse."
                raise UsageError(message)
            pairs.append((key, value))
    for key, value in pairs:
        if key.strip().lower() not in CONDITIONS or not value.strip():
            message = f"{key}={value} is no condition; a key is one of {', '.join(CONDITIONS)}, and its value a text."
            raise UsageError(message)
    return tuple(Condition(key.strip().lower(), value.strip()) for key, value in pairs)


@dataclass(frozen=True)
class Request:
    """What is asked of every asset; small, and the same on every machine.

    Attributes
    ----------
    model : str
        Name of a shipped model, or absolute path of a model folder.
    model_name : str
        Name and version, for people.
    weights_sha256 : str
        Of the model; a worker that finds other weights under the name refuses.
    species : tuple of str
        That the model was made for; empty for one that asks nothing of them.
    rule : RegionRule
        Which units are taken.
    conditions : tuple of Condition
    threshold : float or None
    units_table : str or None
        HDF5 path of the units table, where files have several.
    prior : str, or sorted pairs of class and weight
        How common the classes are held to be; a file was read already, for workers may not see it.
    layers : str, LayerTable or None
        Layers of units: a column of the units tables, ``ignore``, a table of many recordings, or what a file says.
    """

    model: str
    model_name: str
    weights_sha256: str
    species: tuple[str, ...]
    rule: RegionRule
    conditions: tuple[Condition, ...] = ()
    threshold: float | None = None
    units_table: str | None = None
    prior: str | tuple[tuple[str, float], ...] = "uniform"
    layers: str | LayerTable | None = None

    def key_for(self, digest: str) -> str:
        """Key of the result for a source: it changes when the source, the model or an option does.

        Parameters
        ----------
        digest : str
            Of the source; empty where nobody knows it.

        Returns
        -------
        str
            64 hexadecimal digits; empty without a digest.
        """
        return _digest_of(self._content(digest)) if digest else ""

    def look_key(self, digest: str) -> str:
        """Key of what is seen in a source when it is opened: the conditions belong to it, too.

        Parameters
        ----------
        digest : str
            Of the source, or what else changes with it; empty where nobody knows it.

        Returns
        -------
        str
            64 hexadecimal digits; empty without a digest.
        """
        from nwb_celltype import __version__

        conditions = [str(condition) for condition in self.conditions]
        # another version of this program may see more in a file
        asked = {"conditions": conditions, "species": list(self.species), "program": __version__}
        return _digest_of(self._content(digest) | asked) if digest else ""

    def _content(self, digest: str) -> dict[str, Any]:
        # A request without layers has the key that it had before there were any.
        layers = {} if self.layers is None else {"layers": self._layers_text}
        return layers | {
            "format": _FORMAT,
            "source": digest,
            "weights_sha256": self.weights_sha256,
            "threshold": self.threshold,
            "region": asdict(self.rule),
            "units_table": self.units_table,
            "prior": self.prior,
            "feature_spec_version": FEATURE_SPEC_VERSION,
        }

    @property
    def _layers_text(self) -> str:
        """Column, word, or digest of a table."""
        if not isinstance(self.layers, LayerTable):
            return self.layers or ""
        rows = [[row.file, row.session, row.unit_id, row.layer] for row in self.layers.rows]
        return hashlib.sha256(json.dumps([self.layers.name, rows]).encode()).hexdigest()

    def unmet(self, known: Mapping[str, str], *, whole: bool) -> str:
        """Say which condition an asset does not meet; empty where it meets all.

        Parameters
        ----------
        known : mapping
            Values by key; a key that is absent or empty is not known yet.
        whole : bool
            Whether `known` is all that there is to know, so that what is missing does not meet its condition.
        """
        for condition in self.conditions:
            value = known.get(condition.key, "")
            if not value and not whole:
                continue
            if not condition.holds(value):
                return f"--where {condition} does not hold"
        return ""

    def foreign(self, species: str) -> str:
        """Say that a species is none of the model's; empty where it is one, or is not stated."""
        named = species_of(species)
        if not self.species or not named or named in self.species:
            return ""
        return f"the species is {named}; the model was made from {' and '.join(self.species)}"


def _digest_of(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def make_request(
    model: str | Path,
    *,
    region: str | None,
    where: Mapping[str, str] | Sequence[str] | None,
    threshold: float | None,
    units_table: str | None,
    prior: PriorSource = "uniform",
    layers: str | Path | None = None,
) -> Request:
    """Check what is asked, once for all assets.

    Raises
    ------
    UsageError
        If there is no such model, or an option is wrong.
    InputError
        If the model's files are damaged, or a table of layers does not say whose units it is about.
    """
    if threshold is not None and not 0 <= threshold <= 1:
        message = f"The threshold is a probability between 0 and 1, not {threshold}."
        raise UsageError(message)
    conditions = read_conditions(where)
    bundle = read_bundle(model)
    scope = scope_of(bundle.card)
    return Request(
        model=str(model) if not Path(model).is_dir() else str(Path(model).resolve()),
        model_name=f"{bundle.card['name']} {bundle.card['version']}",
        weights_sha256=bundle.weights_sha256,
        species=scope.species,
        rule=RegionRule.of(region, scope.tissue),
        conditions=conditions,
        threshold=None if threshold is None else float(threshold),
        units_table=units_table,
        prior=_plain_prior(prior),
        layers=_plain_layers(layers),
    )


def _plain_layers(layers: str | Path | None) -> str | LayerTable | None:
    """Read a table; another text is a column of the units tables, or ``ignore``."""
    if layers is None:
        return None
    path = Path(layers).expanduser()
    if not path.is_file():
        if path.suffix.lower() in (".csv", ".tsv", ".txt") or "/" in str(layers):
            message = f"There is no table of layers {layers}; check the path, or name a column of the units tables."
            raise UsageError(message)
        return str(layers)
    table = read_layer_table(path)
    if not table.is_of_many:
        message = (
            f"{path} does not say of each unit in which recording it is, and unit ids come again from one to the "
            "next; add a column `file` (path, or its last parts) or `session` (session id), or annotate one file."
        )
        raise InputError(message)
    for row in table.rows:
        if layer_of(row.layer) is None:
            message = f"{path}, {row.where}: {row.layer!r} is no layer; write {', '.join(LAYERS)} or not_cortex."
            raise InputError(message)
    return table


def _plain_prior(prior: PriorSource) -> str | tuple[tuple[str, float], ...]:
    if isinstance(prior, str) and prior in PRIOR_WORDS:
        return prior
    weights = prior if isinstance(prior, Mapping) else read_prior(prior)
    return tuple(sorted((str(label), float(weight)) for label, weight in weights.items()))


def entities_of(path: str) -> dict[str, str]:
    """Entities of a file's DANDI name: ``sub``, ``ses`` and the like.

    Examples
    --------
    >>> entities_of("sub-A1/sub-A1_ses-b2_desc-processed_ecephys.nwb")
    {'sub': 'A1', 'ses': 'b2', 'desc': 'processed'}
    """
    stem = re.sub(r"\.nwb(\.zarr)?$", "", path.rpartition("/")[2])
    return dict(re.findall(r"(?:^|_)([a-z]+)-([^_]+)", stem))
