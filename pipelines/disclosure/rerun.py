"""What a reader learns who runs the open program again on every table that could be the true one (attack A10).

What belongs here: which tables explain what is published, and what is left to think of each hidden count when only
those remain. What does not: how the tables are found, and the program, which differs between tables and releases.

The reader does not hold the key. A table explains the pattern if the program makes it under some key: the decoys are
tried as the pattern would have them, then as other keys draw them. A table that none of these explains might still be
the true one under a key that was not tried, so what is said here is likely, not proven.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

TABLES = 60  # more tables that agree with what is published are not gone through
RUNS = 12  # keys that are tried for each,
FIRST = 2  # but no more than these where no table explains the pattern under any of them


def key_of(run: int) -> bytes:
    """One of the keys that a reader tries."""
    return b"the reader's key" + run.to_bytes(8, "big")


def given_away(
    tables: np.ndarray,
    judged: np.ndarray,
    comes_out: Callable[[np.ndarray, int], bool],
    minimum: int,
    is_late: Callable[[], bool] = lambda: False,
) -> np.ndarray | None:
    """Columns of `tables` surely below `minimum`, or known, if the true table is one that explains the pattern.

    tables: (tables, hidden counts). judged: (hidden counts,) those of which it may not be known that they are below
    `minimum`; of the others it may not be known what they are. What is known without the program is not told here.
    comes_out: whether the program makes the pattern of a table, in the run of that number.
    Returns None where no table explains it (another program made it, or it hid more for other reasons), or time is up.
    """
    low, high = tables.min(axis=0), tables.max(axis=0)
    wide = (high > low) & (low < minimum)
    judged = judged & (low < minimum) & (high >= minimum)
    explains = np.zeros(len(tables), dtype=bool)
    for run in range(RUNS):
        if run == FIRST and not explains.any():
            return None
        for number, table in enumerate(tables):
            away = _away(tables[explains], wide, judged, minimum)
            if not len(away):
                return away
            if is_late():
                return None
            if not explains[number] and (not explains.any() or _helps(table, tables[explains], away)):
                explains[number] = comes_out(table, run)
    return _away(tables[explains], wide, judged, minimum) if explains.any() else None


def _away(seen: np.ndarray, wide: np.ndarray, judged: np.ndarray, minimum: int) -> np.ndarray:
    if not len(seen):
        return np.flatnonzero(wide | judged)
    low, high = seen.min(axis=0), seen.max(axis=0)
    return np.flatnonzero((wide & (high == low)) | (judged & (high < minimum)))


def _helps(table: np.ndarray, seen: np.ndarray, away: np.ndarray) -> bool:
    """Whether it would show another value of what looks given away."""
    low, high = seen.min(axis=0)[away], seen.max(axis=0)[away]
    return bool(((table[away] < low) | (table[away] > high)).any())
