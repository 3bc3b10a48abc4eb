"""Cell-type vocabularies: what each label means, its ontology term, and how other people's labels map to it.

Identifiers: Cell Ontology 2026-03-26, UBERON 2026-04-01, Gene Ontology. A class is not an ontology term: simple and
complex spikes are two kinds of spike of one Purkinje cell, and a mossy fibre is an axon, which no cell ontology lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from nwb_celltype.class_names import name_key
from nwb_celltype.errors import UsageError

UNCLASSIFIED = "unclassified"
"""The answer of a unit without one; reserved, never a class."""

MappingRelation = Literal["", "skos:exactMatch", "skos:broadMatch", "skos:narrowMatch", "skos:relatedMatch"]


@dataclass(frozen=True)
class CellClass:
    """One class of a taxonomy.

    Attributes
    ----------
    label : str
        Short name, as in a column of probabilities.
    full_name, definition : str
    ontology_id : str
        CURIE, or empty where no ontology has a fitting term.
    ontology_label : str
    mapping_relation : str
        SKOS relation from the class to the term.
    parent_label : str
        Label of the class it belongs to, or empty.
    """

    label: str
    full_name: str
    definition: str
    ontology_id: str = ""
    ontology_label: str = ""
    mapping_relation: MappingRelation = ""
    parent_label: str = ""


@dataclass(frozen=True)
class Layer:
    """One layer of a tissue, with its UBERON term and the names it goes by."""

    label: str
    full_name: str
    ontology_id: str
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Taxonomy:
    """A named, versioned list of classes; their order is the order of probability columns.

    Examples
    --------
    >>> from nwb_celltype.taxonomy import CEREBELLUM
    >>> CEREBELLUM["PkC_cs"].ontology_id
    'CL:0000121'
    >>> CEREBELLUM.subset(["MLI", "GoC"]).labels
    ('MLI', 'GoC')
    """

    name: str
    version: str
    description: str
    classes: tuple[CellClass, ...]
    layers: tuple[Layer, ...] = ()
    _by_label: Mapping[str, CellClass] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_label = {c.label: c for c in self.classes}
        if len(by_label) != len(self.classes) or UNCLASSIFIED in by_label:
            message = f"Taxonomy {self.name!r}: labels must be distinct and {UNCLASSIFIED!r} is reserved."
            raise UsageError(message)
        object.__setattr__(self, "_by_label", by_label)

    def __getitem__(self, label: str) -> CellClass:
        try:
            return self._by_label[label]
        except KeyError:
            message = f"No class {label!r} in taxonomy {self.name!r}; it has {', '.join(self.labels)}."
            raise UsageError(message) from None

    def __contains__(self, label: object) -> bool:
        return label in self._by_label

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in the order of probability columns."""
        return tuple(self._by_label)

    def subset(self, labels: Iterable[str]) -> Taxonomy:
        """Return the taxonomy with just these classes, in this order."""
        return Taxonomy(self.name, self.version, self.description, tuple(self[label] for label in labels), self.layers)


def free_taxonomy(labels: Iterable[str]) -> Taxonomy:
    """Make a taxonomy out of labels that nobody defined: no definitions, no ontology terms.

    Examples
    --------
    >>> free_taxonomy(["ON", "OFF"]).labels
    ('OFF', 'ON')
    """
    classes = tuple(CellClass(label, label, "Label as given; not defined.") for label in sorted(set(labels)))
    return Taxonomy("free", "1", "Labels as given by the annotator.", classes)


CEREBELLUM = Taxonomy(
    name="cerebellar_cortex",
    version="1.0",
    description="Units that an extracellular electrode finds in the cerebellar cortex.",
    classes=(
        CellClass(
            "PkC_ss",
            "Purkinje cell, simple spikes",
            "Simple spikes of a Purkinje cell: regular, tens to over a hundred per second, driven by parallel fibres.",
            "CL:0000121",
            "Purkinje cell",
            "skos:broadMatch",
        ),
        CellClass(
            "PkC_cs",
            "Purkinje cell, complex spikes",
            "Complex spikes of a Purkinje cell: about one per second, with spikelets, driven by the climbing fibre; "
            "each is followed by a pause of the same cell's simple spikes.",
            "CL:0000121",
            "Purkinje cell",
            "skos:broadMatch",
        ),
        CellClass(
            "MLI",
            "Molecular layer interneuron",
            "Inhibitory interneuron of the molecular layer (basket or stellate cell).",
            "CL:4042035",
            "molecular layer interneuron",
            "skos:exactMatch",
        ),
        CellClass(
            "GoC",
            "Golgi cell",
            "Inhibitory interneuron of the granular layer: broad spike, low and regular rate.",
            "CL:0000119",
            "cerebellar Golgi cell",
            "skos:exactMatch",
        ),
        CellClass(
            "MFB",
            "Mossy fibre bouton",
            "Terminal of a mossy fibre in the granular layer: brief spike, high and often bursting rate. "
            "An axon, not a cell, so it has no term in the Cell Ontology.",
            "GO:0044300",
            "cerebellar mossy fiber",
            "skos:relatedMatch",
        ),
        CellClass(
            "GrC",
            "Granule cell",
            "Small excitatory cell of the granular layer.",
            "CL:0001031",
            "cerebellar granule cell",
            "skos:exactMatch",
        ),
    ),
    layers=(
        Layer("ML", "molecular layer", "UBERON:0002974", ("ML_layer", "molecular", "CBXmo")),
        Layer("PCL", "Purkinje cell layer", "UBERON:0002979", ("PkC_layer", "Purkinje", "CBXpu")),
        Layer("GCL", "granular layer", "UBERON:0002956", ("GrC_layer", "granule", "granular", "CBXgr")),
    ),
)
"""Classes and layers of the cerebellar cortex."""

FOREBRAIN = Taxonomy(
    name="forebrain_putative",
    version="1.1",
    description="Classes that CellExplorer and optotagging studies use in hippocampus and neocortex.",
    classes=(
        CellClass(
            "pyramidal",
            "Pyramidal cell",
            "Putative pyramidal cell, usually from a broad waveform.",
            "CL:0000598",
            "pyramidal neuron",
            "skos:broadMatch",
        ),
        CellClass(
            "narrow_interneuron",
            "Narrow-waveform interneuron",
            "Putative interneuron by a trough-to-peak time of 0.425 ms or less: a phenotype, not a cell type.",
            "CL:0000099",
            "interneuron",
            "skos:broadMatch",
        ),
        CellClass(
            "wide_interneuron",
            "Wide-waveform interneuron",
            "Putative interneuron with a broad waveform and a slowly rising autocorrelogram.",
            "CL:0000099",
            "interneuron",
            "skos:broadMatch",
        ),
        CellClass(
            "PV",
            "Parvalbumin interneuron",
            "Interneuron that expresses parvalbumin.",
            "CL:4023018",
            "pvalb GABAergic interneuron",
            "skos:exactMatch",
            "narrow_interneuron",
        ),
        CellClass(
            "SST",
            "Somatostatin interneuron",
            "Interneuron that expresses somatostatin.",
            "CL:4023017",
            "sst GABAergic interneuron",
            "skos:exactMatch",
        ),
        CellClass(
            "VIP",
            "VIP interneuron",
            "Interneuron that expresses vasoactive intestinal peptide.",
            "CL:4023016",
            "VIP GABAergic interneuron",
            "skos:exactMatch",
        ),
        CellClass(
            "axo_axonic",
            "Axo-axonic cell",
            "Interneuron that targets axon initial segments (chandelier cell).",
            "CL:0000099",
            "interneuron",
            "skos:broadMatch",
        ),
        CellClass(
            "interneuron",
            "Interneuron",
            "Inhibitory cell of unstated kind (also written inhibitory, or fast spiking where nothing more is known).",
            "CL:0000099",
            "interneuron",
            "skos:broadMatch",
        ),
        CellClass(
            "excitatory",
            "Excitatory neuron",
            "Glutamatergic cell of unstated kind.",
            "CL:0000679",
            "glutamatergic neuron",
            "skos:broadMatch",
        ),
        CellClass(
            "juxtacellular",
            "Juxtacellularly recorded cell",
            "Unit matched to a juxtacellular recording; its cell type is not stated.",
            "CL:0000540",
            "neuron",
            "skos:broadMatch",
        ),
        CellClass(
            "CCK",
            "Cholecystokinin interneuron",
            "Interneuron that expresses cholecystokinin.",
            "CL:0011005",
            "GABAergic interneuron",
            "skos:broadMatch",
            "interneuron",
        ),
        CellClass(
            "NOS1",
            "NOS1 interneuron",
            "Interneuron that expresses neuronal nitric oxide synthase.",
            "CL:0011005",
            "GABAergic interneuron",
            "skos:broadMatch",
            "interneuron",
        ),
        CellClass(
            "NPY",
            "Neuropeptide Y interneuron",
            "Interneuron that expresses neuropeptide Y.",
            "CL:4072016",
            "NPY interneuron",
            "skos:exactMatch",
            "interneuron",
        ),
        CellClass(
            "LAMP5",
            "LAMP5 interneuron",
            "Interneuron that expresses LAMP5, many of them neurogliaform cells.",
            "CL:4023011",
            "lamp5 GABAergic interneuron",
            "skos:exactMatch",
            "interneuron",
        ),
        CellClass(
            "HTR3A",
            "5-HT3a interneuron",
            "Interneuron that expresses the serotonin receptor 3A.",
            "CL:0011005",
            "GABAergic interneuron",
            "skos:broadMatch",
            "interneuron",
        ),
        CellClass(
            "dentate_granule",
            "Granule cell of the dentate gyrus",
            "Small excitatory cell of the granule cell layer of the dentate gyrus.",
            "CL:2000089",
            "dentate gyrus granule cell",
            "skos:exactMatch",
            "excitatory",
        ),
        CellClass(
            "hippocampal_mossy",
            "Mossy cell of the dentate gyrus",
            "Excitatory cell of the hilus of the dentate gyrus; not the mossy fibre of a granule cell.",
            "CL:0000679",
            "glutamatergic neuron",
            "skos:broadMatch",
            "excitatory",
        ),
    ),
)
"""Classes met outside the cerebellum; no shipped model predicts them."""

# What a label says when it says nothing: these (as `_key` writes them) mean "not labelled" in the files they come from.
_NO_LABEL = frozenset(
    {
        "",
        "none",
        "nan",
        "na",
        "n_a",
        "null",
        "[]",
        "unknown",
        "unlabeled",
        "unlabelled",
        "unclassified",
        "unassigned",
        "no_label",
        "not_labeled",
        "not_labelled",
        "?",
    }
)

# Keys are normalised by `_key`. One vocabulary a dictionary, so that a string is read as its own file meant it.
_VOCABULARIES: dict[str, tuple[Taxonomy, dict[str, str]]] = {
    "c4": (
        CEREBELLUM,
        {
            "pkc_ss": "PkC_ss",
            "pkc_cs": "PkC_cs",
            "mli": "MLI",
            "mli_a": "MLI",
            "mli_b": "MLI",
            "goc": "GoC",
            "mfb": "MFB",
            "grc": "GrC",
        },
    ),
    "cellexplorer": (
        FOREBRAIN,
        {
            "pyramidal_cell": "pyramidal",
            "narrow_interneuron": "narrow_interneuron",
            "wide_interneuron": "wide_interneuron",
            "pv": "PV",
            "pv+": "PV",
            "sst": "SST",
            "sst+": "SST",
            "vip": "VIP",
            "vip+": "VIP",
            "axo_axonic": "axo_axonic",
            "axoaxonic": "axo_axonic",
            "aac": "axo_axonic",
            "chandelier": "axo_axonic",
            "juxta": "juxtacellular",
            "juxtacellular": "juxtacellular",
            "pe": "excitatory",
            "pi": "interneuron",
            "pyramidal": "pyramidal",
            "pyramidal_cells": "pyramidal",
            "pyr": "pyramidal",
            "interneuron": "interneuron",
            "vgat": "interneuron",
            "gat1": "interneuron",
            "camkii": "excitatory",
            "camk2": "excitatory",
            "pvalb": "PV",
            "cck": "CCK",
            "cck+": "CCK",
            "nos1": "NOS1",
            "npy": "NPY",
            "lamp5": "LAMP5",
            "5ht3a": "HTR3A",
            "htr3a": "HTR3A",
            "dentate_granule_cell": "dentate_granule",
            "dg_granule_cell": "dentate_granule",
            "mossy_cell": "hippocampal_mossy",
        },
    ),
    "cerebellum_text": (
        CEREBELLUM,
        {
            "purkinje_simple_spike": "PkC_ss",
            "purkinje_simple_spikes": "PkC_ss",
            "simple_spike": "PkC_ss",
            "simple_spikes": "PkC_ss",
            "simplespike": "PkC_ss",
            "ss": "PkC_ss",
            "pc_ss": "PkC_ss",
            "pkc_simple": "PkC_ss",
            "purkinje_complex_spike": "PkC_cs",
            "purkinje_complex_spikes": "PkC_cs",
            "complex_spike": "PkC_cs",
            "complex_spikes": "PkC_cs",
            "complexspike": "PkC_cs",
            "cs": "PkC_cs",
            "pc_cs": "PkC_cs",
            "pkc_complex": "PkC_cs",
            "molecular_layer_interneuron": "MLI",
            "basket_cell": "MLI",
            "stellate_cell": "MLI",
            "golgi": "GoC",
            "golgi_cell": "GoC",
            "mossy_fiber": "MFB",
            "mossy_fibre": "MFB",
            "mossy_fiber_bouton": "MFB",
            "mossy_fibre_bouton": "MFB",
            "mf": "MFB",
            "granule_cell": "GrC",
            "gc": "GrC",
        },
    ),
    "dandi_text": (
        FOREBRAIN,
        {
            "pyramidal": "pyramidal",
            "putative_pyramidal": "pyramidal",
            "excitatory": "excitatory",
            "exc": "excitatory",
            "inhibitory": "interneuron",
            "inh": "interneuron",
            "interneuron": "interneuron",
            "fast_spiking": "interneuron",
            "fs": "interneuron",
            "fsu": "interneuron",
            "narrow": "narrow_interneuron",
            "narrow_width": "narrow_interneuron",
            "parvalbumin": "PV",
            "pvalb": "PV",
            "somatostatin": "SST",
        },
    ),
}

# Not one class: a text that names several, or leaves simple and complex spikes open, is refused by name.
_AMBIGUOUS = {
    "fast_spiking_or_pyramidal": "names two classes",
    "purkinje": "does not say whether simple or complex spikes",
    "purkinje_cell": "does not say whether simple or complex spikes",
    "pc": "does not say whether simple or complex spikes",
    "pkc": "does not say whether simple or complex spikes",
    "regular_spiking": "is a phenotype of several types",
    "rs": "is a phenotype of several types",
    "rsu": "is a phenotype of several types",
    "wide": "is a phenotype of several types",
    "wide_width": "is a phenotype of several types",
    "ptn": "is a projection target, not a class here",
    "csn": "is a projection target, not a class here",
    "ptlower": "is a projection target, not a class here",
    "ptupper": "is a projection target, not a class here",
}


def vocabularies() -> tuple[str, ...]:
    """Names of the vocabularies that `map_label` knows."""
    return tuple(_VOCABULARIES)


def vocabulary(name: str) -> Mapping[str, str]:
    """Return what one vocabulary maps: normalised string to class label.

    Raises
    ------
    UsageError
        If there is no such vocabulary.
    """
    if name not in _VOCABULARIES:
        message = f"No vocabulary {name!r}; there are {', '.join(_VOCABULARIES)}."
        raise UsageError(message)
    return dict(_VOCABULARIES[name][1])


def map_label(text: str, vocabulary: str = "c4") -> str | None:
    """Map one label of another vocabulary to ours.

    Parameters
    ----------
    text : str
        As it stands in the file; case, spaces, hyphens and underscores do not matter.
    vocabulary : {'c4', 'cellexplorer', 'cerebellum_text', 'dandi_text'}

    Returns
    -------
    str or None
        A class label, or `None` for a text that says "no label".

    Raises
    ------
    UsageError
        If the vocabulary does not know the text, or the text stands for several classes.

    Examples
    --------
    >>> map_label("PkC_ss"), map_label("Complex Spike", "cerebellum_text"), map_label("unlabeled")
    ('PkC_ss', 'PkC_cs', None)
    >>> map_label("Purkinje cell", "cerebellum_text")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    nwb_celltype.errors.UsageError: Label 'Purkinje cell' does not say whether simple or complex ...
    """
    if vocabulary not in _VOCABULARIES:
        message = f"No vocabulary {vocabulary!r}; there are {', '.join(_VOCABULARIES)}."
        raise UsageError(message)
    key = _key(text)
    if key in _NO_LABEL:
        return None
    known = _VOCABULARIES[vocabulary][1]
    if key in known:
        return known[key]
    if key in _AMBIGUOUS:
        message = f"Label {text!r} {_AMBIGUOUS[key]}; it cannot be mapped."
        raise UsageError(message)
    loose = _loosely(vocabulary, text)
    if loose:
        return loose
    message = f"Vocabulary {vocabulary!r} has no label {text!r}; it knows {', '.join(known)}."
    raise UsageError(message)


def _loosely(vocabulary: str, text: str) -> str:
    """Class whose label, or a name of the vocabulary, differs in separators alone; empty where it is not just one."""
    taxonomy, known = _VOCABULARIES[vocabulary]
    wanted = name_key(text)
    found = {label for name, label in known.items() if name_key(name) == wanted}
    found |= {label for label in taxonomy.labels if name_key(label) == wanted}
    return found.pop() if len(found) == 1 else ""


def means_no_label(text: str) -> bool:
    """Whether a text in a label column says that there is no label."""
    return _key(text) in _NO_LABEL


def layer_of(text: str) -> Layer | None:
    """Find the cerebellar layer that a text names; `None` where it names none.

    Examples
    --------
    >>> layer_of("GrC_layer").ontology_id
    'UBERON:0002956'
    """
    key = _key(text)
    for layer in CEREBELLUM.layers:
        if key in {_key(name) for name in (layer.label, layer.full_name, layer.ontology_id, *layer.synonyms)}:
            return layer
    return None


def _key(text: str) -> str:
    """Lower case, with one underscore for every run of spaces, hyphens, slashes and underscores."""
    cleaned = re.sub(r"^b'(.*)'$", r"\1", str(text).strip())
    return re.sub(r"[\s\-_/]+", "_", cleaned).strip("_").lower()
