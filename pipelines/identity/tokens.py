"""Keyed tokens in place of identifiers: HMAC-SHA256 over normalised composite keys.

What belongs here: which keys there are (seeds/policy/token_key.csv), their normal forms, the hashing, and keeping
tokens in the vault. What does not: the file that an agency sends (token_file.py) and which tokens make one person (the
token tiers of seeds/policy/match_tier.csv, int_linkage__token_pair).

Normal forms are those of the vault's own staging model, run here over other rows: one set of rules, so that an agency
and the state cannot drift apart. The hashing is Python's and never SQL's, because a key in a statement would reach
compiled SQL and logs.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import jinja2
import polars as pl

from pipelines.errors import P20wError
from pipelines.settings import Settings
from schemas.elements import ELEMENTS, TOKEN_PREFIX

# Part of a composite key -> column of the staging model. A surname stands once whole and once for each of its parts.
PARTS = {
    "student_id_state": "student_id_state",
    "local_id": "local_id",
    "ssn": "ssn",
    "given_root": "given_root",
    "middle_initial": "middle_initial",
    "surname_token": "unnest(surname_tokens)",
    "birth_date": "CAST(birth_date AS TEXT)",
    "postal_code": "postal_code",
}
# What stands before the issuer of a record that was delivered as tokens, in identity_record.local_id_issuer.
ISSUER_PREFIX = "tokens:"
KEY_BYTES = 32
# Rows brought to normal form and hashed at a time.
CHUNK_ROWS = 100_000
# Between the parts of a key: no normal form holds it, so that two keys never run into one text.
SEPARATOR = "\x1f"


@dataclass(frozen=True)
class TokenKey:
    """A composite key: its name and its parts, in the order in which they are hashed."""

    key_name: str
    parts: tuple[str, ...]


def token_keys(seeds: Path, as_of: date) -> list[TokenKey]:
    """The keys in force on `as_of`, in the order of the policy: of each the row with the newest effective date.

    Raises P20wError that names the row for an unknown part, a key without an element, or a date that is none.
    """
    chosen: dict[str, tuple[str, TokenKey]] = {}
    with (seeds / "policy" / "token_key.csv").open(newline="", encoding="utf-8") as handle:
        for line, row in enumerate(csv.DictReader(handle), start=2):
            name, parts, since = row["key_name"], tuple(row["parts"].split(";")), row["effective_date"]
            place = f"token_key.csv, row {line} ({name})"
            unknown = [part for part in parts if part not in PARTS]
            if unknown:
                raise P20wError(f"{place}: there is no part {', '.join(unknown)}. Known are {', '.join(PARTS)}.")
            if TOKEN_PREFIX + name not in ELEMENTS:
                raise P20wError(f"{place}: declare the element {TOKEN_PREFIX}{name} in element.csv first.")
            try:
                is_in_force = date.fromisoformat(since) <= as_of
            except ValueError:
                raise P20wError(f"{place}: effective_date must be a date like 2026-11-01.") from None
            if is_in_force and (name not in chosen or chosen[name][0] < since):
                chosen[name] = (since, TokenKey(name, parts))
    return [key for _, key in chosen.values()]


def read_token_key(path: Path) -> bytes:
    """The key in a file of hexadecimal digits. Raises P20wError when there is none or it is shorter than 32 bytes."""
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        raise P20wError(f"There is no token key file {path}. Put the key that was agreed there.") from None
    except ValueError:
        raise P20wError(
            f"The token key file {path} must hold hexadecimal digits only: {2 * KEY_BYTES} or more, made at random."
        ) from None
    if len(key) < KEY_BYTES:
        raise P20wError(
            f"The token key in {path} has {len(key)} bytes. It must have {KEY_BYTES} or more ({2 * KEY_BYTES} "
            "hexadecimal digits), made at random: a shorter one can be found by trying."
        )
    return key


def check_value(key: bytes) -> str:
    """Eight digits by which two holders of a key can tell over the telephone that it is the same one; no way back."""
    return Hasher(key).digest(b"p20w check value").hex()[:8]


class Hasher:
    """HMAC-SHA256 with one key, the two padded blocks hashed once: a third of the time of hmac.digest a token."""

    def __init__(self, key: bytes) -> None:
        block = (key if len(key) <= 64 else hashlib.sha256(key).digest()).ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def digest(self, message: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


def rules_value(forms: NormalForms, keys: list[TokenKey]) -> str:
    """Eight digits that differ where the rules do by which two parties make tokens."""
    return hashlib.sha256(repr((forms.fingerprint, keys)).encode()).hexdigest()[:8]


# --- normal forms ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class NormalForms:
    """The vault's staging model as a statement over the table `token_input`, with the seeds that it reads."""

    sql: str
    seeds: dict[str, Path]

    @property
    def fingerprint(self) -> str:
        """Changes with the statement and with every list that it reads: nicknames, suffixes, placeholders."""
        digest = hashlib.sha256(self.sql.encode())
        for name, path in sorted(self.seeds.items()):
            digest.update(name.encode() + path.read_bytes())
        return digest.hexdigest()


def normal_forms(settings: Settings) -> NormalForms:
    """Read the staging model and its macros. The statement holds no value of any row."""
    seeds: dict[str, Path] = {}

    def ref(name: str) -> str:
        seeds[name] = next((settings.seeds / "reference").glob(f"{name}.csv"))
        return f"token_seed_{name}"

    def source(_: str, table: str) -> str:
        return "token_input" if table == "identity_record" else f"(SELECT record_key FROM token_input) AS {table}"

    macros = sorted((settings.dbt_dir / "macros").glob("identity_*.sql"))
    model = settings.dbt_dir / "models" / "staging" / "identity" / "stg_identity__record.sql"
    text = "\n".join(path.read_text(encoding="utf-8") for path in [*macros, model])
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], undefined=jinja2.StrictUndefined)
    # What dbt would give the model, which is always built whole here.
    context = {
        "ref": ref,
        "source": source,
        "config": lambda **_: "",
        "is_incremental": lambda: False,
        "execute": False,
    }
    sql = environment.from_string(text).render({**context, "return": lambda value: value}).strip()
    return NormalForms(sql, seeds)


def make_normal(con: duckdb.DuckDBPyConnection, rows: pl.DataFrame, forms: NormalForms) -> None:
    """Make the temporary table `token_normal`: the rows as the staging model would have them.

    `rows`: the columns of vault.identity_record as delivered (record_key any integer); what is missing is null.
    """
    frames = {f"token_seed_{name}": pl.read_csv(path, infer_schema=False) for name, path in forms.seeds.items()}
    frames["token_input"] = _as_delivered(rows)
    for name, frame in frames.items():
        con.register(f"{name}_frame", frame.to_arrow())
        con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM {name}_frame")
        con.unregister(f"{name}_frame")
    con.execute(f"CREATE OR REPLACE TEMP TABLE token_normal AS {forms.sql}")
    for name in frames:
        con.execute(f"DROP TABLE temp.{name}")


def hashed(
    con: duckdb.DuckDBPyConnection, rows: pl.DataFrame, forms: NormalForms, keys: list[TokenKey], key: bytes
) -> pl.DataFrame:
    """Tokens of rows (see make_normal): record_key, key_name, token (32 bytes), in no order.

    A key of which a part is missing makes none.
    """
    make_normal(con, rows, forms)
    messages = " UNION ALL ".join(
        f"SELECT record_key, '{each.key_name}' AS key_name, {_message(each)} AS message FROM token_normal"
        for each in keys
    )
    found = con.execute(f"SELECT record_key, key_name, message FROM ({messages}) WHERE message IS NOT NULL").pl()
    con.execute("DROP TABLE temp.token_normal")
    digest = Hasher(key).digest
    tokens = pl.Series("token", [digest(message.encode()) for message in found["message"]], dtype=pl.Binary)
    return found.drop("message").with_columns(tokens)


def _as_delivered(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows in the types of vault.identity_record."""
    from pipelines.identity.keys import IDENTIFIERS

    def column(name: str) -> pl.Expr:
        if name not in rows.columns:
            return pl.lit(None, pl.String).alias(name)
        return pl.col(name).cast(pl.String).str.strip_chars().replace("", None).alias(name)

    texts = [column(name) for name in ("sector", *IDENTIFIERS) if name != "birth_date"]
    dates = column("birth_date").str.to_date("%Y-%m-%d", strict=False)
    return rows.select(pl.col("record_key").cast(pl.Int64), *texts, dates, pl.lit(None, pl.String).alias("first_build"))


def _message(key: TokenKey) -> str:
    """SQL of the text that is hashed; null where a part is missing. The key's name keeps equal texts of two apart."""
    return f" || chr({ord(SEPARATOR)}) || ".join([f"'{key.key_name}'", *(f"nullif({PARTS[p]}, '')" for p in key.parts)])


# --- in the vault ------------------------------------------------------------------------------------------------
def token_columns(frame: pl.DataFrame) -> list[str]:
    """The token elements among a frame's columns."""
    return [name for name in frame.columns if name.startswith(TOKEN_PREFIX) and name in ELEMENTS]


def joined_tokens(frame: pl.DataFrame) -> pl.Series:
    """A hash of all tokens of each row (hexadecimal text), equal where they are; null where a row has none."""
    columns = sorted(token_columns(frame))
    if not columns:
        return pl.Series("tokens", [None] * frame.height, dtype=pl.String)
    text = frame.select(
        pl.when(pl.any_horizontal(pl.col(columns).is_not_null())).then(
            pl.concat_str(pl.col(columns).fill_null(""), separator="|")
        )
    ).to_series()
    hashes = [None if each is None else hashlib.sha256(each.encode()).hexdigest() for each in text]
    return pl.Series("tokens", hashes, dtype=pl.String)


def keep_delivered(con: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> None:
    """Keep the tokens of delivered rows (record_key and token columns as text) that the vault does not hold yet.

    A record_key is minted for a tuple of tokens, so the tokens of a known one are known.
    """
    tokens = (
        rows.select("record_key", *token_columns(rows))
        .unique("record_key")
        .unpivot(index="record_key", variable_name="key_name", value_name="token")
        .drop_nulls("token")
        .with_columns(pl.col("key_name").str.strip_prefix(TOKEN_PREFIX), pl.col("token").str.split(" "))
        .explode("token")
        .unique()
        .with_columns(pl.col("token").str.decode("hex"))
        .sort(pl.all())
    )
    con.register("delivered_token", tokens.to_arrow())
    con.execute(
        "INSERT INTO vault.token SELECT record_key, key_name, token, true FROM delivered_token"
        " ANTI JOIN vault.token USING (record_key) ORDER BY ALL"
    )
    con.unregister("delivered_token")


def keep_own_tokens(con: duckdb.DuckDBPyConnection, settings: Settings, as_of: date) -> int:
    """Compute the tokens of records that came with identifiers, so that records that came as tokens can meet them.

    Only where the state holds the token key (P20W_TOKEN_KEY_FILE). Records that have theirs are left alone unless the
    key, the rules of normal forms or the policy changed; then all are computed anew. Returns the number of records.
    Also writes tokens.digest beside the vault, by which a night knows that such a change touches it.
    """
    if settings.token_key_file is None:
        return 0
    key = read_token_key(settings.token_key_file)
    forms, keys = normal_forms(settings), token_keys(settings.seeds, as_of)
    basis = f"{check_value(key)} {forms.fingerprint} {rules_value(forms, keys)}"
    if con.execute("SELECT basis FROM vault.token_basis").fetchall() != [(basis,)]:
        con.execute("BEGIN")
        con.execute("DELETE FROM vault.token WHERE NOT is_delivered")
        con.execute("DELETE FROM vault.token_basis")
        con.execute("INSERT INTO vault.token_basis VALUES (?)", [basis])
        con.execute("COMMIT")
    con.execute(
        "CREATE OR REPLACE TEMP TABLE token_due AS SELECT *, row_number() OVER (ORDER BY record_key) AS due_number"
        " FROM vault.identity_record ANTI JOIN vault.token USING (record_key)"
    )
    count = con.execute("SELECT count(*) FROM temp.token_due").fetchone()[0]
    for start in range(0, count, CHUNK_ROWS):
        rows = con.execute(
            "SELECT * EXCLUDE (due_number) FROM temp.token_due WHERE due_number > ? AND due_number <= ?",
            [start, start + CHUNK_ROWS],
        ).pl()
        found = hashed(con, rows, forms, keys, key)
        without = rows.select("record_key").join(found, on="record_key", how="anti")
        con.register("own_token", pl.concat([found, without], how="diagonal").to_arrow())
        con.execute("INSERT INTO vault.token SELECT record_key, key_name, token, false FROM own_token")
        con.unregister("own_token")
    con.execute("DROP TABLE temp.token_due")
    # Written last: a night killed before it is a night that is touched again.
    (settings.vault / "tokens.digest").write_text(basis)
    return count
