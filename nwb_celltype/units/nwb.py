"""Read the units table of an NWB file, version 2.0 or later, straight from HDF5."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nwb_celltype.units import hdf5
from nwb_celltype.units.columns import ScalarColumns, read_label_columns, read_texts
from nwb_celltype.units.electrodes import Electrodes, read_electrodes, read_regions
from nwb_celltype.units.ragged import UnitsTable, read_obs_intervals, read_spike_times
from nwb_celltype.units.record import Session, Units
from nwb_celltype.units.remote import GROUP_GAP_BYTES
from nwb_celltype.units.tables import open_table, other_tables
from nwb_celltype.units.waveform_layouts import ElectrodeCounts, read_waveform_rates, read_waveforms
from nwb_celltype.units.waveforms import MeanWaveforms

if TYPE_CHECKING:
    from nwb_celltype.archive.disk_cache import DiskCache

# what is read besides the table, or looked into for other tables
_READ_OF_ROOT = ("general", "units", "processing", "analysis", "scratch", "identifier", "session_start_time")
_READ_OF_GENERAL = ("extracellular_ephys", "subject", "session_id", "lab", "institution")


def read_units(
    source: str | Path,
    *,
    units_table: str | None = None,
    unit_ids: Sequence[int] | None = None,
    cache: DiskCache | Path | str | bool | None = None,
    instance: str | None = None,
) -> Units:
    """Read the units of an NWB file, on disk or on a server.

    Opening reads the small columns only; spikes and waveforms are read when asked for, so the file stays open until
    ``close()`` or the end of the ``with`` block.

    Parameters
    ----------
    source : str or Path or address or binary file object
        NWB file in HDF5: a path, ``http(s)://``, ``s3://``, ``DANDI:ID[@VERSION]/PATH``,
        ``dandi://INSTANCE/ID[@VERSION]/PATH`` or the page of an asset. Of a remote file only what is asked for is read.
        Without a version the newest published one is meant, else the draft.
    units_table : str, optional
        HDF5 path of the table, for files with several; ``/units`` by default.
    unit_ids : sequence of int, optional
        Only these units, in this order.
    cache : DiskCache or path or bool, optional
        Where to keep what was read of a remote file for the next time: True is the default place, None and False
        nowhere.
    instance : str, optional
        Archive that ``DANDI:`` means, a name or a URL; by default ``$DANDI_INSTANCE``, else ``dandi``.

    Returns
    -------
    Units
        Times in seconds, waveforms in microvolts, positions in micrometres.

    Raises
    ------
    InputError
        If the file is missing, truncated, not NWB, has no units table, or the table is corrupt.
    UsageError
        If `units_table` or one of `unit_ids` does not exist, or the kind of source is not supported.
    NetworkError, RefusedError
        If a server, or the way to it, failed, or it does not let us read the file; reading spikes and waveforms later
        raises these, too, and `InputError` when the file was replaced meanwhile.

    Examples
    --------
    >>> with read_units("session.nwb") as units:  # doctest: +SKIP
    ...     for unit_id, spikes in zip(units.unit_ids, units.spike_times):
    ...         print(unit_id, len(spikes), units.region[units.row_of(unit_id)])
    """
    opened = hdf5.OpenFile(hdf5.open_source(source, cache=cache, instance=instance), hdf5.source_name(source))
    try:
        with opened.reading("the units table"):
            units = _read(opened, units_table)
        return units if unit_ids is None else units.select(unit_ids)
    except BaseException:
        opened.close()
        raise


def _read(opened: hdf5.OpenFile, units_table: str | None) -> Units:
    opened.fetch_headers(opened.file, _READ_OF_ROOT, GROUP_GAP_BYTES)
    table = open_table(opened, units_table)
    opened.fetch_headers(opened.file.get("general"), _READ_OF_GENERAL)
    scalars = ScalarColumns(table, np.arange(len(table), dtype=np.int64))
    scalars.fetch()
    spike_times, resolution, notes = read_spike_times(table)
    obs_intervals, said = read_obs_intervals(table)
    notes += said
    electrodes = read_electrodes(table)
    notes += electrodes.notes
    waveforms, said = read_waveforms(table, ElectrodeCounts(electrodes.counts, electrodes.total))
    notes += said
    rates, said = read_waveform_rates(table)
    notes += said
    if waveforms is not None and not np.isfinite(rates).any():
        notes.append("the file does not state the sampling rate of the mean waveforms")
    elif len(np.unique(rates[np.isfinite(rates)])) > 1:
        notes.append("the mean waveforms have several sampling rates")
    quality, labels, said = read_label_columns(table)
    notes += said
    sources = read_texts(table, "waveform_source")
    # on a server, looking through the other groups would cost more than the table itself; `units_tables` does it
    others = [] if opened.is_remote else other_tables(opened.file, table.group)
    if others:
        notes.append(f"the file has other units tables: {', '.join(others)}")
    if "nwb_version" not in opened.file.attrs:
        notes.append("the file states no NWB version")
    return Units(
        unit_ids=table.unit_ids,
        spike_times=spike_times,
        waveform_mean=MeanWaveforms(waveforms, np.arange(len(table), dtype=np.int64)),
        waveform_rates_hz=rates,
        waveform_source=sources,
        session=_session(table, electrodes),
        regions=read_regions(table),
        obs_intervals=obs_intervals,
        electrodes=electrodes.rows,
        channel_positions=electrodes.positions,
        quality=quality,
        label_columns=labels,
        spike_time_resolution_s=resolution,
        table_notes=tuple(notes),
        scalars=scalars,
        closer=opened.close,
    )


def _session(table: UnitsTable, electrodes: Electrodes) -> Session:
    file, name = table.opened.file, table.file_name

    def stored(path: str) -> str:
        parent, _, leaf = path.rpartition("/")
        group = hdf5.at_path(file, parent, name) if parent else file
        return hdf5.scalar_text(group, leaf, name) if hdf5.is_group(group) else ""

    return Session(
        path=name,
        identifier=stored("identifier"),
        session_id=stored("general/session_id"),
        session_start_time=stored("session_start_time"),
        nwb_version=hdf5.attribute(file, "nwb_version"),
        species=stored("general/subject/species"),
        subject_id=stored("general/subject/subject_id"),
        lab=stored("general/lab"),
        institution=stored("general/institution"),
        units_path=table.path,
        units_object_id=hdf5.attribute(table.group, "object_id"),
        filtering=electrodes.filtering,
    )
