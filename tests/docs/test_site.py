"""The site builds without a warning, is whole, and asks nobody else for anything."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import ndx_cell_type
import pytest
import yaml

import nwb_celltype
from nwb_celltype import exporting, plotting
from nwb_celltype.cli import VERBS, group

from .pages import ROOT, pages

pytest.importorskip("material", reason="the site is built with the extra `docs`")
pytest.importorskip("mkdocstrings", reason="the site is built with the extra `docs`")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once; any warning is an error."""
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "DANDI_NO_ET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


class Page(HTMLParser):
    """What a page loads, where it leads, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if found.get("id"):
            self.anchors.add(found["id"])
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag in ("script", "img", "iframe", "source", "video", "object", "embed"):
            self.loads += [found[key] for key in ("src", "data") if found.get(key)]
        if tag == "link" and found.get("rel") not in ("canonical", "next", "prev"):
            self.loads.append(found.get("href", ""))


def text_of(site: Path, name: str) -> str:
    return (site / name).read_text(encoding="utf-8")


def test_every_page_is_in_the_navigation(site: Path) -> None:
    made = {path.relative_to(site).with_suffix(".md").as_posix() for path in site.rglob("*.html")} - {"404.md"}
    assert set(pages()) <= made
    notebooks = {f"notebooks/{path.stem}.md" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert made - set(pages()) == notebooks | {"changelog.md"}


def test_nothing_comes_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        for address in Page(path).loads:
            assert not re.match(r"[a-z]+:|//", address) or address.startswith("data:"), f"{path.name} loads {address}"
            if path.name == "404.html":  # shown for any address, so its own are absolute
                continue
            assert (path.parent / address.split("?")[0].split("#")[0]).exists(), f"{path.name}: no {address}"
    for path in site.rglob("*.css"):
        addresses = re.findall(r"url\(['\"]?([^'\")]+)", path.read_text(encoding="utf-8"))
        assert [each for each in addresses if re.match(r"https?:|//", each)] == []


def test_links_and_anchors_lead_somewhere(site: Path) -> None:
    """Of the finished pages, those that hooks and docstrings made included."""
    anchors = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    for path, page in anchors.items():
        for link in page.links:
            if re.match(r"[a-z]+:", link) or path.name == "404.html":
                continue
            file, _, anchor = link.partition("#")
            target = (path.parent / file).resolve() if file else path
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), f"{path.name} links to {link}"
            if anchor and target in anchors and anchor != "__skip":
                assert anchor in anchors[target].anchors, f"{path.name} links to {link}"


def test_all_commands_and_options_are_listed(site: Path) -> None:
    text = text_of(site, "commands.html")
    for verb in VERBS:
        assert f'id="{verb}"' in text
        command = group.get_command(None, verb)  # type: ignore[arg-type]
        assert command is not None
        for parameter in command.params:
            for option in parameter.opts:
                assert not option.startswith("--") or option == "--help" or option in text, f"{verb} {option}"


@pytest.mark.parametrize(
    ("page", "package"),
    [
        ("api.html", nwb_celltype),
        ("api_figures.html", plotting),
        ("api_figures.html", exporting),
        ("api_extension.html", ndx_cell_type),
    ],
    ids=["ours", "figures", "exports", "extension"],
)
def test_all_public_names_are_listed(site: Path, page: str, package: object) -> None:
    text = text_of(site, page)
    names = [name for name in package.__all__ if not name.startswith("__")]  # type: ignore[attr-defined]
    assert len(names) > 3
    missing = [name for name in names if f'id="{package.__name__}.{name}"' not in text]  # type: ignore[attr-defined]
    assert missing == []


def test_the_schema_is_that_of_the_specification(site: Path) -> None:
    spec = ROOT / "extensions" / "ndx-cell-type" / "spec" / "ndx-cell-type.extensions.yaml"
    text = text_of(site, "schema.html")
    for each in yaml.safe_load(spec.read_text(encoding="utf-8"))["groups"]:
        section = text.split(f'<h2 id="{each["neurodata_type_def"].lower()}"')[1].split("<h2")[0]
        for member in (*each.get("attributes", []), *each.get("datasets", []), *each.get("links", [])):
            assert f"<code>{member['name']}</code>" in section
    for reason in ndx_cell_type.REASONS:
        assert f"<code>{reason}</code>" in text


def test_formulas_need_no_script(site: Path) -> None:
    text = text_of(site, "features.html")
    assert text.count("<math") > 30
    assert "arithmatex" not in text
    assert "\\frac" not in text


def test_the_search_works_without_a_server(site: Path) -> None:
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    found = json.loads(index.removeprefix("var __index = "))["docs"]
    assert any("golgi" in entry["text"].lower() for entry in found)
    assert "iframe-worker" in text_of(site, "index.html")


def test_it_is_small_enough_to_send(site: Path) -> None:
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 20_000_000
