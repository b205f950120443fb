"""Checks: what sends a row back, where it goes, and the same result for a submitter before sending."""

from datetime import date

import polars as pl

from pipelines.identity.vault import open_vault
from pipelines.intake import check, ledger, views
from pipelines.intake.run import finish_intake, run_intake

TODAY = date(2026, 11, 21)


def quarantined(settings):
    return pl.concat(pl.read_parquet(path) for path in sorted(settings.quarantine.glob("*.parquet")))


def test_each_bad_row_goes_to_quarantine_with_rule_and_sentence(home, landing, row):
    landing.enrollment(
        "001",
        2024,
        [
            row("S1", "001", 2024),
            row("S2", "001", 2024, exited="01/01/2001"),
            row("S3", "001", 2024, grade="nonsense"),
            row("S4", "001", 2024, entry="31/31/2023"),
            row("", "001", 2024),
        ],
    )
    run_intake(home, "b1", today=TODAY)
    found = dict(quarantined(home).select("source_row", "rule_id").iter_rows())
    assert found == {
        2: "k12__enrollment.exit_on_or_after_entry",
        3: "k12__enrollment.code_set",
        4: "k12__enrollment.type",
        5: "k12__enrollment.missing",
    }
    assert all(message.endswith(".") for message in quarantined(home)["message"])
    (line,) = ledger.read(home).iter_rows(named=True)
    assert (line["delivered_count"], line["accepted_count"], line["quarantined_count"]) == (5, 1, 4)


def test_quarantine_and_error_file_hold_no_value_and_the_vault_holds_the_row(home, landing, row):
    landing.enrollment("001", 2024, [row("CANARY9", "CANARYLEA", 2024, grade="CANARYNAME"), row("S1", "001", 2024)])
    run_intake(home, "b1", today=TODAY)
    finish_intake(home, "b1", TODAY)
    for folder in (home.quarantine, home.accepted, home.evidence):
        for path in folder.rglob("*"):
            if path.is_file():
                text = pl.read_parquet(path).write_csv() if path.suffix == ".parquet" else path.read_text()
                assert "CANARY" not in text, path
    with open_vault(home) as con:
        (bad,) = con.execute("SELECT rule_id, source_row, row_text FROM vault.bad_row").fetchall()
    assert bad[:2] == ("k12__enrollment.code_set", 1) and "CANARYNAME" in bad[2] and "CANARY9" in bad[2]
    (errors,) = (home.quarantine / "errors" / "lea_001").glob("*.csv")
    assert pl.read_csv(errors)["source_row"].to_list() == [1]


def test_of_equal_rows_the_first_stays_and_the_others_are_duplicates(home, landing, row):
    landing.enrollment("001", 2024, [row("S1", "001", 2024), row("S2", "001", 2024), row("S1", "001", 2024)])
    run_intake(home, "b1", today=TODAY)
    (line,) = ledger.read(home).iter_rows(named=True)
    assert (line["accepted_count"], line["duplicate_count"], line["quarantined_count"]) == (2, 1, 0)
    (path,) = views.active_files(home)["k12__enrollment"]
    assert pl.read_parquet(path)["source_row"].to_list() == [1, 2]


def test_rows_with_one_key_and_different_contents_are_all_sent_back(home, landing, row):
    landing.enrollment(
        "001",
        2024,
        [
            row("S1", "001", 2024),
            row("S1", "001", 2024, grade="8"),
            row("S1", "001", 2024),
            row("S2", "001", 2024),
        ],
    )
    run_intake(home, "b1", today=TODAY)
    assert quarantined(home)["source_row"].to_list() == [1, 2, 3]
    assert set(quarantined(home)["rule_id"]) == {"k12__enrollment.key_conflict"}


def test_equal_keys_of_two_deliveries_do_not_conflict(home, landing, row):
    landing.enrollment("001", 2024, [row("S1", "001", 2024)])
    landing.enrollment("002", 2024, [row("S1", "001", 2024, grade="8")])
    run_intake(home, "b1", today=TODAY)
    assert ledger.read(home)["accepted_count"].to_list() == [1, 1]


def test_one_bad_submitter_does_not_stop_another_and_is_named(home, landing, row):
    landing.enrollment("001", 2024, students=300)
    landing.enrollment("002", 2024, [row("S1", "002", 2024, grade="?")] * 2 + [row("S2", "002", 2024)])
    run_intake(home, "b1", today=TODAY)
    checks = finish_intake(home, "b1", TODAY)
    shares = {c["submitter"]: c for c in checks if c["check_id"] == "intake.k12__enrollment.quarantine_share"}
    assert (shares["lea_001"]["status"], shares["lea_002"]["status"]) == ("pass", "fail")
    failed = shares["lea_002"]
    assert (failed["failing_count"], failed["total_count"], failed["school_year"]) == (2, 3, 2024)
    assert failed["severity"] == "error"
    rules = [c for c in checks if c["check_id"] == "intake.k12__enrollment.code_set"]
    assert [(c["submitter"], c["failing_count"]) for c in rules] == [("lea_002", 2)]


def test_shifted_columns_are_quarantined_row_by_row_and_called_shifted(home, landing):
    shifted = [["", "S1", "2023-2024", "00101", "08/20/2023", "001", "9"] for _ in range(4)]
    landing.enrollment("001", 2024, shifted)
    run_intake(home, "b1", today=TODAY)
    assert ledger.read(home)["quarantined_count"].to_list() == [4]
    checks = finish_intake(home, "b1", TODAY)
    (shift,) = [c for c in checks if c["check_id"] == "intake.k12__enrollment.type_share"]
    assert (shift["status"], shift["severity"], shift["failing_count"]) == ("fail", "error", 4)
    assert "shifted" in shift["message"]
    assert all(c.get("failing_count", 0) <= c["total_count"] for c in checks)


def test_a_line_with_too_many_fields_is_sent_back_for_its_shape_only(home, landing, row):
    good = ",".join(row("S1", "001", 2024))
    header = "SSID,SchoolYear,SchoolCode,EntryDate,DistrictCode,ExitDate,Grade"
    landing.text("lea_001", "k12_annual", "2024", "enrollment.csv", f"{header}\n{good}\n{good},one,too many\n")
    run_intake(home, "b1", today=TODAY)
    assert quarantined(home).select("source_row", "rule_id").rows() == [(2, "k12__enrollment.record_shape")]


def test_a_file_that_no_collection_takes_is_counted_and_listed(home, landing):
    landing.enrollment("001", 2024)
    landing.text("lea_001", "k12_annual", "2024", "lunch.csv", "a,b\n1,2\n3,4\n")
    run_intake(home, "b1", today=TODAY)
    (line,) = ledger.read(home).filter(pl.col("file_name") == "lunch.csv").iter_rows(named=True)
    assert (line["collection"], line["delivered_count"], line["not_collected_count"]) == ("", 2, 2)
    assert ledger.ledger_balances(home) == []
    assert any(c["check_id"] == "intake.file.not_collected" for c in finish_intake(home, "b1", TODAY))


def test_check_file_gives_intakes_verdict_without_a_vault(home, landing, row, tmp_path):
    path = landing.enrollment("001", 2024, [row("S1", "001", 2024), row("S2", "001", 2024, grade="?")])
    report = check.check_file(home, path, "k12__enrollment", error_file=tmp_path / "errors.csv")
    assert not report.is_clean
    assert (report.record_count, report.accepted_count, report.quarantined_count) == (2, 1, 1)
    assert "Row 2" in report.as_text() and "grade_level_code must be" in report.as_text()
    assert pl.read_csv(tmp_path / "errors.csv")["source_row"].to_list() == [2]
    assert not home.vault.exists() and not home.evidence.exists()
    run_intake(home, "b1", today=TODAY)
    assert quarantined(home)["message"].to_list() == report.failures["message"].to_list()


def test_check_file_says_when_the_whole_file_would_be_refused(home, landing):
    path = landing.text("lea_001", "k12_annual", "2024", "enrollment.csv", "Name,Other\nx,y\n")
    report = check.check_file(home, path, "k12__enrollment")
    assert not report.is_clean and "would be refused" in report.as_text()
