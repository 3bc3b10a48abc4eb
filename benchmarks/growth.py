"""How the cost of `annotate` grows: units, spikes, channels and files, each made three and ten times as many.

Run:  python benchmarks/growth.py --data-dir DIR [--quick] [--json FILE] [--picture PNG]

Every point is a process of its own, from its start to its end; processor seconds of all its threads are what counts,
since the machine may be shared, and largest memory is shown beside them. Units are of one probe of 384 channels. What
is told of each is the cost of ten times as much over that of once as much: 10 would be linear without any start.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import child_process  # noqa: E402
from benchmarks.simulated_units import Size, write_session  # noqa: E402

TIMES = (1, 3, 10)


def session(folder: Path, size: Size) -> Path:
    path = folder / f"growth_{size.n_units}x{size.n_spikes // size.n_units}_{size.n_channels}.nwb"
    if not path.exists():
        print(f"writing {path}", file=sys.stderr)
        write_session(path, size)
    return path


def sizes(axis: str, base: Size, factor: int) -> Size:
    """Session with more of one thing; ten times the units fire ten times the spikes."""
    if axis == "units":
        return replace(base, n_units=base.n_units * factor, n_spikes=base.n_spikes * factor, n_channels=384)
    if axis == "spikes":
        return replace(base, n_spikes=base.n_spikes * factor)
    return replace(base, n_channels=base.n_channels * factor)


def cost_of(folder: Path, axis: str, base: Size, factor: int, repeats: int) -> dict[str, Any]:
    """The cheapest of some processes: others on the machine can only make one dearer."""
    scratch = folder / "growth_scratch"
    costs = []
    for _ in range(repeats):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        if axis == "files":
            file = session(folder, replace(base, n_units=20, n_spikes=base.n_spikes * 20 // base.n_units))
            many = scratch / "sessions"
            many.mkdir()
            for k in range(factor):
                shutil.copyfile(file, many / f"session_{k}.nwb")
            costs.append(child_process.annotate(many, "--out", str(scratch / "labels"), "--workers", "1"))
        else:
            file = session(folder, sizes(axis, base, factor))
            costs.append(child_process.annotate(file, "--out", str(scratch / "annotated.nwb")))
    shutil.rmtree(scratch)
    least = min(costs, key=lambda cost: cost.cpu_s)
    return {"axis": axis, "times": factor, **least.to_json()}


def growth(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Cost of ten times as much over that of once as much, of each axis."""
    cost = {(row["axis"], row["times"]): row["cpu_s"] for row in rows}
    return {axis: cost[axis, TIMES[-1]] / cost[axis, TIMES[0]] for axis, _ in cost}


def draw(rows: list[dict[str, Any]], titles: dict[str, str], picture: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(titles), figsize=(3.0 * len(titles), 5.4), sharex=True, layout="constrained")
    for column, (axis, title) in enumerate(titles.items()):
        some = [row for row in rows if row["axis"] == axis]
        times = [row["times"] for row in some]
        cpu, memory = axes[0, column], axes[1, column]
        cpu.plot(times, [row["cpu_s"] for row in some], "o-", color="#0072B2", label="measured")
        slope = (some[-1]["cpu_s"] - some[0]["cpu_s"]) / (times[-1] - times[0])
        straight = [some[0]["cpu_s"] + slope * (factor - times[0]) for factor in times]
        cpu.plot(times, straight, "--", color="#777777", label="straight line")
        memory.plot(times, [row["peak_mb"] for row in some], "o-", color="#D55E00")
        cpu.set_title(title, fontsize=10)
        cpu.set_ylim(bottom=0)
        memory.set_ylim(0, 1.2 * max(row["peak_mb"] for row in rows))
        memory.set_xlabel(f"times as many {axis}")
        memory.set_xticks(TIMES)
        for each in (cpu, memory):
            each.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("processor seconds")
    axes[1, 0].set_ylabel("peak memory (MB)")
    axes[0, 0].legend(frameon=False, fontsize=8)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=130)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="where the sessions are, or are written to")
    parser.add_argument("--quick", action="store_true", help="small sessions")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--picture", type=Path, help="draw the figure here")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    given = parser.parse_args()
    given.data_dir.mkdir(parents=True, exist_ok=True)
    base = Size(20, 400_000, 32) if given.quick else Size(100, 5_000_000, 38)
    rows = []
    for axis in ("units", "spikes", "channels", "files"):
        for factor in TIMES:
            rows.append(cost_of(given.data_dir, axis, base, factor, given.repeats))
            print(f"  {axis} x{factor}: {rows[-1]['cpu_s']:.2f} cpu s", file=sys.stderr)
    found = growth(rows)
    print(f"{'':10} {'times':>6} {'seconds':>8} {'cpu s':>8} {'peak MB':>8}  ten over one")
    for row in rows:
        said = f"{found[row['axis']]:.2f}" if row["times"] == TIMES[-1] else ""
        figures = f"{row['wall_s']:8.2f} {row['cpu_s']:8.2f} {row['peak_mb']:8.0f}"
        print(f"{row['axis']:10} {row['times']:6d} {figures}  {said}")
    if given.picture:
        titles = {
            "units": f"{base.n_units} units and more",
            "spikes": f"{base.n_spikes // base.n_units:,} spikes a unit and more",
            "channels": f"{base.n_channels} channels and more",
            "files": "1 file of 20 units and more",
        }
        draw(rows, titles, given.picture)
    if given.json:
        given.json.write_text(json.dumps({**child_process.machine(), "growth": found, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
