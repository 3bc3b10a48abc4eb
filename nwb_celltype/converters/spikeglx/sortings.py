"""Sorting folders beside a SpikeGLX run, and the probe that each belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from nwb_celltype.converters.records import LeftOut
from nwb_celltype.converters.spikeglx.run import Run
from nwb_celltype.errors import UsageError

_DEPTH = 5
_DEVICE = re.compile(r"(?<![a-z0-9])imec(\d*)(?![a-z])", re.IGNORECASE)


def match_sortings(run: Run, sorting: Path | Sequence[Path] | None) -> tuple[Mapping[str, Path], tuple[LeftOut, ...]]:
    """Find the sorting folder of each probe.

    Parameters
    ----------
    run : Run
    sorting : Path, sequence of Path or None
        Folders with ``spike_times.npy``; None looks for them under the run.

    Returns
    -------
    folders : mapping of str to Path
        By probe; probes without a sorting are absent.
    left_out : tuple of LeftOut
        Folders that were found and belong to a probe that is not converted.

    Raises
    ------
    UsageError
        A probe has several sortings, or one that was given belongs to no probe of the run.

    Notes
    -----
    A sorting belongs to the probe whose file ``params.py`` names; else to the one that its path names (``imec0``), or
    in whose folder it lies; else to the only probe.
    """
    from nwb_celltype.converters.phy import find_folder

    is_given = sorting is not None
    given = [sorting] if isinstance(sorting, str | Path) else sorting
    folders = _folders_under(run.folder) if given is None else [find_folder(Path(path)) for path in given]
    found: dict[str, list[Path]] = {}
    left_out: list[LeftOut] = []
    for folder in dict.fromkeys(folders):
        device = _device_of(folder, run)
        if device in run.devices():
            found.setdefault(device, []).append(folder)
            continue
        reason = _unmatched(device, run)
        if is_given:
            message = f"{folder}: {reason}"
            raise UsageError(message)
        left_out.append(LeftOut(f"sorting {folder}", reason))
    for device, choices in found.items():
        if len(choices) > 1:
            message = (
                f"{device} has {len(choices)} sortings: {', '.join(map(str, choices))}. Give the folder of the one "
                "that should be converted."
            )
            raise UsageError(message)
    return {device: choices[0] for device, choices in found.items()}, tuple(left_out)


def _folders_under(top: Path) -> list[Path]:
    from nwb_celltype.converters.phy import sorting_folders

    needed = ("params.py", "spike_clusters.npy")  # spike times alone may be anything
    found = sorting_folders(top, deepest=_DEPTH)
    return [folder for folder in found if any((folder / name).is_file() for name in needed)]


def _device_of(folder: Path, run: Run) -> str:
    """Probe of a sorting, ``""`` when nothing says; a probe that is not in the run when something says so."""
    named = _by_params(folder, run)
    if named:
        return named
    inside = folder.relative_to(run.folder).parts if folder.is_relative_to(run.folder) else folder.parts[-2:]
    for part in reversed(inside):
        tokens = {f"imec{number}" for number in _DEVICE.findall(part)}
        if len(tokens) == 1:
            return tokens.pop()
    around = [stream.device for stream in run.streams if stream.is_probe and folder.is_relative_to(stream.meta.parent)]
    devices = set(around) or set(run.devices())
    return devices.pop() if len(devices) == 1 else ""


def _by_params(folder: Path, run: Run) -> str:
    from nwb_celltype.converters.phy import read_params

    if not (folder / "params.py").is_file():
        return ""
    names = [re.split(r"[/\\]", text)[-1] for text in read_params(folder).dat_paths]
    for stream in run.streams:
        if stream.is_probe and stream.meta.with_suffix(".bin").name in names:
            return stream.device
    tokens = {f"imec{number}" for name in names for number in _DEVICE.findall(name)}
    return tokens.pop() if len(tokens) == 1 else ""


def _unmatched(device: str, run: Run) -> str:
    probes = ", ".join(run.devices())
    if device:
        return f"It belongs to {device}, which is not among the probes converted here ({probes})."
    return (
        f"Neither its params.py nor its path says which probe it belongs to ({probes}). Name the probe in the path, "
        "for example imec0_kilosort4, or convert the probes one by one."
    )
