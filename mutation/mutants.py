"""Mutants: a source with one small change. By hand, or all that cosmic-ray's operators make of a source."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mutation.targets import ROOT

if TYPE_CHECKING:
    from parso.tree import NodeOrLeaf

Range = tuple[tuple[int, int], tuple[int, int]]

_ARITHMETIC = {"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow"}
_BITS = {"RShift", "LShift", "BitOr", "BitAnd", "BitXor"}
_IDENTITY = {"Is", "IsNot"}


@dataclass(frozen=True)
class Mutant:
    """One changed source.

    Attributes
    ----------
    path : Path
        From the root of the repository.
    line : int
        Of the change, from 1.
    operator : str
        What made it.
    old, new : str
        The words around the change, before and after.
    source : str
        All of the file, changed.
    """

    path: Path
    line: int
    operator: str
    old: str
    new: str
    source: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}  {self.old} -> {self.new}"


def by_hand(path: str, old: str, new: str, root: Path = ROOT) -> Mutant:
    """A mutant in which a text that the file holds exactly once is another.

    Raises
    ------
    ValueError
        If the file does not hold the text once.
    """
    source = (root / path).read_text(encoding="utf-8")
    if source.count(old) != 1:
        message = f"{path} holds {old!r} {source.count(old)} times; a mutant needs a text that is there once."
        raise ValueError(message)
    line = source[: source.index(old)].count("\n") + 1
    return Mutant(Path(path), line, "by hand", old, new, source.replace(old, new))


def all_mutants(path: Path, root: Path = ROOT, *, seed: int = 1) -> list[Mutant]:
    """Mutants of a file, one for each place and family of operators of cosmic-ray, in the order of the lines.

    Which of a family's replacements is taken at a place is drawn with the seed; it depends on the place alone.
    Replacements that are no program, or the same program, are none.
    """
    import parso

    source = (root / path).read_text(encoding="utf-8")
    tree = parso.parse(source)
    nodes, left_out = list(_nodes(tree)), _left_out(tree)
    places: dict[tuple[tuple[int, int], str], list[tuple[int, type[Any], int]]] = {}
    for k, node in enumerate(nodes):
        for family, operator in _operators():
            if node.parent is not None and node.parent.type == "parameters":  # the lone * of a signature
                continue
            for index, (start, stop) in enumerate(operator().mutation_positions(node)):
                if not any(a <= start and stop <= b for a, b in left_out):
                    places.setdefault((start, family), []).append((k, operator, index))
    original = ast.dump(ast.parse(source))
    mutants = []
    for ((line, column), family), choices in sorted(places.items()):
        random.Random(f"{seed} {path} {line} {column} {family}").shuffle(choices)
        for k, operator, index in choices:
            changed = _apply(tree, nodes[k], operator, index)
            if _is_other_program(changed, original):
                old, new = _words(source, changed)
                mutants.append(Mutant(path, line, operator.__name__, old, new, changed))
                break
    return mutants


def _operators() -> Iterator[tuple[str, type[Any]]]:
    """Operators with their family.

    Arithmetic becomes arithmetic and bits become bits, because the others end in an error of types that any test
    sees; `==` does not become `is`, which is the same for short numbers and texts; signs and `not` are taken away.
    """
    from cosmic_ray.operators.provider import OperatorProvider

    provider = OperatorProvider()
    for name in provider:
        kind, _, rest = name.partition("_")
        parts = set(rest.split("_"))
        if kind == "ReplaceBinaryOperator":
            if parts <= _ARITHMETIC or parts <= _BITS:
                yield "binary", provider[name]
        elif kind == "ReplaceComparisonOperator":
            if parts <= _IDENTITY or not parts & _IDENTITY:
                yield "comparison", provider[name]
        elif kind == "ReplaceUnaryOperator":
            if "Delete" in parts:
                yield "unary", provider[name]
        elif name not in ("VariableReplacer", "VariableInserter"):  # they need names to be chosen
            yield name, provider[name]


def _nodes(node: NodeOrLeaf) -> Iterator[NodeOrLeaf]:
    yield node
    for child in getattr(node, "children", ()):
        yield from _nodes(child)


def _left_out(tree: NodeOrLeaf) -> list[Range]:
    """Places whose change would change nothing that runs: annotations, imports for types; and compilers' settings."""
    ranges = []
    for node in _nodes(tree):
        skipped = None
        if node.type in ("param", "funcdef"):
            skipped = node.annotation
        elif node.type == "annassign":
            skipped = node.children[1]
        elif (node.type == "decorator" and "numba" in node.get_code()) or (
            node.type == "if_stmt" and node.children[1].get_code().strip() == "TYPE_CHECKING"
        ):
            skipped = node
        if skipped is not None:
            ranges.append((skipped.start_pos, skipped.end_pos))
    return ranges


def _apply(tree: Any, node: Any, operator: type[Any], index: int) -> str:
    """Source in which an operator has changed a node; the tree is as before afterwards."""
    before = [(each, _state(each)) for each in _near(node)]
    parent, children = node.parent, list(node.parent.children) if node.parent is not None else []
    prefix = node.prefix if node.type == "number" else ""
    changed = operator().mutate(node, index)
    if changed is not node:
        if node.type == "number":  # cosmic-ray puts a blank before it
            changed.value, changed.prefix = changed.value.strip(), prefix
        parent.children = [changed if child is node else child for child in children if changed or child is not node]
    source = str(tree.get_code())
    for each, (name, value) in before:
        setattr(each, name, value)
    if parent is not None:
        parent.children = children
    return source


def _near(node: Any, depth: int = 3) -> Iterator[Any]:
    """A node, its children and theirs: all that an operator changes."""
    yield node
    for child in getattr(node, "children", ()) if depth > 1 else ():
        yield from _near(child, depth - 1)


def _state(node: Any) -> tuple[str, Any]:
    return ("children", list(node.children)) if hasattr(node, "children") else ("value", node.value)


def _is_other_program(source: str, original: str) -> bool:
    try:
        return ast.dump(ast.parse(source)) != original
    except SyntaxError:
        return False


def _words(before: str, after: str) -> tuple[str, str]:
    """What differs, with a word on each side; texts without a common word are given whole."""
    old, new = _changed_lines(before, after)
    old_words, new_words = (re.split(r"\s+", text.strip()) for text in (old, new))
    n_same = min(len(old_words), len(new_words))
    start = next((k for k in range(n_same) if old_words[k] != new_words[k]), n_same)
    end = next((k for k in range(n_same - start) if old_words[-1 - k] != new_words[-1 - k]), n_same - start)
    start, end = max(0, start - 1), max(0, end - 1)
    return " ".join(old_words[start : len(old_words) - end]), " ".join(new_words[start : len(new_words) - end])


def _changed_lines(before: str, after: str) -> tuple[str, str]:
    old, new = before.split("\n"), after.split("\n")
    n_same = min(len(old), len(new))
    start = next((k for k in range(n_same) if old[k] != new[k]), n_same - 1)
    end = next((k for k in range(n_same - start) if old[-1 - k] != new[-1 - k]), 0)
    return "\n".join(old[start : len(old) - end]), "\n".join(new[start : len(new) - end])
