"""Membership and absence days per student, school and term."""

import polars as pl

from schemas.collection import Collection, Field, Rule, required

COLLECTION = Collection(
    name="k12__attendance",
    title="Attendance by term",
    grain="One row per student, school, school year and term.",
    key=("student_id_state", "school_year", "school_id_state", "term_code"),
    fields=(
        *required(
            "student_id_state",
            "school_year",
            "school_id_state",
            "term_code",
            "lea_id_state",
        ),
        Field("membership_days", minimum=0, maximum=366),
        Field("absence_days", minimum=0, maximum=366),
        *required(
            "term_begin_date",
            "term_end_date",
        ),
    ),
    rules=(
        Rule(
            "absence_within_membership",
            "Absence days must not exceed membership days.",
            ("absence_days", "membership_days"),
            pl.col("absence_days") <= pl.col("membership_days"),
        ),
        Rule(
            "term_end_on_or_after_begin",
            "The last day of the term must not come before the first day of the term.",
            ("term_begin_date", "term_end_date"),
            pl.col("term_end_date") >= pl.col("term_begin_date"),
        ),
    ),
    period_start="term_begin_date",
    period_end="term_end_date",
)
