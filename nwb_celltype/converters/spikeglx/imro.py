"""What a probe was told to record: electrode, gains and filter of each channel, from the header's readout table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.spikeglx.header import broken
from nwb_celltype.converters.spikeglx.meta import Meta

Integer = NDArray[np.int64]
Float = NDArray[np.float64]

_BANK = 384  # channels of a bank of every probe with simple banks but phase 3A option 4
_BANK_3A_OPTION_4 = 276
# Fixed gain and largest count of probes whose gain cannot be chosen, for headers from before these were written.
_FIXED_GAIN = {21: 80.0, 24: 80.0, 2003: 100.0, 2013: 100.0, 2020: 100.0}
_MAX_COUNT = {21: 8192, 24: 8192, 2003: 2048, 2013: 2048, 2020: 2048}
_MAX_COUNT_OTHERS = 512


@dataclass(frozen=True, eq=False)
class Imro:
    """Readout table, one row for each acquired channel.

    Attributes
    ----------
    shanks, electrodes : (n,) int64 array or None
        Site of each channel: shank, and number along it; None where the table does not say (groups of UHD probes).
    ap_gains, lf_gains : (n,) float64 array or None
        Amplification; None for probes with a fixed gain.
    is_high_passed : (n,) bool array or None
        Whether the AP band's 300 Hz filter was on; None for probes without one.
    """

    shanks: Integer | None
    electrodes: Integer | None
    ap_gains: Float | None
    lf_gains: Float | None
    is_high_passed: NDArray[np.bool_] | None


def read_imro(meta: Meta) -> Imro | None:
    """Read the readout table of a probe's header.

    Parameters
    ----------
    meta : Meta
        Of an AP or LF stream.

    Returns
    -------
    Imro or None
        None when the header has no such table.

    Raises
    ------
    InputError
        The table is broken, or has not one entry for each acquired channel.

    Notes
    -----
    Layout of the entries: SpikeGLX help, "IMRO tables". Their number of fields tells the layouts apart: 6 (probes with
    gains: channel, bank, reference, AP gain, LF gain, filter), 5 (channel, shank, bank, reference, electrode; in phase
    3A, whose heading has three fields, as with 6 but without the filter), 4 (channel, bank, reference, electrode) and 3
    (groups of the UHD probe NP1110, whose heading holds the gains).

    Examples
    --------
    >>> read_imro(meta).ap_gains  # doctest: +SKIP
    array([500., 500., ...])
    """
    if "imroTbl" not in meta.values:
        return None
    header, *entries = meta.table("imroTbl")
    n = meta.acquired_counts["AP"] or meta.acquired_counts["LF"]
    fields = [text.strip() for text in header.split(",")]
    table = _integers(meta, entries)
    if table.shape[1] == 3:
        return _of_groups(meta, fields, n)
    if len(table) != n or not np.array_equal(np.sort(table[:, 0]), np.arange(n)):
        raise broken(meta.path, "imroTbl", f"has {len(table)} entries for {n} channels; each should have one")
    table = table[np.argsort(table[:, 0])]
    if len(fields) == 3 or table.shape[1] == 6:
        return _with_gains(meta, table, fields)
    shanks = table[:, 1] if table.shape[1] == 5 else np.zeros(n, dtype=np.int64)
    return Imro(shanks, table[:, -1], None, None, None)


def gains_uv(meta: Meta) -> Float | None:
    """Microvolts of one count of each electrode channel of the file, in the order of its columns.

    Parameters
    ----------
    meta : Meta
        Of an AP or LF stream.

    Returns
    -------
    (n_channels,) float64 array or None
        None when the header does not say enough (a probe of an unknown type without gains).

    Raises
    ------
    InputError
        The voltage range is missing, or a gain is not above 0.

    Notes
    -----
    ``imAiRangeMax / imMaxInt / gain``, as the SpikeGLX help says; the gain is that of the readout table, else
    ``imChan0apGain``, else the fixed gain of the probe's type.
    """
    imro, channel_type = read_imro(meta), meta.kind.upper()
    numbers = meta.numbers_of(channel_type)
    own = None if imro is None else (imro.ap_gains if meta.kind == "ap" else imro.lf_gains)
    key = "imChan0apGain" if meta.kind == "ap" else "imChan0lfGain"
    if own is not None:
        amplification = own[numbers]
    elif meta.values.get(key):
        amplification = np.full(len(numbers), meta.number(key))
    elif meta.kind == "ap" and meta.probe_type in _FIXED_GAIN:
        amplification = np.full(len(numbers), _FIXED_GAIN[meta.probe_type])
    else:
        return None
    if np.any(amplification <= 0):
        raise broken(meta.path, "imroTbl" if own is not None else key, "has a gain that is not above 0")
    volts = meta.number("imAiRangeMax")
    maximum = _max_count(meta)
    if volts <= 0 or maximum <= 0:
        raise broken(meta.path, "imAiRangeMax or imMaxInt", "is not above 0")
    return np.asarray(volts * 1e6 / maximum / amplification, dtype=np.float64)


def filterings(meta: Meta) -> tuple[str, ...]:
    """Hardware filter of each electrode channel of the file, in the order of its columns.

    Notes
    -----
    Bands: Neuropixels 1.0 and 2.0 data sheets. In phase 3A one setting (``imHpFlt``) holds for all channels.
    """
    numbers = meta.numbers_of(meta.kind.upper())
    imro = read_imro(meta)
    if imro is None:
        return ("",) * len(numbers)
    if imro.ap_gains is None:
        return ("hardware: full band, 0.5 Hz to 10 kHz",) * len(numbers)
    if meta.kind == "lf":
        return ("hardware: 0.5 Hz to 500 Hz (LF band)",) * len(numbers)
    if imro.is_high_passed is None:
        corner = meta.values.get("imHpFlt", "")
        return (f"hardware: {corner} Hz high-pass, 10 kHz low-pass" if corner else "",) * len(numbers)
    on = "hardware: 300 Hz high-pass (AP filter on), 10 kHz low-pass"
    off = "hardware: full band up to 10 kHz (AP high-pass filter off)"
    return tuple(on if is_on else off for is_on in imro.is_high_passed[numbers])


def catgt_options(meta: Meta) -> str:
    """Filters that CatGT applied after the recording, ``""`` when it did none or was not used."""
    commands = " ".join(value for key, value in sorted(meta.values.items()) if key.lower().startswith("catgtcmdline"))
    names = ("apfilter", "lffilter", "gbldmx", "gblcar", "loccar", "gfix", "tshift", "aphipass", "aplopass")
    # Options end at the next blank; a value follows after "=".
    found = [word for word in commands.strip("<>").split() if word.lstrip("-").partition("=")[0] in names]
    if meta.kind == "lf":
        found = [word for word in found if not word.startswith("-ap")]
    return f"CatGT: {' '.join(dict.fromkeys(found))}" if found else ""


def _with_gains(meta: Meta, table: Integer, fields: list[str]) -> Imro:
    bank = _BANK_3A_OPTION_4 if meta.is_phase3a and len(fields) == 3 and fields[1] == "4" else _BANK
    return Imro(
        shanks=np.zeros(len(table), dtype=np.int64),
        electrodes=table[:, 1] * bank + table[:, 0],
        ap_gains=table[:, 3].astype(np.float64),
        lf_gains=table[:, 4].astype(np.float64),
        is_high_passed=table[:, 5] != 0 if table.shape[1] == 6 else None,
    )


def _of_groups(meta: Meta, fields: list[str], n: int) -> Imro:
    """UHD probe NP1110: groups of channels share banks, and the heading holds gains and filter."""
    try:
        ap_gain, lf_gain, is_on = (float(int(text)) for text in fields[3:6])
    except (ValueError, OverflowError) as error:
        raise broken(meta.path, "imroTbl", f"begins with ({','.join(fields)}), which is not understood") from error
    return Imro(None, None, np.full(n, ap_gain), np.full(n, lf_gain), np.full(n, is_on != 0))


def _integers(meta: Meta, entries: list[str]) -> Integer:
    rows = [entry.split() for entry in entries]
    lengths = {len(row) for row in rows}
    if len(lengths) != 1 or not lengths <= {3, 4, 5, 6}:
        raise broken(
            meta.path, "imroTbl", f"has entries of {sorted(lengths)} fields; they should all have 3, 4, 5 or 6"
        )
    try:
        return np.array([[int(text) for text in row] for row in rows], dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise broken(meta.path, "imroTbl", "has an entry that is not whole numbers") from error


def _max_count(meta: Meta) -> int:
    if meta.values.get("imMaxInt"):
        return meta.integer("imMaxInt")
    return _MAX_COUNT_OTHERS if meta.probe_type is None else _MAX_COUNT.get(meta.probe_type, _MAX_COUNT_OTHERS)
