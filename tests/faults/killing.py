"""Kill jobs at instants spread over their phases, and check what is left."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from .crew import Crew, Outcome
from .scenes import Scene

FRACTIONS = (0.5, 0.05, 0.85, 0.25, 0.7, 0.95, 0.15, 0.4)


@dataclass
class Kills:
    """What was hit, and in which state it left the user's files."""

    name: str
    by_phase: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    phases: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        return sum(self.by_phase.values())

    def histogram(self) -> str:
        """A line for each phase."""
        lines = [f"{self.name}: {self.total} kills; files after them: {dict(self.states)}"]
        return "\n".join([*lines, *(f"  {p:22s} {self.by_phase[p]:3d} {'#' * self.by_phase[p]}" for p in self.phases)])


def spread_kills(scene: Scene, crew: Crew, hits: int, *, rerun_every: int = 1) -> Kills:
    """Kill a job until every phase was hit so many times; after each kill check, and let a rerun finish."""
    whole = finish(scene, crew, renewed=True)
    stretches = whole.stretches()
    order = tuple(dict.fromkeys(name for name, _, _ in stretches))
    kills = Kills(scene.name, phases=order)
    for name in order:
        for turn, fraction in instants(stretches, name, 6 * hits):
            if kills.by_phase[name] >= hits:
                break
            length = [took for word, _, took in stretches if word == name][turn]
            outcome = strike(scene, crew, (name, turn, fraction * length))
            if outcome is None:
                continue
            kills.by_phase[outcome.last or name] += 1
            kills.states[scene.state()] += 1
            strange = scene.strangers()
            assert not strange, f"{scene.name} killed in {outcome.last} leaves {strange}"
            if kills.total % rerun_every == 0:
                finish(scene, crew, renewed=False)
    return kills


def instants(stretches: list[tuple[str, float, float]], name: str, at_most: int) -> Iterator[tuple[int, float]]:
    """Times at which a phase is struck: each time that it comes, early and late in it."""
    lengths = [took for word, _, took in stretches if word == name]
    turns = sorted(range(len(lengths)), key=lambda k: -lengths[k])  # the longest first
    for k in range(at_most):
        yield turns[k % len(turns)], FRACTIONS[(k // len(turns) + k) % len(FRACTIONS)]


def strike(scene: Scene, crew: Crew, instant: tuple[str, int, float]) -> Outcome | None:
    """Kill the job at an instant; `None` where it was done before."""
    scene.renew()
    outcome = crew.do(scene.job, kill_after=instant)
    if outcome.status == 0:
        return None
    assert outcome.status == -signal.SIGKILL, (outcome.error, outcome.text)
    return outcome


def finish(scene: Scene, crew: Crew, *, renewed: bool) -> Outcome:
    """Let the job end, and check that all of it is done."""
    if renewed:
        scene.renew()
    outcome = crew.do(scene.job)
    assert outcome.status == 0, (scene.name, outcome.error, outcome.text)
    scene.finished(outcome.result)
    return outcome
