"""Moves for a table of counts with numerators: three numbers a cell, count = numerator + complement.

What belongs here: what must move where, the layers in which it can, and what is hidden for it. What does not: the
search for a move in one layer (cubes), which numbers are sensitive (problem).

In each place of the table a move changes two of the three numbers: people come or go who are in the numerator, or who
are not, or they change sides. So every move is one of plain counts, with the room and the price of both numbers, and
the search for counts serves all three layers. A count below n rises; numerators and complements need to move by the
interval only, up or down or both ways together. A band holds only beside a shown count: once that is hidden, its
numbers are free.

Numbers of the whole table have the flat index 3 * place for the count, + 1 for the numerator, + 2 for the complement.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipelines.disclosure.table.blocks import (
    Memory,
    Result,
    atoms,
    block_of,
    cut,
    digest,
    known,
    long_axis,
    part_of,
)
from pipelines.disclosure.table.cubes import Cubes
from pipelines.disclosure.table.family import Table
from pipelines.disclosure.table.problem import NO_WAY, UNLIMITED, Certificates, Problem
from pipelines.errors import P20wError

# What of a place moves by +1 and -1 when the layer's count moves by +1: (number, sign).
OUTSIDE = ((0, 1), (2, 1))  # people who are not in the numerator come
INSIDE = ((0, 1), (1, 1))  # people who are in it come
SWAP = ((1, 1), (2, -1))  # people change into the numerator
BACK = ((2, 1), (1, -1))  # and out of it
REACHES = (3, 8)  # how far around a place programs look
HUBS = 8  # districts, the largest, with which what no block could do for itself may exchange people
ELSEWHERE = -2  # in Shares.by: certified by a move of another part
PROGRAMS = 40  # in all: a program is dear, and a number whose count is hidden too can do without;
LARGEST_PART = 4_000  # places of one: beyond, it takes longer than all else that is done for thousands of numbers


def solve_shares(problem: Problem, memory: Memory | None = None) -> Certificates:
    """Moves for every number that must have one.

    memory: block by block, those of an earlier run that did not change taken over, this run's kept in it; what is left,
    mostly of the total, is done afterwards. Without it, all of the table at once, which hides somewhat less.
    """
    whole = _Whole(problem)
    blocks = [] if memory is None else cut(problem.table)
    if len(blocks) > 1:
        for codes in blocks:
            part, total = block_of(problem, codes)
            whole.add_block(part.cells, total, _block(part.problem, total, memory))
            memory.ends.append(whole.made)
    while True:
        left = whole.left()
        if not len(left):
            return whole.certificates()
        codes = whole.around(left) if len(blocks) > 1 else None
        if not whole.finish(codes) and (codes is None or not whole.finish(None)):
            raise P20wError(NO_WAY)


def _block(problem: Problem, total: np.ndarray, memory: Memory) -> Result:
    """The result of one block, taken over where an earlier run had the same."""
    name = digest(problem, memory.secret)
    found = known(memory, name, problem)
    memory.now[name] = _by_itself(problem, total) if found is None else found
    return memory.now[name]


def _by_itself(problem: Problem, total: np.ndarray) -> Result:
    """Moves for a block. total: the cells that stand for the total's; their own proof is found at last, for all blocks
    together.
    """
    interval = np.where(total, problem.interval, 0).astype(np.int32)
    shares = Shares(problem, problem.primary.copy(), -interval, interval)
    shares.programs = PROGRAMS
    shares.raise_small(is_last=True)
    while shares.spread(is_last=True):
        more = beside_few(problem, shares.hidden, total)
        if not len(more):
            break
        shares.hidden[more] = True
    proof = shares.certificates()
    return Result(proof, np.flatnonzero(shares.hidden & ~problem.primary & ~proof.touched(len(problem.value))))


class _Whole:
    """The whole table while its parts are done. Arrays as in Shares, moves as in Certificates."""

    def __init__(self, problem: Problem):
        self.problem = problem
        self.hidden = problem.primary.copy()
        self.low, self.high = (np.zeros(len(problem.value), dtype=np.int32) for _ in range(2))
        self.by = np.full(len(problem.value), -1, dtype=np.int32)
        self.moves: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.made = 0
        self.programs = PROGRAMS

    def add(self, cells: np.ndarray | None, found: Certificates) -> None:
        """Enter the result of a part whose cells these are; None: of the whole, which has changed hidden, low, high."""
        cell, certified = found.cell.astype(np.int32), found.certified
        if cells is not None:
            cell, certified, interval = cells[cell].astype(np.int32), cells[certified], self.problem.interval
            self.hidden[cell] = True
            reach = np.clip(found.amount, -interval, interval).astype(np.int32)
            np.minimum.at(self.low, cell, reach)
            np.maximum.at(self.high, cell, reach)
        self.by[certified] = found.by + self.made
        kind = np.int32 if np.abs(found.amount).max(initial=0) < 2**31 else np.int64
        self.moves.append(((found.move + self.made).astype(np.int32), cell, found.amount.astype(kind)))
        self.made += int(found.move.max(initial=-1)) + 1

    def add_block(self, cells: np.ndarray, total: np.ndarray, result: Result) -> None:
        """Enter the result of a block. total: which of its cells are the total's."""
        self.add(cells, result.proof)
        self.hidden[cells[result.hidden]] = True
        # The block did not know of the total's bands: where a move leaves one, the count above it is hidden too.
        problem, rows = self.problem, total[result.proof.cell]
        cell, amount = cells[result.proof.cell[rows]], result.proof.amount[rows]
        beyond = cell[~problem.fits(cell, amount)]
        self.hidden[beyond - beyond % 3] = True

    def left(self) -> np.ndarray:
        """Hidden numbers that no move proves yet; when there are none, more that must be hidden beside a few people."""
        problem = self.problem
        is_open = (problem.primary & problem.small & (self.by < 0)) | _is_narrow(
            problem, self.hidden, self.low, self.high
        )
        left = np.flatnonzero(is_open)
        if not len(left):
            left = beside_few(problem, self.hidden)
            self.hidden[left] = True
        return left

    def around(self, cells: np.ndarray) -> np.ndarray:
        """Codes of the longest dimension where moves of these cells are looked for: their atoms and the largest."""
        table = self.problem.table
        axis = long_axis(table)
        atom = atoms(table.dimensions[axis])
        size = np.zeros(atom.max() + 1, dtype=np.int64)
        weight = np.moveaxis(table.value, axis, 0).reshape(len(atom), -1)[:, 0]
        np.maximum.at(size, atom[1:], weight[1:])
        own = atom[np.unique(cells // int(np.prod(table.value.shape[axis + 1 :])) % len(atom))]
        return np.flatnonzero(np.isin(atom, np.union1d(own[own >= 0], np.argsort(-size, kind="stable")[:HUBS])))

    def finish(self, codes: np.ndarray | None) -> bool:
        """Moves for all that is left, by all means, among some codes of the longest dimension; whether that was done.

        None: among all.
        """
        problem, state = self.problem, (self.hidden, self.low, self.high, self.by)
        part = None if codes is None else part_of(problem, codes)
        if part is not None:
            problem, state = part.problem, tuple(each[part.cells] for each in state)
        shares = Shares(problem, *state)
        shares.programs = self.programs
        if not (shares.raise_small(is_last=True) and shares.spread(is_last=True)):
            return False
        self.programs = shares.programs
        self.add(None if part is None else part.cells, shares.certificates())
        return True

    def certificates(self) -> Certificates:
        """All moves sorted by move and cell, and which of them certify the small counts."""
        certified = np.flatnonzero(self.by >= 0)
        by = self.by[certified].astype(np.int64)
        moves = self.moves or [(np.zeros(0, dtype=np.int64),) * 3]
        columns = []
        for i in range(3):  # millions of rows: one column after the other
            columns.append(np.concatenate([each[i] for each in moves]))
            moves = [(*each[:i], None, *each[i + 1 :]) for each in moves]
            self.moves = moves
        return Certificates(*columns, certified, by)


class Shares:
    """Moves so far. hidden, low, high: per number, and how far moves take it; by: the move that certifies it, or -1.

    low, high, by: how far moves take it that are not made here, and whether one of them certifies it (0 or more).
    """

    def __init__(self, problem: Problem, hidden: np.ndarray, low=None, high=None, by=None):
        self.problem = problem
        family, dimensions = replace(problem.table.family, numerator="", bands=()), problem.table.dimensions[:-1]
        self.count = np.ascontiguousarray(problem.value[::3])
        self.plain = Table(family, dimensions, self.count.reshape(problem.shape[:-1]))
        self.hidden = hidden
        none = np.zeros(len(problem.value), dtype=np.int32)
        self.low, self.high = (none.copy() if each is None else each for each in (low, high))
        self.by = none - 1 if by is None else np.where(by < 0, -1, ELSEWHERE).astype(np.int32)
        self.moves: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # number of the move, cell, amount
        self.made = 0
        self.programs = 0  # that may be spent
        nobody = np.zeros(0, dtype=np.int64)
        self.cubes = Cubes(self._problem(OUTSIDE, nobody, nobody), is_plain=False)

    def raise_small(self, is_last: bool) -> bool:
        """Moves for the counts below n; whether none is left. is_last: by all means."""
        problem = self.problem
        left = np.flatnonzero(problem.primary & problem.small & (self.by == -1)) // 3
        for parts, at_last in ((OUTSIDE, False), (INSIDE, False), (OUTSIDE, True))[: 3 if is_last else 2]:
            left = self.layer(parts, left, problem.need[left * 3], at_last=at_last)
        return not len(left)

    # --- one layer ------------------------------------------------------------------------------------------

    def rooms(self, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """By how much numbers may fall and rise as things stand. A count of 0 stays shown, so none becomes 0."""
        problem, value = self.problem, self.problem.value[cell]
        is_count, bound = cell % 3 == 0, ~self.hidden[cell - cell % 3]
        down = value - np.where(is_count, 1, np.where(bound, problem.least[cell], 0))
        return down, np.where(bound & (problem.most[cell] < UNLIMITED), problem.most[cell] - value, UNLIMITED)

    def layer_rooms(self, parts: tuple, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same for places in a layer. Where the count itself moves it is hidden, so no band holds."""
        if parts[0][0] == 0:
            down = np.minimum(self.count[place] - 1, self.problem.value[place * 3 + parts[1][0]])
            return down, np.full(len(place), UNLIMITED)
        least_down, least_up = UNLIMITED, UNLIMITED
        for number, sign in parts:
            down, up = self.rooms(place * 3 + number)
            down, up = (down, up) if sign > 0 else (up, down)
            least_down, least_up = np.minimum(least_down, down), np.minimum(least_up, up)
        return least_down, least_up

    def _problem(self, parts: tuple, targets: np.ndarray, need: np.ndarray) -> Problem:
        whole, places = self.problem, np.arange(len(self.count))
        down, up = self.layer_rooms(parts, places)
        price, movable = np.zeros(len(places)), np.ones(len(places), dtype=bool)
        for number, _ in parts:
            price += np.where(self.hidden[number::3], 0.0, whole.price[number::3])
            movable &= whole.movable[number::3]
        mask, needs = np.zeros(len(places), dtype=bool), np.zeros(len(places), dtype=np.int64)
        mask[targets], needs[targets] = True, need
        most = np.where(up >= UNLIMITED, UNLIMITED, self.count + up)
        none = np.zeros(len(places), dtype=bool)
        return Problem(self.plain, self.count, mask, none, self.count - down, most, movable, mask, needs, price)

    def layer(
        self,
        parts: tuple,
        targets: np.ndarray,
        need: np.ndarray,
        either: bool = False,
        is_thorough: bool = True,
        at_last: bool = False,
    ) -> np.ndarray:
        """Moves that take each target place up by its need (`either`: or down), in one layer; the places left.

        is_thorough: as in Cubes.run, and with programs. at_last: also by letting every count above a place rise with
        it, up to the whole table's: what rises beside a hidden count has no limit.
        """
        if not len(targets):
            return targets
        cubes = self.cubes
        cubes.pose(self._problem(parts, targets, need), either)
        left = cubes.run(is_thorough=is_thorough)
        for place in left.tolist():
            for reach in REACHES:
                if cubes.move[place] >= 0 or not is_thorough or self.programs <= 0:
                    break
                self.programs -= 1
                found = cubes.by_program(place, int(cubes.problem.need[place]), (1,), reach, LARGEST_PART)
                if found is not None:
                    cubes.keep(np.array([place]), found[0][None, :], found[1][None, :])
            if at_last and cubes.move[place] < 0:
                cubes.serve(np.array([place]), last=3)
        first, done = self.made, cubes.move[targets] >= 0
        for found in cubes.found:
            row, column = np.nonzero(found.cells < len(self.count))
            place, amount = found.cells[row, column].astype(np.int64), found.amounts[row, column].astype(np.int64)
            for number, sign in parts:
                self._keep(first + row, place * 3 + number, sign * amount)
            first += len(found.cells)
        if parts[0][0] == 0 and not either:
            mine = targets[done & self.problem.small[targets * 3]]
            self.by[mine * 3] = self.made + cubes.move[mine]
        self.made = first
        return targets[~done]

    def _keep(self, move: np.ndarray, cell: np.ndarray, amount: np.ndarray) -> None:
        interval = self.problem.interval
        kind = np.int32 if np.abs(amount).max(initial=0) < 2**31 else np.int64
        self.moves.append((move.astype(np.int32), cell.astype(np.int32), amount.astype(kind)))
        self.hidden[cell] = True
        reach = np.clip(amount, -interval, interval).astype(np.int32)
        np.minimum.at(self.low, cell, reach)
        np.maximum.at(self.high, cell, reach)

    # --- what must be uncertain by the interval -------------------------------------------------------------

    def narrow(self) -> np.ndarray:
        """Hidden numbers that need not rise to n and that the moves so far do not spread by the interval."""
        return np.flatnonzero(_is_narrow(self.problem, self.hidden, self.low, self.high))

    def spread(self, is_last: bool) -> bool:
        """Moves until no number is narrow; whether that was reached. is_last: by all means, even hiding counts."""
        interval = self.problem.interval

        def width(places: np.ndarray) -> np.ndarray:
            return np.full(len(places), interval)

        def pairs() -> np.ndarray:
            narrow = self.narrow()
            return np.unique(narrow[narrow % 3 > 0] // 3)

        at_last = False
        while True:
            for parts, is_thorough in ((SWAP, False), (BACK, False), (SWAP, True), (BACK, True)):
                places = pairs()
                places = places[self.layer_rooms(parts, places)[1] >= interval]
                self.layer(parts, places, width(places), either=True, is_thorough=is_thorough)
            for parts in (OUTSIDE, INSIDE):
                # Where the count is hidden too, it may move with one of its two parts.
                narrow = self.narrow()
                places = np.unique(narrow[(narrow % 3 == 0) | (narrow % 3 == parts[1][0])] // 3)
                places = places[self.hidden[places * 3]]
                self.layer(parts, places, width(places), either=True, at_last=at_last)
            # Near an end of its band a number goes as far as it can, and the rest of the way back.
            places = pairs()
            amount = np.minimum(self.layer_rooms(SWAP, places)[1], interval)
            self.layer(SWAP, places[amount > 0], amount[amount > 0])
            places = pairs()
            amount = interval - self.high[places * 3 + 1]
            usable = (amount > 0) & (amount <= self.layer_rooms(BACK, places)[1])
            self.layer(BACK, places[usable], amount[usable])
            left = self.narrow()
            if not len(left) or at_last or not is_last:
                return not len(left)
            shown = ~self.hidden[left - left % 3]
            # Without a shown count its numbers are free, and the count may move with them.
            at_last = not shown.any()
            self.hidden[(left - left % 3)[shown]] = True

    def certificates(self) -> Certificates:
        """The moves made here, sorted by move and cell, and which of them certify the small counts."""
        certified = np.flatnonzero(self.by >= 0)
        none = np.zeros(0, dtype=np.int64)
        if not self.moves:
            return Certificates(none, none, none, certified, none)
        # Millions of rows: what is no longer needed goes first, and one column is put in order after the other.
        moves, self.moves, self.cubes = self.moves, [], None
        move, cell = (np.concatenate([each[i] for each in moves]) for i in range(2))
        order = np.lexsort((cell, move))
        move, cell = move[order], cell[order]
        amount = np.concatenate([each[2] for each in moves])[order]
        return Certificates(move, cell, amount, certified, self.by[certified].astype(np.int64))


def _is_narrow(problem: Problem, hidden: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return hidden & ~problem.small & (high - low < problem.interval)


def beside_few(problem: Problem, hidden: np.ndarray, beside: np.ndarray | None = None) -> np.ndarray:
    """The cheapest shown number that helps in each sum that is shown and leaves 1 to n - 1 for its hidden members.

    beside: sums that are left out.
    """
    shape, found = problem.shape, []
    dense, shut = problem.value.reshape(shape), hidden.reshape(shape)
    out = (np.zeros(len(hidden), dtype=bool) if beside is None else beside).reshape(shape)
    cell = np.arange(len(problem.value)).reshape(shape)
    cost = np.where(problem.movable & (problem.value > 0) & ~hidden, problem.price, np.inf).reshape(shape)
    for axis, dimension in enumerate(problem.table.dimensions):
        value, closed, number, paid, left_out = (np.moveaxis(each, axis, 0) for each in (dense, shut, cell, cost, out))
        for relation, parent in enumerate(dimension.parent.tolist()):
            members = dimension.member[dimension.start[relation] : dimension.start[relation + 1]]
            rest = np.where(closed[members], value[members], 0).sum(axis=0)
            few = (rest > 0) & (rest < problem.minimum) & ~closed[parent] & ~left_out[parent]
            if few.any():
                codes = np.append(members, parent)
                ask = paid[codes][:, few]
                # A member helps when it fills the sum up to n; the sum itself always does.
                ask[:-1][value[members][:, few] + rest[few] < problem.minimum] = np.inf
                best = ask.argmin(axis=0)
                found.append(number[codes][:, few][best, np.arange(len(best))])
    return np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)
