"""What tonight's records are, and whether dbt's identity phase may build on last night's tables.

Belongs here: filling vault.current_record from the accepted files in use, what of it differs from the records staged
last night, and the row of vault.identity_basis that says under which policy and models the derived tables were made.
Does not belong here: normalizing or comparing anything (dbt models), minting keys (keys.py), and what follows from a
change (partition.py).

A record_key stands for one tuple of identifiers for ever, so a record never changes: it comes when an active delivery
holds it and goes when none does. A corrected number is a new record, and the wrong one ties nobody any more.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np

from pipelines.identity.present import STAGED
from pipelines.identity.vault import open_vault
from pipelines.intake import views
from pipelines.settings import Settings

# Keys are told apart by sums over so many buckets of them, by their last bits.
BUCKETS = 1 << 22
# As many keys at a time, so that the memory of each part is that of the part before.
PART = 1 << 16
# The two lists are read once each: to keep them would only cost fresh memory, which is dearer than reading.
MEMORY = "200MB"
CURRENT = "vault.current_record"


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
    with open_vault(settings, is_brief=True) as con:
        made_with = con.execute("SELECT fingerprint FROM vault.identity_basis").fetchall()
        con.execute("DELETE FROM vault.identity_basis")
        con.execute("DELETE FROM vault.record_change")
        if made_with != [(fingerprint,)]:
            return True
        find_change(con)
        return False


def find_change(con: duckdb.DuckDBPyConnection) -> None:
    """Fill vault.record_change with the keys that are current and not staged, and with those staged and not current.

    Of two lists of ten million keys nearly all are in both. So numbers made of the keys are summed in each bucket, and
    keys compared one by one only where the sums differ: about half of what comparing all costs. One key that came
    or went is always seen, for its number is odd; several keys have the sum of as many others once in 2**63 times.
    """
    differs = _sums(con, CURRENT) != _sums(con, STAGED)
    present, staged = (
        np.concatenate([np.empty(0, np.int64), *(keys[differs[keys & (BUCKETS - 1)]] for keys in _parts(con, table))])
        for table in (CURRENT, STAGED)
    )
    for keys, others, is_gone in ((present, staged, False), (staged, present, True)):
        con.register("changed_key", {"record_key": np.sort(np.setdiff1d(keys, others, assume_unique=True))})
        con.execute("INSERT INTO vault.record_change SELECT record_key, ? FROM changed_key", [is_gone])
        con.unregister("changed_key")


def _parts(con: duckdb.DuckDBPyConnection, table: str) -> Iterator[np.ndarray]:
    for part in con.execute(f"SELECT record_key FROM {table}").to_arrow_reader(PART):
        yield part.column(0).to_numpy()


def _sums(con: duckdb.DuckDBPyConnection, table: str) -> np.ndarray:
    """A sum for each bucket of keys, of odd numbers of 64 bits by which keys in a row are as good as random ones."""
    found = np.zeros(BUCKETS, dtype=np.int64)
    for keys in _parts(con, table):
        spread = keys * 0x1E3779B97F4A7C15  # wraps around
        spread = (spread ^ (spread >> 29)) * 0x3F58476D1CE4E5B9
        np.add.at(found, keys & (BUCKETS - 1), (spread ^ (spread >> 32)) | 1)
    return found


def end_phase(settings: Settings, fingerprint: str) -> None:
    """Record that every table of the phase was made under `fingerprint`; call it only when no node failed."""
    with open_vault(settings, is_brief=True) as con:
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
