"""Labelled units of several sources put together for training."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from nwb_celltype.classifier.inputs import Matrix
from nwb_celltype.errors import InputError
from nwb_celltype.label_choice import LabelsAre, PredictionsOnlyError
from nwb_celltype.labels import FeaturesOf, LabelledUnits, read_labelled
from nwb_celltype.runs import run_files
from nwb_celltype.training.augmentation import variants
from nwb_celltype.training.labelled_rows import choose_rows

GRID_RATE_HZ = 30_000.0
"""Sampling rate of the waveforms of a pool."""
GRID_MS: NDArray[np.float64] = np.arange(-30, 45) / GRID_RATE_HZ * 1e3
"""Their times relative to the main peak, ms."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Pool:
    """Rows to train on.

    Attributes
    ----------
    blocks : dict of str to (n_variants, n, n_columns) float32 array
    labels : (n,) integer array
        Positions in `classes`.
    classes : tuple of str
    groups, labs : (n,) array of str
        Empty where unknown.
    sources : (n,) integer array
        Which of the sources each row is from, by position.
    waveforms : (n, 75) array
        As recorded, on the times of `GRID_MS`, the largest absolute value 1; NaN where there is none.
    isi_counts : (n, 100) integer array
    acg_counts : (n, 201) integer array
    """

    blocks: dict[str, Matrix]
    labels: NDArray[np.intp]
    classes: tuple[str, ...]
    groups: NDArray[np.str_]
    sources: NDArray[np.intp]
    labs: NDArray[np.str_]
    waveforms: NDArray[np.float64]
    isi_counts: NDArray[np.integer]
    acg_counts: NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> NDArray[np.str_]:
        """(n,) labels as text."""
        return np.array(self.classes)[self.labels]

    @property
    def recorded(self) -> dict[str, Matrix]:
        """(n, n_columns) blocks of the units as recorded."""
        return {name: block[0] for name, block in self.blocks.items()}

    def take(self, rows: NDArray[np.intp]) -> Pool:
        """Return some rows."""
        return Pool(
            blocks={name: block[:, rows] for name, block in self.blocks.items()},
            labels=self.labels[rows],
            classes=self.classes,
            groups=self.groups[rows],
            sources=self.sources[rows],
            labs=self.labs[rows],
            waveforms=self.waveforms[rows],
            isi_counts=self.isi_counts[rows],
            acg_counts=self.acg_counts[rows],
        )


def read_sources(
    data: str | Path | LabelledUnits | Iterable[str | Path | LabelledUnits],
    *,
    labels: str | Path | None = None,
    run: str | None = None,
    labels_are: LabelsAre | None = None,
    features_of: FeaturesOf | None = None,
) -> list[tuple[str | Path, LabelledUnits]]:
    """Read labelled units from files, addresses, folders and whole dandisets.

    Parameters
    ----------
    data : path, address or LabelledUnits, or several
        Of a folder, a pattern or a dandiset every file that carries labels; see `nwb_celltype.runs.run_files`. Files
        found so that hold nothing but a classifier's predictions are left out, with a warning in the log.
    labels, run, labels_are, features_of
        As for `read_labelled`.

    Returns
    -------
    list of (path or address, LabelledUnits)
        The first is empty for units in memory.

    Raises
    ------
    RefusedError
        If a folder or dandiset holds nothing but a classifier's predictions; also as `read_labelled`.
    """
    found: list[tuple[str | Path, LabelledUnits]] = []
    options: Any = {"labels": labels, "run": run, "labels_are": labels_are, "features_of": features_of}
    for one in [data] if isinstance(data, str | Path | LabelledUnits) else data:
        if isinstance(one, LabelledUnits):
            found.append(("", one))
            continue
        files = run_files(one)
        if files in ([one], [Path(one)]):
            found.append((files[0], read_labelled(files[0], **options)))
            continue
        refused: list[PredictionsOnlyError] = []
        before = len(found)
        for file in files:
            try:
                found.append((file, read_labelled(file, **options)))
            except PredictionsOnlyError as error:
                refused.append(error)
        if len(found) == before:
            raise refused[0]
        if refused:
            _log.warning("%d files left out, the first: %s", len(refused), refused[0])
    return found


def make_pool(
    data: Sequence[LabelledUnits], *, classes: Sequence[str] | None = None, n_variants: int = 16, seed: int = 0
) -> Pool:
    """Collect the usable labelled rows of some sources, each once, and make their variants.

    Parameters
    ----------
    data : sequence of LabelledUnits
    classes : sequence of str, optional
        As for `nwb_celltype.training.labelled_rows.choose_rows`.
    n_variants : int
    seed : int

    Returns
    -------
    Pool

    Raises
    ------
    NothingToDoError
        If there are no labelled rows.
    InputError
        If fewer than two classes remain, a class asked for has fewer than two rows, or a source is a table of
        statistics, from which no variants can be made.
    UsageError
        If the classes asked for are not two or more different ones.
    """
    for one in data:
        _check_recorded(one)
    rows = choose_rows(data, LabelledUnits.usable, classes=classes, what="can be described")
    kept = rows.sources
    rng = np.random.default_rng(seed)
    parts = [variants(one, n_variants, rng) for one in kept if len(one)]
    return Pool(
        blocks={name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]},
        labels=rows.labels,
        classes=rows.classes,
        groups=np.concatenate([one.groups for one in kept]).astype(str),
        sources=rows.positions,
        labs=np.concatenate([np.full(len(one), one.lab) for one in kept]).astype(str),
        waveforms=np.stack(
            [on_grid(w, hz) for one in kept for w, hz in zip(one.waveforms, one.sampling_rate_hz, strict=True)]
        ),
        isi_counts=np.concatenate([one.features["isi_counts"].values for one in kept]),
        acg_counts=np.concatenate([one.features["acg_counts"].values for one in kept]),
    )


def _check_recorded(one: LabelledUnits) -> None:
    """Raise `InputError` for rows that are described by their statistics alone."""
    if not one.take(one.is_labelled).holds_statistics_alone:
        return
    message = (
        f"{one.source or 'One of the sources'} holds statistics of units, neither waveforms nor spike trains, and this "
        "recipe learns from these. Use the recipe `features`, or give the files that the table was made of."
    )
    raise InputError(message)


def on_grid(waveform: NDArray[np.floating] | None, sampling_rate_hz: float) -> NDArray[np.float64]:
    """Bring a mean waveform to the times of `GRID_MS` around its main peak, largest absolute value 1.

    Parameters
    ----------
    waveform : (n_samples,) array or None
    sampling_rate_hz : float, hertz

    Returns
    -------
    (75,) array
        NaN if there is no waveform; outside of what was recorded, the first and last values are repeated.
    """
    nothing = np.full(len(GRID_MS), np.nan)
    if waveform is None or not np.isfinite(waveform).all() or len(waveform) < 8 or not sampling_rate_hz > 0:
        return nothing
    wave = np.asarray(waveform, dtype=np.float64)
    wave = wave - np.median(wave[: max(5, len(wave) // 8)])
    largest = float(np.abs(wave).max())
    if largest == 0:
        return nothing
    t = (np.arange(len(wave)) - int(np.argmax(np.abs(wave)))) / sampling_rate_hz * 1e3
    return np.asarray(CubicSpline(t, wave / largest)(np.clip(GRID_MS, t[0], t[-1])))
