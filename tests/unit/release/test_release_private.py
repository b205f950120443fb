"""What a state tells by differential privacy leaves the building alone: the gate refuses both ways at once."""

from __future__ import annotations

import json
import shutil
from datetime import date

import duckdb
import pytest
from release_home import Installation, keep_delivery, row

from pipelines import planner
from pipelines.disclosure.private import budget
from pipelines.disclosure.private.policy import COLUMNS
from pipelines.disclosure.told_once import check_told_once
from pipelines.registers import read_seed
from pipelines.release import build, candidate, gate
from pipelines.release.rebuild import rebuild

FIRST, SECOND = "20261121T191500-3fa2", "20261216T020000-aaaa"
DECIDED = ["employed", "state", "found_count;earnings_p50", "1", "5", "0", "100000", "2024", "Committee", "2026-07-01"]
PLACE = {"organization_level": "state", "organization_id_state": "STATE"}


@pytest.fixture
def decided(installation: Installation) -> Installation:
    """An indicator of wages, told privately from cohort year 2024 on, with 2023 told the old way."""
    register = read_seed(installation.settings, "registers/indicator.csv")
    employed = {
        "indicator_code": "employed", "collections": "workforce__wage", "reads_years": "0;1", "protection": "perturbed",
        "value_kind": "rate_and_median", "breakdowns": "all", "levels": "state",
    }  # fmt: skip
    installation.seed("registers/indicator.csv", [employed, *({"value_kind": "rate"} | row for row in register)])
    installation.seed("registers/family.csv", [
        {"family": "mart_flow", "collections": "workforce__wage", "reads_years": "0"},
        {"family": "mart_availability", "collections": "", "reads_years": "0"},
        {"family": "mart_earnings_private", "collections": "workforce__wage", "reads_years": "0;1"},
    ])  # fmt: skip
    installation.seed("policy/private_statistic.csv", [dict(zip(COLUMNS, [*DECIDED, "Tried"], strict=True))])
    return installation


def wages(installation: Installation, found_count: int, build_id: str, recorded: int | None = None) -> None:
    """A warehouse whose private mart tells `found_count` of 2024, drawn and recorded by the build (as `recorded`)."""
    installation.warehouse({("graduation", 2024): 82, ("employed", 2023): 60, ("employed", 2024): 61})
    budget.take(
        installation.settings, build_id, "employed", 2024, "digest", budget=5, cost=lambda: 1.0,
        draw=lambda: ({"count_margin": 3}, [PLACE | {"found_count": recorded or found_count, "earnings_p50": 30_000}]),
        is_revised=lambda build: False,
    )  # fmt: skip
    with duckdb.connect(str(installation.settings.warehouse_file)) as con:
        con.execute(
            "CREATE TABLE marts.mart_earnings_private AS SELECT 'employed' AS indicator_code, 'all' AS subject_code, "
            f"2024 AS cohort_year, 'state' AS organization_level, 'STATE' AS organization_id_state, "
            f"{found_count}::BIGINT AS found_count, 30000::BIGINT AS earnings_p50, NULL::BIGINT AS earnings_p25, "
            "NULL::BIGINT AS earnings_p75, 'shown' AS value_status, 'private' AS protection"
        )


def judged(installation: Installation, build_id: str) -> gate.GateDecision:
    """The decision on the candidate as it lies there, with what the check itself finds."""
    settings = installation.settings
    made = candidate.load_candidate(settings)
    installation.evidence(build_id, made.id, without=("told_once",))
    check_told_once(settings, build_id, made.id)
    return gate.decide(settings, build_id, made, planner.day_of(build_id))


def test_private_rows_are_published_and_all_else_of_the_same_records_is_not(decided):
    wages(decided, 100, FIRST)
    candidate.build_candidate(decided.settings, FIRST)
    decision = judged(decided, FIRST)
    assert (decision.outcome, decision.reasons) == ("publish", [])
    decided.publish(decision, date(2026, 11, 21))
    assert decided.rows("indicator_code, cohort_year") == [("employed", 2023), ("graduation", 2024)]
    data = decided.settings.releases / "current" / "data"
    told = duckdb.sql(f"SELECT found_count, protection FROM '{data}/mart_earnings_private.parquet'").fetchall()
    assert told == [(100, "private")]
    assert duckdb.sql(f"SELECT count(*) FROM '{data}/mart_flow.parquet'").fetchall() == [(0,)]


@pytest.mark.parametrize("mart", ["mart_indicator__organization", "mart_flow"])
def test_both_ways_at_once_are_refused(decided, mart):
    wages(decided, 100, FIRST)
    candidate.build_candidate(decided.settings, FIRST)
    planted = decided.settings.candidate / "data" / f"{mart}.parquet"
    planted.unlink()
    with duckdb.connect(str(decided.settings.warehouse_file), read_only=True) as con:
        con.execute(f"COPY marts.{mart} TO '{planted}'")
    decision = judged(decided, FIRST)
    assert decision.outcome == "refuse"
    assert [(reason.code, reason.check_id) for reason in decision.reasons] == [("disclosure_finding", gate.TOLD_ONCE)]
    assert mart in decision.reasons[0].message and "told privately" in decision.reasons[0].message


def test_what_is_about_to_be_shown_is_asked_once_more(decided, monkeypatch):
    """The evidence is about the candidate; a release is put together of other rows besides."""
    wages(decided, 100, FIRST)
    candidate.build_candidate(decided.settings, FIRST)
    decision = judged(decided, FIRST)
    monkeypatch.setattr(build, "told_privately", lambda tables, seeds, as_of: tables)
    done = decided.publish(decision, date(2026, 11, 21))
    assert done.status == "refused" and "wage records that are told privately" in done.message
    assert not (decided.settings.releases / "current").exists()


def test_noise_that_is_not_in_the_ledger_is_refused(decided):
    wages(decided, 100, FIRST, recorded=101)
    candidate.build_candidate(decided.settings, FIRST)
    decision = judged(decided, FIRST)
    assert (decision.outcome, decision.reasons[0].check_id) == ("refuse", gate.TOLD_ONCE)
    assert "mart_earnings_private" in decision.reasons[0].message


def test_rows_of_a_held_family_that_count_the_same_records_are_not_repeated(decided):
    installation, policy = decided, decided.settings.seeds / "policy" / "private_statistic.csv"
    signed = policy.read_text()
    policy.unlink()
    installation.warehouse({("graduation", 2024): 82, ("employed", 2023): 60})
    installation.publish(installation.night(FIRST), date(2026, 11, 21))
    flow = installation.settings.releases / "current" / "data" / "mart_flow.parquet"
    assert duckdb.sql(f"SELECT person_count FROM '{flow}'").fetchall() == [(20,)]
    policy.write_text(signed)
    held = row("warehouse.mart_flow.rule", "warehouse", status="fail", failing_count=1, family="mart_flow")
    decision = installation.night(SECOND, [held])
    assert decision.families["mart_flow"].decision == "hold"
    installation.publish(decision, date(2026, 12, 16))
    assert duckdb.sql(f"SELECT count(*) FROM '{flow}'").fetchall() == [(0,)]


def test_a_rebuild_has_the_ledger_of_what_was_drawn(decided):
    settings = decided.settings
    keep_delivery(settings, "d1")
    wages(decided, 100, FIRST)
    candidate.build_candidate(settings, FIRST)
    first = decided.publish(judged(decided, FIRST), date(2026, 11, 21))
    kept = settings.home / "kept.duckdb"
    shutil.copyfile(settings.warehouse_file, kept)
    before = (settings.release_ledger / budget.FILE).read_text()

    def run_pipeline(there, build_id):
        assert [line["results"] for line in budget.read(there)] == [json.loads(before)["results"]]
        shutil.copyfile(kept, there.warehouse_file)
        candidate.build_candidate(there, build_id)

    assert rebuild(settings, first.release_id, run_pipeline) == []
    assert (settings.release_ledger / budget.FILE).read_text() == before
