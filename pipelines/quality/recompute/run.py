"""All indicators once: counted people, their groups, cells.

Belongs here: which function computes which indicator of the register, and the links to compute with. Does not belong
here: any rule.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from pipelines.quality.recompute import graduation, group, outcome, yearly
from pipelines.quality.recompute.cell import CELL, cells
from pipelines.quality.recompute.source import Deliveries
from pipelines.quality.recompute.window import spring, window
from pipelines.settings import Settings

INDICATORS: dict[str, Callable[[Deliveries], pl.DataFrame]] = {
    "kindergarten_readiness": yearly.kindergarten_readiness,
    "chronic_absenteeism": yearly.chronic_absenteeism,
    "four_year_graduation": graduation.four_year_graduation,
    "college_going_fall": lambda d: outcome.college_going(d, "college_fall"),
    "college_going_12_month": lambda d: outcome.college_going(d, "college_12_month"),
    "college_going_16_month": lambda d: outcome.college_going(d, "college_16_month"),
    "employment_year_1_after_high_school": lambda d: outcome.employment_after_high_school(d, "employment_year_1"),
    "employment_year_2_after_high_school": lambda d: outcome.employment_after_high_school(d, "employment_year_2"),
    "employment_year_1_after_college": lambda d: outcome.employment_after_college(d, "employment_year_1"),
    "employment_year_2_after_college": lambda d: outcome.employment_after_college(d, "employment_year_2"),
    "course_completion": yearly.course_completion,
    "program_participation": yearly.program_participation,
    "assessment_proficiency": yearly.assessment_proficiency,
}


def recompute(settings: Settings, links: pl.DataFrame, state_only: bool = False) -> pl.DataFrame:
    """Every cell with at least one person, in the columns of `cell.CELL`, from active accepted files and links.

    links: record_key BIGINT (unique), person_key BIGINT. state_only: the state's cells of everyone alone, for
    comparing links cheaply. An indicator of the register that is not in INDICATORS has no cells here; `compare` shows
    each of its cells as missing. Errors: ValueError when a record is linked twice.
    """
    if links["record_key"].n_unique() != links.height:
        raise ValueError("A record key stands twice in the links: give each record one person.")
    deliveries = Deliveries.active(settings, links)
    policy = {row["parameter"]: row["value"] for row in deliveries.policy("policy/protection")}
    rounding, pool = int(policy["median_rounding"]), int(policy["median_pool"])
    found = []
    for row in deliveries.policy("registers/indicator"):
        if row["indicator_code"] not in INDICATORS:
            continue
        counted = INDICATORS[row["indicator_code"]](deliveries)
        levels = ["state"] if state_only else row["levels"].split(";")
        counted = counted.filter(pl.col("organization_level").is_in(levels))
        breakdowns = ["all"] if state_only else row["breakdowns"].split(";")
        # While a window is open there is no number, so nothing to break down: one cell says that it is open.
        is_open = pl.col("window_open")
        people = counted.filter(~is_open).select("person_key", "group_year").unique()
        evidence_years = _evidence_years(deliveries, people, row["membership_rule"])
        groups = group.groups(deliveries, people, evidence_years, set(breakdowns))
        found.append(cells(row["indicator_code"], counted.filter(~is_open), groups, breakdowns, rounding, pool))
        found.append(cells(row["indicator_code"], counted.filter(is_open), people, ["all"], rounding, pool))
    return pl.concat(found) if found else pl.DataFrame(schema=CELL)


def _evidence_years(deliveries: Deliveries, people: pl.DataFrame, membership_rule: str) -> pl.DataFrame:
    """person_key, group_year, school_year: from which years evidence of group membership counts.

    A cohort's years are those of its window, and before them those that a student spent in grades 9 to 12.
    """
    if membership_rule != "any_time_in_cohort":
        return people.with_columns(school_year=pl.col("group_year"))
    years = people["group_year"].unique().to_list()
    of_window = pl.DataFrame(
        [
            (year, school_year)
            for year in years
            for school_year in range(spring(window(deliveries, "four_year_cohort", year)[0]), year + 1)
        ],
        schema={"group_year": pl.Int32, "school_year": pl.Int32},
        orient="row",
    )
    in_high_school = people.join(graduation.high_school_years(deliveries), on="person_key").filter(
        pl.col("school_year") <= pl.col("group_year")
    )
    return pl.concat([people.join(of_window, on="group_year"), in_high_school]).unique()


def found_links(settings: Settings) -> pl.DataFrame:
    """record_key → person_key as linkage found them, merged persons followed to their survivor.

    A redirect holds for a link older than itself only: a link made after a merge says what is true since.
    """
    bridge = pl.read_parquet(settings.exchange / "brg_record_person.parquet")
    links = (
        bridge.sort("valid_from_build")
        .unique("record_key", keep="last", maintain_order=True)
        .select("record_key", "person_key", build=pl.col("valid_from_build"))
    )
    path = settings.exchange / "person_redirect.parquet"
    redirects = pl.read_parquet(path) if path.exists() else None
    if redirects is None or redirects.is_empty():
        return links.select("record_key", "person_key")
    moves: dict[int, list[tuple[str, int]]] = {}
    for old, new, build in redirects.sort("build_id").select("old_person_key", "person_key", "build_id").iter_rows():
        moves.setdefault(old, []).append((build, new))

    def survivor(person: int, build: str) -> int:
        while True:
            later = [move for move in moves.get(person, []) if move[0] > build]
            if not later:
                return person
            build, person = later[0]

    followed = [
        (record, survivor(person, build) if person in moves else person) for record, person, build in links.iter_rows()
    ]
    return pl.DataFrame(followed, schema={"record_key": pl.Int64, "person_key": pl.Int64}, orient="row")
