"""Small random tables, and a slow reader that knows everything about them. Shares no code with the product.

The reader lists every table of whole numbers that has the published sums, one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np

Cell = tuple[str, ...]


@dataclass
class Small:
    """A table in the words of its files. sums: per dimension, (total, parts); up: per dimension and code its parents.

    count: every cell, totals included. hidden: cells not published. told: least and most of hidden cells that are
    published in their place.
    """

    names: list[str]
    totals: list[str]
    parents: list[list[str]]
    breakdowns: list[list[list[str]]]
    up: list[dict[str, list[str]]]
    sums: list[list[tuple[str, list[str]]]]
    count: dict[Cell, int]
    hidden: set[Cell]
    minimum: int
    zeros_shown: bool
    interval: int
    told: dict[Cell, tuple[int, int]] = field(default_factory=dict)

    def family_text(self) -> str:
        """family.yml"""
        zeros = "shown" if self.zeros_shown else "hideable"
        lines = ["count: people", f"minimum: {self.minimum}", f"zeros: {zeros}", f"interval: {self.interval}"]
        lines.append("dimensions:")
        for name, total, parents, lists in zip(self.names, self.totals, self.parents, self.breakdowns, strict=True):
            lines += [f"  - column: {name}", f"    total: {total}"]
            if lists:
                lines.append("    breakdowns: [" + ", ".join("[" + ", ".join(each) + "]" for each in lists) + "]")
            else:
                lines.append("    parents: [" + ", ".join(parents) + "]")
        return "\n".join(lines) + "\n"

    def header(self) -> list[str]:
        """Columns of the protected file."""
        found = []
        for name, parents in zip(self.names, self.parents, strict=True):
            found += [name, *parents]
        return [*found, "people", "status"]

    def row(self, cell: Cell) -> list[str]:
        """One row of the protected file."""
        found = []
        for code, up, parents in zip(cell, self.up, self.parents, strict=True):
            found += [code, *up.get(code, [""] * len(parents))]
        is_hidden = cell in self.hidden
        return [*found, "" if is_hidden else str(self.count[cell]), "hidden" if is_hidden else "shown"]

    def write(self, folder: Path) -> tuple[Path, Path]:
        """The protected file and family.yml."""
        table, family = folder / "table.csv", folder / "family.yml"
        lines = [self.header(), *(self.row(cell) for cell in self.count)]
        table.write_text("\n".join(",".join(line) for line in lines) + "\n")
        family.write_text(self.family_text())
        return table, family

    def may_be_hidden(self) -> list[Cell]:
        """Every cell but the grand total and, where they are shown, zeros."""
        grand = tuple(self.totals)
        return [c for c in self.count if c != grand and not (self.zeros_shown and self.count[c] == 0)]

    def every_sum(self) -> list[tuple[Cell, list[Cell]]]:
        """Every sum of the whole table: the total's cell and the parts' cells."""
        found = []
        codes = [sorted({cell[axis] for cell in self.count}) for axis in range(len(self.names))]
        for axis, sums in enumerate(self.sums):
            others = [each for i, each in enumerate(codes) if i != axis]
            for total, parts in sums:
                for rest in product(*others):
                    found.append(
                        ((*rest[:axis], total, *rest[axis:]), [(*rest[:axis], part, *rest[axis:]) for part in parts])
                    )
        return found

    def equations(self) -> list[tuple[dict[Cell, int], int]]:
        """Coefficients of hidden cells and what they sum to."""
        found = []
        for total, parts in self.every_sum():
            left = {cell: 1 for cell in parts if cell in self.hidden}
            right = -sum(self.count[cell] for cell in parts if cell not in self.hidden)
            if total in self.hidden:
                left[total] = -1
            else:
                right += self.count[total]
            if left:
                found.append((left, right))
        return found

    def tables(self, limit: int) -> list[dict[Cell, int]] | None:
        """The hidden cells of every table with the published sums, or None where there are more than `limit`."""
        floor, top = 1 if self.zeros_shown else 0, max(self.count.values())
        least = {cell: self.told.get(cell, (floor, top))[0] for cell in self.hidden}
        most = {cell: self.told.get(cell, (floor, top))[1] for cell in self.hidden}
        equations = self.equations()
        of = {cell: [i for i, (left, _) in enumerate(equations) if cell in left] for cell in self.hidden}
        found: list[dict[Cell, int]] = []
        value: dict[Cell, int] = {}
        steps = 0

        def fits(cell: Cell) -> bool:
            for i in of[cell]:
                left, right = equations[i]
                rest = right - sum(sign * value[c] for c, sign in left.items() if c in value)
                open_ = [(c, sign) for c, sign in left.items() if c not in value]
                low = sum(least[c] if sign > 0 else -most[c] for c, sign in open_)
                high = sum(most[c] if sign > 0 else -least[c] for c, sign in open_)
                if not low <= rest <= high:
                    return False
            return True

        def choices() -> tuple[Cell, range]:
            best = None
            for cell in self.hidden - value.keys():
                low, high = least[cell], most[cell]
                for i in of[cell]:
                    left, right = equations[i]
                    rest = right - sum(sign * value[c] for c, sign in left.items() if c in value)
                    open_ = [(c, sign) for c, sign in left.items() if c not in value and c != cell]
                    down = rest - sum(most[c] if sign > 0 else -least[c] for c, sign in open_)
                    up = rest - sum(least[c] if sign > 0 else -most[c] for c, sign in open_)
                    low, high = (max(low, down), min(high, up)) if left[cell] > 0 else (max(low, -up), min(high, -down))
                if best is None or high - low < len(best[1]) - 1:
                    best = cell, range(low, high + 1)
                    if high <= low:
                        break
            return best

        def go() -> bool:
            nonlocal steps
            steps += 1
            if steps > 40 * limit:
                return False
            if len(value) == len(self.hidden):
                found.append(dict(value))
                return len(found) <= limit
            cell, numbers = choices()
            for number in numbers:
                value[cell] = number
                if fits(cell) and not go():
                    return False
                del value[cell]
            value.pop(cell, None)
            return True

        return found if go() else None

    def intervals(self, limit: int) -> dict[Cell, tuple[int, int]] | None:
        """Least and greatest value of every hidden cell over all tables, or None where there are more than `limit`."""
        found = self.tables(limit)
        if found is None:
            return None
        every = {cell: [table[cell] for table in found] for cell in self.hidden}
        return {cell: (min(numbers), max(numbers)) for cell, numbers in every.items() if numbers}

    def determined(self) -> set[Cell]:
        """Hidden cells that the sums fix, by elimination in fractions: no bounds, no whole numbers."""
        cells = sorted(self.hidden)
        matrix = [[Fraction(left.get(cell, 0)) for cell in cells] for left, _ in self.equations()]
        pivots, at = [], 0
        for column in range(len(cells)):
            found = next((r for r in range(at, len(matrix)) if matrix[r][column]), None)
            if found is None:
                continue
            matrix[at], matrix[found] = matrix[found], matrix[at]
            head = matrix[at][column]
            matrix[at] = [each / head for each in matrix[at]]
            for other in range(len(matrix)):
                if other != at and matrix[other][column]:
                    factor = matrix[other][column]
                    matrix[other] = [a - factor * b for a, b in zip(matrix[other], matrix[at], strict=True)]
            pivots.append(column)
            at += 1
        return {cells[p] for r, p in enumerate(pivots) if sum(1 for each in matrix[r] if each) == 1}

    def residuals(self) -> int:
        """Shown totals whose hidden parts are 1 to n - 1 together."""
        return sum(
            total not in self.hidden
            and 1 <= sum(self.count[part] for part in parts if part in self.hidden) < self.minimum
            for total, parts in self.every_sum()
        )


def dimension(kind: str, name: str, size: int, rng: np.random.Generator):
    """total, parents columns, breakdowns, parents by code, sums of one random dimension of a kind."""
    total = f"{name}All"
    values = [f"{name}{i}" for i in range(size)]
    if kind == "flat":
        return total, [], [], {}, [(total, values)]
    if kind == "breakdowns":
        other = [f"{name}x{i}" for i in range(2)]
        return total, [], [values, other], {}, [(total, values), (total, other)]
    if kind == "rollups":  # the same people rolled up in several ways, as of race: a code may stand in several
        lists = []
        for _ in range(int(rng.integers(2, 5))):
            part = _onto(rng, size, int(rng.integers(2, size + 1)))
            codes = sorted(name + "".join(str(i) for i in range(size) if part[i] == p) for p in set(part))
            lists += [codes] if codes not in lists else []
        return total, [], lists, {}, [(total, each) for each in lists]
    group = [f"{name}g{int(g)}" for g in _onto(rng, size, 2 if size < 6 else 3)]
    members = {g: [v for v, h in zip(values, group, strict=True) if h == g] for g in sorted(set(group))}
    sums = [*members.items(), (total, list(members))]
    if kind == "nested":
        return total, [f"{name}_group"], [], {v: [g] for v, g in zip(values, group, strict=True)}, sums
    assert kind == "linked"  # two groupings that do not nest
    area = [f"{name}h{int(h)}" for h in _onto(rng, size, 2 if size < 6 else 3)]
    inside = {h: [v for v, a in zip(values, area, strict=True) if a == h] for h in sorted(set(area))}
    if all(len({a for v, a, g in zip(values, area, group, strict=True) if g == each}) == 1 for each in members):
        # The second happens to be a grouping of the first: then it sums from it.
        above = {h: sorted({g for g, a in zip(group, area, strict=True) if a == h}) for h in inside}
        sums = [*members.items(), *above.items(), (total, list(inside))]
        up = {v: [g, a] for v, g, a in zip(values, group, area, strict=True)}
        up |= {g: ["", next(h for h, gs in above.items() if g in gs)] for g in members}
        return total, [f"{name}_group", f"{name}_area"], [], up, sums
    sums += [*inside.items(), (total, list(inside))]
    up = {v: [g, a] for v, g, a in zip(values, group, area, strict=True)}
    return total, [f"{name}_group", f"{name}_area"], [], up, sums


def _onto(rng: np.random.Generator, size: int, groups: int) -> np.ndarray:
    return rng.permutation(np.concatenate([np.arange(groups), rng.integers(0, groups, size - groups)]))


HARD = (
    (("flat", 3), ("flat", 3), ("flat", 3)),
    (("linked", 9),),
    (("rollups", 5),),
    (("rollups", 4), ("flat", 3)),
    (("flat", 5), ("flat", 5)),
    (("linked", 6), ("flat", 3)),
    (("nested", 6), ("flat", 4)),
)


def small_table(rng: np.random.Generator, cells: int = 60, unknowns: int = 14) -> Small:
    """A random table of at most `cells` cells, about `unknowns` of them hidden, small counts and others by chance."""
    while True:
        kinds = [str(rng.choice(["flat", "nested", "linked", "breakdowns"])) for _ in range(int(rng.integers(1, 4)))]
        small = random_table([(kind, int(rng.integers(3 if kind != "flat" else 2, 6))) for kind in kinds], rng)
        if len(small.count) <= cells:
            break
    open_ = small.may_be_hidden()
    open_.sort(key=lambda cell: (small.count[cell] + rng.random() * 6, cell))
    small.hidden = set(open_[: int(rng.integers(1, unknowns + 1))])
    return small


def hard_table(rng: np.random.Generator) -> Small:
    """A random table whose hidden cells are tied by many sums at once: most finest cells hidden, few totals."""
    small = random_table(HARD[int(rng.integers(len(HARD)))], rng)
    coarse = [{total for total, _ in sums} for sums in small.sums]
    finest, totals = rng.choice([0.5, 0.8, 1.0]), rng.choice([0.0, 0.1, 0.4])
    for cell in small.may_be_hidden():
        is_total = any(code in each for code, each in zip(cell, coarse, strict=True))
        if rng.random() < (totals if is_total else finest):
            small.hidden.add(cell)
    return small


def random_table(kinds, rng: np.random.Generator) -> Small:
    """A table with dimensions of these kinds and sizes, nothing hidden."""
    names = ["a", "b", "c"][: len(kinds)]
    made = [dimension(kind, name, size, rng) for (kind, size), name in zip(kinds, names, strict=True)]
    codes = [list(dict.fromkeys([m[0], *(part for total, parts in m[4] for part in (total, *parts))])) for m in made]
    most = int(rng.choice([3, 6, 12]))
    tally: dict[Cell, int] = dict.fromkeys(product(*codes), 0)
    # What one person counts in: the finest codes, and every total above them. Breakdowns are drawn one by one, but
    # rollups are all of the same finest groups.
    leaf = []
    for (kind, size), m, c in zip(kinds, made, codes, strict=True):
        if kind == "rollups":
            leaf.append([[each for each in c[1:] if str(i) in each] for i in range(size)])
        else:
            lists = m[2] or [sorted(set(c) - {total for total, _ in m[4]})]
            leaf.append([[code] + [str(rng.choice(each)) for each in lists[1:]] for code in lists[0]])
    for place in product(*leaf):
        for _ in range(int(rng.integers(0, most)) if rng.random() < 0.7 else 0):
            held = []
            for mine, m in zip(place, made, strict=True):
                mine = {m[0], *mine}
                for total, parts in m[4]:
                    if mine & set(parts):
                        mine.add(total)
                held.append(sorted(mine))
            for cell in product(*held):
                tally[cell] += 1
    return Small(
        names,
        [m[0] for m in made],
        [m[1] for m in made],
        [m[2] for m in made],
        [m[3] for m in made],
        [m[4] for m in made],
        tally,
        set(),
        int(rng.choice([3, 5])),
        bool(rng.random() < 0.5),
        int(rng.integers(2, 5)),
    )
