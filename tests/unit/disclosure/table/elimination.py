"""Our own reading of a published method of hiding, to compare ours with. It is not the package that its authors ship.

The method: Ø. Langsrud, "Secondary Cell Suppression by Gaussian Elimination" (Privacy in Statistical Databases 2024),
as its abstract and the manual and the source of the package GaussSuppression describe it. The package needs R and was
never run here; its figures may differ. What belongs here: the elimination, the residual rule as extra rows, and the
published repair of intervals. What does not: the product, and whether a pattern protects, which `loss_auditor` says.

Every cell is a row of ones over the finest cells. Cells are shown one by one, zeros first (they are shown in this
specification), then by count, the largest first, of equal ones that of more finest cells. A cell that would make a
protected row a combination of what is shown stays hidden. Protected are the sensitive cells and, by the residual rule,
the sensitive parts of a sum together where they are fewer than n: all other hidden parts have n or more, so no other
sum of hidden parts can be 1 to n - 1. Arithmetic is modulo a large prime, so nothing is rounded.

Elimination knows no bounds, so a pattern may tell a cell too well all the same. Repair, as published: cells are shown
again in the same order, and one that makes an interval too narrow stays hidden. The package then eliminates once more,
all hidden cells protected, which hides more; here every cell is tried, so that is not needed.
"""

from __future__ import annotations

import numpy as np
from loss_auditor import sensitive, violations
from table_auditor import Cell, Small

PRIME = 2**31 - 1  # products of two remainders fit 64 bits


def eliminated(small: Small, residuals: bool) -> set[Cell]:
    """What one elimination hides, sensitive cells included; with `residuals` the residual rule's rows are protected."""
    inside, own = _inside(small), sensitive(small)
    column = {cell: i for i, cell in enumerate(sorted(set().union(*inside.values())))}

    def rows(groups: list[list[Cell]]) -> np.ndarray:
        found = np.zeros((len(groups), len(column)), dtype=np.int64)
        for i, group in enumerate(groups):
            for cell in group:
                found[i, [column[each] for each in inside[cell]]] += 1
        return found

    candidates = [cell for cell in in_order(small) if cell not in set(own)]
    ahead = rows([[cell] for cell in candidates])
    protected = rows([[cell] for cell in own] + (small_groups(small) if residuals else []))
    hidden = set(own)
    for i, cell in enumerate(candidates):
        places = np.flatnonzero(ahead[i])
        if not len(places):
            continue  # it follows from what is shown
        pivot = places[0]
        row = ahead[i] * pow(int(ahead[i, pivot]), -1, PRIME) % PRIME
        near = protected[protected[:, pivot] != 0]
        if small.count[cell] and (near == near[:, pivot, None] * row % PRIME).all(axis=1).any():
            hidden.add(cell)
            continue
        for each in (ahead[i + 1 :], protected):
            at = np.flatnonzero(each[:, pivot])
            each[at] = (each[at] - each[at, pivot, None] * row) % PRIME
    return hidden


def repaired(small: Small, hidden: set[Cell]) -> set[Cell]:
    """`hidden`, and the shown cells that have to be hidden too before the auditor finds no cell told too well.

    Sets small.hidden.
    """
    shown = [cell for cell in in_order(small) if cell not in hidden and small.count[cell]]
    everybody, more = {*shown, *hidden}, set()

    def show(low: int, high: int, cells: list[Cell]) -> None:
        """Decide on shown[low:high]. With only the first `low` of them shown, less `more`, nothing is told too well."""
        small.hidden = (everybody - set(shown[:high])) | more
        told = [cell for cell, _, _ in violations(small, cells)]
        if told and high - low == 1:
            more.add(shown[low])
        elif told:  # what is not told with more shown is not told with less
            middle = (low + high) // 2
            show(low, middle, told)
            show(middle, high, told)

    show(0, len(shown), sensitive(small))
    small.hidden = hidden | more
    return small.hidden


def in_order(small: Small) -> list[Cell]:
    """Cells in the order in which they are shown."""
    inside = _inside(small)
    return sorted(small.count, key=lambda cell: (small.count[cell] > 0, -small.count[cell], -len(inside[cell]), cell))


def small_groups(small: Small) -> list[list[Cell]]:
    """The residual rule's rows: two or more sensitive parts of a sum that are fewer than n together."""
    own = set(sensitive(small))
    groups = {tuple(part for part in parts if part in own) for _, parts in small.every_sum()}
    few = [group for group in sorted(groups) if len(group) > 1 and sum(map(small.count.get, group)) < small.minimum]
    return [list(group) for group in few]


def _inside(small: Small) -> dict[Cell, frozenset[Cell]]:
    """Of every cell, the finest cells that it is the sum of. Every total has one list of parts in each dimension."""
    parts = dict(small.every_sum())
    found: dict[Cell, frozenset[Cell]] = {}

    def of(cell: Cell) -> frozenset[Cell]:
        if cell not in found:
            found[cell] = frozenset().union(*map(of, parts[cell])) if cell in parts else frozenset([cell])
        return found[cell]

    for cell in small.count:
        of(cell)
    return found
