"""The page in a real browser: keys, filters, saving, a killed server, two tabs, a file that changes underneath."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

from nwb_celltype.runs import read_runs

from .conftest import Server
from .files import HOSTILE, RUN

Open = Callable[[str], Any]
IDS = [10 + 3 * k for k in range(12)]


def keys(page: Any, *names: str) -> None:
    for name in names:
        page.keyboard.press(name)


def text(page: Any, selector: str) -> str:
    return str(page.inner_text(selector))


def wait(page: Any, selector: str, words: str) -> None:
    page.locator(selector, has_text=words).first.wait_for()


def events(file: Path) -> list[dict[str, Any]]:
    journal = file.with_name(f"{file.stem}.review.jsonl")
    return [json.loads(line) for line in journal.read_text().splitlines()]


def test_walk_filter_decide_undo_and_save(server: Server, open_page: Open, file: Path) -> None:
    page = open_page(server.start(file))
    assert text(page, "#unit-name") == "Unit 10 (SPK00)"
    assert page.title() == "Review of session.nwb"
    keys(page, "j", "ArrowDown", "k")
    assert text(page, "#unit-name") == "Unit 13 (SPK01)"
    # the pair of complex and simple spikes, with the pause between them
    assert "Spikes of unit 13 around those of unit 10" in text(page, "#pair")
    assert page.locator("#pair .side-panels").count() == 2
    keys(page, "o")
    assert text(page, "#unit-name") == "Unit 10 (SPK00)"
    keys(page, "p")
    assert page.locator("#panels .panel").count() >= 4
    # decide: agree, name a class, disagree, nobody can tell
    keys(page, "a", "a", "4", "d")
    assert text(page, "#unit-name").startswith("Unit 19")
    wait(page, "#decision", "Not this class")
    keys(page, "j", "0")
    wait(page, "#progress-text", "5 of 12 decided")
    # undo twice, do the second again
    keys(page, "u")
    assert text(page, "#unit-name").startswith("Unit 22")
    wait(page, "#decision", "Not decided")
    keys(page, "u")
    assert text(page, "#unit-name").startswith("Unit 19")
    keys(page, "Shift+U")
    wait(page, "#decision", "Not this class")
    # a note
    keys(page, "n")
    page.keyboard.type("j, k and a are letters here")
    keys(page, "Enter")
    wait(page, "#decision", "letters here")
    assert text(page, "#progress-text") == "4 of 12 decided"
    # filters
    keys(page, "f", "ArrowRight")
    assert text(page, "#shown") == "8 of 12 shown"
    keys(page, "Escape", "j")
    assert text(page, "#unit-place").endswith("of 8")
    keys(page, "Shift+F", "/")
    page.keyboard.type("letters")
    wait(page, "#shown", "1 of 12 shown")
    keys(page, "Escape", "Shift+F")
    assert text(page, "#shown") == "12 of 12 shown"
    # save, and again
    keys(page, "s")
    wait(page, "#saved", "In the file: expert_jane_doe")
    keys(page, "s")
    wait(page, "#toasts", "Nothing new")
    runs = {run.name: run for run in read_runs(file)}
    assert set(runs) == {RUN, "cs_ss_pause_rule", "expert_jane_doe"}
    saved = runs["expert_jane_doe"]
    assert saved.method.fields["person"] == "Jane Doe"
    assert saved.labels_for(IDS[:6]) == ["PkC_cs", "PkC_ss", "GoC", "unclassified", "unclassified", "unclassified"]
    assert saved.reason.tolist()[3:6] == ["other", "not_labelled", "not_labelled"]
    assert saved.evidence is not None
    assert [piece["note"] for piece in saved.evidence[3]] == ["j, k and a are letters here"]
    # agreement
    keys(page, "v")
    wait(page, "#agreement", "Cohen\u2019s kappa")
    wait(page, "#agreement", "Units in dispute: 1")
    page.locator("#agreement button.link").first.click()
    assert text(page, "#unit-name") == "Unit 16 (SPK02)"


def test_a_killed_server_loses_nothing_and_nothing_comes_twice(server: Server, open_page: Open, file: Path) -> None:
    url = server.start(file)
    page = open_page(url)
    keys(page, "a")
    page.locator("#saved", has_text="Recorded").wait_for()
    keys(page, "a")
    assert server.stop(signal.SIGKILL) == -signal.SIGKILL  # between two keystrokes, that one perhaps on its way
    keys(page, "3", "n")
    page.keyboard.type("while nobody listened")
    keys(page, "Enter", "5")
    wait(page, "#saved", "not recorded yet")
    wait(page, "#banners", "kept in this browser")
    page.problems.clear()  # the browser says itself that nobody answers
    assert server.start(file) == url  # the open page finds the new server
    page.reload()
    page.locator("html[data-ready]").wait_for()
    wait(page, "#saved", "Recorded, not in the file yet")
    wait(page, "#progress-text", "4 of 12 decided")
    page.problems.clear()
    keys(page, "s")
    wait(page, "#saved", "In the file")
    decided = [event["unit"] for event in events(file) if event["kind"] == "decide"]
    assert decided == IDS[:4]
    assert len({event["id"] for event in events(file)}) == len(events(file)) == 6  # four, a note, saved
    experts = [run for run in read_runs(file) if run.method.source_type == "expert"]
    assert len(experts) == 1
    assert experts[0].labels_for(IDS[:4]) == ["PkC_cs", "PkC_ss", "MLI", "MFB"]
    # a page that was never reloaded would send again what it does not know to be recorded
    first = next(event for event in events(file) if event["kind"] == "decide")
    again = {k: first[k] for k in ("id", "kind", "made", "unit", "verdict", "label")}
    answer = page.evaluate(
        """async (event) => {
            const token = new URLSearchParams(location.search).get("token");
            const headers = { "X-Review-Token": token, "Content-Type": "application/json" };
            const body = JSON.stringify({ events: [event] });
            return (await fetch("api/events", { method: "POST", headers, body })).json();
        }""",
        again,
    )
    assert answer["refused"] == []
    assert len(events(file)) == 6


def test_two_tabs_see_each_other_and_never_overwrite_silently(server: Server, open_page: Open, file: Path) -> None:
    url = server.start(file)
    one, other = open_page(url), open_page(url)
    keys(one, "a")
    wait(other, "#progress-text", "1 of 12 decided")
    wait(other, "#toasts", "Another tab: unit 10 is now PkC_cs")
    # the second tab decides before it knows: its polls are held up
    other.route("**/api/state*", lambda route: route.abort())
    other.problems.clear()
    one.bring_to_front()
    keys(one, "1")  # unit 13
    one.locator("#saved", has_text="Recorded").wait_for()
    wait(one, "#progress-text", "2 of 12 decided")
    other.bring_to_front()
    keys(other, "j", "3")
    wait(other, "#toasts", "another tab had just said PkC_ss; yours (MLI) holds now")
    one.bring_to_front()
    wait(one, "#toasts", "Another tab: unit 13 is now MLI, it was PkC_ss")
    both = [event for event in events(file) if event.get("unit") == 13]
    assert [event["label"] for event in both] == ["PkC_ss", "MLI"]
    assert both[1]["replaces"] == both[0]["id"]
    other.unroute_all(behavior="ignoreErrors")
    one.problems.clear()


def test_a_file_that_changes_underneath_is_noticed_before_it_is_saved(
    server: Server, open_page: Open, file: Path
) -> None:
    page = open_page(server.start(file))
    keys(page, "a")
    changed = file.with_name("changed.nwb")
    shutil.copyfile(file, changed)
    with h5py.File(changed, "r+") as nwb:
        nwb["units/spike_times"][5] += 1e-3
    before = changed.read_bytes()
    os.replace(changed, file)
    wait(page, "#banners", "session.nwb changed: its spike times, waveforms or ids are not those shown here")
    keys(page, "s")
    wait(page, "#toasts", "Not saved")
    assert file.read_bytes() == before
    assert [event["unit"] for event in events(file)] == [10]
    page.problems[:] = [said for said in page.problems if "409" not in said]  # the browser's own line about the refusal


def test_what_a_file_says_is_no_markup_keys_of_the_browser_decide_nothing_and_units_come_at_once(
    server: Server, open_page: Open, file: Path
) -> None:
    page = open_page(server.start(file))
    keys(page, "Control+a", "Alt+d", "Meta+3")
    assert text(page, "#progress-text") == "0 of 12 decided"
    keys(page, "j", "j", "j")
    assert text(page, "#unit-name") == f"Unit 19 ({HOSTILE})"
    keys(page, "n")
    page.keyboard.type("<script>document.title='owned'</script><img src=x onerror=alert(1)>")
    keys(page, "Enter")
    wait(page, "#decision", "<script>")
    assert page.locator("img").count() == 0
    assert page.title() == "Review of session.nwb"
    page.locator("#saved", has_text="Recorded").wait_for()
    keys(page, "Home")
    names, asked = page.evaluate(
        """async () => {
            const asked = () => performance.getEntriesByType("resource").map((each) => new URL(each.name).pathname);
            const names = [], before = asked().length;
            for (let i = 0; i < 22; i++) {
                const key = i < 11 ? "j" : "k";
                document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
                await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
                names.push(document.querySelector("#unit-name").textContent.match(/\\d+/)[0]);
            }
            return [names, asked().slice(before)];
        }"""
    )
    units = [str(each) for each in range(10, 46, 3)]
    assert names == [*units[1:], *units[-2::-1]]  # in the next frame, from what the page has
    assert set(asked) <= {"/api/state"}  # the page asks that again and again, whatever is done


def test_the_server_ends_politely(server: Server, open_page: Open, file: Path) -> None:
    page = open_page(server.start(file))
    keys(page, "a")
    page.locator("#saved", has_text="Recorded").wait_for()
    page.close()
    assert server.stop(signal.SIGINT) == 0
    access = json.loads(next((file.parent / "cache" / "reviews").glob("*.access.json")).read_text())
    assert access["token"] == ""  # the next one gets a new secret
