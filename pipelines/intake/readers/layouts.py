"""Packages and layouts as declared in the seeds, and what all formats share when they use them.

What belongs here: reading `registers/package.csv` and `crosswalks/layout.csv`, finding declared headers among those of
a file, and turning raw text columns into a collection's text columns. What does not: any file format.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import polars as pl

from pipelines.errors import P20wError
from pipelines.intake.packages import TOKENS, declared_form
from pipelines.intake.readers import transforms
from schemas import Collection, collections
from schemas.elements import TOKEN_PREFIX, read_rows

FORMATS = ("csv", "parquet", "fixed_width", "xml")


class UnreadableFile(Exception):
    """The whole file is refused. The sentence is for the submitter and holds no value of the file."""


@dataclass(frozen=True)
class Line:
    """One line of a layout: where an element's text comes from."""

    element: str
    source: str
    transform: str

    @property
    def constant(self) -> str | None:
        return self.source[1:] if self.source.startswith("=") else None

    @property
    def alternatives(self) -> list[str]:
        """Header aliases or XML paths, best first."""
        return [] if self.constant is not None else [part.strip() for part in self.source.split("|")]


@dataclass(frozen=True)
class Entry:
    """One row of the package register with its layout: a kind of file that feeds a collection."""

    package: str
    title: str
    sector: str
    collection: Collection
    file_pattern: str
    format: str
    layout: str
    encoding: str
    delimiter: str
    record_elements: tuple[str, ...]
    record_filter: str
    load: str
    lines: tuple[Line, ...]
    # Headers of identifiers that this package sends as tokens: a file that has one is refused.
    withheld_headers: frozenset[str] = frozenset()

    def required_elements(self) -> set[str]:
        """Elements whose column a file must have."""
        return {field.element for field in self.collection.fields if field.required}

    @property
    def filter_column(self) -> str | None:
        return self._filter()[0] if self.record_filter else None

    def filter_expression(self, column: pl.Expr) -> pl.Expr:
        """True where a record belongs to this entry; `column` is the raw text of `filter_column`."""
        _, is_equal, value = self._filter()
        text = column.str.strip_chars().fill_null("")
        return text == value if is_equal else text != value

    def _filter(self) -> tuple[str, bool, str]:
        if "!=" in self.record_filter:
            header, _, value = self.record_filter.partition("!=")
            return header.strip(), False, value.strip()
        header, _, value = self.record_filter.partition("=")
        return header.strip(), True, value.strip()


@dataclass
class Extract:
    """What a format reader hands back.

    `parts`: per entry a table with `source_row` and one text column per element that the layout takes from the file
    (already filtered, not yet transformed). `matched`: number of records that belong to at least one entry.
    `broken_rows`: source_row → sentence for records that cannot be told apart into columns; their cells are blank.
    """

    record_count: int
    matched: int
    parts: list[tuple[Entry, pl.DataFrame]]
    unmapped_columns: list[str] = field(default_factory=list)
    broken_rows: dict[int, str] = field(default_factory=dict)


def entries(seeds: Path) -> list[Entry]:
    """Every row of the package register. Raises ValueError for an unknown format, collection, element or layout."""
    files = (seeds / "registers" / "package.csv", seeds / "crosswalks" / "layout.csv")
    return list(_entries(seeds, tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in files)))


@lru_cache(maxsize=4)
def _entries(seeds: Path, _edition: tuple) -> tuple[Entry, ...]:
    """The register as it stands; a file edited since is another edition and read again."""
    layouts: dict[str, list[Line]] = {}
    for row in read_rows(seeds / "crosswalks" / "layout.csv"):
        layouts.setdefault(row["layout"], []).append(Line(row["element"], row["source"], row["transform"]))
    known = collections()
    found = []
    for row in read_rows(seeds / "registers" / "package.csv"):
        where = f"package.csv, package {row['package']}, file {row['file_pattern']}"
        if row["format"] not in FORMATS:
            raise P20wError(f"{where}: format {row['format']} is none of {', '.join(FORMATS)}.")
        if row["collection"] not in known:
            raise P20wError(f"{where}: there is no collection {row['collection']}.")
        if row["layout"] not in layouts:
            raise P20wError(f"{where}: layout.csv has no layout {row['layout']}.")
        collection, lines, withheld_headers = known[row["collection"]], layouts[row["layout"]], frozenset()
        strangers = [line.element for line in lines if line.element not in collection.columns]
        if strangers:
            raise P20wError(f"layout.csv, layout {row['layout']}: {collection.name} has no {', '.join(strangers)}.")
        if row["identifiers"] == TOKENS:
            if row["format"] not in ("csv", "parquet"):
                raise P20wError(f"{where}: tokens come in a file of format csv or parquet, not {row['format']}.")
            withheld = collection.withheld_columns()
            withheld_headers = frozenset(
                name for each in lines if each.element in withheld for name in each.alternatives
            )
            lines = [line for line in lines if line.element not in withheld]
        collection = declared_form(collection, row["identifiers"], row["package"])
        lines = lines + [Line(name, name, "") for name in collection.columns if name.startswith(TOKEN_PREFIX)]
        found.append(
            Entry(
                package=row["package"],
                title=row["title"],
                sector=row["sector"],
                collection=collection,
                file_pattern=row["file_pattern"],
                format=row["format"],
                layout=row["layout"],
                encoding=row["encoding"] or "utf-8",
                delimiter=row["delimiter"] or ",",
                record_elements=tuple(part.strip() for part in row["record_element"].split("|") if part.strip()),
                record_filter=row["record_filter"],
                load=row["load"],
                lines=tuple(lines),
                withheld_headers=withheld_headers,
            )
        )
    return tuple(found)


def entries_for(package: str, file_name: str, seeds: Path) -> list[Entry]:
    """The entries a file of a package feeds; empty when the package does not collect it."""
    return [
        entry
        for entry in entries(seeds)
        if entry.package == package and fnmatch.fnmatchcase(file_name.lower(), entry.file_pattern.lower())
    ]


def resolve_headers(entry: Entry, headers: list[str], file_name: str) -> dict[str, int]:
    """Element → position of its header among a file's headers.

    Raises UnreadableFile when the header of a required element, or of the record filter, is missing or stands twice.
    The sentence repeats only declared names: the first line of a file without headers is a person's record.
    Raises it too where a package that sends tokens has the header of an identifier.
    """
    told = sorted(entry.withheld_headers.intersection(headers))
    if told:
        raise UnreadableFile(
            f"{file_name} is refused: it has the columns {', '.join(told)}, but package {entry.package} sends tokens "
            "in place of identifiers. Make the file with `p20w tokens make`, send that, and have this one destroyed."
        )
    positions: dict[str, list[int]] = {}
    for position, header in enumerate(headers):
        positions.setdefault(header, []).append(position)
    required = entry.required_elements()
    found, missing = {}, []
    wanted = [(line.element, line.alternatives) for line in entry.lines if line.constant is None]
    for element, aliases in wanted + [(None, [entry.filter_column])] * bool(entry.record_filter):
        places = [place for alias in aliases for place in positions.get(alias, [])]
        if len(places) > 1 and len({headers[place] for place in places}) < len(places):
            raise UnreadableFile(
                f"{file_name} has the header {headers[places[0]]} more than once. Send each column once."
            )
        if places:
            found[element] = places[0]
        elif element is None or element in required:
            missing.append(" or ".join(aliases) + (f" (for {element})" if element else ""))
    if missing:
        declared = {alias for line in entry.lines for alias in line.alternatives}
        known = [header for header in headers if header in declared]
        raise UnreadableFile(
            f"{file_name} is refused: the header {'; '.join(missing)} is missing. Of its {len(headers)} columns "
            f"{len(known)} have a declared header{': ' + ', '.join(known) if known else ''}. "
            f"Send the layout {entry.layout} of package {entry.package}, or ask for an alias to be declared."
        )
    return found


def flat_parts(
    table: pl.DataFrame, headers: list[str], file_entries: list[Entry], file_name: str
) -> tuple[list[tuple[Entry, pl.DataFrame]], int]:
    """Parts and number of matched records of a table of raw text columns `c0`, `c1`, … with `source_row`."""
    parts, matched = [], []
    for entry in file_entries:
        places = resolve_headers(entry, headers, file_name)
        rows = table
        if entry.record_filter:
            rows = table.filter(entry.filter_expression(pl.col(f"c{places[None]}")))
        chosen = [pl.col(f"c{place}").alias(element) for element, place in places.items() if element]
        parts.append((entry, rows.select("source_row", *chosen)))
        matched.append(rows["source_row"])
    if any(len(rows) == len(table) for rows in matched):
        return parts, len(table)
    return parts, pl.concat(matched).n_unique() if matched else 0


def used_positions(headers: list[str], file_entries: list[Entry], file_name: str) -> list[int]:
    """Positions of the columns any entry reads, in order."""
    return sorted({place for entry in file_entries for place in resolve_headers(entry, headers, file_name).values()})


def to_collection(entry: Entry, part: pl.DataFrame) -> pl.DataFrame:
    """All elements of the entry's collection as text, transformed, null where blank, with `source_row` last."""
    lines = {line.element: line for line in entry.lines}
    columns = []
    for element in entry.collection.columns:
        line = lines.get(element)
        if line is not None and line.constant is not None:
            column = pl.lit(line.constant, pl.String)
        elif line is not None and element in part.columns:
            column = transforms.apply(pl.col(element).cast(pl.String), line.transform)
        else:
            column = pl.lit(None, pl.String)
        columns.append(column.cast(pl.String).alias(element))
    return part.select(*columns, pl.col("source_row").cast(pl.Int64))
