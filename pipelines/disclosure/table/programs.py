"""Integer moves by program: the cheapest move that takes one cell of a table, or of a part of it, far enough.

What belongs here: the system of sums of a part of a table as a matrix, and one linear program (integral where the
linear one is not) for one cell. What does not: which cells need a move, in which order, and what is hidden for it.

A move is a list of cells with whole amounts that keeps every sum of the table. Here it is looked for among the cells
that may take part, with a price for each cell that would have to be hidden for it. Amounts are limited to the amount
that the cell itself must move: then the price of the linear program is a lower bound, exact where every cell of the
move changes by that amount, which is the rule. Where no such move exists, larger amounts are allowed.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linprog

from pipelines.disclosure.program import solve_whole

WHOLE = 1e-6  # how far a solver's whole number may be off
TINY_PRICE = 1e-4  # of a cell that is hidden already: keeps moves short
NODES = 2_000  # of a search tree; a count, not a time, so that every machine finds the same move


def relation_matrix(parent: np.ndarray, start: np.ndarray, member: np.ndarray, codes: int) -> sparse.csr_matrix:
    """Relations of one dimension as rows over its codes: +1 at the parent, -1 at each member."""
    count = len(parent)
    size = np.diff(start)
    row = np.concatenate([np.arange(count), np.repeat(np.arange(count), size)])
    column = np.concatenate([parent, member])
    value = np.concatenate([np.ones(count), -np.ones(len(member))])
    return sparse.csr_matrix((value, (row, column)), shape=(count, codes))


def sums(matrices: list[sparse.csr_matrix]) -> sparse.csc_matrix:
    """Every sum of the product of dimensions as rows over its cells in C order: A z = 0 keeps them all."""
    sizes = [matrix.shape[1] for matrix in matrices]
    blocks = []
    for k, matrix in enumerate(matrices):
        before, after = int(np.prod(sizes[:k])), int(np.prod(sizes[k + 1 :]))
        crossed = sparse.kron(sparse.kron(sparse.identity(before), matrix), sparse.identity(after))
        blocks.append(crossed)
    return sparse.csc_matrix(sparse.vstack(blocks))


class Programs:
    """Moves among the cells of one part of a table.

    matrix: its sums, shape (sums, cells). room_up, room_down: whole amounts by which each cell may at most rise and
    fall (0 and 0: it takes no part).
    """

    def __init__(self, matrix: sparse.csc_matrix, room_up: np.ndarray, room_down: np.ndarray):
        self.up, self.down = room_up, room_down
        self.column = np.flatnonzero((room_up > 0) | (room_down > 0))
        self.position = np.full(len(room_up), -1)
        self.position[self.column] = np.arange(len(self.column))
        part = matrix[:, self.column]
        part = part[np.diff(part.tocsr().indptr) > 0]
        self.matrix = sparse.csc_matrix(part)
        self.both = sparse.csc_matrix(sparse.hstack([self.matrix, -self.matrix]))
        self.solved = 0

    def find(
        self, target: int, amount: int, price: np.ndarray, sign: int = 1, loose: bool = False
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """The cheapest move that changes `target` by `sign` * `amount`: (cells, amounts), or None.

        price: per cell, what it costs to let it take part; inf: it may not. `loose` allows amounts larger than
        `amount`, of the target too.
        """
        at = self.position[target]
        room = self.up if sign > 0 else self.down
        if at < 0 or room[target] < amount or not np.isfinite(price[target]):
            return None
        cost = price[self.column]
        barred = ~np.isfinite(cost)
        cost = np.where(barred, 0.0, np.maximum(cost, TINY_PRICE)) / amount
        most = np.iinfo(np.int32).max if loose else amount
        up = np.where(barred, 0, np.minimum(self.up[self.column], most)).astype(float)
        down = np.where(barred, 0, np.minimum(self.down[self.column], most)).astype(float)
        low = np.zeros(2 * len(self.column))
        high = np.concatenate([up, down])
        count = len(self.column)
        here, there = (at, count + at) if sign > 0 else (count + at, at)
        low[here] = amount
        high[there] = 0
        if not loose:
            high[here] = amount
        self.solved += 1
        cost = np.concatenate([cost, cost])
        found = linprog(
            cost,
            A_eq=self.both,
            b_eq=np.zeros(self.both.shape[0]),
            bounds=np.column_stack([low, high]),
            method="highs-ds",
        )
        if found.x is None or found.status != 0:
            return None
        z = found.x[:count] - found.x[count:]
        if np.abs(z - np.round(z)).max(initial=0) > WHOLE:
            found = solve_whole(
                cost, LinearConstraint(self.both, 0, 0), Bounds(low, high), np.ones(2 * count), node_limit=NODES
            )
            if found.x is None:
                return None
            z = found.x[:count] - found.x[count:]
        z = np.round(z).astype(np.int64)
        # A solver's answer is a proposal: whole numbers are checked in whole numbers.
        if (self.matrix @ z).any() or sign * z[at] < amount:
            return None
        if (z > self.up[self.column]).any() or (-z > self.down[self.column]).any():
            return None
        touched = np.flatnonzero(z)
        return self.column[touched], z[touched]
