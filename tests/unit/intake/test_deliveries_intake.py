"""Deliveries: identified by content, kept, superseded, refused, and taken in again after a stop."""

import json
import os
from datetime import date

import duckdb
import polars as pl
import pytest

from pipelines.intake import deliveries, keying, ledger, run, views
from pipelines.intake.run import run_intake
from schemas import collections

TODAY = date(2026, 11, 21)


def lines(settings, **where):
    found = ledger.read(settings)
    for name, value in where.items():
        found = found.filter(pl.col(name) == value)
    return found


def accepted(settings, collection):
    return pl.concat(pl.read_parquet(path) for path in views.active_files(settings)[collection])


def test_a_delivery_is_named_by_its_content_and_place(home, landing):
    path = landing.enrollment("001", 2024)
    (first,) = deliveries.scan(home)
    assert len(first.delivery_id) == 16
    os.utime(path, (1, 1))
    assert deliveries.scan(home)[0].delivery_id == first.delivery_id
    path.write_text(path.read_text() + "\n")
    assert deliveries.scan(home)[0].delivery_id != first.delivery_id


def test_an_unchanged_file_is_not_hashed_again(home, landing, monkeypatch):
    landing.enrollment("001", 2024)
    deliveries.scan(home)
    monkeypatch.setattr(deliveries, "hash_file", lambda path: pytest.fail("hashed again"))
    assert len(deliveries.scan(home)) == 1


def test_unfinished_and_hidden_files_are_no_delivery(home, landing):
    landing.text("lea_001", "k12_annual", "2024", "enrollment.csv.part", "x")
    landing.text("lea_001", "k12_annual", "2024", ".enrollment.csv", "x")
    assert deliveries.scan(home) == []


def test_a_file_that_changes_while_it_is_copied_waits_for_the_next_run(home, landing):
    path = landing.enrollment("001", 2024)
    (delivery,) = deliveries.scan(home)
    path.write_text("other")
    with pytest.raises(deliveries.ChangedWhileCopied, match="left for the next run"):
        deliveries.receive(home, delivery)
    assert not deliveries.received_folder(home, delivery.delivery_id).exists()


def test_good_rows_are_accepted_without_direct_identifiers(home, landing):
    landing.enrollment("001", 2024, students=3)
    summary = run_intake(home, "b1", today=TODAY)
    frame = accepted(home, "k12__enrollment")
    assert summary.collections["k12__enrollment"].accepted == frame.height == 3
    assert "student_id_state" not in frame.columns
    assert frame["record_key"].n_unique() == 3 and frame["record_key"].min() > 0
    assert frame["school_year"].unique().to_list() == [2024]
    assert frame["certification"].unique().to_list() == ["preliminary"]
    assert ledger.ledger_balances(home) == []


def test_the_same_content_twice_changes_nothing(home, landing):
    path = landing.enrollment("001", 2024)
    run_intake(home, "b1", today=TODAY)
    before = {p: p.stat().st_mtime_ns for p in home.accepted.rglob("*.parquet")}
    path.write_text(path.read_text())
    summary = run_intake(home, "b2", today=TODAY)
    assert summary.deliveries == 0
    assert {p: p.stat().st_mtime_ns for p in home.accepted.rglob("*.parquet")} == before
    assert lines(home, status="accepted").height == 1


def test_a_resubmission_supersedes_and_keeps_record_keys_and_both_copies(home, landing, row):
    landing.enrollment("001", 2024, students=3)
    run_intake(home, "b1", today=TODAY)
    keys = set(accepted(home, "k12__enrollment")["record_key"])
    landing.enrollment("001", 2024, students=4)
    run_intake(home, "b2", today=TODAY)
    assert keys < set(accepted(home, "k12__enrollment")["record_key"])
    assert sorted(lines(home)["status"]) == ["accepted", "superseded"]
    assert len([p for p in (home.landing / ".received").iterdir()]) == 2
    assert len(views.active_files(home)["k12__enrollment"]) == 1


def test_an_earlier_content_sent_again_is_in_use_again(home, landing):
    landing.enrollment("001", 2024, students=3)
    run_intake(home, "b1", today=TODAY)
    landing.enrollment("001", 2024, students=4)
    run_intake(home, "b2", today=TODAY)
    landing.enrollment("001", 2024, students=3)
    run_intake(home, "b3", today=TODAY)
    assert accepted(home, "k12__enrollment").height == 3
    assert lines(home, status="accepted")["received_build"].to_list() == ["b1"]


def test_files_of_one_period_sent_for_another_are_named_and_not_counted_twice(home, landing, row):
    rows = [["R1", "09012023", "", ""], ["R2", "09022023", "", ""]]
    landing.removal(2024, rows)
    landing.removal(2025, rows)
    summary = run_intake(home, "b1", today=TODAY)
    assert summary.repeated == 1
    repeated = lines(home, status="duplicate_delivery")
    assert repeated["period"].to_list() == ["2025"] and "byte for byte" in repeated["refusal_reason"][0]
    assert run_intake(home, "b2", today=TODAY).repeated == 0
    checks = run.finish_intake(home, "b2", TODAY)
    named = [c for c in checks if c["check_id"].endswith("sent_twice")]
    assert named[0]["collection"] == "child_welfare__removal" and named[0]["failing_count"] == 2
    landing.removal(2025, [*rows, ["R3", "09022024", "", ""]])
    assert run_intake(home, "b3", today=TODAY).deliveries == 1


def test_a_copy_of_a_file_in_its_own_delivery_is_read_once(home, landing):
    path = landing.enrollment("001", 2024)
    (path.parent / "copy of enrollment.csv").write_bytes(path.read_bytes())
    run_intake(home, "b1", today=TODAY)
    assert sorted(lines(home)["status"]) == ["accepted", "duplicate_delivery"]
    assert accepted(home, "k12__enrollment").height == 3
    assert ledger.ledger_balances(home) == []


def test_a_certified_delivery_says_by_whom(home, landing):
    landing.enrollment("001", 2024)
    note = {"status": "certified", "by": "Data steward", "on": "2024-10-01"}
    landing.text("lea_001", "k12_annual", "2024", "certification.json", json.dumps(note))
    run_intake(home, "b1", today=TODAY)
    (line,) = lines(home).iter_rows(named=True)
    assert (line["certification"], line["certified_by"], line["certified_on"]) == (
        "certified",
        "Data steward",
        date(2024, 10, 1),
    )
    assert accepted(home, "k12__enrollment")["certification"].unique().to_list() == ["certified"]


def test_a_preliminary_delivery_after_a_certified_one_waits_until_it_is_certified(home, landing, row):
    folder = landing.enrollment("001", 2024).parent
    note = folder / "certification.json"
    note.write_text('{"status": "certified", "by": "the superintendent", "on": "2024-07-15"}')
    run_intake(home, "b1", today=TODAY)
    certified = accepted(home, "k12__enrollment")
    note.unlink()
    landing.enrollment("001", 2024, [row("S9", "001", 2024)])
    run_intake(home, "b2", today=TODAY)
    assert accepted(home, "k12__enrollment").equals(certified)
    assert set(lines(home, received_build="b2")["status"]) == {"awaiting_certification"}
    assert not ledger.ledger_balances(home)
    run_intake(home, "b3", today=TODAY)  # it lies in landing still: nothing flips
    assert accepted(home, "k12__enrollment").equals(certified)
    note.write_text('{"status": "certified", "by": "the superintendent", "on": "2024-09-15"}')
    run_intake(home, "b4", today=TODAY)
    assert accepted(home, "k12__enrollment").height == 1


def test_a_certification_note_that_cannot_be_read_leaves_the_delivery_preliminary(home, landing):
    landing.enrollment("001", 2024)
    landing.text("lea_001", "k12_annual", "2024", "certification.json", '{"status": "certified"}')
    run_intake(home, "b1", today=TODAY)
    assert lines(home)["certification"].to_list() == ["preliminary"]
    checks = run.finish_intake(home, "b1", TODAY)
    assert any(c["check_id"] == "intake.delivery.certification_note" for c in checks)


def test_a_file_that_cannot_be_read_is_refused_alone_and_the_accepted_delivery_stays(home, landing):
    landing.enrollment("001", 2024)
    landing.enrollment("002", 2024)
    run_intake(home, "b1", today=TODAY)
    landing.text("lea_001", "k12_annual", "2024", "enrollment.csv", "Name,Other\nx,y\n")
    landing.enrollment("002", 2024, students=5)
    summary = run_intake(home, "b2", today=TODAY)
    assert (summary.refused, summary.deliveries) == (1, 1)
    assert accepted(home, "k12__enrollment").height == 8
    (refused,) = lines(home, status="refused").iter_rows(named=True)
    assert refused["sha256"] and refused["bytes"] and refused["refusal_reason"]
    assert refused["delivered_count"] is None
    errors = home.quarantine / "errors" / "lea_001" / f"{refused['delivery_id']}.csv"
    assert "file_refused" in errors.read_text()
    assert run_intake(home, "b3", today=TODAY).refused == 0
    checks = run.finish_intake(home, "b3", TODAY)
    refusals = [c for c in checks if c["check_id"].endswith(".refused")]
    assert refusals and all(c["severity"] == "warn" and "stays in use" in c["message"] for c in refusals)


def test_a_package_that_nobody_declared_is_refused_with_a_sentence(home, landing):
    landing.text("lea_001", "unknown_package", "2024", "x.csv", "a\n1\n")
    run_intake(home, "b1", today=TODAY)
    assert "no package unknown_package" in lines(home)["refusal_reason"][0]


def test_an_expired_agreement_refuses_and_a_renewed_one_lets_in(home, landing):
    register = home.seeds / "registers" / "agreement.csv"
    signed = register.read_text()
    register.write_text(signed.replace("2029-06-30", "2026-08-31"))
    landing.enrollment("001", 2024)
    run_intake(home, "b1", today=TODAY)
    assert "expired on 2026-08-31" in lines(home)["refusal_reason"][0]
    register.write_text(signed)
    run_intake(home, "b2", today=TODAY)
    assert lines(home)["status"].to_list() == ["accepted"]


def test_a_source_without_an_agreement_is_refused(home, landing):
    landing.table("somebody", "k12_annual", "2024", "enrollment.csv", ["SSID"], [["1"]])
    run_intake(home, "b1", today=TODAY)
    assert "No agreement" in lines(home)["refusal_reason"][0]


def test_a_run_stopped_before_the_ledger_is_taken_up_again_with_the_same_keys(home, landing, monkeypatch):
    landing.enrollment("001", 2024)
    monkeypatch.setattr(run.ledger, "record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run_intake(home, "b1", today=TODAY)
    monkeypatch.undo()
    (stopped,) = (home.accepted / "k12__enrollment").glob("[!_]*.parquet")
    keys = pl.read_parquet(stopped)["record_key"].to_list()
    assert views.active_files(home)["k12__enrollment"][0].name == "_empty.parquet"
    run_intake(home, "b2", today=TODAY)
    assert accepted(home, "k12__enrollment")["record_key"].to_list() == keys


def test_accepted_files_that_are_gone_are_made_again_byte_for_byte(home, landing):
    landing.enrollment("001", 2024)
    run_intake(home, "b1", today=TODAY)
    (path,) = views.active_files(home)["k12__enrollment"]
    content = path.read_bytes()
    path.unlink()
    run_intake(home, "b2", today=TODAY)
    assert path.read_bytes() == content
    assert lines(home)["received_build"].to_list() == ["b1"]


def test_changed_rules_judge_what_is_in_use_again(home, landing):
    landing.enrollment("001", 2024)
    run_intake(home, "b1", today=TODAY)
    codes = home.seeds / "crosswalks" / "code.csv"
    codes.write_text(codes.read_text().replace("grade_level,k12_annual,9,09", "grade_level,k12_annual,IX,09"))
    from schemas import elements

    elements.local_codes.cache_clear()
    run_intake(home, "b2", today=TODAY)
    assert views.active_files(home)["k12__enrollment"][0].name == "_empty.parquet"
    assert lines(home)["quarantined_count"].to_list() == [3]
    assert ledger.ledger_balances(home) == []


def test_a_delivery_sent_once_more_unchanged_is_noted_once(home, landing):
    path = landing.enrollment("001", 2024)
    landing.enrollment("002", 2024)
    run_intake(home, "b1", today=TODAY)
    for build in ("b2", "b3"):
        path.write_text(path.read_text())
        run_intake(home, build, today=TODAY)
    (noted,) = lines(home, status="duplicate_delivery").iter_rows(named=True)
    assert (noted["submitter"], noted["received_build"]) == ("lea_001", "b2")
    assert lines(home, status="accepted").height == 2 and accepted(home, "k12__enrollment").height == 6
    checks = run.finish_intake(home, "b3", TODAY)
    assert {c["submitter"] for c in checks if c["check_id"].endswith("sent_twice")} == {"lea_001"}
    assert ledger.ledger_balances(home) == []


def test_a_home_that_was_copied_has_not_been_sent_again(home, landing):
    paths = [landing.enrollment(lea, 2024) for lea in ("001", "002")]
    run_intake(home, "b1", today=TODAY)
    for path in paths:
        os.utime(path, (1, 1))
    run_intake(home, "b2", today=TODAY)
    assert lines(home, status="duplicate_delivery").height == 0


def test_rows_without_an_identifier_are_never_one_person():
    collection = collections()["postsecondary__enrollment"]
    rows = pl.DataFrame({name: [None, None] for name in collection.columns}).with_columns(
        institution_id=pl.lit("001"),
        submitter=pl.lit("che"),
        _delivery=pl.lit("d"),
        _file_name=pl.lit("f"),
        source_row=pl.Series([1, 2]),
    )
    frame = keying.identifiers(collection, rows)
    assert frame["local_id"].n_unique() == 2
    assert frame["local_id_issuer"].unique().to_list() == ["row_without_identifier"]


def test_every_organization_that_a_delivery_names_gets_a_key_at_a_fitting_level(home, landing, row):
    landing.directory(2024, ["001"])
    landing.enrollment("001", 2024, [row("S1", "001", 2024)])
    header = ["SSID", "ProgramType", "OrganizationID", "BeginDate", "EndDate", "SchoolYear"]
    programs = [["S1", "SPED", place, "09/01/2023", "", "2023-2024"] for place in ("001", "00101", "99999")]
    landing.table("lea_001", "k12_annual", "2024", "program.csv", header, programs)
    run_intake(home, "b1", today=TODAY)
    assert lines(home, status="accepted").height == 3
    found = pl.read_parquet(home.exchange / "organization_key.parquet")
    assert set(found.select("organization_level", "organization_id_state").iter_rows()) == {
        ("state", "STATE"),
        ("lea", "001"),
        ("school", "00101"),
        ("school", "99999"),
    }
    assert found["organization_key"].n_unique() == 4


def test_views_stand_for_every_collection_with_and_without_files(home, landing):
    landing.enrollment("001", 2024)
    run_intake(home, "b1", today=TODAY)
    views.create_views(home)
    with duckdb.connect(str(home.warehouse_file)) as con:
        assert con.execute("SELECT count(*) FROM accepted.k12__enrollment").fetchone() == (3,)
        assert con.execute("SELECT count(*) FROM accepted.workforce__wage").fetchone() == (0,)
        assert con.execute("SELECT count(*) FROM registry.person").fetchone() == (0,)
        assert con.execute("SELECT count(*) FROM registry.organization_key").fetchone()[0] >= 3
        filled = con.execute("DESCRIBE accepted.k12__enrollment").fetchall()
    with duckdb.connect() as con:
        views.create_empty_views(con)
        assert con.execute("DESCRIBE accepted.k12__enrollment").fetchall() == filled


def test_a_sector_takes_in_its_own_packages_only(home, landing):
    landing.enrollment("001", 2024)
    landing.removal(2024, [["R1", "09012023", "", ""]])
    summary = run_intake(home, "b1", "child_welfare", today=TODAY)
    assert lines(home)["submitter"].to_list() == ["dhs"]
    assert set(summary.collections) == {
        "child_welfare__client",
        "child_welfare__placement",
        "child_welfare__removal",
    }
