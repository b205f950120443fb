"""The four-year adjusted cohort, and the diplomas that count.

Belongs here: who is in which cohort, at which school, who has left it with a document, who graduated in time. Source:
20 USC 7801(25) as set out in policy/exit_cohort_effect.csv and policy/diploma_effect.csv. Does not belong here: what
happens after the diploma (`outcome`).
"""

from __future__ import annotations

from datetime import date

import polars as pl

from pipelines.quality.recompute.cell import at_school_lea_state
from pipelines.quality.recompute.source import Deliveries
from pipelines.quality.recompute.window import covered_by_years, spring, window
from schemas import collections

HIGH_SCHOOL = ["09", "10", "11", "12"]
COLLECTIONS = ["k12__student", "k12__enrollment", "k12__completion"]


def four_year_graduation(deliveries: Deliveries) -> pl.DataFrame:
    """Every student of a cohort at the last school responsible, in the columns of `cell.COUNTED`."""
    members = cohort_members(deliveries)
    years = members["cohort_year"].unique().to_list()
    ends = {year: window(deliveries, "four_year_cohort", year) for year in years}
    open_years = [
        year
        for year, (start, _) in ends.items()
        if not covered_by_years(deliveries, COLLECTIONS, range(spring(start), year + 1))
    ]
    graduates = _graduates(deliveries, members, {year: end for year, (_, end) in ends.items()})
    # Whoever holds a diploma that counts has not left, whatever the last exit says.
    graduated = pl.col("is_graduate").fill_null(False)
    removed = pl.col("is_removed") & ~graduated
    rows = members.join(graduates, on="person_key", how="left").with_columns(
        is_excluded=removed,
        in_denominator=~removed,
        in_numerator=graduated,
        window_open=pl.col("cohort_year").is_in(open_years),
    )
    return at_school_lea_state(rows, deliveries.state_id)


def cohort_members(deliveries: Deliveries) -> pl.DataFrame:
    """person_key, cohort_year, school_id_state, lea_id_state, is_removed; one row a student.

    The cohort last stated holds, as assigned or else by the first grade 9 year (the earlier of two in one year); where
    nothing is stated the grade first met decides. The last enrollment in grades 9 to 12 up to the fourth year names the
    school and says whether the student has left.
    """
    enrolled = deliveries.with_lea(
        deliveries.rows(
            "k12__enrollment",
            "school_year",
            "school_id_state",
            "lea_id_state",
            "entry_date",
            "exit_date",
            "exit_withdrawal_type_code",
            "exit_documentation_code",
            "grade_level_code",
            "responsibility_code",
        )
    ).filter(pl.col("grade_level_code").is_in(HIGH_SCHOOL))
    first = (
        enrolled.with_columns(grade=pl.col("grade_level_code").cast(pl.Int32))
        .sort("school_year", "grade")
        .group_by("person_key")
        .agg(
            by_grade=(pl.col("school_year") + 12 - pl.col("grade")).first(),
        )
    )
    stated = (
        deliveries.rows("k12__student", "school_year", "assigned_cohort_year", "first_entry_grade_nine_year")
        .with_columns(stated=pl.coalesce("assigned_cohort_year", pl.col("first_entry_grade_nine_year") + 3))
        .drop_nulls("stated")
        .sort("school_year", "stated", descending=[True, False])
        .unique("person_key", keep="first", maintain_order=True)
        .select("person_key", "stated")
    )
    members = first.join(stated, on="person_key", how="left").with_columns(
        cohort_year=pl.coalesce("stated", "by_grade")
    )
    last = (
        enrolled.join(members.select("person_key", "cohort_year"), on="person_key")
        .filter(pl.col("school_year") <= pl.col("cohort_year"))
        .with_columns(
            _exit=pl.col("exit_date").fill_null(date(9999, 1, 1)),
            _primary=(pl.col("responsibility_code") == "primary").fill_null(False),
        )
        .sort("school_year", "entry_date", "_primary", "_exit", "delivery_id", "source_row", nulls_last=False)
        .unique("person_key", keep="last", maintain_order=True)
    )
    return last.select(
        "person_key",
        "cohort_year",
        "school_id_state",
        "lea_id_state",
        is_removed=_removed(deliveries),
    )


def high_school_years(deliveries: Deliveries) -> pl.DataFrame:
    """Years in which a person was enrolled in grades 9 to 12: person_key, school_year."""
    return (
        deliveries.rows("k12__enrollment", "school_year", "grade_level_code")
        .filter(pl.col("grade_level_code").is_in(HIGH_SCHOOL))
        .select("person_key", "school_year")
        .unique()
    )


def _removed(deliveries: Deliveries) -> pl.Expr:
    """Whether an enrollment ended with an exit that leaves the cohort and one of the documents that prove it."""
    removed = pl.lit(False)
    for row in deliveries.policy("policy/exit_cohort_effect"):
        if row["effect"] == "removed_if_documented":
            removed = removed | (
                (pl.col("exit_withdrawal_type_code") == row["exit_withdrawal_type_code"])
                & pl.col("exit_documentation_code").is_in(row["accepted_documentation"].split(";"))
            )
    return removed.fill_null(False)


def _graduates(deliveries: Deliveries, members: pl.DataFrame, ends: dict[int, date]) -> pl.DataFrame:
    """person_key, is_graduate of members with a diploma that counts by the end of their cohort's window."""
    effects = pl.DataFrame(deliveries.policy("policy/diploma_effect")).select(
        "diploma_type_code", "effect", pl.col("maximum_age").cast(pl.Int32, strict=False)
    )
    end = pl.col("cohort_year").replace_strict(ends, default=None, return_dtype=pl.Date)
    in_time = pl.col("completion_date") <= end
    age = pl.col("completion_date").dt.year() - pl.col("birth_year")
    counts = pl.when(pl.col("effect") == "alternate").then(in_time | (age <= pl.col("maximum_age"))).otherwise(in_time)
    return (
        deliveries.rows("k12__completion", "school_year", "diploma_type_code", "completion_date")
        .join(effects.filter(pl.col("effect").is_in(["regular_or_higher", "alternate"])), on="diploma_type_code")
        .join(members.select("person_key", "cohort_year"), on="person_key")
        .join(birth_years(deliveries), on="person_key", how="left")
        .filter(counts.fill_null(False))
        .select("person_key")
        .unique()
        .with_columns(is_graduate=pl.lit(True))
    )


def birth_years(deliveries: Deliveries) -> pl.DataFrame:
    """Birth year that most of a person's records say, the earlier one of two as frequent: person_key, birth_year."""
    said = [
        deliveries.rows(name, "birth_year").drop_nulls("birth_year").select("person_key", "record_key", "birth_year")
        for name, collection in collections().items()
        if collection.has_person and "birth_year" in dict(collection.accepted_columns())
    ]
    return (
        pl.concat(said)
        .group_by("person_key", "birth_year")
        .agg(n=pl.col("record_key").n_unique())
        .sort("person_key", "n", "birth_year", descending=[False, True, False])
        .unique("person_key", keep="first", maintain_order=True)
        .select("person_key", "birth_year")
    )


def first_diplomas(deliveries: Deliveries) -> pl.DataFrame:
    """First regular or higher diploma of each: person_key, cohort_year, award_date, school_id_state, lea_id_state."""
    regular = [
        row["diploma_type_code"]
        for row in deliveries.policy("policy/diploma_effect")
        if row["effect"] == "regular_or_higher"
    ]
    return (
        deliveries.with_lea(
            deliveries.rows(
                "k12__completion",
                "school_year",
                "school_id_state",
                "lea_id_state",
                "diploma_type_code",
                "completion_date",
            )
        )
        .filter(pl.col("diploma_type_code").is_in(regular))
        .sort("completion_date", "school_year", "delivery_id", "source_row", nulls_last=True)
        .unique("person_key", keep="first", maintain_order=True)
        .select(
            "person_key", "school_id_state", "lea_id_state", cohort_year="school_year", award_date="completion_date"
        )
    )
