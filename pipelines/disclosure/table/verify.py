"""Verify a protected table against its exact counts and certificates, in SQL: sums and groups, nothing clever.

What belongs here: every claim that protect makes, checked by DuckDB on the rows that it wrote or is about to write.
What does not: any search. This module shares no code with the protection, only the reading of the family and table,
so that an error there is not repeated here.
"""

from __future__ import annotations

from math import prod
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from pipelines.disclosure.table.family import Table, read_counts, read_family

MOVES_AT_ONCE = 40_000  # moves whose sums are checked in one statement, to bound memory


def verify(exact: Table, protected: pl.DataFrame, moves: pl.DataFrame, certified: pl.DataFrame) -> list[str]:
    """What is wrong, as sentences; nothing when every claim holds.

    protected: the dimensions' columns, the count column and status, as protect writes them. moves: certificate, the
    dimensions' columns, change. certified: the dimensions' columns, certificate. Counts stay out of the sentences.
    """
    with duckdb.connect(config={"threads": 1, "memory_limit": "700MB"}) as con:
        _load(con, exact, protected, moves, certified)
        found = _published(con, exact)
        found += _moves(con, exact)
        found += _sums(con, exact)
        found += _certified(con, exact)
        found += _residuals(con, exact)
        return found


def verify_files(table: Path, family: Path, protected: Path, evidence: Path) -> list[str]:
    """The same for files: the exact table, its family.yml, what protect wrote, and its folder of evidence."""
    exact = read_counts(table, read_family(family))
    read = pl.read_csv if protected.suffix == ".csv" else pl.read_parquet
    frame = read(protected, **({"infer_schema": False} if protected.suffix == ".csv" else {}))
    frame = frame.with_columns(pl.col(exact.family.count).cast(pl.Int64, strict=False))
    return verify(
        exact, frame, *(pl.read_parquet(evidence / f"{name}.parquet") for name in ("certificates", "certified"))
    )


def _load(con, exact: Table, protected: pl.DataFrame, moves: pl.DataFrame, certified: pl.DataFrame) -> None:
    """Tables exact, published, move, certified with cells by number, and member_k with the relations of dimension k."""
    shape = [len(each.codes) for each in exact.dimensions]
    con.register("exact_rows", pl.DataFrame({"cell": np.arange(prod(shape)), "value": exact.value.ravel()}).to_arrow())
    con.execute("CREATE TABLE exact AS SELECT cell, value FROM exact_rows")
    for k, dimension in enumerate(exact.dimensions):
        con.register("codes", pl.DataFrame({"code": dimension.codes, "id": np.arange(shape[k])}).to_arrow())
        con.execute(f"CREATE TABLE code_{k} AS SELECT code, id FROM codes")
        relation = np.repeat(np.arange(len(dimension.parent)), np.diff(dimension.start))
        rows = pl.DataFrame(
            {
                "relation": np.concatenate([np.arange(len(dimension.parent)), relation]),
                "id": np.concatenate([dimension.parent, dimension.member]),
                "sign": np.concatenate([np.ones(len(dimension.parent)), -np.ones(len(relation))]).astype(np.int64),
            }
        )
        con.register("relations", rows.to_arrow())
        con.execute(f"CREATE TABLE relation_{k} AS SELECT relation, id, sign FROM relations")
    step = [prod(shape[k + 1 :]) for k in range(len(shape))]
    number = " + ".join(f"code_{k}.id * {step[k]}" for k in range(len(shape)))
    joined = " ".join(f"LEFT JOIN code_{k} ON code_{k}.code = given.code_{k}" for k in range(len(shape)))
    codes = [pl.col(dimension.column).alias(f"code_{k}") for k, dimension in enumerate(exact.dimensions)]
    for table, frame, columns in (
        ("published", protected, {exact.family.count: "count", "status": "status"}),
        ("move", moves, {"certificate": "move", "change": "amount"}),
        ("certified", certified, {"certificate": "move"}),
    ):
        given = frame.select(*codes, *(pl.col(name).alias(alias) for name, alias in columns.items()))
        con.register("given", given.to_arrow())
        con.execute(
            f"CREATE TABLE {table} AS SELECT {number} AS cell, {', '.join(columns.values())} FROM given {joined}"
        )
        con.unregister("given")


def _count(con, sql: str) -> int:
    return con.execute(f"SELECT count(*) FROM ({sql})").fetchone()[0]


def _told(checks: list[tuple[int, str]]) -> list[str]:
    return [f"{number} {sentence}" for number, sentence in checks if number]


def _published(con, exact: Table) -> list[str]:
    n = exact.family.minimum
    cells = exact.value.size
    checks = [
        (abs(_count(con, "SELECT DISTINCT cell FROM published WHERE cell IS NOT NULL") - cells), "cells are absent."),
        (abs(_count(con, "FROM published") - cells), "rows are too many or too few."),
        (
            _count(
                con, "FROM published JOIN exact USING (cell) WHERE status = 'shown' AND count IS DISTINCT FROM value"
            ),
            "shown counts differ from the exact ones.",
        ),
        (
            _count(con, "FROM published WHERE status NOT IN ('shown', 'hidden') OR status IS NULL"),
            "cells are neither shown nor hidden.",
        ),
        (_count(con, "FROM published WHERE status = 'hidden' AND count IS NOT NULL"), "hidden cells carry a count."),
        (
            _count(
                con,
                f"FROM published JOIN exact USING (cell) WHERE status = 'shown' AND value BETWEEN 1 AND {n - 1}",
            ),
            f"counts of 1 to {n - 1} are shown.",
        ),
    ]
    if exact.family.zeros_shown:
        checks.append(
            (
                _count(con, "FROM published JOIN exact USING (cell) WHERE status = 'hidden' AND value = 0"),
                "zeros are hidden although zeros are declared as shown.",
            )
        )
    return _told(checks)


def _moves(con, exact: Table) -> list[str]:
    lower = int(exact.family.zeros_shown)
    return _told(
        [
            (_count(con, "FROM move WHERE cell IS NULL OR amount IS NULL"), "rows of moves name no cell."),
            (
                _count(con, "SELECT move, cell FROM move GROUP BY ALL HAVING count(*) > 1"),
                "cells stand twice in a move.",
            ),
            (
                _count(con, "FROM move ANTI JOIN (FROM published WHERE status = 'hidden') USING (cell)"),
                "cells of moves are not hidden.",
            ),
            (
                _count(con, f"FROM move JOIN exact USING (cell) WHERE value + amount < {lower}"),
                f"cells would fall below {lower} in a move.",
            ),
        ]
    )


def _sums(con, exact: Table) -> list[str]:
    """Every move keeps every sum: along each dimension, parent minus members change by 0 at each place."""
    shape = exact.value.shape
    last = con.execute("SELECT coalesce(max(move), -1) FROM move").fetchone()[0]
    broken = 0
    for k in range(len(shape)):
        step = prod(shape[k + 1 :])
        for first in range(0, last + 1, MOVES_AT_ONCE):
            broken += _count(
                con,
                f"""SELECT move, relation, cell - relation_{k}.id * {step} AS place
                    FROM move JOIN relation_{k} ON relation_{k}.id = cell // {step} % {shape[k]}
                    WHERE move BETWEEN {first} AND {first + MOVES_AT_ONCE - 1}
                    GROUP BY ALL HAVING sum(amount * sign) <> 0""",
            )
    return _told([(broken, "sums are not kept by a move.")])


def _certified(con, exact: Table) -> list[str]:
    n, width = exact.family.minimum, exact.family.interval
    return _told(
        [
            (
                _count(
                    con,
                    f"""SELECT cell FROM published JOIN exact USING (cell)
                        WHERE status = 'hidden' AND value < {n} AND cell NOT IN (
                          SELECT cell FROM certified JOIN move USING (move, cell) JOIN exact USING (cell)
                          WHERE value + amount >= {n} AND amount >= {width})""",
                ),
                f"hidden cells below {n} have no move that takes them to {n} or more and {width} or more away.",
            ),
            (
                _count(
                    con,
                    f"""SELECT cell FROM published JOIN exact USING (cell)
                        LEFT JOIN (SELECT cell, greatest(max(amount), 0) - least(min(amount), 0) AS reach
                                   FROM move GROUP BY cell) USING (cell)
                        WHERE status = 'hidden' AND value >= {n} AND coalesce(reach, 0) < {width}""",
                ),
                f"other hidden cells are not shown by any move to be uncertain by {width} or more.",
            ),
        ]
    )


def _residuals(con, exact: Table) -> list[str]:
    """Where a sum is shown, what its hidden members make together is 0 or n at least."""
    n, shape = exact.family.minimum, exact.value.shape
    open_ = 0
    for k in range(len(shape)):
        step = prod(shape[k + 1 :])
        open_ += _count(
            con,
            f"""SELECT rest.place FROM (
                  SELECT relation, cell - relation_{k}.id * {step} AS place, sum(value) AS hidden
                  FROM published JOIN exact USING (cell)
                  JOIN relation_{k} ON relation_{k}.id = cell // {step} % {shape[k]}
                  WHERE status = 'hidden' AND sign < 0 GROUP BY ALL
                  HAVING sum(value) BETWEEN 1 AND {n - 1}) AS rest
                JOIN relation_{k} ON relation_{k}.relation = rest.relation AND sign > 0
                JOIN published ON published.cell = rest.place + relation_{k}.id * {step}
                WHERE status = 'shown'""",
        )
    return _told([(open_, f"sums leave 1 to {n - 1} for their hidden members.")])
