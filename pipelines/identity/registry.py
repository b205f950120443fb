"""The registry of people: append-only tables in the vault, and what of them may leave it.

Belongs here: reading the history of some records, appending a night's links and events, the
crosswalk as of any build, following redirects, and the files in `exchange/`. Does not belong here: who is who
(partition.py), which id a person gets (ids.py) and the tables of what holds tonight (present.py).

Nothing is ever changed or deleted: of a record the link with the highest number holds, and an id once given resolves
for ever.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from pipelines import planner
from pipelines.identity.ids import Fold
from pipelines.identity.keys import random_keys
from pipelines.identity.present import BEFORE_LINK, TONIGHT_LINK
from pipelines.identity.vault import sought
from pipelines.intake import views
from pipelines.settings import Settings

ROW_GROUP = 250_000  # rows of a file in `exchange/`
# Columns of the bridge that hold few different words.
BRIDGE_WORDS = ("sector", "rule", "valid_from_build")
# Relations in SQL, for whoever asks who a record belongs to, or what a steward said of a pair.
PRESENT_LINK = (
    "(SELECT record_key, arg_max(person_key, link_number) AS person_key FROM vault.person_link GROUP BY record_key)"
)
# The newest verdict on every pair, where it binds; a newest 'defer' takes back what was said before.
JUDGED = (
    "(SELECT least(record_key_a, record_key_b) AS record_key_a, greatest(record_key_a, record_key_b) AS record_key_b,"
    ' arg_max(verdict, "at") AS verdict, arg_max(who, "at") AS who, max("at") AS "at" FROM vault.verdict'
    " GROUP BY 1, 2 HAVING arg_max(verdict, \"at\") IN ('same', 'distinct'))"
)


def history_of(con: duckdb.DuckDBPyConnection, records: str) -> pl.DataFrame:
    """Every link of the records of the relation `records` (record_key): record_key, person_key, link_number."""
    return con.execute(
        "SELECT record_key, person_key, link_number FROM vault.person_link"
        f" SEMI JOIN {sought(records)} USING (record_key)"
        " ORDER BY link_number"
    ).pl()


def persons_of(con: duckdb.DuckDBPyConnection, history: pl.DataFrame) -> pl.DataFrame:
    """person_key, age_rank of the persons in `history`; builds sort by time, so a smaller rank is older."""
    con.register("known_person", history.select("person_key").unique().to_arrow())
    try:
        return con.execute(
            "SELECT person_key, dense_rank() OVER (ORDER BY minted_build) AS age_rank FROM vault.person"
            f" SEMI JOIN {sought('known_person', 'person_key')} USING (person_key)"
        ).pl()
    finally:
        con.unregister("known_person")


def unused_keys(con: duckdb.DuckDBPyConnection, count: int) -> Sequence[int]:
    """`count` random keys that no person has."""
    while True:
        drawn = random_keys(count)
        con.register("drawn_key", {"person_key": drawn})
        taken = con.execute("SELECT count(*) FROM vault.person SEMI JOIN drawn_key USING (person_key)").fetchone()[0]
        con.unregister("drawn_key")
        if not taken:  # one chance in billions of billions; then all are drawn again
            return drawn.tolist()


def append(con: duckdb.DuckDBPyConnection, build_id: str, folded: Fold, weights: pl.DataFrame) -> None:
    """Append persons, links, events and redirects, in the caller's transaction. weights: record_key, weight (bits)."""
    perturbation = np.frombuffer(os.urandom(len(folded.minted)), dtype=np.uint8).astype(np.int32)
    frames = {
        "new_person": pl.DataFrame(
            {"person_key": folded.minted, "perturbation_key": perturbation},
            schema={"person_key": pl.Int64, "perturbation_key": pl.Int32},
        ),
        "new_link": folded.links.join(weights, on="record_key", how="left", maintain_order="left").with_row_index(
            "position"
        ),
        "new_event": folded.events,
        "new_redirect": folded.redirects,
    }
    for name, frame in frames.items():
        con.register(name, frame.to_arrow())
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
    finally:
        for name in frames:
            con.unregister(name)


def restore(con: duckdb.DuckDBPyConnection, build_id: str) -> None:
    """Let every id that one of tonight's records in hand bears stand for itself again. Call it after present.renew.

    A record that was away while its id was merged into another comes back with that id.
    """
    con.execute(
        f"""
        INSERT INTO vault.person_redirect
        WITH borne AS (SELECT DISTINCT person_key FROM {TONIGHT_LINK}),
        newest AS (
            SELECT old_person_key, arg_max(person_key, rowid) AS person_key FROM vault.person_redirect GROUP BY 1
        )
        SELECT borne.person_key, borne.person_key, ?
        FROM borne JOIN newest ON newest.old_person_key = borne.person_key
        WHERE newest.person_key <> borne.person_key
        ORDER BY 1
        """,
        [build_id],
    )


def crosswalk(con: duckdb.DuckDBPyConnection, build_id: str | None = None) -> pl.DataFrame:
    """Who every record belonged to as of a build (today where none is given).

    record_key, person_key, rule, weight (bits), valid_from_build, valid_to_build (the build that ended it, null while
    it holds), in the order of record_key. A record that is not delivered any more keeps its last person.
    """
    until = "" if build_id is None else "WHERE valid_from_build <= $build_id"
    return con.execute(
        f"""
        SELECT record_key, person_key, rule, weight, valid_from_build, valid_to_build
        FROM (
            SELECT *, lead(valid_from_build) OVER (PARTITION BY record_key ORDER BY link_number) AS valid_to_build
            FROM vault.person_link
        )
        {until}
        QUALIFY row_number() OVER (PARTITION BY record_key ORDER BY link_number DESC) = 1
        ORDER BY record_key
        """,
        {} if build_id is None else {"build_id": build_id},
    ).pl()


def redirects(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """old_person_key, person_key, build_id: each id that is no longer in use and the one that stands for it today.

    Of a chain of merges the end is told, so that a reader needs one step. An id that is in use again is not listed.
    """
    newest = con.execute(
        "SELECT old_person_key, person_key, build_id FROM (SELECT *, row_number() OVER (PARTITION BY old_person_key"
        " ORDER BY build_id DESC, rowid DESC) AS newest FROM vault.person_redirect)"
        " WHERE newest = 1 AND old_person_key <> person_key ORDER BY old_person_key"
    ).pl()
    target = dict(newest.select("old_person_key", "person_key").iter_rows())
    ends = []
    for key in newest["person_key"]:
        while key in target:
            key = target[key]
        ends.append(key)
    return newest.with_columns(person_key=pl.Series(ends, dtype=pl.Int64))


def exported(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Name of a file in `exchange/` -> digest, of those that hold just what the vault holds."""
    return dict(con.execute("SELECT name, digest FROM vault.exported").fetchall())


def export(
    con: duckdb.DuckDBPyConnection, settings: Settings, before: dict[str, str] | None = None, minted: Sequence[int] = ()
) -> None:
    """Write what the warehouse may know, keys only, sorted.

    Call it after present.renew. before: `exported` before tonight's records and persons changed; a file that still has
    the digest told there is changed where they changed, any other is written anew, which gives the same bytes. None:
    all are written anew, as they must be where all links were made anew. minted: keys of the persons that tonight made.
    """
    # Wages can be looked for under a valid number only; the warehouse learns that there is one, not which.
    columns = "record_key, person_key, sector, rule, has_ssn, valid_from_build"
    few = {
        name: pl.Enum(con.execute(f"SELECT DISTINCT {name} FROM vault.present_link ORDER BY 1").pl().to_series())
        for name in BRIDGE_WORDS
    }
    was, now = (f"SELECT {columns} FROM {table}" for table in (BEFORE_LINK, TONIGHT_LINK))
    bridge = settings.exchange / "brg_record_person.parquet"
    _export_sorted(
        con,
        bridge,
        before,
        f"SELECT {columns} FROM vault.present_link",
        gone=f"SELECT record_key FROM ({was} EXCEPT {now})",
        come=f"({now} EXCEPT {was})",
        few=few,
    )
    con.register("minted_person", pl.DataFrame({"person_key": minted}, schema={"person_key": pl.Int64}).to_arrow())
    _export_sorted(
        con,
        settings.exchange / "person.parquet",
        before,
        "SELECT person_key, perturbation_key FROM vault.person",
        gone="SELECT person_key FROM minted_person LIMIT 0",
        come="SELECT person_key, perturbation_key FROM vault.person SEMI JOIN minted_person USING (person_key)",
    )
    con.unregister("minted_person")
    write_exchange(redirects(con), settings.exchange / "person_redirect.parquet")
    not_determined = con.execute(
        "SELECT DISTINCT u.record_key, other.person_key AS candidate_person_key, u.reason FROM vault.undetermined AS u"
        " JOIN vault.present_link AS own ON own.record_key = u.record_key"
        " JOIN vault.present_link AS other ON other.record_key = u.anchor_record_key"
        " WHERE own.person_key <> other.person_key ORDER BY ALL"
    ).pl()
    write_exchange(not_determined, settings.exchange / "link_not_determined.parquet")


def read_bridge(settings: Settings) -> pl.DataFrame:
    """exchange/brg_record_person.parquet, words as text."""
    bridge = pl.read_parquet(settings.exchange / "brg_record_person.parquet")
    return bridge.with_columns(pl.col(pl.Enum).cast(pl.String))


def _export_sorted(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    before: dict[str, str] | None,
    whole: str,
    gone: str,
    come: str,
    few: dict[str, pl.Enum] | None = None,
) -> None:
    """Write the rows of the query `whole` in the order of their first column, a key.

    Where the file of last night stands, only the keys of the query `gone` are taken out and the rows of `come` put in,
    some rows at a time: to sort ten million costs more than all else that a quiet night does. few: columns of few
    different words, which are those of these types: numbers of words are merged and written in a third of the time.
    """
    typed = [pl.col(name).cast(words) for name, words in (few or {}).items()]
    digest = (before or {}).get(path.stem)
    if digest is None or not path.exists() or _digest(path) != digest:
        write_exchange(con.execute(f"{whole} ORDER BY 1").pl().with_columns(typed), path)
    else:
        gone_keys = con.execute(gone).pl().to_series()
        came = con.execute(f"{come} ORDER BY 1").pl()
        if len(gone_keys) or came.height:
            key = gone_keys.name
            stays = pl.scan_parquet(path).filter(~pl.col(key).is_in(gone_keys.implode())).with_columns(typed)
            write_exchange(stays.merge_sorted(came.lazy().with_columns(typed), key), path)
    con.execute("INSERT INTO vault.exported VALUES (?, ?)", [path.stem, _digest(path)])


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def touched_years(con: duckdb.DuckDBPyConnection, settings: Settings) -> list[int]:
    """School years in which a person merged, split or moved since the last good build has a record: these are due.

    A person only minted touches no year that its delivery did not touch. Reads vault.present_link.
    """
    last = planner.last_good(settings)
    changed = con.execute(
        "SELECT person_key, other_person_key FROM vault.person_event WHERE event <> 'mint' AND build_id > ?",
        [last["build_id"] if last else ""],
    ).pl()
    persons = pl.concat([changed["person_key"], changed["other_person_key"]]).drop_nulls().unique().sort()
    if not len(persons):
        return []
    con.register("changed_person", persons.to_frame("person_key").to_arrow())
    try:
        found = con.execute(
            "SELECT DISTINCT CAST(school_year AS INTEGER) AS school_year FROM read_parquet(?, union_by_name = true)"
            " SEMI JOIN (SELECT record_key FROM vault.present_link SEMI JOIN changed_person USING (person_key))"
            " USING (record_key) WHERE school_year IS NOT NULL ORDER BY school_year",
            [views.files_with_records(settings)],
        ).fetchall()
    finally:
        con.unregister("changed_person")
    return [year for (year,) in found]


def write_exchange(frame: pl.DataFrame | pl.LazyFrame, path: Path) -> None:
    """Write Parquet under a temporary name and rename it, so that a reader never sees half a file. The same rows give
    the same bytes, however they come."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}")
    # Random keys: nothing makes them smaller.
    frame.lazy().sink_parquet(partial, compression="uncompressed", row_group_size=ROW_GROUP)
    os.replace(partial, path)
