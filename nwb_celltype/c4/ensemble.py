"""All networks of an ensemble in one forward pass: their weights stacked, a slice of them at a time.

What is linear is put together first: averages of neighbours move before the convolutions, and normalisations, whose
statistics are fixed after training, into the weights behind them. The answers are those of the single networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import functional_call, stack_module_state, vmap

from nwb_celltype.c4.laplace import Curvature, calibrated, logit_variance
from nwb_celltype.c4.networks import N_ACG, N_LATENT, Classifier
from nwb_celltype.c4.preprocessing import N_LAGS, N_ROWS, N_SAMPLES

Tensors = Mapping[str, NDArray[np.float32]]
Float = NDArray[np.float64]

NETWORKS_AT_ONCE = 16
UNITS_AT_ONCE = 128

CURVATURE = ("class_values", "class_vectors", "input_values", "input_vectors", "bias_values", "bias_vectors")
"""Names of the tensors of the last layer's uncertainty, beside `precision`."""

_N_FIRST, _N_SECOND, _WIDTH, _N_PAIRS = 8, 16, 10, 23  # channels, taps and averaged lags of the convolutions
_EPSILON = 1e-5  # of the normalisations


def shapes(n_networks: int, n_classes: int, *, has_layer: bool) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of an ensemble.

    Parameters
    ----------
    n_networks, n_classes : int
    has_layer : bool

    Returns
    -------
    dict of str to tuple of int
        ``network.<name of the parameter>`` and ``last_layer.<part of the uncertainty>``, one row a network.
    """
    with torch.device("meta"):
        state = Classifier(n_classes, has_layer=has_layer).state_dict()
    found = {f"network.{name}": tuple(value.shape) for name, value in state.items() if value.is_floating_point()}
    k, h = state["fc2.weight"].shape
    found |= {"last_layer.class_values": (k,), "last_layer.class_vectors": (k, k), "last_layer.precision": ()}
    found |= {"last_layer.bias_values": (k,), "last_layer.bias_vectors": (k, k)}
    found |= {"last_layer.input_values": (h,), "last_layer.input_vectors": (h, h)}
    return {name: (n_networks, *shape) for name, shape in found.items()}


def predict(tensors: Tensors, x: NDArray[np.float32]) -> Iterator[Float]:
    """Calibrated probabilities by network, in slices of networks so that memory stays bounded.

    Parameters
    ----------
    tensors : mapping of str to (n_networks, ...) float32 array
        As `shapes` names them; may lie in a file.
    x : (n, 1100 or 1104) float32 array
        From `nwb_celltype.c4.preprocessing.network_input`.

    Yields
    ------
    (n_slice, n, k) float64 array
        Probabilities of some of the networks.
    """
    n_networks = len(tensors["network.fc2.bias"])
    if len(x) == 0:
        yield np.zeros((n_networks, 0, tensors["network.fc2.bias"].shape[1]))
        return
    blocks = [_Block(x[start : start + UNITS_AT_ONCE]) for start in range(0, len(x), UNITS_AT_ONCE)]
    for first in range(0, n_networks, NETWORKS_AT_ONCE):
        part = slice(first, first + NETWORKS_AT_ONCE)
        weights = {
            name.removeprefix("network."): torch.from_numpy(np.array(value[part]))
            for name, value in tensors.items()
            if name.startswith("network.")
        }
        with torch.no_grad():
            outputs = [vmap(_hidden_and_logits, in_dims=(0, None))(weights, block.inputs) for block in blocks]
        hidden = np.concatenate([h.numpy() for h, _ in outputs], axis=2).transpose(0, 2, 1)
        logits = np.concatenate([each.numpy() for _, each in outputs], axis=2).transpose(0, 2, 1)
        last = {name: np.asarray(tensors[f"last_layer.{name}"][part], dtype=np.float64) for name in CURVATURE}
        precision = tensors["last_layer.precision"][part]
        yield np.stack(
            [
                calibrated(logits[i], logit_variance(hidden[i], _curvature(last, i), float(precision[i])))
                for i in range(len(logits))
            ]
        )


def stack(networks: Sequence[Classifier], curvatures: Sequence[Curvature], precisions: Sequence[float]) -> Tensors:
    """Tensors of an ensemble from its trained networks.

    Parameters
    ----------
    networks : sequence of Classifier
    curvatures : sequence of Curvature
    precisions : sequence of float
    """
    state: dict[str, NDArray[np.float32]] = {}
    for values in stack_module_state(list(networks)):
        state |= {f"network.{k}": v.detach().numpy() for k, v in values.items() if v.is_floating_point()}
    for name in CURVATURE:
        state[f"last_layer.{name}"] = np.stack([getattr(c, name) for c in curvatures]).astype(np.float32)
    state["last_layer.precision"] = np.asarray(precisions, dtype=np.float32)
    return state


def logits_of(network: Classifier, states: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """(n_networks, n, k) logits of stacked states by the network's own forward pass, as a check of `predict`."""

    def one(state: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return torch.as_tensor(functional_call(network, dict(state), (x,)))

    with torch.no_grad():
        return torch.as_tensor(vmap(one)(dict(states)))


class _Block:
    """Some units, as all networks see them; units are the last dimension, so that weights serve as they lie."""

    def __init__(self, x: NDArray[np.float32]) -> None:
        values = torch.from_numpy(np.ascontiguousarray(x))
        acg = values[:, :N_ACG].reshape(-1, N_ROWS, N_LAGS)
        rows = (acg[:, 0::2] + acg[:, 1::2]) / 2
        smooth = (rows[..., :-1] + rows[..., 1:]) / 2
        # What the first convolution sees for each average of two rows and two lags: (n, 5, 23, 2, 10)
        patches = smooth.unfold(-1, _WIDTH, 2).reshape(len(x), -1, _N_PAIRS, 2, _WIDTH)
        self.inputs = {
            "patches": patches.permute(4, 3, 1, 2, 0).reshape(_WIDTH, -1),  # (10, 2 x 5 x 23 x n)
            "waveform": values[:, N_ACG : N_ACG + N_SAMPLES].T.contiguous(),
            "layer": values[:, N_ACG + N_SAMPLES :].T.contiguous(),
        }


def _hidden_and_logits(
    w: Mapping[str, torch.Tensor], inputs: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """(100 or 104, n) input of the last layer, and (k, n) logits, of one network."""
    layer = inputs["layer"]
    means = [_acg_means(w, inputs["patches"]), _waveform_means(w, inputs["waveform"])]
    scale, shift = _normalisation(w, "batch_norm")
    z = torch.cat([*means, layer]) * scale[:, None] + shift[:, None]
    hidden = torch.cat([torch.relu(_linear(w["fc1.weight"], w["fc1.bias"], z)), layer])
    return hidden, _linear(w["fc2.weight"], w["fc2.bias"], hidden)


def _acg_means(w: Mapping[str, torch.Tensor], patches: torch.Tensor) -> torch.Tensor:
    kernel = w["acg_head.conv1.weight"].reshape(_N_FIRST, _WIDTH)
    first = _linear(kernel, w["acg_head.conv1.bias"], patches).relu_()
    even, odd = first.chunk(2, dim=1)
    scale, shift = _normalisation(w, "acg_head.batchnorm1")
    kernel = w["acg_head.conv2.weight"].reshape(_N_SECOND, _N_FIRST, -1)  # (16, 8, 5)
    bias = w["acg_head.conv2.bias"] + (kernel.sum(dim=2) * shift).sum(dim=1)
    kernel = (kernel * (scale / 2)[:, None]).reshape(_N_SECOND, -1)
    second = _linear(kernel, bias, (even + odd).reshape(kernel.shape[1], -1)).relu_()
    scale, shift = _normalisation(w, "acg_head.batchnorm2")
    weight = w["acg_head.fc1.weight"].reshape(-1, _N_SECOND, _N_PAIRS)
    bias = w["acg_head.fc1.bias"] + (weight.sum(dim=2) * shift).sum(dim=1)
    weight = (weight * scale[:, None]).flatten(1)
    hidden = torch.relu(_linear(weight, bias, second.reshape(weight.shape[1], -1)))
    return _linear(w["acg_head.fc2.weight"][:N_LATENT], w["acg_head.fc2.bias"][:N_LATENT], hidden)


def _waveform_means(w: Mapping[str, torch.Tensor], waveform: torch.Tensor) -> torch.Tensor:
    hidden = waveform
    for name in ("wvf_head.encoder.0", "wvf_head.encoder.3"):
        hidden = torch.nn.functional.gelu(_linear(w[f"{name}.weight"], w[f"{name}.bias"], hidden))
    name = "wvf_head.encoder.6"
    return _linear(w[f"{name}.weight"][:N_LATENT], w[f"{name}.bias"][:N_LATENT], hidden)


def _linear(weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return (weight @ x).add_(bias[:, None])


def _normalisation(w: Mapping[str, torch.Tensor], name: str) -> tuple[torch.Tensor, torch.Tensor]:
    scale = w[f"{name}.weight"] / torch.sqrt(w[f"{name}.running_var"] + _EPSILON)
    return scale, w[f"{name}.bias"] - w[f"{name}.running_mean"] * scale


def _curvature(last: Mapping[str, Float], i: int) -> Curvature:
    return Curvature(**{name: value[i] for name, value in last.items()})
