"""What an agency runs that may not send identifiers: its file in, the same file with tokens in their place out.

What belongs here: the column map, the file's columns and what is told of it. What does not: the keys and the hashing
(tokens.py) and taking such a file in (pipelines/intake). Nothing here prints or keeps a value of the file.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import yaml

from pipelines.errors import P20wError
from pipelines.identity.tokens import (
    CHUNK_ROWS,
    TokenKey,
    check_value,
    hashed,
    normal_forms,
    read_token_key,
    rules_value,
    token_keys,
)
from pipelines.settings import Settings
from schemas.elements import ELEMENTS, TOKEN_PREFIX, read_rows

ROLES = (
    "student_id_state",
    "local_id",
    "ssn",
    "given_name",
    "middle_name",
    "surname",
    "name_suffix",
    "birth_date",
    "postal_code",
)
# Part of a key -> roles of which it is made.
ROLES_OF_PART = {
    "given_root": {"given_name"},
    "surname_token": {"surname"},
    "middle_initial": {"middle_name"},
}
OPTIONS = ("birth_date_format", "remove", "keep", "encoding", "delimiter")


@dataclass(frozen=True)
class TokenMap:
    """Columns by role, best first: the first filled one counts, none of them is sent.

    remove: further columns that are not sent. keep: columns that look like identifiers and are sent as they are.
    birth_date_format: as strptime writes it. encoding and delimiter: of a CSV file.
    """

    columns: dict[str, tuple[str, ...]]
    birth_date_format: str = "%Y-%m-%d"
    remove: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    encoding: str = "utf-8"
    delimiter: str = ","


@dataclass(frozen=True)
class TokenReport:
    """What was done: rows, rows with a token by key, columns taken out, birth dates that could not be read."""

    rows: int
    filled: dict[str, int]
    removed: tuple[str, ...]
    unread_dates: int
    check_value: str
    rules: str
    without: int

    def as_text(self) -> str:
        """Sentences without any value of the file."""
        lines = [f"{self.rows} rows. Taken out: {', '.join(self.removed)}. Rows with a token, by key:"]
        lines += [f"  {TOKEN_PREFIX}{name}: {count}" for name, count in self.filled.items()]
        lines.append(f"{self.without} rows have no token: they can be counted but not linked.")
        if self.unread_dates:
            lines.append(
                f"{self.unread_dates} birth dates are not written as birth_date_format says and gave no token."
            )
        lines.append(
            f"Check value of the key {self.check_value}, of the rules {self.rules}: ask the state on the telephone "
            "whether it has the same. Never send the key with the file, nor by e-mail."
        )
        return "\n".join(lines)


def read_token_map(path: Path) -> TokenMap:
    """Read a map from a YAML file; every mistake is a sentence that names the entry. Raises P20wError."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise P20wError(f"There is no column map {path}. Give the path of a YAML file with --columns.") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise P20wError(f"The column map {path.name} is not YAML in UTF-8.") from None
    if not isinstance(content, dict):
        raise P20wError(f"The column map {path.name} must say `role: column` line by line, such as `ssn: SSN`.")
    unknown = sorted(set(map(str, content)) - {*ROLES, *OPTIONS})
    if unknown:
        raise P20wError(
            f"The column map {path.name} names roles that are not known: {', '.join(unknown)}. Known are: "
            f"{', '.join((*ROLES, *OPTIONS))}."
        )
    columns = {role: _listed(content[role]) for role in ROLES if content.get(role) is not None}
    if not columns:
        raise P20wError(f"The column map {path.name} names no identifier, such as `surname: LAST_NM`.")
    options = {name: content[name] for name in OPTIONS if content.get(name) is not None}
    for name in ("remove", "keep"):
        options[name] = _listed(options.get(name, []))
    return TokenMap(columns, **options)


def _listed(value: object) -> tuple[str, ...]:
    return tuple(str(each).strip() for each in (value if isinstance(value, list) else [value]))


def make_tokens(
    settings: Settings, file: Path, columns: Path, key_file: Path, out: Path, as_of: date | None = None
) -> TokenReport:
    """Write `out`: the rows of `file` in their order, its other columns as they are, then one column a key.

    A CSV file keeps its encoding and delimiter; a file that ends in .parquet is Parquet. A cell holds the row's tokens
    of that key with a space between two, and is blank where a part is missing, a placeholder or no valid number.
    Raises P20wError, before anything is written, for a mapped column that is not there, a column left over that some
    layout declares as an identifier, a birth_date_format that fits no date, and a key that is too short.
    """
    key, meaning = read_token_key(key_file), read_token_map(columns)
    table = _read(file, meaning)
    given = [name for names in meaning.columns.values() for name in names]
    absent = [name for name in (*given, *meaning.remove, *meaning.keep) if name not in table.columns]
    if absent:
        raise P20wError(f"{file.name} has no column {', '.join(absent)}. Correct the map {columns.name}.")
    removed = tuple(dict.fromkeys((*given, *meaning.remove)))
    left = [name for name in table.columns if name not in removed]
    suspects = sorted(set(left) & _identifier_headers(settings) - set(meaning.keep))
    if suspects:
        raise P20wError(
            f"{file.name} would still have {', '.join(suspects)}, which a layout declares as an identifier. Map it, "
            f"list it under remove, or under keep if it names no person, in {columns.name}."
        )
    policy = token_keys(settings.seeds, as_of or date.today())
    keys = [each for each in policy if _can_be_made(each, meaning)]
    rows, unread = _identifiers(table, meaning, file.name)
    forms = normal_forms(settings)
    filled, without = dict.fromkeys((each.key_name for each in keys), 0), []

    def parts() -> Iterator[pl.DataFrame]:
        # Nothing may spill to disk in clear: this machine's database has no folder to do so.
        with duckdb.connect(config={"temp_directory": ""}) as con:
            for start in range(0, max(table.height, 1), CHUNK_ROWS):
                chunk = rows.slice(start, CHUNK_ROWS)
                made = _columns(chunk["record_key"], hashed(con, chunk, forms, keys, key), keys)
                for name in filled:
                    filled[name] += made.height - made[f"{TOKEN_PREFIX}{name}"].null_count()
                without.append(made.filter(pl.all_horizontal(pl.all().is_null())).height)
                yield pl.concat([table.select(left).slice(start, CHUNK_ROWS), made], how="horizontal")

    _write(parts(), out, meaning)
    return TokenReport(
        rows=table.height,
        filled=filled,
        removed=removed,
        unread_dates=unread,
        check_value=check_value(key),
        rules=rules_value(forms, policy),
        without=sum(without),
    )


def _columns(record_keys: pl.Series, found: pl.DataFrame, keys: list[TokenKey]) -> pl.DataFrame:
    """One column a key with the tokens of each row, in the order of `record_keys`."""
    made = pl.DataFrame({"record_key": record_keys})
    for each in keys:
        name = f"{TOKEN_PREFIX}{each.key_name}"
        own = found.filter(pl.col("key_name") == each.key_name).select(
            "record_key", pl.col("token").bin.encode("hex").alias(name)
        )
        if own["record_key"].is_duplicated().any():
            own = own.group_by("record_key").agg(pl.col(name).sort().str.join(" "))
        made = made.join(own, on="record_key", how="left", maintain_order="left")
    return made.drop("record_key")


def _can_be_made(key: TokenKey, meaning: TokenMap) -> bool:
    return all(ROLES_OF_PART.get(part, {part}) <= set(meaning.columns) for part in key.parts)


def _identifier_headers(settings: Settings) -> set[str]:
    """Headers under which any layout looks for a direct identifier."""
    return {
        header.strip()
        for row in read_rows(settings.seeds / "crosswalks" / "layout.csv")
        if ELEMENTS[row["element"]].is_direct and not row["source"].startswith("=")
        for header in row["source"].split("|")
    }


def _identifiers(table: pl.DataFrame, meaning: TokenMap, name: str) -> tuple[pl.DataFrame, int]:
    """The mapped columns by role, with the row number from 0 as record_key; and the number of dates not read."""

    def first_filled(columns: tuple[str, ...]) -> pl.Expr:
        return pl.coalesce(pl.col(each).cast(pl.String).str.strip_chars().replace("", None) for each in columns)

    rows = table.select(first_filled(each).alias(role) for role, each in meaning.columns.items())
    unread = 0
    if "birth_date" in meaning.columns:
        written = rows["birth_date"]
        read = written.str.to_date(meaning.birth_date_format, strict=False)
        unread = read.null_count() - written.null_count()
        if unread and read.null_count() == len(read):
            raise P20wError(
                f"No birth date of {name} is written as {meaning.birth_date_format}. Give birth_date_format in the "
                "map, such as '%m%d%Y'."
            )
        rows = rows.with_columns(birth_date=read)
    return rows.with_row_index("record_key").with_columns(pl.col("record_key").cast(pl.Int64)), unread


def _read(file: Path, meaning: TokenMap) -> pl.DataFrame:
    """The file's cells; of CSV all as text."""
    if not file.exists():
        raise P20wError(f"There is no file {file}.")
    try:
        if file.suffix.lower() == ".parquet":
            return pl.read_parquet(file)
        text = file.read_bytes().decode(meaning.encoding).encode("utf-8")
        return pl.read_csv(io.BytesIO(text), separator=meaning.delimiter, infer_schema=False)
    except (pl.exceptions.PolarsError, UnicodeDecodeError, LookupError):
        # Their words may quote a row.
        raise P20wError(
            f"{file.name} cannot be read as CSV in {meaning.encoding} with the delimiter {meaning.delimiter!r} (or as "
            "Parquet, if its name ends so). Give encoding and delimiter in the map."
        ) from None


def _write(parts: Iterable[pl.DataFrame], out: Path, meaning: TokenMap) -> None:
    """Write under another name and rename, so that no half file is ever sent."""
    partial = out.with_name(f".{out.name}.partial")
    if out.suffix.lower() == ".parquet":
        pl.concat(parts).write_parquet(partial)
    else:
        with partial.open("wb") as handle:
            for place, part in enumerate(parts):
                text = part.write_csv(separator=meaning.delimiter, include_header=place == 0)
                handle.write(text.encode(meaning.encoding))
    os.replace(partial, out)
