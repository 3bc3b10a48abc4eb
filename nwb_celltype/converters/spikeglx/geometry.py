"""Electrodes of a SpikeGLX probe: where they are, what they are called, and which of them are references."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.records import Probe
from nwb_celltype.converters.spikeglx.header import broken, channel_list
from nwb_celltype.converters.spikeglx.imro import filterings, read_imro
from nwb_celltype.converters.spikeglx.lattice import Lattice, lattice_of, part_of
from nwb_celltype.converters.spikeglx.meta import Meta
from nwb_celltype.errors import InputError

Integer = NDArray[np.int64]
Float = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Channels wired to an internal reference site, by type; phase 3A as its own headers mark them.
_REFERENCES = {0: (191,), 1020: (191,), 1030: (191,), 1300: (191,), 21: (127,), 24: (127,)}
_FARTHEST_UM = 1e9  # a kilometre: no probe, and it still fits whole numbers
_REFERENCES_3A = (36, 75, 112, 151, 188, 227, 264, 303, 340, 379)
_FAMILIES = {
    0: "Neuropixels 1.0 probe",
    21: "Neuropixels 2.0 probe, one shank",
    2003: "Neuropixels 2.0 probe, one shank",
    24: "Neuropixels 2.0 probe, four shanks",
    2013: "Neuropixels 2.0 probe, four shanks",
    2020: "Neuropixels 2.0 quad-base probe, four shanks",
    1020: "Neuropixels 1.0 NHP medium probe",
    1030: "Neuropixels 1.0 NHP long probe",
    1100: "Neuropixels Ultra (UHD) probe",
    1110: "Neuropixels Ultra (UHD) probe, switchable",
}


@dataclass(frozen=True, eq=False)
class _Sites:
    """Sites of the saved channels. `electrodes` number them along their shank; None where nothing says."""

    positions_um: Float
    shanks: Integer
    electrodes: Integer | None
    is_used: Flags | None
    source: str


def read_probe(meta: Meta, name: str) -> Probe:
    """Electrodes of an AP or LF stream, in the order of its columns.

    Parameters
    ----------
    meta : Meta
    name : str
        Name of the device, for example ``imec0``.

    Returns
    -------
    Probe
        Positions from the left edge of the first shank and from the row of sites nearest to the tip, micrometres.

    Raises
    ------
    InputError
        The header is that of no probe, of a survey (its electrodes change during the recording), or a map in it is
        broken.

    Notes
    -----
    Positions come from ``~snsGeomMap`` (headers since 2023), else from the readout table, else from ``~snsShankMap``,
    these two with the maker's table of probes. Sites that the maps mark as not used are references where the probe has
    its reference, and else channels that somebody switched off.

    Examples
    --------
    >>> read_probe(meta, "imec0").geometry_source  # doctest: +SKIP
    'Table ~snsGeomMap of run_g0_t0.imec0.ap.meta.'
    """
    if not meta.is_probe or not meta.counts[meta.kind.upper()]:
        message = f"{meta.path} describes no electrodes; give the header of an AP or LF stream of a probe."
        raise InputError(message)
    if meta.values.get("imIsSvyRun", "false").lower() == "true":
        message = (
            f"{meta.path} is of a survey (imIsSvyRun=true): its electrodes change during the recording, so one "
            "position for each channel would be wrong. Convert a recording with fixed electrodes."
        )
        raise InputError(message)
    numbers = meta.numbers_of(meta.kind.upper())
    sites = _sites(meta, numbers)
    references = _references(meta, numbers, sites)
    columns, descriptions = _columns(meta, numbers, sites, references)
    return Probe(
        name=name,
        channel_names=tuple(f"{meta.kind.upper()}{number}" for number in numbers),
        positions_um=sites.positions_um,
        shanks=sites.shanks,
        geometry_source=sites.source,
        model=meta.part_number or (f"Phase 3A option {meta.values['imProbeOpt']}" if meta.is_phase3a else ""),
        manufacturer="imec",
        serial_number=meta.serial_number,
        description=_description(meta),
        is_reference=references,
        filtering=filterings(meta),
        columns=columns,
        column_descriptions=descriptions,
    )


def _sites(meta: Meta, numbers: Integer) -> _Sites:
    if "snsGeomMap" in meta.values:
        return _of_geom_map(meta, numbers)
    part = part_of(meta.part_number, meta.probe_type, is_phase3a=meta.is_phase3a)
    lattice = lattice_of(part) if part else None
    shank_map = _shank_map(meta, numbers)
    is_used = None if shank_map is None else shank_map[:, 3] != 0
    imro = read_imro(meta)
    n, file = len(numbers), meta.path.name
    if lattice is None:
        asked = f"the part {part!r} is not in the catalogue of probeinterface" if part else "the part is not named"
        source = f"Unknown: {file} has no ~snsGeomMap, and {asked}."
        return _Sites(np.full((n, 2), np.nan), np.zeros(n, dtype=np.int64), None, is_used, source)
    if imro is not None and imro.electrodes is not None and imro.shanks is not None:
        shanks, electrodes = imro.shanks[numbers], imro.electrodes[numbers]
        sites = (shanks, electrodes % lattice.n_columns, electrodes // lattice.n_columns)
        source = (
            f"Readout table ~imroTbl of {file} and the site positions of {part} in the catalogue of probeinterface."
        )
        return _on(lattice, sites, is_used, source, meta, "imroTbl")
    if shank_map is not None:
        sites = (shank_map[:, 0], shank_map[:, 1], shank_map[:, 2])
        source = f"Table ~snsShankMap of {file} and the site positions of {part} in the catalogue of probeinterface."
        return _on(lattice, sites, is_used, source, meta, "snsShankMap")
    source = f"Unknown: {file} says neither in ~imroTbl nor in a map which sites were recorded."
    return _Sites(np.full((n, 2), np.nan), np.zeros(n, dtype=np.int64), None, None, source)


def _on(
    lattice: Lattice, sites: tuple[Integer, Integer, Integer], is_used: Flags | None, source: str, meta: Meta, key: str
) -> _Sites:
    if not lattice.has(*sites):
        raise broken(meta.path, key, f"names a site that a probe {meta.part_number or 'of this kind'} does not have")
    shanks, columns, rows = sites
    return _Sites(lattice.positions_um(*sites), shanks, rows * lattice.n_columns + columns, is_used, source)


def _of_geom_map(meta: Meta, numbers: Integer) -> _Sites:
    header, *entries = meta.table("snsGeomMap")
    fields = header.split(",")
    try:
        n_shanks, pitch = int(fields[1]), float(fields[2])
    except (IndexError, ValueError) as error:
        raise broken(meta.path, "snsGeomMap", f"begins with ({header}); it should name shanks and pitch") from error
    table = _map_rows(meta, "snsGeomMap", entries, numbers)
    shanks = table[:, 0].astype(np.int64)
    if shanks.min(initial=0) < 0 or shanks.max(initial=0) >= n_shanks:
        raise broken(meta.path, "snsGeomMap", f"places a channel on shank {shanks.max()} of {n_shanks}")
    positions = np.column_stack([table[:, 1] + shanks * pitch, table[:, 2]])
    imro = read_imro(meta)
    electrodes = None if imro is None or imro.electrodes is None else imro.electrodes[numbers]
    return _Sites(positions, shanks, electrodes, table[:, 3] != 0, f"Table ~snsGeomMap of {meta.path.name}.")


def _shank_map(meta: Meta, numbers: Integer) -> Integer | None:
    if "snsShankMap" not in meta.values or meta.kind == "lf":
        return None
    _, *entries = meta.table("snsShankMap")
    return _map_rows(meta, "snsShankMap", entries, numbers).astype(np.int64)


def _map_rows(meta: Meta, key: str, entries: list[str], numbers: Integer) -> Float:
    """Four numbers for each saved channel; maps list the saved channels, some programs write all acquired ones."""
    try:
        table = np.array([[float(text) for text in entry.split(":")] for entry in entries], dtype=np.float64)
    except ValueError as error:
        raise broken(meta.path, key, "has an entry that is not four numbers") from error
    if table.ndim != 2 or table.shape[1] != 4 or not np.all(np.abs(table) < _FARTHEST_UM):
        raise broken(meta.path, key, "has an entry that is not four numbers (shank, two of place, used)")
    if len(table) == len(numbers):
        return table
    if len(table) == meta.acquired_counts[meta.kind.upper()]:
        return table[numbers]
    raise broken(meta.path, key, f"has {len(table)} entries for {len(numbers)} saved channels")


def _references(meta: Meta, numbers: Integer, sites: _Sites) -> Flags:
    known = (
        _REFERENCES_3A if meta.is_phase3a else _REFERENCES.get(meta.probe_type if meta.probe_type is not None else -1)
    )
    if known is None:
        return np.zeros(len(numbers), dtype=bool) if sites.is_used is None else ~sites.is_used
    is_known = np.isin(numbers, known)
    return is_known if sites.is_used is None else is_known & ~sites.is_used


def _columns(
    meta: Meta, numbers: Integer, sites: _Sites, references: Flags
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    columns: dict[str, NDArray[Any]] = {}
    descriptions: dict[str, str] = {}
    if sites.electrodes is not None:
        columns["electrode_number"] = sites.electrodes
        descriptions["electrode_number"] = "Site of the channel, counted along its shank from the tip, from 0."
    is_off = np.zeros(len(numbers), dtype=bool) if sites.is_used is None else ~sites.is_used & ~references
    if is_off.any():
        columns["is_switched_off"] = is_off
        descriptions["is_switched_off"] = "Marked as not used in the header, though no reference: switched off by hand."
    if meta.values.get("imStdby"):
        try:
            standby = channel_list(meta.values["imStdby"])
        except ValueError as error:
            raise broken(meta.path, "imStdby", "is no list of channels such as 0:12,45") from error
        columns["is_standby"] = np.isin(numbers, standby)
        descriptions["is_standby"] = "Channels whose amplifier was switched off (stand-by)."
    return columns, descriptions


def _description(meta: Meta) -> str:
    if meta.is_phase3a:
        family = "Neuropixels phase 3A probe (prototype)"
    elif meta.part_number.startswith("NP101") and meta.probe_type == 0:
        family = "Neuropixels 1.0 NHP short probe"
    else:
        family = _FAMILIES.get(meta.probe_type if meta.probe_type is not None else -1, "Neuropixels probe")
    where = ", ".join(f"{name} {value}" for name, value in meta.connection.items())
    return f"{family} ({where})" if where else family
