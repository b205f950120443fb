"""The contents of a release: the candidate's rows as the gate decided, in every format, with what describes them.

What belongs here: which rows are new, held, frozen or incomplete, and the files made from them.
What does not: the decision (`gate`), what may change (`revision`), descriptions (`metadata`), moving the folder into
place (`publish`).
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from pipelines import planner
from pipelines.disclosure.one_way import load_one_way, withhold
from pipelines.disclosure.private.instead import told_privately
from pipelines.release.candidate import LONG_MART, as_counted, export, indicator_codes, quoted, table_digest
from pipelines.release.gate import FamilyDecision, GateDecision, linked
from pipelines.release.revision import Correction, Revision, withdrawn_share
from pipelines.settings import Settings

# A year of an official table that showed (or hid) anything counts as published: it may not change before a revision.
PUBLISHED = ("shown", "banded", "suppressed", "no_students", "not_applicable", "withdrawn")
# What makes a figure of a year's rows the same figure in another release.
_FIGURE = [
    "indicator_code",
    "subject_code",
    "organization_level",
    "organization_id_state",
    "breakdown_code",
    "group_code",
]
# What a figure says; a correction that changes none of it has not been made yet.
_SAID = ["denominator_count", "numerator_count", "rate_low", "rate_high", "value_status"]
_NUMBERS = ("_count", "_low", "_high", "_label", "_amount", "rate", "share")


@dataclass(frozen=True)
class Row:
    """One line of the release ledger: what became of a family's year."""

    family: str
    mart: str
    year: int | None
    origin: str  # new | held | frozen (no revision is due) | not_revised (it would withdraw too much) | incomplete


@dataclass
class Assembled:
    """Tables of a release by mart name, without release_id; where each family's years came from; and the corrections by
    which figures changed, which are spent by it."""

    tables: dict[str, pl.DataFrame]
    origins: list[Row]
    corrections: tuple[Correction, ...]

    def digest(self) -> dict[str, str]:
        """Digest by mart, publication columns left out."""
        return {mart: table_digest(table) for mart, table in sorted(self.tables.items())}


def assemble(
    settings: Settings,
    decision: GateDecision,
    data_as_of: date,
    previous: Path | None,
    revision: Revision,
) -> Assembled:
    """Put the tables of a release together, family by family and year by year.

    previous: folder of the current release, or None; revision: which published official years may change. Rows taken
    over from the previous release keep their data_as_of, new ones get `data_as_of`.

    A year that a linked family published earlier is not joined by a family that showed nothing of it: the two were not
    protected together, and their difference might tell of few people. It waits for the next revision of both.

    Perturbed rows are silent where the official table that stands in the release is (`disclosure.one_way`), and rows
    that private statistics replace are left out (`disclosure.private.instead`).
    """
    groups = linked(settings, decision.families)
    by_mart: dict[str, list[FamilyDecision]] = {}
    for family in decision.families.values():
        by_mart.setdefault(family.mart, []).append(family)
    tables, origins = {}, []
    fresh_long = old_long = None
    for mart, families in sorted(by_mart.items()):
        fresh = as_counted(settings, mart)
        old = _released(previous, mart, revision) if previous is not None else None
        if fresh is not None:
            fresh = fresh.with_columns(pl.lit(data_as_of).alias("data_as_of"))
        if old is not None:
            old = _as_today(old, fresh)
        parts = []
        kept = {family.family: _kept_years(family, groups, fresh, old, revision) for family in families}
        for family in families:
            code = family.family
            of_linked = [set(kept[other]) for other in groups.get(code, set()) - {code} if other in kept]
            pieces, rows = _family(family, fresh, old, kept[code], set().union(*of_linked) - set(kept[code]))
            parts += pieces
            origins += rows
        if fresh is None and old is None:
            continue
        like = fresh if fresh is not None else old
        table = pl.concat([like.clear(), *parts])
        tables[mart] = table.sort(table.columns, nulls_last=True)
        if mart == LONG_MART:
            fresh_long, old_long = fresh, old
    if LONG_MART in tables:
        told = withhold(tables, load_one_way(settings.seeds), _pattern(tables[LONG_MART], fresh_long))
        for mart, table in told_privately(told, settings.seeds, planner.day_of(decision.build_id)).items():
            if table is not tables[mart]:
                tables[mart] = table.sort(table.columns, nulls_last=True)
    origins = [row for row in origins if not _is_silent(tables[row.mart], row)]
    return Assembled(tables, origins, _used(revision, groups, old_long, tables.get(LONG_MART)))


def _pattern(table: pl.DataFrame, tonight: pl.DataFrame | None) -> pl.DataFrame:
    """Official rows that say what is told and what is hidden: those that stand in the release, and tonight's of each
    family's year of which the release tells nothing yet."""
    is_official = pl.col("protection") == "official"
    standing = table.filter(is_official & (pl.col("value_status") != "incomplete"))
    if tonight is None:
        return standing
    year = ["indicator_code", "cohort_year"]
    not_yet = tonight.filter(is_official).join(standing.select(year).unique(), on=year, how="anti", nulls_equal=True)
    return pl.concat([standing, not_yet.select(standing.columns)])


def year_column(columns: list[str]) -> str | None:
    """The column by which a mart is held or frozen."""
    return next((name for name in ("cohort_year", "school_year") if name in columns), None)


def write_tables(assembled: Assembled, folder: Path, release_id: str) -> None:
    """Write `data/<mart>.parquet` and `csv/<mart>.csv`, the same bytes for the same rows, release id and dates."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "csv").mkdir(exist_ok=True)
    with duckdb.connect() as con:
        con.execute("SET threads = 1")
        for mart, table in assembled.tables.items():
            complete = table.select(
                pl.exclude("data_as_of"), pl.col("data_as_of"), pl.lit(release_id).alias("release_id")
            )
            con.register("complete", complete.to_arrow())
            export(con, "SELECT * FROM complete", folder / "data" / f"{mart}.parquet")
            con.unregister("complete")
            pl.read_parquet(folder / "data" / f"{mart}.parquet").write_csv(folder / "csv" / f"{mart}.csv")


def write_database(settings: Settings, folder: Path, dictionary: list[dict[str, str]]) -> None:
    """Write `p20w.duckdb`: a table for each mart, a view `mart_<indicator>` for each indicator, and `dictionary`."""
    with duckdb.connect(str(folder / "p20w.duckdb")) as con:
        con.execute("SET threads = 1")
        marts = sorted(path.stem for path in (folder / "data").glob("*.parquet"))
        for mart in marts:
            table = quoted(folder / "data" / f"{mart}.parquet")
            con.execute(f"CREATE TABLE \"{mart}\" AS SELECT * FROM read_parquet('{table}')")
        described = {(row["table_name"], row["column_name"]): row["description"] for row in dictionary}
        for (mart, column), description in described.items():
            if mart in marts and description:
                text = description.replace("'", "''")
                con.execute(f'COMMENT ON COLUMN "{mart}"."{column}" IS \'{text}\'')
        if LONG_MART in marts:
            for code in indicator_codes(settings):
                con.execute(
                    f'CREATE VIEW "mart_{code}" AS SELECT * FROM "{LONG_MART}" WHERE indicator_code = \'{code}\''
                )
        con.execute("CREATE TABLE dictionary (table_name TEXT, column_name TEXT, data_type TEXT, description TEXT)")
        if dictionary:
            con.executemany(
                "INSERT INTO dictionary VALUES (?, ?, ?, ?)",
                [[row["table_name"], row["column_name"], row["data_type"], row["description"]] for row in dictionary],
            )


def copy_example_queries(folder: Path) -> None:
    """Put the example queries beside the data that they run on."""
    source = Path(__file__).parent / "example_queries"
    for path in sorted(source.glob("*.sql")):
        (folder / "example_queries").mkdir(exist_ok=True)
        shutil.copyfile(path, folder / "example_queries" / path.name)


def seal(folder: Path) -> None:
    """Flush every file to disk and take away all rights to write: files 0444, folders 0555."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = os.path.join(parent, name)
            os.chmod(path, 0o444)
            flush(path)
        flush(parent)
        os.chmod(parent, 0o555)


def flush(path: str | Path) -> None:
    """fsync a file or folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _family(
    family: FamilyDecision,
    fresh: pl.DataFrame | None,
    old: pl.DataFrame | None,
    kept: dict[int | None, str],
    published_by_linked: set[int | None],
) -> tuple[list[pl.DataFrame], list[Row]]:
    """Rows of one family for each of its years, with their origin.

    kept: its years that may not change, and what to call that; published_by_linked: years that a linked family alone
    has published.
    """
    new = _of(family, fresh)
    released = _of(family, old)
    if family.decision == "refuse" or (new is None and released is None):
        return [], []
    columns = (new if new is not None else released).columns
    column = year_column(columns)
    years: set[int | None] = {None}
    if column is not None:
        years = set()
        for table in (new, released):
            if table is not None:
                years |= set(table[column].unique().to_list())
    parts, rows = [], []
    for year in sorted(years, key=lambda value: (value is None, value)):
        new_rows = _year(new, column, year)
        old_rows = _year(released, column, year)
        held = family.decision == "hold" and (family.held_years is None or year in family.held_years)
        if (held or year in published_by_linked) and _shows_nothing(old_rows):
            part, origin = _incomplete(new_rows), "incomplete"
            part = old_rows if _empty(part) else part
        elif held:
            part, origin = old_rows, "held"
        elif year in kept:
            part, origin = old_rows, kept[year]
        else:
            part, origin = new_rows, "new"
        if not _empty(part):
            parts.append(part)
            rows.append(Row(family.family, family.mart, year, origin))
    return parts, rows


def _kept_years(
    family: FamilyDecision,
    groups: dict[str, set[str]],
    fresh: pl.DataFrame | None,
    old: pl.DataFrame | None,
    revision: Revision,
) -> dict[int | None, str]:
    """Published official years of a family that keep their rows, with the reason: frozen or not_revised."""
    published = _published_years(_of(family, old))
    if revision.is_stricter or not published:
        return {}
    group = groups.get(family.family, {family.family})
    scheduled, corrected = revision.scheduled(group), revision.corrected(group)
    tonight = fresh if fresh is not None else old.clear()
    kept: dict[int | None, str] = {}
    for year in published:
        if year in corrected and _is_changed(old, tonight, group, year):
            continue
        # All linked families together: they are revised as a whole or not at all.
        mine = (pl.col("indicator_code").is_in(group), pl.col("cohort_year").eq_missing(pl.lit(year)))
        if year not in scheduled:
            kept[year] = "frozen"
        elif withdrawn_share(old.filter(*mine), tonight.filter(*mine), _FIGURE) > revision.loss_limit:
            kept[year] = "not_revised"
    return kept


def _used(
    revision: Revision, groups: dict[str, set[str]], before: pl.DataFrame | None, after: pl.DataFrame | None
) -> tuple[Correction, ...]:
    """The corrections of published years whose figures changed, in them or in a linked family."""
    if before is None or after is None:
        return ()
    found = []
    for correction in revision.corrections:
        group, year = groups.get(correction.family, {correction.family}), correction.cohort_year
        of_group = before.filter(pl.col("indicator_code").is_in(group))
        if year in _published_years(of_group) and _is_changed(before, after, group, year):
            found.append(correction)
    return tuple(found)


def _is_changed(before: pl.DataFrame, after: pl.DataFrame, group: set[str], year: int) -> bool:
    """Whether the figures of a year of linked families differ between two tables of the same columns."""
    mine = (pl.col("indicator_code").is_in(group), pl.col("cohort_year") == year)
    one, other = (table.filter(*mine).select(_FIGURE + _SAID).sort(_FIGURE + _SAID) for table in (before, after))
    return not one.equals(other)


def _published_years(released: pl.DataFrame | None) -> set[int | None]:
    """Years of the family's released rows that were published as official numbers."""
    if _empty(released) or "protection" not in released.columns or "value_status" not in released.columns:
        return set()
    published = released.filter((pl.col("protection") == "official") & pl.col("value_status").is_in(PUBLISHED))
    column = year_column(released.columns)
    if column is None:
        return set() if published.is_empty() else {None}
    return set(published[column].unique().to_list())


def _released(previous: Path, mart: str, revision: Revision) -> pl.DataFrame | None:
    """Rows of the last release, without its id; official years that it has nothing of as another release told them."""
    old = _read(previous / "data" / f"{mart}.parquet")
    if old is None:
        return None
    old = old.drop("release_id")
    for family, year, release_id in revision.taken_back if mart == LONG_MART else ():
        mine = (pl.col("indicator_code") == family) & pl.col("cohort_year").eq_missing(pl.lit(year))
        told = pl.read_parquet(previous.parent / release_id / "data" / f"{mart}.parquet").filter(mine)
        old = pl.concat([old.filter(~mine), _as_today(told, old)])
    return old


def _shows_nothing(released: pl.DataFrame | None) -> bool:
    """Whether nothing was released, or only that it is incomplete. (Where a window was open, its end was foreseen.)"""
    return _empty(released) or ("value_status" in released.columns and set(released["value_status"]) == {"incomplete"})


def _incomplete(rows: pl.DataFrame | None) -> pl.DataFrame | None:
    """The same rows without any number, saying that they are incomplete. A unit goes with its number: it would tell
    where there is one."""
    if _empty(rows) or "value_status" not in rows.columns:
        return None
    numbers = [name for name in rows.columns if name.endswith((*_NUMBERS, "_unit"))]
    changes = [pl.lit(None).cast(rows.schema[name]).alias(name) for name in numbers]
    changes.append(pl.lit("incomplete").alias("value_status"))
    if "suppression_reason" in rows.columns:
        changes.append(pl.lit("").alias("suppression_reason"))
    return rows.with_columns(changes)


def _of(family: FamilyDecision, table: pl.DataFrame | None) -> pl.DataFrame | None:
    if table is None or family.mart != LONG_MART:
        return table
    return table.filter(pl.col("indicator_code") == family.family)


def _is_silent(table: pl.DataFrame, row: Row) -> bool:
    """Whether no row is left of a family's year: flows that are silent have none."""
    return _empty(_year(table, year_column(table.columns), row.year))


def _year(table: pl.DataFrame | None, column: str | None, year: int | None) -> pl.DataFrame | None:
    if table is None or column is None or column not in table.columns:
        return table
    return table.filter(pl.col(column).is_null() if year is None else pl.col(column) == year)


def _as_today(old: pl.DataFrame, fresh: pl.DataFrame | None) -> pl.DataFrame:
    """Rows of the last release in tonight's columns: a new column is null in them, a dropped one is gone."""
    if fresh is None:
        return old
    return old.select(
        (pl.col(name) if name in old.columns else pl.lit(None).alias(name)).cast(dtype)
        for name, dtype in fresh.schema.items()
    )


def _empty(table: pl.DataFrame | None) -> bool:
    return table is None or table.is_empty()


def _read(path: Path) -> pl.DataFrame | None:
    return pl.read_parquet(path) if path.exists() else None
