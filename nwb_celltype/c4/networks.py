"""The networks of the C4 recipe: an encoder of autocorrelograms, one of waveforms, and a classifier on both.

Names of parameters are those of the published weights, so that these can be read as they are.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from nwb_celltype.c4.preprocessing import LAYERS, N_LAGS, N_ROWS, N_SAMPLES

N_LATENT = 10
N_ACG = N_ROWS * N_LAGS
N_HIDDEN = 100


class AcgEncoder(nn.Module):
    """Latent means and log scales of autocorrelograms, from (n, 1010) or (n, 1, 10, 101) to (n, 20)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, (1, 10))
        self.batchnorm1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 16, (5, 1))
        self.batchnorm2 = nn.BatchNorm2d(16)
        self.fc1 = nn.Linear(368, 200)
        self.dropout = nn.Dropout(0.2)
        self.fc2 = nn.Linear(200, 2 * N_LATENT)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 20) means and log scales."""
        x = x.reshape(-1, 1, N_ROWS, N_LAGS)
        x = self.batchnorm1(torch.relu(nn.functional.avg_pool2d(self.conv1(x), (2, 2))))
        x = self.batchnorm2(torch.relu(nn.functional.avg_pool2d(self.conv2(x), (1, 2))))
        hidden = self.dropout(torch.relu(self.fc1(x.flatten(1))))
        return torch.as_tensor(self.fc2(hidden))


class AcgDecoder(nn.Sequential):
    """Autocorrelograms from latent variables, (n, 10) to (n, 1010)."""

    def __init__(self) -> None:
        sizes = (N_LATENT, 250, 500)
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(0.2)]
        super().__init__(*layers, nn.Linear(500, N_ACG))


class WaveformEncoder(nn.Module):
    """Latent means and log scales of waveforms, (n, 90) to (n, 20)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _perceptron(N_SAMPLES, 600, 300, 2 * N_LATENT)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 20) means and log scales."""
        return torch.as_tensor(self.encoder(x))


class WaveformDecoder(nn.Module):
    """Waveforms from latent variables, (n, 10) to (n, 90)."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = _perceptron(N_LATENT, 300, 600, N_SAMPLES)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """(n, 90) waveforms."""
        return torch.as_tensor(self.decoder(z))


class Classifier(nn.Module):
    """Both encoders, and a hidden layer on the means of their latent variables and, where used, the layer.

    Parameters
    ----------
    n_classes : int
    has_layer : bool
        Whether the input ends with a one-hot layer; it enters before the hidden layer and again after it.
    """

    def __init__(self, n_classes: int, *, has_layer: bool) -> None:
        super().__init__()
        n_layer = len(LAYERS) if has_layer else 0
        self.n_layer = n_layer
        self.acg_head = AcgEncoder()
        self.wvf_head = WaveformEncoder()
        self.batch_norm = nn.BatchNorm1d(2 * N_LATENT + n_layer)
        self.fc1 = nn.Linear(2 * N_LATENT + n_layer, N_HIDDEN)
        self.fc2 = nn.Linear(N_HIDDEN + n_layer, n_classes)

    def hidden(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 100 or 104) input of the last layer, from (n, 1100 or 1104) inputs."""
        acg, rest = x[:, :N_ACG], x[:, N_ACG:]
        waveform, layer = rest[:, :N_SAMPLES], rest[:, N_SAMPLES:]
        means = [self.acg_head(acg)[:, :N_LATENT], self.wvf_head(waveform)[:, :N_LATENT]]
        z = self.batch_norm(torch.cat([*means, layer], dim=1))
        return torch.cat([torch.relu(self.fc1(z)), layer], dim=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, n_classes) logits."""
        return torch.as_tensor(self.fc2(self.hidden(x)))


def _perceptron(n_in: int, n_first: int, n_second: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_in, n_first),
        nn.GELU(),
        nn.Dropout(0.1),
        nn.Linear(n_first, n_second),
        nn.GELU(),
        nn.Dropout(0.1),
        nn.Linear(n_second, n_out),
    )
