"""The networks of the ensemble, all members at once.

Each modality has an encoder: a layer of cosines whose weights start as random Fourier features of a sum of two
kernels, a Gaussian and a Laplacian one, and are then trained. Each encoder has a head of its own, and a joint head
reads all encoders together. A unit's probabilities are the mean of the joint head's and of the mean of the heads of the
modalities that the unit has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

Parameters = dict[str, torch.Tensor]

_LOGIT_SCALE = 10.0
_HEAVIEST = 50.0


def initial(
    columns: Mapping[str, int], n_classes: int, *, members: int, width: int, generator: torch.Generator
) -> Parameters:
    """Draw the parameters of an untrained ensemble.

    Parameters
    ----------
    columns : mapping of str to int
        Number of input columns of each modality.
    n_classes, members, width : int
        `width` is the number of cosines of an encoder; half start Gaussian, half Laplacian.
    generator : torch.Generator

    Returns
    -------
    dict of str to (members, ..., ...) tensor
    """
    parameters: Parameters = {"joint.bias": torch.zeros(members, 1, n_classes)}
    for name, n in columns.items():
        shape = (members, n, width)
        gaussian = torch.randn(shape, generator=generator) * 2**0.5
        uniform = torch.rand(shape, generator=generator)
        cauchy = torch.tan(torch.pi * (uniform - 0.5)).clamp(-_HEAVIEST, _HEAVIEST) * (2 / n**0.5)
        is_gaussian = (torch.arange(width) % 2 == 0)[None, None]
        parameters[f"{name}.encoder"] = torch.where(is_gaussian, gaussian, cauchy)
        parameters[f"{name}.phase"] = torch.rand((members, 1, width), generator=generator) * 2 * torch.pi
        parameters[f"{name}.head"] = torch.zeros(members, width, n_classes)
        parameters[f"{name}.bias"] = torch.zeros(members, 1, n_classes)
        parameters[f"{name}.joint"] = torch.zeros(members, width, n_classes)
    return parameters


def encode(parameters: Parameters, name: str, x: torch.Tensor) -> torch.Tensor:
    """(members, n, width) code of (n, columns) or (members, n, columns) inputs of a modality."""
    encoder = parameters[f"{name}.encoder"]
    code = torch.cos(torch.matmul(x, encoder) + parameters[f"{name}.phase"])
    scale: float = (2 / encoder.shape[-1]) ** 0.5
    return code * scale


def logits(
    parameters: Parameters, inputs: Mapping[str, torch.Tensor], joint_masks: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Logits of the joint head, and of each modality's own head.

    Parameters
    ----------
    parameters : dict of str to tensor
    inputs : mapping of str to (n, columns) tensor
        Standardised, clipped and weighted columns by modality.
    joint_masks : mapping of str to (n,) or (members, n) bool tensor
        Which modalities the joint head may see.

    Returns
    -------
    joint : (members, n, n_classes) tensor
    alone : dict of str to (members, n, n_classes) tensor
    """
    joint = parameters["joint.bias"]
    alone: dict[str, torch.Tensor] = {}
    for name, x in inputs.items():
        code = encode(parameters, name, x)
        alone[name] = torch.matmul(code, parameters[f"{name}.head"]) * _LOGIT_SCALE + parameters[f"{name}.bias"]
        seen = joint_masks[name].to(code.dtype)[..., None]
        joint = joint + torch.matmul(code, parameters[f"{name}.joint"]) * _LOGIT_SCALE * seen
    return joint, alone


def probabilities(
    parameters: Parameters, inputs: Mapping[str, torch.Tensor], masks: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    """(members, n, n_classes) probabilities of each member; meaningless where a unit has no modality.

    Parameters
    ----------
    parameters : dict of str to tensor
    inputs : mapping of str to (n, columns) tensor
    masks : mapping of str to (n,) bool tensor
        Which modalities each unit has.
    """
    joint, alone = logits(parameters, inputs, masks)
    weights = {name: masks[name].to(joint.dtype)[None, :, None] for name in inputs}
    total = torch.stack(list(weights.values())).sum(dim=0).clamp(min=1)
    late = torch.stack([torch.softmax(alone[name], dim=-1) * weights[name] for name in inputs]).sum(dim=0) / total
    return (torch.softmax(joint, dim=-1) + late) / 2


def penalty(parameters: Parameters, names: Sequence[str], *, own_heads: float) -> torch.Tensor:
    """Sum of squared weights of the heads; those of the modalities' own heads count `own_heads` times."""
    joint = torch.stack([(parameters[f"{name}.joint"] ** 2).sum() for name in names]).sum()
    alone = torch.stack([(parameters[f"{name}.head"] ** 2).sum() for name in names]).sum()
    return joint + own_heads * alone
