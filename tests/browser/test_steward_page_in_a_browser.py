"""The steward's page in Chromium: accessible by WCAG 2.1 A and AA, asks no other host, and is worked by keyboard."""

from __future__ import annotations

import threading

import pytest
from chromium import violations
from made_up_queue import BUILD, STEWARD, MadeUp, home, record, write

from pipelines.identity import present
from pipelines.identity.steward import page, queue, show
from pipelines.identity.vault import open_vault

pytestmark = pytest.mark.browser

STEPS = [
    ("all pairs", "", "How rare a match is among all pairs", -13.0),
    ("given", "exact", "Equal", 7.25),
    ("birth", "different", "Anything else", -3.5),
    ("ssn", "", "Nothing said", 0.0),
]


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A running page over two questions: settings and server."""
    monkeypatch.setattr(show, "waterfall", lambda *arguments: STEPS)
    settings = home(tmp_path, queue_share=1)
    people = {1: [record(11)], 2: [record(21)], 3: [record(31)]}
    with open_vault(settings) as con:
        write(con, MadeUp(people, scores=[(11, 21, 5.0), (21, 31, 4.0), (11, 31, 3.0)]))
        present.renew(con)
        queue.refresh_queue(con, settings, BUILD)
    with page.StewardServer(settings, STEWARD) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield settings, server
        server.shutdown()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_stewards_page_is_accessible_and_worked_by_keyboard(browser, axe, record_property, served, width):
    settings, server = served
    tab = browser.new_page(viewport={"width": width, "height": 900})
    requests, errors = [], []
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)

    def judged_accessible():
        told, version = violations(axe, tab)
        assert not told, f"axe {version}\n" + "\n".join(told)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        return version

    tab.goto(server.url)
    record_property("axe_version", judged_accessible())
    tab.get_by_role("link", name="Next item").click()
    judged_accessible()
    assert "Given11" in tab.content()
    # Agreement is words in a cell of its own, and the chart has a name and a table beside it.
    assert tab.locator("tbody tr", has_text="Birth date").first.locator("td").last.inner_text() == "agree"
    assert tab.locator("svg[role=img]").get_attribute("aria-label")
    assert tab.locator("svg rect").count() == len(STEPS)
    assert tab.evaluate("[...document.querySelectorAll('table')].every(t => t.caption && t.tHead)")
    assert tab.evaluate("[...document.querySelectorAll('tbody tr')].every(r => r.cells[0].scope === 'row')")
    tab.locator("#why").focus()
    tab.keyboard.type("one certificate")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.value") == "same"
    tab.keyboard.press("Enter")
    tab.wait_for_url(server.url)
    assert "judged same" in tab.get_by_role("status").inner_text()
    # A verdict that an earlier one makes impossible is told and nothing that was written is lost.
    for item, button in ((2, "Same person"), (3, "Distinct people")):
        tab.goto(f"{server.url}item/{item}")
        tab.fill("#why", "another certificate")
        tab.get_by_role("button", name=button).click()
    assert "cannot be judged" in tab.get_by_role("alert").inner_text()
    assert tab.locator("#why").input_value() == "another certificate"
    judged_accessible()
    tab.close()
    with open_vault(settings) as con:
        assert con.execute("SELECT count(*) FROM look WHERE how = 'page'").fetchone()[0] == 4
        assert con.execute("SELECT count(*) FROM verdict").fetchone()[0] == 2
    assert all(each.startswith((server.url, "data:")) for each in requests), requests
    assert [each for each in errors if "409" not in each] == []
