"""A little fuzzing of every parser, the same inputs every time; `make fuzz` does it for long."""

from __future__ import annotations

from pathlib import Path

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


def test_brackets_within_brackets_end_in_a_sentence(tmp_path: Path) -> None:
    from nwb_celltype.errors import InputError
    from nwb_celltype.priors import read_prior

    for name in ("prior.yaml", "prior.json"):
        (tmp_path / name).write_text("[" * 2000)
        with pytest.raises(InputError, match="holds lists within lists"):
            read_prior(tmp_path / name)
