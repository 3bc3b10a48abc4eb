"""The kind of model for arrays: networks and forests over waveforms and spike trains, a place for each class."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.classifier.forest import PARTS, Forest
from nwb_celltype.classifier.inputs import (
    BLOCKS,
    Matrix,
    column_weights,
    has_modality,
    joined,
    modality_subsets,
    read_blocks,
    standardise,
)
from nwb_celltype.classifier.model import OOD_THRESHOLD, Model, Prediction, check_tensors, temper, top_probability
from nwb_celltype.classifier.novelty import distances, novelty_score, stranger_score
from nwb_celltype.classifier.training_map import make_map, on_one_thread, rows_of_map
from nwb_celltype.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

_CHUNK = 4096


@dataclass(frozen=True, eq=False)
class Ensemble(Model):
    """Networks that see all modalities, and a forest for each, averaged; see ``docs/model_cerebellum.md``."""

    def predict(self, features: xr.Dataset, *, modalities: Collection[str] | None = None) -> Prediction:
        """Say how probable each class is for each unit; see `Model.predict`.

        Examples
        --------
        >>> import numpy as np
        >>> from nwb_celltype.classifier import load_model
        >>> from nwb_celltype.features import from_counts
        >>> t = np.arange(-30, 45) / 30
        >>> features = from_counts([-np.exp(-(t / 0.1) ** 2) + 0.3 * np.exp(-((t - 0.4) / 0.2) ** 2)], 30_000)
        >>> prediction = load_model("cerebellum").predict(features)
        >>> prediction.used.tolist(), round(float(prediction.probability.sum()), 6)
        ([[True, False]], 1.0)
        """
        self.check_features(features)
        blocks = read_blocks(features)
        raw, spread, used = self._ensemble(blocks, self.allowed(modalities))
        probability = self._calibrated(raw, used)
        return Prediction(
            unit_ids=features["unit"].values,
            classes=self.classes,
            probability=probability,
            confidence=top_probability(probability),
            ood_score=self._score(blocks, used),
            spread=spread,
            modalities=tuple(self.modalities),
            used=used,
        )

    def prepare(self, blocks: Mapping[str, Matrix]) -> dict[str, Matrix]:
        """Inputs of the networks, (n_units, n_columns) by modality: standardised, clipped, weighted by column."""
        clip = float(self.card["architecture"]["clip"])
        weights = {name: column_weights(blocks, names) for name, names in self.modalities.items()}
        return {name: np.clip(z, -clip, clip) * weights[name] for name, z in self.standardised(blocks).items()}

    def standardised(self, blocks: Mapping[str, Matrix]) -> dict[str, Matrix]:
        """Columns in standard deviations from the training mean, (n_units, n_columns) by modality."""
        return {
            name: standardise(blocks, names, self.tensors[f"{name}.mean"], self.tensors[f"{name}.scale"])
            for name, names in self.modalities.items()
        }

    def uncalibrated(self, blocks: Mapping[str, Matrix], modalities: Collection[str]) -> NDArray[np.float64]:
        """(n_units, k) mean probabilities of the members from these modalities alone, before tempering."""
        raw, _, _ = self._ensemble(blocks, modalities)
        return raw

    def distances(self, blocks: Mapping[str, Matrix], used: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(n_units, n_modalities) distances from the training units, NaN where `used` of that shape is false."""
        columns = []
        for i, (name, z) in enumerate(self.standardised(blocks).items()):
            far = np.full(len(z), np.nan)
            if used[:, i].any():
                means, whitening = self.tensors[f"{name}.ood_means"], self.tensors[f"{name}.ood_whitening"]
                far[used[:, i]] = distances(z[used[:, i]], means, whitening)
            columns.append(far)
        return np.stack(columns, axis=1)

    def _ensemble(
        self, blocks: Mapping[str, Matrix], allowed: Collection[str]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """(n, k) mean probabilities, (n,) spread over members, and (n, m) mask of the modalities they rest on."""
        used = np.stack(
            [has_modality(blocks, names) & (name in allowed) for name, names in self.modalities.items()], axis=1
        )
        raw, spread = self._networks(blocks, used)
        if self.forests:
            share = self.forest_share
            raw = (1 - share) * raw + share * self._trees(blocks, used)
        nothing = ~used.any(axis=1)
        raw[nothing], spread[nothing] = np.nan, np.nan
        return raw, spread, used

    def _networks(
        self, blocks: Mapping[str, Matrix], used: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n, k) mean over the networks, and (n,) their spread about it at the most probable class."""
        import torch

        from nwb_celltype.classifier import network

        inputs = self.prepare(blocks)
        n = len(used)
        raw, spread = np.empty((n, len(self.classes))), np.empty(n)
        for start in range(0, n, _CHUNK):
            rows = slice(start, start + _CHUNK)
            with torch.no_grad():
                each = network.probabilities(
                    self.parameters,
                    {name: torch.from_numpy(x[rows]) for name, x in inputs.items()},
                    {name: torch.from_numpy(used[rows, i]) for i, name in enumerate(self.modalities)},
                ).numpy()
            mean = each.mean(axis=0, dtype=np.float64)
            raw[rows] = mean / mean.sum(axis=1, keepdims=True)
            top = mean.argmax(axis=1)
            spread[rows] = each[:, np.arange(len(top)), top].std(axis=0)
        return raw, spread

    def _trees(self, blocks: Mapping[str, Matrix], used: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(n, k) mean over the modalities used of what their forests say; 0 where there are none."""
        total = np.zeros((len(used), len(self.classes)))
        for i, (name, names) in enumerate(self.modalities.items()):
            rows = used[:, i]
            if rows.any():
                total[rows] += self.forests[name].probabilities(joined(blocks, names)[rows])
        return np.asarray(total / np.maximum(used.sum(axis=1, keepdims=True), 1))

    def strangeness(self, blocks: Mapping[str, Matrix], modalities: Sequence[str]) -> NDArray[np.float64]:
        """(n_units,) probability of being a stranger, from exactly these modalities; meaningless without one.

        It is 0 if the model has learnt from no strangers. Merged units show in the train above all, so the train's own
        forest counts as much as the one that sees the waveform too.
        """
        n = len(next(iter(blocks.values())))
        if not self._stranger_forests:
            return np.zeros(n)
        total, asked = np.zeros(n), {tuple(modalities), ("train",)} if "train" in modalities else {tuple(modalities)}
        for subset in sorted(asked):
            names = [block for name in subset for block in self.modalities[name]]
            total += self._stranger_forests["+".join(subset)].probabilities(joined(blocks, names))[:, 1]
        return total / len(asked)

    def _score(self, blocks: Mapping[str, Matrix], used: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(n,) score: the forests', unless the distance of a modality alone puts the unit out; NaN without any."""
        ood, score = self.card["ood"], np.full(len(used), np.nan)
        for subset in modality_subsets(self.modalities):
            rows = (used == [name in subset for name in self.modalities]).all(axis=1)
            if rows.any():
                own = {name: block[rows] for name, block in blocks.items()}
                score[rows] = stranger_score(
                    self.strangeness(own, subset), float(ood["stranger_limits"]["+".join(subset)])
                )
        far = self.distances(blocks, used)
        limits = [float(ood["distance_limits"][name]) for name in self.modalities]
        away = top_probability(np.stack([novelty_score(far[:, i], limit) for i, limit in enumerate(limits)], axis=1))
        return np.where(np.nan_to_num(away) > OOD_THRESHOLD, np.fmax(score, away), score)

    def _calibrated(self, raw: NDArray[np.float64], used: NDArray[np.bool_]) -> NDArray[np.float64]:
        temperatures = self.card["calibration"]["temperature"]
        names = np.array(list(self.modalities))
        each = np.array([float(temperatures.get("+".join(names[row]), 1.0)) for row in used])
        return temper(raw, each[:, None])

    def codes(self, features: xr.Dataset) -> dict[str, Matrix]:
        """What the encoders of all networks say, weighted by how much the heads listen; see `Model.codes`."""
        return self.codes_of(read_blocks(features))

    def codes_of(self, blocks: Mapping[str, Matrix]) -> dict[str, Matrix]:
        """Codes as `codes` gives them, of blocks of columns."""
        import torch

        from nwb_celltype.classifier import network

        found = {}
        for name, x in self.prepare(blocks).items():
            has = has_modality(blocks, self.modalities[name])
            heads = np.concatenate([self.tensors[f"{name}.head"], self.tensors[f"{name}.joint"]], axis=2)
            weights = np.linalg.norm(heads, axis=2).reshape(-1)
            codes = np.full((len(x), len(weights)), np.nan, dtype=np.float32)
            if has.any():
                with torch.no_grad():
                    said = network.encode(self.parameters, name, torch.from_numpy(x[has])).numpy()
                codes[has] = np.moveaxis(said, 0, 1).reshape(len(said[0]), -1) * weights
            found[name] = codes
        return found

    def code_widths(self) -> dict[str, int]:
        """Number of codes by modality."""
        architecture = self.card["architecture"]
        return dict.fromkeys(self.modalities, int(architecture["members"]) * int(architecture["width"]))

    def map_training(
        self, blocks: Mapping[str, Matrix], labels: NDArray[np.integer], labs: NDArray[np.str_]
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Map the training units; see `nwb_celltype.classifier.training_map.make_map`.

        Parameters
        ----------
        blocks : mapping of str to (n_units, n_columns) array
            Of the units as recorded.
        labels : (n_units,) integer array
        labs : (n_units,) array of str

        Returns
        -------
        tensors : dict of str to array
        said : dict
            What the card says of the map.
        """
        rows = rows_of_map(len(labels))
        with on_one_thread():
            codes = self.codes_of({name: block[rows] for name, block in blocks.items()})
            columns = {name: int(n) for name, n in self.card["architecture"]["columns"].items()}
            return make_map(codes, labels[rows], labs[rows], columns, "what the encoders of all networks say")

    @property
    def forest_share(self) -> float:
        """Weight of the forests beside the networks; 0 if there are none."""
        return float(self.card["architecture"].get("forest_share", 0)) if self.forests else 0.0

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Tensors of the networks by name, as `nwb_celltype.classifier.network` takes them."""
        import torch

        return {name: torch.from_numpy(np.array(self.tensors[name])) for name in self._parameter_shapes()}

    @cached_property
    def forests(self) -> dict[str, Forest]:
        """Forests by modality; none if the model has no trees."""
        if not self.card["architecture"].get("trees", 0):
            return {}
        return {name: Forest.from_tensors(self.tensors, f"{name}.forest") for name in self.modalities}

    @cached_property
    def _stranger_forests(self) -> dict[str, Forest]:
        if not self.card["architecture"].get("strangers", 0):
            return {}
        keys = ["+".join(subset) for subset in modality_subsets(self.modalities)]
        return {key: Forest.from_tensors(self.tensors, f"strangers.{key}") for key in keys}

    def _parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        architecture = self.card["architecture"]
        m, w, k = int(architecture["members"]), int(architecture["width"]), len(self.classes)
        shapes: dict[str, tuple[int, ...]] = {"joint.bias": (m, 1, k)}
        for name in self.modalities:
            n = int(architecture["columns"][name])
            shapes |= {f"{name}.encoder": (m, n, w), f"{name}.phase": (m, 1, w), f"{name}.head": (m, w, k)}
            shapes |= {f"{name}.bias": (m, 1, k), f"{name}.joint": (m, w, k)}
        return shapes

    def check(self, path: Path) -> None:
        """Raise `InputError` unless card and tensors belong together; `path` is for the message."""
        try:
            shapes = self._parameter_shapes()
            architecture, k = self.card["architecture"], len(self.classes)
            for name, blocks in self.modalities.items():
                n = int(architecture["columns"][name])
                shapes |= {f"{name}.mean": (n,), f"{name}.scale": (n,)}
                shapes |= {f"{name}.ood_means": (k, n), f"{name}.ood_whitening": (n, n)}
                unknown = set(blocks) - set(BLOCKS)
                if unknown:
                    message = f"{path}: the card names columns that there are not: {', '.join(sorted(unknown))}."
                    raise InputError(message)
            positive = [self.card["ood"]["distance_limits"][name] for name in self.modalities]
            positive += [*self.card["calibration"]["temperature"].values(), architecture["clip"]]
            valid = all(0 < float(number) < np.inf for number in positive)
            valid = valid and 0 <= self.default_threshold <= 1 and 0 <= self.ood_threshold <= 1
            valid = valid and bool(self.modalities) and all(min(shape) > 0 for shape in shapes.values())
            valid = valid and 0 <= float(architecture.get("forest_share", 0)) <= 1
            positive += [self.card["ood"]["stranger_limits"]["+".join(s)] for s in modality_subsets(self.modalities)]
            forests = {f"{name}.forest": forest for name, forest in self.forests.items()}
            forests |= {f"strangers.{name}": forest for name, forest in self._stranger_forests.items()}
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            message = f"{path}: the model card is incomplete ({error!r}); get the model again."
            raise InputError(message) from error
        wanted: dict[str, tuple[tuple[int, ...], type]] = {name: (shape, np.float32) for name, shape in shapes.items()}
        for name, forest in forests.items():
            is_of_strangers = name.startswith("strangers.")
            seen = name.removeprefix("strangers.").split("+") if is_of_strangers else [name.removesuffix(".forest")]
            n_columns = sum(int(architecture["columns"][modality]) for modality in seen)
            problem = forest.problem(n_columns, 2 if is_of_strangers else k)
            if problem:
                message = (
                    f"{path}: card and weights do not belong together (the forest {name} has {problem}); "
                    "get the whole model again."
                )
                raise InputError(message)
            own = forest.tensors(name)
            wanted |= {key: (array.shape, PARTS[key.rpartition(".")[2]]) for key, array in own.items()}
        check_tensors(path, self.tensors, wanted, valid)
