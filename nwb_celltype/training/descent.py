"""Teach the networks of an ensemble step by step: kept as they go, and stopped where units kept aside get worse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.features.dataset import Progress
from nwb_celltype.training.checkpoints import Checkpoints
from nwb_celltype.training.folds import Split, honest_folds

if TYPE_CHECKING:
    from nwb_celltype.training.fitting import Settings
    from nwb_celltype.training.pool import Pool

TRIAL_MEMBERS = 3
"""Networks that find out how long to teach."""

_MIN_ASIDE = 10
_LOOKS = 60
_LEAST_GAIN = 0.005


@dataclass(eq=False)
class Descent:
    """Networks that are taught, with all that the next step depends on.

    Attributes
    ----------
    parameters : dict of str to tensor
    inputs : mapping of str to (n_variants, n, n_columns) tensor
        By modality.
    masks : mapping of str to (n,) bool tensor
        Which units have a modality.
    truth : (n,) integer tensor
    settings : Settings
    generator : torch.Generator
        On the CPU, wherever the networks are.
    """

    parameters: dict[str, Any]
    inputs: Mapping[str, Any]
    masks: Mapping[str, Any]
    truth: Any
    settings: Settings
    generator: Any

    def __post_init__(self) -> None:
        import torch

        settings = self.settings
        for parameter in self.parameters.values():
            parameter.requires_grad_()
        is_encoder = {key: key.endswith((".encoder", ".phase")) for key in self.parameters}
        heads = [p for key, p in self.parameters.items() if not is_encoder[key]]
        encoders = [p for key, p in self.parameters.items() if is_encoder[key]]
        rates = [settings.learning_rate, settings.learning_rate * settings.encoder_rate]
        self.optimiser = torch.optim.Adam(
            [{"params": heads, "lr": rates[0]}, {"params": encoders, "lr": rates[1]}], betas=(0.9, 0.99)
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, rates, total_steps=settings.epochs + 1, pct_start=0.2
        )
        self.weights = _balance(self.truth)
        self.done = 0

    def run(
        self,
        epochs: int,
        *,
        kept: Checkpoints,
        name: str,
        after: Callable[[int], bool] | None = None,
        about: Callable[[], Mapping[str, Any]] = dict,
        progress: Progress | None = None,
        task: str = "training",
    ) -> None:
        """Take the steps that are left of so many, noting the state now and then.

        Parameters
        ----------
        epochs : int
        kept : Checkpoints
        name : str
            Of the state in `kept`.
        after : callable, optional
            Told the steps taken; says whether to stop.
        about : callable, optional
            Plain values that belong to the state.
        progress : callable, optional
        task : str
        """
        while self.done < epochs:
            self._step()
            is_over = after is not None and after(self.done)
            if progress is not None:
                progress(task, epochs if is_over else self.done, epochs)
            if is_over:
                return
            if kept.is_due(name):
                arrays, values = self.state()
                kept.put(name, arrays, {**values, **about()})

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain values from which `resume` goes on exactly."""
        arrays = {f"parameter.{key}": value.detach().cpu().numpy() for key, value in self.parameters.items()}
        for key, parameter in self.parameters.items():
            moments = self.optimiser.state[parameter]
            arrays |= {f"{part}.{key}": moments[part].detach().cpu().numpy() for part in ("exp_avg", "exp_avg_sq")}
        arrays["generator"] = self.generator.get_state().numpy()
        return arrays, {"done": self.done}

    def resume(self, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> None:
        """Go on from a state."""
        import torch

        self.done = int(about["done"])
        with torch.no_grad():
            for key, parameter in self.parameters.items():
                parameter.copy_(torch.from_numpy(arrays[f"parameter.{key}"]))
                self.optimiser.state[parameter] = {
                    "step": torch.tensor(float(self.done)),
                    **{
                        part: torch.from_numpy(arrays[f"{part}.{key}"].copy()).to(parameter.device)
                        for part in ("exp_avg", "exp_avg_sq")
                    },
                }
        self.generator.set_state(torch.from_numpy(arrays["generator"].copy()))
        # Rates and momenta follow from the number of the step alone.
        self.schedule.load_state_dict({"last_epoch": self.done - 1, "_step_count": self.done + 1})
        self.schedule.step()

    def loss_aside(self, inputs: Mapping[str, Any], masks: Mapping[str, Any], truth: Any) -> float:
        """Negative log likelihood of units kept aside, as recorded; each class counts the same."""
        import torch

        from nwb_celltype.classifier import network

        with torch.no_grad():
            each = network.probabilities(self.parameters, {name: x[0] for name, x in inputs.items()}, masks)
            right = each.mean(dim=0)[torch.arange(len(truth), device=truth.device), truth]
            return float((-right.clamp(min=1e-12).log() * _balance(truth)).mean())

    def _step(self) -> None:
        import torch

        from nwb_celltype.classifier import network

        settings, names, members = self.settings, list(self.inputs), self.settings.members
        n_variants, n = next(iter(self.inputs.values())).shape[:2]
        rows = torch.arange(n, device=self.truth.device)
        truth = self.truth.repeat(members)

        def loss_of(logits: Any, mask: Any) -> Any:
            each = torch.nn.functional.cross_entropy(logits.flatten(0, 1), truth, reduction="none")
            return (each.view(members, n) * self.weights * mask).sum() / n

        shown = {}
        for name in names:
            variant = torch.randint(n_variants, (n,), generator=self.generator)
            as_recorded = torch.rand(n, generator=self.generator) < settings.recorded_share[name]
            shown[name] = self.inputs[name][torch.where(as_recorded, 0, variant).to(rows.device), rows]
        seen = {}
        for name in names:
            left = torch.rand((members, n), generator=self.generator) >= settings.modality_dropout
            seen[name] = left.to(rows.device) & self.masks[name]
        none_left = ~torch.stack(list(seen.values())).any(dim=0)
        seen = {name: torch.where(none_left, self.masks[name], mask) for name, mask in seen.items()}
        joint, alone = network.logits(self.parameters, shown, seen)
        loss = loss_of(joint, 1.0)
        for name in names:
            loss = loss + settings.own_heads * loss_of(alone[name], self.masks[name].to(torch.float32))
        loss = loss + settings.decay * network.penalty(self.parameters, names, own_heads=settings.own_heads)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        self.done += 1


class Patience:
    """The step after which units kept aside were told best, and whether that is long ago."""

    def __init__(self, patience: int, losses: Mapping[str, float] | None = None) -> None:
        self.patience = patience
        self.losses: dict[int, float] = {int(step): loss for step, loss in (losses or {}).items()}

    @property
    def best(self) -> int:
        """First step whose loss no later one is below by half a percent; 0 before any."""
        found, least = 0, np.inf
        for step, loss in sorted(self.losses.items()):
            if loss < least * (1 - _LEAST_GAIN):
                found, least = step, loss
        return found

    def is_over(self, step: int, loss: float) -> bool:
        """Note a loss; say whether the best was more than `patience` steps ago."""
        self.losses[step] = loss
        return step - self.best >= self.patience


def rows_aside(pool: Pool, seed: int) -> Split | None:
    """Rows that teach, and a fifth that is kept aside to find out how long; `None` where there are too few.

    Recordings or subjects are kept together, unless a class would then be missing on one side.
    """
    strata = np.array([f"{source}|{name}" for source, name in zip(pool.sources, pool.names, strict=True)], dtype=str)
    if len(pool) < 5 * _MIN_ASIDE:
        return None
    for groups in (pool.groups, np.full(len(pool), "")):
        folds = list(honest_folds(strata, groups, 5))
        for fold in range(len(folds)):
            taught, aside = folds[(seed + fold) % len(folds)]
            is_whole = all(len(np.unique(pool.labels[rows])) == len(pool.classes) for rows in (taught, aside))
            if is_whole and _MIN_ASIDE <= len(aside) <= len(pool) / 2:
                return taught, aside
    return None


def epochs_worth(
    descent: Descent,
    aside: tuple[Mapping[str, Any], Mapping[str, Any], Any],
    *,
    kept: Checkpoints,
    name: str,
    progress: Progress | None = None,
    task: str = "training",
) -> int:
    """Teach a few networks some of the units, and say after how many steps they knew the others best.

    Parameters
    ----------
    descent : Descent
        Of some of the units.
    aside : inputs, masks, truth
        Of the others.
    kept : Checkpoints
    name : str
        Of the answer, and of the state on the way to it, in `kept`.
    progress : callable, optional
    task : str

    Returns
    -------
    int
    """
    settings = descent.settings
    found = kept.get(name)
    if found is not None and "epochs" in found[1]:
        return int(found[1]["epochs"])
    patience = Patience(settings.patience, found[1]["losses"] if found is not None else None)
    if found is not None:
        descent.resume(*found)
    every = max(1, settings.epochs // _LOOKS)

    def after(step: int) -> bool:
        return step % every == 0 and patience.is_over(step, descent.loss_aside(*aside))

    descent.run(
        settings.epochs, kept=kept, name=name, after=after, about=lambda: {"losses": patience.losses},
        progress=progress, task=f"{task}: how long",
    )  # fmt: skip
    epochs = patience.best or settings.epochs
    kept.put(name, {}, {"epochs": epochs})
    return epochs


def _balance(labels: Any) -> Any:
    """Weights that let each class count the same, 1 on average."""
    counts = labels.bincount().clamp(min=1)
    weights = 1.0 / counts[labels]
    return weights / weights.mean()
