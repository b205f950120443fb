"""The calendar: what is expected, received, late, rejected and certified on a day."""

import json
from datetime import date

import pytest

from pipelines.intake import calendar
from pipelines.intake.run import finish_intake, run_intake

TODAY = date(2026, 11, 21)


def standing(settings, today=TODAY):
    return {(row.submitter, row.package, row.period): row.status for row in calendar.status(settings, today)}


@pytest.mark.parametrize(
    ("rule", "end", "day"),
    [
        ("+30", date(2026, 6, 30), date(2026, 7, 30)),
        ("08-31", date(2026, 6, 30), date(2026, 8, 31)),
        ("03-31", date(2026, 6, 30), date(2027, 3, 31)),
        ("2026-09-15", date(2026, 6, 30), date(2026, 9, 15)),
    ],
)
def test_a_date_rule_counts_from_the_end_of_the_period(rule, end, day):
    assert calendar.resolve_date(rule, end) == day


@pytest.mark.parametrize(
    ("period", "end", "school_year", "following"),
    [
        ("2024", date(2024, 6, 30), 2024, "2025"),
        ("2024Q1", date(2024, 3, 31), 2024, "2024Q2"),
        ("2024Q2", date(2024, 6, 30), 2024, "2024Q3"),
        ("2024Q3", date(2024, 9, 30), 2025, "2024Q4"),
        ("2024Q4", date(2024, 12, 31), 2025, "2025Q1"),
    ],
)
def test_a_period_has_an_end_a_school_year_and_a_next_one(period, end, school_year, following):
    assert calendar.period_end(period) == end
    assert calendar.period_school_year(period) == school_year
    assert calendar.next_period(period) == following


def test_every_district_of_the_directory_is_expected_and_a_missing_one_is_late_and_named(home, landing):
    for year in (2025, 2026):
        landing.directory(year, ["001", "002"])
        landing.enrollment("001", year)
    landing.enrollment("002", 2025)
    run_intake(home, "b1", today=TODAY)
    assert standing(home)[("lea_002", "k12_annual", "2026")] == "late"
    assert standing(home)[("lea_001", "k12_annual", "2026")] == "received"
    assert standing(home, date(2026, 9, 1))[("lea_002", "k12_annual", "2026")] == "expected"
    assert calendar.print_status(home, TODAY) == 1
    checks = finish_intake(home, "b1", TODAY)
    late = [c for c in checks if c["check_id"].endswith(".delivered") and c["status"] == "fail"]
    assert {(c["submitter"], c["school_year"], c["severity"], c["category"]) for c in late} == {
        ("lea_002", 2026, "error", "completeness")
    }
    assert "k12__enrollment" in {c["collection"] for c in late}


def test_a_district_that_closed_is_not_expected_any_more(home, landing):
    landing.directory(2025, ["001", "002"])
    landing.directory(2026, ["001"])
    for lea, year in (("001", 2025), ("001", 2026), ("002", 2025)):
        landing.enrollment(lea, year)
    run_intake(home, "b1", today=TODAY)
    assert ("lea_002", "k12_annual", "2026") not in standing(home)
    assert calendar.print_status(home, TODAY) == 0


def test_quarters_between_the_first_and_the_newest_that_opened_are_expected(home, landing):
    header = ["YEAR", "QTR", "ACCOUNT", "NAME"]
    landing.table("dol", "employers", "2025Q4", "employers.csv", header, [["2025", "4", "A1", "Mill"]])
    landing.table("dol", "employers", "2026Q2", "employers.csv", header, [["2026", "2", "A1", "Mill"]])
    found = standing(home)
    assert found[("dol", "employers", "2026Q1")] == "late"
    assert found[("dol", "employers", "2026Q3")] == "expected"
    assert ("dol", "employers", "2026Q4") not in found and ("dol", "employers", "2025Q3") not in found


def test_a_package_without_a_folder_in_this_installation_is_not_expected(home, landing):
    landing.removal(2026, [["R1", "09012025", "", ""]])
    run_intake(home, "b1", today=TODAY)
    assert {submitter for submitter, _, _ in standing(home)} == {"dhs"}
    assert calendar.print_status(home, TODAY) == 0


def test_a_delivery_refused_whole_is_rejected_and_late_once_it_is_overdue(home, landing):
    landing.text("dhs", "child_welfare", "2026", "removal.csv", "nothing,known\n1,2\n")
    run_intake(home, "b1", today=TODAY)
    (row,) = calendar.status(home, TODAY)
    assert row.status == "rejected" and row.is_late and "Correct it" in row.message
    assert calendar.print_status(home, date(2026, 8, 1)) == 0
    assert calendar.print_status(home, TODAY) == 1


def test_a_certified_delivery_is_told_from_a_preliminary_one(home, landing):
    landing.removal(2026, [["R1", "09012025", "", ""]])
    run_intake(home, "b1", today=TODAY)
    assert set(standing(home).values()) == {"received"}
    note = {"status": "certified", "by": "Data steward", "on": "2026-10-01"}
    landing.text("dhs", "child_welfare", "2026", "certification.json", json.dumps(note))
    run_intake(home, "b2", today=TODAY)
    assert set(standing(home).values()) == {"certified"}


def test_an_empty_home_expects_nothing(home):
    assert calendar.status(home, TODAY) == []
    assert calendar.print_status(home, TODAY) == 0


def test_a_calendar_line_that_cannot_be_used_is_named(home):
    path = home.seeds / "registers" / "collection_calendar.csv"
    path.write_text(path.read_text().replace("08-31", "end of August"))
    with pytest.raises(ValueError, match="line 3 .*k12_annual.*due must be"):
        calendar.read_calendar(home)
