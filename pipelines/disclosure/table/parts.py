"""Programs over the part of a table around one cell, so that the cost of a move does not grow with the table.

What belongs here: which codes stand around a code, and the programs of each such part. What does not: the program
itself (programs), the order of cells (search).
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from pipelines.disclosure.table.family import Dimension
from pipelines.disclosure.table.problem import Problem
from pipelines.disclosure.table.programs import Programs, relation_matrix, sums

ALL_CODES = 24  # of a dimension that is taken whole
SIBLINGS = 16  # of a longer list
OTHERS = 2  # large codes below each code above, so that a part has somewhere to take from
KEPT = 32  # parts kept ready


class Parts:
    """The same service as Programs over the whole table, from the part around the cell; of all of it at last."""

    def __init__(self, problem: Problem):
        self.problem = problem
        table = problem.table
        self.matrices = [relation_matrix(d.parent, d.start, d.member, len(d.codes)) for d in table.dimensions]
        self.around = []
        for axis, dimension in enumerate(table.dimensions):
            moved = np.moveaxis(table.value, axis, 0)
            self.around.append(around(dimension, moved.reshape(len(dimension.codes), -1)[:, 0]))
        self.kept: OrderedDict[tuple, tuple[np.ndarray, Programs]] = OrderedDict()
        self.solved = 0

    def find(self, target: int, amount: int, price: np.ndarray, sign: int = 1, loose: bool = False):
        """As Programs.find, cells of the whole table."""
        at = np.unravel_index(target, self.problem.shape)
        codes = [around[i] for around, i in zip(self.around, at, strict=True)]
        everything = [np.arange(len(around)) for around in self.around]
        for chosen in [codes, everything] if loose else [codes]:
            cells, programs = self._part(chosen)
            place = int(np.searchsorted(cells, target))
            self.solved += 1
            found = programs.find(place, amount, price[cells], sign, loose)
            if found is not None:
                return cells[found[0]], found[1]
        return None

    def _part(self, chosen: list[np.ndarray]) -> tuple[np.ndarray, Programs]:
        key = tuple(codes.tobytes() for codes in chosen)
        if key not in self.kept:
            cells = np.ravel_multi_index(np.ix_(*chosen), self.problem.shape).ravel()
            up, down = rooms(self.problem, cells)
            matrix = sums([m[:, codes] for m, codes in zip(self.matrices, chosen, strict=True)])
            self.kept[key] = cells, Programs(matrix, up, down)
            if len(self.kept) > KEPT:
                self.kept.popitem(last=False)
        self.kept.move_to_end(key)
        return self.kept[key]


def rooms(problem: Problem, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By how much each cell may rise and fall."""
    movable = problem.movable[cells]
    up = np.where(movable, np.minimum(problem.most[cells] - problem.value[cells], np.iinfo(np.int32).max), 0)
    return up, np.where(movable, problem.value[cells] - problem.least[cells], 0)


def around(dimension: Dimension, weight: np.ndarray) -> list[np.ndarray]:
    """Per code, the sorted codes of the part around it: closed upward, with somewhere else to take from.

    weight: people per code; larger ones are taken first. Codes of one short list have the same surroundings.
    """
    count = len(dimension.codes)
    if count <= ALL_CODES:
        return [np.arange(count)] * count
    lists = dimension.members_by_size(weight)
    inside: list[list[int]] = [[] for _ in range(count)]  # relations that a code is a member of
    sums_of: list[list[int]] = [[] for _ in range(count)]  # relations that a code is the parent of
    for relation, parent in enumerate(dimension.parent.tolist()):
        sums_of[parent].append(relation)
        for code in lists[relation]:
            inside[code].append(relation)

    def upward(codes: set[int]) -> set[int]:
        found, ahead = set(codes), list(codes)
        while ahead:
            for relation in inside[ahead.pop()]:
                parent = int(dimension.parent[relation])
                if parent not in found:
                    found.add(parent)
                    ahead.append(parent)
        return found

    found = []
    for code in range(count):
        chosen = {code}
        for relation in inside[code]:
            members = lists[relation]
            place = members.index(code) if len(members) > SIBLINGS else 0
            chosen.update((members * 2)[place : place + SIBLINGS])
        ahead = [(each, OTHERS) for each in upward(chosen)]
        while ahead:
            each, most = ahead.pop()
            for relation in sums_of[each]:
                for member in lists[relation][:most]:
                    if member not in chosen:
                        chosen.add(member)
                        ahead.append((member, 1))
        found.append(np.array(sorted(upward(chosen)), dtype=np.int64))
    return found
