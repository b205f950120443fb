"""Results of kindergarten readiness assessments."""

import polars as pl

from schemas.collection import Collection, Rule, optional, required

COLLECTION = Collection(
    name="early_childhood__kindergarten_readiness",
    title="Kindergarten readiness",
    grain="One row per child, assessment and school year.",
    key=("school_year", "assessment_code", "student_id_state", "student_id_local"),
    fields=(
        *required(
            "school_year",
            "assessment_code",
        ),
        *optional(
            "student_id_state",
            "student_id_local",
        ),
        *required(
            "given_name",
        ),
        *optional(
            "middle_name",
        ),
        *required(
            "surname",
            "birth_date",
            "school_id_state",
            "lea_id_state",
            "assessment_date",
        ),
        *optional(
            "overall_score",
            "performance_level_code",
            "completion_status_code",
            "social_foundations_score",
            "language_literacy_score",
            "mathematics_score",
            "physical_development_score",
        ),
    ),
    rules=(
        Rule(
            "student_identified",
            "A result needs a state or a local student identifier.",
            ("student_id_state", "student_id_local"),
            pl.col("student_id_state").is_not_null() | pl.col("student_id_local").is_not_null(),
        ),
        Rule(
            "assessed_after_birth",
            "The assessment date must not come before the birth date.",
            ("birth_date", "assessment_date"),
            pl.col("assessment_date") >= pl.col("birth_date"),
        ),
    ),
    period_start="assessment_date",
    period_end="assessment_date",
)
