"""What is mutated, and by which tests it is looked at."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

MODULES = ("nwb_celltype/features", "nwb_celltype/calibration.py", "nwb_celltype/annotation.py")
"""Files and folders of the package, from `ROOT`."""

TESTS = (
    "tests/features",
    "tests/models/test_calibration.py",
    "tests/test_annotation.py",
    "tests/test_annotation_reasons.py",
    "tests/test_layers.py",
    "tests/test_priors.py",
    "tests/c4_recipe/test_acg_3d.py",
    *MODULES,
)
"""Files and folders of tests; the examples in the modules' docstrings are tests too."""

TESTS_OF_COMPILED = ("tests/features", "tests/c4_recipe/test_acg_3d.py", "nwb_celltype/features")
"""The tests of modules with compiled functions. These run uncompiled, which takes tests of whole annotations long."""


def is_compiled(path: Path, root: Path = ROOT) -> bool:
    """Whether a module has functions that numba compiles."""
    return "import numba" in (root / path).read_text(encoding="utf-8")


def modules(root: Path = ROOT, only: list[str] | None = None) -> list[Path]:
    """Files to mutate, from the root; with `only`, those whose path contains one of these texts."""
    found: list[Path] = []
    for name in MODULES:
        path = root / name
        found += sorted(path.glob("*.py")) if path.is_dir() else [path]
    relative = [path.relative_to(root) for path in found]
    return [path for path in relative if only is None or any(text in path.as_posix() for text in only)]


def module_name(path: Path) -> str:
    """Import name of a file.

    >>> module_name(Path("nwb_celltype/features/__init__.py"))
    'nwb_celltype.features'
    """
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
