"""Networks, the uncertainty of their last layer and the stacked forward pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nwb_celltype.c4 import ensemble
from nwb_celltype.c4.laplace import (
    Curvature,
    calibrated,
    curvature_of,
    log_marginal_likelihood,
    logit_variance,
    prior_precision,
    softmax,
)
from nwb_celltype.c4.networks import N_ACG, Classifier

_PARTS = {"class_values": "l1", "class_vectors": "Q1", "input_values": "l2", "input_vectors": "Q2"}
_PARTS |= {"bias_values": "lb", "bias_vectors": "Qb"}


@pytest.fixture(params=["base", "layer"])
def reference(request, vectors):
    v = vectors(f"model_{request.param}_random_weights_ref")
    network = Classifier(5, has_layer=request.param == "layer").eval()
    network.load_state_dict({k[2:]: torch.from_numpy(np.array(v[k])) for k in v if k.startswith("w/")})
    return v, network


def curvature_from(v):
    return Curvature(**{name: v[f"H_{key}"].astype(np.float64) for name, key in _PARTS.items()})


def test_forward_pass(reference):
    v, network = reference
    x = torch.from_numpy(v["x"])
    with torch.no_grad():
        acg, wave = network.acg_head(x[:, :N_ACG]).numpy(), network.wvf_head(x[:, N_ACG : N_ACG + 90]).numpy()
        logits = network(x).numpy()
    for name, code in (("acg", acg), ("wvf", wave)):
        np.testing.assert_allclose(code[:, :10], v[f"{name}_mu"], atol=1e-5)
        np.testing.assert_allclose(np.exp(code[:, 10:]), v[f"{name}_sigma"], atol=1e-5)
    np.testing.assert_allclose(logits, v["logits"], atol=1e-5)
    np.testing.assert_allclose(softmax(logits), v["softmax"], atol=1e-5)


def test_uncertainty(reference):
    v, network = reference
    with torch.no_grad():
        hidden = network.hidden(torch.from_numpy(v["x"])).numpy()
    given = curvature_from(v)
    variance = logit_variance(hidden, given, float(v["prior_precision"]))
    np.testing.assert_allclose(variance, v["f_var"], atol=1e-5)
    np.testing.assert_allclose(calibrated(v["logits"], variance), v["laplace_p"], atol=1e-5)


def test_curvature_and_prior_from_the_units(reference):
    v, network = reference
    with torch.no_grad():
        hidden = network.hidden(torch.from_numpy(v["x"])).numpy()
    own, given = curvature_of(hidden, v["logits"]), curvature_from(v)
    for kind in ("class", "input", "bias"):
        matrices = [
            (getattr(c, f"{kind}_vectors") * getattr(c, f"{kind}_values")) @ getattr(c, f"{kind}_vectors").T
            for c in (own, given)
        ]
        np.testing.assert_allclose(*matrices, atol=1e-5)
    squared = float((v["w/fc2.weight"].astype(float) ** 2).sum() + (v["w/fc2.bias"].astype(float) ** 2).sum())
    for curvature in (own, given):
        assert prior_precision(curvature, squared) == pytest.approx(float(v["prior_precision"]), rel=1e-5)


def test_the_prior_is_where_the_marginal_likelihood_is_largest():
    rng = np.random.default_rng(0)
    curvature = curvature_of(rng.normal(size=(200, 12)), rng.normal(size=(200, 3)) * 2)
    best = prior_precision(curvature, 5.0)
    at = [log_marginal_likelihood(curvature, -80.0, 5.0, best * factor) for factor in (0.8, 1.0, 1.25)]
    assert at[1] > max(at[0], at[2])


def networks(n, *, has_layer, n_classes=5):
    """Networks with random weights and with statistics of normalisations that are not the first ones."""
    made = []
    for seed in range(n):
        torch.manual_seed(seed)
        network = Classifier(n_classes, has_layer=has_layer).eval()
        for name, buffer in network.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.copy_(torch.rand(buffer.shape) + 0.5)
        for name, parameter in network.named_parameters():
            if "norm" in name:
                torch.nn.init.uniform_(parameter, -1.5, 1.5)
        made.append(network)
    return made


@pytest.mark.parametrize("has_layer", [False, True])
def test_stacked_networks_answer_as_each_alone(has_layer, monkeypatch):
    monkeypatch.setattr(ensemble, "NETWORKS_AT_ONCE", 3)
    monkeypatch.setattr(ensemble, "UNITS_AT_ONCE", 4)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(10, 1104 if has_layer else 1100)).astype(np.float32)
    made = networks(7, has_layer=has_layer)
    alone, curvatures = [], []
    for network in made:
        with torch.no_grad():
            hidden = network.hidden(torch.from_numpy(x))
            logits = network.fc2(hidden).numpy()
        curvatures.append(curvature_of(hidden.numpy(), logits))
        alone.append(calibrated(logits, logit_variance(hidden.numpy(), curvatures[-1], 2.0)))
    tensors = ensemble.stack(made, curvatures, [2.0] * 7)
    assert {k: v.shape for k, v in tensors.items()} == ensemble.shapes(7, 5, has_layer=has_layer)
    slices = list(ensemble.predict(tensors, x))
    assert [len(part) for part in slices] == [3, 3, 1]
    np.testing.assert_allclose(np.concatenate(slices), alone, atol=1e-5)


def test_logits_of_the_whole_stack():
    made = networks(3, has_layer=False)
    x = torch.randn(5, 1100, generator=torch.Generator().manual_seed(0))
    states = {k: torch.stack([m.state_dict()[k] for m in made]) for k in made[0].state_dict()}
    with torch.no_grad():
        wanted = torch.stack([m(x) for m in made])
    torch.testing.assert_close(ensemble.logits_of(made[0], states, x), wanted, rtol=0, atol=1e-4)


def test_no_units_are_no_answers():
    made = networks(1, has_layer=False)
    flat = curvature_of(np.zeros((1, 100)), np.zeros((1, 5)))
    parts = list(ensemble.predict(ensemble.stack(made, [flat], [1.0]), np.zeros((0, 1100), dtype=np.float32)))
    assert parts[0].shape == (1, 0, 5)
