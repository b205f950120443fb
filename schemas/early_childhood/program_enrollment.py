"""Case extracts of Head Start, state pre-kindergarten and child care subsidy (with its federal case elements)."""

import polars as pl

from schemas.collection import Collection, Field, Rule, optional, required

COLLECTION = Collection(
    name="early_childhood__program_enrollment",
    title="Early childhood program enrollment",
    grain="One row per child, program and entry date.",
    key=("child_id", "program_type_code", "entry_date"),
    fields=(
        *required(
            "child_id",
            "program_type_code",
            "entry_date",
        ),
        *optional(
            "exit_date",
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
            "birth_date",
            "birth_month",
            "sex_code",
            "postal_code",
            "ssn",
            "is_hispanic",
            "is_american_indian",
            "is_asian",
            "is_black",
            "is_pacific_islander",
            "is_white",
            "is_middle_eastern",
            "organization_id_state",
            "provider_id",
            "family_county_fips",
            "is_single_parent",
            "care_reason_code",
        ),
        Field("copayment_amount", required=False, nullable=True, minimum=0),
        *optional(
            "assistance_start_month",
        ),
        Field("monthly_income_amount", required=False, nullable=True, minimum=0),
        Field("family_size_count", required=False, nullable=True, minimum=1, maximum=30),
        *optional(
            "is_homeless",
            "has_disability",
            "care_type_code",
        ),
        Field("weekly_hours", required=False, nullable=True, minimum=0, maximum=168),
    ),
    rules=(
        Rule(
            "exit_on_or_after_entry",
            "The exit date must not come before the entry date.",
            ("entry_date", "exit_date"),
            pl.col("exit_date") >= pl.col("entry_date"),
        ),
        Rule(
            "birth_given",
            "A child needs a birth date or a birth month.",
            ("birth_date", "birth_month"),
            pl.col("birth_date").is_not_null() | pl.col("birth_month").is_not_null(),
        ),
        Rule(
            "entry_on_or_after_birth",
            "The entry date must not come before the birth date.",
            ("birth_date", "entry_date"),
            pl.col("entry_date") >= pl.col("birth_date"),
        ),
    ),
    period_start="entry_date",
    period_end="exit_date",
)
