"""Where bad rows go: numbers and rules where people can read them, the rows themselves into the vault only.

What belongs here: the quarantine files, a submitter's error file, and the vault's `bad_row`. What does not: deciding
that a row is bad (check). Quarantine names a row by file and number and says which columns a rule read; it holds no
value of any row, because in a file whose columns have shifted a name may stand in any of them.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl

from pipelines.intake.deliveries import Delivery, write_parquet
from pipelines.settings import Settings

SCHEMA = {
    "delivery_id": pl.String,
    "collection": pl.String,
    "submitter": pl.String,
    "package": pl.String,
    "period": pl.String,
    "file_name": pl.String,
    "source_row": pl.Int64,
    "rule_id": pl.String,
    "message": pl.String,
    "columns": pl.String,
}
ERROR_COLUMNS = ["file_name", "source_row", "collection", "columns", "rule_id", "message"]


def quarantine_path(settings: Settings, delivery_id: str, collection: str) -> Path:
    """The quarantine file of a delivery in one collection; absent when no row is in quarantine."""
    return settings.quarantine / f"{delivery_id}__{collection}.parquet"


def error_path(settings: Settings, submitter: str, delivery_id: str) -> Path:
    """The error file that a submitter gets for a delivery; absent when nothing was sent back."""
    return settings.quarantine / "errors" / submitter / f"{delivery_id}.csv"


def write_quarantine(settings: Settings, delivery: Delivery, bad: pl.DataFrame, refusals: dict[str, str]) -> None:
    """Write (or remove) a delivery's quarantine files and its error file.

    `bad`: one row per row and rule, columns collection, file_name, source_row, rule_id, message, columns.
    `refusals`: file name → sentence for files refused whole.
    """
    identifier = delivery.delivery_id
    stale = set(settings.quarantine.glob(f"{identifier}__*.parquet"))
    frame = bad.select(
        pl.lit(identifier).alias("delivery_id"),
        "collection",
        *(pl.lit(getattr(delivery, name)).alias(name) for name in ("submitter", "package", "period")),
        "file_name",
        "source_row",
        "rule_id",
        "message",
        "columns",
    ).sort("collection", "file_name", "source_row", "rule_id", "columns")
    for (collection,), rows in frame.group_by(["collection"], maintain_order=True):
        path = quarantine_path(settings, identifier, collection)
        write_parquet(rows, path)
        stale.discard(path)
    for path in stale:
        path.unlink()
    _write_error_file(settings, delivery, frame, refusals)


def _write_error_file(settings: Settings, delivery: Delivery, frame: pl.DataFrame, refusals: dict[str, str]) -> None:
    path = error_path(settings, delivery.submitter, delivery.delivery_id)
    if not frame.height and not refusals:
        path.unlink(missing_ok=True)
        return
    refused = pl.DataFrame(
        [(name, None, "", "", "file_refused", reason) for name, reason in sorted(refusals.items())],
        schema={name: SCHEMA[name] for name in ERROR_COLUMNS},
        orient="row",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    pl.concat([refused, frame.select(ERROR_COLUMNS)]).write_csv(temporary)
    temporary.replace(path)


def keep_bad_rows(con: duckdb.DuckDBPyConnection, rows: pl.DataFrame, delivery_ids: list[str]) -> None:
    """Replace the bad rows of these deliveries in the vault.

    `rows`: the columns of vault.bad_row in order (build_id, delivery_id, collection, source_row, rule_id, row_text).
    """
    con.register("judged", pl.DataFrame({"delivery_id": delivery_ids}, schema={"delivery_id": pl.String}).to_arrow())
    con.execute("DELETE FROM vault.bad_row WHERE delivery_id IN (SELECT delivery_id FROM judged)")
    con.unregister("judged")
    if rows.height:
        con.register("bad", rows.to_arrow())
        con.execute("INSERT INTO vault.bad_row SELECT * FROM bad")
        con.unregister("bad")
