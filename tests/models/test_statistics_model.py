"""Models of hand-made statistics: tables are read, heads fitted, shifts found, and nothing missing is a cue."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nwb_celltype as nct
from nwb_celltype.classifier import load_model
from nwb_celltype.classifier.statistics import (
    COLUMNS,
    GROUPS,
    MODALITIES,
    OTHER,
    StatisticsModel,
    places_of,
    read_columns,
)
from nwb_celltype.errors import InputError, NothingToDoError, UsageError
from nwb_celltype.features import from_counts
from nwb_celltype.features.unit_statistics import UNIT_STATISTICS
from nwb_celltype.labels import read_labelled
from nwb_celltype.training.statistics_fitting import (
    StatisticsSettings,
    TaughtRows,
    fit_head,
    fit_taught,
    grouped_folds,
    measured_shift,
    one_hot,
    usable_columns,
)
from nwb_celltype.training.statistics_pool import make_statistics_pool
from nwb_celltype.training.statistics_protocols import protocols
from nwb_celltype.training.statistics_recipe import train_statistics

from .synthetic import SHARED_DATA, make_arrays, save
from .tables import CLASSES, make_table, write

SMALL = StatisticsSettings(subspaces=8, cosines=16, trees=5, rows_per_class=30, n_shift_subspaces=8)
SPIKES, SHAPES = places_of(MODALITIES["train"]), places_of(MODALITIES["waveform"])
SHIFTED = {"CV2_mean", "CV2_median", "IR", "Lv", "LvR", "SI"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tables")
    write(make_table(20, 0), place / "taught.csv")
    write(make_table(12, 1), place / "asked.csv")
    train_statistics(place / "taught.csv", out=place / "model", name="small", settings=SMALL)
    return place


@pytest.fixture(scope="module")
def model(folder: Path) -> StatisticsModel:
    loaded = load_model(folder / "model")
    assert isinstance(loaded, StatisticsModel)
    return loaded


def test_a_table_is_read(folder: Path) -> None:
    labelled = read_labelled(folder / "taught.csv")
    assert len(labelled) == 120
    assert labelled.species == labelled.lab == ""
    assert set(labelled.features["species"].values) == {"mouse", "macaque"}
    assert labelled.groups[0] == "mouse 0/r0"
    assert labelled.usable().all()
    statistics = labelled.features["unit_statistics"]
    assert statistics.sel(unit_statistic="trough_t")[0].item() == pytest.approx(1.011)
    assert np.isnan(statistics.sel(unit_statistic="spatial_decay_24um")).all()
    assert len(set(labelled.row_sha256)) == 120


def test_times_in_ms_give_the_same(folder: Path, tmp_path: Path) -> None:
    table = make_table(3, 0)
    for name in (
        "trough_t",
        "peak_t",
        "repolarisation_t",
        "depolarisation_t",
        "peak_50_width",
        "trough_50_width",
        "onset_t",
        "wvf_width",
    ):
        table[name] /= 3000
    for name in ("repolarisation_slope", "depolarisation_slope"):
        table[name] *= 30
    table["tau_recovery"] /= 30
    ours = read_labelled(write(table, tmp_path / "ms.csv"))
    theirs = read_labelled(write(make_table(3, 0), tmp_path / "ticks.csv"))
    np.testing.assert_allclose(read_columns(ours.features), read_columns(theirs.features), rtol=1e-9)


def test_rows_that_could_not_be_computed_are_missing(tmp_path: Path) -> None:
    table = make_table(2, 0, species=("mouse",))
    shapes = table.columns[list(table.columns).index("trough_voltage") : -1]
    table.loc[1, shapes] = 0.0
    table.loc[1, "depolarisation_slope"] = 0.8  # what is left where nothing could be measured
    table.loc[2, "mfr"] = np.inf
    table["CV"] = table["CV"].astype(object)
    table.loc[3, "CV"] = "n/a"
    labelled = read_labelled(write(table, tmp_path / "t.csv"))
    columns = read_columns(labelled.features)
    assert np.isnan(columns[1, SHAPES]).all()
    assert np.isfinite(columns[1, SPIKES]).all()
    assert np.isnan(columns[2, COLUMNS.index("mfr")])
    assert np.isnan(columns[3, COLUMNS.index("CV")])
    assert labelled.features["waveform_reason"].values.tolist() == ["", "no mean waveform", "", "", "", ""]


BAD: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "words": (
        lambda t: t.astype(object).assign(mfr="fast"),
        "row 1 below the header: `mfr` is 'fast'; a number is needed",
    ),
    "one name twice": (lambda t: t.assign(**{" mfr": 1.0}), "several columns named 'mfr'"),
    "no statistics": (lambda t: t[["unit", "cell_type"]], "holds 0 of the statistics of units by name"),
    "no rows": (lambda t: t.iloc[:0], "holds no rows"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_refused(case: str, tmp_path: Path) -> None:
    change, said = BAD[case]
    with pytest.raises(InputError, match=said):
        read_labelled(write(change(make_table(1, 0)), tmp_path / "t.csv"))


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv cannot be read"):
        read_labelled(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"mfr,\xff\xfe\n1,2\n")
    with pytest.raises(InputError, match="is no table"):
        read_labelled(tmp_path / "b.csv")
    with pytest.raises(UsageError, match="carries its own labels"):
        read_labelled(tmp_path / "b.csv", labels="labels.csv")


def test_the_model_knows_the_classes(model: StatisticsModel, folder: Path) -> None:
    asked = read_labelled(folder / "asked.csv")
    prediction = model.predict(asked.features)
    assert model.classes == CLASSES
    assert prediction.used.all()
    np.testing.assert_allclose(prediction.probability.sum(axis=1), 1)
    right = np.array(CLASSES)[prediction.probability.argmax(axis=1)] == asked.cell_type
    assert right.mean() > 0.9
    assert np.isfinite(prediction.ood_score).all()
    assert (prediction.ood_score > 0.5).mean() < 0.1


def test_heads_are_by_species(model: StatisticsModel) -> None:
    assert set(model.heads) == {f"{h}{m}" for h in ("mouse", "macaque", OTHER) for m in ("", "/waveform", "/train")}
    assert model.heads_of(["Mus musculus", "Macaca mulatta", "", "rat"]).tolist() == ["mouse", "macaque", OTHER, OTHER]
    dropped = {h: set(said["columns_not_carried_over"]) for h, said in model.card["architecture"]["heads"].items()}
    assert dropped["mouse"] >= SHIFTED
    assert dropped[OTHER] >= SHIFTED
    assert not dropped[OTHER] & {"mfr", "mifr", "trough_50_width", "wvf_width"}
    used = set(np.array(COLUMNS)[model.heads[OTHER].place])
    assert not used & SHIFTED
    assert set(np.array(COLUMNS)[model.heads["mouse"].place]) >= SHIFTED


def test_amplitude_and_missing_values_are_no_cue(model: StatisticsModel, folder: Path) -> None:
    assert not {"trough_voltage", "peak_voltage", "onset_amp", "n_spikes"} & {c for g in GROUPS.values() for c in g}
    asked = read_labelled(folder / "asked.csv").features.copy(deep=True)
    before = model.predict(asked)
    names = list(UNIT_STATISTICS)
    for name in ("trough_voltage", "peak_voltage", "onset_amp", "multiplicative_a_recovery"):
        asked["unit_statistics"][:, names.index(name)] *= 7
    np.testing.assert_array_equal(model.predict(asked).probability, before.probability)
    # A missing value is worth the median of the training rows, whatever the class.
    asked["unit_statistics"][:, names.index("SKW")] = np.nan
    median = read_columns(asked)
    median[:, COLUMNS.index("SKW")] = model.heads["mouse"].median[COLUMNS.index("SKW")]
    head = model.heads["mouse"]
    np.testing.assert_allclose(head.probabilities(read_columns(asked)), head.probabilities(median))
    assert model.missing(asked)[0] == ("SKW", "spatial_decay_24um", "dendritic_comp_amp")


def test_one_modality_has_heads_of_its_own(model: StatisticsModel, folder: Path) -> None:
    asked = read_labelled(folder / "asked.csv").features
    alone = model.predict(asked, modalities=["train"])
    assert alone.used.tolist() == [[False, True]] * len(alone)
    changed = asked.copy(deep=True)
    names = list(UNIT_STATISTICS)
    changed["unit_statistics"][:, names.index("wvf_width")] *= 5
    np.testing.assert_array_equal(model.predict(changed, modalities=["train"]).probability, alone.probability)
    changed["unit_statistics"][0] = np.nan
    nothing = model.predict(changed)
    assert np.isnan(nothing.probability[0]).all()
    assert not nothing.used[0].any()
    assert np.isnan(nothing.ood_score[0])


def test_units_of_a_recording_are_answered(model: StatisticsModel) -> None:
    rng = np.random.default_rng(0)
    t = np.arange(-30, 60) / 30
    wave = -80 * np.exp(-((t / 0.1) ** 2)) + 30 * np.exp(-(((t - 0.4) / 0.2) ** 2))
    train = np.cumsum(0.004 + rng.gamma(4, 0.002, 3000))
    units = nct.Units.from_arrays(
        [train, np.empty(0), train], waveform_mean=[wave, wave, None], waveform_rate_hz=30_000
    )
    prediction = model.predict(nct.features.compute(units))
    assert prediction.used.tolist() == [[True, True], [True, False], [False, True]]
    np.testing.assert_allclose(prediction.probability.sum(axis=1), 1)
    # Counts alone tell no statistics of intervals; the waveform is described as far as it goes.
    counted = model.predict(from_counts([wave, None], 30_000))
    assert counted.used.tolist() == [[True, False], [False, False]]


def test_evaluate_leaves_training_rows_out(model: StatisticsModel, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NothingToDoError, match="trained on 120"):
        nct.evaluate(model, folder / "taught.csv")
    both = tmp_path / "both.csv"
    lines = (folder / "asked.csv").read_text().splitlines() + (folder / "taught.csv").read_text().splitlines()[1:]
    both.write_text("\n".join(lines))
    evaluation = nct.evaluate(model, both)
    assert evaluation.scores.n == 72
    assert evaluation.to_json()["n_left_out"] == 120
    assert evaluation.scores.balanced_accuracy > 0.9


def test_the_same_again(folder: Path, tmp_path: Path) -> None:
    again = train_statistics(folder / "taught.csv", out=tmp_path / "again", name="small", settings=SMALL)
    assert again.weights_sha256 == load_model(folder / "model").weights_sha256
    assert json.loads((tmp_path / "again" / "model.json").read_text())["training"]["group_by"] == "recording"


def test_no_row_is_in_the_weights(model: StatisticsModel, folder: Path) -> None:
    columns = read_columns(read_labelled(folder / "taught.csv").features)
    for head in model.heads.values():
        z = head.standardised(columns).astype(np.float32)
        for places, forest in head.forests:
            inner = forest.feature >= 0
            thresholds = forest.threshold[inner]
            values = z[:, places][:, forest.feature[inner]]
            assert (np.abs(values - thresholds) < 1e-7).any(axis=0).mean() < 0.05


def test_a_species_without_labels_gets_a_head(folder: Path, tmp_path: Path) -> None:
    mice = write(make_table(20, 0, species=("mouse",)), tmp_path / "mice.csv")
    macaques = write(make_table(20, 7, species=("macaque",)), tmp_path / "macaques.csv")
    stranger = write(make_table(45, 3, species=("macaque",)).drop(columns="cell_type"), tmp_path / "unlabelled.csv")
    taught = train_statistics(mice, out=tmp_path / "m", name="m", unlabelled=stranger, settings=SMALL)
    heads = taught.card["architecture"]["heads"]
    assert {name.partition("/")[0] for name in heads} == {OTHER, "macaque"}
    assert heads["macaque"]["units_without_labels"] == 135
    assert set(heads["macaque"]["columns_not_carried_over"]) >= {"CV2_mean", "Lv"}
    assert heads[OTHER]["columns_not_carried_over"] == []
    naive = train_statistics(mice, out=tmp_path / "n", name="n", settings=SMALL)
    scores = [nct.evaluate(one, macaques).scores.balanced_accuracy for one in (taught, naive)]
    assert scores[0] > max(scores[1], 0.8)


def test_labels_of_the_species_asked_about_change_nothing(tmp_path: Path) -> None:
    mice = write(make_table(8, 0, species=("mouse",)), tmp_path / "mice.csv")
    table = make_table(6, 3, species=("macaque",))
    honest = write(table, tmp_path / "a.csv")
    lying = write(table.assign(cell_type="GoC"), tmp_path / "b.csv")
    found = [
        train_statistics(
            mice, out=tmp_path / p.stem, name="m", unlabelled=p, settings=replace(SMALL, n_shift_subspaces=2)
        ).weights_sha256
        for p in (honest, lying)
    ]
    assert found[0] == found[1]


def test_shifts_are_measured_within_classes(folder: Path) -> None:
    pool = make_statistics_pool([read_labelled(folder / "taught.csv")])
    rows = pool.taught(np.arange(len(pool)), "macaque")
    shift = dict(zip(COLUMNS, measured_shift(rows, SMALL), strict=True))
    assert min(shift["CV2_mean"], shift["Lv"]) > 1.5 > 1 > max(shift["mfr"], shift["trough_50_width"])
    everyone = pool.taught(np.arange(len(pool)), "")
    assert usable_columns(everyone, np.empty((0, len(COLUMNS))), SMALL).dropped == ()


def test_weights_of_rows_count() -> None:
    rng = np.random.default_rng(0)
    columns = np.tile(rng.normal(size=(40, 1)), (1, len(COLUMNS))) + 0.1 * rng.normal(size=(40, len(COLUMNS)))
    y = (columns[:, 0] > 0).astype(int)
    flipped = np.concatenate([y, 1 - y])
    rows = TaughtRows(
        np.tile(columns, (2, 1)), one_hot(flipped, 2), np.ones(80, bool), np.full(80, ""), np.repeat([1.0, 0.01], 40)
    )
    usable = usable_columns(rows, columns[:0], SMALL)
    assert (fit_head(rows, usable, SMALL, seed=0).probabilities(columns).argmax(axis=1) == y).mean() > 0.9
    swapped = replace(rows, weights=np.repeat([0.01, 1.0], 40))
    assert (
        fit_taught(swapped, columns[:0], usable, SMALL, seed=0).probabilities(columns).argmax(axis=1) == y
    ).mean() < 0.1


def test_folds_keep_recordings_together() -> None:
    groups = np.repeat(["a", "b", "c", ""], [5, 3, 2, 4])
    fold = grouped_folds(groups, 3, seed=0)
    assert [len(set(fold[groups == name])) for name in "abc"] == [1, 1, 1]
    assert len(set(fold[groups == ""])) > 1


def test_folds_by_subject(folder: Path) -> None:
    data = [read_labelled(folder / "taught.csv")]
    assert len(set(make_statistics_pool(data, group_by="subject").groups)) == 8
    with pytest.raises(UsageError, match="recording or subject"):
        make_statistics_pool(data, group_by="lab")


def test_what_cannot_be_trained_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'MLI' has fewer than 2 units"):
        train_statistics(folder / "taught.csv", out=tmp_path / "m", name="m", classes=["GoC", "MLI"])
    with pytest.raises(UsageError, match="Two or more different classes"):
        train_statistics(folder / "taught.csv", out=tmp_path / "m", name="m", classes=["GoC"])
    unlabelled = write(make_table(3, 0).drop(columns="cell_type"), tmp_path / "u.csv")
    with pytest.raises(NothingToDoError, match="None of 18 units"):
        train_statistics(unlabelled, out=tmp_path / "m", name="m")


def test_duplicates_are_used_once(tmp_path: Path) -> None:
    first, second = write(make_table(6, 0), tmp_path / "a.csv"), write(make_table(6, 0), tmp_path / "b.csv")
    assert len(make_statistics_pool([read_labelled(first), read_labelled(second)])) == 36


DAMAGE = {
    "columns": lambda card: card["architecture"]["columns"].reverse(),
    "no other head": lambda card: card["architecture"]["heads"].pop(OTHER),
    "fewer forests": lambda card: card["architecture"]["heads"]["mouse"].update(forests=1),
    "temperature": lambda card: card["calibration"]["temperature"]["mouse"].update(train=0.0),
    "no limits": lambda card: card["ood"].pop("distance_limits"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_models_are_refused(damage: str, folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder / "model", tmp_path / "copy")
    card = json.loads((copy / "model.json").read_text())
    DAMAGE[damage](card)
    (copy / "model.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match=r"[Gg]et the (whole )?model again"):
        load_model(copy)


def test_arrays_can_be_asked_too(model: StatisticsModel, tmp_path: Path) -> None:
    arrays = read_labelled(save(tmp_path / "units.npz", make_arrays(2, 0)))
    assert np.isfinite(model.predict(arrays.features).probability).all()


def test_the_shipped_model_is_honest() -> None:
    model = load_model("cerebellum-statistics")
    assert model.card["licence"] == "CC-BY-NC-SA-4.0"
    assert any("interneurons are unreliable in a species without labels" in text for text in model.card["limits"])
    assert model.card["metrics"]["mouse"]["all units"]["balanced_accuracy"] > 0.79
    assert {"mouse", "macaque", OTHER} <= set(model.card["metrics"])


def test_the_shipped_model_knows_the_table() -> None:
    table = SHARED_DATA / "unit_features.csv"
    if not table.is_file():
        pytest.skip("the C4 table of statistics is not on this machine and may not be shipped")
    with pytest.raises(NothingToDoError, match="trained on 693"):
        nct.evaluate("cerebellum-statistics", table)


def test_protocols_on_made_up_units(folder: Path, tmp_path: Path) -> None:
    table = make_table(12, 0)
    more = make_table(12, 5)
    names = {"GoC": "MFB", "PkC_cs": "MLI", "PkC_ss": "PkC_ss"}
    more["cell_type"] = more["cell_type"].map(names)
    path = write(pd.concat([table, more]), tmp_path / "t.csv")
    found = protocols(path, 1, settings=replace(SMALL, subspaces=2, trees=2, n_shift_subspaces=2), nested_seeds=1)
    assert [entry["n"] for entry in found.values()] == [72] * 6
    for entry in found.values():
        assert 0 <= entry["interval"][0] <= entry["interval"][1] <= 1
        assert 0 <= entry["nested"][0]["threshold for 0.97"]["coverage"] <= 1
        assert np.sum(entry["confusion"]) == pytest.approx(72)
    with pytest.raises(InputError, match="class 'MFB' has fewer than 2 units"):
        protocols(folder / "taught.csv", 1)
