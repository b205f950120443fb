"""Replacing a table of the schema `protected`, which disclosure control writes and the marts read.

What belongs here: one transaction, so that a reader of the warehouse never sees half a table. What does not: what the
table holds (protect, private.earnings).
"""

from __future__ import annotations

from contextlib import suppress as ignoring

import duckdb
import polars as pl


def replace_table(warehouse: duckdb.DuckDBPyConnection, name: str, rows: pl.DataFrame, query: str) -> None:
    """Make protected.<name> by a query over `given`, the rows. Whatever fails, the table from before stays."""
    warehouse.register("given", rows.to_arrow())
    try:
        warehouse.execute("BEGIN")
        warehouse.execute("CREATE SCHEMA IF NOT EXISTS protected")
        warehouse.execute(f"CREATE OR REPLACE TABLE protected.{name} AS {query}")
        warehouse.execute("COMMIT")
    except duckdb.Error:
        with ignoring(duckdb.Error):
            warehouse.execute("ROLLBACK")
        raise
    finally:
        warehouse.unregister("given")
