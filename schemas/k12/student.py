"""Students and their characteristics as a district states them for a year."""

import polars as pl

from schemas.collection import Collection, Field, Rule, optional, required

COLLECTION = Collection(
    name="k12__student",
    title="Students",
    grain="One row per student, district and school year.",
    key=("student_id_state", "school_year", "lea_id_state"),
    fields=(
        *required(
            "student_id_state",
            "school_year",
            "lea_id_state",
            "given_name",
        ),
        *optional(
            "middle_name",
        ),
        *required(
            "surname",
        ),
        *optional(
            "name_suffix",
        ),
        *required(
            "birth_date",
        ),
        *optional(
            "sex_code",
            "postal_code",
            "is_hispanic",
            "is_american_indian",
            "is_asian",
            "is_black",
            "is_pacific_islander",
            "is_white",
            "is_middle_eastern",
        ),
        Field("assigned_cohort_year", required=False, nullable=True, minimum=1990, maximum=2100),
        Field("first_entry_grade_nine_year", required=False, nullable=True, minimum=1990, maximum=2100),
    ),
    rules=(
        Rule(
            "cohort_after_grade_nine",
            "The assigned cohort year must not come before the year of entry into grade 9.",
            ("first_entry_grade_nine_year", "assigned_cohort_year"),
            pl.col("assigned_cohort_year") >= pl.col("first_entry_grade_nine_year"),
        ),
    ),
)
