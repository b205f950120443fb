"""Living arrangements within episodes of foster care."""

import polars as pl

from schemas.collection import Collection, Rule, optional, required

COLLECTION = Collection(
    name="child_welfare__placement",
    title="Placements",
    grain="One row per child and placement date.",
    key=("child_record_number", "placement_date"),
    fields=(
        *required(
            "child_record_number",
            "placement_date",
        ),
        *optional(
            "placement_end_date",
            "living_arrangement_code",
            "foster_home_type_code",
        ),
    ),
    rules=(
        Rule(
            "end_on_or_after_placement",
            "The last day of the placement must not come before the placement date.",
            ("placement_date", "placement_end_date"),
            pl.col("placement_end_date") >= pl.col("placement_date"),
        ),
    ),
    period_start="placement_date",
    period_end="placement_end_date",
)
