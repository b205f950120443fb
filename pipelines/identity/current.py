"""What tonight's records are, and whether dbt's identity phase may build on last night's tables.

Belongs here: filling vault.current_record from the accepted files in use, what of it differs from the records staged
last night, and the row of vault.identity_basis that says under which policy and models the derived tables were made.
Does not belong here: normalizing or comparing anything (dbt models), minting keys (keys.py), and what follows from a
change (partition.py).

A record_key stands for one tuple of identifiers for ever, so a record never changes: it comes when an active delivery
holds it and goes when none does. A corrected number is a new record, and the wrong one ties nobody any more.
"""

from __future__ import annotations

import duckdb

from pipelines.identity.vault import open_vault
from pipelines.intake import views
from pipelines.settings import Settings

# Once, because to compare two lists of ten million keys costs seconds.
FIND_CHANGE = (
    "INSERT INTO vault.record_change SELECT coalesce(present.record_key, staged.record_key),"
    " present.record_key IS NULL FROM vault.current_record AS present"
    " FULL JOIN vault.staging.stg_identity__record AS staged ON staged.record_key = present.record_key"
    " WHERE present.record_key IS NULL OR staged.record_key IS NULL"
)


def write_current(settings: Settings) -> int:
    """Fill vault.current_record with the distinct record keys of all accepted, not superseded files; how many.

    Call it after intake has ended and before dbt's identity phase. Whole or not at all.
    """
    with open_vault(settings) as con:
        con.execute("BEGIN")
        con.execute("DELETE FROM vault.current_record")
        con.execute(
            "INSERT INTO vault.current_record SELECT DISTINCT record_key FROM read_parquet(?, union_by_name = true)"
            " WHERE record_key IS NOT NULL ORDER BY record_key",
            [views.files_with_records(settings)],
        )
        count = con.execute("SELECT count(*) FROM vault.current_record").fetchone()[0]
        con.execute("COMMIT")
        return count


def begin_phase(settings: Settings, fingerprint: str) -> bool:
    """True when dbt's identity phase must derive every table anew; call it right before the phase.

    So it is when policy, models or libraries (`fingerprint`) are not those of the tables, and when the phase before
    did not run to its end: its tables may belong to two nights. The row that says so goes now and comes back with
    `end_phase`. Fills vault.record_change for a phase that computes only what changed.
    """
    with open_vault(settings) as con:
        made_with = con.execute("SELECT fingerprint FROM vault.identity_basis").fetchall()
        con.execute("DELETE FROM vault.identity_basis")
        con.execute("DELETE FROM vault.record_change")
        if made_with != [(fingerprint,)]:
            return True
        con.execute(FIND_CHANGE)
        return False


def end_phase(settings: Settings, fingerprint: str) -> None:
    """Record that every table of the phase was made under `fingerprint`; call it only when no node failed."""
    with open_vault(settings) as con:
        con.execute("DELETE FROM vault.identity_basis")
        con.execute("INSERT INTO vault.identity_basis VALUES (?)", [fingerprint])


def forget_derived(con: duckdb.DuckDBPyConnection) -> None:
    """Empty what is derived from records and verdicts, so that the next night derives all of it again."""
    derived = (
        "identity_basis", "current_record", "pair_score", "scored", "score_basis", "canonical", "conflict",
        "undetermined", "present_link", "unlike_record", "shared_student_id", "exported", "solved",
    )  # fmt: skip
    for table in derived:
        con.execute(f"DELETE FROM vault.{table}")
