"""Choose what to hide in a table small enough for programs: cell by cell, then better.

What belongs here: the order in which cells get their moves, and the rounds that show cells again. What does not: the
program of one move (programs), large tables (cubes).

Every cell below n that is hidden gets a move of its own, so hiding a partner that is itself small, a zero for example,
adds to the work. A cell stays hidden only while it is primary or some kept move touches it.
"""

from __future__ import annotations

import numpy as np

from pipelines.disclosure.table.parts import Parts, rooms
from pipelines.disclosure.table.problem import NO_WAY, Certificates, Problem, certificates
from pipelines.disclosure.table.programs import Programs, relation_matrix, sums
from pipelines.errors import P20wError


class Search:
    """One table, or a closed part of one: cells outside it do not change."""

    def __init__(self, problem: Problem, programs: Programs | Parts):
        self.problem, self.programs = problem, programs
        self.pool_cells: list[np.ndarray] = []
        self.pool_amounts: list[np.ndarray] = []
        self.by_cell: dict[int, list[int]] = {}
        self.seen: set[bytes] = set()

    # --- what a state hides and still needs ---------------------------------------------------------------

    def hidden(self, move: dict) -> np.ndarray:
        found = self.problem.primary.copy()
        for cells, _ in move.values():
            found[cells] = True
        return found

    def cost(self, hidden: np.ndarray) -> float:
        return float(self.problem.price[hidden & ~self.problem.primary].sum())

    def open_cells(self, move: dict, hidden: np.ndarray) -> list[int]:
        """Hidden cells without a proof yet: those below n without a move, others that no moves spread far enough."""
        problem = self.problem
        low, high = np.zeros(len(hidden), dtype=np.int64), np.zeros(len(hidden), dtype=np.int64)
        for cells, amounts in move.values():
            np.minimum.at(low, cells, amounts)
            np.maximum.at(high, cells, amounts)
        owners = np.zeros(len(hidden), dtype=bool)
        owners[list(move)] = True
        small = hidden & problem.small & ~owners
        narrow = hidden & ~problem.small & (high - low < problem.interval)
        return np.flatnonzero(small | narrow).tolist()

    def needed(self, cell: int) -> int:
        problem = self.problem
        return int(problem.need[cell]) if problem.small[cell] else problem.interval

    # --- moves --------------------------------------------------------------------------------------------

    def _remember(self, cells: np.ndarray, amounts: np.ndarray) -> None:
        unit = amounts // np.gcd.reduce(amounts)
        key = cells.tobytes() + unit.tobytes()
        if key in self.seen:
            return
        self.seen.add(key)
        number = len(self.pool_cells)
        self.pool_cells.append(cells)
        self.pool_amounts.append(unit)
        for cell in cells.tolist():
            self.by_cell.setdefault(cell, []).append(number)

    def _fits(self, number: int, cell: int, sign: int, amount: int) -> np.ndarray | None:
        """Amounts of a remembered move, scaled so that `cell` changes by at least `amount` toward `sign`."""
        problem, cells, unit = self.problem, self.pool_cells[number], self.pool_amounts[number]
        own = int(unit[np.searchsorted(cells, cell)])
        scale = sign * (1 if own > 0 else -1) * -(-amount // abs(own))
        amounts = unit * scale
        return amounts if problem.fits(cells, amounts).all() else None

    def find(self, cell: int, free: np.ndarray, price: np.ndarray):
        """The cheapest move for one cell: a remembered one within `free` (hidden cells), else by a program."""
        amount = self.needed(cell)
        signs = (1,) if self.problem.small[cell] else (1, -1)
        for number in self.by_cell.get(cell, ()):
            if free[self.pool_cells[number]].all():
                for sign in signs:
                    amounts = self._fits(number, cell, sign, amount)
                    if amounts is not None:
                        return self.pool_cells[number], amounts
        best = None
        for loose in (False, True):
            for sign in signs:
                found = self.programs.find(cell, amount, price, sign, loose)
                if found is not None:
                    paid = price[found[0]].sum()
                    if best is None or paid < best[0]:
                        best = (paid, found)
            if best is not None:
                self._remember(*best[1])
                return best[1]
        # The last resort, which always holds: every count grows in proportion, and all of them are hidden.
        cells = np.flatnonzero(self.problem.value > 0)
        if self.problem.value[cell] == 0 or not np.isfinite(price[cells]).all():
            return None
        return cells, self.problem.value[cells] * -(-amount // int(self.problem.value[cell]))

    def complete(self, move: dict, order: np.ndarray, barred: np.ndarray | None = None, most: float = np.inf):
        """Give every open cell a move, in `order` (rank per cell). The moves, or None when it costs over `most`."""
        move = dict(move)
        hidden = self.hidden(move)
        base = self.problem.price.copy()
        if barred is not None:
            base[barred] = np.inf
        while True:
            open_cells = self.open_cells(move, hidden)
            if not open_cells:
                return move
            for cell in sorted(open_cells, key=lambda c: order[c]):
                found = self.find(cell, hidden, np.where(hidden, 0.0, base))
                if found is None:
                    return None
                move[cell] = found
                hidden[found[0]] = True
                if self.cost(hidden) > most:
                    return None

    def improve(self, move: dict, order: np.ndarray, programs: int) -> dict:
        """Show partners again where the moves that touch them find others for less, dearest first.

        programs: how many programs may be spent.
        """
        budget = self.programs.solved + programs
        price = self.problem.price
        move = self.prune(move)
        while True:
            cost = self.cost(self.hidden(move))
            partners = np.flatnonzero(self.hidden(move) & ~self.problem.primary)
            for partner in partners[np.argsort(-price[partners], kind="stable")].tolist():
                if self.programs.solved > budget:
                    return move
                hidden = self.hidden(move)
                if not hidden[partner]:
                    continue
                kept = {cell: each for cell, each in move.items() if partner not in each[0]}
                barred = np.zeros(len(hidden), dtype=bool)
                barred[partner] = True
                now = self.cost(hidden)
                tried = self.complete(kept, order, barred, most=now - 1e-9)
                if tried is not None:
                    tried = self.prune(tried)
                    if self.cost(self.hidden(tried)) < now - 1e-9:
                        move = tried
            if self.cost(self.hidden(move)) >= cost - 1e-9:
                return move

    def prune(self, move: dict) -> dict:
        """Keep the moves of primary cells and, step by step, of the cells that kept moves hide; and those without which
        a hidden cell would not be uncertain enough; no others."""
        kept, ahead = {}, [cell for cell in move if self.problem.primary[cell]]
        while ahead:
            while ahead:
                cell = ahead.pop()
                if cell in kept or cell not in move:
                    continue
                kept[cell] = move[cell]
                ahead += move[cell][0].tolist()
            short = set(self.open_cells(kept, self.hidden(kept)))
            ahead = [owner for owner in move if owner not in kept and not short.isdisjoint(move[owner][0].tolist())]
        return kept


def solve(problem: Problem, effort: int = 400) -> Certificates:
    """Moves for every cell that must have one in the whole table. effort: programs spent on showing cells again."""
    matrix = sums([relation_matrix(d.parent, d.start, d.member, len(d.codes)) for d in problem.table.dimensions])
    up, down = rooms(problem, np.arange(len(problem.value)))
    return _solved(problem, Programs(matrix, up, down), effort)


def solve_by_parts(problem: Problem, effort: int = 400) -> Certificates:
    """The same for a larger table, every program over the part around its cell."""
    return _solved(problem, Parts(problem), effort)


def _solved(problem: Problem, programs: Programs | Parts, effort: int) -> Certificates:
    search = Search(problem, programs)
    order = problem.value + problem.price / (problem.price.max() + 1.0)
    move = search.complete({}, order)
    if move is None:
        # A zero that was hidden found no move of its own: without hidden zeros the last resort is always there.
        move = search.complete({}, order, barred=problem.value == 0)
    if move is None:
        raise P20wError(NO_WAY)
    move = search.improve(move, order, effort)
    owners = sorted(move)
    return certificates([move[owner] for owner in owners], {owner: i for i, owner in enumerate(owners)})
