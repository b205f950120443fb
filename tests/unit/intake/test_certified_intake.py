"""Certified or preliminary: which deliveries in use nobody has certified yet, and of which nobody ever will."""

import csv
import json
from datetime import date

import polars as pl
import pytest

from pipelines.demo_state.faults import plant
from pipelines.intake import calendar
from pipelines.intake.run import finish_intake, run_intake
from pipelines.settings import ROOT

TODAY = date(2026, 11, 21)
NOTE = json.dumps({"status": "certified", "by": "Data steward", "on": "2026-10-15"})


@pytest.fixture
def certify(landing):
    """Lay a certification note beside a delivery."""

    def lay(submitter: str, package: str, period: str) -> None:
        landing.text(submitter, package, period, "certification.json", NOTE)

    return lay


def verdicts(rows, collection):
    """(status, submitter, school year) of the certification check of one collection."""
    wanted = [row for row in rows if row["check_id"] == f"intake.{collection}.certified"]
    assert all(row["collection"] == collection for row in wanted)
    # A warning in kind: what reads the latest delivery goes on.
    assert {(row["layer"], row["category"], row["severity"]) for row in wanted} <= {("intake", "conformance", "warn")}
    return sorted((row["status"], row.get("submitter") or "", row.get("school_year") or 0) for row in wanted)


def night(home, build):
    run_intake(home, build, today=TODAY)
    return finish_intake(home, build, TODAY)


def test_a_preliminary_delivery_in_use_is_named_until_it_is_certified(home, landing, certify):
    for lea in ("001", "002"):
        for year in (2025, 2026):
            landing.enrollment(lea, year)
            if (lea, year) != ("002", 2026):
                certify(f"lea_{lea}", "k12_annual", str(year))
    rows = night(home, "b1")
    assert verdicts(rows, "k12__enrollment") == [("fail", "lea_002", 2026)]
    (message,) = [row["message"] for row in rows if row["check_id"].endswith(".certified") and row["status"] == "fail"]
    for words in ("lea_002", "k12_annual 2026", "2026-10-31", "certification.json", '"status": "certified"'):
        assert words in message
    certify("lea_002", "k12_annual", "2026")
    assert verdicts(night(home, "b2"), "k12__enrollment") == [("pass", "", 0)]


def test_a_delivery_whose_note_cannot_be_read_is_preliminary(home, landing):
    landing.enrollment("001", 2026)
    landing.text("lea_001", "k12_annual", "2026", "certification.json", '{"status": "certified"}')
    assert verdicts(night(home, "b1"), "k12__enrollment") == [("fail", "lea_001", 2026)]


def test_a_later_preliminary_delivery_waits_so_that_what_is_in_use_stays_certified(home, landing, certify, row):
    landing.enrollment("001", 2026)
    certify("lea_001", "k12_annual", "2026")
    night(home, "b1")
    landing.enrollment("001", 2026, [row("S1", "001", 2026)])
    (home.landing / "lea_001" / "k12_annual" / "2026" / "certification.json").unlink()
    assert verdicts(night(home, "b2"), "k12__enrollment") == [("pass", "", 0)]


def test_a_package_that_nobody_certifies_is_not_asked_for_it(home, landing):
    landing.removal(2026, [["R1", "09012025", "", ""]])
    assert verdicts(night(home, "b1"), "child_welfare__removal") == [("not_applicable", "", 0)]
    register = home.seeds / "registers" / "collection_calendar.csv"
    line = next(line for line in register.read_text().splitlines() if line.startswith("child_welfare,dhs"))
    register.write_text(register.read_text().replace(line, line.replace(",14,,", ",14,11-30,")))
    assert verdicts(night(home, "b2"), "child_welfare__removal") == [("fail", "dhs", 2026)]


def test_the_planted_preliminary_delivery_is_the_one_that_is_named(home, landing, certify):
    for lea in ("001", "002"):
        for year in (2025, 2026):
            landing.enrollment(lea, year, students=3)
            certify(f"lea_{lea}", "k12_annual", str(year))
    truth = [
        (f"lea_{lea}", "k12_annual", str(year), n) for lea in ("001", "002") for year in (2025, 2026) for n in "123"
    ]
    home.truth.mkdir()
    columns = ["submitter", "package", "period", "source_row"]
    pl.DataFrame(truth, schema=columns, orient="row").write_parquet(home.truth / "record_truth.parquet")
    planted = plant(home, "preliminary")
    assert planted.records == 3
    rows = night(home, "b1")
    assert verdicts(rows, "k12__enrollment") == [("fail", planted.submitter, int(planted.period))]
    assert pl.read_parquet(home.truth / "record_truth.parquet").height == len(truth)


def test_official_indicators_read_certified_deliveries_and_the_others_the_latest():
    with (ROOT / "seeds" / "registers" / "indicator.csv").open(newline="", encoding="utf-8") as handle:
        rules = {(line["protection"], line["certification_rule"]) for line in csv.DictReader(handle)}
    assert rules == {("official", "certified"), ("perturbed", "latest")}


def test_status_asks_for_a_certification_that_is_overdue_and_is_not_late_for_it(home, landing, certify, capsys):
    landing.directory(2026, ["001", "002"])
    for lea in ("001", "002"):
        landing.enrollment(lea, 2026)
    certify("lea_002", "k12_annual", "2026")
    run_intake(home, "b1", today=TODAY)
    capsys.readouterr()
    asked = "received  lea_001 k12_annual 2026: 1 of 1 files accepted. Certified data were due on 2026-10-31."
    assert calendar.print_status(home, date(2026, 10, 31)) == 0
    assert asked not in capsys.readouterr().out
    assert calendar.print_status(home, date(2026, 11, 1)) == 0
    printed = capsys.readouterr().out
    assert asked in printed and "Ask lea_001 to certify it." in printed
    assert "certified lea_002 k12_annual: 1 period\n" in printed and "lea_002 k12_annual 2026" not in printed
