"""A little fuzzing of every parser, the same inputs every time; `make fuzz` does it for long."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, seed, settings

from fuzz.inputs import changed
from fuzz.targets import TARGETS
from fuzz.trials import Trials

FEW = {"card", "weights", "archive", "metadata"}


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_answers_or_refuses(name: str) -> None:
    with Trials(TARGETS[name]) as trials:

        @seed(3)
        @settings(max_examples=15 if name in FEW else 60, deadline=None, database=None,
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(changed(TARGETS[name]))
        def once(data: bytes) -> None:
            finding = trials.one(data)
            assert finding is None, f"{finding.where}: {finding.what}"

        once()
        assert trials.n >= 10
