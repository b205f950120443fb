"""Diplomas and other credentials at the end of high school."""

import polars as pl

from schemas.collection import Collection, Rule, required

COLLECTION = Collection(
    name="k12__completion",
    title="High school completion",
    grain="One row per student, school year and kind of credential.",
    key=("student_id_state", "school_year", "diploma_type_code"),
    fields=(
        *required(
            "student_id_state",
            "school_year",
            "school_id_state",
            "lea_id_state",
            "diploma_type_code",
            "completion_date",
        ),
    ),
    rules=(
        Rule(
            "completion_in_school_year",
            "The completion date must lie in the school year or the summer after it (until September).",
            ("completion_date", "school_year"),
            pl.col("completion_date").is_between(
                pl.date(pl.col("school_year") - 1, 7, 1), pl.date(pl.col("school_year"), 9, 30)
            ),
        ),
    ),
    period_start="completion_date",
    period_end="completion_date",
)
