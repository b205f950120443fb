"""What holds tonight, of every current record: tables that a night changes where people changed and nowhere else.

Belongs here: keeping vault.present_link, vault.unlike_record and vault.shared_student_id in step with the log of links.
Does not belong here: the log itself (registry.py), what the steward asks (steward/queue.py) and deciding anything.

All three follow from the log and the staged records, so that they can be made anew at any time. Whole states are
searched for doubtful persons and numbers by comparing hashes, which are small.
"""

from __future__ import annotations

import duckdb

from pipelines.identity.vault import sought

STAGED = "vault.staging.stg_identity__record"
# The link that holds now of the records in hand, with what it is judged by, as a temporary table; see `renew`.
TONIGHT_LINK = "tonight_link"
# The same records as they stood before, in the columns of vault.present_link.
BEFORE_LINK = "before_link"
# What the steward is asked about a person of two values, by record.
UNLIKE = ("record_key", "sector", "given_name", "surname", "birth_date", "ssn", "student_id_state")
COLUMNS = "record_key, person_key, rule, valid_from_build, sector, is_bare, has_ssn, student_id_hash"


def renew(con: duckdb.DuckDBPyConnection, records: str | None = None, staged: str = STAGED) -> None:
    """Bring the three tables in step with vault.person_link and the staged records, in the caller's transaction.

    records: a relation with the column record_key: all records that came or went or whose link changed, and all records
    of every person who bears or bore one of them. None: all records. staged: a table with the staged records of these.

    Leaves the temporary tables tonight_link (the rows of vault.present_link for `records`, with ssn_hash and
    birth_date) and before_link (the rows that it had for them; empty where all are made anew).
    """
    among = "" if records is None else f"SEMI JOIN {sought(records)} USING (record_key)"
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {TONIGHT_LINK} AS
        WITH link AS (SELECT * FROM vault.person_link {among}),
        record AS (
            SELECT record_key, sector, ssn, birth_date, student_id_state, is_bare
            FROM {staged} {among}
        )
        SELECT record_key, link.person_key, link.rule, link.valid_from_build, record.sector, record.is_bare,
            record.ssn IS NOT NULL AS has_ssn,
            CASE WHEN record.student_id_state IS NOT NULL THEN hash(record.student_id_state) END AS student_id_hash,
            CASE WHEN record.ssn IS NOT NULL THEN hash(record.ssn) END AS ssn_hash,
            record.birth_date
        FROM link
        SEMI JOIN (SELECT max(link_number) AS link_number FROM link GROUP BY record_key) USING (link_number)
        JOIN record USING (record_key)
        """
    )
    if records is None:
        con.execute(f"CREATE OR REPLACE TEMP TABLE {BEFORE_LINK} AS SELECT {COLUMNS} FROM vault.present_link LIMIT 0")
        con.execute("DELETE FROM vault.present_link")
    else:
        con.execute(f"CREATE OR REPLACE TEMP TABLE {BEFORE_LINK} AS SELECT {COLUMNS} FROM vault.present_link {among}")
        con.execute(f"DELETE FROM vault.present_link WHERE record_key IN {sought(BEFORE_LINK)}")
    con.execute(f"INSERT INTO vault.present_link SELECT {COLUMNS} FROM {TONIGHT_LINK}")
    doubtful = {
        ("unlike_record", "person_key"): f"SELECT link.person_key, {', '.join(f'record.{name}' for name in UNLIKE)}"
        f" FROM {TONIGHT_LINK} AS link JOIN {staged} AS record USING (record_key)"
        f" WHERE link.person_key IN (SELECT person_key FROM {TONIGHT_LINK} GROUP BY person_key"
        " HAVING min(ssn_hash) <> max(ssn_hash) OR min(birth_date) <> max(birth_date)"
        " OR min(student_id_hash) <> max(student_id_hash))",
        # A bare number says of nobody whose it is.
        ("shared_student_id", "student_id_hash"): "SELECT student_id_hash FROM vault.present_link"
        " WHERE student_id_hash IS NOT NULL AND NOT is_bare"
        + ("" if records is None else f" AND student_id_hash IN ({_either('student_id_hash')})")
        + " GROUP BY student_id_hash HAVING min(person_key) <> max(person_key)",
    }
    for (table, key), found in doubtful.items():
        con.execute(f"DELETE FROM vault.{table}" + ("" if records is None else f" WHERE {key} IN ({_either(key)})"))
        con.execute(f"INSERT INTO vault.{table} {found}")


def count_persons(con: duckdb.DuckDBPyConnection) -> int:
    """How many persons more hold a record now than before, of the records in hand. Call it after `renew`."""
    now, before = (f"SELECT count(DISTINCT person_key) FROM {table}" for table in (TONIGHT_LINK, BEFORE_LINK))
    return con.execute(f"SELECT ({now}) - ({before})").fetchone()[0]


def _either(column: str) -> str:
    """SQL: the values of a column before and now, of the records in hand."""
    return f"FROM {sought(BEFORE_LINK, column)} UNION FROM {sought(TONIGHT_LINK, column)}"
