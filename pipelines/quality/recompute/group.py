"""Which student group a person belongs to, in every breakdown, for a reference year.

Belongs here: policy/group_membership.csv and policy/race_roll_up.csv, applied. Three kinds of rule: evidence of a year
(or of any year of a cohort), the last known statement, and participation before kindergarten. A breakdown partitions:
who has no evidence is not reported. Does not belong here: counting.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from pipelines.quality.recompute.graduation import birth_years
from pipelines.quality.recompute.source import Deliveries, school_year_of

STATED = ("gender", "race_ethnicity_2007", "race_ethnicity_2024")
FLAGS = (
    "is_hispanic",
    "is_american_indian",
    "is_asian",
    "is_black",
    "is_pacific_islander",
    "is_white",
    "is_middle_eastern",
)


def groups(
    deliveries: Deliveries, people: pl.DataFrame, evidence_years: pl.DataFrame, breakdowns: set[str]
) -> pl.DataFrame:
    """people (person_key, group_year; unique) plus one column a breakdown, null where nothing is known.

    evidence_years: person_key, group_year, school_year; the years whose evidence counts: the group year itself where
    membership is of the year, the years of high school where it is of the cohort.
    """
    wanted = set(breakdowns) - {"all"}
    if "gender_x_disability" in wanted:
        wanted |= {"gender", "disability"}
    for breakdown in sorted(wanted & set(STATED)):
        people = _last_known(deliveries, people, breakdown)
    evidence = wanted - set(STATED) - {"gender_x_disability", "prior_early_childhood"}
    if evidence:
        people = _with_evidence(deliveries, people, evidence_years, sorted(evidence))
    if "prior_early_childhood" in wanted:
        people = people.join(prior_early_childhood(deliveries), on="person_key", how="left").with_columns(
            pl.col("prior_early_childhood").fill_null("not_determined")
        )
    if "gender_x_disability" in wanted:
        people = people.with_columns(
            gender_x_disability=pl.concat_str(
                pl.col("gender").fill_null("not_reported"),
                pl.lit("__"),
                pl.col("disability").fill_null("not_reported"),
            )
        )
    return people


def _rules(deliveries: Deliveries, breakdown: str) -> list[dict[str, str]]:
    return [row for row in deliveries.policy("policy/group_membership") if row["breakdown_code"] == breakdown]


# --- the last known statement ---------------------------------------------------------------------------
def _last_known(deliveries: Deliveries, people: pl.DataFrame, breakdown: str) -> pl.DataFrame:
    """The last certified statement up to the group year; before any, the first one after it.

    Within a year a certified statement goes first, then the source that stands first in the policy.
    """
    statements = _statements(deliveries, breakdown)
    best = (
        statements.sort(
            "person_key",
            "school_year",
            "is_certified",
            "precedence",
            "group_code",
            descending=[False, False, True, False, False],
        )
        .unique(["person_key", "school_year"], keep="first", maintain_order=True)
        .with_columns(pl.col("school_year").alias("group_year"))
    )
    people = people.sort("person_key", "group_year")
    attempts = []
    for number, (certified, strategy) in enumerate(
        ((True, "backward"), (False, "backward"), (True, "forward"), (False, "forward"))
    ):
        name = f"_{number}"
        known = best.filter(pl.col("is_certified") == certified).select(
            "person_key", "group_year", pl.col("group_code").alias(name)
        )
        people = people.join_asof(
            known.sort("person_key", "group_year"),
            on="group_year",
            by="person_key",
            strategy=strategy,
            check_sortedness=False,
        )
        attempts.append(name)
    return people.with_columns(pl.coalesce(attempts).alias(breakdown)).drop(attempts)


def _statements(deliveries: Deliveries, breakdown: str) -> pl.DataFrame:
    """person_key, school_year, is_certified, precedence, group_code: every statement of every source."""
    rules = _rules(deliveries, breakdown)
    found = []
    for collection in dict.fromkeys(rule["collection"] for rule in rules):
        own = [rule for rule in rules if rule["collection"] == collection]
        if own[0]["element"] == "race_flags":
            rows = deliveries.rows(collection, "school_year", *FLAGS)
            code = _rolled_up(deliveries, breakdown)
        else:
            rows = deliveries.rows(collection, "school_year", own[0]["element"])
            code = pl.col(own[0]["element"]).replace_strict(
                {rule["value"]: rule["group_code"] for rule in own}, default=None, return_dtype=pl.String
            )
        found.append(
            rows.select(
                "person_key",
                "school_year",
                is_certified=pl.col("certification") == "certified",
                precedence=pl.lit(int(own[0]["precedence"])),
                group_code=code,
            ).drop_nulls(["group_code", "school_year"])
        )
    return pl.concat(found).unique()


def _rolled_up(deliveries: Deliveries, breakdown: str) -> pl.Expr:
    """The one group of a multi-select answer: the decisive one, the only one, or two or more; null = nothing chosen."""
    members: dict[str, pl.Expr] = {}
    decisive = pl.lit(None, pl.String)
    for row in deliveries.policy("policy/race_roll_up"):
        if row["breakdown_code"] != breakdown:
            continue
        chosen = pl.col(row["element"]).fill_null(False)
        code = row["group_code"]
        members[code] = members[code] | chosen if code in members else chosen
        if row["is_decisive"] == "true":
            decisive = pl.when(chosen).then(pl.lit(code)).otherwise(decisive)
    count = pl.sum_horizontal(*(chosen.cast(pl.Int32) for chosen in members.values()))
    only = pl.coalesce(*(pl.when(chosen).then(pl.lit(code)) for code, chosen in members.items()))
    return pl.coalesce(decisive, pl.when(count > 1).then(pl.lit("two_or_more")).otherwise(only))


# --- evidence of a year or of a cohort --------------------------------------------------------------------
def _with_evidence(
    deliveries: Deliveries, people: pl.DataFrame, evidence_years: pl.DataFrame, breakdowns: list[str]
) -> pl.DataFrame:
    """The strongest evidence (smallest precedence) of the years that count."""
    for breakdown in breakdowns:
        rules = _rules(deliveries, breakdown)
        names = {int(rule["precedence"]): rule["group_code"] for rule in rules}
        strongest = (
            evidence_years.join(_evidence(deliveries, rules), on=["person_key", "school_year"])
            .group_by("person_key", "group_year")
            .agg(pl.col("precedence").min().replace_strict(names, return_dtype=pl.String).alias(breakdown))
        )
        people = people.join(strongest, on=["person_key", "group_year"], how="left")
    return people


def _evidence(deliveries: Deliveries, rules: list[dict[str, str]]) -> pl.DataFrame:
    """person_key, school_year, precedence of everything that the deliveries say under these rules."""
    found = []
    for rule in rules:
        if rule["collection"] == "k12__program_participation":
            rows = _reporting_district(deliveries) if rule["value"] == "reported_without" else _named(deliveries, rule)
        elif rule["collection"] == "child_welfare__removal":
            rows = _reporting_agency(deliveries) if rule["value"] == "reported_without" else _in_care(deliveries)
        else:
            rows = deliveries.rows(rule["collection"], "school_year", rule["element"]).filter(
                pl.col(rule["element"]) == (rule["value"] == "true")
            )
        found.append(
            rows.select("person_key", pl.col("school_year").cast(pl.Int32), precedence=pl.lit(int(rule["precedence"])))
        )
    return pl.concat(found).unique()


def _named(deliveries: Deliveries, rule: dict[str, str]) -> pl.DataFrame:
    rows = deliveries.rows(
        "k12__program_participation", "school_year", "program_type_code", "organization_id_state", "source_detail_code"
    ).filter(pl.col("program_type_code") == rule["value"])
    if rule["detail"] == "none":
        return rows.filter(pl.col("source_detail_code").is_null())
    return rows if rule["detail"] == "*" else rows.filter(pl.col("source_detail_code") == rule["detail"])


def _reporting_district(deliveries: Deliveries) -> pl.DataFrame:
    """Whom a district describes, enrolls, names or graduates in a year for which it reported participations."""
    reported = deliveries.rows(
        "k12__program_participation", "school_year", "program_type_code", "organization_id_state", "source_detail_code"
    )
    named = deliveries.with_lea(reported.with_columns(school_id_state=pl.col("organization_id_state"))).select(
        "person_key", "school_year", lea_id_state=pl.coalesce("lea_id_state", "organization_id_state")
    )
    reporting = named.select("school_year", "lea_id_state").unique()
    students = pl.concat(
        [
            deliveries.rows(collection, "school_year", "lea_id_state").select(
                "person_key", "school_year", "lea_id_state"
            )
            for collection in ("k12__student", "k12__enrollment", "k12__completion")
        ]
        + [named]
    ).unique()
    return students.join(reporting, on=["school_year", "lea_id_state"], how="semi")


def _agency_years(deliveries: Deliveries) -> list[int]:
    """School years for which the child welfare agency delivered, by the period of the delivery (2024 or 2023Q4)."""
    periods = {
        period
        for collection in ("child_welfare__client", "child_welfare__removal")
        for period in deliveries.rows(collection, "school_year")["period"].unique()
    }
    return sorted({int(period[:4]) + period.endswith(("Q3", "Q4")) for period in periods})


def _reporting_agency(deliveries: Deliveries) -> pl.DataFrame:
    """Every child of a year, from early childhood to grade 12, for which the child welfare agency delivered."""
    people = [
        deliveries.rows(collection, "school_year").select("person_key", "school_year")
        for collection in (
            "k12__student",
            "k12__enrollment",
            "k12__completion",
            "k12__attendance",
            "k12__program_participation",
            "k12__assessment_result",
            "early_childhood__kindergarten_readiness",
            "early_childhood__program_enrollment",
        )
    ]
    return pl.concat(people).unique().filter(pl.col("school_year").is_in(_agency_years(deliveries)))


def _in_care(deliveries: Deliveries) -> pl.DataFrame:
    """Children and the school years that an episode of theirs touches, whether or not the agency reported the year.

    An episode is a child and a removal date; any delivery may name its end. One that lasts touches every year up to the
    newest that the agency reported.
    """
    newest = max(_agency_years(deliveries), default=0)
    return (
        deliveries.rows("child_welfare__removal", "removal_date", "exit_date")
        .group_by("person_key", "removal_date")
        .agg(pl.col("exit_date").max())
        .with_columns(
            _first=school_year_of(pl.col("removal_date")),
            _last=school_year_of(pl.col("exit_date")).fill_null(newest),
        )
        .filter(pl.col("_last") >= pl.col("_first"))
        .with_columns(school_year=pl.int_ranges("_first", pl.col("_last") + 1))
        .explode("school_year")
        .select("person_key", pl.col("school_year").cast(pl.Int32))
    )


# --- before kindergarten --------------------------------------------------------------------------------
def prior_early_childhood(deliveries: Deliveries) -> pl.DataFrame:
    """person_key, prior_early_childhood: programs of enough days in the months before first entering kindergarten.

    Entry is the first day of the first kindergarten enrollment, else July 1 before the first readiness result. Days
    of one enrollment are counted inside the window; an enrollment without an end lasts to the end of the year
    delivered. A child none of whose records has a birth year could not be linked: not determined.
    """
    rules = _rules(deliveries, "prior_early_childhood")
    minimum, months = int(rules[0]["minimum_days"]), int(rules[0]["window_months"])
    entered = (
        deliveries.rows("k12__enrollment", "school_year", "grade_level_code", "entry_date")
        .filter(pl.col("grade_level_code") == "KG")
        .group_by("person_key")
        .agg(pl.col("entry_date").min())
    )
    assessed = (
        deliveries.rows("early_childhood__kindergarten_readiness", "school_year")
        .group_by("person_key")
        .agg(july=pl.date(pl.col("school_year").min() - 1, 7, 1))
    )
    children = entered.join(assessed, on="person_key", how="full", coalesce=True).with_columns(
        entry=pl.coalesce("entry_date", "july")
    )
    spells = (
        deliveries.rows("early_childhood__program_enrollment", "program_type_code", "entry_date", "exit_date")
        .filter(pl.col("program_type_code").is_in([rule["value"] for rule in rules]))
        .join(children.select("person_key", "entry"), on="person_key")
        .with_columns(
            _first=pl.max_horizontal("entry_date", pl.col("entry").dt.offset_by(f"-{months}mo")),
            _last=pl.min_horizontal(
                pl.coalesce("exit_date", pl.date(pl.col("period").str.head(4).cast(pl.Int32), 6, 30)),
                pl.col("entry") - timedelta(days=1),
            ),
        )
        .filter(pl.col("_last") >= pl.col("_first"))
    )
    programs = (
        spells.filter((pl.col("_last") - pl.col("_first")).dt.total_days() + 1 >= minimum)
        .group_by("person_key")
        .agg(n=pl.col("program_type_code").n_unique(), program=pl.col("program_type_code").first())
    )
    known = birth_years(deliveries).select("person_key")
    return (
        children.select("person_key")
        .join(programs, on="person_key", how="left")
        .join(known.with_columns(is_linkable=pl.lit(True)), on="person_key", how="left")
        .select(
            "person_key",
            prior_early_childhood=pl.when(pl.col("n") > 1)
            .then(pl.lit("multiple"))
            .when(pl.col("n") == 1)
            .then("program")
            .when(pl.col("is_linkable"))
            .then(pl.lit("none_found"))
            .otherwise(pl.lit("not_determined")),
        )
    )
