"""Removals from home and how each episode of foster care ended."""

import polars as pl

from schemas.collection import Collection, Rule, optional, required

COLLECTION = Collection(
    name="child_welfare__removal",
    title="Removal episodes",
    grain="One row per child and removal date.",
    key=("child_record_number", "removal_date"),
    fields=(
        *required(
            "child_record_number",
            "removal_date",
        ),
        *optional(
            "removal_transaction_date",
            "environment_at_removal_code",
            "exit_date",
            "exit_transaction_date",
            "exit_reason_code",
        ),
    ),
    rules=(
        Rule(
            "exit_on_or_after_removal",
            "The exit date must not come before the removal date.",
            ("removal_date", "exit_date"),
            pl.col("exit_date") >= pl.col("removal_date"),
        ),
        Rule(
            "exit_date_with_reason",
            "An exit reason needs an exit date.",
            ("exit_date", "exit_reason_code"),
            pl.col("exit_date").is_not_null() | pl.col("exit_reason_code").is_null(),
        ),
    ),
    period_start="removal_date",
    period_end="exit_date",
)
