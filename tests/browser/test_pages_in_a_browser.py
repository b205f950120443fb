"""Every page type in Chromium: no violation of WCAG 2.1 A and AA, no request to another host, usable by keyboard.

One browser process for the module, without network. Skipped where there is no Chromium.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest
from chromium import OPTIONS, violations
from made_up_release import BUILD, gate, write_evidence, write_tables

from pipelines.intake import calendar
from pipelines.settings import load

pytestmark = pytest.mark.browser

WIDTHS = {"phone": 390, "desktop": 1280}
PAGES = {
    "overview": "index.html",
    "list of organizations": "organizations.html",
    "state": "organizations/state-state.html",
    "district": "organizations/lea-0001.html",
    "school": "organizations/school-00010001.html",
    "institution": "organizations/institution-00999900.html",
    "school without a figure yet": "organizations/school-00010002.html",
    "from one stage to the next": "transitions/index.html",
    "quality report": "quality.html",
    "quality report of a refused build": "refused.html",
    "quality report without evidence": "empty.html",
    "inventory": "inventory.html",
    "restricted quality report": "restricted/quality.html",
}


@dataclass
class Opened:
    """A page as it was opened, with everything that it asked for and every error that it met."""

    page: object
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The site of a made-up release with every page type."""
    from pipelines.reports import inventory, quality, site
    from pipelines.reports.page import copy_style

    base = tmp_path_factory.mktemp("pages")
    settings = load({"P20W_HOME": str(base / "state"), "P20W_TRUTH": str(base / "truth")})
    bare = load({"P20W_HOME": str(base / "empty"), "P20W_TRUTH": str(base / "truth")})
    write_evidence(settings)
    data, target = write_tables(settings.candidate / "data"), base / "site"
    site.build_site(settings, data, target, gate())
    today = date(2026, 11, 21)
    late = calendar.StatusRow(
        "lea_0002", "k12_annual", "2026", ("k12__completion",), 2026, "late", None, date(2026, 8, 31), today, None,
        None, "", True,
    )  # fmt: skip
    stamp = {"release_id": "r20261120-example", "data_as_of": "2026-11-20"}
    refused = gate(outcome="refuse", reasons=[{"code": "evidence_absent", "check_id": "expectation"}])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calendar, "status", lambda settings, today: [late])
        for name, edition, decision in (
            ("quality.html", "public", gate()),
            ("refused.html", "public", refused),
            ("restricted/quality.html", "restricted", gate()),
        ):
            quality.build_quality(settings, BUILD, target / name, edition, decision, today, **stamp)
        patch.setattr(calendar, "status", lambda settings, today: [])
        quality.build_quality(bare, BUILD, target / "empty.html", "public", {}, today, **stamp)
    copy_style(target / "restricted")
    rows = [
        {
            **dict.fromkeys(inventory.COLUMNS, ""),
            "collection": "k12__student",
            "element": element,
            "definition": "An element that was made up.",
            "privacy_class": "direct",
            "status": status,
            "read_by_models": "int_linkage__key",
            "completeness": "0.9",
            "first_year": "2019",
            "last_year": "2026",
        }
        for element, status in (("surname", "maintained"), ("postal_code", inventory.NO_PURPOSE))
    ]
    with (base / "collection_inventory.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, inventory.COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    inventory.inventory_page(settings, base / "collection_inventory.csv", target / "inventory.html", **stamp)
    return target


@pytest.fixture(scope="module")
def tabs(browser):
    """One tab a width, used for page after page."""
    return {name: browser.new_page(viewport={"width": width, "height": 900}) for name, width in WIDTHS.items()}


@pytest.fixture
def open_page(tabs, folder):
    """Open a page of the site at a width, with everything that is folded shown."""
    listeners = []

    def opener(name: str, width: str = "desktop") -> Opened:
        tab = tabs[width]
        opened = Opened(tab)
        listening = {
            "request": lambda request: opened.requests.append(request.url),
            "pageerror": lambda error: opened.errors.append(str(error)),
        }
        for event, listener in listening.items():
            tab.on(event, listener)
            listeners.append((tab, event, listener))
        tab.goto((folder / PAGES[name]).as_uri())
        tab.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
        return opened

    yield opener
    for tab, event, listener in listeners:
        tab.remove_listener(event, listener)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_violation_of_wcag_a_and_aa(open_page, axe, record_property, name, width):
    opened = open_page(name, width)
    told, version = violations(axe, opened.page)
    record_property("axe_version", version)
    assert not told, f"axe {version}\n" + "\n".join(told)


def test_axe_sees_a_planted_violation(tabs, axe):
    tabs["phone"].set_content("<html><body><img src='data:,'><p style='color:#ccc'>Pale words</p></body></html>")
    found = axe.run(tabs["phone"], options=OPTIONS).response
    assert {"image-alt", "color-contrast", "html-has-lang"} <= {each["id"] for each in found["violations"]}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_no_host_and_only_for_files_of_its_own_site(open_page, folder, name):
    opened = open_page(name)
    asked = [each for each in opened.requests if not each.startswith("data:")]
    assert asked and all(each.startswith(folder.as_uri() + "/") for each in asked), asked
    assert not opened.errors


def test_no_page_needs_a_script_and_none_is_wider_than_a_phone(open_page):
    for name in PAGES:
        page = open_page(name, "phone").page
        assert page.locator("script").count() == 0, name
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS["phone"], name


@pytest.mark.parametrize("name", ["overview", "school", "restricted quality report"])
def test_the_first_tab_stop_skips_to_the_content(open_page, name):
    page = open_page(name).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0, "it shows when it has the focus"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main" and page.url.endswith("#main")


def test_what_is_folded_opens_by_keyboard_and_what_scrolls_has_the_focus(open_page):
    page = open_page("school", "phone").page
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = false })")
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details[open]").count() == 1
    scrolling = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
        ".every(e => e.tabIndex === 0 && e.getAttribute('aria-label'))"
    )
    assert scrolling


def test_every_link_leads_somewhere(open_page, folder):
    for name in PAGES:
        page = open_page(name).page
        links = page.evaluate("[...document.querySelectorAll('a[href]')].map(each => each.href)")
        for link in set(links):
            target, _, anchor = link.removeprefix("file://").partition("#")
            assert Path(target).is_file(), f"{name}: {link}"
            if anchor:
                assert f'id="{anchor}"' in Path(target).read_text(), f"{name}: {link}"


def test_every_table_has_a_caption_and_headers_and_every_chart_a_table(open_page):
    for name in PAGES:
        page = open_page(name).page
        assert page.evaluate("[...document.querySelectorAll('table')].every(t => t.caption && t.tHead)"), name
        assert page.evaluate(
            "[...document.querySelectorAll('tbody tr')].every(r => r.cells[0].tagName === 'TH' && r.cells[0].scope)"
        ), name
        assert page.evaluate(
            "[...document.querySelectorAll('figure')].every(f => f.closest('section').querySelector('table')"
            " && f.querySelector('[role=img][aria-label]'))"
        ), name
