"""A payload becomes one page that needs no network: style, scripts, Plotly and data all inside."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from nwb_celltype.errors import InputError, UsageError

_PANEL_SCRIPTS = ("drawing.js", "panels.js")
_PAGE_SCRIPTS = (*_PANEL_SCRIPTS, "summary.js", "overview.js", "unit_table.js", "unit_view.js", "report.js")


def render(payload: Mapping[str, Any]) -> str:
    """Make the report's page.

    The page holds everything that it shows. A policy in its head forbids every connection and every script but its own
    ones, which are named by their hashes; what the files say is data and is never put into the page as markup.

    Parameters
    ----------
    payload : mapping
        What `nwb_celltype.reporting.payload` makes of annotated files: plain dicts, lists, str, int, float, bool and
        None. Arrays are packed (``{"d", "s", "o", "b"}``).

    Returns
    -------
    str
        HTML, to be written as UTF-8. The same payload gives the same page.

    Raises
    ------
    InputError
        If a number of the payload is not finite, or something in it is no plain value.
    UsageError
        If the libraries of the page are not installed.

    Examples
    --------
    >>> from nwb_celltype.reporting.page import render
    >>> html = render(payload)  # doctest: +SKIP
    >>> Path("report.html").write_text(html, encoding="utf-8")  # doctest: +SKIP
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
        from markupsafe import Markup
    except ImportError as error:
        message = "The report needs jinja2 and plotly: pip install 'nwb-celltype[report]'."
        raise UsageError(message) from error

    environment = Environment(
        loader=PackageLoader("nwb_celltype.reporting", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    scripts = [asset(name) for name in _PAGE_SCRIPTS]
    packed_plotly, plotly_hash = _plotly()
    return environment.get_template("report.html.j2").render(
        title=str(payload["title"]),
        software=str(payload["software"]),
        policy=_policy([*map(_hash, scripts), plotly_hash]),
        style=Markup(asset("panels.css") + asset("report.css")),
        scripts=[Markup(script) for script in scripts],
        plotly=Markup(packed_plotly),
        payload=Markup(_packed(_json(payload))),
    )


def asset(name: str) -> str:
    """Read a script or style of the page; the page of the review draws with the same ones.

    Parameters
    ----------
    name : str
        File in `static`: ``"drawing.js"`` then ``"panels.js"`` draw a unit, ``"panels.css"`` is their style.

    Returns
    -------
    str

    Examples
    --------
    >>> "window.Panels" in asset("panels.js")
    True
    """
    return files("nwb_celltype.reporting").joinpath("static", name).read_text(encoding="utf-8")


def _json(payload: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(payload, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except (ValueError, TypeError) as error:
        message = f"The report cannot be written: {error}. Missing numbers have to be None."
        raise InputError(message) from error


def _packed(data: bytes) -> str:
    # No time stamp inside, so that the same data give the same page.
    return base64.b64encode(gzip.compress(data, compresslevel=6, mtime=0)).decode()


@cache
def _plotly() -> tuple[str, str]:
    """Plotly's library, packed, and its hash.

    Packed it takes 2.0 MB of the page and not 4.8 (half of the 10 that 500 units may have). The page can show its
    summary and table before it is unpacked, which an ordinary script element would hold up.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        message = "The report needs jinja2 and plotly: pip install 'nwb-celltype[report]'."
        raise UsageError(message) from error
    library: str = get_plotlyjs()
    return _packed(library.encode()), _hash(library)


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _policy(script_hashes: list[str]) -> str:
    # Styles stay open: Plotly writes style attributes, and without connections a style cannot carry anything away.
    # Pictures are drawn in the page (data:) and saved from it (blob:).
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(script_hashes)}",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
