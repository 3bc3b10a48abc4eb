"""One colour a class, the same in every figure, page and notebook, and told apart by people who see few colours.

The colours of both taxonomies were searched for. Each has a contrast of 3 or more to white and to near-black (#101010),
so that it shows on a light and on a dark page. And the smallest difference between two of one taxonomy, as seen by any
of four kinds of eyes, is as large as it could be made near the colours that one would expect. Eyes without one kind of
cones are simulated by the matrices of Machado, Oliveira and Fernandes (2009); differences are distances in OKLab.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import UsageError
from nwb_celltype.taxonomy import UNCLASSIFIED

GREY = "#808080"
"""Units without an answer, and whatever stands in the background."""

SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""What is no class: models, methods or measures beside each other (from the palette of Okabe and Ito)."""

INK, PALE = "#333333", "#d9d9d9"
"""Lines and text that stand for no class, and what lies behind them."""

_FIXED: Mapping[str, str] = {
    UNCLASSIFIED: GREY,
    # the cerebellar cortex
    "PkC_ss": "#0f73eb",
    "PkC_cs": "#7d4ba5",
    "MLI": "#e164be",
    "GoC": "#237341",
    "MFB": "#d20a00",
    "GrC": "#af9114",
    # the forebrain; the first nine are met together most often and lie farthest apart
    "pyramidal": "#d7001e",
    "narrow_interneuron": "#6973e1",
    "wide_interneuron": "#00a0cd",
    "PV": "#6e28ff",
    "SST": "#c88700",
    "VIP": "#057300",
    "axo_axonic": "#875064",
    "interneuron": "#b400a5",
    "excitatory": "#ff3caa",
    "juxtacellular": "#556482",
    "CCK": "#73a069",
    "NOS1": "#784bc8",
    "NPY": "#46824b",
    "LAMP5": "#a57dff",
    "HTR3A": "#a57daa",
    "dentate_granule": "#cd5050",
    "hippocampal_mossy": "#e164cd",
}

# For names of nobody's taxonomy, far from each other and from grey.
_SPARE = (
    "#006c78", "#fc6000", "#843ccc", "#609c00", "#cc1800", "#5478cc", "#a86c54", "#e460a8", "#7824fc", "#546c18",
    "#489ccc", "#b42460", "#a89060", "#a818a8", "#8460fc", "#9084fc",
)  # fmt: skip

_FAR_ENOUGH = 0.05  # OKLab; below it two small markers are easily taken for the same

# Machado et al. 2009, severity 1, on linear RGB.
_EYES: Mapping[str, NDArray[np.float64]] = {
    "trichromat": np.eye(3),
    "protanope": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranope": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanope": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def colour_of(label: str) -> str:
    """Colour of a class.

    Parameters
    ----------
    label : str
        A class of any taxonomy, or ``unclassified``. A name that is in none gets a colour by the name alone, the same
        in every session and on every machine; two such names may share one (`colours_of` keeps them apart).

    Returns
    -------
    str
        ``"#rrggbb"``.

    Examples
    --------
    >>> colour_of("PkC_ss"), colour_of("unclassified"), colour_of("ON") == colour_of("ON")
    ('#0f73eb', '#808080', True)
    """
    if not label:
        return GREY
    return _FIXED.get(label) or _SPARE[zlib.crc32(label.encode("utf-8")) % len(_SPARE)]


def colours_of(labels: Iterable[str]) -> dict[str, str]:
    """Colours of classes that stand in one figure: as `colour_of`, but no two too much alike, as far as colours reach.

    Parameters
    ----------
    labels : iterable of str

    Returns
    -------
    dict of str to str
        In the order of `labels`. Classes of the taxonomies have their fixed colours whatever stands beside them.

    Examples
    --------
    >>> found = colours_of(["MLI", "ON", "OFF", "transient", "unclassified"])
    >>> len(set(found.values())), found["MLI"]
    (5, '#e164be')
    """
    names = list(dict.fromkeys(labels))
    chosen = {name: colour_of(name) for name in names if not name or name in _FIXED}
    # By name, so that the order in which classes happen to come changes nothing.
    for name in sorted(set(names) - set(chosen)):
        start = _SPARE.index(colour_of(name))
        order = [_SPARE[(start + k) % len(_SPARE)] for k in range(len(_SPARE))]
        room = [min((difference(colour, other) for other in chosen.values()), default=1.0) for colour in order]
        free = next((k for k, distance in enumerate(room) if distance >= _FAR_ENOUGH), int(np.argmax(room)))
        chosen[name] = order[free]
    return {name: chosen[name] for name in names}


@cache
def difference(one: str, other: str) -> float:
    """How far apart two colours are to the eyes that tell them apart worst.

    Parameters
    ----------
    one, other : str
        ``"#rrggbb"``.

    Returns
    -------
    float
        Distance in OKLab (black to white is 1), the smallest of people with all cones and without one of the three.

    Raises
    ------
    UsageError
        If a text is no such colour.

    Examples
    --------
    >>> difference("#ff0000", "#ff0000"), difference("#000000", "#ffffff") > 0.99
    (0.0, True)
    """
    a, b = _linear(one), _linear(other)
    return min(float(np.linalg.norm(_oklab(eye @ a) - _oklab(eye @ b))) for eye in _EYES.values())


def contrast(one: str, other: str) -> float:
    """Contrast of two colours by the definition of WCAG 2, from 1 (none) to 21 (black on white).

    Parameters
    ----------
    one, other : str
        ``"#rrggbb"``.

    Returns
    -------
    float
        Lines and markers need 3.

    Raises
    ------
    UsageError
        If a text is no such colour.

    Examples
    --------
    >>> round(contrast("#000000", "#ffffff"), 1)
    21.0
    """
    low, high = sorted(float(_linear(colour) @ (0.2126, 0.7152, 0.0722)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def _linear(colour: str) -> NDArray[np.float64]:
    try:
        coded = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    except (ValueError, TypeError) as error:
        message = f"{colour!r} is no colour; write it as '#rrggbb'."
        raise UsageError(message) from error
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def _oklab(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    lab: NDArray[np.float64] = _OKLAB @ np.cbrt(_CONES @ np.clip(linear, 0, 1))
    return lab
