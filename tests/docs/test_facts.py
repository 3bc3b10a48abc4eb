"""What the pages say of the model, the features and the formats is what these are."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq

import nwb_celltype as nct
from nwb_celltype import bundles, label_table
from nwb_celltype.batch.journal import Entry
from nwb_celltype.features.statistics import TRAIN_STATISTICS, train_statistics
from nwb_celltype.features.trains import (
    ACG_STATISTICS,
    ISI_EDGES_MS,
    LAG_EDGES_MS,
    acg_log_ratio,
    acg_statistics,
    rate_below_100_ms,
)
from nwb_celltype.features.unit_statistics import UNIT_STATISTICS
from nwb_celltype.features.waveforms import WAVEFORM_STATISTICS

from .pages import DOCS, ROOT

FEATURES = (DOCS / "features.md").read_text(encoding="utf-8")
FORMATS = (DOCS / "formats.md").read_text(encoding="utf-8")
TRUST = (DOCS / "trust.md").read_text(encoding="utf-8")
MODELS = ("cerebellum", "cerebellum-statistics")
CARD = json.loads((ROOT / "nwb_celltype" / "weights" / "cerebellum" / "model.json").read_text(encoding="utf-8"))
HOME, AWAY = (CARD["metrics"][name]["all units"] for name in ("cross-validation", "laboratory left out"))


def section(text: str, heading: str) -> str:
    """A section of a page, with those below it."""
    level = heading.split()[0]
    return re.split(rf"^#{{1,{len(level)}}} ", text.split(f"\n{heading}\n")[1], flags=re.MULTILINE)[0]


def names_in(text: str) -> set[str]:
    """Names in the first cells of all tables; ``_0.5`` after ``log_lag_above_0.2`` is a name with another end."""
    found = set()
    for row in re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE):
        listed = re.findall(r"`([\w.]+)`", row)
        found |= {re.sub(r"_[^_]+$", name, listed[0]) if name.startswith("_") else name for name in listed}
    return found


@pytest.fixture(scope="module")
def train() -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.cumsum(0.004 + rng.gamma(2.0, 0.012, 1500))


@pytest.fixture(scope="module")
def features(train: np.ndarray) -> object:
    return nct.features.compute(nct.Units.from_arrays(spike_times=[train]))


def test_names_are_those_of_the_code(features: object) -> None:
    assert names_in(section(FEATURES, "## Waveform")) | {"polarity"} == set(WAVEFORM_STATISTICS)
    assert names_in(section(FEATURES, "## Intervals and autocorrelogram")) - {"acg_statistics"} == set(ACG_STATISTICS)
    assert names_in(section(FEATURES, "## Train statistics")) == set(TRAIN_STATISTICS)
    train_part = set(TRAIN_STATISTICS) & set(UNIT_STATISTICS)
    assert names_in(section(FEATURES, "## Statistics of units")) == set(UNIT_STATISTICS) - train_part
    assert names_in(section(FEATURES, "## What is in the dataset")) == set(features.data_vars)  # type: ignore[attr-defined]
    for edges in (ISI_EDGES_MS, LAG_EDGES_MS):
        assert ", ".join(str(edge) for edge in edges) in FEATURES.replace("\n", " ")


def test_the_autocorrelogram_is_by_the_formula(features: object) -> None:
    counts = features["acg_counts"].values[0, 101:].astype(float)  # type: ignore[index]
    plateau = counts[60:].mean()
    expected = []
    for low, high in pairwise(LAG_EDGES_MS):
        n, e = counts[low - 1 : high - 1].sum(), (high - low) * (plateau + 0.001)
        p = min(3, max(0.02, 3 / e))
        expected.append(np.log((n / e + p) / (1 + p)))
    np.testing.assert_allclose(acg_log_ratio(features["acg_counts"].values)[0], expected, rtol=1e-12)  # type: ignore[index]


def test_the_rate_is_by_the_formula(features: object) -> None:
    isi, acg = features["isi_counts"].values, features["acg_counts"].values  # type: ignore[index]
    right = 1000 * (acg[0, 161:].mean() + 0.02) / (isi[0].sum() + 1)
    rate = brentq(lambda f: f / (1 - np.exp(-0.1 * f)) - right, 0.2, 500)
    assert rate_below_100_ms(isi, acg)[0] == pytest.approx(rate, rel=1e-4)
    names = dict(zip(ACG_STATISTICS, acg_statistics(isi, acg)[0], strict=True))
    share = isi[0] / isi[0].sum()
    assert names["log_rate"] == pytest.approx(np.log(rate), rel=1e-4)
    assert names["isi_entropy"] == pytest.approx(-sum(p * np.log(p) for p in share if p))
    mean = share @ (np.arange(100) + 0.5)
    assert names["isi_cv"] == pytest.approx(np.sqrt(share @ (np.arange(100) + 0.5 - mean) ** 2) / mean)


def test_train_statistics_are_by_the_formulas(train: np.ndarray) -> None:
    values = dict(zip(TRAIN_STATISTICS, train_statistics([train], train[-1] - train[0]), strict=True))
    every = np.diff(train)
    i = every[every <= np.quantile(every, 0.98)]
    # neighbours are neighbours among the rest
    a, b = i[:-1], i[1:]
    s = a + b
    assert values["mfr"] == pytest.approx(1 / i.mean())
    assert values["mifr"] == pytest.approx(np.mean(1 / i))
    assert values["SKW"] == pytest.approx(np.mean((i - i.mean()) ** 3) / i.std() ** 3)
    assert values["LcV"] == pytest.approx(np.log10(i).std() / np.log10(i).mean())
    assert values["CV2_mean"] == pytest.approx(np.mean(2 * abs(b - a) / s))
    assert values["IR"] == pytest.approx(np.mean(abs(np.log(b / a))))
    assert values["Lv"] == pytest.approx(3 * np.mean(1 - 4 * a * b / s**2))
    assert values["LvR"] == pytest.approx(3 * np.mean((1 - 4 * a * b / s**2) * (1 + 4 * 0.8 / s)))
    assert values["SI"] == pytest.approx(-0.5 * np.mean(np.log10(4 * a * b / s**2)))


def test_words_on_trust_are_those_of_the_card() -> None:
    assert HOME["recall_by_class"]["MLI"] == pytest.approx(0.7, abs=0.05)  # "at home about seven in ten are found"
    assert AWAY["coverage_by_class"]["MLI"] < 0.5  # "most are left unclassified"
    assert AWAY["recall_by_class"]["GoC"] < 0.35  # "few are recognised"
    assert min(HOME["recall_by_class"], key=HOME["recall_by_class"].__getitem__) == "MLI"
    (limit,) = [text for text in CARD["limits"] if "interneurons" in text]
    assert re.search(r"\((\d+) units\)", limit)[1] == re.search(r"training \((\d+) units\)", TRUST)[1]  # type: ignore[index]
    alone, both = (CARD["metrics"]["laboratory left out"][key]["accuracy"] for key in ("train", "waveform+train"))
    assert alone < both - 0.1  # "Spike trains alone do not carry over"
    assert {"mouse", "macaque"} == set(CARD["applies_to"]["species"])


def test_formats_are_those_of_the_code() -> None:
    assert names_in(section(FORMATS, "## Model folder")) == set(bundles.FILES)
    stated = re.findall(r"\(`(\w+)`\)|with `(\w+)`|`(key|sha256)`", section(FORMATS, "### The journal"))
    words = {word for match in stated for word in match if word} - {"format"}
    assert words <= {field.name for field in fields(Entry)} | {"writing", "done"}
    for word in re.findall(r"`(\w+)`", section(FORMATS, "## Tables of labels"))[:6]:
        assert word in (Path(label_table.__file__)).read_text(encoding="utf-8")


def test_columns_of_the_table_of_units() -> None:
    from nwb_celltype.batch import unit_table

    code = Path(unit_table.__file__).read_text(encoding="utf-8")
    written = set(re.findall(r'^        "(\w+)": ', code, re.MULTILINE))
    assert names_in(section(FORMATS, "### units.parquet")) - {"probability_"} == written


def test_models_are_as_small_as_the_page_says() -> None:
    (stated,) = re.findall(r"are in the package, (\d+) and (\d+) MB", (DOCS / "faq.md").read_text(encoding="utf-8"))
    weights = [(ROOT / "nwb_celltype" / "weights" / name / "model.safetensors").stat().st_size for name in MODELS]
    assert [int(text) for text in stated] == [round(size / 1e6) for size in weights]
