"""The declared functions a layout may put between a source's text and an element's text.

What belongs here: text in, text out, one Polars expression each; nulls stay null. What does not: types and checks
(`schemas/collection.py`) and code crosswalks (the warehouse's staging).

A value a function cannot read becomes UNREADABLE, which no type accepts, so that the row fails by its rule. It is never
passed on as it was: a date in another order than the declared one must not slip through.
"""

from __future__ import annotations

import polars as pl

from pipelines.errors import P20wError

UNREADABLE = "?"


def blank_to_null(column: pl.Expr) -> pl.Expr:
    """Trimmed text; null where nothing is left."""
    stripped = column.str.strip_chars()
    return pl.when(stripped != "").then(stripped)


def _or_unreadable(column: pl.Expr, result: pl.Expr) -> pl.Expr:
    return pl.when(column.is_null()).then(None).when(result.is_null()).then(pl.lit(UNREADABLE)).otherwise(result)


def _parsed(column: pl.Expr, pattern: str) -> pl.Expr:
    """A date; a pattern without a day means the first of the month. Years before 1000 are slips of the pen."""
    if "%d" not in pattern:
        column, pattern = pl.lit("01 ") + column, f"%d {pattern}"
    date = column.str.to_date(pattern, strict=False)
    return pl.when(date.dt.year() >= 1000).then(date)


def _date(column: pl.Expr, pattern: str) -> pl.Expr:
    return _or_unreadable(column, _parsed(column, pattern).dt.to_string("%Y-%m-%d"))


def _month(column: pl.Expr, pattern: str) -> pl.Expr:
    return _or_unreadable(column, _parsed(column, pattern).dt.to_string("%Y-%m"))


def _map_school_year(column: pl.Expr, _: str) -> pl.Expr:
    """`2021-2022`, `2021-22` or `2022` → `2022`."""
    pair = column.str.extract_groups(r"^(\d{4})\D(\d{2}|\d{4})$")
    first = pair.struct.field("1").cast(pl.Int32, strict=False)
    second = pair.struct.field("2")
    spring = first + 1
    agrees = spring.cast(pl.String).str.ends_with(second)
    single = column.str.extract(r"^(\d{4})$")
    return _or_unreadable(column, pl.coalesce(single, pl.when(agrees).then(spring.cast(pl.String))))


def _school_year_of_date(column: pl.Expr, _: str) -> pl.Expr:
    """`2021-08-30` → `2022`: the July–June year that holds the date."""
    date = column.str.to_date("%Y-%m-%d", strict=False)
    year = date.dt.year() + (date.dt.month() >= 7).cast(pl.Int32)
    return _or_unreadable(column, year.cast(pl.String))


def _bool(column: pl.Expr, argument: str) -> pl.Expr:
    """`Y:N` or `Yes,Y:No,N` → true or false; without a second part everything else is false."""
    yes, _, no = argument.partition(":")
    result = pl.when(column.is_in(yes.split(","))).then(pl.lit("true"))
    if not no:
        return pl.when(column.is_null()).then(None).otherwise(pl.coalesce(result, pl.lit("false")))
    return _or_unreadable(column, result.when(column.is_in(no.split(","))).then(pl.lit("false")))


def _slice(column: pl.Expr, argument: str) -> pl.Expr:
    """`a:b`: characters from a (counted from 0) up to and without b."""
    start, _, end = argument.partition(":")
    return column.str.slice(int(start), int(end) - int(start) if end else None)


def _after(column: pl.Expr, mark: str) -> pl.Expr:
    return column.str.split(mark).list.last()


def _word(column: pl.Expr, number: str) -> pl.Expr:
    return column.str.split(" ").list.get(int(number) - 1, null_on_oob=True)


def _replace(column: pl.Expr, argument: str) -> pl.Expr:
    old, _, new = argument.partition(":")
    return column.str.replace_all(old, new, literal=True)


def _blank(column: pl.Expr, values: str) -> pl.Expr:
    return pl.when(~column.is_in(values.split(","))).then(column)


FUNCTIONS = {
    "date": _date,
    "month": _month,
    "map_school_year": _map_school_year,
    "school_year_of_date": _school_year_of_date,
    "bool": _bool,
    "exists": lambda column, _: pl.when(column.is_null()).then(pl.lit("false")).otherwise(pl.lit("true")),
    "slice": _slice,
    "after": _after,
    "word": _word,
    "replace": _replace,
    "blank": _blank,
    "digits": lambda column, _: column.str.replace_all(r"\D", ""),
    "zfill": lambda column, width: column.str.zfill(int(width)),
    "lower": lambda column, _: column.str.to_lowercase(),
    "upper": lambda column, _: column.str.to_uppercase(),
    "strip": lambda column, _: column.str.strip_chars(),
}


def apply(column: pl.Expr, chain: str) -> pl.Expr:
    """Put a `;`-chain of functions over a text column; blanks are null before, between and after.

    Raises ValueError naming a function that is not declared here.
    """
    column = blank_to_null(column)
    for step in filter(None, chain.split(";")):
        name, _, argument = step.strip().partition(":")
        if name not in FUNCTIONS:
            raise P20wError(f"layout.csv asks for the transform {name}; there are {', '.join(sorted(FUNCTIONS))}.")
        column = blank_to_null(FUNCTIONS[name](column, argument))
    return column
