"""A little fuzzing of every parser, the same inputs every time; `make fuzz` does it for long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings

from fuzz.inputs import changed
from fuzz.targets import TARGETS
from fuzz.trials import Trials
from nwb_celltype.errors import InputError
from nwb_celltype.priors import read_prior
from nwb_celltype.publishing.dandiset_folder import DandisetFolder
from nwb_celltype.tensor_files import map_tensors

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


def _tensors(path: Path) -> None:
    header = path.read_bytes()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    map_tensors(path)


READERS: dict[str, Callable[[Path], object]] = {
    "prior.json": read_prior,
    "prior.yaml": read_prior,
    "dandiset.yaml": lambda path: DandisetFolder(path.parent).draft(),
    "model.safetensors": _tensors,
}


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 5000])
@pytest.mark.parametrize("name", ["prior.json", "prior.yaml", "dandiset.yaml", "model.safetensors"])
def test_what_is_nested_too_deeply_ends_in_a_sentence(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=name.partition(".")[0]):
        READERS[name](tmp_path / name)
