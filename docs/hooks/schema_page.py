"""The schema page is made from the extension's specification and vocabulary."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "extensions" / "ndx-cell-type" / "spec"
PLACE = "<!-- generated: types of ndx-cell-type -->"
REASONS = "<!-- generated: reasons -->"
ORDER = ("CellTypeAnnotations", "CellTypeAnnotationTable", "CellTypeAnnotationMethod", "CellTypeClassTable")
"""Types that come first, from the outside in; others follow."""
HOW_MANY = {"?": "optional", "*": "any number", "+": "one or more", 1: "required", None: "required"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the place that asks for the types."""
    if PLACE not in markdown:
        return markdown
    return markdown.replace(PLACE, types()).replace(REASONS, reasons())


def reasons() -> str:
    """Markdown table of the words in `reason`."""
    from ndx_cell_type import REASON_MEANINGS

    return _table(("reason", "meaning"), [(f"`{word}`", meaning) for word, meaning in REASON_MEANINGS.items()])


def types() -> str:
    """Markdown: a diagram, and a section a type."""
    (namespace,) = yaml.safe_load((SPEC / "ndx-cell-type.namespace.yaml").read_text(encoding="utf-8"))["namespaces"]
    groups = yaml.safe_load((SPEC / "ndx-cell-type.extensions.yaml").read_text(encoding="utf-8"))["groups"]
    names = {group["neurodata_type_def"] for group in groups}
    groups.sort(key=lambda group: (*ORDER, group["neurodata_type_def"]).index(group["neurodata_type_def"]))
    head = f"Namespace `{namespace['name']}`, version **{namespace['version']}**. {_text(namespace['doc'])}"
    return "\n\n".join([head, diagram(groups), *(_type(group, names) for group in groups)])


def _type(group: dict[str, Any], names: set[str]) -> str:
    inherits = group["neurodata_type_inc"]
    parts = [f"## {group['neurodata_type_def']}", _text(group["doc"]), f"*Extends* `{inherits}`."]
    if "default_name" in group:
        parts[-1] += f" *Default name* `{group['default_name']}`."
    if attributes := group.get("attributes"):
        rows = [(f"`{a['name']}`", _kind(a), _needed(a), _text(a["doc"])) for a in attributes]
        parts.append(_table(("attribute", "type", "", "meaning"), rows))
    if datasets := group.get("datasets"):
        rows = [(f"`{d['name']}`", _kind(d), HOW_MANY[d.get("quantity")], _text(d["doc"])) for d in datasets]
        parts.append(_table(("column", "type", "", "meaning"), rows))
    if links := group.get("links"):
        rows = [(f"`{n['name']}`", _linked(n["target_type"], names), "required", _text(n["doc"])) for n in links]
        parts.append(_table(("link", "to", "", "meaning"), rows))
    if held := group.get("groups"):
        rows = [(_linked(g["neurodata_type_inc"], names), HOW_MANY[g.get("quantity")], _text(g["doc"])) for g in held]
        parts.append(_table(("holds", "", "meaning"), rows))
    return "\n\n".join(parts)


def _kind(spec: dict[str, Any]) -> str:
    kind = (
        spec.get("dtype")
        or {"DynamicTableRegion": "rows of another table", "VectorIndex": "index"}[spec["neurodata_type_inc"]]
    )
    dims = spec.get("dims")
    return f"{kind} ({', '.join(dims)})" if dims else kind


def _needed(attribute: dict[str, Any]) -> str:
    return "required" if attribute.get("required", True) else "optional"


def _linked(name: str, names: set[str]) -> str:
    return f"[`{name}`](#{name.lower()})" if name in names else f"`{name}`"


def _text(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def diagram(groups: list[dict[str, Any]]) -> str:
    """A drawing of the types, their required fields, and what points where."""
    fields = {group["neurodata_type_def"]: _fields(group) for group in groups}
    width, line, top = 200, 15, 30
    left = {
        "CellTypeAnnotations": (2, 98), "CellTypeAnnotationTable": (260, 75), "CellTypeClassTable": (535, 2),
        "CellTypeAnnotationMethod": (535, 95), "CellTypeEvidenceTable": (535, 188),
        "Units": (260, 200),
    }  # fmt: skip
    fields["Units"] = ["of NWB, untouched"]
    height = {name: top + line * len(each) + 6 for name, each in fields.items()}
    parts = []
    for start, end, label in (
        ("CellTypeAnnotations", "CellTypeAnnotationTable", "holds runs"),
        ("CellTypeAnnotationTable", "CellTypeClassTable", "classes"),
        ("CellTypeAnnotationTable", "CellTypeAnnotationMethod", "method"),
        ("CellTypeAnnotationTable", "CellTypeEvidenceTable", "evidence"),
        ("CellTypeAnnotationTable", "Units", "unit"),
    ):
        (x1, y1), (x2, y2) = left[start], left[end]
        if x1 == x2:
            a, b = (x1 + width / 2, y1 + height[start]), (x2 + width / 2, y2)
        else:
            a, b = (x1 + width, y1 + height[start] / 2), (x2, y2 + height[end] / 2)
        middle = ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2 - 5)
        parts.append(f'<path d="M{a[0]:g} {a[1]:g}L{b[0]:g} {b[1]:g}" marker-end="url(#to)"/>')
        parts.append(f'<text class="on" x="{middle[0]:g}" y="{middle[1]:g}">{label}</text>')
    for name, each in fields.items():
        x, y = left[name]
        parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height[name]}" rx="6"/>')
        parts.append(f'<text class="head" x="{x + 10}" y="{y + 20}">{name}</text>')
        parts += [f'<text x="{x + 10}" y="{y + top + 9 + line * k}">{text}</text>' for k, text in enumerate(each)]
    style = (
        ".types-diagram rect{fill:var(--md-code-bg-color);stroke:var(--md-default-fg-color--light)}"
        ".types-diagram path{stroke:var(--md-default-fg-color--light);fill:none;stroke-width:1.3}"
        ".types-diagram text{font-size:11.5px;fill:var(--md-default-fg-color)}"
        ".types-diagram .head{font-weight:700;font-size:13px}"
        ".types-diagram .on{text-anchor:middle;font-style:italic;fill:var(--md-accent-fg-color)}"
    )
    arrow = (
        '<defs><marker id="to" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0L8 4L0 8"/></marker></defs>'
    )
    box = f'<svg viewBox="0 0 738 262" role="img" aria-label="Types of the extension">{arrow}{"".join(parts)}</svg>'
    return f'<div class="types-diagram"><style>{style}</style>{box}</div>'


def _fields(group: dict[str, Any]) -> list[str]:
    """Names of what a type must have, two a line; what is optional is counted."""
    needed = [a["name"] for a in group.get("attributes", []) if a.get("required", True)]
    needed += [d["name"] for d in group.get("datasets", []) if d.get("quantity") in (None, 1)]
    every = len(group.get("attributes", [])) + len(group.get("datasets", []))
    lines = [", ".join(needed[k : k + 2]) for k in range(0, len(needed), 2)]
    return lines + ([f"and {every - len(needed)} optional"] if every > len(needed) else [])
