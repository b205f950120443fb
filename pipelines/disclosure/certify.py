"""Prove that no sensitive value of the official tables is given away: integer moves, and their check in plain SQL.

What belongs here: the search for moves, their form, and the check of published values, moves and certified values
against the exact counts. What does not: the choice of the pattern (suppress) and the attack (detect), with neither of
which this module shares code. Only relations, nestings and what is published are common.

A move changes hidden counts by whole numbers and keeps everything that a reader sees: every sum with its known
residual, every shown count, every band, no count below 0, no numerator above its denominator, no inner count above
the outer one. So the moved table is one that the reader cannot exclude. A sensitive value is certified by the moves
that reach it: a small denominator must reach n and be `width` away from what it is, and every sensitive value must
take `width` values at least, its own included. Moves stay near their target; the rest of the table is left as it is,
which is always possible.

Certificates tell exact counts to whoever reads them beside the published table: they are restricted evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse
from scipy.optimize import Bounds as Box
from scipy.optimize import LinearConstraint

from pipelines.disclosure.declare import Declaration
from pipelines.disclosure.detect import UNKNOWN, Published
from pipelines.disclosure.earlier import NOT_TOLD, Earlier, nothing_earlier
from pipelines.disclosure.in_memory import in_memory
from pipelines.disclosure.program import solve_whole

REGIONS = (800, 4_000)  # unknowns around a target that may move, tried in turn
SECONDS = 20.0  # for one program; what is not found by then is tried in a larger region
FAR = 1e7  # no count of a state moves farther
MOVE = {"move": pl.Int64, "variable": pl.String, "cell": pl.Int64, "amount": pl.Int64}
CERTIFIED = {"variable": pl.String, "cell": pl.Int64, "other": pl.Int64, "down": pl.Int64, "up": pl.Int64}


@dataclass(frozen=True)
class Certificates:
    """`moves`: MOVE, one row per changed count (variable d or n). `certified`: CERTIFIED, one row per sensitive value:
    variable d, n, xd or xn (a difference of the pair cell, other; else other is -1) and the moves that take it down
    and up (-1: none). `uncertified`: (variable, cell, other) of the sensitive values without."""

    moves: pl.DataFrame
    certified: pl.DataFrame
    uncertified: list[tuple[str, int, int]]


def certify(
    declaration: Declaration,
    published: Published,
    minimum_count: int,
    interval_width: int,
    known: Certificates | None = None,
    earlier: Earlier | None = None,
) -> Certificates:
    """Moves for every sensitive value that `published` hides; the same input gives the same moves.

    known: certificates of these cells in another round; those of their moves that are possible now are taken over.
    earlier: what earlier releases told; a hidden value that differs from it by 1 to n-1 is sensitive too.
    """
    system = _System(declaration, published, minimum_count, interval_width, earlier)
    return system.certify(known)


def verify(
    declaration: Declaration,
    published: Published,
    certificates: Certificates,
    minimum_count: int,
    interval_width: int,
    earlier: Earlier | None = None,
) -> list[str]:
    """What is wrong, in sentences without figures of cells; empty when every rule holds. Plain SQL over the exact
    counts, the published values, the moves and what they certify; nothing of the search is used."""
    relation, nesting = declaration.relation, declaration.nesting
    earlier = nothing_earlier(len(declaration.d)) if earlier is None else earlier
    frames = {
        "cell": pl.DataFrame(
            {
                "cell": np.arange(len(declaration.d)),
                "d": declaration.d,
                "n": declaration.n,
                "shown_d": published.d.astype(np.int64),
                "shown_n": published.n.astype(np.int64),
                "n_low": np.asarray(published.n_low, dtype=np.int64),
                "n_high": np.asarray(published.n_high, dtype=np.int64),
                "least_d": np.broadcast_to(published.least_d, len(declaration.d)).astype(np.int64),
                "hidden_d": earlier.hidden_d,
                "hidden_n": earlier.hidden_n,
            }
        ),
        "told": pl.DataFrame(
            {"cell": earlier.cell, "variable": earlier.variable.astype(object), "value": earlier.value},
            schema={"cell": pl.Int64, "variable": pl.String, "value": pl.Int64},
        ),
        "version": pl.concat(
            [
                pl.DataFrame(schema={"cell": pl.Int64, "told_d": pl.Int64, "told_n": pl.Int64}),
                *(
                    pl.DataFrame({"cell": np.arange(len(d)), "told_d": d, "told_n": n}).cast(pl.Int64)
                    for d, n in earlier.versions
                ),
            ]
        ).filter(pl.col("told_d") != NOT_TOLD),
        "member": pl.DataFrame(
            {
                "relation": np.concatenate([relation.relation, np.arange(relation.count)]),
                "cell": np.concatenate([relation.member, relation.parent]),
                "sign": np.concatenate([np.ones(len(relation.member)), -np.ones(relation.count)]).astype(np.int64),
            }
        ),
        "relation": pl.DataFrame(
            {
                "relation": np.arange(relation.count),
                "residual_d": relation.residual_d.astype(np.int64),
                "residual_n": relation.residual_n.astype(np.int64),
                "in_numerator": relation.in_numerator,
            }
        ),
        "nesting": pl.DataFrame(
            {"larger": nesting.outer, "smaller": nesting.inner, "in_denominator": nesting.in_denominator}
        ).cast({"larger": pl.Int64, "smaller": pl.Int64, "in_denominator": pl.Boolean}),
        "overlap": pl.DataFrame({"whole": declaration.overlap.whole, "part": declaration.overlap.part}).cast(pl.Int64),
        "move": certificates.moves,
        "certified": certificates.certified,
    }
    values = {"n_min": minimum_count, "width": interval_width, "unknown": UNKNOWN}
    with in_memory("verify the official tables") as con:
        for name, frame in frames.items():
            con.register(f"{name}_frame", frame.to_arrow())
            con.execute(f'CREATE TABLE "{name}" AS SELECT * FROM {name}_frame')
        for name, value in values.items():
            con.execute(f"CREATE MACRO {name}() AS {int(value)}")
        con.execute(_VIEWS)
        wrong = []
        for sentence, query in _RULES.items():
            count = con.execute(f"SELECT count(*) FROM ({query})").fetchone()[0]
            if count:
                wrong.append(f"{sentence}: {count}.")
        return wrong


# The exact counts, and those of every moved table where it differs.
_VIEWS = """
CREATE VIEW moved AS
SELECT touched.move, cell.cell, cell.d + coalesce(delta_d, 0) AS d, cell.n + coalesce(delta_n, 0) AS n
FROM (
    SELECT move, cell, sum(amount) FILTER (variable = 'd') AS delta_d, sum(amount) FILTER (variable = 'n') AS delta_n
    FROM move GROUP BY ALL
) AS touched JOIN cell USING (cell);
CREATE VIEW reached AS
SELECT certified.*, direction, moved_cell.d AS d, moved_cell.n AS n, moved_other.d AS other_d, moved_other.n AS other_n
FROM certified
CROSS JOIN (VALUES ('down'), ('up')) AS way (direction)
LEFT JOIN moved AS moved_cell ON moved_cell.cell = certified.cell
    AND moved_cell.move = CASE direction WHEN 'down' THEN down ELSE up END
LEFT JOIN moved AS moved_other ON moved_other.cell = certified.other
    AND moved_other.move = CASE direction WHEN 'down' THEN down ELSE up END;
CREATE VIEW value AS
SELECT variable, reached.cell, reached.other,
    CASE variable WHEN 'd' THEN own.d WHEN 'n' THEN own.n WHEN 'xd' THEN own.d - pair.d
        ELSE own.n - pair.n END AS before,
    CASE variable WHEN 'd' THEN coalesce(reached.d, own.d) WHEN 'n' THEN coalesce(reached.n, own.n)
        WHEN 'xd' THEN coalesce(reached.d, own.d) - coalesce(other_d, pair.d)
        ELSE coalesce(reached.n, own.n) - coalesce(other_n, pair.n) END AS after
FROM reached JOIN cell AS own ON own.cell = reached.cell LEFT JOIN cell AS pair ON pair.cell = reached.other;
CREATE VIEW compared AS
SELECT cell, variable, value, shown_d, shown_n,
    abs(CASE variable WHEN 'd' THEN d WHEN 'n' THEN n ELSE d - n END - value)
    BETWEEN 1 AND n_min() - 1 AS is_small
FROM told JOIN cell USING (cell);
CREATE VIEW one_sided AS
SELECT DISTINCT cell FROM version JOIN cell USING (cell)
WHERE told_n >= 0 AND abs(d - told_d) >= n_min() AND (n = told_n OR d - n = told_d - told_n)
AND cell NOT IN (SELECT cell FROM version JOIN cell USING (cell) WHERE told_d = d AND told_n = n);
CREATE VIEW sensitive AS
SELECT 'd' AS variable, cell, -1 AS other FROM cell WHERE shown_d = unknown() AND d BETWEEN 1 AND n_min() - 1
UNION ALL
SELECT 'n', cell, -1 FROM cell WHERE shown_n = unknown() AND d > 0 AND (n < n_min() OR d - n < n_min())
UNION ALL
SELECT 'xn', larger, smaller FROM nesting JOIN cell AS a ON a.cell = larger JOIN cell AS b ON b.cell = smaller
WHERE (a.shown_n = unknown() OR b.shown_n = unknown()) AND a.n - b.n BETWEEN 1 AND n_min() - 1
UNION ALL
SELECT 'xd', larger, smaller FROM nesting JOIN cell AS a ON a.cell = larger JOIN cell AS b ON b.cell = smaller
WHERE in_denominator AND (a.shown_d = unknown() OR b.shown_d = unknown()) AND a.d - b.d BETWEEN 1 AND n_min() - 1
UNION ALL
SELECT 'd', cell, -1 FROM compared WHERE is_small AND variable = 'd' AND shown_d = unknown()
UNION ALL
SELECT 'n', cell, -1 FROM compared JOIN cell USING (cell)
WHERE is_small AND variable <> 'd' AND compared.shown_n = unknown() AND (cell.d > 0 OR cell.shown_d = unknown())
UNION
SELECT 'n', cell, -1 FROM one_sided JOIN cell USING (cell)
WHERE shown_n = unknown() AND (d > 0 OR shown_d = unknown());
"""

# Sentence -> rows that break it.
_RULES = {
    "Published counts differ from the exact ones": (
        "SELECT 1 FROM cell WHERE (shown_d <> unknown() AND shown_d <> d) OR (shown_n <> unknown() AND shown_n <> n)"
    ),
    "Counts of fewer than the minimum are told": (
        "SELECT 1 FROM cell WHERE shown_d BETWEEN 1 AND n_min() - 1"
        " OR (d > 0 AND shown_n <> unknown() AND (n < n_min() OR d - n < n_min()))"
    ),
    "Published bands do not hold the exact numerator": (
        "SELECT 1 FROM cell WHERE shown_d <> unknown() AND shown_n = unknown() AND NOT n BETWEEN n_low AND n_high"
    ),
    "Sums do not hold in the exact counts": (
        "SELECT relation FROM member JOIN cell USING (cell) JOIN relation USING (relation)"
        " GROUP BY relation, residual_d, residual_n, in_numerator"
        " HAVING sum(sign * d) <> -residual_d OR (in_numerator AND sum(sign * n) <> -residual_n)"
    ),
    "Published counts differ by a few people from what an earlier release told": (
        "SELECT 1 FROM compared WHERE is_small AND CASE variable WHEN 'd' THEN shown_d ELSE shown_n END <> unknown()"
    ),
    "Numerators are told that say what everyone did who came or went since an earlier release": (
        "SELECT 1 FROM one_sided JOIN cell USING (cell) WHERE shown_n <> unknown() AND d > 0"
    ),
    # Where an earlier release told a part of the sum that is still true, what is left of it can no longer be mended.
    "Sums leave so few people that one of them knows the others to be fewer than the minimum": (
        "SELECT relation FROM member JOIN cell USING (cell) GROUP BY relation"
        " HAVING bool_or(sign < 0 AND shown_d <> unknown())"
        " AND sum(d) FILTER (sign > 0 AND shown_d = unknown()) BETWEEN 1 AND n_min()"
        " AND NOT bool_or(cell IN (SELECT cell FROM version JOIN cell USING (cell) WHERE told_d = d))"
    ),
    "Counts are shown that an earlier release hid": (
        "SELECT 1 FROM cell WHERE (hidden_d AND shown_d <> unknown()) OR (hidden_n AND shown_n <> unknown())"
    ),
    "A table of nearly the same people tells what another hides, or tells of the few who are in one of them only": (
        "SELECT 1 FROM overlap JOIN cell AS w ON w.cell = whole JOIN cell AS p ON p.cell = part"
        " WHERE w.shown_d <> unknown() AND abs(w.d - p.n) < n_min() AND (p.shown_n = unknown() OR w.d <> p.n)"
    ),
    "Moves touch a count that is shown": (
        "SELECT 1 FROM move JOIN cell USING (cell)"
        " WHERE CASE variable WHEN 'd' THEN shown_d ELSE shown_n END <> unknown()"
    ),
    "Moves touch a count that an earlier release told and that is the same": (
        "SELECT 1 FROM move JOIN version USING (cell) JOIN cell USING (cell)"
        " WHERE told_d = d AND (variable = 'd' OR told_n = n)"
    ),
    "Moves break a sum of denominators": (
        "SELECT move, relation FROM move JOIN member USING (cell) WHERE variable = 'd'"
        " GROUP BY move, relation HAVING sum(sign * amount) <> 0"
    ),
    "Moves break a sum of numerators": (
        "SELECT move, relation FROM move JOIN member USING (cell) JOIN relation USING (relation)"
        " WHERE variable = 'n' AND in_numerator GROUP BY move, relation HAVING sum(sign * amount) <> 0"
    ),
    "Moves lead to a count that no reader thinks possible": (
        "SELECT 1 FROM moved JOIN cell USING (cell) WHERE moved.n < 0 OR moved.n > moved.d"
        " OR (shown_d = unknown() AND moved.d < least_d)"
        " OR (shown_d <> unknown() AND shown_n = unknown() AND NOT moved.n BETWEEN n_low AND n_high)"
    ),
    "Moves lead to an inner count above the outer one": (
        "SELECT 1 FROM nesting JOIN (SELECT DISTINCT move, cell FROM move) AS touched"
        " ON touched.cell IN (nesting.larger, nesting.smaller)"
        " JOIN cell AS a ON a.cell = nesting.larger JOIN cell AS b ON b.cell = nesting.smaller"
        " LEFT JOIN moved AS ma ON ma.move = touched.move AND ma.cell = nesting.larger"
        " LEFT JOIN moved AS mb ON mb.move = touched.move AND mb.cell = nesting.smaller"
        " WHERE coalesce(ma.n, a.n) < coalesce(mb.n, b.n)"
        " OR (in_denominator AND coalesce(ma.d, a.d) < coalesce(mb.d, b.d))"
    ),
    "Sensitive values have no certificate": "SELECT variable, cell, other FROM sensitive EXCEPT"
    " SELECT variable, cell, other FROM certified",
    "Certified values take too few values": (
        "SELECT variable, cell, other FROM value GROUP BY ALL"
        " HAVING greatest(max(before), max(after)) - least(min(before), min(after)) + 1 < width()"
    ),
    "Certified small groups do not reach the minimum, or not far enough from what they are": (
        "SELECT cell FROM value WHERE variable = 'd' AND before BETWEEN 1 AND n_min() - 1"
        " GROUP BY cell, before HAVING max(after) < greatest(n_min(), before + width())"
    ),
}


class _System:
    """Hidden counts as unknown changes, and what keeps them in place."""

    def __init__(
        self, declaration: Declaration, published: Published, n_min: int, width: int, earlier: Earlier | None = None
    ):
        self.declaration, self.n_min, self.width = declaration, n_min, width
        self.earlier = nothing_earlier(len(declaration.d)) if earlier is None else earlier
        d, n = declaration.d, declaration.n
        relation, nesting = declaration.relation, declaration.nesting
        cells = len(d)
        hidden_d = published.d == UNKNOWN
        hidden_n = (published.n == UNKNOWN) & ~((published.d == 0) & ~hidden_d)
        self.at_d, self.at_n = np.flatnonzero(hidden_d), np.flatnonzero(hidden_n)
        self.var_d, self.var_n = np.full(cells, -1), np.full(cells, -1)
        self.var_d[self.at_d] = np.arange(len(self.at_d))
        self.var_n[self.at_n] = len(self.at_d) + np.arange(len(self.at_n))
        self.count = len(self.at_d) + len(self.at_n)
        banded = ~hidden_d[self.at_n]
        low_n = np.where(banded, np.maximum(published.n_low[self.at_n], 0), 0)
        high_n = np.where(banded, np.minimum(published.n_high[self.at_n], d[self.at_n]), FAR)
        value = np.concatenate([d[self.at_d], n[self.at_n]]).astype(float)
        self.low = np.concatenate([np.broadcast_to(published.least_d, cells)[self.at_d].astype(float), low_n]) - value
        self.high = np.concatenate([np.full(len(self.at_d), FAR), high_n]) - value
        rows = _Rows(self.count)
        tie = np.concatenate([np.arange(relation.count), relation.relation])
        cell = np.concatenate([relation.parent, relation.member])
        sign = np.concatenate([np.ones(relation.count), -np.ones(len(relation.member))])
        rows.equal(tie, self.var_d[cell], sign)
        rows.equal(tie, np.where(relation.in_numerator[tie], self.var_n[cell], -1), sign)
        # A numerator does not exceed its denominator, an inner count not the outer one.
        rows.least(self.var_d[self.at_d], self.var_n[self.at_d], (d - n)[self.at_d])
        rows.least(self.var_n[nesting.outer], self.var_n[nesting.inner], (n[nesting.outer] - n[nesting.inner]))
        both = nesting.in_denominator
        outer, inner = nesting.outer[both], nesting.inner[both]
        rows.least(self.var_d[outer], self.var_d[inner], d[outer] - d[inner])
        self.matrix, self.floor, self.ceiling = rows.finish()
        self.by_column = self.matrix.tocsc()
        self.targets = self._targets(d, n, hidden_d, hidden_n)

    def _targets(self, d, n, hidden_d, hidden_n) -> list[tuple[str, int, int, int, int, int]]:
        """variable, cell, other, the unknown that counts for it, the one that counts against it (-1: none), need."""
        nesting = self.declaration.nesting
        found = []
        for cell in np.flatnonzero(hidden_d & (d >= 1) & (d < self.n_min)).tolist():
            found.append(("d", cell, -1, int(self.var_d[cell]), -1, int(max(self.n_min - d[cell], self.width))))
        apart = self.earlier.apart(d, n)
        compared = (apart >= 1) & (apart < self.n_min)
        of_d = np.zeros(len(d), dtype=bool)
        of_d[self.earlier.cell[compared & (self.earlier.variable == "d")]] = True
        of_n = np.zeros(len(d), dtype=bool)
        of_n[self.earlier.cell[compared & (self.earlier.variable != "d")]] = True
        for cell in np.flatnonzero(hidden_d & of_d & ((d == 0) | (d >= self.n_min))).tolist():
            found.append(("d", cell, -1, int(self.var_d[cell]), -1, 0))
        small = hidden_n & (d > 0) & ((n < self.n_min) | (d - n < self.n_min))
        small |= (of_n | self.earlier.one_sided(d, n, self.n_min)) & (self.var_n >= 0)
        for cell in np.flatnonzero(small).tolist():
            found.append(("n", cell, -1, int(self.var_n[cell]), -1, 0))
        for name, value, variable, which in (
            ("xn", n, self.var_n, np.ones(len(nesting.outer), dtype=bool)),
            ("xd", d, self.var_d, nesting.in_denominator),
        ):
            for outer, inner in zip(nesting.outer[which].tolist(), nesting.inner[which].tolist(), strict=True):
                apart = value[outer] - value[inner]
                if 1 <= apart < self.n_min and max(variable[outer], variable[inner]) >= 0:
                    found.append((name, outer, inner, int(variable[outer]), int(variable[inner]), 0))
        return found

    def certify(self, known: Certificates | None) -> Certificates:
        """Region by region around the first target that is not reached yet; what lies beside it is reached with it."""
        self.moves: list[tuple[np.ndarray, np.ndarray]] = []  # unknowns, changes
        count = len(self.targets)
        self.plus = np.array([each[3] for each in self.targets], dtype=np.int64)
        self.minus = np.array([each[4] for each in self.targets], dtype=np.int64)
        self.need = np.array([each[5] for each in self.targets], dtype=np.int64)
        self.most, self.least_change = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        self.up, self.down = np.full(count, -1), np.full(count, -1)
        self.near_target: dict[int, list[int]] = {}  # unknown -> targets that it counts for or against
        for i in range(count):
            for unknown in (self.plus[i], self.minus[i]):
                if unknown >= 0:
                    self.near_target.setdefault(int(unknown), []).append(i)
        self.generator = np.random.default_rng(3)  # breaks ties between targets that compete for the same people
        for at, amount in self._possible(known.moves) if known else ():
            near = sorted({i for unknown in at.tolist() for i in self.near_target.get(unknown, ())})
            self._take(at, amount, near, -1)
        for size in REGIONS:
            for target in range(count):
                for direction in (1, -1):
                    if direction < 0 and self.most[target] < self.need[target]:
                        continue  # going down takes no small group to the minimum
                    while not self._done(target) and self._reach(target, direction, size):
                        pass
        certified = [
            (name, cell, other, int(self.down[i]), int(self.up[i]))
            for i, (name, cell, other, *_) in enumerate(self.targets)
            if self._done(i)
        ]
        moves = [
            (number, "d" if at < len(self.at_d) else "n", self._cell(at), amount)
            for number, (unknowns, amounts) in enumerate(self.moves)
            for at, amount in zip(unknowns.tolist(), amounts.tolist(), strict=True)
        ]
        return Certificates(
            pl.DataFrame(moves, schema=MOVE, orient="row"),
            pl.DataFrame(certified, schema=CERTIFIED, orient="row"),
            [self.targets[i][:3] for i in range(count) if not self._done(i)],
        )

    def _possible(self, moves: pl.DataFrame) -> list[tuple[np.ndarray, np.ndarray]]:
        """Unknowns and changes of those of `moves` (MOVE) that keep what is published now."""
        number, move = np.unique(moves["move"].to_numpy(), return_inverse=True)
        at = np.where(moves["variable"] == "d", self.var_d[moves["cell"]], self.var_n[moves["cell"]])
        amount = moves["amount"].to_numpy()
        fits = np.ones(len(number), dtype=bool)
        fits[move[at < 0]] = False  # it would change what is told
        hidden = at >= 0
        within = (amount >= self.low[at]) & (amount <= self.high[at])
        fits[move[hidden & ~within]] = False
        table = sparse.csc_matrix(
            (amount[hidden].astype(float), (at[hidden], move[hidden])), shape=(self.count, len(number))
        )
        changed = (self.matrix @ table).tocoo()
        broken = (changed.data < self.floor[changed.row]) | (changed.data > self.ceiling[changed.row])
        fits[changed.col[broken]] = False
        table.sort_indices()
        found = []
        for each in np.flatnonzero(fits).tolist():
            inside = slice(table.indptr[each], table.indptr[each + 1])
            found.append((table.indices[inside].astype(np.int64), table.data[inside].astype(np.int64)))
        return found

    def _cell(self, unknown: int) -> int:
        first = len(self.at_d)
        return int(self.at_d[unknown] if unknown < first else self.at_n[unknown - first])

    def _done(self, target: int) -> bool:
        return (
            self.most[target] >= self.need[target] and self.most[target] - self.least_change[target] + 1 >= self.width
        )

    def _reach(self, target: int, direction: int, size: int) -> bool:
        """Look for a move near one target that takes it up (1) or down (-1), and its neighbors where they still need
        it; whether one was found that helps the target."""
        unknowns = self._region([at for at in (self.plus[target], self.minus[target]) if at >= 0], size)
        rows = self._rows_of(unknowns)
        place = {unknown: i for i, unknown in enumerate(unknowns.tolist())}
        near = sorted({i for unknown in place for i in self.near_target.get(unknown, ()) if not self._done(i)})
        goals = [(i, direction if i == target else self._direction(i)) for i in near]
        # Helper k counts what goal k moves, up to what it wants: helper <= direction * change.
        row, column, value = [], [], []
        for k, (i, way) in enumerate(goals):
            for unknown, sign in ((int(self.plus[i]), way), (int(self.minus[i]), -way)):
                if unknown in place:
                    row.append(k)
                    column.append(place[unknown])
                    value.append(float(sign))
        count, helpers = len(unknowns), len(goals)
        counted = sparse.csr_matrix((value, (row, column)), shape=(helpers, count))
        system = sparse.bmat([[self.matrix[rows][:, unknowns], None], [counted, -sparse.eye(helpers)]], format="csr")
        wanted = np.array([self._wanted(i, way) for i, way in goals], dtype=float)
        weight = self.generator.uniform(0.5, 1.0, helpers) / wanted
        weight[near.index(target)] = helpers
        found = solve_whole(
            np.concatenate([np.zeros(count), -weight]),
            LinearConstraint(
                system,
                np.concatenate([self.floor[rows], np.zeros(helpers)]),
                np.concatenate([self.ceiling[rows], np.full(helpers, np.inf)]),
            ),
            Box(
                np.concatenate([self.low[unknowns], np.full(helpers, -np.inf)]),
                np.concatenate([self.high[unknowns], wanted]),
            ),
            np.concatenate([np.ones(count), np.zeros(helpers)]),
            time_limit=SECONDS,
            mip_rel_gap=0.05,
        )
        if found.x is None:
            return False
        change = np.round(found.x[:count]).astype(np.int64)
        touched = np.flatnonzero(change)
        return self._take(unknowns[touched], change[touched], near, target)

    def _direction(self, target: int) -> int:
        return 1 if self.up[target] < 0 or self.most[target] < self.need[target] else -1

    def _wanted(self, target: int, direction: int) -> int:
        """How far a target should go: a small group to the minimum, and both ways together `width` values."""
        other_way = -self.least_change[target] if direction > 0 else self.most[target]
        return max(int(self.need[target]) if direction > 0 else 0, self.width - 1 - int(other_way), 1)

    def _rows_of(self, unknowns: np.ndarray) -> np.ndarray:
        start = self.by_column.indptr
        return np.unique(np.concatenate([self.by_column.indices[start[u] : start[u + 1]] for u in unknowns]))

    def _take(self, unknowns: np.ndarray, change: np.ndarray, near: list[int], target: int) -> bool:
        """Keep a move if it takes any target farther than it got; whether it does so for `target`."""
        amount = dict(zip(unknowns.tolist(), change.tolist(), strict=True))
        number, helped = len(self.moves), set()
        for i in near:
            value = amount.get(int(self.plus[i]), 0) - amount.get(int(self.minus[i]), 0)
            if value > self.most[i]:
                self.most[i], self.up[i] = value, number
                helped.add(i)
            if value < self.least_change[i]:
                self.least_change[i], self.down[i] = value, number
                helped.add(i)
        if helped:
            self.moves.append((unknowns, change))
        return target in helped

    def _region(self, seeds: list[int], size: int) -> np.ndarray:
        """Unknowns nearest to the seeds by shared rows, about `size` of them, sorted."""
        found, edge = set(map(int, seeds)), list(map(int, seeds))
        while edge and len(found) < size:
            reached: list[int] = []
            for unknown in edge:
                for row in self.by_column.indices[self.by_column.indptr[unknown] : self.by_column.indptr[unknown + 1]]:
                    for other in self.matrix.indices[self.matrix.indptr[row] : self.matrix.indptr[row + 1]].tolist():
                        if other not in found:
                            found.add(other)
                            reached.append(other)
                if len(found) >= size:
                    break
            edge = reached
        return np.array(sorted(found), dtype=np.int64)


class _Rows:
    """Rows of the system: floor <= row <= ceiling, over changes of unknowns (-1: a count that is shown)."""

    def __init__(self, unknowns: int):
        self.unknowns = unknowns
        self.parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.floor: list[np.ndarray] = []
        self.ceiling: list[np.ndarray] = []
        self.count = 0

    def equal(self, row: np.ndarray, unknown: np.ndarray, sign: np.ndarray) -> None:
        """Rows 0.. within the call: the signed changes sum to 0."""
        kept = unknown >= 0
        self._add(row[kept], unknown[kept], sign[kept], int(row.max(initial=-1)) + 1, 0.0)

    def least(self, more: np.ndarray, less: np.ndarray, apart: np.ndarray) -> None:
        """One row a pair: the change of `more` minus that of `less` is not below -apart."""
        open_ = np.flatnonzero((more >= 0) | (less >= 0))
        number = np.arange(len(open_))
        more, less = more[open_], less[open_]
        row = np.concatenate([number[more >= 0], number[less >= 0]])
        unknown = np.concatenate([more[more >= 0], less[less >= 0]])
        sign = np.concatenate([np.ones(int((more >= 0).sum())), -np.ones(int((less >= 0).sum()))])
        self._add(row, unknown, sign, len(open_), np.inf, -apart[open_].astype(float))

    def _add(self, row, unknown, sign, count: int, ceiling: float, floor: np.ndarray | None = None) -> None:
        self.parts.append((row + self.count, unknown, sign))
        self.floor.append(np.zeros(count) if floor is None else floor)
        self.ceiling.append(np.full(count, ceiling))
        self.count += count

    def finish(self) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
        row, unknown, sign = (np.concatenate(part) for part in zip(*self.parts, strict=True))
        matrix = sparse.csr_matrix((sign, (row, unknown)), shape=(self.count, self.unknowns))
        return matrix, np.concatenate(self.floor), np.concatenate(self.ceiling)
