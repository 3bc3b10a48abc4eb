"""Templates of the sorter: whose they are, where they are largest, and how they looked before whitening."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.phy.arrays import open_array
from nwb_celltype.converters.phy.spikes import TemplateUse
from nwb_celltype.converters.records import Integer, Templates
from nwb_celltype.errors import InputError

Sorter = Literal["kilosort4", "kilosort", "spikeinterface", "unknown"]

# Kilosort 4 aligns spikes at a third of its template; earlier versions pad 61 samples with 21 in front.
_ALIGNED_AT = {("kilosort4", 61): 20, ("kilosort", 61): 20, ("kilosort", 82): 40}
_TRUST = 5  # samples between the rule and the templates themselves
_INVERSE_ERROR = 0.05
_DIAGONAL = "the whitening matrix is diagonal: the sorter's file was whitened before, so templates cannot be unwhitened"


@dataclass(frozen=True)
class TemplateFile:
    """Templates as they lie on disk.

    Attributes
    ----------
    waveforms : (t, n_samples, k) array
        Mapped into memory.
    channels : (t, k) int64 array or None
        Channel of the folder for each place of the last axis, -1 for padding; None when they are all, in order.
    n_channels : int
    notes : tuple of str
    """

    waveforms: NDArray[Any]
    channels: Integer | None
    n_channels: int
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.waveforms)

    def dense(self, template: int) -> NDArray[np.float32]:
        """One template on all channels of the folder: (n_samples, n_channels)."""
        waveform = np.asarray(self.waveforms[template], dtype=np.float32)
        if self.channels is None:
            return waveform
        dense = np.zeros((len(waveform), self.n_channels), dtype=np.float32)
        used = self.channels[template] >= 0
        dense[:, self.channels[template][used]] = waveform[:, used]
        return dense


@dataclass(frozen=True)
class Whitening:
    """How to turn templates back into the recording's scale.

    Attributes
    ----------
    inverse : (c, c) float64 array or None
        ``template @ inverse`` is unwhitened; None where it cannot be done.
    source : str
        What the templates are, for `Templates.source`.
    notes : tuple of str
    """

    inverse: NDArray[np.float64] | None
    source: str
    notes: tuple[str, ...] = ()


def find_sorter(folder: Path) -> Sorter:
    """Tell who wrote a folder by the files that only they write."""
    if any((folder / name).exists() for name in ("cluster_si_unit_ids.tsv", "channel_map_si.npy")):
        return "spikeinterface"
    kilosort4 = ("kept_spikes.npy", "spike_detection_templates.npy", "kilosort4.log")
    if any((folder / name).exists() for name in kilosort4):
        return "kilosort4"
    both = (folder / "ops.npy").exists() and (folder / "amplitudes.npy").exists()
    if both and open_array(folder / "amplitudes.npy").dtype == np.float32:
        return "kilosort4"
    return "kilosort" if (folder / "whitening_mat.npy").exists() else "unknown"


def open_templates(folder: Path, n_channels: int) -> TemplateFile | None:
    """Open templates.npy with its channels; None where there is none.

    Raises
    ------
    InputError
        If its shape does not fit the channels of the folder.
    """
    path = folder / "templates.npy"
    if not path.is_file():
        return None
    waveforms = open_array(path)
    if waveforms.ndim != 3 or waveforms.dtype.kind != "f" or not waveforms.size:
        message = (
            f"{path} has shape {waveforms.shape} and type {waveforms.dtype}; (templates, samples, channels) is needed."
        )
        raise InputError(message)
    notes: list[str] = []
    channels = _template_channels(folder, waveforms.shape, n_channels, notes)
    if channels is None and waveforms.shape[2] != n_channels:
        message = (
            f"{path} has templates on {waveforms.shape[2]} channels, but {n_channels} were sorted, and no "
            "template_ind.npy or templates_ind.npy says which. Copy that file there."
        )
        raise InputError(message)
    return TemplateFile(waveforms, channels, n_channels, tuple(notes))


def _template_channels(folder: Path, shape: tuple[int, ...], n_channels: int, notes: list[str]) -> Integer | None:
    for name in ("template_ind.npy", "templates_ind.npy"):
        path = folder / name
        if not path.is_file():
            continue
        found = open_array(path)
        if found.size != shape[0] * shape[2] or found.dtype.kind not in "iuf":
            notes.append(f"{name} does not fit templates.npy and was not used")
            continue
        channels = np.asarray(np.where(np.isfinite(found), found, -1), dtype=np.int64).reshape(shape[0], shape[2])
        channels = np.where((channels < 0) | (channels >= n_channels), -1, channels)
        if shape[2] == n_channels and bool(np.all(channels == np.arange(n_channels))):
            return None
        ordered = np.sort(channels, axis=1)
        if bool(np.any((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0))):
            notes.append(f"{name} names a channel twice for one template and was not used")
            continue
        return channels
    return None


def peak_channels(templates: TemplateFile) -> Integer:
    """Channel of the folder with the largest peak-to-peak value of each template; -1 for an empty template."""
    peaks = np.full(len(templates), -1, dtype=np.int64)
    for number in range(len(templates)):
        waveform = np.asarray(templates.waveforms[number])
        size = waveform.max(axis=0) - waveform.min(axis=0)
        best = int(np.argmax(size)) if np.isfinite(size).all() else -1
        if best >= 0 and size[best] > 0:
            peaks[number] = best if templates.channels is None else templates.channels[number, best]
    return peaks


def unit_peaks(use: TemplateUse, peaks: Integer, n_units: int) -> Integer:
    """Channel that most spikes of each unit see best, by the templates that found them; -1 where none says.

    Merged and split units have no template of their own, so the spikes vote.
    """
    votes = np.zeros((n_units, int(peaks.max(initial=0)) + 1), dtype=np.int64)
    known = use.templates < len(peaks)
    channels = np.where(known, peaks[np.where(known, use.templates, 0)], -1)
    voting = channels >= 0
    np.add.at(votes, (use.unit_rows[voting], channels[voting]), use.counts[voting])
    return np.where(votes.any(axis=1), votes.argmax(axis=1), -1).astype(np.int64)


def n_before(templates: TemplateFile, use: TemplateUse, sorter: Sorter) -> tuple[int, list[str]]:
    """Samples of a template before the spike time, and notes.

    By the sorter's rule where its length is known (Kilosort 2 to 3: 40 of 82, Kilosort 4: 20 of 61). Otherwise, and
    where the templates contradict the rule, the sample at which the templates of most spikes are largest.
    """
    known = use.templates < len(templates)
    weights = np.zeros(len(templates), dtype=np.int64)
    np.add.at(weights, use.templates[known], use.counts[known])
    length = templates.waveforms.shape[1]
    at = np.zeros(length, dtype=np.int64)
    for number in np.flatnonzero(weights):
        size = np.abs(np.asarray(templates.waveforms[number]))
        if np.isfinite(size).all() and size.max() > 0:
            at[int(size.max(axis=1).argmax())] += weights[number]
    seen = int(at.argmax()) if at.any() else length // 2
    rule = _ALIGNED_AT.get((sorter, length))
    if rule is None:
        return seen, [f"the time of the spike within the templates is not stated; most are largest at sample {seen}"]
    if at.any() and abs(seen - rule) > _TRUST:
        return seen, [f"most templates are largest at sample {seen} and not near {rule}; that is taken for the spike"]
    return rule, []


def read_whitening(folder: Path, n_channels: int, sorter: Sorter) -> Whitening:
    """Tell whether templates are whitened and how that is undone.

    Kilosort 2 to 3 whitens samples as rows (``x @ W``), Kilosort 4 as columns (``W @ x``). Where the sorter was given
    data that it had already whitened, the matrix is a multiple of the identity and says nothing.
    """
    matrix, inverse = (_square(folder / name, n_channels) for name in ("whitening_mat.npy", "whitening_mat_inv.npy"))
    if matrix is None and inverse is None:
        if any((folder / name).exists() for name in ("whitening_mat.npy", "whitening_mat_inv.npy")):
            return Whitening(None, "template, whitened", ("the whitening matrix does not fit the channels",))
        if sorter == "spikeinterface":
            return Whitening(None, "template, not whitened")
        return Whitening(
            None, "template", ("the folder has no whitening matrix; whether templates are whitened is not stated",)
        )
    for known in (matrix, inverse):
        if known is not None and not np.any(known - np.diag(np.diag(known))):
            return Whitening(None, "template, whitened", (_DIAGONAL,))
    notes: list[str] = []
    inverse = _inverse(matrix, inverse, notes)
    if inverse is None:
        return Whitening(None, "template, whitened", tuple(notes))
    return Whitening(inverse.T if sorter == "kilosort4" else inverse, "template, unwhitened", tuple(notes))


def _square(path: Path, n_channels: int) -> NDArray[np.float64] | None:
    if not path.is_file():
        return None
    matrix = np.array(open_array(path), dtype=np.float64)
    return matrix if matrix.shape == (n_channels, n_channels) and np.isfinite(matrix).all() else None


def _inverse(
    matrix: NDArray[np.float64] | None, inverse: NDArray[np.float64] | None, notes: list[str]
) -> NDArray[np.float64] | None:
    """The stored inverse where it is one; otherwise that of the matrix."""
    if matrix is None:
        return inverse
    identity = np.eye(len(matrix))
    if inverse is not None and float(np.abs(matrix @ inverse - identity).max()) <= _INVERSE_ERROR:
        return inverse
    try:
        computed = np.linalg.inv(matrix).astype(np.float64)
    except np.linalg.LinAlgError:
        computed = np.full_like(matrix, np.nan)
    if not float(np.abs(matrix @ computed - identity).max()) <= _INVERSE_ERROR:
        notes.append("the whitening matrix cannot be inverted: the templates cannot be unwhitened")
        return None
    if inverse is not None:
        notes.append("whitening_mat_inv.npy is not the inverse of whitening_mat.npy; the inverse was computed")
    return computed


def unit_templates(
    templates: TemplateFile,
    use: TemplateUse,
    *,
    n_units: int,
    rows: Integer,
    n_rows: int,
    whitening: Whitening,
    n_before: int,
) -> Templates:
    """Mean template of each unit, weighted by its spikes, on the rows of the probe.

    Parameters
    ----------
    templates : TemplateFile
    use : TemplateUse
    n_units : int
    rows : (n_channels,) int64 array
        Row of the probe for each channel of the folder, -1 where it has none.
    n_rows : int
        Rows of the probe.
    whitening : Whitening
    n_before : int

    Returns
    -------
    Templates
        In arbitrary units: sorters scale templates, and no folder states its gain.
    """
    length = templates.waveforms.shape[1]
    waveforms = np.full((n_units, length, n_rows), np.nan, dtype=np.float32)
    source = [""] * n_units
    on_probe = rows >= 0
    bounds = np.searchsorted(use.unit_rows, np.arange(n_units + 1))
    for unit in range(n_units):
        piece = slice(bounds[unit], bounds[unit + 1])
        known = use.templates[piece] < len(templates)
        numbers, counts = use.templates[piece][known], use.counts[piece][known]
        if not counts.sum():
            continue
        mean = np.zeros((length, templates.n_channels), dtype=np.float64)
        for number, count in zip(numbers, counts, strict=True):
            mean += templates.dense(int(number)) * (count / counts.sum())
        if not np.isfinite(mean).all() or not mean.any():
            continue
        if whitening.inverse is not None:
            mean = mean @ whitening.inverse
        waveforms[unit] = 0  # channels that the sorter left out
        waveforms[unit][:, rows[on_probe]] = mean[:, on_probe]
        source[unit] = whitening.source
    return Templates(waveforms, n_before, "a.u.", tuple(source))
