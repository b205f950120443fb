"""An extract beside a release: what follows for whoever holds the rows and reads the published counts.

What belongs here: laying an extract's people beside the official rows of a release. What does not: what follows from
the extract alone, or beside other extracts (extract).

Whoever knows that an extract holds everybody of a school compares. A shown count less the people of the extract is the
number left out of it. And what a table hides as a partner the rows tell, so that the small group beside it follows. Of
an extract that is a sample such differences are large, and nothing is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipelines.disclosure.in_memory import literal, quoted
from pipelines.disclosure.stranger.figures import MART
from pipelines.disclosure.stranger.rules import read_rules
from pipelines.errors import MissingFileError, P20wError

PLACES = ("organization_id_state", "cohort_year")


@dataclass(frozen=True)
class Counted:
    """Which columns of an extract say where and when a release counts somebody, and, by breakdown, in which group."""

    organization_id_state: str
    cohort_year: str
    groups: dict[str, str]


def read_counted(said: object, file: str, columns: tuple[str, ...]) -> Counted:
    """The entry `counted` of a declaration. Errors: P20wError for one that is senseless or names unknown columns."""
    if not isinstance(said, dict) or set(said) - {"groups"} != set(PLACES):
        raise P20wError(f"{file}: counted needs {', '.join(PLACES)} and may have groups.")
    groups = said.get("groups") or {}
    if not isinstance(groups, dict):
        raise P20wError(f"{file}: counted, groups must be a column for each breakdown.")
    for column in (*(said[name] for name in PLACES), *groups.values()):
        if column not in columns:
            raise P20wError(f"{file}: counted names the column {column}, which the extract does not declare.")
    return Counted(said["organization_id_state"], said["cohort_year"], dict(groups))


def beside_release(con: duckdb.DuckDBPyConnection, release: Path, counted: Counted) -> list[tuple[str, int]]:
    """(what is compared, people) for each number of 1 to n - 1 people that follows from the table `extract` (person and
    its columns as text) and the release in that folder. n is the release's own."""
    path = release / "data" / f"{MART}.parquet"
    if not path.is_file():
        raise MissingFileError(f"{release} holds no data/{MART}.parquet: name the folder of a release.")
    few = read_rules(release).minimum
    groups = " UNION ALL ".join(
        ["SELECT person, place, year, 'all' AS breakdown_code, 'all' AS group_code FROM here"]
        + [
            f"SELECT person, place, year, {literal(breakdown)}, {quoted(column)} FROM here"
            for breakdown, column in sorted(counted.groups.items())
        ]
    )
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE held AS
            WITH here AS (SELECT *, {quoted(counted.organization_id_state)} AS place,
                              {quoted(counted.cohort_year)} AS year FROM extract)
            SELECT place, year, breakdown_code, group_code, count(DISTINCT person) AS people
            FROM ({groups}) WHERE group_code IS NOT NULL GROUP BY ALL"""
    )
    con.execute(
        """CREATE OR REPLACE TEMP TABLE told AS
           SELECT r.indicator_code, r.subject_code, r.organization_id_state AS place,
               CAST(r.cohort_year AS VARCHAR) AS year, r.breakdown_code, r.group_code, r.denominator_count AS shown,
               coalesce(held.people, 0) AS people
           FROM read_parquet(?) AS r
           LEFT JOIN held ON held.place = r.organization_id_state AND held.year = CAST(r.cohort_year AS VARCHAR)
               AND held.breakdown_code = r.breakdown_code AND held.group_code = r.group_code
           WHERE r.protection = 'official'
               AND (r.organization_id_state, CAST(r.cohort_year AS VARCHAR)) IN (SELECT place, year FROM held)""",
        [str(path)],
    )
    named = "concat_ws(' ', indicator_code, nullif(subject_code, 'all'), year, place, breakdown_code, group_code)"
    return con.execute(
        f"""WITH left_out AS (
                SELECT {named} || ' less the extract' AS against, shown - people AS few FROM told
                WHERE people > 0 AND shown - people BETWEEN 1 AND {few - 1}
            ),
            member AS (
                SELECT m.*, w.shown AS whole,
                    sum(coalesce(m.shown, m.people)) OVER sums AS known,
                    count(*) FILTER (m.shown IS NULL) OVER sums AS closed
                FROM told AS m JOIN told AS w USING (indicator_code, subject_code, place, year)
                WHERE m.breakdown_code <> 'all' AND w.breakdown_code = 'all' AND w.shown IS NOT NULL
                WINDOW sums AS (PARTITION BY indicator_code, subject_code, place, year, m.breakdown_code)
            ),
            hidden AS (
                SELECT {named} || ', by what the extract tells of the others' AS against,
                    whole - (known - people) AS few
                FROM member
                WHERE shown IS NULL AND closed > 1 AND whole - (known - people) BETWEEN 1 AND {few - 1}
            )
            SELECT against, few::BIGINT FROM (FROM left_out UNION ALL FROM hidden) ORDER BY ALL"""
    ).fetchall()
