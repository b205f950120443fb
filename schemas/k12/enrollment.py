"""Enrollment spells in schools, with how each began and ended."""

import polars as pl

from schemas.collection import Collection, Rule, optional, required

COLLECTION = Collection(
    name="k12__enrollment",
    title="School enrollment",
    grain="One row per student, school, school year and entry date.",
    key=("student_id_state", "school_year", "school_id_state", "entry_date"),
    fields=(
        *required(
            "student_id_state",
            "school_year",
            "school_id_state",
            "entry_date",
            "lea_id_state",
        ),
        *optional(
            "entry_type_code",
            "exit_date",
            "exit_withdrawal_type_code",
            "exit_documentation_code",
        ),
        *required(
            "grade_level_code",
        ),
        *optional(
            "responsibility_code",
        ),
    ),
    rules=(
        Rule(
            "exit_on_or_after_entry",
            "The exit date must not come before the entry date.",
            ("entry_date", "exit_date"),
            pl.col("exit_date") >= pl.col("entry_date"),
        ),
        Rule(
            "exit_date_with_type",
            "An exit or withdrawal type needs an exit date.",
            ("exit_date", "exit_withdrawal_type_code"),
            pl.col("exit_date").is_not_null() | pl.col("exit_withdrawal_type_code").is_null(),
        ),
        Rule(
            "entry_in_school_year",
            "The entry date must lie before the end of the school year, June 30.",
            ("entry_date", "school_year"),
            pl.col("entry_date") <= pl.date(pl.col("school_year"), 6, 30),
        ),
    ),
    period_start="entry_date",
    period_end="exit_date",
)
