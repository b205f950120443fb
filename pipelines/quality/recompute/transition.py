"""Flows of people from one stage to the next, from accepted files and links.

Belongs here: who starts where and ends where, by the words of the three transitions. Does not belong here: who counts
in the indicator behind a flow (`yearly`, `outcome`), and protection.
"""

from __future__ import annotations

import polars as pl

from pipelines.quality.recompute import group, outcome, yearly
from pipelines.quality.recompute.graduation import first_diplomas
from pipelines.quality.recompute.source import Deliveries
from pipelines.settings import Settings

TRANSITION = {
    "transition_code": pl.String,
    "cohort_year": pl.Int32,
    "origin_type_code": pl.String,
    "origin_code": pl.String,
    "destination_type_code": pl.String,
    "destination_code": pl.String,
    "person_count": pl.Int64,
}
PERSON = ["person_key", "cohort_year"]


def recompute_transitions(settings: Settings, links: pl.DataFrame) -> pl.DataFrame:
    """Every flow with at least one person, in the columns of TRANSITION; links as for `run.recompute`."""
    deliveries = Deliveries.active(settings, links)
    return pl.concat([kindergarten(deliveries), college(deliveries), work(deliveries)])


def kindergarten(deliveries: Deliveries) -> pl.DataFrame:
    """Children by the program found before kindergarten, to the district that assessed them and to the state."""
    children = yearly.kindergarten_readiness(deliveries).filter(pl.col("organization_level").is_in(["lea", "state"]))
    rows = children.join(group.prior_early_childhood(deliveries), on="person_key", how="left").select(
        "cohort_year",
        origin_type_code=pl.lit("program"),
        origin_code=pl.col("prior_early_childhood").fill_null("not_determined"),
        destination_type_code="organization_level",
        destination_code="organization_id_state",
    )
    return _counted("early_childhood__kindergarten", rows)


def college(deliveries: Deliveries) -> pl.DataFrame:
    """Graduates found in college within 12 months, to the first institution, and to its kind.

    Of two institutions on one day the one with the smaller identifier is first.
    """
    graduates = outcome.college_going(deliveries, "college_12_month").filter(
        pl.col("organization_level").is_in(["lea", "state"]) & pl.col("in_numerator")
    )
    first = (
        outcome.terms_in_window(deliveries, first_diplomas(deliveries), "college_12_month")
        .drop_nulls("institution_id")
        .sort("term_begin_date", "institution_id")
        .unique("person_key", keep="first", maintain_order=True)
        .join(institution_kinds(deliveries), on="institution_id", how="left")
    )
    rows = graduates.join(first, on="person_key", how="left").select(
        "cohort_year",
        origin_type_code="organization_level",
        origin_code="organization_id_state",
        institution=pl.col("institution_id").fill_null("institution_not_named"),
        institution_kind=pl.lit("kind:") + pl.col("kind_code").fill_null("not_known"),
    )
    both = rows.unpivot(
        on=["institution", "institution_kind"],
        index=["cohort_year", "origin_type_code", "origin_code"],
        variable_name="destination_type_code",
        value_name="destination_code",
    )
    return _counted("high_school__college", both)


def institution_kinds(deliveries: Deliveries) -> pl.DataFrame:
    """institution_id, kind_code by reference/institution_kind.csv; institutions of unknown kind are not in it.

    Level and control are those that the newest row of the college record sources prints. The directory says where the
    institution is; where it does not, the same newest row does.
    """
    printed = (
        deliveries.with_institution(
            deliveries.rows(
                "postsecondary__enrollment",
                "school_year",
                "institution_id",
                "institution_level_code",
                "institution_control_code",
                "state_abbreviation",
            )
        )
        .drop_nulls("institution_id")
        .filter(pl.col("institution_level_code").is_not_null() | pl.col("institution_control_code").is_not_null())
        .sort("school_year", "delivery_id", "source_row", nulls_last=False)
        .unique("institution_id", keep="last", maintain_order=True)
    )
    places = (
        deliveries.rows(
            "shared__organization",
            "organization_id_state",
            "organization_level_code",
            "school_year",
            "state_abbreviation",
        )
        .sort("school_year", "delivery_id", "source_row")
        .unique(["organization_id_state", "organization_level_code"], keep="last", maintain_order=True)
    )
    state = places.filter(
        (pl.col("organization_level_code") == "state") & (pl.col("organization_id_state") == deliveries.state_id)
    )["state_abbreviation"]
    here = pl.lit(state[0] if len(state) else None, pl.String)
    listed = places.filter(pl.col("organization_level_code") == "institution").select(
        institution_id="organization_id_state", place="state_abbreviation"
    )
    kinds = pl.DataFrame(deliveries.policy("reference/institution_kind")).drop("kind_name")
    return (
        printed.join(listed, on="institution_id", how="left")
        .with_columns(is_here=pl.coalesce("place", "state_abbreviation") == here)
        .with_columns(
            location_code=pl.when("is_here")
            .then(pl.lit("in_state"))
            .when(~pl.col("is_here"))
            .then(pl.lit("out_of_state"))
        )
        .join(kinds, on=["location_code", "institution_level_code", "institution_control_code"])
        .select("institution_id", "kind_code")
    )


def work(deliveries: Deliveries) -> pl.DataFrame:
    """People with a college award, to the industry of the employer that paid most in the first full year after."""
    window = "employment_year_1"
    people = outcome.employment_after_college(deliveries, window).filter(pl.col("in_denominator"))
    own, once = outcome.college_awards(deliveries)
    awarded = pl.concat(
        [
            own.with_columns(organization_id_state="institution_id", organization_level=pl.lit("institution")),
            once.with_columns(organization_id_state=pl.lit(deliveries.state_id), organization_level=pl.lit("state")),
        ]
    ).select(*PERSON, "organization_level", "organization_id_state", wage_year=outcome.wage_year(deliveries, window))
    rows = (
        people.join(awarded, on=[*PERSON, "organization_level", "organization_id_state"])
        .join(_largest_employer(deliveries), on=["person_key", "wage_year"], how="left")
        .join(_industry(deliveries), on="employer_key", how="left")
        .select(
            "cohort_year",
            origin_type_code="organization_level",
            origin_code="organization_id_state",
            destination_type_code=pl.when("in_numerator").then(pl.lit("industry")).otherwise(pl.lit("not_found")),
            destination_code=pl.when("in_numerator")
            .then(pl.col("sector_code").fill_null("industry_not_known"))
            .otherwise(pl.lit("not_found")),
        )
    )
    return _counted("college__work", rows)


def _largest_employer(deliveries: Deliveries) -> pl.DataFrame:
    """person_key, wage_year, employer_key: who paid most in the year, of equals the smaller key."""
    return (
        deliveries.rows("workforce__wage", "wage_year", "wage_amount", "employer_key")
        .filter(pl.col("wage_amount") > 0)
        .group_by("person_key", "wage_year", "employer_key")
        .agg(pl.col("wage_amount").sum())
        .sort("wage_amount", "employer_key", descending=[True, False], nulls_last=True)
        .unique(["person_key", "wage_year"], keep="first", maintain_order=True)
        .select("person_key", "wage_year", "employer_key")
    )


def _industry(deliveries: Deliveries) -> pl.DataFrame:
    """employer_key, sector_code: by the newest quarter in which the employer has an industry code."""
    sectors = pl.DataFrame(deliveries.policy("reference/industry_sector")).select("naics_prefix", "sector_code")
    return (
        deliveries.rows("workforce__employer", "employer_key", "wage_year", "wage_quarter", "naics_code")
        .drop_nulls("naics_code")
        .sort("wage_year", "wage_quarter", "naics_code", descending=[True, True, False])
        .unique("employer_key", keep="first", maintain_order=True)
        .with_columns(naics_prefix=pl.col("naics_code").str.head(2))
        .join(sectors, on="naics_prefix")
        .select("employer_key", "sector_code")
    )


def _counted(transition: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of people, one an origin and a destination, counted into the columns of TRANSITION."""
    return (
        rows.with_columns(transition_code=pl.lit(transition))
        .group_by([name for name in TRANSITION if name != "person_count"])
        .agg(person_count=pl.len())
        .select(list(TRANSITION))
        .cast(TRANSITION)
    )
