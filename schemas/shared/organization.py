"""The directory: states, districts, schools, providers and institutions with their hierarchy.

Home-based child care providers are people at home and stay out of it.
"""

import polars as pl

from schemas.collection import Collection, Rule, optional, required

COLLECTION = Collection(
    name="shared__organization",
    title="Organizations",
    grain="One row per organization, level and school year.",
    key=("organization_id_state", "organization_level_code", "school_year"),
    fields=(
        *required(
            "organization_id_state",
            "school_year",
            "organization_level_code",
            "organization_name",
        ),
        *optional(
            "parent_organization_id_state",
            "organization_id_nces",
            "opeid",
            "organization_type_code",
            "city",
            "state_abbreviation",
            "predominant_degree_code",
            "operational_status_code",
            "open_date",
            "close_date",
            "low_grade_level_code",
            "high_grade_level_code",
        ),
    ),
    rules=(
        Rule(
            "close_on_or_after_open",
            "The closing date must not come before the opening date.",
            ("open_date", "close_date"),
            pl.col("close_date") >= pl.col("open_date"),
        ),
        Rule(
            "parent_is_another",
            "An organization cannot be its own parent at its level.",
            ("organization_id_state", "parent_organization_id_state", "organization_level_code"),
            (pl.col("parent_organization_id_state") != pl.col("organization_id_state"))
            | (pl.col("organization_level_code") == "institution"),
        ),
    ),
)
