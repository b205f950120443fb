"""What became of every source record of every file.

What belongs here: the three ledger tables in evidence, their statuses and the equation that they must satisfy.
What does not: deciding what becomes of a record (check) and pages about it (reports).

`ledger` counts source records per delivery and file; `ledger_collection` counts derived rows per collection;
`ledger_rule` counts derived rows that a rule sent to quarantine. `ledger` is replaced last: lines of the other two
whose delivery it does not name are leftovers of a run that was stopped, and are not read.
"""

from __future__ import annotations

import polars as pl

from pipelines.intake.deliveries import write_parquet
from pipelines.settings import Settings

COUNTS = ("accepted_count", "partly_accepted_count", "quarantined_count", "duplicate_count", "not_collected_count")

LEDGER = {
    "delivery_id": pl.String,
    "submitter": pl.String,
    "package": pl.String,
    "period": pl.String,
    "file_name": pl.String,
    "collection": pl.String,
    "sha256": pl.String,
    "bytes": pl.Int64,
    "received_build": pl.String,
    "status": pl.String,
    "certification": pl.String,
    "certified_by": pl.String,
    "certified_on": pl.Date,
    "delivered_count": pl.Int64,
    "accepted_count": pl.Int64,
    "partly_accepted_count": pl.Int64,
    "quarantined_count": pl.Int64,
    "duplicate_count": pl.Int64,
    "not_collected_count": pl.Int64,
    "derived_row_count": pl.Int64,
    "refusal_reason": pl.String,
    # Columns (or XML elements) of the file that no layout reads; their names stay in the file, as they may be data.
    "unmapped_column_count": pl.Int64,
    # Hash of the rules that judged the file: other rules judge it again. Not part of what the ledger promises.
    "checked_with": pl.String,
}
LEDGER_COLLECTION = {
    "delivery_id": pl.String,
    "file_name": pl.String,
    "collection": pl.String,
    "derived_count": pl.Int64,
    "accepted_count": pl.Int64,
    "quarantined_count": pl.Int64,
    "duplicate_count": pl.Int64,
    "type_failed_count": pl.Int64,
    "other_period_count": pl.Int64,
}
LEDGER_RULE = {
    "delivery_id": pl.String,
    "file_name": pl.String,
    "collection": pl.String,
    "rule_id": pl.String,
    "message": pl.String,
    "failing_count": pl.Int64,
}
# Deliveries whose records were read and counted, in use or not.
TAKEN = ("accepted", "awaiting_certification", "superseded", "destroyed")
TABLES = {"ledger": LEDGER, "ledger_collection": LEDGER_COLLECTION, "ledger_rule": LEDGER_RULE}


def read(settings: Settings, table: str = "ledger") -> pl.DataFrame:
    """One of the tables `ledger`, `ledger_collection`, `ledger_rule`; empty and typed before the first delivery."""
    path = settings.evidence / f"{table}.parquet"
    frame = pl.read_parquet(path) if path.exists() else pl.DataFrame(schema=TABLES[table])
    if table == "ledger":
        return frame
    return frame.join(
        read(settings).select("delivery_id", "file_name").unique(), on=["delivery_id", "file_name"], how="semi"
    )


def record(settings: Settings, lines: pl.DataFrame, collections: pl.DataFrame, rules: pl.DataFrame) -> None:
    """Replace the lines of the deliveries named in `lines`, and set what they supersede.

    `lines`, `collections` and `rules` have the columns of the three tables. A delivery with an accepted file
    supersedes every other accepted delivery of its submitter, package and period; a preliminary one that comes after
    a certified one waits until it is certified itself, because annual figures are counted from certified deliveries.
    """
    ledger = read(settings)
    lines = _await_certification(ledger, lines)
    delivered = lines["delivery_id"].unique().implode()
    new = {"ledger_collection": collections, "ledger_rule": rules}
    for table, addition in new.items():
        kept = read(settings, table).filter(~pl.col("delivery_id").is_in(delivered))
        frame = pl.concat([kept, addition.select(list(TABLES[table])).cast(TABLES[table])])
        write_parquet(
            frame.sort("delivery_id", "file_name", "collection", maintain_order=True),
            settings.evidence / f"{table}.parquet",
        )
    # A note that a delivery came once more stays when the delivery itself is judged again.
    again = lines.select("delivery_id", "received_build").unique()
    kept = ledger.filter(~pl.col("delivery_id").is_in(delivered) | (pl.col("status") == "duplicate_delivery")).join(
        again, on=["delivery_id", "received_build"], how="anti"
    )
    kept = _supersede(kept, lines)
    _write(settings, pl.concat([kept, lines.select(list(LEDGER)).cast(LEDGER)]))


def set_status(settings: Settings, delivery_id: str, status: str) -> None:
    """Set the status of a delivery's accepted or superseded lines, superseding others when it is `accepted`."""
    ledger = read(settings)
    is_line = (pl.col("delivery_id") == delivery_id) & pl.col("status").is_in(["accepted", "superseded"])
    lines = ledger.filter(is_line).with_columns(status=pl.lit(status))
    _write(settings, pl.concat([_supersede(ledger.filter(~is_line), lines), lines]))


def append(settings: Settings, lines: pl.DataFrame) -> None:
    """Add lines beside those there are: a delivery in use that came once more, unchanged."""
    _write(settings, pl.concat([read(settings), lines.select(list(LEDGER)).cast(LEDGER)]))


def _await_certification(ledger: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """`lines` with the status `awaiting_certification` where a certified delivery of another content is in use."""
    place = ["submitter", "package", "period"]
    certified = (
        ledger.filter((pl.col("status") == "accepted") & (pl.col("certification") == "certified"))
        .join(lines.select("delivery_id").unique(), on="delivery_id", how="anti")
        .select(*place, is_certified_in_use=pl.lit(True))
        .unique()
    )
    waits = (
        (pl.col("status") == "accepted")
        & (pl.col("certification") == "preliminary")
        & pl.col("is_certified_in_use").fill_null(False)
    )
    return (
        lines.join(certified, on=place, how="left", maintain_order="left")
        .with_columns(status=pl.when(waits).then(pl.lit("awaiting_certification")).otherwise(pl.col("status")))
        .drop("is_certified_in_use")
    )


def _supersede(others: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    place = ["submitter", "package", "period"]
    newer = lines.filter(pl.col("status") == "accepted").select(*place, is_newer=pl.lit(True)).unique()
    return (
        others.join(newer, on=place, how="left")
        .with_columns(
            status=pl.when((pl.col("status") == "accepted") & pl.col("is_newer").fill_null(False))
            .then(pl.lit("superseded"))
            .otherwise(pl.col("status"))
        )
        .drop("is_newer")
    )


def _write(settings: Settings, ledger: pl.DataFrame) -> None:
    order = ["submitter", "package", "period", "received_build", "delivery_id", "file_name"]
    write_parquet(ledger.select(list(LEDGER)).sort(order, maintain_order=True), settings.evidence / "ledger.parquet")


def ledger_balances(settings: Settings) -> list[str]:
    """A sentence for every file whose records are not all accounted for; empty when the ledger balances.

    Refused files stand outside the equation: a file that nobody could read has no known number of records.
    """
    ledger = read(settings)
    violations = []
    counted = ledger.filter(pl.col("status").is_in(TAKEN)).with_columns(accounted=pl.sum_horizontal(COUNTS))
    for row in counted.filter(pl.col("accounted").ne_missing(pl.col("delivered_count"))).iter_rows(named=True):
        parts = ", ".join(f"{row[name]} {name.removesuffix('_count').replace('_', ' ')}" for name in COUNTS)
        violations.append(
            f"{_place(row)}: {row['delivered_count']} records delivered, but {row['accounted']} "
            f"accounted for ({parts})."
        )
    parts = ["accepted_count", "quarantined_count", "duplicate_count"]
    derived = read(settings, "ledger_collection").with_columns(accounted=pl.sum_horizontal(parts))
    for row in derived.filter(pl.col("accounted") != pl.col("derived_count")).iter_rows(named=True):
        violations.append(
            f"Delivery {row['delivery_id']}, file {row['file_name']}, collection {row['collection']}: "
            f"{row['derived_count']} rows derived, but {row['accounted']} accounted for."
        )
    totals = derived.group_by("delivery_id", "file_name").agg(total=pl.col("derived_count").sum())
    joined = counted.join(totals, on=["delivery_id", "file_name"], how="left").with_columns(
        pl.col("total").fill_null(0)
    )
    for row in joined.filter(pl.col("total") != pl.col("derived_row_count")).iter_rows(named=True):
        violations.append(
            f"{_place(row)}: {row['derived_row_count']} derived rows noted for the file, {row['total']} by collection."
        )
    return violations


def _place(row: dict) -> str:
    return f"{row['submitter']}/{row['package']}/{row['period']}, file {row['file_name']} ({row['delivery_id']})"
