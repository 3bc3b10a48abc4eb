"""What the networks see of a features dataset: named blocks of columns, modality by modality."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr

Matrix = NDArray[np.float32]

MODALITIES: dict[str, tuple[str, ...]] = {
    "waveform": ("waveform", "waveform_turned", "waveform_statistics"),
    "train": ("isi_histogram", "acg", "acg_statistics"),
}
"""Blocks of each modality. `waveform_turned` is the waveform with its main peak made negative."""

BLOCKS: tuple[str, ...] = tuple(block for blocks in MODALITIES.values() for block in blocks)
"""All blocks, in order."""


def read_blocks(features: xr.Dataset) -> dict[str, Matrix]:
    """Take the blocks from a features dataset; a unit without a modality has NaN rows in its blocks.

    Parameters
    ----------
    features : xarray.Dataset
        From `nwb_celltype.features.compute`.

    Returns
    -------
    dict of str to (n_units, n_columns) float32 array
        By the names in `BLOCKS`. Amplitude, recording length and numbers of spikes are not among them.
    """
    waveform = features["waveform"].values
    polarity = features["polarity"].values[:, None]
    blocks = {
        "waveform": waveform,
        "waveform_turned": np.where(polarity > 0, -waveform, waveform),
        "waveform_statistics": features["waveform_statistics"].values,
        "isi_histogram": np.sqrt(features["isi_histogram"].values),
        "acg": features["acg"].values,
        "acg_statistics": features["acg_statistics"].values,
    }
    return {name: np.asarray(values, dtype=np.float32) for name, values in blocks.items()}


def has_modality(blocks: Mapping[str, Matrix], modality_blocks: Sequence[str]) -> NDArray[np.bool_]:
    """(n_units,) mask of the units for which every block of a modality is there."""
    present = [np.isfinite(blocks[name]).all(axis=-1) for name in modality_blocks]
    return np.asarray(np.logical_and.reduce(present))


def joined(blocks: Mapping[str, Matrix], names: Sequence[str]) -> Matrix:
    """(..., n_all_columns) columns of some blocks side by side, as recorded; NaN becomes 0."""
    return np.asarray(np.nan_to_num(np.concatenate([blocks[name] for name in names], axis=-1)), dtype=np.float32)


def standardise(blocks: Mapping[str, Matrix], names: Sequence[str], mean: Matrix, scale: Matrix) -> Matrix:
    """Centre and scale the columns of some blocks, side by side; NaN becomes 0.

    Parameters
    ----------
    blocks : mapping of str to (..., n_columns) array
    names : sequence of str
    mean, scale : (n_all_columns,) arrays
        As from `scaling`.

    Returns
    -------
    (..., n_all_columns) float32 array
        Standard deviations from the mean of the training units.
    """
    joined = np.concatenate([blocks[name] for name in names], axis=-1)
    return np.asarray(np.nan_to_num((joined - mean) / scale), dtype=np.float32)


def scaling(blocks: Mapping[str, Matrix], names: Sequence[str]) -> tuple[Matrix, Matrix]:
    """Mean and standard deviation of each column over the units that have the modality.

    A column that hardly varies is scaled by a thousandth of its block's spread, so that it cannot explode.
    """
    means, scales = [], []
    for name in names:
        block = blocks[name][np.isfinite(blocks[name]).all(axis=-1)].astype(np.float64)
        if len(block) == 0:
            block = np.zeros((1, blocks[name].shape[-1]))
        means.append(block.mean(axis=0))
        scales.append(block.std(axis=0) + 1e-3 * block.std() + 1e-6)
    return np.concatenate(means).astype(np.float32), np.concatenate(scales).astype(np.float32)


def column_weights(blocks: Mapping[str, Matrix], names: Sequence[str]) -> Matrix:
    """Weights that make the squared distance of two units the mean over blocks of their mean over columns."""
    widths = [blocks[name].shape[-1] for name in names]
    weights = [np.full(width, 1 / np.sqrt(width * len(names))) for width in widths]
    return np.concatenate(weights).astype(np.float32)


def modality_subsets(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return every combination of modalities, from one to all."""
    ordered = tuple(names)
    return [subset for size in range(1, len(ordered) + 1) for subset in combinations(ordered, size)]
