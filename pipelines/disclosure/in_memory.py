"""DuckDB for exact counts and records of people, which may not touch the disk in clear.

What belongs here: a database in memory without a folder to spill to, names and texts as SQL writes them. What does not:
what is asked of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from pipelines.errors import P20wError


@contextmanager
def in_memory(work: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database. work: what it is for, in words. Errors: P20wError where memory does not suffice."""
    try:
        with duckdb.connect(config={"temp_directory": ""}) as con:
            yield con
    except duckdb.OutOfMemoryException:
        raise P20wError(
            f"There is not enough memory to {work}. What is exact is never spilled to disk: run it again where more "
            "memory is free."
        ) from None


def quoted(column: str) -> str:
    """A column's name in SQL, whatever it is."""
    return '"' + column.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A text in SQL, whatever it is."""
    return "'" + value.replace("'", "''") + "'"
