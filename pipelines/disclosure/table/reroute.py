"""Show partners again: let the moves that touch one go around it, through cells that are hidden anyway.

What belongs here: for many partners at a time, a detour of hidden cells, the sum of each move with it, and whether
all of them still hold. What does not: the search for a detour (cubes).

A partner is shown again only when every move that touches it can do without it. Moves are changed independently in
one round: a move takes part for one partner at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipelines.disclosure.table.problem import Certificates, Problem

if TYPE_CHECKING:
    from pipelines.disclosure.table.cubes import Cubes

USERS = 60  # moves that may touch a partner that is tried
OWN = np.float32(1e4)  # price of a partner that is tried: a detour holds one, itself


def reroute(cubes: Cubes, proof: Certificates, rounds: int) -> Certificates:
    """The proof with fewer cells touched, after so many rounds."""
    problem = cubes.problem
    tries = np.zeros(len(problem.value), dtype=np.int8)
    for _ in range(rounds):
        tried = _independent(problem, proof, tries)
        if not len(tried):
            break
        tries[tried] += 1
        proof = _around(cubes, proof, tried)
    return proof


def _independent(problem: Problem, proof: Certificates, tries: np.ndarray) -> np.ndarray:
    """Partners, dear and little used ones first, no two of which share a move."""
    users = np.bincount(proof.cell, minlength=len(problem.value))
    may = (users > 0) & (users <= USERS) & ~problem.primary & (tries < 3)
    rank = np.where(may, tries * 100.0 - problem.price / users.clip(1), np.inf)
    rows = rank[proof.cell]
    start = np.flatnonzero(np.diff(proof.move, prepend=-1))
    first = np.repeat(np.minimum.reduceat(rows, start), np.diff(start, append=len(rows)))
    wins = np.bincount(proof.cell[(rows == first) & np.isfinite(rows)], minlength=len(problem.value))
    return np.flatnonzero((wins == users) & may)


def _around(cubes: Cubes, proof: Certificates, tried: np.ndarray) -> Certificates:
    problem = cubes.problem
    count = len(problem.value)
    number = np.full(count, -1)
    number[tried] = np.arange(len(tried))
    # The rows that touch a tried partner, by partner.
    row = np.flatnonzero(number[proof.cell] >= 0)
    row = row[np.argsort(number[proof.cell[row]], kind="stable")]
    of = number[proof.cell[row]]
    most = np.zeros(len(tried), dtype=np.int64)
    np.maximum.at(most, of, np.abs(proof.amount[row]))
    hidden = problem.primary | proof.touched(count)
    cubes.price[:-1] = np.where(hidden, np.float32(0), np.float32(np.inf))
    cubes.price[tried] = OWN
    start = np.searchsorted(of, np.arange(len(tried) + 1))
    owner, cell, amount, back = [], [], [], []
    for rows, cells, amounts in cubes.look(tried, most, float(OWN)):
        paid = cubes.price[cells].sum(axis=1)
        rows, cells, sign = rows[paid <= OWN], cells[paid <= OWN], np.sign(amounts[paid <= OWN])
        # Every row of the partner, with every cell of its detour.
        size = start[rows + 1] - start[rows]
        each = np.repeat(np.arange(len(rows)), size)
        place = row[start[rows][each] + np.arange(len(each)) - np.repeat(np.cumsum(size) - size, size)]
        there = cells[each] < count
        owner.append(np.broadcast_to(proof.move[place][:, None], there.shape)[there])
        cell.append(cells[each][there])
        amount.append((-proof.amount[place][:, None] * sign[each])[there])
        back.append(np.column_stack([proof.move[place], tried[rows][each]]))
    if not owner:
        return proof
    back = np.concatenate(back)
    moves = int(proof.move[-1]) + 1
    partner = np.full(moves, -1)
    partner[back[:, 0]] = back[:, 1]
    mine = partner[proof.move] >= 0
    key, amount = _summed(
        np.concatenate(
            [proof.move[mine] * count + proof.cell[mine], np.concatenate(owner) * count + np.concatenate(cell)]
        ),
        np.concatenate([proof.amount[mine], *amount]),
    )
    if not len(key):
        return proof  # each move was undone by its detour
    move, cell = key // count, key % count
    bad = np.zeros(count, dtype=bool)
    bad[partner[move[~problem.fits(cell, amount)]]] = True
    # Whoever the move certifies must still rise as far.
    sure = partner[proof.by] >= 0
    target, by = proof.certified[sure], proof.by[sure]
    at = np.minimum(np.searchsorted(key, by * count + target), len(key) - 1)
    falls = (key[at] != by * count + target) | (amount[at] < problem.need[target])
    bad[partner[by[falls]]] = True
    changed = (partner >= 0) & ~bad[partner]
    keep, new = ~changed[proof.move], changed[move]
    key = np.concatenate([proof.move[keep] * count + proof.cell[keep], key[new]])
    amount = np.concatenate([proof.amount[keep], amount[new]])
    order = np.argsort(key, kind="stable")
    key, amount = key[order], amount[order]
    return Certificates(key // count, key % count, amount, proof.certified, proof.by)


def _summed(key: np.ndarray, amount: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Amounts of equal keys together, without those that vanish; sorted by key."""
    order = np.argsort(key, kind="stable")
    key, amount = key[order], amount[order]
    start = np.flatnonzero(np.diff(key, prepend=-1))
    key, amount = key[start], np.add.reduceat(amount, start)
    return key[amount != 0], amount[amount != 0]
