"""Whatever stands in the metadata: either they pass, or one `InputError` says why not."""

from __future__ import annotations

import contextlib
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nwb_celltype.converters.metadata import check_metadata, check_sections, read_metadata
from nwb_celltype.converters.metadata.checking import BLOCKS
from nwb_celltype.converters.metadata.events import EVENT_KEYS
from nwb_celltype.converters.metadata.fields import DEVICE_FIELDS, NWBFILE_FIELDS, SUBJECT_FIELDS
from nwb_celltype.converters.metadata.regions import PROBE_KEYS, RULE_KEYS
from nwb_celltype.converters.metadata.stimuli import BLOCKER_KEYS, STIMULUS_KEYS
from nwb_celltype.errors import InputError

from .recordings import given as complete
from .recordings import session

WORDS = [
    "laser", "imec0", "nidq.XD0.3", "0-9", "granular", "mouse", "P90D", "2024-01-31T14:03:00+01:00", "UBERON:0002129",
    "P1Y/", "/", "25 g", "MLI", "Europe/Paris", "2024-01-31 14:03 Europe/Paris", "2024-01-31 14:03 ../../etc/passwd",
    "\ud800", "\0", "~", "TODO", "9" * 400, "NCBITaxon:99999999999", "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59", "1970-01-01T00:00:00 Asia/Tokyo",
]  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.sampled_from(WORDS),
    st.binary(max_size=3), st.integers(1000, 1001).map(lambda k: 2 ** (20 * k)),
    st.dates(), st.datetimes(), st.datetimes(timezones=st.timezones()), st.timedeltas(),
    st.sampled_from([np.int64(3), np.float32("nan"), np.array([1, 2]), np.str_("a"), object(), 1j, date.min,
                     datetime.max, timedelta.max, {1, 2}, ()]),
)  # fmt: skip
KEYS = st.one_of(
    st.sampled_from(
        sorted({*BLOCKS, *NWBFILE_FIELDS, *SUBJECT_FIELDS, *DEVICE_FIELDS, *EVENT_KEYS, *PROBE_KEYS, *RULE_KEYS,
                *STIMULUS_KEYS, *BLOCKER_KEYS, "name", "imec0", "nidq.XD0.3"})
    ),
    st.text(max_size=4),
    st.integers(),
    st.none(),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda v: st.one_of(st.lists(v, max_size=4), st.tuples(v, v), st.dictionaries(KEYS, v, max_size=4)),
    max_leaves=12,
)
SOURCE = session()


def passes_or_says_why(metadata: Any) -> None:
    for source in (None, SOURCE):
        try:
            check_metadata(metadata, source)
        except InputError as error:
            str(error).encode()
        check_sections(metadata, source, strict=False)


def places(metadata: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of every value of complete metadata."""
    inner = (
        metadata.items() if isinstance(metadata, dict) else enumerate(metadata) if isinstance(metadata, list) else ()
    )
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


PLACES = [place for place in places(complete()) if place]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(PLACES), VALUES)
def test_any_value_anywhere(place: tuple[Any, ...], value: Any) -> None:
    metadata: Any = complete()
    inner = metadata
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    passes_or_says_why(metadata)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted({*NWBFILE_FIELDS} | {*SUBJECT_FIELDS})), SCALARS)
def test_any_value_in_every_field(key: str, value: Any) -> None:
    block = "NWBFile" if key in NWBFILE_FIELDS else "Subject"
    passes_or_says_why(complete(**{f"{block}.{key}": value}))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.one_of(st.sampled_from(BLOCKS), KEYS), VALUES, max_size=5))
def test_any_metadata(metadata: Any) -> None:
    passes_or_says_why(metadata)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(max_size=60), st.text(alphabet="ab:-[]{}&*!|>'\"%@`#,?<~=\n\t .0123456789", max_size=60)))
def test_any_file(tmp_path: Path, text: str) -> None:
    for name in ("m.yaml", "m.json"):
        (tmp_path / name).write_bytes(text.encode(errors="surrogatepass"))
        with contextlib.suppress(InputError):
            values = read_metadata(tmp_path / name)
            passes_or_says_why(values)


def test_deep_and_circular_values() -> None:
    deep: Any = "x"
    for _ in range(5000):
        deep = [deep]
    circle: dict[str, Any] = {}
    circle["Layers"] = {"imec0": [circle]}
    for value in (deep, circle):
        for place in ("NWBFile.keywords", "Layers.imec0", "Subject.species", "Optogenetics", "Layers"):
            passes_or_says_why(complete(**{place: value}))
