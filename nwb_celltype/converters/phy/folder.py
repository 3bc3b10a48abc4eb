"""One sorting folder: its units with everything that is known of them, and its electrodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nwb_celltype.converters.phy.channels import (
    Channels,
    check_positions,
    folder_probe,
    probe_rows,
    read_channels,
)
from nwb_celltype.converters.phy.columns import prior_labels, unit_columns
from nwb_celltype.converters.phy.params import Params, read_params
from nwb_celltype.converters.phy.spikes import GroupedSpikes, TemplateUse, group_spikes, open_spikes
from nwb_celltype.converters.phy.tables import ClusterTables, read_cluster_tables
from nwb_celltype.converters.phy.templates import (
    Sorter,
    find_sorter,
    n_before,
    open_templates,
    peak_channels,
    read_whitening,
    unit_peaks,
    unit_templates,
)
from nwb_celltype.converters.records import Column, Integer, LeftOut, Probe, Sorting, Templates
from nwb_celltype.errors import InputError

_CHANNEL_FILES = ("channel_map.npy", "channel_positions.npy", "templates.npy")
_SORTER_NAMES: Mapping[Sorter, str] = {
    "kilosort4": "Kilosort 4",
    "kilosort": "Kilosort 2, 2.5 or 3",
    "spikeinterface": "SpikeInterface, exported to Phy",
    "unknown": "Phy",
}
_AMPLITUDES: Mapping[Sorter, str] = {
    "kilosort4": "Norm of the features of each spike after whitening (Kilosort 4), arbitrary units, not a voltage.",
    "kilosort": "Factor by which the sorter scaled the template to fit each spike (Kilosort 2 to 3), arbitrary units, "
    "not a voltage.",
    "spikeinterface": "Value of the trace at each spike on the unit's largest channel, as SpikeInterface exported it: "
    "microvolts where the recording's gain was known there, otherwise counts.",
    "unknown": "Amplitude of each spike as the sorter wrote it; its unit is not stated.",
}


def read_probe(folder: str | Path) -> Probe:
    """Read the electrodes as a sorting folder knows them: the channels that were sorted, nothing of the probe's model.

    Raises
    ------
    InputError
        If there is no sorting, no sampling rate, or no way to tell the channels.

    Examples
    --------
    >>> read_probe("no_such_folder")
    Traceback (most recent call last):
        ...
    nwb_celltype.errors.InputError: no_such_folder does not exist; check the path.
    """
    return folder_probe(read_channels(read_params(folder)))


def read_sorting(
    folder: str | Path,
    *,
    columns: Integer | None = None,
    probe: Probe | None = None,
    n_samples: int | None = None,
) -> Sorting:
    r"""Read the units of a folder that Kilosort, Phy or SpikeInterface's export to Phy wrote.

    Every cluster with spikes is a unit, whatever the tables say of it.

    Parameters
    ----------
    folder : str or Path
        Sorting folder, or one that `find_folder` accepts.
    columns : (rows,) int64 array, optional
        Column of the recording's file for each row of the probe, so that channels of the folder become rows. Without
        it, the folder's own channels are the probe (see `read_probe`).
    probe : Probe, optional
        The probe, to check the folder's positions against; with `columns`, or with the folder's own channels.
    n_samples : int, optional
        Length of the recording. By default that of the file that params.py names, where it is found.

    Returns
    -------
    Sorting

    Raises
    ------
    InputError
        If a file that is needed is missing or damaged, times are no samples, or files disagree about the spikes.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "params.py").write_text("sample_rate = 30000.\nn_channels_dat = 4\n")
    >>> np.save(folder / "spike_times.npy", np.array([10, 20, 30], dtype=np.uint64))
    >>> np.save(folder / "spike_clusters.npy", np.array([7, 3, 7], dtype=np.uint32))
    >>> _ = (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n7\tgood\n")
    >>> sorting = read_sorting(folder)
    >>> sorting.unit_ids.tolist(), sorting.samples_of(1).tolist(), sorting.columns["quality"].values.tolist()
    ([3, 7], [10, 30], ['unsorted', 'good'])
    """
    params = read_params(folder)
    folder = params.folder
    files = open_spikes(folder)
    length = n_samples if n_samples is not None else params.n_raw_samples
    spikes = group_spikes(files, n_samples=length, sampling_rate_hz=params.sampling_rate_hz)
    tables = read_cluster_tables(folder)
    sorter = find_sorter(folder)
    notes = [*params.notes, *spikes.notes, *tables.notes]
    cells, column_notes = unit_columns(tables, spikes.unit_ids)
    labels, label_notes = prior_labels(tables, spikes.unit_ids)
    notes += column_notes + label_notes
    peaks, templates, n_templates, rows = _shapes(
        params, spikes, cells, sorter, columns=columns, probe=probe, notes=notes
    )
    _check_counts(cells, spikes, notes)
    return Sorting(
        unit_ids=spikes.unit_ids,
        unit_names=tuple(str(unit) for unit in spikes.unit_ids),
        spike_samples=spikes.samples,
        offsets=spikes.offsets,
        sampling_rate_hz=params.sampling_rate_hz,
        source=f"{_SORTER_NAMES[sorter]}: folder {folder.resolve().name}",
        amplitudes=spikes.amplitudes,
        amplitude_description=_AMPLITUDES[sorter] if spikes.amplitudes is not None else "",
        columns=cells,
        peak_channels=peaks,
        templates=templates,
        channels=None if rows is None else rows[rows >= 0],
        prior_labels=labels,
        left_out=tuple(_left_out(spikes, tables, n_templates)),
        notes=tuple(notes),
    )


def _shapes(
    params: Params,
    spikes: GroupedSpikes,
    cells: Mapping[str, Column],
    sorter: Sorter,
    *,
    columns: Integer | None,
    probe: Probe | None,
    notes: list[str],
) -> tuple[Integer | None, Templates | None, int, Integer | None]:
    """Peak channels, templates, how many the folder has, and the rows of the probe that were sorted."""
    if not any((params.folder / name).is_file() for name in _CHANNEL_FILES):
        notes.append("the folder says nothing of channels, positions and templates; units have no peak channel")
        return None, None, 0, None
    channels = read_channels(params)
    notes += channels.notes
    rows = probe_rows(channels, columns, notes)
    n_rows = len(channels) if columns is None else len(columns)
    _check_probe(params.folder, probe, n_rows)
    if probe is not None:
        notes += check_positions(channels, probe, rows)
    templates = open_templates(params.folder, len(channels))
    if templates is None:
        return _peaks_of_table(cells, channels, rows, notes), None, 0, rows
    notes += templates.notes
    use = spikes.use if spikes.use is not None else _own_templates(spikes, len(templates), notes)
    _note_unknown(use, len(templates), spikes, notes)
    peaks = unit_peaks(use, peak_channels(templates), len(spikes.unit_ids))
    whitening = read_whitening(params.folder, len(channels), sorter)
    before, before_notes = n_before(templates, use, sorter)
    notes += [*whitening.notes, *before_notes]
    shapes = unit_templates(
        templates,
        use,
        n_units=len(spikes.unit_ids),
        rows=rows,
        n_rows=n_rows,
        whitening=whitening,
        n_before=before,
    )
    return np.where(peaks >= 0, rows[peaks], -1), shapes, len(templates), rows


def _check_probe(folder: Path, probe: Probe | None, n_rows: int) -> None:
    if probe is not None and len(probe) != n_rows:
        message = (
            f"{folder} sorted {n_rows} channels, but the probe {probe.name} has {len(probe)}; say which channel of the "
            "recording each row of the probe is (columns)."
        )
        raise InputError(message)


def _own_templates(spikes: GroupedSpikes, n_templates: int, notes: list[str]) -> TemplateUse:
    """Without spike_templates.npy a cluster that has a template of its number is taken to have been found by it."""
    notes.append("spike_templates.npy is missing; clusters take the template of their own number, where there is one")
    rows = np.flatnonzero(spikes.unit_ids < n_templates)
    return TemplateUse(rows.astype(np.int64), spikes.unit_ids[rows], np.diff(spikes.offsets)[rows])


def _note_unknown(use: TemplateUse, n_templates: int, spikes: GroupedSpikes, notes: list[str]) -> None:
    odd = np.unique(use.unit_rows[use.templates >= n_templates])
    if len(odd):
        names = ", ".join(str(spikes.unit_ids[row]) for row in odd[:10])
        notes.append(f"spike_templates.npy names templates that templates.npy does not have, in units {names}")


def _peaks_of_table(cells: Mapping[str, Column], channels: Channels, rows: Integer, notes: list[str]) -> Integer | None:
    """Peak channels as Phy's table states them, for folders without templates."""
    stated = cells.get("ch")
    if stated is None or stated.values.dtype.kind not in "if" or channels.columns is None:
        notes.append("templates.npy is missing; the sorter's peak channels are not known")
        return None
    notes.append("templates.npy is missing; peak channels are those of column ch")
    row_of = {int(column): int(row) for column, row in zip(channels.columns, rows, strict=True)}
    return np.array([row_of.get(int(ch), -1) if np.isfinite(ch) else -1 for ch in stated.values], dtype=np.int64)


def _check_counts(cells: Mapping[str, Column], spikes: GroupedSpikes, notes: list[str]) -> None:
    stated = cells.get("n_spikes")
    if stated is None or stated.values.dtype.kind not in "if":
        return
    counts = np.diff(spikes.offsets)
    wrong = int(np.count_nonzero(stated.values != counts))  # a blank is no count either
    if wrong:
        notes.append(
            f"column n_spikes is not the number of spikes that there are in {wrong} units: the table was saved before "
            "the last change of the clusters, or spikes were left out"
        )


def _left_out(spikes: GroupedSpikes, tables: ClusterTables, n_templates: int) -> list[LeftOut]:
    """Clusters that a table or a template speaks of, but that have no spikes."""
    units = {int(unit) for unit in spikes.unit_ids}
    emptied = {int(unit) for unit in spikes.emptied}
    heirs = _heirs(spikes)
    found = []
    for cluster in sorted({*tables.listed, *range(n_templates), *emptied} - units):
        if cluster in emptied:
            reason = "all its spikes lie outside the recording"
        elif cluster in heirs:
            reason = f"no spikes: merged or split in Phy, its spikes now belong to {_clusters(heirs[cluster])}"
        elif cluster < n_templates:
            reason = "no spikes: the sorter kept a template but assigned no spike to it"
        else:
            reason = "no spikes: merged or split away in Phy"
        listed = tables.listed.get(cluster, ())
        if listed:
            reason += f" (listed in {', '.join(listed)})"
        found.append(LeftOut(f"cluster {cluster}", reason))
    if spikes.n_without_cluster:
        reason = "a negative cluster id names no unit"
        found.append(LeftOut(f"{spikes.n_without_cluster} spikes", reason))
    return found


def _heirs(spikes: GroupedSpikes) -> dict[int, list[int]]:
    """Clusters that now have the spikes of each template."""
    heirs: dict[int, list[int]] = {}
    if spikes.use is not None:
        for row, template in zip(spikes.use.unit_rows, spikes.use.templates, strict=True):
            heirs.setdefault(int(template), []).append(int(spikes.unit_ids[row]))
    return heirs


def _clusters(ids: Sequence[int]) -> str:
    shown = ", ".join(str(cluster) for cluster in ids[:5])
    word = "cluster" if len(ids) == 1 else "clusters"
    return f"{word} {shown}" + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
