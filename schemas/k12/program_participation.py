"""Program participation and student characteristics: special education, English learner, homeless and the like."""

import polars as pl

from schemas.collection import Collection, Rule, optional, required

COLLECTION = Collection(
    name="k12__program_participation",
    title="Program participation and student characteristics",
    grain="One row per student, program, organization and begin date.",
    key=("student_id_state", "program_type_code", "organization_id_state", "begin_date"),
    fields=(
        *required(
            "student_id_state",
            "program_type_code",
            "organization_id_state",
            "begin_date",
        ),
        *optional(
            "end_date",
        ),
        *required(
            "school_year",
        ),
        *optional(
            "source_detail_code",
        ),
    ),
    rules=(
        Rule(
            "end_on_or_after_begin",
            "The end date must not come before the begin date.",
            ("begin_date", "end_date"),
            pl.col("end_date") >= pl.col("begin_date"),
        ),
    ),
    period_start="begin_date",
    period_end="end_date",
)
