"""Names of classes that are written differently and mean the same: case and separators do not count."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from nwb_celltype.errors import UsageError

_BETWEEN = re.compile(r"(?<=[^\W_])[\s_\-/.]+(?=[^\W_])")
_log = logging.getLogger(__name__)


def name_key(name: str) -> str:
    """What of a name counts: its letters, digits and signs, not their case nor what separates them.

    A separator stays between two digits, and a sign at the end: ``1-1`` is not ``11``, and ``PV-`` is not ``PV``.

    Examples
    --------
    >>> name_key("Axo_Axonic"), name_key("axo-axonic"), name_key("PV+"), name_key("GoC 1-1")
    ('axoaxonic', 'axoaxonic', 'pv+', 'goc1_1')
    """

    def between(found: re.Match[str]) -> str:
        text = found.string
        return "_" if text[found.start() - 1].isdigit() and text[found.end()].isdigit() else ""

    return _BETWEEN.sub(between, str(name).strip()).casefold()


def match_names(wanted: Sequence[str], known: Iterable[str]) -> dict[str, str]:
    """Find for each name that is known the one among those wanted that it means.

    Parameters
    ----------
    wanted : sequence of str
        As somebody wrote them.
    known : iterable of str
        As they stand in data.

    Returns
    -------
    dict of str to str
        Known name to wanted one; the same name first, then one that differs in case and separators alone. Names that
        mean none of those wanted are missing.

    Raises
    ------
    UsageError
        If two of those wanted differ in case and separators alone, so that a third spelling could mean either.

    Examples
    --------
    >>> match_names(["axo-axonic", "PV"], ["Axo_Axonic", "PV", "SST"])
    {'Axo_Axonic': 'axo-axonic', 'PV': 'PV'}
    """
    exact = set(wanted)
    by_key: dict[str, set[str]] = {}
    for name in wanted:
        by_key.setdefault(name_key(name), set()).add(name)
    found: dict[str, str] = {}
    for name in known:
        meant = {name} if name in exact else by_key.get(name_key(name), set())
        if len(meant) > 1:
            message = (
                f"The label {name!r} could mean {' or '.join(sorted(map(repr, meant)))}, which differ in case and "
                "separators alone; write the classes as the data do."
            )
            raise UsageError(message)
        for one in meant:
            found[name] = one
    return found


def one_spelling(counts: Mapping[str, int]) -> dict[str, str]:
    """Find one spelling, the most frequent, for names that differ in case and separators alone.

    Parameters
    ----------
    counts : mapping of str to int
        How often each name occurs.

    Returns
    -------
    dict of str to str
        Each name, and what to write for it.

    Examples
    --------
    >>> one_spelling({"PV": 9, "pv": 2, "SST": 4})
    {'PV': 'PV', 'pv': 'PV', 'SST': 'SST'}
    """
    chosen: dict[str, str] = {}
    for name, _ in sorted(Counter(counts).items(), key=lambda item: (-item[1], item[0])):
        chosen.setdefault(name_key(name), name)
    for name in counts:
        if chosen[name_key(name)] != name:
            _log.warning("The label %r is taken for %r, which is more frequent.", name, chosen[name_key(name)])
    return {name: chosen[name_key(name)] for name in counts}
