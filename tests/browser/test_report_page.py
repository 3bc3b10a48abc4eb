"""The report in Chromium: what a reader does with it, and what it must never do."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nwb_celltype.errors import InputError
from nwb_celltype.reporting.page import render

from .synthetic import payload

HOSTILE = (
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 2</script>",
    '"><img src=x onerror="window.hacked = 3">',
    "<a href='https://example.org'>{{ 7 * 7 }}</a> %{x} ]]>\u2028",
)

# What the page's policy stopped of a connection, a picture and a script.
_TRY_TO_LEAVE = """async () => {
  const stopped = [];
  document.addEventListener('securitypolicyviolation', (event) => stopped.push(event.effectiveDirective));
  await fetch('https://example.org/').catch(() => null);
  const image = new Image();
  await new Promise((done) => { image.onload = image.onerror = done; image.src = 'https://example.org/x.png'; });
  const script = document.createElement('script');
  script.textContent = 'window.foreign = 1';
  document.head.append(script);
  await new Promise((done) => setTimeout(done, 50));
  return window.foreign === undefined ? stopped.sort() : 'a foreign script ran';
}"""

_PRESS = "const press = () => document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'j', bubbles: true }));"

# Where the last point of a figure's last class stands in the window.
_LAST_POINT = """id => {
  const figure = document.getElementById(id);
  const { xaxis, yaxis } = figure._fullLayout;
  const box = figure.getBoundingClientRect();
  const trace = figure.data.filter((t) => t.customdata).at(-1);
  const [x, y] = [trace.x.at(-1), trace.y.at(-1)];
  return [box.x + xaxis._offset + xaxis.d2p(x), box.y + yaxis._offset + yaxis.d2p(y)];
}"""

# Only what a test changed is put back: drawing the figures again is what takes time.
_AS_AFTER_LOADING = """async () => {
  document.activeElement.blur();
  const escape = () => document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }));
  if (!document.getElementById('unit').hidden) escape();
  window.scrollTo(0, 0);
  const file = document.getElementById('file');
  if (file.value) {
    file.value = '';
    file.dispatchEvent(new Event('input', { bubbles: true }));
    file.dispatchEvent(new Event('change', { bubbles: true }));
  }
  document.getElementById('filters').reset();
  await new Promise((done) => setTimeout(done, 5));
}"""


class Page:
    """A page under test, with everything it said and asked for."""

    def __init__(self, browser: Any, path: Path, scheme: str = "light") -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
        self.tab = self.context.new_page()
        self.said: list[str] = []
        self.requests: list[str] = []
        self.address = path.as_uri()
        self.tab.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.tab.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.context.on("request", lambda request: self.requests.append(request.url))

    def load(self, hash_: str = "", *, until: str = "figures") -> Page:
        self.tab.goto("about:blank")
        self.tab.goto(self.address + hash_)
        ready = '[data-ready="figures"]' if until == "figures" else "[data-ready]"
        self.tab.wait_for_selector(f"body{ready}", timeout=60_000)
        return self

    def shown(self) -> list[str]:
        return self.tab.eval_on_selector_all("tr[data-key]", "rows => rows.map(row => row.dataset.key)")

    def column(self, name: str) -> list[str]:
        return self.tab.eval_on_selector_all(
            f"tr[data-key] td.c-{name}", "cells => cells.map(cell => cell.textContent)"
        )

    def until(self, expression: str) -> None:
        """Wait by asking again; Playwright's own waiting compiles text inside the page, which its policy forbids."""
        for _ in range(500):
            if self.tab.evaluate(expression):
                return
            self.tab.wait_for_timeout(20)
        pytest.fail(f"never true: {expression}")

    @property
    def opened(self) -> str | None:
        return self.tab.evaluate(
            "document.getElementById('unit').hidden ? null : document.getElementById('unit').dataset.key"
        )


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return payload(500, n_files=2)


@pytest.fixture(scope="module")
def html(data: dict[str, Any]) -> str:
    return render(data)


@pytest.fixture(scope="module")
def loaded(browser: Any, html: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html, encoding="utf-8")
    page = Page(browser, path).load()
    yield page
    page.context.close()


@pytest.fixture
def page(loaded: Page) -> Page:
    """The page as it is after loading: nothing open, no filter, no order."""
    loaded.tab.evaluate(_AS_AFTER_LOADING)
    assert loaded.tab.inner_text("#shown") == "500 of 500 shown"
    return loaded


def test_page_is_small_and_always_the_same(html: str, data: dict[str, Any]) -> None:
    assert len(html.encode()) < 10_000_000
    assert render(data) == html


def test_numbers_that_are_none_are_refused(data: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="have to be None"):
        render({**data, "units": [{**data["units"][0], "confidence": float("nan")}]})


def test_load_says_nothing_and_asks_for_nothing(page: Page) -> None:
    assert page.said == []
    assert {url.split(":")[0] for url in page.requests} <= {"file", "data", "blob", "about"}
    assert [url for url in page.requests if url.startswith("file:")] == [page.address]


def test_summary_counts_what_the_files_hold(page: Page, data: dict[str, Any]) -> None:
    typed = sum(not unit["is_abstained"] for unit in data["units"])
    assert f"{typed} of 500 units" in page.tab.inner_text("#headline")
    for label in ("PkC_ss", "unclassified"):
        n = sum(unit["label"] == label for unit in data["units"])
        assert page.tab.locator(f"#counts button[aria-label^='{label}: {n}.']").count() == 1
    page.tab.select_option("#file", "1")
    own = [unit for unit in data["units"] if unit["file"] == 1]
    assert f"of {len(own)} units" in page.tab.inner_text("#headline")
    assert page.tab.inner_text("#shown") == "250 of 500 shown"
    assert data["files"][1]["run"]["weights_sha256"] in page.tab.inner_text("#provenance-cards")


def test_sort_by_number_and_by_name(page: Page, data: dict[str, Any]) -> None:
    head = page.tab.locator("th.c-confidence")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    best = sorted((unit["confidence"] for unit in data["units"]), reverse=True)
    shown = [float(text) for text in page.column("confidence")]
    assert shown == [round(value, 2) for value in best[: len(shown)]]
    head.locator("button").click()
    assert float(page.column("confidence")[0]) == round(best[-1], 2)
    page.tab.locator("th.c-class button").click()
    assert page.column("class")[0] == "GoC"


def test_filters_narrow_the_table(page: Page, data: dict[str, Any]) -> None:
    page.tab.fill("#search", "golgi gcl")
    wanted = [u["key"] for u in data["units"] if u["label"] == "GoC" and u["layer"] == "GCL"]
    assert page.tab.inner_text("#shown") == f"{len(wanted)} of 500 shown"
    assert set(page.shown()) <= set(wanted)
    page.tab.fill("#search", "")
    page.tab.select_option("#by-reason", "out_of_distribution")
    strange = [u for u in data["units"] if u["reason"] == "out_of_distribution"]
    assert page.tab.inner_text("#shown") == f"{len(strange)} of 500 shown"
    assert page.tab.locator("tr[data-key] .badge.stranger").count() == len(page.shown())
    page.tab.select_option("#by-answer", "typed")
    assert "No unit passes" in page.tab.inner_text("#table tbody")
    page.tab.click("#filters button[type=reset]")
    page.tab.fill("#by-confidence", "0.9")
    n = sum(u["confidence"] >= 0.9 for u in data["units"])
    assert page.tab.inner_text("#shown") == f"{n} of 500 shown"


def test_a_bar_of_the_summary_filters(page: Page, data: dict[str, Any]) -> None:
    page.tab.click("#reasons button >> nth=0")
    counts = [sum(u["reason"] == r for u in data["units"]) for r in {u["reason"] for u in data["units"] if u["reason"]}]
    assert page.tab.inner_text("#shown") == f"{max(counts)} of 500 shown"


def test_a_click_opens_a_unit_with_every_panel(page: Page, data: dict[str, Any]) -> None:
    page.tab.click("tr[data-key='0:2'] td.c-class")
    unit = next(u for u in data["units"] if u["key"] == "0:2")
    assert page.opened == "0:2"
    assert page.tab.evaluate("location.hash") == "#unit=0%3A2"
    aside = page.tab.locator("#unit")
    assert aside.locator("h2").inner_text() == "Unit 2"
    assert unit["label"] in aside.locator(".unit-class").inner_text()
    assert aside.locator("figure.panel").count() == 8
    assert aside.locator(".absent").count() == 0
    assert aside.locator(".neighbours li").count() == 5
    assert aside.locator("path.whisker").count() == 1
    assert aside.locator("path.trace").count() == 10  # nine channels, and the peak once more
    page.tab.keyboard.press("Escape")
    assert not aside.is_visible()
    assert page.opened is None
    assert page.tab.evaluate("location.hash") == ""


def test_why_a_unit_has_no_class_is_said_at_once(page: Page, data: dict[str, Any]) -> None:
    strange = next(u for u in data["units"] if u["reason"] == "out_of_distribution")
    page.tab.evaluate("key => { location.hash = `#unit=${encodeURIComponent(key)}` }", strange["key"])
    why = page.tab.locator("#unit .why.stranger")
    assert "out of distribution" in why.inner_text()
    assert strange["reason_detail"] in why.inner_text()
    assert page.tab.locator(f"tr[data-key='{strange['key']}'] .badge.stranger").is_visible()


def test_keys_walk_search_and_close(page: Page) -> None:
    order = page.shown()
    for key, expected in (("j", 0), ("j", 1), ("ArrowDown", 2), ("k", 1), ("ArrowUp", 0), ("k", 0)):
        page.tab.keyboard.press(key)
        assert page.opened == order[expected]
        assert page.tab.locator("tr[aria-selected=true]").get_attribute("data-key") == order[expected]
    page.tab.keyboard.press("/")
    page.tab.keyboard.type("purkinje_1")
    assert len(page.shown()) == 4
    page.tab.keyboard.press("ArrowDown")
    assert page.opened in page.shown()
    page.tab.keyboard.press("Escape")  # empties the search
    assert page.tab.input_value("#search") == ""
    page.tab.keyboard.press("Escape")  # leaves it
    page.tab.keyboard.press("Escape")  # closes the unit
    assert not page.tab.locator("#unit").is_visible()


def test_walking_far_keeps_the_row_in_sight(page: Page) -> None:
    page.tab.evaluate(_PRESS + "for (let i = 0; i < 46; i++) press()")
    row = page.tab.locator("tr[aria-selected=true]")
    assert row.get_attribute("data-key") == "0:46"
    assert page.tab.evaluate(
        """() => { const a = document.querySelector('tr[aria-selected=true]').getBoundingClientRect();
                   const b = document.getElementById('table-scroll').getBoundingClientRect();
                   return a.top >= b.top && a.bottom <= b.bottom + 1; }"""
    )
    assert len(page.shown()) < 60  # rows in sight alone are drawn


def test_partner_is_a_link_and_back_goes_back(page: Page, data: dict[str, Any]) -> None:
    simple = next(u for u in data["units"] if u["partner"] and u["label"] == "PkC_ss")
    page.tab.evaluate("key => { location.hash = `#unit=${key}` }", simple["key"])
    page.tab.click("#unit a.partner")
    page.until(f"decodeURIComponent(location.hash).endsWith('{simple['partner']}')")
    assert "PkC_cs" in page.tab.inner_text("#unit .unit-class")
    page.tab.go_back()
    page.until("document.querySelector('#unit .unit-class').innerText.includes('PkC_ss')")


def test_points_open_units(page: Page) -> None:
    for figure in ("map", "probe"):
        page.tab.keyboard.press("Escape")
        page.tab.locator(f"#{figure}").scroll_into_view_if_needed()
        page.tab.wait_for_timeout(200)  # figures settle after the page has its width again
        spot = page.tab.evaluate(_LAST_POINT, figure)
        page.tab.mouse.move(*spot)
        page.tab.wait_for_selector(f"#{figure} .hoverlayer .hovertext")
        page.tab.mouse.click(*spot)
        page.tab.wait_for_selector("#unit", state="visible")
        assert page.opened


def test_a_unit_is_drawn_well_under_a_tenth_of_a_second(page: Page) -> None:
    page.tab.keyboard.press("j")
    session = page.context.new_cdp_session(page.tab)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})  # processor time: others may use the machine too

    def spent() -> float:
        return {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}["TaskDuration"]

    before = spent()
    page.tab.evaluate(_PRESS + "for (let i = 0; i < 50; i++) { press(); document.body.offsetHeight }")
    assert (spent() - before) / 50 < 0.05
    session.detach()


def test_paper_is_light_and_whole(page: Page) -> None:
    page.tab.keyboard.press("j")
    page.tab.emulate_media(media="print", color_scheme="dark")
    try:
        page.until("document.querySelectorAll('tr[data-key]').length === 500")
        assert page.tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert (
            page.tab.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()")
            == "#1c2127"
        )
        assert not page.tab.locator("#filters").is_visible()
        assert page.tab.locator("#unit figure.panel").first.is_visible()
        assert page.tab.locator("#headline").is_visible()
    finally:
        page.tab.emulate_media(media="screen", color_scheme="light")
    page.until("document.querySelectorAll('tr[data-key]').length < 100")


def test_narrow_and_dark(page: Page) -> None:
    page.tab.set_viewport_size({"width": 800, "height": 900})
    page.tab.emulate_media(color_scheme="dark")
    try:
        page.tab.keyboard.press("j")
        assert page.tab.locator("#unit").bounding_box()["width"] == 800
        assert page.tab.evaluate("document.documentElement.scrollWidth") <= 800
        assert page.tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    finally:
        page.tab.set_viewport_size({"width": 1280, "height": 900})
        page.tab.emulate_media(color_scheme="light")


def test_names_from_files_stay_text(browser: Any, data: dict[str, Any], tmp_path: Path) -> None:
    some = copy.deepcopy(
        {**data, "units": [u for u in data["units"] if u["file"] == 0][:20], "files": data["files"][:1]}
    )
    some["title"] = HOSTILE[1]
    some["map"]["training"]["lab"] = [HOSTILE[3]] * 672
    some["classes"][0].update(label=HOSTILE[0], name=HOSTILE[2])
    some["files"][0].update(name=HOSTILE[2], notes=list(HOSTILE), species=HOSTILE[0])
    some["files"][0]["verdict"]["findings"][0]["sentence"] = HOSTILE[3]
    some["files"][0]["run"]["parameters"] = {HOSTILE[0]: HOSTILE[2]}
    some["model"]["sections"] = [{"heading": HOSTILE[0], "text": f"{HOSTILE[1]}\n- {HOSTILE[2]}"}]
    for unit in some["units"]:
        unit.update(
            name=HOSTILE[unit["id"] % 4],
            label=HOSTILE[0],
            layer=HOSTILE[2],
            region=HOSTILE[3],
            cell_id=HOSTILE[1],
            reason_detail=HOSTILE[2],
        )
        unit["neighbours"] = [{"label": HOSTILE[0], "lab": HOSTILE[2], "distance": None}]
        unit["labels"] = {HOSTILE[2]: HOSTILE[0]}
    path = tmp_path / "hostile.html"
    path.write_text(render(some), encoding="utf-8")
    page = Page(browser, path).load()
    page.tab.keyboard.press("j")
    page.tab.wait_for_timeout(150)
    assert page.tab.evaluate("window.hacked") is None
    assert page.tab.title() == HOSTILE[1]
    assert page.tab.inner_text("h1") == HOSTILE[1]
    assert page.tab.locator("img, a[href^=http], iframe").count() == 0
    assert page.column("unit")[0] == HOSTILE[1]
    # a hover label of the map shows the markup of a name, and does not obey it
    page.tab.locator("#map").scroll_into_view_if_needed()
    page.tab.evaluate("Plotly.Fx.hover('map', [{ curveNumber: 0, pointNumber: 0 }])")
    page.tab.wait_for_selector("#map .hovertext")
    assert "<a href=" in page.tab.locator("#map .hovertext").first.text_content()
    assert page.tab.locator("#map a").filter(has_text="{{").count() == 0
    assert page.said == []
    assert {url.split(":")[0] for url in page.requests} <= {"file", "data", "blob", "about"}
    page.context.close()


def test_page_with_nothing_but_labels(browser: Any, data: dict[str, Any], tmp_path: Path) -> None:
    bare = copy.deepcopy({**data, "map": None, "model": None, "units": data["units"][:3], "files": data["files"][:1]})
    bare["files"][0].update(run=None, verdict=None, probe=None, coverage=[], notes=[])
    for unit in bare["units"]:
        unit.update(
            dict.fromkeys(
                (
                    "confidence",
                    "ood_score",
                    "probability",
                    "spread",
                    "layer",
                    "region",
                    "x_um",
                    "y_um",
                    "n_spikes",
                    "rate_hz",
                )
            )
        )
        unit.update(
            dict.fromkeys(
                ("map", "waveform", "isi", "acg", "acg_3d", "explanation", "reason_detail", "cell_id", "partner")
            )
        )
        unit.update(quality={}, neighbours=[], labels={})
    path = tmp_path / "bare.html"
    path.write_text(render(bare), encoding="utf-8")
    page = Page(browser, path).load(f"#unit={bare['units'][1]['key']}")
    assert page.tab.inner_text("#unit h2") == f"Unit {bare['units'][1]['id']}"  # the address named it
    assert page.tab.locator("#unit figure").count() == 0
    assert page.tab.inner_text("#unit .absent").count("(") == 8  # each panel is named, with the reason
    assert not page.tab.locator("#map").is_visible()
    assert "nothing about where" in page.tab.inner_text("#probe-note")
    assert page.said == []
    assert page.tab.evaluate(_TRY_TO_LEAVE) == ["connect-src", "img-src", "script-src-elem"]
    page.context.close()


def test_nothing_was_said_during_all_of_this(loaded: Page) -> None:
    assert loaded.said == []
    assert {url.split(":")[0] for url in loaded.requests} <= {"file", "data", "blob", "about"}
