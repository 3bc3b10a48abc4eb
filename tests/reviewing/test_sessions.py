"""A review without its page: what is recorded, what is saved, what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import h5py
import numpy as np
import pytest

import nwb_celltype.reviewing.sessions
from nwb_celltype.errors import InputError, NothingToDoError, RefusedError, UsageError
from nwb_celltype.nwb_io import annotate, check
from nwb_celltype.reviewing.agreement import measure_agreement
from nwb_celltype.reviewing.linked_pairs import cross_correlogram, linked_pairs
from nwb_celltype.reviewing.reviewers import Reviewer, reviewer_of
from nwb_celltype.reviewing.saving import write_run
from nwb_celltype.reviewing.sessions import Asked, ReviewSession
from nwb_celltype.runs import published_run, read_runs
from nwb_celltype.units import Units, read_units

from .files import RUN, units_file

JANE = Reviewer("Jane Doe")


def opened(file: Path, reviewer: Reviewer = JANE, **asked: object) -> ReviewSession:
    return ReviewSession(Asked(file, explain=False, **asked), reviewer)  # type: ignore[arg-type]


def say(session: ReviewSession, unit: int | None = None, kind: str = "decide", **fields: object) -> str:
    event = {"id": str(uuid4()), "kind": kind, "made": "2026-01-31T15:00:00+01:00", "tab": "t", "unit": unit, **fields}
    assert session.record([event]) == []
    return str(event["id"])


def agree(session: ReviewSession, unit: int) -> str:
    label = session.reviewed.labels_for([unit])[0]
    return say(session, unit, verdict="agree", label=label)


@pytest.fixture
def session(file: Path) -> Iterator[ReviewSession]:
    with opened(file) as session:
        yield session


def experts(file: Path) -> list[str]:
    return [run.name for run in read_runs(file) if run.method.source_type == "expert"]


def test_decisions_become_a_run_that_names_person_time_and_notes(session: ReviewSession, file: Path) -> None:
    before = {run.name: run for run in read_runs(file)}
    session.journal.add([])
    agree(session, 10)
    agree(session, 13)
    agree(session, 19)  # on which the model abstained
    say(session, 16, verdict="class", label="GrC")
    say(session, 22, verdict="disagree", label="unclassified")
    say(session, 25, verdict="cannot_tell", label="unclassified")
    say(session, 28, kind="note", note="two cells\x00?")
    saved = session.save()
    assert saved.is_new
    run = next(run for run in read_runs(file) if run.name == "expert_jane_doe")
    assert run.method.source_type == "expert"
    assert run.method.who == "Jane Doe"
    assert run.cell_type.tolist()[:4] == ["PkC_cs", "PkC_ss", "GrC", "unclassified"]
    assert set(run.cell_type[4:]) == {"unclassified"}
    assert run.reason.tolist()[:7] == ["", "", "", "low_confidence", "other", "low_confidence", "not_labelled"]
    assert set(run.reason[7:]) == {"not_labelled"}
    assert run.reason_detail[0] == f"2026-01-31 14:00:00 UTC: agrees with {RUN}, which says PkC_cs."
    assert run.evidence is not None
    assert [dict(piece) for piece in run.evidence[6]] == [{"kind": "expert", "note": "two cells ?"}]
    assert set(run.classes) >= {"GrC", "MFB"}
    assert published_run(read_runs(file)).name == run.name  # type: ignore[union-attr]
    assert check(file) == []
    for name, old in before.items():
        now = next(run for run in read_runs(file) if run.name == name)
        assert np.array_equal(now.cell_type, old.cell_type)
        assert now.created == old.created


def test_saving_twice_adds_nothing_and_a_change_supersedes(
    session: ReviewSession, file: Path, no_validator: None
) -> None:
    with pytest.raises(NothingToDoError, match="Nothing is decided"):
        session.save()
    agree(session, 10)
    assert [session.save().is_new, session.save().is_new] == [True, False]
    assert session.state(0)["is_saved"]
    last = say(session, 13, verdict="class", label="MLI")
    assert not session.state(0)["is_saved"]
    assert session.save().run.supersedes == "expert_jane_doe"
    assert experts(file) == ["expert_jane_doe", "expert_jane_doe_2"]
    say(session, kind="undo", undoes=last)
    assert session.save().is_new  # the newest run says something else
    assert [run.name for run in measure_agreement(file).runs] == ["cs_ss_pause_rule", RUN, "expert_jane_doe_3"]


def test_a_kill_between_writing_and_marking_writes_no_second_run(file: Path, no_validator: None) -> None:
    with opened(file) as session:
        agree(session, 10)
        write_run(
            file, file, session.decisions, session.reviewed, JANE, session.taxonomy,
            units_path="/units", units_sha256=session._watched.units_sha256,
        )  # fmt: skip
    # killed here: the journal does not know
    with opened(file) as session:
        assert session.state(0)["is_saved"]
        assert session.reviewed.name == RUN  # not the expert's own, though that is the label of the file now
        assert not session.save().is_new
    assert experts(file) == ["expert_jane_doe"]


def test_saving_into_a_copy_leaves_the_file_as_it_is(file: Path, tmp_path: Path, no_validator: None) -> None:
    before = file.read_bytes()
    copy = tmp_path / "copy.nwb"
    with opened(file, out=copy) as session:
        agree(session, 10)
        assert session.save().file == copy
        agree(session, 13)
        assert session.save().is_new
    assert file.read_bytes() == before
    assert experts(copy) == ["expert_jane_doe", "expert_jane_doe_2"]
    with opened(file, out=copy) as session:
        assert session.state(0)["is_saved"]
    with pytest.raises(UsageError, match="is the file itself"):
        opened(file, out=file)


def test_two_experts_in_one_file(file: Path, no_validator: None) -> None:
    with opened(file) as session:
        agree(session, 10)
        say(session, 16, verdict="class", label="GoC")
        session.save()
    with opened(file, Reviewer("", "0000-0002-1825-0097")) as session:
        assert session.decisions == {}
        assert session.state(0)["events"] == []  # an expert is not led by another
        agree(session, 10)
        say(session, 16, verdict="class", label="MFB")
        session.save()
    found = measure_agreement(file, ["expert_jane_doe", "expert_0000_0002_1825_0097"])
    assert (found.pairs[0].n_judged, found.pairs[0].n_same) == (2, 1)
    assert [each.unit for each in found.disputed] == [16]
    with opened(file) as own:
        labels = own.overview()["units"][0]["labels"]
        assert "expert_0000_0002_1825_0097" in labels
        assert "expert_jane_doe" not in labels  # the decisions show them
    with opened(file, blind=True) as own:
        labels = own.overview()["units"][0]["labels"]
        assert "expert_0000_0002_1825_0097" not in labels
        assert "cs_ss_pause_rule" in labels


def test_a_file_that_changed_is_noticed_and_not_saved_into(session: ReviewSession, file: Path) -> None:
    agree(session, 10)
    with h5py.File(file, "r+") as nwb:
        nwb["units/spike_times"][3] += 1e-3
    state = session.state(0)["file"]
    assert state["condition"] == "changed"
    assert not state["may_save"]
    before = file.read_bytes()
    with pytest.raises(RefusedError, match="not those that were reviewed"):
        session.save()
    assert file.read_bytes() == before
    file.rename(file.with_name("away.nwb"))
    assert session.state(0)["file"]["condition"] == "unreadable"


def test_decisions_on_data_that_changed_are_put_aside(file: Path, no_validator: None) -> None:
    with opened(file) as session:
        agree(session, 10)
        agree(session, 13)
        digest = session.unit_sha256[13]
    with h5py.File(file, "r+") as nwb:
        nwb["units/waveform_mean"][1] *= 2  # that of unit 13
    with opened(file) as session:
        assert set(session.decisions) == {10}
        stale = {
            "id": str(uuid4()),
            "kind": "decide",
            "unit": 13,
            "verdict": "agree",
            "label": "PkC_ss",
            "unit_sha256": digest,
        }
        assert "changed since" in session.record([stale])[0]["why"]


def test_another_run_in_the_file_is_no_obstacle(
    session: ReviewSession, file: Path, tmp_path: Path, no_validator: None
) -> None:
    agree(session, 10)
    table = tmp_path / "labels.csv"
    table.write_text("unit_id,cell_type\n10,PkC_cs\n")
    annotate(file, in_place=True, labels=table, by="John Roe")
    state = session.state(0)["file"]
    assert (state["condition"], state["may_save"]) == ("more_runs", True)
    assert "expert_john_roe" in state["sentence"]
    assert session.save().is_new


def test_the_same_request_counts_once_and_wrong_ones_are_refused(session: ReviewSession) -> None:
    event = {
        "id": str(uuid4()),
        "kind": "decide",
        "unit": 10,
        "verdict": "agree",
        "label": "PkC_cs",
        "made": "nonsense",
    }
    assert session.record([event, event]) == []
    assert session.record([event]) == []
    assert len(session.journal.events) == 1
    wrong = [
        {**event, "id": "1"},
        {**event, "id": str(uuid4()), "unit": 11},
        {**event, "id": str(uuid4()), "unit": True},
        {**event, "id": str(uuid4()), "label": "astrocyte"},
        {**event, "id": str(uuid4()), "verdict": "perhaps"},
        {**event, "id": str(uuid4()), "verdict": "cannot_tell"},
        {**event, "id": str(uuid4()), "kind": "saved"},
        {**event, "id": str(uuid4()), "kind": "undo", "undoes": str(uuid4())},
        {**event, "id": str(uuid4()), "kind": "note", "note": "x" * 4001},
        {**event, "id": str(uuid4()), "kind": "note", "note": "\ud800"},
    ]
    refused = session.record([*wrong, {**event, "id": str(uuid4()), "unit": 13}])
    assert len(refused) == len(wrong)
    assert [event.unit for event in session.journal.events] == [10, 13]


def test_what_cannot_be_reviewed_is_said(file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no annotation runs"):
        opened(units_file(tmp_path / "bare.nwb", 2))
    with pytest.raises(UsageError, match="not on this machine"):
        opened("https://example.org/s.nwb")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="has no run 'none'"):
        opened(file, run="none")
    (tmp_path / "dandiset.yaml").write_text("identifier: DANDI:000001\n")
    with pytest.raises(RefusedError, match="--out"):
        opened(file)
    other = tmp_path / "other.nwb"
    shutil.copyfile(tmp_path / "bare.nwb", other)
    with pytest.raises(RefusedError, match="no copy"):
        opened(file, out=other)
    with (
        opened(file, out=tmp_path.parent / f"{tmp_path.name}.nwb"),
        pytest.raises(RefusedError, match="Another process"),
    ):
        opened(file, out=tmp_path.parent / f"{tmp_path.name}.nwb")


def test_classes_that_are_offered(file: Path) -> None:
    with opened(file) as session:
        assert "GrC" in session.taxonomy
        assert [one["label"] for one in session.overview()["classes"]][-2:] == ["GrC", "unclassified"]
    with opened(file, taxonomy="free", classes=("UBC",)) as session:
        assert set(session.taxonomy.labels) == {"PkC_ss", "PkC_cs", "MLI", "GoC", "MFB", "UBC"}
        assert session.taxonomy.name == "free"
    with pytest.raises(UsageError, match="free"):
        opened(file, taxonomy="cerebellum", classes=("UBC",))


def test_the_pause_shows_in_the_cross_correlogram(template: Path) -> None:
    with read_units(template) as units:
        (pair,) = linked_pairs(units, read_runs(template))
    assert (pair.reference, pair.target) == (10, 13)
    assert pair.rate_hz is not None
    lags = np.arange(-50, 51)
    assert pair.rate_hz[(lags >= 2) & (lags <= 17)].max() == 0
    assert pair.rate_hz[(lags < -1) | (lags > 20)].mean() > 30


def test_the_cross_correlogram_counts_every_pair_of_spikes() -> None:
    rng = np.random.default_rng(0)
    one, other = np.sort(rng.uniform(0, 20, 80)), np.sort(rng.uniform(0, 20, 900))
    gaps_ms = (other[None, :] - one[:, None]).ravel() * 1e3
    expected = np.histogram(gaps_ms, np.arange(-50.5, 51))[0] / len(one) * 1e3
    assert cross_correlogram(one, other) == pytest.approx(expected)
    broken = Units.from_arrays([[0.3, 0.1], [0.2, 0.3, 0.4]])
    assert linked_pairs(broken, []) == []


@pytest.mark.parametrize(
    ("by", "orcid", "expected"),
    [
        ("  Jane   Doe ", None, "Jane Doe"),
        ("0000-0002-1825-0097", None, "0000-0002-1825-0097"),
        ("Jane Doe", "https://orcid.org/0000-0002-1694-233x", "Jane Doe (0000-0002-1694-233X)"),
    ],
)
def test_who_reviews(by: str, orcid: str | None, expected: str) -> None:
    assert reviewer_of(by, orcid).text == expected


@pytest.mark.parametrize(
    ("by", "orcid"), [(None, None), (" ", None), ("Jane", "0000-0002-1825-0098"), ("a\x07b", None)]
)
def test_who_does_not_review(by: str | None, orcid: str | None) -> None:
    with pytest.raises(UsageError):
        reviewer_of(by, orcid)


def test_a_file_that_changes_while_it_is_read_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = nwb_celltype.reviewing.sessions.to_payload

    def slow(view: object) -> object:
        file.touch()
        return real(view)  # type: ignore[arg-type]

    monkeypatch.setattr(nwb_celltype.reviewing.sessions, "to_payload", slow)
    with pytest.raises(InputError, match="changed while it was being read"):
        opened(file)
