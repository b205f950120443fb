"""Random keys that stand for identifiers outside the vault.

Belongs here: looking up and minting record, employer, provider and organization keys, in bulk, by anti-join.
Does not belong here: deciding that two records are one person (partition.py), and any key derived from a name,
number or date: a derived key could be reversed by counting.
"""

from __future__ import annotations

import os

import duckdb
import numpy as np
import polars as pl

from pipelines.errors import P20wError
from pipelines.settings import Settings

# Identifier columns of vault.identity_record, in the order in which a tuple of them is compared.
IDENTIFIERS = (
    "local_id_issuer",
    "local_id",
    "student_id_state",
    "ssn",
    "given_name",
    "middle_name",
    "surname",
    "name_suffix",
    "birth_date",
    "birth_month",
    "sex_code",
    "postal_code",
)


def random_keys(count: int, taken: set[int] | frozenset[int] = frozenset()) -> np.ndarray:
    """`count` distinct positive 63-bit integers from the operating system's random source, none of them `taken`."""
    keys: dict[int, None] = {}
    while len(keys) < count:
        drawn = np.frombuffer(os.urandom(8 * (count - len(keys))), dtype=np.uint64) >> np.uint64(1)
        keys.update((key, None) for key in drawn.tolist() if key and key not in taken)
    return np.fromiter(keys, dtype=np.int64, count=count)


def record_keys(con: duckdb.DuckDBPyConnection, frame: pl.DataFrame, sector: str, build_id: str) -> pl.Series:
    """The record_key of every row of `frame`, in row order; unknown identifier tuples get a new key.

    `frame` has any of the columns IDENTIFIERS, as text as delivered (birth_date as YYYY-MM-DD or a date); other
    columns are ignored, missing ones are null, blanks are null. Equal identifiers within a sector share a key, so
    a resubmission keeps its keys. A date that is none becomes null here: intake has already quarantined its row.
    """
    columns = [
        pl.col(name).cast(pl.String).str.strip_chars().replace("", None).alias(name)
        if name in frame.columns
        else pl.lit(None, dtype=pl.String).alias(name)
        for name in IDENTIFIERS
    ]
    values = ", ".join(
        "TRY_CAST(birth_date AS DATE) AS birth_date" if name == "birth_date" else name for name in IDENTIFIERS
    )
    names = ", ".join(IDENTIFIERS)
    same = " AND ".join(f"known.{name} IS NOT DISTINCT FROM wanted.{name}" for name in IDENTIFIERS)
    return _keys(
        con,
        frame.select(columns),
        table="identity_record",
        key="record_key",
        wanted=f"SELECT {values} FROM delivered",
        names=names,
        same=f"known.sector = '{_word(sector)}' AND {same}",
        insert=f"record_key, sector, {names}, '{_word(build_id)}'",
        constants=f"'{_word(sector)}' AS sector",
    )


def mapped_keys(con: duckdb.DuckDBPyConnection, kind: str, frame: pl.DataFrame) -> pl.Series:
    """The key of every row for `kind` 'employer' or 'provider', in row order; null where the row names none.

    employer: columns employer_account_number, and ein, employer_name where delivered; the account number identifies,
    the EIN only where there is no account number. provider: column provider_id.
    """
    if kind == "provider":
        provider = _text(frame, ["provider_id"])
        return _keys(
            con,
            provider,
            table="key_provider",
            key="provider_key",
            wanted="SELECT provider_id FROM delivered",
            names="provider_id",
            same="known.provider_id = wanted.provider_id",
            insert="provider_key, provider_id",
            present="provider_id IS NOT NULL",
        )
    if kind != "employer":
        raise P20wError(f"There are employer and provider keys, no {kind} keys; see keys.py.")
    employer = _text(frame, ["employer_account_number", "ein", "employer_name"]).with_columns(
        identifying_ein=pl.when(pl.col("employer_account_number").is_null()).then(pl.col("ein"))
    )
    keys = _keys(
        con,
        employer.select("employer_account_number", "identifying_ein"),
        table="key_employer",
        key="employer_key",
        wanted="SELECT employer_account_number, identifying_ein FROM delivered",
        names="employer_account_number, identifying_ein",
        same="known.employer_account_number IS NOT DISTINCT FROM wanted.employer_account_number "
        "AND (wanted.identifying_ein IS NULL OR known.ein = wanted.identifying_ein)",
        insert="employer_key, employer_account_number, identifying_ein, NULL",
        present="coalesce(employer_account_number, identifying_ein) IS NOT NULL",
    )
    # Wages name an account only, the employer file also says its name and EIN: what is missing is filled in.
    named = employer.with_columns(employer_key=keys).filter(
        pl.col("employer_key").is_not_null() & (pl.col("ein").is_not_null() | pl.col("employer_name").is_not_null())
    )
    if named.height:
        named = named.group_by("employer_key").agg(pl.col("ein").max(), pl.col("employer_name").max())
        con.register("delivered_name", named.to_arrow())
        con.execute(
            "UPDATE vault.key_employer SET ein = coalesce(key_employer.ein, delivered_name.ein),"
            " employer_name = coalesce(key_employer.employer_name, delivered_name.employer_name) FROM delivered_name"
            " WHERE key_employer.employer_key = delivered_name.employer_key"
            " AND ((key_employer.ein IS NULL AND delivered_name.ein IS NOT NULL)"
            " OR (key_employer.employer_name IS NULL AND delivered_name.employer_name IS NOT NULL))"
        )
        con.unregister("delivered_name")
    return keys


def organization_keys(con: duckdb.DuckDBPyConnection, frame: pl.DataFrame) -> pl.Series:
    """The organization_key of every row; the frame's first two columns are level and state id. Null where one is."""
    level, identifier = frame.columns[:2]
    frame = _text(
        frame.select(pl.col(level).alias("organization_level"), pl.col(identifier).alias("organization_id_state")),
        ["organization_level", "organization_id_state"],
    )
    return _keys(
        con,
        frame,
        table="key_organization",
        key="organization_key",
        wanted="SELECT organization_level, organization_id_state FROM delivered",
        names="organization_level, organization_id_state",
        same="known.organization_level = wanted.organization_level"
        " AND known.organization_id_state = wanted.organization_id_state",
        insert="organization_key, organization_level, organization_id_state",
        present="organization_level IS NOT NULL AND organization_id_state IS NOT NULL",
    )


def export_organization_keys(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Write exchange/organization_key.parquet: organizations are public, their random keys cross as they are."""
    frame = con.execute("SELECT * FROM vault.key_organization ORDER BY ALL").pl()
    settings.exchange.mkdir(parents=True, exist_ok=True)
    partial = settings.exchange / ".organization_key.parquet"
    frame.write_parquet(partial)
    os.replace(partial, settings.exchange / "organization_key.parquet")


def _text(frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    return frame.select(
        pl.col(name).cast(pl.String).str.strip_chars().replace("", None)
        if name in frame.columns
        else pl.lit(None, dtype=pl.String).alias(name)
        for name in names
    )


def _word(text: str) -> str:
    """A sector or build id that is safe inside a statement; both are ours, never delivered."""
    if not text.replace("_", "").replace("-", "").isalnum():
        raise P20wError("A sector or build id may hold letters, digits, '_' and '-' only.")
    return text


def _keys(
    con: duckdb.DuckDBPyConnection,
    delivered: pl.DataFrame,
    *,
    table: str,
    key: str,
    wanted: str,
    names: str,
    same: str,
    insert: str,
    constants: str = "",
    present: str = "true",
) -> pl.Series:
    """Look up `wanted` tuples in `table`, mint what is missing, and return one key per delivered row."""
    if not delivered.height:
        return pl.Series(key, [], dtype=pl.Int64)
    con.register("delivered", delivered.with_row_index("row_number").to_arrow())
    column_names = names.split(", ")
    constants = f", {constants}" if constants else ""
    try:
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE wanted AS SELECT row_number() OVER () AS tuple_number, *{constants}"
            f" FROM (SELECT DISTINCT {names} FROM ({wanted}) WHERE {present})"
        )
        con.execute(
            "CREATE OR REPLACE TEMP TABLE found AS SELECT wanted.tuple_number,"
            f" min(known.{key}) AS {key} FROM wanted JOIN vault.{table} AS known ON {same} GROUP BY 1"
        )
        missing = con.execute(
            "SELECT tuple_number FROM wanted ANTI JOIN found USING (tuple_number) ORDER BY tuple_number"
        ).pl()
        if missing.height:
            minted = missing.with_columns(pl.Series(key, _unused(con, missing.height, table, key)))
            con.register("minted", minted.to_arrow())
            con.execute(f"INSERT INTO vault.{table} SELECT {insert} FROM wanted JOIN minted USING (tuple_number)")
            con.execute(f"INSERT INTO found SELECT tuple_number, {key} FROM minted")
            con.unregister("minted")
        equal = " AND ".join(f"line.{name} IS NOT DISTINCT FROM wanted.{name}" for name in column_names)
        numbered = wanted.replace("SELECT ", "SELECT row_number, ", 1)
        return (
            con.execute(
                f"SELECT line.row_number, found.{key} FROM ({numbered}) AS line"
                f" LEFT JOIN wanted ON {equal} LEFT JOIN found USING (tuple_number) ORDER BY line.row_number"
            )
            .pl()
            .get_column(key)
        )
    finally:
        con.unregister("delivered")
        con.execute("DROP TABLE IF EXISTS temp.wanted; DROP TABLE IF EXISTS temp.found")


def _unused(con: duckdb.DuckDBPyConnection, count: int, table: str, key: str) -> np.ndarray:
    """Fresh keys that the table does not hold; a collision of 63 random bits is drawn again."""
    keys = random_keys(count)
    while True:
        con.register("drawn", pl.DataFrame({key: keys}).to_arrow())
        taken = con.execute(f"SELECT {key} FROM drawn SEMI JOIN vault.{table} USING ({key})").fetchnumpy()[key]
        con.unregister("drawn")
        if not len(taken):
            return keys
        keys = random_keys(count, frozenset(int(value) for value in taken))
