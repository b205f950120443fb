"""Which pairs of records are compared at all.

What belongs here: records that plainly are one person (knots), keys that two records must share, and their caps.
What does not: how much an agreement weighs (model.py).

Keys are rows of seeds/policy/link_key.csv: the standard columns that must agree, and the cap above which a group says
too little to be worth comparing. What ties records without a comparison is in seeds/policy/link_plain_rule.csv.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import numpy as np

from pipelines.errors import P20wError
from pipelines.identity.linker.group import components
from pipelines.identity.linker.standard import STANDARD
from pipelines.registers import rows_in_force

_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no two values meet by the product


@dataclass(frozen=True)
class Key:
    """A key of the policy: its name, the standard columns that must agree, the largest group that is compared.

    most_pairs: in a table where the key would give more, its cap falls until it does not; 0 for any number.
    """

    name: str
    parts: tuple[str, ...]
    cap: int
    most_pairs: int = 0


def load_keys(path: Path, as_of: date) -> list[Key]:
    """Keys in force on a day, in the order of the policy. Raises P20wError for a column or cap that is not
    understood."""
    keys = []
    for line, row in rows_in_force(path, "key", as_of):
        parts = _parts(path, line, row["parts"])
        if not row["cap"].isdigit():
            raise P20wError(
                f"{path.name}, line {line}: the cap '{row['cap']}' is no number. Mend the key or take it out."
            )
        keys.append(Key(row["key"], parts, int(row["cap"]), int(row.get("most_pairs") or 0)))
    return keys


def load_plain_rules(path: Path, as_of: date) -> list[tuple[str, ...]]:
    """Standard columns whose values, agreeing together, leave no doubt worth a comparison. Raises P20wError for a
    column that is not understood."""
    return [_parts(path, line, row["parts"]) for line, row in rows_in_force(path, "rule", as_of)]


def _parts(path: Path, line: int, text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(";"))
    unknown = sorted(set(parts) - set(STANDARD))
    if unknown:
        raise P20wError(
            f"{path.name}, line {line}: {', '.join(unknown)} is no standard column. Mend the row or take it out."
        )
    return parts


def tie_knots(
    con: duckdb.DuckDBPyConnection, count: int, rules: list[tuple[str, ...]], duplicate_free: tuple[str, ...] = ()
) -> np.ndarray:
    """Group records that agree on everything of one of the rules; table `knot` (id, knot) and the knot of each record.

    Shape (count,), the smallest id of the knot. Records of a source that names nobody twice are left to be compared:
    in a knot two of them could meet unseen.
    """
    column = _Hashes(con, count)
    free = ~np.isin(column.of("source"), _hashes_of(con, duplicate_free))
    first, second = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for parts in rules:
        at, value = column.together(parts)
        at, value = at[free[at]], value[free[at]]
        order = np.argsort(value, kind="stable")
        at, again = at[order], value[order][1:] == value[order][:-1]
        first.append(at[:-1][again])
        second.append(at[1:][again])
    first, second = np.concatenate(first), np.concatenate(second)
    label = components(count, first, second)
    _, smallest = np.unique(label, return_index=True)
    knot = smallest[label] + 1
    con.register("knots", {"id": np.arange(1, count + 1), "knot": knot})
    con.execute("CREATE OR REPLACE TABLE knot AS SELECT * FROM knots")
    con.unregister("knots")
    return knot


def compare_candidates(con: duckdb.DuckDBPyConnection, keys: list[Key]) -> int:
    """Make table `candidate` (a, b, a < b): pairs of records of two knots that share a key; returns their number.

    Of a knot one record stands for each value of a key. Values are compared by a 64-bit hash.
    """
    knot = np.asarray(con.execute("SELECT knot FROM knot ORDER BY id").fetchnumpy()["knot"], dtype=np.int64)
    in_knot = np.bincount(knot)[knot] > 1
    column = _Hashes(con, len(knot))
    found = [np.empty(0, dtype=np.int64)]
    for key in keys:
        at, value = column.together(key.parts)
        stands = ~_repeats(value, knot[at], in_knot[at])
        found.append(pairs_of_groups(at[stands], value[stands], key.cap, key.most_pairs))
    pairs = np.unique(np.concatenate(found))
    con.register("pairs_found", {"a": (pairs >> 32) + 1, "b": (pairs & 0xFFFFFFFF) + 1})
    con.execute("CREATE OR REPLACE TABLE candidate AS SELECT a, b FROM pairs_found")
    con.unregister("pairs_found")
    return len(pairs)


class _Hashes:
    """Hashes of the columns of `record`, in the order of id, each read once; 0 where there is no value."""

    def __init__(self, con: duckdb.DuckDBPyConnection, count: int) -> None:
        self._con, self._count, self._read = con, count, {}

    def of(self, column: str) -> np.ndarray:
        """Shape (count,)."""
        if column not in self._read:
            # The last bit is given up, so that no value is taken for none.
            found = self._con.execute(
                f"SELECT id, hash({column}) | 1 AS value FROM record WHERE {column} IS NOT NULL"
            ).fetchnumpy()
            hashed = np.zeros(self._count, dtype=np.uint64)
            hashed[np.asarray(found["id"]) - 1] = np.asarray(found["value"])
            self._read[column] = hashed
        return self._read[column]

    def together(self, columns: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Records (0-based, ascending) that have all of the columns, and a hash of their values together."""
        parts = [self.of(column) for column in columns]
        at = np.flatnonzero(np.logical_and.reduce([part != 0 for part in parts]))
        value = parts[0][at]
        for part in parts[1:]:
            value = (value * _MIX) ^ part[at]
        return at, value


def _hashes_of(con: duckdb.DuckDBPyConnection, values: tuple[str, ...]) -> np.ndarray:
    if not values:
        return np.empty(0, dtype=np.uint64)
    return np.array(con.execute("SELECT hash(unnest(?::VARCHAR[])) | 1", [list(values)]).fetchall())[:, 0]


def _repeats(value: np.ndarray, knot: np.ndarray, in_knot: np.ndarray) -> np.ndarray:
    """Whether an earlier record of the same knot has the same value. Shape of `value`."""
    repeated = np.zeros(len(value), dtype=bool)
    at = np.flatnonzero(in_knot)
    _, first = np.unique((value[at] * _MIX) ^ knot[at].astype(np.uint64), return_index=True)
    repeated[at] = True
    repeated[at[first]] = False
    return repeated


def pairs_of_groups(at: np.ndarray, value: np.ndarray, cap: int, most_pairs: int = 0) -> np.ndarray:
    """Pairs of records that share a value, as first * 2**32 + second; groups above the cap are left out.

    at: records (0-based, ascending); value: of each. most_pairs: see Key.
    """
    order = np.argsort(value, kind="stable")
    at, value = at[order], value[order]
    begins = np.flatnonzero(np.r_[True, value[1:] != value[:-1]]) if len(value) else np.empty(0, dtype=np.int64)
    size = np.diff(np.r_[begins, len(value)])
    if most_pairs:
        by_size = np.bincount(size[size <= cap], minlength=cap + 1) * (np.arange(cap + 1) * np.arange(-1, cap) // 2)
        cap = int(np.searchsorted(np.cumsum(by_size), most_pairs, side="right")) - 1
    left = np.repeat(np.where((size >= 2) & (size <= cap), size, 0), size)
    left -= np.where(left > 0, np.arange(len(value)) - np.repeat(begins, size), 0)  # records of the group from here on
    found, here, step = [np.empty(0, dtype=np.int64)], np.flatnonzero(left > 1), 1
    while len(here):
        found.append((at[here] << 32) | at[here + step])
        step += 1
        here = here[left[here] > step]
    return np.concatenate(found)
