"""``python -m nwb_celltype.training --recipe cerebellum --data-dir DIR --out DIR``: train a shipped model anew."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nwb_celltype.bundles import register, shipped_folder
from nwb_celltype.training import RECIPES, run_recipe


def main() -> None:
    """Run a recipe; when the model lies inside the package, record its hashes."""
    parser = argparse.ArgumentParser(prog="python -m nwb_celltype.training", description=__doc__)
    parser.add_argument("--recipe", choices=RECIPES, default=RECIPES[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with the files of the recipe")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--version", default="1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=300)
    given = parser.parse_args()
    model = run_recipe(
        given.recipe,
        given.data_dir,
        given.out,
        version=given.version,
        seed=given.seed,
        members=given.members,
        epochs=given.epochs,
        progress=_say,
    )
    if given.out.resolve() == shipped_folder(given.recipe).resolve():
        register(given.recipe)
    sys.stderr.write(f"{given.out}: {model.card['metrics']}\n")


def _say(task: str, done: int, of: int) -> None:
    if done == of or done % 50 == 0:
        sys.stderr.write(f"\r{task}: {done}/{of}" + ("\n" if done == of else ""))
        sys.stderr.flush()


if __name__ == "__main__":
    main()
