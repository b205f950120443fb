"""A vault with a handful of made-up people, made by hand: questions for the steward without a night.

Belongs here: records, persons and evidence as the tables of a night would hold them. Record keys are given, so that a
test can say which records are whose; nothing in the rules under test reads anything from their values but an order.
"""

from __future__ import annotations

import csv
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import polars as pl

from pipelines.identity.vault import TABLES
from pipelines.settings import ROOT, Settings, load

BUILD = "20261121T010000-aaaa"
NEXT_BUILD = "20261122T010000-bbbb"
STEWARD = "steward"
COLUMNS = {
    "record_key": pl.Int64, "sector": pl.String, "local_id_issuer": pl.String, "local_id": pl.String,
    "student_id_state": pl.String, "ssn": pl.String, "given_name": pl.String, "middle_name": pl.String,
    "surname": pl.String, "name_suffix": pl.String, "birth_date": pl.String, "birth_month": pl.String,
    "sex_code": pl.String, "postal_code": pl.String,
}  # fmt: skip


@dataclass
class MadeUp:
    """People: person key → records, each a dict of identifiers with record_key; and what a night found about them.

    scores: (a, b, bits). conflicts: (a, b, rule, reason). undetermined: (record, anchor, reason). pairs: (a, b, tier,
    rule).
    """

    people: dict[int, list[dict]]
    scores: list[tuple] = field(default_factory=list)
    conflicts: list[tuple] = field(default_factory=list)
    undetermined: list[tuple] = field(default_factory=list)
    pairs: list[tuple] = field(default_factory=list)


def home(folder: Path, **policy: float) -> Settings:
    """An empty home whose seeds have the steward in office, and the identity parameters named as given."""
    seeds = folder / "seeds"
    for part in ("policy", "reference", "registers"):
        shutil.copytree(ROOT / "seeds" / part, seeds / part)
    (seeds / "registers" / "officer.csv").write_text(
        "officer,title,active_from,active_until,is_identity_steward\n"
        f"{STEWARD},Steward,2026-01-01,,yes\nchair,Chair,2026-01-01,,no\nformer,Steward,2025-01-01,2025-12-31,yes\n"
    )
    path = seeds / "policy" / "identity_parameter.csv"
    with path.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    for name, value in policy.items():
        first = next(row for row in rows if row["parameter"] == name)
        rows.append({**first, "value": f"{value:g}", "effective_date": "2026-11-20"})
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return load(
        {
            "P20W_HOME": str(folder / "state"),
            "P20W_SEEDS": str(seeds),
            "P20W_TRUTH": str(folder / "truth"),
            "P20W_VAULT_KEY_FILE": str(folder / "vault.key"),
        }
    )


def record(record_key: int, sector: str = "k12", **values: str) -> dict:
    """One record; without values it has a name and a birth date of its own."""
    own = {"given_name": f"Given{record_key}", "surname": f"Surname{record_key}", "birth_date": "2001-02-03"}
    return {"record_key": record_key, "sector": sector, **own, **values}


def vault_in_memory() -> duckdb.DuckDBPyConnection:
    """The vault's tables without a file: opening the encrypted one would be most of what a test costs."""
    con = duckdb.connect()
    con.execute("ATTACH ':memory:' AS vault; USE vault")
    for table, columns in TABLES.items():
        con.execute(f"CREATE TABLE {table} ({columns})")
    return con


def write(con: duckdb.DuckDBPyConnection, made_up: MadeUp, build: str = BUILD) -> None:
    """Replace the vault's records and evidence by the made-up ones and append the links that changed."""
    rows = [{**dict.fromkeys(COLUMNS), **row} for records in made_up.people.values() for row in records]
    frame = pl.DataFrame(rows, schema=COLUMNS).with_columns(pl.col("birth_date").str.to_date())
    owner = pl.DataFrame(
        [(row["record_key"], person) for person, records in made_up.people.items() for row in records],
        schema={"record_key": pl.Int64, "person_key": pl.Int64},
        orient="row",
    )
    names = ", ".join(COLUMNS)
    con.execute("CREATE SCHEMA IF NOT EXISTS vault.staging; CREATE SCHEMA IF NOT EXISTS vault.linkage")
    con.register("record", frame.to_arrow())
    con.register("owner", owner.to_arrow())
    con.execute(
        f"INSERT INTO identity_record ({names}, first_build) SELECT {names}, ? FROM record"
        " ANTI JOIN identity_record USING (record_key)",
        [build],
    )
    con.execute(
        "CREATE OR REPLACE TABLE vault.staging.stg_identity__record AS SELECT * REPLACE (upper(given_name) AS"
        " given_name, upper(middle_name) AS middle_name, upper(surname) AS surname), upper(given_name) AS"
        " given_root, CASE WHEN surname IS NOT NULL THEN string_split(upper(surname), '-') END AS surname_tokens,"
        " given_name IS NULL AND surname IS NULL AND birth_date IS NULL AS is_bare FROM record"
    )
    con.execute(
        "INSERT INTO person_link SELECT owner.record_key, owner.person_key, 'made_up', 0, ?,"
        " (SELECT coalesce(max(link_number), 0) FROM person_link) + row_number() OVER (ORDER BY owner.record_key)"
        " FROM owner WHERE person_key IS DISTINCT FROM (SELECT arg_max(link.person_key, link.link_number)"
        " FROM person_link AS link WHERE link.record_key = owner.record_key)",
        [build],
    )
    con.execute(
        "CREATE OR REPLACE TABLE vault.linkage.int_linkage__pair (record_key_a BIGINT, record_key_b BIGINT,"
        " tier INTEGER, rule TEXT, joins TEXT, follower BIGINT)"
    )
    con.execute("DELETE FROM pair_score; DELETE FROM conflict; DELETE FROM undetermined")
    for a, b, bits in made_up.scores:
        con.execute("INSERT INTO pair_score VALUES (?, ?, ?, 3, 'made_up')", [a, b, bits])
    for a, b, rule, reason in made_up.conflicts:
        con.execute("INSERT INTO conflict VALUES (?, ?, ?, ?, 1, ?)", [a, b, rule, reason, min(a, b)])
    for row in made_up.undetermined:
        con.execute("INSERT INTO undetermined VALUES (?, ?, ?)", row)
    for a, b, tier, rule in made_up.pairs:
        con.execute("INSERT INTO vault.linkage.int_linkage__pair VALUES (?, ?, ?, ?, 'link', NULL)", [a, b, tier, rule])
