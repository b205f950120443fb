"""Quarterly wages from unemployment insurance, in whole dollars."""

import polars as pl

from schemas.collection import Collection, Field, optional, required

COLLECTION = Collection(
    name="workforce__wage",
    title="Quarterly wages",
    grain="One row per person, employer account, reporting unit and quarter.",
    key=("ssn", "employer_account_number", "employer_unit", "wage_year", "wage_quarter"),
    fields=(
        *required(
            "ssn",
        ),
        *optional(
            "given_name",
            "middle_name",
            "surname",
        ),
        *required(
            "employer_account_number",
        ),
        *optional(
            "employer_unit",
            "ein",
        ),
        Field("wage_year", minimum=1990, maximum=2100),
        Field("wage_quarter", minimum=1, maximum=4),
        Field("wage_amount", minimum=0),
        *optional(
            "state_fips",
        ),
    ),
    period_start=pl.date(pl.col("wage_year"), pl.col("wage_quarter").clip(1, 4) * 3 - 2, 1),
    period_end=pl.date(pl.col("wage_year"), pl.col("wage_quarter").clip(1, 4) * 3, 1).dt.month_end(),
)
