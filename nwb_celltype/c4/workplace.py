"""What a stopped training by the C4 recipe has finished: its encoders, and the networks one by one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.tensor_files import create_tensors, map_tensors
from nwb_celltype.training.checkpoints import Checkpoints

if TYPE_CHECKING:
    from nwb_celltype.c4.pretraining import Pretrained


@dataclass(frozen=True, eq=False)
class Workplace:
    """Networks that are trained, in a file beside the model, and which they are.

    Attributes
    ----------
    tensors : dict of str to array
        Of all networks, those that are not trained yet among them; in a file.
    journal : Path
        Names what is complete, a line a network.
    done : set of int
    """

    tensors: dict[str, NDArray[Any]]
    journal: Path
    done: set[int]

    @classmethod
    def opened(
        cls, folder: Path, wanted: Mapping[str, tuple[int, ...]], digest: str, *, resume: bool = True
    ) -> Workplace:
        """Go on with what a stopped training of the same data and settings left behind, or begin.

        Parameters
        ----------
        folder : Path
        wanted : mapping of str to tuple of int
            Shapes of the tensors.
        digest : str
            Of data and settings.
        resume : bool
        """
        journal, weights = folder / "done.jsonl", folder / "weights.safetensors"
        if resume and journal.is_file() and weights.is_file():
            lines = journal.read_text(encoding="utf-8").splitlines()
            whole = [line for line in lines if line.endswith("}")]
            if whole and json.loads(whole[0]).get("digest") == digest:
                done = {int(json.loads(line)["network"]) for line in whole[1:]}
                return cls(map_tensors(weights, is_writable=True), journal, done)
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        tensors: dict[str, NDArray[Any]] = dict(create_tensors(weights, wanted))
        journal.write_text(json.dumps({"digest": digest}) + "\n", encoding="utf-8")
        return cls(tensors, journal, set())

    def finish(self, i: int) -> None:
        """Put down that a network is complete, after its weights."""
        for value in self.tensors.values():
            if isinstance(value, np.memmap):
                value.flush()
        with self.journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"network": i}) + "\n")

    def encoders(self, make: Callable[[], Pretrained]) -> Pretrained:
        """Return the encoders that all networks start from: those that were pretrained before the stop, or new ones."""
        import torch

        from nwb_celltype.c4.pretraining import Pretrained

        kept = Checkpoints(self.journal.parent)
        found = kept.get("encoders")
        if found is None:
            made = make()
            parts = {"acg": made.acg, "waveform": made.waveform}
            arrays = {f"{part}/{key}": value.numpy() for part, state in parts.items() for key, value in state.items()}
            kept.put("encoders", arrays, {"losses": made.losses})
            return made
        states: dict[str, dict[str, torch.Tensor]] = {"acg": {}, "waveform": {}}
        for name, value in found[0].items():
            part, _, key = name.partition("/")
            states[part][key] = torch.from_numpy(value)
        return Pretrained(states["acg"], states["waveform"], found[1]["losses"])
