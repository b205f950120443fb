"""What must be protected in one table, and what it costs to hide a cell.

What belongs here: primary cells, the amount that each must be able to move, room, prices drawn with the secret key, and
the form of certificates. What does not: the search for moves (cubes, programs, search).

Cells are flat indices into Table.value in C order everywhere in this package.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

import numpy as np

from pipelines.disclosure.decoy import decoys
from pipelines.disclosure.table.family import Dimension, Table
from pipelines.errors import P20wError

CELL_PRICE = 4.0  # what hiding any cell costs, whatever its count; in units of doublings of the count
COARSE_PRICE = 0.5  # for each doubling of the values that a code sums: more people read it
# Prices this close are decided by the secret key. A wider draw was measured: it hides more, and a reader who runs the
# program again on every table that could be the true one learns as much.
NEAR_EQUAL = 1.0
UNLIMITED = np.int64(1) << 60
NO_WAY = "No way was found to protect this table. Nothing was written; report this with the family file."
LARGEST_MINIMUM = 1_000_000  # amounts of moves are small whole numbers


@dataclass(frozen=True)
class Certificates:
    """Proof that nothing is given away: moves, and which move stands for which hidden cell below n.

    Row i of the moves says that move[i] changes cell[i] by amount[i]; sorted by move, cell. certified: cells; by: the
    move of each. The moves between them also show that every other hidden cell is not known.
    """

    move: np.ndarray
    cell: np.ndarray
    amount: np.ndarray
    certified: np.ndarray
    by: np.ndarray

    def touched(self, cells: int) -> np.ndarray:
        """Whether a move touches it, per cell of a table of so many."""
        found = np.zeros(cells, dtype=bool)
        found[self.cell] = True
        return found


def certificates(moves: list[tuple[np.ndarray, np.ndarray]], by: dict[int, int]) -> Certificates:
    """From single moves (cells, amounts), sorted by cell, and the number of the move of each certified cell."""
    none = np.zeros(0, dtype=np.int64)
    cells = np.array(sorted(by), dtype=np.int64)
    return Certificates(
        np.repeat(np.arange(len(moves)), [len(each) for each, _ in moves]) if moves else none,
        np.concatenate([each for each, _ in moves]) if moves else none,
        np.concatenate([each for _, each in moves]) if moves else none,
        cells,
        np.array([by[cell] for cell in cells.tolist()], dtype=np.int64),
    )


@dataclass(frozen=True)
class Problem:
    """One table under its rule, flat.

    value: exact counts. primary: hidden whatever it costs; decoy: those of them that are not small. least, most: what a
    reader thinks possible of a hidden cell (least 1 of a count of anybody, whose own people read too; a band's ends for
    numerators and complements; UNLIMITED). movable: may be hidden at all. small: when hidden, must be able to rise to n
    and by the interval, which is `need`; every other hidden cell must be uncertain by the interval. price: float, above
    0, what hiding it costs; independent of row order, drawn with the key.
    """

    table: Table
    value: np.ndarray
    primary: np.ndarray
    decoy: np.ndarray
    least: np.ndarray
    most: np.ndarray
    movable: np.ndarray
    small: np.ndarray
    need: np.ndarray
    price: np.ndarray

    @property
    def minimum(self) -> int:
        return self.table.family.minimum

    @property
    def interval(self) -> int:
        return self.table.family.interval

    @property
    def shape(self) -> tuple[int, ...]:
        return self.table.value.shape

    def fits(self, cells: np.ndarray, amounts: np.ndarray) -> np.ndarray:
        """Per cell and amount, whether a reader thinks the changed number possible."""
        changed = self.value[cells] + amounts
        return (changed >= self.least[cells]) & (changed <= self.most[cells])


def pose(table: Table, secret: bytes, instead: np.ndarray | None = None) -> Problem:
    """The problem that a complete table of exact counts poses. Raises P20wError for a minimum out of all proportion.

    instead: flat cells that are decoys instead of those that the key draws, for whoever wonders what another draw does.
    """
    family = table.family
    if family.minimum + family.interval > LARGEST_MINIMUM:
        raise P20wError(
            f"A minimum of {family.minimum} with an interval of {family.interval} is more than this protection is made "
            f"for, {LARGEST_MINIMUM} together: correct the family file."
        )
    value = np.ascontiguousarray(table.value, dtype=np.int64).ravel()
    n = family.minimum
    primary = (value >= 1) & (value < n)
    movable = value > 0 if family.zeros_shown else np.ones(len(value), dtype=bool)
    small = value < n
    # Who is one of a cell knows that it is not empty, whatever zeros are: 3 and 2 hidden as 5 would tell the one of the
    # two that the three are fewer than 5.
    least, most = (value > 0).astype(np.int64), np.full(len(value), UNLIMITED)
    if family.numerator:
        _shares(table, primary, small, movable, least, most)
    decoy = np.zeros(len(value), dtype=bool)
    if primary.any():
        if instead is None:
            instead = decoys_of(table, draw(table, hmac.new(secret, b"decoy", hashlib.sha256).digest()))
        decoy = instead & ~primary
    primary |= decoy
    need = np.maximum(n - value, family.interval)
    # A hidden zero is priced as a cell at the minimum: it tells of nobody, but needs protection of its own.
    price = np.log2(np.where(value < n, n, value) + 1.0) + CELL_PRICE + NEAR_EQUAL * draw(table, secret)
    for axis, dimension in enumerate(table.dimensions):
        coarse = COARSE_PRICE * np.log2(parts(dimension))
        price = (price.reshape(table.value.shape) + _along(coarse, axis, table.value.ndim)).ravel()
    return Problem(table, value, primary, decoy, least, most, movable, small, need, price)


def _shares(table: Table, primary, small, movable, least, most) -> None:
    """In place, for numerators and complements: which are hidden in any case, and what a reader thinks possible.

    Both are hidden where somebody is counted and one of them is below n, 0 included, and where the share is told as a
    band. A band is only told beside a shown count; it is kept in any case, which proves more than is asked.
    """
    family = table.family
    count, part, rest = (each.ravel() for each in np.moveaxis(table.value, -1, 0))
    low, high = family.ends(count)
    close = (count > 0) & ((np.minimum(part, rest) < family.minimum) | (part <= low) | (part >= high))
    first, last = family.ranges(count, part)
    banded = (low >= 0) & (count >= family.minimum)
    for place, from_, to in ((1, first, last), (2, count - last, count - first)):
        mine = np.arange(place, table.value.size, 3)
        primary[mine], small[mine] = close, False
        movable[mine] = (count > 0) | movable[mine - place]
        least[mine], most[mine] = np.where(banded, from_, 0), np.where(banded, to, UNLIMITED)


def decoys_of(table: Table, drawn: np.ndarray) -> np.ndarray:
    """Counts, and numerators with their complements, that are hidden although they are not small. drawn: per flat cell,
    [0, 1): below the family's share it is a decoy."""
    family, value = table.family, table.value.ravel()
    if family.numerator:
        value, drawn = value.copy(), drawn.copy()
        # Both are hidden, or none.
        value[1::3] = value[2::3] = np.minimum(value[1::3], value[2::3])
        drawn[2::3] = drawn[1::3]
    return decoys(value, family.minimum, float(family.decoy_share), drawn)


def parts(dimension: Dimension) -> np.ndarray:
    """How many finest codes each code sums, by its first relation; 1 where it is no sum. Shape (codes,)."""
    found = np.zeros(len(dimension.codes), dtype=np.int64)
    found[dimension.finest()] = 1
    # Relations come in an order in which every member that is a sum was computed before.
    for relation, parent in enumerate(dimension.parent.tolist()):
        if not found[parent]:
            found[parent] = found[dimension.member[dimension.start[relation] : dimension.start[relation + 1]]].sum()
    return found


def draw(table: Table, secret: bytes) -> np.ndarray:
    """A number in [0, 1) per cell that depends on the cell's codes and the secret only. Shape (cells,)."""
    mixed = np.zeros((1,) * table.value.ndim, dtype=np.uint64)
    for axis, dimension in enumerate(table.dimensions):
        words = [
            int.from_bytes(
                hmac.new(secret, f"{dimension.column}\0{code}".encode(), hashlib.sha256).digest()[:8], "little"
            )
            for code in dimension.codes
        ]
        mixed = _scramble(mixed ^ _along(np.array(words, dtype=np.uint64), axis, table.value.ndim))
    return (mixed.ravel() >> np.uint64(40)).astype(np.float64) / 2.0**24


def _along(row: np.ndarray, axis: int, ndim: int) -> np.ndarray:
    return row.reshape([-1 if k == axis else 1 for k in range(ndim)])


def _scramble(word: np.ndarray) -> np.ndarray:
    """A fixed one-to-one mixing of 64-bit words, so that the codes of all dimensions act together."""
    word = (word ^ (word >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(29))) * np.uint64(0xD6E8FEB86659FD93)
    return word ^ (word >> np.uint64(32))
