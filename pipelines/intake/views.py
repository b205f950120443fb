"""How the warehouse sees accepted rows and the registry: views over Parquet files, typed and never absent.

What belongs here: which files are in use, and the two schemas of views. What does not: any reshaping (dbt models).
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl

from pipelines.intake import ledger
from pipelines.intake.deliveries import write_parquet
from pipelines.settings import Settings
from schemas import collections

REGISTRY = {
    "brg_record_person": {
        "record_key": "BIGINT",
        "person_key": "BIGINT",
        "sector": "VARCHAR",
        "rule": "VARCHAR",
        "has_ssn": "BOOLEAN",
        "valid_from_build": "VARCHAR",
    },
    "link_not_determined": {"record_key": "BIGINT", "candidate_person_key": "BIGINT", "reason": "VARCHAR"},
    "person": {"person_key": "BIGINT", "perturbation_key": "INTEGER"},
    "person_redirect": {"old_person_key": "BIGINT", "person_key": "BIGINT", "build_id": "VARCHAR"},
    "organization_key": {
        "organization_key": "BIGINT",
        "organization_level": "VARCHAR",
        "organization_id_state": "VARCHAR",
    },
}


def accepted_path(settings: Settings, collection: str, delivery_id: str) -> Path:
    """The file of a delivery's accepted rows in one collection."""
    return settings.accepted / collection / f"{delivery_id}.parquet"


def empty_path(settings: Settings, collection: str) -> Path:
    """The typed file without rows that stands in where a collection has no delivery."""
    return settings.accepted / collection / "_empty.parquet"


def active_files(settings: Settings) -> dict[str, list[Path]]:
    """Collection → files of accepted, not superseded deliveries, in a fixed order; never an empty list.

    A collection without any has its `_empty.parquet`, which is written here when it is missing or out of date.
    """
    write_empty_files(settings)
    active = ledger.read(settings).filter(pl.col("status") == "accepted").select("delivery_id").unique()
    derived = (
        ledger.read(settings, "ledger_collection")
        .join(active, on="delivery_id", how="semi")
        .filter(pl.col("accepted_count") > 0)
        .select("collection", "delivery_id")
        .unique()
        .sort("collection", "delivery_id")
    )
    files: dict[str, list[Path]] = {name: [] for name in collections()}
    for collection, delivery_id in derived.iter_rows():
        if collection in files:
            files[collection].append(accepted_path(settings, collection, delivery_id))
    return {name: paths or [empty_path(settings, name)] for name, paths in files.items()}


def files_with_records(settings: Settings) -> list[str]:
    """The active files of every collection whose rows have a record_key, in a fixed order."""
    return [
        str(path)
        for name, paths in active_files(settings).items()
        if "record_key" in dict(collections()[name].accepted_columns())
        for path in paths
    ]


def write_empty_files(settings: Settings) -> None:
    """Write every collection's typed file without rows, where its columns are not the declared ones yet."""
    for name, collection in collections().items():
        path = empty_path(settings, name)
        wanted = {column: polars_type(kind) for column, kind in collection.accepted_columns()}
        if not path.exists() or dict(pl.read_parquet_schema(path)) != wanted:
            write_parquet(pl.DataFrame(schema=wanted), path)


def create_views(settings: Settings) -> None:
    """(Re)create schema `accepted`, one view a collection over its active files, and schema `registry` over exchange/.

    Opens warehouse.duckdb for writing and closes it.
    """
    files = active_files(settings)
    settings.home.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(settings.warehouse_file)) as con:
        _create_schemas(con)
        for name, collection in collections().items():
            con.execute(_view(f"accepted.{name}", dict(collection.accepted_columns()), files[name]))
        for name, columns in REGISTRY.items():
            path = settings.exchange / f"{name}.parquet"
            con.execute(_view(f"registry.{name}", columns, [path] if path.exists() else []))


def create_empty_views(con: duckdb.DuckDBPyConnection) -> None:
    """Create the same views without rows and without files, for unit tests of models."""
    _create_schemas(con)
    for name, collection in collections().items():
        con.execute(_view(f"accepted.{name}", dict(collection.accepted_columns()), []))
    for name, columns in REGISTRY.items():
        con.execute(_view(f"registry.{name}", columns, []))


def _create_schemas(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("CREATE SCHEMA IF NOT EXISTS accepted; CREATE SCHEMA IF NOT EXISTS registry")


def _view(name: str, columns: dict[str, str], files: list[Path]) -> str:
    if not files:
        selected = ", ".join(f'CAST(NULL AS {kind}) AS "{column}"' for column, kind in columns.items())
        return f"CREATE OR REPLACE VIEW {name} AS SELECT {selected} WHERE false"
    # A file written by an earlier version lacks columns that came since; the next identity run writes it anew.
    present = set(pl.read_parquet_schema(files[0]))
    selected = ", ".join(
        f'CAST("{column}" AS {kind}) AS "{column}"' if column in present else f'CAST(NULL AS {kind}) AS "{column}"'
        for column, kind in columns.items()
    )
    listed = ", ".join("'" + str(path).replace("'", "''") + "'" for path in files)
    return f"CREATE OR REPLACE VIEW {name} AS SELECT {selected} FROM read_parquet([{listed}], union_by_name = false)"


def polars_type(kind: str) -> pl.DataType | type[pl.DataType]:
    """The Polars type in which a column declared with a DuckDB type is written."""
    simple = {
        "TEXT": pl.String,
        "VARCHAR": pl.String,
        "INTEGER": pl.Int32,
        "BIGINT": pl.Int64,
        "DATE": pl.Date,
        "BOOLEAN": pl.Boolean,
        "DOUBLE": pl.Float64,
    }
    if kind.upper().startswith("DECIMAL"):
        precision, scale = kind[kind.index("(") + 1 : kind.index(")")].split(",")
        return pl.Decimal(int(precision), int(scale))
    return simple[kind.upper()]()
