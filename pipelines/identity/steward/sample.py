"""The clerical sample: pairs drawn for a steward to judge, so that errors can be estimated.

Belongs here: putting the drawn pairs into the queue. Does not belong here: drawing and estimating (estimate.py), and
judging (verdict.py).
"""

from __future__ import annotations

import duckdb

from pipelines import planner
from pipelines.identity.estimate import draw_sample
from pipelines.identity.steward import queue
from pipelines.identity.steward.desk import StewardError
from pipelines.settings import Settings


def draw(con: duckdb.DuckDBPyConnection, settings: Settings, size: int) -> str:
    """Draw about `size` pairs of the last complete build and queue those that do not wait already; returns a sentence.

    Errors: StewardError before the first complete night.
    """
    last = planner.last_good(settings)
    if last is None:
        raise StewardError("No night has run to its end, so there is nothing to draw from. Run `p20w nightly` first.")
    build_id = last["build_id"]
    drawn = draw_sample(con, settings, size, build_id)
    known = set(
        con.execute(
            "SELECT record_key_a, record_key_b FROM vault.queue_item WHERE kind = ? AND opened_build = ?",
            [queue.SAMPLE, build_id],
        ).fetchall()
    )
    number = con.execute("SELECT coalesce(max(item_id), 0) FROM vault.queue_item").fetchone()[0]
    new = [row for row in drawn.iter_rows(named=True) if (row["record_key_a"], row["record_key_b"]) not in known]
    queue.append(
        con,
        [
            {
                **row,
                "item_id": number + place,
                "kind": queue.SAMPLE,
                "reason": "drawn",
                "state": "open",
                "because": "drawn",
                "build_id": build_id,
                "opened_build": build_id,
            }
            for place, row in enumerate(new, start=1)
        ],
    )
    waiting = f", {drawn.height - len(new)} of this build were drawn before" if len(new) < drawn.height else ""
    return f"{len(new)} pairs wait to be judged{waiting}. `p20w steward next` shows them after the queue."
