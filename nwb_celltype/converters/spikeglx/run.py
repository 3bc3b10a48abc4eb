"""Files of a SpikeGLX run: which streams it has, wherever in its folders one starts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from nwb_celltype.converters.spikeglx.meta import read_meta
from nwb_celltype.errors import InputError

_DEPTH = 4  # folders below the one given: a parent of runs, run, probe, and one to spare
_SUFFIXES = (".meta", ".bin", ".cbin")
# A OneBox names its stream twice: run_g0_t0.obx0.obx.bin.
_STREAM = r"(?P<device>imec\d*|nidq|obx\d*)(?:\.(?:ap|lf|obx))?"
_NAME = re.compile(rf"(?P<run>.+)_g(?P<gate>\d+)_t(?P<trigger>\d+|cat)(?:\.exported)?\.{_STREAM}", re.IGNORECASE)
_LOOSE_NAME = re.compile(rf"(?P<run>.+?)(?:[._]g\d+)?\.{_STREAM}", re.IGNORECASE)


@dataclass(frozen=True)
class StreamFiles:
    """One stream of a run.

    Attributes
    ----------
    device : str
        ``imec0``, ``nidq``, ``obx0``.
    band : str
        ``ap`` or ``lf`` for a probe, else ``""``.
    run : str
    gate, trigger : str
        ``"0"``, ``"1"``, ...; trigger ``"cat"`` for files that CatGT joined; ``""`` where the name says none.
    meta : Path
    data : Path or None
        None when only the header is there.
    """

    device: str
    band: str
    run: str
    gate: str
    trigger: str
    meta: Path
    data: Path | None

    @property
    def name(self) -> str:
        """Stream, for example ``imec0.ap`` or ``nidq``."""
        return f"{self.device}.{self.band}" if self.band else self.device

    @property
    def is_probe(self) -> bool:
        """Whether it comes from a probe."""
        return self.device.startswith("imec")

    @property
    def part(self) -> tuple[str, str, str]:
        """Run, gate and trigger: what was recorded together."""
        return self.run, self.gate, self.trigger


@dataclass(frozen=True)
class Run:
    """Streams that were recorded together: probes by number (AP before LF), then NIDQ, then OneBoxes.

    Attributes
    ----------
    name : str
        Run and gate, for example ``mouse7_g0``.
    folder : Path
        Where they were looked for.
    streams : tuple of StreamFiles
    notes : tuple of str
        What was odd, a sentence each.
    """

    name: str
    folder: Path
    streams: tuple[StreamFiles, ...]
    notes: tuple[str, ...] = ()

    def devices(self) -> tuple[str, ...]:
        """Probes of the run, in order."""
        return tuple(dict.fromkeys(stream.device for stream in self.streams if stream.is_probe))

    def stream(self, name: str) -> StreamFiles | None:
        """Return one stream by name, None when the run has none of that name."""
        return next((stream for stream in self.streams if stream.name == name), None)


def find_run(path: Path | str) -> Run:
    """Find the streams of a run.

    Parameters
    ----------
    path : str or Path
        The run's folder or the one above it, a probe's folder, or one ``.bin`` or ``.meta`` file. A probe's folder or
        file stands for this probe alone, with NIDQ and OneBoxes of the same run from the folder above.

    Returns
    -------
    Run

    Raises
    ------
    InputError
        Nothing is there, a ``.bin`` has no ``.meta``, data are compressed, or there are several runs, gates or
        triggers, of which one must be chosen.

    Examples
    --------
    >>> [stream.name for stream in find_run("mouse7_g0").streams]  # doctest: +SKIP
    ['imec0.ap', 'imec0.lf', 'nidq']
    """
    path = Path(path)
    if not path.exists():
        message = f"{path} does not exist; give the folder of a SpikeGLX run, or one of its .bin files."
        raise InputError(message)
    if path.is_file():
        return _around_file(path)
    streams = list(_streams_under(path))
    if not streams:
        message = (
            f"{path} holds no SpikeGLX recording (no .meta file of a probe, NIDQ or OneBox within {_DEPTH} folders); "
            "give the folder of a run, for example mouse7_g0, or one of its .bin files."
        )
        raise InputError(message)
    streams = _one_part(streams, path)
    probes = {stream.device for stream in streams if stream.is_probe}
    is_probe_folder = len(probes) == 1 and all(stream.meta.parent == path for stream in streams)
    if is_probe_folder and all(stream.is_probe for stream in streams):
        streams += _companions(streams[0], path.parent)
    return _run(streams, path)


def _around_file(path: Path) -> Run:
    if path.suffix not in _SUFFIXES:
        message = f"{path} is no SpikeGLX file; give a .bin file, or the folder of a run."
        raise InputError(message)
    chosen = _stream_of(path)
    here = [stream for stream in _streams_in(path.parent) if stream.part == chosen.part]
    if not chosen.is_probe:
        below = [stream for stream in _streams_under(path.parent) if stream.part == chosen.part]
        return _run(below, path.parent)
    own = [s for s in here if s.device == chosen.device and (s.name != chosen.name or s.meta == chosen.meta)]
    folders = {path.parent, path.parent.parent} if _is_probe_folder(path.parent, chosen.device) else {path.parent}
    companions = [c for folder in sorted(folders) for c in _companions(chosen, folder)]
    return _run([*own, *companions], path.parent)


def _is_probe_folder(folder: Path, device: str) -> bool:
    return folder.name.endswith(f"_{device}")


def _companions(stream: StreamFiles, folder: Path) -> list[StreamFiles]:
    """NIDQ and OneBoxes of the same recording; CatGT leaves those of its one trigger where they were."""
    others = [other for other in _streams_in(folder) if not other.is_probe and other.run == stream.run]
    others = [other for other in others if other.gate == stream.gate]
    same = [other for other in others if other.trigger == stream.trigger]
    if same or stream.trigger != "cat":
        return same
    return others if len({other.trigger for other in others}) == 1 else []


def _one_part(streams: list[StreamFiles], path: Path) -> list[StreamFiles]:
    parts = sorted({stream.part for stream in streams})
    if len(parts) == 1:
        return streams
    lines = [
        f"  {_label(part)}: {', '.join(str(s.meta.with_suffix('.bin')) for s in streams if s.part == part)}"
        for part in parts
    ]
    message = (
        f"{path} holds {len(parts)} recordings:\n" + "\n".join(lines) + "\nConvert them one by one, giving one of the "
        ".bin files (or a folder that holds only one recording), or join gates and triggers with CatGT first."
    )
    raise InputError(message)


def _label(part: tuple[str, str, str]) -> str:
    run, gate, trigger = part
    return " ".join([run, *([f"gate g{gate}"] if gate else []), *([f"trigger t{trigger}"] if trigger else [])])


def _run(streams: list[StreamFiles], folder: Path) -> Run:
    by_name: dict[str, StreamFiles] = {}
    for stream in sorted(streams, key=_order):
        other = by_name.get(stream.name)
        if other is not None and other.meta != stream.meta:
            message = f"{stream.name} is there twice, as {other.meta} and as {stream.meta}; give the folder of one."
            raise InputError(message)
        by_name[stream.name] = stream
    first = next(iter(by_name.values()))
    notes = [
        f"{stream.meta.with_suffix('.bin').name} is not there: of {stream.name} only what its header says is used."
        for stream in by_name.values()
        if stream.data is None
    ]
    name = f"{first.run}_g{first.gate}" if first.gate else first.run
    return Run(name, folder, tuple(by_name.values()), tuple(notes))


def _order(stream: StreamFiles) -> tuple[int, int, str]:
    group = 0 if stream.is_probe else 1 if stream.device == "nidq" else 2
    number = re.search(r"\d+$", stream.device)
    return group, int(number.group()) if number else 0, stream.band


def _streams_under(folder: Path) -> Iterator[StreamFiles]:
    top = len(folder.parts)
    for place, folders, _ in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if len(Path(place).parts) - top >= _DEPTH:
            folders.clear()
        yield from _streams_in(Path(place))


def _streams_in(folder: Path) -> list[StreamFiles]:
    files = sorted(entry for entry in folder.iterdir() if entry.suffix in _SUFFIXES and not entry.name.startswith("."))
    stems = dict.fromkeys(entry.with_suffix("") for entry in files)
    return [_stream_of(stem.with_name(stem.name + ".bin")) for stem in stems if _is_stream(stem)]


def _is_stream(stem: Path) -> bool:
    """Whether files of this name are SpikeGLX's: other programs write ``.bin`` and ``.meta`` files too."""
    if _NAME.fullmatch(stem.name):
        return True
    path = stem.with_name(stem.name + ".meta")
    return path.is_file() and re.search(rb"^typeThis=", path.read_bytes(), re.MULTILINE) is not None


def _stream_of(path: Path) -> StreamFiles:
    """Read names and header of the stream that a ``.bin``, ``.cbin`` or ``.meta`` file belongs to."""
    meta_path, data = path.with_suffix(".meta"), path.with_suffix(".bin")
    if not meta_path.is_file():
        message = (
            f"{data.name} in {data.parent} has no header ({meta_path.name}), without which it cannot be read; put the "
            ".meta file of the same recording beside it under this name."
        )
        raise InputError(message)
    if not data.is_file() and data.with_suffix(".cbin").is_file():
        message = f"{data.with_suffix('.cbin')} is compressed; decompress it to {data.name} with mtscomp first."
        raise InputError(message)
    meta = read_meta(meta_path)
    found = _match([meta_path.stem, Path(meta.recorded_name).stem])
    device = (found["device"] if found else None) or (
        "imec0" if meta.is_probe else f"{meta.kind}".replace("obx", "obx0")
    )
    stream = StreamFiles(
        device=device.lower(),
        band=meta.kind if meta.is_probe else "",
        run=(found["run"] if found else None) or meta_path.stem,
        gate=_group(found, "gate"),
        trigger=_group(found, "trigger"),
        meta=meta_path,
        data=data if data.is_file() else None,
    )
    kind = "imec" if meta.is_probe else meta.kind
    return stream if stream.device.startswith(kind) else replace(stream, device=f"{kind}0" if kind != "nidq" else kind)


def _match(names: Iterable[str]) -> re.Match[str] | None:
    """Names on disk go before the one in the header: people rename recordings to tell them apart."""
    for name in names:
        for pattern in (_NAME, _LOOSE_NAME):
            found = pattern.fullmatch(name)
            if found:
                return found
    return None


def _group(found: re.Match[str] | None, name: str) -> str:
    return (found.groupdict().get(name) or "").lower() if found else ""
