"""Which pairs of records are compared at all.

What belongs here: records that plainly are one person (knots), keys that two records must share, and their caps.
What does not: how much an agreement weighs (model.py).

Keys are rows of seeds/policy/link_key.csv: the standard columns that must agree, and the cap above which a group says
too little to be worth comparing.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from pipelines.errors import P20wError
from pipelines.identity.linker.group import components
from pipelines.identity.linker.standard import STANDARD

# Values that, agreeing together, leave no doubt worth a comparison.
PLAIN = (
    ("ssn", "given_root", "birth"),
    ("ssn", "surname", "birth"),
    ("state_id", "given_root", "birth"),
    ("state_id", "surname", "birth"),
    ("number", "given_root", "surname", "birth"),
    ("given_root", "middle", "surname", "birth", "postal"),
)


@dataclass(frozen=True)
class Key:
    """A key of the policy: its name, the standard columns that must agree, the largest group that is compared."""

    name: str
    parts: tuple[str, ...]
    cap: int


def load_keys(path: Path) -> list[Key]:
    """Keys in the order of the policy. Raises P20wError for a column or cap that is not understood."""
    keys = []
    with path.open(newline="", encoding="utf-8") as handle:
        for line, row in enumerate(csv.DictReader(handle), start=2):
            parts = tuple(part.strip() for part in row["parts"].split(";"))
            unknown = sorted(set(parts) - set(STANDARD))
            if unknown or not row["cap"].isdigit():
                raise P20wError(
                    f"{path.name}, line {line}: "
                    + (
                        f"{', '.join(unknown)} is no standard column"
                        if unknown
                        else f"the cap '{row['cap']}' is no number"
                    )
                    + ". Mend the key or take it out."
                )
            keys.append(Key(row["key"], parts, int(row["cap"])))
    return keys


def tie_knots(con: duckdb.DuckDBPyConnection, count: int, duplicate_free: tuple[str, ...] = ()) -> np.ndarray:
    """Group records that agree on everything of a PLAIN rule; table `knot` (id, knot) and the knot of each record.

    Shape (count,), the smallest id of the knot. Records of a source that names nobody twice are left to be compared:
    in a knot two of them could meet unseen.
    """
    con.register("named_once", {"source": np.array(duplicate_free, dtype=str)})
    edges = " UNION ALL ".join(
        f"SELECT min(id) OVER (PARTITION BY {', '.join(parts)}) AS first, id "
        "FROM record ANTI JOIN named_once USING (source) WHERE " + " AND ".join(f"{part} IS NOT NULL" for part in parts)
        for parts in PLAIN
    )
    found = con.execute(f"SELECT DISTINCT first, id FROM ({edges}) WHERE first < id").fetchnumpy()
    first, second = (np.asarray(found[name], dtype=np.int64) - 1 for name in ("first", "id"))
    label = components(count, first, second)
    _, smallest = np.unique(label, return_index=True)
    knot = smallest[label] + 1
    con.register("knots", {"id": np.arange(1, count + 1), "knot": knot})
    con.execute("CREATE OR REPLACE TABLE knot AS SELECT * FROM knots")
    con.unregister("knots")
    con.unregister("named_once")
    return knot


def compare_candidates(con: duckdb.DuckDBPyConnection, keys: list[Key]) -> int:
    """Make table `candidate` (a, b, a < b): pairs of records of two knots that share a key; returns their number.

    Of a knot one record stands for each value of a key.
    """
    con.execute("CREATE OR REPLACE TABLE candidate_by_key (a BIGINT, b BIGINT)")
    for key in keys:
        text = " || '|' || ".join(key.parts)
        con.execute(
            f"""
            INSERT INTO candidate_by_key
            WITH keyed AS (
                SELECT min(record.id) AS id, knot.knot, {text} AS value
                FROM record JOIN knot USING (id)
                WHERE {text} IS NOT NULL
                GROUP BY ALL
            ),
            small AS (SELECT value FROM keyed GROUP BY value HAVING count(*) BETWEEN 2 AND ?),
            kept AS (SELECT keyed.* FROM keyed SEMI JOIN small USING (value))
            SELECT least(x.id, y.id), greatest(x.id, y.id)
            FROM kept AS x JOIN kept AS y ON x.value = y.value AND x.knot < y.knot
            """,
            [key.cap],
        )
    con.execute("CREATE OR REPLACE TABLE candidate AS SELECT DISTINCT a, b FROM candidate_by_key ORDER BY a, b")
    return con.execute("SELECT count(*) FROM candidate").fetchone()[0]
