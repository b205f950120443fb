"""The same night on real third-party files: each source reaches its mart, and what it lacks is said."""

from __future__ import annotations

import duckdb
import polars as pl
import pytest
from homes import state_at

from pipelines.intake import ledger


@pytest.fixture(scope="module")
def marts(third_party):
    with duckdb.connect(str(third_party.current / "p20w.duckdb"), read_only=True) as connection:
        yield connection


def one(marts, query: str):
    return marts.execute(query).fetchone()[0]


def test_the_ledger_accounts_for_every_source_record(third_party):
    assert ledger.ledger_balances(third_party.settings) == []
    lines = ledger.read(third_party.settings)
    assert set(lines["status"]) == {"accepted"}
    counted = dict(lines.select("file_name", "delivered_count").iter_rows())
    assert counted["studentInfo.csv"] == 32_593
    assert counted["StudentProgram.xml"] == 706
    assert counted["StudentSchoolAttendance.xml"] == 1_917
    assert counted["college_scorecard_2013.csv"] == 6_642


def test_every_result_of_the_open_university_is_counted_by_module_gender_and_disability(third_party, marts):
    with duckdb.connect(str(third_party.settings.warehouse_file), read_only=True) as exact:
        cube = exact.sql(
            "SELECT breakdown_code, sum(denominator_count) AS results FROM cubes.cube_indicator"
            " WHERE indicator_code = 'course_completion' GROUP BY ALL"
        ).pl()
    assert dict(cube.iter_rows())["gender_x_disability"] == 32_593
    shown = one(
        marts,
        "SELECT count(*) FROM mart_course_completion"
        " WHERE breakdown_code = 'gender_x_disability' AND value_status = 'shown'",
    )
    assert shown >= 20
    note = "SELECT count(*) FROM mart_availability WHERE source = 'public_oulad' AND missing ILIKE '%not a population%'"
    assert one(marts, note) >= 1


def test_programs_of_grand_bend_are_counted_at_its_lea(marts):
    shown = "mart_program_participation WHERE organization_level = 'lea' AND value_status = 'shown'"
    assert one(marts, f"SELECT count(*) FROM {shown}") >= 8
    counts = dict(marts.sql(f"SELECT subject_code, numerator_count FROM {shown} AND breakdown_code = 'all'").fetchall())
    # What the files hold, and at most the noise that policy allows. (Eleven homeless students may be told or not: the
    # noise of a count near the minimum decides.)
    for program, held in {"special_education": 97, "migrant": 275, "food_service": 82, "cte": 64, "esl": 38}.items():
        assert abs(counts[program] - held) <= 5, program


def test_readiness_is_there_and_wholly_hidden_with_its_reason(marts):
    rows = marts.sql("SELECT DISTINCT value_status, suppression_reason FROM mart_kindergarten_readiness").fetchall()
    assert rows == [("suppressed", "small_group")]


def test_institutions_of_the_scorecard_are_listed(marts):
    assert one(marts, "SELECT count(*) FROM mart_institution") >= 20
    assert one(marts, "SELECT count(*) FROM mart_institution WHERE institution_name ILIKE '%Alabama A & M%'") == 1


def test_what_a_source_lacks_is_said_and_not_invented(marts):
    missing = marts.sql(
        "SELECT collection, missing FROM mart_availability WHERE source = 'public_edfi' AND status <> 'available'"
    ).pl()
    assert "k12__enrollment" in missing["collection"].to_list()
    assert missing.filter(pl.col("missing").str.contains("(?i)race")).height >= 1
    assert one(marts, "SELECT count(*) FROM mart_chronic_absenteeism") == 0


def test_without_the_files_the_command_says_so_and_exits_1(tmp_path):
    state = state_at(tmp_path, P20W_REAL_DATA=str(tmp_path / "absent"))
    done = state.p20w("nightly", "--real", check=False)
    assert done.returncode == 1
    assert "P20W_REAL_DATA" in done.stderr
