"""A planted name or number is found nowhere outside landing and the vault."""

from __future__ import annotations

import sqlite3
import zlib

import duckdb
import polars as pl
import pytest
from canaries import CANARIES, EMPLOYER, GIVEN, SSN, STUDENT, SURNAME, canaries_in, hits, within

from pipelines.identity.vault import open_vault
from pipelines.intake import ledger


def test_the_search_finds_a_canary_in_every_kind_of_file(tmp_path):
    frame = pl.DataFrame(
        {"word": [f"of {SURNAME} family"] * 1_000, "number": [int(SSN)] * 1_000, "list": [["a"]] * 1_000}
    )
    frame.write_parquet(tmp_path / "packed.parquet", compression="zstd")
    with duckdb.connect(str(tmp_path / "tables.duckdb")) as con:
        con.execute("CREATE SCHEMA s")
        con.execute(f"CREATE TABLE s.t AS SELECT lower('{SURNAME}') AS word, range AS n FROM range(10000)")
    with sqlite3.connect(tmp_path / "events.db") as con:
        con.execute("CREATE TABLE event (body BLOB)")
        con.execute("INSERT INTO event VALUES (?)", [zlib.compress(SURNAME.encode())])
    (tmp_path / "night.log").write_bytes(b"\x00\xff" + SURNAME.upper().encode())
    for name in ("packed.parquet", "tables.duckdb", "events.db", "night.log"):
        assert SURNAME.lower() in canaries_in(tmp_path / name), name
    assert SSN in canaries_in(tmp_path / "packed.parquet")


def test_the_canaries_were_delivered_taken_in_and_sent_back(canary):
    settings = canary.state.settings
    good = settings.landing / "dhs" / "subsidy" / "2026" / "subsidy.parquet"
    delivered = canaries_in(good)
    for path in settings.landing.rglob("*"):
        delivered |= set(within(path.read_bytes())) if path.is_file() else set()
    assert {each.lower() for each in CANARIES if each not in ("597184732",)} - delivered == set()
    with open_vault(settings) as con:
        known = con.execute(
            "SELECT count(*) FROM identity_record WHERE upper(surname) = upper(?)", [SURNAME]
        ).fetchone()
        employers = con.execute("SELECT count(*) FROM key_employer WHERE employer_name = ?", [EMPLOYER]).fetchone()
        bad = con.execute("SELECT count(*) FROM bad_row WHERE contains(row_text, ?)", [SURNAME]).fetchone()
        kept = con.execute("SELECT string_agg(exception_text) FROM exception_text").fetchone()
    assert known[0] >= 5 and employers[0] >= 1 and bad[0] >= 20
    assert SURNAME in kept[0] and STUDENT in kept[0]
    book = ledger.read(settings)
    refused = set(book.filter(pl.col("status") == "refused").select("package", "file_name").iter_rows())
    assert {
        ("state_prek", "state_prek.csv"),
        ("head_start", "head_start.csv"),
        ("child_welfare", "client.csv"),
        ("subsidy", "subsidy.parquet"),
        ("edfi_xml", "Student.xml"),
        ("of_nobody", "list.csv"),
    } <= refused
    assert ledger.ledger_balances(settings) == []


def test_no_canary_is_anywhere_in_the_home_outside_landing_and_vault(canary):
    settings = canary.state.settings
    assert "is the current release" in canary.said
    assert hits([settings.home], outside=[settings.landing, settings.vault]) == []


def test_no_canary_is_in_temporary_files(canary):
    assert hits([canary.temporary]) == []


def test_no_canary_is_in_the_bytes_of_the_vault(canary):
    vault = canary.state.settings.vault
    assert {path.name: within(path.read_bytes()) for path in vault.rglob("*.duckdb*")} == {"vault.duckdb": []}


def test_no_canary_is_on_the_terminal(canary):
    for said in (canary.said, *canary.checked):
        assert within(said.encode()) == []


def test_an_exception_that_quotes_an_identifier_ends_the_night_with_a_sentence_of_ours(canary):
    foreign, own = canary.crashes
    for crash in canary.crashes:
        assert crash.returncode == 1
        assert within((crash.stdout + crash.stderr).encode()) == []
    assert "failed with ValueError" in foreign.stderr and "kept in the vault" in foreign.stderr
    assert "A sentence of our own that quotes nobody." in own.stderr


@pytest.mark.parametrize("name", [GIVEN, SURNAME])
def test_the_error_file_of_a_submitter_names_rows_and_rules_but_nobody(canary, name):
    files = list((canary.state.settings.quarantine / "errors").rglob("*.csv"))
    assert len(files) >= 8
    for path in files:
        assert name.lower() not in path.read_text().lower(), path
