"""The calendar: what is expected, received, late, rejected and certified on a day."""

import csv
import json
from datetime import date, timedelta

import pytest

from pipelines.intake import calendar
from pipelines.intake.run import finish_intake, run_intake
from pipelines.settings import ROOT
from schemas import collections

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


def a_line(home, of, **changes):
    """Change the lines of one package in the calendar register of the home."""
    path = home.seeds / "registers" / "collection_calendar.csv"
    with path.open(newline="") as handle:
        lines = list(csv.DictReader(handle))
    lines = [line | changes if line["package"] == of else line for line in lines]
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def test_a_collection_is_stale_once_no_delivery_in_time_explains_the_wait(home):
    # Sent on the first day, July 1, 2023; the next one at the latest on August 10, 2024, of a leap year.
    a_line(home, "directory", opens="+1", due="07-31", grace_days="10")
    assert calendar.freshness_windows(home)["shared__organization"] == date(2024, 8, 10) - date(2023, 7, 1)
    # Sent on April 1; the next quarter ends on June 30 and is in by July 30. July to September are as long; the
    # others are shorter, so that 92 days and 30 more make the longest wait, less the day on which it opens.
    a_line(home, "wages", opens="+1", due="+20", grace_days="10")
    assert calendar.freshness_windows(home)["workforce__wage"] == timedelta(days=92 + 30 - 1)


def test_of_several_packages_the_most_frequent_one_sets_the_window(home):
    before = calendar.freshness_windows(home)["postsecondary__award"]
    a_line(home, "nsc_return", period_rule="quarter", due="+30", grace_days="0")
    window = calendar.freshness_windows(home)["postsecondary__award"]
    assert window < timedelta(days=130) < before
    a_line(home, "nsc_return", package="another")
    assert calendar.freshness_windows(home)["postsecondary__award"] == before


def test_every_asset_of_a_collection_is_as_fresh_as_the_register_asks():
    from pipelines.defs import intake

    with (ROOT / "seeds" / "registers" / "collection_calendar.csv").open(newline="") as handle:
        promised = {line["package"]: line["period_rule"] for line in csv.DictReader(handle)}
    with (ROOT / "seeds" / "registers" / "package.csv").open(newline="") as handle:
        fed = [(line["collection"], promised.get(line["package"])) for line in csv.DictReader(handle)]
    at_least = {"school_year": 366, "quarter": 92}
    for collection in {name for name, _ in fed}:
        spans = [at_least[rule] for name, rule in fed if name == collection and rule]
        policy = intake.freshness(collection)
        if not spans:
            assert policy is None
            continue
        days = policy.fail_window.to_timedelta() / timedelta(days=1)
        # One period from delivery to delivery, and less than a second one to send it in.
        assert min(spans) < days < 2 * min(spans) + 14, collection
    specs = {spec.key: spec.freshness_policy for spec in intake.intake_k12.specs}
    assert specs[intake.accepted_key("k12__enrollment")] == intake.freshness("k12__enrollment")


def test_a_collection_of_which_a_delivery_is_late_fails_its_check_for_those_who_run_the_night(
    home, landing, monkeypatch
):
    from pipelines import planner
    from pipelines.defs import boundary, intake

    landing.directory(2026, ["001", "002"])
    landing.enrollment("001", 2026)
    build = planner.begin(home)
    run_intake(home, build, today=TODAY)
    finish_intake(home, build, TODAY)
    monkeypatch.setattr(boundary, "settings", lambda: home)
    found = {result.asset_key.path[-1]: result for result in intake.deliveries_in_time()}
    assert set(found) == set(collections())
    # District 002 sent nothing; whatever its package feeds is late, and nothing else.
    with (ROOT / "seeds" / "registers" / "package.csv").open(newline="") as handle:
        fed = {line["collection"] for line in csv.DictReader(handle) if line["package"] == "k12_annual"}
    assert {name for name, result in found.items() if not result.passed} == fed
