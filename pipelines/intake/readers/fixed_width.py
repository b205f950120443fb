"""Fixed-width text: one record a line, each element at `start-length`, counted from 1.

What belongs here: cutting lines. What does not: what the pieces mean (layouts).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from pipelines.intake.readers.layouts import Entry, Extract, UnreadableFile
from schemas.elements import ELEMENTS

LINES_AT_ONCE = 200_000


def read(path: Path, file_entries: list[Entry]) -> Extract:
    """Cut a fixed-width file; a record is a line that is not blank.

    A line that ends inside a number or a date gives a blank there, because a number without its last digits is
    another number; text that lost only trailing blanks is kept. The record filter names a place as `start-length`.
    Raises UnreadableFile for a wrong encoding.
    """
    cuts = {
        id(entry): [(line.element, *_place(line.source)) for line in entry.lines if line.constant is None]
        for entry in file_entries
    }
    pieces: dict[int, list[pl.DataFrame]] = {id(entry): [] for entry in file_entries}
    records, matched = 0, 0
    for lines in _chunks(path, file_entries[0].encoding):
        table = pl.DataFrame({"line": lines}, schema={"line": pl.String}).with_row_index("source_row", records + 1)
        records += len(table)
        rows_matched = []
        for entry in file_entries:
            rows = table
            if entry.record_filter:
                start, length = _place(entry.filter_column)
                rows = table.filter(entry.filter_expression(pl.col("line").str.slice(start - 1, length)))
            rows_matched.append(rows["source_row"])
            pieces[id(entry)].append(rows.select("source_row", *[_cut(*cut) for cut in cuts[id(entry)]]))
        matched += pl.concat(rows_matched).n_unique()
    parts = []
    for entry in file_entries:
        empty = pl.DataFrame(
            schema={"source_row": pl.UInt32, **{element: pl.String for element, _, _ in cuts[id(entry)]}}
        )
        parts.append((entry, pl.concat([empty, *pieces[id(entry)]])))
    return Extract(records, matched, parts)


def count(path: Path, encoding: str = "utf-8") -> int:
    """Lines of a text file that nobody collects and that are not blank."""
    with path.open(encoding=encoding, errors="replace") as handle:
        return sum(1 for line in handle if line.strip())


def _place(source: str) -> tuple[int, int]:
    start, _, length = source.partition("-")
    return int(start), int(length)


def _cut(element: str, start: int, length: int) -> pl.Expr:
    piece = pl.col("line").str.slice(start - 1, length)
    if ELEMENTS[element].dtype != "text":
        is_whole = pl.col("line").str.len_chars() >= start + length - 1
        piece = pl.when(is_whole).then(piece)
    return piece.alias(element)


def _chunks(path: Path, encoding: str) -> Iterator[list[str]]:
    try:
        with path.open(encoding=encoding, newline=None) as handle:
            chunk: list[str] = []
            for line in handle:
                if not line.strip():
                    continue
                chunk.append(line.rstrip("\r\n"))
                if len(chunk) == LINES_AT_ONCE:
                    yield chunk
                    chunk = []
            if chunk:
                yield chunk
    except UnicodeDecodeError:
        raise UnreadableFile(
            f"{path.name} is refused: it is not written in the declared encoding {encoding}. Save it in that encoding "
            "and send it again, or ask for another encoding to be declared."
        ) from None
