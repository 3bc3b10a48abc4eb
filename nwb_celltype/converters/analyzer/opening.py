"""Open what SpikeInterface saved, without unpickling anything, and say plainly what cannot be opened."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nwb_celltype.converters.analyzer.pickles import refuse_pickles
from nwb_celltype.errors import InputError
from nwb_celltype.nested_text import parse_json

if TYPE_CHECKING:
    from spikeinterface.core import BaseSorting, SortingAnalyzer


def open_source(source: Any) -> tuple[BaseSorting | SortingAnalyzer, tuple[Path, ...], tuple[str, ...]]:
    """Return the sorting or analyzer, the path it came from (none for an object), and SpikeInterface's own warnings.

    Raises
    ------
    InputError
        When there is nothing there, SpikeInterface cannot open it, or it holds no units.
    RefusedError
        When opening it would run a pickle.
    """
    from spikeinterface.core import BaseSorting, SortingAnalyzer

    if isinstance(source, BaseSorting | SortingAnalyzer):
        return source, (), ()
    if not isinstance(source, str | Path):
        raise InputError(_not_units(source, "The source"))
    path = Path(source)
    if not path.exists():
        message = f"{path} does not exist; give a folder that SpikeInterface saved."
        raise InputError(message)
    path = _root_of(path)
    refuse_pickles(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = _load(path)
    if not isinstance(found, BaseSorting | SortingAnalyzer):
        raise InputError(_not_units(found, str(path)))
    said = dict.fromkeys(str(w.message).strip() for w in caught if issubclass(w.category, UserWarning))
    return found, (path,), tuple(f"SpikeInterface says about {path.name}: {text}" for text in said)


def _load(path: Path) -> Any:
    """Open a path; what SpikeInterface raises differs between formats, so all of it becomes one error of ours."""
    import spikeinterface

    try:
        if path.suffix == ".npz":
            from spikeinterface.core import NpzSortingExtractor

            return NpzSortingExtractor(path)
        found = spikeinterface.load(path, **({"load_extensions": False} if _is_analyzer(path) else {}))
    except Exception as error:
        hint = "Give the folder of a saved sorting, sorter output or sorting analyzer."
        if (path / "params.py").is_file() or (path / "spike_times.npy").is_file():
            hint = "It looks like a Phy or Kilosort folder: use the kind `phy`."
        # its own mistakes, such as unbound names, say nothing to a user
        said = (
            ""
            if isinstance(error, NameError | AttributeError)
            else f" ({type(error).__name__}: {str(error).rstrip('.')})"
        )
        message = f"SpikeInterface cannot open {path}{said}. {hint}"
        raise InputError(message) from error
    return found


def _root_of(path: Path) -> Path:
    """Folder that SpikeInterface opens: `sorter_output` belongs to the folder above it, which says which sorter ran."""
    if path.name == "sorter_output" and (path.parent / "spikeinterface_log.json").is_file():
        return path.parent
    if path.name in ("si_folder.json", "spikeinterface_info.json"):
        return path.parent
    return path


def _is_analyzer(path: Path) -> bool:
    if path.is_dir() and (path / "spikeinterface_info.json").is_file():
        return _object_of(path / "spikeinterface_info.json", ()) == "SortingAnalyzer"
    if path.suffix == ".zarr" and (path / ".zattrs").is_file():
        return _object_of(path / ".zattrs", ("spikeinterface_info",)) == "SortingAnalyzer"
    return False


def _object_of(file: Path, keys: tuple[str, ...]) -> str:
    try:
        said = parse_json(file.read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"{file} is not JSON: {error}. It is damaged; save the analyzer again."
        raise InputError(message) from error
    for key in keys:
        said = said.get(key, {}) if isinstance(said, dict) else {}
    return str(said.get("object", "")) if isinstance(said, dict) else ""


def _not_units(found: Any, what: str) -> str:
    kind = type(found).__name__
    if isinstance(found, dict):
        names = ", ".join(str(key) for key in found)
        return f"{what} holds a group of {len(found)} objects ({names}); convert them one by one."
    return f"{what} is a {kind}, which has no sorted units; give a sorting or a sorting analyzer of SpikeInterface."
