"""Indicators of one school year: readiness, absence, courses, programs, assessments.

Belongs here: who counts and who has reached it, one function an indicator, by the register's words. Rows come back
in the columns of `cell.COUNTED`. Does not belong here: groups, counting.
"""

from __future__ import annotations

import polars as pl

from pipelines.quality.recompute.cell import at, at_school_lea_state
from pipelines.quality.recompute.source import Deliveries


def kindergarten_readiness(deliveries: Deliveries) -> pl.DataFrame:
    """The child's last result of the year that has a level; children without any level are excluded."""
    rows = deliveries.with_lea(
        deliveries.rows(
            "early_childhood__kindergarten_readiness",
            "school_year",
            "assessment_code",
            "school_id_state",
            "lea_id_state",
            "assessment_date",
            "overall_score",
            "performance_level_code",
        )
    )
    rows = proficiency(
        deliveries, rows.with_columns(subject_code=pl.lit("*"), scale_score=pl.col("overall_score"))
    ).with_columns(reached=pl.col("policy_proficient"))
    chosen = _last(rows, ["person_key", "school_year"], "assessment_date")
    return at_school_lea_state(
        chosen.select(
            "person_key",
            "school_id_state",
            "lea_id_state",
            cohort_year="school_year",
            in_denominator=pl.col("reached").is_not_null(),
            in_numerator=pl.col("reached").fill_null(False),
            is_excluded=pl.col("reached").is_null(),
        ),
        deliveries.state_id,
    )


def assessment_proficiency(deliveries: Deliveries) -> pl.DataFrame:
    """The last result of assessment and subject that says proficient or not: at each school, district, state."""
    rows = deliveries.with_lea(
        deliveries.rows(
            "k12__assessment_result",
            "school_year",
            "assessment_code",
            "subject_code",
            "school_id_state",
            "lea_id_state",
            "administration_date",
            "scale_score",
            "performance_level_code",
            "is_proficient",
        )
    )
    rows = (
        proficiency(deliveries, rows)
        .with_columns(reached=pl.coalesce("policy_proficient", "is_proficient"))
        .with_columns(subject_code=pl.concat_str("assessment_code", pl.lit("|"), "subject_code"))
    )
    key = ["person_key", "school_year", "subject_code"]

    def counted(chosen: pl.DataFrame) -> pl.DataFrame:
        return chosen.with_columns(
            cohort_year=pl.col("school_year"),
            in_denominator=pl.col("reached").is_not_null(),
            in_numerator=pl.col("reached").fill_null(False),
        )

    found = []
    for level, column in (("school", "school_id_state"), ("lea", "lea_id_state")):
        own = _last(rows.filter(pl.col(column).is_not_null()), [*key, column], "administration_date")
        found.append(at(counted(own), level, pl.col(column)))
    found.append(at(counted(_last(rows, key, "administration_date")), "state", pl.lit(deliveries.state_id)))
    return pl.concat(found)


def proficiency(deliveries: Deliveries, rows: pl.DataFrame) -> pl.DataFrame:
    """rows plus policy_proficient: by the level sent, and only without a level by the score; null = policy is silent.

    rows: assessment_code, subject_code, performance_level_code, scale_score. A policy row for every subject is '*'.
    """
    by_level, by_score = pl.lit(None, pl.Boolean), pl.lit(None, pl.Boolean)
    level, score = pl.col("performance_level_code"), pl.col("scale_score")
    for row in deliveries.policy("policy/performance_level"):
        here = pl.col("assessment_code") == row["assessment_code"]
        if row["subject_code"] != "*":
            here = here & (pl.col("subject_code") == row["subject_code"])
        reached = pl.lit(row["is_proficient"] == "true")
        if row["performance_level_code"]:
            by_level = pl.when(here & (level == row["performance_level_code"])).then(reached).otherwise(by_level)
        if row["minimum_score"] or row["maximum_score"]:
            inside = here & score.is_not_null()
            if row["minimum_score"]:
                inside = inside & (score >= float(row["minimum_score"]))
            if row["maximum_score"]:
                # Whole-number cut scores: a part of a point above the highest score of a level has not left it.
                inside = inside & (score < float(row["maximum_score"]) + 1)
            by_score = pl.when(inside).then(reached).otherwise(by_score)
    return rows.with_columns(policy_proficient=pl.when(level.is_not_null()).then(by_level).otherwise(by_score))


def _last(rows: pl.DataFrame, key: list[str], date: str) -> pl.DataFrame:
    """Per key the latest row that says something (`reached`), else the latest row.

    Of two rows of one day the better result counts; no written rule orders them otherwise.
    """
    return (
        rows.with_columns(_says=pl.col("reached").is_not_null())
        .sort("_says", date, "reached", "delivery_id", "source_row", nulls_last=False)
        .unique(key, keep="last", maintain_order=True)
        .drop("_says")
    )


def chronic_absenteeism(deliveries: Deliveries) -> pl.DataFrame:
    """Absent ten percent or more, in thousandths of a day: at each school with its days, above it once with all."""
    policy = next(row for row in deliveries.policy("policy/absence_day") if row["audience"] == "federal")
    minimum, percent = int(policy["minimum_membership_days"]), int(policy["chronic_percent"])
    days = deliveries.with_lea(
        deliveries.rows(
            "k12__attendance", "school_year", "school_id_state", "lea_id_state", "membership_days", "absence_days"
        )
    ).with_columns((pl.col("membership_days", "absence_days") * 1000).cast(pl.Int64))
    grades = highest_grade(deliveries)
    not_counted = policy["grades_not_counted"].split(";")

    def summed(column: str | None) -> pl.DataFrame:
        place = [column] if column else []
        rows = days.filter(pl.col(column).is_not_null()) if column else days
        totals = (
            rows.group_by("person_key", "school_year", *place)
            .agg(pl.col("membership_days", "absence_days").sum())
            .join(grades, on=["person_key", "school_year"], how="left")
        )
        counts = (pl.col("membership_days") >= 1000 * minimum) & ~pl.col("grade_level_code").is_in(
            not_counted
        ).fill_null(False)
        chronic = 100 * pl.col("absence_days") >= percent * pl.col("membership_days")
        return totals.with_columns(
            cohort_year=pl.col("school_year"),
            in_denominator=counts,
            in_numerator=counts & chronic,
            is_excluded=~counts,
        )

    return pl.concat(
        [
            at(summed("school_id_state"), "school", pl.col("school_id_state")),
            at(summed("lea_id_state"), "lea", pl.col("lea_id_state")),
            at(summed(None), "state", pl.lit(deliveries.state_id)),
        ]
    )


GRADES = ["IT", "PR", "PK", "TK", "KG", *(f"{grade:02d}" for grade in range(1, 14)), "PS"]


def highest_grade(deliveries: Deliveries) -> pl.DataFrame:
    """Highest grade of a person's enrollments in a year: person_key, school_year, grade_level_code."""
    order = {grade: place for place, grade in enumerate(GRADES)}
    rows = deliveries.rows("k12__enrollment", "school_year", "grade_level_code")
    return (
        rows.with_columns(place=pl.col("grade_level_code").replace_strict(order, default=None, return_dtype=pl.Int32))
        .drop_nulls("place")
        .group_by("person_key", "school_year")
        .agg(pl.col("grade_level_code").sort_by("place").last())
    )


def course_completion(deliveries: Deliveries) -> pl.DataFrame:
    """One row a course result, the course its subject: pass or distinction of all results that were sent."""
    rows = deliveries.with_institution(
        deliveries.rows(
            "postsecondary__course_result", "school_year", "institution_id", "course_code", "course_result_code"
        )
    )
    known = pl.col("course_result_code").is_not_null()
    passed = pl.col("course_result_code").is_in(["pass", "distinction"]).fill_null(False)
    return at(
        rows.filter(pl.col("institution_id").is_not_null()).with_columns(
            subject_code=pl.col("course_code"),
            cohort_year=pl.col("school_year"),
            in_denominator=known,
            in_numerator=passed,
        ),
        "institution",
        pl.col("institution_id"),
    )


def program_participation(deliveries: Deliveries) -> pl.DataFrame:
    """Students with a record of a program among the enrolled or served, for each program delivered in the year."""
    enrolled = deliveries.with_lea(
        deliveries.rows("k12__enrollment", "school_year", "school_id_state", "lea_id_state")
    ).select("person_key", "school_year", "school_id_state", "lea_id_state")
    served = _served(deliveries, enrolled)
    programs = served.select("school_year", "subject_code").unique()
    found = []
    for level, column in (("school", "school_id_state"), ("lea", "lea_id_state"), ("state", None)):
        place = ["organization"]
        here = pl.lit(deliveries.state_id) if column is None else pl.col(column)
        present = enrolled.select("person_key", "school_year", organization=here).drop_nulls("organization").unique()
        taking = (
            served.select("person_key", "school_year", "subject_code", organization=here)
            .drop_nulls("organization")
            .unique()
            .with_columns(in_numerator=pl.lit(True))
        )
        everyone = pl.concat(
            [
                present.join(programs, on="school_year"),
                taking.select("person_key", "school_year", *place, "subject_code"),
            ]
        ).unique()
        delivered = present.select("school_year", *place).unique().with_columns(in_denominator=pl.lit(True))
        rows = (
            everyone.join(taking, on=["person_key", "school_year", *place, "subject_code"], how="left")
            .join(delivered, on=["school_year", *place], how="left")
            .with_columns(pl.col("in_numerator", "in_denominator").fill_null(False), cohort_year=pl.col("school_year"))
        )
        found.append(at(rows, level, pl.col("organization")))
    return pl.concat(found)


def _served(deliveries: Deliveries, enrolled: pl.DataFrame) -> pl.DataFrame:
    """Program records with school and district; a district's record stands at the schools that enroll the student."""
    records = deliveries.rows(
        "k12__program_participation", "school_year", "program_type_code", "organization_id_state"
    ).select("person_key", "school_year", "organization_id_state", subject_code="program_type_code")
    schools = set(deliveries.level_ids("school")) | set(enrolled["school_id_state"].drop_nulls())
    is_school = pl.col("organization_id_state").is_in(sorted(schools - set(deliveries.level_ids("lea"))))
    by_school = deliveries.with_lea(
        records.filter(is_school).with_columns(school_id_state=pl.col("organization_id_state"))
    )
    by_lea = (
        records.filter(~is_school)
        .with_columns(lea_id_state=pl.col("organization_id_state"))
        .join(enrolled.unique(), on=["person_key", "school_year", "lea_id_state"], how="left")
    )
    columns = ["person_key", "school_year", "subject_code", "school_id_state", "lea_id_state"]
    return pl.concat([by_school.select(columns), by_lea.select(columns)]).unique()
