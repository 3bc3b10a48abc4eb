"""Recipes of the shipped models: which data, checked by hash, with which settings and which card."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from nwb_celltype.bundles import register, shipped_folder
from nwb_celltype.classifier import Model
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.features.dataset import Progress
from nwb_celltype.labels import read_labelled
from nwb_celltype.training.trainer import Card, train

CELL_2025 = "Beau et al., Cell 2025, doi:10.1016/j.cell.2025.01.041"
DEPOSIT = "doi:10.5522/04/23702850"
C4_LICENCE = "CC-BY-NC-SA-4.0"

_LICENCE_TEXT = f"""The weights in this folder are licensed under the Creative Commons
Attribution-NonCommercial-ShareAlike 4.0 International licence (CC BY-NC-SA 4.0).

https://creativecommons.org/licenses/by-nc-sa/4.0/
https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode

You may share and adapt them for non-commercial purposes if you give credit, say
what you changed, and share the result under the same licence.

They were trained on units of the C4 database (cerebellar cell-type classification
collaboration; laboratories of M. Hausser, C. Hull and S. Lisberger), changed by
computing features and fitting neural networks. No waveform and no spike train is
contained in this folder; of each unit there are its place on a map (a few numbers
from the networks), its label and its laboratory.

{CELL_2025}
Data deposit: {DEPOSIT}

This licence covers the model files in this folder alone, not the source code of
nwb-celltype (BSD-3-Clause). They come without warranty of any kind.
"""


RECIPES: dict[str, tuple[str, str]] = {
    "cerebellum": ("nwb_celltype.training.recipes", "train_cerebellum"),
    "cerebellum-statistics": ("nwb_celltype.training.cerebellum_statistics", "train_cerebellum_statistics"),
}
"""Module and function of each recipe, by the name of the model that it makes."""


@dataclass(frozen=True)
class Source:
    """One file of a recipe."""

    file: str
    sha256: str
    lab: str
    species: str


CEREBELLUM_SOURCES = (
    Source("hull_mouse_units.npz", "f45dfb5af26f3ce46abaa8e1903f3214e14241ad29007b774926e2c3dbd15dac", "Hull", "mouse"),
    Source(
        "lisberger_macaque_units.npz",
        "07b279d009027e343d8e022520684bb120d2d1ae2b53a64186cafdebcabb13a3",
        "Lisberger",
        "macaque",
    ),
    Source(
        "hausser_mouse_waveforms.npz",
        "7f004e80cb15c9b7672832199b7244c05b2a4bdb914d1cdc4d63b04db1f2adac",
        "Hausser",
        "mouse",
    ),
)
"""What the model `cerebellum` is trained on."""

CEREBELLUM_CLASSES = ("GoC", "MFB", "MLI", "PkC_cs", "PkC_ss")


def train_cerebellum(
    data_dir: str | Path,
    out: str | Path,
    *,
    version: str = "3",
    seed: int = 0,
    members: int = 10,
    epochs: int = 300,
    resume: bool = True,
    progress: Progress | None = None,
) -> Model:
    """Train the shipped model `cerebellum` from the C4 units.

    Parameters
    ----------
    data_dir : str or Path
        Folder with the three files of `CEREBELLUM_SOURCES`, which are checked by sha256 first.
    out : str or Path
        Folder of the model.
    version : str
    seed, members, epochs : int
    resume : bool
        Go on where a stopped training was.
    progress : callable, optional

    Returns
    -------
    Model

    Raises
    ------
    InputError
        If a file is missing, or is not the one that the recipe was made for.
    """
    folder = Path(data_dir)
    for source in CEREBELLUM_SOURCES:
        check_file(folder / source.file, source.sha256)
    data = [read_labelled(folder / s.file, lab=s.lab, species=s.species) for s in CEREBELLUM_SOURCES]
    return train(
        data,
        out=out,
        name="cerebellum",
        version=version,
        seed=seed,
        members=members,
        epochs=epochs,
        classes=CEREBELLUM_CLASSES,
        card=_cerebellum_card(),
        device="cpu",  # the same weights everywhere
        early_stopping=False,
        resume=resume,
        progress=progress,
    )


def run_recipe(recipe: str, data_dir: str | Path, out: str | Path, **options: Any) -> Model:
    """Train by a recipe of `RECIPES`; options as those of its function.

    Raises
    ------
    UsageError
        If there is no such recipe.
    """
    if recipe not in RECIPES:
        message = f"There is no recipe {recipe!r}; there is {', '.join(RECIPES)}."
        raise UsageError(message)
    module, function = RECIPES[recipe]
    model: Model = getattr(import_module(module), function)(data_dir, out, **options)
    if Path(out).resolve() == shipped_folder(recipe).resolve():  # its hashes are checked at every load
        register(recipe)
    return model


def check_file(path: Path, sha256: str) -> None:
    """Raise InputError unless a file of a recipe is the one that it was made for."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror or error}); the recipe needs it in the data folder."
        raise InputError(message) from error
    if found != sha256:
        message = f"{path} has sha256 {found[:12]}..., the recipe was made for {sha256[:12]}...; get that version."
        raise InputError(message)


def _cerebellum_card() -> Card:
    about = {
        s.file: {"licence": C4_LICENCE, "citation": CELL_2025, "deposit": DEPOSIT, "sha256": s.sha256}
        for s in CEREBELLUM_SOURCES
    }
    return Card(
        description=(
            "Cerebellar cortex: Golgi cells, mossy fibre boutons, molecular layer interneurons, and the complex and "
            "simple spikes of Purkinje cells, from mean waveforms, inter-spike intervals and autocorrelograms."
        ),
        intended_use=(
            "To annotate sorted single units of the cerebellar cortex of mice and macaques for research, "
            "with the confidence and the reasons for abstaining kept."
        ),
        licence=C4_LICENCE,
        licence_text=_LICENCE_TEXT,
        limits=[
            "Granule cells are not a class: their units will be given another class or none.",
            "Molecular layer interneurons are few in the training data (51 units) and the least certain class.",
            "The macaque labels are those of experts, who may have looked at the same waveforms and autocorrelograms.",
            "Units of a laboratory with another rig are classified less well than the cross-validation says; "
            "see the figures for laboratories left out.",
            "Other species and other parts of the brain, the cerebellar nuclei included, are outside its training.",
            "Recording layer, position and the responses to behaviour are not used.",
        ],
        applies_to={
            "species": ["mouse", "macaque"],
            "tissue": "cerebellar_cortex",
            "min_sampling_rate_hz": 20_000.0,
            "min_duration_s": 30.0,
        },
        references=[CELL_2025, DEPOSIT],
        data=about,
    )
