"""Recipe of the shipped model `cerebellum-statistics`: which table, checked by hash, with which card."""

from __future__ import annotations

from pathlib import Path

from nwb_celltype.classifier import Model
from nwb_celltype.features.dataset import Progress
from nwb_celltype.training.recipes import C4_LICENCE, CELL_2025, CEREBELLUM_CLASSES, DEPOSIT, check_file
from nwb_celltype.training.statistics_recipe import train_statistics
from nwb_celltype.training.trainer import Card

TABLE = "unit_features.csv"
TABLE_SHA256 = "6161d7199e503007ff3f27826b223968127aa027b60e525693bdb388710744b2"
"""The table that `cerebellum-statistics` is trained on."""

_LICENCE_TEXT = f"""The weights in this folder are licensed under the Creative Commons
Attribution-NonCommercial-ShareAlike 4.0 International licence (CC BY-NC-SA 4.0).

https://creativecommons.org/licenses/by-nc-sa/4.0/
https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode

You may share and adapt them for non-commercial purposes if you give credit, say
what you changed, and share the result under the same licence.

They were trained on a table of units of the C4 database (cerebellar cell-type
classification collaboration; laboratories of M. Hausser, C. Hull and S. Lisberger),
changed by fitting kernel machines and decision trees. No row of the table is contained
in this folder; of each unit there are its place on a map (a few numbers made from all
its statistics), its label and its laboratory.

{CELL_2025}
Data deposit: {DEPOSIT}

This licence covers the model files in this folder alone, not the source code of
nwb-celltype (BSD-3-Clause). They come without warranty of any kind.
"""


def train_cerebellum_statistics(
    data_dir: str | Path,
    out: str | Path,
    *,
    version: str = "1",
    seed: int = 0,
    progress: Progress | None = None,
) -> Model:
    """Train the shipped model `cerebellum-statistics` from the C4 table of statistics.

    Parameters
    ----------
    data_dir : str or Path
        Folder with ``unit_features.csv``, which is checked by sha256 first.
    out : str or Path
        Folder of the model.
    version : str
    seed : int
    progress : callable, optional

    Returns
    -------
    Model

    Raises
    ------
    InputError
        If the file is missing, or is not the one that the recipe was made for.
    """
    table = Path(data_dir) / TABLE
    check_file(table, TABLE_SHA256)
    return train_statistics(
        table,
        out=out,
        name="cerebellum-statistics",
        version=version,
        seed=seed,
        classes=CEREBELLUM_CLASSES,
        card=_card(),
        progress=progress,
    )


def _card() -> Card:
    return Card(
        description=(
            "Cerebellar cortex: Golgi cells, mossy fibre boutons, molecular layer interneurons, and the complex and "
            "simple spikes of Purkinje cells, from hand-made statistics of spike trains and mean waveforms."
        ),
        intended_use=(
            "To annotate units of the cerebellar cortex of mice and macaques of which a table of statistics is all "
            "there is, and as a second opinion beside the model `cerebellum`."
        ),
        licence=C4_LICENCE,
        licence_text=_LICENCE_TEXT,
        limits=[
            "Molecular layer interneurons are unreliable in a species without labels: when mice teach, macaque ones "
            "are found in about one of eight cases. Do not publish such answers.",
            "Golgi cells and interneurons of mice are taken for each other: about half of them are found.",
            "Granule cells are not a class: their units will be given another class or none.",
            "The spatial statistics of a table need channels about 24 um apart; they are not computed from other "
            "recordings, where the median of the training units stands for them.",
            "Statistics of waveforms depend on the filter: a first-order causal high-pass of 300 Hz is expected.",
            "The macaque labels are those of experts, who may have looked at the same waveforms and autocorrelograms.",
            "Other species and other parts of the brain, the cerebellar nuclei included, are outside its training.",
        ],
        applies_to={
            "species": ["mouse", "macaque"],
            "tissue": "cerebellar_cortex",
            "min_sampling_rate_hz": 20_000.0,
            "min_duration_s": 30.0,
        },
        references=[CELL_2025, DEPOSIT],
        data={TABLE: {"licence": C4_LICENCE, "citation": CELL_2025, "deposit": DEPOSIT, "sha256": TABLE_SHA256}},
    )
