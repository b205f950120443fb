"""A new collection is two new files and rows in seeds; a new indicator is one new file and rows in seeds."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import duckdb
import polars as pl
import pytest
from homes import State, make_demo, state_at

from pipelines.settings import ROOT

pytestmark = pytest.mark.slow

COLLECTION = "k12__club_membership"
SCHEMA = '''
"""Clubs that students belong to."""

from schemas.collection import Collection, required

COLLECTION = Collection(
    name="k12__club_membership",
    title="Club membership",
    grain="One row per student, school year, school and club.",
    key=("student_id_state", "school_year", "school_id_state", "club_code"),
    fields=required("student_id_state", "school_year", "school_id_state", "club_code"),
)
'''
STAGING = """
-- Grain: one row per accepted row of k12__club_membership.
select
    accepted.school_year,
    accepted.school_id_state,
    accepted.club_code,
    accepted.record_key,
    accepted.submitter,
    accepted.package,
    accepted.period,
    accepted.certification,
    accepted.delivery_id,
    accepted.source_row
from {{ source('accepted', 'k12__club_membership') }} as accepted
"""
STAGING_YML = """
sources:
  - name: accepted
    schema: accepted
    tables:
      - name: k12__club_membership
        description: "Accepted rows: club memberships."
        meta:
          dagster:
            asset_key: [accepted, k12__club_membership]
models:
  - name: stg_k12__club_membership
    description: "Club memberships. Grain: one row per accepted row."
    data_tests:
      - unique_key:
          arguments:
            columns: [delivery_id, record_key, school_year, school_id_state, club_code]
          config:
            severity: error
"""
INDICATOR = """
-- Grain: one row per person x LEA x school year. Rule: at most nine days absent.
with outcome as (
    select
        link.person_key,
        attendance.lea_key as organization_key,
        'lea' as organization_level,
        attendance.school_year,
        attendance.school_year as cohort_year,
        'all' as subject_code,
        'serving' as organization_role,
        true as is_in_denominator,
        sum(attendance.absence_thousandths) <= 9000 as is_in_numerator,
        cast(null as bigint) as amount,
        'counted' as outcome_status,
        cast(null as {{ dbt.type_string() }}) as exclusion_code
    from {{ ref('fct_attendance') }} as attendance
    inner join {{ ref('brg_record_person') }} as link on link.record_key = attendance.record_key
    where attendance.lea_key is not null
    group by link.person_key, attendance.lea_key, attendance.school_year
)

{{ indicator_rows('outcome', 'steady_attendance') }}
"""
INDICATOR_YML = """
models:
  - name: ind_steady_attendance
    description: "Steady attendance. Grain: one row per person, LEA and school year."
    data_tests:
      - unique_key:
          arguments:
            columns: [person_key, organization_key, cohort_year]
          config:
            severity: error
"""
ROWS: dict[str, list[dict[str, str]]] = {
    "reference/element": [
        {
            "element": "club_code",
            "dtype": "text",
            "definition": "Club that a student belongs to.",
            "privacy_class": "open",
        }
    ],
    "registers/package": [
        {
            "package": "clubs",
            "title": "Club lists",
            "sector": "k12",
            "collection": COLLECTION,
            "file_pattern": "club.csv",
            "format": "csv",
            "layout": "clubs",
            "encoding": "utf-8",
            "delimiter": ",",
            "load": "full",
        }
    ],
    "crosswalks/layout": [
        {"layout": "clubs", "element": "student_id_state", "source": "Student"},
        {"layout": "clubs", "element": "school_year", "source": "Year"},
        {"layout": "clubs", "element": "school_id_state", "source": "School"},
        {"layout": "clubs", "element": "club_code", "source": "Club"},
    ],
    "registers/collection": [
        {
            "collection": COLLECTION,
            "element": "*",
            "purpose": "Know who takes part.",
            "benefit": "Schools see who is left out.",
            "legal_citation": "None",
            "mandate": "none",
            "agreement_id": "sea-2026",
            "retention": "10 years",
            "status": "maintained",
            "last_reviewed": "2026-09-15",
            "decision": "maintain",
        }
    ],
    "registers/collection_calendar": [
        {
            "package": "clubs",
            "submitter": "sea",
            "period_rule": "school_year",
            "opens": "+1",
            "due": "09-15",
            "grace_days": "14",
        }
    ],
    "registers/indicator": [
        {
            "indicator_code": "steady_attendance",
            "indicator_name": "Steady attendance",
            "definition_version": "1",
            "description": "Share of students absent nine days at most.",
            "numerator_definition": "Students absent nine days at most",
            "denominator_definition": "Students with membership days in the LEA",
            "leading_or_lagging": "leading",
            "direction": "higher_is_better",
            "authority": "Test",
            "attribution": "lea=once_per_level",
            "membership_rule": "any_time_in_year",
            "breakdowns": "all;gender",
            "levels": "lea",
            "protection": "perturbed",
            "value_kind": "rate",
            "reads_years": "0",
            "collections": "k12__attendance;k12__student",
            "who_is_counted": "Students of the LEA.",
            "certification_rule": "latest",
        }
    ],
}


def add_rows(seeds: Path) -> None:
    for name, rows in ROWS.items():
        path = seeds / f"{name}.csv"
        with path.open(newline="", encoding="utf-8") as handle:
            columns = next(csv.reader(handle))
        text = path.read_text(encoding="utf-8")
        with path.open("a", newline="", encoding="utf-8") as handle:
            handle.write("" if text.endswith("\n") else "\n")
            writer = csv.DictWriter(handle, columns, restval="", lineterminator="\n")
            writer.writerows(rows)


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> State:
    """A night of a checkout with one collection and one indicator more."""
    folder = tmp_path_factory.mktemp("extended")
    root = folder / "checkout"
    for name in ("pipelines", "schemas", "seeds", "dbt_project"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "logs", "target"))
    for name in ("requirements.lock", "pyproject.toml", "workspace.yaml"):
        shutil.copyfile(ROOT / name, root / name)
    staging = root / "dbt_project" / "models" / "staging" / "k12"
    indicators = root / "dbt_project" / "models" / "indicators"
    for path, text in (
        (root / "schemas" / "k12" / "club_membership.py", SCHEMA),
        (staging / "stg_k12__club_membership.sql", STAGING),
        (staging / "stg_k12__club_membership.yml", STAGING_YML),
        (indicators / "ind_steady_attendance.sql", INDICATOR),
        (indicators / "ind_steady_attendance.yml", INDICATOR_YML),
    ):
        assert not path.exists()
        path.write_text(text.lstrip())
    add_rows(root / "seeds")
    make_demo(folder / "home", students=300)
    state = state_at(folder / "home", root=root)
    with next(state.settings.landing.glob("lea_*/k12_annual/2026/student.csv")).open(newline="") as handle:
        students = [row["StudentStateID"] for row in csv.DictReader(handle)][:30]
    sent = state.settings.landing / "sea" / "clubs" / "2026" / "club.csv"
    sent.parent.mkdir(parents=True)
    lines = [f"{student},2026,00110001,chess" for student in students]
    sent.write_text("\n".join(["Student,Year,School,Club", *lines, ",2026,00110001,chess"]) + "\n")
    state.p20w("nightly")
    return state


def test_the_rows_of_a_new_collection_are_taken_in_judged_and_staged(extended):
    from pipelines.intake import ledger

    line = ledger.read(extended.settings).filter(pl.col("package") == "clubs").row(0, named=True)
    assert (line["delivered_count"], line["accepted_count"], line["quarantined_count"]) == (31, 30, 1)
    with duckdb.connect(str(extended.settings.warehouse_file), read_only=True) as con:
        rows = con.execute("SELECT count(*), count(DISTINCT record_key) FROM staging.stg_k12__club_membership")
        assert rows.fetchone() == (30, 30)
        found = con.execute(
            "SELECT count(DISTINCT link.person_key) FROM staging.stg_k12__club_membership AS club"
            " JOIN core.brg_record_person AS link USING (record_key)"
        )
        assert found.fetchone() == (30,)


def test_a_new_collection_has_an_asset_a_check_and_a_place_in_the_inventory(extended):
    from dagster import AssetKey, DagsterInstance

    with DagsterInstance.from_config(str(extended.settings.dagster_home)) as instance:
        assert AssetKey(["accepted", COLLECTION]) in instance.all_asset_keys()
        assert AssetKey(["staging", "stg_k12__club_membership"]) in instance.all_asset_keys()
    inventory = pl.read_csv(extended.current / "collection_inventory.csv", infer_schema=False)
    assert "club_code" in inventory.filter(pl.col("collection") == COLLECTION)["element"].to_list()
    assert any(row["collection"] == COLLECTION for row in extended.checks().iter_rows(named=True))


def test_a_new_indicator_is_in_the_long_mart_with_its_view_and_its_decision(extended):
    rows = extended.table("mart_indicator__organization").filter(pl.col("indicator_code") == "steady_attendance")
    assert "shown" in set(rows["value_status"])
    assert set(rows["protection"]) == {"perturbed"} and set(rows["breakdown_code"]) == {"all", "gender"}
    with duckdb.connect(str(extended.current / "p20w.duckdb"), read_only=True) as con:
        assert con.sql("SELECT count(*) FROM mart_steady_attendance").fetchone() == (rows.height,)
    assert "steady_attendance" in (extended.current / "gate.json").read_text()
    assert "Steady attendance" in (extended.current / "site" / "index.html").read_text()
