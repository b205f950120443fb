"""Expectations run in a child process on the candidate, name family and year, and are kept for an equal candidate."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.quality import check_result, expectations
from pipelines.release import candidate, gate

FIRST, SECOND = "20261121T191500-3fa2", "20261216T020000-aaaa"
SUITES = Path(__file__).resolve().parents[3] / "seeds" / "policy" / "expectation.csv"


@pytest.fixture
def suites(installation):
    shutil.copyfile(SUITES, installation.settings.seeds / "policy" / "expectation.csv")
    return installation


def tried(installation, build_id: str) -> pl.DataFrame:
    made = candidate.build_candidate(installation.settings, build_id)
    installation.evidence(build_id, made.id, without=("expectation",))
    installation.outcome = expectations.run_expectations(installation.settings, build_id)
    installation.decision = gate.decide(installation.settings, build_id, made, date(2026, 12, 16))
    return check_result.read(installation.settings, build_id).filter(pl.col("layer") == "expectation")


def test_a_plausible_candidate_passes_and_an_implausible_year_is_held(suites):
    found = tried(suites, FIRST)
    assert set(found["status"]) == {"pass", "not_applicable"}, found.filter(~pl.col("status").is_in(["pass"]))
    assert suites.decision.outcome == "publish"
    suites.publish(suites.decision, date(2026, 11, 21))

    # A rate of 140%, a State that lost its number of people, a published year that is gone, and a repeated key.
    suites.warehouse({("graduation", 2024): 82, ("graduation", 2025): 140, ("course", 2024): 60, ("course", 2025): 50})
    with duckdb.connect(str(suites.settings.warehouse_file)) as con:
        con.execute(
            "UPDATE marts.mart_indicator__organization SET denominator_count = 10, numerator_count = 1 "
            "WHERE indicator_code = 'course' AND cohort_year = 2024"
        )
        con.execute(
            "INSERT INTO marts.mart_indicator__organization SELECT * FROM marts.mart_indicator__organization "
            "WHERE indicator_code = 'course' AND cohort_year = 2025"
        )
    found = tried(suites, SECOND)
    failed = {
        (row["check_id"].split(".")[2], row["family"], row["school_year"], row["failing_count"])
        for row in found.filter(pl.col("status") == "fail").iter_rows(named=True)
    }
    assert failed == {
        ("rate_between_0_and_1", "graduation", 2025, 1),
        ("numerator_within_denominator", "graduation", 2025, 1),
        ("state_denominator_near_last_release", "course", 2024, 1),
        ("organizations_still_present", "graduation", 2023, 1),
        ("groups_still_present", "graduation", 2023, 1),
        ("row_count_near_last_release", "graduation", 2023, 1),
        ("key_unique", "course", 2025, 2),
    }
    assert suites.decision.families["graduation"].held_years == [2023, 2025]
    assert suites.decision.families["course"].held_years == [2024, 2025]
    assert suites.decision.families["mart_flow"].decision == "publish"

    # The same candidate against the same release is not tried again.
    kept = suites.settings.evidence / "expectation"
    before = {path.name: path.stat().st_mtime_ns for path in kept.iterdir()}
    assert tried(suites, "20261217T020000-bbbb").height == found.height
    assert before == {path.name: path.stat().st_mtime_ns for path in kept.iterdir()}


def test_a_child_that_fails_leaves_no_evidence_and_nothing_is_released(suites, monkeypatch):
    monkeypatch.setattr(expectations.sys, "executable", "/bin/false")
    assert tried(suites, FIRST).is_empty()
    assert "no evidence" in suites.outcome
    assert suites.decision.outcome == "refuse"


def test_a_year_that_showed_nothing_is_not_compared():
    columns = {
        "indicator_code": ["a", "a"], "subject_code": ["all", "all"], "cohort_year": [2024, 2025],
        "organization_level": ["state", "state"], "organization_id_state": ["STATE", "STATE"],
        "breakdown_code": ["all", "all"], "group_code": ["all", "all"], "rate": [0.5, None],
        "denominator_count": [100, None], "value_status": ["shown", "window_open"],
    }  # fmt: skip
    released = pl.DataFrame(columns)
    found = expectations.comparison(released.with_columns(rate=pl.lit(0.58)), released)
    assert found["cohort_year"].to_list() == [2024]
    assert found["state_rate_change"].to_list() == [pytest.approx(0.08)]
    assert found["row_count_ratio"].to_list() == [1.0]
