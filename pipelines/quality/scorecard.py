"""All results of a build, counted for reading: by collection and submitter, and by what they touch.

What belongs here: counting. What does not: pages (`pipelines.reports`) and decisions (`pipelines.release.gate`).
"""

from __future__ import annotations

import polars as pl

from pipelines.quality import check_result
from pipelines.settings import Settings

_FAILING = ("fail", "error", "skipped")


def by_source(settings: Settings, build_id: str) -> pl.DataFrame:
    """One row for each layer, category, collection and submitter ('' = none named).

    Columns: layer, category, collection, submitter, check_count, passed_count, warned_count, failed_count,
    failing_row_count, total_row_count.
    """
    keys = ["layer", "category", "collection", "submitter"]
    return (
        check_result.read(settings, build_id)
        .with_columns(pl.col("collection", "submitter").fill_null(""))
        .group_by(keys)
        .agg(
            pl.len().cast(pl.Int64).alias("check_count"),
            pl.col("status").is_in(("pass", "not_applicable")).sum().cast(pl.Int64).alias("passed_count"),
            _warned().sum().cast(pl.Int64).alias("warned_count"),
            _failed().sum().cast(pl.Int64).alias("failed_count"),
            pl.col("failing_count").sum().alias("failing_row_count"),
            pl.col("total_count").sum().alias("total_row_count"),
        )
        .sort(keys)
    )


def by_family(settings: Settings, build_id: str) -> pl.DataFrame:
    """One row for each published family that a failing or warning check names, with that check.

    Columns: family ('*' = all), check_id, severity, status, collection, submitter, school_year, failing_count,
    total_count, message. Checks that name collections only are not spread over families here; the gate does that.
    """
    return (
        check_result.read(settings, build_id)
        .filter(pl.col("family").fill_null("") != "", _failed() | _warned())
        .with_columns(pl.col("family").str.split(";"))
        .explode("family")
        .select(
            "family",
            "check_id",
            "severity",
            "status",
            "collection",
            "submitter",
            "school_year",
            "failing_count",
            "total_count",
            "message",
        )
        .sort("family", "check_id", "school_year", nulls_last=True)
    )


def _failed() -> pl.Expr:
    return pl.col("status").is_in(_FAILING) & (pl.col("severity") == "error")


def _warned() -> pl.Expr:
    return (pl.col("status") == "warn") | (pl.col("status").is_in(_FAILING) & (pl.col("severity") == "warn"))
