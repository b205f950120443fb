"""Verify a protected table against its exact counts and certificates, in SQL: sums and groups, nothing clever.

What belongs here: every claim that protect makes, checked by DuckDB on the rows that it wrote or is about to write.
What does not: any search. This module shares no code with the protection, only the reading of the family and table,
so that an error there is not repeated here.

Exact counts stay in memory: nothing is spilled to disk. So that a large table has room, rows are joined some places at
a time, and what is no longer needed goes. A place is a cell of the table without its numerators and complements.

That a move keeps every sum is true for ever, whatever the counts. So moves that were once verified get a seal, and
where a later run finds the same moves among the same codes and sums, their sums are not added up again.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from pipelines.disclosure.table.family import COMPLEMENT, Dimension, Family, Table, read_counts, read_family
from pipelines.errors import P20wError

SETTINGS = {"threads": 1, "temp_directory": ""}  # no folder to spill to
MOVES_AT_ONCE = 100_000  # moves of one frame that are looked at together, and
ROWS_AT_ONCE = 300_000  # rows of other frames, or places, to bound memory
REACH_ROWS = 2_000_000  # how far moves take cells, frame by frame, beyond which rows of one cell are made one
LARGEST = {"INTEGER": 2**29, "BIGINT": 2**61}  # of each type, so that it holds sums of two and some more


@dataclass
class Seals:
    """Seals of frames of moves that keep every sum. before: of earlier runs under this key; now: of this one."""

    secret: bytes
    before: frozenset[str] = frozenset()
    now: set[str] = field(default_factory=set)


def verify(
    exact: Table,
    protected: pl.DataFrame,
    moves: pl.DataFrame | Iterable[pl.DataFrame],
    certified: pl.DataFrame,
    seals: Seals | None = None,
) -> list[str]:
    """What is wrong, as sentences; nothing when every claim holds.

    protected: the columns that protect writes. moves: certificate, the dimensions' columns, change; in one frame or in
    several, a certificate in one of them. certified: the dimensions' columns, certificate. seals: sums of frames sealed
    before are not added up again, and this run's seals are entered. Counts stay out of the sentences.
    """
    try:
        with duckdb.connect(config=SETTINGS) as con:
            return _found(con, exact, protected, moves, certified, seals)
    except duckdb.OutOfMemoryException:
        raise P20wError(
            f"There is not enough memory to verify a table of {exact.value.size} numbers, so it is not verified. Exact "
            "counts are never spilled to disk: run it again where more memory is free."
        ) from None


def _found(con, exact: Table, protected: pl.DataFrame, moves, certified: pl.DataFrame, seals) -> list[str]:
    _load(con, exact, protected, certified)
    found = _published(con, exact)
    con.execute("DROP TABLE published")
    wrong: Counter[str] = Counter()
    for part in _parts(moves) if isinstance(moves, pl.DataFrame) else moves:
        # Whatever part of a move stands in one frame must hold by itself: no claim rests on two of them.
        for number, sentence in _moves(con, exact, part, seals):
            wrong[sentence] += number
    found += _told([(number, sentence) for sentence, number in wrong.items()])
    return found + _numbers(con, exact) + _residuals(con, exact)


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
    """Tables published and certified with their rows; relation_k with the relations of dimension k.

    published.is_hidden is NULL where the status is neither shown nor hidden. Still empty: hidden (the hidden cells with
    their exact number and band), reach (how far moves take a cell) and reached (how far its certificate takes it up).
    """
    for k, dimension in enumerate(exact.dimensions):
        relation = np.repeat(np.arange(len(dimension.parent)), np.diff(dimension.start))
        rows = {
            "relation": np.concatenate([np.arange(len(dimension.parent)), relation]),
            "id": np.concatenate([dimension.parent, dimension.member]),
            "sign": np.concatenate([np.ones(len(dimension.parent)), -np.ones(len(relation))]).astype(np.int64),
        }
        _create(con, f"relation_{k}", "relation::INTEGER AS relation, id::INTEGER AS id, sign::TINYINT AS sign", rows)
    names = {name: column for name, _, _, column in _measures(exact.family)}
    if exact.family.numerator:
        names |= {"at_least": "at_least", "at_most": "at_most"}
    largest = [exact.value.max(initial=0), *(protected[column].abs().max() or 0 for column in names.values())]
    kind = "INTEGER" if max(largest) < LARGEST["INTEGER"] else "BIGINT"
    columns = ", ".join(f"{name} {kind}" for name in names)
    con.execute(f"CREATE TABLE published (place INTEGER, is_hidden BOOLEAN, {columns})")
    hidden = "CASE status WHEN 'hidden' THEN true WHEN 'shown' THEN false END"
    dimensions = exact.dimensions[:-1] if exact.family.numerator else exact.dimensions
    _insert(con, dimensions, "published", protected, ", ".join([hidden, *names]), status="status", **names)
    con.execute(f"CREATE TABLE hidden (cell INTEGER, value {kind}, at_least {kind}, at_most {kind})")
    con.execute("CREATE TABLE certified (cell INTEGER, move BIGINT)")
    _insert(con, exact.dimensions, "certified", certified, "move", move="certificate")
    con.execute(f"CREATE TABLE reached (cell INTEGER, rise {kind})")
    con.execute(f"CREATE TABLE reach (cell INTEGER, low {kind}, high {kind})")


def _measures(family: Family) -> list[tuple[str, str, str, str]]:
    """What is told of a place: SQL of the told number, of the exact one and of whether it is hidden; the file's column.

    Of numerators and complements an empty number is a hidden one.
    """
    found = [("told_d", "d", "is_hidden", family.count)]
    if family.numerator:
        found.append(("told_x", "x", "told_x IS NULL", family.numerator))
        found.append(("told_c", "c", "told_c IS NULL", COMPLEMENT))
    return found


def _create(con, name: str, columns: str, rows: dict, kind: str = "TABLE") -> None:
    con.register("given", pl.DataFrame(rows).to_arrow())
    con.execute(f"CREATE OR REPLACE {kind} {name} AS SELECT {columns} FROM given")
    con.unregister("given")


def _insert(con, dimensions: list[Dimension], table: str, frame: pl.DataFrame, columns: str, **names: str) -> None:
    """Rows of a frame into a table: the cell that the dimensions' columns name, NULL for none, then `columns`."""
    sizes = [len(each.codes) for each in dimensions]
    number = " + ".join(f"code_{k}::BIGINT * {prod(sizes[k + 1 :])}" for k in range(len(sizes)))
    for some in frame.iter_slices(ROWS_AT_ONCE):
        given = some.select(*_ids(dimensions), *(pl.col(name).alias(alias) for alias, name in names.items()))
        con.register("given", given.to_arrow())
        con.execute(f"INSERT INTO {table} SELECT {number}, {columns} FROM given")
        con.unregister("given")


def _ids(dimensions: list[Dimension]) -> list[pl.Expr]:
    """code_k: the place of each row's code, which is a text, among those of dimension k; null where it is none."""
    return [
        pl.col(each.column).cast(pl.Enum(each.codes), strict=False).to_physical().alias(f"code_{k}")
        for k, each in enumerate(dimensions)
    ]


def _count(con, sql: str) -> int:
    return con.execute(f"SELECT count(*) FROM ({sql})").fetchone()[0]


def _type(con, table: str, column: str) -> str:
    return con.execute(f"SELECT column_type FROM (DESCRIBE {table}) WHERE column_name = '{column}'").fetchone()[0]


def _told(checks: list[tuple[int, str]]) -> list[str]:
    return [f"{number} {sentence}" for number, sentence in checks if number]


def _published(con, exact: Table) -> list[str]:
    """Whether every place has its row, and what it says may be said. Fills the table hidden."""
    measures = _measures(exact.family)
    numbers = exact.value.reshape(-1, len(measures))
    checks = [(abs(_count(con, "FROM published") - len(numbers)), "rows are too many or too few.")]
    for first in range(0, len(numbers), ROWS_AT_ONCE):
        some = numbers[first : first + ROWS_AT_ONCE]
        place = np.arange(first, first + len(some))
        rows = {"place": place, **{each: some[:, k] for k, (_, each, _, _) in enumerate(measures)}}
        _create(con, "counted", "* REPLACE (place::INTEGER AS place)", rows, "TEMP TABLE")
        con.execute(
            f"""CREATE OR REPLACE TEMP TABLE here AS
                SELECT counted.*, published.* EXCLUDE (place), published.place IS NOT NULL AS is_there
                FROM counted LEFT JOIN published
                ON published.place = counted.place AND published.place BETWEEN {first} AND {first + len(some) - 1}"""
        )
        checks += [
            (len(some) - _count(con, "SELECT DISTINCT place FROM here WHERE is_there"), "cells are absent."),
            (_count(con, "FROM here WHERE is_there AND is_hidden IS NULL"), "cells are neither shown nor hidden."),
        ]
        for told, value, hidden, _ in measures:
            checks += _told_numbers(con, exact.family, told, value, hidden)
        if exact.family.numerator:
            checks += _shares(con, exact.family)
        ends = ("NULL, NULL", "at_least, at_most", "d - at_most, d - at_least")
        for k, (_, value, hidden, _) in enumerate(measures):
            con.execute(
                f"""INSERT INTO hidden SELECT place * {len(measures)} + {k}, {value}, {ends[k]}
                    FROM here WHERE is_there AND {hidden}"""
            )
    con.execute("DROP TABLE here")
    con.execute("DROP TABLE counted")
    found: Counter[str] = Counter()
    for number, sentence in checks:
        found[sentence] += number
    return _told([(number, sentence) for sentence, number in found.items()])


def _told_numbers(con, family: Family, told: str, value: str, hidden: str) -> list[tuple[int, str]]:
    """Whether what is shown is the exact number and may be shown, and what is hidden may be hidden."""
    n = family.minimum
    return [
        (
            _count(con, f"FROM here WHERE is_there AND NOT ({hidden}) AND {told} IS DISTINCT FROM {value}"),
            "shown counts differ from the exact ones.",
        ),
        (_count(con, f"FROM here WHERE ({hidden}) AND {told} IS NOT NULL"), "hidden cells carry a count."),
        (
            _count(con, f"FROM here WHERE is_there AND NOT ({hidden}) AND {value} BETWEEN 1 AND {n - 1}"),
            f"counts of 1 to {n - 1} are shown.",
        ),
        (
            _count(con, f"FROM here WHERE ({hidden}) AND {value} = 0") if family.zeros_shown and value == "d" else 0,
            "zeros are hidden although zeros are declared as shown.",
        ),
    ]


def _shares(con, family: Family) -> list[tuple[int, str]]:
    """Numerators and complements: which must be hidden, and which bands must be told."""
    n, cases = family.minimum, ["WHEN false THEN NULL"]
    for band in reversed(family.bands):
        cases.append(f"WHEN d >= {band.first} THEN d * {band.ends.numerator} // {band.ends.denominator}")
    share = f"(SELECT *, CASE {' '.join(cases)} END AS a FROM here WHERE is_there)"
    return [
        (
            _count(
                con,
                f"""FROM {share} WHERE d > 0 AND (told_x IS NOT NULL OR told_c IS NOT NULL)
                    AND (x < {n} OR d - x < {n} OR x <= a OR d - x <= a)""",
            ),
            f"numerators or complements are shown although one is under {n} or the share has a band.",
        ),
        (
            _count(
                con,
                f"""FROM {share} WHERE CASE WHEN is_hidden OR told_x IS NOT NULL OR a IS NULL
                         THEN at_least IS NOT NULL OR at_most IS NOT NULL
                         WHEN x <= a THEN (at_least, at_most) IS DISTINCT FROM (0, a)
                         WHEN d - x <= a THEN (at_least, at_most) IS DISTINCT FROM (d - a, d)
                         ELSE (at_least, at_most) IS DISTINCT FROM (a + 1, d - a - 1) END""",
            ),
            "bands are not those that the family declares.",
        ),
    ]


def _moves(con, exact: Table, moves: pl.DataFrame, seals: Seals | None) -> list[tuple[int, str]]:
    """Whether every move of a frame keeps every sum. What they do to each cell is added to reached and reach."""
    name = None if seals is None else _seal(seals.secret, exact, moves)
    con.execute("CREATE OR REPLACE TEMP TABLE move (cell INTEGER, move BIGINT, amount BIGINT)")
    _insert(con, exact.dimensions, "move", moves, "move, amount", move="certificate", amount="change")
    found = []
    if name is None or name not in seals.before:
        found = [
            (_count(con, "FROM move WHERE cell IS NULL OR amount IS NULL"), "rows of moves name no cell."),
            (
                _count(con, "SELECT move, cell FROM move GROUP BY ALL HAVING count(*) > 1"),
                "cells stand twice in a move.",
            ),
            (_broken(con, exact), "sums are not kept by a move."),
        ]
    if name is not None and not any(number for number, _ in found):
        seals.now.add(name)
    largest = LARGEST[_type(con, "reach", "low")]  # beyond it, an amount is too much for any number of the table
    amount = f"least(greatest(amount, {-largest}), {largest})"
    con.execute(f"INSERT INTO reach SELECT cell, min({amount}), max({amount}) FROM move GROUP BY cell")
    con.execute(f"INSERT INTO reached SELECT cell, {amount} FROM certified JOIN move USING (move, cell)")
    con.execute("DROP TABLE move")
    if _count(con, "FROM reach") > REACH_ROWS + exact.value.size // 2:
        con.execute("CREATE TABLE less AS SELECT cell, min(low) AS low, max(high) AS high FROM reach GROUP BY cell")
        con.execute("DROP TABLE reach")
        con.execute("ALTER TABLE less RENAME TO reach")
    return found


def _seal(secret: bytes, exact: Table, moves: pl.DataFrame) -> str | None:
    """What says of the moves of a frame, to whoever has the key, that they keep every sum; None where a row is wrong.

    It follows from all that this follows from: the rows, the texts of their codes, and each sum that such a code is in,
    with those of its codes that the rows have. It does not follow from any other code of the table, nor from counts.
    """
    rows = moves.select(*_ids(exact.dimensions), "certificate", pl.col("change").cast(pl.Int64))
    if sum(rows.null_count().row(0)):
        return None
    made = hmac.new(hashlib.sha256(b"seal" + secret).digest(), digestmod=hashlib.sha256)
    made.update(Path(__file__).read_bytes() + duckdb.__version__.encode())
    for k, dimension in enumerate(exact.dimensions):
        code = rows[f"code_{k}"].to_numpy()
        used = np.zeros(len(dimension.codes), dtype=bool)
        used[code] = True
        made.update(repr((dimension.column, [dimension.codes[each] for each in np.flatnonzero(used)])).encode())
        member = used[dimension.member]
        relation = np.repeat(np.arange(len(dimension.parent)), np.diff(dimension.start))
        for each in np.union1d(relation[member], np.flatnonzero(used[dimension.parent])).tolist():
            inside = slice(dimension.start[each], dimension.start[each + 1])
            texts = [dimension.codes[code] for code in dimension.member[inside][member[inside]]]
            made.update(repr((dimension.codes[dimension.parent[each]], texts)).encode())
        made.update((np.cumsum(used, dtype=np.int32) - 1)[code])
    made.update((rows["certificate"] - rows["certificate"].min()).cast(pl.Int64).to_numpy())
    made.update(rows["change"].to_numpy())
    return made.hexdigest()


def _broken(con, exact: Table) -> int:
    """Sums that moves do not keep: along each dimension, parent minus members must change by 0 at each place."""
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
    return broken


def _numbers(con, exact: Table) -> list[str]:
    """Whether all that moves change is hidden and stays possible, and all that is hidden is moved far enough."""
    family = exact.family
    n, width = family.minimum, family.interval
    is_count = "cell % 3 = 0" if family.numerator else "true"
    claims = {
        "cells of moves are not hidden.": "value IS NULL",
        # One of its own people may be the reader of a count.
        "cells would have nobody left in a move.": f"value + low < if({is_count} AND value > 0, 1, 0)",
        "cells would leave their band in a move.": "value + low < at_least OR value + high > at_most",
        f"hidden cells below {n} have no move that takes them to {n} or more and {width} or more away.": f"""
            value < {n} AND {is_count} AND coalesce(rise, 0) < greatest({n} - value, {width})""",
        f"other hidden cells are not shown by any move to be uncertain by {width} or more.": f"""
            NOT (value < {n} AND {is_count}) AND coalesce(greatest(high, 0) - least(low, 0), 0) < {width}""",
    }
    counts = ", ".join(f"count(*) FILTER ({claim})" for claim in claims.values())
    found = con.execute(
        f"""SELECT {counts} FROM hidden
            FULL JOIN (SELECT cell, min(low) AS low, max(high) AS high FROM reach GROUP BY cell) USING (cell)
            LEFT JOIN (SELECT cell, max(rise) AS rise FROM reached GROUP BY cell) USING (cell)"""
    ).fetchone()
    return _told(list(zip(found, claims, strict=True)))


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
                  FROM hidden JOIN relation_{k} ON relation_{k}.id = cell // {step} % {shape[k]}
                  WHERE sign < 0 GROUP BY ALL
                  HAVING sum(value) BETWEEN 1 AND {n - 1}) AS rest
                JOIN relation_{k} ON relation_{k}.relation = rest.relation AND sign > 0
                ANTI JOIN hidden ON hidden.cell = rest.place + relation_{k}.id * {step}""",
        )
    return _told([(open_, f"sums leave 1 to {n - 1} for their hidden members.")])
