"""How a count can be shifted along one dimension without breaking its sums.

What belongs here: per dimension, the codes that can take from each other (swap), the codes that must rise together
(raise), and the codes that must move where two places lie in different parts (cross). What does not: prices, room, and
the product of dimensions (cubes).

A profile is a set of codes that one person is counted in: a value with all its parents, or one code of each breakdown
with the total. A profile may always rise by one: that keeps every sum. Two profiles may always swap one: what they
share does not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from pipelines.disclosure.table.family import Dimension

PARTNERS = 24  # codes that a code may swap with; the largest ones of a longer list, and its neighbors in size
BELOW = 12  # values of a coarse code that may stand for it
HUBS = 3  # large values below each coarse code that others may swap with
PROFILES = 512  # of a dimension with breakdowns


@dataclass(frozen=True)
class Axis:
    """One dimension. All tables of codes are padded with -1.

    partner: shape (codes, at most PARTNERS), codes with which a finest code swaps alone.
    profile: shape (profiles, codes of each); profiles hold every finest code at least once.
    below: per code, profiles that hold it, largest first, shape (codes, at most BELOW).
    away: per code, profiles that may take part in a cross with it, shape (codes, any).
    levels: whether there are sums below the total, or a total of very many codes. can_cross: whether a cross is more
    than a swap.
    small: whether each target may choose among all profiles that hold its code (member: dense 0/1, codes x profiles).
    """

    size: int
    finest: np.ndarray
    partner: np.ndarray
    profile: np.ndarray
    below: np.ndarray
    away: np.ndarray
    levels: bool
    can_cross: bool
    small: bool
    member: np.ndarray | None


def axis_of(dimension: Dimension, weight: np.ndarray, most: int = PROFILES) -> Axis:
    """weight: people per code, which decides what is large. Shape (codes,). most: codes of a small one with levels."""
    count = len(dimension.codes)
    finest = dimension.finest()
    partner = _partners(dimension, finest, weight)
    tops = set(dimension.parent.tolist()) == {0} and len(dimension.parent) > 1
    profile = _crossed(dimension, weight) if tops else _chains(dimension, finest)
    size = weight[np.where(profile[:, :1] < 0, 0, profile[:, :1])[:, 0]]
    below = _below(profile, size, count)
    away = _away(dimension, profile, below)
    small = len(profile) <= PROFILES and count <= (most if profile.shape[1] > 2 and not tops else PROFILES)
    member = None
    if small:
        member = np.zeros((count, len(profile)), dtype=np.float32)
        row, _ = np.nonzero(profile >= 0)
        member[profile[profile >= 0], row] = 1
    deep = profile.shape[1] > 2
    levels = not small or (deep and not tops)
    return Axis(count, finest, partner, profile, below, away, levels, deep, small, member)


def _padded(lists: list, least: int = 1) -> np.ndarray:
    width = max([least, *(len(each) for each in lists)])
    found = np.full((len(lists), width), -1, dtype=np.int64)
    for i, each in enumerate(lists):
        found[i, : len(each)] = each
    return found


def _memberships(dimension: Dimension) -> list[list[int]]:
    """Per code, the relations that it is a member of."""
    found: list[list[int]] = [[] for _ in dimension.codes]
    for relation in range(len(dimension.parent)):
        for code in dimension.member[dimension.start[relation] : dimension.start[relation + 1]].tolist():
            found[code].append(relation)
    return found


def _partners(dimension: Dimension, finest: np.ndarray, weight: np.ndarray) -> np.ndarray:
    alike: dict[tuple, list[int]] = {}
    for code, relations in enumerate(_memberships(dimension)):
        if finest[code]:
            alike.setdefault(tuple(relations), []).append(code)
    found: list[list[int]] = [[] for _ in dimension.codes]
    for codes in alike.values():
        codes.sort(key=lambda code: (-weight[code], code))
        for i, code in enumerate(codes):
            if len(codes) <= PARTNERS + 1:
                found[code] = codes[:i] + codes[i + 1 :]
            else:
                ahead = [each for each in codes[: PARTNERS // 2] if each != code]
                near = [codes[(i + step) % len(codes)] for step in range(1, PARTNERS + 1)]
                found[code] = (ahead + [each for each in near if each not in ahead and each != code])[:PARTNERS]
    return _padded(found)


def _chains(dimension: Dimension, finest: np.ndarray) -> np.ndarray:
    """Per value: itself, then every code that is a sum with it inside."""
    relations = _memberships(dimension)
    chains = []
    for code in np.flatnonzero(finest).tolist():
        chain, ahead = [code], [code]
        while ahead:
            for relation in relations[ahead.pop()]:
                above = int(dimension.parent[relation])
                if above not in chain:
                    chain.append(above)
                    ahead.append(above)
        chains.append(chain)
    return _padded(chains)


def _crossed(dimension: Dimension, weight: np.ndarray) -> np.ndarray:
    """Profiles of a dimension with several breakdowns: every code with the larger codes of the others."""
    lists = dimension.members_by_size(weight)
    found: dict[tuple, None] = {}

    def add(parts) -> None:
        chosen = set(parts)
        # Breakdowns may share codes: a profile has exactly one code of each.
        if all(len(chosen.intersection(each)) == 1 for each in lists):
            found[(*sorted(chosen), 0)] = None

    most = 1
    while most < max(map(len, lists)) and np.prod([min(most + 1, len(each)) for each in lists]) <= PROFILES // 2:
        most += 1
    for parts in product(*(each[:most] for each in lists)):
        add(parts)
    for k, each in enumerate(lists):
        for code in each[most:]:
            others = [other[: 2 if len(lists) < 8 else 1] for i, other in enumerate(lists) if i != k]
            for parts in product(*others):
                add((code, *parts))
    if not found:
        add([each[0] for each in lists])
    return _padded(list(found))


def _below(profile: np.ndarray, size: np.ndarray, count: int) -> np.ndarray:
    row, _ = np.nonzero(profile >= 0)
    code = profile[profile >= 0]
    order = np.lexsort((row, -size[row], code))
    code, row = code[order], row[order]
    first = np.searchsorted(code, np.arange(count))
    place = np.arange(len(code)) - first[code]
    keep = place < BELOW
    found = np.full((count, BELOW), -1, dtype=np.int64)
    found[code[keep], place[keep]] = row[keep]
    return found


def _away(dimension: Dimension, profile: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Large profiles below each coarse code above a code; they lie in other parts of it."""
    relations = _memberships(dimension)
    above: list[list[int]] = []
    for code in range(len(dimension.codes)):
        found: list[int] = []
        ahead, seen = [code], set()
        while ahead:
            here = ahead.pop(0)
            for relation in relations[here]:
                parent = int(dimension.parent[relation])
                if parent not in seen:
                    seen.add(parent)
                    ahead.append(parent)
                    found += [each for each in below[parent, :HUBS].tolist() if each >= 0 and each not in found]
        above.append(found)
    return _padded(above)
