"""Counting: from one row a person at an organization to one row a cell.

Belongs here: the shape of both, the spreading over levels, and the counting. Does not belong here: who counts.
"""

from __future__ import annotations

import polars as pl

# One row: a person (or a course result) at one organization in one cohort, counted or left out.
COUNTED = {
    "subject_code": pl.String,
    "organization_level": pl.String,
    "organization_id_state": pl.String,
    "person_key": pl.Int64,
    "group_year": pl.Int32,
    "cohort_year": pl.Int32,
    "in_denominator": pl.Boolean,
    "in_numerator": pl.Boolean,
    "is_excluded": pl.Boolean,
    "window_open": pl.Boolean,
    "amount": pl.Int64,
}
CELL = {
    "indicator_code": pl.String,
    "subject_code": pl.String,
    "organization_level": pl.String,
    "organization_id_state": pl.String,
    "cohort_year": pl.Int32,
    "breakdown_code": pl.String,
    "group_code": pl.String,
    "denominator_count": pl.Int64,
    "numerator_count": pl.Int64,
    "excluded_count": pl.Int64,
    "window_open": pl.Boolean,
    "amount_median_rounded": pl.Int64,
}
_DEFAULTS = {
    "subject_code": pl.lit("all"),
    "in_denominator": pl.lit(True),
    "in_numerator": pl.lit(False),
    "is_excluded": pl.lit(False),
    "window_open": pl.lit(False),
    "amount": pl.lit(None, pl.Int64),
}


def shaped(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame in the columns of COUNTED, absent ones by default; nobody counts while the window is open."""
    missing = [value.alias(name) for name, value in _DEFAULTS.items() if name not in frame.columns]
    frame = frame.with_columns(missing)
    if "group_year" not in frame.columns:
        frame = frame.with_columns(group_year=pl.col("cohort_year"))
    counts = ~pl.col("window_open")
    return (
        frame.with_columns(
            pl.col("in_denominator") & counts,
            pl.col("in_numerator") & counts,
            pl.col("is_excluded") & counts,
            pl.when(counts).then(pl.col("amount")),
        )
        .select(list(COUNTED))
        .cast(COUNTED)
    )


def at_school_lea_state(frame: pl.DataFrame, state_id: str) -> pl.DataFrame:
    """Each row at its school, its district and the state (columns school_id_state, lea_id_state).

    A row without a school or a district does not stand at that level.
    """
    return pl.concat(
        [
            at(frame.filter(pl.col("school_id_state").is_not_null()), "school", pl.col("school_id_state")),
            at(frame.filter(pl.col("lea_id_state").is_not_null()), "lea", pl.col("lea_id_state")),
            at(frame, "state", pl.lit(state_id)),
        ]
    )


def at(frame: pl.DataFrame, level: str, identifier: pl.Expr) -> pl.DataFrame:
    """The frame at one level."""
    return shaped(frame.with_columns(organization_level=pl.lit(level), organization_id_state=identifier))


def cells(
    indicator: str, counted: pl.DataFrame, groups: pl.DataFrame, breakdowns: list[str], rounding: int, pool: int
) -> pl.DataFrame:
    """Cells of one indicator, in the columns of CELL.

    counted: COUNTED rows. groups: person_key, group_year and one column a breakdown; a person absent there is not
    reported. rounding: dollars to which a median is rounded, halves up. pool: people in the middle, at least, whose
    mean it is.
    """
    needs_groups = any(breakdown != "all" for breakdown in breakdowns)
    joined = counted.join(groups, on=["person_key", "group_year"], how="left") if needs_groups else counted
    place = ["subject_code", "organization_level", "organization_id_state", "cohort_year"]
    found = []
    for breakdown in breakdowns:
        code = pl.lit("all") if breakdown == "all" else pl.col(breakdown).fill_null("not_reported")
        found.append(
            joined.with_columns(group_code=code.cast(pl.String))
            .group_by(*place, "group_code")
            .agg(
                denominator_count=pl.col("in_denominator").sum(),
                numerator_count=pl.col("in_numerator").sum(),
                excluded_count=pl.col("is_excluded").sum(),
                window_open=pl.col("window_open").any(),
                amount_median_rounded=((_middle(pool).mean() / rounding + 0.5).floor() * rounding),
            )
            .with_columns(indicator_code=pl.lit(indicator), breakdown_code=pl.lit(breakdown))
        )
    if not found:
        return pl.DataFrame(schema=CELL)
    return pl.concat(found).select(list(CELL)).cast(CELL)


def _middle(pool: int) -> pl.Expr:
    """The amounts in the middle of those of a cell, at least `pool`: as many are left out below as above."""
    amount = pl.col("amount").drop_nulls().sort()
    people = amount.len().cast(pl.Int64)
    below = pl.max_horizontal((people - pool) // 2, pl.lit(0, pl.Int64))
    return amount.slice(below, people - 2 * below)
