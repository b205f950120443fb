"""The steward's queue: which questions wait, in step with each night.

Belongs here: finding the questions, keeping the queue at its size, and the counts that cross. Does not belong here:
showing records (show.py) and answering (verdict.py).

vault.queue_item is a log: the newest row of an item, in the order of appending (`entry`), is its state, and nothing is
ever changed, so that the queue of any past build can be read. An item is a question about two persons, or about one,
of one kind; its two record keys are the best example. The questions:

- overlay: records of one person carry two confirmed numbers (each from two sectors), or birth dates that differ in
  more than one part. Score: how many of number, birth date and student id speak against one person.
- possible_match: evidence ties two persons that are kept apart. Score: the bits of the tie, also where a fact speaks
  against it (two confirmed numbers, irreconcilable birth dates): of those nobody else decides. Without a tier such a
  pair counts 0, and wages under another name, or under a number that a crowd bears, count as the least that is asked
  about.
- duplicate_id: a person with two state student ids (score 0), or a state student id with two persons. Score: how many
  of given name, surname and birth date agree.

More wait than may be asked: first by kind in this order, because a person made of two is wrong in every figure, then
by score, then by record keys. A question that was opened keeps its place until it is answered or its cause is gone;
the rest are counted. Deferred items keep their place.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta

import duckdb
import polars as pl

from pipelines import planner
from pipelines.identity.partition import CROWDED, UNLIKE_NAMES
from pipelines.identity.policy import IdentityPolicy, load_policy, tiers_in_force
from pipelines.identity.registry import JUDGED, write_exchange
from pipelines.identity.steward.desk import StewardError
from pipelines.identity.vault import sought
from pipelines.settings import Settings

KINDS = ("overlay", "possible_match", "duplicate_id")
SAMPLE = "clerical_sample"  # drawn on purpose (identity/estimate.py): no part of the queue's size
FIELD_OF_REASON = {
    "two_confirmed_ssns": "ssn",
    "two_birth_dates": "birth_date",
    "two_student_ids": "student_id_state",
}
# Facts that keep two groups apart speak as loud against one person as a comparison of the model for it: even odds.
EVEN = 0.0
COLUMNS = {
    "item_id": pl.Int64, "kind": pl.String, "record_key_a": pl.Int64, "record_key_b": pl.Int64, "score": pl.Float64,
    "reason": pl.String, "state": pl.String, "because": pl.String, "build_id": pl.String, "opened_build": pl.String,
    "deferred_until": pl.Date, "at": pl.Datetime("us"), "stratum": pl.String, "is_linked": pl.Boolean,
    "inclusion_probability": pl.Float64,
}  # fmt: skip
SELECTED = ", ".join(f'"{name}"' for name in COLUMNS)
# The newest row of every item.
ITEM = "(SELECT * FROM vault.queue_item QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY entry DESC) = 1)"
# How complete a record is: of several with one value the most complete is shown.
COMPLETE = (
    "((record.birth_date IS NOT NULL)::INT + (record.given_name IS NOT NULL)::INT + (record.surname IS NOT NULL)::INT"
    " + (record.ssn IS NOT NULL)::INT + (record.student_id_state IS NOT NULL)::INT)"
)


@dataclass(frozen=True)
class QueueSummary:
    """Items of the queue after a night. open_items: waiting or deferred, at most `limit`; left_out: questions found and
    not asked; opened: by this build; closed: since the last build, by a verdict or because the cause is gone."""

    records: int
    limit: int
    open_items: int
    deferred: int
    opened: int
    closed: int
    left_out: int

    def as_metadata(self) -> dict[str, int]:
        return asdict(self)


def refresh_queue(con: duckdb.DuckDBPyConnection, settings: Settings, build_id: str) -> QueueSummary:
    """Bring vault.queue_item in step with tonight's persons and evidence, and export its counts.

    `con`: the open vault, outside a transaction, after present.renew. Reads its tables, pair_score, conflict,
    undetermined, verdict and the staged records. Writes exchange/steward_queue.parquet (a row a kind) and
    exchange/steward_verdict.parquet (who judged how many); no key of a record crosses. The same inputs append nothing.
    """
    day = planner.day_of(build_id)
    policy = load_policy(settings.seeds / "policy" / "identity_parameter.csv", day)
    con.execute("DROP TABLE IF EXISTS temp.steward_person; CREATE TEMP VIEW steward_person AS FROM vault.present_link")
    records = con.execute("SELECT count(*) FROM steward_person").fetchone()[0]
    limit = max(1, int(records * policy.queue_share))
    _find(con, settings, policy, day)
    con.execute("BEGIN")
    try:
        _close_and_renew(con, build_id, day)
        _open(con, build_id, limit)
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        raise
    counts = _export(con, settings, build_id, records)
    con.execute("DROP VIEW steward_person; DROP TABLE steward_candidate; DROP TABLE steward_kept")
    queue = counts.filter(pl.col("kind") != SAMPLE)
    total = {name: int(queue[f"{name}_count"].sum()) for name in ("open", "deferred", "opened", "closed", "left_out")}
    return QueueSummary(
        records=records,
        limit=limit,
        open_items=total["open"] + total["deferred"],
        deferred=total["deferred"],
        opened=total["opened"],
        closed=total["closed"],
        left_out=total["left_out"],
    )


def persons_around(con: duckdb.DuckDBPyConnection, records: str) -> None:
    """Make the temporary table steward_person: record_key, person_key of the current records of every person to whom
    one of `records` belongs (a query of record keys)."""
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE steward_person AS
        WITH person AS (SELECT DISTINCT person_key FROM vault.person_link SEMI JOIN ({records}) USING (record_key)),
        around AS (SELECT DISTINCT record_key FROM vault.person_link SEMI JOIN person USING (person_key))
        SELECT link.record_key, arg_max(link.person_key, link.link_number) AS person_key
        FROM vault.person_link AS link SEMI JOIN around USING (record_key)
        SEMI JOIN vault.staging.stg_identity__record AS record USING (record_key)
        GROUP BY link.record_key
        """
    )


def item(con: duckdb.DuckDBPyConnection, item_id: int) -> dict:
    """The newest row of an item. Errors: StewardError when there is none of that number."""
    found = con.execute(f"SELECT {SELECTED} FROM {ITEM} WHERE item_id = ?", [item_id]).pl().to_dicts()
    if not found:
        raise StewardError(f"There is no item {item_id} in the queue. `p20w steward next` shows the next one.")
    return found[0]


def waiting(con: duckdb.DuckDBPyConnection, today: date) -> list[dict]:
    """Items to be judged today, the next one first: the queue in its order, then samples in the order drawn."""
    rows = con.execute(f"SELECT {SELECTED} FROM {ITEM} WHERE state <> 'closed'").pl().to_dicts()
    due = [row for row in rows if row["deferred_until"] is None or row["deferred_until"] <= today]
    order = {kind: number for number, kind in enumerate((*KINDS, SAMPLE))}

    def place(row: dict) -> tuple:
        score = 0.0 if row["kind"] == SAMPLE else -row["score"]
        return order[row["kind"]], score, row["item_id"]

    return sorted(due, key=place)


def append(con: duckdb.DuckDBPyConnection, rows: list[dict]) -> None:
    """Append rows of an item's log, in their order; columns that a row does not name are null."""
    if not rows:
        return
    start = con.execute("SELECT coalesce(max(entry), 0) FROM vault.queue_item").fetchone()[0]
    frame = pl.DataFrame([{name: row.get(name) for name in COLUMNS} for row in rows], schema=COLUMNS)
    con.register("steward_row", frame.with_row_index("place", 1).to_arrow())
    con.execute(
        f"INSERT INTO vault.queue_item ({SELECTED}, entry) SELECT {SELECTED}, ? + place FROM steward_row", [start]
    )
    con.unregister("steward_row")


def deferral(settings: Settings, today: date) -> date:
    """The day on which an item deferred today comes back."""
    policy = load_policy(settings.seeds / "policy" / "identity_parameter.csv", today)
    return today + timedelta(days=policy.defer_days)


# --- finding ------------------------------------------------------------------------------------------------------
def _find(con: duckdb.DuckDBPyConnection, settings: Settings, policy: IdentityPolicy, day: date) -> None:
    """Make steward_candidate: kind, subject_a, subject_b (persons, the smaller key first), record_key_a, record_key_b,
    score, reason: one row a question, without those that a steward has answered."""
    con.execute(f"CREATE OR REPLACE TEMP TABLE steward_judged AS SELECT * FROM {JUDGED}")
    con.execute(
        "CREATE OR REPLACE TEMP TABLE steward_judged_person AS SELECT DISTINCT"
        " least(a.person_key, b.person_key) AS subject_a, greatest(a.person_key, b.person_key) AS subject_b"
        " FROM steward_judged AS judged JOIN steward_person AS a ON a.record_key = judged.record_key_a"
        " JOIN steward_person AS b ON b.record_key = judged.record_key_b"
    )
    _values_of_suspects(con)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE steward_candidate AS SELECT * FROM ({_between(con, settings, policy, day)})"
        f" ANTI JOIN steward_judged_person USING (subject_a, subject_b) UNION ALL {_within(policy)}"
    )
    con.execute(
        "DROP TABLE steward_judged; DROP TABLE steward_judged_person; DROP TABLE steward_value; DROP TABLE steward_tier"
    )


def _between(con: duckdb.DuckDBPyConnection, settings: Settings, policy: IdentityPolicy, day: date) -> str:
    """Questions about two persons: the best tie that did not join them, and one student id that both carry."""
    path = settings.seeds / "policy" / "match_tier.csv"
    rules = [(row["rule"], float(row["weight"])) for row in tiers_in_force(path, day)]
    tiers = pl.DataFrame(rules, schema={"rule": pl.String, "bits": pl.Float64}, orient="row").unique("rule", keep="any")
    con.register("steward_tier_frame", tiers.to_arrow())
    con.execute("CREATE OR REPLACE TEMP TABLE steward_tier AS SELECT * FROM steward_tier_frame")
    con.unregister("steward_tier_frame")
    return f"""
    WITH tie AS (
        SELECT record_key_a, record_key_b, weight AS score, 'scored' AS reason
        FROM vault.pair_score WHERE weight >= {policy.review_weight}
        UNION ALL
        SELECT conflict.record_key_a, conflict.record_key_b,
            coalesce(steward_tier.bits, CASE WHEN conflict.reason IN ('weak_bridge', 'between_thresholds')
                THEN greatest(conflict.weight, {policy.review_weight}) ELSE {EVEN} END),
            conflict.reason
        FROM vault.conflict AS conflict LEFT JOIN steward_tier USING (rule)
        WHERE conflict.reason <> 'verdict_distinct'
        UNION ALL
        SELECT record_key, anchor_record_key, {policy.review_weight},
            CASE reason WHEN '{CROWDED}' THEN 'wage_number_of_a_crowd' ELSE 'wage_name_differs' END
        FROM vault.undetermined WHERE reason IN ('{UNLIKE_NAMES}', '{CROWDED}')
    ),
    -- A few records are looked up among all; to join all with them would first make a table of all.
    bearer AS MATERIALIZED (
        SELECT record_key, person_key FROM steward_person
        WHERE record_key IN (FROM {sought("tie", "record_key_a")} UNION ALL FROM {sought("tie", "record_key_b")})
    ),
    tied AS (
        SELECT 'possible_match' AS kind,
            least(a.person_key, b.person_key) AS subject_a, greatest(a.person_key, b.person_key) AS subject_b,
            least(tie.record_key_a, tie.record_key_b) AS record_key_a,
            greatest(tie.record_key_a, tie.record_key_b) AS record_key_b, tie.score, tie.reason
        FROM tie
        JOIN bearer AS a ON a.record_key = tie.record_key_a
        JOIN bearer AS b ON b.record_key = tie.record_key_b
        WHERE a.person_key <> b.person_key
    ),
    sharing AS MATERIALIZED (
        SELECT record_key, person_key FROM steward_person
        WHERE student_id_hash IN {sought("vault.shared_student_id", "student_id_hash")}
    ),
    record_sharing AS MATERIALIZED (
        SELECT record_key, given_name, given_root, surname, birth_date, ssn, student_id_state
        FROM vault.staging.stg_identity__record
        WHERE record_key IN {sought("sharing")} AND NOT is_bare
    ),
    carrier AS (
        SELECT record.student_id_state, person.person_key,
            first(record.record_key ORDER BY {COMPLETE} DESC, record.record_key) AS record_key
        FROM sharing AS person JOIN record_sharing AS record USING (record_key)
        GROUP BY record.student_id_state, person.person_key
    ),
    -- Of many persons with one id each is compared with the first only: a question a person, not a pair.
    shared AS (
        SELECT *, first_value(person_key) OVER ids AS first_person, first_value(record_key) OVER ids AS first_record
        FROM carrier WINDOW ids AS (PARTITION BY student_id_state ORDER BY record_key)
    ),
    same_id AS (
        SELECT 'duplicate_id' AS kind,
            least(shared.person_key, first_person) AS subject_a, greatest(shared.person_key, first_person) AS subject_b,
            least(shared.record_key, first_record) AS record_key_a,
            greatest(shared.record_key, first_record) AS record_key_b,
            CAST(coalesce(a.given_root = b.given_root, false)::INT + coalesce(a.surname = b.surname, false)::INT
                + coalesce({_near_date(_day("a"), _day("b"), policy.generation_years)}, false)::INT AS DOUBLE) AS score,
            'student_id_in_two_persons' AS reason
        FROM shared
        JOIN record_sharing AS a ON a.record_key = shared.record_key
        JOIN record_sharing AS b ON b.record_key = first_record
        WHERE shared.person_key <> first_person
    )
    SELECT * FROM (SELECT * FROM tied UNION ALL SELECT * FROM same_id)
    QUALIFY row_number() OVER (PARTITION BY kind, subject_a, subject_b
        ORDER BY score DESC, reason, record_key_a, record_key_b) = 1
    """


def _values_of_suspects(con: duckdb.DuckDBPyConnection) -> None:
    """Make steward_value: of persons with two different numbers or birth dates (vault.unlike_record) each value, in how
    many sectors it stands, and the most complete record that carries it."""
    fields = ", ".join(f"('{field}')" for field in FIELD_OF_REASON.values())
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE steward_value AS
        WITH long AS (
            SELECT record.person_key, field.name AS field, record.record_key, record.sector, {COMPLETE} AS complete,
                CASE field.name WHEN 'ssn' THEN record.ssn WHEN 'student_id_state' THEN record.student_id_state
                    ELSE {_day("record")} END AS value
            FROM vault.unlike_record AS record
            CROSS JOIN (VALUES {fields}) AS field (name)
        )
        SELECT person_key, field, value, count(DISTINCT sector) AS sectors,
            first(record_key ORDER BY complete DESC, record_key) AS record_key
        FROM long WHERE value IS NOT NULL GROUP BY person_key, field, value
        """
    )


def _within(policy: IdentityPolicy) -> str:
    """Questions about one person: values that two people would have. A pair of values once judged is not asked again,
    whichever records carry it."""
    return f"""
    SELECT * FROM (
        WITH judged AS (
            SELECT DISTINCT a.person_key, field.name AS field,
                least(field.value_a, field.value_b) AS low, greatest(field.value_a, field.value_b) AS high
            FROM steward_judged
            JOIN vault.unlike_record AS a ON a.record_key = record_key_a
            JOIN vault.unlike_record AS b ON b.record_key = record_key_b AND b.person_key = a.person_key
            CROSS JOIN LATERAL (VALUES
                ('ssn', a.ssn, b.ssn), ('student_id_state', a.student_id_state, b.student_id_state),
                ('birth_date', {_day("a")}, {_day("b")})
            ) AS field (name, value_a, value_b)
        ),
        unlike AS (
            SELECT low.person_key, low.field, least(low.record_key, high.record_key) AS record_key_a,
                greatest(low.record_key, high.record_key) AS record_key_b
            FROM steward_value AS low
            JOIN steward_value AS high
                ON high.person_key = low.person_key AND high.field = low.field AND low.value < high.value
            ANTI JOIN judged ON judged.person_key = low.person_key AND judged.field = low.field
                AND judged.low = low.value AND judged.high = high.value
            WHERE CASE low.field
                WHEN 'ssn' THEN low.sectors > 1 AND high.sectors > 1 AND NOT {_near_number("low.value", "high.value")}
                WHEN 'birth_date' THEN NOT {_near_date("low.value", "high.value", policy.generation_years)}
                ELSE true END
        ),
        weighed AS (
            SELECT CASE unlike.field WHEN 'student_id_state' THEN 'duplicate_id' ELSE 'overlay' END AS kind,
                unlike.person_key AS subject_a, unlike.person_key AS subject_b, unlike.record_key_a,
                unlike.record_key_b,
                CASE WHEN unlike.field = 'student_id_state' THEN 0.0 ELSE
                    CAST(coalesce(NOT {_near_number("a.ssn", "b.ssn")}, false)::INT
                        + coalesce(a.student_id_state <> b.student_id_state, false)::INT
                        + coalesce(NOT {_near_date(_day("a"), _day("b"), policy.generation_years)}, false)::INT
                    AS DOUBLE) END AS score,
                CASE unlike.field WHEN 'ssn' THEN 'two_confirmed_ssns' WHEN 'birth_date' THEN 'two_birth_dates'
                    ELSE 'two_student_ids' END AS reason
            FROM unlike
            JOIN vault.unlike_record AS a ON a.record_key = unlike.record_key_a
            JOIN vault.unlike_record AS b ON b.record_key = unlike.record_key_b
        )
        SELECT * FROM weighed
        QUALIFY row_number() OVER (PARTITION BY kind, subject_a
            ORDER BY score DESC, reason DESC, record_key_a, record_key_b) = 1
    )
    """


def _find_bearers(con: duckdb.DuckDBPyConnection, pairs: str) -> None:
    """Make steward_bearer: record_key, person_key of the records of a relation of pairs (record_key_a, record_key_b).

    A few records are looked up among all; to join all with them would first make a table of all.
    """
    con.execute(
        "CREATE OR REPLACE TEMP TABLE steward_bearer AS SELECT record_key, person_key FROM steward_person"
        f" WHERE record_key IN (FROM {sought(pairs, 'record_key_a')} UNION ALL FROM {sought(pairs, 'record_key_b')})"
    )


def _day(table: str) -> str:
    """SQL: the birth date of a staged record as YYYY-MM-DD."""
    return f"strftime({table}.birth_date, '%Y-%m-%d')"


def _near_number(a: str, b: str) -> str:
    """SQL: two numbers are equal, one digit apart, or two neighbors exchanged."""
    return f"(length({a}) = length({b}) AND damerau_levenshtein({a}, {b}) <= 1)"


def _near_date(a: str, b: str, generation_years: int) -> str:
    """SQL over YYYY-MM-DD: at most one part differs and the years by less than a generation, day and month are
    exchanged, or the days are neighbors; as partition.dates_agree_nearly."""
    return (
        f"((({a})[1:4] = ({b})[1:4])::INT + (({a})[6:7] = ({b})[6:7])::INT + (({a})[9:10] = ({b})[9:10])::INT >= 2"
        f" AND abs(TRY_CAST(({a})[1:4] AS INT) - TRY_CAST(({b})[1:4] AS INT)) <= {generation_years}"
        f" OR (({a})[1:4] = ({b})[1:4] AND ({a})[6:7] = ({b})[9:10] AND ({a})[9:10] = ({b})[6:7])"
        f" OR abs(TRY_CAST({a} AS DATE) - TRY_CAST({b} AS DATE)) <= 1)"
    )


# --- keeping ------------------------------------------------------------------------------------------------------
def _close_and_renew(con: duckdb.DuckDBPyConnection, build_id: str, day: date) -> None:
    """Close what nobody need answer any more, renew what is asked on better evidence or comes back from a deferral.

    Leaves steward_kept: item_id, kind, subject_a, subject_b of the items of the queue that still wait.
    """
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE steward_waiting AS SELECT {SELECTED} FROM {ITEM} WHERE state <> 'closed'"
    )
    _find_bearers(con, "steward_waiting")
    rows = con.execute(
        """
        SELECT waiting.*, a.person_key AS person_a, b.person_key AS person_b,
            least(a.person_key, b.person_key) AS subject_a, greatest(a.person_key, b.person_key) AS subject_b,
            found.record_key_a AS found_a, found.record_key_b AS found_b, found.score AS found_score,
            found.reason AS found_reason,
            row_number() OVER (PARTITION BY waiting.kind, least(a.person_key, b.person_key),
                greatest(a.person_key, b.person_key) ORDER BY waiting.item_id) AS place
        FROM steward_waiting AS waiting
        LEFT JOIN steward_bearer AS a ON a.record_key = waiting.record_key_a
        LEFT JOIN steward_bearer AS b ON b.record_key = waiting.record_key_b
        LEFT JOIN steward_candidate AS found ON found.kind = waiting.kind
            AND found.subject_a = least(a.person_key, b.person_key)
            AND found.subject_b = greatest(a.person_key, b.person_key)
        ORDER BY waiting.item_id
        """
    ).pl()
    con.execute("DROP TABLE steward_waiting; DROP TABLE steward_bearer")
    written, kept = [], []
    for row in rows.iter_rows(named=True):
        old = {name: row[name] for name in COLUMNS} | {"build_id": build_id, "at": None}
        gone = row["person_a"] is None or row["person_b"] is None
        if gone or (row["kind"] != SAMPLE and (row["found_a"] is None or row["place"] > 1)):
            because = "record_gone" if gone else "asked_already" if row["found_a"] is not None else "cause_gone"
            written.append({**old, "state": "closed", "because": because, "deferred_until": None})
            continue
        new = dict(old)
        if row["deferred_until"] is not None and row["deferred_until"] <= day:
            new |= {"state": "open", "because": "deferral_over", "deferred_until": None}
        if row["kind"] != SAMPLE:
            kept.append((row["item_id"], row["kind"], row["subject_a"], row["subject_b"]))
            found = {
                "record_key_a": row["found_a"],
                "record_key_b": row["found_b"],
                "score": row["found_score"],
                "reason": row["found_reason"],
            }
            if any(old[name] != value for name, value in found.items()):
                new |= {**found, "because": "evidence_changed"}
        if new != old:
            written.append(new)
    append(con, written)
    schema = {"item_id": pl.Int64, "kind": pl.String, "subject_a": pl.Int64, "subject_b": pl.Int64}
    con.register("steward_kept_frame", pl.DataFrame(kept, schema=schema, orient="row").to_arrow())
    con.execute("CREATE OR REPLACE TEMP TABLE steward_kept AS SELECT * FROM steward_kept_frame")
    con.unregister("steward_kept_frame")


def _open(con: duckdb.DuckDBPyConnection, build_id: str, limit: int) -> None:
    """Open the most valuable new questions as far as there is place."""
    free = limit - con.execute("SELECT count(*) FROM steward_kept").fetchone()[0]
    if free <= 0:
        return
    new = con.execute(
        "SELECT kind, record_key_a, record_key_b, score, reason FROM steward_candidate"
        " ANTI JOIN steward_kept USING (kind, subject_a, subject_b)"
        f" ORDER BY list_position({list(KINDS)}, kind), score DESC, record_key_a, record_key_b LIMIT {free}"
    ).pl()
    number = con.execute("SELECT coalesce(max(item_id), 0) FROM vault.queue_item").fetchone()[0]
    append(
        con,
        [
            {
                **row,
                "item_id": number + place,
                "state": "open",
                "because": "found",
                "build_id": build_id,
                "opened_build": build_id,
            }
            for place, row in enumerate(new.to_dicts(), start=1)
        ],
    )


# --- what crosses -------------------------------------------------------------------------------------------------
def _export(con: duckdb.DuckDBPyConnection, settings: Settings, build_id: str, records: int) -> pl.DataFrame:
    """Write the counts by kind, and how many verdicts each steward gave; returns the former."""
    last = planner.last_good(settings)
    since = datetime.strptime(last["build_id"][:15], "%Y%m%dT%H%M%S") if last else None
    counts = con.execute(
        f"""
        WITH kind AS (SELECT unnest({[*KINDS, SAMPLE]}) AS kind),
        item AS (SELECT * FROM {ITEM}),
        counted AS (
            SELECT kind, count(*) FILTER (state = 'open') AS open_count,
                count(*) FILTER (state = 'deferred') AS deferred_count,
                count(*) FILTER (opened_build = $build) AS opened_count,
                count(*) FILTER (state = 'closed' AND (build_id = $build OR "at" > $since OR $since IS NULL))
                    AS closed_count,
                min(strptime(opened_build[1:8], '%Y%m%d')::DATE) FILTER (state <> 'closed') AS oldest_on
            FROM item GROUP BY kind
        ),
        asked AS (SELECT kind, count(*) AS number FROM item WHERE state <> 'closed' GROUP BY kind),
        found AS (SELECT kind, count(*) AS number FROM steward_candidate GROUP BY kind)
        SELECT kind.kind, coalesce(open_count, 0) AS open_count, coalesce(deferred_count, 0) AS deferred_count,
            coalesce(opened_count, 0) AS opened_count, coalesce(closed_count, 0) AS closed_count,
            coalesce(greatest(found.number - coalesce(asked.number, 0), 0), 0) AS left_out_count, oldest_on,
            CAST($records AS BIGINT) AS record_count
        FROM kind LEFT JOIN counted USING (kind) LEFT JOIN asked USING (kind) LEFT JOIN found USING (kind)
        ORDER BY list_position({[*KINDS, SAMPLE]}, kind.kind)
        """,
        {"build": build_id, "since": since, "records": records},
    ).pl()
    write_exchange(counts, settings.exchange / "steward_queue.parquet")
    verdicts = con.execute(
        'SELECT who, verdict, count(DISTINCT "at") AS verdict_count, max("at")::DATE AS last_on FROM ('
        'SELECT who, verdict, "at" FROM vault.verdict UNION ALL SELECT who, verdict, "at" FROM vault.judgement)'
        " GROUP BY who, verdict ORDER BY who, verdict"
    ).pl()
    write_exchange(verdicts, settings.exchange / "steward_verdict.parquet")
    return counts
