"""Encoders learnt without labels: variational autoencoders of autocorrelograms and of waveforms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nwb_celltype.c4.networks import N_ACG, N_LATENT, AcgDecoder, AcgEncoder, WaveformDecoder, WaveformEncoder
from nwb_celltype.c4.preprocessing import N_LAGS, N_ROWS, PEAK_SAMPLE, acg_input
from nwb_celltype.features import acg_3d
from nwb_celltype.features.dataset import Progress

EPOCHS = 60
BETA = 5.0
RESTART_EPOCHS = 20
N_DRAWS = 10
SHORT_LAGS, SHORT_LAGS_WEIGHT = 20, 1.5
"""The first lags of the autocorrelograms weigh more in the loss."""

Matrix = NDArray[np.float32]
Times = NDArray[np.float64]
State = dict[str, torch.Tensor]

_REFRACTORY_S = 0.001
_CHANGED_SHARE = 0.1
_JITTER_S = 0.002
_COMPRESSED_SHARE, _MOST_COMPRESSED = 0.3, 0.6


@dataclass(frozen=True)
class Pretrained:
    """Parameters of the two encoders, and the loss of the last epoch, by encoder."""

    acg: State
    waveform: State
    losses: dict[str, float]


def pretrain(
    acg: Matrix,
    waveform: Matrix,
    trains: Sequence[Times],
    *,
    n_variants: int = 4,
    epochs: int = EPOCHS,
    seed: int = 1234,
    progress: Progress | None = None,
) -> Pretrained:
    """Train both autoencoders.

    Parameters
    ----------
    acg : (n, 10, 101) float32 array
        Of units with or without labels.
    waveform : (m, 90) float32 array
    trains : sequence of n arrays, seconds
        Spikes behind `acg`, from which variants are made; empty ones have none.
    n_variants : int
        Maps of each unit, the one as recorded among them.
    epochs, seed : int
    progress : callable, optional

    Returns
    -------
    Pretrained
    """
    rng = np.random.default_rng(seed)
    maps = [acg]
    for _ in range(n_variants - 1):
        varied = [acg_input(acg_3d(vary_train(times, rng))) for times in trains if len(times)]
        maps += [np.stack(varied)] if varied else []
    with reproducible(seed):
        encoder, decoder = AcgEncoder(), AcgDecoder()
        weights = torch.ones(N_ROWS, N_LAGS)
        weights[:, :SHORT_LAGS] = SHORT_LAGS_WEIGHT
        rows = torch.from_numpy(np.concatenate(maps).reshape(-1, N_ACG))
        acg_loss = _fit(
            encoder, decoder, rows, weights.flatten(), lambda x, _: x, 32, 5e-4, epochs, seed, progress, "ACG encoder"
        )
        acg_state = {name: value.detach().clone() for name, value in encoder.state_dict().items()}
        wave_encoder, wave_decoder = WaveformEncoder(), WaveformDecoder()
        waves = torch.from_numpy(np.ascontiguousarray(waveform))
        wave_loss = _fit(
            wave_encoder, wave_decoder, waves, torch.ones(waves.shape[1]), _compress, 128, 1e-4, epochs, seed + 1,
            progress, "waveform encoder",
        )  # fmt: skip
        wave_state = {name: value.detach().clone() for name, value in wave_encoder.state_dict().items()}
    return Pretrained(acg_state, wave_state, {"acg": acg_loss, "waveform": wave_loss})


def untrained(seed: int) -> Pretrained:
    """Encoders as they start, for a classifier that is to learn from labels alone."""
    with reproducible(seed):
        return Pretrained(AcgEncoder().state_dict(), WaveformEncoder().state_dict(), {})


def vary_train(times: Times, rng: np.random.Generator) -> Times:
    """Take out a tenth of the spikes, put in a tenth, or move all by up to 2 ms; none within 1 ms of another.

    Parameters
    ----------
    times : (n,) array, seconds, ascending
    rng : numpy.random.Generator

    Returns
    -------
    (m,) array, seconds, ascending

    Examples
    --------
    >>> import numpy as np
    >>> varied = vary_train(np.arange(0, 10, 0.1), np.random.default_rng(0))
    >>> bool((np.diff(varied) >= 0.001).all())
    True
    """
    change = rng.integers(3)
    if change == 0:
        varied = times[rng.random(len(times)) >= _CHANGED_SHARE]
    elif change == 1:
        added = rng.uniform(times[0], times[-1], round(_CHANGED_SHARE * len(times)))
        varied = np.sort(np.concatenate([times, added]))
    else:
        varied = np.sort(np.abs(times + rng.uniform(-_JITTER_S, _JITTER_S, len(times))))
    kept = np.concatenate([[True], np.diff(varied) >= _REFRACTORY_S]) if len(varied) else np.zeros(0, dtype=bool)
    return np.asarray(varied[kept])


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """One thread, single precision, and a random state of its own; the caller's come back at the end."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)


def _fit(
    encoder: nn.Module,
    decoder: nn.Module,
    rows: torch.Tensor,
    weights: torch.Tensor,
    augment: Callable[[torch.Tensor, torch.Generator], torch.Tensor],
    batch: int,
    rate: float,
    epochs: int,
    seed: int,
    progress: Progress | None,
    task: str,
) -> float:
    """Train one autoencoder; returns the mean squared error of the last epoch."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimiser, RESTART_EPOCHS)
    betas = BETA * torch.sigmoid(-torch.linspace(5, -20, epochs))
    n, error = len(rows), 0.0
    for epoch in range(epochs):
        order = torch.randperm(n, generator=generator)
        error = 0.0
        for chosen in torch.split(order, batch):
            if len(chosen) < 2 <= n:  # a normalisation learns nothing from one row
                continue
            shown = augment(rows[chosen], generator)
            mean, log_scale = torch.split(encoder(shown), N_LATENT, dim=1)
            noise = torch.randn((N_DRAWS, *mean.shape), generator=generator)
            drawn = decoder((mean + noise * log_scale.exp()).flatten(0, 1)).reshape(N_DRAWS, len(shown), -1)
            squared = (weights * (drawn - shown) ** 2).sum(dim=(1, 2)).mean()
            divergence = 0.5 * (mean**2 + (2 * log_scale).exp() - 1 - 2 * log_scale).sum()
            loss = squared + betas[epoch] * (len(chosen) / n) * divergence
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            error += float(squared.detach())
        schedule.step()
        if progress is not None:
            progress(f"pretraining: {task}", epoch + 1, epochs)
    encoder.eval()
    return error / max(n, 1) / rows.shape[1]


def _compress(waves: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Make some waveforms narrower around their peak, by up to 60 %."""
    n, n_samples = waves.shape
    is_changed = torch.rand(n, generator=generator) < _COMPRESSED_SHARE
    factor = 1 + _MOST_COMPRESSED * torch.rand(n, generator=generator) * is_changed
    at = PEAK_SAMPLE + (torch.arange(n_samples) - PEAK_SAMPLE)[None] * factor[:, None]
    at = at.clamp(0, n_samples - 1)
    low = at.floor().long().clamp(max=n_samples - 2)
    part = at - low
    return waves.gather(1, low) * (1 - part) + waves.gather(1, low + 1) * part
