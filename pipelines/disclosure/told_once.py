"""Evidence that nobody is told in two ways: no perturbed row of a candidate stands where an official table hides its
count, and nothing else counts the wage records that private statistics tell.

What belongs here: one SQL question a mart over the candidate's files and the registers, and recording the answers.
What does not: withholding (`one_way`, `private.instead`) and the noise (`private`), of which nothing is imported: the
proof must not share an error with what it proves.
"""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from pipelines import planner
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

_WANTED = {
    "indicator": ["counts_people_of"],
    "family": ["counts_people_of"],
    "student_group": ["group_code", "other_definition_breakdown_code", "other_definition_group_code"],
    "subject": ["subject_code", "other_definition_breakdown_code", "other_definition_group_code"],
}

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


# Where private statistics are told, nothing else may count the same wage records: total and failing by mart. wage: the
# indicators that read wages; since: the first cohort year told privately, by policy in force or by what was drawn.
_INSTEAD = {
    "mart_indicator__organization": "select count(*), count(*) from mart where indicator_code in (from wage) and "
    "cohort_year >= (from since)",
    "mart_coverage": "select count(*), count(*) from mart where indicator_code in (from wage) and "
    "cohort_year >= (from since)",
    "mart_transition__college__work": "select count(*), count(*) from mart where cohort_year >= (from since)",
    "mart_link_quality": "select count(*), count(*) from mart where "
    "(sector_code = 'workforce' or other_sector_code = 'workforce') and (from since) is not null",
    # A private row is what the ledger says was drawn and is in use, of an indicator that policy tells privately, and of
    # a cohort year that no release told otherwise.
    "mart_earnings_private": """
        select count(*), count(*) filter (
            not exists (select 1 from in_force as f where f.family = m.indicator_code)
            or not exists (
                select 1 from drawn as d where d.family = m.indicator_code and d.year = m.cohort_year
                    and d.level = m.organization_level and d.id = m.organization_id_state
                    and d.found_count is not distinct from m.found_count
                    and d.p25 is not distinct from m.earnings_p25
                    and d.p50 is not distinct from m.earnings_p50
                    and d.p75 is not distinct from m.earnings_p75)
            or exists (select 1 from before as b where b.family = m.indicator_code and b.year = m.cohort_year))
        from mart as m""",
}
# A mart whose register row reads wages, and that nobody has asked a question of its own about: none of it may be told.
_UNKNOWN = "select count(*), count(*) from mart where (from since) is not null"
_DRAWN = "family VARCHAR, year INT, level VARCHAR, id VARCHAR, found_count BIGINT, p25 BIGINT, p50 BIGINT, p75 BIGINT"


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
            _register(con, name, seeds / path, key, _WANTED[name])
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


def told_both_ways(settings: Settings, build_id: str, data: Path) -> dict[str, tuple[int, int]]:
    """Mart -> (rows that count privately told records or tell them, those of them that may not), for the marts of
    `data`. Empty where policy tells nothing privately, nothing was ever drawn, and no private row is there."""
    day = planner.day_of(build_id)
    policy = settings.seeds / "policy" / "private_statistic.csv"
    drawn = _drawn(settings.release_ledger / "privacy_budget.jsonl", build_id)
    found = {}
    with duckdb.connect() as con:
        con.execute("CREATE TABLE in_force (family VARCHAR, first INT)")
        if policy.exists():
            con.execute(
                f"INSERT INTO in_force SELECT family, first_cohort_year::INT FROM read_csv('{_quoted(policy)}', "
                "header = true, all_varchar = true) WHERE effective_date::DATE <= ?",
                [day],
            )
        con.execute(f"CREATE TABLE drawn ({_DRAWN})")
        if drawn:
            con.executemany("INSERT INTO drawn VALUES (?, ?, ?, ?, ?, ?, ?, ?)", drawn)
        con.execute(
            "CREATE VIEW since AS SELECT min(year) FROM "
            "(SELECT first AS year FROM in_force UNION ALL SELECT year FROM drawn)"
        )
        _register(con, "indicator", settings.seeds / "registers" / "indicator.csv", "indicator_code", ["collections"])
        con.execute(
            "CREATE VIEW wage AS SELECT indicator_code FROM indicator "
            "WHERE list_contains(string_split(collections, ';'), 'workforce__wage')"
        )
        released = sorted(str(path) for path in settings.release_ledger.glob("r*.parquet"))
        con.execute("CREATE TABLE before (family VARCHAR, year BIGINT)")
        if released:
            con.execute(
                "INSERT INTO before SELECT DISTINCT family, year FROM read_parquet(?) WHERE "
                "mart = 'mart_indicator__organization' AND value_status NOT IN ('window_open', 'incomplete')",
                [released],
            )
        _register(con, "family", settings.seeds / "registers" / "family.csv", "family", ["collections"])
        declared = con.execute(
            "SELECT family FROM family WHERE list_contains(string_split(collections, ';'), 'workforce__wage')"
        ).fetchall()
        for mart, question in (dict.fromkeys((mart for (mart,) in declared), _UNKNOWN) | _INSTEAD).items():
            path = data / f"{mart}.parquet"
            if path.exists():
                con.execute(f"CREATE OR REPLACE VIEW mart AS FROM read_parquet('{_quoted(path)}')")
                total, failing = con.execute(question).fetchone()
                if total:
                    found[mart] = total, failing
    return found


def told_again(settings: Settings, build_id: str, data: Path) -> int:
    """How many rows of the marts of `data` tell somebody twice, in either way."""
    both = (told_twice(data, settings.seeds), told_both_ways(settings, build_id, data))
    return sum(failing for found in both for _, failing in found.values())


def _drawn(path: Path, build_id: str) -> list[tuple]:
    """What was drawn and is in use in that build, a row a place: of each family and cohort year the last whole line of
    a build up to it."""
    content = path.read_bytes() if path.exists() else b""
    lines = [json.loads(text) for text in content[: content.rfind(b"\n") + 1].splitlines()]
    used = {(line["family"], line["cohort_year"]): line["results"] for line in lines if line["build_id"] <= build_id}
    statistics = ("found_count", "earnings_p25", "earnings_p50", "earnings_p75")
    return [
        (*key, row["organization_level"], row["organization_id_state"], *(row.get(name) for name in statistics))
        for key, results in used.items()
        for row in results
    ]


def check_told_once(settings: Settings, build_id: str, candidate_id: str) -> int:
    """Record under `build_id` whether the candidate tells anybody twice. Returns the number of rows that do.

    A row that does fails the check, and a failed disclosure check refuses the release. No figure of a cell is recorded.
    """
    data = settings.candidate / "data"
    hidden, private = told_twice(data, settings.seeds), told_both_ways(settings, build_id, data)
    total, failing = (sum(row[side] for found in (hidden, private) for row in found.values()) for side in (0, 1))
    said = []
    for found, what, where in (
        (hidden, "perturbed rows of {} tell people whom an official table hides at the same place", "one_way.py"),
        (
            private,
            "rows of {} count wage records that are told privately, or tell them otherwise than was drawn and decided",
            "private",
        ),
    ):
        count = sum(row[1] for row in found.values())
        if count:
            marts = ", ".join(mart for mart, (_, failed) in found.items() if failed)
            said.append(
                f"{count} {what.format(marts)}. The release is refused: find out why "
                f"pipelines/disclosure/{where} let them through."
            )
    message = " ".join(said) or (
        f"{total} perturbed rows stand where an official table hides its count, and none of them says a number."
        if not private
        else f"{total} rows stand where an official table hides its count, or tell wage records privately; nobody is "
        "told twice."
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


def _register(con: duckdb.DuckDBPyConnection, name: str, path: Path, key: str, wanted: list[str]) -> None:
    """A seed as a view of text. A state's own copy may lack the columns asked for, or the file: nothing is declared."""
    there: list[str] = []
    if path.exists():
        read = f"read_csv('{_quoted(path)}', header = true, all_varchar = true)"
        there = [row[0] for row in con.execute(f"DESCRIBE FROM {read}").fetchall()]
    columns = [f"{column}" if column in there else f"NULL::VARCHAR AS {column}" for column in (key, *wanted)]
    con.execute(f"CREATE TABLE {name} AS SELECT {', '.join(columns)}" + (f" FROM {read}" if there else " WHERE false"))


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
