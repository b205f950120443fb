"""What a pattern of hidden cells costs, and whether it protects, by whole numbers; tables to compare patterns on.

Shares no code with the product. `table_auditor` lists every possible table and stays small; here one integer program
finds how far a cell can go, so a table may have some hundred cells. What does not belong here: who made the pattern.

The one specification: counts; a cell of 1 to n - 1 is sensitive; zeros are shown, so every hidden cell is known to be 1
or more; what a reader can tell of a sensitive cell must reach from its least to its greatest by `interval` or more (3
whole numbers where that is 2), and its greatest must be n or more.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp
from table_auditor import Cell, Small

FEWEST, MOST = 60, 600  # cells of a table to compare on
SENSITIVE = (0.25, 0.35)  # share of its cells with anybody
SMALL_TABLE = 150  # cells, up to which n is 5 instead of 10


def sensitive(small: Small) -> list[Cell]:
    """Cells of 1 to n - 1."""
    return [cell for cell, count in small.count.items() if 1 <= count < small.minimum]


def loss(small: Small) -> dict[str, int]:
    """What is hidden: cells and the sum of their counts, of all and of those hidden for others."""
    own = set(sensitive(small))
    partners = small.hidden - own
    return {
        "cells": len(small.hidden),
        "value": sum(small.count[cell] for cell in small.hidden),
        "partners": len(partners),
        "partners_value": sum(small.count[cell] for cell in partners),
    }


def violations(small: Small, only: list[Cell] | None = None) -> list[tuple[Cell, int, int]]:
    """Sensitive cells that are told too well, with the least and greatest number that a reader can think of.

    An empty list: the pattern protects (`only`: these of the sensitive cells). A number beyond need is not looked for:
    least and greatest stop where they are far enough.
    """
    own = sensitive(small) if only is None else only
    found = [(cell, small.count[cell], small.count[cell]) for cell in own if cell not in small.hidden]
    cells = sorted(small.hidden)
    at = {cell: i for i, cell in enumerate(cells)}
    truth = np.array([small.count[cell] for cell in cells], dtype=np.int64)
    if truth.min(initial=1) < 1:
        raise ValueError("A zero is hidden: in this specification zeros are shown.")
    rows = [left for left, _ in small.equations()]
    place = [(i, at[cell], sign) for i, left in enumerate(rows) for cell, sign in left.items()]
    row, column, sign = (np.array(each) for each in zip(*place, strict=True)) if place else ([], [], [])
    matrix = sparse.csc_matrix((sign, (row, column)), shape=(len(rows), len(cells)))
    least, most = truth.copy(), truth.copy()

    def look(cell: int, toward: int, enough: int) -> None:
        """Widen least and most by a table in which the cell goes as far as it can, up to `enough`."""
        low, high = np.ones(len(cells)), np.full(len(cells), np.inf)
        low[cell], high[cell] = (truth[cell], enough) if toward > 0 else (enough, truth[cell])
        price = np.zeros(len(cells))
        price[cell] = -toward
        done = milp(
            price,
            constraints=LinearConstraint(matrix, matrix @ truth, matrix @ truth),
            bounds=Bounds(low, high),
            integrality=np.ones(len(cells)),
        )
        if done.status != 0:
            raise RuntimeError(f"The integer program of {cells[cell]} was not solved: {done.message}")
        table = np.round(done.x).astype(np.int64)
        if (matrix @ (table - truth)).any() or (table < 1).any():
            raise RuntimeError(f"The integer program of {cells[cell]} gave a table with other sums.")
        np.minimum(least, table, out=least)
        np.maximum(most, table, out=most)

    for cell in own:
        if cell not in at:
            continue
        i = at[cell]
        # A whole width above the truth would do for both; a cell just under n may find the rest of it below.
        enough = max(small.minimum, int(truth[i]) + small.interval)
        if most[i] < enough:
            look(i, 1, enough)
        if most[i] >= small.minimum and most[i] - least[i] < small.interval:
            look(i, -1, max(1, int(most[i]) - small.interval))
        if most[i] < small.minimum or most[i] - least[i] < small.interval:
            found.append((cell, int(least[i]), int(most[i])))
    return found


def loss_table(rng: np.random.Generator, interval: int = 2) -> Small:
    """A random table of two or three dimensions, one or two of them trees, with a quarter to a third sensitive.

    Nothing is hidden yet.
    """
    while True:
        trees, flats = ((1, 1), (2, 0), (1, 2), (2, 1))[int(rng.integers(4))]
        largest = 20 if trees + flats == 2 else 7
        made = [_tree(name, int(rng.integers(4, largest + 1)), rng) for name in "abc"[:trees]]
        made += [_flat(name, int(rng.integers(2, largest // 2 + 1))) for name in "abc"[trees : trees + flats]]
        codes = [[total, *(part for _, parts in reversed(sums) for part in parts)] for total, _, _, sums in made]
        cells = int(np.prod([len(each) for each in codes]))
        if not FEWEST <= cells <= MOST:
            continue
        minimum = 5 if cells <= SMALL_TABLE else 10
        count = _counts(made, codes, float(np.exp(rng.uniform(0, np.log(8 * minimum)))), rng)
        held = [number for number in count.values() if number]
        share = sum(number < minimum for number in held) / max(len(held), 1)
        if SENSITIVE[0] <= share <= SENSITIVE[1]:
            return Small(
                list("abc"[: len(made)]),
                [total for total, _, _, _ in made],
                [parents for _, parents, _, _ in made],
                [[] for _ in made],
                [up for _, _, up, _ in made],
                [sums for _, _, _, sums in made],
                count,
                set(),
                minimum,
                True,
                interval,
            )


def _flat(name: str, size: int):
    """total, parents columns, parents by code, sums."""
    return f"{name}All", [], {}, [(f"{name}All", [f"{name}{i}" for i in range(size)])]


def _tree(name: str, size: int, rng: np.random.Generator):
    """Codes in groups of two or more; from eight codes on, now and then groups in areas."""
    total = f"{name}All"
    groups = int(rng.integers(2, max(3, size // 2 + 1)))
    of = np.sort(np.concatenate([np.repeat(np.arange(groups), 2), rng.integers(0, groups, max(0, size - 2 * groups))]))
    inside = {f"{name}g{g}": [f"{name}{i}" for i in np.flatnonzero(of == g)] for g in range(groups)}
    up = {code: [group] for group, parts in inside.items() for code in parts}
    if groups < 4 or rng.random() < 0.5:
        return total, [f"{name}_group"], up, [*inside.items(), (total, list(inside))]
    names = list(inside)
    areas = {f"{name}h0": names[: groups // 2], f"{name}h1": names[groups // 2 :]}
    area = {group: key for key, parts in areas.items() for group in parts}
    up = {code: [group, area[group]] for code, (group,) in up.items()} | {g: ["", area[g]] for g in names}
    return total, [f"{name}_group", f"{name}_area"], up, [*inside.items(), *areas.items(), (total, list(areas))]


def _counts(made, codes, middle: float, rng: np.random.Generator) -> dict[Cell, int]:
    """Every cell's count: skewed by place as real ones are, and now and then nobody."""
    sums = [dict(each) for _, _, _, each in made]
    finest = [[code for code in each if code not in of] for each, of in zip(codes, sums, strict=True)]
    weight = [{code: rng.lognormal(0, 0.8) for code in each} for each in finest]
    count = {
        cell: int(rng.poisson(middle * np.prod([w[code] for w, code in zip(weight, cell, strict=True)])))
        for cell in product(*finest)
    }
    for axis, (_, _, _, relations) in enumerate(made):
        others = [[*finest[i]] if i > axis else codes[i] for i in range(len(codes)) if i != axis]
        for total, parts in relations:
            for rest in product(*others):
                count[(*rest[:axis], total, *rest[axis:])] = sum(
                    count[(*rest[:axis], part, *rest[axis:])] for part in parts
                )
    return {cell: count[cell] for cell in product(*codes)}
