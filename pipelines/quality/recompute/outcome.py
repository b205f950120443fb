"""What follows an award: college after a diploma, covered employment after a diploma or a college award.

Belongs here: windows of these outcomes, who was found, what they earned. Does not belong here: who graduated
(`graduation`).
"""

from __future__ import annotations

import polars as pl

from pipelines.quality.recompute.cell import at, at_school_lea_state
from pipelines.quality.recompute.graduation import first_diplomas
from pipelines.quality.recompute.source import Deliveries
from pipelines.quality.recompute.window import college_covered, whole_wage_years, window


def college_going(deliveries: Deliveries, window_code: str) -> pl.DataFrame:
    """Graduates found enrolled in a term that touches the cohort's window, in the columns of `cell.COUNTED`."""
    graduates = first_diplomas(deliveries)
    years = graduates["cohort_year"].unique().to_list()
    closed = [year for year in years if college_covered(deliveries, *window(deliveries, window_code, year))]
    found = (
        terms_in_window(deliveries, graduates, window_code)
        .select("person_key")
        .unique()
        .with_columns(in_numerator=pl.lit(True))
    )
    rows = graduates.join(found, on="person_key", how="left").with_columns(
        pl.col("in_numerator").fill_null(False), window_open=~pl.col("cohort_year").is_in(closed)
    )
    return at_school_lea_state(rows, deliveries.state_id)


def terms_in_window(deliveries: Deliveries, graduates: pl.DataFrame, window_code: str) -> pl.DataFrame:
    """Terms of enrollment of graduates that touch their cohort's window: person_key, institution_id, term_begin_date.

    graduates: person_key (unique), cohort_year. institution_id is the directory's own, null where none is named.
    """
    years = graduates["cohort_year"].unique().to_list()
    dates = {year: window(deliveries, window_code, year) for year in years}
    not_enrolled = [
        row["enrollment_status_code"]
        for row in deliveries.policy("policy/college_enrollment_status")
        if row["is_enrolled"] == "false"
    ]
    terms = deliveries.rows(
        "postsecondary__enrollment",
        "is_record_found",
        "institution_id",
        "term_begin_date",
        "term_end_date",
        "enrollment_status_code",
    ).filter(
        pl.col("is_record_found").fill_null(False)
        & ~pl.col("enrollment_status_code").is_in(not_enrolled).fill_null(False)
    )
    start = pl.col("cohort_year").replace_strict({y: d[0] for y, d in dates.items()}, return_dtype=pl.Date)
    end = pl.col("cohort_year").replace_strict({y: d[1] for y, d in dates.items()}, return_dtype=pl.Date)
    touching = (
        graduates.select("person_key", "cohort_year")
        .join(terms, on="person_key")
        .filter((pl.col("term_begin_date") <= end) & (pl.coalesce("term_end_date", "term_begin_date") >= start))
    )
    return deliveries.with_institution(touching).select("person_key", "institution_id", "term_begin_date")


def employment_after_high_school(deliveries: Deliveries, window_code: str) -> pl.DataFrame:
    """Graduates found in wages of the window's calendar year, in the columns of `cell.COUNTED`."""
    return at_school_lea_state(_employed(deliveries, first_diplomas(deliveries), window_code), deliveries.state_id)


def employment_after_college(deliveries: Deliveries, window_code: str) -> pl.DataFrame:
    """People with an award, once an institution and once in the state, from the year's last award there."""
    own, once = college_awards(deliveries)
    return pl.concat(
        [
            at(_employed(deliveries, own, window_code), "institution", pl.col("institution_id")),
            at(_employed(deliveries, once, window_code), "state", pl.lit(deliveries.state_id)),
        ]
    )


def college_awards(deliveries: Deliveries) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Last award of a school year of each person at each institution, and of each person in the state.

    Both: person_key, institution_id, award_date, cohort_year.
    """
    awards = deliveries.with_institution(
        deliveries.rows("postsecondary__award", "school_year", "institution_id", "award_date")
    ).select("person_key", "institution_id", "award_date", cohort_year="school_year")
    awards = awards.sort("award_date", nulls_last=False)
    own = awards.drop_nulls("institution_id").unique(
        ["person_key", "cohort_year", "institution_id"], keep="last", maintain_order=True
    )
    once = awards.unique(["person_key", "cohort_year"], keep="last", maintain_order=True)
    return own, once


def _employed(deliveries: Deliveries, awarded: pl.DataFrame, window_code: str) -> pl.DataFrame:
    """awarded (person_key, cohort_year, award_date) plus what wages say.

    A cohort is open until the wages of every calendar year that its awards lead to are whole.
    """
    awarded = awarded.with_columns(wage_year=wage_year(deliveries, window_code))
    whole = whole_wage_years(deliveries)
    open_cohorts = awarded.filter(~pl.col("wage_year").is_in(list(whole)).fill_null(False))["cohort_year"].unique()
    required = int(
        next(row["value"] for row in deliveries.policy("policy/employment") if row["parameter"] == "quarters_required")
    )
    earned = (
        deliveries.rows("workforce__wage", "wage_year", "wage_quarter", "wage_amount")
        .group_by("person_key", "wage_year", "wage_quarter")
        .agg(pl.col("wage_amount").cast(pl.Int64).sum())
        .filter(pl.col("wage_amount") > 0)
        .group_by("person_key", "wage_year")
        .agg(quarters=pl.len(), total=pl.col("wage_amount").sum())
    )
    known = linkable_to_wages(deliveries)
    reviewed = wages_in_review(deliveries)
    return (
        awarded.join(earned, on=["person_key", "wage_year"], how="left")
        .join(known, on="person_key", how="left")
        .join(reviewed, on=["person_key", "wage_year"], how="left")
        .with_columns(
            in_denominator=pl.col("is_linkable").fill_null(False)
            & (pl.col("quarters").is_not_null() | pl.col("is_in_review").is_null())
        )
        .with_columns(
            in_numerator=pl.col("in_denominator") & pl.col("quarters").is_not_null(),
            amount=pl.when(pl.col("in_denominator") & (pl.col("quarters") >= required)).then("total"),
            window_open=pl.col("cohort_year").is_in(open_cohorts.to_list()),
        )
    )


def wage_year(deliveries: Deliveries, window_code: str) -> pl.Expr:
    """Calendar year of wages that a window asks for, from the column award_date."""
    return pl.col("award_date").dt.year() + window(deliveries, window_code, 2000)[0].year - 2000


def linkable_to_wages(deliveries: Deliveries) -> pl.DataFrame:
    """People with a valid Social Security number in some record: person_key, is_linkable.

    Wages come under a number; a person of whom no source sent one cannot be looked for among them.
    """
    bridge = pl.read_parquet(deliveries.settings.exchange / "brg_record_person.parquet")
    with_number = bridge.filter(pl.col("has_ssn")).select("record_key").unique()
    found = deliveries.links.join(with_number, on="record_key", how="semi").select("person_key").unique()
    return found.with_columns(is_linkable=pl.lit(True))


def wages_in_review(deliveries: Deliveries) -> pl.DataFrame:
    """Years in which wages stand under a person's number but another name: person_key, wage_year, is_in_review.

    A year with such wages alone says neither that the person worked nor that not.
    """
    review = pl.read_parquet(deliveries.settings.exchange / "link_not_determined.parquet")
    wages = deliveries.rows("workforce__wage", "wage_year", "wage_amount").filter(pl.col("wage_amount") > 0)
    return (
        wages.select("record_key", "wage_year")
        .join(review, on="record_key")
        .select("wage_year", person_key="candidate_person_key", is_in_review=pl.lit(True))
        .unique()
    )
