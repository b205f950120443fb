"""Credentials colleges awarded."""

import datetime as dt

import polars as pl

from schemas.collection import Collection, Rule, optional, required

COLLECTION = Collection(
    name="postsecondary__award",
    title="Postsecondary awards",
    grain="One row per student, institution, award date and credential level.",
    key=(
        "institution_id",
        "student_id_institution",
        "student_id_state",
        "award_date",
        "credential_level_code",
        "cip_code",
    ),
    fields=(
        *required(
            "institution_id",
        ),
        *optional(
            "student_id_institution",
            "student_id_state",
            "ssn",
            "given_name",
            "middle_name",
            "surname",
            "name_suffix",
            "birth_date",
        ),
        *required(
            "award_date",
            "credential_level_code",
        ),
        *optional(
            "cip_code",
            "degree_title",
        ),
    ),
    rules=(
        Rule(
            "student_identified",
            "An award needs an identifier of its student.",
            ("student_id_institution", "student_id_state", "ssn"),
            pl.col("student_id_institution").is_not_null()
            | pl.col("student_id_state").is_not_null()
            | pl.col("ssn").is_not_null(),
        ),
        Rule(
            "award_not_in_future",
            "The award date must not lie in the future.",
            ("award_date",),
            pl.col("award_date") <= pl.lit(dt.date.today()),
        ),
    ),
    period_start="award_date",
    period_end="award_date",
)
