"""Balanced accuracy on the C4 table of statistics, with the recipe of `cerebellum-statistics`.

    python benchmarks/table_accuracy.py --data-dir C4_FOLDER --seeds 5

The folder holds ``unit_features.csv``. One protocol after the other: recordings of mice held out; macaques, of which
no label is used; one monkey held out. About five minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from nwb_celltype.training.statistics_protocols import protocols


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--nested-seeds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = protocols(
        given.data_dir / "unit_features.csv",
        given.seeds,
        nested_seeds=given.nested_seeds,
        tell=lambda line: print(line, file=sys.stderr),
    )
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for name, entry in found.items():
        low, high = entry["interval"]
        print(f"{name} ({entry['n']}): {entry['mean']:.3f}, sd {entry['sd']:.3f}, 95 % {low:.3f}-{high:.3f}")
        print("   seeds: " + ", ".join(f"{value:.3f}" for value in entry["balanced_accuracy"]))
        print("   recall: " + ", ".join(f"{key} {value:.2f}" for key, value in entry["recall_by_class"].items()))
        for one in entry["nested"]:
            print(f"   inside: {json.dumps(one)}")


if __name__ == "__main__":
    main()
