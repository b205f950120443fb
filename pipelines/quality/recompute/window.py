"""Which outcome windows the accepted deliveries cover.

Belongs here: dates of a cohort's window by policy/outcome_window.csv, and what each source covers. A source covers a
school year when it delivered that year, a calendar year of wages when it delivered every quarter; the clearinghouse
covers what lies before its latest search. Does not belong here: who is counted.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from pipelines.quality.recompute.source import Deliveries


def window(deliveries: Deliveries, code: str, base_year: int) -> tuple[date, date]:
    """First and last day of a window for a cohort's school year (or the calendar year of an award)."""
    row = next(row for row in deliveries.policy("policy/outcome_window") if row["window_code"] == code)

    def day(offset: str, month_day: str) -> date:
        month, number = month_day.split("-")
        return date(base_year + int(offset), int(month), int(number))

    return (
        day(row["start_year_offset"], row["start_month_day"]),
        day(row["end_year_offset"], row["end_month_day"]),
    )


def spring(day: date) -> int:
    """Spring year of the school year that holds a day."""
    return day.year + (day.month >= 7)


def covered_by_years(deliveries: Deliveries, collections: list[str], years: range) -> bool:
    """Whether each of the collections has rows of each of the school years."""
    return all(set(years) <= _delivered_years(deliveries, collection) for collection in collections)


def _delivered_years(deliveries: Deliveries, collection: str) -> set[int]:
    return set(deliveries.rows(collection, "school_year")["school_year"].drop_nulls().unique())


def college_covered(deliveries: Deliveries, start: date, end: date) -> bool:
    """Whether every source of college enrollment covers the days from start to end."""
    rows = deliveries.rows("postsecondary__enrollment", "school_year", "search_date")
    if rows.is_empty():
        return False
    needed = set(range(spring(start), spring(end) + 1))
    for package in rows.partition_by("package"):
        searched = package["search_date"].max()
        if not needed <= set(package["school_year"].drop_nulls()):
            return False
        if searched is not None and searched < end:
            return False
    return True


def whole_wage_years(deliveries: Deliveries) -> set[int]:
    """Calendar years of which all four quarters of wages were delivered."""
    quarters = deliveries.rows("workforce__wage", "wage_year", "wage_quarter").select("wage_year", "wage_quarter")
    counted = quarters.unique().group_by("wage_year").agg(pl.len())
    return set(counted.filter(pl.col("len") == 4)["wage_year"])
