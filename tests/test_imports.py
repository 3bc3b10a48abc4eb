"""Imports go one way, cost little, and end in a pinned list of public names."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import types
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import nwb_celltype

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "nwb_celltype"

# Left never imports right. Modules of two lines without a common order may meet, but never in a circle.
ORDER = (
    "errors < taxonomy < archive < units < runs < provenance < quality < features < bundles < classifier < calibration "
    "< labels < training < evaluation",
    "calibration < annotation < nwb_io < cli",
    "bundles < annotation",
    "evaluation < cli",
    "errors < label_table < labels",
    "taxonomy < licences < nwb_io",
    "licences < provenance",
    "licences < labels",
    "licences < c4",
    "annotation < labelling < nwb_io",
    "label_table < labelling",
    "nwb_io < converters < cli",
    "annotation < labelling < evidence < converters",
    "taxonomy < converters",
    "errors < intervals < evidence",
    "annotation < nwb_io < batch < cli",
    "nwb_io < publishing < cli",
    "provenance < label_frames < fetching",
    "nwb_io < fetching < cli",
    "quality < finding < cli",
    "evaluation < reporting",
    "annotation < reporting < reviewing < cli",
    "nwb_io < reviewing",
    "evidence < reviewing",
    "labelling < reviewing",
    "label_table < reviewing",
    "errors < file_locks < archive",
    "file_locks < nwb_io",
    "npy_files < converters",
    "npy_files < labels",
    "npy_files < exporting",
    "file_locks < replacing < evaluation",
    "replacing < nwb_io",
    "nested_text < annotation",
    "nested_text < tensor_files",
    "nested_text < archive",
    "errors < tensor_files < bundles",
    "errors < class_names < taxonomy",
    "errors < claimed_sizes < units",
    "claimed_sizes < runs",
    "claimed_sizes < converters",
    "errors < replacing < bundles",
    "session_context < recomputation < cli",
    "classifier < recomputation",
    "provenance < recomputation",
    "layers < recomputation",
    "priors < recomputation",
    "errors < intervals < features",
    "features < feature_table < labels",
    "runs < label_choice < labels",
    "errors < priors < annotation",
    "units < layers < annotation",
    "annotation < evidence < session_context < nwb_io",
    "training < c4 < cli",
    "converters < c4",
    "classifier < explanation < cli",
    "explanation < reporting < cli",
    "taxonomy < colours < evaluation",
    "annotation < plotting < reporting",
    "colours < plotting",
    "explanation < plotting",
    "layers < plotting",
    "label_frames < exporting < cli",
    "nwb_io < converters < exporting",
    "provenance < exporting",
    "classifier < verification < model_store < cli",
    "verification < training",
    "c4 < model_store",
    "session_context < batch",
    "cli < __main__",
)

PUBLIC_NAMES = [
    "Annotation",
    "CellTypeError",
    "InputError",
    "NetworkError",
    "NothingToDoError",
    "RefusedError",
    "Run",
    "Session",
    "Units",
    "UsageError",
    "annotate",
    "annotate_many",
    "annotate_units",
    "check",
    "choose_run",
    "compare",
    "convert",
    "converters",
    "evaluate",
    "explain",
    "export",
    "features",
    "fetch",
    "find",
    "join",
    "load_labels",
    "load_model",
    "models",
    "plotting",
    "publish",
    "published_run",
    "read_runs",
    "read_units",
    "report",
    "review",
    "train",
    "units_tables",
    "verify",
]

HEAVY = ("torch", "pynwb", "hdmf", "dandi", "scipy", "xarray", "pandas", "numba")


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(file: Path) -> str:
    """Dotted name of a file's module."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def top(module: str) -> str:
    """First part of a module's name below the package; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def homes() -> dict[str, str]:
    """Module in which each public name of the package lives."""
    return {name: home or name for name, home in nwb_celltype._HOME.items()}


def imported_by(file: Path) -> Iterator[str]:
    """Modules of the package (first part of their names) that a file imports anywhere, for typing alone included."""
    module = name_of(file)
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            yield from (top(alias.name) for alias in node.names if alias.name.split(".")[0] == "nwb_celltype")
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(part for part in (base, node.module or "") if part)
            if source == "nwb_celltype":
                yield from (homes().get(alias.name, alias.name) for alias in node.names if alias.name != "__version__")
            elif source.startswith("nwb_celltype."):
                yield top(source)


@cache
def before() -> dict[str, frozenset[str]]:
    """Everything that comes to the left of each module, step by step to the end."""
    direct: dict[str, set[str]] = {}
    for chain in ORDER:
        names = [name.strip() for name in chain.split("<")]
        for k, name in enumerate(names):
            direct.setdefault(name, set()).update(names[:k])
    while True:
        wider = {name: left.union(*(direct[other] for other in left)) for name, left in direct.items()}
        if wider == direct:
            return {name: frozenset(left) for name, left in direct.items()}
        direct = wider


def test_the_order_has_no_circle() -> None:
    assert not [name for name, left in before().items() if name in left]


def test_every_module_has_its_place() -> None:
    present = {top(name_of(file)) for file in files()} - {""}
    assert present <= set(before()), "give the new module a place in ORDER"


@pytest.mark.parametrize("file", [f for f in files() if top(name_of(f))], ids=name_of)
def test_left_never_imports_right(file: Path) -> None:
    own = top(name_of(file))
    wrong = {other for other in imported_by(file) if own in before().get(other, ())}
    assert not wrong, f"{name_of(file)} comes before {', '.join(sorted(wrong))} and must not import it"
    assert "" not in set(imported_by(file)), f"{name_of(file)} imports the whole package"


def test_no_imports_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for file in files():
        if own := top(name_of(file)):
            graph.setdefault(own, set()).update(set(imported_by(file)) - {own, ""})
    while leaves := [name for name, needs in graph.items() if not needs & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert not graph, f"these import each other: {', '.join(sorted(graph))}"


def test_the_package_imports_at_run_time_only_what_is_asked_for() -> None:
    body = [node for node in tree(PACKAGE / "__init__.py").body if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert {node.module for node in body if isinstance(node, ast.ImportFrom)} == {"__future__", "importlib", "typing"}
    assert not [node for node in body if isinstance(node, ast.Import)]


def test_the_extension_imports_nothing_of_ours() -> None:
    for file in (ROOT / "extensions").rglob("src/**/*.py"):
        assert "nwb_celltype" not in file.read_text(encoding="utf-8"), file.name


def exported(file: Path) -> set[str]:
    """Names in the `__all__` of a file."""
    for node in tree(file).body:
        if isinstance(node, ast.Assign) and [target.id for target in node.targets if isinstance(target, ast.Name)] == [
            "__all__"
        ]:
            return set(ast.literal_eval(node.value))
    return set()


def test_no_module_has_the_name_of_a_public_function() -> None:
    public = set[str]().union(*(exported(file) for file in files()))
    functions = {node.name for file in files() for node in tree(file).body if isinstance(node, ast.FunctionDef)}
    modules = {name_of(file).rpartition(".")[2] for file in files()}
    assert {"annotate", "compute", "read_units"} <= public & functions
    assert not public & functions & modules


def test_public_names_are_these() -> None:
    assert nwb_celltype.__all__ == PUBLIC_NAMES
    assert sorted(nwb_celltype._HOME) == PUBLIC_NAMES
    assert set(PUBLIC_NAMES) <= set(dir(nwb_celltype))


def test_type_checkers_see_the_same_names() -> None:
    typed: set[str] = set()
    for node in tree(PACKAGE / "__init__.py").body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            typed |= {alias.name for part in node.body if isinstance(part, ast.ImportFrom) for alias in part.names}
    assert sorted(typed) == PUBLIC_NAMES


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(nwb_celltype, name)
    home = importlib.import_module(f"nwb_celltype.{homes()[name]}")
    assert value is (home if isinstance(value, types.ModuleType) else getattr(home, name))
    assert value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'nwb_celltype' has no attribute 'anotate'"):
        _ = nwb_celltype.anotate  # type: ignore[attr-defined,unused-ignore]


@pytest.mark.parametrize("statement", ["import nwb_celltype", "import nwb_celltype.errors, nwb_celltype.taxonomy"])
def test_importing_the_package_loads_nothing_heavy(statement: str) -> None:
    code = f"import sys; {statement}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    assert done.stderr == ""


@pytest.mark.parametrize("file", files(), ids=name_of)
def test_no_file_is_long(file: Path) -> None:
    n_lines = len(file.read_text(encoding="utf-8").splitlines())
    assert n_lines <= 600, f"{file.name} has {n_lines} lines"


@pytest.mark.parametrize("file", files(), ids=name_of)
def test_every_file_says_what_it_is_for(file: Path) -> None:
    assert ast.get_docstring(tree(file)), f"{file.name} has no first line"
