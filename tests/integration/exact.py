"""What is shown whatever keys were drawn, told from the exact cubes and the policy.

What belongs here: reading restricted cubes and policy for a test's expectation. What does not: the tests.

Keys of persons are random, and with them the noise of each count: near the minimum a flow is shown in one home and
hidden in the next. At the minimum and the largest noise above it, it is shown in all.
"""

from __future__ import annotations

import csv
from datetime import date

import duckdb
import polars as pl
from homes import State

# Flows that are silent where an official number of all people at one of their ends is hidden.
SILENT_WITH = {
    "mart_transition__early_childhood__kindergarten":
        ("chronic_absenteeism", "denominator_count", "destination_type_code", "destination_code"),
    "mart_transition__high_school__college":
        ("college_going_12_month", "numerator_count", "origin_type_code", "origin_code"),
}  # fmt: skip
# Flows that tell what they leave of the people of their origin: each person has one flow to each of these.
PEOPLE = {"institution": "institution", "institution_kind": "kind", "industry": "work", "not_found": "work"}
FLOW = ["cohort_year", "origin_type_code", "origin_code", "destination_type_code", "destination_code"]


def policy(state: State, name: str) -> list[dict[str, str]]:
    with (state.settings.seeds / "policy" / f"{name}.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def minimum_count(state: State) -> int:
    """The smallest count that may be shown, by the policy in force."""
    today = date.today().isoformat()
    rows = [row for row in policy(state, "protection") if row["parameter"] == "minimum_count"]
    in_force = [row for row in rows if row["effective_date"] <= today]
    return int(max(in_force, key=lambda row: row["effective_date"])["value"])


def largest_noise(state: State) -> int:
    """How far a published count may be from the exact one."""
    return max(abs(int(row["noise"])) for row in policy(state, "perturbation_table"))


def flows(state: State, mart: str) -> pl.DataFrame:
    """Every flow that a transition's mart is made of: FLOW and person_count, exact."""
    with duckdb.connect(str(state.settings.warehouse_file), read_only=True) as con:
        return con.execute(
            f"SELECT {', '.join(FLOW)}, person_count FROM cubes.cube_transition WHERE transition_code = ?",
            [mart.removeprefix("mart_transition__")],
        ).pl()


def sure_flows(state: State, mart: str) -> pl.DataFrame:
    """The flows among them that no noise can hide, and that count nobody whom an official table hides."""
    least = minimum_count(state) + largest_noise(state)
    people, every = pl.col("person_count"), flows(state, mart)
    if mart != "mart_transition__early_childhood__kindergarten":
        origin = ["cohort_year", "origin_type_code", "origin_code", "people"]
        every = every.with_columns(people=pl.col("destination_type_code").replace_strict(PEOPLE)).with_columns(
            rest=people.sum().over(origin) - people,
            hidden=people.filter(people < minimum_count(state)).sum().over(origin),
        )
        sure = every.filter(people >= least, pl.col("rest") >= least)
        # Beside few hidden people the smallest flow is hidden too.
        others = pl.col("hidden") >= minimum_count(state)
        sure = sure.filter(others | (people > people.min().over(origin))).select(*FLOW, "person_count")
    else:
        sure = every.filter(people >= least)
    if mart not in SILENT_WITH:
        return sure
    indicator, number, level, code = SILENT_WITH[mart]
    hidden = (
        state.table("mart_indicator__organization")
        .filter(
            (pl.col("indicator_code") == indicator) & (pl.col("breakdown_code") == "all") & pl.col(number).is_null()
        )
        .select("cohort_year", pl.col("organization_level").alias(level), pl.col("organization_id_state").alias(code))
    )
    return sure.join(hidden, on=["cohort_year", level, code], how="anti")
