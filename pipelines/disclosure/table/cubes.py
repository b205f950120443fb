"""Moves for many cells at once: products of one shift along each dimension, the cheapest that has room.

What belongs here: candidates for each cell, their price and room, and the rounds in which later cells see what earlier
ones have hidden. What does not: which shifts a dimension allows (axes), sums of several products (grids), the program
for a cell that no product serves (programs).

A shift along a dimension is a list of codes with signs; the product over all dimensions is a move of cells with signs,
and every sum stays. It serves a cell when every falling cell has room for the amount. The price of a move is the sum
of the prices of its cells that are not hidden yet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from pipelines.disclosure.table.axes import Axis, axis_of
from pipelines.disclosure.table.grids import PLENTY, Side, moves_on_grids
from pipelines.disclosure.table.parts import rooms
from pipelines.disclosure.table.problem import UNLIMITED, Certificates, Problem
from pipelines.disclosure.table.programs import Programs, relation_matrix, sums
from pipelines.disclosure.table.reroute import reroute

SWAPS = 4  # choices tried per cell and dimension: partners to swap with,
RAISES = 2  # profiles to rise with,
SPREAD = 8  # partners that share the amount,
CROSSES = 4  # profiles elsewhere to swap with
REACHES = (3, 8, 40)  # how far around a cell programs look: codes beside its own, per dimension
LARGEST_PART = 60_000  # cells of a program
GRID_SWAPS = 5  # partners on a grid, per dimension
GRID_CROSSES = 3
GRID_BATCH = 400  # grids at a time
GRID_DIMENSIONS = 3  # with more, a grid has too many cells
SUMS = 4  # products that may be added up for one move
ABSENT = np.float32(1e6)  # score of a code that is not there
ROUNDS = 40  # about how many rounds, so that later cells profit from what earlier ones hid
LOOKS = 20_000  # cells looked at in one step: few enough to stay in the processor's cache
LONG = 100  # codes of a dimension from which the largest values are looked for place by place; of counts alone more
FREE = 4  # kinds of product, the shortest ones, tried of hidden cells alone before anything dear is
LEAST_BATCH = 64  # cells served in one round
NOT = np.float32(np.inf)
REROUTES = 8  # rounds in which partners are shown again


@dataclass(frozen=True)
class Found:
    """A batch of moves of one shape: cells and amounts, both (moves, cells of each). An absent cell is the last + 1."""

    cells: np.ndarray
    amounts: np.ndarray


class Cubes:
    """Rounds of moves over one table.

    hidden grows. move: per cell the number of the move that certifies it, -1 while it has none.
    """

    def __init__(self, problem: Problem, is_plain: bool = True):
        """is_plain: counts alone. Numbers that stand together are many, so what hardly ever serves them is left out."""
        self.problem, self.is_plain = problem, is_plain
        shape = problem.shape
        self.stride = [int(np.prod(shape[k + 1 :])) for k in range(len(shape))]
        self.cells = len(problem.value)
        dense = problem.value.reshape(shape)
        self.axes: list[Axis] = []
        self.local: list[np.ndarray | None] = []
        self.inside: list[np.ndarray | None] = []
        for k, dimension in enumerate(problem.table.dimensions):
            weight = np.moveaxis(dense, k, 0)[(slice(None),) + (0,) * (len(shape) - 1)]
            axis = axis_of(dimension, weight) if is_plain else axis_of(dimension, weight, LONG)
            self.axes.append(axis)
            moved = np.moveaxis(dense, k, 0)
            self.local.append(None if axis.small else self._largest(moved, axis))
            self.inside.append(None if axis.small else self._largest_inside(moved, axis))
        self.kinds = self._kinds()
        dimensions = problem.table.dimensions
        self.matrices = [relation_matrix(d.parent, d.start, d.member, len(d.codes)) for d in dimensions]
        self.pose(problem)

    def pose(self, problem: Problem, either: bool = False) -> None:
        """Begin anew with another problem of the same table and no moves.

        either: a cell is certified by a fall as well as by a rise.
        """
        self.problem, self.either = problem, either
        # One place more than there are cells: absent cells of a padded move, free and with endless room.
        self.price = np.append(problem.price.astype(np.float32), np.float32(0))
        # Zeros stay shown in any case: a hidden zero would need a proof of its own.
        self.price[:-1][~problem.movable | (problem.value == 0)] = NOT
        self.price[:-1][problem.primary] = 0
        self.room = _with_absent(problem.value - problem.least)
        self.up = None if (problem.most == UNLIMITED).all() else _with_absent(problem.most - problem.value)
        self.move = np.full(self.cells, -1, dtype=np.int32)
        self.found: list[Found] = []
        self.count = 0

    @staticmethod
    def _largest(moved: np.ndarray, axis: Axis) -> np.ndarray:
        """Profiles whose value is largest at each place of the other dimensions, shape (places, 3)."""
        values = moved[axis.profile[:, 0]].reshape(len(axis.profile), -1)
        return np.argpartition(values, -3, axis=0)[-3:].T

    @staticmethod
    def _largest_inside(moved: np.ndarray, axis: Axis) -> np.ndarray:
        """The profile with the largest value among those that hold a code, shape (codes, places)."""
        values = moved[axis.profile[:, 0]].reshape(len(axis.profile), -1)
        found = np.zeros((axis.size, values.shape[1]), dtype=np.int32)
        code, row = axis.profile[axis.profile >= 0], np.nonzero(axis.profile >= 0)[0]
        order = np.argsort(code, kind="stable")
        code, row = code[order], row[order]
        start = np.searchsorted(code, np.arange(axis.size + 1))
        for each in range(axis.size):
            rows = row[start[each] : start[each + 1]]
            found[each] = rows[0] if len(rows) == 1 else rows[values[rows].argmax(axis=0)]
        return found

    # --- shifts of one dimension for a batch of cells -------------------------------------------------------

    def _line(self, cell: np.ndarray, k: int, own: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Cells like `cell` with other codes of dimension k; shape of codes; the absent place where a code is -1."""
        found = cell[:, None] + (codes - own[:, None]) * self.stride[k]
        return np.where(codes < 0, self.cells, found)

    def _best(self, score: np.ndarray, table: np.ndarray, most: int) -> np.ndarray:
        """The `most` entries of each row of `table` with the lowest score, -1 where the score is infinite."""
        if score.shape[1] > most:
            chosen = np.argpartition(score, most - 1, axis=1)[:, :most]
            score, table = np.take_along_axis(score, chosen, 1), np.take_along_axis(table, chosen, 1)
        return np.where(np.isfinite(score), table, -1)

    def _swaps(self, k: int, cell, own, amount, wide: bool):
        """The code itself and one partner, of those whose own cell has room."""
        partner = self.axes[k].partner[own]
        chosen = self._with_room(k, cell, own, amount, partner, partner, SWAPS * (4 if wide else 1))
        return [(own[:, None], 1), (chosen, -1)], chosen < 0

    def _spreads(self, k: int, cell, own, amount, wide: bool):
        """The code itself and several partners that fall by a part each: those that give most for their price."""
        chosen = self._givers(k, cell, own, amount, SPREAD)
        return [(own[:, None], 1), (chosen, -1)], chosen < 0

    def _givers(self, k: int, cell, own, amount, most: int) -> np.ndarray:
        """Partners whose cell beside `cell` gives most for its price."""
        partner = self.axes[k].partner[own]
        line = self._line(cell, k, own, partner)
        gives = np.minimum(self.room[line], amount[:, None])
        with np.errstate(divide="ignore", invalid="ignore"):
            score = (self.price[line] + np.float32(1)) / gives
        score[(partner < 0) | (gives < 1)] = NOT
        return self._best(score, partner, most)

    def _with_room(self, k: int, cell, own, amount, codes, table, most: int) -> np.ndarray:
        """The cheapest entries of `table` whose code's cell beside `cell` has room to fall."""
        line = self._line(cell, k, own, codes)
        score = np.where((codes < 0) | (self.room[line] < amount[:, None]), NOT, self.price[line])
        return self._best(score, table, most)

    def _holders(self, k: int, cell, own, most: int) -> np.ndarray:
        """Profiles that hold the code of each cell and are there at its place: cheapest of the larger ones."""
        axis = self.axes[k]
        if axis.small:
            codes = np.broadcast_to(np.arange(axis.size), (len(cell), axis.size))
            line = self._line(cell, k, own, codes)
            price = self.price[line]
            # Large and hidden already is best: its like elsewhere has room.
            score = np.where(np.isfinite(price), price * 0.5 - np.log2(self.problem.value[line] + 1.0), ABSENT)
            total = score.astype(np.float32) @ axis.member
            total[(axis.member[own] == 0) | (total > ABSENT / 2)] = NOT
            table = np.broadcast_to(np.arange(len(axis.profile)), total.shape)
        else:
            table = np.column_stack([axis.below[own], self.inside[k][own, self._places(cell, own, k, False)[:, 0]]])
            line = self._line(cell, k, own, np.where(table < 0, -1, axis.profile[np.maximum(table, 0), 0]))
            total = np.where(table < 0, NOT, self.price[line])
        return self._best(total, table, most)

    def _raises(self, k: int, cell, own, amount, wide: bool):
        """All codes of one profile that holds the code."""
        axis = self.axes[k]
        chosen = self._holders(k, cell, own, RAISES * (4 if wide else 1))
        codes = np.where(chosen[:, :, None] < 0, -1, axis.profile[np.maximum(chosen, 0)])
        # The code itself comes first and is the same in all: it need not be looked at for each.
        codes = np.where(codes == own[:, None, None], -1, codes)
        return [(own[:, None], 1), *((codes[:, :, i], 1) for i in range(codes.shape[2]))], chosen < 0

    def _crosses(self, k: int, cell, own, amount, wide: bool):
        """Up with one profile that holds the code, down with one that does not; what they share stays."""
        axis = self.axes[k]
        mine = self._holders(k, cell, own, 1)[:, 0]
        other = [axis.away[own]]
        if self.local[k] is not None:
            places = self._places(cell, own, k, wide)
            other.append(self.local[k][places].reshape(len(cell), -1))
        other = np.concatenate(other, axis=1)
        up = axis.profile[np.maximum(mine, 0)]
        down = axis.profile[np.maximum(other, 0)]
        bad = (other < 0) | (mine < 0)[:, None] | (down == own[:, None, None]).any(2)
        # Where only the values differ it is a swap.
        alike = ((down[:, :, :, None] == up[:, None, None, :]) & (up >= 0)[:, None, None, :]).any(3).sum(2)
        bad |= (alike >= (up >= 0).sum(1)[:, None] - 1) & axis.finest[own][:, None]
        first = np.where(bad, -1, down[:, :, 0])
        chosen = self._with_room(k, cell, own, amount, first, np.where(bad, -1, other), CROSSES * (4 if wide else 1))
        down = np.where(chosen[:, :, None] < 0, -1, axis.profile[np.maximum(chosen, 0)])
        shared = (up[:, :, None, None] == down[:, None, :, :]) & (up >= 0)[:, :, None, None]
        positions = []
        for i in range(up.shape[1]):
            stays = shared[:, i].any(2)
            alike = stays.all(axis=1) | ~(stays & (chosen >= 0)).any(axis=1)
            if alike.all():
                gone = (stays | (chosen < 0)).all(axis=1)
                positions.append((np.where(gone, -1, up[:, i])[:, None], 1))
            else:
                positions.append((np.where(stays, -1, up[:, i : i + 1]), 1))
        positions += [(np.where(shared[:, :, :, i].any(1), -1, down[:, :, i]), -1) for i in range(down.shape[2])]
        return [each for each in positions if (each[0] >= 0).any()], chosen < 0

    def _places(self, cell: np.ndarray, own: np.ndarray, k: int, wide: bool) -> np.ndarray:
        """The place of each cell among the combinations of the other dimensions; wide: its neighbors' places too."""
        cells = cell[:, None]
        if wide:
            others = [(j, axis) for j, axis in enumerate(self.axes) if j != k and axis.small]
            lines = [cells]
            for j, axis in others:
                code = (cell // self.stride[j]) % axis.size
                lines.append(cells + (np.arange(axis.size) - code[:, None]) * self.stride[j])
            cells = np.concatenate(lines, axis=1)
        above = cells // (self.stride[k] * self.axes[k].size)
        return above * self.stride[k] + cells % self.stride[k]

    # --- products -------------------------------------------------------------------------------------------

    def _cheapest(self, shifts: list, rows: np.ndarray, amount: np.ndarray, most: np.ndarray, spread: int | None):
        """The cheapest product of shifts with room, for some rows: which of them, its price, cells and amounts.

        shifts: per dimension its positions [(codes, sign)] and which choices are missing. most: only what is cheaper
        matters. spread: the dimension whose partners share the amount.
        """
        choices = int(np.prod([gone.shape[1] for _, gone in shifts]))
        step = max(LEAST_BATCH, LOOKS // choices)
        found = []
        for first in range(0, len(rows), step):
            some = rows[first : first + step]
            cut = [([(codes[some], sign) for codes, sign in positions], gone[some]) for positions, gone in shifts]
            if spread is None:
                price, cells, amounts = self._product(cut, amount[some])
            else:
                price, cells, amounts = self._shared(cut, amount[some], spread)
            better = np.flatnonzero(price < most[some])
            found.append((some[better], price[better], cells[better], amounts[better]))
        return tuple(np.concatenate(each) for each in zip(*found, strict=True))

    def _parts(self, shifts: list, count: int):
        """Every position of a product: its number in each dimension, the cells for every choice, and its sign.

        A position whose code does not depend on the choice has one column, and costs one look instead of one for
        every choice.
        """
        dims = len(shifts)
        for positions in product(*(enumerate(shift[0]) for shift in shifts)):
            index, absent, sign = 0, None, 1
            for k, (_, (codes, one)) in enumerate(positions):
                shape = [count] + [1] * dims
                shape[k + 1] = codes.shape[1]
                index = index + (codes * self.stride[k]).reshape(shape)
                gone = codes < 0
                if gone.any():
                    gone = gone.reshape(shape)
                    absent = gone if absent is None else absent | gone
                sign *= one
            if absent is not None:
                index = np.where(absent, self.cells, index)
            yield [number for number, _ in positions], index, sign

    @staticmethod
    def _barred(shifts: list, count: int, left_out: int | None = None) -> list[np.ndarray]:
        """Price added where a choice is missing, one array per dimension."""
        found = []
        for k, (_, missing) in enumerate(shifts):
            if k != left_out:
                shape = [count] + [1] * len(shifts)
                shape[k + 1] = missing.shape[1]
                found.append(np.where(missing, NOT, np.float32(0)).reshape(shape))
        return found

    def _looked_up(self, index: np.ndarray, sign: int, amount: np.ndarray) -> np.ndarray:
        """Prices of cells, infinite where they would change by more than their room."""
        paid = np.take(self.price, index)
        if sign < 0:
            paid[np.take(self.room, index) < amount] = NOT
        elif self.up is not None:
            paid[np.take(self.up, index) < amount] = NOT
        return paid

    def _product(self, shifts: list, amount: np.ndarray):
        """The cheapest of all products, per row: price, cells, amounts."""
        count = len(amount)
        wide_amount = amount.reshape((count,) + (1,) * len(shifts))
        paid_by_shape: dict[tuple, np.ndarray] = {}
        parts = []
        for _, index, sign in self._parts(shifts, count):
            paid = self._looked_up(index, sign, wide_amount)
            key = index.shape[1:]
            paid_by_shape[key] = paid_by_shape[key] + paid if key in paid_by_shape else paid
            parts.append((index, sign))
        total = sum(sorted([*paid_by_shape.values(), *self._barred(shifts, count)], key=np.size))
        price, at = self._least(total)
        cells = np.stack([self._at(index, at) for index, _ in parts], axis=1)
        return price, cells, np.array([sign for _, sign in parts]) * amount[:, None]

    def _shared(self, shifts: list, amount: np.ndarray, spread: int):
        """The same where the partners of one dimension fall by a part each, cheapest per person first."""
        count, dims = len(amount), len(shifts)
        wide_amount = amount.reshape((count,) + (1,) * dims)
        own, theirs, gives = np.float32(0), np.float32(0), wide_amount
        own_parts, their_parts = [], []
        for numbers, index, sign in self._parts(shifts, count):
            if numbers[spread] == 0:
                own = own + self._looked_up(index, sign, wide_amount)
                own_parts.append((index, sign))
            else:
                theirs = theirs + np.take(self.price, index)
                if sign < 0 or self.up is not None:
                    gives = np.minimum(gives, np.take(self.room if sign < 0 else self.up, index))
                their_parts.append((index, sign))
        # A cell that is newly hidden must itself be uncertain by the interval.
        missing = shifts[spread][1]
        shape = [count] + [1] * dims
        shape[spread + 1] = missing.shape[1]
        usable = (gives >= 1) & ~missing.reshape(shape) & ((theirs == 0) | (gives >= self.problem.interval))
        gives = np.where(usable & np.isfinite(theirs), gives, 0)
        theirs = np.where(gives > 0, theirs, np.float32(0))
        with np.errstate(divide="ignore", invalid="ignore"):
            order = np.argsort(np.where(gives > 0, (theirs + np.float32(0.1)) / gives, NOT), axis=spread + 1)
        gives, theirs = (np.take_along_axis(each, order, spread + 1) for each in (gives, theirs))
        before = np.cumsum(gives, axis=spread + 1) - gives
        taken = np.clip(wide_amount - before, 0, gives)
        enough = taken.sum(axis=spread + 1, keepdims=True) >= wide_amount
        total = own + np.where(taken > 0, theirs, np.float32(0)).sum(axis=spread + 1, keepdims=True)
        total = sum([np.where(enough, total, NOT), *self._barred(shifts, count, spread)])
        price, at = self._least(total)
        cells = [self._at(index, at) for index, _ in own_parts]
        amounts = [sign * amount for _, sign in own_parts]
        for place in range(missing.shape[1]):
            here = [*at[:spread], np.full(count, place), *at[spread + 1 :]]
            partner, part = self._at(order, here), self._at(taken, here)
            here[spread] = partner
            for index, sign in their_parts:
                cells.append(np.where(part > 0, self._at(index, here), self.cells))
                amounts.append(sign * part)
        return price, np.stack(cells, axis=1), np.stack(amounts, axis=1)

    @staticmethod
    def _least(total: np.ndarray):
        """The least price of each row and where it stands in each dimension."""
        flat = total.reshape(len(total), -1)
        best = flat.argmin(axis=1)
        return flat[np.arange(len(flat)), best], list(np.unravel_index(best, total.shape[1:]))

    @staticmethod
    def _at(index: np.ndarray, at: list) -> np.ndarray:
        """One entry of each row; a dimension of one column holds for every choice."""
        column = (np.minimum(place, size - 1) for place, size in zip(at, index.shape[1:], strict=True))
        return index[(np.arange(len(index)), *column)]

    def serve(self, cell: np.ndarray, last: int = 0) -> np.ndarray:
        """Find and hide the cheapest move of each cell; which of them were served. last: the last turn of kinds."""
        served = np.zeros(len(cell), dtype=bool)
        for rows, cells, amounts in self.look(cell, self.problem.need[cell], 0.0, last):
            served[rows] = True
            self.keep(cell[rows], cells, amounts)
        return served

    def free(self, cell: np.ndarray) -> np.ndarray:
        """Serve cells by single products of what is hidden already; which were served."""
        served = np.zeros(len(cell), dtype=bool)
        for rows, cells, amounts in self.look(cell, self.problem.need[cell], 0.0, 0, FREE):
            paid = self.price[cells].sum(axis=1)
            rows, cells, amounts = rows[paid == 0], cells[paid == 0], amounts[paid == 0]
            served[rows] = True
            self.keep(cell[rows], cells, amounts)
        return served

    def look(
        self, cell: np.ndarray, amount: np.ndarray, enough: float, last: int = 0, shortest: int | None = None
    ) -> list[tuple]:
        """The cheapest move that raises each cell by its amount: batches of (rows of `cell`, cells, amounts).

        enough: a price at which no further kind of move is tried. shortest: how many kinds are tried.
        """
        amount = amount.astype(np.int32)
        own = [(cell // self.stride[k]) % self.axes[k].size for k in range(len(self.axes))]
        best = np.full(len(cell), NOT, dtype=np.float32)
        which = np.full(len(cell), -1)
        options: dict[tuple[str, int], tuple] = {}
        make = {"swap": self._swaps, "raise": self._raises, "cross": self._crosses, "spread": self._spreads}
        results = []
        for turn, kinds in self.kinds[:shortest]:
            if turn > last:
                break
            rows = ~np.isfinite(best) if turn else best > enough
            shifts = []
            for k, kind in enumerate(kinds):
                if (kind, k) not in options:
                    options[kind, k] = make[kind](k, cell, own[k], amount, last > 0)
                shifts.append(options[kind, k])
                rows &= ~shifts[-1][1].all(axis=1)
            rows = np.flatnonzero(rows)
            if len(rows):
                spread = kinds.index("spread") if "spread" in kinds else None
                rows, price, cells, amounts = self._cheapest(shifts, rows, amount, best, spread)
                best[rows], which[rows] = price, len(results)
                results.append((rows, cells, amounts))
        found = []
        for number, (rows, cells, amounts) in enumerate(results):
            still = which[rows] == number
            if still.any():
                found.append((rows[still], cells[still], amounts[still]))
        return found

    def _kinds(self) -> list[tuple[int, tuple[str, ...]]]:
        """Which kinds of shift are combined, with their turn: each turn only where none before it serves.

        0: always. 1 and 2: in a wide search. 3: all rise, so that the total of everything is hidden; the last resort.
        In a dimension with levels, a raise changes the total, which all of a state reads: turn 2. A cross there
        leaves the total alone. In one without, a raise is ordinary, and a cross (of several breakdowns) rare: turn 1.
        """
        turn = [
            {"swap": 0, "raise": 2, "cross": 0} if axis.levels else {"swap": 0, "raise": 0, "cross": 1}
            for axis in self.axes
        ]
        short = {"swap": 0, "raise": 1, "cross": 2}
        found = []
        for kinds in product(short, repeat=len(self.axes)):
            if all(kind != "cross" or axis.can_cross for kind, axis in zip(kinds, self.axes, strict=True)):
                last = max(turn[k][kind] for k, kind in enumerate(kinds))
                if not self.is_plain and "cross" in [
                    kind for kind, axis in zip(kinds, self.axes, strict=True) if not axis.levels
                ]:
                    last = 3
                found.append((3 if set(kinds) == {"raise"} else last, sum(short[kind] for kind in kinds), kinds))
                if last == 0 and self.is_plain:
                    for k in range(len(kinds)):
                        if kinds[k] == "swap":
                            found.append((1, 0, (*kinds[:k], "spread", *kinds[k + 1 :])))
        return [(last, kinds) for last, _, kinds in sorted(found)]

    def keep(self, owner: np.ndarray, cells: np.ndarray, amounts: np.ndarray) -> None:
        """Hide the cells of new moves, and let them certify every small cell that they raise far enough."""
        problem = self.problem
        self.price[cells] = 0
        number = self.count + np.arange(len(owner), dtype=np.int32)
        kind = np.int64 if np.abs(amounts).max(initial=0) > np.iinfo(np.int32).max else np.int32
        self.found.append(Found(cells.astype(np.int32), amounts.astype(kind)))
        self.count += len(owner)
        row, column = np.nonzero(((amounts > 0) | self.either) & (cells < self.cells))
        up, raised = cells[row, column], np.abs(amounts[row, column])
        useful = problem.small[up] & (self.move[up] < 0) & (problem.need[up] <= raised)
        self.move[up[useful]] = number[row[useful]]
        self.move[owner] = number

    # --- grids ----------------------------------------------------------------------------------------------

    def on_grids(self, cell: np.ndarray, amount: np.ndarray, products: int) -> np.ndarray:
        """Find and hide the cheapest move on the grid of each cell; which of them were served."""
        own = [(cell // self.stride[k]) % self.axes[k].size for k in range(len(self.axes))]
        sides = [self._side(k, cell, own[k], amount) for k in range(len(self.axes))]
        if any(not side.shifts for side in sides):
            return np.zeros(len(cell), dtype=bool)
        index, absent = np.zeros((len(cell),) + (1,) * len(sides), dtype=np.int64), False
        for k, side in enumerate(sides):
            shape = [len(cell)] + [1] * len(sides)
            shape[k + 1] = side.codes.shape[1]
            index = index + (side.codes * self.stride[k]).reshape(shape)
            absent = absent | (side.codes < 0).reshape(shape)
        index = np.where(absent, self.cells, index)
        room = np.minimum(np.take(self.room, index), PLENTY)
        price = np.take(self.price, index)
        up = None if self.up is None else np.minimum(np.take(self.up, index), PLENTY)
        paid, change = moves_on_grids(index, price, room, up, sides, amount, self.problem.interval, products)
        served = np.isfinite(paid)
        # A place may stand on a grid twice: sums are checked on cells.
        change[index == self.cells] = 0
        row, flat_change = np.flatnonzero(served), change.reshape(len(cell), -1)
        width = int((flat_change[row] != 0).sum(axis=1).max(initial=0))
        order = np.argsort(flat_change[row] == 0, axis=1, kind="stable")[:, :width]
        cells = np.take_along_axis(index.reshape(len(cell), -1)[row], order, 1)
        amounts = np.take_along_axis(flat_change[row], order, 1)
        cells = np.where(amounts == 0, self.cells, cells)
        cells, amounts, fits = self._once(cells, amounts)
        served[row[~fits]] = False
        if fits.any():
            self.keep(cell[row[fits]], cells[fits], amounts[fits])
        return served

    def _once(self, cells: np.ndarray, amounts: np.ndarray):
        """Moves with every cell once, and whether all of it has room."""
        order = np.argsort(cells, axis=1, kind="stable")
        cells, amounts = np.take_along_axis(cells, order, 1), np.take_along_axis(amounts, order, 1)
        twice = np.zeros(cells.shape, dtype=bool)
        twice[:, 1:] = (cells[:, 1:] == cells[:, :-1]) & (cells[:, 1:] < self.cells)
        fits = ~twice.any(axis=1) & (np.take(self.room, cells) + amounts >= 0).all(axis=1)
        if self.up is not None:
            fits &= (np.take(self.up, cells) >= amounts).all(axis=1)
        return cells, amounts, fits

    def _side(self, k: int, cell: np.ndarray, own: np.ndarray, amount: np.ndarray) -> Side:
        """What stands around the code of each cell in dimension k."""
        axis = self.axes[k]
        columns, shifts, valid = [own[:, None]], [], []

        def place(codes: np.ndarray) -> list[int]:
            first = sum(column.shape[1] for column in columns)
            columns.append(codes)
            return list(range(first, first + codes.shape[1]))

        partner = self._givers(k, cell, own, amount, GRID_SWAPS)
        for number in place(partner):
            shifts.append(([0], [number]))
        valid.append(partner >= 0)
        if axis.levels:
            mine = self._holders(k, cell, own, 1)[:, 0]
            other = [axis.away[own]]
            if self.local[k] is not None:
                other.append(self.local[k][self._places(cell, own, k, False)[:, 0]])
            other = np.concatenate(other, axis=1)
            up, down = axis.profile[np.maximum(mine, 0)], axis.profile[np.maximum(other, 0)]
            bad = (other < 0) | (mine < 0)[:, None] | (down == own[:, None, None]).any(2)
            shared = ((up[:, None, :, None] == down[:, :, None, :]) & (up >= 0)[:, None, :, None]).any(3)
            alike = shared.sum(2)
            bad |= (alike >= (up >= 0).sum(1)[:, None] - 1) & axis.finest[own][:, None]
            # One layout for all: what the profile shares with the first usable other, it shares with all that stay.
            first = np.where(bad, -1, 0).argmax(axis=1)
            common = np.take_along_axis(shared, first[:, None, None], 1)
            bad |= (shared != common).any(axis=2)
            line = self._line(cell, k, own, np.where(bad, -1, down[:, :, 0]))
            score = np.where(bad | (self.room[line] < 1), NOT, (self.price[line] + 1) / np.maximum(self.room[line], 1))
            chosen = self._best(score.astype(np.float32), np.where(bad, -1, other), GRID_CROSSES)
            rise = place(np.where(common[:, 0] | (up == own[:, None]), -1, up))
            down = np.where(chosen[:, :, None] < 0, -1, axis.profile[np.maximum(chosen, 0)])
            gone = (down[:, :, :, None] == up[:, None, None, :]).any(3)
            down = np.where(gone, -1, down)
            for number in range(chosen.shape[1]):
                shifts.append(([0, *rise], place(down[:, number])))
            valid.append(chosen >= 0)
        else:
            chosen = self._holders(k, cell, own, 1 if axis.profile.shape[1] > 2 else 2)
            for number in range(chosen.shape[1]):
                codes = axis.profile[np.maximum(chosen[:, number], 0)]
                codes = np.where((chosen[:, number, None] < 0) | (codes == own[:, None]), -1, codes)
                shifts.append(([0, *place(codes)], []))
            valid.append(chosen >= 0)
        codes = np.concatenate(columns, axis=1)
        keep = (codes >= 0).any(axis=0)
        number = np.cumsum(keep) - 1
        shifts = [
            ([int(number[i]) for i in up if keep[i]], [int(number[i]) for i in down if keep[i]]) for up, down in shifts
        ]
        valid = np.concatenate(valid, axis=1)
        there = valid.any(axis=0)
        return Side(
            codes[:, keep], [each for each, is_there in zip(shifts, there, strict=True) if is_there], valid[:, there]
        )

    # --- rounds ---------------------------------------------------------------------------------------------

    def run(self, products: int = SUMS, is_thorough: bool = True) -> np.ndarray:
        """Serve every small cell, coarse ones and those that need most first. The cells left without a move.

        is_thorough: a wide search for those that the first one did not serve.
        """
        problem = self.problem
        waiting = np.flatnonzero(problem.primary & problem.small)
        long = int(np.argmax([axis.size for axis in self.axes]))
        coarse = sum(
            (~axis.finest[(waiting // self.stride[k]) % axis.size]).astype(np.int64) for k, axis in enumerate(self.axes)
        )
        place = (waiting // self.stride[long]) % self.axes[long].size
        order = np.lexsort((problem.price[waiting], -problem.need[waiting], -coarse, place))
        waiting, place = waiting[order], place[order]
        batch_size = max(LEAST_BATCH, len(waiting) // ROUNDS)
        left: list[np.ndarray] = []
        while len(waiting):
            open_ = self.move[waiting] < 0
            waiting, place = waiting[open_], place[open_]
            if not len(waiting):
                break
            first = np.searchsorted(place, place)
            turn = np.arange(len(place)) - first
            batch = np.sort(np.argsort(turn, kind="stable")[:batch_size])
            missed = waiting[batch]
            if not self.is_plain:
                missed = missed[~self.free(missed)]
            if len(self.axes) <= GRID_DIMENSIONS:
                for first in range(0, len(missed), GRID_BATCH):
                    some = missed[first : first + GRID_BATCH]
                    some = some[self.move[some] < 0]
                    if len(some):
                        self.on_grids(some, problem.need[some], products)
                missed = missed[self.move[missed] < 0]
            else:
                missed = missed[~self.serve(missed)]
            if len(missed) and is_thorough:
                missed = missed[~self.serve(missed, last=2)]
            left.append(missed)
            keep = np.ones(len(waiting), dtype=bool)
            keep[batch] = False
            waiting, place = waiting[keep], place[keep]
        left = np.concatenate(left) if left else np.zeros(0, dtype=np.int64)
        return left[self.move[left] < 0]

    # --- the cells that no product serves -------------------------------------------------------------------

    def finish(self, left: np.ndarray) -> None:
        """Give each remaining cell a move by programs over growing parts of the table; at last by all of it."""
        problem = self.problem
        for cell in left.tolist():
            if self.move[cell] < 0:
                self._by_all_means(cell, int(problem.need[cell]), (1,))

    def widen(self, proof: Certificates) -> Certificates:
        """A move of its own for every partner or decoy whose count changes by too little in all moves of the proof."""
        problem = self.problem
        while True:
            narrow = _narrow(problem, proof)
            if not len(narrow):
                return proof
            self.price[:-1] = np.where(problem.value == 0, NOT, problem.price)
            self.price[:-1][problem.primary | proof.touched(self.cells)] = 0
            self.found, self.count, self.move[:] = [], 0, -1
            for cell in narrow[~self.serve(narrow, last=2)].tolist():
                self._by_all_means(cell, problem.interval, (1, -1))
            more = self.certificates()
            proof = Certificates(
                np.concatenate([proof.move, more.move + proof.move[-1] + 1]),
                np.concatenate([proof.cell, more.cell]),
                np.concatenate([proof.amount, more.amount]),
                proof.certified,
                proof.by,
            )

    def _by_all_means(self, cell: int, amount: int, signs: tuple) -> None:
        """A move for one cell by programs, by letting everything rise, or by hiding every count there is."""
        for reach in REACHES:
            found = self.by_program(cell, amount, signs, reach)
            if found is not None:
                break
        else:
            if self.serve(np.array([cell]), last=3).all():
                return
            found = self._all_of_it(cell)
        self.keep(np.array([cell]), found[0][None, :], found[1][None, :])

    def near(self, cell: int, reach: int) -> list[np.ndarray]:
        """Sorted codes around a cell, per dimension. reach: how many beside its own."""
        chosen = []
        for k, axis in enumerate(self.axes):
            own = (cell // self.stride[k]) % axis.size
            if axis.small and axis.size <= max(2 * reach, 20):
                chosen.append(np.arange(axis.size))
                continue
            profiles = [axis.below[own, :reach], axis.away[own, :reach]]
            if self.local[k] is not None:
                places = self._places(np.array([cell]), np.array([own]), k, True)[0]
                profiles += [self.local[k][places].ravel(), self.inside[k][own, places]]
            profiles = np.concatenate(profiles)
            codes = [axis.profile[profiles[profiles >= 0]].ravel(), [own]]
            partner = axis.partner[own, :reach]
            holds = np.isin(axis.profile[:, 0], partner[partner >= 0])
            codes.append(axis.profile[holds].ravel())
            codes = np.unique(np.concatenate(codes))
            chosen.append(codes[codes >= 0])
        return chosen

    def by_program(self, cell: int, amount: int, signs: tuple, reach: int, largest: int = LARGEST_PART):
        """The cheapest move inside the part of the table near a cell: cells and amounts, or None.

        largest: cells of a part beyond which no program is tried.
        """
        chosen = self.near(cell, reach)
        cells = np.ravel_multi_index(np.ix_(*chosen), self.problem.shape).ravel()
        if len(cells) > largest:
            return None
        up, down = rooms(self.problem, cells)
        programs = Programs(sums([m[:, c] for m, c in zip(self.matrices, chosen, strict=True)]), up, down)
        target = int(np.flatnonzero(cells == cell)[0])
        price = self.price[cells].astype(float)
        for loose in (False, True):
            for sign in signs:
                found = programs.find(target, amount, price, sign, loose)
                if found is not None:
                    return cells[found[0]], found[1]
        return None

    def _all_of_it(self, cell: int):
        """The last resort, which always holds: every count grows in proportion, and all of them are hidden."""
        problem = self.problem
        cells = np.flatnonzero(problem.value > 0)
        return cells, problem.value[cells] * -(-int(problem.need[cell]) // int(problem.value[cell]))

    def certificates(self) -> Certificates:
        """The moves that have an owner, and which of them certify the cells below n."""
        used = np.zeros(self.count, dtype=bool)
        used[self.move[self.move >= 0]] = True
        certified = np.flatnonzero((self.move >= 0) & self.problem.primary)
        number = np.cumsum(used) - 1
        moves, cells, amounts = [], [], []
        first = 0
        for found in self.found:
            rows = np.flatnonzero(used[first : first + len(found.cells)])
            kept = found.cells[rows]
            there = kept < self.cells
            moves.append(np.broadcast_to(number[first + rows, None], kept.shape)[there])
            cells.append(kept[there])
            amounts.append(found.amounts[rows][there])
            first += len(found.cells)
        return Certificates(
            np.concatenate(moves).astype(np.int64),
            np.concatenate(cells).astype(np.int64),
            np.concatenate(amounts).astype(np.int64),
            certified,
            number[self.move[certified]],
        )


def _with_absent(room: np.ndarray) -> np.ndarray:
    """int32, with one place more for absent cells, whose room is endless."""
    most = np.iinfo(np.int32).max
    return np.append(np.minimum(room, most).astype(np.int32), np.int32(most))


def _narrow(problem: Problem, proof: Certificates) -> np.ndarray:
    """Hidden cells of n or more, decoys included, that no moves spread by the interval."""
    low, high = (np.zeros(len(problem.value), dtype=np.int64) for _ in range(2))
    np.minimum.at(low, proof.cell, proof.amount)
    np.maximum.at(high, proof.cell, proof.amount)
    hidden = (problem.primary | proof.touched(len(problem.value))) & ~problem.small
    return np.flatnonzero(hidden & (high - low < problem.interval))


def solve_by_cubes(problem: Problem, rounds: int = REROUTES) -> Certificates:
    """Moves for every cell that must have one in a large table. rounds: of showing partners again."""
    # Zeros stay shown here whatever the family says, and a reader may know it: no move takes a count to 0.
    cubes = Cubes(replace(problem, least=np.maximum(problem.least, 1)))
    left = cubes.run()
    cubes.finish(left)
    proof = reroute(cubes, cubes.certificates(), rounds)
    return cubes.widen(proof)
