"""The main job from its start to its end, as a process of its own: seconds, processor seconds, largest memory.

Run:  python benchmarks/annotate.py --data-dir DIR [--quick] [--tenfold] [--json FILE]

Sessions are simulated and written once (`simulated_units.py`; 0.9 GB, with --tenfold 8 GB more). Measured are:

- ``annotate`` of 1,000 units with 100,000 spikes each, and with --tenfold of 1,000 units with 1,000,000 each;
- one more run, a table of labels, in a file of 1 GB with --in-place; what that takes beyond the copy, which is the time
  from the end of the copy to the end, the forcing to disk left out, because a copy needs that too;
- the shipped ensemble on 1,000 units, with loading and its imports;
- ``--help``;
- a file several times larger than the memory that the process may ask for.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import child_process  # noqa: E402
from benchmarks.simulated_units import Size, write_session  # noqa: E402

FULL = Size(1000, 100_000_000)
TENFOLD = Size(1000, 1_000_000_000)
QUICK = Size(100, 2_000_000)
MB = 1_000_000


def session(folder: Path, size: Size) -> Path:
    """File of a size, written if it is not there."""
    path = folder / f"simulated_{size.n_units}x{size.n_spikes // size.n_units}_{size.n_channels}.nwb"
    if not path.exists():
        print(f"writing {path}", file=sys.stderr)
        write_session(path, size)
    return path


def whole(file: Path, scratch: Path, **options: Any) -> dict[str, Any]:
    """Annotate into another file."""
    out = scratch / "annotated.nwb"
    out.unlink(missing_ok=True)
    cost = child_process.annotate(file, "--out", str(out), **options)
    out.unlink()
    return {"file_mb": file.stat().st_size / MB, **cost.to_json()}


def one_more_run(file: Path, scratch: Path, repeats: int) -> dict[str, Any]:
    """Add a table of labels to a copy of the file, in place, again and again."""
    copy = scratch / "in_place.nwb"
    began = time.perf_counter()
    shutil.copyfile(file, copy)
    copied_s = time.perf_counter() - began
    rows = []
    for k in range(repeats):
        cost = child_process.run([__file__, "--append-to", str(copy), f"reader {k}"])
        rows.append({**json.loads(cost.output.splitlines()[-1]), **cost.to_json()})
    copy.unlink()
    middle = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    return {"file_mb": file.stat().st_size / MB, "plain_copy_s": copied_s, **middle}


def append(file: Path, by: str) -> None:
    """Child of `one_more_run`: prints the seconds of each phase of writing."""
    from nwb_celltype import annotate, read_units

    with read_units(file) as units:
        ids = units.unit_ids.tolist()
    labels = file.with_name("labels.csv")
    labels.write_text("unit_id,cell_type\n" + "".join(f"{i},PkC_ss\n" for i in ids), encoding="utf-8")
    marks: list[tuple[str, float, float]] = []

    def mark(name: str) -> None:
        marks.append((name, time.perf_counter(), time.process_time()))

    annotate(file, labels=labels, by=by, in_place=True, on_phase=mark)
    mark("end")
    seconds = {a[0]: b[1] - a[1] for a, b in pairwise(marks)}
    cpu = {a[0]: b[2] - a[2] for a, b in pairwise(marks)}
    beyond = ("append", "validate", "rename")
    answer = {f"{name}_s": s for name, s in seconds.items()}
    answer["beyond_copy_s"] = sum(seconds[name] for name in beyond)
    answer["beyond_copy_cpu_s"] = sum(cpu[name] for name in beyond)
    print(json.dumps(answer))


def ensemble(n_units: int, scratch: Path) -> dict[str, Any]:
    """Answers of the shipped model for units whose features are at hand."""
    from nwb_celltype.features import compute
    from nwb_celltype.units import read_units

    features = scratch / "features.nc"
    with read_units(session(scratch, Size(n_units, n_units * 5_000, 32))) as units:
        compute(units).to_netcdf(features, engine="h5netcdf")
    cost = child_process.run([__file__, "--predict", str(features)])
    return {"n_units": n_units, **json.loads(cost.output.splitlines()[-1]), **cost.to_json()}


def predict(features: Path) -> None:
    """Child of `ensemble`: loads the model, asks it twice."""
    import xarray as xr

    dataset = xr.load_dataset(features, engine="h5netcdf")
    began, cpu = time.perf_counter(), time.process_time()
    from nwb_celltype.classifier import load_model

    model = load_model("cerebellum")
    model.predict(dataset)
    first, first_cpu = time.perf_counter() - began, time.process_time() - cpu
    began, cpu = time.perf_counter(), time.process_time()
    model.predict(dataset)
    again, again_cpu = time.perf_counter() - began, time.process_time() - cpu
    told = {"load_and_predict_s": first, "load_and_predict_cpu_s": first_cpu}
    print(json.dumps({**told, "predict_s": again, "predict_cpu_s": again_cpu}))


def help_page() -> dict[str, Any]:
    """Median of five."""
    costs = [child_process.run(["-m", "nwb_celltype", "--help"]).to_json() for _ in range(5)]
    return {key: statistics.median(cost[key] for cost in costs) for key in costs[0]}


def measure(folder: Path, *, quick: bool, tenfold: bool) -> dict[str, dict[str, Any]]:
    scratch = folder / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    size = QUICK if quick else FULL
    file = session(folder, size)
    child_process.annotate(session(folder, Size(20, 200_000, 32)), "--out", str(scratch / "first.nwb"), "--again")
    (scratch / "first.nwb").unlink()  # that was for compiled kernels, which are kept from now on
    found = {"help": help_page(), "ensemble": ensemble(1000, scratch), f"annotate {_words(size)}": whole(file, scratch)}
    found["one more run in place"] = one_more_run(file, scratch, 1 if quick else 3)
    if tenfold:
        large = session(folder, TENFOLD)
        found[f"annotate {_words(TENFOLD)}"] = whole(large, scratch)
        limit = 2_000 * MB
        found["annotate the same with 2 GB of memory"] = whole(large, scratch, data_limit_bytes=limit)
    shutil.rmtree(scratch)
    return found


def _words(size: Size) -> str:
    return f"{size.n_units:,} units x {size.n_spikes // size.n_units:,} spikes"


def print_table(found: dict[str, dict[str, Any]]) -> None:
    print(f"{'':52} {'seconds':>8} {'cpu s':>8} {'peak MB':>8}")
    for name, row in found.items():
        print(f"{name:52} {row['wall_s']:8.2f} {row['cpu_s']:8.2f} {row['peak_mb']:8.0f}")
        for key, value in row.items():
            if key not in ("wall_s", "cpu_s", "peak_mb"):
                print(f"    {key:48} {value:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", type=Path, help="where the sessions are, or are written to")
    parser.add_argument("--quick", action="store_true", help="a small session")
    parser.add_argument("--tenfold", action="store_true", help="also ten times as many spikes (8 GB)")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--append-to", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--predict", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.append_to:
        append(Path(given.append_to[0]), given.append_to[1])
        return
    if given.predict:
        predict(given.predict)
        return
    if given.data_dir is None:
        parser.error("--data-dir is needed")
    given.data_dir.mkdir(parents=True, exist_ok=True)
    found = measure(given.data_dir, quick=given.quick, tenfold=given.tenfold)
    print_table(found)
    if given.json:
        given.json.write_text(json.dumps({**child_process.machine(), "measured": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
