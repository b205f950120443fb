"""What a collection is: its grain, key, fields and row rules, and how a table is checked against them.

What belongs here: the shape of a declaration and the checks that follow from it alone.
What does not: reading files (`pipelines/intake/readers`), duplicates and key conflicts (a pass over a whole
delivery, `pipelines/intake`), and anything that needs two collections (dbt tests).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from schemas.elements import ELEMENTS, SEEDS, TOKEN_PREFIX, Element, allowed_codes

if TYPE_CHECKING:
    import pandera.polars as pa

POLARS_TYPES: dict[str, pl.DataType] = {
    "text": pl.String(),
    "integer": pl.Int32(),
    "decimal": pl.Decimal(12, 3),
    "date": pl.Date(),
    "month": pl.String(),
    "boolean": pl.Boolean(),
}

# The words a boolean may be written with once its layout has been applied; anything else fails as a type.
TRUE_WORDS = ("true", "1", "y", "yes")
FALSE_WORDS = ("false", "0", "n", "no")

TYPE_SENTENCES = {
    "integer": "must be a whole number",
    "decimal": "must be a number",
    "date": "must be a date that exists, written or declared so that it reads as YYYY-MM-DD",
    "month": "must be a month written or declared so that it reads as YYYY-MM",
    "boolean": "must be true or false (or 1 or 0, Y or N)",
}

# One row per thing found wrong: `row` counts from 0 in the table given, `source_row` from 1 in the file.
FAILURE_SCHEMA = {
    "row": pl.Int64(),
    "source_row": pl.Int64(),
    "rule_id": pl.String(),
    "columns": pl.String(),
    "message": pl.String(),
}

SYSTEM_COLUMNS = (
    ("submitter", "VARCHAR"),
    ("package", "VARCHAR"),
    ("period", "VARCHAR"),
    ("certification", "VARCHAR"),
    ("delivery_id", "VARCHAR"),
    ("source_row", "BIGINT"),
)

FIRST_BIRTH_DATE = dt.date(1900, 1, 1)

# Of an identifying number that is part of a collection's key: the token that stands for it, by identity field.
NUMBER_TOKENS = {
    name: f"{TOKEN_PREFIX}{token}"
    for name, token in (("student_id_state", "student_id"), ("local_id", "local_id"), ("ssn", "ssn"))
}


@dataclass(frozen=True)
class Field:
    """An element in a collection. `required`: a file must have the column; `nullable`: a value may be blank."""

    element: str
    required: bool = True
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None

    @property
    def definition(self) -> Element:
        return ELEMENTS[self.element]


def optional(*elements: str) -> tuple[Field, ...]:
    """Fields whose column may be absent and whose value may be blank."""
    return tuple(Field(element, required=False, nullable=True) for element in elements)


def required(*elements: str) -> tuple[Field, ...]:
    """Fields whose column must be there and whose every value must be filled."""
    return tuple(Field(element) for element in elements)


@dataclass(frozen=True)
class Rule:
    """A row rule: `expression` is true for a good row; unknown (a blank among its columns) counts as good."""

    id: str
    sentence: str
    columns: tuple[str, ...]
    expression: pl.Expr


# Rules that follow an element into every collection that has it.
ELEMENT_RULES: dict[str, tuple[Rule, ...]] = {
    "birth_date": (
        Rule(
            "birth_date_plausible",
            "The birth date must not lie in the future or before 1900.",
            ("birth_date",),
            pl.col("birth_date").is_between(pl.lit(FIRST_BIRTH_DATE), pl.lit(dt.date.today())),
        ),
    ),
    "birth_month": (
        Rule(
            "birth_month_plausible",
            "The birth month must not lie in the future or before 1900.",
            ("birth_month",),
            pl.col("birth_month").is_between(pl.lit("1900-01"), pl.lit(f"{dt.date.today():%Y-%m}")),
        ),
    ),
    "ssn": (
        Rule(
            "ssn_nine_digits",
            "A Social Security number has nine digits; leave it blank where it is not known.",
            ("ssn",),
            pl.col("ssn").str.contains(r"^\d{9}$"),
        ),
    ),
    "school_year": (
        Rule(
            "school_year_plausible",
            "The school year is its spring year with four digits.",
            ("school_year",),
            pl.col("school_year").is_between(1990, dt.date.today().year + 2),
        ),
    ),
}


@dataclass(frozen=True)
class Collection:
    """One declaration of what arrives.

    `name` is `<sector>__<collection>`. `key` lists elements whose values together name one row of a delivery.
    `period_start` and `period_end` are the field (or expression over fields) with the dates a row covers; the
    school year of a row without a `school_year` field is the July–June year that holds `period_start`.
    """

    name: str
    title: str
    grain: str
    key: tuple[str, ...]
    fields: tuple[Field, ...]
    rules: tuple[Rule, ...] = ()
    period_start: str | pl.Expr | None = None
    period_end: str | pl.Expr | None = None

    def __post_init__(self) -> None:
        names = self.columns
        unknown = [name for name in names if name not in ELEMENTS]
        if unknown:
            raise ValueError(f"Collection {self.name} uses {', '.join(unknown)}, which element.csv does not declare.")
        strangers = [name for name in self.key if name not in names]
        if strangers or len(set(names)) != len(names):
            raise ValueError(f"Collection {self.name}: every key column must be a field, and every field stands once.")

    # --- what follows from the declaration ----------------------------------------------------------------
    @property
    def sector(self) -> str:
        return self.name.split("__", 1)[0]

    @property
    def columns(self) -> list[str]:
        """Elements in order."""
        return [field.element for field in self.fields]

    @property
    def all_rules(self) -> tuple[Rule, ...]:
        """The collection's own rules and those its elements bring with them."""
        brought = [rule for name in self.columns for rule in ELEMENT_RULES.get(name, ())]
        return tuple(self.rules) + tuple(brought)

    @property
    def has_person(self) -> bool:
        """True when a row names a person, so that it gets a record_key."""
        return any(field.definition.identity_field and field.definition.is_direct for field in self.fields)

    def identity_columns(self) -> dict[str, list[str]]:
        """Column of the vault's identity record → elements that feed it, best first (the first filled one counts)."""
        found: dict[str, list[str]] = {}
        for field in self.fields:
            if field.definition.identity_field:
                found.setdefault(field.definition.identity_field, []).append(field.element)
        return found

    def polars_type(self, element: str) -> pl.DataType:
        """Type of an element in a typed table."""
        return POLARS_TYPES[ELEMENTS[element].dtype]

    def withheld_columns(self) -> list[str]:
        """Elements that do not come when a package sends tokens: what names a person."""
        return [f.element for f in self.fields if f.definition.is_direct and f.definition.identity_field]

    def as_tokens(self) -> Collection:
        """The collection as a package sends it that may not send identifiers: keyed tokens in their place.

        A number of the key becomes its token, as required and as nullable as the number was; every other token may be
        blank. Rules over withheld elements are left out. A collection that names nobody stays as it is. Raises
        ValueError where the key needs an identifier that no single token stands for.
        """
        withheld = set(self.withheld_columns())
        if not withheld:
            return self
        in_key: dict[str, Field] = {}
        for field in self.fields:
            if field.element in self.key and field.element in withheld:
                token = NUMBER_TOKENS.get(field.definition.identity_field)
                if token is None or token in in_key:
                    raise ValueError(f"Collection {self.name}: no token stands for {field.element} of its key.")
                in_key[token] = replace(field, element=token)
        token_of = {name: NUMBER_TOKENS[ELEMENTS[name].identity_field] for name in self.key if name in withheld}
        tokens = [name for name in ELEMENTS if name.startswith(TOKEN_PREFIX)]
        return replace(
            self,
            key=tuple(token_of.get(name, name) for name in self.key),
            fields=(
                *(in_key.get(name, Field(name, required=False, nullable=True)) for name in tokens),
                *(field for field in self.fields if field.element not in withheld),
            ),
            rules=(*(rule for rule in self.rules if not withheld & set(rule.columns)), *map(_token_rule, tokens)),
        )

    def key_columns(self, kind: str) -> list[str]:
        """Elements whose values get keys of a kind: employer, provider, school, lea, institution, organization."""
        return [field.element for field in self.fields if field.definition.key_map == kind]

    def direct_columns(self) -> list[str]:
        """Elements that may not leave the landing zone and the vault."""
        return [field.element for field in self.fields if field.definition.is_direct]

    def accepted_columns(self) -> list[tuple[str, str]]:
        """Name and DuckDB type of each column of an accepted file, in order."""
        columns = [(f.element, f.definition.duckdb_type) for f in self.fields if not f.definition.is_direct]
        if {"birth_date", "birth_month"} & set(self.columns):
            columns.append(("birth_year", "INTEGER"))
        if self.has_person:
            columns.append(("record_key", "BIGINT"))
        columns += [(f"{kind}_key", "BIGINT") for kind in ("employer", "provider") if self.key_columns(kind)]
        if "school_year" not in self.columns:
            columns.append(("school_year", "INTEGER"))
        return columns + list(SYSTEM_COLUMNS)

    def birth_year(self) -> pl.Expr | None:
        """Integer birth year of a typed row, or None when the collection has no date or month of birth."""
        parts = []
        if "birth_date" in self.columns:
            parts.append(pl.col("birth_date").dt.year().cast(pl.Int32))
        if "birth_month" in self.columns:
            parts.append(pl.col("birth_month").str.slice(0, 4).cast(pl.Int32, strict=False))
        return pl.coalesce(parts) if parts else None

    def school_year(self) -> pl.Expr | None:
        """Integer school year of a typed row, or None when only the delivery's period tells it."""
        parts = [pl.col("school_year")] if "school_year" in self.columns else []
        if self.period_start is not None:
            start = pl.col(self.period_start) if isinstance(self.period_start, str) else self.period_start
            parts.append((start.dt.year() + (start.dt.month() >= 7).cast(pl.Int32)).cast(pl.Int32))
        return pl.coalesce(parts) if parts else None

    # --- checks -------------------------------------------------------------------------------------------
    def cast_table(self, table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Give text columns the types of the collection.

        Takes a table of text columns named by element (absent ones become null columns); other columns, such as
        `source_row`, pass through. Returns the typed table (same rows, same order; a cell that does not cast is
        null) and the failures (FAILURE_SCHEMA, rule `<collection>.type`), which name row and column, never a value.
        """
        missing = [pl.lit(None, pl.String).alias(name) for name in self.columns if name not in table.columns]
        table = table.with_columns(missing) if missing else table
        others = [name for name in table.columns if name not in self.columns]
        text = table.with_columns(_blank_to_null(pl.col(name).cast(pl.String)) for name in self.columns)
        typed = text.select(
            *[_cast(field.element, field.definition.dtype) for field in self.fields],
            *others,
        )
        failures = []
        for field in self.fields:
            name, dtype = field.element, field.definition.dtype
            if dtype == "text":
                continue
            rows = (text[name].is_not_null() & typed[name].is_null()).arg_true()
            message = f"{name} {TYPE_SENTENCES[dtype]}."
            failures.append(_failures(table, rows, f"{self.name}.type", name, message))
        return typed, _join(failures)

    def schema(self, package: str | None = None, seeds: Path = SEEDS) -> pa.DataFrameSchema:
        """The pandera schema of a typed table.

        The `error` of each check is a rule id; blanks in a filled column fail pandera's own `not_nullable`.
        Codes may be standard ones or the package's local ones.
        """
        import pandera.polars as pa

        columns = {}
        for field in self.fields:
            checks = []
            if field.definition.code_set:
                allowed = sorted(allowed_codes(field.definition.code_set, package, seeds))
                checks.append(pa.Check.isin(allowed, error=f"{self.name}.code_set"))
            if field.minimum is not None:
                checks.append(pa.Check.ge(field.minimum, error=f"{self.name}.range"))
            if field.maximum is not None:
                checks.append(pa.Check.le(field.maximum, error=f"{self.name}.range"))
            columns[field.element] = pa.Column(
                POLARS_TYPES[field.definition.dtype], checks=checks, nullable=field.nullable, title=field.element
            )
        checks = [
            pa.Check(_frame_check(rule.expression), name=rule.id, error=f"{self.name}.{rule.id}")
            for rule in self.all_rules
        ]
        return pa.DataFrameSchema(columns, checks=checks, name=self.name, title=self.title, description=self.grain)

    def check_table(self, typed: pl.DataFrame, package: str | None = None, seeds: Path = SEEDS) -> pl.DataFrame:
        """Run the pandera schema over a typed table and return its failures (FAILURE_SCHEMA), without values.

        Rules: `<collection>.missing`, `.code_set`, `.range` and each row rule. One row of the table may fail several.
        """
        import pandera.errors

        schema = self.schema(package, seeds)
        try:
            schema.validate(typed.select(self.columns), lazy=True)
            return _join([])
        except pandera.errors.SchemaErrors as failed:
            cases = failed.failure_cases.select("column", "check", "index")
        sentences = {f"{self.name}.{rule.id}": (rule.sentence, "|".join(rule.columns)) for rule in self.all_rules}
        failures = []
        for (column, check), group in cases.group_by(["column", "check"], maintain_order=True):
            if group["index"].null_count():
                raise ValueError(
                    f"Collection {self.name}: the check {check} could not run ({column or 'all columns'})."
                )
            if check == "not_nullable":
                found = (f"{self.name}.missing", column, f"{column} must be filled.")
            elif check in sentences:
                sentence, columns = sentences[check]
                found = (check, columns, sentence)
            elif check == f"{self.name}.code_set":
                code_set = ELEMENTS[column].code_set
                found = (check, column, f"{column} must be a code of the set {code_set} or a local code agreed for it.")
            elif check == f"{self.name}.range":
                found = (check, column, f"{column} {self._range(column)}.")
            else:
                raise ValueError(f"Collection {self.name}: the table is not typed as declared ({column}: {check}).")
            failures.append(_failures(typed, group["index"].drop_nulls().cast(pl.UInt32), *found))
        return _join(failures)

    def _range(self, column: str) -> str:
        field = next(field for field in self.fields if field.element == column)
        if field.maximum is None:
            return f"must be at least {field.minimum:g}"
        if field.minimum is None:
            return f"must be at most {field.maximum:g}"
        return f"must lie between {field.minimum:g} and {field.maximum:g}"


def _token_rule(name: str) -> Rule:
    return Rule(
        f"{name}_form",
        f"{name} must hold tokens as `p20w tokens make` writes them: 64 digits 0-9 and letters a-f each, one space "
        "between two. Make the file again; what stands there may be an identifier.",
        (name,),
        pl.col(name).str.contains(r"^[0-9a-f]{64}( [0-9a-f]{64})*$"),
    )


def _blank_to_null(column: pl.Expr) -> pl.Expr:
    stripped = column.str.strip_chars()
    return pl.when(stripped == "").then(None).otherwise(stripped).name.keep()


def _cast(name: str, dtype: str) -> pl.Expr:
    """A text column as its dtype; what does not cast becomes null."""
    column = pl.col(name)
    if dtype == "date":
        date = column.str.to_date("%Y-%m-%d", strict=False)
        return pl.when(date.dt.year() >= 1000).then(date).alias(name)
    if dtype == "month":
        is_month = column.str.contains(r"^\d{4}-(0[1-9]|1[0-2])$")
        return pl.when(is_month).then(column).alias(name)
    if dtype == "boolean":
        word = column.str.to_lowercase()
        return (
            pl.when(word.is_in(TRUE_WORDS)).then(True).when(word.is_in(FALSE_WORDS)).then(False).otherwise(None)
        ).alias(name)
    if dtype in ("integer", "decimal"):
        return column.cast(POLARS_TYPES[dtype], strict=False)
    return column


def _frame_check(expression: pl.Expr):
    """A pandera check over the whole table from one expression; unknown counts as good."""
    return lambda data: data.lazyframe.select(expression.fill_null(True).alias("good"))


def _failures(table: pl.DataFrame, rows: pl.Series, rule_id: str, columns: str, message: str) -> pl.DataFrame:
    source = table["source_row"].gather(rows) if "source_row" in table.columns else [None] * len(rows)
    return pl.DataFrame(
        {
            "row": rows.cast(pl.Int64),
            "source_row": pl.Series(source, dtype=pl.Int64),
            "rule_id": [rule_id] * len(rows),
            "columns": [columns] * len(rows),
            "message": [message] * len(rows),
        },
        schema=FAILURE_SCHEMA,
    )


def _join(failures: list[pl.DataFrame]) -> pl.DataFrame:
    empty = pl.DataFrame(schema=FAILURE_SCHEMA)
    return pl.concat([empty, *failures]).sort("row", "rule_id", "columns")
