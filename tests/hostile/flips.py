"""Random bits of a sound file are turned over: no crash, no hang, no wrong label that nothing is said about.

``python -m tests.hostile.flips --n 1000 --seed 1`` does it and prints what came of it; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LIMIT_S = 20
MEMORY_BYTES = 4 * 2**30
SAID = ("sentence", "same", "same, from other data", "said of the unit", "other data, digest differs")
"""What may come of a flip; the others are mistakes."""


def outcomes(n: int, seed: int, *, write_every: int, bits: int = 1) -> Iterator[dict[str, Any]]:
    """What came of each of `n` flips; of one in `write_every` the whole of `annotate`, not only its answers."""
    # a pool of threads does not survive a fork, and its child would wait for it for ever
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    import nwb_celltype as nct
    import nwb_celltype.nwb_io.validation as validation

    from .files import sound

    validation.validator_messages = lambda _: []  # pynwb's own, half of the time and not ours
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        base = sound(Path(folder) / "sound.nwb")
        data, model = base.read_bytes(), nct.load_model("cerebellum")
        expected = answers(base, model, is_written=True)
        k = 0
        while k < n:  # a child does many, and another goes on behind the one that ended it
            read, write = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(read)
                work(Path(folder), data, model, expected, range(k, n), seed, write_every, bits, write)
                os._exit(0)
            os.close(write)
            with os.fdopen(read) as lines:
                for line in lines:
                    yield json.loads(line)
                    k += 1
            _, status = os.waitpid(child, 0)
            if status and k < n:
                name = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {status}"
                yield {"flip": k, "came": "hang" if name == "SIGALRM" else "crash", "text": name}
                k += 1


def places(size: int, seed: int, flip: int, bits: int) -> list[tuple[int, int]]:
    """Byte and bit of each turned bit."""
    rng = random.Random(f"{seed}-{flip}")
    return [(rng.randrange(size), rng.randrange(8)) for _ in range(bits)]


def work(
    folder: Path, data: bytes, model: Any, expected: dict[str, Any], which: range, seed: int, write_every: int,
    bits: int, pipe: int,
) -> None:  # fmt: skip
    """Try these flips, a line to the pipe for each."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    warnings.simplefilter("error")
    path = folder / f"flipped-{os.getpid()}.nwb"
    for flip in which:
        changed = bytearray(data)
        for byte, bit in places(len(data), seed, flip, bits):
            changed[byte] ^= 1 << bit
        path.write_bytes(changed)
        signal.alarm(LIMIT_S)
        line = {"flip": flip, **judged(path, model, expected, is_written=flip % write_every == 0)}
        signal.alarm(0)
        os.write(pipe, (json.dumps(line) + "\n").encode())
        if path.read_bytes() != changed:
            os.write(pipe, (json.dumps({"flip": flip, "came": "source changed", "text": ""}) + "\n").encode())
    path.unlink()


def judged(path: Path, model: Any, expected: dict[str, Any], *, is_written: bool) -> dict[str, str]:
    """What came of one file."""
    from nwb_celltype.errors import CellTypeError

    try:
        found = answers(path, model, is_written=is_written)
    except CellTypeError as error:
        text = str(error)
        if path.name not in text and "flipped" not in text:
            return {"came": "no file named", "text": text}
        return {"came": "sentence", "text": text}
    except Exception as error:
        import traceback

        frames = [f for f in traceback.extract_tb(error.__traceback__) if "nwb_celltype" in f.filename]
        where = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames))
        return {"came": "no sentence", "text": f"{type(error).__name__}: {error} @ {where}"}
    finally:
        for written in path.parent.glob(f"{path.stem}_celltype.nwb"):
            written.unlink()
    same_digest = found["digest"] == expected["digest"]
    if found["units"] == expected["units"]:
        return {"came": "same" if same_digest else "same, from other data", "text": ""}
    if not same_digest:
        return {"came": "other data, digest differs", "text": ""}
    silent = [unit for unit, (label, said) in found["units"].items()
              if label != expected["units"].get(unit, ("", ""))[0] and not said]  # fmt: skip
    if silent and found["notes"] == expected["notes"] and found["verdict"] == expected["verdict"]:
        return {"came": "silent", "text": f"units {silent}: {found} in place of {expected}"}
    return {"came": "said of the unit", "text": ""}


def answers(path: Path, model: Any, *, is_written: bool) -> dict[str, Any]:
    """Labels with what is said about each, the verdict, the notes and the digest of what was annotated."""
    import nwb_celltype as nct

    with nct.read_units(path) as units:
        notes = list(units.table_notes)
        units.region  # noqa: B018 - read when it is asked for
        run: Any = nct.annotate_units(units, model, threshold=0)
    verdict = str(run.verdict)
    if is_written:
        run = nct.annotate(path, model=model, threshold=0).run
        nct.load_labels(path.with_name(f"{path.stem}_celltype.nwb"))
    rows = zip(run.unit_ids.tolist(), run.cell_type.tolist(), run.reason_detail.tolist(), strict=True)
    return {
        "units": {str(i): [label, said] for i, label, said in rows},
        "notes": notes, "verdict": verdict, "digest": run.input_sha256,
    }  # fmt: skip


def main() -> int:
    """Turn bits over and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bits", type=int, default=1)
    parser.add_argument("--write-every", type=int, default=1)
    options = parser.parse_args()
    found = list(outcomes(options.n, options.seed, write_every=options.write_every, bits=options.bits))
    wrong = [one for one in found if one["came"] not in SAID]
    for one in wrong:
        print(one)
    print(json.dumps({"n": len(found), "came": Counter(one["came"] for one in found), "wrong": len(wrong)}))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
