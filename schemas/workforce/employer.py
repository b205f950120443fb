"""Employers by quarter, from the quarterly census of employment and wages."""

import polars as pl

from schemas.collection import Collection, Field, Rule, optional, required

COLLECTION = Collection(
    name="workforce__employer",
    title="Employers",
    grain="One row per employer account and quarter.",
    key=("employer_account_number", "wage_year", "wage_quarter"),
    fields=(
        *required(
            "employer_account_number",
            "employer_name",
        ),
        *optional(
            "ein",
        ),
        Field("wage_year", minimum=1990, maximum=2100),
        Field("wage_quarter", minimum=1, maximum=4),
        *optional(
            "naics_code",
            "ownership_code",
            "county_fips",
        ),
        Field("month_one_employment_count", required=False, nullable=True, minimum=0),
        Field("month_two_employment_count", required=False, nullable=True, minimum=0),
        Field("month_three_employment_count", required=False, nullable=True, minimum=0),
    ),
    rules=(
        Rule(
            "naics_digits",
            "An industry code has two to six digits.",
            ("naics_code",),
            pl.col("naics_code").str.contains(r"^\d{2,6}$"),
        ),
    ),
    period_start=pl.date(pl.col("wage_year"), pl.col("wage_quarter").clip(1, 4) * 3 - 2, 1),
    period_end=pl.date(pl.col("wage_year"), pl.col("wage_quarter").clip(1, 4) * 3, 1).dt.month_end(),
)
