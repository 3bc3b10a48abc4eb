"""``kill -9`` at some instants of what writes; `soak.kills` does it at two hundred."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from .crew import Crew
from .killing import finish, instants, spread_kills, strike
from .scenes import Scene, annotating, fetching, publishing, reviewing


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    with Crew("fetch", "publish", "review") as crew:
        yield crew


@pytest.mark.parametrize(
    ("make", "phases"),
    [
        (lambda top: nullcontext(annotating(top, in_place=False, megabytes=2)), ("append", "rename")),
        (lambda top: nullcontext(reviewing(top)), ("copy", "rename")),
        (fetching, ("transfer", "record")),
        (publishing, ("upload", "wait")),
    ],
    ids=["annotate", "review", "fetch", "publish"],
)
def test_a_killed_job_leaves_old_or_new_and_a_rerun_finishes(
    make: Callable[[Path], AbstractContextManager[Scene]], phases: tuple[str, ...], crew: Crew, tmp_path: Path
) -> None:
    with make(tmp_path) as scene:
        stretches = finish(scene, crew, renewed=True).stretches()
        for phase in phases:
            (turn, fraction), *_ = instants(stretches, phase, 1)
            took = [length for name, _, length in stretches if name == phase][turn]
            if strike(scene, crew, (phase, turn, fraction * took)) is None:
                continue  # it was quicker than at first
            scene.state()
            assert not scene.strangers()
            finish(scene, crew, renewed=False)


def test_what_is_neither_old_nor_new_is_noticed(crew: Crew, tmp_path: Path) -> None:
    scene = annotating(tmp_path, in_place=True, megabytes=0)
    scene.renew()
    file = Path(scene.job["file"])
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(Exception, match=r"."):
        scene.state()
    (scene.folder / "half of something").write_text("")
    assert scene.strangers() == ["half of something"]


def test_every_phase_is_hit(crew: Crew, tmp_path: Path) -> None:
    scene = annotating(tmp_path, in_place=True, megabytes=2)
    kills = spread_kills(scene, crew, 1, rerun_every=5)
    assert set(kills.by_phase) == {"copy", "append", "validate", "sync", "rename"}
    assert kills.histogram().count("#") == kills.total >= 5
