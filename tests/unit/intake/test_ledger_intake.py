"""The ledger: every source record of every file is accounted for, and a break in it is named."""

from datetime import date

import polars as pl

from pipelines.intake import ledger
from pipelines.intake.deliveries import write_parquet
from pipelines.intake.run import finish_intake, run_intake

TODAY = date(2026, 11, 21)


def test_a_record_of_which_some_rows_are_accepted_is_partly_accepted():
    from pipelines.intake.check import judge_records

    rows = pl.DataFrame(
        [
            (0, 1, "accepted"), (0, 1, "accepted"), (0, 2, "accepted"), (0, 2, "quarantined"), (0, 3, "quarantined"),
            (0, 3, "duplicate"), (0, 4, "duplicate"), (1, 1, "accepted"), (1, 1, "duplicate"),
        ],
        schema=["_file", "source_row", "verdict"],
        orient="row",
    )  # fmt: skip
    found = {(file, row): outcome for file, row, outcome in judge_records(rows).iter_rows()}
    assert found == {
        (0, 1): "accepted",
        (0, 2): "partly_accepted",
        (0, 3): "quarantined",
        (0, 4): "duplicate",
        (1, 1): "partly_accepted",
    }


def test_the_ledger_balances_over_good_bad_repeated_and_uncollected_records(home, landing, row):
    landing.enrollment("001", 2024, [row("S1", "001", 2024)] * 2 + [row("S2", "001", 2024, grade="?")])
    landing.text("lea_001", "k12_annual", "2024", "other.csv", "a\n1\n2\n")
    landing.directory(2024, ["001"])
    run_intake(home, "b1", today=TODAY)
    assert ledger.ledger_balances(home) == []
    totals = ledger.read(home).select(pl.col("^.*_count$").sum()).row(0, named=True)
    assert totals["delivered_count"] == 7
    assert totals["delivered_count"] == sum(totals[name] for name in ledger.COUNTS)
    checks = finish_intake(home, "b1", TODAY)
    assert [c["status"] for c in checks if c["check_id"] == "intake.ledger.balance"] == ["pass"]


def test_a_lost_record_is_named_with_its_file(home, landing):
    landing.enrollment("001", 2024)
    run_intake(home, "b1", today=TODAY)
    broken = ledger.read(home).with_columns(accepted_count=pl.col("accepted_count") - 1)
    write_parquet(broken, home.evidence / "ledger.parquet")
    (violation,) = ledger.ledger_balances(home)
    assert "lea_001/k12_annual/2024, file enrollment.csv" in violation and "3 records delivered" in violation
    checks = finish_intake(home, "b1", TODAY)
    assert [c["status"] for c in checks if c["check_id"] == "intake.ledger.balance"] == ["fail"]


def test_lines_that_a_stopped_run_left_beside_the_ledger_are_not_read(home, landing):
    landing.enrollment("001", 2024)
    run_intake(home, "b1", today=TODAY)
    (home.evidence / "ledger.parquet").unlink()
    assert ledger.read(home, "ledger_collection").height == 0
    assert ledger.ledger_balances(home) == []


def test_before_the_first_delivery_every_table_is_empty_and_typed(home):
    for table, schema in ledger.TABLES.items():
        assert dict(ledger.read(home, table).schema) == schema


def test_results_of_what_is_in_use_are_recorded_every_night(home, landing):
    from pipelines.quality import check_result

    landing.enrollment("001", 2024)
    run_intake(home, "b1", today=TODAY)
    finish_intake(home, "b1", TODAY)
    run_intake(home, "b2", today=TODAY)
    finish_intake(home, "b2", TODAY)
    first, second = (check_result.read(home, build).drop("build_id", "recorded_at") for build in ("b1", "b2"))
    assert first.height and first.equals(second)
