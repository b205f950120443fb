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

from pipelines.disclosure.table.family import COMPLEMENT, MEASURE, Table, read_counts, read_family

MOVES_AT_ONCE = 40_000  # moves whose sums are checked in one statement, to bound memory


def verify(exact: Table, protected: pl.DataFrame, moves: pl.DataFrame, certified: pl.DataFrame) -> list[str]:
    """What is wrong, as sentences; nothing when every claim holds.

    protected: the columns that protect writes. moves: certificate, the
    dimensions' columns, change. certified: the dimensions' columns, certificate. Counts stay out of the sentences.
    """
    with duckdb.connect(config={"threads": 1, "memory_limit": "700MB"}) as con:
        _load(con, exact, protected, moves, certified)
        found = _published(con, exact)
        found += _moves(con, exact)
        found += _sums(con, exact)
        found += _certified(con, exact)
        found += _residuals(con, exact)
        if exact.family.numerator:
            found += _shares(con, exact)
        return found


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
    if exact.family.numerator:
        _load_bands(con, exact, protected, codes, number, joined)
        protected = _long(exact, protected)
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


def _long(exact: Table, protected: pl.DataFrame) -> pl.DataFrame:
    """One row per count, numerator and complement; the last two are hidden where they are empty."""
    family, parts = exact.family, []
    codes = [each.column for each in exact.dimensions[:-1]]
    for measure in (family.count, family.numerator, COMPLEMENT):
        shown = pl.col(measure).is_not_null()
        status = (
            pl.col("status")
            if measure == family.count
            else pl.when(shown).then(pl.lit("shown")).otherwise(pl.lit("hidden"))
        )
        parts.append(
            protected.select(
                *codes,
                pl.lit(measure).alias(MEASURE),
                status.cast(pl.String).alias("status"),
                pl.col(measure).alias(family.count),
            )
        )
    return pl.concat(parts)


def _load_bands(con, exact: Table, protected: pl.DataFrame, codes: list, number: str, joined: str) -> None:
    """Table band: the cell of the numerator of every row with a band, and the band's ends as they were written."""
    rows = protected.filter(pl.col("at_least").is_not_null() | pl.col("at_most").is_not_null())
    rows = rows.with_columns(pl.lit(exact.family.numerator).alias(MEASURE)).select(*codes, "at_least", "at_most")
    con.register("given", rows.to_arrow())
    con.execute(f"CREATE TABLE band AS SELECT {number} AS cell, at_least, at_most FROM given {joined}")
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
                _count(
                    con,
                    "FROM published JOIN exact USING (cell) WHERE status = 'hidden' AND value = 0 AND "
                    + _is_count(exact),
                ),
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
           SELECT d.cell, d.value AS d, x.value AS x, d.value * part // whole AS a, pd.status AS shown_d,
                  px.status AS shown_x, pc.status AS shown_c
           FROM exact d JOIN exact x ON x.cell = d.cell + 1
           JOIN published pd ON pd.cell = d.cell JOIN published px ON px.cell = d.cell + 1
           JOIN published pc ON pc.cell = d.cell + 2
           ASOF LEFT JOIN ends ON d.value >= ends.first
           WHERE d.cell % 3 = 0"""
    )
    return _told(
        [
            (
                _count(
                    con,
                    f"""FROM share WHERE d > 0 AND (shown_x = 'shown' OR shown_c = 'shown')
                        AND (x < {n} OR d - x < {n} OR x <= a OR d - x <= a)""",
                ),
                f"numerators or complements are shown although one is under {n} or the share has a band.",
            ),
            (
                _count(
                    con,
                    """FROM share LEFT JOIN band ON band.cell = share.cell + 1
                       WHERE CASE WHEN shown_d = 'hidden' OR shown_x = 'shown' OR a IS NULL
                             THEN at_least IS NOT NULL OR at_most IS NOT NULL
                             WHEN x <= a THEN (at_least, at_most) IS DISTINCT FROM (0, a)
                             WHEN d - x <= a THEN (at_least, at_most) IS DISTINCT FROM (d - a, d)
                             ELSE (at_least, at_most) IS DISTINCT FROM (a + 1, d - a - 1) END""",
                ),
                "bands are not those that the family declares.",
            ),
            (
                _count(
                    con,
                    """FROM (SELECT cell, value + amount AS now, move FROM move JOIN exact USING (cell)) m
                       JOIN band USING (cell) WHERE now NOT BETWEEN at_least AND at_most""",
                )
                + _count(
                    con,
                    """FROM (SELECT cell, value + amount AS now, move FROM move JOIN exact USING (cell)) m
                       JOIN band ON band.cell + 1 = m.cell JOIN exact d ON d.cell + 2 = m.cell
                       WHERE now NOT BETWEEN d.value - at_most AND d.value - at_least""",
                ),
                "cells would leave their band in a move.",
            ),
        ]
    )


def _moves(con, exact: Table) -> list[str]:
    lower = int(exact.family.zeros_shown)
    least = f"CASE WHEN {_is_count(exact)} THEN {lower} ELSE 0 END"
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
                _count(con, f"FROM move JOIN exact USING (cell) WHERE value + amount < {least}"),
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
                        WHERE status = 'hidden' AND value < {n} AND {_is_count(exact)} AND cell NOT IN (
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
                        WHERE status = 'hidden' AND NOT (value < {n} AND {_is_count(exact)})
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
                  FROM published JOIN exact USING (cell)
                  JOIN relation_{k} ON relation_{k}.id = cell // {step} % {shape[k]}
                  WHERE status = 'hidden' AND sign < 0 GROUP BY ALL
                  HAVING sum(value) BETWEEN 1 AND {n - 1}) AS rest
                JOIN relation_{k} ON relation_{k}.relation = rest.relation AND sign > 0
                JOIN published ON published.cell = rest.place + relation_{k}.id * {step}
                WHERE status = 'shown'""",
        )
    return _told([(open_, f"sums leave 1 to {n - 1} for their hidden members.")])
