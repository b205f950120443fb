"""Verify a protected table against its exact counts and certificates, in SQL: sums and groups, nothing clever.

What belongs here: every claim that protect makes, checked by DuckDB on the rows that it wrote or is about to write.
What does not: any search. This module shares no code with the protection, only the reading of the family and table,
so that an error there is not repeated here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from pipelines.disclosure.table.family import COMPLEMENT, MEASURE, Table, read_counts, read_family

MOVES_AT_ONCE = 100_000  # moves of one frame that are looked at together, to bound memory


def verify(
    exact: Table, protected: pl.DataFrame, moves: pl.DataFrame | Iterable[pl.DataFrame], certified: pl.DataFrame
) -> list[str]:
    """What is wrong, as sentences; nothing when every claim holds.

    protected: the columns that protect writes. moves: certificate, the dimensions' columns, change; in one frame or in
    several, a certificate in one of them. certified: the dimensions' columns, certificate. Counts stay out of the
    sentences.
    """
    with duckdb.connect(config={"threads": 1, "memory_limit": "600MB"}) as con:
        _load(con, exact, protected, certified)
        found = _published(con, exact)
        _join(con, exact)
        found += _told_counts(con, exact)
        wrong: Counter[str] = Counter()
        for part in _parts(moves) if isinstance(moves, pl.DataFrame) else moves:
            # Whatever part of a move stands in one frame must hold by itself: no claim rests on two of them.
            _load_moves(con, exact, part)
            for number, sentence in [*_moves(con, exact), *_sums(con, exact)]:
                wrong[sentence] += number
            _add_up(con, exact)
        found += _told([(number, sentence) for sentence, number in wrong.items()])
        found += _certified(con, exact)
        found += _residuals(con, exact)
        if exact.family.numerator:
            found += _shares(con, exact)
        return found


def _parts(moves: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Certificates of one frame, a bounded number at a time."""
    moves = moves.sort("certificate", maintain_order=True)
    last = moves["certificate"].max()
    for first in range(0, -1 if last is None else last + 1, MOVES_AT_ONCE):
        yield moves.filter(pl.col("certificate").is_between(first, first + MOVES_AT_ONCE - 1))


def verify_files(table: Path, family: Path, protected: Path, evidence: Path) -> list[str]:
    """The same for files: the exact table, its family.yml, what protect wrote, and its folder of evidence."""
    exact = read_counts(table, read_family(family))
    read = pl.read_csv if protected.suffix == ".csv" else pl.read_parquet
    frame = read(protected, **({"infer_schema": False} if protected.suffix == ".csv" else {}))
    numbers = [exact.family.count]
    if exact.family.numerator:
        numbers += [exact.family.numerator, COMPLEMENT, "at_least", "at_most"]
    frame = frame.with_columns(pl.col(numbers).cast(pl.Int64, strict=False))
    return verify(
        exact, frame, *(pl.read_parquet(evidence / f"{name}.parquet") for name in ("certificates", "certified"))
    )


def _load(con, exact: Table, protected: pl.DataFrame, certified: pl.DataFrame) -> None:
    """Tables exact, published, band, certified with cells by number; relation_k with the relations of dimension k.

    published.is_hidden is NULL where the status is neither shown nor hidden. band has the ends of the numbers that have
    some: numerators as they were written, their complements as they follow.
    """
    shape = [len(each.codes) for each in exact.dimensions]
    _create(
        con, "exact", "cell::INTEGER AS cell, value", {"cell": np.arange(prod(shape)), "value": exact.value.ravel()}
    )
    for k, dimension in enumerate(exact.dimensions):
        _create(con, f"code_{k}", "code, id", {"code": dimension.codes, "id": np.arange(shape[k])})
        relation = np.repeat(np.arange(len(dimension.parent)), np.diff(dimension.start))
        rows = {
            "relation": np.concatenate([np.arange(len(dimension.parent)), relation]),
            "id": np.concatenate([dimension.parent, dimension.member]),
            "sign": np.concatenate([np.ones(len(dimension.parent)), -np.ones(len(relation))]).astype(np.int64),
        }
        _create(con, f"relation_{k}", "relation::INTEGER AS relation, id::INTEGER AS id, sign::TINYINT AS sign", rows)
    count = exact.family.count
    con.execute("CREATE TABLE published (cell INTEGER, is_hidden BOOLEAN, count BIGINT)")
    con.execute("CREATE TABLE band (cell INTEGER, at_least BIGINT, at_most BIGINT)")
    hidden = "CASE status WHEN 'hidden' THEN true WHEN 'shown' THEN false END"
    for part in _long(exact, protected) if exact.family.numerator else (protected,):
        _insert(con, exact, "published", part, f"{hidden}, count", status="status", count=count)
    if exact.family.numerator:
        rows = protected.filter(pl.col("at_least").is_not_null() | pl.col("at_most").is_not_null())
        rows = rows.with_columns(pl.lit(exact.family.numerator).alias(MEASURE))
        _insert(con, exact, "band", rows, "at_least, at_most", at_least="at_least", at_most="at_most")
        con.execute(
            """INSERT INTO band SELECT band.cell + 1, value - at_most, value - at_least
               FROM band JOIN exact ON exact.cell = band.cell - 1"""
        )
    con.execute("CREATE TABLE certified (cell INTEGER, move BIGINT)")
    _insert(con, exact, "certified", certified, "move", move="certificate")
    con.execute("CREATE TABLE reached (cell INTEGER)")
    con.execute("CREATE TABLE reach (cell INTEGER, low BIGINT, high BIGINT)")


def _create(con, name: str, columns: str, rows: dict) -> None:
    con.register("given", pl.DataFrame(rows).to_arrow())
    con.execute(f"CREATE TABLE {name} AS SELECT {columns} FROM given")
    con.unregister("given")


def _insert(con, exact: Table, table: str, frame: pl.DataFrame, columns: str, **names: str) -> None:
    """Rows of a frame into a table: the cell that the dimensions' columns name, NULL for none, then `columns`."""
    dimensions = range(len(exact.dimensions))
    step = [prod(exact.value.shape[k + 1 :]) for k in dimensions]
    number = " + ".join(f"code_{k}.id * {step[k]}" for k in dimensions)
    joined = " ".join(f"LEFT JOIN code_{k} ON code_{k}.code = given.code_{k}" for k in dimensions)
    codes = [pl.col(dimension.column).alias(f"code_{k}") for k, dimension in enumerate(exact.dimensions)]
    given = frame.select(*codes, *(pl.col(name).alias(alias) for alias, name in names.items()))
    con.register("given", given.to_arrow())
    con.execute(f"INSERT INTO {table} SELECT {number}, {columns} FROM given {joined}")
    con.unregister("given")


def _long(exact: Table, protected: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Rows of counts, of numerators, of complements; the last two are hidden where they are empty."""
    family = exact.family
    codes = [each.column for each in exact.dimensions[:-1]]
    for measure in (family.count, family.numerator, COMPLEMENT):
        shown = pl.col(measure).is_not_null()
        status = (
            pl.col("status")
            if measure == family.count
            else pl.when(shown).then(pl.lit("shown")).otherwise(pl.lit("hidden"))
        )
        yield protected.select(
            *codes,
            pl.lit(measure).alias(MEASURE),
            status.cast(pl.String).alias("status"),
            pl.col(measure).alias(family.count),
        )


def _load_moves(con, exact: Table, moves: pl.DataFrame) -> None:
    """Table move: cell, move and amount, with what is known of the cell."""
    con.execute("CREATE OR REPLACE TEMP TABLE row_ (cell INTEGER, move BIGINT, amount BIGINT)")
    _insert(con, exact, "row_", moves, "move, amount", move="certificate", amount="change")
    con.execute("CREATE OR REPLACE TEMP TABLE move AS FROM row_ LEFT JOIN known USING (cell)")


def _count(con, sql: str) -> int:
    return con.execute(f"SELECT count(*) FROM ({sql})").fetchone()[0]


def _told(checks: list[tuple[int, str]]) -> list[str]:
    return [f"{number} {sentence}" for number, sentence in checks if number]


def _published(con, exact: Table) -> list[str]:
    """Whether every cell has its row, and the shown ones the exact count."""
    cells = exact.value.size
    return _told(
        [
            (
                abs(_count(con, "SELECT DISTINCT cell FROM published WHERE cell IS NOT NULL") - cells),
                "cells are absent.",
            ),
            (abs(_count(con, "FROM published") - cells), "rows are too many or too few."),
            (_count(con, "FROM published WHERE is_hidden IS NULL"), "cells are neither shown nor hidden."),
            (
                _count(
                    con, "FROM published JOIN exact USING (cell) WHERE NOT is_hidden AND count IS DISTINCT FROM value"
                ),
                "shown counts differ from the exact ones.",
            ),
            (_count(con, "FROM published WHERE is_hidden AND count IS NOT NULL"), "hidden cells carry a count."),
        ]
    )


def _join(con, exact: Table) -> None:
    """Table known: every cell with all that is known of it. exact, published and band go."""
    con.execute(
        """CREATE TABLE known AS SELECT cell, value, is_hidden, at_least, at_most
           FROM exact LEFT JOIN published USING (cell) LEFT JOIN band USING (cell)"""
    )
    for table in ("exact", "published", "band"):
        con.execute(f"DROP TABLE {table}")


def _told_counts(con, exact: Table) -> list[str]:
    """Whether what is shown may be shown, and what is hidden may be hidden."""
    n = exact.family.minimum
    checks = [
        (
            _count(con, f"FROM known WHERE NOT is_hidden AND value BETWEEN 1 AND {n - 1}"),
            f"counts of 1 to {n - 1} are shown.",
        ),
    ]
    if exact.family.zeros_shown:
        checks.append(
            (
                _count(con, f"FROM known WHERE is_hidden AND value = 0 AND {_is_count(exact)}"),
                "zeros are hidden although zeros are declared as shown.",
            )
        )
    return _told(checks)


def _is_count(exact: Table) -> str:
    """SQL that tells counts from numerators and complements."""
    return "cell % 3 = 0" if exact.family.numerator else "true"


def _shares(con, exact: Table) -> list[str]:
    """Numerators and complements: which must be hidden, which bands must be told, and that moves stay inside them.

    Three rows stand together: cell is the count, cell + 1 its numerator, cell + 2 the complement.
    """
    n = exact.family.minimum
    con.execute("CREATE TEMP TABLE ends (first BIGINT, part BIGINT, whole BIGINT)")
    for band in exact.family.bands:
        con.execute("INSERT INTO ends VALUES (?, ?, ?)", [band.first, band.ends.numerator, band.ends.denominator])
    con.execute(
        """CREATE TEMP TABLE share AS
           SELECT d.value AS d, x.value AS x, d.value * part // whole AS a, d.is_hidden AS hidden_d,
                  x.is_hidden AS hidden_x, c.is_hidden AS hidden_c, x.at_least, x.at_most
           FROM known d JOIN known x ON x.cell = d.cell + 1 JOIN known c ON c.cell = d.cell + 2
           ASOF LEFT JOIN ends ON d.value >= ends.first
           WHERE d.cell % 3 = 0"""
    )
    return _told(
        [
            (
                _count(
                    con,
                    f"""FROM share WHERE d > 0 AND (NOT hidden_x OR NOT hidden_c)
                        AND (x < {n} OR d - x < {n} OR x <= a OR d - x <= a)""",
                ),
                f"numerators or complements are shown although one is under {n} or the share has a band.",
            ),
            (
                _count(
                    con,
                    """FROM share WHERE CASE WHEN hidden_d OR NOT hidden_x OR a IS NULL
                             THEN at_least IS NOT NULL OR at_most IS NOT NULL
                             WHEN x <= a THEN (at_least, at_most) IS DISTINCT FROM (0, a)
                             WHEN d - x <= a THEN (at_least, at_most) IS DISTINCT FROM (d - a, d)
                             ELSE (at_least, at_most) IS DISTINCT FROM (a + 1, d - a - 1) END""",
                ),
                "bands are not those that the family declares.",
            ),
        ]
    )


def _moves(con, exact: Table) -> list[tuple[int, str]]:
    # One of its own people may be the reader of a count.
    least = f"CASE WHEN {_is_count(exact)} AND value > 0 THEN 1 ELSE 0 END"
    return [
        (_count(con, "FROM move WHERE cell IS NULL OR amount IS NULL"), "rows of moves name no cell."),
        (
            _count(con, "SELECT move, cell FROM move GROUP BY ALL HAVING count(*) > 1"),
            "cells stand twice in a move.",
        ),
        (_count(con, "FROM move WHERE is_hidden IS DISTINCT FROM true"), "cells of moves are not hidden."),
        (_count(con, f"FROM move WHERE value + amount < {least}"), "cells would have nobody left in a move."),
        (
            _count(con, "FROM move WHERE value + amount < at_least OR value + amount > at_most"),
            "cells would leave their band in a move.",
        ),
    ]


def _sums(con, exact: Table) -> list[tuple[int, str]]:
    """Every move keeps every sum: along each dimension, parent minus members change by 0 at each place."""
    shape = exact.value.shape
    broken = 0
    for k in range(len(shape)):
        step = prod(shape[k + 1 :])
        broken += _count(
            con,
            f"""SELECT move, relation, cell - relation_{k}.id * {step} AS place
                FROM move JOIN relation_{k} ON relation_{k}.id = cell // {step} % {shape[k]}
                GROUP BY ALL HAVING sum(amount * sign) <> 0""",
        )
    return [(broken, "sums are not kept by a move.")]


def _add_up(con, exact: Table) -> None:
    """What the moves at hand prove: cells that their certificate takes far enough, and how far all are taken."""
    n, width = exact.family.minimum, exact.family.interval
    con.execute(
        f"""INSERT INTO reached SELECT cell FROM certified JOIN move USING (move, cell)
            WHERE value + amount >= {n} AND amount >= {width}"""
    )
    con.execute("INSERT INTO reach SELECT cell, min(amount), max(amount) FROM move GROUP BY cell")


def _certified(con, exact: Table) -> list[str]:
    n, width = exact.family.minimum, exact.family.interval
    return _told(
        [
            (
                _count(
                    con,
                    f"FROM known ANTI JOIN reached USING (cell) WHERE is_hidden AND value < {n} AND {_is_count(exact)}",
                ),
                f"hidden cells below {n} have no move that takes them to {n} or more and {width} or more away.",
            ),
            (
                _count(
                    con,
                    f"""SELECT cell FROM known
                        LEFT JOIN (SELECT cell, greatest(max(high), 0) - least(min(low), 0) AS reach
                                   FROM reach GROUP BY cell) USING (cell)
                        WHERE is_hidden AND NOT (value < {n} AND {_is_count(exact)})
                        AND coalesce(reach, 0) < {width}""",
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
                  FROM known JOIN relation_{k} ON relation_{k}.id = cell // {step} % {shape[k]}
                  WHERE is_hidden AND sign < 0 GROUP BY ALL
                  HAVING sum(value) BETWEEN 1 AND {n - 1}) AS rest
                JOIN relation_{k} ON relation_{k}.relation = rest.relation AND sign > 0
                JOIN known ON known.cell = rest.place + relation_{k}.id * {step}
                WHERE NOT is_hidden""",
        )
    return _told([(open_, f"sums leave 1 to {n - 1} for their hidden members.")])
