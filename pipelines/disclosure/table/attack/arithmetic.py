"""Findings as a person would write them down: which published numbers, added and subtracted how.

What belongs here: sentences, and the check in fractions that their arithmetic is right. What does not: finding the
findings. Every sentence is computed anew from the published sums near its cell, so it can be checked with a pencil.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from pipelines.disclosure.table.attack.equations import System, neighborhood
from pipelines.disclosure.table.family import HIDDEN, describe

NEAR = (1, 60, 400, 2_000)  # cells around a finding among which its arithmetic is sought
TERMS = 6  # shown numbers of a sum that are written out; the others are added up
SMALLEST = 1e-7  # a multiplier below this is the solver's noise


def explain_cell(system: System, column: int, low: int, high: int) -> str:
    """Why the hidden cell of `column` lies between low and high: the sums that say so, with their coefficients."""
    name = _name(system, int(system.cell[column]))
    for row in _column(system.by_column, column):
        if low == high and _size(system, row) == 1:
            said, about = _arithmetic(system, int(row))
            return f"{name}: {said} ({about})"
    if low == high:
        for size in NEAR[1:]:
            rows, columns = neighborhood(system.matrix, system.by_column, column, size)
            combination = _combination(system, rows, columns, column)
            if combination is not None:
                return f"{name}: {low} = {_sums(system, combination)}"
            if len(columns) < size:
                break
    parts = [_bound(system, column, value, side) for side, value in ((1, low), (-1, high))]
    said = f"exactly {low}" if low == high else f"between {low} and {high}"
    return f"{name}: {said}; {'; '.join(parts)}"


def explain_residual(system: System, row: int) -> str:
    """What the hidden parts of one sum are together."""
    said, about = _arithmetic(system, row)
    hidden = [int(system.cell[c]) for c in _row(system, row)]
    names = "; ".join(_name(system, cell) for cell in hidden[:4]) + ("; …" if len(hidden) > 4 else "")
    return f"together ({names}): {said} ({about})"


def _combination(system: System, rows: np.ndarray, columns: np.ndarray, column: int) -> dict[int, Fraction] | None:
    """Coefficients of few sums that leave the cell alone, or None where these rows do not determine it."""
    matrix = system.matrix[rows][:, columns].astype(float)
    wanted = (columns == column).astype(float)
    both = sparse.hstack([matrix.T, -matrix.T], format="csr")
    outcome = linprog(np.ones(both.shape[1]), A_eq=both, b_eq=wanted, method="highs")
    if outcome.x is None:
        return None
    y = outcome.x[: len(rows)] - outcome.x[len(rows) :]
    found = {int(rows[i]): _fraction(y[i]) for i in np.flatnonzero(np.abs(y) > SMALLEST)}
    left = _left(system, found)
    return found if left == {column: 1} else None


def _bound(system: System, column: int, value: int, side: int) -> str:
    """Why a cell is at least (side 1) or at most (side -1) a value."""
    words = "at least" if side > 0 else "at most"
    floor = f"every hidden cell being {system.least.min()} or more"
    if system.table.family.numerator:
        floor = "no hidden cell being less than its band says, or than 0"
    if side > 0 and value <= system.least[column]:
        like = "as its band says" if value > 1 else "like every hidden cell"
        return f"at least {system.least[column]}, {like}"
    if side < 0 and value >= system.most[column]:
        return f"at most {system.most[column]}, as its band says"
    found, reached = {}, None
    for size in NEAR:
        rows, columns = neighborhood(system.matrix, system.by_column, column, size)
        cost = side * (columns == column).astype(float)
        outcome = linprog(
            cost,
            A_eq=system.matrix[rows][:, columns].astype(float),
            b_eq=system.right[rows].astype(float),
            bounds=np.column_stack([system.least[columns], np.full(len(columns), np.inf)]),
            method="highs",
        )
        if outcome.status == 0:
            y = outcome.eqlin.marginals
            found = {int(rows[i]): side * _fraction(y[i]) for i in np.flatnonzero(np.abs(y) > SMALLEST)}
            reached = _reached(system, found, column, side)
            if reached is not None and (reached >= value if side > 0 else reached <= value):
                break
        if len(columns) < size:
            break
    if reached is None:
        return f"{words} {value} by many sums together"
    whole = -(-reached // 1) if side > 0 else reached // 1
    text = f"{words} {whole} by {_sums(system, found)}, {floor}"
    if whole != value:
        text += f", and {words} {value} since counts are whole numbers, or by sums farther away"
    return text


def _reached(system: System, found: dict[int, Fraction], column: int, side: int) -> Fraction | None:
    """The bound that these sums and the least value of the other cells prove, or None where they prove none."""
    left = _left(system, found)
    left[column] = left.get(column, Fraction(0)) - 1
    bound = sum((y * int(system.right[row]) for row, y in found.items()), Fraction(0))
    for c, y in left.items():
        # The combination is x + sum of y * other; the rest may only push the bound the safe way.
        if (y > 0) if side > 0 else (y < 0):
            return None
        bound -= y * int(system.least[c])
    return bound


def _left(system: System, found: dict[int, Fraction]) -> dict[int, Fraction]:
    """Hidden cells that remain when the sums are added with their coefficients."""
    left: dict[int, Fraction] = {}
    for row, y in found.items():
        begin, end = system.matrix.indptr[row], system.matrix.indptr[row + 1]
        for c, sign in zip(system.matrix.indices[begin:end], system.matrix.data[begin:end], strict=True):
            left[int(c)] = left.get(int(c), Fraction(0)) + y * int(sign)
    return {c: y for c, y in left.items() if y}


def _fraction(y: float) -> Fraction:
    return Fraction(float(y)).limit_denominator(1_000)


def _sums(system: System, found: dict[int, Fraction]) -> str:
    """The combination in words: each sum in brackets with its coefficient, solved for its hidden cells."""
    added, taken = [], []
    for row, y in sorted(found.items()):
        axis, _, total, parts = system.sum_of(row)
        value, dimension = system.table.value.ravel(), system.table.dimensions[axis]
        numbers, _ = _arithmetic(system, row)
        hidden = [c for c in parts.tolist() if value[c] == HIDDEN]
        if value[total] == HIDDEN:
            y, names = -y, [_code(system, axis, total)] + [f"- {_code(system, axis, c)}" for c in hidden]
        else:
            names = [_code(system, axis, c) if i == 0 else f"+ {_code(system, axis, c)}" for i, c in enumerate(hidden)]
        shown = " ".join(names[:TERMS]) + (f" … ({len(names)} hidden cells)" if len(names) > TERMS else "")
        times = "" if abs(y) == 1 else f"{abs(y)} × "
        of = f"{dimension.column} {_code(system, axis, total)}{_elsewhere(system, axis, total)}"
        (added if y > 0 else taken).append(f"{times}[{shown} = {numbers}, {of}]")
    return " - ".join([" + ".join(added) or "0", *taken])


def _arithmetic(system: System, row: int) -> tuple[str, str]:
    """What one sum leaves for its hidden cells: "41 - 12 - 25 = 4", and which numbers these are."""
    axis, _, total, parts = system.sum_of(row)
    value, column = system.table.value.ravel(), system.table.dimensions[axis].column
    shown = [c for c in parts.tolist() if value[c] != HIDDEN and value[c] != 0]
    written, rest = shown[:TERMS], shown[TERMS:]
    names = [_code(system, axis, c) for c in written]
    tail = f", {len(rest)} more that sum to {int(value[rest].sum())}" if rest else ""
    numbers = [str(value[c]) for c in written] + ([str(int(value[rest].sum()))] if rest else [])
    where = _elsewhere(system, axis, total)
    if value[total] == HIDDEN:
        answer = int(value[shown].sum()) if shown else 0
        said = f"{' + '.join(numbers)} = {answer}" if len(numbers) > 1 else str(answer)
        return said, f"{column} {', '.join(names) or 'without shown parts'}{tail}{where}"
    answer = int(value[total]) - int(value[shown].sum())
    said = " - ".join([str(value[total]), *numbers]) + (f" = {answer}" if numbers else "")
    less = f" less {', '.join(names)}{tail}" if names else ""
    return said, f"{column} {_code(system, axis, total)}{less}{where}"


def _elsewhere(system: System, axis: int, cell: int) -> str:
    """The other dimensions of a sum: ", grade 3"; nothing where there is one dimension."""
    at = np.unravel_index(cell, system.table.value.shape)
    others = [d for i, d in enumerate(system.table.dimensions) if i != axis]
    index = [i for j, i in enumerate(at) if j != axis]
    return f", {describe(others, tuple(index))}" if others else ""


def _code(system: System, axis: int, cell: int) -> str:
    return system.table.dimensions[axis].codes[int(np.unravel_index(cell, system.table.value.shape)[axis])]


def _name(system: System, cell: int) -> str:
    return describe(system.table.dimensions, np.unravel_index(cell, system.table.value.shape))


def _size(system: System, row: int) -> int:
    return int(system.matrix.indptr[row + 1] - system.matrix.indptr[row])


def _row(system: System, row: int) -> np.ndarray:
    return system.matrix.indices[system.matrix.indptr[row] : system.matrix.indptr[row + 1]]


def _column(by_column: sparse.csc_matrix, column: int) -> np.ndarray:
    return by_column.indices[by_column.indptr[column] : by_column.indptr[column + 1]]
