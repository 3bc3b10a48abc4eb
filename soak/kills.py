"""``kill -9`` at 200 instants and more, spread over the phases of everything that writes.

Run as ``python -m soak.kills``; prints how often each phase was hit and ends with an error if anything does not hold.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.faults.crew import Crew
from tests.faults.killing import Kills, spread_kills
from tests.faults.scenes import annotating, converting, fetching, publishing, reviewing, training


def main() -> None:
    """Kill, check, and print the histogram."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hits", type=int, default=6, help="kills in each phase of each job")
    parser.add_argument("--train-hits", type=int, default=3, help="the same for training, which takes longest")
    parser.add_argument("--only", nargs="*", help="names of jobs")
    options = parser.parse_args()
    began, done = time.monotonic(), list[Kills]()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder, ExitStack() as stack:
        top = Path(folder)
        crew = stack.enter_context(Crew("train", "convert", "fetch", "publish", "review"))
        scenes = {
            "in-place": lambda: annotating(top, in_place=True),
            "beside": lambda: annotating(top, in_place=False),
            "convert": lambda: converting(top),
            "review": lambda: reviewing(top),
            "fetch": lambda: stack.enter_context(fetching(top)),
            "publish": lambda: stack.enter_context(publishing(top)),
            "train": lambda: training(top),
        }
        for name, make in scenes.items():
            if options.only and name not in options.only:
                continue
            hits = options.train_hits if name == "train" else options.hits
            done.append(spread_kills(make(), crew, hits))
            print(done[-1].histogram(), flush=True)
    total = sum(kills.total for kills in done)
    fewest = min(count for kills in done for count in (kills.by_phase[p] for p in kills.phases))
    print(f"{total} kills in {time.monotonic() - began:.0f} s; at least {fewest} in each phase; every rerun finished")
    if fewest < min(3, options.hits, options.train_hits):
        message = "a phase was hit too rarely"
        raise SystemExit(message)


if __name__ == "__main__":
    main()
