"""The optotag rule: what it calls tagged, what it refuses and why, and the run that it makes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from ndx_cell_type.evidence import evidence_problems
from ndx_cell_type.vocabulary import REASONS

from nwb_celltype.annotation import Annotation
from nwb_celltype.errors import UsageError
from nwb_celltype.evidence import (
    EvokedWaveforms,
    OptotagResponse,
    OptotagRule,
    Stimulation,
    UnitResponse,
    identified,
)
from nwb_celltype.evidence.tagged_units import classes_of
from nwb_celltype.taxonomy import CEREBELLUM
from nwb_celltype.units import Units

from .trains import Float, evoked, firing, modulated, pulse_onsets

SECONDS = 330.0
GOOD = OptotagResponse(200, 0.8, 0.05, 0.79, 158.0, 3.0, 0.5, 0.0, 0.03, 0.0, 0.0, 5.0)


@dataclass(frozen=True)
class Bath:
    name: str
    from_s: float
    to_s: float | None = None


def judged(response: OptotagResponse, *, blocker: str = "", r: float = np.nan, **limits: Any) -> str:
    """Empty when the rule holds, else the sentence why not."""
    verdict = OptotagRule(**limits).judge([UnitResponse("laser", "MLI", blocker, response, r)])
    return "" if verdict.holds else verdict.sentence


def run_on(
    *trains: Float, onsets: Float, tags: str = "MLI", blockers: tuple[Bath, ...] = (), **more: Any
) -> Annotation:
    stimulation = Stimulation("laser", onsets, 0.005, tags=tags, blockers=blockers)
    return identified(Units.from_arrays(list(trains)), [stimulation], **more)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"salt_p": 0.02}, "SALT p is 0.02, not below 0.01"),
        ({"salt_p": np.nan}, "SALT p is nan"),
        ({"excess": 0.05}, "light makes it fire on 5% of pulses, below 10%"),
        ({"excess": np.nan}, "light makes it fire on nan% of pulses"),
        ({"latency_ms": 6.0}, "the latency of 6.0 ms is above 5 ms, the limit without blockers"),
        ({"latency_ms": np.nan}, "no more spikes after light than chance explains"),
        ({"jitter_ms": 3.5}, "the jitter of 3.5 ms is above 3 ms"),
        ({"jitter_ms": 0.01}, "the latency varies by 0.010 ms alone, as artefacts of light do"),
        ({"onset_artefact": 0.5}, "spikes lie right at the onset of 50% of pulses"),
    ],
)
def test_each_limit_is_kept(changes: dict[str, Any], why: str) -> None:
    assert judged(GOOD) == ""
    assert why in judged(replace(GOOD, **changes))


def test_waveforms_count_where_they_are_known() -> None:
    assert judged(GOOD, r=0.95) == ""
    assert "correlate by 0.80, below 0.9" in judged(GOOD, r=0.80)
    assert judged(GOOD, r=0.86, min_waveform_correlation=0.85) == ""
    assert "were not compared" in judged(GOOD, needs_waveforms=True)
    assert judged(replace(GOOD, onset_artefact=0.5), r=0.95) == ""


def test_blockers_allow_later_responses_and_can_be_asked_for() -> None:
    late = replace(GOOD, latency_ms=8.0)
    assert "without blockers" in judged(late)
    assert judged(late, blocker="gabazine") == ""
    assert "11.0 ms is above 10 ms, the limit with blockers" in judged(replace(GOOD, latency_ms=11.0), blocker="NBQX")
    assert "no pulses were given under synaptic blockers" in judged(GOOD, needs_blockers=True)


def test_the_response_under_most_blockers_decides() -> None:
    gone = replace(GOOD, excess=0.01, salt_p=0.5, latency_ms=np.nan)
    rule = OptotagRule()

    def verdict(*pairs: tuple[str, OptotagResponse]) -> tuple[bool, str]:
        judged_ = rule.judge([UnitResponse("laser", "MLI", blocker, each) for blocker, each in pairs])
        return judged_.holds, judged_.sentence

    assert verdict(("", GOOD), ("gabazine", GOOD), ("gabazine, NBQX", GOOD))[0]
    assert not verdict(("", GOOD), ("gabazine", GOOD), ("gabazine, NBQX", gone))[0]
    assert verdict(("", gone), ("gabazine, NBQX", GOOD))[0]
    assert not verdict(("NBQX", replace(GOOD, n_pulses=900)), ("APV, NBQX", gone))[0]
    holds, sentence = verdict(("", GOOD), ("NBQX", replace(GOOD, excess=0.3)))
    assert not holds
    assert "synaptic blockers take the response from 79% to 30% of pulses" in sentence
    untested = OptotagResponse(3, problem="only 3 of 3 pulses")
    assert verdict(("", GOOD), ("NBQX", untested))[0]
    assert rule.judge([]).sentence == "Not tested: there are no pulses."


def test_a_tagged_unit_is_proposed_with_its_numbers() -> None:
    rng = np.random.default_rng(0)
    onsets = pulse_onsets(rng, 400)
    tagged = evoked(rng, firing(rng, 12, SECONDS), onsets, latency_ms=3.2, jitter_ms=0.5, reliability=0.8)
    run = run_on(tagged, firing(rng, 40, SECONDS), onsets=onsets)
    assert run.cell_type.tolist() == ["MLI", "unclassified"]
    assert run.method.source_type == "rule"
    assert run.method.fields["parameters"]["rule_version"] == "2"
    assert "doi:10.1038/nature12176" in run.method.fields["references"]
    assert run.reason.tolist() == ["", "not_labelled"]
    assert run.reason_detail[0].startswith("Light (laser) makes it fire on ")
    assert run.reason_detail[1].startswith("Not tagged by laser: SALT p is ")
    assert run.evidence is not None
    assert [len(rows) for rows in run.evidence] == [1, 1]  # the unit that does not respond was tested too
    row = run.evidence[0][0]
    assert row["kind"] == "optotag"
    assert row["latency_ms"] == pytest.approx(3.2, abs=0.2)
    assert row["jitter_ms"] == pytest.approx(0.5, abs=0.15)
    assert row["reliability"] == pytest.approx(0.82, abs=0.06)
    assert row["n_pulses"] == 400
    assert "blocker" not in row
    assert "waveform_correlation" not in row
    assert evidence_problems([piece for rows in run.evidence for piece in rows]) == []
    assert set(run.reason) - {""} <= set(REASONS)


def test_the_rule_labels_no_unit_that_does_not_respond() -> None:
    """1000 units without a response, steady and rhythmic, 0.5 to 100 spikes/s."""
    rng = np.random.default_rng(1)
    onsets = pulse_onsets(rng, 100)
    makers = (firing, modulated)
    rates = np.exp(rng.uniform(np.log(0.5), np.log(100), 1000))
    trains = [makers[k % 2](rng, float(rate), 90) for k, rate in enumerate(rates)]
    assert int(np.sum(~run_on(*trains, onsets=onsets).is_abstained)) == 0
    bath = (Bath("NBQX", 0.0),)  # with blockers later responses are allowed
    assert int(np.sum(~run_on(*trains, onsets=onsets, blockers=bath).is_abstained)) == 0
    trains_of_light = (np.arange(5, 85, 4)[:, None] + 0.05 * np.arange(20)).ravel()
    assert int(np.sum(~run_on(*trains, onsets=trains_of_light, blockers=bath).is_abstained)) == 0
    endless = np.arange(5, 85, 0.05)
    assert int(np.sum(~run_on(*trains[:300], onsets=endless, blockers=bath).is_abstained)) == 0


def test_spikes_that_light_itself_makes_are_no_response() -> None:
    rng = np.random.default_rng(2)
    onsets = pulse_onsets(rng, 400)
    spontaneous = firing(rng, 12, SECONDS)
    in_dead_time = evoked(rng, spontaneous, onsets, latency_ms=0.5, jitter_ms=0.1, reliability=0.95)
    locked = evoked(rng, spontaneous, onsets, latency_ms=1.6, jitter_ms=0.01, reliability=0.95)
    at_the_end = evoked(rng, spontaneous, onsets, latency_ms=5.4, jitter_ms=0.02, reliability=0.95)
    smeared = evoked(rng, spontaneous, onsets, latency_ms=1.8, jitter_ms=0.2, reliability=0.95)
    spike, transient = np.sin(np.arange(60) / 5), np.exp(-np.arange(60) / 10)
    waveforms = [EvokedWaveforms(3, "laser", transient, spike)]
    run = run_on(in_dead_time, locked, at_the_end, smeared, onsets=onsets, waveforms=waveforms)
    assert run.is_abstained.all()
    assert "artefacts of light" in run.reason_detail[1]
    assert "waveforms correlate" in run.reason_detail[3]
    assert run.evidence is not None
    assert "of pulses have a spike right at their onset, which is not counted" in run.evidence[0][0]["note"]
    assert "have a spike right after their end, always at the same time, which is not" in run.evidence[2][0]["note"]
    assert "% of pulses all but coincide, as artefacts do, and are not counted" in run.reason_detail[2]


@pytest.mark.parametrize("duration_ms", [1.0, 2.0, 3.0, 4.0])
def test_spikes_locked_to_the_end_of_short_pulses_are_no_response(duration_ms: float) -> None:
    rng = np.random.default_rng(9)
    onsets = pulse_onsets(rng, 400)
    laser = [Stimulation("laser", onsets, 1e-3 * duration_ms, tags="MLI")]
    spontaneous = [firing(rng, rate, SECONDS) for rate in (2, 12, 60)]
    locked = [
        evoked(rng, train, onsets, latency_ms=duration_ms + 0.4, jitter_ms=jitter_ms, reliability=share)
        for train in spontaneous
        for jitter_ms in (0.0, 0.01, 0.03)
        for share in (0.2, 0.95)
    ]
    assert identified(Units.from_arrays(locked), laser).is_abstained.all()
    smeared = evoked(rng, spontaneous[1], onsets, latency_ms=duration_ms + 0.5, jitter_ms=0.15, reliability=0.9)
    spike, transient = np.sin(np.arange(60) / 5), np.exp(-np.arange(60) / 10)
    units = Units.from_arrays([smeared])
    refused = identified(units, laser, waveforms=[EvokedWaveforms(0, "laser", transient, spike)])
    assert "% of pulses, as artefacts of light do" in refused.reason_detail[0]
    accepted = identified(units, laser, waveforms=[EvokedWaveforms(0, "laser", spike, spike)])
    assert accepted.cell_type.tolist() == ["MLI"]
    unsure = identified(units, laser)  # nothing else tells them from a response
    assert unsure.cell_type.tolist() == ["MLI"]
    assert "spikes lie right after the end of " in unsure.reason_detail[0]
    assert unsure.reason_detail[0].endswith("% of pulses, where artefacts may be.")


def test_a_late_response_through_the_network_is_refused_without_blockers() -> None:
    rng = np.random.default_rng(3)
    onsets = pulse_onsets(rng, 400)
    indirect = evoked(rng, firing(rng, 12, SECONDS), onsets, latency_ms=7.0, jitter_ms=1.5, reliability=0.7)
    run = run_on(indirect, onsets=onsets)
    assert run.is_abstained.all()
    assert "ms, the limit without blockers" in run.reason_detail[0]


def test_a_response_that_synaptic_blockers_take_away_is_refused() -> None:
    """Early enough to look direct; only the blockers show that it comes through the network."""
    rng = np.random.default_rng(4)
    onsets = pulse_onsets(rng, 400)
    half = float(onsets[200]) - 0.2
    spontaneous = firing(rng, 12, SECONDS)
    indirect = evoked(rng, spontaneous, onsets[:200], latency_ms=4.0, jitter_ms=0.8, reliability=0.8)
    direct = evoked(rng, spontaneous, onsets, latency_ms=4.0, jitter_ms=0.8, reliability=0.8)
    slow = evoked(rng, spontaneous, onsets, latency_ms=7.0, jitter_ms=0.8, reliability=0.8)
    without = run_on(indirect, direct, slow, onsets=onsets[:200])
    assert without.cell_type.tolist() == ["MLI", "MLI", "unclassified"]
    bath = (Bath("NBQX, APV, gabazine", half),)
    run = run_on(indirect, direct, slow, onsets=onsets, blockers=bath)
    assert run.cell_type.tolist() == ["unclassified", "MLI", "MLI"]
    assert "SALT p" in run.reason_detail[0]
    assert "synaptic blockers take the response" in run.reason_detail[0]
    assert "with NBQX, APV, gabazine in the bath" in run.reason_detail[1]
    assert run.evidence is not None
    assert [row.get("blocker", "") for row in run.evidence[0]] == ["", "NBQX, APV, gabazine"]
    assert [row["n_pulses"] for row in run.evidence[0]] == [200, 200]


def test_two_lights_for_two_kinds_of_cell() -> None:
    rng = np.random.default_rng(5)
    onsets = pulse_onsets(rng, 400)
    blue, red = (
        Stimulation("blue", onsets[:200], 0.005, tags="MLI"),
        Stimulation("red", onsets[200:], 0.005, tags="GoC"),
    )
    first, second, both, neither = (
        evoked(rng, firing(rng, 10, SECONDS), part, latency_ms=3, jitter_ms=0.5, reliability=0.9)
        for part in (onsets[:200], onsets[200:], onsets, onsets[:0])
    )
    run = identified(Units.from_arrays([first, second, both, neither]), [blue, red])
    assert run.cell_type.tolist() == ["MLI", "GoC", "unclassified", "unclassified"]
    assert run.reason.tolist() == ["", "", "other", "not_labelled"]
    assert run.reason_detail[2].startswith("Responds to the light for GoC and for MLI.")
    untold = identified(Units.from_arrays([first, second]), [blue, replace(red, tags="")])
    assert untold.cell_type.tolist() == ["MLI", "unclassified"]
    assert untold.reason_detail[1].endswith("Nobody says which cells carry the opsin.")


def test_units_that_cannot_be_tested_are_abstained_with_a_reason() -> None:
    rng = np.random.default_rng(6)
    onsets = pulse_onsets(rng, 100)
    run = run_on(firing(rng, 10, 90), np.empty(0), np.array([3.0, 2.0, 9.0]), np.array([1.0]), onsets=onsets)
    assert run.reason.tolist() == ["not_labelled", "too_few_spikes", "invalid_data", "too_few_spikes"]
    few = run_on(firing(rng, 10, 90), onsets=onsets[:3])
    assert few.reason.tolist() == ["other"]
    assert "20 are needed" in few.reason_detail[0]
    assert few.evidence is None
    assert run_on(firing(rng, 10, 90), onsets=onsets[:0]).reason_detail.tolist() == ["Not tested: there are no pulses."]


def test_without_a_word_for_the_cells_all_is_measured_and_nothing_labelled() -> None:
    rng = np.random.default_rng(7)
    onsets = pulse_onsets(rng, 100)
    spontaneous = firing(rng, 10, 90)
    responds = evoked(rng, spontaneous, onsets, latency_ms=3, jitter_ms=0.3, reliability=0.9)
    laser = Stimulation("laser", onsets, 0.005)
    trains = [responds, spontaneous, np.empty(0)]
    run = identified(Units.from_arrays(trains), [laser])
    assert run.is_abstained.all()
    assert run.reason.tolist() == ["not_labelled", "not_labelled", "too_few_spikes"]
    assert run.reason_detail[0].startswith("Light (laser) makes it fire on ")
    assert all(said.endswith("Nobody says which cells carry the opsin.") for said in run.reason_detail[:2])
    assert run.evidence is not None
    assert [len(rows) for rows in run.evidence] == [1, 1, 0]
    assert run.evidence[0][0]["latency_ms"] == pytest.approx(3, abs=0.15)
    assert run.description == "Responses to light. Nobody says which cells carry the opsin. So no unit has a label."
    assert run.taxonomy is CEREBELLUM
    elsewhere = identified(Units.from_arrays(trains, region=["CA1"] * 3), [laser])
    assert elsewhere.taxonomy.labels == ("carries the opsin",)
    with pytest.raises(UsageError, match="There are no stimulations"):
        identified(Units.from_arrays(trains), [])


def test_pulses_that_were_left_out_are_said() -> None:
    rng = np.random.default_rng(8)
    onsets = (5 + np.arange(40)[:, None] + 0.02 * np.arange(5)).ravel()  # 50 Hz
    run = run_on(firing(rng, 10, 50), onsets=onsets)
    assert run.evidence is not None
    left = "160 of 200 pulses were left out: less than 10 ms of darkness before them, or another pulse within 11 ms."
    assert run.evidence[0][0]["note"].endswith(left)
    assert run.evidence[0][0]["n_pulses"] == 40
    assert run.description.endswith(f"laser: {left}")
    ((counts,),) = (each["pulses"] for each in run.method.fields["parameters"]["stimulations"])
    assert (counts["given"], counts["measured"], counts["tested_by_salt"]) == (200, 40, 40)


def test_each_set_of_blockers_has_its_own_waveforms() -> None:
    rng = np.random.default_rng(10)
    onsets = pulse_onsets(rng, 200)
    bath = (Bath("NBQX", float(onsets[100]) - 0.1),)
    train = evoked(rng, firing(rng, 8, 170), onsets, latency_ms=3, jitter_ms=0.3, reliability=0.8)
    spike, transient = np.sin(np.arange(60) / 5), np.exp(-np.arange(60) / 10)

    def rows(*given: EvokedWaveforms) -> list[float | None]:
        run = run_on(train, onsets=onsets, blockers=bath, waveforms=given)
        assert run.evidence is not None
        return [row.get("waveform_correlation") for row in run.evidence[0]]

    plain, blocked = EvokedWaveforms(0, "laser", spike, spike), EvokedWaveforms(0, "laser", transient, spike, "NBQX")
    assert rows(plain) == [1.0, None]
    first, second = rows(plain, blocked)
    assert first == 1.0
    assert second is not None
    assert second < 0.5
    with pytest.raises(UsageError, match="'laser' under APV"):
        rows(replace(plain, blocker="APV"))


def test_names_that_do_not_fit_are_refused() -> None:
    units = Units.from_arrays([np.arange(0.0, 50.0, 0.1)])
    laser = Stimulation("laser", np.arange(1.0, 40.0), 0.005, tags="MLI")
    with pytest.raises(UsageError, match="same name"):
        identified(units, [laser, laser])
    with pytest.raises(UsageError, match="unit 5"):
        identified(units, [laser], waveforms=[EvokedWaveforms(5, "laser", np.ones(3), np.ones(3))])
    with pytest.raises(UsageError, match="'led'"):
        identified(units, [laser], waveforms=[EvokedWaveforms(0, "led", np.ones(3), np.ones(3))])


def test_labels_are_put_in_the_words_of_a_taxonomy() -> None:
    assert classes_of(["MLI"])[0].name == "cerebellar_cortex"
    assert classes_of(["parvalbumin"])[1] == {"parvalbumin": "PV"}
    free, words = classes_of(["starburst", "MLI"])
    assert free.labels == ("MLI", "starburst")
    assert words == {"starburst": "starburst", "MLI": "MLI"}
