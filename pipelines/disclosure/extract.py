"""`p20w extract check`: whether the rows of a project's extract, and what was published of it, tell who somebody is.

What belongs here: k (how many people share a whole trajectory) and l (how many sensitive values they have at each
moment) of one extract, of it together with earlier extracts, and the register of what projects published, as relations.
What does not: making extracts, agreements, and tables of counts (declare, table).

The trajectory of a person is all of the person's rows, ordered by time, as one value of time and quasi-identifiers: a
reader who knows where somebody was each year knows all of it, so rows that look common one by one may be unique
together. Findings name research ids and are restricted evidence.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import yaml

from pipelines.disclosure.extract_release import Counted, beside_release, read_counted
from pipelines.disclosure.in_memory import in_memory, literal, quoted
from pipelines.disclosure.table.family import check_suffix, write_table
from pipelines.errors import MissingFileError, P20wError

STATISTICS = ("count", "sum", "mean", "median", "percentile")
# A mean is a sum to whoever knows how many people it is of, and that is asked of every mean.
ADDITIVE = {"count": "count", "sum": "sum", "mean": "sum"}
FINDING = {
    "rule": pl.String,
    "against": pl.String,
    "person": pl.String,
    "moment": pl.String,
    "column_name": pl.String,
    "people": pl.Int64,
    "distinct_values": pl.Int64,
}
_COLUMNS = ("output_id", "project", "extract", "released_on", "statistic", "column_name", "population", "approved_by")


@dataclass(frozen=True)
class Extract:
    """A declaration: which column is what. k, l: least people of a trajectory, least values of a sensitive column."""

    project: str
    extract: str
    person: str
    time: str
    quasi_identifiers: tuple[str, ...]
    sensitive: tuple[str, ...]
    k: int
    l: int  # noqa: E741 - the name that the field uses
    counted: Counted | None = None  # where and in which groups a release counts these people

    @property
    def columns(self) -> tuple[str, ...]:
        """Every declared column but the person's, time first."""
        return (self.time, *self.quasi_identifiers, *self.sensitive)


@dataclass(frozen=True)
class Output:
    """One statistic that a project published: over people with a row that meets every condition of `population`."""

    output_id: str
    project: str
    extract: str
    released_on: date
    statistic: str
    column_name: str
    population: tuple[tuple[str, str], ...]

    def relation(self) -> tuple[str, str, tuple[tuple[str, str], ...]] | None:
        """(count or sum, its column, population) where later audits can add and subtract it; None for order
        statistics."""
        kind = ADDITIVE.get(self.statistic)
        return (kind, self.column_name, self.population) if kind else None


@dataclass(frozen=True)
class Report:
    """Outcome. people: persons of the extract; smallest: people of the rarest trajectory; findings: rows of FINDING."""

    declared: Extract
    rows: int
    people: int
    trajectories: int
    smallest: int
    least_values: int | None
    earlier: int
    outputs: int
    findings: pl.DataFrame

    @property
    def has_finding(self) -> bool:
        return not self.findings.is_empty()

    def as_text(self) -> str:
        """Sentences with numbers, without a value of a row."""
        told = (
            f"{self.people} people in {self.rows} rows, {self.trajectories} trajectories; the rarest is shared by "
            f"{self.smallest} (k is {self.declared.k})"
        )
        if self.least_values is not None:
            told += f", and the least number of sensitive values is {self.least_values} (l is {self.declared.l})"
        told += f". Compared with {self.earlier} earlier extracts and {self.outputs} registered outputs."
        if not self.has_finding:
            return f"{told} Nothing found."
        count = Counter(self.findings["rule"].to_list())
        unique = self.findings.filter((pl.col("rule") == "k") & (pl.col("people") == 1)).height
        words = {
            "k": f"{count['k']} people share their trajectory with fewer than {self.declared.k}, {unique} with nobody",
            "l": f"{count['l']} times a group of people has fewer than {self.declared.l} sensitive values",
            "earlier_k": f"{count['earlier_k']} people stand out once an earlier extract is joined",
            "earlier_l": f"{count['earlier_l']} times a group that an earlier extract narrows has too few values",
            "release": f"{count['release']} published counts and the rows together tell of too few people",
            "output": f"{count['output']} registered outputs, or differences of two, are of too few people",
        }
        said = "; ".join(text for rule, text in words.items() if count[rule])
        return f"{told} Not to be handed over: {said}. Coarsen or drop columns, or leave these people out."


def check_file(
    table: Path,
    declare: Path,
    earlier: Path | None,
    out: Path,
    outputs: Path | None,
    today: date,
    release: Path | None = None,
) -> Report:
    """Check an extract and write what was found to `out` (CSV or Parquet, restricted; empty where nothing was).

    table: CSV or Parquet, one row a person and moment. earlier: a folder of extracts handed over before, each
    `<name>.csv` or `.parquet` with its `<name>.yml`. outputs: the register of published statistics; those dated after
    `today` do not count. release: folder of a release whose counts a reader lays beside the rows. Errors: P20wError
    for a file, column or entry that cannot be used.
    """
    check_suffix(out, "--out")
    declared = read_declaration(declare)
    if release is not None and declared.counted is None:
        raise P20wError(f"{declare.name} needs the entry counted, so that the extract can be laid beside a release.")
    published = [
        output
        for output in (load_outputs(outputs) if outputs is not None else [])
        if (output.project, output.extract) == (declared.project, declared.extract) and output.released_on <= today
    ]
    with in_memory(f"check {table.name}") as con:
        con.execute("SET threads = 2")
        _read(con, "extract", table, declared)
        _trajectories(con, "trajectory", "extract", declared.quasi_identifiers, declared)
        con.execute("CREATE VIEW class AS SELECT person, trajectory AS class FROM trajectory")
        found = [_few_people(con, "k", "", declared.k), _few_values(con, "l", "", declared)]
        people, trajectories, smallest = con.execute(
            "SELECT coalesce(sum(n), 0)::BIGINT, count(*), coalesce(min(n), 0) "
            "FROM (SELECT count(*) AS n FROM class GROUP BY class)"
        ).fetchone()
        rows = con.execute("SELECT count(*) FROM extract").fetchone()[0]
        least = con.execute("SELECT min(n) FROM value_count").fetchone()[0] if declared.sensitive else None
        before = _earlier(earlier) if earlier is not None else []
        for name, path, other in before:
            found += _against(con, name, path, other, declared)
        found += _outputs(con, published, declared)
        if release is not None:
            few = beside_release(con, release, declared.counted)
            rows_ = [{**dict.fromkeys(FINDING), "rule": "release", "against": said, "people": n} for said, n in few]
            found.append(pl.DataFrame(rows_, schema=FINDING))
    findings = pl.concat([pl.DataFrame(schema=FINDING), *found]).sort(list(FINDING), nulls_last=True)
    write_table(findings, out)
    return Report(declared, rows, people, trajectories, smallest, least, len(before), len(published), findings)


def read_declaration(path: Path) -> Extract:
    """The YAML beside an extract. Errors: P20wError for a missing, unknown, repeated or senseless entry."""
    if not path.is_file():
        raise MissingFileError(f"There is no declaration {path}.")
    try:
        said = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, UnicodeDecodeError):
        raise P20wError(f"{path.name} is not YAML in UTF-8: correct it.") from None
    wanted = {"project", "extract", "person", "time", "quasi_identifiers", "sensitive", "k", "l"}
    if not isinstance(said, dict) or set(said) - {"counted"} != wanted:
        differing = ", ".join(sorted(wanted ^ (set(said if isinstance(said, dict) else {}) - {"counted"})))
        raise P20wError(f"{path.name} needs {', '.join(sorted(wanted))}, and may have counted; check {differing}.")
    for name in ("project", "extract", "person", "time", "k", "l"):
        if not isinstance(said[name], str) or not said[name].strip():
            raise P20wError(f"{path.name}: {name} must be one word or number.")
    for name in ("quasi_identifiers", "sensitive"):
        said[name] = [] if said[name] == "" else said[name]
        if not isinstance(said[name], list) or not all(isinstance(column, str) for column in said[name]):
            raise P20wError(f"{path.name}: {name} must be a list of columns, [] for none.")
    if not said["k"].isdigit() or int(said["k"]) < 2 or not said["l"].isdigit() or int(said["l"]) < 1:
        raise P20wError(f"{path.name}: k must be a whole number from 2 on, and l one from 1 on.")
    columns = [said["person"], said["time"], *said["quasi_identifiers"], *said["sensitive"]]
    twice = sorted(name for name, count in Counter(columns).items() if count > 1)
    if twice:
        raise P20wError(f"{path.name} gives two parts to {', '.join(twice)}: every column has one.")
    return Extract(
        said["project"],
        said["extract"],
        said["person"],
        said["time"],
        tuple(said["quasi_identifiers"]),
        tuple(said["sensitive"]),
        int(said["k"]),
        int(said["l"]),
        read_counted(said["counted"], path.name, tuple(columns)) if "counted" in said else None,
    )


def load_outputs(path: Path) -> list[Output]:
    """The register of what projects published (registers/research_output.csv), by row; none where there is no file.

    population: conditions `column=value`, separated by `;`, that all must hold; empty for everybody. Errors: P20wError
    naming the row.
    """
    found: list[Output] = []
    if not path.exists():
        return found
    with path.open(newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        missing = sorted(set(_COLUMNS) - set(reader.fieldnames or []))
        if missing:
            raise P20wError(f"{path.name} lacks the column {', '.join(missing)}. Add it.")
        for number, row in enumerate(reader, start=2):
            where = f"{path.name}, row {number}"
            text = {name: (row[name] or "").strip() for name in _COLUMNS}
            empty = [name for name in _COLUMNS if not text[name] and name not in ("population", "column_name")]
            if empty:
                raise P20wError(f"{where}: {', '.join(empty)} is empty. Fill it in.")
            if any(other.output_id == text["output_id"] for other in found):
                raise P20wError(f"{where}: output_id '{text['output_id']}' is used twice. Give each its own.")
            if text["statistic"] not in STATISTICS:
                raise P20wError(f"{where}: statistic is '{text['statistic']}'; it must be {', '.join(STATISTICS)}.")
            if (text["statistic"] == "count") == bool(text["column_name"]):
                raise P20wError(f"{where}: column_name names what is measured; only a count has none.")
            pairs = [part.partition("=") for part in text["population"].split(";") if part.strip()]
            if any(not equals or not name.strip() for name, equals, _ in pairs):
                raise P20wError(f"{where}: population must be conditions like grade=09;district=7.")
            try:
                released = date.fromisoformat(text["released_on"])
            except ValueError:
                raise P20wError(f"{where}: released_on is no date like 2026-07-01.") from None
            population = tuple(sorted((name.strip(), value.strip()) for name, _, value in pairs))
            found.append(
                Output(
                    text["output_id"],
                    text["project"],
                    text["extract"],
                    released,
                    text["statistic"],
                    text["column_name"],
                    population,
                )
            )
    return found


# --- trajectories -----------------------------------------------------------------------------------------


def _trajectories(
    con: duckdb.DuckDBPyConnection, name: str, rows: str, columns: tuple[str, ...], declared: Extract
) -> None:
    """Table `name`: person, trajectory over time and `columns` of the rows of `rows`."""
    fields = ", ".join(quoted(column) for column in (declared.time, *columns))
    time = quoted(declared.time)
    con.execute(
        f"CREATE OR REPLACE TABLE {name} AS SELECT person, "
        f"list([{fields}] ORDER BY try_cast({time} AS DOUBLE), {fields}) AS trajectory FROM {rows} GROUP BY person"
    )


def _few_people(con: duckdb.DuckDBPyConnection, rule: str, against: str, k: int) -> pl.DataFrame:
    """People whose class (view `class`) has fewer than k."""
    return _rows(
        con,
        f"SELECT '{rule}' AS rule, ? AS against, person, count(*) OVER (PARTITION BY class) AS people "
        f"FROM class QUALIFY people < {k}",
        [against],
    )


def _values(declared: Extract) -> str:
    """Query: per class, moment and sensitive column the people, one of them, and how many values they have.

    A person's value at a moment is the ordered list of those on all rows of that moment.
    """
    time = quoted(declared.time)
    return " UNION ALL ".join(
        f"SELECT {literal(column)} AS column_name, moment, min(person) AS person, count(*) AS people, "
        f"count(DISTINCT value) AS n FROM (SELECT person, {time} AS moment, list({quoted(column)} ORDER BY "
        f"{quoted(column)}) AS value FROM extract GROUP BY person, {time}) INNER JOIN class USING (person) "
        "GROUP BY class, moment"
        for column in declared.sensitive
    )


def _few_values(con: duckdb.DuckDBPyConnection, rule: str, against: str, declared: Extract) -> pl.DataFrame:
    """Classes that have fewer than l values of a sensitive column at some moment, each by one of its people.

    Leaves the table value_count, of all classes.
    """
    if not declared.sensitive:
        return pl.DataFrame(schema=FINDING)
    con.execute(f"CREATE OR REPLACE TABLE value_count AS {_values(declared)}")
    return _rows(
        con,
        f"SELECT '{rule}' AS rule, ? AS against, person, moment, column_name, people, n AS distinct_values "
        f"FROM value_count WHERE n < {declared.l}",
        [against],
    )


# --- earlier extracts -------------------------------------------------------------------------------------


def _earlier(folder: Path) -> list[tuple[str, Path, Extract]]:
    """Extracts of a folder in the order of their names."""
    if not folder.is_dir():
        raise MissingFileError(f"There is no folder {folder} of earlier extracts.")
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix in (".csv", ".parquet"):
            found.append((path.name, path, read_declaration(path.with_suffix(".yml"))))
    return found


def _against(
    con: duckdb.DuckDBPyConnection, name: str, path: Path, other: Extract, declared: Extract
) -> list[pl.DataFrame]:
    """What the earlier extract adds for a reader who holds both.

    The same project has the same research ids: there both trajectories are one. Another project has others, so that a
    reader joins on what both files say of the same moments, whatever its part in either; a trajectory that both have
    must be of at least k people in each.
    """
    _read(con, "earlier", path, other)
    if other.project == declared.project:
        _trajectories(con, "earlier_trajectory", "earlier", other.quasi_identifiers, other)
        con.execute(
            "CREATE OR REPLACE VIEW class AS SELECT new.person, [new.trajectory, old.trajectory] AS class "
            "FROM trajectory AS new LEFT JOIN earlier_trajectory AS old USING (person)"
        )
        found = [_few_people(con, "earlier_k", name, declared.k), _few_values(con, "earlier_l", name, declared)]
        con.execute("CREATE OR REPLACE VIEW class AS SELECT person, trajectory AS class FROM trajectory")
        return found
    if other.time != declared.time:
        raise P20wError(
            f"{path.with_suffix('.yml').name} calls the time {other.time}, and the new extract {declared.time}: they "
            "cannot be compared. Rename the column in one of them."
        )
    shared = tuple(column for column in declared.columns[1:] if column in other.columns[1:])
    time = quoted(declared.time)
    for mine, rows, theirs in (("common_new", "extract", "earlier"), ("common_old", "earlier", "extract")):
        at_both = f"(SELECT * FROM {rows} WHERE {time} IN (SELECT {time} FROM {theirs}))"
        _trajectories(con, mine, at_both, shared, declared)
    return [
        _rows(
            con,
            "SELECT 'earlier_k' AS rule, ? AS against, new.person, least(new.people, old.people) AS people FROM "
            "(SELECT person, trajectory, count(*) OVER (PARTITION BY trajectory) AS people FROM common_new) AS new "
            "INNER JOIN (SELECT trajectory, count(*) AS people FROM common_old GROUP BY trajectory) AS old "
            "ON old.trajectory IS NOT DISTINCT FROM new.trajectory "
            f"WHERE least(new.people, old.people) < {declared.k}",
            [name],
        )
    ]


# --- what was published -----------------------------------------------------------------------------------


def _outputs(con: duckdb.DuckDBPyConnection, outputs: list[Output], declared: Extract) -> list[pl.DataFrame]:
    """Registered populations, and differences of two of which one holds the other, of 1 to k - 1 people."""
    populations = sorted({output.population for output in outputs})
    for number, population in enumerate(populations):
        for column, _ in population:
            if column not in declared.columns:
                raise P20wError(
                    f"research_output.csv: a population of {declared.project}, {declared.extract} asks for {column}, "
                    "which the extract does not declare."
                )
        where = " AND ".join(f"{quoted(column)} = {literal(value)}" for column, value in population) or "true"
        con.execute(f"CREATE TABLE population_{number} AS SELECT DISTINCT person FROM extract WHERE {where}")
    names = {population: f"population_{number}" for number, population in enumerate(populations)}
    first = {
        population: next(each.output_id for each in outputs if each.population == population)
        for population in populations
    }
    found = []
    for outer, table in names.items():
        inside = [(inner, other) for inner, other in names.items() if inner != outer]
        differences = [(f"SELECT person FROM {table}", first[outer])] + [
            (f"SELECT person FROM {table} EXCEPT SELECT person FROM {other}", f"{first[outer]} less {first[inner]}")
            for inner, other in inside
            if con.execute(f"SELECT count(*) FROM {other} WHERE person NOT IN (FROM {table})").fetchone()[0] == 0
        ]
        for query, said in differences:
            people = con.execute(f"SELECT count(*) FROM ({query})").fetchone()[0]
            if 0 < people < declared.k:
                found.append(
                    pl.DataFrame(
                        [{**dict.fromkeys(FINDING), "rule": "output", "against": said, "people": people}],
                        schema=FINDING,
                    )
                )
    return found


# --- reading ----------------------------------------------------------------------------------------------


def _read(con: duckdb.DuckDBPyConnection, name: str, path: Path, declared: Extract) -> None:
    """Table `name`: person and the declared columns as text. An empty text is no value."""
    if not path.is_file():
        raise MissingFileError(f"There is no table {path}.")
    reader = {".csv": "read_csv(?, all_varchar = true, header = true)", ".parquet": "read_parquet(?)"}.get(path.suffix)
    if reader is None:
        raise P20wError(f"{path.name} must be a .csv or a .parquet file.")
    try:
        there = [row[0] for row in con.execute(f"DESCRIBE FROM {reader}", [str(path)]).fetchall()]
        missing = [column for column in (declared.person, *declared.columns) if column not in there]
        if missing:
            raise P20wError(f"{path.name} lacks the column {', '.join(missing)}, which its declaration names.")
        columns = ", ".join(
            f"nullif(CAST({quoted(column)} AS VARCHAR), '') AS {quoted(column)}" for column in declared.columns
        )
        con.execute(
            f"CREATE OR REPLACE TABLE {name} AS SELECT nullif(CAST({quoted(declared.person)} AS VARCHAR), '') "
            f"AS person, {columns} FROM {reader}",
            [str(path)],
        )
    except duckdb.Error:  # its text may quote a value
        raise P20wError(f"{path.name} could not be read as {path.suffix[1:].upper()} in UTF-8 with a header.") from None
    nobody = con.execute(f"SELECT count(*) FROM {name} WHERE person IS NULL").fetchone()[0]
    if nobody:
        raise P20wError(f"{path.name} has {nobody} rows without a {declared.person}: every row is of somebody.")


def _rows(con: duckdb.DuckDBPyConnection, query: str, values: list[str]) -> pl.DataFrame:
    """Rows of a query in the columns of FINDING; those that it does not give are empty."""
    found = con.execute(query, values).pl()
    empty = [pl.lit(None, dtype).alias(name) for name, dtype in FINDING.items() if name not in found.columns]
    return found.with_columns(empty).select(list(FINDING)).cast(FINDING)
