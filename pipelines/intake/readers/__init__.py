"""Readers: a file of a package in, the text of its collections out.

What belongs here: one module per format and the layouts they share. What does not: types and rules
(`schemas/collection.py`), quarantine, ledger and identity (the rest of `pipelines/intake`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.intake.readers import csv_file, fixed_width, parquet_file, xml_file
from pipelines.intake.readers.layouts import Entry, Extract, UnreadableFile, entries_for, to_collection
from pipelines.settings import Settings

__all__ = ["FileContent", "UnreadableFile", "count_records", "read_file"]

READERS: dict[str, Callable[[Path, list[Entry]], Extract]] = {
    "csv": csv_file.read,
    "parquet": parquet_file.read,
    "fixed_width": fixed_width.read,
    "xml": xml_file.read,
}


@dataclass(frozen=True)
class FileContent:
    """One file, read.

    `record_count`: source records of the file. `not_collected_count`: those that no collection takes.
    `tables`: collection → text columns (all its elements in order, null when blank) and `source_row`, the number of
    the record in the file from 1; several rows may come from one record. `unmapped_columns`: headers (for XML:
    elements below the root) that no layout reads. `broken_rows`: source_row → sentence for records whose columns
    cannot be told apart; their cells are blank, so that they also fail as missing.
    """

    file_name: str
    record_count: int
    not_collected_count: int
    tables: dict[str, pl.DataFrame]
    unmapped_columns: list[str]
    broken_rows: dict[int, str]


def read_file(path: Path, package: str, submitter: str, period: str, settings: Settings) -> FileContent:
    """Read one file of a delivery as its package declares it.

    A file that the package does not collect gives no tables, and all of its records count as not collected.
    `submitter` and `period` name the delivery for error sentences. Raises UnreadableFile when the file as a whole
    is refused: wrong encoding, a required header missing, not well formed.
    """
    path = Path(path)
    file_entries = entries_for(package, path.name, settings.seeds)
    if not file_entries:
        records = count_records(path)
        return FileContent(path.name, records, records, {}, [], {})
    try:
        extract = READERS[file_entries[0].format](path, file_entries)
    except UnreadableFile as refused:
        raise UnreadableFile(f"{submitter}, {package}, {period}: {refused}") from None
    tables: dict[str, list[pl.DataFrame]] = {}
    for entry, part in extract.parts:
        tables.setdefault(entry.collection.name, []).append(to_collection(entry, part))
    return FileContent(
        file_name=path.name,
        record_count=extract.record_count,
        not_collected_count=extract.record_count - extract.matched,
        tables={name: pl.concat(parts) for name, parts in tables.items()},
        unmapped_columns=extract.unmapped_columns,
        broken_rows=extract.broken_rows,
    )


def count_records(path: Path) -> int:
    """Source records of a file that nobody collects, by its ending; a file of an unknown kind is one record."""
    kind = path.suffix.lower()
    try:
        if kind == ".csv":
            return csv_file.count(path)
        if kind == ".parquet":
            return parquet_file.count(path)
        if kind == ".xml":
            return xml_file.count(path)
        if kind in (".txt", ".dat"):
            return fixed_width.count(path)
    except (UnreadableFile, pl.exceptions.PolarsError, OSError, UnicodeDecodeError):
        return 1
    return 1
