"""Parquet files: columns by name, every value as text, so that all formats pass the same casts.

What belongs here: reading columns. What does not: what they mean (layouts).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from pipelines.intake.readers.layouts import Entry, Extract, UnreadableFile, flat_parts, used_positions


def read(path: Path, file_entries: list[Entry]) -> Extract:
    """Read a Parquet file. Dates become YYYY-MM-DD. Raises UnreadableFile when it is no Parquet or lacks a column."""
    try:
        headers = list(pl.read_parquet_schema(path))
        used = used_positions(headers, file_entries, path.name)
        table = pl.read_parquet(path, columns=[headers[place] for place in used])
    except (pl.exceptions.PolarsError, OSError):
        raise UnreadableFile(
            f"{path.name} is refused: it cannot be read as Parquet. Write and send it again."
        ) from None
    text = table.select(pl.col(headers[place]).cast(pl.String).alias(f"c{place}") for place in used)
    parts, matched = flat_parts(text.with_row_index("source_row", offset=1), headers, file_entries, path.name)
    return Extract(len(table), matched, parts, [h for place, h in enumerate(headers) if place not in used])


def count(path: Path) -> int:
    """Rows of a Parquet file that nobody collects."""
    return pl.scan_parquet(path).select(pl.len()).collect().item()
