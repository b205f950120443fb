"""What a reader learns who knows the program but not the key: run it on every table that has the published numbers.

What belongs here: the list of tables that agree with what is published, the program run on each under many keys, and
the cells that no table explains but with few people in them. What does not: the program's own attack, which shares no
code with this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from table_auditor import Small

# From exact counts (one axis per dimension, codes in the program's order) and a key to what is hidden, flat.
Program = Callable[[np.ndarray, bytes], np.ndarray]


@dataclass(frozen=True)
class Judged:
    """primaries of one table; away: those that are below n in every possible table from which the pattern came out.

    came_out: whether it came out of any, under the keys that were tried. If not, nothing was judged.
    """

    primaries: int
    away: int
    came_out: bool


def judge(small: Small, codes: list[list[str]], program: Program, key: bytes, keys: int, limit: int) -> Judged | None:
    """Protect a table with `key`, then look for explanations under `keys` other keys for each possible table.

    None where nothing is small or more than `limit` tables agree with what is published. codes: per dimension, in the
    program's order.
    """
    exact = np.zeros([len(each) for each in codes], dtype=np.int64)
    place = [{code: i for i, code in enumerate(each)} for each in codes]
    where = {cell: tuple(at[code] for at, code in zip(place, cell, strict=True)) for cell in small.count}
    for cell, number in small.count.items():
        exact[where[cell]] = number
    pattern = program(exact, key)
    shut = pattern.reshape(exact.shape)
    hidden = {cell for cell in small.count if shut[where[cell]]}
    primaries = {cell for cell in hidden if 1 <= small.count[cell] < small.minimum}
    if not primaries or tuple(small.totals) in hidden:
        return None
    tables = replace(small, hidden=hidden).tables(limit)
    if tables is None:
        return None
    # A table in which nobody is small hides nothing.
    tables = [table for table in tables if any(1 <= number < small.minimum for number in table.values())]
    explains = [False] * len(tables)
    open_, came_out = set(primaries), False
    for number in range(keys):
        for i, table in enumerate(tables):
            told = {cell for cell in open_ if table[cell] >= small.minimum}
            if explains[i] or (came_out and not told):
                continue
            other = exact.copy()
            for cell, count in table.items():
                other[where[cell]] = count
            if (program(other, key + number.to_bytes(4, "big")) == pattern).all():
                explains[i] = came_out = True
                open_ -= told
        if not open_:
            break
    return Judged(len(primaries), len(open_) if came_out else 0, came_out)
