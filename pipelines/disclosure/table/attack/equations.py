"""The reader's unknowns and equations, and the bounds that follow from them one sum at a time.

What belongs here: hidden cells, the sums they stand in, what single sums say of them. What does not: programs over
many sums at once (intervals), null spaces (rank), words (arithmetic).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from pipelines.disclosure.table.family import HIDDEN, Table
from pipelines.errors import P20wError

NO_LIMIT = np.int64(1) << 60  # an upper bound that no sum gives
ROUNDS = 300  # of propagation: single sums can creep by 1 a round where programs jump

CONTRADICTION = "The published numbers contradict each other: no table of whole numbers has these sums."


@dataclass(frozen=True)
class System:
    """matrix @ x = right, x whole, least <= x <= most (per column, NO_LIMIT where nothing is told).

    One column per hidden cell (`cell`: its flat index in the table), one row per sum with a hidden cell: +1 for a
    hidden part, -1 for a hidden total, and `right` is what the shown cells leave. matrix: int64 CSR; by_column: the
    same as CSC. row_key: which sum a row is (see `sum_of`).
    """

    table: Table
    least: np.ndarray
    most: np.ndarray
    cell: np.ndarray
    matrix: sparse.csr_matrix
    by_column: sparse.csc_matrix
    right: np.ndarray
    row_key: np.ndarray
    row_base: np.ndarray

    def sum_of(self, row: int) -> tuple[int, int, int, np.ndarray]:
        """Axis, relation, flat cell of the total and flat cells of the parts of one row."""
        shape = self.table.value.shape
        axis = int(np.searchsorted(self.row_base, self.row_key[row], side="right") - 1)
        stride, size = prod(shape[axis + 1 :]), shape[axis]
        relation, other = divmod(int(self.row_key[row] - self.row_base[axis]), self.table.value.size // size)
        outer, inner = divmod(other, stride)
        dimension = self.table.dimensions[axis]
        members = dimension.member[dimension.start[relation] : dimension.start[relation + 1]]
        first = outer * size * stride + inner
        return axis, relation, first + int(dimension.parent[relation]) * stride, first + members * stride

    def is_top(self) -> np.ndarray:
        """Per row, whether it sums to the total of the dimension with most codes: without these rows, a table of
        schools falls apart into districts.
        """
        dimensions = self.table.dimensions
        axis = int(np.argmax([len(each.codes) for each in dimensions]))
        others = self.table.value.size // len(dimensions[axis].codes)
        relation = (self.row_key - self.row_base[axis]) // others
        parent = dimensions[axis].parent
        inside = (relation >= 0) & (relation < len(parent))
        return inside & (parent[np.where(inside, relation, 0)] == 0)


def build(table: Table) -> System:
    """The system of a protected table. Memory and time grow with the hidden cells and the sums of the table."""
    value, shape = table.value, table.value.shape
    hidden = np.flatnonzero(value.ravel() == HIDDEN)
    known = np.where(value == HIDDEN, 0, value)
    keys, columns, signs, bases, rights = [], [], [], [0], []
    for axis, dimension in enumerate(table.dimensions):
        stride, size = prod(shape[axis + 1 :]), shape[axis]
        others, relations = value.size // size, len(dimension.parent)
        # Which relations each code stands in, and as what.
        code = np.concatenate([dimension.member, dimension.parent])
        relation = np.concatenate([np.repeat(np.arange(relations), np.diff(dimension.start)), np.arange(relations)])
        sign = np.concatenate([np.ones(len(dimension.member)), -np.ones(relations)]).astype(np.int64)
        order = np.argsort(code, kind="stable")
        count = np.bincount(code, minlength=size)
        first = np.concatenate([[0], np.cumsum(count)])
        at = (hidden // stride) % size
        other = (hidden // (stride * size)) * stride + hidden % stride
        entry = order[ranges(first[at], count[at])]
        keys.append(bases[-1] + relation[entry] * others + np.repeat(other, count[at]))
        columns.append(np.repeat(np.arange(len(hidden)), count[at]))
        signs.append(sign[entry])
        ties = sparse.csr_matrix((sign, (relation, code)), shape=(relations, size))
        rights.append(-(ties @ np.moveaxis(known, axis, 0).reshape(size, -1)).ravel())
        bases.append(bases[-1] + relations * others)
    key, row = np.unique(np.concatenate(keys), return_inverse=True)
    right = np.concatenate(rights)[key]
    matrix = sparse.csr_matrix(
        (np.concatenate(signs), (row, np.concatenate(columns))), shape=(len(key), len(hidden)), dtype=np.int64
    )
    matrix.sort_indices()
    least, most = np.full(len(hidden), int(table.family.zeros_shown)), np.full(len(hidden), NO_LIMIT)
    if table.least is not None:
        # Zeros that are shown are counts: a hidden numerator or complement may be 0. Its band may say more.
        told = table.least.ravel()[hidden]
        least = np.where(told != HIDDEN, told, np.where(is_count(table, hidden), least, 0))
        most = np.where(told != HIDDEN, table.most.ravel()[hidden], most)
    return System(table, least, most, hidden, matrix, matrix.tocsc(), right, key, np.array(bases[:-1], dtype=np.int64))


def is_count(table: Table, cell: np.ndarray) -> np.ndarray:
    """Per flat cell, whether it is a count and no numerator or complement."""
    return cell % 3 == 0 if table.family.numerator else np.ones(len(cell), dtype=bool)


def propagate(
    matrix: sparse.csr_matrix,
    by_column: sparse.csc_matrix,
    right: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    rows: np.ndarray | None = None,
    rounds: int = ROUNDS,
) -> int:
    """Tighten low and high (in place) by what every sum says, until nothing changes. Returns the rounds it took.

    rows: the sums to begin with, all by default. Raises P20wError where no value is left for a cell.
    """
    rows = np.arange(len(right)) if rows is None else rows
    for done in range(rounds):
        if not len(rows):
            return done
        first, count = matrix.indptr[rows], np.diff(matrix.indptr)[rows]
        entry = ranges(first, count)
        start = np.cumsum(count) - count
        column, positive = matrix.indices[entry], matrix.data[entry] > 0
        below, above = low[column], high[column]
        open_ = above == NO_LIMIT
        above = np.where(open_, 0, above)
        own_least, own_most = np.where(positive, below, -above), np.where(positive, above, -below)
        # How many parts of the sum have no limit in that direction, the entry itself left out below.
        no_least, no_most = (~positive & open_).astype(np.int64), (positive & open_).astype(np.int64)

        def others(own: np.ndarray, start: np.ndarray = start, count: np.ndarray = count) -> np.ndarray:
            return np.repeat(np.add.reduceat(own, start), count) - own

        rest = np.repeat(right[rows], count)
        most, has_most = rest - others(own_least), others(no_least) == 0
        least, has_least = rest - others(own_most), others(no_most) == 0
        # most and least are of sign * x.
        new_high = np.where(positive, np.where(has_most, most, NO_LIMIT), np.where(has_least, -least, NO_LIMIT))
        new_low = np.where(positive, np.where(has_least, least, -NO_LIMIT), np.where(has_most, -most, -NO_LIMIT))
        touched = np.unique(column[(new_high < high[column]) | (new_low > low[column])])
        np.minimum.at(high, column, new_high)
        np.maximum.at(low, column, new_low)
        if (low[touched] > high[touched]).any():
            raise P20wError(CONTRADICTION)
        rows = rows_of(by_column, touched)
    return rounds


def every_table(
    matrix: sparse.csr_matrix,
    by_column: sparse.csc_matrix,
    right: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    limit: int,
) -> np.ndarray | None:
    """Every vector of whole numbers within the bounds that keeps all sums, or None where they are more than `limit`.
    Shape (tables, columns)."""
    found: list[np.ndarray] = []

    def fill(low: np.ndarray, high: np.ndarray, rows: np.ndarray | None) -> bool:
        try:
            propagate(matrix, by_column, right, low, high, rows)
        except P20wError:
            return True
        loose = np.flatnonzero(low < high)
        if not len(loose):
            if (matrix @ low == right).all():
                found.append(low)
            return len(found) <= limit
        column = loose[np.argmin(high[loose] - low[loose])]
        if high[column] - low[column] > limit:
            return False
        for value in range(int(low[column]), int(high[column]) + 1):
            less, more = low.copy(), high.copy()
            less[column] = more[column] = value
            if not fill(less, more, rows_of(by_column, np.array([column]))):
                return False
        return True

    return np.array(found) if fill(low.copy(), high.copy(), None) and found else None


def blocks(matrix: sparse.csr_matrix) -> list[np.ndarray]:
    """Columns that are connected over rows, block by block, the block of the first column first."""
    count = matrix.shape[1]
    if not count:
        return []
    graph = sparse.bmat([[None, matrix.T], [matrix, None]], format="csr") if matrix.shape[0] else None
    label = np.arange(count) if graph is None else connected_components(graph, directed=False)[1][:count]
    order = np.argsort(label, kind="stable")
    found = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    return sorted(found, key=lambda each: each[0])


def neighborhood(
    matrix: sparse.csr_matrix, by_column: sparse.csc_matrix, seed: int, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows near a column, nearest first, until they touch `size` columns or the block ends; and all their columns.

    The columns at the edge stand in further rows: what these rows say of the middle is true, but not all there is.
    """
    rows = np.zeros(0, dtype=np.int64)
    columns = np.array([seed])
    edge = columns
    while len(edge) and len(columns) < size:
        reached = rows_of(by_column, edge)
        fresh = np.setdiff1d(reached, rows, assume_unique=True)
        rows = np.concatenate([rows, fresh])
        touched = np.unique(matrix.indices[_entries(matrix.indptr, fresh)])
        edge = np.setdiff1d(touched, columns, assume_unique=True)
        columns = np.concatenate([columns, edge])
    return np.sort(rows), np.sort(columns)


def rows_of(by_column: sparse.csc_matrix, columns: np.ndarray) -> np.ndarray:
    """Every row that one of the columns stands in, sorted."""
    return np.unique(by_column.indices[_entries(by_column.indptr, columns)])


def ranges(first: np.ndarray, count: np.ndarray) -> np.ndarray:
    """first[0], first[0] + 1, … (count[0] numbers), then first[1], …: positions of many slices at once."""
    end = np.cumsum(count)
    if not len(end):
        return np.zeros(0, dtype=np.int64)
    return np.arange(end[-1]) + np.repeat(np.asarray(first, dtype=np.int64) - (end - count), count)


def _entries(indptr: np.ndarray, which: np.ndarray) -> np.ndarray:
    return ranges(indptr[which], np.diff(indptr)[which])
