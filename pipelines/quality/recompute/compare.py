"""The warehouse's exact cubes held against the recomputation, cell by cell.

Belongs here: the one read of the warehouse in this package, and the difference. Does not belong here: who is right.
"""

from __future__ import annotations

import duckdb
import polars as pl

from pipelines.quality.recompute.cell import CELL
from pipelines.quality.recompute.transition import TRANSITION
from pipelines.settings import Settings

KEY = [
    "indicator_code",
    "subject_code",
    "organization_level",
    "organization_id_state",
    "cohort_year",
    "breakdown_code",
    "group_code",
]
VALUES = [name for name in CELL if name not in KEY]
FLOW_KEY = [name for name in TRANSITION if name != "person_count"]


def warehouse_cells(settings: Settings) -> pl.DataFrame:
    """cubes.cube_indicator in the columns of `cell.CELL`, read only."""
    with duckdb.connect(str(settings.warehouse_file), read_only=True) as con:
        return (
            con.execute(
                """
            SELECT c.indicator_code, c.subject_code, c.organization_level, o.organization_id_state, c.cohort_year,
                   c.breakdown_code, c.group_code, c.denominator_count, c.numerator_count, c.excluded_count,
                   c.window_open_count > 0 AS window_open, c.amount_median_rounded
            FROM cubes.cube_indicator AS c
            LEFT JOIN core.dim_organization AS o USING (organization_key)
            """
            )
            .pl()
            .cast(CELL)
        )


def compare(settings: Settings, recomputed: pl.DataFrame) -> pl.DataFrame:
    """Cells that differ: the key, <value>_warehouse and <value>_recomputed, and difference.

    difference: missing_in_warehouse, missing_in_recomputation, or the `;`-list of unequal values. No row = agreement.
    """
    return difference(warehouse_cells(settings), recomputed)


def warehouse_transitions(settings: Settings) -> pl.DataFrame:
    """cubes.cube_transition in the columns of `transition.TRANSITION`, read only."""
    with duckdb.connect(str(settings.warehouse_file), read_only=True) as con:
        return con.execute(f"SELECT {', '.join(TRANSITION)} FROM cubes.cube_transition").pl().cast(TRANSITION)


def compare_transitions(settings: Settings, recomputed: pl.DataFrame) -> pl.DataFrame:
    """Flows that differ, in the way of `compare`; person_count is the one value. No row = agreement."""
    return difference(warehouse_transitions(settings), recomputed, FLOW_KEY, ["person_count"])


def difference(
    warehouse: pl.DataFrame, recomputed: pl.DataFrame, key: list[str] = KEY, values: list[str] = VALUES
) -> pl.DataFrame:
    """The same for two frames of the same columns: those of the key, and of the values held against each other."""
    both = warehouse.with_columns(_w=pl.lit(True)).join(
        recomputed.with_columns(_r=pl.lit(True)),
        on=key,
        how="full",
        suffix="_recomputed",
        coalesce=True,
        nulls_equal=True,
    )
    unequal = [pl.when(pl.col(value).ne_missing(pl.col(f"{value}_recomputed"))).then(pl.lit(value)) for value in values]
    return (
        both.with_columns(
            difference=pl.when(pl.col("_w").is_null())
            .then(pl.lit("missing_in_warehouse"))
            .when(pl.col("_r").is_null())
            .then(pl.lit("missing_in_recomputation"))
            .otherwise(pl.concat_str(unequal, separator=";", ignore_nulls=True))
        )
        .filter(pl.col("difference") != "")
        .rename({value: f"{value}_warehouse" for value in values})
        .select(*key, "difference", *(f"{v}_{side}" for v in values for side in ("warehouse", "recomputed")))
        .sort(key)
    )
