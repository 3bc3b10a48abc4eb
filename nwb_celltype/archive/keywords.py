"""Fixed words by which labelled dandisets and assets are found: an archive cannot search our types."""

from __future__ import annotations

from collections.abc import Iterable

DANDISET_KEYWORDS = ("nwb-celltype", "ndx-cell-type", "cell type annotation")
"""Keywords of every dandiset with labels; the first is what a server is searched for."""

LABELS = "cell type labels"
"""Keyword of an asset that carries labels."""

DETACHED = "detached labels"
"""Keyword of an asset whose labels belong to the units of another asset."""

_CLASS = "cell type: "
_SOURCE = "label source: "
_COUNT = "units labelled: "


def class_keyword(label: str) -> str:
    """Keyword that says an asset has units of a class.

    Examples
    --------
    >>> class_keyword("PkC_ss")
    'cell type: PkC_ss'
    """
    return _CLASS + label


def source_keyword(source_type: str) -> str:
    """Keyword that says where an asset's labels come from.

    Parameters
    ----------
    source_type : str
        ``ground_truth``, ``expert``, ``classifier`` or ``rule``.

    Examples
    --------
    >>> source_keyword("ground_truth")
    'label source: ground_truth'
    """
    return _SOURCE + source_type


def count_keyword(label: str, n_units: int) -> str:
    """Keyword that says how many units of a class an asset has.

    Examples
    --------
    >>> count_keyword("PkC_ss", 12)
    'units labelled: 12 PkC_ss'
    """
    return f"{_COUNT}{n_units} {label}"


def classes_in(keywords: Iterable[str]) -> tuple[str, ...]:
    """Classes that keywords name, each once, in their order.

    Examples
    --------
    >>> classes_in(["cell type: MLI", "mouse", "cell type: PkC_ss", "units labelled: 12 PkC_ss"])
    ('MLI', 'PkC_ss')
    """
    return _behind(_CLASS, keywords)


def sources_in(keywords: Iterable[str]) -> tuple[str, ...]:
    """Sources of labels that keywords name, each once, in their order.

    Examples
    --------
    >>> sources_in(["label source: ground_truth"])
    ('ground_truth',)
    """
    return _behind(_SOURCE, keywords)


def counts_in(keywords: Iterable[str]) -> dict[str, int]:
    """Numbers of units by class that keywords state; what is no number is left out.

    Examples
    --------
    >>> counts_in(["cell type: MLI", "units labelled: 12 PkC_ss"])
    {'PkC_ss': 12}
    """
    found: dict[str, int] = {}
    for text in _behind(_COUNT, keywords):
        number, _, label = text.partition(" ")
        if number.isdecimal() and label:
            found[label] = found.get(label, 0) + int(number)
    return found


def _behind(prefix: str, keywords: Iterable[str]) -> tuple[str, ...]:
    found = (word[len(prefix) :].strip() for word in keywords if word.lower().startswith(prefix))
    return tuple(dict.fromkeys(word for word in found if word))
