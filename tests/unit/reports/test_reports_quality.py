"""The quality report in its two editions."""

from __future__ import annotations

import re
from datetime import date

import pytest
from made_up_release import BUILD, check, gate

from pipelines import planner
from pipelines.intake import calendar
from pipelines.quality import check_result
from pipelines.reports import effects, quality
from pipelines.reports.titles import Titles

TODAY = date(2026, 11, 21)


@pytest.fixture
def page(evidence, tmp_path):
    def build(edition: str) -> str:
        path = tmp_path / "quality.html"
        quality.build_quality(evidence, BUILD, path, edition, gate(), TODAY, "r1", "2026-11-20")
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", path.read_text()))

    return build


@pytest.fixture(autouse=True)
def late_delivery(monkeypatch):
    row = calendar.StatusRow(
        "lea_0002", "k12_annual", "2026", ("k12__completion",), 2026, "late", None, date(2026, 8, 31), TODAY, None,
        None, "Due 2026-08-31; 4,711 records came last year.", True,
    )  # fmt: skip
    monkeypatch.setattr(calendar, "status", lambda settings, today: [row])


def test_the_public_edition_holds_no_exact_count_and_nobodys_rows(page):
    public = page("public")
    for secret in ("31,337", "31337", "31,330", "4,711", "979", "1,051", "807", "two birth dates", "sent back", "97"):
        assert secret not in public, secret
    assert "Membership not negative" not in public and "One birth date" not in public
    assert (
        "lea_0001" not in public
        and "First District" not in public.split("Checks that did not pass")[1].split("What sources lack")[0]
    ), "the submitter of rows in quarantine"


def test_the_public_edition_names_what_agencies_did_and_what_it_touches(page):
    public = page("public")
    assert "Second District K–12 annual collection 2025–26 Late 2026-08-31" in public.replace("K-12", "K–12")
    assert "Four-year graduation rate" in public and "up to 0.5%" in public
    assert "The district moved to another system." in public


def test_the_restricted_edition_holds_the_counts_and_the_direction(page):
    exact = page("restricted")
    assert "First District lea_0001" in exact and "31,337 31,330 7 0.0% 0" in exact
    assert "two birth dates" in exact and "4,711" in exact
    assert "the rate moves either way" in exact.lower()
    assert "The numerator shrinks: a graduate counts as not graduated. The rate is too low." in exact


def test_the_restricted_edition_holds_linkage_beside_its_bars_and_its_effect(page):
    exact = page("restricted")
    assert "K–12 and Workforce 0.9871 991 no 0.9312 1,051 yes 0.4100" in exact
    assert "42.00% 807 44.00% 811 -2.00" in exact
    assert "People with two Social Security numbers All 13 1,301" in exact


def test_the_restricted_edition_tells_what_protection_costs_by_level_and_group(page):
    exact = page("restricted")
    assert "Chronic absenteeism School 2 1 0 1 50.0% 6 0" in exact and "Gender School 2 1 0 1 50.0% 6 0" in exact


@pytest.mark.parametrize(
    ("failing", "total", "told"),
    [
        (0, 99, "too few rows to say"),
        (0, 5000, "up to 0.5%"),
        (1, 5000, "up to 0.5%"),
        (25, 5000, "up to 0.5%"),
        (26, 5000, "up to 5%"),
        (251, 5000, "over 5%"),
    ],
)
def test_a_share_is_told_in_steps_from_which_no_row_can_be_read(failing, total, told):
    assert quality.coded(failing, total) == told


def test_news_are_what_fails_now_and_did_not_before_and_the_reverse(evidence):
    earlier = "20261119T010000-bbbb"
    mended = check("intake.k12__completion.refused", "intake", "error", "fail", collection="k12__completion")
    stays = check(
        "intake.k12__completion.delivered", "intake", "error", "fail",
        collection="k12__completion", submitter="lea_0002",
    )  # fmt: skip
    check_result.record(evidence, earlier, "intake", [mended, stays])
    (evidence.evidence / "gate").mkdir()
    (evidence.evidence / "gate" / f"{earlier}.json").write_text("{}")
    titles, checks = Titles(evidence), check_result.read(evidence, BUILD)
    assert planner.last_good(evidence) is None and quality.previous_build(evidence, BUILD) == earlier
    told = quality.news(evidence, titles, checks, earlier, restricted=False)
    assert "Mended: File refused whole, High school completion." in told
    assert not any("Delivered on time" in each for each in told)
    assert "New: Share of rows in quarantine, Attendance by term." in told
    assert not any("negative" in each or "birth" in each for each in told)
    exact = quality.news(evidence, titles, checks, earlier, restricted=True)
    assert any("Membership not negative" in each for each in exact)


def test_an_edition_that_does_not_exist_is_refused(page):
    with pytest.raises(ValueError, match="editions"):
        page("internal")


def test_every_effect_names_an_indicator_and_a_collection_that_it_reads(home):
    titles = Titles(home)
    for code, by_collection in effects.EFFECTS.items():
        declared = set(titles.indicators[code]["collections"].split(";"))
        assert set(by_collection) <= declared, code
        assert {direction for direction, _ in by_collection.values()} <= {"lower", "higher", "either way", "unchanged"}


def test_a_quarantined_enrollment_row_shrinks_a_denominator_and_raises_a_rate():
    direction, sentence = effects.effect("program_participation", "k12__enrollment")
    assert direction == "higher" and sentence.startswith("The denominator shrinks")
    assert effects.effect("a_new_indicator", "k12__enrollment") == effects.NOT_KNOWN
