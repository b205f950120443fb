"""A steward's verdict: same, distinct or defer, with who and why, bound to records.

Belongs here: which pairs of records a verdict binds, what may not be said, appending it, and the digest that tells the
next night that it was said. Does not belong here: what follows from it for persons (identity/partition.py).

One decision is written as one row for each pair of records that it binds, all with the same time:

- same: the two records of the item are one person.
- distinct, two persons: no record of the one with any of the other, as they are tonight. One person: no record that
  carries the one value (number or birth date) with any that carries the other; which way their other records go is
  left to the evidence.
- defer: nothing is decided. Said of a judged item it takes the verdict back.

Of each pair the newest row counts. A decision that turns an earlier one on the same two records takes back the rest of
it: what was said of two persons' other records is open again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from datetime import date, datetime, timedelta

import duckdb
import polars as pl

from pipelines.identity.registry import JUDGED
from pipelines.identity.steward import queue
from pipelines.identity.steward.desk import StewardError, now
from pipelines.settings import Settings

VERDICTS = ("same", "distinct", "defer")
LONGEST_REASON = 2000

Pair = tuple[int, int]


def give_verdict(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    item_id: int,
    verdict: str,
    who: str,
    why: str,
    bind: bool = False,
) -> str:
    """Append a verdict on an item, close or defer the item, and rewrite the digest; returns a sentence.

    `con`: the open vault of the desk (desk.at_desk). `bind`: of an item of a clerical sample, let the judgement bind
    the nights too; every other item binds anyway. Errors: StewardError for an unknown item, one without a question any
    more, no reason, or a verdict that an earlier one makes impossible; nothing is written then.
    """
    if verdict not in VERDICTS:
        raise StewardError(f"A verdict is {', '.join(VERDICTS)}, not '{verdict}'.")
    why = " ".join(why.split())
    if not why:
        raise StewardError("Say why: a verdict without a reason cannot be checked by anyone after you.")
    if len(why) > LONGEST_REASON:
        raise StewardError(f"The reason has {len(why)} characters; keep it under {LONGEST_REASON}.")
    judged = queue.item(con, item_id)
    is_sample = judged["kind"] == queue.SAMPLE
    if bind and not is_sample:
        raise StewardError(f"Item {item_id} binds anyway: --bind is for items of a clerical sample.")
    if judged["state"] == "closed" and judged["because"] not in VERDICTS:
        raise StewardError(
            f"Item {item_id} is closed ({judged['because'].replace('_', ' ')}): nothing is left to judge."
        )
    queue.persons_around(
        con,
        f"SELECT unnest([record_key_a, record_key_b]) AS record_key FROM {queue.ITEM} AS item"
        f" WHERE state <> 'closed' OR item_id = {int(item_id)}",
    )
    pairs = said_of_pairs(con, judged, verdict) if bind or not is_sample else {}
    said_at = _next_time(con)
    _require_consistent(con, item_id, verdict, pairs)
    bound = [pair for pair, said in pairs.items() if said == verdict]
    con.execute("BEGIN")
    try:
        _append(con, pairs, who, why, said_at)
        if is_sample and (verdict != "defer" or judged["state"] == "closed"):
            con.execute(
                "INSERT INTO vault.judgement VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    *(judged[name] for name in ("item_id", "record_key_a", "record_key_b", "stratum", "is_linked")),
                    *(judged["inclusion_probability"], judged["opened_build"], verdict, who, why, said_at),
                ],
            )
        answered = _answered(con, judged, bound, verdict)
        queue.append(con, [_after(settings, row, verdict, said_at) for row in answered])
        # Before it is kept: should we be killed between the two, a night more is run, never one too few.
        write_digest(con, settings)
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        raise
    return _sentence(settings, judged, verdict, len(bound), len(answered))


def said_of_pairs(con: duckdb.DuckDBPyConnection, judged: dict, verdict: str) -> dict[Pair, str]:
    """What a verdict on an item says of which pairs of records, smaller key first; see the module."""
    a, b = sorted((judged["record_key_a"], judged["record_key_b"]))
    said = dict.fromkeys(_earlier_decision(con, a, b), "defer")
    said[(a, b)] = verdict
    if verdict == "distinct":
        first, second = _sides(con, judged)
        said |= {(min(x, y), max(x, y)): verdict for x in first for y in second}
    return dict(sorted(said.items()))


def write_digest(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Rewrite <vault>/verdicts.digest, an input of the planner: a hash of the verdicts that bind.

    It holds no key. Without a binding verdict there is no file, so that a deferral makes no night necessary.
    """
    path = settings.vault / "verdicts.digest"
    rows = con.execute(f"SELECT record_key_a, record_key_b, verdict FROM {JUDGED} ORDER BY ALL").fetchall()
    if not rows:
        path.unlink(missing_ok=True)
        return
    digest = hashlib.sha256("\n".join(f"{a},{b},{verdict}" for a, b, verdict in rows).encode()).hexdigest()
    partial = path.with_name(f".{path.name}")
    partial.write_text(digest + "\n")
    os.chmod(partial, 0o600)
    os.replace(partial, path)


def _next_time(con: duckdb.DuckDBPyConnection) -> datetime:
    """Now, and after every earlier verdict even where the clock was set back: the newest counts."""
    last = con.execute(
        'SELECT max("at") FROM (SELECT "at" FROM vault.verdict UNION ALL SELECT "at" FROM vault.judgement'
        ' UNION ALL SELECT "at" FROM vault.queue_item)'
    ).fetchone()[0]
    return now() if last is None else max(now(), last + timedelta(microseconds=1))


def _earlier_decision(con: duckdb.DuckDBPyConnection, a: int, b: int) -> set[Pair]:
    """Pairs of the decision that binds records a and b now, where one does, as far as it is still the newest."""
    return set(
        con.execute(
            f'WITH judged AS {JUDGED} SELECT record_key_a, record_key_b FROM judged WHERE "at" ='
            ' (SELECT "at" FROM judged WHERE record_key_a = ? AND record_key_b = ?)',
            [min(a, b), max(a, b)],
        ).fetchall()
    )


def _sides(con: duckdb.DuckDBPyConnection, judged: dict) -> tuple[list[int], list[int]]:
    """The records on either side of a 'distinct': of either person, or with either value inside one person."""
    a, b = judged["record_key_a"], judged["record_key_b"]
    persons = dict(
        con.execute("SELECT record_key, person_key FROM steward_person WHERE record_key IN (?, ?)", [a, b]).fetchall()
    )
    if a not in persons or b not in persons:
        return [a], [b]
    if persons[a] != persons[b]:
        query = "SELECT record_key FROM steward_person WHERE person_key = ? ORDER BY record_key"
        return tuple([key for (key,) in con.execute(query, [persons[each]]).fetchall()] for each in (a, b))
    field = queue.FIELD_OF_REASON.get(judged["reason"])
    if field is None:
        return [a], [b]
    query = (
        "SELECT record_key FROM steward_person JOIN vault.staging.stg_identity__record AS record USING (record_key)"
        f" WHERE person_key = ? AND {field} = (SELECT {field} FROM vault.staging.stg_identity__record"
        " WHERE record_key = ?) ORDER BY record_key"
    )
    first, second = ([key for (key,) in con.execute(query, [persons[a], each]).fetchall()] for each in (a, b))
    return ([a], [b]) if set(first) & set(second) else (first or [a], second or [b])


def _require_consistent(con: duckdb.DuckDBPyConnection, item_id: int, verdict: str, pairs: dict[Pair, str]) -> None:
    """Errors: StewardError where records that verdicts make one person, directly or over others, would hold two that a
    verdict tells apart."""
    said = {
        (a, b): (each, who, at)
        for a, b, each, who, at in con.execute(
            f'SELECT record_key_a, record_key_b, verdict, who, "at" FROM {JUDGED}'
        ).fetchall()
    }
    said |= {pair: (each, "", None) for pair, each in pairs.items()}
    root = _roots(pair for pair, (each, _, _) in said.items() if each == "same")
    broken = sorted(
        (at, who)
        for (a, b), (each, who, at) in said.items()
        if each == "distinct" and at is not None and a in root and root[a] == root.get(b)
    )
    if broken:
        at, who = broken[0]
        raise StewardError(
            f"Item {item_id} cannot be judged '{verdict}': verdicts in between say that the records are the same as "
            f"others, and {who} judged two of these distinct on {at:%Y-%m-%d}{_item_of(con, at)}. Judge that one anew "
            "first, or defer it to take it back."
        )
    # What is said now is distinct, and others tie the two ends together.
    tied = [pair for pair, each in pairs.items() if each == "distinct" and root.get(pair[0], 0) == root.get(pair[1], 1)]
    if tied:
        at, who = min(
            (at, who)
            for (a, _), (each, who, at) in said.items()
            if each == "same" and at is not None and root[a] == root[tied[0][0]]
        )
        raise StewardError(
            f"Item {item_id} cannot be judged 'distinct': verdicts in between say that both are the same as a third, "
            f"the first by {who} on {at:%Y-%m-%d}{_item_of(con, at)}. Judge that one anew first, or defer it to take "
            "it back."
        )


def _roots(pairs: Iterable[Pair]) -> dict[int, int]:
    """The smallest key of the group of each record, where pairs join."""
    root: dict[int, int] = {}

    def find(key: int) -> int:
        while root.setdefault(key, key) != key:
            root[key] = root[root[key]]
            key = root[key]
        return key

    for a, b in pairs:
        x, y = sorted((find(a), find(b)))
        root[y] = x
    return {key: find(key) for key in list(root)}


def _item_of(con: duckdb.DuckDBPyConnection, at: datetime) -> str:
    found = con.execute('SELECT min(item_id) FROM vault.queue_item WHERE "at" = ?', [at]).fetchone()[0]
    return "" if found is None else f" (item {found})"


def _append(con: duckdb.DuckDBPyConnection, pairs: dict[Pair, str], who: str, why: str, at: datetime) -> None:
    if not pairs:
        return
    frame = pl.DataFrame(
        [(a, b, verdict) for (a, b), verdict in pairs.items()],
        schema={"record_key_a": pl.Int64, "record_key_b": pl.Int64, "verdict": pl.String},
        orient="row",
    )
    con.register("steward_pair", frame.to_arrow())
    con.execute(
        "INSERT INTO vault.verdict SELECT record_key_a, record_key_b, verdict, ?, ?, ? FROM steward_pair",
        [who, why, at],
    )
    con.unregister("steward_pair")


def _answered(con: duckdb.DuckDBPyConnection, judged: dict, bound: list[Pair], verdict: str) -> list[dict]:
    """The item itself and, unless it is deferred, every other question that the verdict answers too: about a bound
    pair, or about the same two persons."""
    if verdict == "defer" or not bound:
        return [judged]
    pairs = set(bound)
    query = f"""
        SELECT {queue.SELECTED}, least(a.person_key, b.person_key) AS low, greatest(a.person_key, b.person_key) AS high
        FROM {queue.ITEM} AS item
        LEFT JOIN steward_person AS a ON a.record_key = item.record_key_a
        LEFT JOIN steward_person AS b ON b.record_key = item.record_key_b
        WHERE item.state <> 'closed' OR item.item_id = ? ORDER BY item.item_id
    """
    rows = con.execute(query, [judged["item_id"]]).pl().to_dicts()
    own = next(row for row in rows if row["item_id"] == judged["item_id"])
    persons = (own["low"], own["high"])
    is_between = own["low"] != own["high"]
    return [
        row
        for row in rows
        if row["item_id"] == judged["item_id"]
        or (
            row["kind"] != queue.SAMPLE
            and (
                (min(row["record_key_a"], row["record_key_b"]), max(row["record_key_a"], row["record_key_b"])) in pairs
                or (is_between and (row["low"], row["high"]) == persons)
            )
        )
    ]


def _after(settings: Settings, row: dict, verdict: str, at: datetime) -> dict:
    """The row of an item's log that a verdict appends."""
    row = {name: row[name] for name in queue.COLUMNS} | {"because": verdict, "at": at}
    if verdict == "defer":
        return row | {"state": "deferred", "deferred_until": queue.deferral(settings, date.today())}
    return row | {"state": "closed", "deferred_until": None}


def _sentence(settings: Settings, judged: dict, verdict: str, bound: int, answered: int) -> str:
    number = judged["item_id"]
    if verdict == "defer":
        taken = " The verdict on it is taken back." if judged["state"] == "closed" else ""
        return f"Item {number} is deferred until {queue.deferral(settings, date.today())}.{taken}"
    if not bound:
        return f"Item {number} is judged {verdict}. It is kept for the estimate of errors and binds no night (--bind)."
    also = f" It answers {answered - 1} other item{'s' if answered > 2 else ''} too." if answered > 1 else ""
    pairs = "1 pair of records" if bound == 1 else f"{bound} pairs of records"
    return f"Item {number} is judged {verdict}, which binds {pairs} from the next night on.{also}"
