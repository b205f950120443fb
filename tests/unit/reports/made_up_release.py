"""A tiny made-up release: published rows, a gate decision, evidence. Nobody and no place in it exists."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from pipelines.settings import Settings

BUILD = "20261120T010000-aaaa"
STATE = ("state", "STATE", "State of Examples", None, None)
LEA = ("lea", "0001", "First District", None, None)
OTHER_LEA = ("lea", "0002", "Second District", None, None)
SCHOOL = ("school", "00010001", "First School", "0001", "First District")
NEW_SCHOOL = ("school", "00010002", "New School", "0001", "First District")
INSTITUTION = ("institution", "00999900", "Example College", None, None)
SCHEMA = {
    "indicator_code": pl.String, "subject_code": pl.String, "definition_version": pl.String, "school_year": pl.Int32,
    "cohort_year": pl.Int32, "organization_level": pl.String, "organization_id_state": pl.String,
    "organization_id_nces": pl.String, "organization_name": pl.String, "lea_id_state": pl.String,
    "lea_name": pl.String, "breakdown_code": pl.String, "group_code": pl.String, "group_name": pl.String,
    "denominator_count": pl.Int64, "numerator_count": pl.Int64, "rate": pl.Float64, "rate_low": pl.Float64,
    "rate_high": pl.Float64, "rate_label": pl.String, "value_amount": pl.Int64, "value_unit": pl.String,
    "value_status": pl.String, "suppression_reason": pl.String, "protection": pl.String, "data_as_of": pl.Date,
    "release_id": pl.String,
}  # fmt: skip


def row(place: tuple, code: str, year: int, status: str = "shown", **values: object) -> dict:
    """One published row: all students, all subjects, unless `values` says otherwise."""
    level, id_state, name, lea_id, lea_name = place
    shown = {"rate": 0.5, "numerator_count": 20, "denominator_count": 40} if status == "shown" else {}
    return {
        **dict.fromkeys(SCHEMA),
        "indicator_code": code,
        "subject_code": "all",
        "definition_version": "1",
        "school_year": year,
        "cohort_year": year,
        "organization_level": level,
        "organization_id_state": id_state,
        "organization_name": name,
        "lea_id_state": lea_id,
        "lea_name": lea_name,
        "breakdown_code": "all",
        "group_code": "all",
        "value_status": status,
        "suppression_reason": {"suppressed": "small_group", "banded": "band", "window_open": "window_open"}.get(
            status, ""
        ),
        "rate_label": "≤20%" if status == "banded" else None,
        "protection": "official",
        "data_as_of": date(2026, 11, 20),
        "release_id": "r20261120-example",
        **shown,
        **values,
    }


def rows() -> list[dict]:
    """Every kind of value on every kind of page."""
    found = []
    for place in (STATE, LEA, OTHER_LEA, SCHOOL):
        for year in range(2021, 2027):
            found.append(row(place, "chronic_absenteeism", year, "suppressed" if year == 2024 else "shown"))
            found.append(row(place, "four_year_graduation", year))
            found.append(row(place, "college_going_fall", year, "window_open" if year == 2026 else "shown"))
            found.append(
                row(place, "employment_year_1_after_high_school", year, value_amount=23500, protection="perturbed")
            )
            for subject in ("special_education", "migrant"):
                found.append(row(place, "program_participation", year, subject_code=subject, protection="perturbed"))
        groups = {"gender": ("female", "male", "nonbinary"), "english_learner": ("current", "no", "not_reported")}
        statuses = iter(("shown", "banded", "no_students", "suppressed", "incomplete", "withdrawn") * 4)
        for breakdown, codes in groups.items():
            for group in codes:
                status = next(statuses)
                for year in (2024, 2025, 2026):
                    found.append(
                        row(place, "chronic_absenteeism", year, status, breakdown_code=breakdown, group_code=group)
                    )
    found.append(row(INSTITUTION, "course_completion", 2026, subject_code="AAA", protection="perturbed"))
    found.append(row(INSTITUTION, "course_completion", 2026, "not_applicable", subject_code="BBB"))
    for year in (2029, 2030):
        found.append(row(NEW_SCHOOL, "four_year_graduation", year, "window_open"))
    return found


def gate(**changes: object) -> dict:
    """A public decision: one family published, one held, one waiver."""
    return {
        "build_id": BUILD,
        "candidate_id": "0" * 64,
        "outcome": "publish",
        "decided_on": "2026-11-20",
        "reasons": [],
        "families": [
            {
                "family": "chronic_absenteeism",
                "mart": "mart_indicator__organization",
                "decision": "publish",
                "held_years": [],
                "reasons": [],
            },
            {
                "family": "four_year_graduation",
                "mart": "mart_indicator__organization",
                "decision": "hold",
                "held_years": [2026],
                "reasons": [
                    {
                        "code": "delivery_missing_or_failing",
                        "check_id": "intake.k12__completion.delivered",
                        "collection": "k12__completion",
                        "submitter": "lea_0002",
                        "school_year": 2026,
                    }
                ],
            },
        ],
        "waivers": [
            {
                "check_id": "intake.k12__attendance.quarantine_share",
                "collection": "k12__attendance",
                "submitter": "lea_0001",
                "reason": "The district moved to another system",
                "effect_on_numbers": "Absence may be too low by half a point",
                "entered_by": "demo_data_manager",
                "approved_by": "demo_chair",
                "approved_on": "2026-11-01",
                "meeting": "Meeting of November 2026",
                "expires_on": "2027-06-30",
            }
        ],
        "waiver_errors": [],
        **changes,
    }


def flow(code: str, year: int, origin: tuple, destination: tuple, count: int, status: str = "shown") -> dict:
    """One published flow; origin and destination: type, code, name."""
    return {
        "transition": code,
        "cohort_year": year,
        **dict(zip(("origin_type_code", "origin_code", "origin_name"), origin, strict=True)),
        **dict(zip(("destination_type_code", "destination_code", "destination_name"), destination, strict=True)),
        "person_count": count if status == "shown" else None,
        "value_status": status,
        "protection": "perturbed",
        "data_as_of": date(2026, 11, 20),
        "release_id": "r20261120-example",
    }


def flows() -> list[dict]:
    """Flows of two transitions, state and district, by institution and its kind; the third has none."""
    program, none = ("program", "head_start", "Head Start"), ("program", "none_found", "None found in state programs")
    college = ("institution", "00999900", "Example College")
    kind = ("institution_kind", "kind:public_2_year", "Public, 2-year, in the state")
    found = []
    for place, size in ((STATE, 100), (LEA, 60), (OTHER_LEA, 30)):
        here = place[:3]
        found.append(flow("early_childhood__kindergarten", 2026, program, here, size))
        found.append(flow("early_childhood__kindergarten", 2025, none, here, size + 7))
        found.append(flow("high_school__college", 2024, here, kind, size + 1))
        if place is not OTHER_LEA:
            found.append(flow("high_school__college", 2024, here, college, size - 40))
    return found


def coverage() -> list[dict]:
    """Who is counted in the state, and who is not: of two indicators, one of them by subject."""
    found = [
        ("college_going_fall", "all", 2025, "counted", "", 940, 0.94),
        ("college_going_fall", "all", 2025, "no_information", "", 60, 0.06),
        ("college_going_fall", "all", 2024, "counted", "", 777, 0.77),
        ("employment_year_1_after_high_school", "all", 2025, "not_determined", "no_wage_linkable_record", 80, 0.08),
        ("employment_year_1_after_high_school", "all", 2025, "excluded", "died", 10, 0.0),
        ("program_participation", "migrant", 2026, "counted", "", 50, 1.0),
    ]
    names = ("indicator_code", "subject_code", "cohort_year", "outcome_status", "exclusion_code", "person_count")
    return [
        {**dict(zip((*names, "share"), each, strict=True)), "value_status": "shown", "protection": "perturbed"}
        for each in found
    ]


def write_flows(folder: Path, given: list[dict]) -> None:
    """A table for each transition that is given a flow."""
    for code in sorted({each["transition"] for each in given}):
        own = [{name: each[name] for name in each if name != "transition"} for each in given]
        own = [mine for mine, each in zip(own, given, strict=True) if each["transition"] == code]
        pl.DataFrame(own, infer_schema_length=None).write_parquet(folder / f"mart_transition__{code}.parquet")


def write_tables(folder: Path, given: list[dict] | None = None) -> Path:
    """The published tables as Parquet; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(given or rows(), schema=SCHEMA).write_parquet(folder / "mart_indicator__organization.parquet")
    write_flows(folder, flows())
    pl.DataFrame(coverage()).write_parquet(folder / "mart_coverage.parquet")
    pl.DataFrame(
        {
            "opeid": ["00999900"],
            "institution_name": ["Example College"],
            "city": ["Exampleville"],
            "state_abbreviation": ["EX"],
            "institution_level_code": ["2-year"],
            "institution_control_code": ["private_nonprofit"],
        }
    ).write_parquet(folder / "mart_institution.parquet")
    pl.DataFrame(
        {
            "source": ["lea_0001"],
            "collection": ["k12__student"],
            "indicator_code": ["chronic_absenteeism"],
            "school_year": [2026],
            "status": ["missing_element"],
            "missing": ["Sex is absent"],
        }
    ).write_parquet(folder / "mart_availability.parquet")
    return folder


def check(check_id: str, layer: str, severity: str, status: str, **values: object) -> dict:
    category = {"disclosure": "disclosure", "linkage": "linkage"}.get(layer, "conformance")
    return {
        "check_id": check_id,
        "layer": layer,
        "category": category,
        "severity": severity,
        "status": status,
        **values,
    }


def write_evidence(settings: Settings) -> None:
    """Ledger, check results, link quality, linkage effect, losses; the counts are odd, to search pages for them."""
    from pipelines.intake import ledger
    from pipelines.quality import check_result

    settings.evidence.mkdir(parents=True)
    settings.exchange.mkdir(parents=True)
    kinds = ("overlay", "possible_match", "duplicate_id", "clerical_sample")
    waits = {"open_count": 4_241, "deferred_count": 3, "opened_count": 7, "closed_count": 5, "left_out_count": 11}
    pl.DataFrame(
        [{"kind": kind, **waits, "oldest_on": date(2026, 11, 7), "record_count": 9_999_991} for kind in kinds]
    ).write_parquet(settings.exchange / "steward_queue.parquet")
    pl.DataFrame(
        [{"who": "demo_identity_steward", "verdict": "same", "verdict_count": 6_661, "last_on": date(2026, 11, 8)}]
    ).write_parquet(settings.exchange / "steward_verdict.parquet")
    counts = {
        "delivered_count": 31_337,
        "accepted_count": 31_330,
        "partly_accepted_count": 0,
        "quarantined_count": 7,
        "duplicate_count": 0,
        "not_collected_count": 0,
        "derived_row_count": 31_337,
    }
    line = {**dict.fromkeys(ledger.LEDGER), **counts, "delivery_id": "d1", "submitter": "lea_0001"}
    line |= {"package": "k12_annual", "period": "2026", "file_name": "attendance.csv", "status": "accepted"}
    pl.DataFrame([line], schema=ledger.LEDGER).write_parquet(settings.evidence / "ledger.parquet")
    derived = {"derived_count": 31_337, "accepted_count": 31_330, "quarantined_count": 7, "duplicate_count": 0}
    derived |= {"delivery_id": "d1", "file_name": "attendance.csv", "collection": "k12__attendance"}
    pl.DataFrame(
        [{**dict.fromkeys(ledger.LEDGER_COLLECTION), **derived}], schema=ledger.LEDGER_COLLECTION
    ).write_parquet(settings.evidence / "ledger_collection.parquet")
    attendance = {"collection": "k12__attendance", "submitter": "lea_0001", "school_year": 2026}
    completion = {"collection": "k12__completion", "submitter": "lea_0002", "school_year": 2026}
    check_result.record(
        settings,
        BUILD,
        "intake",
        [
            check(
                "intake.k12__attendance.quarantine_share", "intake", "error", "fail",
                failing_count=7, total_count=31_337, message="k12__attendance from lea_0001: 7 of 31337.", **attendance,
            ),
            check(
                "intake.k12__attendance.membership_not_negative", "intake", "warn", "warn",
                failing_count=7, total_count=31_337, message="7 of 31337 rows sent back.", **attendance,
            ),
            check(
                "intake.k12__completion.delivered", "intake", "error", "fail",
                failing_count=1, total_count=1, message="k12__completion from lea_0002 has not come.", **completion,
            ),
        ],
    )  # fmt: skip
    check_result.record(
        settings,
        BUILD,
        "dbt_warehouse",
        [
            check(
                "warehouse.dim_person.one_birth_date", "warehouse", "warn", "warn",
                failing_count=3, total_count=97, message="3 people have two birth dates.",
            ),
            check(
                "expectation.coverage.breakdowns_present", "expectation", "warn", "warn",
                failing_count=1, total_count=1, family="four_year_graduation", school_year=2026,
            ),
        ],
    )  # fmt: skip
    pl.DataFrame(
        [
            ("k12", "workforce", "precision", 0.9871, 979, 991),
            ("k12", "workforce", "recall_linkable", 0.9312, 979, 1051),
            ("k12", "workforce", "linkable_share", 0.41, 1051, 2563),
            ("", "", "over_merge_two_ssns", 0.01, 13, 1301),
        ],
        schema=["sector_a", "sector_b", "metric", "value", "numerator", "denominator"],
        orient="row",
    ).write_parquet(settings.exchange / "link_quality.parquet")
    pl.DataFrame(
        [("b", "college_going_fall", "all", 2025, 0.42, 0.44, 807, 811)],
        schema=["build_id", "indicator_code", "subject_code", "cohort_year", "found_rate", "true_rate"]
        + ["found_denominator", "true_denominator"],
        orient="row",
    ).write_parquet(settings.evidence / "linkage_effect.parquet")
    (settings.evidence / "disclosure").mkdir()
    pl.DataFrame(
        [
            ("chronic_absenteeism", "school", "gender", "shown", 40, False, False, False, False),
            ("chronic_absenteeism", "school", "gender", "suppressed", 6, True, True, False, False),
        ],
        schema=["indicator_code", "organization_level", "breakdown_code", "value_status", "denominator_count"]
        + ["is_primary_denominator", "is_primary_numerator", "is_decoy", "is_hidden_for_room"],
        orient="row",
    ).write_parquet(settings.evidence / "disclosure" / f"{BUILD}.parquet")
    counts = {
        "cells": 41, "shown": 13, "small": 7, "official": 21, "people": 5231, "people_small": 43,
        "people_official": 1907, "median_cells": 29, "median_shown": 11, "median_employers": 17, "median_official": 1,
    }  # fmt: skip
    loss = {"indicator_code": "employment_year_1_after_high_school", "organization_level": "state"}
    pl.DataFrame([{**loss, "breakdown_code": "gender", **counts}]).write_parquet(
        settings.evidence / "disclosure" / f"{BUILD}__loss.parquet"
    )
