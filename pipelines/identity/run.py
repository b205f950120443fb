"""One night of identity: pairs from the vault in, links appended, keys out to `exchange/`.

Belongs here: reading and appending the vault's tables and writing what crosses. Does not belong here: the rules
(dbt models and seeds/policy/match_tier.csv), grouping (partition.py), ids (ids.py), error rates (measure.py).
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from pipelines.identity.ids import fold
from pipelines.identity.keys import export_organization_keys, random_keys
from pipelines.identity.partition import Partition, partition
from pipelines.identity.vault import open_vault
from pipelines.settings import Settings

# After every tier of the policy: names of records that do not bear the SSN themselves.
OTHER_NAME_TIER = 900


class IdentityError(RuntimeError):
    """Identity cannot run; the message says what must happen first."""


@dataclass(frozen=True)
class IdentitySummary:
    """Counts of one night: records and pairs read, persons in use, events appended, what waits for a steward."""

    records: int
    pairs: int
    persons: int
    minted: int
    merged: int
    split: int
    moved: int
    conflicts: int
    not_determined: int

    def as_metadata(self) -> dict[str, int]:
        return asdict(self)


def run_identity(settings: Settings, build_id: str) -> IdentitySummary:
    """Partition all records of the vault, fold the ids, append, and export to `exchange/`.

    Writes brg_record_person, person, person_redirect, organization_key, identity_conflict and link_not_determined
    (Parquet, keys only, sorted). Appending is one transaction; a night killed after it exports again tomorrow.
    Raises IdentityError when the pairs of dbt's identity phase are absent or older than the records.
    """
    with open_vault(settings) as con:
        records, pairs, refused, verdicts = _read(con)
        found = partition(records, pairs, verdicts, refused)
        second = _agreeing_with_any_name(con, found, refused)
        if second.height:
            pairs = pl.concat([pairs, second.select(pairs.columns)], how="vertical_relaxed")
            refused = refused.join(
                second.select(record_key="follower", anchor_record_key="anchor"),
                on=["record_key", "anchor_record_key"],
                how="anti",
            )
            found = partition(records, pairs, verdicts, refused)
        members = found.members.join(records.select("record_key", "sector"), on="record_key")
        history = con.execute("SELECT record_key, person_key, link_number FROM vault.person_link").pl()
        persons = con.execute(
            "SELECT person_key, dense_rank() OVER (ORDER BY minted_build) AS age_rank FROM vault.person"
        ).pl()
        taken = frozenset(persons["person_key"].to_list())
        folded = fold(members, history, persons, lambda count: random_keys(count, taken).tolist())
        _append(con, build_id, folded, found)
        persons_in_use = _export(con, settings, found)
        export_organization_keys(con, settings)
    events = dict(folded.events.group_by("event").len().iter_rows())
    return IdentitySummary(
        records=records.height,
        pairs=pairs.height,
        persons=persons_in_use,
        minted=len(folded.minted),
        merged=events.get("merge", 0),
        split=events.get("split", 0),
        moved=events.get("move", 0),
        conflicts=found.conflicts.height,
        not_determined=found.undetermined["record_key"].n_unique(),
    )


def _read(con: duckdb.DuckDBPyConnection) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Normalised numbers of all records, the pairs, the refused wages and the newest verdict of each pair."""
    try:
        records = con.execute(
            "SELECT record_key, sector, ssn, student_id_state, birth_date FROM vault.staging.stg_identity__record"
        ).pl()
        pairs = con.execute(
            "SELECT record_key_a, record_key_b, CAST(tier AS BIGINT) AS tier, rule, joins, follower"
            " FROM vault.linkage.int_linkage__pair"
        ).pl()
        refused = con.execute("SELECT * FROM vault.linkage.int_linkage__wage_refused").pl()
    except duckdb.CatalogException:
        raise IdentityError(
            "The vault holds no pairs yet. Run the identity phase of dbt (target vault) before identity."
        ) from None
    newest = con.execute("SELECT count(*) FROM vault.identity_record").fetchone()[0]
    if newest != records.height:
        raise IdentityError(
            f"The vault holds {newest} records but dbt staged {records.height}. Run the identity phase of dbt again;"
            " if it failed, its log names the model."
        )
    verdicts = con.execute(
        "SELECT least(record_key_a, record_key_b) AS record_key_a, greatest(record_key_a, record_key_b) AS"
        ' record_key_b, arg_max(verdict, "at") AS verdict FROM vault.verdict GROUP BY 1, 2 ORDER BY 1, 2'
    ).pl()
    return records, pairs, refused, verdicts


def _agreeing_with_any_name(con: duckdb.DuckDBPyConnection, found: Partition, refused: pl.DataFrame) -> pl.DataFrame:
    """Refused wages whose given name or surname agrees with another name under which the same person is known."""
    con.register("member", found.members.select("record_key", "component").to_arrow())
    con.register("refusal", refused.to_arrow())
    try:
        return con.execute(
            f"""
            SELECT least(refusal.record_key, refusal.anchor_record_key) AS record_key_a,
                greatest(refusal.record_key, refusal.anchor_record_key) AS record_key_b,
                CAST({OTHER_NAME_TIER} AS BIGINT) AS tier, 'wage_ssn_other_name' AS rule, 'attach' AS joins,
                refusal.record_key AS follower, refusal.anchor_record_key AS anchor
            FROM refusal
            JOIN member AS anchor ON anchor.record_key = refusal.anchor_record_key
            JOIN member AS other ON other.component = anchor.component
            JOIN vault.staging.stg_identity__record AS wage ON wage.record_key = refusal.record_key
            JOIN vault.staging.stg_identity__record AS known ON known.record_key = other.record_key
            WHERE known.sector <> 'workforce' AND (
                wage.given_root = known.given_root
                OR wage.given15 = known.given15
                OR (length(wage.given_name) = 1 AND wage.given_initial = known.given_initial)
                OR list_has_any(wage.surname_tokens, known.surname_tokens)
                OR wage.surname20 = known.surname20)
            GROUP BY ALL ORDER BY ALL
            """
        ).pl()
    finally:
        con.unregister("member")
        con.unregister("refusal")


def _append(con: duckdb.DuckDBPyConnection, build_id: str, folded, found: Partition) -> None:
    """Append persons, links, events and redirects in one transaction; nothing is ever changed or deleted."""
    tiers = found.members.select("record_key", weight=-pl.col("tier").cast(pl.Float64))
    perturbation = np.frombuffer(os.urandom(len(folded.minted)), dtype=np.uint8).astype(np.int32)
    frames = {
        "new_person": pl.DataFrame(
            {"person_key": folded.minted, "perturbation_key": perturbation},
            schema={"person_key": pl.Int64, "perturbation_key": pl.Int32},
        ),
        "new_link": folded.links.join(tiers, on="record_key", how="left").with_row_index("position"),
        "new_event": folded.events,
        "new_redirect": folded.redirects,
    }
    for name, frame in frames.items():
        con.register(name, frame.to_arrow())
    con.execute("BEGIN")
    try:
        start = con.execute("SELECT coalesce(max(link_number), 0) FROM vault.person_link").fetchone()[0]
        con.execute("INSERT INTO vault.person SELECT person_key, perturbation_key, ? FROM new_person", [build_id])
        con.execute(
            "INSERT INTO vault.person_link SELECT record_key, person_key, rule, weight, ?, ? + 1 + position"
            " FROM new_link",
            [build_id, start],
        )
        con.execute(
            "INSERT INTO vault.person_event SELECT ?, event, person_key, other_person_key, 'nightly', evidence"
            " FROM new_event",
            [build_id],
        )
        con.execute("INSERT INTO vault.person_redirect SELECT *, ? FROM new_redirect", [build_id])
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        raise
    finally:
        for name in frames:
            con.unregister(name)


def _export(con: duckdb.DuckDBPyConnection, settings: Settings, found: Partition) -> int:
    """Write what the warehouse may know; returns the number of persons that hold a record."""
    links = con.execute(
        "SELECT record_key, arg_max(person_key, link_number) AS person_key, arg_max(rule, link_number) AS rule,"
        " arg_max(valid_from_build, link_number) AS valid_from_build FROM vault.person_link GROUP BY record_key"
    ).pl()
    # Wages can be looked for under a valid number only; the warehouse learns that there is one, not which.
    sectors = con.execute(
        "SELECT record_key, sector, ssn IS NOT NULL AS has_ssn FROM vault.staging.stg_identity__record"
    ).pl()
    bridge = (
        links.join(sectors, on="record_key")
        .select("record_key", "person_key", "sector", "rule", "has_ssn", "valid_from_build")
        .sort("record_key")
    )
    person_of = bridge.select("record_key", "person_key")
    component_person = (
        found.members.join(person_of, on="record_key").select("component", "person_key").unique("component")
    )
    write_exchange(bridge, settings.exchange / "brg_record_person.parquet")
    write_exchange(
        con.execute("SELECT person_key, perturbation_key FROM vault.person ORDER BY person_key").pl(),
        settings.exchange / "person.parquet",
    )
    # The newest redirect of an id counts; one to itself says that the id is in use again.
    redirects = con.execute(
        "SELECT old_person_key, person_key, build_id FROM (SELECT *, row_number() OVER (PARTITION BY old_person_key"
        " ORDER BY build_id DESC, rowid DESC) AS newest FROM vault.person_redirect)"
        " WHERE newest = 1 AND old_person_key <> person_key ORDER BY old_person_key"
    ).pl()
    # Of a chain of merges the end counts: a reader needs one step.
    target = dict(redirects.select("old_person_key", "person_key").iter_rows())
    ends = []
    for key in redirects["person_key"]:
        while key in target:
            key = target[key]
        ends.append(key)
    redirects = redirects.with_columns(person_key=pl.Series(ends, dtype=pl.Int64))
    write_exchange(redirects, settings.exchange / "person_redirect.parquet")
    write_exchange(
        found.undetermined.join(component_person, on="component")
        .select("record_key", candidate_person_key="person_key", reason="reason")
        .sort("record_key", "candidate_person_key", "reason"),
        settings.exchange / "link_not_determined.parquet",
    )
    write_exchange(found.conflicts, settings.exchange / "identity_conflict.parquet")
    return bridge["person_key"].n_unique()


def write_exchange(frame: pl.DataFrame, path: Path) -> None:
    """Write Parquet under a temporary name and rename it, so that a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}")
    frame.write_parquet(partial)
    os.replace(partial, path)
