"""Integer intervals of the hidden cells of one connected block, by programs over all its sums at once.

What belongs here: outer bounds (proven), inner bounds (tables that were found, so the values are possible), and the
programs that bring them together. What does not: where the block comes from, and what counts as a finding.

Every program yields a whole table of the block, and so says something of every cell: a program of its own is only
spent on a side of a cell where what is proven and what was found still differ.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from pipelines.disclosure.program import solve_whole
from pipelines.disclosure.table.attack.equations import CONTRADICTION, NO_LIMIT, propagate, rows_of
from pipelines.errors import P20wError

SLACK = 1e-4  # solver tolerance when a real number becomes a whole one; bounds give way by it, tables are checked
SLACK_OF_VALUE, SLACK_OF_SUMS = 1e-9, 1e-12  # what large values, and the largest published sum, add to it
SOME_TABLE = 0.5  # gap at which a program that only looks for tables may stop
FEW = 2  # sides of cells that a joint program must settle to be worth as much as programs for single cells
IDLE = 3  # joint programs in a row that settle fewer before single cells get their own
LITTLE = 0.05  # of the sides wanted: pieces that settle less in a round are better looked at together
PART = 0.8  # of the wanted cells that one joint program pulls at
SIMPLEX = 3_000  # cells from which the interior point method is quicker
REPAIRS, REACH = 3, 20  # how often, and how far around fractions, a point is searched for whole numbers
LARGEST_REPAIR, REPAIR_SECONDS = 20_000, 10.0

# Which cells shall be seen lower and which higher, as masks, as a block stands.
Wanted = Callable[["Block"], tuple[np.ndarray, np.ndarray]]


class Block:
    """matrix @ x = right with low <= x <= high (outer, proven) and least..most (inner, seen in tables of the block).

    Where nothing was found yet, least > most. `programs` counts what was solved. `until`: time.monotonic() after which
    no program is begun.
    """

    def __init__(self, matrix: sparse.csr_matrix, right: np.ndarray, low: np.ndarray, high: np.ndarray, until: float):
        self.matrix, self.right, self.low, self.high = matrix, right, low, high
        self.by_column = matrix.tocsc()
        self.real = matrix.astype(np.float64)
        self.least = np.full(len(low), NO_LIMIT)
        self.most = np.full(len(low), -1)
        self.table: np.ndarray | None = None  # the last one found
        self.endless = np.zeros(len(low), dtype=bool)
        self.proven_low = np.zeros(len(low), dtype=bool)  # by a program of the cell's own over the whole block
        self.proven_high = np.zeros(len(low), dtype=bool)
        self.until, self.programs = until, 0
        self.columns = np.arange(len(low))  # of a part: where its cells stand in the block it is a part of
        self.counts = np.ones(len(low), dtype=bool)  # which cells are counts, no numerators or complements

    def open_low(self) -> np.ndarray:
        """Per cell, whether its lower bound is not yet seen in a table."""
        return self.least > self.low

    def open_high(self) -> np.ndarray:
        """Per cell, whether its upper bound is not yet seen in a table (nor known to be endless)."""
        return (self.most < self.high) & ~self.endless

    def exact(self) -> np.ndarray:
        """Per cell, whether its interval is the exact integer interval."""
        return ~self.open_low() & ~self.open_high()

    def is_out_of_time(self) -> bool:
        """Whether no further program may begin."""
        return time.monotonic() > self.until

    def find_endless(self) -> None:
        """Mark the cells that can grow without end: only where no total above them is shown."""
        open_ = np.flatnonzero(self.high == NO_LIMIT)
        if not len(open_):
            return
        # A direction x >= 0 with matrix @ x = 0; its cells are as large as it takes, and each counts once.
        count = self.matrix.shape[1]
        wide = sparse.hstack([self.real, sparse.csr_matrix((len(self.right), len(open_)))])
        tie = sparse.csr_matrix((np.ones(len(open_)), (np.arange(len(open_)), open_)), shape=(len(open_), count))
        rule = sparse.vstack([wide, sparse.hstack([tie, -sparse.identity(len(open_))])], format="csr")
        equal = LinearConstraint(
            rule,
            np.zeros(rule.shape[0]),
            np.concatenate([np.zeros(len(self.right)), np.full(len(open_), np.inf)]),
        )
        top = np.where(self.high == NO_LIMIT, np.inf, 0.0)
        cost = np.concatenate([np.zeros(count), -np.ones(len(open_))])
        outcome = milp(cost, constraints=equal, bounds=Bounds(0, np.concatenate([top, np.ones(len(open_))])))
        self.programs += 1
        if outcome.x is not None:
            self.endless[open_] = outcome.x[count:] > 0.5

    def relax(self, cost: np.ndarray, keep: bool = True) -> float | None:
        """Least value of cost @ x over real numbers, or None where time ran out.

        keep: the point found is made a table of whole numbers where that is easy, and kept. Raises P20wError where
        there is no point at all: then the published numbers contradict each other.
        """
        self.programs += 1
        # Above `low` the numbers are small, which keeps a solver's tolerance harmless.
        left, top = self.right - self.matrix @ self.low, _real_above(self.low, self.high)
        if len(cost) <= SIMPLEX:
            rule = LinearConstraint(self.real, left, left)
            outcome = milp(cost, constraints=rule, bounds=Bounds(0, top), options={"time_limit": self._seconds()})
        else:
            bounds = np.column_stack([np.zeros(len(top)), top])
            for method in ("highs-ipm", "highs-ds"):  # the second only where the first found no point
                options = {"time_limit": self._seconds()}
                outcome = linprog(cost, A_eq=self.real, b_eq=left, bounds=bounds, method=method, options=options)
                if outcome.x is not None or self.is_out_of_time():
                    break
        if outcome.status == 2:
            raise P20wError(CONTRADICTION)
        if keep and outcome.x is not None:
            self._keep_nearest(cost, outcome.x + self.low)
        return self._proven(cost, outcome.fun, left) if outcome.status == 0 else None

    def solve(self, cost: np.ndarray, gap: float = 0.0, share: float = 1.0) -> float | None:
        """Least value of cost @ x over whole numbers that is proven, or None; keeps the table found.

        gap: part of the value at which the search may stop early; what is proven stays proven. share: of the time left
        that the search may take. Raises P20wError where there is no table.
        """
        self.programs += 1
        left = self.right - self.matrix @ self.low
        outcome = solve_whole(
            cost,
            LinearConstraint(self.real, left, left),
            Bounds(0, _real_above(self.low, self.high)),
            np.ones(len(cost)),
            time_limit=share * self._seconds(),
            mip_rel_gap=gap,
        )
        if outcome.status == 2:
            raise P20wError(CONTRADICTION)
        if outcome.x is not None:
            self._keep(self.low + np.rint(outcome.x).astype(np.int64))
        bound = outcome.mip_dual_bound
        return self._proven(cost, bound, left) if bound is not None and np.isfinite(bound) else None

    def _proven(self, cost: np.ndarray, value: float, left: np.ndarray) -> float:
        """What is surely proven of cost @ x by a solver's value of cost @ (x - low)."""
        slack = SLACK + SLACK_OF_VALUE * abs(value) + SLACK_OF_SUMS * float(np.abs(left).max(initial=0))
        return value - slack + float(cost @ self.low)

    def _seconds(self) -> float:
        return max(1.0, self.until - time.monotonic())

    def _keep(self, table: np.ndarray) -> bool:
        """Widen the inner bounds by the table, if it is one."""
        if (table < self.low).any() or (table > self.high).any() or (self.matrix @ table != self.right).any():
            return False
        self.table = table
        np.minimum(self.least, table, out=self.least)
        np.maximum(self.most, table, out=self.most)
        return True

    def _keep_nearest(self, cost: np.ndarray, point: np.ndarray) -> None:
        """Keep a table of whole numbers that differs from the point only around its fractions."""
        near = np.rint(point).astype(np.int64)
        free = np.abs(point - near) > SLACK
        if not free.any():
            self._keep(near)
            return
        for _ in range(REPAIRS):
            free[self.matrix[rows_of(self.by_column, np.flatnonzero(free))].indices] = True
            if self.is_out_of_time() or free.sum() > LARGEST_REPAIR:
                return
            columns = np.flatnonzero(free)
            rows = rows_of(self.by_column, columns)
            # Close to the point the search is short; a whole table farther off would be as good, but dear to find.
            low = np.maximum(self.low[columns], np.floor(point[columns]).astype(np.int64) - REACH)
            high = np.minimum(self.high[columns], np.ceil(point[columns]).astype(np.int64) + REACH)
            near[columns] = low
            rest = self.right[rows] - self.matrix[rows] @ near
            outcome = milp(
                cost[columns],
                constraints=LinearConstraint(self.real[rows][:, columns], rest, rest),
                bounds=Bounds(0, high - low),
                integrality=np.ones(len(columns)),
                options={"time_limit": min(self._seconds(), REPAIR_SECONDS), "mip_rel_gap": SOME_TABLE},
            )
            self.programs += 1
            if outcome.x is not None:
                near[columns] = low + np.rint(outcome.x).astype(np.int64)
                self._keep(near)
                return
            near = np.rint(point).astype(np.int64)

    def find_table(self) -> bool:
        """Find one table of whole numbers, if none was found. False where time ran out first."""
        if self.table is None:
            cost = np.zeros(len(self.low))
            self.relax(cost)
            if self.table is None and not self.is_out_of_time():
                self.solve(cost, SOME_TABLE)
        return self.table is not None

    def settle_jointly(self, wanted: Wanted, rng: np.random.Generator) -> None:
        """Programs for many cells at once, while they bring several sides of cells to what is wanted."""
        idle = 0
        while not self.is_out_of_time() and idle < IDLE:
            before = _count(wanted(self))
            if before <= FEW:
                return
            self._pull(wanted, rng)
            idle = idle + 1 if before - _count(wanted(self)) < FEW else 0

    def settle_in_pieces(self, wanted: Wanted, pieces: list[np.ndarray], size: int, rng: np.random.Generator) -> None:
        """As settle_jointly, a random handful of pieces (about `size` cells) at a time, the others as they stand.

        Programs grow faster than their number of cells; and what is left out this time is in another handful the next.
        """
        idle = 0
        while self.table is not None and not self.is_out_of_time() and idle < IDLE:
            before = _count(wanted(self))
            if before <= FEW:
                return
            handful: list[np.ndarray] = []
            for number, at in enumerate(rng.permutation(len(pieces)), 1):
                handful.append(pieces[at])
                if sum(map(len, handful)) < size and number < len(pieces):
                    continue
                part = self._part(np.sort(np.concatenate(handful)))
                handful = []
                if _count(wanted(part)) and not self.is_out_of_time():
                    part._pull(wanted, rng)
                    self.programs += part.programs
                    self.table[part.columns] = part.table
                    self.least[part.columns], self.most[part.columns] = part.least, part.most
            idle = idle + 1 if before - _count(wanted(self)) < before * LITTLE else 0

    def _pull(self, wanted: Wanted, rng: np.random.Generator) -> None:
        """One program for many wanted cells."""
        down, up = wanted(self)
        either, draw = down & up, rng.random(len(down)) < 0.5
        cost = (down & ~(either & draw)).astype(float) - (up & ~(either & ~draw))
        # Cells of one sum pull against each other: weights let others win each time.
        self.relax(cost * rng.integers(1, 4, len(cost)) * (rng.random(len(cost)) < PART))

    def _part(self, columns: np.ndarray) -> Block:
        """These columns as a block of their own, everything else as in the table at hand: its tables are ours."""
        rows = rows_of(self.by_column, columns)
        matrix = self.matrix[rows]
        inside = matrix[:, columns]
        right = self.right[rows] - matrix @ self.table + inside @ self.table[columns]
        part = Block(inside, right, self.low[columns], self.high[columns], self.until)
        part.columns, part.table, part.endless = columns, self.table[columns], self.endless[columns]
        part.counts = self.counts[columns]
        part.least, part.most = self.least[columns], self.most[columns]
        return part

    def settle(self, cell: int, side: int, whole: bool, share: float = 1.0) -> None:
        """Prove the lower (side 1) or upper (side -1) bound of one cell by a program of its own.

        whole: with whole numbers where the real bound is not seen in a table of whole numbers.
        """
        cost = np.zeros(len(self.low))
        cost[cell] = side
        self._prove(cell, side, self.relax(cost))
        if whole and (self.open_low() if side > 0 else self.open_high())[cell] and not self.is_out_of_time():
            self._prove(cell, side, self.solve(cost, share=share))

    def bound(self, cell: int, side: int) -> None:
        """As settle, over real numbers and without a look at the point: for a block that is only a part of one."""
        cost = np.zeros(len(self.low))
        cost[cell] = side
        self._prove(cell, side, self.relax(cost, keep=False))

    def _prove(self, cell: int, side: int, value: float | None) -> None:
        if value is None:
            return
        (self.proven_low if side > 0 else self.proven_high)[cell] = True
        bound = side * int(np.ceil(value))
        if side > 0 and bound > self.low[cell]:
            self.low[cell] = bound
        elif side < 0 and bound < self.high[cell]:
            self.high[cell] = bound
        else:
            return
        rows = rows_of(self.by_column, np.array([cell]))
        propagate(self.matrix, self.by_column, self.right, self.low, self.high, rows)

    def settle_singly(self, wanted: Wanted, whole: bool, share: float = 1.0) -> None:
        """A program of its own for every side of a cell that is wanted, the upper sides first, until time runs out.

        share: of the time left that one program in whole numbers may take.
        """
        for side in (-1, 1):
            tried = np.zeros(len(self.low), dtype=bool)
            while not self.is_out_of_time():
                open_ = wanted(self)[0 if side > 0 else 1] & ~tried
                if not open_.any():
                    break
                cell = int(np.argmax(open_))
                tried[cell] = True
                self.settle(cell, side, whole, share)


def _count(sides: tuple[np.ndarray, np.ndarray]) -> int:
    return int(sides[0].sum() + sides[1].sum())


def _real_above(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.where(high == NO_LIMIT, np.inf, (high - low).astype(float))
