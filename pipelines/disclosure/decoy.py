"""Decoys: counts that are not small and are hidden all the same, drawn by the secret key.

What belongs here: which counts may be drawn, for the official tables and for any other alike. What does not: their
protection, which is that of any hidden count, and how many are drawn and how large they may be (policy).

Whoever runs the program again on every table that could be the true one knows: what was hidden first is small. Often no
table in which a certain count is not small leads to the published pattern, so the count is surely small. Where any
count from n to a few times n may have been drawn, such a table does lead to it, under some key; nobody but who holds
the key can tell a decoy from a small count.
"""

from __future__ import annotations

import numpy as np

REACH = 3  # of tables with a family file, which has no policy (p20w protect)


def decoys(value: np.ndarray, minimum: int, share: float, draw: np.ndarray, reach: int = REACH) -> np.ndarray:
    """Which counts are hidden as if they were small. value: people; draw: [0, 1) of the key; share: of those that may
    be drawn; reach: below this many times `minimum` a count may be drawn. All arrays have one shape."""
    return (value >= minimum) & (value < reach * minimum) & (draw < share)
