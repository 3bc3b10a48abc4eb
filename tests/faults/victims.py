"""Do one job of the product in a child process, on command, to be killed or to meet a fault.

Started as ``python -m tests.faults.victims``. It imports what is heavy once. Each line on its input is a job (JSON); a
child is forked that does it, announces its phases on the output, and how it ended is told there too. The child is the
real thing: calls that take next to no time are made between two pauses, and nothing else is changed.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Say = Callable[[str], None]


def tell(kind: str, **fields: Any) -> None:
    """One line at once, so that lines of two processes never mix."""
    os.write(1, (json.dumps({"kind": kind, **fields}) + "\n").encode())


def phase(name: str) -> None:
    tell("phase", name=name, at=time.monotonic())


def between_pauses(module: Any, name: str, pause_s: float) -> None:
    """Let the real call happen in the middle of two short pauses."""
    real: Callable[..., Any] = getattr(module, name)

    @functools.wraps(real)
    def call(*args: Any, **kwargs: Any) -> Any:
        time.sleep(pause_s)
        result = real(*args, **kwargs)
        time.sleep(pause_s)
        return result

    setattr(module, name, call)


def announced(module: Any, name: str, word: str) -> None:
    """Say a word whenever a function is about to be called."""
    real: Callable[..., Any] = getattr(module, name)

    @functools.wraps(real)
    def call(*args: Any, **kwargs: Any) -> Any:
        phase(word)
        return real(*args, **kwargs)

    setattr(module, name, call)


def annotate(job: dict[str, Any]) -> str:
    import nwb_celltype as nct

    done = nct.annotate(
        job["file"], in_place=job.get("in_place", False), out=job.get("out"), labels=job["labels"], by="me",
        on_phase=phase,
    )  # fmt: skip
    return done.run.name


def convert(job: dict[str, Any]) -> str:
    from nwb_celltype.converters import convert

    done = convert(
        "phy", Path(job["folder"]), metadata=job["metadata"], out=job["out"], overwrite=True, inspect=False,
        on_phase=phase,
    )  # fmt: skip
    return str(done.file)


def review(job: dict[str, Any]) -> str:
    from nwb_celltype.reviewing.decisions import Decision
    from nwb_celltype.reviewing.reviewers import Reviewer
    from nwb_celltype.reviewing.saving import write_run
    from nwb_celltype.runs import choose_run
    from nwb_celltype.taxonomy import CEREBELLUM
    from nwb_celltype.units import read_units

    file = Path(job["file"])
    reviewed = choose_run(file, job["run"])
    with read_units(file) as units:
        digest = units.sha256()
    made = "2026-01-31T14:00:00+00:00"
    decisions = {i: Decision(i, "class", "MLI", job["run"], "MLI", made) for i in reviewed.unit_ids[:4].tolist()}
    done = write_run(
        file, file, decisions, reviewed, Reviewer("Jane Doe"), CEREBELLUM, units_path="/units", units_sha256=digest,
        on_phase=phase,
    )  # fmt: skip
    return done.run.name


def fetch(job: dict[str, Any]) -> str:
    from nwb_celltype.archive import downloads
    from nwb_celltype.fetching import fetch
    from nwb_celltype.fetching.local_folder import DandisetFolder

    phase("plan")
    announced(DandisetFolder, "write_metadata", "metadata")
    announced(downloads, "_fetch_parts", "transfer")
    announced(downloads._Checksum, "of", "check")
    announced(downloads, "_sync_folder", "named")
    announced(DandisetFolder, "record", "record")
    done = fetch(job["address"], out=job["out"], overwrite=True, jobs=1)
    if done.exit_code:
        raise RuntimeError(str(done))
    return str(done.counts)


def publish(job: dict[str, Any]) -> str:
    from dandi.dandiapi import RESTFullAPIClient
    from dandi.files import NWBAsset

    from nwb_celltype.publishing import publish

    NWBAsset.get_validation_errors = lambda *_args, **_kwargs: []  # the slow checks were made before
    real = RESTFullAPIClient.request

    def request(self: Any, method: str, path: str, **options: Any) -> Any:
        word = "look"
        if "/uploads/" in path:
            word = "upload"
        elif "/assets/" in path and method in ("POST", "PUT"):
            word = "asset"
        elif method in ("POST", "PUT") and "/dandisets/" in path:
            word = "dandiset"
        elif path.rstrip("/").endswith("info"):
            word = "wait"
        phase(word)
        return real(self, method, path, **options)

    RESTFullAPIClient.request = request
    phase("check")
    return publish(job["folder"], dandiset="new", instance=job["instance"], jobs=1, max_wait_s=10.0).dandiset


def small(trainer: Any) -> None:
    """Let trainings be over in seconds: fewer trees, strangers and variants of each unit."""
    trainer._TREES_PER_MEMBER, trainer._STRANGERS_PER_MEMBER = 4, 2
    trainer.Settings = functools.partial(trainer.Settings, n_variants=2)


def train(job: dict[str, Any]) -> str:
    import torch

    from nwb_celltype import bundles, replacing
    from nwb_celltype.training import checkpoints, train, trainer

    torch.set_num_threads(1)
    small(trainer)
    checkpoints.STATE_INTERVAL_S = job["state_every_s"]
    said = ""

    def say(word: str) -> None:
        nonlocal said
        if word != said:
            said = word
            phase(word)

    def progress(task: str, _done: int, _of: int) -> None:
        words = {"cross-validation": "cross-validation", "training the ensemble: how long": "how long"}
        say(next((word for start, word in words.items() if task.startswith(start)), "ensemble"))

    put = checkpoints.Checkpoints.put

    @functools.wraps(put)
    def kept(self: Any, name: str, arrays: Any, about: Any = None) -> None:
        before = said
        say("note the state" if "done" in (about or {}) else "keep what is finished")
        put(self, name, arrays, about)
        say(before)

    checkpoints.Checkpoints.put = kept  # type: ignore[method-assign]
    between_pauses(bundles, "replace_folder", job["pause_s"])
    announced(trainer, "save_bundle", "write")
    announced(trainer, "record_examples", "examples")
    announced(checkpoints.Checkpoints, "close", "tidy")
    between_pauses(replacing, "_take_place", job["pause_s"])
    say("read")
    model = train(
        job["data"], out=job["out"], name="small", members=1, epochs=job["epochs"], seed=1, device="cpu",
        progress=progress,
    )  # fmt: skip
    return model.weights_sha256


JOBS: dict[str, Callable[[dict[str, Any]], str]] = {
    "annotate": annotate, "convert": convert, "review": review, "fetch": fetch, "publish": publish, "train": train,
}  # fmt: skip


def do(job: dict[str, Any]) -> None:
    """What a child does."""
    import fcntl
    import shutil

    if pause_s := job.get("pause_s", 0.0):
        for module, name in ((os, "fsync"), (os, "replace"), (shutil, "copyfileobj"), (fcntl, "ioctl")):
            between_pauses(module, name, pause_s)
    os.environ.update(job.get("env", {}))
    if prepare := job.get("fault"):
        from .interposer import arm, seen

        arm(**prepare)
        try:
            tell("result", text=JOBS[job["do"]](job))
        finally:
            tell("calls", n=seen())
        return
    tell("result", text=JOBS[job["do"]](job))


def main(*verbs: str) -> None:
    """Fork a child for every line on the input."""
    import ndx_cell_type
    import pynwb

    import nwb_celltype.nwb_io

    if "train" in verbs:
        import sklearn.ensemble  # noqa: F401
        import torch
        import torch._dynamo  # its optimisers import it when the first is made, which takes seconds

        import nwb_celltype.training.trainer

        torch.set_num_threads(1)
    if "convert" in verbs:
        import nwb_celltype.converters.conversion
    if {"fetch", "publish"} & set(verbs):
        import nwb_celltype.fetching
        import nwb_celltype.publishing
    if "review" in verbs:
        import nwb_celltype.reviewing.saving
    tell("ready", with_=[pynwb.__version__, ndx_cell_type.__name__, nwb_celltype.nwb_io.__name__])
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            status = 0
            try:
                do(job)
            except BaseException as error:
                status = getattr(error, "exit_code", 1)
                tell("failed", error=type(error).__name__, text=str(error))
            os._exit(status)
        tell("child", pid=child)
        tell("end", status=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), at=time.monotonic())


if __name__ == "__main__":
    main(*sys.argv[1:])
