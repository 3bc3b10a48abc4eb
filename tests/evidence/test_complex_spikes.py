"""Purkinje cells by the pause of simple spikes: found when there, not found in anything that merely looks like it."""

from __future__ import annotations

import numpy as np
import pytest
from ndx_cell_type.evidence import evidence_problems

from nwb_celltype.errors import UsageError
from nwb_celltype.evidence import Pair, PauseRule, cs_ss_pairs, pause_statistics, purkinje_cells
from nwb_celltype.evidence.complex_spikes import adjusted_p_values
from nwb_celltype.units import Units

from .recordings import hippocampus_and_cortex, macaque_purkinje
from .trains import Float, complex_spikes, firing, modulated, purkinje_cell

LIMIT = PauseRule().max_false_rate


def is_called(complex_: Float, simple: Float) -> bool:
    """Whether the rule holds for two trains on their own, rates aside."""
    seen = pause_statistics(complex_, simple)
    return not seen.problem and seen.p <= LIMIT


def test_the_real_purkinje_cell() -> None:
    complex_, simple = macaque_purkinje()
    seen = pause_statistics(complex_, simple)
    assert seen.n_complex_spikes == 45
    assert round(seen.per_12_ms_before, 2) == 0.71
    assert round(seen.per_12_ms_after, 2) == 0.09
    assert seen.p < 1e-5
    assert 10 < seen.pause_ms < 30
    run = purkinje_cells(Units.from_arrays([simple, complex_], unit_ids=[12, 40]))
    assert run.cell_type.tolist() == ["PkC_ss", "PkC_cs"]
    assert run.cell_id is not None
    assert run.cell_id.tolist() == ["purkinje_ss12_cs40"] * 2
    assert run.evidence is not None
    assert "0.71 in the 12 ms before, 0.09 in the 12 ms after" in run.evidence[0][0]["note"]
    assert not is_called(simple, complex_)


def test_the_real_cell_with_its_complex_spikes_moved() -> None:
    complex_, simple = macaque_purkinje()
    rng = np.random.default_rng(0)
    moved = [np.sort((complex_ + by) % 47) for by in rng.uniform(1, 46, 300)]
    shuffled = [np.cumsum(rng.permutation(np.diff(complex_, prepend=0.0))) for _ in range(300)]
    assert sum(is_called(train, simple) for train in moved + shuffled) == 0


def test_no_purkinje_cells_in_the_hippocampus() -> None:
    sessions = hippocampus_and_cortex()
    assert sum(len(cs_ss_pairs(Units.from_arrays(session))) for session in sessions) == 0
    every = [train for session in sessions for train in session]
    pairs = [(i, j) for i in range(len(every)) for j in range(len(every)) if i != j]
    assert len(pairs) > 100  # of one session and of two, whatever their rates
    assert cs_ss_pairs(Units.from_arrays(every), candidates=pairs) == []


@pytest.mark.parametrize("kind", ["steady", "rhythmic"])
def test_unrelated_trains_are_not_paired(kind: str) -> None:
    rng = np.random.default_rng(1)
    called = 0
    for _ in range(200):
        rate = rng.uniform(15, 120)
        simple = firing(rng, rate, 400, rng.uniform(1, 10)) if kind == "steady" else modulated(rng, rate, 400)
        called += is_called(complex_spikes(rng, rng.uniform(0.3, 2.5), 400), simple)
    assert called == 0


def test_p_of_unrelated_trains_keeps_its_promise() -> None:
    """Every pair gets a p value, whatever the depth of its pause."""
    rng = np.random.default_rng(12)
    rule = PauseRule(max_after_ratio=100.0, min_near_ratio=0.0, max_peak_ratio=1e6, min_near_expected=0.0)
    seen = []
    for k in range(400):
        simple = firing(rng, 60, 100, 1.0) if k % 2 else modulated(rng, 60, 100)
        seen.append(pause_statistics(complex_spikes(rng, 1.0, 100), simple, rule))
    assert {each.problem for each in seen} == {""}
    p = np.array([each.p for each in seen])
    for level in (0.01, 0.05, 0.2):
        assert np.mean(p < level) <= level + 0.01
    assert np.median(p) > 0.3


def test_every_purkinje_cell_is_found_and_none_is_mixed_up() -> None:
    rng = np.random.default_rng(2)
    trains: list[Float] = []
    for _ in range(12):
        trains += purkinje_cell(rng, 300, rng.uniform(25, 100), rng.uniform(0.4, 1.8))
    trains += [firing(rng, rate, 300) for rate in (0.5, 1, 2, 20, 40, 80)]
    order = rng.permutation(len(trains))
    units = Units.from_arrays([trains[k] for k in order], unit_ids=order)
    pairs = cs_ss_pairs(units)
    assert [(pair.cs_unit_id, pair.ss_unit_id) for pair in pairs] == [(2 * k, 2 * k + 1) for k in range(12)]
    assert all(pair.cell_id == f"purkinje_ss{pair.ss_unit_id}_cs{pair.cs_unit_id}" for pair in pairs)
    assert pairs[0].n_pairs_tested > 200
    assert repr(cs_ss_pairs(units)) == repr(pairs)


def test_the_own_cell_is_chosen_over_a_neighbour_with_synchronous_complex_spikes() -> None:
    rng = np.random.default_rng(3)
    complex_, simple = purkinje_cell(rng, 600)
    other = firing(rng, 70, 600)
    shared = complex_[rng.random(len(complex_)) < 0.75]
    since = other - shared[np.maximum(np.searchsorted(shared, other, side="right") - 1, 0)]
    neighbour = other[~((since >= 0) & (since < 0.02))]
    assert is_called(complex_, neighbour)
    pairs = cs_ss_pairs(Units.from_arrays([neighbour, complex_, simple]))
    assert [(pair.cs_unit_id, pair.ss_unit_id) for pair in pairs] == [(1, 2)]


@pytest.mark.parametrize("share", [0.01, 0.03])
@pytest.mark.parametrize("regularity", [1.0, 4.0, 20.0, 60.0])
def test_a_unit_split_in_two_is_no_pair(share: float, regularity: float) -> None:
    rng = np.random.default_rng(4)
    for _ in range(10):
        whole = firing(rng, rng.uniform(30, 100), 400, regularity)
        small = rng.random(len(whole)) < share
        assert not is_called(whole[small], whole[~small])


@pytest.mark.parametrize("interval_ms", [3.0, 5.0, 8.0, 12.0])
def test_the_second_spikes_of_doublets_are_no_complex_spikes(interval_ms: float) -> None:
    rng = np.random.default_rng(5)
    for _ in range(10):
        whole = firing(rng, rng.uniform(30, 80), 400, 20.0)
        first = whole[rng.random(len(whole)) < 0.03]
        second = first + 1e-3 * interval_ms * (1 + 0.1 * rng.standard_normal(len(first)))
        second.sort()
        since = whole - second[np.maximum(np.searchsorted(second, whole, side="right") - 1, 0)]
        rest = whole[~((since >= 0) & (since < 0.012))]  # the cell goes on after its doublet
        assert not is_called(second, rest)


def test_the_reason_of_a_refusal_is_said() -> None:
    rng = np.random.default_rng(6)
    whole = firing(rng, 60, 400, 20.0)
    small = rng.random(len(whole)) < 0.02
    assert pause_statistics(np.arange(5.0), whole).problem == "only 5 spikes, 20 are needed"
    assert pause_statistics(np.arange(50.0), np.empty(0)).problem == "spike times are missing or not ascending numbers"
    assert pause_statistics(np.arange(50.0), np.array([3.0, 1.0])).problem.startswith("spike times are missing")
    assert "two parts of one unit look so" in pause_statistics(whole[small], whole[~small]).problem
    unrelated = pause_statistics(complex_spikes(rng, 1, 400), whole)
    assert unrelated.problem == "there are not fewer spikes after than before"
    complex_, simple = purkinje_cell(rng, 60, 20, 0.5)
    assert "too few spikes to tell" in pause_statistics(complex_, simple).problem
    complex_, simple = purkinje_cell(rng, 300)
    since = complex_[np.minimum(np.searchsorted(complex_, simple), len(complex_) - 1)] - simple
    silent_before = simple[~((since > 0) & (since < 0.005))]
    assert "silent right before the first too" in pause_statistics(complex_, silent_before).problem
    leading = np.sort(np.concatenate([simple, complex_ - 0.006]))
    assert "at a fixed interval before" in pause_statistics(complex_, leading).problem


def test_rates_and_distance_say_which_pairs_are_tested() -> None:
    rng = np.random.default_rng(7)
    complex_, simple = purkinje_cell(rng, 300)
    positions = np.array([[0.0, 0.0], [0.0, 200.0], [0.0, 400.0]])

    def found(first: int, second: int, **more: float) -> list[Pair]:
        units = Units.from_arrays([complex_, simple], electrodes=[[first], [second]], channel_positions=positions)
        return cs_ss_pairs(units, **more)  # type: ignore[arg-type]

    assert found(0, 1)[0].distance_um == 200
    assert found(0, 2) == []
    assert found(0, 2, max_distance_um=500.0)[0].distance_um == 400
    assert np.isnan(cs_ss_pairs(Units.from_arrays([complex_, simple]))[0].distance_um)
    units = Units.from_arrays([complex_, simple])
    assert cs_ss_pairs(units, rule=PauseRule(min_ss_rate_hz=100.0)) == []
    assert cs_ss_pairs(units, rule=PauseRule(cs_rate_hz=(2.0, 5.0))) == []


def test_observed_intervals_count_for_rates() -> None:
    rng = np.random.default_rng(8)
    complex_, simple = purkinje_cell(rng, 300)
    trains = [complex_, simple, np.array([0.0, 3000.0])]  # over the whole time, simple spikes come 6 times a second
    assert cs_ss_pairs(Units.from_arrays(trains)) == []
    observed = [[[0.0, 300.0]], [[0.0, 300.0]], [[0.0, 3000.0]]]
    assert len(cs_ss_pairs(Units.from_arrays(trains, obs_intervals=observed))) == 1


def test_spikes_outside_observed_intervals_count_for_no_rate() -> None:
    rng = np.random.default_rng(5)
    complex_, simple = purkinje_cell(rng, 120.0)
    units = Units.from_arrays([complex_, simple], obs_intervals=[[[0.0, 20.0]], [[0.0, 20.0]]])
    (pair,) = cs_ss_pairs(units)  # six times the rate, if all spikes were counted in the 20 s
    assert (pair.cs_unit_id, pair.ss_unit_id) == (0, 1)


def test_candidates_alone_are_tested() -> None:
    rng = np.random.default_rng(9)
    trains = [*purkinje_cell(rng, 300), *purkinje_cell(rng, 300)]
    units = Units.from_arrays(trains, unit_ids=[5, 6, 7, 8])
    (pair,) = cs_ss_pairs(units, candidates=[(7, 8), (5, 8), (7, 8), (5, 5)])
    assert (pair.cs_unit_id, pair.ss_unit_id, pair.n_pairs_tested) == (7, 8, 2)
    with pytest.raises(UsageError, match="99"):
        cs_ss_pairs(units, candidates=[(5, 99)])


def test_damaged_trains_are_passed_over() -> None:
    rng = np.random.default_rng(10)
    complex_, simple = purkinje_cell(rng, 300)
    damaged = [np.append(simple, 1.0), np.append(complex_, np.nan), np.empty(0)]
    pairs = cs_ss_pairs(Units.from_arrays([*damaged, complex_, simple]))
    assert [(pair.cs_unit_id, pair.ss_unit_id) for pair in pairs] == [(3, 4)]


def test_the_run_labels_pairs_and_abstains_on_the_rest() -> None:
    rng = np.random.default_rng(11)
    units = Units.from_arrays([firing(rng, 30, 300), *purkinje_cell(rng, 300)], unit_ids=[30, 10, 20])
    run = purkinje_cells(units)
    assert run.cell_type.tolist() == ["unclassified", "PkC_cs", "PkC_ss"]
    assert run.reason.tolist() == ["not_labelled", "", ""]
    assert run.cell_id is not None
    assert run.cell_id.tolist() == ["", "purkinje_ss20_cs10", "purkinje_ss20_cs10"]
    assert run.method.source_type == "rule"
    assert run.method.fields["parameters"]["rule"] == "cs_ss_pause"
    assert run.evidence is not None
    assert evidence_problems([row for rows in run.evidence for row in rows]) == []
    (pair,) = cs_ss_pairs(units)
    with pytest.raises(UsageError, match="in two pairs"):
        purkinje_cells(units, [pair, pair])


def test_p_values_are_adjusted_for_their_number() -> None:
    assert adjusted_p_values(np.empty(0)).tolist() == []
    p = np.array([0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205])
    expected = [0.008, 0.032, 0.0672, 0.0672, 0.0672, 0.08, 0.0845714, 0.205]
    assert np.allclose(adjusted_p_values(p), expected)
    assert np.allclose(adjusted_p_values(p[::-1]), expected[::-1])


def test_ranges_that_run_backwards_are_refused() -> None:
    with pytest.raises(UsageError, match="runs backwards: 12 to 1"):
        PauseRule(after_ms=(12.0, 1.0))


def test_units_of_two_probes_are_no_pair() -> None:
    """Positions are those on a probe: 0 um apart on two probes means nothing."""
    complex_, simple = purkinje_cell(np.random.default_rng(3), 200)
    units = Units.from_arrays([simple, complex_])
    assert len(cs_ss_pairs(units, groups=["imec0", "imec0"])) == 1
    assert cs_ss_pairs(units, groups=["imec0", "imec1"]) == []
    assert len(cs_ss_pairs(units, groups=["imec0", ""])) == 1
    assert cs_ss_pairs(units, groups=["imec0", "imec1"], candidates=[(1, 0)]) == []
    assert purkinje_cells(units, groups=["imec0", "imec1"]).is_abstained.all()
    with pytest.raises(UsageError, match="1 groups for 2 units"):
        cs_ss_pairs(units, groups=["imec0"])
