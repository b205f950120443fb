"""Evidence that no perturbed row of a candidate stands where an official table hides its count.

What belongs here: one SQL question a mart over the candidate's files and the registers, and recording the answers.
What does not: withholding (`one_way`), of which nothing is imported: the two must not share an error.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from pipelines.quality import check_result
from pipelines.settings import Settings

CHECK_ID = "disclosure.candidate.told_once"

# hidden: every official cell without its denominator or numerator, with its place; of an incomplete year no cell is
# hidden, because none is told.
_HIDDEN = """
hidden as (
    select indicator_code as code, cohort_year as year, organization_level as level, organization_id_state as id,
        breakdown_code as b, group_code as g, denominator_count is null as d, numerator_count is null as n
    from long
    where protection = 'official' and value_status <> 'incomplete'
        and (denominator_count is null or numerator_count is null)
),
counts as (
    select indicator_code as teller, unnest(string_split(counts_people_of, ';')) as code
    from indicator where coalesce(counts_people_of, '') <> ''
    union all
    select family, unnest(string_split(counts_people_of, ';')) from family where coalesce(counts_people_of, '') <> ''
)
"""

# Each gives total and failing: rows that must be silent, and those among them that say a number.
_QUESTIONS = {
    "mart_indicator__organization": """
        select count(*), count(*) filter (
            p.denominator_count is not null or p.numerator_count is not null or p.rate is not null
            or p.value_amount is not null or p.value_status in ('shown', 'banded', 'not_applicable'))
        from long as p
        left join student_group as s on s.breakdown_code = p.breakdown_code and s.group_code = p.group_code
        left join subject as t on t.indicator_code = p.indicator_code and t.subject_code = p.subject_code
        where p.protection = 'perturbed' and exists (
            select 1 from hidden as h inner join counts as c on c.code = h.code
            where c.teller = p.indicator_code and h.d and h.year = p.cohort_year and h.level = p.organization_level
                and h.id = p.organization_id_state and (
                    (h.b = 'all' and h.g = 'all')
                    or (h.b = p.breakdown_code and h.g = p.group_code)
                    or (h.b = s.other_definition_breakdown_code and h.g = s.other_definition_group_code)
                    or (h.b = t.other_definition_breakdown_code and h.g = t.other_definition_group_code)))""",
    "mart_transition__high_school__college": """
        select count(*), count(*) from mart as p where exists (
            select 1 from hidden as h inner join counts as c on c.code = h.code
            where c.teller = 'mart_transition__high_school__college' and (h.n or h.d) and h.year = p.cohort_year
                and h.level = p.origin_type_code and h.id = p.origin_code and h.b = 'all' and h.g = 'all')""",
    "mart_transition__early_childhood__kindergarten": """
        select count(*), count(*) from mart as p where exists (
            select 1 from hidden as h inner join counts as c on c.code = h.code
            where c.teller = 'mart_transition__early_childhood__kindergarten' and h.d and h.year = p.cohort_year
                and h.level = p.destination_type_code and h.id = p.destination_code and h.b = 'all' and h.g = 'all')""",
    "mart_coverage": """
        select count(*), count(*) from mart as p where exists (
            select 1 from hidden as h
            where h.d and h.year = p.cohort_year and h.level = 'state' and h.b = 'all' and h.g = 'all' and (
                h.code = p.indicator_code
                or h.code in (select c.code from counts as c where c.teller = p.indicator_code)))""",
    "mart_link_quality": """
        select count(*), count(*) from mart as p where p.sector_code = 'k12' and exists (
            select 1 from hidden as h inner join counts as c on c.code = h.code
            where c.teller = 'mart_link_quality' and h.d and h.year = p.school_year and h.level = 'state' and (
                (h.b = 'all' and h.g = 'all') or (h.b = p.breakdown_code and h.g = p.group_code)))""",
}


def told_twice(data: Path, seeds: Path) -> dict[str, tuple[int, int]]:
    """Mart -> (rows that must be silent, rows that are not), for the marts of `data` (Parquet by mart name)."""
    found = {}
    with duckdb.connect() as con:
        for name, path, key in (
            ("indicator", "registers/indicator.csv", "indicator_code"),
            ("family", "registers/family.csv", "family"),
            ("student_group", "reference/student_group.csv", "breakdown_code"),
            ("subject", "reference/subject.csv", "indicator_code"),
        ):
            _register(con, name, seeds / path, key)
        long = data / "mart_indicator__organization.parquet"
        if not long.exists():
            return {}
        con.execute(f"CREATE VIEW long AS FROM read_parquet('{_quoted(long)}')")
        for mart, question in _QUESTIONS.items():
            path = data / f"{mart}.parquet"
            if path.exists():
                con.execute(f"CREATE OR REPLACE VIEW mart AS FROM read_parquet('{_quoted(path)}')")
                found[mart] = con.execute(f"WITH {_HIDDEN} {question}").fetchone()
    return found


def check_told_once(settings: Settings, build_id: str, candidate_id: str) -> int:
    """Record under `build_id` whether the candidate tells anybody twice. Returns the number of rows that do.

    A row that does fails the check, and a failed disclosure check refuses the release. No figure of a cell is recorded.
    """
    found = told_twice(settings.candidate / "data", settings.seeds)
    total, failing = (sum(row[side] for row in found.values()) for side in (0, 1))
    where = ", ".join(mart for mart, (_, count) in found.items() if count)
    message = (
        f"{failing} perturbed rows of {where} tell people whom an official table hides at the same place. The release "
        "is refused: find out why pipelines/disclosure/one_way.py let them through."
        if failing
        else f"{total} perturbed rows stand where an official table hides its count, and none of them says a number."
    )
    row = {
        "check_id": CHECK_ID,
        "layer": "disclosure",
        "category": "disclosure",
        "severity": "error",
        "status": "fail" if failing else "pass",
        "failing_count": failing,
        "total_count": total,
        "family": "*",
        "message": message,
        "input_fingerprint": candidate_id,
    }
    check_result.record(settings, build_id, "told_once", [row])
    return failing


def _register(con: duckdb.DuckDBPyConnection, name: str, path: Path, key: str) -> None:
    """A seed as a view of text. A state's own copy may lack the columns asked for, or the file: nothing is declared."""
    wanted = {
        "indicator": ["counts_people_of"],
        "family": ["counts_people_of"],
        "student_group": ["group_code", "other_definition_breakdown_code", "other_definition_group_code"],
        "subject": ["subject_code", "other_definition_breakdown_code", "other_definition_group_code"],
    }[name]
    there: list[str] = []
    if path.exists():
        read = f"read_csv('{_quoted(path)}', header = true, all_varchar = true)"
        there = [row[0] for row in con.execute(f"DESCRIBE FROM {read}").fetchall()]
    columns = [f"{column}" if column in there else f"NULL::VARCHAR AS {column}" for column in (key, *wanted)]
    con.execute(f"CREATE TABLE {name} AS SELECT {', '.join(columns)}" + (f" FROM {read}" if there else " WHERE false"))


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
