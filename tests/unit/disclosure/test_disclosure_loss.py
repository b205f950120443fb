"""What perturbation costs is counted by the choice that hides, on a small warehouse written by hand."""

from __future__ import annotations

import duckdb
import polars as pl

from pipelines.disclosure.loss import write_perturbed_loss

KEY = "indicator_code, subject_code, cohort_year, organization_level, organization_id_state, breakdown_code, group_code"


def test_a_night_whose_tables_were_not_built_tells_no_loss(home):
    home.home.mkdir()
    with duckdb.connect(str(home.warehouse_file)) as con:
        con.execute("CREATE SCHEMA cubes")
    write_perturbed_loss(home, "b1")
    assert not (home.evidence / "disclosure").exists()


def test_hidden_cells_people_and_medians_are_counted_by_what_hides_them(home):
    # group, people, people with an amount; status, median and reason, as perturbed and as the candidate has them
    cells = [
        ("shown", 40, 20, "shown", 30_000, "", "shown", 30_000, ""),
        ("few employers", 30, 20, "shown", None, "few_people_or_employers", "shown", None, "few_people_or_employers"),
        ("small", 9, 3, "suppressed", None, "small_group", "suppressed", None, "small_group"),
        ("told officially", 25, 12, "shown", 20_000, "", "suppressed", None, "small_group"),
        ("no outcome", 11, 0, "not_applicable", None, "", "not_applicable", None, ""),
        ("nobody", 0, 0, "suppressed", None, "small_group", "suppressed", None, "small_group"),
    ]
    home.home.mkdir()
    (home.candidate / "data").mkdir(parents=True)
    place = "'employed', 'all', 2024, 'school', '7', 'a'"
    with duckdb.connect(str(home.warehouse_file)) as con:
        con.execute("CREATE SCHEMA cubes; CREATE SCHEMA core; CREATE SCHEMA marts; CREATE SCHEMA seeds")
        con.execute("CREATE TABLE core.dim_organization AS SELECT 5 AS organization_key, '7' AS organization_id_state")
        con.execute(
            "CREATE TABLE seeds.indicator AS SELECT 'employed' AS indicator_code, 'rate_and_median' AS value_kind, "
            "'perturbed' AS protection"
        )
        con.execute(
            "CREATE TABLE cubes.cube_indicator (indicator_code TEXT, subject_code TEXT, cohort_year INT, "
            "organization_level TEXT, organization_key INT, breakdown_code TEXT, group_code TEXT, "
            "denominator_count BIGINT, numerator_count BIGINT, amount_count BIGINT)"
        )
        names = ", ".join(f"{name.strip()} {'INT' if 'year' in name else 'TEXT'}" for name in KEY.split(","))
        for table in ("marts.mart_indicator__organization", "candidate_mart"):
            con.execute(f"CREATE TABLE {table} ({names}, value_status TEXT, value_amount INT, suppression_reason TEXT)")
        for group, people, paid, *said in cells:
            con.execute(
                "INSERT INTO cubes.cube_indicator VALUES ('employed', 'all', 2024, 'school', 5, 'a', ?, ?, 1, ?)",
                [group, people, paid],
            )
            con.execute(
                f"INSERT INTO marts.mart_indicator__organization VALUES ({place}, ?, ?, ?, ?)", [group, *said[:3]]
            )
            con.execute(f"INSERT INTO candidate_mart VALUES ({place}, ?, ?, ?, ?)", [group, *said[3:]])
        con.execute(f"COPY candidate_mart TO '{home.candidate / 'data' / 'mart_indicator__organization.parquet'}'")
    write_perturbed_loss(home, "b1")
    (found,) = pl.read_parquet(home.evidence / "disclosure" / "b1__loss.parquet").to_dicts()
    assert found == {
        "indicator_code": "employed", "organization_level": "school", "breakdown_code": "a",
        "cells": 5, "shown": 2, "small": 1, "official": 1, "people": 115, "people_small": 9, "people_official": 25,
        "median_cells": 4, "median_shown": 1, "median_employers": 1, "median_official": 1,
    }  # fmt: skip
