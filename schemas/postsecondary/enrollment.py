"""Term enrollment at colleges, from institutions or a clearinghouse (a search that found nobody is a row too)."""

import polars as pl

from schemas.collection import Collection, Rule, optional, required

COLLECTION = Collection(
    name="postsecondary__enrollment",
    title="Postsecondary enrollment",
    grain="One row per student, institution and term; one row for a search that found nothing.",
    key=("institution_id", "student_id_institution", "student_id_state", "term_begin_date"),
    fields=(
        *optional(
            "institution_id",
            "student_id_institution",
            "student_id_state",
            "ssn",
        ),
        *required(
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
            "birth_date",
            "sex_code",
        ),
        *required(
            "is_record_found",
        ),
        *optional(
            "search_date",
            "term_begin_date",
            "term_end_date",
            "enrollment_status_code",
            "institution_level_code",
            "institution_control_code",
            "institution_name",
            "state_abbreviation",
            "class_level_code",
            "cip_code",
        ),
    ),
    rules=(
        Rule(
            "term_end_on_or_after_begin",
            "The end of the enrollment must not come before the begin of the enrollment.",
            ("term_begin_date", "term_end_date"),
            pl.col("term_end_date") >= pl.col("term_begin_date"),
        ),
        Rule(
            "found_has_institution",
            "An enrollment that was found names its institution and its first day.",
            ("is_record_found", "institution_id", "term_begin_date"),
            ~pl.col("is_record_found")
            | (pl.col("institution_id").is_not_null() & pl.col("term_begin_date").is_not_null()),
        ),
    ),
    period_start=pl.coalesce("term_begin_date", "search_date"),
    period_end=pl.coalesce("term_end_date", "search_date"),
)
