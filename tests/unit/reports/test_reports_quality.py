"""The quality report in its two editions."""

from __future__ import annotations

import dataclasses
import re
import shutil
from datetime import date

import polars as pl
import pytest
from made_up_release import BUILD, check, gate

from pipelines import planner
from pipelines.disclosure.policy import load_policy
from pipelines.identity.measure import GROUP_QUALITY
from pipelines.intake import calendar
from pipelines.quality import check_result
from pipelines.reports import effects, quality
from pipelines.reports.titles import Titles
from pipelines.settings import load

TODAY = date(2026, 11, 21)
POLICY = load_policy(load({}).seeds / "policy" / "protection.csv", TODAY)


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
    assert "K–12 and Workforce 0.9871 991 no 0.9312 1,051 no 0.4100" in exact
    assert "42.00% 807 44.00% 811 -2.00" in exact
    assert "People with two Social Security numbers All 13 1,301" in exact


def test_the_restricted_edition_tells_what_protection_costs_by_level_and_group(page):
    exact = page("restricted")
    assert (
        "Chronic absenteeism School 2 1 0 1 50.0% 1 0 0 0 6 0" in exact
        and "Gender School 2 1 0 1 50.0% 1 0 0 0 6 0" in exact
    )


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
    assert quality.coded(failing, total, POLICY) == told


def test_the_steps_of_shares_are_those_of_the_policy_of_the_build(evidence, page, tmp_path):
    policy = dataclasses.replace(POLICY, report_minimum_rows=9, quarantine_low_share=0.02, quarantine_high_share=0.1)
    assert [quality.coded(failing, 50, policy) for failing in (1, 2, 6)] == ["up to 2%", "up to 10%", "over 10%"]
    assert [quality.step(share, dataclasses.replace(POLICY, loss_high_share=0.8)) for share in (0.1, 0.7, 0.81)] == [
        "few: up to 10%",
        "some: up to 80%",
        "most: over 80%",
    ]
    seeds = tmp_path / "seeds"
    shutil.copytree(evidence.seeds, seeds)
    with (seeds / "policy" / "protection.csv").open("a") as handle:
        handle.write("report_minimum_rows,777,board,2026-01-01,more\nreport_minimum_rows,888,board,2027-01-01,later\n")
    assert "up to 0.5%, which may be none; up to 5%; over 5%" in page("public")
    assert "not at all for fewer than 100 rows" in page("public")
    path, asked = tmp_path / "asked.html", dataclasses.replace(evidence, seeds=seeds)
    quality.build_quality(asked, BUILD, path, "public", gate(), TODAY, "r1", "2026-11-20")
    assert "not at all for fewer than 777 rows" in path.read_text()


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


def reason(code: str, **values: object) -> dict:
    return {"code": code, "check_id": "", "family": "", "collection": "", "submitter": "", "school_year": None} | values


def test_a_family_held_with_a_linked_one_says_with_which_and_why(home):
    told = quality.reasons(Titles(home), [reason("linked_family_held", family="college_going_fall")])
    assert told == [
        "Held together with College-going, first fall: published alone, the difference of the two could tell about "
        "few people."
    ]


def test_preliminary_deliveries_are_told_once_with_their_senders_or_how_many(home):
    def told(senders: int) -> list[str]:
        given = [
            reason("delivery_not_certified", collection="k12__completion", submitter=f"lea_{n:04}", school_year=2026)
            for n in range(1, senders + 1)
        ]
        return quality.reasons(Titles(home), given)

    about = "A delivery is not certified by its sender yet: High school completion"
    assert told(2) == [f"{about}, District 0001, District 0002 (2025–26)."]
    assert told(4) == [f"{about}, 4 senders (2025–26)."]


def test_what_was_not_computed_names_the_family_whose_check_failed(home):
    given = reason(
        "skipped_because_of_failure", check_id="warehouse.ind_four_year_graduation.unique_key",
        family="four_year_graduation",
    )  # fmt: skip
    assert quality.reasons(Titles(home), [given, given]) == [
        "Could not be computed this night, because a check of Four-year graduation rate failed: "
        "“No row stands twice” (Warehouse: four year graduation)."
    ]


@pytest.mark.parametrize(
    ("check_id", "told"),
    [
        ("warehouse.dim_organization.not_null__organization_name", "Organization name is never empty"),
        ("warehouse.fct_enrollment.unique__record_key__0a1b2c", "Record key never stands twice"),
        ("expectation.coverage.breakdowns_present", "Figures are there for every kind of student group"),
        ("intake.k12__completion.certified", "Certified by its sender"),
        ("linkage.brg_record_person.recall_linkable", "Linkable pairs that were found"),
        ("intake.k12__completion.some_new_rule", "Some new rule"),
    ],
)
def test_a_check_reads_as_the_rule_that_it_tries(check_id, told):
    assert quality.check(check_id) == told


def test_a_preliminary_delivery_is_public_and_names_only_the_numbers_that_wait_for_it(evidence):
    row = check(
        "intake.k12__completion.certified", "intake", "warn", "fail",
        collection="k12__completion", submitter="lea_0002", school_year=2026,
    )  # fmt: skip
    build = "20261120T020000-cccc"
    check_result.record(evidence, build, "intake", [row])
    (found,) = quality.failures(Titles(evidence), check_result.read(evidence, build), restricted=False)
    assert found["submitter"] == "District 0002" and found["years"] == "2025–26"
    named = {name for name, *_ in found["effects"]}
    assert "Four-year graduation rate" in named
    assert "Found in covered employment, first year after high school" not in named


def test_the_bars_of_linkage_are_those_of_the_policy(evidence, tmp_path, page):
    assert "0.995 reached" in page("restricted") and "0.97 reached" in page("restricted")
    seeds = tmp_path / "seeds"
    shutil.copytree(evidence.seeds, seeds)
    policy = seeds / "policy" / "check_threshold.csv"
    lines = [line for line in policy.read_text().splitlines() if not line.startswith("linkage.")]
    lines.append("linkage.brg_record_person.precision,0.02,share,made easier,nobody,2026-07-01")
    policy.write_text("\n".join(lines) + "\n")
    changed = dataclasses.replace(evidence, seeds=seeds)
    (pair,) = quality.linkage(changed)["pairs"]
    assert quality.bars(changed) == {"precision": 0.98, "recall_linkable": None}
    assert pair["precision_reached"] is True, "0.9871 reaches 0.98"
    assert pair["recall_linkable_reached"] is None


def line_of_links(**more):
    base = {"sector_a": "", "sector_b": "", "breakdown_code": "gender", "group_code": "female", "method": "hidden_ssn",
            "metric": "recall"}  # fmt: skip
    return base | more


def test_links_are_told_by_group_with_intervals_and_the_worst_group_is_named(evidence, page):
    rows = [
        line_of_links(value=0.9312, low=0.911, high=0.947, numerator=931.2, denominator=1000),
        line_of_links(group_code="male", value=0.99, low=0.98, high=0.995, numerator=990, denominator=1000),
        line_of_links(group_code="nonbinary", value=0.5, low=0.1, high=0.9, numerator=2, denominator=4),
        line_of_links(method="clerical_sample", metric="precision"),  # too few judgements
        line_of_links(sector_a="k12", sector_b="workforce", method="count", metric="not_determined", value=7 / 613,
                      numerator=7, denominator=613),
    ]  # fmt: skip
    pl.DataFrame(rows, schema=GROUP_QUALITY).write_parquet(evidence.exchange / "link_quality_group.parquet")
    exact = page("restricted")
    assert "Links are found least for this student group: Female, by gender." in exact
    assert "Female (Gender) – – – – – 93.12 (91.1–94.7) – – – – –" in exact
    assert "K–12 Female (Gender) 7 613" in exact
    public = page("public")
    assert "93.12" not in public and "613" not in public and "found least" not in public


def test_the_public_edition_tells_links_by_group_from_the_protected_table_alone(evidence, page):
    base = {"sector_code": "k12", "other_sector_code": "workforce", "school_year": 2025, "breakdown_code": "all",
            "group_code": "all", "group_name": "All", "share": 0.5, "value_status": "shown"}  # fmt: skip
    rows = [
        base | {"link_status": "linked", "person_count": 1234},
        base | {"link_status": "linked", "person_count": 5678, "school_year": 2024},
        base | {"link_status": "not_determined", "person_count": 23},
        base
        | {"breakdown_code": "gender", "group_code": "female", "group_name": "Female", "link_status": "not_found",
           "person_count": 456},
    ]  # fmt: skip
    folder = evidence.candidate / "data"
    folder.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows).write_parquet(folder / "mart_link_quality.parquet")
    public = page("public")
    assert "From K–12 to Workforce, 2024–25" in public and "5,678" not in public, "the newest year alone"
    assert "All 1,234 – 23 –" in public and "Female (Gender) – 456 – –" in public
    assert "From K–12 to Workforce, 2024–25" not in page("restricted")


def test_the_effect_of_linkage_error_is_told_for_every_indicator(evidence, page):
    summary = {row["name"]: row for row in quality.effect_summary(evidence, Titles(evidence))}
    assert set(summary) == {row["indicator_name"] for row in Titles(evidence).indicators.values()}
    assert summary["Course completion"]["cohorts"] == 0
    fall = summary["College-going, first fall"]
    assert (fall["cohorts"], fall["different"], fall["largest"]["year"]) == (1, 1, "2024–25")
    exact = page("restricted")
    assert "College-going, first fall 1 1 -2.00 2024–25 807 811 2024–25" in exact
    assert "Course completion It has no figure of the state as a whole to compare." in exact
    assert "What linkage error does" not in page("public")


def test_what_waits_for_the_steward_is_told_in_the_restricted_edition_alone(page):
    exact, public = page("restricted"), page("public")
    assert "Two persons who may be one 4,241 3 0.042% 7 5 13 11" in exact
    assert "demo_identity_steward Same person 6,661 2026-11-08" in exact
    for secret in ("4,241", "6,661", "demo_identity_steward", "identity steward"):
        assert secret not in public, secret


def test_the_restricted_edition_tells_what_each_choice_hides_of_perturbed_figures(page):
    exact = page("restricted")
    # figures, shown, too few, an official table, share, people in hidden figures, their share; medians
    told = "State 41 13 7 21 68.3% 1,950 37.3% 29 11 17 1"
    assert f"Found in covered employment, first year after high school {told}" in exact and f"Gender {told}" in exact


def test_the_public_edition_tells_what_each_choice_hides_in_steps_only(evidence, page):
    path = evidence.candidate / "data" / "mart_indicator__organization.parquet"
    table = pl.read_parquet(path)
    row = table.head(1).with_columns(
        indicator_code=pl.lit("employment_year_1_after_high_school"), organization_level=pl.lit("state"),
        value_status=pl.lit("suppressed"), protection=pl.lit("perturbed"),
    )  # fmt: skip
    pl.concat([table, row]).write_parquet(path)
    public = page("public").split("What protection hides")[-1]
    told = "some: up to 50% most: over 50% most: over 50%"  # too few, an official table, employers
    line = public.split("Found in covered employment, first year after high school")[1].split("Found in")[0]
    assert told in line
    for secret in ("1,950", "1,907", "5,231", "37.3", "68.3"):
        assert secret not in public


def test_what_a_revision_withdrew_counts_as_hidden(evidence, page):
    path = evidence.candidate / "data" / "mart_indicator__organization.parquet"
    table = pl.read_parquet(path)
    one = table.head(1).with_columns(indicator_code=pl.lit("four_year_graduation"), organization_level=pl.lit("state"))
    others = table.filter(
        (pl.col("indicator_code") != "four_year_graduation") | (pl.col("organization_level") != "state")
    )
    statuses = ("shown", "suppressed", "withdrawn", "withdrawn", "window_open")
    pl.concat([others, *(one.with_columns(value_status=pl.lit(status)) for status in statuses)]).write_parquet(path)
    (row,) = [
        row
        for row in quality.state_losses(evidence, Titles(evidence), BUILD, path.parent, POLICY)
        if row["name"] == "Four-year graduation rate"
    ]
    assert row["coded"] == "most: over 50%"  # three of four; only the suppressed one would be some
    cells = [
        ("four_year_graduation", "school", "all", status, people, people == 6, False, people in (15, 16), people == 8)
        for status, people in (
            *(("shown", 40), ("suppressed", 6), ("withdrawn", 8), ("suppressed", 15), ("banded", 16), ("banded", 17)),
            ("window_open", 0),
        )
    ]
    schema = ["indicator_code", "organization_level", "breakdown_code", "value_status", "denominator_count"]
    schema += ["is_primary_denominator", "is_primary_numerator", "is_decoy", "is_hidden_for_room"]
    pl.DataFrame(cells, schema=schema, orient="row").write_parquet(
        evidence.evidence / "disclosure" / f"{BUILD}.parquet"
    )
    # cells, shown, as a range, hidden, share, small themselves, in sums with those, for room, decoys, people, other
    assert "Four-year graduation rate School 7 1 2 3 50.0% 1 1 1 2 29 1" in page("restricted")
