"""Cells that the sums determine by themselves, however many sums it takes: rank, without bounds.

What belongs here: the null space of the hidden cells, and the proof that a cell is fixed by it. What does not: bounds
and whole numbers (intervals).

A random vector is projected on the null space; where its entry vanishes a cell is suspect. A suspect is only believed
when elimination over a prime, among the sums near it, proves it; so the projection need not be exact.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import lsmr

from pipelines.disclosure.table.attack.equations import NO_LIMIT, System, neighborhood

PRIME = 2_147_483_647  # products of two residues fit into 64 bits
VANISHED = 1e-5  # entry of a null vector of unit-sized noise
PROJECTIONS = 2  # random vectors: a cell must vanish in both to be suspect
STEPS = 2_000  # of the projection
NEAR = (60, 300, 900)  # cells around a suspect among which a proof is sought


def suspects(matrix: sparse.csr_matrix, rng: np.random.Generator) -> np.ndarray:
    """Columns that vanish in random vectors of the null space: a superset, in practice, of the determined ones."""
    if not matrix.shape[0] or not matrix.shape[1]:
        return np.zeros(0, dtype=np.int64)
    real = matrix.astype(np.float64)
    back = real.T.tocsr()
    weight = 1 / np.sqrt(np.maximum(np.diff(back.indptr), 1))  # columns of many sums would slow the steps down
    real = (real @ sparse.diags(weight)).tocsr()
    small = np.ones(matrix.shape[1], dtype=bool)
    for _ in range(PROJECTIONS):
        noise = rng.standard_normal(matrix.shape[1])
        inside = lsmr(real, real @ noise, atol=1e-12, btol=1e-12, conlim=0, maxiter=STEPS)[0]
        small &= np.abs(noise - inside) < VANISHED
        if not small.any():
            break
    return np.flatnonzero(small)


def prove(system: System, suspect: np.ndarray, low: np.ndarray, high: np.ndarray) -> int:
    """Set low and high (in place) of the suspects that elimination proves determined. Returns how many it proved.

    The value is what the sums give modulo the prime, told apart by the bounds; a cell whose bounds are wider than the
    prime is left.
    """
    proven = 0
    for cell in suspect:
        for size in NEAR:
            if low[cell] == high[cell]:
                break
            rows, columns = neighborhood(system.matrix, system.by_column, int(cell), size)
            fixed = eliminate(system.matrix[rows][:, columns], system.right[rows])
            for column, residue in fixed.items():
                at = columns[column]
                value = low[at] + (residue - low[at]) % PRIME
                if low[at] < high[at] and high[at] < min(NO_LIMIT, low[at] + PRIME) and value <= high[at]:
                    low[at] = high[at] = value
                    proven += 1
            if len(columns) < size:
                break  # the whole block was looked at
    return proven


def eliminate(matrix: sparse.csr_matrix, right: np.ndarray) -> dict[int, int]:
    """Columns that matrix @ x = right determines over the field of PRIME elements, with their residues."""
    work = np.concatenate([matrix.toarray(), right[:, None]], axis=1).astype(np.int64) % PRIME
    rows, count = matrix.shape
    at, pivots = 0, []
    for column in range(count):
        if at == rows:
            break
        found = at + int(np.argmax(work[at:, column] != 0))
        if work[found, column] == 0:
            continue
        work[[at, found]] = work[[found, at]]
        work[at] = work[at] * pow(int(work[at, column]), -1, PRIME) % PRIME
        others = np.flatnonzero(work[:, column])
        others = others[others != at]
        wide = np.flatnonzero(work[at])
        part = work[np.ix_(others, wide)] - work[others, column][:, None] * work[at, wide] % PRIME
        work[np.ix_(others, wide)] = part % PRIME
        pivots.append(column)
        at += 1
    alone = np.count_nonzero(work[:at, :count], axis=1) == 1
    return {pivots[r]: int(work[r, count]) for r in np.flatnonzero(alone)}
