"""Delimited text files, in the encoding and with the delimiter their package declares; nothing is guessed.

What belongs here: telling a file apart into columns. What does not: what the columns mean (layouts).
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import polars as pl

from pipelines.intake.readers.layouts import Entry, Extract, UnreadableFile, flat_parts, used_positions

TOO_WIDE = "This line has more filled fields than the file has headers, so that its columns cannot be told apart."


def read(path: Path, file_entries: list[Entry]) -> Extract:
    """Read a delimited file with one header line; all of its entries share encoding and delimiter.

    A record is a line that is not empty. Raises UnreadableFile for a wrong encoding or a missing required header.
    """
    encoding, delimiter = file_entries[0].encoding, file_entries[0].delimiter
    headers = _headers(path, encoding, delimiter)
    used = used_positions(headers, file_entries, path.name)
    table, broken = _table(path, encoding, delimiter, len(headers), used)
    parts, matched = flat_parts(table, headers, file_entries, path.name)
    unmapped = [header for place, header in enumerate(headers) if header and place not in used]
    return Extract(len(table), matched, parts, unmapped, broken)


def count(path: Path, encoding: str = "utf-8", delimiter: str = ",") -> int:
    """Records of a delimited file that nobody collects: lines after the header that are not empty."""
    with path.open(encoding=encoding, errors="replace", newline="") as handle:
        return max(sum(1 for row in csv.reader(handle, delimiter=delimiter) if row) - 1, 0)


def _undecodable(path: Path, encoding: str) -> UnreadableFile:
    return UnreadableFile(
        f"{path.name} is refused: it is not written in the declared encoding {encoding}. Save it in that encoding and "
        "send it again, or ask for another encoding to be declared."
    )


def _headers(path: Path, encoding: str, delimiter: str) -> list[str]:
    try:
        with path.open(encoding=encoding, newline="") as handle:
            row = next(csv.reader(handle, delimiter=delimiter), [])
    except (UnicodeDecodeError, csv.Error):
        raise _undecodable(path, encoding) from None
    return [header.strip() for header in row]


def _table(
    path: Path, encoding: str, delimiter: str, width: int, used: list[int]
) -> tuple[pl.DataFrame, dict[int, str]]:
    """Columns `c<position>` of the used positions as text, with `source_row` counted from 1."""
    line_count = _check_encoding(path, encoding)
    if _is_utf8(encoding):
        source: Path | io.BytesIO = path
    else:
        source = io.BytesIO(path.read_bytes().decode(encoding).encode("utf-8"))
    schema = {f"c{place}": pl.String for place in range(width)}
    try:
        table = (
            pl.scan_csv(source, has_header=False, skip_lines=1, separator=delimiter, schema=schema, infer_schema=False)
            .select(
                *[f"c{place}" for place in used],
                pl.all_horizontal(pl.all().is_null()).alias("is_empty"),
            )
            .collect()
        )
    except pl.exceptions.PolarsError:
        # Lines of unequal width: the careful way names each one that cannot be told apart.
        return _careful_table(path, encoding, delimiter, width, used)
    if len(table) != line_count - 1 or table["is_empty"].any():
        # Line ends inside quotation marks, or a mark that never closes, or empty lines.
        return _careful_table(path, encoding, delimiter, width, used)
    return table.drop("is_empty").with_row_index("source_row", offset=1), {}


def _careful_table(
    path: Path, encoding: str, delimiter: str, width: int, used: list[int]
) -> tuple[pl.DataFrame, dict[int, str]]:
    columns: dict[int, list[str | None]] = {place: [] for place in used}
    broken: dict[int, str] = {}
    records = 0
    with path.open(encoding=encoding, newline="") as handle:
        lines = csv.reader(handle, delimiter=delimiter, strict=True)
        try:
            next(lines, None)
            for row in lines:
                if not row:
                    continue
                records += 1
                if any(cell.strip() for cell in row[width:]):
                    broken[records] = TOO_WIDE
                    row = []
                for place, column in columns.items():
                    column.append(row[place] if place < len(row) else None)
        except csv.Error:
            raise UnreadableFile(
                f"{path.name} is refused: a quotation mark near line {lines.line_num} is not closed, so that the "
                "records after it cannot be told apart. Close or double it and send the file again."
            ) from None
    table = pl.DataFrame(
        {f"c{place}": column for place, column in columns.items()},
        schema={f"c{place}": pl.String for place in used},
    )
    if not used:
        table = pl.DataFrame({"source_row": range(1, records + 1)}, schema={"source_row": pl.UInt32})
        return table, broken
    return table.with_row_index("source_row", offset=1), broken


def _is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("_", "-") in ("utf-8", "utf-8-sig", "utf8", "ascii")


def _check_encoding(path: Path, encoding: str) -> int:
    """Number of lines. Every byte is decoded once: the columnar reader skips over the columns that it does not read."""
    lines, last = 0, ""
    try:
        with path.open(encoding=encoding, newline="") as handle:
            while text := handle.read(1 << 22):
                lines += text.count("\n")
                last = text[-1]
    except UnicodeDecodeError:
        raise _undecodable(path, encoding) from None
    return lines + (last not in ("", "\n"))
