"""Which rows are good: types, required values, code sets, ranges, row rules, repeats and key conflicts.

What belongs here: judging derived rows and, from them, source records; the same judgment of one file for a submitter
(`check_file`). What does not: what a good row looks like (schemas), reading files (readers), where bad rows go
(quarantine) and whether a share of bad rows is too many (run, from policy).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from pipelines.errors import P20wError
from pipelines.intake.packages import packages, sent_form
from pipelines.settings import Settings
from schemas import collections
from schemas.collection import FAILURE_SCHEMA, Collection

if TYPE_CHECKING:
    from pipelines.intake.readers import FileContent

# Columns that intake adds to a table before it is checked: number of the file within the batch, of its delivery, and
# row number in the file.
FILE, DELIVERY, SOURCE_ROW = "_file", "_delivery", "source_row"
# A sentence where the record's columns could not be told apart, else null.
BROKEN = "_broken"

ACCEPTED, QUARANTINED, DUPLICATE = "accepted", "quarantined", "duplicate"


@dataclass(frozen=True)
class CheckedTable:
    """The verdict on every row of one table.

    `typed`: the table with the collection's types and the columns _file, _delivery, source_row, `verdict`
    (accepted, quarantined, duplicate) and `has_type_failure`, in the order given. `failures`: one row per row and
    rule that failed (row, source_row, rule_id, columns, message); no value of a row is in it.
    """

    typed: pl.DataFrame
    failures: pl.DataFrame


def check_rows(collection: Collection, table: pl.DataFrame, package: str | None, settings: Settings) -> CheckedTable:
    """Judge rows of one collection as sent by one package.

    `table` holds text columns named by element (absent ones are null), source_row, and the columns of `with_place`.
    A delivery's rows must all be in the table: repeats and key conflicts are looked for within a delivery. The first
    of equal rows stays; rows with the same key and different contents are all sent back. Where the package sends
    tokens, `typed` has the token columns beside the collection's own, of which the identifiers are null.
    """
    declared, collection = collection, sent_form(settings, collection, package)
    typed, type_failures = collection.cast_table(table)
    rule_failures = collection.check_table(typed, package, settings.seeds)
    # A cell that did not cast is null by now: it is a wrong value, not a missing one.
    rule_failures = rule_failures.join(
        type_failures.select("row", "columns", rule_id=pl.lit(f"{collection.name}.missing")),
        on=["row", "columns", "rule_id"],
        how="anti",
    )
    broken = _broken_failures(collection, table)
    if broken.height:
        # Blank cells of a record that could not be taken apart are not missing values either.
        rule_failures = rule_failures.join(broken, on="row", how="anti")
    failures = pl.concat([type_failures, rule_failures, broken])
    numbered = typed.with_row_index("_row").with_columns(pl.col("_row").cast(pl.Int64))
    bad = pl.Series(failures["row"].unique())
    good = numbered.filter(~pl.col("_row").is_in(bad.implode()))
    same_key = good.filter(pl.struct(DELIVERY, *collection.key).is_duplicated())
    repeats = same_key.filter(~pl.struct(DELIVERY, *collection.columns).is_first_distinct())["_row"]
    firsts = same_key.filter(~pl.col("_row").is_in(repeats.implode()))
    conflicting = firsts.filter(pl.struct(DELIVERY, *collection.key).is_duplicated())
    if conflicting.height:
        keys = conflicting.select(DELIVERY, *collection.key).unique()
        conflicts = same_key.join(keys, on=[DELIVERY, *collection.key], how="semi", nulls_equal=True)
        repeats = repeats.filter(~repeats.is_in(conflicts["_row"].implode()))
        failures = pl.concat([failures, _conflict_failures(collection, conflicts)])
        bad = failures["row"].unique()
    row = pl.col("_row")
    judged = numbered.with_columns(
        verdict=pl.when(row.is_in(bad.implode()))
        .then(pl.lit(QUARANTINED))
        .when(row.is_in(repeats.implode()))
        .then(pl.lit(DUPLICATE))
        .otherwise(pl.lit(ACCEPTED)),
        has_type_failure=row.is_in(pl.concat([type_failures, broken])["row"].unique().implode()),
    ).drop("_row", BROKEN, strict=False)
    withheld = [name for name in declared.columns if name not in collection.columns]
    judged = judged.with_columns(pl.lit(None, declared.polars_type(name)).alias(name) for name in withheld)
    return CheckedTable(judged, failures.sort("row", "rule_id", "columns"))


def with_place(content: FileContent, collection: str, file_number: int, delivery_id: str) -> pl.DataFrame:
    """A collection's table of a file as `check_rows` wants it: with the columns _file, _delivery and _broken."""
    table = content.tables[collection].with_columns(
        pl.col(SOURCE_ROW).cast(pl.Int64),
        pl.lit(file_number, pl.Int64).alias(FILE),
        pl.lit(delivery_id).alias(DELIVERY),
        pl.lit(None, pl.String).alias(BROKEN),
    )
    if not content.broken_rows:
        return table
    return table.with_columns(
        pl.col(SOURCE_ROW).replace_strict(content.broken_rows, default=None, return_dtype=pl.String).alias(BROKEN)
    )


def _broken_failures(collection: Collection, table: pl.DataFrame) -> pl.DataFrame:
    rows = table.with_row_index("row").filter(pl.col(BROKEN).is_not_null())
    return rows.select(
        "row",
        SOURCE_ROW,
        rule_id=pl.lit(f"{collection.name}.record_shape"),
        columns=pl.lit(""),
        message=pl.col(BROKEN),
    ).cast(FAILURE_SCHEMA)


def _conflict_failures(collection: Collection, rows: pl.DataFrame) -> pl.DataFrame:
    message = (
        f"Several rows have the same {', '.join(collection.key)} and differ otherwise. "
        "Send one row for each, or correct the key."
    )
    return rows.select(
        row="_row",
        source_row=pl.col(SOURCE_ROW).cast(pl.Int64),
        rule_id=pl.lit(f"{collection.name}.key_conflict"),
        columns=pl.lit("|".join(collection.key)),
        message=pl.lit(message),
    ).cast(FAILURE_SCHEMA)


def judge_records(rows: pl.DataFrame) -> pl.DataFrame:
    """What became of each source record, from the verdicts on the rows derived from it.

    `rows`: _file, source_row, verdict of every derived row of every collection. Returns one row a record: _file,
    source_row, outcome (accepted, partly_accepted, quarantined, duplicate).
    """
    is_accepted = pl.col("verdict") == ACCEPTED
    return (
        rows.group_by(FILE, SOURCE_ROW)
        .agg(
            all_accepted=is_accepted.all(),
            any_accepted=is_accepted.any(),
            any_bad=(pl.col("verdict") == QUARANTINED).any(),
        )
        .select(
            FILE,
            SOURCE_ROW,
            outcome=pl.when(pl.col("all_accepted"))
            .then(pl.lit(ACCEPTED))
            .when(pl.col("any_accepted"))
            .then(pl.lit("partly_accepted"))
            .when(pl.col("any_bad"))
            .then(pl.lit(QUARANTINED))
            .otherwise(pl.lit(DUPLICATE)),
        )
    )


# --- the same for one file, before it is sent --------------------------------------------------------------------
@dataclass(frozen=True)
class CheckReport:
    """What intake would say of one file: counts of source records and the failures of one collection's rows."""

    file: str
    collection: str
    package: str
    refusal: str
    record_count: int
    accepted_count: int
    partly_accepted_count: int
    quarantined_count: int
    duplicate_count: int
    not_collected_count: int
    failures: pl.DataFrame = field(repr=False)
    unmapped_count: int = 0

    @property
    def is_clean(self) -> bool:
        """True when the file would be read and no row of it would be sent back."""
        return not self.refusal and not self.failures.height

    def as_text(self, limit: int = 50) -> str:
        """The report in sentences: counts, then each rule with its rows (at most `limit` row numbers a rule)."""
        head = f"{self.file} as {self.collection} (package {self.package})"
        if self.refusal:
            return f"{head}: the file would be refused. {self.refusal}"
        lines = [
            f"{head}: {self.record_count} records, of which {self.accepted_count} accepted, "
            f"{self.partly_accepted_count} accepted in part, {self.quarantined_count} sent back, "
            f"{self.duplicate_count} repeated, {self.not_collected_count} not collected."
        ]
        if self.unmapped_count:
            lines.append(f"{self.unmapped_count} columns of the file are not collected.")
        grouped = self.failures.group_by("rule_id", "columns", "message").agg(pl.col("source_row").unique().sort())
        for rule_id, _, message, rows in grouped.sort("rule_id", "columns").iter_rows():
            shown = ", ".join(str(row) for row in rows[:limit])
            more = f" and {len(rows) - limit} more" if len(rows) > limit else ""
            lines.append(f"{message} ({rule_id}) {'Row' if len(rows) == 1 else 'Rows'} {shown}{more}.")
        if self.is_clean:
            lines.append("Nothing to correct.")
        return "\n".join(lines)


def check_file(
    settings: Settings,
    path: Path,
    collection: str,
    package: str | None = None,
    period: str | None = None,
    error_file: Path | None = None,
) -> CheckReport:
    """Judge one file as intake would, for one collection; needs no vault and keeps nothing.

    Without `package` the one whose file pattern fits the name is taken. `period` defaults to the name of the folder
    that holds the file, as in landing. Failures are written as CSV to `error_file` where one is given. Raises
    ValueError with a sentence when the collection is unknown or the package cannot be told.
    """
    from pipelines.intake.readers import UnreadableFile, read_file

    if collection not in collections():
        raise P20wError(f"There is no collection {collection}. Known: {', '.join(collections())}.")
    package = package or _package_for(settings, path, collection)
    period = path.parent.name if period is None else period
    try:
        content = read_file(path, package, "check", period, settings)
    except UnreadableFile as refused:
        empty = pl.DataFrame(schema=FAILURE_SCHEMA)
        return CheckReport(path.name, collection, package, str(refused), 0, 0, 0, 0, 0, 0, empty)
    if collection not in content.tables:
        raise P20wError(f"Package {package} takes no {collection} from a file named {path.name}.")
    table = with_place(content, collection, 0, "")
    checked = check_rows(collections()[collection], table, package, settings)
    outcomes = dict(judge_records(checked.typed)["outcome"].value_counts().iter_rows())
    report = CheckReport(
        path.name,
        collection,
        package,
        "",
        content.record_count,
        outcomes.get(ACCEPTED, 0),
        outcomes.get("partly_accepted", 0),
        outcomes.get(QUARANTINED, 0),
        outcomes.get(DUPLICATE, 0),
        content.record_count - sum(outcomes.values()),
        checked.failures.drop("row"),
        len(content.unmapped_columns),
    )
    if error_file is not None:
        report.failures.write_csv(error_file)
    return report


def _package_for(settings: Settings, path: Path, collection: str) -> str:
    feeding = [line for lines in packages(settings).values() for line in lines if line.collection == collection]
    fitting = sorted({line.package for line in feeding if line.takes(path.name)})
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise P20wError(
            f"Several packages take {path.name} as {collection}: name one with --package, of {', '.join(fitting)}."
        )
    patterns = "; ".join(sorted({f"{line.package}: {line.file_pattern}" for line in feeding})) or "none"
    raise P20wError(
        f"No package takes a file named {path.name} as {collection}. Files taken are {patterns}. "
        "Give the file the name under which it would be sent."
    )
